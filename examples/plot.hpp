// Plot: a picture that gnuplot draws. Programs write gnuplot's own commands; this carries them and their data
// there.
#pragma once
#include <cstddef>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace examples {

/// Collects commands and data for gnuplot, and draws when write() is called. The format follows from the
/// ending of the path, .svg or .png. The background is white, so that a picture reads in light and dark
/// surroundings alike; line types 1 to 8 have the colours of Okabe and Ito, which differ for the colour-blind
/// too.
///
///     Plot plot("parabola.svg", 600, 400);
///     plot.data("points", {x, y});
///     plot.command("plot $points using 1:2 with lines title 'x²'");
///     plot.write();
class Plot {
 public:
  /// Width and height in pixels. std::invalid_argument for another ending.
  Plot(std::filesystem::path path, int width, int height);

  /// A line in gnuplot's language. Text is drawn as it stands, with no markup but what the command asks for.
  void command(const std::string& line) { script_ << line << '\n'; }

  /// Columns of equal length as the data block $name. After every `row_length` points an empty line says that
  /// a row of a grid ends; 0: no grid.
  void data(const std::string& name, const std::vector<std::vector<double>>& columns,
            std::size_t row_length = 0);

  /// Draws, and prints the path. Without gnuplot a line on the standard error says that the picture is left
  /// out. std::runtime_error when gnuplot fails.
  void write() const;

 private:
  std::filesystem::path path_;
  std::ostringstream script_;
};

}  // namespace examples
