// A file: 8 bytes with the length of the header, the header in JSON, and the elements of all arrays one after
// the other. The header names for each array its type, its shape, and the first and last byte of its
// elements. Among its texts is a checksum, as the format has none.
#include "../safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <system_error>

#include <zlib.h>

#include <autodiff/platform/compiler.hpp>
#include <autodiff/version.hpp>

#include "new_file.hpp"
#include "number_formats.hpp"
#include "safetensors_header.hpp"

namespace xtape::nn {
namespace {

using HeaderLength = std::array<unsigned char, 8>;  // the low byte first
constexpr const char* metadata_key = "__metadata__";
constexpr const char* own_notes = "xtape.";  // what the names of the two below begin with
constexpr const char* version_note = "xtape.version";
constexpr const char* checksum_note = "xtape.crc32";
constexpr const char* format_note = "format";
constexpr const char* own_format_note = "xtape.format";  // says that the note above is the writer's, too
constexpr std::size_t largest_header = 100'000'000;      // of the format

[[noreturn]] void fail(const char* op, const std::string& path, const std::string& what) {
  throw Error(op, path + ": " + what);
}

/// The CRC-32 of a file while it is written or read: of its header, with zeros for the digits of the checksum
/// itself, and of all elements.
class Checksum {
 public:
  static constexpr std::string_view zeros = "00000000";

  void add(const void* data, std::size_t bytes) {
    value_ = crc32_z(value_, static_cast<const Bytef*>(data), bytes);
  }
  std::string digits() const {
    std::string text(zeros);
    for (std::size_t i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[value_ >> (28 - 4 * i) & 15];
    return text;
  }
  /// Where the digits are in a header; npos if they are not there as this writer puts them.
  static std::size_t place(const std::string& header, std::string_view digits) {
    const std::string before = std::string("\"") + checksum_note + "\":\"";
    const std::size_t found = header.find(before + std::string(digits) + "\"");
    return found == std::string::npos ? found : found + before.size();
  }

 private:
  uLong value_ = crc32_z(0, nullptr, 0);
};

struct Entry {
  Shape shape;
  std::size_t begin, end;
  const detail::NumberFormat* format;  ///< null for an array that is left out
};

/// What the header says of one array; the size of the elements agrees with the shape, where the type is
/// known.
template <class T>
Entry checked_entry(const std::string& path, const detail::HeaderItem& item,
                    const LoadTensorsOptions& options) {
  const auto wrong = [&](const std::string& what) { fail("load", path, "'" + item.name + "' " + what); };
  const auto field = [&](const char* name) {
    const auto found = item.fields.find(name);
    return found == item.fields.end() ? detail::HeaderItem::Field{} : found->second;
  };
  const auto type = field("dtype").text;
  const auto shape = field("shape").sizes, offsets = field("data_offsets").sizes;
  if (item.fields.size() != 3 || !type || !shape || !offsets || offsets->size() != 2)
    wrong("does not have a dtype, a shape and two data_offsets");
  const bool is_wanted = !options.only || options.only(item.name);
  const detail::NumberFormat* const format = detail::find_format(&detail::NumberFormat::name, *type);
  const detail::NumberFormat& own = detail::format_of<T>();
  if (is_wanted && !format) wrong("is of type " + *type + ", which cannot be read");
  if (is_wanted && format != &own && !options.convert)
    wrong("is of type " + *type + ", not " + std::string(own.name) + ": give {.convert = true}");
  if (is_wanted && shape->size() > max_rank)
    wrong("has " + std::to_string(shape->size()) + " axes, and at most " + std::to_string(max_rank) +
          " are possible");
  Entry entry{{}, offsets->front(), offsets->back(), is_wanted ? format : nullptr};
  if (!format || shape->size() > max_rank) {
    if (entry.end < entry.begin) wrong("ends before it begins");
    return entry;
  }
  entry.shape = Shape(*shape);
  std::size_t bytes = format->bytes;
  for (const std::size_t d : entry.shape)
    if (platform::multiply_overflows(bytes, d, bytes))
      wrong("of shape " + to_string(entry.shape) + " is too large");
  if (entry.end < entry.begin || entry.end - entry.begin != bytes)
    wrong("of shape " + to_string(entry.shape) + " has data_offsets " + std::to_string(entry.begin) +
          " and " + std::to_string(entry.end) + " instead of " + std::to_string(bytes) + " bytes");
  return entry;
}

/// Takes the writer's own notes out; the checksum is empty for a file of another writer.
std::string take_checksum(const std::string& path, std::map<std::string, std::string>& notes) {
  const bool is_own = notes.erase(version_note) != 0;
  const auto found = notes.extract(checksum_note);
  if (is_own != !found.empty() || (is_own && found.mapped().size() != Checksum::zeros.size()))
    fail("load", path, "the notes of its writer are damaged");
  if (is_own && notes.erase(own_format_note) != 0) notes.erase(format_note);
  return is_own ? found.mapped() : std::string();
}

}  // namespace

template <class T>
const Tensor<T>& NamedTensors<T>::at(const std::string& name) const {
  for (const auto& [own, tensor] : tensors)
    if (own == name) return tensor;
  throw Error("load", "there is no '" + name + "'");
}

template <class T>
void save_tensors(const std::string& path, const NamedTensors<T>& content, const SaveOptions& options) {
  constexpr const char* types[] = {"F16", "BF16", "F32", "F64"};
  const detail::NumberFormat& format =
      options.dtype
          ? *detail::find_format(&detail::NumberFormat::name, types[static_cast<int>(*options.dtype)])
          : detail::format_of<T>();
  const auto in_quotes = [&](const std::string& name) {
    const auto json = detail::quoted(name);
    if (!json) fail("save", path, "a name or a text is not UTF-8");
    return *json;
  };
  std::string text = "{" + in_quotes(metadata_key) + ":{";
  for (const auto& [name, note] : content.metadata) {
    if (name.starts_with(own_notes))
      fail("save", path, "the note '" + name + "' has a name that the file uses itself");
    text += in_quotes(name) + ":" + in_quotes(note) + ",";
  }
  if (!content.metadata.contains(format_note))
    text += in_quotes(format_note) + ":\"pt\"," + in_quotes(own_format_note) + ":\"pt\",";
  text += in_quotes(version_note) + ":" + in_quotes(xtape::version) + "," + in_quotes(checksum_note) + ":" +
          in_quotes(std::string(Checksum::zeros)) + "}";
  std::set<std::string> names{metadata_key};
  std::size_t at = 0;
  for (const auto& [name, tensor] : content.tensors) {
    if (!names.insert(name).second) fail("save", path, "two entries have the name '" + name + "'");
    if (!tensor.defined()) fail("save", path, "'" + name + "' is an empty tensor");
    const std::size_t end = at + tensor.size() * format.bytes;
    text += "," + in_quotes(name) + ":{\"dtype\":\"" + std::string(format.name) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.rank(); ++i)
      text += (i == 0 ? "" : ",") + std::to_string(tensor.shape()[i]);
    text += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(end) + "]}";
    at = end;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that elements are aligned
  HeaderLength length;
  for (std::size_t i = 0; i < length.size(); ++i)
    length[i] = static_cast<unsigned char>(text.size() >> 8 * i);
  const auto each_piece = [&](const std::function<void(const char*, std::size_t)>& f) {
    for (const auto& entry : content.tensors)
      detail::encode<T>(format, {entry.second.data(), entry.second.size()}, f);
  };
  Checksum sum;
  sum.add(text.data(), text.size());
  each_piece([&](const char* data, std::size_t bytes) { sum.add(data, bytes); });
  text.replace(Checksum::place(text, Checksum::zeros), Checksum::zeros.size(), sum.digits());

  detail::NewFile file("save", path);
  file.write(length.data(), length.size());
  file.write(text.data(), text.size());
  each_piece([&](const char* data, std::size_t bytes) { file.write(data, bytes); });
  file.commit();
}

template <class T>
NamedTensors<T> load_tensors(const std::string& path, const LoadTensorsOptions& options) {
  if (std::error_code error; std::filesystem::is_directory(path, error)) fail("load", path, "is a folder");
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("load", path, std::strerror(errno));
  const std::streamoff end = file.tellg();
  if (end < 0) fail("load", path, "has no size, as a file has");
  const auto size = static_cast<std::size_t>(end);
  const auto read = [&](void* to, std::size_t bytes) {
    if (!file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)))
      fail("load", path, "the file could not be read to its end");
  };
  HeaderLength lowest_first;
  if (size < sizeof lowest_first)
    fail("load", path, "the file of " + std::to_string(size) + " bytes has no header");
  file.seekg(0);
  read(&lowest_first, sizeof lowest_first);
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | lowest_first[i];
  const std::size_t rest = size - sizeof lowest_first;
  if (length > rest || length > largest_header)
    fail("load", path,
         "the header claims " + std::to_string(length) + " bytes, and the file has " + std::to_string(rest) +
             ": it is cut short, or no safetensors file");
  std::string text(length, ' ');
  read(text.data(), length);

  NamedTensors<T> content;
  std::vector<std::pair<std::string, Entry>> entries;
  std::size_t expected = 0;
  for (const detail::HeaderItem& item : detail::parse_header(path, text)) {
    if (item.name != metadata_key) {
      entries.emplace_back(item.name, checked_entry<T>(path, item, options));
      continue;
    }
    if (!item.is_object) fail("load", path, "the metadata is no object of texts");
    for (const auto& [key, field] : item.fields) {
      if (!field.text) fail("load", path, "the metadata '" + key + "' is no text");
      content.metadata[key] = *field.text;
    }
  }
  const std::string checksum = take_checksum(path, content.metadata);
  std::ranges::stable_sort(entries, {}, [](const auto& entry) {
    return std::pair(entry.second.begin, entry.second.end);  // which puts empty arrays first
  });
  for (const auto& [name, entry] : entries) {
    if (entry.begin != expected)
      fail("load", path,
           "'" + name + "' begins at byte " + std::to_string(entry.begin) + " instead of " +
               std::to_string(expected));
    expected = entry.end;
  }
  if (expected != rest - length)
    fail("load", path,
         "the arrays take " + std::to_string(expected) + " bytes, and the file has " +
             std::to_string(rest - length) + ": it is cut short, or has more than it says");
  Checksum sum;
  if (!checksum.empty()) {
    if (const std::size_t place = Checksum::place(text, checksum); place != std::string::npos)
      text.replace(place, Checksum::zeros.size(), Checksum::zeros);
    sum.add(text.data(), text.size());
  }
  const auto read_elements = [&](char* to, std::size_t bytes) {
    read(to, bytes);
    if (!checksum.empty()) sum.add(to, bytes);
  };
  for (const auto& [name, entry] : entries) {
    if (!entry.format && checksum.empty())
      file.seekg(static_cast<std::streamoff>(entry.end - entry.begin), std::ios::cur);
    if (!entry.format) {
      std::array<char, 1 << 14> unused;
      for (std::size_t left = checksum.empty() ? 0 : entry.end - entry.begin, n; left != 0; left -= n)
        read_elements(unused.data(), n = std::min(left, unused.size()));
      continue;
    }
    Tensor<T> tensor = Tensor<T>::uninitialized(entry.shape, "load");
    const std::size_t good = detail::decode<T>(*entry.format, std::endian::little,
                                               {tensor.mutable_data(), tensor.size()}, read_elements);
    if (good < tensor.size())
      fail("load", path,
           "'" + name + "' of type " + std::string(entry.format->name) + " holds an integer that " +
               std::string(detail::format_of<T>().name) + " does not have, at element " +
               std::to_string(good) + ": leave it out");
    content.tensors.emplace_back(name, std::move(tensor));
  }
  if (!checksum.empty() && sum.digits() != checksum)
    fail("load", path,
         "its checksum is not that of its bytes: it is damaged, or another program changed it and left the "
         "notes 'xtape.…' as they were");
  return content;
}

#define XTAPE_INSTANTIATE(T)                                                                  \
  template struct NamedTensors<T>;                                                            \
  template void save_tensors(const std::string&, const NamedTensors<T>&, const SaveOptions&); \
  template NamedTensors<T> load_tensors(const std::string&, const LoadTensorsOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
