// all_reduce and broadcast, which are each other's gradients but for the other ranks' zeros.
#include <algorithm>
#include <array>

#include <autodiff/custom.hpp>
#include <autodiff/elementwise.hpp>

#include "communicator.hpp"

namespace xtape::mpi {
namespace {

/// Error, on all ranks, unless x has the shape that it has on the first, and requires a gradient as there:
/// else only some of them would take part in the backward pass.
template <class T>
void require_same(const char* op, const Tensor<T>& x, const Communicator& ranks) {
  constexpr std::size_t most = 10;  // the gradient, the rank, and up to eight axes
  std::array<unsigned long long, most> own{x.requires_grad(), x.rank()};
  std::copy(x.shape().begin(), x.shape().end(), own.begin() + 2);
  std::vector<unsigned long long> all(most * ranks.size());
  detail::check(MPI_Allgather(own.data(), most, MPI_UNSIGNED_LONG_LONG, all.data(), most,
                              MPI_UNSIGNED_LONG_LONG, ranks.state().comm),
                op);
  const auto shape_of = [&](std::size_t r) {
    const auto* const from = all.data() + r * most + 1;
    Shape shape;
    for (std::size_t i = 0; i < from[0]; ++i) shape.push_back(from[1 + i]);
    return shape;
  };
  for (std::size_t r = 1; r < ranks.size(); ++r) {
    const std::string here = " on rank " + std::to_string(r);
    if (!(shape_of(r) == shape_of(0)))
      throw Error(op, "x has the shape " + to_string(shape_of(0)) + " on rank 0 and " +
                          to_string(shape_of(r)) + here);
    if (all[r * most] != all[0])
      throw Error(op, std::string("x requires ") + (all[0] ? "a" : "no") + " gradient on rank 0 and " +
                          (all[0] ? "none" : "one") + here + ": make it a parameter on all of them, or none");
  }
}

template <class T>
Tensor<T> sum_of_ranks(const Tensor<T>& x, const Communicator& ranks) {
  Tensor<T> y = Tensor<T>::uninitialized(x.shape());
  for (std::size_t at = 0; at < x.size(); at += detail::most_at_once) {
    detail::OrderedSum<T> sum(ranks, std::min(detail::most_at_once, x.size() - at));
    std::copy_n(x.data() + at, sum.size(), sum.data());
    sum.start();
    sum.wait();
    std::copy_n(sum.data(), sum.size(), y.mutable_data() + at);
  }
  return y;
}

}  // namespace

template <class T>
Tensor<T> all_reduce(const Tensor<T>& x, const Communicator& ranks) {
  require_same("all_reduce", x, ranks);
  return custom<T>(
      "all_reduce", {x}, [ranks](const Tensor<T>& a) { return sum_of_ranks(a, ranks); },
      [ranks](const Tensor<T>& g) { return std::vector{all_reduce(g, ranks)}; });
}

template <class T>
Tensor<T> broadcast(const Tensor<T>& x, std::size_t root, const Communicator& ranks) {
  if (root >= ranks.size())
    throw Error("broadcast",
                "there is no rank " + std::to_string(root) + " among " + std::to_string(ranks.size()));
  require_same("broadcast", x, ranks);
  const T here = ranks.rank() == root ? T(1) : T(0);
  return custom<T>(
      "broadcast", {x},
      [ranks, root](const Tensor<T>& a) {
        Tensor<T> y = Tensor<T>(a.value());
        detail::send_to_all(y.mutable_data(), y.size(), root, ranks.state().comm, "broadcast");
        return y;
      },
      [ranks, here](const Tensor<T>& g) { return std::vector{all_reduce(g, ranks) * here}; });
}

#define XTAPE_INSTANTIATE(T)                                            \
  template Tensor<T> all_reduce(const Tensor<T>&, const Communicator&); \
  template Tensor<T> broadcast(const Tensor<T>&, std::size_t, const Communicator&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::mpi
