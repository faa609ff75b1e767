// Linear systems, inverses and determinants by LU factors, which are computed once for a matrix and used for
// values and gradients.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../notation/term.hpp"
#include "lapack.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {
namespace {

/// The LU factors of A (…,n,n), and below them, in a row, what was exchanged: (…,n+1,n). A constant: what
/// depends on it has A as an operand, too, which gets the gradient.
template <class T>
struct LuFactors {
  static constexpr const char* name = "lu";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  const char* used_by;
  bool may_be_singular;
  bool operator==(const LuFactors&) const = default;

  Shape shape(const Shape& a) const {
    require_square(used_by, a);
    return with_matrix(batch_of(a), rows_of(a) + 1, rows_of(a));
  }
  void compute(Target<T> y, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    const auto factor_each = [&](const auto& explain) {
      const auto factor = [n](T* factors, const T* a) {
        std::copy_n(a, n * n, factors);
        return lapack::lu(n, factors);
      };
      each_matrix(y.data, shape(A.shape()), n * n * n / 3, factor, explain, A);
    };
    if (may_be_singular) return factor_each(cannot_fail);
    factor_each([this](int pivot, const std::string& which) {
      throw_singular(used_by, pivot, which, "; lstsq() gives the solution of least squares");
    });
  }
};

template <class T>
Tensor<T> lu_factors(const char* used_by, const Tensor<T>& A, bool may_be_singular = false) {
  return apply<T>(LuFactors<T>{used_by, may_be_singular}, A);
}

/// op(A)⁻¹ B (…,n,k), of F = lu_factors(A), A and B (…,n,k).
template <class T>
Tensor<T> inverse_times(bool transpose, const Tensor<T>& F, const Tensor<T>& A, const Tensor<T>& B);

/// X (…,n,k) = op(A)⁻¹ B: inverse_times().
template <class T>
struct LuSolve {
  static constexpr const char* name = "solve";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool transpose = false;
  bool operator==(const LuSolve&) const = default;
  void write(Notation& to) const {
    const Term A = transpose ? transposed(to.x[1]) : to.x[1];
    to.set(matmul(Term::call({"inverse", "#0!⁻¹", "#0!^{-1}"}, {A}, A.shape()), to.x[2], to.shape));
  }

  Shape shape(const Shape&, const Shape& a, const Shape& b) const { return solution_shape(name, a, b); }
  void compute(Target<T> y, const Tensor<T>& F, const Tensor<T>& A, const Tensor<T>& B) const {
    const Shape to = solution_shape(name, A.shape(), B.shape());
    const std::size_t n = rows_of(to), k = columns_of(to);
    const auto solve = [n, k, this](T* x, const T* factors, const T* b) {
      for (std::size_t i = 0; i < n; ++i)
        if (factors[i * n + i] == 0) return static_cast<int>(i + 1);
      std::copy_n(b, n * k, x);
      lapack::lu_solve(transpose, n, k, factors, x);
      return 0;
    };
    each_matrix(
        y.data, to, n * n * k, solve,
        [](int pivot, const std::string& which) { throw_singular(name, pivot, which); }, F, B);
  }
  static constexpr unsigned keeps(unsigned i) {
    return keep_input(0) | keep_input(1) | (i == 1 ? keep_output : 0);
  }
  // As of a triangle: with S = op(A)⁻ᵀ g, dB = S and d op(A) = -S Xᵀ (Giles 2008, section 2.3.1).
  void backward(Gradients<T>& d) const {
    const Tensor<T> S = inverse_times<T>(!transpose, d.operand(0), d.operand(1), d.adjoint);
    if (d.needs(1)) {
      const Tensor<T> X = d.output();
      d.add(1, -(transpose ? product_nt(X, S) : product_nt(S, X)));
    }
    d.add(2, S);
  }
  // dX = op(A)⁻¹ (dB - d op(A) X)
  void tangent(Tangents<T>& t) const {
    if (t.has(1))
      t.add(-apply<T>(*this, t.input(0), t.input(1), product(t.of(1), transpose, t.output(), false)));
    if (t.has(2)) t.add(*this, t.input(0), t.input(1), t.of(2));
  }
};

/// The unit matrix of A's order.
template <class T>
Tensor<T> unit_like(const Tensor<T>& A) {
  return eye<T>(rows_of(A.shape()));
}
template <class T>
Tensor<T> inverse_times(bool transpose, const Tensor<T>& F, const Tensor<T>& A, const Tensor<T>& B) {
  return apply<T>(LuSolve<T>{transpose}, F, A, B);
}
/// A⁻ᵀ
template <class T>
Tensor<T> transposed_inverse(const Tensor<T>& F, const Tensor<T>& A) {
  return inverse_times(true, F, A, unit_like(A));
}

/// The determinant that lapack::lu() has factorised, as mantissa · 2^exponent: it may overflow, or its first
/// factors.
template <class T>
struct Determinant {
  T mantissa = 1;
  int exponent = 0;
  Determinant(std::size_t n, const T* factors) {
    for (std::size_t i = 0; i < n; ++i) {
      int of_pivot = 0, of_product = 0;
      mantissa = std::frexp(mantissa * std::frexp(factors[i * n + i], &of_pivot), &of_product);
      exponent += of_pivot + of_product;
      if (factors[n * n + i] != static_cast<T>(i)) mantissa = -mantissa;
    }
  }
  T sign() const { return mantissa < 0 ? T(-1) : mantissa == 0 ? T(0) : T(1); }
  /// x times the determinant
  T times(T x) const { return std::ldexp(x * mantissa, exponent); }
};

/// The sign of the determinant from lu_factors: -1, 0 or 1, (…,1,1), a constant.
template <class T>
struct DeterminantSign {
  static constexpr const char* name = "sign of det";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const DeterminantSign&) const = default;
  Shape shape(const Shape& f) const { return with_matrix(batch_of(f), 1, 1); }
  void compute(Target<T> y, const Tensor<T>& F) const {
    const std::size_t n = columns_of(F.shape());
    for (std::size_t i = 0; i < y.size; ++i) y.data[i] = Determinant<T>(n, F.data() + i * (n + 1) * n).sign();
  }
};

/// log |det A| (…,1,1), of F = lu_factors(A) and A.
template <class T>
struct LogAbsDeterminant {
  static constexpr const char* name = "slogdet";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const LogAbsDeterminant&) const = default;
  Shape shape(const Shape&, const Shape& a) const { return with_matrix(batch_of(a), 1, 1); }
  void compute(Target<T> y, const Tensor<T>& F, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    const auto log = [n](T* to, const T* factors, const T*) {
      *to = 0;
      for (std::size_t i = 0; i < n; ++i) *to += std::log(std::abs(factors[i * n + i]));
    };
    each_matrix(y.data, shape(F.shape(), A.shape()), n, log, cannot_fail, F, A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1); }
  // dA = g A⁻ᵀ (Giles 2008, section 2.2.4)
  void backward(Gradients<T>& d) const {
    d.add(1, d.adjoint * transposed_inverse<T>(d.operand(0), d.operand(1)));
  }
  void tangent(Tangents<T>& t) const {
    t.add(sum_of_each(transposed_inverse<T>(t.input(0), t.input(1)) * t.of(1)));
  }
};

/// C = det(A) A⁻ᵀ (…,n,n), the matrix of cofactors, of F = lu_factors(A) and A; also of a singular A, where
/// it has a limit: from A = U S Vᵀ, C = det(U) det(V) U diag(∏ s without s_i) Vᵀ.
template <class T>
struct Cofactors {
  static constexpr const char* name = "cofactors";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const Cofactors&) const = default;
  Shape shape(const Shape&, const Shape& a) const { return a; }
  void compute(Target<T> y, const Tensor<T>& F, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    each_matrix(
        y.data, A.shape(), n * n * n,
        [n](T* c, const T* factors, const T* a) { return compute_one(n, c, factors, a); },
        [](int, const std::string& which) { throw Error("det", "its SVD does not converge" + which); }, F, A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1) | keep_output; }
  // dC = <A⁻ᵀ, dA> C - A⁻ᵀ dAᵀ C, of a matrix that is not singular: dA = <g, C> A⁻ᵀ - C gᵀ A⁻ᵀ
  void backward(Gradients<T>& d) const {
    const Tensor<T> C = d.output(), W = transposed_inverse<T>(d.operand(0), d.operand(1));
    d.add(1, sum_of_each(d.adjoint * C) * W - matmul(product_nt(C, d.adjoint), W));
  }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> C = t.output(), W = transposed_inverse<T>(t.input(0), t.input(1));
    t.add(sum_of_each(W * t.of(1)) * C - matmul(product_nt(W, t.of(1)), C));
  }

 private:
  static int compute_one(std::size_t n, T* c, const T* factors, const T* a) {
    if (std::any_of(a, a + n * n, [](T x) { return std::isnan(x); })) {
      std::fill_n(c, n * n, std::numeric_limits<T>::quiet_NaN());
      return 0;
    }
    T least = std::numeric_limits<T>::infinity(), largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      least = std::min(least, std::abs(factors[i * n + i]));
      largest = std::max(largest, std::abs(factors[i * n + i]));
    }
    if (!(least <= largest * static_cast<T>(n) * std::numeric_limits<T>::epsilon()) || std::isinf(largest)) {
      const Determinant<T> det(n, factors);
      for (std::size_t i = 0; i < n * n; ++i) c[i] = i % (n + 1) == 0 ? T(1) : T(0);
      lapack::lu_solve(true, n, n, factors, c);
      std::transform(c, c + n * n, c, [&](T x) { return det.times(x); });
      return 0;
    }
    PoolVector<T> whole(a, a + n * n), u((n + 1) * n), s(n), v((n + 1) * n);
    if (const int info = lapack::svd(n, n, whole.data(), u.data(), s.data(), v.data()); info != 0)
      return info;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        Wider<T> others = 1;
        for (std::size_t k = 0; k < n; ++k)
          if (k != j) others *= s[k];
        whole[i * n + j] = static_cast<T>(u[i * n + j] * others);
      }
    gemm(false, true, n, n, n, whole.data(), v.data(), false, c);
    T sign = 1;
    for (PoolVector<T>* orthogonal : {&u, &v}) {
      lapack::lu(n, orthogonal->data());
      sign *= Determinant<T>(n, orthogonal->data()).sign();
    }
    for (std::size_t i = 0; i < n * n; ++i) c[i] *= sign;
    return 0;
  }
};

/// det A (…,1,1), of F = lu_factors(A) and A.
template <class T>
struct Det {
  static constexpr const char* name = "det";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const Det&) const = default;
  Shape shape(const Shape&, const Shape& a) const { return with_matrix(batch_of(a), 1, 1); }
  void compute(Target<T> y, const Tensor<T>& F, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    const auto det = [n](T* to, const T* factors, const T*) { *to = Determinant<T>(n, factors).times(1); };
    each_matrix(y.data, shape(F.shape(), A.shape()), n, det, cannot_fail, F, A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0) | keep_input(1); }
  // dA = g C, the cofactors (Jacobi's formula)
  void backward(Gradients<T>& d) const {
    d.add(1, d.adjoint * apply<T>(Cofactors<T>{}, d.operand(0), d.operand(1)));
  }
  void tangent(Tangents<T>& t) const {
    t.add(sum_of_each(apply<T>(Cofactors<T>{}, t.input(0), t.input(1)) * t.of(1)));
  }
};

}  // namespace
}  // namespace detail

namespace linalg {

template <class T>
Tensor<T> solve(const Tensor<T>& A, const Tensor<T>& B) {
  const Tensor<T> F = detail::lu_factors("solve", A);
  return detail::with_columns(
      B, [&](const Tensor<T>& columns) { return detail::inverse_times(false, F, A, columns); });
}

template <class T>
Tensor<T> inv(const Tensor<T>& A) {
  const Tensor<T> F = detail::lu_factors("inv", A);  // which refuses what is no square
  return detail::inverse_times(false, F, A, detail::unit_like(A));
}

template <class T>
Tensor<T> det(const Tensor<T>& A) {
  return detail::number_of_each(detail::apply<T>(detail::Det<T>{}, detail::lu_factors("det", A, true), A));
}

template <class T>
SignAndLog<T> slogdet(const Tensor<T>& A) {
  const Tensor<T> F = detail::lu_factors("slogdet", A, true);
  return {detail::number_of_each(detail::apply<T>(detail::DeterminantSign<T>{}, F)),
          detail::number_of_each(detail::apply<T>(detail::LogAbsDeterminant<T>{}, F, A))};
}

template <class T>
Tensor<T> matrix_power(const Tensor<T>& A, int n) {
  detail::require_square("matrix_power", A.shape());
  if (n == 0) return where(ones<T>({}), detail::unit_like(A), A);  // also where A has NaN, or an infinity
  Tensor<T> square = n < 0 ? inv(A) : A, result;
  for (unsigned left = n < 0 ? 0u - static_cast<unsigned>(n) : static_cast<unsigned>(n);;) {
    if (left % 2 == 1) result = result.defined() ? matmul(result, square) : square;
    left /= 2;
    if (left == 0) return result;
    square = matmul(square, square);
  }
}

#define XTAPE_INSTANTIATE(T)                                    \
  template Tensor<T> solve(const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> inv(const Tensor<T>&);                     \
  template Tensor<T> det(const Tensor<T>&);                     \
  template SignAndLog<T> slogdet(const Tensor<T>&);             \
  template Tensor<T> matrix_power(const Tensor<T>&, int);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace linalg
}  // namespace xtape
