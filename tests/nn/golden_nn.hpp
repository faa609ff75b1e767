// The numbers of tests/reference/golden_nn.py.
#pragma once
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <autodiff/tensor.hpp>

namespace xtape::test {

using Json = nlohmann::json;

inline const Json& golden_nn() {
  static const Json json =
      Json::parse(std::ifstream(std::string(XTAPE_SOURCE_DIR) + "/tests/reference/golden_nn.json"));
  return json;
}

inline Tensor<double> tensor(const Json& json) {
  Tensor<double> x = Tensor<double>::uninitialized(Shape(json.at("shape").get<std::vector<std::size_t>>()));
  const auto data = json.at("data").get<std::vector<double>>();
  if (data.size() != x.size()) throw Error("golden", "the numbers do not fill the shape");
  std::copy(data.begin(), data.end(), x.mutable_data());
  return x;
}

}  // namespace xtape::test
