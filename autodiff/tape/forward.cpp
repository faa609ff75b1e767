// Which passes see an operation, and how each carries its tangents.
#include "forward.hpp"

#include <string>
#include <utility>
#include <vector>

#include "../error.hpp"

namespace xtape::detail {
namespace {

thread_local ForwardPass* innermost = nullptr;
thread_local ForwardPass* watching =
    nullptr;  ///< the innermost that operations are carried by: within a rule, an outer one

}  // namespace

ForwardPass::ForwardPass(bool creates_graph)
    : creates_graph_(creates_graph),
      enclosing_(std::exchange(watching, this)),
      before_(std::exchange(innermost, this)) {}

ForwardPass::~ForwardPass() {
  watching = enclosing_;
  innermost = before_;
}

ForwardPass::Watch::Watch(ForwardPass* pass) : before_(std::exchange(watching, pass)) {}
ForwardPass::Watch::~Watch() { watching = before_; }

void ForwardPass::begin_with(const Handle& x, Handle v) {
  tangents_.insert_or_assign(x.node.get(), Entry{x.node, std::move(v)});
}

const Handle* ForwardPass::find(const Node* node) const {
  const auto at = tangents_.find(node);
  return at == tangents_.end() ? nullptr : &at->second.tangent;
}

// The innermost pass is called first, and calls the others: the outer ones carry first, since what an inner
// one computes of y needs the tangent of y.
void ForwardPass::forward(const char*, const Handle& y, Inputs inputs) {
  if (this == innermost && y.node) carry_in(watching, y, inputs);
}

void ForwardPass::carry_in(ForwardPass* pass, const Handle& y, Inputs inputs) {
  if (!pass) return;
  carry_in(pass->enclosing_, y, inputs);
  pass->carry(y, inputs);
}

void ForwardPass::carry(const Handle& y, Inputs inputs) {
  std::vector<const Handle*> tangents;
  bool any = false;
  for (const Handle* input : inputs) {
    tangents.push_back(input->node ? find(input->node.get()) : nullptr);
    any = any || tangents.back();
  }
  Node& node = *y.node.get();
  if (!node.operation || (!any && !node.opaque)) return;
  if (!node.operation->tangent) throw Error("jvp", std::string("'") + node.name + "' has no forward mode");
  const Watch only_outer(enclosing_);
  Handle tangent = node.operation->tangent(node.op(), *this, y, inputs, tangents);
  if (tangent.value) begin_with(y, std::move(tangent));
}

}  // namespace xtape::detail
