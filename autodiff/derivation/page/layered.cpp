// A layered drawing after Sugiyama: layers by the longest path, an edge that crosses layers as a chain of
// points, an order within each layer by the mean place of the neighbours, and places that keep that order.
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "layout.hpp"

namespace xtape::detail {
namespace {

constexpr double gap_between_nodes = 18, gap_between_layers = 34, margin = 4;
constexpr int sweeps = 12;

class Layers {
 public:
  explicit Layers(Drawing& drawing) : drawing_(drawing) {
    for (const Drawing::Node& node : drawing.nodes) items_.push_back({node.width, 0, 0, {}, {}});
    choose_layers();
    add_chains();
  }

  void run() {
    order();
    place();
    write();
  }

 private:
  struct Item {
    double width;
    std::size_t layer;
    double x;
    std::vector<std::size_t> above, below;
  };

  /// As near to the top as the edges allow; then leaves down to what reads them.
  void choose_layers() {
    const std::size_t n = drawing_.nodes.size();
    std::vector<std::size_t> lowest(n, std::numeric_limits<std::size_t>::max());
    std::vector<Drawing::Edge*> sorted;
    for (Drawing::Edge& edge : drawing_.edges) sorted.push_back(&edge);
    std::ranges::stable_sort(sorted, {}, &Drawing::Edge::to);
    // Twice: a leaf of one layer may be all that a node stands on.
    for (const Drawing::Edge* edge : sorted)
      items_[edge->to].layer = std::max(items_[edge->to].layer, items_[edge->from].layer + 1);
    for (const Drawing::Edge* edge : sorted)
      lowest[edge->from] = std::min(lowest[edge->from], items_[edge->to].layer);
    for (std::size_t i = 0; i < n; ++i)
      if (drawing_.nodes[i].is_leaf && lowest[i] <= n) items_[i].layer = lowest[i] - 1;
  }

  void add_chains() {
    for (std::size_t e = 0; e < drawing_.edges.size(); ++e) {
      const auto [from, to] = std::pair(drawing_.edges[e].from, drawing_.edges[e].to);
      std::vector<std::size_t> chain{from};
      for (std::size_t layer = items_[from].layer + 1; layer < items_[to].layer; ++layer) {
        chain.push_back(items_.size());
        items_.push_back({0, layer, 0, {}, {}});
      }
      chain.push_back(to);
      for (std::size_t i = 1; i < chain.size(); ++i) {
        items_[chain[i - 1]].below.push_back(chain[i]);
        items_[chain[i]].above.push_back(chain[i - 1]);
      }
      chains_.push_back(std::move(chain));
    }
    for (std::size_t i = 0; i < items_.size(); ++i) {
      layers_.resize(std::max(layers_.size(), items_[i].layer + 1));
      layers_[items_[i].layer].push_back(i);
    }
  }

  template <class F>
  void sweep(const F& f) {
    for (int i = 0; i < sweeps; ++i) {
      if (i % 2 == 0)
        for (std::size_t layer = 1; layer < layers_.size(); ++layer) f(layers_[layer], &Item::above);
      else
        for (std::size_t layer = layers_.size() - 1; layer-- > 0;) f(layers_[layer], &Item::below);
    }
  }
  /// The mean place of the neighbours on one side, else the item's own.
  double wanted(std::size_t item, std::vector<std::size_t> Item::*side) const {
    const std::vector<std::size_t>& neighbours = items_[item].*side;
    if (neighbours.empty()) return items_[item].x;
    double sum = 0;
    for (const std::size_t neighbour : neighbours) sum += items_[neighbour].x;
    return sum / static_cast<double>(neighbours.size());
  }

  void order() {
    const auto number = [&](const std::vector<std::size_t>& layer) {
      for (std::size_t i = 0; i < layer.size(); ++i)
        items_[layer[i]].x = static_cast<double>(i) - 0.5 * static_cast<double>(layer.size());
    };
    for (const auto& layer : layers_) number(layer);
    sweep([&](std::vector<std::size_t>& layer, std::vector<std::size_t> Item::*side) {
      std::ranges::stable_sort(layer, {}, [&](std::size_t item) { return wanted(item, side); });
      number(layer);
    });
  }

  /// The nearest places to the wanted ones that keep order and distance: blocks of items that touch, each
  /// where the sum of squared distances is least.
  void place() {
    const auto distance = [&](std::size_t a, std::size_t b) {
      return 0.5 * (items_[a].width + items_[b].width) + gap_between_nodes;
    };
    sweep([&](const std::vector<std::size_t>& layer, std::vector<std::size_t> Item::*side) {
      struct Block {
        double sum;
        std::size_t count;
        double mean() const { return sum / static_cast<double>(count); }
      };
      std::vector<double> offset{0};
      for (std::size_t i = 1; i < layer.size(); ++i)
        offset.push_back(offset.back() + distance(layer[i - 1], layer[i]));
      std::vector<Block> blocks;
      for (std::size_t i = 0; i < layer.size(); ++i) {
        blocks.push_back({wanted(layer[i], side) - offset[i], 1});
        while (blocks.size() > 1 && blocks[blocks.size() - 2].mean() > blocks.back().mean()) {
          const Block last = blocks.back();
          blocks.pop_back();
          blocks.back().sum += last.sum;
          blocks.back().count += last.count;
        }
      }
      std::size_t i = 0;
      for (const Block& block : blocks)
        for (std::size_t k = 0; k < block.count; ++k, ++i) items_[layer[i]].x = block.mean() + offset[i];
    });
  }

  void write() {
    double left = 0, right = 0, bottom = margin;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto [low, high] =
          std::pair(items_[i].x - 0.5 * items_[i].width, items_[i].x + 0.5 * items_[i].width);
      left = i == 0 ? low : std::min(left, low);
      right = i == 0 ? high : std::max(right, high);
    }
    std::vector<double> top(layers_.size()), height(layers_.size());
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      for (const std::size_t item : layers_[layer])
        if (item < drawing_.nodes.size())
          height[layer] = std::max(height[layer], drawing_.nodes[item].height);
      top[layer] = bottom;
      bottom += height[layer] + gap_between_layers;
    }
    const auto x = [&](std::size_t item) { return items_[item].x - left + margin; };
    for (std::size_t i = 0; i < drawing_.nodes.size(); ++i)
      drawing_.nodes[i].centre = {x(i), top[items_[i].layer] + 0.5 * height[items_[i].layer]};
    for (std::size_t e = 0; e < chains_.size(); ++e) {
      const std::vector<std::size_t>& chain = chains_[e];
      std::vector<Point>& path = drawing_.edges[e].path;
      const auto half = [&](std::size_t node) { return 0.5 * drawing_.nodes[node].height; };
      Point at{x(chain[0]), drawing_.nodes[chain[0]].centre.y + half(chain[0])};
      path = {at};
      const auto curve = [&](Point to) {
        const double middle = 0.5 * (at.y + to.y);
        for (const Point& point : {Point{at.x, middle}, Point{to.x, middle}, to}) path.push_back(point);
        at = to;
      };
      for (std::size_t i = 1; i + 1 < chain.size(); ++i) {
        const std::size_t layer = items_[chain[i]].layer;
        curve({x(chain[i]), top[layer]});
        curve({x(chain[i]), top[layer] + height[layer]});  // straight past the nodes
      }
      curve({x(chain.back()), drawing_.nodes[chain.back()].centre.y - half(chain.back())});
    }
    drawing_.width = right - left + 2 * margin;
    drawing_.height = bottom - gap_between_layers + margin;
  }

  Drawing& drawing_;
  std::vector<Item> items_;  ///< the nodes, then the points of chains
  std::vector<std::vector<std::size_t>> chains_;
  std::vector<std::vector<std::size_t>> layers_;
};

}  // namespace

void lay_out_in_layers(Drawing& drawing) {
  if (!drawing.nodes.empty()) Layers(drawing).run();
}

void lay_out(std::vector<Drawing>& drawings) {
  // dot's time grows with more than the square of the size, and with 200 nodes it is a fraction of a second.
  std::vector<Drawing*> small;
  for (Drawing& drawing : drawings)
    if (drawing.nodes.size() <= 200 && drawing.edges.size() <= 400)
      small.push_back(&drawing);
    else
      lay_out_in_layers(drawing);
  if (!lay_out_by_dot(small))
    for (Drawing* drawing : small) lay_out_in_layers(*drawing);
}

}  // namespace xtape::detail
