// A = Q R.
#include "lapack.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {
namespace {

/// Q (…,m,n) and below it R (…,n,n), of A (…,m,n), m >= n.
template <class T>
struct Qr {
  static constexpr const char* name = "qr";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const Qr&) const = default;

  Shape shape(const Shape& a) const {
    return with_matrix(batch_of(a), rows_of(a) + columns_of(a), columns_of(a));
  }
  void compute(Target<T> y, const Tensor<T>& A) const {
    const std::size_t m = rows_of(A.shape()), n = columns_of(A.shape());
    const auto factor = [=](T* q, const T* a) {
      std::copy_n(a, m * n, q);
      lapack::qr(m, n, q, q + m * n);
    };
    each_matrix(y.data, shape(A.shape()), 2 * m * n * n, factor, cannot_fail, A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  // Walter and Lehmann 2018: with M = R gRᵀ - gQᵀ Q and its lower triangle made symmetric,
  // dA = (gQ + Q sym(M)) R⁻ᵀ.
  void backward(Gradients<T>& d) const {
    const Shape a = d.shape(0);
    const std::size_t m = rows_of(a), n = columns_of(a);
    const Tensor<T> y = d.output(), Q = matrix_rows(y, 0, m), R = matrix_rows(y, m, m + n);
    const Tensor<T> gQ = matrix_rows(d.adjoint, 0, m), gR = triu(matrix_rows(d.adjoint, m, m + n));
    const Tensor<T> M = product_nt(R, gR) - product_tn(gQ, Q);
    const Tensor<T> symmetric = tril(M) + transposed_matrices(tril(M, -1));
    const Tensor<T> G = gQ + matmul(Q, symmetric);
    d.add(0, transposed_matrices(triangular_solution(R, transposed_matrices(G), false, false, false)));
  }
  // With C = Qᵀ dA R⁻¹ and W = tril(C, -1): dR = (triu(C) + Wᵀ) R, dQ = dA R⁻¹ - Q (triu(C) + Wᵀ)
  void tangent(Tangents<T>& t) const {
    const Shape a = t.input(0).shape();
    const std::size_t m = rows_of(a), n = columns_of(a);
    const Tensor<T> y = t.output(), Q = matrix_rows(y, 0, m), R = matrix_rows(y, m, m + n);
    const Tensor<T> D = transposed_matrices(  // dA R⁻¹
        triangular_solution(R, transposed_matrices(t.of(0)), false, true, false));
    const Tensor<T> C = product_tn(Q, D);
    const Tensor<T> upper = triu(C) + transposed_matrices(tril(C, -1));
    t.add(xtape::concatenate({D - matmul(Q, upper), matmul(upper, R)}, -2));
  }
};

}  // namespace
}  // namespace detail

namespace linalg {

template <class T>
std::array<Tensor<T>, 2> qr(const Tensor<T>& A) {
  detail::require_matrix("qr", A.shape());
  const std::size_t m = detail::rows_of(A.shape()), n = detail::columns_of(A.shape());
  if (m >= n) {
    const Tensor<T> y = detail::apply<T>(detail::Qr<T>{}, A);
    return {detail::matrix_rows(y, 0, m), detail::matrix_rows(y, m, m + n)};
  }
  // The columns beyond the square follow from Q.
  const auto [Q, R] = qr(slice(A, xt::ellipsis(), xt::range(0, m)));
  const Tensor<T> rest = slice(A, xt::ellipsis(), xt::range(m, n));
  return {Q, xtape::concatenate({R, detail::product_tn(Q, rest)}, -1)};
}

#define XTAPE_INSTANTIATE(T) template std::array<Tensor<T>, 2> qr(const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace linalg
}  // namespace xtape
