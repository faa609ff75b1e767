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
    throw Error("backward",
                std::string("the recording of '") + node.name +
                    "' was consumed by an earlier backward pass or cleared: set retain_tape in the "
                    "earlier pass, or compute the output again");
  for (const Kept& kept : node.kept())
    if (kept.value->owner().version.load(std::memory_order_relaxed) != kept.version)
      throw Error("backward", std::string("a value that '") + node.name + "' needs, of shape " +
                                  to_string(kept.value->shape) +
                                  ", was assigned after it was recorded: assign after backward()");
}

/// Keeps a node while its rule runs.
struct InUse {
  explicit InUse(Node& n) : node(n) { ++node.consumers; }
  ~InUse() { --node.consumers; }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;
  Node& node;
};

}  // namespace

Pass::Pass(bool retain, bool create_graph)
    : tape_(Tape::current()), create_graph_(create_graph), nested_(tape_.floor_ != nullptr) {
  retain_ = retain || create_graph || nested_;
  leaves_.swap(tape_.leaf_scratch_);
  surveyed_.swap(tape_.survey_scratch_);
}

Pass::Pass(bool retain, bool create_graph, std::vector<Target> targets) : Pass(retain, create_graph) {
  targeted_ = true;
  targets_ = std::move(targets);
  std::ranges::sort(targets_, std::less<>(), &Target::node);
}

Pass::~Pass() {
  for (SetAside& one : set_aside_) {
    one.node->adjoint = std::move(one.adjoint);
    one.node->survey = one.survey;
    one.node->needed = one.needed;
  }
  for (Node* leaf : leaves_) {
    leaf->adjoint = {};
    drop_handle(leaf);
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

// Finds what the root depends on, before anything is changed: checks that it can be replayed, and for a
// pass with targets marks the nodes above one of them. A node is surveyed once in a pass.
void Pass::survey(Node& root) {
  const std::uint32_t serial = ++tape_.survey_serial_;
  if (first_survey_ == 0) first_survey_ = serial;
  std::size_t open = 0;
  const auto reach = [&](Node& node) {
    if (node.is_leaf() || (node.survey >= first_survey_ && node.survey <= serial)) return;
    if (nested_) {
      set_aside_.push_back(
          {&node, {}, node.survey, node.needed});  // before the adjoint, which it would take along
      set_aside_.back().adjoint = std::exchange(node.adjoint, {});
    }
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

void Pass::visit(Node& node) {
  Handle adjoint = std::move(node.adjoint);
  --pending_;
  if (targeted_)
    if (Target* target = find(node)) target->gradient = adjoint;
  if (node.operation && (!targeted_ || node.needed)) {
    {
      Observed observed(node.name, &adjoint);
      const InUse in_use(node);  // the rule may drop handles, and must not be released under its own feet
      node.operation->backward(node, *this, std::move(adjoint));
      observed.rule(node, *this);
    }
    ++tape_.rules_run_;
    if (!retain_) tape_.consume(node);
  }
  if (node.dead || node.consumers != 0 || node.handles.load(std::memory_order_acquire) != 0) return;
  if (node.operation)
    tape_.release(node);
  else
    tape_.bury(node);
}

void Pass::replay(Node& root, Handle seed, Node* stop) {
  if (root.is_leaf()) {
    if (wants(root)) slot(root) = std::move(seed);
    return;
  }
  if (tape_of(root) != &tape_)
    throw Error("backward",
                "the tensor was recorded by another thread: call backward() where it was recorded");
  if (tape_.dropped_elsewhere_.load(std::memory_order_relaxed)) tape_.sweep();
  if (!tape_.floor_) tape_.rules_run_ = 0;
  if (tape_.survey_serial_ > std::numeric_limits<std::uint32_t>::max() / 2) tape_.restart_surveys();
  if (targeted_ || nested_ || tape_.husks_ != 0 ||
      tape_.changes_seen_ != changes.load(std::memory_order_relaxed))
    survey(root);
  if (!wants(root)) return;

  // Nodes stay in place until the walk has passed them; then the tail is trimmed while it is in the cache.
  Node* const floor_before = tape_.floor_;
  const RecordingScope scope(create_graph_);
  Node* node = &root;
  try {
    slot(root) = std::move(seed);
    while (node != stop && pending_ != 0) {
      Node* const previous = node->previous;
      // A nested pass leaves the adjoints of the one around it alone.
      if (node->adjoint.value && (!nested_ || node->survey >= first_survey_)) {
        tape_.floor_ = node;
        visit(*node);
        tape_.floor_ = previous;
        tape_.trim();
      }
      node = previous;
    }
  } catch (...) {
    // A nested pass drops its own adjoints, and not those of the pass around it.
    for (; node; node = node->previous)
      if (!nested_ || node->survey >= first_survey_) node->adjoint = {};
    tape_.floor_ = floor_before;
    tape_.sweep();
    throw;
  }
  tape_.floor_ = floor_before;
  tape_.trim();
}

}  // namespace xtape::detail
