// A file to read, plain or compressed by gzip: zlib reads both alike.
#pragma once
#include <memory>
#include <string>

#include <zlib.h>

namespace xtape::nn::detail {

class GzipFile {
 public:
  /// Errors begin with "[reader] path: ". Error when the file cannot be opened.
  GzipFile(std::string reader, std::string path);

  /// The next n bytes; fewer at the end of the file. Error for a file that is damaged or cut short.
  std::string read(std::size_t n);
  [[noreturn]] void fail(const std::string& what) const;
  /// At a place in the text; line and column count from 1.
  [[noreturn]] void fail(std::size_t line, std::size_t column, const std::string& what) const;

 private:
  std::string reader_, path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

}  // namespace xtape::nn::detail
