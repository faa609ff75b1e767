// A complete training: residual network or convolutions, AdamW, warm-up and cosine schedule, clipping, a
// monitor of the gradients, early stopping, and checkpoints from which an interrupted run goes on.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>

#ifdef XTAPE_MPI
#include <nn/distributed.hpp>
#endif
#include <nn/nn.hpp>

#include "../program.hpp"
#include "data.hpp"
#include "models.hpp"

namespace {

using namespace xtape;
using nn::Dataset;

struct Options {
  std::filesystem::path data, out = ".", checkpoint;
  std::string model = "dense";
  std::size_t epochs = 8, batch = 128, samples = 0, patience = 4;
  double learning_rate = 2e-3, clip = 1, at_least = 0;
  std::uint64_t seed = 1;
  bool resume = false;
};

/// Accuracies that others report for Fashion-MNIST, from the README of the data set.
void print_others() {
  std::printf(
      "\na selection of what others report for Fashion-MNIST (from the data set's README):\n"
      "  human performance                              83.5 %%\n"
      "  2 convolutions and pooling                     87.6 %% and 91.6 %%, 93.4 %% with batch norm\n"
      "  dense layers 256-128-100                       88.3 %%\n"
      "  gradient-boosted trees (XgBoost)               89.8 %%\n"
      "  ResNet18 with augmentation                     94.9 %%\n"
      "  wide residual network, 8.9 million parameters  96.7 %%\n");
}

void train(const Options& o) {
  random::seed(o.seed);
  const Pictures pictures = read_pictures(o.data, o.samples, o.seed);
  std::printf("%s: %zu pictures of %zu x %zu pixels to train on, %zu for validation, %zu for the test\n\n",
              pictures.name.c_str(), pictures.training.size(), pictures.side, pictures.side,
              pictures.validation.size(), pictures.test.size());
  nn::Sequential<float> model =
      o.model == "dense" ? dense_network(pictures.side) : convolutional_network(pictures.side);
  std::cout << summary(model, {1, 1, pictures.side, pictures.side}) << std::endl;

  nn::DataLoader<float> loader(pictures.training, {.batch_size = o.batch, .seed = o.seed, .drop_last = true});
  if (loader.size() == 0) throw std::runtime_error("a batch is larger than the training data");
  nn::AdamW<float> adam(model.parameters(), {.learning_rate = o.learning_rate, .weight_decay = 0.02});
  const std::size_t steps = o.epochs * loader.size(), warmup = std::max<std::size_t>(1, steps / 20);
  nn::WarmupLR schedule(adam, {.steps = warmup, .start_factor = 0.01},
                        nn::CosineLR(adam, {.steps = std::max<std::size_t>(1, steps - warmup)}));
  nn::GradientMonitor<float> monitor(model, {.every = std::max<std::size_t>(1, steps / 200)});

  const auto loss = [](const Tensor<float>& logits, const Dataset<float>& batch) {
    return nn::cross_entropy(logits, batch.labels);
  };
  nn::Trainer<float> trainer(model, adam, loss, {.patience = o.patience, .progress = &std::cout});
  std::size_t clipped = 0, updates = 0;
  trainer.options.after_backward = [&] {
    clipped += nn::clip_grad_norm(adam.parameters(), o.clip) > o.clip;
    monitor.before_step();
  };
  trainer.options.on_batch_end = [&](std::size_t, std::size_t, double value) {
    monitor.after_step(value, adam.learning_rate());
    schedule.step();
    ++updates;
  };
  trainer.options.on_epoch_end = [&](const nn::Epoch&) {
    if (!o.checkpoint.empty())
      nn::save(o.checkpoint, trainer, {{"schedule", std::to_string(schedule.count())}});
    return true;
  };
  if (o.resume) {
    schedule.set_count(std::stoul(nn::load(o.checkpoint, trainer).at("schedule")));
    std::printf("going on after epoch %zu of %s\n", trainer.history.epochs.size(), o.checkpoint.c_str());
  }
  const std::size_t done = std::min(o.epochs, trainer.history.epochs.size());
  trainer.options.epochs = o.epochs - done;

#ifdef XTAPE_MPI
  const mpi::DataParallel<float> parallel(trainer, loader);  // all that mpirun -np 4 takes
#endif
  const auto start = std::chrono::steady_clock::now();
  trainer.fit(loader, pictures.validation);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  std::printf("\n%zu updates, %zu of them with clipped gradients; %.1f s\n", updates, clipped, seconds);
  std::cout << '\n' << monitor;
  const auto write = [&](const char* name, auto&& content) {
    const std::filesystem::path path = o.out / name;
    nn::write_file(path, content);
    std::cout << "wrote " << path.string() << '\n';
  };
  std::cout << '\n';
  write("history.csv", [&](std::ostream& file) { trainer.history.write_csv(file); });
  write("gradients.html",
        [&](std::ostream& file) { monitor.write_html(file, "Training on " + pictures.name); });
  if (pictures.name == "Fashion-MNIST") print_others();

  const nn::Evaluation reached = nn::evaluate(model, pictures.test, loss);
  std::printf("\ntest loss %.3f, test accuracy %.1f %%\n", reached.loss, 100 * reached.accuracy);
  if (100 * reached.accuracy < o.at_least) {
    std::ostringstream text;
    text << "the test accuracy is below " << o.at_least << " %";
    throw std::runtime_error(text.str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("train_advanced",
                            "Trains a network on Fashion-MNIST, with what a serious training has.");
  program.option("--data", o.data,
                 "folder with the four IDX files of MNIST or its like; without it Fashion-MNIST is used "
                 "where it is installed, else handwritten digits");
  program.option("--model", o.model, "dense or conv", {.words = {"dense", "conv"}});
  program.option("--epochs", o.epochs, "passes over the training pictures, also for the schedule",
                 {.low = 1, .high = 10000});
  program.option("--batch", o.batch, "pictures in a mini-batch", {.low = 2, .high = 100000});
  program.option("--samples", o.samples, "use so many training pictures; 0: all");
  program.option("--learning-rate", o.learning_rate, "of AdamW, after the warm-up", {.positive = true});
  program.option("--clip", o.clip, "largest norm of all gradients together", {.positive = true});
  program.option("--patience", o.patience,
                 "stop after so many epochs without a lower validation loss; 0: never");
  program.option("--seed", o.seed, "of split, weights, shuffling and dropout");
  program.option("--checkpoint", o.checkpoint, "file to save to after each epoch");
  program.flag("--resume", o.resume, "go on from the checkpoint", "--checkpoint");
  program.option("--at-least", o.at_least, "fail below this test accuracy, in percent");
  program.out_option(o.out);
  return program.run(argc, argv, [&] { train(o); });
}
