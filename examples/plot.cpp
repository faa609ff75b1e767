// Runs gnuplot, where it is installed, on a script in the folder for temporary files.
#include "plot.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace examples {
namespace {

bool have_gnuplot() {
  static const bool found = std::system("command -v gnuplot >/dev/null 2>&1") == 0;
  return found;
}

/// A string in gnuplot's single quotes.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

}  // namespace

Plot::Plot(std::filesystem::path path, int width, int height) : path_(std::move(path)) {
  const std::string ending = path_.extension().string(),
                    size = std::to_string(width) + "," + std::to_string(height);
  if (ending == ".svg")
    command("set terminal svg size " + size + " font 'sans-serif,14' background 'white' noenhanced");
  else if (ending == ".png")
    command("set terminal pngcairo size " + size + " font 'sans-serif,12' background 'white' noenhanced");
  else
    throw std::invalid_argument(path_.string() + ": a picture ends in .svg or .png");
  command("set output " + quoted(path_.string()));
  command("set encoding utf8");
  const char* colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                           "#E69F00", "#56B4E9", "#000000", "#8A6D3B"};
  for (int i = 0; i < 8; ++i)
    command("set linetype " + std::to_string(i + 1) + " linecolor rgb '" + colours[i] +
            "' linewidth 2 pointsize 0.8 pointtype " + std::to_string(i % 2 ? 9 : 7));
  command(
      "set border 3 linecolor rgb '#333333'\nset tics nomirror\nset grid linecolor rgb '#dddddd' linewidth "
      "1");
}

void Plot::data(const std::string& name, const std::vector<std::vector<double>>& columns,
                std::size_t row_length) {
  script_ << '$' << name << " << END\n";
  script_.precision(10);
  for (std::size_t row = 0; row < columns.front().size(); ++row) {
    for (const std::vector<double>& column : columns) script_ << column.at(row) << ' ';
    script_ << '\n';
    if (row_length != 0 && (row + 1) % row_length == 0) script_ << '\n';
  }
  script_ << "END\n";
}

void Plot::write() const {
  if (!have_gnuplot()) {
    std::cerr << path_.string() << " is left out: gnuplot is not installed (Debian's package gnuplot-nox)\n";
    return;
  }
  const auto moment = std::chrono::system_clock::now().time_since_epoch().count();
  const std::filesystem::path script =
      std::filesystem::temp_directory_path() / ("xtape-plot-" + std::to_string(moment));
  std::ofstream(script) << script_.str();
  const int result = std::system(("gnuplot \"" + script.string() + "\"").c_str());
  std::filesystem::remove(script);
  if (result != 0) throw std::runtime_error("gnuplot could not draw " + path_.string());
  std::cout << "wrote " << path_.string() << '\n';
}

}  // namespace examples
