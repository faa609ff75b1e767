// Files that earlier versions wrote: a release adds to files/versions what XTAPE_WRITE_TRAINING=PATH writes
// here.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <doctest/doctest.h>
#include <nn/nn.hpp>

using namespace xtape;

namespace {

struct Run {
  nn::Sequential<double> model{nn::Linear<double>(3, 4), nn::BatchNorm1d<double>(4), nn::Tanh<double>(),
                               nn::Dropout<double>(0.2), nn::Linear<double>(4, 1)};
  nn::Adam<double> adam{model.parameters(), {.learning_rate = 0.05}};
  nn::Trainer<double> trainer{model,
                              adam,
                              [](const Tensor<double>& y, const nn::Dataset<double>& batch) {
                                return nn::mse_loss(y, batch.targets);
                              },
                              {.epochs = 2}};
};

void train(Run& run) {
  const auto t = linspace<double>(-1, 1, 36);
  const nn::Dataset<double> data(reshape(t, {12, 3}),
                                 reshape(sin(3 * slice(t, xt::range(1, 36, 3))), {12, 1}));
  nn::DataLoader<double> loader(data, {.batch_size = 4, .seed = 5});
  run.trainer.fit(loader);
}

/// What comes after the first two epochs, and the first weights before it.
std::string later_numbers(const std::string& path) {
  Run run;
  nn::load(path, run.trainer);
  std::ostringstream numbers;
  numbers.precision(17);
  for (const double w : run.model.parameters()[0].value()) numbers << w << ' ';
  train(run);
  for (const auto& epoch : run.trainer.history.epochs) numbers << epoch.train_loss << ' ';
  return numbers.str();
}

}  // namespace

TEST_CASE("trainings that earlier versions wrote go on to the numbers that they had there") {
  if (const char* path = std::getenv("XTAPE_WRITE_TRAINING")) {
    std::string numbers;
    for (int i = 0; i < 2; ++i) {
      random::seed(8);
      Run run;
      train(run);
      nn::save(path, run.trainer, {{"numbers", numbers}});
      numbers = later_numbers(path);
    }
  }
  std::size_t files = 0;
  const char* const other = std::getenv("XTAPE_TRAININGS");  // a folder with files of another system
  const std::string folder = other ? other : XTAPE_SOURCE_DIR "/tests/files/versions";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    CAPTURE(file.path());
    ++files;
    Run run;
    const nn::Notes notes = nn::load(file.path().string(), run.trainer);
    CHECK(run.trainer.history.epochs.size() == 2);
    std::istringstream expected(notes.at("numbers")), found(later_numbers(file.path().string()));
    std::size_t count = 0;
    for (double a = 0, b = 0; expected >> a; ++count) {
      REQUIRE(bool(found >> b));
      CHECK(std::abs(a - b) <= 1e-10);  // the last digits are those of the processor and its libraries
    }
    CHECK(count == 12 + 4);
  }
  CHECK(files > 0);
}
