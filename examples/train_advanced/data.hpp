// The pictures to learn: Fashion-MNIST where it is installed, else the handwritten digits of the example
// beside this.
#pragma once
#include <filesystem>
#include <string>

#include <nn/nn.hpp>

struct Pictures {
  xtape::nn::Dataset<float> training, validation, test;  ///< standardised, (N, 1, side, side)
  std::string name;
  std::size_t side = 0;  ///< pixels
};

/// Reads the four IDX files of the folder, or the digits where the folder is not there. Of the training
/// pictures, `samples` are used (0: all), of which one in twenty is held out for the validation.
Pictures read_pictures(const std::filesystem::path& folder, std::size_t samples, std::uint64_t seed);
