// What the main functions of the examples share: the option --out, what a rate may be, and errors as one
// line.
#pragma once
#include <cmath>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

namespace examples {

/// The option for the folder that files are written to, which must be there.
inline void add_out_option(CLI::App& app, std::filesystem::path& out) {
  app.add_option("--out", out, "folder for the files that are written")
      ->capture_default_str()
      ->check(CLI::Validator(CLI::ExistingDirectory).description(""))
      ->type_name("DIR");
}

/// For options that take a finite number above 0. CLI11's own validator says it with all 309 digits of the
/// largest double.
inline CLI::Validator positive_number() {
  const auto complaint = [](const std::string& text) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    const bool good = end != text.c_str() && *end == '\0' && number > 0 && std::isfinite(number);
    return good ? std::string() : "'" + text + "' is not a finite number above 0";
  };
  return CLI::Validator(complaint, "POSITIVE");
}

/// Reads the options and runs the program. Gives the exit status: 0, or 1 after an error, which is one line
/// on the standard error: "NAME: what is wrong".
template <class Run>
int main_function(CLI::App& app, int argc, char** argv, Run run) {
  try {
    app.parse(argc, argv);
    run();
    return 0;
  } catch (const CLI::CallForHelp& help) { return app.exit(help); } catch (const CLI::ParseError& error) {
    std::cerr << app.get_name() << ": " << error.what() << " (--help names the options)\n";
  } catch (const std::exception& error) { std::cerr << app.get_name() << ": " << error.what() << '\n'; }
  return 1;
}

}  // namespace examples
