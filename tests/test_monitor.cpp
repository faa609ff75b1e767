// Watching training: what is measured, what is kept, and the reports.
#include <sstream>

#include "monitored_training.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

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
       empty = parameter<double>(zeros<double>({0, 3})), c = parameter<double>({1.0, 1.0, 1.0}),
       mixed = parameter<double>({1e-200, 1e160, 1.0, -1e160, 1e160, 1e160});
  nn::GradientMonitor<double> monitor({{"a", a}, {"b", b}, {"empty", empty}, {"c", c}, {"mixed", mixed}});
  sum(c * Tensor<double>{not_a_number, 1.0, std::numeric_limits<double>::infinity()}).backward();
  monitor.before_step();
  monitor.after_step(0);
  const auto& p = monitor.history().steps[0].parameters;
  CHECK(p[0].weight_norm == doctest::Approx(5e200));
  CHECK(p[1].weight_norm / 5e-200 == doctest::Approx(1));
  CHECK(p[4].weight_norm == doctest::Approx(2e160));
  CHECK(p[2].weight_norm == 0);
  CHECK(p[3].not_finite == 2);
  CHECK(std::isnan(p[3].gradient_norm));
  const auto verdict = verdict_of(monitor.verdicts(), Kind::not_finite);
  CHECK(verdict.where == "c");
  CHECK(verdict.finding.find("2 of the 3 elements") == 0);
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

TEST_CASE("the step whose loss stops a Trainer is kept, with the operation that began it") {
  for (const std::size_t every : {1u, 3u}) {
    random::seed(14);
    nn::Sequential<double> model(nn::Linear<double>(2, 4), nn::Tanh<double>(), nn::Linear<double>(4, 1));
    const Tensor<double> x = random::normal<double>({8, 2});
    Tensor<double> y = ones<double>({8, 1});
    y.mutable_data()[6] = -1;  // in the fourth batch, and has no logarithm
    nn::DataLoader<double> loader({x, y}, {.batch_size = 2, .shuffle = false});
    nn::SGD<double> sgd(model.parameters(), {.learning_rate = 0.01});
    nn::GradientMonitor<double> monitor(model, {.every = every});
    nn::Trainer<double> trainer(model, sgd, [](const Tensor<double>& p, const nn::Dataset<double>& batch) {
      return nn::mse_loss(p, log(batch.targets));
    });
    trainer.options.after_backward = [&] { monitor.before_step(); };
    trainer.options.on_batch_end = [&](auto, auto, double loss) { monitor.after_step(loss); };
    CHECK_THROWS_WITH_AS(trainer.fit(loader), doctest::Contains("the loss is nan in epoch 1, batch 4"),
                         Error);
    const auto& steps = monitor.history().steps;
    REQUIRE(steps.size() == (every == 1 ? 4 : 2));
    CHECK(steps.back().number == 3);
    CHECK(std::isnan(steps.back().loss));
    CHECK(steps.back().parameters[0].update_norm == 0);
    const auto verdicts = monitor.verdicts();
    REQUIRE(kinds(verdicts) == std::set{Kind::not_finite});
    CHECK(verdicts[0].first_step == 3);
    CHECK(verdicts[0].finding.find("the loss is nan; the first operation: log: forward gave nan") == 0);
  }
  // A NaN in a step that is not looked at: the loss is kept, and where it began was not watched.
  const auto w = parameter<double>({1.0});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.every = 2});
  monitor.before_step();
  monitor.after_step(1);
  monitor.after_step(not_a_number);
  CHECK(monitor.history().steps.size() == 2);
  CHECK(advises(verdict_of(monitor.verdicts(), Kind::not_finite), "DetectAnomaly"));
}

TEST_CASE("a step that is not taken is not seen, and gradients that are added up are one step") {
  const auto w = parameter<double>({1.0});
  nn::SGD<double> sgd({w}, {.learning_rate = 0.1});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 2}});
  const auto backward = [&](const Tensor<double>& x) {
    const Tensor<double> loss = sum(log(tanh(relu(w * x))));
    loss.backward();
    return loss.item();
  };
  const Tensor<double> fine{1.0, 2.0}, negative{-1.0, -1.0};
  const std::vector<std::string> names{"relu 1", "tanh 1"};
  backward(negative);  // log(0): not taken, after a look at the gradient
  norm(w.grad());
  sgd.zero_grad();
  monitor.step(sgd, backward(fine));
  CHECK(monitor.history().activations == names);
  CHECK(!monitor.history().steps[0].origin);
  CHECK(monitor.history().steps[0].activations[0].zero_share == 0);

  sgd.zero_grad();  // two batches, and a gradient that is no parameter's between them
  backward(fine);
  grad(exp(w), std::vector{w});
  const double loss = backward(negative);
  monitor.before_step();
  monitor.after_step(loss);
  CHECK(monitor.history().activations == names);
  CHECK(monitor.history().steps[1].origin);
  CHECK(monitor.history().steps[1].activations[0].zero_share == 0.5);

  sgd.zero_grad();  // two batches that are 0 are one step, and the window has 2
  backward(negative);
  monitor.before_step();
  monitor.after_step(backward(negative));
  CHECK(monitor.history().steps[2].activations[0].dead_units == 0);
  CHECK(monitor.history().steps[2].activations[0].zero_share == 1);
  sgd.zero_grad();
  backward(negative);
  monitor.before_step();
  monitor.after_step(0);
  CHECK(monitor.history().steps[3].activations[0].dead_units == 2);
}

TEST_CASE("after an optimiser that throws the next step is whole") {
  struct Fails : nn::SGD<double> {
    using nn::SGD<double>::SGD;
    void update(std::size_t i, double* x, const double* gradient, std::size_t n) override {
      if (fails) throw std::runtime_error("no update");
      nn::SGD<double>::update(i, x, gradient, n);
    }
    bool fails = true;
  };
  const auto w = parameter<double>({1.0});
  Fails sgd({w}, {.learning_rate = 0.5});
  nn::GradientMonitor<double> monitor({{"w", w}});
  const auto backward = [&] {
    sgd.zero_grad();
    sum(relu(w)).backward();
  };
  for (const bool by_hand : {false, true}) {
    sgd.fails = true;
    backward();
    if (by_hand) {
      monitor.before_step();
      CHECK_THROWS_WITH(sgd.step(), "no update");
    } else {
      CHECK_THROWS_WITH(monitor.step(sgd, 1), "no update");
    }
    sgd.fails = false;
    backward();
    monitor.step(sgd, 2);
    CHECK(monitor.history().steps.back().loss == 2);
    CHECK(monitor.history().steps.back().parameters[0].update_norm == 0.5);
    CHECK(monitor.history().steps.back().activations.size() == 1);
    CHECK_THROWS_WITH_AS(monitor.after_step(0), "[GradientMonitor] after_step() without before_step()",
                         Error);
  }
  CHECK(monitor.history().steps.size() == 2);
  CHECK(monitor.history().steps[1].number == 1);
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
    REQUIRE(rows[i].size() == rows[0].size());
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

TEST_CASE("the CSV has dead and saturated units, in rows of their own") {
  const auto w = parameter<double>({100.0, -1.0, 0.5});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 1}});
  sum(sigmoid(relu(w))).backward();
  monitor.before_step();
  monitor.after_step(1.5);
  monitor.before_step();  // nothing ran
  monitor.after_step(1);
  std::ostringstream out;
  monitor.write_csv(out);
  const auto rows = parse_csv(out.str());
  REQUIRE(rows.size() == 1 + 3 + 1);
  for (const auto& row : rows) CHECK(row.size() == rows[0].size());
  const auto cell = [&](std::size_t row, const std::string& name) {
    return rows[row].at(std::size_t(std::ranges::find(rows[0], name) - rows[0].begin()));
  };
  for (const char* name : {"activation", "units", "dead_units", "saturated_share"})
    CHECK(cell(1, name) == "");
  for (const char* name :
       {"parameter", "gradient_norm", "weight_norm", "update_norm", "not_finite", "origin"})
    for (const std::size_t row : {2u, 3u}) CHECK(cell(row, name) == "");
  for (const std::size_t row : {2u, 3u}) {
    CHECK(cell(row, "step") == "0");
    CHECK(cell(row, "loss") == "1.5");
    CHECK(cell(row, "units") == "3");
  }
  CHECK(cell(2, "activation") == "relu 1");
  CHECK(cell(2, "dead_units") == "1");
  CHECK(cell(2, "saturated_share") == "");
  CHECK(std::stod(cell(2, "zero_share")) == 1.0 / 3);
  CHECK(cell(3, "activation") == "sigmoid 1");
  CHECK(cell(3, "dead_units") == "");
  CHECK(std::stod(cell(3, "saturated_share")) == 1.0 / 3);
  CHECK(cell(4, "step") == "1");
  CHECK(cell(4, "parameter") == "w");
}

TEST_CASE("the HTML page is whole, loads nothing, and escapes names") {
  random::seed(12);
  Deep model(20, 8, [](const Tensor<double>& z, const Tensor<double>&) { return sigmoid(z); });
  const Training training(model, 0.1, 40, 8);
  std::ostringstream out;
  training.monitor.write_html(out, "A <title> & \"more\"");
  const std::string html = out.str();
  check_well_formed(html);
  for (const char* absent :
       {"http", "src=", "url(", "<script", "nan", "inf\"", "<title>A <title>", "healthy"})
    CHECK_MESSAGE(html.find(absent) == std::string::npos, absent);
  for (const char* present : {"A &lt;title&gt; &amp; &quot;more&quot;", "vanishing gradients: 0.weight to ",
                              "nn::BatchNorm1d", "<summary>", "role=\"img\"", "sigmoid 19",
                              "prefers-color-scheme", "is usual while learning", "th{white-space:normal"})
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
