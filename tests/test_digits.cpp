// The example train_digits: its reader and what it says of bad files, and a run of the program itself.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <regex>

#include <doctest/doctest.h>
#include <unistd.h>

#include <autodiff/autodiff.hpp>

#include "digits.hpp"

namespace {

std::string program;

const std::string real_data = std::string(XTAPE_SOURCE_DIR) + "/examples/train_digits/digits.csv.gz";

/// A file that is gone at the end of the scope.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    path = (std::filesystem::temp_directory_path() / ("xtape_digits_" + std::to_string(getpid()) + ".csv"))
               .string();
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

std::string row(int pixel, int label) {
  std::string text;
  for (int i = 0; i < 64; ++i) text += std::to_string(pixel) + ",";
  return text + std::to_string(label) + "\n";
}

/// What reading a file with this content says, after its name.
std::string error_of(const std::string& content) {
  const TemporaryFile file(content);
  try {
    digits::read(file.path);
  } catch (const digits::DataError& error) {
    const std::string text = error.what();
    REQUIRE(text.starts_with(file.path));
    return text.substr(file.path.size());
  }
  return "no error";
}

std::string run(const std::string& arguments, int& status) {
  std::string text;
  FILE* pipe = popen(("'" + program + "' " + arguments + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  status = pclose(pipe);
  return text;
}

}  // namespace

TEST_CASE("the real data: 1,797 digits, scaled, all classes") {
  const digits::Dataset data = digits::read(real_data);
  CHECK(data.labels.size() == 1797);
  CHECK(data.images.shape()[0] == 1797);
  CHECK(*std::max_element(data.images.begin(), data.images.end()) == 1.0);
  CHECK(*std::min_element(data.images.begin(), data.images.end()) == 0.0);
  for (int c = 0; c < 10; ++c) CHECK(std::count(data.labels.begin(), data.labels.end(), c) > 170);
  CHECK(data.labels[2] == 2);
  CHECK(data.images(0, 2) == 5.0 / 16);
  const digits::Dataset part = digits::select(data, {2, 0});
  CHECK(part.labels == std::vector<int>{2, 0});
  CHECK(part.images(1, 2) == 5.0 / 16);
}

TEST_CASE("plain text, a last line without a line end, and Windows line ends are read") {
  std::string text = row(3, 7) + row(16, 9);
  text.pop_back();
  text.insert(text.find('\n'), "\r");
  const TemporaryFile file(text);
  const digits::Dataset data = digits::read(file.path);
  CHECK(data.labels == std::vector<int>{7, 9});
  CHECK(data.images(0, 63) == 3.0 / 16);
}

TEST_CASE("bad files are named with line and column") {
  CHECK(error_of("") == ": the file holds no digits");
  CHECK(error_of(row(1, 1) + "1,2,3\n") == ":2:6: 3 columns instead of 65 (64 pixels and a label)");
  CHECK(error_of(row(1, 1) + "\n") == ":2:1: 1 columns instead of 65 (64 pixels and a label)");
  CHECK(error_of("1," + row(1, 1)) == ":1:131: 66 columns instead of 65 (64 pixels and a label)");
  CHECK(error_of(row(1, 10)) == ":1:129: label 10 is not from 0 to 9");
  CHECK(error_of(row(1, 1) + row(2, -1)) == ":2:129: label -1 is not from 0 to 9");
  CHECK(error_of(row(17, 1)) == ":1:1: pixel 17 is not from 0 to 16");
  CHECK(error_of("x" + row(1, 1)) == ":1:1: 'x1' is not a whole number");
  CHECK(error_of("1.5" + row(1, 1).substr(1)) == ":1:1: '1.5' is not a whole number");
  std::string missing = row(1, 1);
  missing.erase(4, 1);
  CHECK(error_of(missing) == ":1:5: '' is not a whole number");
  CHECK(error_of("99999999999" + row(1, 1).substr(1)) == ":1:1: '99999999999' is not a whole number");
  CHECK_THROWS_WITH_AS(digits::read("/does/not/exist.csv"), "/does/not/exist.csv: No such file or directory",
                       digits::DataError);
  CHECK_THROWS_AS(digits::read("/"), digits::DataError);
}

TEST_CASE("damaged and cut compressed files are refused") {
  std::ifstream in(real_data, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  CHECK(error_of(whole.substr(0, whole.size() / 2))
            .starts_with(": the compressed data is damaged or cut short: "));
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 0x55);
  CHECK(error_of(flipped) != "no error");
}

TEST_CASE("the program checks its gradients, trains, and reaches 97 %") {
  int status = 0;
  const std::string text = run("--at-least 97", status);
  CHECK_MESSAGE(status == 0, text);
  CHECK(std::regex_search(text, std::regex("dJ/dW1 .*agrees\n")));
  CHECK(text.find("DIFFERS") == std::string::npos);
  CHECK(text.find("epoch  60/60") != std::string::npos);
  CHECK(text.find('\r') == std::string::npos);  // not a terminal: lines, no bar
  std::smatch match;
  REQUIRE(std::regex_search(text, match, std::regex("test accuracy: ([0-9.]+) %\n$")));
  CHECK(std::stod(match[1]) >= 97);
  std::ifstream readme(std::string(XTAPE_SOURCE_DIR) + "/examples/train_digits/README.md");
  const std::string claims((std::istreambuf_iterator<char>(readme)), std::istreambuf_iterator<char>());
  CHECK(claims.find("It reaches " + match[1].str() + " %") != std::string::npos);
}

TEST_CASE("the program's errors are one line and a status") {
  int status = 0;
  CHECK(run("--data /does/not/exist", status) ==
        "train_digits: /does/not/exist: No such file or directory\n");
  CHECK(status != 0);
  const TemporaryFile tiny(row(1, 1) + row(2, 2));
  CHECK(run("--data " + tiny.path, status).find("at least 5 digits are needed") != std::string::npos);
  CHECK(status != 0);
  CHECK(run("--epochs 0", status).find("--epochs") != std::string::npos);
  CHECK(status != 0);
  CHECK(run("--at-least 100 --epochs 1", status).find("test accuracy") != std::string::npos);
  CHECK(status != 0);
  CHECK(run("--help", status).find("--learning-rate") != std::string::npos);
  CHECK(status == 0);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::strncmp(argv[i], "--train-digits=", 15) == 0) program = argv[i] + 15;
  doctest::Context context(argc, argv);
  return context.run();
}
