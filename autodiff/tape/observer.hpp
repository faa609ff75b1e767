// What watches operations as they run (Profile, DetectAnomaly): for an operation that nothing watches, the
// test of one pointer.
#pragma once
#include <span>
#include <vector>

#include "../platform/compiler.hpp"
#include "node.hpp"

namespace xtape::detail {

/// Sees the operations of this thread while it lives. Scopes nest, and each sees what happens within.
class Observer {
 public:
  Observer();
  virtual ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  /// An operation begins, or where there is an adjoint, its rule. Runs nest. Where it has no memory to note
  /// that, it throws, and the run has not begun.
  virtual void begin(const char* op, const Handle* adjoint);
  /// The operation gave y, with a node where it was recorded. What this throws, the operation throws.
  virtual void forward(const char* op, const Handle& y, std::span<const Handle* const> inputs);
  /// The rule of a node has added to the adjoints of its inputs. What this throws, the pass throws.
  virtual void backward(Node& node, const Pass& pass);
  /// The run that began last is over, by an exception too. Throws nothing.
  virtual void end();
  /// backward() is to run down from this output, which has a node.
  virtual void pass_begins(const Pass& pass, const Handle& output);
  /// It has: what leaves hold in Node::adjoint is to be added to their gradients. What this throws,
  /// backward() throws when all observers have been told, and no gradient has changed.
  virtual void pass_ends(std::span<Node* const> leaves);

  Observer* outer() const { return outer_; }

 private:
  Observer* outer_;
};

/// The innermost one.
XTAPE_THREAD_LOCAL Observer* observer = nullptr;

void begin_observed(const char* op, const Handle* adjoint);
void observe_forward(const char* op, const Handle& y, std::span<const Handle* const> inputs);
void observe_backward(Node& node, const Pass& pass);
void end_observed();
void observe_pass_begins(const Pass& pass, const Handle& output);
void observe_pass_ends(std::span<Node* const> leaves);

/// One run of an operation or of its rule, from here to result() or rule(), or to an exception.
class Observed {
 public:
  /// For a rule with the adjoint that it is given.
  explicit Observed(const char* op, const Handle* adjoint = nullptr) : op_(op), active_(observer != nullptr) {
    if (active_) [[unlikely]]
      begin_observed(op, adjoint);
  }
  ~Observed() {
    if (active_) [[unlikely]]
      end_observed();
  }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

  template <class Inputs>
  void result(const Handle& y, const Inputs& inputs) {
    if (!active_) [[likely]]
      return;
    std::vector<const Handle*> list;
    for (const Handle* input : inputs) list.push_back(input);
    observe_forward(op_, y, list);
    finish();
  }
  void rule(Node& node, const Pass& pass) {
    if (!active_) [[likely]]
      return;
    observe_backward(node, pass);
    finish();
  }

 private:
  void finish() {
    active_ = false;
    end_observed();
  }

  const char* op_;
  bool active_;
};

}  // namespace xtape::detail
