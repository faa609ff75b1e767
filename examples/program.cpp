#include "program.hpp"

#include <cmath>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <type_traits>

#include <CLI/CLI.hpp>

namespace examples {
namespace {

/// CLI11's own validator says what is allowed with all 309 digits of the largest double.
std::string positive_complaint(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const bool good = end != text.c_str() && *end == '\0' && number > 0 && std::isfinite(number);
  return good ? std::string() : "'" + text + "' is not a finite number above 0";
}

}  // namespace

Program::Program(const std::string& name, const std::string& description)
    : app_(std::make_unique<CLI::App>(description, name)) {}
Program::~Program() = default;

template <class T>
void Program::option(const std::string& name, T& value, const std::string& help, const Allowed& allowed) {
  CLI::Option* const option = app_->add_option(name, value, help);
  if constexpr (!std::is_same_v<T, std::filesystem::path> && !std::is_same_v<T, Paths>)
    option->capture_default_str();
  if (allowed.high != 0) option->check(CLI::Range(allowed.low, allowed.high));
  if (allowed.positive) option->check(CLI::Validator(positive_complaint, "POSITIVE"));
  if (!allowed.words.empty()) option->check(CLI::IsMember(allowed.words));
}

template void Program::option(const std::string&, std::string&, const std::string&, const Allowed&);
template void Program::option(const std::string&, std::filesystem::path&, const std::string&, const Allowed&);
template void Program::option(const std::string&, Paths&, const std::string&, const Allowed&);
template void Program::option(const std::string&, int&, const std::string&, const Allowed&);
template void Program::option(const std::string&, std::size_t&, const std::string&, const Allowed&);
template void Program::option(const std::string&, double&, const std::string&, const Allowed&);

void Program::flag(const std::string& name, bool& value, const std::string& help, const std::string& needed) {
  app_->add_flag(name, value, help)->needs(app_->get_option(needed));
}

void Program::out_option(std::filesystem::path& out) {
  app_->add_option("--out", out, "folder for the files that are written")
      ->capture_default_str()
      ->check(CLI::Validator(CLI::ExistingDirectory).description(""))
      ->type_name("DIR");
}

int Program::run(int argc, char** argv, const std::function<void()>& body) {
  try {
    app_->parse(argc, argv);
    body();
    return 0;
  } catch (const CLI::CallForHelp& help) { return app_->exit(help); } catch (const CLI::ParseError& error) {
    std::cerr << app_->get_name() << ": " << error.what() << " (--help names the options)\n";
  } catch (const std::exception& error) { std::cerr << app_->get_name() << ": " << error.what() << '\n'; }
  return 1;
}

}  // namespace examples
