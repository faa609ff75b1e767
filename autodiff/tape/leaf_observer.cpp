// Counting the uses of leaves by what a backward pass will run.
#include "leaf_observer.hpp"

#include <unordered_set>
#include <utility>

#include "backward.hpp"

namespace xtape::detail {

void LeafObserver::count_uses(Node& root) {
  uses_.clear();
  is_known_ = true;
  if (root.is_leaf()) return;
  std::unordered_set<const Node*> open{&root};
  // A node lies after its inputs.
  for (Node* node = &root; !open.empty(); node = node->previous) {
    if (open.erase(node) == 0) continue;
    if (node->opaque) is_known_ = false;
    for (Node* input : node->inputs()) {
      if (!input) continue;
      if (input->is_leaf())
        ++uses_[input];
      else
        open.insert(input);
    }
  }
}

void LeafObserver::pass_begins(const Pass& pass, const Handle& output) {
  if (pass.is_nested())
    throw Error("backward",
                "it was called by the rule of an operation, while gradients are observed as they become "
                "complete (DataParallel does), and what it adds to them would be missed: take grad() there");
  count_uses(*output.node.get());
  begin_pass(output);
  is_running_ = true;
}

void LeafObserver::backward(Node& node, const Pass& pass) {
  if (!is_running_ || pass.leaves().empty()) return;
  if (is_known_)
    for (Node* input : node.inputs())
      if (input && input->is_leaf())
        if (const auto at = uses_.find(input); at != uses_.end() && --at->second == 0 && input->adjoint.value)
          complete(*input);
  step();
}

void LeafObserver::pass_ends(std::span<Node* const> leaves) {
  if (!std::exchange(is_running_, false)) return;
  end_pass(leaves);
}

}  // namespace xtape::detail
