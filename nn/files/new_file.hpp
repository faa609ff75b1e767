// A file that is there whole or not at all.
#pragma once
#include <cstddef>
#include <cstdio>
#include <string>

namespace xtape::nn {

namespace detail {

/// Written beside `path`, flushed to the disk and renamed by commit(): at any moment, and after the end of
/// the process at any moment, there is either the old file or the new one. Without commit() it is gone with
/// this object. (A process that is killed may leave PATH.new-….) Errors begin with "[op] path: ". Nothing is
/// written where set_writes_files(false) was called.
class NewFile {
 public:
  NewFile(const char* op, std::string path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  [[noreturn]] void system_error() const;

  const char* op_;
  std::string path_, beside_;
  std::FILE* file_ = nullptr;  ///< none where nothing is written
};

}  // namespace detail

}  // namespace xtape::nn
