// Reading, and bringing to mean 0 and standard deviation 1.
#include "data.hpp"

#include <numeric>

using xtape::nn::Dataset;

Pictures read_pictures(std::filesystem::path folder, std::size_t samples, std::uint64_t seed) {
  Pictures p;
  Dataset<float> training;
  if (folder.empty() && std::filesystem::exists(fashion_mnist)) folder = fashion_mnist;
  if (!folder.empty()) {
    const auto read = [&](const std::string& part) {
      return Dataset<float>::from_idx(folder / (part + "-images-idx3-ubyte.gz"),
                                      folder / (part + "-labels-idx1-ubyte.gz"));
    };
    p.name = folder == fashion_mnist ? "Fashion-MNIST" : folder.string();
    p.side = 28;
    training = read("train");
    p.test = read("t10k");
  } else {
    p.name = "handwritten digits";
    p.side = 8;
    const auto all =
        Dataset<float>::from_csv(XTAPE_EXAMPLES_DIR "/train_digits/digits.csv.gz", {.classes = 10});
    std::tie(p.test, training) = all.split(0.2, seed);
  }
  if (samples != 0 && samples < training.size()) {
    std::vector<std::size_t> first(samples);
    std::iota(first.begin(), first.end(), std::size_t{0});
    training = training.select(first);
  }
  std::tie(p.validation, p.training) = training.split(0.05, seed);
  if (p.validation.size() == 0) throw std::runtime_error("at least 20 training pictures are needed");

  const xtape::nn::Standardizer<float> standardize(p.training, false);
  for (Dataset<float>* part : {&p.training, &p.validation, &p.test}) {
    *part = standardize(*part);
    part->inputs =
        reshape(part->inputs, {static_cast<std::ptrdiff_t>(part->size()), 1,
                               static_cast<std::ptrdiff_t>(p.side), static_cast<std::ptrdiff_t>(p.side)});
  }
  return p;
}
