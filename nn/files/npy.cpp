// xtensor writes and reads the format; its reader believes what a file says, so that is checked here before.
#include "../npy.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <regex>
#include <sstream>

#if __has_include(<xtensor/io/xnpy.hpp>)
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xnpy.hpp>
#endif

#include <autodiff/base/text_stream.hpp>

#include "new_file.hpp"

namespace xtape::nn {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw Error("load_npy", path + ": " + what);
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, std::strerror(errno));
  xtape::detail::TextStream text;
  text << file.rdbuf();
  return std::move(text).str();
}

struct Header {
  std::size_t end;  ///< of it, where the elements begin
  std::string text;
};

/// The magic bytes, the version, and the length of the text that follows, which is in the file.
Header header_of(const std::string& path, const std::string& bytes) {
  if (!bytes.starts_with("\x93NUMPY")) fail(path, "is no .npy file");
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u;
  };
  if ((byte(6) != 1 && byte(6) != 2) || byte(7) != 0)
    fail(path, "is of version " + std::to_string(byte(6)) + "." + std::to_string(byte(7)) +
                   ", and 1.0 and 2.0 are known");
  const std::size_t start = byte(6) == 1 ? 10 : 12;
  std::size_t length = 0;
  for (std::size_t i = start; i-- > 8;) length = length << 8 | byte(i);
  if (bytes.size() < start || bytes.size() - start < length) fail(path, "is cut short in its header");
  return {start + length, bytes.substr(start, length)};
}

/// Checks that the header is of elements of type T, and that they fill the file.
template <class T>
void check(const std::string& path, const std::string& bytes) {
  const Header header = header_of(path, bytes);
  if (header.text.size() > 1000)
    fail(path, "has a header of " + std::to_string(header.text.size()) + " bytes");
  static const std::regex form(
      R"(\{ *'descr' *: *'([<>|=][A-Za-z][0-9]+)' *, *'fortran_order' *: *(True|False) *, *)"
      R"('shape' *: *\(((?: *[0-9]+ *,)* *[0-9]* *)\) *,? *\} *\n)");
  std::smatch found;
  if (!std::regex_match(header.text, found, form))
    fail(path,
         "its header is not that of an array of numbers, with descr, fortran_order and shape in this order");
  const std::string type = "<f" + std::to_string(sizeof(T));
  if (found[1] != type) fail(path, "holds elements of type " + found[1].str() + ", not " + type);

  const std::string list = found[3];
  std::size_t size = sizeof(T), axes = 0;
  bool is_empty = false;  // the other dimensions make strides all the same
  for (const char *at = list.data(), *const end = at + list.size(); at != end;) {
    std::size_t d = 1;  // stays where a space or a comma is
    const auto [rest, code] = std::from_chars(at, end, d);
    is_empty = is_empty || d == 0;
    if (code == std::errc::result_out_of_range || __builtin_mul_overflow(size, d == 0 ? 1 : d, &size) ||
        size > std::numeric_limits<std::ptrdiff_t>::max())
      fail(path, "its shape (" + list + ") is too large");
    axes += rest != at;
    at = std::max(rest, at + 1);
  }
  if (is_empty) size = 0;
  if (axes > max_rank)
    fail(path,
         "has " + std::to_string(axes) + " axes, and at most " + std::to_string(max_rank) + " are possible");
  if (bytes.size() - header.end != size)
    fail(path, "its shape (" + list + ") takes " + std::to_string(size) + " bytes, and the file has " +
                   std::to_string(bytes.size() - header.end) + ": it is cut short, or has more than it says");
}

/// The file of a tensor. Where xtensor's stream has no memory for more, it ends and says nothing.
template <class T>
std::string content_of(const Tensor<T>& x) {
  std::string bytes = xt::dump_npy(x.value());
  const std::size_t elements = x.size() * sizeof(T);
  if (bytes.size() <= elements || bytes[bytes.size() - elements - 1] != '\n') throw std::bad_alloc();
  return bytes;
}

}  // namespace

template <class T>
void save_npy(const std::string& path, const Tensor<T>& x) {
  if (!x.defined()) throw Error("save_npy", path + ": the tensor is empty");
  const std::string bytes = content_of(x);
  detail::NewFile file("save_npy", path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

template <class T>
Tensor<T> load_npy(const std::string& path) {
  const std::string bytes = content_of(path);
  check<T>(path, bytes);
  std::istringstream stream(bytes);
  return Tensor<T>(xt::xarray<T>(xt::load_npy<T>(stream)));
}

#define XTAPE_INSTANTIATE(T)                                    \
  template void save_npy(const std::string&, const Tensor<T>&); \
  template Tensor<T> load_npy(const std::string&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
