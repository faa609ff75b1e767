// Groups are runs of forward lines, so that a graph of folded groups has no cycles.
#include "graph.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace xtape::detail {
namespace {

using Part = DerivationLine::Part;
using Path = std::vector<std::string>;

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}
/// The end of a name that is too long, which says more than its beginning.
std::string shortened(const std::string& text, std::size_t most) {
  std::size_t over = characters(text);
  if (over <= most) return text;
  std::size_t at = 0;
  for (; over > most - 1; --over) do
      ++at;
    while ((static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u);
  return "…" + text.substr(at);
}

/// "encoder.0.weight": the module encoder.0.
Path module_of(const std::string& name) {
  Path path;
  std::size_t at = 0;
  for (std::size_t dot; (dot = name.find('.', at)) != std::string::npos; at = dot + 1)
    path.push_back(name.substr(at, dot - at));
  return path;
}
Path common(const Path& a, const Path& b) {
  const auto end = std::ranges::mismatch(a, b).in1;
  return {a.begin(), end};
}
std::string joined(const Path& path) {
  std::string text;
  for (const std::string& part : path) text += (text.empty() ? "" : ".") + part;
  return text;
}

/// As Writer in lines.cpp calls what has no name: t1.
bool is_temporary(const std::string& name) {
  return name.size() > 1 && name[0] == 't' && name.find_first_not_of("0123456789", 1) == std::string::npos;
}

struct Run {
  Path module;
  std::vector<std::size_t> lines;
};

class Grouping {
 public:
  Grouping(const std::vector<DerivationLine>& lines, Graph& graph) : lines_(lines), graph_(graph) {
    readers_.resize(lines.size());
    modules_.resize(lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].part != Part::forward) continue;
      forward_.push_back(i);
      bool is_first = true;
      for (const std::size_t read : lines[i].reads) {
        if (lines[read].part == Part::backward) continue;
        graph.reads[i].push_back(read);
        readers_[read].push_back(i);
        const Path module = module_of(lines[read].name);
        if (lines[read].part != Part::given || module.empty()) continue;
        modules_[i] = is_first ? module : common(modules_[i], module);
        is_first = false;
        depth_ = std::max(depth_, module.size());
      }
    }
  }

  void run() {
    std::size_t nodes = 0;
    for (std::size_t i = 0; i < lines_.size(); ++i)
      nodes += lines_[i].part == Part::forward || !readers_[i].empty() ? 1 : 0;
    if (nodes <= 24) return;
    // At the depth at which the least is drawn at once: all groups, and the largest of them open.
    std::size_t least = nodes;
    for (std::size_t depth = depth_ == 0 ? 0 : 1; depth <= depth_; ++depth) {
      const std::vector<Run> runs = depth == 0 ? runs_of_equal_length() : runs_at(depth);
      std::size_t largest = 0;
      for (const Run& run : runs) largest = std::max(largest, members(run).size());
      if (runs.size() < 2 || runs.size() + largest >= least) continue;
      least = runs.size() + largest;
      set_groups(runs);
    }
  }

 private:
  std::vector<Run> runs_of_equal_length() const {
    const std::size_t length = (forward_.size() + 9) / 10;
    std::vector<Run> runs;
    for (std::size_t i = 0; i < forward_.size(); ++i) {
      if (i % length == 0) runs.emplace_back();
      runs.back().lines.push_back(forward_[i]);
    }
    return runs;
  }

  /// A line that reads no parameter belongs to the module before it where all that it reads is computed
  /// there, or where the module goes on after it; else to what the modules before and after it are both part
  /// of.
  std::vector<Run> runs_at(std::size_t depth) const {
    std::vector<Run> runs;
    std::vector<std::size_t> waiting;
    // What an operation computes on its way is a part of it.
    const auto begin = [&](Run run) {
      const auto is_here = [&](std::size_t reader) { return std::ranges::count(run.lines, reader) != 0; };
      while (!waiting.empty() && !run.lines.empty() && is_temporary(lines_[waiting.back()].name) &&
             std::ranges::all_of(readers_[waiting.back()], is_here)) {
        run.lines.insert(run.lines.begin(), waiting.back());
        waiting.pop_back();
      }
      if (!waiting.empty())
        runs.push_back(
            {runs.empty() ? Path{} : common(runs.back().module, run.module), std::exchange(waiting, {})});
      if (!run.lines.empty()) runs.push_back(std::move(run));
    };
    for (const std::size_t line : forward_) {
      Path module = modules_[line];
      module.resize(std::min(module.size(), depth));
      const auto is_here = [&](std::size_t read) { return std::ranges::count(runs.back().lines, read) != 0; };
      if (module.empty()) {
        if (waiting.empty() && !runs.empty() && std::ranges::all_of(graph_.reads[line], is_here))
          runs.back().lines.push_back(line);
        else
          waiting.push_back(line);
      } else if (!runs.empty() && runs.back().module == module) {
        runs.back().lines.insert(runs.back().lines.end(), waiting.begin(), waiting.end());
        runs.back().lines.push_back(line);
        waiting.clear();
      } else {
        begin({module, {line}});
      }
    }
    begin({});
    return runs;
  }

  /// The lines of a run and the parameters that it reads first; all that only it reads, where runs have no
  /// modules.
  std::vector<std::size_t> members(const Run& run) const {
    std::set<std::size_t> all(run.lines.begin(), run.lines.end());
    for (const std::size_t line : run.lines)
      for (const std::size_t read : graph_.reads[line]) {
        if (lines_[read].part != Part::given) continue;
        const bool is_own =
            depth_ == 0
                ? std::ranges::all_of(readers_[read],
                                      [&](std::size_t by) { return std::ranges::count(run.lines, by) != 0; })
                : readers_[read].front() == line && !module_of(lines_[read].name).empty();
        if (is_own) all.insert(read);
      }
    return {all.begin(), all.end()};
  }

  void set_groups(const std::vector<Run>& runs) {
    graph_.groups.clear();
    std::ranges::fill(graph_.group_of, Graph::none);
    std::map<std::string, int> seen;
    for (const Run& run : runs) {
      const std::vector<std::size_t> lines = members(run);
      if (lines.size() < 2) continue;
      std::string name = joined(run.module);
      if (name.empty()) name = lines_[run.lines.front()].name + " … " + lines_[run.lines.back()].name;
      if (const int count = ++seen[name]; count > 1) name += " (" + std::to_string(count) + ")";
      for (const std::size_t line : lines)
        graph_.group_of[line] = static_cast<std::ptrdiff_t>(graph_.groups.size());
      graph_.groups.push_back({name, lines, run.lines.size()});
    }
  }

  const std::vector<DerivationLine>& lines_;
  Graph& graph_;
  std::vector<std::size_t> forward_;
  std::vector<std::vector<std::size_t>> readers_;
  std::vector<Path> modules_;  ///< of the parameters that a line reads
  std::size_t depth_ = 0;
};

/// Room for the three lines of text of a node, in pixels: its name, its values or its shape, its gradient.
Drawing::Node node_of(const DerivationLine& line, const std::string& label) {
  const std::size_t size = element_count(line.shape, "derivation");
  const double values = size == 1   ? 88
                        : size == 2 ? 138
                                    : 6.5 * static_cast<double>(to_string(line.shape).size()) + 18;
  return {.width = std::max({88.0, values, 7.8 * static_cast<double>(characters(label)) + 18}),
          .height = 54,
          .is_leaf = line.part == Part::given};
}
Drawing::Node node_of(const Graph::Group& group) {
  return {.width = std::max(112.0, 7.8 * static_cast<double>(characters(shortened(group.name, 26))) + 22),
          .height = 54};
}

Graph::View view_of(const std::vector<DerivationLine>& lines, const Graph& graph, std::ptrdiff_t open) {
  Graph::View view{open, {}, {}};
  std::map<std::ptrdiff_t, std::size_t> numbers;
  const auto node_at = [&](std::size_t line) {
    const std::ptrdiff_t group = graph.group_of[line];
    const bool is_folded = group != Graph::none && group != open && open != Graph::all;
    return is_folded ? -1 - group : static_cast<std::ptrdiff_t>(line);
  };
  const auto add = [&](std::ptrdiff_t node) {
    if (!numbers.try_emplace(node, view.nodes.size()).second) return;
    view.nodes.push_back(node);
    const auto number = static_cast<std::size_t>(node < 0 ? -1 - node : node);
    view.drawing.nodes.push_back(node < 0 ? node_of(graph.groups[number])
                                          : node_of(lines[number], graph.labels[number]));
  };
  std::set<std::pair<std::size_t, std::size_t>> edges;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].part != Part::forward) continue;
    const std::ptrdiff_t node = node_at(i);
    // What is given comes before all that reads it, as edges go from lower to higher numbers.
    const std::vector<std::size_t> alone{i};
    if (!numbers.contains(node))
      for (const std::size_t member :
           node < 0 ? graph.groups[static_cast<std::size_t>(-1 - node)].lines : alone)
        for (const std::size_t read : graph.reads[member])
          if (lines[read].part == Part::given && node_at(read) != node) add(node_at(read));
    add(node);
    for (const std::size_t read : graph.reads[i])
      if (node_at(read) != node) edges.emplace(numbers.at(node_at(read)), numbers.at(node));
  }
  for (const auto& [from, to] : edges) view.drawing.edges.push_back({from, to});
  return view;
}

}  // namespace

Graph graph_of(const std::vector<DerivationLine>& lines) {
  Graph graph;
  graph.group_of.assign(lines.size(), Graph::none);
  graph.reads.resize(lines.size());
  Grouping(lines, graph).run();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string label = lines[i].name;
    if (graph.group_of[i] != Graph::none) {
      const std::string prefix = graph.groups[static_cast<std::size_t>(graph.group_of[i])].name + ".";
      if (label.starts_with(prefix)) label.erase(0, prefix.size());
    }
    graph.labels.push_back(shortened(label, 22));
  }
  graph.views.push_back(view_of(lines, graph, Graph::none));
  for (std::size_t g = 0; g < graph.groups.size(); ++g)
    graph.views.push_back(view_of(lines, graph, static_cast<std::ptrdiff_t>(g)));
  // More than these are no picture to look at.
  if (!graph.groups.empty()) {
    Graph::View all = view_of(lines, graph, Graph::all);
    if (all.nodes.size() <= 400) graph.views.push_back(std::move(all));
  }
  return graph;
}

void lay_out(Graph& graph) {
  std::vector<Drawing> drawings;
  for (const Graph::View& view : graph.views) drawings.push_back(view.drawing);
  lay_out(drawings);
  for (std::size_t i = 0; i < drawings.size(); ++i) graph.views[i].drawing = std::move(drawings[i]);
}

std::vector<std::size_t> gradient_of(const std::vector<DerivationLine>& lines) {
  // The names of gradients are made of those of quantities: δ1 of z1, dL/dx of x. See Writer in lines.cpp.
  std::string loss;
  for (const DerivationLine& line : lines)
    if (line.part == Part::forward) loss = line.name;
  std::map<std::string, std::size_t> of;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].part == Part::backward) continue;
    of.try_emplace("d" + loss + "/d" + lines[i].name, i);
    if (lines[i].name.starts_with("z")) of.try_emplace("δ" + lines[i].name.substr(1), i);
  }
  std::vector<std::size_t> all(lines.size(), lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (const auto found = of.find(lines[i].name); lines[i].part == Part::backward && found != of.end())
      all[i] = found->second;
  return all;
}

}  // namespace xtape::detail
