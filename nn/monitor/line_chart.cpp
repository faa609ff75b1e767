// Scales, ticks and paths. Units are those of the SVG's view box.
#include "line_chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "../gradient_history.hpp"

namespace xtape::nn::detail {
namespace {

constexpr double width = 640, height = 300, left = 78, right = 14, top = 14, bottom = 42;
constexpr std::size_t most_points = 500, colours = 6, most_names = 12;

/// From values to places along an axis.
struct Scale {
  double low, high, from, to;
  bool is_logarithmic = false;
  bool shows(double x) const { return std::isfinite(x) && (!is_logarithmic || x > 0); }
  double operator()(double x) const {
    const double at = is_logarithmic ? std::log10(x) : x;
    return from + (at - low) / (high - low) * (to - from);
  }
};

/// Round numbers from low to high, about five; powers of ten on a logarithmic scale.
std::vector<double> ticks(const Scale& scale) {
  const double rough = (scale.high - scale.low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0})
    if (step < rough * 0.99) step = power * factor;
  if (scale.is_logarithmic) step = std::max(1.0, std::round(step));
  std::vector<double> all;
  for (double k = std::ceil(scale.low / step - 1e-9); k * step <= scale.high + 1e-9 * step; ++k)
    all.push_back(scale.is_logarithmic ? std::pow(10, k * step) : k * step + 0.0);  // no "-0"
  return all;
}

std::string attribute(const char* name, double x) {
  return std::string(" ") + name + "=\"" + rounded(x, 5) + '"';
}
std::string line(const char* kind, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + kind + '"' + attribute("x1", x1) + attribute("y1", y1) +
         attribute("x2", x2) + attribute("y2", y2) + "/>";
}
std::string label(const char* kind, double x, double y, const std::string& text) {
  return std::string("<text class=\"") + kind + '"' + attribute("x", x) + attribute("y", y) + '>' +
         escaped_html(text) + "</text>";
}

/// The class of a line: its colour by the place among all, its dashes by the number.
std::string style_of(std::size_t i, std::size_t count) {
  const std::size_t colour = count <= 1 ? 0 : i * (colours - 1) / (count - 1);
  return "c" + std::to_string(colour) + " d" + std::to_string(i % 3);
}

Scale vertical_scale(const LineChart& chart) {
  Scale scale{0, 0, height - bottom, top, chart.is_logarithmic};
  if (chart.is_percent) {
    scale.high = 100;
    return scale;
  }
  double low = std::numeric_limits<double>::infinity(), high = -low;
  const auto include = [&](double x) {
    if (!scale.shows(x)) return;
    const double at = scale.is_logarithmic ? std::log10(x) : x;
    low = std::min(low, at);
    high = std::max(high, at);
  };
  for (const auto& series : chart.series) std::ranges::for_each(series.values, include);
  if (low <= high && chart.guide != 0) include(chart.guide);
  if (low <= high && scale.is_logarithmic) low = std::floor(low), high = std::ceil(high);
  if (low == high) {
    const double around = low == 0 || scale.is_logarithmic ? 1 : std::abs(low) / 2;
    low -= around;
    high += around;
  }
  scale.low = low;
  scale.high = high;
  return scale;
}

std::string path(const LineChart& chart, const std::vector<double>& values, const Scale& x, const Scale& y) {
  const std::size_t stride = (values.size() + most_points - 1) / most_points;
  std::string d;
  bool is_down = false;  // the pen
  for (std::size_t t = 0; t < values.size(); ++t) {
    if (t % stride != 0 && t + 1 != values.size()) continue;
    const bool is_shown = y.shows(values[t]);
    if (is_shown) d += (is_down ? "L" : "M") + rounded(x(chart.steps[t]), 5) + ' ' + rounded(y(values[t]), 5);
    if (is_shown && !is_down) d += "h.01";  // so that a point with gaps around it is seen
    is_down = is_shown;
  }
  return d;
}

}  // namespace

std::string to_svg(const LineChart& chart) {
  const Scale y = vertical_scale(chart);
  if (chart.series.empty() || !(y.low < y.high)) return {};
  const double last = chart.steps.back(), first = chart.steps.front();
  const Scale x{first, last > first ? last : first + 1, left, width - right};

  std::string svg =
      "<svg viewBox=\"0 0 640 300\" role=\"img\" aria-label=\"" + escaped_html(chart.title) + "\">";
  for (const double tick : ticks(y)) {
    svg += line("grid", left, y(tick), width - right, y(tick));
    svg += label("end", left - 8, y(tick) + 4, rounded(tick));
  }
  for (const double tick : ticks(x))
    if (tick == std::floor(tick)) svg += label("middle", x(tick), height - bottom + 18, rounded(tick, 6));
  svg += label("middle", (left + width - right) / 2, height - 4, "step");
  if (chart.guide != 0) svg += line("guide", left, y(chart.guide), width - right, y(chart.guide));
  const std::size_t count = chart.series.size();
  for (std::size_t i = 0; i < count; ++i)
    svg += "<path class=\"" + style_of(i, count) + "\" d=\"" + path(chart, chart.series[i].values, x, y) +
           "\"><title>" + escaped_html(chart.series[i].name.empty() ? chart.title : chart.series[i].name) +
           "</title></path>";
  svg += "</svg>";

  // With many lines the legend names some of them, the first and the last among these.
  std::string legend;
  const std::size_t named = std::min(count, most_names);
  for (std::size_t k = 0; k < named && !chart.series.front().name.empty(); ++k) {
    const std::size_t i = named == count ? k : k * (count - 1) / (named - 1);
    legend += "<li><svg viewBox=\"0 0 34 10\" class=\"key\" aria-hidden=\"true\"><path class=\"" +
              style_of(i, count) + "\" d=\"M1 5H33\"/></svg>" + escaped_html(chart.series[i].name) + "</li>";
  }
  return "<figure><figcaption>" + escaped_html(chart.title) + "</figcaption>" + svg +
         (legend.empty() ? "" : "<ul class=\"legend\">" + legend + "</ul>") + "</figure>";
}

std::string escaped_html(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  return result;
}

// The colours are steps of viridis, which readers of all kinds of colour vision can order; their ends are
// left out where the background is as dark or as light. Dashes tell neighbours apart.
const char* const chart_style = R"(
figure{margin:1.5rem 0;max-width:46rem}figcaption{font-weight:600;margin-bottom:.4rem}
figure>svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--muted);font-size:12px}svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg line{stroke:var(--line)}svg .guide{stroke:var(--muted);stroke-dasharray:2 4;stroke-width:1.5}
svg path{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 4}
.c0{stroke:#440154}.c1{stroke:#443983}.c2{stroke:#31688e}.c3{stroke:#21918c}.c4{stroke:#2c9d5b}.c5{stroke:#7a9a01}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:.5rem 0;font-size:.85rem}
.key{width:34px;height:10px;margin-right:.4rem}
@media(max-width:600px){figure>svg text{font-size:20px}}
@media(prefers-color-scheme:dark){.c0{stroke:#8f7be0}.c1{stroke:#6f9be8}.c2{stroke:#3fb2d1}.c3{stroke:#35c9a5}.c4{stroke:#8fd744}.c5{stroke:#fde725}}
)";

}  // namespace xtape::nn::detail
