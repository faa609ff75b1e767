// matmul and linear, with their derivatives, and what is composed of them.
#include "../linalg.hpp"

#include <algorithm>
#include <string>

#include "../derivation/code.hpp"
#include "../elementwise.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../notation/term.hpp"
#include "../tape/op.hpp"
#include "matrix_product.hpp"
#include "reduction_ops.hpp"

namespace xtape {
namespace detail {
namespace {

/// C (…,M,N) = op(A) (…,M,K) op(B) (…,K,N); batch axes broadcast.
template <class T>
struct MatMul {
  static constexpr bool accumulates = true;
  bool transpose_a = false;
  bool transpose_b = false;
  static constexpr const char* name = "matmul";
  static constexpr bool broadcasts = true;  ///< all but the last two axes
  void write(Notation& to) const {
    to.set(matmul(transpose_a ? transposed(to.x[0]) : to.x[0], transpose_b ? transposed(to.x[1]) : to.x[1],
                  to.shape));
  }
  void code(Code& to) const { to.product(transpose_a, transpose_b); }
  bool operator==(const MatMul&) const = default;

  Shape shape(const Shape& a, const Shape& b) const {
    if (a.size() == 2 && b.size() == 2) {
      Shape result(2, rows(a));
      result.back() = columns(b);
      return result;
    }
    Shape result = broadcast(batch_of(a), batch_of(b), name);
    result.push_back(rows(a));
    result.push_back(columns(b));
    return result;
  }
  void compute(Target<T> y, const Tensor<T>& a, const Tensor<T>& b) const {
    const Shape &sa = a.shape(), &sb = b.shape();
    const std::size_t M = rows(sa), N = columns(sb), K = inner(sa);
    if (sa.size() == 2 && sb.size() == 2)
      return gemm(transpose_a, transpose_b, M, N, K, a.data(), b.data(), y.accumulate, y.data);
    const Shape batches = broadcast(batch_of(sa), batch_of(sb), name);
    const std::size_t count = element_count(batches, name);
    if (count == 0) return;
    Dims steps_a = broadcast_strides(batch_of(sa), batches),
         steps_b = broadcast_strides(batch_of(sb), batches);
    for (auto& s : steps_a) s *= static_cast<std::ptrdiff_t>(M * K);
    for (auto& s : steps_b) s *= static_cast<std::ptrdiff_t>(K * N);
    const Walk<2> walk(batches, {steps_a, steps_b});
    gemm_batch(count, M * N * K, [&](std::size_t i) {
      const std::array<std::ptrdiff_t, 2> at = walk.offsets(i);
      gemm(transpose_a, transpose_b, M, N, K, a.data() + at[0], b.data() + at[1], y.accumulate,
           y.data + i * M * N);
    });
  }
  static constexpr unsigned keeps(unsigned i) { return keep_input(1 - i); }
  static constexpr bool is_bilinear = true;
  void backward(Gradients<T>& d) const {
    const Tensor<T>& g = d.adjoint;
    if (d.needs(0)) {
      if (transpose_a)
        d.add(0, MatMul{transpose_b, true}, d.operand(1), g);  // dA (K,M) = B (K,N) gᵀ (N,M)
      else
        d.add(0, MatMul{false, !transpose_b}, g, d.operand(1));  // dA (M,K) = g (M,N) Bᵀ (N,K)
    }
    if (d.needs(1)) {
      if (transpose_b)
        d.add(1, MatMul{true, transpose_a}, g, d.operand(0));  // dB (N,K) = gᵀ (N,M) A (M,K)
      else
        d.add(1, MatMul{!transpose_a, false}, d.operand(0), g);  // dB (K,N) = Aᵀ (K,M) g (M,N)
    }
  }

 private:
  // Of matrices, without a check of each index.
  std::size_t rows(const Shape& a) const { return a.end()[transpose_a ? -1 : -2]; }
  std::size_t inner(const Shape& a) const { return a.end()[transpose_a ? -2 : -1]; }
  std::size_t columns(const Shape& b) const { return b.end()[transpose_b ? -2 : -1]; }
};

/// y (N,out) = x (N,in) Wᵀ (in,out) + b (out)
template <class T>
struct Linear {
  static constexpr const char* name = "linear";

  Tensor<T> decomposed(const Tensor<T>& x, const Tensor<T>& W, const Tensor<T>& b) const {
    return product_nt(x, W) + b;
  }
  void write(Notation& to) const { to.set(matmul(to.x[0], transposed(to.x[1]), to.shape) + to.x[2]); }
  /// x Wᵀ + b of each of a batch.
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& shape) const {
    const MatMul<T> product{false, true};
    const Tensor<T> b = aligned<T>(*in[2], batched[2], 2);
    if (!batched[0] && !batched[1])
      return apply<T>(product, Tensor<T>(Handle(*in[0])), Tensor<T>(Handle(*in[1]))) + b;
    return Tensor<T>(lift<T, MatMul<T>>(&product, in.first(2), batched, shape)) + b;
  }
  Shape shape(const Shape& x, const Shape& W, const Shape&) const { return {x[0], W[0]}; }
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& W, const Tensor<T>& b) const {
    const std::size_t N = x.shape()[0], in = x.shape()[1], out = W.shape()[0];
    const auto fill = [to = y.data, bias = b.data(), out](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) std::copy_n(bias, out, to + i * out);
    };
    for_blocks(N, N * out, fill);
    gemm(false, true, N, out, in, x.data(), W.data(), true, y.data);
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(1) : i == 1 ? keep_input(0) : 0; }
  void tangent(Tangents<T>& t) const {
    const MatMul<T> product{false, true};
    if (t.has(0)) t.add(product, t.of(0), t.input(1));
    if (t.has(1)) t.add(product, t.input(0), t.of(1));
    if (t.has(2)) t.add(t.of(2));
  }
  void backward(Gradients<T>& d) const {
    const Tensor<T>& g = d.adjoint;
    if (d.needs(0)) d.add(0, MatMul<T>{}, g, d.operand(1));             // dx (N,in) = g (N,out) W (out,in)
    if (d.needs(1)) d.add(1, MatMul<T>{true, false}, g, d.operand(0));  // dW (out,in) = gᵀ (out,N) x (N,in)
    d.add(2, Sum<T>{1u, false}, g);                                     // db (out) = Σ g
  }
};

}  // namespace

template <class T>
Tensor<T> product(const Tensor<T>& A, bool transpose_a, const Tensor<T>& B, bool transpose_b) {
  return apply<T>(MatMul<T>{transpose_a, transpose_b}, A, B);
}

namespace {

std::string shapes_text(const Shape& a, const Shape& b) {
  return "shapes " + to_string(a) + " and " + to_string(b);
}

}  // namespace
}  // namespace detail

using detail::shapes_text;

template <class T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b) {
  const Shape &sa = a.shape(), &sb = b.shape();
  if (sa.empty() || sb.empty())
    throw Error("matmul", shapes_text(sa, sb) + ": a scalar is no matrix: use * to multiply by one");
  const std::size_t K = sa.back(), rows = sb.size() == 1 ? sb[0] : sb[sb.size() - 2];
  if (K != rows)
    throw Error("matmul",
                shapes_text(sa, sb) + ": inner dimensions " + std::to_string(K) + " and " +
                    std::to_string(rows) + " differ" +
                    (sb.size() > 1 && sb.back() == K ? ": transpose the second, or use linear()" : ""));
  if (sa.size() > 1 && sb.size() > 1) return detail::apply<T>(detail::MatMul<T>{}, a, b);
  const Tensor<T> left = sa.size() == 1 ? unsqueeze(a, 0) : a, right = sb.size() == 1 ? unsqueeze(b, 1) : b;
  const Tensor<T> y = detail::apply<T>(detail::MatMul<T>{}, left, right);
  Shape to = y.shape();
  if (sb.size() == 1) to.erase(to.size() - 1);
  if (sa.size() == 1) to.erase(to.size() - (sb.size() == 1 ? 1 : 2));
  return reshape(y, Dims(to));
}

template <class T>
Tensor<T> dot(const Tensor<T>& a, const Tensor<T>& b) {
  const Shape &sa = a.shape(), &sb = b.shape();
  if (sa.empty() || sb.empty()) return a * b;
  const std::size_t axis = sb.size() == 1 ? 0 : sb.size() - 2;
  if (sa.back() != sb[axis])
    throw Error("dot", shapes_text(sa, sb) + ": the summed dimensions " + std::to_string(sa.back()) +
                           " and " + std::to_string(sb[axis]) + " differ");
  if (sb.size() <= 2) return matmul(a, b);
  Axes first(axis);  // the summed axis of b to the front
  Shape to = sa;
  to.erase(to.size() - 1);
  for (std::size_t i = 0; i < sb.size(); ++i)
    if (i != axis) {
      first.push_back(static_cast<std::ptrdiff_t>(i));
      to.push_back(sb[i]);
    }
  const std::size_t K = sa.back();
  const std::size_t rows = detail::axes_size(to, 0, sa.size() - 1),
                    cols = detail::axes_size(to, sa.size() - 1, to.size());
  const Tensor<T> product = matmul(reshape(a, Dims{rows, K}), reshape(transpose(b, first), Dims{K, cols}));
  return reshape(product, Dims(to));
}

template <class T>
Tensor<T> outer(const Tensor<T>& a, const Tensor<T>& b) {
  return unsqueeze(flatten(a), 1) * unsqueeze(flatten(b), 0);
}

namespace {

/// Checks the shapes of linear.
template <class T>
void require_linear(const Tensor<T>& x, const Tensor<T>& W, const Shape* b) {
  const Shape &sx = x.shape(), &sw = W.shape();
  if (sw.size() != 2) throw Error("linear", "weight of shape " + to_string(sw) + ": it must be (out, in)");
  if (sx.empty() || sx.back() != sw[1])
    throw Error("linear", "shapes " + to_string(sx) + " of x and " + to_string(sw) + " of W (out, in): " +
                              (sx.empty() ? "x has no axis of features"
                                          : "features " + std::to_string(sx.back()) + " and " +
                                                std::to_string(sw[1]) + " differ") +
                              (!sx.empty() && sx.back() == sw[0] ? ": is W transposed?" : ""));
  if (b && !(*b == Shape{sw[0]}))
    throw Error("linear", "bias of shape " + to_string(*b) + " for W of shape " + to_string(sw) +
                              ": it must be (" + std::to_string(sw[0]) + ",)");
}

/// f(x) for x as (N, in), and the result with the leading axes of x again.
template <class T, class F>
Tensor<T> on_rows(const Tensor<T>& x, F&& f) {
  if (x.rank() == 2) return f(x);
  Shape to = x.shape();
  const Tensor<T> y = f(reshape(x, Dims{detail::axes_size(to, 0, to.size() - 1), to.back()}));
  to.back() = y.shape()[1];
  return reshape(y, Dims(to));
}

}  // namespace

template <class T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& W, const Tensor<T>& b) {
  require_linear(x, W, &b.shape());
  return on_rows(x, [&](const Tensor<T>& rows) { return detail::apply<T>(detail::Linear<T>{}, rows, W, b); });
}

template <class T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& W) {
  require_linear(x, W, nullptr);
  return on_rows(x, [&](const Tensor<T>& rows) { return detail::product_nt(rows, W); });
}

#define XTAPE_INSTANTIATE(T)                                                          \
  template Tensor<T> detail::product(const Tensor<T>&, bool, const Tensor<T>&, bool); \
  template Tensor<T> matmul(const Tensor<T>&, const Tensor<T>&);                      \
  template Tensor<T> dot(const Tensor<T>&, const Tensor<T>&);                         \
  template Tensor<T> outer(const Tensor<T>&, const Tensor<T>&);                       \
  template Tensor<T> linear(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&);    \
  template Tensor<T> linear(const Tensor<T>&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
