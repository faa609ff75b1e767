// Decompression by zlib, numbers by from_chars.
#include "digits.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include <zlib.h>

namespace digits {
namespace {

std::string read_all(const std::string& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw DataError(path, 0, 0, errno ? std::strerror(errno) : "zlib cannot open it");
  std::string text;
  char buffer[1 << 15];
  for (;;) {
    const int n = gzread(file.get(), buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
    if (n == static_cast<int>(sizeof buffer)) continue;
    int code = Z_OK;
    const char* message = gzerror(file.get(), &code);
    if (code == Z_ERRNO) throw DataError(path, 0, 0, std::strerror(errno));
    if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
      throw DataError(path, 0, 0, std::string("the compressed data is damaged or cut short: ") + message);
    return text;
  }
}

/// One number of a line: advances `at` behind it and behind the comma.
int read_number(const std::string& path, std::size_t line, const char* start, const char*& at,
                const char* end, int high, const char* what) {
  const std::size_t column = static_cast<std::size_t>(at - start) + 1;
  const char* stop = at;
  while (stop != end && *stop != ',') ++stop;
  int value = 0;
  const auto [rest, code] = std::from_chars(at, stop, value);
  const std::string text(at, stop);
  if (code != std::errc() || rest != stop || at == stop)
    throw DataError(path, line, column, "'" + text + "' is not a whole number");
  if (value < 0 || value > high)
    throw DataError(path, line, column,
                    std::string(what) + " " + text + " is not from 0 to " + std::to_string(high));
  at = stop == end ? stop : stop + 1;
  return value;
}

/// Where a line of too few columns ends, or the first column too many begins.
std::size_t first_wrong_column(const char* start, const char* end) {
  const char* at = start;
  for (std::size_t i = 0; i <= pixels && at != end; ++i) {
    at = std::find(at, end, ',');
    if (at != end) ++at;
  }
  return static_cast<std::size_t>(at - start) + 1;
}

}  // namespace

DataError::DataError(const std::string& file, std::size_t line, std::size_t column, const std::string& what)
    : std::runtime_error(file + (line ? ":" + std::to_string(line) : "") +
                         (column ? ":" + std::to_string(column) : "") + ": " + what) {}

Dataset read(const std::string& path) {
  const std::string text = read_all(path);
  std::vector<double> values;
  Dataset data;
  std::size_t line = 0;
  for (const char *start = text.data(), *stop = text.data() + text.size(); start != stop;) {
    ++line;
    const char* end = std::find(start, stop, '\n');
    const char* const next = end == stop ? stop : end + 1;
    if (end != start && end[-1] == '\r') --end;
    const auto columns = static_cast<std::size_t>(std::count(start, end, ',')) + 1;
    if (columns != pixels + 1)
      throw DataError(path, line, first_wrong_column(start, end),
                      std::to_string(columns) + " columns instead of " + std::to_string(pixels + 1) +
                          " (64 pixels and a label)");
    const char* at = start;
    for (std::size_t i = 0; i < pixels; ++i)
      values.push_back(double(read_number(path, line, start, at, end, brightest, "pixel")) / brightest);
    data.labels.push_back(read_number(path, line, start, at, end, int(classes) - 1, "label"));
    start = next;
  }
  if (data.labels.empty()) throw DataError(path, 0, 0, "the file holds no digits");
  data.images = xt::xtensor<double, 2>::from_shape({data.labels.size(), pixels});
  std::copy(values.begin(), values.end(), data.images.begin());
  return data;
}

Dataset select(const Dataset& data, const std::vector<std::size_t>& places) {
  Dataset part;
  part.images = xt::xtensor<double, 2>::from_shape({places.size(), pixels});
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::copy_n(data.images.begin() + static_cast<std::ptrdiff_t>(places[i] * pixels), pixels,
                part.images.begin() + static_cast<std::ptrdiff_t>(i * pixels));
    part.labels.push_back(data.labels[places[i]]);
  }
  return part;
}

}  // namespace digits
