// What properties compare: gradients with differences, and lists of results with each other.
#pragma once
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "run.hpp"

namespace xtape::properties {

template <class T>
using List = std::vector<Tensor<T>>;

/// A property that does not hold.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Gradients of the loss, 0 for leaves that it does not depend on.
template <class T>
List<T> gradients(const Tensor<T>& loss, const List<T>& leaves, const BackwardOptions<T>& options = {}) {
  if (loss.requires_grad()) return grad(loss, leaves, options);
  List<T> zero;
  for (const Tensor<T>& leaf : leaves) zero.push_back(zeros<T>(leaf.shape()));
  return zero;
}

/// The loss, then its gradients.
template <class T>
List<T> evaluate(const Program& program) {
  const List<T> leaves = make_leaves<T>(program);
  const Tensor<T> loss = run(program, leaves);
  List<T> all{loss.detach()};
  for (const Tensor<T>& g : gradients(loss, leaves)) all.push_back(g);
  return all;
}

/// But for those of NaN, whose sign is that of either operand, as the compiler orders them.
template <class T>
bool same_bits(const List<T>& a, const List<T>& b) {
  const auto same = [](T x, T y) {
    return std::memcmp(&x, &y, sizeof(T)) == 0 || (std::isnan(x) && std::isnan(y));
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const auto& x, const auto& y) {
    return x.shape() == y.shape() && std::equal(x.data(), x.data() + x.size(), y.data(), same);
  });
}

/// The largest distance of two elements, where 1 is the size of the largest element of all, or 1.
template <class A, class B>
double distance(const List<A>& a, const List<B>& b) {
  double most = 0, size = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(a[i].shape() == b[i].shape())) throw Broken("shapes differ");
    for (std::size_t k = 0; k < a[i].size(); ++k) {
      const auto x = static_cast<double>(a[i].data()[k]), y = static_cast<double>(b[i].data()[k]);
      size = std::max(size, std::abs(y));
      most = std::isfinite(x) && std::isfinite(y) ? std::max(most, std::abs(x - y)) : 1e300;
    }
  }
  return most / size;
}

/// How many comparisons with differences said something, and how many did not.
struct Tally {
  int compared = 0, vague = 0;
};

/// Gradients of a program, and gradients of gradients, against differences along a direction. Broken when
/// they differ.
void agrees_with_differences(const Program& program, Tally& tally);

}  // namespace xtape::properties
