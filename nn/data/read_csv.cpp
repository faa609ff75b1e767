// Tables of numbers as text: cells are read the same in every locale.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include <autodiff/engine.hpp>
#include <autodiff/layout.hpp>

#include "../data.hpp"
#include "gzip_file.hpp"

namespace xtape::nn {
namespace {

using engine::number_text;

enum class Role { input, target, label };

/// What each of the columns is.
std::vector<Role> roles(const CsvOptions& options, std::size_t columns) {
  std::vector<Role> result(columns, Role::input);
  const auto set = [&](std::ptrdiff_t column, Role role) {
    const std::ptrdiff_t place = column < 0 ? column + std::ssize(result) : column;
    if (place < 0 || place >= std::ssize(result))
      throw Error("from_csv",
                  "there is no column " + std::to_string(column) + " among " + std::to_string(columns));
    result[static_cast<std::size_t>(place)] = role;
  };
  for (const std::ptrdiff_t column : options.target_columns) set(column, Role::target);
  if (options.label_column && options.target_columns.empty()) set(*options.label_column, Role::label);
  return result;
}

/// Whether most cells of a line begin as names do, and are no word for a number that is missing.
bool looks_like_header(std::string_view line, char separator) {
  std::size_t names = 0, cells = 0;
  for (; !line.empty(); ++cells) {
    std::string_view cell = line.substr(0, line.find(separator));
    line.remove_prefix(std::min(line.size(), cell.size() + 1));
    cell.remove_prefix(std::min(cell.size(), cell.find_first_not_of(" \t\"'")));
    cell = cell.substr(0, cell.find_last_not_of(" \t\"'") + 1);
    std::string lower;
    for (const char c : cell) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    const bool is_missing = lower == "nan" || lower == "na" || lower == "n/a" || lower == "inf" ||
                            lower == "infinity" || lower == "null" || lower == "none";
    names += !is_missing && !lower.empty() &&
             ((lower[0] >= 'a' && lower[0] <= 'z') || lower[0] == '_' || (lower[0] & 0x80) != 0);
  }
  return 2 * names > cells;
}

template <class T>
struct CsvReader {
  detail::GzipFile& file;
  const CsvOptions& options;
  std::size_t line_number = 0;
  std::string_view line{};

  /// The finite number in a cell that begins at a column of the text.
  double number(std::string_view cell, std::size_t column) const {
    const std::string shown = cell.size() <= 40 ? std::string(cell) : std::string(cell.substr(0, 40)) + "…";
    const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
    while (!cell.empty() && is_space(cell.front())) cell.remove_prefix(1);
    while (!cell.empty() && is_space(cell.back())) cell.remove_suffix(1);
    if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-') cell.remove_prefix(1);
    double value = 0;
    const char *at = cell.data(), *const end = at + cell.size();
    const auto read = engine::read_number(at, end, value);
    if (read == engine::ReadNumber::none || at != end || !std::isfinite(value))
      file.fail(line_number, column,
                "'" + shown + "' is not a finite number" +
                    (line_number == 1 && looks_like_header(line, options.separator)
                         ? ": for a line of names set .header = true"
                         : ""));
    if (read != engine::ReadNumber::good)
      file.fail(line_number, column, "'" + shown + "' is out of the range of double");
    return value;
  }

  /// As an element of a tensor.
  T element(double x, std::size_t column) const {
    if (std::abs(x) > static_cast<double>(std::numeric_limits<T>::max()))
      file.fail(line_number, column, number_text(x) + " is out of the range of its tensor");
    return static_cast<T>(x);
  }

  T input(double x, std::size_t column) const {
    if (options.low && x < *options.low)
      file.fail(line_number, column, number_text(x) + " is below " + number_text(*options.low));
    if (options.high && x > *options.high)
      file.fail(line_number, column, number_text(x) + " is above " + number_text(*options.high));
    return element(x * options.scale, column);
  }

  std::ptrdiff_t label(double x, std::size_t column) const {
    if (std::floor(x) != x)
      file.fail(line_number, column, "label " + number_text(x) + " is not a whole number");
    const double end = options.classes ? static_cast<double>(options.classes) : 0x1p53;
    if (x < 0 || x >= end)
      file.fail(
          line_number, column,
          "label " + number_text(x) + " is not " +
              (options.classes ? "from 0 to " + std::to_string(options.classes - 1) : "a class from 0"));
    return static_cast<std::ptrdiff_t>(x);
  }
};

}  // namespace

template <class T>
Dataset<T> Dataset<T>::from_csv(const std::string& path, const CsvOptions& options) {
  detail::GzipFile file("from_csv", path);
  const std::string text = file.read(options.max_bytes);
  if (text.size() == options.max_bytes && !file.read(1).empty())
    file.fail("the text is longer than " + std::to_string(options.max_bytes) +
              " bytes: set .max_bytes if this is right");
  std::string_view left = text;
  left = left.substr(0, left.find_last_not_of("\r\n") + 1);     // lines without anything may end the file
  if (left.starts_with("\xEF\xBB\xBF")) left.remove_prefix(3);  // the mark that Excel puts before UTF-8
  CsvReader<T> reader{file, options};
  std::vector<Role> role;
  std::vector<T> x, y;
  std::vector<std::ptrdiff_t> labels;
  Dataset data;
  std::size_t n = 0;
  while (!left.empty()) {
    ++reader.line_number;
    std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(line.size() + 1, left.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    reader.line = line;
    const auto found = static_cast<std::size_t>(std::ranges::count(line, options.separator)) + 1;
    const std::size_t columns = options.columns ? options.columns : role.size();
    if (columns && found != columns) {
      std::size_t end = 0;  // of the last column that is right
      for (std::size_t i = 0; i < std::min(found, columns); ++i)
        end = std::min(line.find(options.separator, end), line.size() - 1) + 1;
      reader.file.fail(reader.line_number, end + 1,
                       std::to_string(found) + " columns instead of " + std::to_string(columns));
    }
    if (role.empty()) role = roles(options, found);
    if (reader.line_number == 1 && options.header) continue;
    std::size_t at = 0;
    for (const Role r : role) {
      const std::string_view cell = line.substr(at, line.find(options.separator, at) - at);
      const double value = reader.number(cell, at + 1);
      if (r == Role::label) {
        labels.push_back(reader.label(value, at + 1));
      } else if (r == Role::target) {
        y.push_back(reader.element(value, at + 1));
      } else {
        x.push_back(reader.input(value, at + 1));
      }
      at += cell.size() + 1;
    }
    ++n;
  }
  if (n == 0) file.fail("the file holds no samples");
  data.labels = labels;
  data.inputs = reshape(Tensor<T>(x), Dims{n, x.size() / n});
  if (!y.empty()) data.targets = reshape(Tensor<T>(y), Dims{n, y.size() / n});
  return data;
}

template Dataset<float> Dataset<float>::from_csv(const std::string&, const CsvOptions&);
template Dataset<double> Dataset<double>::from_csv(const std::string&, const CsvOptions&);

}  // namespace xtape::nn
