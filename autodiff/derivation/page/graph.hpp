// The graph of a derivation: its lines as nodes, folded by module where there are many.
#pragma once
#include "../../derivation.hpp"
#include "layout.hpp"

namespace xtape::detail {

struct Graph {
  /// Lines of one module, one after the other, with the parameters that they read.
  struct Group {
    std::string name;
    std::vector<std::size_t> lines;
    std::size_t operations = 0;
  };
  static constexpr std::ptrdiff_t none = -1, all = -2;
  /// A drawing in which one group is open, or none, or all are.
  struct View {
    std::ptrdiff_t open;
    std::vector<std::ptrdiff_t> nodes;  ///< a line, or −1 − a group
    Drawing drawing;
  };

  std::vector<Group> groups;                    ///< none where nothing is folded
  std::vector<std::ptrdiff_t> group_of;         ///< of each line
  std::vector<std::string> labels;              ///< of each line: its name, within its group
  std::vector<std::vector<std::size_t>> reads;  ///< of each forward line: those that are nodes
  std::vector<View> views;                      ///< folded, then each group; all, where that is not too much
};

/// Not yet laid out.
Graph graph_of(const std::vector<DerivationLine>& lines);
void lay_out(Graph& graph);

/// The line of which each backward line is the gradient; the number of lines where it is that of none.
std::vector<std::size_t> gradient_of(const std::vector<DerivationLine>& lines);

}  // namespace xtape::detail
