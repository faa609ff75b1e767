// The example train_digits as a program: what it prints, and its errors.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>

#include <doctest/doctest.h>
#include <unistd.h>

namespace {

std::string program;

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

TEST_CASE("it checks its gradients, trains, and reaches 97 %") {
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
}

TEST_CASE("its errors are one line and a status") {
  int status = 0;
  CHECK(run("--data /does/not/exist", status) ==
        "train_digits: [from_csv] /does/not/exist: No such file or directory\n");
  CHECK(status != 0);
  const auto tiny = std::filesystem::temp_directory_path() / ("xtape_digits_" + std::to_string(getpid()));
  for (const char* label : {"1", "10"}) {
    std::ofstream file(tiny);
    for (int i = 0; i < 64; ++i) file << "16,";
    file << label << '\n';
    file.close();
    const std::string text = run("--data " + tiny.string(), status);
    CHECK_MESSAGE(
        text.find(label == std::string("1") ? "at least 3 digits are needed"
                                            : ":1:193: label 10 is not from 0 to 9") != std::string::npos,
        text);
    CHECK(status != 0);
  }
  std::filesystem::remove(tiny);
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
