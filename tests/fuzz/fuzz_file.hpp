// What the fuzz targets share: the input as a file, and that nothing but an Error is thrown for it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

#include <autodiff/tensor.hpp>

namespace xtape::fuzz {

/// Bytes as a file in memory, with a path.
class File {
 public:
  explicit File(std::string_view bytes) : file_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (file_ < 0 || write(file_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("no file in memory");
  }
  ~File() { close(file_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

/// Whether f does not throw an Error. Any other exception is a finding, and ends the program.
template <class F>
bool accepted(const F& f) {
  try {
    f();
    return true;
  } catch (const Error& error) {
    if (std::string_view(error.what()).empty()) throw std::logic_error("an error without a text");
    return false;
  }
}

/// Ends the program: what the fuzzer calls a finding.
inline void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// A path for what is written to be read again.
inline std::string scratch_path() { return "/tmp/xtape_fuzz_" + std::to_string(getpid()); }

template <class T>
void require_same(const Tensor<T>& x, const Tensor<T>& y) {
  require(x.shape() == y.shape(), "another shape came back");
  require(x.size() == 0 || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0,
          "other elements came back");
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace xtape::fuzz
