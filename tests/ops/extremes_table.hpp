// The rows of tests/reference/extremes.csv, and whether a number is what a row says.
// tests/reference/extremes.py makes the table, and says how it is read.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <autodiff/tensor.hpp>

namespace xtape::test {

template <class T>
inline const std::string type_name = sizeof(T) == sizeof(float) ? "float" : "double";

using Words = std::vector<std::string>;

struct Row {
  std::string op, type;
  Words inputs;  ///< each a number, or nested lists in brackets
  Words value, derivatives;
  Words other_value, other_fused, other_recorded;  ///< xtape's, where they are others
  bool only_columns;                               ///< give another value
  std::string because, text;

  /// The largest distance of finite numbers in units of the last place; differences of elements cancel
  /// digits.
  double ulps() const { return inputs[0][0] == '[' ? 16 : 4; }
};

/// Numbers in a text; brackets are words of their own.
inline Words words(std::string text) {
  for (std::size_t at = 0; (at = text.find_first_of("[]", at)) != std::string::npos; at += 3)
    text.replace(at, 1, std::string(" ") + text[at] + " ");
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

inline Words numbers(const std::string& text) {
  Words all = words(text);
  std::erase_if(all, [](const std::string& word) { return word == "[" || word == "]"; });
  return all;
}

/// Numbers, and lists as one text each.
inline Words arguments(const std::string& text) {
  Words all;
  int depth = 0;
  for (const std::string& word : words(text)) {
    if (depth == 0)
      all.push_back(word);
    else
      all.back() += " " + word;
    depth += (word == "[") - (word == "]");
  }
  return all;
}

/// Rows of an operation and a type that are not read: MinGW's sin and cos of ±max are wrong, as beyond 2^63.
#ifdef _WIN32
inline constexpr std::size_t left_out = 2;
#else
inline constexpr std::size_t left_out = 0;
#endif

inline const std::vector<Row>& table() {
  static const std::vector<Row> rows = [] {
    std::ifstream file(std::string(XTAPE_SOURCE_DIR) + "/tests/reference/extremes.csv");
    REQUIRE(file.good());
    std::vector<Row> all;
    std::string line;
    std::getline(file, line);  // the columns' names
    while (std::getline(file, line)) {
      std::istringstream in(line);
      std::array<std::string, 7> cells;
      for (std::string& cell : cells) std::getline(in, cell, ',');
      std::string because;
      std::getline(in, because);
      if (left_out != 0 && (cells[0] == "sin" || cells[0] == "cos") && cells[2].ends_with("max")) continue;
      const std::string column = "column ";
      const bool only_columns = cells[5].starts_with(column);
      if (only_columns) cells[5].erase(0, column.size());
      const std::size_t slash = cells[6].find(" / ");  // the fused rule and the recorded one
      const std::string recorded = slash == std::string::npos ? cells[6] : cells[6].substr(slash + 3);
      all.push_back({cells[0], cells[1], arguments(cells[2]), numbers(cells[3]), numbers(cells[4]),
                     numbers(cells[5]), numbers(cells[6].substr(0, slash)), numbers(recorded), only_columns,
                     because, line});
    }
    return all;
  }();
  return rows;
}

template <class T>
bool has_type(const Row& row) {
  return row.type == "both" || row.type == type_name<T>;
}

template <class T>
T number(std::string word) {
  using Limits = std::numeric_limits<T>;
  static const std::map<std::string, T> names{{"nan", Limits::quiet_NaN()}, {"inf", Limits::infinity()},
                                              {"max", Limits::max()},       {"min", Limits::min()},
                                              {"min/2", Limits::min() / 2}, {"denorm", Limits::denorm_min()}};
  const bool negative = word[0] == '-';
  if (negative) word.erase(0, 1);
  const auto name = names.find(word);
  char* end = word.data() + word.size();
  const T size = name != names.end() ? name->second
                 : sizeof(T) == 4    ? static_cast<T>(std::strtof(word.c_str(), &end))
                                     : static_cast<T>(std::strtod(word.c_str(), &end));
  CHECK_MESSAGE(*end == 0, word << " is no number");
  return negative ? -size : size;
}

/// "[ [ 1 2 ] [ 3 4 ] ]" has the shape (2, 2).
template <class T>
Tensor<T> tensor(const std::string& text) {
  Shape shape;
  std::vector<T> values;
  std::vector<std::size_t> counts;
  for (const std::string& word : words(text)) {
    if (word == "[") {
      counts.push_back(0);
      if (shape.size() < counts.size()) shape.push_back(0);
      continue;
    }
    if (word == "]") {
      shape[counts.size() - 1] = counts.back();
      counts.pop_back();
    } else {
      values.push_back(number<T>(word));
    }
    if (!counts.empty()) ++counts.back();
  }
  Tensor<T> x = Tensor<T>::uninitialized(shape);
  REQUIRE(x.size() == values.size());
  std::ranges::copy(values, x.mutable_data());
  return x;
}

/// Whether x is what a word of the table says. The sign of a zero counts for values that the table gives one.
template <class T>
bool is(T x, const std::string& word, double ulps, bool sign_of_zero) {
  if (word == "±0") return x == 0;
  const T y = number<T>(word);
  if (std::isnan(y) || std::isnan(x)) return std::isnan(y) && std::isnan(x);
  if (x == y) return y != 0 || !sign_of_zero || std::signbit(x) == std::signbit(y);
  if (x == 0 || y == 0 || !std::isfinite(x) || !std::isfinite(y)) return false;
  const T size = std::max(std::abs(y), std::numeric_limits<T>::min());
  const T ulp = size - std::nextafter(size, T(0));
  return std::abs(x - y) <= static_cast<T>(ulps) * ulp;
}

template <class T>
bool are(const std::vector<T>& x, const Words& expected, double ulps, bool sign_of_zero) {
  bool same = x.size() == expected.size();
  for (std::size_t i = 0; same && i < x.size(); ++i) same = is(x[i], expected[i], ulps, sign_of_zero);
  return same;
}

}  // namespace xtape::test
