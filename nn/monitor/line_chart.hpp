// A line chart as SVG, to be set into a page that has the colours (chart_style).
#pragma once
#include <string>
#include <vector>

namespace xtape::nn::detail {

/// Lines over the same steps. A value that is NaN or infinite, or at most 0 on a logarithmic scale, leaves a
/// gap.
struct LineChart {
  struct Series {
    std::string name;  ///< for the legend; none where empty
    std::vector<double> values;
  };
  std::string title;
  std::vector<double> steps;
  std::vector<Series> series;  ///< from the input to the output: colours run from dark to light or back
  bool is_logarithmic = false;
  bool is_percent = false;  ///< the scale is from 0 to 100
  double guide = 0;         ///< a horizontal line that values are compared with; none at 0
};

/// The chart with its legend. Of many steps at most 500 are drawn. Empty when there is no value to draw.
std::string to_svg(const LineChart& chart);

/// The text with &, <, > and quotes as HTML needs them.
std::string escaped_html(const std::string& text);

/// The content of a page's style element, for light and dark.
extern const char* const chart_style;

}  // namespace xtape::nn::detail
