// The header of a safetensors file: its JSON as the items it names, without a tree of JSON values, whose
// destructor asks for memory.
#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace xtape::nn::detail {

/// What one name stands for: an array, or the notes.
struct HeaderItem {
  struct Field {
    std::optional<std::string> text{};
    std::optional<std::vector<std::size_t>> sizes{};  ///< of a list of integers from 0
  };
  std::string name;
  bool is_object = false;
  std::map<std::string, Field> fields{};
};

/// The items in the order of the text. Error, beginning with "[load] path: ", for text that is no JSON
/// object, one that is nested too deeply, and a name that occurs twice.
std::vector<HeaderItem> parse_header(const std::string& path, const std::string& text);

/// A text between quotes, as JSON writes it. Nothing for one that is not UTF-8.
std::optional<std::string> quoted(const std::string& text);

}  // namespace xtape::nn::detail
