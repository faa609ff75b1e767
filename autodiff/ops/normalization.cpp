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

/// x (N, F); the moments are of columns (batch) or of rows (layer).
template <class T, bool batch>
struct Normalize {
  T epsilon;
  Tensor<T> mean, inverse;  ///< inverse = 1/√(variance + epsilon)
  static constexpr const char* name = batch ? "batch_norm" : "layer_norm";

  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1); }

  void backward(Gradients<T>& d) const {
    if (d.creates_graph()) {
      replay_through<T>(name, d, [&] {
        const Tensor<T> x = d.recorded_input(0), centered = x - xtape::mean(x, batch ? 0 : 1, true);
        const Tensor<T> deviation = sqrt(xtape::mean(square(centered), batch ? 0 : 1, true) + epsilon);
        return d.recorded_input(1) * (centered / deviation);
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
                                         d.adjoint.data(), data(0), data(1), mean.data(), inverse.data(), N,
                                         F);
      } else {
        // Blocks of rows, each with its own part of dgamma and of dbeta.
        const std::size_t block = std::max<std::size_t>(64, part_size / F), blocks = quotient_up(N, block);
        Tensor<T> parts = zeros<T>({2 * blocks, F});
        T *const gammas = parts.mutable_data(), *const betas = gammas + blocks * F;
        for_blocks(blocks, N * F, [&](std::size_t begin, std::size_t end) {
          for (std::size_t i = begin; i < end; ++i) {
            const std::size_t first = i * block, at = first * F;
            kernels<T>().layer_norm_gradient(dx ? dx + at : nullptr, accumulate, gammas + i * F,
                                             betas + i * F, d.adjoint.data() + at, data(0) + at, data(1),
                                             mean.data() + first, inverse.data() + first,
                                             std::min(block, N - first), F);
          }
        });
        kernels<T>().add_rows(dgamma.mutable_data(), gammas, blocks, F, T(1));
        kernels<T>().add_rows(dbeta.mutable_data(), betas, blocks, F, T(1));
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
  const Shape reduced{batch ? F : N};
  Tensor<T> y = make_result(x.shape(), name, x), mean = Tensor<T>::uninitialized(reduced),
            inverse = Tensor<T>::uninitialized(reduced);
  T *const to = y.mutable_data(), *const centers = mean.mutable_data(),
           *const factors = inverse.mutable_data();
  if constexpr (batch)
    kernels<T>().batch_norm(to, centers, factors, x.data(), gamma.data(), beta.data(), N, F, epsilon);
  else
    for_blocks(N, N * F, [&](std::size_t first, std::size_t last) {
      kernels<T>().layer_norm(to + first * F, centers + first, factors + first, x.data() + first * F,
                              gamma.data(), beta.data(), last - first, F, epsilon);
    });
  const std::array<const Handle*, 3> inputs{&x.handle(), &gamma.handle(), &beta.handle()};
  Tensor<T> recorded =
      record<T>(Normalize<T, batch>{epsilon, std::move(mean), std::move(inverse)}, std::move(y), inputs);
  observed.result(recorded.handle(), inputs);
  if (moments) *moments = {xtape::mean(x.detach(), 0), var(x.detach(), 0)};
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
