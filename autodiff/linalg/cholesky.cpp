// The Cholesky factor, and triangular systems.
#include "../notation/term.hpp"
#include "lapack.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {
namespace {

/// A (…,n,n) of which one triangle counts, the others 0.
template <class T>
Tensor<T> triangle_of(const Tensor<T>& a, bool lower, bool unit) {
  const int k = unit ? 1 : 0;
  return lower ? tril(a, -k) : triu(a, k);
}

/// X (…,n,k) = op(A)⁻¹ B, A (…,n,n), B (…,n,k)
template <class T>
struct SolveTriangular {
  bool lower, transpose, unit;
  static constexpr const char* name = "solve_triangular";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const SolveTriangular&) const = default;
  void write(Notation& to) const {
    const Term A = transpose ? transposed(to.x[0]) : to.x[0];
    to.set(matmul(Term::call({"inverse", "#0!⁻¹", "#0!^{-1}"}, {A}, A.shape()), to.x[1], to.shape));
  }

  Shape shape(const Shape& a, const Shape& b) const { return solution_shape(name, a, b); }
  void compute(Target<T> y, const Tensor<T>& A, const Tensor<T>& B) const {
    const Shape to = shape(A.shape(), B.shape());
    const std::size_t n = rows_of(to), k = columns_of(to);
    const auto solve = [=, *this](T* x, const T* a, const T* b) {
      std::copy_n(b, n * k, x);
      if (!unit)
        for (std::size_t i = 0; i < n; ++i)
          if (a[i * n + i] == 0) return static_cast<int>(i + 1);
      lapack::solve_triangular(lower, transpose, unit, n, k, a, x);
      return 0;
    };
    each_matrix(
        y.data, to, n * n * k / 2, solve,
        [](int pivot, const std::string& which) { throw_singular(name, pivot, which); }, A, B);
  }
  static constexpr unsigned keeps(unsigned i) { return i == 0 ? keep_input(0) | keep_output : keep_input(0); }
  // op(A) X = B. With S = op(A)⁻ᵀ g: dB = S; d op(A) = -S Xᵀ, of its triangle.
  void backward(Gradients<T>& d) const {
    const Tensor<T> S = apply<T>(SolveTriangular{lower, !transpose, unit}, d.operand(0), d.adjoint);
    if (d.needs(0)) {
      const Tensor<T> X = d.output();
      const Tensor<T> dA = transpose ? product_nt(X, S) : product_nt(S, X);
      d.add(0, -triangle_of(dA, lower, unit));
    }
    d.add(1, S);
  }
  // dX = op(A)⁻¹ (dB - d op(A) X)
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) {
      const Tensor<T> dA = triangle_of(t.of(0), lower, unit);
      t.add(-apply<T>(*this, t.input(0), product(dA, transpose, t.output(), false)));
    }
    if (t.has(1)) t.add(*this, t.input(0), t.of(1));
  }
};

/// 1 below the diagonal, ½ on it, (n,n).
template <class T>
Tensor<T> half_lower(std::size_t n) {
  Tensor<T> mask = Tensor<T>::uninitialized({n, n});
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      mask.mutable_data()[i * n + j] = j < i ? T(1) : j == i ? T(0.5) : T(0);
  return mask;
}

/// The gradient of A (…,n,n) from that of L, where it is not to be differentiated itself.
template <class T>
struct CholeskyGradient {
  static constexpr const char* name = "cholesky_gradient";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const CholeskyGradient&) const = default;
  Shape shape(const Shape& l, const Shape& g) const { return broadcast(l, g, name); }
  void compute(Target<T> y, const Tensor<T>& L, const Tensor<T>& g) const {
    const std::size_t n = rows_of(L.shape());
    const auto one = [n](T* to, const T* l, const T* from) {
      std::copy_n(from, n * n, to);
      lapack::cholesky_gradient(n, l, to);
    };
    each_matrix(y.data, shape(L.shape(), g.shape()), n * n * n, one, cannot_fail, L, g);
  }
};

/// L (…,n,n) of A = L Lᵀ (…,n,n)
template <class T>
struct Cholesky {
  static constexpr const char* name = "cholesky";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const Cholesky&) const = default;

  Shape shape(const Shape& a) const {
    require_square(name, a);
    return a;
  }
  void compute(Target<T> y, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    const auto factor = [n](T* l, const T* a) {
      std::copy_n(a, n * n, l);
      return lapack::cholesky(n, l);
    };
    each_matrix(
        y.data, A.shape(), n * n * n / 6, factor,
        [](int order, const std::string& which) {
          throw Error(name, "not positive definite: the leading minor of order " + std::to_string(order) +
                                which + " is not positive");
        },
        A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  // Murray 2016, equation 9: with P = half_lower(Lᵀ g), dA is the symmetric part of L⁻ᵀ P L⁻¹.
  void backward(Gradients<T>& d) const {
    if (!d.creates_graph()) return d.add(0, CholeskyGradient<T>{}, d.operand(1), d.adjoint);
    const Tensor<T> L = d.output();
    const Tensor<T> P = product_tn(L, tril(d.adjoint)) * half_lower<T>(rows_of(L.shape()));
    const SolveTriangular<T> above{true, true, false};  // L⁻ᵀ
    const Tensor<T> S = apply<T>(above, L, transposed_matrices(apply<T>(above, L, P)));
    d.add(0, symmetric_part(S));
  }
  // dL = L half_lower(L⁻¹ dA L⁻ᵀ), of the symmetric part of dA
  void tangent(Tangents<T>& t) const {
    const Tensor<T> L = t.output();
    const SolveTriangular<T> below{true, false, false};  // L⁻¹
    const Tensor<T> half = apply<T>(below, L, symmetric_part(t.of(0)));
    const Tensor<T> inner = apply<T>(below, L, transposed_matrices(half));
    t.add(matmul(L, inner * half_lower<T>(rows_of(L.shape()))));
  }
};

}  // namespace

template <class T>
Tensor<T> triangular_solution(const Tensor<T>& A, const Tensor<T>& B, bool lower, bool transpose, bool unit) {
  return apply<T>(SolveTriangular<T>{lower, transpose, unit}, A, B);
}

}  // namespace detail

namespace linalg {

template <class T>
Tensor<T> solve_triangular(const Tensor<T>& A, const Tensor<T>& B, const TriangularOptions& options) {
  return detail::with_columns(B, [&](const Tensor<T>& columns) {
    return detail::triangular_solution(A, columns, options.lower, options.transpose, options.unit);
  });
}

template <class T>
Tensor<T> cholesky(const Tensor<T>& A) {
  return detail::apply<T>(detail::Cholesky<T>{}, A);
}

template <class T>
Tensor<T> cho_solve(const Tensor<T>& L, const Tensor<T>& B) {
  return solve_triangular(L, solve_triangular(L, B), {.transpose = true});
}

#define XTAPE_INSTANTIATE(T)                                                                         \
  template Tensor<T> solve_triangular(const Tensor<T>&, const Tensor<T>&, const TriangularOptions&); \
  template Tensor<T> cholesky(const Tensor<T>&);                                                     \
  template Tensor<T> cho_solve(const Tensor<T>&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace linalg

#define XTAPE_INSTANTIATE(T) \
  template Tensor<T> detail::triangular_solution(const Tensor<T>&, const Tensor<T>&, bool, bool, bool);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
