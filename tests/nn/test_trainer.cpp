// The Trainer beside a loop by hand; early stopping, callbacks, errors.
#include <cmath>
#include <sstream>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using Data = nn::Dataset<double>;
using Loader = nn::DataLoader<double>;
using Trainer = nn::Trainer<double>;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

const nn::LossFunction<double> cross_entropy = [](const Tensor<double>& logits, const Data& batch) {
  return nn::cross_entropy(logits, batch.labels);
};
const nn::LossFunction<double> squared_error = [](const Tensor<double>& prediction, const Data& batch) {
  return nn::mse_loss(prediction, batch.targets);
};

struct Split {
  Data test, training;
};

Split digits() {
  const Data all = Data::from_csv(std::string(XTAPE_SOURCE_DIR) + "/examples/train_digits/digits.csv.gz",
                                  {.scale = 1.0 / 16});
  auto [test, training] = all.split(0.2, 1);
  return {std::move(test), std::move(training)};
}

nn::Sequential<double> digit_model(std::size_t hidden = 32) {
  random::seed(1);
  return nn::Sequential<double>(nn::Linear<double>(64, hidden), nn::Sigmoid<double>(),
                                nn::Linear<double>(hidden, 10));
}

/// y = w x, w from 1: the loss of the validation data below follows from w alone.
struct Line : nn::Module<double> {
  Tensor<double> w = parameter<double>({1.0});
  Tensor<double> state = zeros<double>({1});  // counts what it was trained on
  std::vector<bool> modes;                    // of each call

  Tensor<double> forward(const Tensor<double>& x) override {
    modes.push_back(training());
    if (training()) state.assign((state + static_cast<double>(x.size())).detach());
    return w * x;
  }
  void members(nn::Members<double>& m) override {
    m.parameter("w", w);
    m.buffer("state", state);
  }
};

const Data line_data(Tensor<double>{{1.0}, {1.0}}, Tensor<double>{{0.0}, {0.0}});  // loss w²

/// An "optimiser" that sets w to given numbers, one after the other.
struct Scripted : nn::Optimizer<double> {
  Scripted(const Tensor<double>& w, std::vector<double> numbers)
      : nn::Optimizer<double>({w}), values(std::move(numbers)) {}
  void update(std::size_t, double* w, const double*, std::size_t) override { *w = values.at(at++); }
  double learning_rate() const override { return rate; }
  void set_learning_rate(double r) override { rate = r; }
  std::vector<double> values;
  std::size_t at = 0;
  double rate = 0.5;
};

}  // namespace

TEST_CASE("it learns the digits, and does to the bit what a loop by hand does") {
  const Split data = digits();
  nn::Sequential<double> model = digit_model();
  nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.01});
  Loader loader(data.training, {.batch_size = 32, .seed = 3});
  Trainer trainer(model, adam, cross_entropy, {.epochs = 25});
  const nn::History& history = trainer.fit(loader, data.test);

  nn::Sequential<double> by_hand = digit_model();
  nn::Adam<double> optimizer(by_hand.parameters(), {.learning_rate = 0.01});
  Loader batches(data.training, {.batch_size = 32, .seed = 3});
  for (int epoch = 0; epoch < 25; ++epoch)
    for (const Data& batch : batches) {
      optimizer.zero_grad();
      nn::cross_entropy(by_hand(batch.inputs), batch.labels).backward();
      optimizer.step();
    }
  for (std::size_t i = 0; i < 4; ++i) check_close(model.parameters()[i], by_hand.parameters()[i], 0);

  REQUIRE(history.epochs.size() == 25);
  const nn::Epoch& last = history.epochs.back();
  CHECK(last.number == 25);
  CHECK(last.validation_accuracy >= 0.97);
  CHECK(last.train_loss < 0.1 * history.epochs[0].train_loss);
  CHECK(last.learning_rate == 0.01);
  const nn::Evaluation reached = evaluate(model, data.test, cross_entropy);
  CHECK(reached.accuracy == last.validation_accuracy);
  CHECK(reached.loss == last.validation_loss);
  // The same in one batch, and in batches that do not divide the data.
  const NoGrad no_grad;
  CHECK(nn::accuracy(model(data.test.inputs), data.test.labels) == doctest::Approx(reached.accuracy));
  CHECK(evaluate(model, data.test, cross_entropy, 7).loss == doctest::Approx(reached.loss));
}

TEST_CASE("training in two halves, from the loader's and the trainer's state, is training at once") {
  const Split data = digits();
  const auto train = [&](const std::vector<std::size_t>& parts) {
    nn::Sequential<double> model = digit_model(8);
    nn::SGD<double> sgd(model.parameters());
    nn::History history;
    Loader::State state{.seed = 5};
    for (const std::size_t epochs : parts) {  // all but model and optimiser made anew
      Loader loader(data.training, {.batch_size = 64});
      loader.restore(state);
      Trainer trainer(model, sgd, cross_entropy, {.epochs = epochs});
      trainer.history = history;
      history = trainer.fit(loader);
      state = loader.state();
    }
    CHECK(history.epochs.back().number == 3);
    CHECK(std::isnan(history.epochs.back().validation_loss));
    return model;
  };
  nn::Sequential<double> once = train({3}), twice = train({1, 2});
  for (std::size_t i = 0; i < 4; ++i) check_close(once.parameters()[i], twice.parameters()[i], 0);
}

TEST_CASE("early stopping: patience, and the best parameters and buffers") {
  Line model;
  Scripted script(model.w, {3, 2, 2.5, 2, 1, 0});
  Loader loader(line_data, {.batch_size = 2});
  Trainer trainer(model, script, squared_error, {.epochs = 6, .patience = 2});
  CHECK(trainer.fit(loader, line_data).epochs.size() == 4);  // 3, 2, then twice no better than 2
  CHECK(model.w.item() == 2);
  CHECK(model.state.item() == 4);
  CHECK(trainer.history.epochs[1].validation_loss == 4);
  CHECK(std::isnan(trainer.history.epochs[1].validation_accuracy));

  // All epochs run: the best ones still are those of the lowest loss.
  Line other;
  Scripted up(other.w, {1, 2});
  CHECK(
      Trainer(other, up, squared_error, {.epochs = 2, .patience = 5}).fit(loader, line_data).epochs.size() ==
      2);
  CHECK(other.w.item() == 1);
  // Without patience the last ones stay.
  Line third;
  Scripted again(third.w, {1, 2});
  Trainer(third, again, squared_error, {.epochs = 2}).fit(loader, line_data);
  CHECK(third.w.item() == 2);
}

TEST_CASE("callbacks come in order; one of them ends training") {
  Line model;
  nn::SGD<double> sgd({model.w}, {.learning_rate = 0.1});
  Loader loader(line_data, {.batch_size = 1});
  std::ostringstream events;
  double seen = 0;
  Trainer trainer(model, sgd, squared_error,
                  {.epochs = 5,
                   .on_epoch_begin = [&](std::size_t epoch) { events << 'E' << epoch << ' '; },
                   .after_backward =
                       [&] {
                         seen = model.w.grad().item();
                         events << "g ";
                       },
                   .on_batch_end = [&](std::size_t epoch, std::size_t batch,
                                       double) { events << 'b' << epoch << '.' << batch << ' '; },
                   .on_epoch_end =
                       [&](const nn::Epoch& epoch) {
                         events << 'e' << epoch.number << ' ';
                         sgd.set_learning_rate(sgd.learning_rate() / 2);
                         return epoch.number < 2;
                       }});
  trainer.fit(loader);
  CHECK(events.str() == "E1 g b1.1 g b1.2 e1 E2 g b2.1 g b2.2 e2 ");
  CHECK(trainer.history.epochs[0].learning_rate == 0.1);
  CHECK(trainer.history.epochs[1].learning_rate == 0.05);
  check_close(model.w, {0.8 * 0.8 * 0.9 * 0.9}, 1e-15);  // w ← w − 2 α w
  CHECK(seen == doctest::Approx(2 * 0.8 * 0.8 * 0.9));
  trainer.options.on_epoch_end = {};
  trainer.options.epochs = 1;
  CHECK(trainer.fit(loader).epochs.back().number == 3);  // goes on
}

TEST_CASE("gradients changed after backward are what the step takes") {
  Line model;
  nn::SGD<double> sgd({model.w}, {.learning_rate = 1});
  Loader loader(line_data, {.batch_size = 2});
  Trainer(model, sgd, squared_error, {.epochs = 1, .after_backward = [&] { model.w.zero_grad(); }})
      .fit(loader);
  CHECK(model.w.item() == 1);
}

namespace {

/// Without dropout and running statistics, which depend on how data are cut into batches.
nn::Sequential<double> plain_model() {
  random::seed(4);
  return nn::Sequential<double>(nn::Linear<double>(3, 5), nn::Tanh<double>(), nn::Linear<double>(5, 2));
}

/// The weights after two epochs of data (10 samples) in this order.
std::vector<Tensor<double>> trained_weights(std::size_t batch_size, nn::TrainerOptions options) {
  nn::Sequential<double> model = plain_model();
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.3, .momentum = 0.9});
  random::seed(5);
  const Data data(random::normal<double>({10, 3}), random::normal<double>({10, 2}));
  Loader loader(data, {.batch_size = batch_size, .shuffle = false});
  options.epochs = 2;
  Trainer(model, sgd, squared_error, options).fit(loader);
  return model.parameters();
}

}  // namespace

TEST_CASE("gradients of several batches are that of one large batch, compiled as well") {
  for (const bool compiled : {false, true}) {
    CAPTURE(compiled);
    // 4 + 4 + 2 samples in one update; 2 updates of 6 and 4 samples by batches of 3 (3 + 3, 3 + 1) and of 2.
    const auto all = trained_weights(10, {}), six = trained_weights(6, {});
    const auto compare = [&](const auto& expected, std::size_t batch_size, std::size_t accumulate) {
      CAPTURE(batch_size);
      const auto found = trained_weights(batch_size, {.compiled = compiled, .accumulate = accumulate});
      for (std::size_t i = 0; i < found.size(); ++i) check_close(found[i], expected[i], 1e-12, 1e-14);
    };
    compare(all, 4, 3);
    compare(all, 4, 7);  // the epoch ends it
    compare(all, 1, 10);
    compare(six, 3, 2);
    compare(six, 2, 3);
    compare(six, 6, 1);
    CHECK(!difference<double>(trained_weights(3, {.accumulate = 2})[0].detach(), all[0].detach(), 1e-3, 0)
               .empty());
  }
  // Callbacks: one for each batch, the gradients once for an update.
  std::vector<std::string> seen;
  trained_weights(4,
                  {.accumulate = 2,
                   .after_backward = [&] { seen.emplace_back("gradients"); },
                   .on_batch_end = [&](auto, auto batch, auto) { seen.push_back(std::to_string(batch)); }});
  const std::vector<std::string> epoch{"1", "gradients", "2", "gradients", "3"};
  CHECK(std::vector<std::string>(seen.begin(), seen.begin() + 5) == epoch);
  CHECK(seen.size() == 10);
  // A parameter that only some of the batches use gets their share; one that is frozen on the way is left
  // alone.
  Line model;
  auto other = parameter<double>({2.0});
  nn::SGD<double> sgd({model.w, other}, {.learning_rate = 1});
  int call = 0;
  Loader loader(Data(ones<double>({4, 1}), zeros<double>({4, 1})), {.batch_size = 2});
  Trainer trainer(
      model, sgd,
      [&](const Tensor<double>& y, const Data&) { return ++call % 2 == 1 ? mean(y) + sum(other) : mean(y); },
      {.epochs = 1, .accumulate = 2});
  trainer.fit(loader);
  CHECK(model.w.item() == 0);
  CHECK(other.item() == 1.5);
  trainer.options.on_batch_end = [&](auto, auto, auto) { other.set_requires_grad(false); };
  trainer.fit(loader);
  CHECK(model.w.item() == -1);
  CHECK(other.item() == 1.5);
  trainer.options.accumulate = 0;
  CHECK_THROWS_WITH_AS(trainer.fit(loader), "[Trainer] accumulate is 0: an update needs one batch at least",
                       Error);
}

TEST_CASE("clip_norm limits what the optimiser gets, and after_backward sees it as it is") {
  for (const bool compiled : {false, true}) {
    Line model;
    nn::SGD<double> sgd({model.w}, {.learning_rate = 1});
    Loader loader(line_data, {.batch_size = 2});
    double seen = 0;
    Trainer trainer(model, sgd, squared_error,
                    {.epochs = 1, .compiled = compiled, .clip_norm = 0.25, .after_backward = [&] {
                       seen = model.w.grad().item();
                     }});
    trainer.fit(loader);
    CHECK(seen == 2);  // of w² at 1
    CHECK(model.w.item() == doctest::Approx(0.75).epsilon(1e-6));
    trainer.options.after_backward = [&] { model.w.set_grad(Tensor<double>{100.0}); };
    trainer.fit(loader);
    CHECK(model.w.item() == doctest::Approx(0.5).epsilon(1e-6));
    trainer.options.clip_norm = -1;
    CHECK_THROWS_WITH_AS(trainer.fit(loader), "[Trainer] clip_norm -1 is negative", Error);
  }
}

TEST_CASE("modes: training, evaluation for the validation, and then as they were, module by module") {
  Line model;
  nn::SGD<double> sgd({model.w});
  Loader loader(line_data, {.batch_size = 1});
  Trainer trainer(model, sgd, squared_error, {.epochs = 2});
  model.eval();
  trainer.fit(loader, line_data);
  CHECK(model.modes == std::vector<bool>{true, true, false, true, true, false});
  CHECK(model.state.item() == 4);
  CHECK(!model.training());

  nn::Sequential<double> tree{Line(), nn::Sequential<double>(Line(), Line())};
  tree[1].eval();
  dynamic_cast<nn::Sequential<double>&>(tree[1])[0].train();
  const auto modes = [&] {
    auto& inner = dynamic_cast<nn::Sequential<double>&>(tree[1]);
    return std::vector<bool>{tree.training(), tree[0].training(), inner.training(), inner[0].training(),
                             inner[1].training()};
  };
  const std::vector<bool> before{true, true, false, true, false};
  REQUIRE(modes() == before);
  evaluate(tree, line_data, squared_error);
  CHECK(modes() == before);
  CHECK_THROWS_AS(evaluate(tree, Data(line_data.inputs, Tensor<double>{0.0, 0.0}), squared_error), Error);
  CHECK(modes() == before);
}

TEST_CASE("a loss that is no number ends training before the weights are touched; the history is kept") {
  const Tensor<double> x{{1.0}, {1.0}, {1.0}, {1.0}};
  Line model;
  nn::SGD<double> sgd({model.w}, {.learning_rate = 1e200});  // 1, then −2e200, whose square is infinite
  Loader loader(line_data, {.batch_size = 1});
  std::vector<double> losses;
  Trainer trainer(model, sgd, squared_error,
                  {.epochs = 3, .on_batch_end = [&](auto, auto, double loss) { losses.push_back(loss); }});
  CHECK_THROWS_WITH_AS(
      trainer.fit(loader),
      "[Trainer] the loss is inf in epoch 1, batch 2: the weights are those before it; look at the "
      "inputs, lower the learning rate, or clip the gradients",
      Error);
  CHECK(model.w.item() == -2e200);
  CHECK(losses == std::vector<double>{1, std::numeric_limits<double>::infinity()});
  CHECK(trainer.history.epochs.empty());
  CHECK(model.training());

  Line second;
  Scripted script(second.w, {2, 3, not_a_number});
  Trainer later(second, script, squared_error, {.epochs = 9});
  CHECK_THROWS_WITH_AS(later.fit(loader), doctest::Contains("the loss is nan in epoch 2, batch 2"), Error);
  CHECK(later.history.epochs.size() == 1);
  CHECK(later.history.epochs[0].train_loss == 0.5 * (1 + 4));
  CHECK(Tape::current().size() == 0);
}

TEST_CASE("what cannot be trained or evaluated is refused") {
  Line model;
  nn::SGD<double> sgd({model.w});
  Loader none{Data()}, loader(line_data);
  Trainer trainer(model, sgd, squared_error, {.patience = 1});
  CHECK_THROWS_WITH_AS(trainer.fit(loader), "[Trainer] early stopping needs validation data", Error);
  CHECK_THROWS_WITH_AS(trainer.fit(none, line_data), "[Trainer] the training data make no batch", Error);
  CHECK_THROWS_WITH_AS(Trainer(model, sgd, {}), "[Trainer] the loss is no function", Error);
  CHECK_THROWS_WITH_AS(evaluate(model, Data(), squared_error), "[evaluate] there are no samples", Error);
  trainer.options = {.epochs = 0};
  CHECK(trainer.fit(loader).epochs.empty());
}

TEST_CASE("texts: tokens in, a label for each place; losses and shares are of all places") {
  random::seed(4);
  // The next letter of a cycle of five.
  const xt::xarray<int> start = xt::reshape_view(xt::arange(12), {12, 1}), place = xt::arange(6);
  const Data texts((start + place) % 5, (start + place + 1) % 5);
  nn::Sequential<double> model(nn::Embedding<double>(5, 8), nn::Linear<double>(8, 5));
  const nn::LossFunction<double> loss = [](const auto& logits, const auto& batch) {
    return nn::cross_entropy(flatten(logits, 0, -2), Indices(batch.labels.values()));
  };
  const auto before = nn::evaluate(model, texts, loss, 5);  // batches of 5, 5 and 2 texts
  CHECK(before.accuracy == nn::accuracy(model(texts.inputs), texts.labels));
  CHECK(std::abs(before.loss - loss(model(texts.inputs), texts).item()) < 1e-14);
  CHECK(before.accuracy < 1);
  nn::Adam<double> adam(model.parameters(), {.learning_rate = 0.05});
  Trainer trainer(model, adam, loss);
  trainer.options.epochs = 30;
  Loader loader(texts, {.batch_size = 5});
  const auto history = trainer.fit(loader, texts);
  CHECK(history.epochs.back().validation_accuracy == 1);

  CHECK(&model.at<nn::Linear<double>>(1) == &model[1]);
  CHECK(model.at<nn::Embedding<double>>(0).weight.shape() == Shape{5, 8});
  CHECK_THROWS_WITH_AS(model.at<nn::Linear<double>>(0),
                       "[Sequential] layer 0 is Embedding(5, 8), no layer of the class that is asked for",
                       Error);
  CHECK_THROWS_AS(model.at<nn::Linear<double>>(2), Error);
}
