// By the C library's files, since streams cannot be flushed to the disk.
#include "new_file.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include <autodiff/error.hpp>
#include <autodiff/platform/system.hpp>

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
  beside_ = path_ + ".new-" + std::to_string(platform::process_id()) + "-" + std::to_string(count++);
  file_ = platform::create_file(beside_.c_str());
  if (!file_) system_error();
}

NewFile::~NewFile() {
  if (!file_) return;
  std::fclose(file_);
  std::remove(beside_.c_str());
}

void NewFile::write(const void* data, std::size_t bytes) {
  if (!file_) return;
  for (const char* at = static_cast<const char*>(data);;) {
    const std::size_t n = std::fwrite(at, 1, bytes, file_);
    if (n == bytes) return;
    if (errno != EINTR) system_error();
    std::clearerr(file_);
    at += n;
    bytes -= n;
  }
}

void NewFile::commit() {
  if (!file_) return;
  const std::string folder = std::filesystem::path(path_).parent_path().string();  // which may throw
  if (!platform::flush_to_disk(file_)) system_error();
  // On Windows an open file keeps its name.
  const bool is_closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!is_closed || !platform::replace_file(beside_.c_str(), path_.c_str())) {
    const int error = errno;
    std::remove(beside_.c_str());
    errno = error;
    system_error();
  }
  platform::flush_folder(folder.empty() ? "." : folder.c_str());  // which holds the name
}

void NewFile::system_error() const { throw Error(op_, path_ + ": " + std::strerror(errno)); }

}  // namespace detail
}  // namespace xtape::nn
