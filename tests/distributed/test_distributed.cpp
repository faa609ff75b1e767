// Several processes that train together, run by mpirun: sums and their gradients, training beside that of one
// process, and what all ranks must refuse together.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstring>
#include <limits>

#include "../check_close.hpp"

#include <autodiff/memory.hpp>
#include <nn/distributed.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

const mpi::Communicator& ranks() {
  static const mpi::Communicator all = mpi::world();
  return all;
}
std::size_t rank() { return ranks().rank(); }
std::size_t size() { return ranks().size(); }

/// Whether all ranks have the same bits of x.
template <class T>
bool agree(const Tensor<T>& x) {
  const bool differs = !same_bits(mpi::broadcast(x.detach()), x.detach());
  return mpi::all_reduce(Tensor<double>(differs ? 1.0 : 0.0)).item() == 0;
}

using Data = nn::Dataset<double>;
using Loader = nn::DataLoader<double>;

Data noisy_lines(std::size_t n) {
  random::seed(5);
  const Tensor<double> x = random::normal<double>({static_cast<std::ptrdiff_t>(n), 3});
  return Data(x, sin(x) + 0.1 * random::normal<double>(x.shape()));
}

nn::Sequential<double> network() {
  random::seed(8);
  return nn::Sequential<double>(nn::Linear<double>(3, 7), nn::Tanh<double>(), nn::Linear<double>(7, 3));
}

const nn::LossFunction<double> squared_error = [](const Tensor<double>& y, const Data& batch) {
  return nn::mse_loss(y, batch.targets);
};

std::vector<Tensor<double>> copies(nn::Module<double>& model) {
  std::vector<Tensor<double>> all;
  for (const auto& [name, x] : model.state_dict()) all.emplace_back(x.value());
  return all;
}

/// A training by a Trainer of these ranks, or of this process alone.
struct Trained {
  std::vector<Tensor<double>> weights;
  nn::History history;
};
Trained train(bool together, std::size_t batch, bool compiled = false, std::size_t accumulate = 1,
              std::size_t bucket_bytes = 64) {
  auto model = network();
  nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.01});
  nn::Trainer<double> trainer(model, adam, squared_error,
                              {.epochs = 3, .compiled = compiled, .accumulate = accumulate, .clip_norm = 1});
  Loader loader(noisy_lines(46), {.batch_size = batch, .seed = 3});
  std::optional<mpi::DataParallel<double>> parallel;
  if (together) parallel.emplace(trainer, loader, ranks(), mpi::DataParallelOptions{bucket_bytes});
  trainer.fit(loader, noisy_lines(10));
  return {copies(model), trainer.history};
}

void check_same_training(const Trained& one, const Trained& other, double rtol) {
  for (std::size_t i = 0; i < one.weights.size(); ++i)
    check_close(one.weights[i], other.weights[i], rtol, rtol);
  REQUIRE(one.history.epochs.size() == other.history.epochs.size());
  for (std::size_t i = 0; i < one.history.epochs.size(); ++i) {
    const nn::Epoch &a = one.history.epochs[i], &b = other.history.epochs[i];
    CHECK(std::abs(a.train_loss - b.train_loss) <= rtol);
    CHECK(std::abs(a.validation_loss - b.validation_loss) <= rtol);
  }
}

}  // namespace

TEST_CASE("all_reduce: sums in rank order, to the bit, and derivatives of second order") {
  const auto numbers = [](std::size_t r) {
    random::seed(r);
    return random::normal<float>({5, 3});
  };
  Tensor<float> expected = numbers(0);
  for (std::size_t r = 1; r < size(); ++r) expected = expected + numbers(r);
  CHECK(same_bits(mpi::all_reduce(numbers(rank())), expected));
  CHECK(mpi::all_reduce(Tensor<double>(1.0 + static_cast<double>(rank()))).item() ==
        static_cast<double>(size() * (size() + 1)) / 2);
  CHECK(mpi::all_reduce(zeros<float>({0, 2})).shape() == Shape{0, 2});

  // Each rank's loss is y², y = Σ x: that of all is n y², its gradient 2 n y, and the gradient's 2 n².
  const double n = static_cast<double>(size());
  const auto x = parameter(Tensor<double>{0.5 + static_cast<double>(rank())});
  const Tensor<double> y = mpi::all_reduce(x);
  const Tensor<double> g = grad(sum(y * y), x, {.create_graph = true});
  check_close(g, 2 * n * y.detach(), 1e-14);
  check_close(grad(sum(g), x), Tensor<double>{2 * n * n}, 1e-14);
  CHECK_THROWS_WITH_AS(
      if (size() == 1) throw Error("all_reduce", "x has the shape (2,) on rank 0 and (1,) on rank 1");
      else mpi::all_reduce(zeros<double>({rank() == 0 ? 2 : 1})),
      "[all_reduce] x has the shape (2,) on rank 0 and (1,) on rank 1", Error);
}

TEST_CASE("broadcast: the numbers of one rank, and the sum of all adjoints for it") {
  for (std::size_t root = 0; root < size(); ++root) {
    const auto x = parameter(Tensor<double>{1.0 + static_cast<double>(rank()), 2.0});
    const Tensor<double> y = mpi::broadcast(x, root);
    CHECK(same_bits(y.detach(), Tensor<double>{1.0 + static_cast<double>(root), 2.0}));
    const double all = static_cast<double>(size() * (size() + 1)) / 2;
    check_close(grad(sum(y * (1.0 + static_cast<double>(rank()))), x),
                rank() == root ? Tensor<double>{all, all} : Tensor<double>{0.0, 0.0}, 0);
  }
  CHECK_THROWS_AS(mpi::broadcast(zeros<double>({1}), size()), Error);
  if (size() == 1) return;
  const auto one = zeros<double>({1});
  CHECK_THROWS_WITH_AS(
      mpi::broadcast(rank() == 0 ? parameter(one) : one),
      "[broadcast] x requires a gradient on rank 0 and none on rank 1: make it a parameter on "
      "all of them, or none",
      Error);
}

TEST_CASE("training is that of one process with the whole batch, and all ranks have the same bits") {
  // Shares of equal size or not, and a last batch of 6, or of 2, which four ranks leave out.
  for (const std::size_t batch : {8u, 10u, 11u}) {
    CAPTURE(batch);
    const bool leaves_out = 46 % batch < size();
    const Trained together = train(true, batch);
    for (const auto& w : together.weights) CHECK(agree(w));
    if (!leaves_out) check_same_training(together, train(false, batch), 1e-12);
    const Trained again = train(true, batch);
    for (std::size_t i = 0; i < again.weights.size(); ++i)
      CHECK(same_bits(together.weights[i], again.weights[i]));
    check_same_training(together, train(true, batch, false, 1, 1 << 20), 1e-12);
    check_same_training(together, train(true, batch, true), 1e-12);
  }
  check_same_training(train(true, 8, false, 3), train(false, 8, false, 3), 1e-12);
}

TEST_CASE("an optimiser's state divided among the ranks: less memory, the same bits, whole in a file") {
  const auto train_with = [](bool divided) {
    random::seed(3);
    nn::Sequential<double> model;
    for (int i = 0; i < 8; ++i) model.add(nn::Linear<double>(40, 40));
    nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.01});
    mpi::DataParallel<double> parallel(model);
    if (divided) parallel.shard(adam);
    const std::ptrdiff_t before = memory_use().live;
    for (int step = 0; step < 3; ++step) {
      mean(square(model(random::normal<double>({6, 40})) - static_cast<double>(rank()))).backward();
      adam.step();
      adam.zero_grad();
    }
    const std::ptrdiff_t kept = memory_use().live - before;
    // From the whole state, divided in another way.
    const auto names = model.named_parameters();
    const auto state = adam.state(names);
    nn::Adam<double> again(model.parameters(), {.learning_rate = 0.01});
    if (!divided) parallel.shard(again);
    again.restore(names, state);
    const auto same = again.state(names);
    CHECK(same.size() == state.size());
    for (std::size_t i = 0; i < same.size(); ++i) {
      CHECK(same[i].first == state[i].first);
      CHECK(same_bits(same[i].second, state[i].second));
    }
    return std::tuple{copies(model), state, kept};
  };
  const auto [weights, state, bytes] = train_with(false);
  const auto [same_weights, same_state, some_bytes] = train_with(true);
  REQUIRE(state.size() == 3 * 16);
  REQUIRE(same_state.size() == state.size());
  for (std::size_t i = 0; i < weights.size(); ++i) CHECK(same_bits(weights[i], same_weights[i]));
  for (std::size_t i = 0; i < state.size(); ++i) CHECK(same_bits(state[i].second, same_state[i].second));
  // Two numbers for each of 13,120 parameters.
  CHECK(bytes >= 2 * 13120 * 8);
  CHECK(static_cast<std::size_t>(some_bytes) <= static_cast<std::size_t>(bytes) / size() + 4096);

  nn::Linear<double> line(2, 2);
  mpi::DataParallel<double> parallel(line);
  nn::LBFGS<double> lbfgs(line.parameters());
  CHECK_THROWS_AS(parallel.shard(lbfgs), Error);
}

TEST_CASE("a loop of one's own: leaves that are used twice, within a checkpoint, or not at all") {
  random::seed(2);
  struct Odd : nn::Module<double> {
    nn::Linear<double> first{3, 3}, second{3, 3}, unused{2, 2};
    bool inside = false;
    Tensor<double> forward(const Tensor<double>& x) override {
      const auto twice = [this](const Tensor<double>& a) { return first(tanh(first(a))); };
      return second(inside ? checkpoint(twice, x) : twice(x));
    }
    void members(nn::Members<double>& m) override {
      m.module("first", first);
      m.module("second", second);
      m.module("unused", unused);
    }
  };
  Odd model, alone;
  nn::copy_parameters<double>(model, alone);
  const mpi::DataParallel<double> parallel(model, ranks(), {.bucket_bytes = 32});
  const Tensor<double> x = random::normal<double>({static_cast<std::ptrdiff_t>(4 * size()), 3});
  const auto from = static_cast<std::ptrdiff_t>(4 * rank());
  for (const bool inside : {false, true}) {
    model.inside = alone.inside = inside;
    model.zero_grad();
    alone.zero_grad();
    mean(square(model(slice(x, xt::range(from, from + 4), xt::all())))).backward();
    const Tensor<double> whole = mean(square(alone(x)));
    whole.backward();
    CHECK(std::abs(parallel.loss() - whole.item()) < 1e-14);
    CHECK_FALSE(model.unused.weight.has_grad());
    const auto a = model.named_parameters(), b = alone.named_parameters();
    for (std::size_t i = 0; i < 4; ++i) {
      CAPTURE(a[i].first);
      check_close(a[i].second.grad(), b[i].second.grad(), 1e-12, 1e-14);
      CHECK(agree(a[i].second.grad()));
    }
  }
  // Another model's loss is nobody's business, and neither is grad().
  mean(square(alone(x))).backward();
  const auto g =
      grad(mean(square(model(slice(x, xt::range(from, from + 4), xt::all())))), model.second.weight);
  if (size() > 1) CHECK_FALSE(agree(g));
}

TEST_CASE("the first rank's parameters and buffers are everybody's") {
  random::seed(rank());
  nn::Sequential<float> model(nn::Linear<float>(2, 3), nn::BatchNorm1d<float>(3));
  if (size() > 1) CHECK_FALSE(agree(model.named_parameters()[0].second));
  const mpi::DataParallel<float> parallel(model);
  for (const auto& [name, x] : model.state_dict()) CHECK(agree(x));
  sum(square(model(random::normal<float>({4, 2})))).backward();
  for (const auto& [name, x] : model.named_buffers()) CHECK(agree(x));
}

TEST_CASE("what one rank must refuse all refuse, and nothing has changed") {
  auto model = network();
  const mpi::DataParallel<double> parallel(model);
  const auto x = random::normal<double>({4, 3});
  const std::size_t bad = size() - 1;
  Tensor<double> loss = mean(square(model(x)));
  loss.backward();
  const Tensor<double> before = model.parameters()[0].grad().detach();
  const Tensor<double> kept(before.value());
  const double factor = rank() == bad ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  const Tensor<double> wrong = mean(model(x * factor));
  const std::string text =
      "[DataParallel] rank " + std::to_string(bad) +
      " has a gradient of '2.weight' that is NaN or infinite; no rank has changed its weights";
  CHECK_THROWS_WITH_AS(wrong.backward(), text.c_str(), Error);
  CHECK(same_bits(model.parameters()[0].grad().detach(), kept));
  mean(square(model(x))).backward();  // goes on
  check_close(model.parameters()[0].grad().detach(), 2 * kept, 1e-14);

  const Tensor<double> y = model(x);
  const auto inner = custom<double>("inner", {y}, y.detach(), [&model, &x](const Tensor<double>& g) {
    const EnableGrad enable;
    mean(square(model(x))).backward();
    return std::vector{g};
  });
  const Tensor<double> kept_twice(model.parameters()[0].grad().detach().value());
  CHECK_THROWS_WITH_AS(sum(inner).backward(),
                       doctest::Contains("[backward] it was called by the rule of an operation"), Error);
  CHECK(same_bits(model.parameters()[0].grad().detach(), kept_twice));

  if (size() == 1) return;
  struct Choice : nn::Module<double> {
    nn::Linear<double> a{2, 1}, b{2, 1};
    Tensor<double> forward(const Tensor<double>& in) override { return rank() == 0 ? a(in) : a(in) + b(in); }
    void members(nn::Members<double>& m) override {
      m.module("a", a);
      m.module("b", b);
    }
  } choice;
  const mpi::DataParallel<double> of_choice(choice);
  const std::string differs = "[DataParallel] the losses of " + std::to_string(size() - 1) + " of " +
                              std::to_string(size()) +
                              " ranks depend on 'b.bias': all must compute the same function, of other data";
  CHECK_THROWS_WITH_AS(sum(choice(ones<double>({1, 2}))).backward(), differs.c_str(), Error);
  CHECK_FALSE(choice.a.weight.has_grad());
  // A rank whose loss has nothing of the model is no rank that is missing.
  const auto other_parameter = parameter<double>({1.0});
  const Tensor<double> in = ones<double>({1, 2});
  CHECK_THROWS_AS((rank() == 0 ? sum(choice.a(in)) : sum(square(other_parameter))).backward(), Error);
  CHECK_THROWS_AS(sum(square(choice.a(in))).backward({.create_graph = true}), Error);

  // One model is refused, and the gradients of the other have arrived: it goes on. The error is the first.
  nn::Linear<double> good(2, 1);
  const mpi::DataParallel<double> of_good(good);
  CHECK_THROWS_WITH_AS(sum(good(in) + choice(in)).backward(), differs.c_str(), Error);
  CHECK_FALSE(good.weight.has_grad());
  sum(good(in)).backward();
  check_close(good.weight.grad(), ones<double>({1, 2}), 0);

  nn::Linear<double> other(2, rank() == 0 ? 2 : 3);
  CHECK_THROWS_AS(mpi::DataParallel<double>{other}, Error);
}

int main(int argc, char** argv) {
  const mpi::Environment environment(argc, argv, {.first_writes = false});
  doctest::Context context(argc, argv);
  return context.run();
}
