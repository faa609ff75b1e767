// Batch and layer normalisation: the same rules for both, which differ in the axis of their moments.
#include "../normalization.hpp"

#include <string>

#include "../elementwise.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"
#include "moment_ops.hpp"

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

// x and g are (N, F), gamma and beta (F,); the moments are those that AxisMoments gives for the columns
// (batch) or the rows (layer). x̂ = (x − mean) / √(variance + epsilon), which in turn depend on x.

/// x̂ and √(variance + epsilon), from x alone.
template <class T, bool batch>
std::pair<Tensor<T>, Tensor<T>> normalized(const Tensor<T>& x, T epsilon) {
  const unsigned mask = batch ? 1u : 2u;
  const Tensor<T> centred = x - axis_mean(x, mask);
  const Tensor<T> deviation = sqrt(axis_mean(square(centred), mask) + epsilon);
  return {centred / deviation, deviation};
}

/// (Σ g, Σ g x̂) over the rows, (2, F): the gradients of beta and gamma.
template <class T, bool batch>
struct NormalizedSums {
  T epsilon;
  static constexpr const char* name = batch ? "batch_norm_sums" : "layer_norm_sums";
  bool operator==(const NormalizedSums&) const = default;

  Shape shape(const Shape& g, const Shape&, const Shape&) const { return {2, g[1]}; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>&) const {
    const Tensor<T> normal = normalized<T, batch>(x, epsilon).first;
    return stack(std::vector<Tensor<T>>{sum(g, 0), sum(g * normal, 0)});
  }
  void compute(Target<T> y, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& moments) const {
    const std::size_t N = x.shape()[0], F = x.shape()[1],
                      blocks = batch ? 1 : quotient_up(N, rows_of_block(F));
    if (batch) return kernels<T>().sums_of_columns(y.data, g.data(), x.data(), moments.data(), N, F);
    if (blocks == 1) return kernels<T>().sums_of_rows(y.data, g.data(), x.data(), moments.data(), N, F);
    PoolVector<T> parts(2 * blocks * F);
    for_row_blocks(N, F, [&](std::size_t i, std::size_t first, std::size_t rows) {
      kernels<T>().sums_of_rows(&parts[2 * i * F], g.data() + first * F, x.data() + first * F,
                                moments.data() + 4 * first, rows, F);
    });
    std::fill_n(y.data, 2 * F, T(0));
    kernels<T>().add_rows(y.data, parts.data(), blocks, 2 * F);
  }
  static constexpr unsigned keeps(unsigned i) {
    return (i == 1 ? keep_input(0) : 0) | keep_input(1) | keep_input(2);
  }
  void tangent(Tangents<T>& t) const;
  void backward(Gradients<T>& d) const;
};

/// dx = Q (gamma g), where Q v = (v − its mean − x̂ · the mean of v x̂) / √(variance + epsilon) with means
/// along the line is the gradient of x̂, symmetric. The sums are those of NormalizedSums; rows need none.
template <class T, bool batch>
struct NormalizeGradient {
  static constexpr bool accumulates = true;
  T epsilon;
  static constexpr const char* name = batch ? "batch_norm_gradient" : "layer_norm_gradient";
  bool operator==(const NormalizeGradient&) const = default;

  Shape shape(const Shape&, const Shape& x, const auto&...) const { return x; }
  Tensor<T> decomposed(const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>&,
                       const auto&...) const {
    const unsigned mask = batch ? 1u : 2u;
    const auto [normal, deviation] = normalized<T, batch>(x, epsilon);
    const Tensor<T> v = gamma * g;
    return (v - axis_mean(v, mask) - normal * axis_mean(v * normal, mask)) / deviation;
  }
  void compute(Target<T> dx, const Tensor<T>& g, const Tensor<T>& x, const Tensor<T>& gamma,
               const Tensor<T>& moments, const auto&... sums) const
      requires(sizeof...(sums) == (batch ? 1 : 0)) {
    const std::size_t N = x.shape()[0], F = x.shape()[1];
    if constexpr (batch)
      kernels<T>().normalize_columns_gradient(dx.data, dx.accumulate, g.data(), x.data(), gamma.data(),
                                              moments.data(), sums.data()..., N, F);
    else
      for_row_blocks(N, F, [&](std::size_t, std::size_t first, std::size_t rows) {
        const std::size_t at = first * F;
        kernels<T>().normalize_rows_gradient(dx.data + at, dx.accumulate, g.data() + at, x.data() + at,
                                             gamma.data(), moments.data() + 4 * first, rows, F);
      });
  }
  static constexpr unsigned keeps(unsigned) {
    return keep_input(0) | keep_input(1) | keep_input(2) | keep_input(3);
  }
  void tangent(Tangents<T>& t) const;
  void backward(Gradients<T>& d) const;
};

/// y = gamma x̂ + beta
template <class T, bool batch>
struct Normalize {
  T epsilon;
  static constexpr const char* name = batch ? "batch_norm" : "layer_norm";
  bool operator==(const Normalize&) const = default;

  Shape shape(const Shape& x, const Shape&, const Shape&, const Shape&) const { return x; }
  Tensor<T> decomposed(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta,
                       const Tensor<T>&) const {
    return gamma * normalized<T, batch>(x, epsilon).first + beta;
  }
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta,
               const Tensor<T>& moments) const {
    const std::size_t N = x.shape()[0], F = x.shape()[1];
    if constexpr (batch)
      kernels<T>().normalize_columns(y.data, x.data(), gamma.data(), beta.data(), moments.data(), N, F);
    else
      for_row_blocks(N, F, [&](std::size_t, std::size_t first, std::size_t rows) {
        kernels<T>().normalize_rows(y.data + first * F, x.data() + first * F, gamma.data(), beta.data(),
                                    moments.data() + 4 * first, rows, F);
      });
  }
  static constexpr unsigned keeps(unsigned i) {
    return i == 2 ? 0 : keep_input(0) | keep_input(3) | (i == 0 ? keep_input(1) : 0);
  }
  void tangent(Tangents<T>& t) const;
  void backward(Gradients<T>& d) const {
    if (!d.needs(0) && !d.needs(1)) return d.add(2, sum(d.adjoint, 0));
    Tensor<T> sums;
    if (batch || d.needs(1) || d.needs(2)) {
      sums = apply<T>(NormalizedSums<T, batch>{epsilon}, d.adjoint, d.input(0), d.input(3));
      if (d.needs(1)) d.add(1, slice(sums, 1));
      if (d.needs(2)) d.add(2, slice(sums, 0));
    }
    if (!d.needs(0)) return;
    const NormalizeGradient<T, batch> gradient{epsilon};
    if constexpr (batch)
      d.add_last(0, gradient, d.adjoint, d.input(0), d.input(1), d.input(3), sums.detach());
    else
      d.add_last(0, gradient, d.adjoint, d.input(0), d.input(1), d.input(3));
  }
};

/// What the rules are written in.
template <class T, bool batch>
struct Normalized {
  T epsilon;
  Tensor<T> x, moments;

  /// gamma x̂ + beta
  Tensor<T> operator()(const Tensor<T>& gamma, const Tensor<T>& beta) const {
    return apply<T>(Normalize<T, batch>{epsilon}, x, gamma, beta, moments);
  }
  Tensor<T> one() const { return ones<T>({x.shape()[1]}); }
  /// Q (gamma v)
  Tensor<T> Q(const Tensor<T>& v, const Tensor<T>& gamma) const {
    const NormalizeGradient<T, batch> gradient{epsilon};
    if constexpr (batch)
      return apply<T>(gradient, v, x, gamma, moments,
                      apply<T>(NormalizedSums<T, batch>{epsilon}, v.detach(), x.detach(), moments));
    else
      return apply<T>(gradient, v, x, gamma, moments);
  }
  /// How Q v moves when x does along a: by 1/√(variance + epsilon), and by x̂ in either mean. It is symmetric:
  /// the product of the result with u is that of a with how Q v moves along u.
  Tensor<T> slope(const Tensor<T>& a, const Tensor<T>& v) const {
    constexpr int axis = batch ? 0 : 1;
    const auto mean_along = [&](const Tensor<T>& t) { return mean(t, axis, true); };
    const Tensor<T> normal = (*this)(one(), zeros<T>({x.shape()[1]})), Qa = Q(a, one()), Qv = Q(v, one());
    const Tensor<T> variance = var(x, axis, true) + epsilon, none = equal(variance, 0);
    const Tensor<T> inverse = where(none, 0, 1 / sqrt(where(none, 1, variance)));
    return -inverse *
           (normal * mean_along(a * Qv) + Qa * mean_along(v * normal) + Qv * mean_along(a * normal));
  }
};

template <class T, bool batch>
void Normalize<T, batch>::tangent(Tangents<T>& t) const {
  const Normalized<T, batch> normalized{epsilon, t.input(0), t.input(3)};
  if (t.has(0)) t.add(t.input(1) * normalized.Q(t.of(0), normalized.one()));
  if (t.has(1)) t.add(normalized(t.of(1), 0 * t.of(1)));
  if (t.has(2)) t.add(t.of(2));
}

template <class T, bool batch>
void NormalizedSums<T, batch>::tangent(Tangents<T>& t) const {
  const Normalized<T, batch> normalized{epsilon, t.input(1), t.input(2)};
  if (t.has(0)) t.add(*this, t.of(0), t.input(1), t.input(2));
  if (!t.has(1)) return;
  const Tensor<T> products = sum(t.input(0) * normalized.Q(t.of(1), normalized.one()), 0);
  t.add(stack(std::vector<Tensor<T>>{zeros<T>(products.shape()), products}));
}

template <class T, bool batch>
void NormalizedSums<T, batch>::backward(Gradients<T>& d) const {
  const Tensor<T> h0 = slice(d.adjoint, 0), h1 = slice(d.adjoint, 1);
  const Normalized<T, batch> normalized{epsilon, d.input(1), d.input(2)};
  if (d.needs(0)) d.add(0, normalized(h1, h0));            // h1 x̂ + h0
  if (d.needs(1)) d.add(1, normalized.Q(d.input(0), h1));  // the gradient of Σ g x̂ h1
}

// For columns gamma is a factor of the line, dx = gamma Q g; for rows dx = Q (gamma g).
template <class T, bool batch>
void NormalizeGradient<T, batch>::tangent(Tangents<T>& t) const {
  const Tensor<T> g = t.input(0), gamma = t.input(2);
  const Normalized<T, batch> normalized{epsilon, t.input(1), t.input(3)};
  if (t.has(0)) t.add(normalized.Q(t.of(0), gamma));
  if (t.has(1)) t.add(batch ? gamma * normalized.slope(t.of(1), g) : normalized.slope(t.of(1), gamma * g));
  if (t.has(2)) t.add(normalized.Q(g, t.of(2)));
}

template <class T, bool batch>
void NormalizeGradient<T, batch>::backward(Gradients<T>& d) const {
  const Tensor<T>&h = d.adjoint, g = d.input(0), gamma = d.input(2);
  const Normalized<T, batch> normalized{epsilon, d.input(1), d.input(3)};
  const Tensor<T> Qh = normalized.Q(h, normalized.one());
  d.add(0, gamma * Qh);
  if (d.needs(1)) d.add(1, batch ? normalized.slope(gamma * h, g) : normalized.slope(h, gamma * g));
  if (d.needs(2)) d.add(2, sum(g * Qh, 0));
}

template <class T, bool batch>
Tensor<T> normalize(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta, T epsilon,
                    Moments<T>* moments) {
  const Tensor<T> of_lines = apply<T>(AxisMoments<T>{batch ? 1u : 2u, epsilon}, x);  // (1, 4, F), (N, 4, 1)
  if (moments)
    *moments = {slice(of_lines, 0, 0) + slice(of_lines, 0, 1),
                slice(of_lines, 0, 2) / static_cast<T>(x.shape()[0])};
  return apply<T>(Normalize<T, batch>{epsilon}, x, gamma, beta, of_lines);
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
