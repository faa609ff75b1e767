// The walk down the tape: no recursion and no sort, since the tape is in the order of creation.
#include "backward.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <string>

#include "observer.hpp"

namespace xtape::detail {
namespace {

void require_replayable(Node& node) {
  if (!node.operation)
    throw Error(
        "backward",
        std::string("the recording of '") + node.name +
            "' was consumed by an earlier backward pass or cleared. Pass a state that is carried over "
            "to the next batch on as state.detach(); for a second backward of the same loss set "
            "retain_tape in the first; or compute the output again");
  for (const Kept& kept : node.kept())
    if (!kept.is_as_recorded())
      throw Error("backward", std::string("a value that '") + node.name + "' needs, of shape " +
                                  to_string(kept.value->shape) +
                                  ", was assigned after it was recorded: assign after backward()");
}

}  // namespace

/// Keeps a node, also from a rule that drops its last handle.
struct Pass::Hold {
  Hold(Tape& t, Node& n) : tape(t), node(n) { ++node.consumers; }
  ~Hold() { tape.drop_consumer(node); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  Tape& tape;
  Node& node;
};

/// While a pass walks down from `root`. As that is held, no node below it moves or is taken out of the tape.
struct Pass::Running {
  Running(Pass& pass, Node& root)
      : hold(pass.tape_, root), outer(std::exchange(pass.tape_.running_, &pass)) {}
  ~Running() {
    hold.tape.running_ = outer;
    hold.tape.free_tail();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Hold hold;
  Pass* outer;
};

Pass::Pass(Tape& tape, bool retain, bool create_graph)
    : tape_(tape),
      outer_(tape.running_),
      retain_(retain || create_graph || outer_),
      create_graph_(create_graph) {
  leaves_.swap(tape_.leaf_scratch_);
  surveyed_.swap(tape_.survey_scratch_);
}

Pass::Pass(bool retain, bool create_graph) : Pass(Tape::current(), retain, create_graph) {
  for (const Pass* pass = outer_; pass; pass = pass->outer_)
    for (Node* leaf : pass->leaves_) set_aside(*leaf);
}

Pass::Pass(bool retain, bool create_graph, std::vector<Target> targets)
    : Pass(Tape::current(), retain, create_graph) {
  targeted_ = true;
  targets_ = std::move(targets);
  std::ranges::sort(targets_, std::less<>(), &Target::node);
  auto end = targets_.begin();  // of those that differ
  for (Target& target : targets_)
    if (end != targets_.begin() && end[-1].node == target.node)
      ++end[-1].uses;
    else
      *end++ = std::move(target);
  targets_.erase(end, targets_.end());
}

Pass::~Pass() {
  for (Node* leaf : leaves_) {
    leaf->adjoint = {};
    drop_handle(leaf);
  }
  while (!set_aside_.empty()) {  // the last first: a leaf may have been set aside for several passes
    SetAside& one = set_aside_.back();
    one.node->adjoint = std::move(one.adjoint);
    one.node->survey = one.survey;
    one.node->needed = one.needed;
    tape_.drop_consumer(*one.node);
    set_aside_.pop_back();
  }
  leaves_.clear();
  surveyed_.clear();
  leaves_.swap(tape_.leaf_scratch_);
  surveyed_.swap(tape_.survey_scratch_);
}

Pass::Target* Pass::find(const Node& node) const {
  if (targets_.size() == 1) return targets_.front().node == &node ? &targets_.front() : nullptr;
  const auto at = std::ranges::lower_bound(targets_, &node, std::less<const Node*>(), &Target::node);
  return at != targets_.end() && at->node == &node ? &*at : nullptr;
}

bool Pass::is_targeted(const Node& node) const { return (!node.is_leaf() && node.needed) || find(node); }

Handle& Pass::slot(Node& node) {
  if (node.is_leaf()) {
    if (targeted_) return find(node)->gradient;
    if (!node.adjoint.value) {
      leaves_.push_back(&node);
      node.handles.fetch_add(1, std::memory_order_relaxed);  // its last user may be consumed in this pass
    }
  } else if (!node.adjoint.value) {
    ++pending_;
  }
  return node.adjoint;
}

const Value* Pass::collected(const Node& node) const {
  if (!node.is_leaf() || !targeted_) return node.adjoint.value.get();
  const Target* const target = find(node);
  return target ? target->gradient.value.get() : nullptr;
}

void Pass::set_aside(Node& node) {
  set_aside_.push_back({&node, {}, node.survey, node.needed});  // may throw: before the adjoint is taken
  set_aside_.back().adjoint = std::exchange(node.adjoint, {});
  if (node.is_leaf())
    node.handles.fetch_add(1, std::memory_order_relaxed);
  else
    ++node.consumers;
}

// Finds what the root depends on, before anything is changed: checks that it can be replayed, and for a
// pass with targets marks the nodes above one of them. A node is surveyed once in a pass.
void Pass::survey(Node& root) {
  const std::uint32_t serial = ++tape_.survey_serial_;
  if (first_survey_ == 0) first_survey_ = serial;
  std::size_t open = 0;
  const auto reach = [&](Node& node) {
    if (node.is_leaf() || (node.survey >= first_survey_ && node.survey <= serial)) return;
    if (outer_) set_aside(node);
    node.survey = serial;
    ++open;
  };
  surveyed_.clear();
  reach(root);
  for (Node* node = &root; open != 0; node = node->previous) {
    if (node->survey != serial) continue;
    --open;
    surveyed_.push_back(node);
    for (Node* input : node->inputs())
      if (input) reach(*input);
  }
  for (Node* node : surveyed_) {
    // What lies below a consumed node is unknown; that is no harm when it is all that was asked for.
    const bool is_the_target = targets_.size() == 1 && find(*node);
    if (!is_the_target) require_replayable(*node);
  }
  if (!targeted_) return;
  for (auto at = surveyed_.rbegin(); at != surveyed_.rend(); ++at) {
    Node& node = **at;
    node.needed = node.opaque;
    for (Node* input : node.inputs())
      if (input && wants(*input)) node.needed = true;
  }
}

// Backpropagation. A node lies after its inputs, so that its adjoint is complete when the walk comes to it.
void Pass::walk(Node& root, const Node* stop) {
  for (Node* node = &root; node != stop && pending_ != 0; node = node->previous)
    if (node->adjoint.value && is_mine(*node)) visit(*node);
}

void Pass::visit(Node& node) {
  const Hold hold(tape_, node);
  Handle adjoint = std::move(node.adjoint);
  --pending_;
  if (targeted_)
    if (Target* target = find(node)) target->gradient = adjoint;
  if (node.operation && (!targeted_ || node.needed)) {
    {
      Observed observed(node.name, &adjoint);
      node.operation->backward(node, *this, std::move(adjoint));
      observed.rule(node, *this);
    }
    ++tape_.rules_run_;
    if (!retain_) tape_.consume(node);
  }
}

void Pass::replay(Node& root, Handle seed, Node* stop) {
  if (root.is_leaf()) {
    if (wants(root)) slot(root) = std::move(seed);
    return;
  }
  if (tape_of(root) != &tape_)
    throw Error("backward",
                "the tensor was recorded by another thread: call backward() where it was recorded");
  if (tape_.dropped_elsewhere_.load(std::memory_order_relaxed)) tape_.find_dead();
  if (!tape_.running_) tape_.rules_run_ = 0;
  if (tape_.survey_serial_ > std::numeric_limits<std::uint32_t>::max() / 2) tape_.restart_surveys();
  if (targeted_ || outer_ || tape_.consumed_ != 0 ||
      tape_.changes_seen_ != changes.load(std::memory_order_relaxed))
    survey(root);
  if (!wants(root)) return;

  const RecordingScope scope(create_graph_);
  const Running running(*this, root);
  try {
    slot(root) = std::move(seed);
    walk(root, stop);
  } catch (...) {
    for (Node* node = &root; node; node = node->previous)
      if (is_mine(*node)) node->adjoint = {};
    tape_.find_dead();
    throw;
  }
}

}  // namespace xtape::detail
