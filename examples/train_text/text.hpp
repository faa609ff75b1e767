// A text as numbers, and windows of it.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <xtensor/xadapt.hpp>

#include <autodiff/indices.hpp>

/// The bytes of a text that differ, in their order: the place of one is its number.
class Alphabet {
 public:
  explicit Alphabet(std::string text) : letters_(std::move(text)) {
    std::ranges::sort(letters_, {}, [](char c) { return static_cast<unsigned char>(c); });
    letters_.erase(std::unique(letters_.begin(), letters_.end()), letters_.end());
  }
  std::size_t size() const { return letters_.size(); }
  char operator[](std::size_t number) const { return letters_[number]; }
  bool operator==(const Alphabet&) const = default;

  /// Error for a character that the text did not have.
  std::vector<std::ptrdiff_t> numbers(const std::string& text) const {
    std::vector<std::ptrdiff_t> all;
    all.reserve(text.size());
    for (const char c : text) {
      const std::size_t number = letters_.find(c);
      if (number == std::string::npos)
        throw std::runtime_error("'" + text + "' has a character that the model's text lacks");
      all.push_back(static_cast<std::ptrdiff_t>(number));
    }
    return all;
  }

  /// As the codes of the bytes, for a note in a checkpoint, which must be UTF-8; and from them.
  std::string codes() const {
    std::string all;
    for (const char c : letters_) all += std::to_string(static_cast<unsigned char>(c)) + " ";
    return all;
  }
  static Alphabet of_codes(std::istream& codes) {
    std::string letters;
    std::transform(std::istream_iterator<int>(codes), {}, std::back_inserter(letters),
                   [](int code) { return static_cast<char>(code); });
    return Alphabet(letters);
  }

 private:
  std::string letters_;
};

/// The contents of files, one behind the other; of a folder all its files by name, but no links to others.
inline std::string read_texts(const std::vector<std::filesystem::path>& paths) {
  std::string all;
  const auto read = [&](const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    all.append(std::istreambuf_iterator<char>(file), {});
    if (!file || std::filesystem::is_directory(path))
      throw std::runtime_error("cannot read " + path.string());
  };
  for (const auto& path : paths) {
    std::vector<std::filesystem::path> files;
    if (std::filesystem::is_directory(path)) {
      for (const auto& entry : std::filesystem::directory_iterator(path))
        if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
      std::ranges::sort(files);
    } else {
      files.push_back(path);
    }
    std::ranges::for_each(files, read);
  }
  return all;
}

/// Stretches of a text: each character of x (n, window) has its successor in y (n·window).
struct Windows {
  xtape::Indices x, y;

  Windows(const std::vector<std::ptrdiff_t>& text, const std::vector<std::size_t>& starts,
          std::size_t window) {
    std::vector<std::ptrdiff_t> from, to;
    for (const std::size_t start : starts) {
      const auto first = text.begin() + static_cast<std::ptrdiff_t>(start);
      from.insert(from.end(), first, first + static_cast<std::ptrdiff_t>(window));
      to.insert(to.end(), first + 1, first + static_cast<std::ptrdiff_t>(window + 1));
    }
    x = xtape::Indices(xt::adapt(from, std::vector{starts.size(), window}));
    y = xtape::Indices(to);
  }
};
