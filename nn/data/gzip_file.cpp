// Memory grows with what is read, never with what a file says of itself.
#include "gzip_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <autodiff/error.hpp>

namespace xtape::nn::detail {

GzipFile::GzipFile(std::string reader, std::string path)
    : reader_(std::move(reader)), path_(std::move(path)), file_(nullptr, gzclose) {
  errno = 0;
  file_.reset(gzopen(path_.c_str(), "rb"));
  if (!file_) fail(errno ? std::strerror(errno) : "zlib cannot open it");
}

std::string GzipFile::read(std::size_t n) {
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (text.size() < n) {
    const auto wanted = static_cast<unsigned>(std::min(n - text.size(), buffer.size()));
    errno = 0;
    const int got = gzread(file_.get(), buffer.data(), wanted);
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
    if (got == static_cast<int>(wanted)) continue;
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (code == Z_ERRNO) fail(std::strerror(errno));
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
      fail(std::string("the compressed data is damaged or cut short: ") + message);
    break;
  }
  return text;
}

void GzipFile::fail(const std::string& what) const { throw Error(reader_, path_ + ": " + what); }

void GzipFile::fail(std::size_t line, std::size_t column, const std::string& what) const {
  throw Error(reader_, path_ + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + what);
}

}  // namespace xtape::nn::detail
