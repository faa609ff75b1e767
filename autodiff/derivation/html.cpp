// The page of a derivation: its data as JSON, put into the parts of the page beside the script that shows
// them.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "../derivation.hpp"
#include "page/graph.hpp"
#include "page/mathml.hpp"
#include "page/parts.hpp"

namespace xtape {
namespace {

using detail::Graph;
using Part = DerivationLine::Part;

/// Of a larger quantity the page has the first elements of the last two axes alone.
constexpr std::size_t most_shown = 8;

/// With as many digits as are of use; JSON has no infinity.
std::string json(double number, int digits = 6) {
  if (std::isnan(number)) return "\"NaN\"";
  if (std::isinf(number)) return number > 0 ? "\"∞\"" : "\"−∞\"";
  std::array<char, 32> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::general, digits).ptr;
  return {text.data(), end};
}
/// As it may stand in a script element, which "</" could end and "<!--" could prolong.
std::string json(const std::string& text) {
  static constexpr const char* hex = "0123456789abcdef";
  std::string all = "\"";
  char before = 0;
  for (const char c : text) {
    if (c == '"' || c == '\\' || (before == '<' && c == '/'))
      all += '\\', all += c;
    else if (static_cast<unsigned char>(c) < 0x20 || (before == '<' && c == '!'))
      all += std::string("\\u00") + hex[c >> 4] + hex[c & 15];
    else
      all += c;
    before = c;
  }
  return all + '"';
}
template <class T, class F>
std::string json_list(const T& items, const F& f) {
  std::string text = "[";
  for (const auto& item : items) text += (text.size() == 1 ? "" : ",") + f(item);
  return text + "]";
}
template <class T>
std::string json_integers(const T& items) {
  return json_list(items, [](auto i) { return std::to_string(i); });
}

/// Norm, least, greatest and mean of all elements.
std::array<double, 4> statistics(std::span<const double> values) {
  double largest = 0, sum = 0, low = values.front(), high = values.front();
  bool has_nan = false;
  for (const double x : values) {
    has_nan = has_nan || std::isnan(x);
    largest = std::max(largest, std::abs(x));
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x;
  }
  double squares = 0;  // of what is at most 1: no overflow
  if (largest > 0 && std::isfinite(largest))
    for (const double x : values) squares += (x / largest) * (x / largest);
  const double norm = std::isfinite(largest) ? largest * std::sqrt(squares) : largest;
  if (has_nan) return {std::nan(""), std::nan(""), std::nan(""), std::nan("")};
  return {norm, low, high, sum / static_cast<double>(values.size())};
}

/// "stats" and "rows": numbers of the first elements.
std::string json_values(const DerivationLine& line) {
  if (line.values.empty()) return {};
  const std::size_t rank = line.shape.size();
  const std::size_t columns = rank == 0 ? 1 : line.shape[rank - 1],
                    rows = rank < 2 ? 1 : line.shape[rank - 2];
  std::vector<std::span<const double>> shown;
  for (std::size_t r = 0; r < std::min(rows, most_shown); ++r)
    shown.push_back(std::span(line.values).subspan(r * columns, std::min(columns, most_shown)));
  return ",\"stats\":" + json_list(statistics(line.values), [](double x) { return json(x); }) +
         ",\"rows\":" + json_list(shown, [](std::span<const double> row) {
           return json_list(row, [](double x) { return json(x); });
         });
}

std::string latex_of_name(const DerivationLine& line) {
  return line.part == Part::given ? line.latex : line.latex.substr(0, line.latex.find(" &= "));
}

std::string json_lines(const std::vector<DerivationLine>& lines, const Graph& graph) {
  static constexpr const char* parts[] = {"given", "forward", "backward"};
  const std::vector<std::size_t> of = detail::gradient_of(lines);
  std::string text = "[";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const DerivationLine& line = lines[i];
    detail::MarkedNames names{{latex_of_name(line), i}};
    for (const std::size_t read : line.reads) names.emplace_back(latex_of_name(lines[read]), read);
    text += (i == 0 ? "{\"part\":" : ",\n{\"part\":") + json(parts[static_cast<int>(line.part)]) +
            ",\"name\":" + json(line.name) + ",\"label\":" + json(graph.labels[i]) +
            ",\"text\":" + json(line.formula) + ",\"operation\":" + json(line.operation) +
            ",\"shape\":" + json_integers(line.shape) + ",\"reads\":" + json_integers(line.reads) +
            ",\"math\":" + json(detail::mathml(line.latex, names).value_or("")) +
            ",\"title\":" + json(detail::mathml(names.front().first).value_or("")) + json_values(line);
    if (of[i] != lines.size()) text += ",\"of\":" + std::to_string(of[i]);
    if (graph.group_of[i] != Graph::none) text += ",\"group\":" + std::to_string(graph.group_of[i]);
    text += "}";
  }
  return text + "]";
}

std::string json_graph(const Graph& graph) {
  const auto rounded = [](double x) { return json(std::round(x * 10) / 10); };
  const auto path = [&](const std::vector<detail::Point>& points) {
    std::string text;
    for (std::size_t i = 0; i < points.size(); ++i)
      text += (i == 0 ? "M" : i == 1 ? "C" : " ") + rounded(points[i].x) + " " + rounded(points[i].y);
    return json(text);
  };
  const auto view = [&](const Graph::View& one) {
    std::string nodes, edges;
    for (std::size_t i = 0; i < one.nodes.size(); ++i) {
      const detail::Drawing::Node& node = one.drawing.nodes[i];
      nodes += (i == 0 ? "[" : ",[") + std::to_string(one.nodes[i]);
      for (const double x : {node.centre.x, node.centre.y, node.width, node.height})
        nodes += "," + rounded(x);
      nodes += "]";
    }
    for (const detail::Drawing::Edge& edge : one.drawing.edges)
      edges += (edges.empty() ? "[" : ",[") + std::to_string(one.nodes[edge.from]) + "," +
               std::to_string(one.nodes[edge.to]) + "," + path(edge.path) + "]";
    return "{\"open\":" + std::to_string(one.open) + ",\"width\":" + rounded(one.drawing.width) +
           ",\"height\":" + rounded(one.drawing.height) + ",\"nodes\":[" + nodes + "],\"edges\":[" + edges +
           "]}";
  };
  const auto group = [](const Graph::Group& one) {
    return "{\"name\":" + json(one.name) + ",\"operations\":" + std::to_string(one.operations) + "}";
  };
  return "\"groups\":" + json_list(graph.groups, group) + ",\n\"views\":" + json_list(graph.views, view);
}

}  // namespace

std::string Derivation::html(const std::string& title) const {
  Graph graph = detail::graph_of(lines());
  detail::lay_out(graph);
  const std::string data = "{\"lines\":" + json_lines(lines(), graph) + ",\n" + json_graph(graph) + "}";
  std::string text;
  const std::string_view page = detail::page_html;
  std::size_t at = 0;
  for (std::size_t open; (open = page.find("{{", at)) != std::string_view::npos;) {
    const std::size_t close = page.find("}}", open);
    const std::string_view part = page.substr(open + 2, close - open - 2);
    text += page.substr(at, open - at);
    text += part == "title"   ? detail::html_escaped(title)
            : part == "style" ? std::string(detail::page_css)
            : part == "data"  ? data
                              : std::string(detail::page_js);
    at = close + 2;
  }
  text += page.substr(at);
  return text;
}

}  // namespace xtape
