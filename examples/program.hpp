// What the main functions of the examples share: options of the command line, and errors as one line. CLI11
// is behind program.cpp, so that it is compiled once.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace examples {

using Paths = std::vector<std::filesystem::path>;

/// What an option takes; anything when nothing is set.
struct Allowed {
  int low = 0, high = 0;             ///< a number from low to high
  bool positive = false;             ///< a finite number above 0
  std::vector<std::string> words{};  ///< one of these
};

/// An example's command line.
///
///     Program program("train", "Trains a network.");
///     program.option("--epochs", epochs, "passes over the data", {.low = 1, .high = 1000});
///     return program.run(argc, argv, [&] { train(epochs); });
class Program {
 public:
  Program(const std::string& name, const std::string& description);
  ~Program();

  /// An option whose value goes to `value`, which holds the default: a string, a path, several paths, an int,
  /// a std::size_t or a double.
  template <class T>
  void option(const std::string& name, T& value, const std::string& help, const Allowed& allowed = {});
  /// An option without a value, which makes sense beside another option only.
  void flag(const std::string& name, bool& value, const std::string& help, const std::string& needed);
  /// --out, the folder that files are written to, which must be there.
  void out_option(std::filesystem::path& out);

  /// Reads the options and calls `body`. Gives the exit status: 0, or 1 after an error, which is one line on
  /// the standard error: "NAME: what is wrong".
  int run(int argc, char** argv, const std::function<void()>& body);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace examples
