// nn::LBFGS: trainings to the last digits, what it carries on, and what it refuses.
#include <cmath>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

/// Logistic regression with a penalty, whose minimum is unique.
template <class T>
struct Logistic {
  Tensor<T> x = random::normal<T>({60, 5}), y;
  Tensor<T> w = parameter(zeros<T>({1, 5})), b = parameter(zeros<T>({1}));

  Logistic() { y = (sum(x, {1}, true) + 0.8 * random::normal<T>({60, 1}) > 0.0) + zeros<T>({60, 1}); }
  std::vector<Tensor<T>> parameters() const { return {w, b}; }
  typename nn::Optimizer<T>::Named named() const { return {{"w", w}, {"b", b}}; }
  Tensor<T> loss() const {
    return nn::binary_cross_entropy_with_logits(linear(x, w, b), y) +
           0.01 * (squared_norm(w) + squared_norm(b));
  }
};

double largest_gradient(const std::vector<Tensor<double>>& parameters) {
  double most = 0;
  for (const auto& p : parameters) most = std::max(most, max(abs(p.grad())).item());
  return most;
}

}  // namespace

TEST_CASE("logistic regression to a gradient of 1e-8, in one step, with every search") {
  for (const LineSearch search : {LineSearch::strong_wolfe, LineSearch::backtracking}) {
    random::seed(1);
    const Logistic<double> task;
    nn::LBFGS<double> lbfgs(task.parameters(), {.max_iterations = 200, .history = 10, .line_search = search});
    const auto before = lbfgs.step([&] { return task.loss(); });
    CHECK(before.item() == doctest::Approx(std::log(2)));
    CAPTURE(lbfgs.last().message);
    CHECK(lbfgs.last().converged);
    CHECK(lbfgs.last().iterations < 40);
    CHECK(lbfgs.last().value == task.loss().item());
    CHECK(lbfgs.last().gradient_norm <= 1e-8);
    // The gradients are those at the new parameters.
    CHECK(largest_gradient(task.parameters()) == lbfgs.last().gradient_norm);
    const auto held = task.w.grad();
    check_close(held, grad(task.loss(), task.w), 1e-14, 1e-20);
  }
}

TEST_CASE("a small network, step by step, learns exclusive or") {
  random::seed(2);
  nn::Sequential<double> model(nn::Linear<double>(2, 8), nn::Tanh<double>(), nn::Linear<double>(8, 1));
  const Tensor<double> x{{0, 0}, {0, 1}, {1, 0}, {1, 1}}, y{{0}, {1}, {1}, {0}};
  nn::LBFGS<double> lbfgs(model.parameters());
  double before = 1e300;
  std::size_t steps = 0;
  do {
    const double loss = lbfgs.step([&] { return nn::mse_loss(model(x), y); }).item();
    CHECK(loss <= before);
    CHECK(lbfgs.last().iterations <= 20);
    before = loss;
  } while (!lbfgs.last().converged && ++steps < 20);
  CAPTURE(lbfgs.last().message);
  CHECK(lbfgs.last().converged);
  CHECK(lbfgs.last().value < 1e-12);
}

TEST_CASE("a closure may run backward itself, as PyTorch's do: the same bits") {
  const auto train = [](bool own_backward) {
    random::seed(3);
    const Logistic<double> task;
    nn::LBFGS<double> lbfgs(task.parameters(), {.max_iterations = 4});
    for (int i = 0; i < 3; ++i)
      lbfgs.step([&] {
        if (!own_backward) return task.loss();
        lbfgs.zero_grad();
        const auto loss = task.loss();
        loss.backward();
        return i == 0 ? loss.detach() : loss;
      });
    return task.w;
  };
  CHECK(same_bits(train(false), train(true)));
  const NoGrad no_grad;  // steps record by themselves
  CHECK(same_bits(train(false), train(true)));
}

TEST_CASE("a saved state continues bit for bit, also through a file") {
  const auto train = [](std::size_t saved_after, const std::string& file) {
    random::seed(4);
    auto task = std::make_unique<Logistic<double>>();
    const nn::LBFGSOptions options{.learning_rate = 0.9, .max_iterations = 3, .history = 4};
    auto lbfgs = std::make_unique<nn::LBFGS<double>>(task->parameters(), options);
    for (std::size_t i = 0; i < 5; ++i) {
      lbfgs->step([&] { return task->loss(); });
      if (i + 1 != saved_after) continue;
      const auto old_task = std::move(task);
      const auto old = std::move(lbfgs);
      random::seed(4);
      task = std::make_unique<Logistic<double>>();
      lbfgs = std::make_unique<nn::LBFGS<double>>(task->parameters(), options);
      if (i % 2 == 0) lbfgs->step([&] { return task->loss(); });  // what it has learnt gives way
      nn::NamedTensors<double> all;
      all.tensors = old->state(old_task->named());
      CHECK(all.tensors.size() == 2 + 4 * std::min<std::size_t>(4, 3 * (i + 1)));
      if (!file.empty()) {
        nn::save_tensors(file, all);
        all = nn::load_tensors<double>(file);
        std::remove(file.c_str());
      }
      task->w.assign(old_task->w);
      task->b.assign(old_task->b);
      lbfgs->restore(task->named(), all.tensors);
    }
    return concatenate({flatten(task->w.detach()), task->b.detach()});
  };
  const auto uninterrupted = train(0, "");
  for (std::size_t after = 1; after < 5; ++after) {
    CHECK(same_bits(train(after, ""), uninterrupted));
    CHECK(same_bits(train(after, "lbfgs_state.safetensors"), uninterrupted));
  }
}

TEST_CASE("saved with its model, and with a compiled loss") {
  const Tensor<double> x{{0, 0}, {0, 1}, {1, 0}, {1, 1}}, y{{0}, {1}, {1}, {0}};
  struct Training {
    nn::Sequential<double> model{nn::Linear<double>(2, 4), nn::Tanh<double>(), nn::Linear<double>(4, 1)};
    nn::LBFGS<double> lbfgs{model.parameters(), {.max_iterations = 3}};
  };
  random::seed(7);
  Training first, second;
  const auto loss =
      compile([&](const auto& in, const auto& out) { return nn::mse_loss(first.model(in), out); });
  for (int i = 0; i < 3; ++i) first.lbfgs.step([&] { return loss(x, y); });
  nn::save("lbfgs_model.safetensors", first.model, first.lbfgs);
  nn::load("lbfgs_model.safetensors", second.model, second.lbfgs);
  std::remove("lbfgs_model.safetensors");
  for (int i = 0; i < 3; ++i) {
    const auto a = first.lbfgs.step([&] { return loss.backward(x, y); });
    CHECK(same_bits(a, second.lbfgs.step([&] { return nn::mse_loss(second.model(x), y); })));
  }
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(same_bits(first.model.parameters()[i], second.model.parameters()[i]));
}

TEST_CASE("without a search, with a schedule, and with parameters that the loss does not read") {
  random::seed(5);
  const Logistic<double> task;
  auto unused = parameter<double>({7.0, 8.0});
  nn::LBFGS<double> lbfgs({task.w, task.b, unused}, {.max_iterations = 1, .line_search = LineSearch::none});
  nn::StepLR schedule(lbfgs, {.step_size = 1, .gamma = 0.5});
  const double first = task.loss().item();
  for (int i = 0; i < 3; ++i) {
    lbfgs.step([&] { return task.loss(); });
    CHECK(lbfgs.last().evaluations == 2);
    schedule.step();
  }
  CHECK(lbfgs.learning_rate() == 0.125);
  CHECK(task.loss().item() < first);
  check_close(unused, {7.0, 8.0}, 0);
  check_close(unused.grad(), {0.0, 0.0}, 0);
  nn::LBFGS<double> few(task.parameters(), {.max_evaluations = 3});
  few.step([&] { return task.loss(); });
  CHECK(few.last().evaluations <= 3);
  CHECK(few.last().message.find("as many as max_evaluations allows") != std::string::npos);
}

TEST_CASE("in float") {
  random::seed(6);
  const Logistic<float> task;
  nn::LBFGS<float> lbfgs(task.parameters(), {.max_iterations = 100, .gradient_tolerance = 1e-5});
  lbfgs.step([&] { return task.loss(); });
  CAPTURE(lbfgs.last().message);
  CHECK(lbfgs.last().converged);
  // With the defaults it ends where float has no more digits, and then takes few evaluations to see that.
  nn::LBFGS<float> to_the_end(task.parameters());
  std::size_t steps = 0;
  do to_the_end.step([&] { return task.loss(); });
  while (!to_the_end.last().converged && ++steps < 10);
  CHECK(to_the_end.last().converged);
  CHECK(to_the_end.last().gradient_norm < 1e-5);
  to_the_end.step([&] { return task.loss(); });
  CHECK(to_the_end.last().converged);
  CHECK(to_the_end.last().evaluations < 100);
}

TEST_CASE("errors, after which parameters and gradients are as they were") {
  auto w = parameter<double>({1.0, 2.0});
  (3 * sum(w)).backward();
  nn::LBFGS<double> lbfgs({w});
  int calls = 0;
  const auto refused = [&](const std::function<Tensor<double>()>& closure, const char* text) {
    calls = 0;
    CHECK_THROWS_WITH_AS(lbfgs.step(closure), text, Error);
    check_close(w, {1.0, 2.0}, 0);
    check_close(w.grad(), {3.0, 3.0}, 0);
    CHECK(lbfgs.state({{"w", w}}).empty());
  };
  refused({}, "[LBFGS] the closure is no function");
  refused([&] { return 2 * w; },
          "[LBFGS] the closure returns the shape (2,), and a loss has one element: take its sum() or mean()");
  refused([&] { return Tensor<double>(); },
          "[LBFGS] the closure returns a tensor without a value, and a loss has one element: take its sum() "
          "or mean()");
  refused(
      [&] { return Tensor<double>(1.0); },
      "[LBFGS] the loss depends on none of the parameters: compute it from them in the closure, and make the "
      "optimiser with those of this model");
  refused([&] { return sum(log(w - 3)); }, "[LBFGS] the loss is nan at the start of a step");
  refused([&] { return sum(sqrt(w - w.detach())); },
          "[LBFGS] the gradient has NaN or infinities at the start of a step, and the loss is 0");
  refused(
      [&]() -> Tensor<double> {
        if (++calls == 3) throw Error("mine", "the third call");
        return squared_norm(w) + squared_norm(square(w));
      },
      "[mine] the third call");
  CHECK_THROWS_WITH_AS(
      static_cast<nn::Optimizer<double>&>(lbfgs).step(),
      doctest::Contains("[LBFGS] a step computes the loss several times: call step(closure)"), Error);
  CHECK_THROWS_WITH_AS(nn::LBFGS<double>({w}, {.learning_rate = -1}),
                       "[LBFGS] the learning rate -1 is negative", Error);
  CHECK_THROWS_WITH_AS(nn::LBFGS<double>({w}, {.step_tolerance = -1}),
                       "[LBFGS] step_tolerance -1 is negative", Error);
  CHECK_THROWS_WITH_AS(nn::LBFGS<double>({w, w}),
                       "[optimizer] tensor 1 is tensor 0 again: each step would update it twice", Error);
  lbfgs.step([&] { return squared_norm(w); });
  nn::LBFGS<double> shorter({w}, {.history = 0});
  CHECK_THROWS_WITH_AS(shorter.restore({{"w", w}}, lbfgs.state({{"w", w}})),
                       "[optimizer] 'move0.w' is the state of another rule", Error);
  w.assign({5.0, 6.0});
  shorter.step([&] { return squared_norm(w); });  // gradient descent with a search
  check_close(w, {0.0, 0.0}, 0, 1e-8);
}
