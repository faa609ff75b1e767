// What tests of threads share.
#pragma once
#include <algorithm>

#include <autodiff/autodiff.hpp>

namespace xtape::test {

/// Sets the number of threads for a scope.
struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin());
}

}  // namespace xtape::test
