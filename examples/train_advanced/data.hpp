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

/// Where Debian's package dataset-fashion-mnist puts its files.
inline const std::filesystem::path fashion_mnist = "/usr/share/datasets/fashion-mnist";

/// Reads the four IDX files of a folder; without one, those of Fashion-MNIST where it is installed, else the
/// digits. Of the training pictures, `samples` are used (0: all), of which one in twenty is held out for the
/// validation.
Pictures read_pictures(std::filesystem::path folder, std::size_t samples, std::uint64_t seed);
