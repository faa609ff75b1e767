// Sees when the gradients of leaves are complete, while the backward pass still runs.
#pragma once
#include <unordered_map>
#include <vector>

#include "observer.hpp"

namespace xtape::detail {

/// While it lives, it is told of backward() on this thread: of each leaf whose gradient is complete, that is,
/// when the last recorded operation that uses it has run its rule, and of the end, before the gradients are
/// added to the leaves'. What grad() does is not seen. Beside the rule of an operation that may reach leaves
/// which are not its inputs, as a checkpoint's, it is only known at the end what is complete.
class LeafObserver : public Observer {
 public:
  void pass_begins(const Pass& pass, const Handle& output) override;
  void backward(Node& node, const Pass& pass) override;
  void pass_ends(std::span<Node* const> leaves) override;

 protected:
  /// backward() runs down from this output.
  virtual void begin_pass(const Handle& output) = 0;
  /// The rule of an operation has run.
  virtual void step() {}
  /// Nothing more will be added to Node::adjoint of the leaf in this pass.
  virtual void complete(Node& leaf) = 0;
  /// The pass has reached its end. Leaves for which complete() was not called are so now, too. What is put
  /// into Node::adjoint instead is what is added to a leaf's gradient; what this throws, backward() throws,
  /// and no gradient has changed.
  virtual void end_pass(std::span<Node* const> leaves) = 0;

 private:
  void count_uses(Node& root);

  std::unordered_map<Node*, std::size_t>
      uses_;  ///< of leaves, by recorded operations whose rules have not run
  bool is_running_ = false, is_known_ = false;  ///< is_known_: the uses are all that there are
};

}  // namespace xtape::detail
