// By the calls of POSIX, since streams cannot flush to the disk.
#include "new_file.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <autodiff/error.hpp>

#include "../write_file.hpp"

namespace xtape::nn {

namespace {
std::atomic<bool> writes_files = true;
}

void set_writes_files(bool on) { writes_files = on; }
void write_file(const std::string& path, const std::function<void(std::ostream&)>& content) {
  std::ostringstream text;
  content(text);
  if (!text) throw Error("write_file", path + ": what is to be written could not be made");
  detail::NewFile file("write_file", path);
  const std::string all = text.str();
  file.write(all.data(), all.size());
  file.commit();
}

namespace detail {

NewFile::NewFile(const char* op, std::string path) : op_(op), path_(std::move(path)) {
  if (!writes_files) return;
  static std::atomic<unsigned> count = 0;  // threads may write the same path
  beside_ = path_ + ".new-" + std::to_string(getpid()) + "-" + std::to_string(count++);
  file_ = open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) system_error();
}

NewFile::~NewFile() {
  if (file_ < 0) return;
  close(file_);
  unlink(beside_.c_str());
}

void NewFile::write(const void* data, std::size_t bytes) {
  if (file_ < 0) return;
  const char* at = static_cast<const char*>(data);
  while (bytes != 0) {
    const ssize_t n = ::write(file_, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) system_error();
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void NewFile::commit() {
  if (file_ < 0) return;
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();  // which may throw
  if (fsync(file_) != 0 || rename(beside_.c_str(), path_.c_str()) != 0) system_error();
  close(std::exchange(file_, -1));
  // The folder holds the name: it is flushed too, where it can be.
  const int directory = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  fsync(directory);
  close(directory);
}

void NewFile::system_error() const { throw Error(op_, path_ + ": " + std::strerror(errno)); }

}  // namespace detail
}  // namespace xtape::nn
