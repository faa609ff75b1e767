// A short training on several ranks with a checkpoint after each batch, from which it goes on:
// train_ranks FOLDER [throw|nan|"nan loss"|kill RANK BATCH]. A rank can be made to fail in a batch. Each
// leaves its process number in FOLDER, for who wants to kill it. In a FOLDER whose name ends with "noisy" it
// trains with dropout and batch normalisation.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <thread>

#include <unistd.h>
#include <nn/distributed.hpp>
#include <nn/nn.hpp>

using namespace xtape;

namespace {

void train(const std::string& folder, const std::string& failure, std::size_t bad, std::size_t bad_batch) {
  const mpi::Communicator ranks = mpi::world();
  std::ofstream(folder + "/pid." + std::to_string(ranks.rank())) << getpid() << std::endl;
  random::seed(4);
  const Tensor<double> x = random::normal<double>({240, 5});
  nn::DataLoader<double> loader(nn::Dataset<double>(x, sin(x)), {.batch_size = 40, .seed = 9});
  nn::Sequential<double> model(nn::Linear<double>(5, 9), nn::Tanh<double>());
  if (folder.ends_with("noisy")) {  // what depends on how a batch is dealt out
    model.add(nn::BatchNorm1d<double>(9));
    model.add(nn::Dropout<double>(0.1));
  }
  model.add(nn::Linear<double>(9, 5));
  nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.01});
  std::size_t batches = 0;
  const bool fails = ranks.rank() == bad;
  const auto loss = [&](const Tensor<double>& y, const nn::Dataset<double>& batch) {
    const bool now = fails && ++batches == bad_batch;
    if (now && failure == "throw") throw std::runtime_error("no more data");
    if (now && failure == "kill") std::raise(SIGKILL);
    const Tensor<double> value = nn::mse_loss(y, batch.targets);
    if (now && failure == "nan loss") return value * std::numeric_limits<double>::quiet_NaN();
    // The loss is a number, but its gradient is not.
    if (now && failure == "nan") return value + sum(sqrt(0.0 * y));
    return value;
  };
  nn::Trainer<double> trainer(model, adam, loss, {.epochs = 8});
  const std::string path = folder + "/checkpoint";
  if (std::filesystem::exists(path)) nn::load(path, trainer);
  trainer.options.epochs -= trainer.history.epochs.size();
  trainer.options.on_batch_end = [&](std::size_t, std::size_t, double) {
    nn::save(path, trainer);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  const mpi::DataParallel<double> parallel(trainer, loader);
  trainer.fit(loader);
  nn::save(folder + "/trained", model);
  std::printf("trained\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const mpi::Environment environment(argc, argv);
    if (argc == 5)
      train(argv[1], argv[2], std::stoul(argv[3]), std::stoul(argv[4]));
    else
      train(argv[1], "", 0, 0);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "train_ranks: " << e.what() << std::endl;
    return 1;
  }
}
