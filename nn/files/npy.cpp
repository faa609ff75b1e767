// The format of NumPy: magic bytes, a dictionary as text, the elements. What a file says is checked before it
// is believed.
#include "../npy.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include <autodiff/layout.hpp>
#include <autodiff/platform/compiler.hpp>

#include "new_file.hpp"
#include "number_formats.hpp"

namespace xtape::nn {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw Error("load_npy", path + ": " + what);
}

std::string content_of(const std::string& path) {
  if (std::error_code error; std::filesystem::is_directory(path, error)) fail(path, "is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, std::strerror(errno));
  std::ostringstream text;
  text.exceptions(std::ios::badbit);  // where there is no memory, it would end the text there
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

/// Reads a header's text from the front; spaces may stand before each part.
struct Scanner {
  std::string_view rest;

  std::string_view take_while(auto&& wanted) {
    const auto n = std::find_if_not(rest.begin(), rest.end(), wanted) - rest.begin();
    const std::string_view taken = rest.substr(0, static_cast<std::size_t>(n));
    rest.remove_prefix(taken.size());
    return taken;
  }
  std::string_view digits() {
    take_while([](char c) { return c == ' '; });
    return take_while([](char c) { return '0' <= c && c <= '9'; });
  }
  bool take(std::string_view part) {
    take_while([](char c) { return c == ' '; });
    if (!rest.starts_with(part)) return false;
    rest.remove_prefix(part.size());
    return true;
  }
};

/// What the text of a header says: {'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }
struct Description {
  std::string type, shape;  ///< <f8 and 2, 3
  bool is_fortran = false;  ///< the first axis runs fastest
};

std::optional<Description> description_of(const std::string& text) {
  Scanner scan{text};
  const auto key = [&](std::string_view name) { return scan.take(name) && scan.take(":"); };
  if (!text.starts_with('{') || !scan.take("{") || !key("'descr'") || !scan.take("'")) return {};
  const std::string_view type = scan.take_while([](char c) { return c != '\''; });
  if (!scan.take("'") || !scan.take(",") || !key("'fortran_order'")) return {};
  const bool is_fortran = scan.take("True");
  if ((!is_fortran && !scan.take("False")) || !scan.take(",")) return {};
  if (!key("'shape'") || !scan.take("(")) return {};
  const char* const shape = scan.rest.data();
  while (!scan.digits().empty() && scan.take(",")) continue;
  const std::string list(shape, scan.rest.data());
  if (!scan.take(")")) return {};
  scan.take(",");
  if (!scan.take("}") || !scan.take("\n") || !scan.rest.empty()) return {};
  return Description{std::string(type), list, is_fortran};
}

template <class T>
std::string type_text() {
  return "<" + std::string(detail::format_of<T>().numpy);
}

/// Of elements that are described as <f4, >f4 or |b1; null where there is no such type. The low byte is the
/// first, or the high one after >.
const detail::NumberFormat* element_format(const std::string& type) {
  if (type.empty() || std::string_view("<>|").find(type.front()) == std::string_view::npos) return nullptr;
  const auto* const format =
      detail::find_format(&detail::NumberFormat::numpy, std::string_view(type).substr(1));
  return format && type.front() == '|' && format->bytes != 1 ? nullptr : format;
}

/// The array in the bytes of a file, once it is sure that its header is of elements that can be read, which
/// fill the file.
template <class T>
Tensor<T> array_of(const std::string& path, const std::string& bytes, const NpyOptions& options) {
  const Header header = header_of(path, bytes);
  if (header.text.size() > 1000)
    fail(path, "has a header of " + std::to_string(header.text.size()) + " bytes");
  const auto described = description_of(header.text);
  if (!described)
    fail(path,
         "its header is not that of an array of numbers, with descr, fortran_order and shape in this order");
  const std::string &type = described->type, &list = described->shape;
  const detail::NumberFormat* const format = element_format(type);
  if (!format) fail(path, "holds elements of type " + type + ", which cannot be read");
  if (format != &detail::format_of<T>() && !options.convert)
    fail(path, "holds elements of type " + type + ", not " + type_text<T>() + ": give {.convert = true}");

  std::size_t size = format->bytes;
  std::vector<std::size_t> shape;
  bool is_empty = false;  // the other dimensions make strides all the same
  for (const char *at = list.data(), *const end = at + list.size(); at != end;) {
    std::size_t d = 1;  // stays where a space or a comma is
    const auto [rest, code] = std::from_chars(at, end, d);
    is_empty = is_empty || d == 0;
    if (code == std::errc::result_out_of_range || platform::multiply_overflows(size, d == 0 ? 1 : d, size) ||
        size > std::numeric_limits<std::ptrdiff_t>::max())
      fail(path, "its shape (" + list + ") is too large");
    if (rest != at) shape.push_back(d);
    at = std::max(rest, at + 1);
  }
  if (is_empty) size = 0;
  if (shape.size() > max_rank)
    fail(path, "has " + std::to_string(shape.size()) + " axes, and at most " + std::to_string(max_rank) +
                   " are possible");
  if (bytes.size() - header.end != size)
    fail(path, "its shape (" + list + ") takes " + std::to_string(size) + " bytes, and the file has " +
                   std::to_string(bytes.size() - header.end) + ": it is cut short, or has more than it says");

  if (described->is_fortran) std::reverse(shape.begin(), shape.end());
  Tensor<T> x = Tensor<T>::uninitialized(shape, "load_npy");
  const char* at = bytes.data() + header.end;
  const std::size_t good =
      detail::decode<T>(*format, type.front() == '>' ? std::endian::big : std::endian::little,
                        {x.mutable_data(), x.size()}, [&](char* to, std::size_t n) {
                          std::memcpy(to, at, n);
                          at += n;
                        });
  if (good < x.size())
    fail(path, "holds an integer of type " + type + " that " + type_text<T>() +
                   " does not have, at element " + std::to_string(good));
  return described->is_fortran ? transpose(x) : x;
}

/// What stands before the elements: version 1.0, filled up with spaces to a multiple of 64 bytes.
template <class T>
std::string header_for(const Shape& shape) {
  std::string text =
      "{'descr': '" + type_text<T>() + "', 'fortran_order': False, 'shape': " + to_string(shape) + ", }";
  text.append(63 - (10 + text.size()) % 64, ' ');
  text += '\n';
  return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(text.size() & 255u) +
         static_cast<char>(text.size() >> 8) + text;
}

}  // namespace

template <class T>
void save_npy(const std::string& path, const Tensor<T>& x) {
  if (!x.defined()) throw Error("save_npy", path + ": the tensor is empty");
  const std::string header = header_for<T>(x.shape());
  detail::NewFile file("save_npy", path);
  file.write(header.data(), header.size());
  detail::encode<T>(detail::format_of<T>(), {x.data(), x.size()},
                    [&](const char* data, std::size_t bytes) { file.write(data, bytes); });
  file.commit();
}

template <class T>
Tensor<T> load_npy(const std::string& path, const NpyOptions& options) {
  return array_of<T>(path, content_of(path), options);
}

#define XTAPE_INSTANTIATE(T)                                    \
  template void save_npy(const std::string&, const Tensor<T>&); \
  template Tensor<T> load_npy(const std::string&, const NpyOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
