// One backward pass: the walk down the tape, and where the adjoints are collected.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "../tape.hpp"

namespace xtape::detail {

/// Replays recorded nodes in reverse, for all leaves or for the targets that were asked for. What it collects
/// is handed out by its owner when the pass has succeeded, so that a pass that throws changes no gradient.
class Pass {
 public:
  struct Target {
    Node* node;
    Handle gradient;  ///< empty when the root does not depend on the node
  };

  /// For every leaf: see leaves().
  Pass(bool retain, bool create_graph);
  /// For these leaves or recorded nodes only, and nothing that they do not need: see targets().
  Pass(bool retain, bool create_graph, std::vector<Target> targets);
  ~Pass();
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  bool creates_graph() const { return create_graph_; }
  /// Whether an adjoint of `node` is of use.
  bool wants(const Node& node) const { return !targeted_ || is_targeted(node); }
  /// The place that collects the adjoint of a node that is wanted.
  Handle& slot(Node& node);
  /// The adjoint of a node as far as it has been collected; null where nothing has.
  const Value* collected(const Node& node) const;

  /// Runs the rules from `root`, whose adjoint is `seed`, down to the node after `stop` (null: to the first).
  /// A rule may call it for nodes that it has just recorded. Errors: a consumed recording, a value assigned
  /// since it was recorded, a recording of another thread.
  void replay(Node& root, Handle seed, Node* stop = nullptr);
  /// The last node recorded: the `stop` of a replay of what is recorded after it.
  Node* mark() const { return tape_.tail_; }

  /// Leaves that were reached, their gradients in Node::adjoint.
  std::span<Node* const> leaves() const { return leaves_; }
  std::span<Target> targets() { return targets_; }

 private:
  /// What the pass around this one had noted in a node that this one reaches; put back at the end.
  struct SetAside {
    Node* node;
    Handle adjoint;
    std::uint32_t survey;
    bool needed;
  };

  void survey(Node& root);
  void visit(Node& node);
  bool is_targeted(const Node& node) const;
  Target* find(const Node& node) const;

  Tape& tape_;
  bool retain_;
  bool create_graph_;
  bool targeted_ = false;
  bool nested_;  ///< a rule of another pass asked for this one: it leaves that pass's recording whole
  std::uint32_t first_survey_ = 0;  ///< this pass has surveyed the nodes that carry it or a later number
  std::size_t pending_ = 0;         ///< recorded nodes whose adjoint waits for their rule
  std::vector<Node*> leaves_;
  std::vector<Node*> surveyed_;
  std::vector<SetAside> set_aside_;
  mutable std::vector<Target> targets_;  ///< sorted by node
};

}  // namespace xtape::detail
