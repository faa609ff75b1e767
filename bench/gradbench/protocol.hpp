// What the programs of this folder share: the protocol of GradBench's C++ tools.
//
// PROGRAM FILE FUNCTION reads an input in JSON, computes the function as often as the input's min_runs and
// min_seconds say, and prints what it gives, and under it a line for each run with the nanoseconds that it
// took. A run begins with the input's numbers and ends with the result's; only reading and writing JSON is
// outside, and what a Function's constructor does, which is the line "prepare": there a function is compiled,
// as other tools record their tape there.
#pragma once
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <autodiff/autodiff.hpp>
#include <nlohmann/json.hpp>

namespace gradbench {

using Json = nlohmann::json;

/// A list of numbers, or a list of such lists of one length, as a tensor.
inline xtape::Tensor<double> tensor(const Json& list) {
  std::vector<double> numbers;
  const bool is_matrix = !list.empty() && list.front().is_array();
  for (const Json& item : list)
    if (is_matrix)
      for (const Json& number : item) numbers.push_back(number.get<double>());
    else
      numbers.push_back(item.get<double>());
  const xtape::Tensor<double> flat(numbers);
  if (!is_matrix) return flat;
  return reshape(flat, {list.size(), list.front().size()});
}

/// The opposite.
inline Json list(const xtape::Tensor<double>& x) {
  if (x.rank() != 2) return Json(std::vector<double>(x.begin(), x.end()));
  Json rows = Json::array();
  for (std::size_t i = 0; i < x.shape(0); ++i) rows.push_back(list(slice(x, i)));
  return rows;
}

/// One function of an eval: Function(input), then run() as often as is asked for, then result().
template <class Function, class Input>
void measure(const Input& input, const Json& json) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
  };
  const auto line = [](const char* name, auto nanoseconds) {
    std::cout << Json{{"name", name}, {"nanoseconds", nanoseconds}} << '\n';
  };
  const std::size_t min_runs = json.value("min_runs", std::size_t{1});
  const double min_seconds = json.value("min_seconds", 0.0);

  const auto start = Clock::now();
  Function function(input);
  const auto prepare = since(start);
  std::vector<decltype(since(start))> runs;
  for (double seconds = 0; runs.size() < min_runs || seconds < min_seconds;) {
    const auto start_of_run = Clock::now();
    function.run();
    runs.push_back(since(start_of_run));
    seconds += static_cast<double>(runs.back()) * 1e-9;
  }
  std::cout << function.result() << '\n';
  line("prepare", prepare);
  for (const auto run : runs) line("evaluate", run);
}

/// The main() of an eval whose functions are these. One thread, or as many as XTAPE_BENCH_THREADS says.
template <class Input, class... Functions>
int tool(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " FILE FUNCTION\n";
    return 1;
  }
  const char* const threads = std::getenv("XTAPE_BENCH_THREADS");
  xtape::set_num_threads(threads ? std::stoi(threads) : 1);
  std::ifstream file(argv[1]);
  const Json json = Json::parse(file);
  const Input input(json);
  const bool known =
      ((argv[2] == std::string_view(Functions::name) && (measure<Functions>(input, json), true)) || ...);
  if (!known) std::cerr << argv[0] << ": no function " << argv[2] << '\n';
  return known ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << argv[0] << ": " << error.what() << '\n';
  return 1;
}

}  // namespace gradbench
