// Batch and layer normalisation: one rule for both, which differ in the axis of their moments.
#include "../normalization.hpp"

#include <string>

#include "../elementwise.hpp"
#include "../kernels/kernels.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"
#include "layout_ops.hpp"

namespace xtape {
namespace detail {
namespace {

std::size_t rows_of_block(std::size_t F) {
  return std::max<std::size_t>(64, part_size / std::max<std::size_t>(F, 1));
}

/// f(i, first, rows) for each block i of the rows of a matrix (N, F), which threads share out.
template <class Function>
void for_row_blocks(std::size_t N, std::size_t F, const Function& f) {
  const std::size_t block = rows_of_block(F);
  for_blocks(quotient_up(N, block), N * F, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) f(i, i * block, std::min(block, N - i * block));
  });
}

/// x (N, F); the moments are of columns (batch) or of rows (layer).
template <class T, bool batch>
struct Normalize {
  T epsilon;
  Tensor<T> moments;  ///< as Kernels::batch_norm and layer_norm write them
  static constexpr const char* name = batch ? "batch_norm" : "layer_norm";

  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1); }

  void backward(Gradients<T>& d) const {
    if (d.creates_graph()) {
      replay_through<T>(name, d, [&] {
        // By deviations from a constant next to the mean, which lose no digits.
        const int axis = batch ? 0 : 1;
        const Tensor<T> near = d.recorded_input(0) - unsqueeze(slice(moments, 0), axis);
        const Tensor<T> centered = near - mean(near, axis, true);
        const Tensor<T> variance = mean(square(centered), axis, true) + epsilon, none = equal(variance, 0);
        return d.recorded_input(1) * where(none, 0, centered / sqrt(where(none, 1, variance)));
      });
      return d.add(2, d.adjoint);
    }
    const Value& x = d.kept_value(0);
    const std::size_t N = x.shape[0], F = x.shape[1];
    Tensor<T> dgamma = zeros<T>({F}), dbeta = zeros<T>({F});
    const auto data = [&](std::size_t i) { return d.kept_value(i).template elements<T>(); };
    const auto run = [&](T* dx, bool accumulate) {
      if constexpr (batch) {
        kernels<T>().batch_norm_gradient(dx, accumulate, dgamma.mutable_data(), dbeta.mutable_data(),
                                         d.adjoint.data(), data(0), data(1), moments.data(), N, F);
      } else {
        // Each block of rows has its own part of dgamma and of dbeta.
        const std::size_t blocks = quotient_up(N, rows_of_block(F));
        Tensor<T> parts = zeros<T>({2 * blocks, F});
        T *const gammas = parts.mutable_data(), *const betas = gammas + blocks * F;
        for_row_blocks(N, F, [&](std::size_t i, std::size_t first, std::size_t rows) {
          const std::size_t at = first * F;
          kernels<T>().layer_norm_gradient(dx ? dx + at : nullptr, accumulate, gammas + i * F, betas + i * F,
                                           d.adjoint.data() + at, data(0) + at, data(1),
                                           moments.data() + 4 * first, rows, F);
        });
        kernels<T>().add_rows(dgamma.mutable_data(), gammas, blocks, F);
        kernels<T>().add_rows(dbeta.mutable_data(), betas, blocks, F);
      }
    };
    if (d.needs(0))
      d.accumulate_in_place(0, [&](Target<T> dx) { run(dx.data, dx.accumulate); });
    else
      run(nullptr, false);
    d.add(1, std::move(dgamma));
    d.add(2, std::move(dbeta));
  }
};

template <class T, bool batch>
Tensor<T> normalize(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta, T epsilon,
                    Moments<T>* moments) {
  constexpr const char* name = Normalize<T, batch>::name;
  Observed observed(name);
  const std::size_t N = x.shape()[0], F = x.shape()[1];
  Tensor<T> y = make_result(x.shape(), name, x), all = Tensor<T>::uninitialized({4, batch ? F : N});
  if constexpr (batch)
    kernels<T>().batch_norm(y.mutable_data(), all.mutable_data(), x.data(), gamma.data(), beta.data(), N, F,
                            epsilon);
  else
    for_row_blocks(N, F,
                   [&, to = y.mutable_data(), found = all.mutable_data()](std::size_t, std::size_t first,
                                                                          std::size_t rows) {
                     kernels<T>().layer_norm(to + first * F, found + 4 * first, x.data() + first * F,
                                             gamma.data(), beta.data(), rows, F, epsilon);
                   });
  if (moments) {
    *moments = {Tensor<T>::uninitialized({F}), Tensor<T>::uninitialized({F})};
    for (std::size_t i = 0; i < F; ++i) {
      moments->mean.mutable_data()[i] = all.data()[i] + all.data()[F + i];
      moments->variance.mutable_data()[i] = all.data()[2 * F + i] / static_cast<T>(N);
    }
  }
  const std::array<const Handle*, 3> inputs{&x.handle(), &gamma.handle(), &beta.handle()};
  Tensor<T> recorded = record<T>(Normalize<T, batch>{epsilon, std::move(all)}, std::move(y), inputs);
  observed.result(recorded.handle(), inputs);
  return recorded;
}

void require_features(const char* op, const Shape& x, const Shape& gamma, const Shape& beta) {
  const Shape features{x.back()};
  if (!(gamma == features) || !(beta == features))
    throw Error(op, "gamma of shape " + to_string(gamma) + " and beta of shape " + to_string(beta) +
                        " for x of shape " + to_string(x) + ": both must be " + to_string(features));
}

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> batch_norm(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& gamma,
                     const Tensor<std::type_identity_t<T>>& beta, std::type_identity_t<T> epsilon,
                     Moments<T>* moments) {
  if (x.rank() != 2 || x.shape()[0] == 0)
    throw Error("batch_norm", "x of shape " + to_string(x.shape()) + " is not (N, F) with rows to average");
  detail::require_features("batch_norm", x.shape(), gamma.shape(), beta.shape());
  return detail::normalize<T, true>(x, gamma, beta, epsilon, moments);
}

template <class T>
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<std::type_identity_t<T>>& gamma,
                     const Tensor<std::type_identity_t<T>>& beta, std::type_identity_t<T> epsilon) {
  if (x.rank() == 0 || x.shape().back() == 0)
    throw Error("layer_norm", "x of shape " + to_string(x.shape()) + " has no features to average");
  detail::require_features("layer_norm", x.shape(), gamma.shape(), beta.shape());
  if (x.rank() == 2) return detail::normalize<T, false>(x, gamma, beta, epsilon, nullptr);
  const std::size_t F = x.shape().back();
  const Tensor<T> rows = reshape(x, Dims{x.size() / F, F});
  return reshape(detail::normalize<T, false>(rows, gamma, beta, epsilon, nullptr), Dims(x.shape()));
}

#define XTAPE_INSTANTIATE(T)                                                                           \
  template Tensor<T> batch_norm(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, T, Moments<T>*); \
  template Tensor<T> layer_norm(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, T);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
