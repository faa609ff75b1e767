// Graphviz's dot as a process of its own. It is given numbers alone, no name and no shell, and what it says
// is believed only where it is complete.
#include <algorithm>
#include <cmath>
#include <locale>
#include <map>
#include <sstream>

#include "../../platform/system.hpp"
#include "layout.hpp"

namespace xtape::detail {
namespace {

constexpr double inch = 72;

std::string source_of(const Drawing& drawing) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "digraph {\n  nodesep=0.22; ranksep=0.45;\n  node [shape=box, fixedsize=true, label=\"\"];\n"
          "  edge [arrowhead=none];\n";
  for (std::size_t i = 0; i < drawing.nodes.size(); ++i)
    text << "  " << i << " [width=" << drawing.nodes[i].width / inch
         << ", height=" << drawing.nodes[i].height / inch << "];\n";
  for (const Drawing::Edge& edge : drawing.edges) text << "  " << edge.from << " -> " << edge.to << ";\n";
  text << "}\n";
  return text.str();
}

/// One graph of dot's plain format, which measures in inches from below. False where something is missing.
bool read_plain(std::istream& in, Drawing& drawing) {
  std::string word;
  double scale = 0;
  std::size_t nodes = 0;
  std::map<std::pair<std::size_t, std::size_t>, Drawing::Edge*> edges;
  for (Drawing::Edge& edge : drawing.edges) edges[{edge.from, edge.to}] = &edge;
  if (!(in >> word >> scale >> drawing.width >> drawing.height) || word != "graph") return false;
  drawing.width *= inch;
  drawing.height *= inch;
  const auto point = [&](Point& at) {
    if (!(in >> at.x >> at.y)) return false;
    at = {at.x * inch, drawing.height - at.y * inch};
    return true;
  };
  for (std::string rest; in >> word && word != "stop"; std::getline(in, rest)) {
    if (word == "node") {
      std::size_t number = 0;
      if (!(in >> number) || number >= drawing.nodes.size() || !point(drawing.nodes[number].centre))
        return false;
      ++nodes;
    } else if (word == "edge") {
      std::size_t from = 0, to = 0, count = 0;
      if (!(in >> from >> to >> count) || count > 10000) return false;
      const auto edge = edges.find({from, to});
      if (edge == edges.end()) return false;
      std::vector<Point> path(count);
      for (Point& at : path)
        if (!point(at)) return false;
      edge->second->path = std::move(path);
    }
  }
  return word == "stop" && nodes == drawing.nodes.size() &&
         std::ranges::all_of(drawing.edges,
                             [](const Drawing::Edge& edge) { return edge.path.size() % 3 == 1; });
}

}  // namespace

bool lay_out_by_dot(std::vector<Drawing*> drawings, double seconds) {
  if (drawings.empty()) return true;
  std::string input;
  for (const Drawing* drawing : drawings) input += source_of(*drawing);
  std::istringstream plain(platform::output_of("dot", "-Tplain", input, seconds));
  plain.imbue(std::locale::classic());
  std::vector<Drawing> found;
  for (const Drawing* drawing : drawings) {
    found.push_back(*drawing);
    if (!read_plain(plain, found.back())) return false;
  }
  for (std::size_t i = 0; i < drawings.size(); ++i) *drawings[i] = std::move(found[i]);
  return true;
}

}  // namespace xtape::detail
