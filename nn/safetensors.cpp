// A file: 8 bytes with the length of the header, the header in JSON, and the elements of all arrays one after
// the other. The header names for each array its type, its shape, and the first and last byte of its
// elements. Among its texts is a checksum, as the format has none.
#include "safetensors.hpp"

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>

#include <zlib.h>

#include <nlohmann/json.hpp>

#include <autodiff/version.hpp>

#include "new_file.hpp"

namespace xtape::nn {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format stores numbers with the low byte first");

using Json = nlohmann::ordered_json;
using Header = std::uint64_t;  // its length
constexpr const char* metadata_key = "__metadata__";
constexpr const char* own_notes = "xtape.";  // what the names of the two below begin with
constexpr const char* version_note = "xtape.version";
constexpr const char* checksum_note = "xtape.crc32";
constexpr std::size_t largest_header = 100'000'000;  // of the format

template <class T>
constexpr const char* type_name = sizeof(T) == 4 ? "F32" : "F64";

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

/// The JSON of a header. Error for text that is not JSON, and for a name that occurs twice.
Json parse_header(const std::string& path, const std::string& text) {
  std::set<std::string> names;
  const auto unique = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > 3) fail("load", path, "the header is nested too deeply");
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second)
      fail("load", path, "'" + value.get<std::string>() + "' occurs twice");
    return true;
  };
  try {
    Json header = Json::parse(text, unique);
    if (header.is_object()) return header;
  } catch (const Json::exception&) {}
  fail("load", path, "the header is not a JSON object");
}

struct Entry {
  Shape shape;
  std::size_t begin, end;
};

/// What the header says of one array; the size of the elements agrees with the shape.
template <class T>
Entry checked_entry(const std::string& path, const std::string& name, const Json& json) {
  const auto wrong = [&](const std::string& what) { fail("load", path, "'" + name + "' " + what); };
  const auto is_list_of_sizes = [](const Json& list) {
    if (!list.is_array()) return false;
    for (const Json& item : list)
      if (!item.is_number_unsigned()) return false;
    return true;
  };
  if (!json.is_object() || json.size() != 3 || !json.contains("dtype") || !json["dtype"].is_string() ||
      !json.contains("shape") || !is_list_of_sizes(json["shape"]) || !json.contains("data_offsets") ||
      !is_list_of_sizes(json["data_offsets"]) || json["data_offsets"].size() != 2)
    wrong("does not have a dtype, a shape and two data_offsets");
  const auto type = json["dtype"].get<std::string>();
  if (type != type_name<T>) wrong("is of type " + type + ", not " + type_name<T>);
  if (json["shape"].size() > max_rank)
    wrong("has " + std::to_string(json["shape"].size()) + " axes, and at most " + std::to_string(max_rank) +
          " are possible");
  const Entry entry{Shape(json["shape"].get<std::vector<std::size_t>>()),
                    json["data_offsets"][0].get<std::size_t>(), json["data_offsets"][1].get<std::size_t>()};
  std::size_t bytes = sizeof(T);
  for (const std::size_t d : entry.shape)
    if (__builtin_mul_overflow(bytes, d, &bytes))
      wrong("of shape " + to_string(entry.shape) + " is too large");
  if (entry.end < entry.begin || entry.end - entry.begin != bytes)
    wrong("of shape " + to_string(entry.shape) + " has data_offsets " + std::to_string(entry.begin) +
          " and " + std::to_string(entry.end) + " instead of " + std::to_string(bytes) + " bytes");
  return entry;
}

/// Takes the writer's own notes out: the checksum, empty for a file of another writer.
std::string take_checksum(const std::string& path, std::map<std::string, std::string>& notes) {
  const bool is_own = notes.erase(version_note) != 0;
  const auto found = notes.extract(checksum_note);
  if (is_own != !found.empty() || (is_own && found.mapped().size() != Checksum::zeros.size()))
    fail("load", path, "the notes of its writer are damaged");
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
void save_tensors(const std::string& path, const NamedTensors<T>& content) {
  Json header = Json::object();
  header[metadata_key] = content.metadata;
  for (const auto& [name, text] : content.metadata)
    if (name.starts_with(own_notes))
      fail("save", path, "the note '" + name + "' has a name that the file uses itself");
  header[metadata_key][version_note] = xtape::version;
  header[metadata_key][checksum_note] = Checksum::zeros;
  std::size_t at = 0;
  for (const auto& [name, tensor] : content.tensors) {
    if (header.contains(name) || name == metadata_key)
      fail("save", path, "two entries have the name '" + name + "'");
    if (!tensor.defined()) fail("save", path, "'" + name + "' is an empty tensor");
    const std::size_t end = at + tensor.size() * sizeof(T);
    header[name] = {{"dtype", type_name<T>},
                    {"shape", std::vector<std::size_t>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) { fail("save", path, "a name or a text is not UTF-8"); }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that elements are aligned
  const Header length = text.size();
  Checksum sum;
  sum.add(text.data(), text.size());
  for (const auto& entry : content.tensors) sum.add(entry.second.data(), entry.second.size() * sizeof(T));
  text.replace(Checksum::place(text, Checksum::zeros), Checksum::zeros.size(), sum.digits());

  detail::NewFile file("save", path);
  file.write(&length, sizeof length);
  file.write(text.data(), text.size());
  for (const auto& entry : content.tensors) file.write(entry.second.data(), entry.second.size() * sizeof(T));
  file.commit();
}

template <class T>
NamedTensors<T> load_tensors(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("load", path, std::strerror(errno));
  const std::streamoff end = file.tellg();
  if (end < 0 || end == std::numeric_limits<std::streamoff>::max()) fail("load", path, "is no file");
  const auto size = static_cast<std::size_t>(end);
  const auto read = [&](void* to, std::size_t bytes) {
    if (!file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)))
      fail("load", path, "the file could not be read to its end");
  };
  Header length = 0;
  if (size < sizeof length)
    fail("load", path, "the file of " + std::to_string(size) + " bytes has no header");
  file.seekg(0);
  read(&length, sizeof length);
  const std::size_t rest = size - sizeof length;
  if (length > rest || length > largest_header)
    fail("load", path,
         "the header claims " + std::to_string(length) + " bytes, and the file has " + std::to_string(rest) +
             ": it is cut short, or no safetensors file");
  std::string text(length, ' ');
  read(text.data(), length);
  const Json header = parse_header(path, text);

  NamedTensors<T> content;
  std::vector<std::pair<std::string, Entry>> entries;
  std::size_t expected = 0;
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_key) {
      if (!value.is_object()) fail("load", path, "the metadata is no object of texts");
      for (const auto& [key, one] : value.items()) {
        if (!one.is_string()) fail("load", path, "the metadata '" + key + "' is no text");
        content.metadata[key] = one.template get<std::string>();
      }
      continue;
    }
    entries.emplace_back(name, checked_entry<T>(path, name, value));
  }
  const std::string checksum = take_checksum(path, content.metadata);
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.second.begin < b.second.begin; });
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
  for (const auto& [name, entry] : entries) {
    Tensor<T> tensor = Tensor<T>::uninitialized(entry.shape, "load");
    read(tensor.mutable_data(), entry.end - entry.begin);
    if (!checksum.empty()) sum.add(tensor.data(), entry.end - entry.begin);
    content.tensors.emplace_back(name, std::move(tensor));
  }
  if (!checksum.empty() && sum.digits() != checksum)
    fail("load", path,
         "its checksum is not that of its bytes: it is damaged, or another program changed it and left the "
         "notes 'xtape.…' as they were");
  return content;
}

#define XTAPE_INSTANTIATE(T)                                              \
  template struct NamedTensors<T>;                                        \
  template void save_tensors(const std::string&, const NamedTensors<T>&); \
  template NamedTensors<T> load_tensors(const std::string&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
