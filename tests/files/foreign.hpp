// Files of safetensors as other programs write them.
#pragma once
#include <filesystem>
#include <fstream>

#include "../check_close.hpp"
#include "../nn/golden_nn.hpp"

#include <autodiff/platform/system.hpp>
#include <nn/nn.hpp>

namespace xtape::test {

inline const std::string folder = std::string(XTAPE_SOURCE_DIR) + "/tests/files/foreign/";

inline const Json& expected() {
  static const Json json = Json::parse(std::ifstream(folder + "expected.json"));
  return json;
}

/// A path that nothing is at before and after.
struct Path {
  std::string name =
      (std::filesystem::temp_directory_path() / ("xtape_foreign_" + std::to_string(platform::process_id())))
          .string();
  ~Path() { std::filesystem::remove(name); }
};

/// Writes a file of these entries of a header and bytes of elements.
inline void write(const std::string& path, const std::string& entries, const std::string& elements) {
  std::ofstream file(path, std::ios::binary);
  const std::string header = "{" + entries + "}";
  file << static_cast<char>(header.size() & 255) << static_cast<char>(header.size() >> 8)
       << std::string(6, '\0') << header << elements;
}

inline std::string entry(const std::string& name, const std::string& type, const std::string& shape,
                         std::size_t begin, std::size_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

/// Integers as files store them, the low byte first.
template <class I>
std::string bytes_of(const std::vector<I>& numbers) {
  std::string bytes;
  for (const I x : numbers)
    for (std::size_t b = 0; b < sizeof(I); ++b)
      bytes += static_cast<char>(static_cast<std::uint64_t>(x) >> 8 * b & 255);
  return bytes;
}

inline std::string text_of(const auto& f) {
  try {
    f();
  } catch (const Error& error) { return error.what(); }
  return "no error";
}

}  // namespace xtape::test
