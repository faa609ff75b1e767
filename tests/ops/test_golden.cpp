// Values, gradients and second derivatives of every operation, and loss curves, as PyTorch computes them in
// double. The numbers are made by tests/reference/golden.py.
#include <fstream>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "../check_close.hpp"
#include "op_table.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using Json = nlohmann::json;

namespace {

const Json& golden() {
  static const Json json =
      Json::parse(std::ifstream(std::string(XTAPE_SOURCE_DIR) + "/tests/reference/golden.json"));
  return json;
}

Tensor<double> tensor(const Json& json) {
  Tensor<double> x = Tensor<double>::uninitialized(Shape(json.at("shape").get<std::vector<std::size_t>>()));
  const auto data = json.at("data").get<std::vector<double>>();
  REQUIRE(data.size() == x.size());
  std::copy(data.begin(), data.end(), x.mutable_data());
  return x;
}

using Function = std::function<Tensor<double>(const Tensors&)>;

std::map<std::string, Function> functions() {
  std::map<std::string, Function> all;
  for (const OpRow& row : op_table()) {
    CHECK_MESSAGE(!all.contains(row.id()), row.id());
    all[row.id()] = row.f;
  }
  const Tensor<double> yes{1.0, 0.0, 0.3};
  const Tensor<double> soft{{0.2, 0.3, 0.5}, {1.0, 0.0, 0.0}};
  using nn::Reduction;
  all["nn/mse"] = [](const Tensors& x) { return nn::mse_loss(x[0], x[1]); };
  all["nn/half_squared_error"] = [](const Tensors& x) { return nn::half_squared_error(x[0], x[1]); };
  all["nn/bce"] = [=](const Tensors& x) { return nn::binary_cross_entropy(x[0], yes); };
  all["nn/bce_with_logits"] = [=](const Tensors& x) {
    return nn::binary_cross_entropy_with_logits(x[0], yes, Reduction::sum);
  };
  all["nn/cross_entropy"] = [](const Tensors& x) { return nn::cross_entropy(x[0], {2, 0}); };
  all["nn/cross_entropy_soft"] = [=](const Tensors& x) {
    return nn::cross_entropy(x[0], soft, Reduction::none);
  };
  return all;
}

}  // namespace

TEST_CASE("every operation gives PyTorch's values, gradients and second derivatives to 1e-12") {
  auto all = functions();
  std::set<std::string> seen;
  for (const Json& one : golden().at("cases")) {
    const std::string id = one.at("op");
    CAPTURE(id);
    REQUIRE(all.contains(id));
    seen.insert(id);
    Tensors inputs;
    for (const Json& x : one.at("inputs")) inputs.push_back(parameter(tensor(x)));
    const Tensor<double> y = all[id](inputs);
    check_close(y, tensor(one.at("output")), 1e-12, 1e-14);
    if (!y.requires_grad()) continue;
    const Tensor<double> seed = tensor(one.at("seed"));
    const auto gradients = grad(y, inputs, {.seed = seed, .retain_tape = true}),
               recorded = grad(y, inputs, {.seed = seed, .create_graph = true});
    Tensor<double> weighted(0.0);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      check_close(gradients[i], tensor(one.at("gradients")[i]), 1e-12, 1e-14);
      const auto g = flatten(recorded[i]);
      weighted = weighted + sum(g * cos(3 * arange<double>(static_cast<double>(g.size()))));
    }
    if (!one.contains("second")) continue;
    Tensors second;
    for (const auto& x : inputs) second.push_back(zeros<double>(x.shape()));
    if (weighted.requires_grad()) second = grad(weighted, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      check_close(second[i], tensor(one.at("second")[i]), 1e-12, 1e-13);
  }
  for (const auto& entry : all)
    CHECK_MESSAGE(
        seen.contains(entry.first),
        entry.first
            << " has no golden values: ./dev reference makes those of elementwise.inc, others need a line in "
               "tests/reference/golden.py");
}

TEST_CASE("20 steps of a 2-layer network follow PyTorch's loss curve to 1e-9, for each optimiser") {
  for (const auto& item : golden().at("curves").items()) {
    const std::string name = item.key();
    const Json& curve = item.value();
    CAPTURE(name);
    const Tensor<double> x = tensor(curve.at("x")), y = tensor(curve.at("y"));
    Tensors p;
    for (const char* key : {"W1", "b1", "W2", "b2"}) p.push_back(parameter(tensor(curve.at(key))));
    std::unique_ptr<nn::Optimizer<double>> optimizer;
    if (name == "sgd") optimizer = std::make_unique<nn::SGD<double>>(p, nn::SGDOptions{.learning_rate = 0.5});
    if (name == "momentum")
      optimizer = std::make_unique<nn::SGD<double>>(
          p, nn::SGDOptions{.learning_rate = 0.2, .momentum = 0.9, .weight_decay = 0.01});
    if (name == "nesterov")
      optimizer = std::make_unique<nn::SGD<double>>(
          p, nn::SGDOptions{.learning_rate = 0.2, .momentum = 0.9, .nesterov = true});
    if (name == "adam")
      optimizer =
          std::make_unique<nn::Adam<double>>(p, nn::AdamOptions{.learning_rate = 0.05, .weight_decay = 0.01});
    REQUIRE(optimizer != nullptr);
    const auto losses = curve.at("losses").get<std::vector<double>>();
    REQUIRE(losses.size() == 20);
    for (double expected : losses) {
      optimizer->zero_grad();
      const Tensor<double> loss = nn::mse_loss(sigmoid(linear(tanh(linear(x, p[0], p[1])), p[2], p[3])), y);
      check_close(loss, Tensor<double>(expected), 1e-9);
      loss.backward();
      optimizer->step();
    }
    for (std::size_t i = 0; i < p.size(); ++i) check_close(p[i], tensor(curve.at("final")[i]), 1e-9, 1e-12);
  }
}
