// Files that Derivation::cpp() writes, compiled together and run.
#pragma once
#include <dlfcn.h>

#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <autodiff/autodiff.hpp>
#include <autodiff/derivation.hpp>

namespace xtape::test {

/// What is compared: distances relative to the largest element, and how many numbers have the same bits.
struct Agreement {
  double largest = 0;
  std::size_t numbers = 0, same_bits = 0;
  std::string worst;  ///< which function differs most
};

/// Functions of derivations, each in a namespace of its own, in one file.
class WrittenCpp {
 public:
  static bool have_compiler() { return std::system("c++ --version >/dev/null 2>&1") == 0; }

  template <class T>
  using Named = std::vector<std::pair<std::string, Tensor<T>>>;

  /// The function is to give this loss, and these gradients of the named tensors (an empty one: not looked
  /// at).
  template <class T>
  void add(const std::string& what, const Derivation& derivation, const Named<T>& named,
           const Tensor<T>& loss, const std::vector<Tensor<T>>& gradients, const CppOptions& options = {}) {
    const std::string name = "f" + std::to_string(functions_.size()), text = derivation.cpp(name, options);
    Function one{what, sizeof(T), {}, {}, {}};
    std::istringstream lines(text);
    std::string calls;
    for (std::string line; std::getline(lines, line) && line.starts_with("//");) {
      std::istringstream words(line);
      std::string slashes, argument, way;
      words >> slashes >> argument >> way;
      const bool is_in = way == "in";
      if (!is_in && way != "out") continue;
      const std::string of = is_in ? argument : argument.substr(2);
      const auto at = std::ranges::find(named, of, &Named<T>::value_type::first);
      if (at == named.end()) throw std::runtime_error(what + ": an argument '" + of + "' that was not named");
      const std::string type = sizeof(T) == sizeof(float) ? "float" : "double";
      std::vector<std::byte>& bytes = (is_in ? one.inputs : one.expected).emplace_back();
      const Tensor<T> values =
          is_in ? at->second.detach() : gradients[static_cast<std::size_t>(at - named.begin())];
      bytes.resize(values.size() * sizeof(T));
      std::memcpy(bytes.data(), values.data(), bytes.size());
      calls += (calls.empty() ? "" : ", ") + std::string("static_cast<") + (is_in ? "const " : "") + type +
               "*>(" +
               (is_in ? "in[" + std::to_string(one.inputs.size() - 1)
                      : "out[" + std::to_string(one.expected.size() - 1)) +
               "])";
    }
    one.expected.emplace_back(sizeof(T));
    const T number = loss.item();
    std::memcpy(one.expected.back().data(), &number, sizeof(T));
    functions_.push_back(std::move(one));
    std::istringstream again(text);
    bodies_ += "namespace n" + name + " {\n";
    for (std::string line; std::getline(again, line);)
      if (!line.starts_with("#include"))
        bodies_ += line + "\n";
      else if (line.find("cblas") != std::string::npos)
        includes_ = line + "\n";
    bodies_ += "}\nextern \"C\" void run_" + name + "(const void* const* in, void* const* out);\nvoid run_" +
               name + "([[maybe_unused]] const void* const* in, void* const* out) {\n  *static_cast<" +
               (sizeof(T) == sizeof(float) ? "float" : "double") + "*>(out[" +
               std::to_string(functions_.back().expected.size() - 1) + "]) = n" + name + "::" + name + "(" +
               calls + ");\n}\n";
  }

  /// Compiles all of it with warnings as errors, and runs it. Empty where that went well, else the log.
  std::string run(Agreement& agreement, const std::string& compiler = "c++ -std=c++17 -O2",
                  const std::string& libraries = "") {
    namespace fs = std::filesystem;
    const fs::path folder = fs::temp_directory_path() / ("xtape_cpp_" + std::to_string(::getpid()));
    fs::create_directories(folder);
    static int number = 0;
    const std::string file = (folder / ("f" + std::to_string(number++))).string();
    std::ofstream(file + ".cpp") << "#include <cmath>\n#include <cstddef>\n#include <limits>\n"
                                 << includes_ << bodies_;
    const std::string command = compiler +
                                " -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fPIC -shared -o " +
                                file + ".so " + file + ".cpp " + libraries + " >" + file + ".log 2>&1";
    std::string log;
    if (std::system(command.c_str()) != 0) {
      std::ifstream in(file + ".log");
      log.assign(std::istreambuf_iterator<char>(in), {});
      log = command + "\n" + log;
    } else if (void* const library = ::dlopen((file + ".so").c_str(), RTLD_NOW)) {
      for (std::size_t i = 0; i < functions_.size(); ++i) {
        void* const symbol = ::dlsym(library, ("run_f" + std::to_string(i)).c_str());
        if (!symbol) return "a function is missing";
        run_one(functions_[i], symbol, agreement);
      }
      ::dlclose(library);
    } else {
      log = ::dlerror();
    }
    if (log.empty() && !std::getenv("XTAPE_KEEP_CPP")) fs::remove_all(folder);
    return log;
  }
  /// Whether another compiler, or standard, has no warning. Empty, or the log.
  std::string warnings(const std::string& compiler) const {
    const std::string file =
        (std::filesystem::temp_directory_path() / ("xtape_cpp_" + std::to_string(::getpid()))).string();
    std::ofstream(file + ".cpp") << "#include <cmath>\n#include <cstddef>\n#include <limits>\n"
                                 << includes_ << bodies_;
    const bool is_clean =
        std::system((compiler + " -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only " +
                     file + ".cpp >" + file + ".log 2>&1")
                        .c_str()) == 0;
    std::ifstream in(file + ".log");
    const std::string log(std::istreambuf_iterator<char>(in), {});
    std::filesystem::remove(file + ".cpp");
    std::filesystem::remove(file + ".log");
    return is_clean ? "" : compiler + "\n" + log;
  }
  std::size_t size() const { return functions_.size(); }

 private:
  struct Function {
    std::string what;
    std::size_t item_size;
    std::vector<std::vector<std::byte>> inputs, expected;
    std::vector<std::vector<std::byte>> results;
  };

  static void run_one(Function& one, void* symbol, Agreement& agreement) {
    std::vector<const void*> in;
    std::vector<void*> out;
    for (const auto& bytes : one.inputs) in.push_back(bytes.data());
    one.results = one.expected;
    for (auto& bytes : one.results) {
      std::fill(bytes.begin(), bytes.end(), std::byte{0xFF});  // NaN
      out.push_back(bytes.data());
    }
    void (*f)(const void* const*, void* const*);
    std::memcpy(&f, &symbol, sizeof(f));
    f(in.data(), out.data());
    double most = 0, size = 0;
    const auto number = [&](const std::vector<std::byte>& bytes, std::size_t i) {
      float single = 0;
      double wide = 0;
      if (one.item_size == sizeof(float))
        std::memcpy(&single, bytes.data() + i * sizeof(float), sizeof(float));
      if (one.item_size == sizeof(float)) return static_cast<double>(single);
      std::memcpy(&wide, bytes.data() + i * sizeof(double), sizeof(double));
      return wide;
    };
    for (std::size_t k = 0; k < out.size(); ++k)
      for (std::size_t i = 0; i < one.expected[k].size() / one.item_size; ++i) {
        const double found = number(one.results[k], i), expected = number(one.expected[k], i);
        ++agreement.numbers;
        agreement.same_bits += found == expected || (std::isnan(found) && std::isnan(expected));
        if (std::isfinite(expected)) size = std::max(size, std::abs(expected));
        if (std::isfinite(expected) || std::isfinite(found))
          most = std::isfinite(found) && std::isfinite(expected) ? std::max(most, std::abs(found - expected))
                                                                 : 1e300;
      }
    const double distance = size == 0 ? most : most / size;
    if (distance > agreement.largest) agreement.largest = distance, agreement.worst = one.what;
  }

  std::vector<Function> functions_;
  std::string bodies_, includes_;
};

}  // namespace xtape::test
