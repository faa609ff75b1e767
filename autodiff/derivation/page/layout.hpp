// Where the nodes and edges of a graph are drawn, from top to bottom.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace xtape::detail {

struct Point {
  double x, y;
};

/// A graph whose edges go from lower to higher numbers, and its places once it is laid out. All in pixels.
struct Drawing {
  struct Node {
    double width, height;
    bool is_leaf = false;  ///< stands right above what reads it
    Point centre{0, 0};
  };
  struct Edge {
    std::size_t from, to;
    std::vector<Point> path{};  ///< a start, then three points for each Bézier curve
  };
  std::vector<Node> nodes;
  std::vector<Edge> edges;  ///< each pair once
  double width = 0, height = 0;
};

/// In layers: every edge goes down, and few cross.
void lay_out_in_layers(Drawing& drawing);

/// By Graphviz's `dot`, all in one run. False where it is not found, or not done within the seconds: nothing
/// has changed then.
bool lay_out_by_dot(std::vector<Drawing*> drawings, double seconds = 5);

/// By `dot` where it is and where the drawings are of a size that it is fast for, else in layers.
void lay_out(std::vector<Drawing>& drawings);

}  // namespace xtape::detail
