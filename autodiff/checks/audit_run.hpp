// One run of an audited function with the values of its operations, and leaves that move and come back.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "../tape/observer.hpp"
#include "../tensor.hpp"

namespace xtape::detail {

/// Elements that nothing else holds: those of leaves are about to change in place.
template <class T>
std::vector<T> copy_of(const Handle& handle) {
  const T* const from = handle.value->elements<T>();
  return {from, from + handle.value->size};
}

/// Of the bits of n elements.
template <class T>
std::size_t hash_of(const T* x, std::size_t n) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(x), n * sizeof(T)});
}

/// An input that this function did not record: a leaf, or a constant.
struct Given {
  Node* leaf;  ///< null for a constant
  std::size_t bits;

  /// Whether the move from a to b is known: none at all, or that of a leaf.
  static bool is_followed(const Given& a, const Given& b) {
    return a.bits == b.bits || (a.leaf && a.leaf == b.leaf);
  }
};

/// One run of the function: its operations in order, with their values, and the leaves that they use.
template <class T>
struct Recording {
  struct Operation {
    NodeRef node;
    std::vector<T> value;
    std::vector<Given> given;
  };
  std::vector<Operation> operations;
  std::vector<Handle> leaves;
  Tensor<T> loss;
};

/// Notes what is recorded while it lives.
template <class T>
class AuditObserver : public Observer {
 public:
  explicit AuditObserver(Recording<T>& run) : run_(run) {}
  void forward(const char* op, const Handle& y, std::span<const Handle* const> inputs) override {
    if (!y.node) {
      // An operation without a rule, such as the moments of x, helps one that has the rule for both.
      if (recording &&
          std::ranges::any_of(inputs, [](const Handle* input) { return input->active() != nullptr; }))
        helpers_.push_back(y.value);
      return;
    }
    if (y.value->item_size != sizeof(T) || std::ranges::any_of(inputs, [](const Handle* input) {
          return input->value && !input->value->integers && input->value->item_size != sizeof(T);
        }))
      throw Error("audit", std::string("'") + op + "' computes in another element type than the loss: take " +
                               "one type for the whole function");
    run_.operations.push_back({y.node, copy_of<T>(y), {}});
    for (const Handle* input : inputs) {
      Node* const node = input->active();
      if (!input->value || (node && !node->is_leaf()) || is_helper(*input)) continue;
      const std::size_t bits = hash_of(input->value->template elements<T>(), input->value->size);
      run_.operations.back().given.push_back({node, bits});
      if (node && seen_.insert(node).second) run_.leaves.push_back(*input);
    }
  }

 private:
  bool is_helper(const Handle& x) const {
    return std::ranges::any_of(helpers_, [&](const ValueRef& one) { return one.get() == x.value.get(); });
  }

  Recording<T>& run_;
  std::unordered_set<Node*> seen_;
  std::vector<ValueRef> helpers_;
};

template <class T>
Recording<T> run(const std::function<Tensor<T>()>& f) {
  Recording<T> result;
  const AuditObserver<T> recorder(result);
  result.loss = f();
  return result;
}

/// How far the leaves move: the step times the size of each element.
struct Probe {
  double step;
  enum { all, blamed_or_curved, faint } use;  ///< the operations that it is for
  bool relative;                              ///< to |x|, or to max(1, |x|)
};

/// A leaf's elements, set back at the end.
template <class T>
struct MovedLeaf {
  Tensor<T> leaf;
  std::vector<T> before;
  std::vector<T> direction{};

  explicit MovedLeaf(const Handle& handle) : leaf(handle), before(copy_of<T>(handle)) {}
  MovedLeaf(MovedLeaf&&) = default;
  ~MovedLeaf() { set_back(); }

  void set_back() {
    if (leaf.defined()) std::ranges::copy(before, leaf.mutable_data());
  }

  void move(const Probe& probe, double sign) {
    double squares = 0;  // a zero has no size of its own
    for (const T x : before) squares += static_cast<double>(x) * static_cast<double>(x);
    const double typical =
        squares > 0 && std::isfinite(squares) ? std::sqrt(squares / static_cast<double>(before.size())) : 1;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double x = std::abs(static_cast<double>(before[i]));
      const double size = !probe.relative ? std::max(1.0, x) : x > 0 ? x : typical;
      leaf.mutable_data()[i] = before[i] + static_cast<T>(sign * probe.step * size) * direction[i];
    }
  }
};

}  // namespace xtape::detail
