// The same for training: what is half done when memory ends is undone, or can be done again.
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <nn/nn.hpp>

#include "../tape/failing_allocations.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

/// In memory where it can be: files are flushed thousands of times.
std::filesystem::path folder() {
  const std::filesystem::path memory = "/dev/shm";
  return access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
}
std::string path_of(const std::string& name) {
  return folder() / ("xtape_failing_" + std::to_string(getpid()) + name);
}

/// What was written to a stream; one that has run out of memory says so by its state.
std::string text_of(const std::ostringstream& out) {
  if (!out) throw std::bad_alloc();
  return out.str();
}

/// A loss and its optimiser, with all that a step may change.
struct Training {
  std::unique_ptr<nn::Module<double>> model;
  std::unique_ptr<nn::Optimizer<double>> optimizer;
  Tensor<double> x, target;

  void compute_gradients() { nn::mse_loss((*model)(x), target).backward(); }
};

Result state_of(Training& training) {
  Result state;
  for (const auto& [name, p] : training.model->named_parameters()) state.add(Tensor<double>(p.value()));
  for (const auto& [name, b] : training.model->named_buffers()) state.add(Tensor<double>(b.value()));
  for (const auto& [name, memory] : training.optimizer->state(training.model->named_parameters()))
    state.add(Tensor<double>(memory.value()));
  for (const auto& p : training.model->parameters())
    if (p.has_grad()) state.add(Tensor<double>(p.grad().value()));
  return state;
}

template <class Optimizer, class... Options>
std::unique_ptr<Training> make_training(std::unique_ptr<nn::Module<double>> model, const Shape& in,
                                        const Shape& out, Options... options) {
  auto training = std::make_unique<Training>();
  training->x = random::normal<double>(in);
  training->target = random::normal<double>(out);
  training->model = std::move(model);
  training->optimizer = std::make_unique<Optimizer>(training->model->parameters(), options...);
  return training;
}

template <class Optimizer, class... Options>
std::unique_ptr<Training> make_perceptron(Options... options) {
  random::seed(5);
  return make_training<Optimizer>(
      std::make_unique<nn::Sequential<double>>(nn::Linear<double>(3, 4), nn::BatchNorm1d<double>(4),
                                               nn::Tanh<double>(), nn::Linear<double>(4, 2)),
      {5, 3}, {5, 2}, options...);
}

/// Two steps from the start.
template <class Make>
auto two_steps(const Make& make) {
  return [make] {
    const auto training = make();
    for (int i = 0; i < 2; ++i) {
      training->optimizer->zero_grad();
      training->compute_gradients();
      training->optimizer->step();
    }
    return state_of(*training);
  };
}

nn::Dataset<double> points() {
  return {Tensor<double>{{0.0, 1.0}, {1.0, 0.5}, {0.5, 0.25}, {2.0, 1.0}, {1.5, 3.0}},
          Indices(std::vector<int>{0, 1, 0, 1, 1})};
}

}  // namespace

TEST_CASE("steps of training") {
  check_program("perceptron", two_steps([] { return make_perceptron<nn::AdamW<double>>(); }));
  check_program("convolution", two_steps([] {
                  random::seed(6);
                  return make_training<nn::SGD<double>>(
                      std::make_unique<nn::Sequential<double>>(
                          nn::Conv2d<double>(2, 3, 3, {.padding = 1}), nn::ReLU<double>(),
                          nn::MaxPool2d<double>(2), nn::Flatten<double>(), nn::Dropout<double>(),
                          nn::LayerNorm<double>(12), nn::Linear<double>(12, 2)),
                      {3, 2, 4, 4}, {3, 2}, nn::SGDOptions{.momentum = 0.9});
                }));
  check_program("LSTM", two_steps([] {
                  random::seed(7);
                  return make_training<nn::Adam<double>>(std::make_unique<nn::LSTM<double>>(2, 3), {4, 2, 2},
                                                         {4, 2, 3});
                }));
  check_program("GRU", two_steps([] {
                  random::seed(8);
                  return make_training<nn::RMSprop<double>>(std::make_unique<nn::GRU<double>>(2, 3),
                                                            {4, 2, 2}, {4, 2, 3});
                }));
}

TEST_CASE("a step changes every parameter or none") {
  const auto check = [](const char* name, auto make) {
    check_change(
        name,
        [make] {
          auto training = make();
          training->compute_gradients();
          return training;
        },
        [](Training& training) { training.optimizer->step(); }, state_of);
  };
  check("SGD", [] { return make_perceptron<nn::SGD<double>>(nn::SGDOptions{.momentum = 0.9}); });
  check("Adam", [] { return make_perceptron<nn::Adam<double>>(); });
  check("AdamW", [] { return make_perceptron<nn::AdamW<double>>(); });
  check("RMSprop", [] {
    return make_perceptron<nn::RMSprop<double>>(nn::RMSpropOptions{.momentum = 0.9, .centered = true});
  });
  check("Adagrad",
        [] { return make_perceptron<nn::Adagrad<double>>(nn::AdagradOptions{.initial_square = 0.1}); });
}

TEST_CASE("gradients are added to every parameter or to none, and clipped so") {
  const auto make = [] {
    auto training = make_perceptron<nn::SGD<double>>();
    training->model->eval();
    training->compute_gradients();
    return training;
  };
  check_change(
      "backward", make, [](Training& training) { training.compute_gradients(); }, state_of);
  check_change(
      "backward, of gradients that others hold",
      [&make] {
        auto training = make();
        training->model->parameters()[0].set_grad(ones<double>({4, 3}) * 1);
        return training;
      },
      [](Training& training) {
        const Tensor<double> held = training.model->parameters()[2].grad();
        training.compute_gradients();
      },
      state_of);
  check_change(
      "clip_grad_norm", make,
      [](Training& training) { nn::clip_grad_norm(training.model->parameters(), 0.01); }, state_of);
  check_change(
      "clip_grad_value", make,
      [](Training& training) { nn::clip_grad_value(training.model->parameters(), 0.01); }, state_of);
  check_change(
      "zero_grad", make, [](Training& training) { training.model->zero_grad(); }, state_of);
}

TEST_CASE("running statistics: both or none") {
  check_change(
      "BatchNorm1d",
      [] {
        random::seed(9);
        return make_training<nn::SGD<double>>(std::make_unique<nn::BatchNorm1d<double>>(3), {4, 3}, {4, 3});
      },
      [](Training& training) { (*training.model)(training.x); }, state_of);
}

TEST_CASE("a file holds the old content or the new one, and is loaded as a whole") {
  const std::string path = path_of(".safetensors"), npy = path_of(".npy");
  const auto content = [](const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto trained = [] {
    auto training = make_perceptron<nn::Adam<double>>();
    training->compute_gradients();
    training->optimizer->step();
    return training;
  };
  const auto one = trained();
  check_change(
      "save",
      [&] {
        std::ofstream(path) << "old";
        return std::make_unique<std::string>(path);
      },
      [&](const std::string& file) {
        nn::save(file, *one->model, *one->optimizer, {{"epoch", "3"}});
      },
      [&](const std::string& file) { return Result{.text = content(file)}; });
  check_change(
      "save_npy",
      [&] {
        std::ofstream(npy) << "old";
        return std::make_unique<std::string>(npy);
      },
      [&](const std::string& file) { nn::save_npy(file, one->x); },
      [&](const std::string& file) { return Result{.text = content(file)}; });
  std::size_t files = 0;  // and none that was begun
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    files += entry.path().string().starts_with(path_of(""));
  CHECK(files == 2);
  check_change(
      "load", [] { return make_perceptron<nn::Adam<double>>(); },
      [&](Training& training) { nn::load(path, *training.model, *training.optimizer); }, state_of);
  check_program("load_npy", [&] {
    Result result;
    result.add(nn::load_npy<double>(npy));
    return result;
  });
  std::filesystem::remove(path);
  std::filesystem::remove(npy);
}

TEST_CASE("data: a pass of a loader, a file of numbers, the Trainer") {
  const nn::Dataset<double> data = points();
  const auto rest = [](nn::DataLoader<double>& loader) {
    Result result{.text = std::to_string(loader.state().epoch)};
    nn::DataLoader<double> copy = loader;
    for (const auto& batch : copy) result.add(batch.inputs);
    return result;
  };
  check_change(
      "DataLoader",
      [&] {
        auto loader = std::make_unique<nn::DataLoader<double>>(data, nn::DataLoaderOptions{.batch_size = 2});
        loader->restore({.seed = 3, .epoch = 1, .batch = 1});
        return loader;
      },
      [](nn::DataLoader<double>& loader) { loader.begin(); }, rest);
  const std::string csv = path_of(".csv");
  std::ofstream(csv) << "0.5,1.5,0\n2.5,3.5,1\n";
  check_program("from_csv, split and Standardizer", [&] {
    const auto [first, second] = data.split(0.6, 1);
    Result result;
    result.add(nn::Dataset<double>::from_csv(csv).inputs);
    result.add(nn::Standardizer<double>(first)(second).inputs);
    return result;
  });
  std::filesystem::remove(csv);
  check_program("Trainer", [&] {
    random::seed(10);
    nn::Sequential<double> model(nn::Linear<double>(2, 3), nn::ReLU<double>(), nn::Linear<double>(3, 2));
    nn::Adam<double> adam(model.parameters());
    nn::DataLoader<double> loader(data, {.batch_size = 2});
    std::ostringstream lines;
    nn::Trainer<double> trainer(
        model, adam, [](const auto& z, const auto& batch) { return nn::cross_entropy(z, batch.labels); },
        {.epochs = 2, .patience = 1, .progress = &lines});
    trainer.fit(loader, data);
    Result result{.text = text_of(lines)};
    for (const auto& p : model.parameters()) result.add(p);
    return result;
  });
}

TEST_CASE("compiled functions and steps, batches") {
  check_program("compile, vmap and linearize", [] {
    const auto w = parameter<double>({0.5, -0.25});
    const Tensor<double> x{{1.0, 2.0}, {3.0, 4.0}};
    const auto f = compile([&](const Tensor<double>& in) { return sum(sigmoid(in * w)); });
    Result result;
    for (int i = 0; i < 2; ++i) {
      const Tensor<double> y = f(x);
      result.add(grad(y, w));
      result.add(f.value_and_grad(x).second.front());
    }
    result.add(vmap([&](const auto& row) { return f(row); })(x));
    result.add(linearize(f, x).second(x));
    return result;
  });
  check_program("CompiledStep", [] {
    random::seed(12);
    nn::Linear<double> model(3, 2);
    nn::SGD<double> sgd(model.parameters(), {.momentum = 0.9});
    const auto x = random::normal<double>({5, 3}), y = random::normal<double>({5, 2});
    nn::CompiledStep<double> step(
        model, [](const auto& z, const auto& t) { return nn::mse_loss(z, t); }, sgd);
    for (int i = 0; i < 2; ++i) step(x, y);
    Result result;
    for (const auto& p : model.parameters()) result.add(p);
    return result;
  });
}

TEST_CASE("what watches a training: Profile, GradientMonitor, DetectAnomaly") {
  check_program("scopes", [] {
    const auto training = make_perceptron<nn::Adam<double>>();
    std::ostringstream out;
    {
      Profile profile, inner;
      const DetectAnomaly anomaly;
      nn::GradientMonitor<double> monitor(*training->model);
      for (int i = 0; i < 2; ++i) {
        training->optimizer->zero_grad();
        training->compute_gradients();
        monitor.step(*training->optimizer, 1);
      }
      monitor.write_csv(out);
      monitor.write_html(out);
      out << monitor;
      std::size_t runs = 0;
      for (const auto& row : profile.rows()) runs += row.count;
      out << runs;
    }
    Result result = state_of(*training);
    result.text = text_of(out);
    return result;
  });
  check_change(
      "a step that is watched",
      [] {
        struct Watched : Training {
          std::unique_ptr<nn::GradientMonitor<double>> monitor;
        };
        auto watched = std::make_unique<Watched>();
        static_cast<Training&>(*watched) =
            std::move(*make_perceptron<nn::SGD<double>>(nn::SGDOptions{.momentum = 0.9}));
        watched->monitor = std::make_unique<nn::GradientMonitor<double>>(*watched->model);
        watched->compute_gradients();
        watched->monitor->before_step();
        watched->optimizer->step();
        return watched;
      },
      [](auto& watched) { watched.monitor->after_step(0.5, 0.1); },
      [](auto& watched) {
        std::ostringstream out;
        watched.monitor->write_csv(out);
        return Result{.text = text_of(out)};
      });
}

TEST_CASE("what explains a training: audit, check_gradients, summary, to_dot") {
  const auto x = parameter<double>({{0.5, 0.25}, {1.5, -1.0}});
  const auto f = [](const Tensor<double>& in) { return sum(sigmoid(matmul(in, in)) * in); };
  check_program("audit", [&] {
    std::ostringstream out;
    out << audit([&] { return f(x); }) << check_gradients(f, x);
    return Result{.text = text_of(out)};
  });
  check_program("to_dot and summary", [&] {
    const auto training = make_perceptron<nn::SGD<double>>();
    std::ostringstream out;
    out << nn::summary(*training->model, {5, 3}) << f(x);
    return Result{.text = text_of(out) + to_dot(f(x), {{"x", x}})};
  });
}
