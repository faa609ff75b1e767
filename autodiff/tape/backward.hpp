// One backward pass: the walk down the tape, and where the adjoints are collected.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "arena.hpp"

namespace xtape::detail {

/// Replays recorded nodes in reverse, for all leaves or for the targets that were asked for. What it collects
/// is handed out by its owner when the pass has succeeded, so that a pass that throws changes no gradient.
class Pass {
 public:
  struct Target {
    Node* node;
    Handle gradient;       ///< empty when the root does not depend on the node
    std::size_t uses = 1;  ///< how often it was asked for
  };

  /// For every leaf: see leaves().
  Pass(bool retain, bool create_graph);
  /// For these leaves or recorded nodes only, and nothing that they do not need: see find(). The caller holds
  /// the nodes.
  Pass(bool retain, bool create_graph, std::vector<Target> targets);
  ~Pass();
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  bool creates_graph() const { return create_graph_; }
  /// Whether the rule of another pass has begun it.
  bool is_nested() const { return outer_; }
  /// Whether an adjoint of `node` is of use.
  bool wants(const Node& node) const { return targeted_ ? is_targeted(node) : !node.frozen; }
  /// The place that collects the adjoint of a node that is wanted.
  Handle& slot(Node& node);
  /// The adjoint of a node as far as it has been collected; null where nothing has.
  const Value* collected(const Node& node) const;

  /// Runs the rules from `root`, whose adjoint is `seed`, down to the node after `stop` (null: to the first).
  /// A rule may call it for nodes that it has just recorded. Errors: a consumed recording, a value assigned
  /// since it was recorded, a recording of another thread.
  void replay(Node& root, Handle seed, Node* stop = nullptr);
  /// The last node recorded: the `stop` of a replay of what is recorded after it, which needs it held.
  NodeRef mark() const { return NodeRef::share(tape_.tail_); }

  /// Leaves that were reached, their gradients in Node::adjoint.
  std::span<Node* const> leaves() const { return leaves_; }
  /// What was collected for a node that was asked for; null for another node.
  Target* find(const Node& node) const;

 private:
  struct Hold;
  struct Running;

  /// What the pass around this one had noted in a node that this one reaches; put back at the end, until when
  /// the node is held: a rule may drop what it has replayed.
  struct SetAside {
    Node* node;
    Handle adjoint;
    std::uint32_t survey;
    bool needed;
  };

  Pass(Tape& tape, bool retain, bool create_graph);
  void set_aside(Node& node);
  void survey(Node& root);
  void walk(Node& root, const Node* stop);
  void visit(Node& node);
  bool is_targeted(const Node& node) const;
  /// Whether the adjoint of a node is this pass's own, and not one that waits in the pass around it.
  bool is_mine(const Node& node) const { return !outer_ || node.survey >= first_survey_; }

  Tape& tape_;
  Pass* outer_;  ///< whose rule asked for this pass, which leaves the recording of that one whole
  bool retain_;
  bool create_graph_;
  bool targeted_ = false;
  std::uint32_t first_survey_ = 0;  ///< this pass has surveyed the nodes that carry it or a later number
  std::size_t pending_ = 0;         ///< recorded nodes whose adjoint waits for their rule
  std::vector<Node*> leaves_;
  std::vector<Node*> surveyed_;
  std::vector<SetAside> set_aside_;
  mutable std::vector<Target> targets_;  ///< sorted by node
};

}  // namespace xtape::detail
