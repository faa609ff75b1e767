// Arrays in files: written and read back bit for bit, files written by hand, and damaged ones.
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>

#include "../check_close.hpp"
#include "bytes.hpp"

#include <zlib.h>
#include <autodiff/platform/system.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using nn::NamedTensors;

namespace {

/// A folder that is gone at the end of the scope.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               ("xtape_safetensors_" + std::to_string(platform::process_id()));
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A file with this header and so many bytes of elements, which count up from 0.
std::string file_of(const std::string& header, std::size_t bytes) {
  std::string text = low_byte_first(std::uint64_t(header.size())) + header;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(i);
  return text;
}

/// What reading these bytes says, after the path.
std::string error_of(const std::string& bytes) {
  const Folder folder;
  const std::string path = folder.file("a.safetensors");
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    nn::load_tensors<float>(path);
  } catch (const Error& error) {
    const std::string text = error.what(), start = "[load] " + path + ": ";
    REQUIRE(text.starts_with(start));
    return text.substr(start.size());
  }
  return "no error";
}

std::string with_entry(const std::string& entry, std::size_t bytes = 8) {
  return file_of("{\"w\":" + entry + "}", bytes);
}

}  // namespace

TEST_CASE_TEMPLATE("what is saved is loaded, bit for bit, in its order", T, float, double) {
  const Folder folder;
  const std::string path = folder.file("model.safetensors");
  const T infinity = std::numeric_limits<T>::infinity();
  NamedTensors<T> content;
  content.tensors = {{"z.weight", random::normal<T>({3, 2})},
                     {"a", Tensor<T>(2.5)},
                     {"empty", zeros<T>({0, 4})},
                     {"ünï \"code\"\n", Tensor<T>({-T(0), infinity, std::numeric_limits<T>::denorm_min()})}};
  content.metadata = {{"epoch", "7"}, {"note", "a \"text\""}};
  nn::save_tensors(path, content);
  const NamedTensors<T> back = nn::load_tensors<T>(path);
  CHECK(back.metadata == content.metadata);
  REQUIRE(back.tensors.size() == content.tensors.size());
  for (std::size_t i = 0; i < back.tensors.size(); ++i) {
    const Tensor<T>&a = content.tensors[i].second, &b = back.tensors[i].second;
    CHECK(content.tensors[i].first == back.tensors[i].first);
    REQUIRE(a.shape() == b.shape());
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
  }
  CHECK(back.at("a").item() == T(2.5));
  CHECK_THROWS_WITH_AS(back.at("b"), "[load] there is no 'b'", Error);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) ==
        1);  // nothing is left beside it

  nn::save_tensors(path, NamedTensors<T>{});  // takes the place of what was there
  CHECK(nn::load_tensors<T>(path).tensors.empty());
}

TEST_CASE("the bytes are those of the format, and a file written by hand is read") {
  const Folder folder;
  const std::string path = folder.file("a.safetensors");
  nn::save_tensors<float>(path, {.tensors = {{"w", Tensor<float>({1.0, 2.0})}}, .metadata = {}});
  const auto expected = [&](const std::string& format, const std::string& digits) {
    std::string header = "{\"__metadata__\":{" + format + "\"xtape.version\":\"" + xtape::version +
                         "\",\"xtape.crc32\":\"" + digits +
                         "\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    header.append(7 - (header.size() + 7) % 8, ' ');
    return file_of(header, 0) + low_byte_first(1.0f) + low_byte_first(2.0f);
  };
  const std::string pt = "\"format\":\"pt\",\"xtape.format\":\"pt\",";
  for (const std::string& format : {pt, std::string()}) {  // those of 0.1 had no format
    const std::string summed = expected(format, "00000000").substr(8);
    std::ostringstream digits;
    digits << std::hex << std::setw(8) << std::setfill('0')
           << crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(summed.data()),
                    static_cast<uInt>(summed.size()));
    const std::string bytes = expected(format, digits.str());
    if (!format.empty()) CHECK(content_of(path) == bytes);
    std::ofstream(path, std::ios::binary) << bytes;
    CHECK(nn::load_tensors<float>(path).at("w").size() == 2);
    CHECK(nn::load_tensors<float>(path).metadata.empty());
  }

  std::string bytes = file_of(
      "{ \"b\": {\"shape\": [], \"dtype\": \"F32\", \"data_offsets\": [4, 8]},\n"
      "  \"a\": {\"data_offsets\": [0, 4], \"dtype\": \"F32\", \"shape\": [1, 1]}, \"__metadata__\": {\"k\": "
      "\"v\"}}   ",
      0);
  bytes += low_byte_first(1.0f) + low_byte_first(2.0f);
  std::ofstream(path, std::ios::binary) << bytes;
  const auto content = nn::load_tensors<float>(path);
  CHECK(content.tensors[0].first == "a");
  CHECK(content.at("a").shape() == Shape{1, 1});
  CHECK(content.at("a").item() == 1);
  CHECK(content.at("b").item() == 2);
  CHECK(content.metadata.at("k") == "v");
}

TEST_CASE("damaged files are refused, and the error names the entry") {
  const std::string good = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";
  CHECK(error_of(with_entry(good)) == "no error");
  CHECK(error_of("") == "the file of 0 bytes has no header");
  CHECK(error_of(std::string(8, '\xff')) ==
        "the header claims 18446744073709551615 bytes, and the file has 0: it is cut short, or no "
        "safetensors file");
  CHECK(error_of(with_entry(good).substr(0, 20)).starts_with("the header claims "));
  CHECK(error_of(file_of("[1, 2]", 0)) == "the header is not a JSON object");
  CHECK(error_of(file_of("{\"w\":", 0)) == "the header is not a JSON object");
  CHECK(error_of(file_of("{\"w\":" + std::string(50000, '['), 0)) == "the header is nested too deeply");
  CHECK(error_of(file_of("{\"w\":" + good + ",\"w\":" + good + "}", 8)) == "'w' occurs twice");
  CHECK(error_of(with_entry("3")) == "'w' does not have a dtype, a shape and two data_offsets");
  CHECK(error_of(with_entry("{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}")) ==
        "'w' does not have a dtype, a shape and two data_offsets");
  CHECK(error_of(with_entry("{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}")) ==
        "'w' is of type F64, not F32: give {.convert = true}");
  CHECK(error_of(with_entry("{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}")) ==
        "'w' of shape (3,) has data_offsets 0 and 8 instead of 12 bytes");
  CHECK(error_of(with_entry("{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,0]}",
                            0)) == "'w' of shape (4294967296, 4294967296, 4) is too large");
  CHECK(error_of(with_entry("{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}", 4)) ==
        "'w' has 9 axes, and at most 8 are possible");
  CHECK(error_of(with_entry("{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}", 12)) ==
        "'w' begins at byte 4 instead of 0");
  CHECK(error_of(with_entry(good, 7)) ==
        "the arrays take 8 bytes, and the file has 7: it is cut short, or has more than it says");
  CHECK(error_of(with_entry(good, 9)) ==
        "the arrays take 8 bytes, and the file has 9: it is cut short, or has more than it says");
  CHECK(error_of(file_of("{\"__metadata__\":{\"a\":1}}", 0)) == "the metadata 'a' is no text");
  for (const char* metadata : {"[]", "\"a\"", "null", "7"})
    CHECK(error_of(file_of(std::string("{\"__metadata__\":") + metadata + "}", 0)) ==
          "the metadata is no object of texts");
}

TEST_CASE("whatever bit of a file is flipped, and wherever it is cut, it is refused") {
  const Folder folder;
  const std::string path = folder.file("a.safetensors");
  nn::save_tensors<float>(path, {.tensors = {{"w", Tensor<float>({1.0, 2.0})}, {"b", Tensor<float>(3)}},
                                 .metadata = {{"rate", "0.1"}}});
  const std::string good = content_of(path);
  CHECK(error_of(good) == "no error");
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    CAPTURE(bit);
    CHECK(error_of(bytes) != "no error");
  }
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(error_of(good.substr(0, size)) != "no error");
  CHECK(error_of(good + " ") != "no error");
  std::string changed = good;
  changed.back() = 1;
  CHECK(error_of(changed) ==
        "its checksum is not that of its bytes: it is damaged, or another program changed it and left the "
        "notes "
        "'xtape.…' as they were");
  const std::string entry = "\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}";
  for (const char* notes : {"\"xtape.version\":\"1\"", "\"xtape.crc32\":\"00000000\"",
                            "\"xtape.version\":\"1\",\"xtape.crc32\":\"0\""})
    CHECK(error_of(file_of(std::string("{\"__metadata__\":{") + notes + "}," + entry, 4)) ==
          "the notes of its writer are damaged");
  CHECK_THROWS_WITH_AS(
      nn::save_tensors<float>(path, {.tensors = {}, .metadata = {{"xtape.x", ""}}}),
      ("[save] " + path + ": the note 'xtape.x' has a name that the file uses itself").c_str(), Error);
}

TEST_CASE("what cannot be saved is an error, and the old file stays") {
  const Folder folder;
  const std::string path = folder.file("a.safetensors");
  const Tensor<double> one(1.0);
  nn::save_tensors<double>(path, {.tensors = {{"w", one}}, .metadata = {}});
  const std::string before = content_of(path);
  CHECK_THROWS_WITH_AS(nn::save_tensors<double>(path, {.tensors = {{"w", one}, {"w", one}}, .metadata = {}}),
                       ("[save] " + path + ": two entries have the name 'w'").c_str(), Error);
  CHECK_THROWS_WITH_AS(nn::save_tensors<double>(path, {.tensors = {{"w", Tensor<double>()}}, .metadata = {}}),
                       ("[save] " + path + ": 'w' is an empty tensor").c_str(), Error);
  CHECK_THROWS_WITH_AS(nn::save_tensors<double>(path, {.tensors = {{"\xff", one}}, .metadata = {}}),
                       ("[save] " + path + ": a name or a text is not UTF-8").c_str(), Error);
  CHECK(content_of(path) == before);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
  CHECK_THROWS_WITH_AS(nn::save_tensors<double>("/does/not/exist/a", {}),
                       "[save] /does/not/exist/a: No such file or directory", Error);
  CHECK_THROWS_WITH_AS(nn::load_tensors<double>("/does/not/exist/a"),
                       "[load] /does/not/exist/a: No such file or directory", Error);
  CHECK_THROWS_WITH_AS(nn::load_tensors<double>(folder.path.string()),
                       ("[load] " + folder.path.string() + ": is a folder").c_str(), Error);
}
