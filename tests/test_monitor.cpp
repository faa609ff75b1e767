// Watching training: each verdict provoked by a network that deserves it, and none for one that does not.
#include <cmath>
#include <functional>
#include <set>
#include <sstream>

#include "check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using Kind = nn::Verdict::Kind;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::set<Kind> kinds(const std::vector<nn::Verdict>& verdicts) {
  std::set<Kind> all;
  for (const nn::Verdict& verdict : verdicts) all.insert(verdict.kind);
  return all;
}

const nn::Verdict& verdict_of(const std::vector<nn::Verdict>& verdicts, Kind kind) {
  const auto at = std::ranges::find(verdicts, kind, &nn::Verdict::kind);
  REQUIRE(at != verdicts.end());
  return *at;
}

bool advises(const nn::Verdict& verdict, const std::string& text) {
  return std::ranges::any_of(verdict.advice,
                             [&](const std::string& one) { return one.find(text) != std::string::npos; });
}

using Function = std::function<Tensor<double>(const Tensor<double>&)>;

/// Dense layers of one width, each followed by a function of it: h ← next(h W + b, h).
struct Deep : nn::Module<double> {
  std::vector<nn::Linear<double>> layers;
  std::function<Tensor<double>(const Tensor<double>& z, const Tensor<double>& h)> next;

  Deep(std::size_t depth, std::size_t width, decltype(next) f) : next(std::move(f)) {
    for (std::size_t i = 0; i < depth; ++i) layers.emplace_back(width, i + 1 < depth ? width : 1);
  }
  Tensor<double> forward(const Tensor<double>& x) override {
    Tensor<double> h = x;
    for (std::size_t i = 0; i + 1 < layers.size(); ++i) h = next(layers[i](h), h);
    return layers.back()(h);
  }
  void members(nn::Members<double>& m) override {
    for (std::size_t i = 0; i < layers.size(); ++i) m.module(std::to_string(i), layers[i]);
  }
  template <class Init>
  void set_weights(Init&& init) {
    for (auto& layer : layers) layer.weight.assign(init(layer.weight.shape()));
  }
};

/// Trains on one batch of a smooth function and gives the monitor.
struct Training {
  Tensor<double> x, y;
  nn::GradientMonitor<double> monitor;

  Training(nn::Module<double>& model, double rate, std::size_t steps = 15, std::size_t features = 16,
           nn::MonitorOptions options = {})
      : x(random::normal<double>({32, features})),
        y(tanh(sum(x, 1, true) / std::sqrt(static_cast<double>(features)))),
        monitor(model, options) {
    nn::SGD<double> sgd(model.parameters(), {.learning_rate = rate});
    for (std::size_t step = 0; step < steps; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = nn::mse_loss(model(x), y);
      loss.backward();
      monitor.step(sgd, loss.item());
    }
  }
};

std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"')
      rows.back().back() += text[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && c == ',')
      rows.back().emplace_back();
    else if (!quoted && c == '\r')
      rows.emplace_back(1), ++i;
    else
      rows.back().back() += c;
  }
  CHECK(rows.back() == std::vector<std::string>{""});  // the last line ends too
  rows.pop_back();
  return rows;
}

/// Checks that tags are closed in the order in which they were opened.
void check_well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    REQUIRE(end != std::string::npos);
    const std::string tag = html.substr(at + 1, end - at - 1);
    CHECK(tag.find('<') == std::string::npos);
    CHECK(std::ranges::count(tag, '"') % 2 == 0);
    const std::string name = tag.substr(0, tag.find_first_of(" >"));
    if (tag.front() == '!' || name == "meta" || tag.back() == '/') continue;
    if (name.front() != '/') {
      open.push_back(name);
    } else {
      REQUIRE(!open.empty());
      CHECK(open.back() == name.substr(1));
      open.pop_back();
    }
  }
  CHECK(open.empty());
}

}  // namespace

TEST_CASE_TEMPLATE("norms, ratios and shares are those of direct computation", T, float, double) {
  auto W = parameter<T>({{3.0, 0.0}, {0.0, 4.0}}), b = parameter<T>({0.0, 0.0}),
       frozen = parameter<T>({{1.0}});
  nn::GradientMonitor<T> monitor({{"W", W}, {"b", b}, {"frozen", frozen}});
  nn::SGD<T> sgd({W, b}, {.learning_rate = 0.5});
  sum(W * Tensor<T>{{6.0, 0.0}, {0.0, 8.0}} + b * Tensor<T>{1.0, 0.0}).backward();  // dW, and db = (2, 0)
  monitor.step(sgd, 1.25);

  REQUIRE(monitor.history().steps.size() == 1);
  const nn::TrainingStep& step = monitor.history().steps[0];
  CHECK(step.loss == 1.25);
  CHECK(step.learning_rate == 0.5);
  const nn::ParameterStep &w = step.parameters[0], &bias = step.parameters[1], &none = step.parameters[2];
  CHECK(w.gradient_norm == 10);
  CHECK(w.weight_norm == 5);
  CHECK(w.update_norm == 5);
  CHECK(w.update_ratio == 1);
  CHECK(w.zero_share == 0.5);
  CHECK(bias.gradient_norm == 2);
  CHECK(bias.update_norm == 1);
  CHECK(std::isnan(bias.update_ratio));
  CHECK(!none.has_gradient);
  CHECK(std::isnan(none.gradient_norm));
  CHECK(none.update_norm == 0);
  CHECK(!step.origin);
}

TEST_CASE("norms of extremes neither overflow nor vanish, and what is not finite is counted") {
  auto a = parameter<double>({3e200, 4e200}), b = parameter<double>({3e-200, 4e-200}),
       empty = parameter<double>(zeros<double>({0, 3})), c = parameter<double>({1.0, 1.0, 1.0});
  nn::GradientMonitor<double> monitor({{"a", a}, {"b", b}, {"empty", empty}, {"c", c}});
  sum(c * Tensor<double>{not_a_number, 1.0, std::numeric_limits<double>::infinity()}).backward();
  monitor.before_step();
  monitor.after_step(0);
  const auto& p = monitor.history().steps[0].parameters;
  CHECK(p[0].weight_norm == doctest::Approx(5e200));
  CHECK(p[1].weight_norm / 5e-200 == doctest::Approx(1));
  CHECK(p[2].weight_norm == 0);
  CHECK(p[3].not_finite == 2);
  CHECK(std::isnan(p[3].gradient_norm));
  const auto verdict = verdict_of(monitor.verdicts(), Kind::not_finite);
  CHECK(verdict.where == "c");
  CHECK(verdict.finding.find("2 of the 3 elements") == 0);
}

TEST_CASE("20 layers: gradients vanish through sigmoids, and not with any of the four remedies") {
  random::seed(5);
  const auto sigmoids = [](const Tensor<double>& z, const Tensor<double>&) { return sigmoid(z); };
  Deep vanishing(20, 16, sigmoids);
  const Training bad(vanishing, 0.001);
  const auto verdicts = bad.monitor.verdicts();
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::vanishing);
  CHECK(verdict.where.find("0.weight to ") == 0);
  CHECK(verdict.first_step == 0);
  CHECK(verdict.last_step == 14);
  CHECK(verdict.value < 1e-7);
  CHECK(verdict.value > 0);
  CHECK(verdict.finding.find("19.weight") != std::string::npos);
  for (const char* remedy : {"nn::ReLU", "nn::Residual", "nn::BatchNorm1d"}) CHECK(advises(verdict, remedy));
  CHECK(!advises(verdict, "Xavier"));  // that is how they began

  // With a large rate the last layer learns the mean at once, and then all gradients are as small.
  Deep fast(20, 16, sigmoids);
  const auto early = Training(fast, 0.1, 60, 16).monitor.verdicts();
  CHECK(verdict_of(early, Kind::vanishing).first_step == 0);

  Deep relus(20, 16, [](const Tensor<double>& z, const Tensor<double>&) { return relu(z); });
  relus.set_weights(nn::init::he_normal<double>);
  CHECK(kinds(Training(relus, 0.01).monitor.verdicts()).count(Kind::vanishing) == 0);

  Deep tanhs(20, 16, [](const Tensor<double>& z, const Tensor<double>&) { return tanh(z); });
  CHECK(kinds(Training(tanhs, 0.01).monitor.verdicts()).count(Kind::vanishing) == 0);
  tanhs.set_weights([](const Shape& shape) { return random::normal<double>(shape, 0, 0.02); });
  const auto small = Training(tanhs, 0.01).monitor.verdicts();
  CHECK(advises(verdict_of(small, Kind::vanishing), "init::xavier_uniform: "));
  CHECK(advises(verdict_of(small, Kind::vanishing), " began with a root mean square of 0.0"));

  Deep residual(20, 16, [](const Tensor<double>& z, const Tensor<double>& h) { return h + sigmoid(z); });
  CHECK(kinds(Training(residual, 1e-4).monitor.verdicts()).count(Kind::vanishing) == 0);

  const Tensor<double> gamma = ones<double>({16}), beta = zeros<double>({16});
  Deep normalised(20, 16, [&](const Tensor<double>& z, const Tensor<double>&) {
    return sigmoid(batch_norm(z, gamma, beta));
  });
  const Training with_norm(normalised, 0.01);
  CHECK(with_norm.monitor.history().normalizes);
  CHECK(kinds(with_norm.monitor.verdicts()).count(Kind::vanishing) == 0);
}

TEST_CASE("large weights make gradients explode") {
  random::seed(6);
  Deep model(8, 16, [](const Tensor<double>& z, const Tensor<double>&) { return relu(z); });
  model.set_weights([](const Shape& shape) { return random::normal<double>(shape, 0, 2); });
  const Training training(model, 1e-20);
  const auto verdicts = training.monitor.verdicts();
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::exploding);
  CHECK(verdict.first_step == 0);
  CHECK(verdict.value > 1e3);
  CHECK(advises(verdict, "He initialisation"));
  CHECK(advises(verdict, "nn::BatchNorm1d"));
  CHECK(advises(verdict, "clip_grad_norm"));

  // Growth from layer to layer alone: gradients small beside the weights.
  auto first = parameter<double>({{1e3}}), last = parameter<double>({{1e3}});
  nn::GradientMonitor<double> monitor({{"first", first}, {"last", last}});
  sum(first + 1e-4 * last).backward();
  monitor.before_step();
  monitor.after_step(1);
  CHECK(verdict_of(monitor.verdicts(), Kind::exploding).where == "first");
  CHECK(verdict_of(monitor.verdicts(), Kind::exploding).value == doctest::Approx(1e4));
}

TEST_CASE("ReLU units that are 0 for all samples of all steps are dead") {
  random::seed(7);
  nn::Linear<double> first(16, 8);
  Tensor<double> bias = zeros<double>({8});
  for (std::size_t i = 0; i < 3; ++i) bias.mutable_data()[i] = -1000;
  first.bias.assign(bias);
  nn::Sequential<double> model(first, nn::ReLU<double>(), nn::Linear<double>(8, 1));
  const Training training(model, 0.01, 12);
  const auto verdicts = training.monitor.verdicts();
  CHECK(kinds(verdicts) == std::set{Kind::dead});
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::dead);
  CHECK(verdict.where == "relu 1");
  CHECK(verdict.finding == "3 of 8 units were 0 for every sample of 10 steps");
  CHECK(verdict.value == 3.0 / 8);
  CHECK(verdict.last_step == 11);
  CHECK(advises(verdict, "leaky_relu"));
  CHECK(training.monitor.history().steps[8].activations[0].dead_units == 0);  // the window is not full
  CHECK(training.monitor.history().steps[9].activations[0].dead_units == 3);
  // 16 of the 48 gradients of the dead units' weights are 0, at least.
  CHECK(training.monitor.history().steps[0].parameters[0].zero_share >= 3.0 / 8);
}

TEST_CASE("units are channels of images and features of sequences") {
  const auto w = parameter<double>(1.0);
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 1}});
  Tensor<double> image = ones<double>({2, 3, 2, 2}), sequence = ones<double>({2, 3, 5});
  for (std::size_t i = 0; i < 4; ++i) image.mutable_data()[4 + i] = image.mutable_data()[16 + i] = -1;
  relu(w * image);
  relu(w * sequence);
  relu(w * 2.0);
  relu(w * zeros<double>({0, 4}));
  {
    const NoGrad no_grad;
    relu(w * image);  // evaluation is not counted
  }
  monitor.before_step();
  monitor.after_step(0);
  const auto& layers = monitor.history().steps[0].activations;
  REQUIRE(layers.size() == 4);
  CHECK(layers[0].units == 3);
  CHECK(layers[0].dead_units == 1);
  CHECK(layers[0].zero_share == doctest::Approx(1.0 / 3));
  CHECK(layers[1].units == 5);
  CHECK(layers[1].dead_units == 0);
  CHECK(layers[2].units == 1);
  CHECK(layers[3].units == 0);
  CHECK(monitor.history().activations[1] == "relu 2");
}

TEST_CASE("huge pre-activations saturate hidden sigmoids and tanh; an output may be certain") {
  random::seed(8);
  for (const bool is_tanh : {false, true}) {
    Deep model(3, 16, [is_tanh](const Tensor<double>& z, const Tensor<double>&) {
      return is_tanh ? tanh(100.0 * z) : sigmoid(100.0 * z);
    });
    const Training training(model, 1e-3);
    const auto verdicts = training.monitor.verdicts();
    const nn::Verdict& verdict = verdict_of(verdicts, Kind::saturated);
    CHECK(verdict.where == (is_tanh ? "tanh 1" : "sigmoid 1"));
    CHECK(verdict.value > 0.9);
    CHECK(advises(verdict, "nn::ReLU"));
  }
  const auto w = parameter<double>({1.0});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 1}});
  for (const double z : {3.85, 3.95}) {  // sigmoid(3.892) = 0.98, tanh(1.946) = 0.96
    const Tensor<double> hidden = sigmoid(z * w);
    tanh(0 * hidden + z / 2 * w);
    monitor.before_step();
    monitor.after_step(1);
  }
  CHECK(monitor.history().steps[0].activations[0].saturated_share == 0);
  CHECK(monitor.history().steps[0].activations[1].saturated_share == 0);
  CHECK(monitor.history().steps[1].activations[0].saturated_share == 1);
  CHECK(monitor.history().steps[1].activations[1].saturated_share == 1);
  CHECK(monitor.history().steps[1].activations[0].is_hidden);   // w is used after it
  CHECK(!monitor.history().steps[1].activations[1].is_hidden);  // the output
  CHECK(kinds(monitor.verdicts()).count(Kind::saturated) == 1);
}

TEST_CASE("learning rates: too high, too low, and by how much") {
  random::seed(9);
  const auto tanhs = [](const Tensor<double>& z, const Tensor<double>&) { return tanh(z); };
  {
    Deep model(3, 16, tanhs);
    const Training training(model, 1e3);
    const auto verdicts = training.monitor.verdicts();
    const nn::Verdict& verdict = verdict_of(verdicts, Kind::rate_too_high);
    CHECK(verdict.first_step == 0);
    CHECK(verdict.value > 1);
    CHECK(advises(verdict, "Multiply the learning rate by 1e-0"));
    CHECK(advises(verdict, "from 1e+03 to "));
  }
  {
    Deep model(3, 16, tanhs);
    const Training training(model, 1e-9);
    const auto verdicts = training.monitor.verdicts();
    CHECK(kinds(verdicts) == std::set{Kind::rate_too_low});
    CHECK(verdicts[0].value < 1e-8);
    CHECK(advises(verdicts[0], "Multiply the learning rate by 1e+0"));
  }
  {
    Deep model(3, 16, tanhs);
    const Training training(model, 0);
    CHECK(advises(verdict_of(training.monitor.verdicts(), Kind::rate_too_low), "updates are 0"));
  }
  {  // A parabola with a rate just above 2 / curvature: up and down, and slowly up.
    auto w = parameter<double>({{1.0}});
    nn::GradientMonitor<double> monitor({{"w", w}});
    nn::SGD<double> sgd({w}, {.learning_rate = 1.01});
    for (int step = 0; step < 30; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = sum(square(w));
      loss.backward();
      monitor.step(sgd, loss.item());
    }
    const auto verdicts = monitor.verdicts();
    CHECK(kinds(verdicts) == std::set{Kind::rate_too_high});
  }
  {  // Divergence to infinity.
    auto w = parameter<double>({{1.0}});
    nn::GradientMonitor<double> monitor({{"w", w}});
    nn::SGD<double> sgd({w}, {.learning_rate = 1e60});
    for (int step = 0; step < 6; ++step) {
      sgd.zero_grad();
      const Tensor<double> loss = sum(square(w));
      loss.backward();
      monitor.step(sgd, loss.item());
    }
    CHECK(kinds(monitor.verdicts()).count(Kind::rate_too_high) == 1);
    CHECK(kinds(monitor.verdicts()).count(Kind::not_finite) == 1);
  }
}

TEST_CASE("the first operation that gives a NaN or infinity is named, and training goes on") {
  random::seed(10);
  nn::Linear<double> layer(2, 1);
  nn::GradientMonitor<double> monitor(layer);
  nn::SGD<double> sgd(layer.parameters());
  const Tensor<double> x{{1.0, 2.0}};
  const auto train = [&](double factor) {
    sgd.zero_grad();
    const Tensor<double> loss = mean(log(square(factor * layer(x))));
    loss.backward();
    monitor.step(sgd, loss.item());
  };
  train(1);
  CHECK(monitor.verdicts().empty());
  train(0);
  REQUIRE(monitor.history().steps.size() == 2);
  REQUIRE(monitor.history().steps[1].origin);
  CHECK(monitor.history().steps[1].origin->op == "log");
  const auto verdicts = monitor.verdicts();
  const nn::Verdict& verdict = verdict_of(verdicts, Kind::not_finite);
  CHECK(verdict.first_step == 1);
  CHECK(verdict.where == "loss");
  CHECK(verdict.finding.find("the loss is -inf; the first operation: log: forward gave -inf at (0, 0)") == 0);
  CHECK(advises(verdict, "'log' in its domain"));

  auto w = parameter<double>({0.0});  // in the backward pass alone
  nn::GradientMonitor<double> other({{"w", w}});
  sum(sqrt(w)).backward();
  other.before_step();
  other.after_step(0);
  CHECK(other.history().steps[0].origin->op == "sqrt");
  CHECK(other.history().steps[0].origin->is_backward);

  w.zero_grad();
  nn::GradientMonitor<double> without({{"w", w}}, {.find_origin = false});
  sum(sqrt(w)).backward();
  without.before_step();
  without.after_step(0);
  CHECK(!without.history().steps[0].origin);
  CHECK(advises(verdict_of(without.verdicts(), Kind::not_finite), "DetectAnomaly"));
}

TEST_CASE_TEMPLATE("healthy training gets no verdict", T, float, double) {
  random::seed(11);
  nn::Sequential<T> model(nn::Linear<T>(2, 16), nn::Tanh<T>(), nn::Linear<T>(16, 16), nn::ReLU<T>(),
                          nn::Linear<T>(16, 1), nn::Sigmoid<T>());
  nn::GradientMonitor<T> monitor(model);
  nn::Adam<T> adam(model.parameters(), {.learning_rate = 0.01});
  double last = 1;
  for (int step = 0; step < 300; ++step) {
    const Tensor<T> x = random::normal<T>({64, 2});
    const Tensor<T> y = sum(x, 1, true) > 0;
    adam.zero_grad();
    const Tensor<T> loss = nn::binary_cross_entropy(model(x), y);
    loss.backward();
    monitor.step(adam, last = static_cast<double>(loss.item()));
  }
  CHECK(last < 0.15);
  for (const nn::Verdict& verdict : monitor.verdicts()) MESSAGE(verdict.finding);
  CHECK(monitor.verdicts().empty());
  std::ostringstream text;
  text << monitor;
  CHECK(text.str().find("no verdict\n") != std::string::npos);
  CHECK(text.str().find("step 299, loss 0.") == 0);
  CHECK(text.str().find("tanh 1") != std::string::npos);
}

TEST_CASE("a Trainer is watched through its callbacks") {
  random::seed(13);
  nn::Sequential<double> model(nn::Linear<double>(4, 8), nn::ReLU<double>(),
                               nn::Residual<double>(nn::Linear<double>(8, 8)), nn::BatchNorm1d<double>(8),
                               nn::Linear<double>(8, 1));
  const Tensor<double> x = random::normal<double>({60, 4});
  const nn::Dataset<double> data(x, sum(x, 1, true));
  nn::DataLoader<double> loader(data, {.batch_size = 20});
  nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.01});
  nn::GradientMonitor<double> monitor(model);
  nn::Trainer<double> trainer(model, sgd, [](const Tensor<double>& y, const nn::Dataset<double>& batch) {
    return nn::mse_loss(y, batch.targets);
  });
  trainer.options.epochs = 4;
  trainer.options.after_backward = [&] { monitor.before_step(); };
  trainer.options.on_batch_end = [&](auto, auto, double loss) { monitor.after_step(loss); };
  trainer.fit(loader, data);
  CHECK(monitor.history().steps.size() == 4 * 3);
  CHECK(monitor.history().activations == std::vector<std::string>{"relu 1"});  // not those of the validation
  CHECK(monitor.history().normalizes);
  for (const nn::TrainingStep& step : monitor.history().steps)
    for (const nn::ParameterStep& p : step.parameters)
      CHECK(p.update_norm == doctest::Approx(0.01 * p.gradient_norm));
  CHECK(monitor.verdicts().empty());
}

TEST_CASE("every k-th step is kept, and watching ends with the monitor") {
  const auto w = parameter<double>({1.0, 2.0});
  {
    nn::GradientMonitor<double> monitor({{"w", w}}, {.every = 3});
    for (int step = 0; step < 7; ++step) {
      relu(w);
      monitor.before_step();
      monitor.after_step(step);
    }
    const auto& steps = monitor.history().steps;
    REQUIRE(steps.size() == 3);
    CHECK(steps[2].number == 6);
    CHECK(steps[2].loss == 6);
    CHECK(monitor.history().activations.size() == 1);
  }
  relu(w);
  using Monitor = nn::GradientMonitor<double>;
  CHECK_THROWS_WITH_AS(Monitor({}), "[GradientMonitor] there are no parameters to watch", Error);
  CHECK_THROWS_WITH_AS(Monitor({{"w", w.detach()}}),
                       "[GradientMonitor] 'w' is no parameter: make it with parameter()", Error);
  CHECK_THROWS_WITH_AS(Monitor({{"w", w}}, {.every = 0}), "[GradientMonitor] every must be at least 1",
                       Error);
  CHECK_THROWS_WITH_AS(Monitor({{"w", w}}, {.limits = {.window = 0}}),
                       "[GradientMonitor] the window must be at least 1 step", Error);
  Monitor monitor({{"w", w}});
  CHECK_THROWS_WITH_AS(monitor.after_step(0), "[GradientMonitor] after_step() without before_step()", Error);
  monitor.before_step();
  CHECK_THROWS_WITH_AS(monitor.before_step(),
                       "[GradientMonitor] before_step() was called twice: call after_step() between", Error);
  CHECK(monitor.verdicts().empty());
}

TEST_CASE("the CSV reads back to the same numbers, whatever the names") {
  auto a = parameter<double>({{0.1, 0.2}}), b = parameter<double>({0.0});
  nn::GradientMonitor<double> monitor({{"a, \"quoted\"", a}, {"b\n", b}});
  nn::SGD<double> sgd({a, b}, {.learning_rate = 0.3});
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    const Tensor<double> loss = sum(exp(a)) + sum(b) * (step == 2 ? not_a_number : 1.0);
    loss.backward();
    monitor.step(sgd, loss.item());
  }
  std::ostringstream out;
  monitor.write_csv(out);
  const auto rows = parse_csv(out.str());
  REQUIRE(rows.size() == 1 + 3 * 2);
  CHECK(rows[0][3] == "parameter");
  CHECK(rows[1][3] == "a, \"quoted\"");
  CHECK(rows[2][3] == "b\n");
  for (std::size_t i = 1; i < rows.size(); ++i) {
    REQUIRE(rows[i].size() == 11);
    const nn::TrainingStep& step = monitor.history().steps[(i - 1) / 2];
    const nn::ParameterStep& p = step.parameters[(i - 1) % 2];
    CHECK(std::stoul(rows[i][0]) == step.number);
    CHECK((std::isnan(step.loss) ? rows[i][1] == "nan" : std::stod(rows[i][1]) == step.loss));
    CHECK(std::stod(rows[i][2]) == 0.3);
    CHECK((std::isnan(p.gradient_norm) ? rows[i][4] == "nan" : std::stod(rows[i][4]) == p.gradient_norm));
    CHECK(std::stod(rows[i][5]) == p.weight_norm);
    CHECK((std::isnan(p.update_norm) ? rows[i][6] == "nan" : std::stod(rows[i][6]) == p.update_norm));
    CHECK(std::stoul(rows[i][9]) == p.not_finite);
  }
  CHECK(rows[2][7].empty());  // b began at 0
  CHECK(std::stod(rows[1][7]) == monitor.history().steps[0].parameters[0].update_ratio);
  CHECK(rows[6][10] == "multiply");
  CHECK(rows[1][10].empty());
}

TEST_CASE("the HTML page is whole, loads nothing, and escapes names") {
  random::seed(12);
  Deep model(20, 8, [](const Tensor<double>& z, const Tensor<double>&) { return sigmoid(z); });
  const Training training(model, 0.1, 40, 8);
  std::ostringstream out;
  training.monitor.write_html(out, "A <title> & \"more\"");
  const std::string html = out.str();
  check_well_formed(html);
  for (const char* absent : {"http", "src=", "url(", "<script", "nan", "inf\"", "<title>A <title>"})
    CHECK_MESSAGE(html.find(absent) == std::string::npos, absent);
  for (const char* present :
       {"A &lt;title&gt; &amp; &quot;more&quot;", "vanishing gradients: 0.weight to ", "nn::BatchNorm1d",
        "<summary>", "role=\"img\"", "sigmoid 19", "prefers-color-scheme"})
    CHECK_MESSAGE(html.find(present) != std::string::npos, present);
  const nn::ParameterStep& p = training.monitor.history().steps.back().parameters[0];
  CHECK(html.find("<td>" + nn::detail::rounded(p.gradient_norm) + "</td>") != std::string::npos);

  // Numbers that cannot be drawn leave gaps.
  auto w = parameter<double>({{1.0}});
  nn::GradientMonitor<double> monitor({{"<w>", w}});
  std::ostringstream none, broken;
  monitor.write_html(none);
  check_well_formed(none.str());
  for (const double loss : {1.0, not_a_number, 2.0, std::numeric_limits<double>::infinity()}) {
    w.zero_grad();
    sum(w * loss).backward();
    monitor.before_step();
    monitor.after_step(loss);
  }
  monitor.write_html(broken);
  check_well_formed(broken.str());
  const std::string page = broken.str();
  CHECK(page.find("&lt;w&gt;") != std::string::npos);
  for (std::size_t at = page.find(" d=\""); at != std::string::npos; at = page.find(" d=\"", at + 1)) {
    const std::string path = page.substr(at + 4, page.find('"', at + 4) - at - 4);
    CHECK_MESSAGE(path.find_first_not_of("MLHh0123456789.e+- ") == std::string::npos, path);
  }
}
