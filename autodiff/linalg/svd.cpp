// Singular values and vectors; least squares and the pseudo-inverse by them.
#include <limits>
#include <optional>

#include "lapack.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {
namespace {

/// U (…,m,k), below it s (…,1,k) and below that V (…,n,k), of A (…,m,n), k = min(m, n).
template <class T>
struct Svd {
  static constexpr bool broadcasts = true, mixes_matrices = true;
  static constexpr const char* name = "svd";
  bool operator==(const Svd&) const = default;

  Shape shape(const Shape& a) const {
    require_matrix(name, a);
    const std::size_t m = rows_of(a), n = columns_of(a);
    return with_matrix(batch_of(a), m + 1 + n, std::min(m, n));
  }
  void compute(Target<T> y, const Tensor<T>& A) const {
    const std::size_t m = rows_of(A.shape()), n = columns_of(A.shape()), k = std::min(m, n);
    const auto factor = [=](T* u, const T* a) {
      PoolVector<T> copy(a, a + m * n);
      T* const s = u + m * k;
      return lapack::svd(m, n, copy.data(), u, s, s + k);
    };
    each_matrix(
        y.data, shape(A.shape()), 4 * m * n * k, factor,
        [](int, const std::string& which) {
          throw Error(name,
                      "the singular values do not converge" + which + ": is an element infinite or NaN?");
        },
        A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  // Townsend 2016, "Differentiating the singular value decomposition":
  // dA = (U (J S + S K + diag(gs)) + (1 - U Uᵀ) gU / s) Vᵀ + U ((1 - V Vᵀ) gV / s)ᵀ with
  // J = (Uᵀ gU - gUᵀ U) / (s_j² - s_i²), K = (Vᵀ gV - gVᵀ V) / (s_j² - s_i²)
  void backward(Gradients<T>& d) const {
    const Shape a = d.shape(0);
    const Parts x(d.output(), a), g(d.adjoint, a);
    const Tensor<T> UgU = product_tn(x.U, g.U), VgV = product_tn(x.V, g.V);
    const Tensor<T> J = x.over_gaps(UgU - transposed_matrices(UgU));
    const Tensor<T> K = x.over_gaps(VgV - transposed_matrices(VgV));
    Tensor<T> left = matmul(x.U, J * x.s + transposed_matrices(x.s) * K) + x.U * g.s;
    if (rows_of(a) > columns_of(a)) left = left + ratio_or_zero(g.U - matmul(x.U, UgU), x.s);
    Tensor<T> dA = product_nt(left, x.V);
    if (columns_of(a) > rows_of(a)) dA = dA + product_nt(x.U, ratio_or_zero(g.V - matmul(x.V, VgV), x.s));
    d.add(0, dA);
  }
  // With C = Uᵀ dA V: ds = diag(C), dU = U ((C S + S Cᵀ) / (s_j² - s_i²)) + (1 - U Uᵀ) dA V / s,
  // dV = V ((S C + Cᵀ S) / (s_j² - s_i²)) + (1 - V Vᵀ) dAᵀ U / s
  void tangent(Tangents<T>& t) const {
    const Tensor<T> dA = t.of(0);
    const Shape& a = dA.shape();
    const Parts x(t.output(), a);
    const Tensor<T> AV = matmul(dA, x.V), AU = product_tn(dA, x.U);
    const Tensor<T> C = product_tn(x.U, AV), Ct = transposed_matrices(C);
    const Tensor<T> on_diagonal = eye<T>(rows_of(C.shape())), column = transposed_matrices(x.s);
    const auto rotation = [&](const Tensor<T>& M) { return x.over_gaps(M * (1 - on_diagonal)); };
    Tensor<T> dU = matmul(x.U, rotation(C * x.s + column * Ct));
    Tensor<T> dV = matmul(x.V, rotation(column * C + Ct * x.s));
    if (rows_of(a) > columns_of(a)) dU = dU + ratio_or_zero(AV - matmul(x.U, C), x.s);
    if (columns_of(a) > rows_of(a)) dV = dV + ratio_or_zero(AU - matmul(x.V, Ct), x.s);
    t.add(xtape::concatenate({dU, sum(C * on_diagonal, Axes(-2), true), dV}, -2));
  }

  struct Parts {
    Tensor<T> U, s, V;  ///< (…,m,k), (…,1,k), (…,n,k)
    Parts(const Tensor<T>& y, const Shape& a) {
      const std::size_t m = rows_of(a), n = columns_of(a);
      U = matrix_rows(y, 0, m);
      s = matrix_rows(y, m, m + 1);
      V = matrix_rows(y, m + 1, m + 1 + n);
    }
    /// X / ((s_j - s_i) (s_j + s_i))
    Tensor<T> over_gaps(const Tensor<T>& X) const {
      return ratio_or_zero(ratio_or_zero(X, differences(s)), s + transposed_matrices(s));
    }
  };
};

/// The same without a gradient, for what has A as an operand, too; singular values up to rcond times the
/// largest are 0.
template <class T>
struct SvdFactors {
  static constexpr const char* name = "svd factors";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  T rcond;
  bool operator==(const SvdFactors&) const = default;

  Shape shape(const Shape& a) const { return Svd<T>{}.shape(a); }
  void compute(Target<T> y, const Tensor<T>& A) const {
    Svd<T>{}.compute(y, A);
    const std::size_t m = rows_of(A.shape()), n = columns_of(A.shape()), k = std::min(m, n);
    if (k == 0) return;
    for (T* s = y.data + m * k; s < y.data + y.size; s += (m + 1 + n) * k) {
      const T least = s[0] * rcond;
      for (std::size_t i = 0; i < k; ++i)
        if (s[i] <= least) s[i] = 0;
    }
  }
};

/// X (…,n,k) = A⁺ B, or with `transpose` X (…,m,k) = A⁺ᵀ B, of F = SvdFactors of A, A (…,m,n) and B: the
/// solution of least squares, the shortest one where there are several.
template <class T>
struct LeastSquares {
  static constexpr const char* name = "lstsq";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool transpose = false;
  bool operator==(const LeastSquares&) const = default;

  Shape shape(const Shape&, const Shape& a, const Shape& b) const {
    const std::size_t from = transpose ? columns_of(a) : rows_of(a);
    require_matrix(name, b);
    if (from != rows_of(b))
      throw Error(name, "shapes " + to_string(a) + " of A and " + to_string(b) + " of B: A has " +
                            std::to_string(from) + " rows, and B " + std::to_string(rows_of(b)));
    return with_matrix(broadcast(batch_of(a), batch_of(b), name), transpose ? rows_of(a) : columns_of(a),
                       columns_of(b));
  }
  void compute(Target<T> y, const Tensor<T>& F, const Tensor<T>& A, const Tensor<T>& B) const {
    const Shape to = shape(F.shape(), A.shape(), B.shape());
    const std::size_t m = rows_of(A.shape()), n = columns_of(A.shape()), rank = std::min(m, n),
                      k = columns_of(to);
    const auto solve = [=, *this](T* x, const T* u, const T* b) {
      const T *const s = u + m * rank, *const v = s + rank;
      PoolVector<T> inner(rank * k);  // S⁺ Uᵀ B
      gemm(true, false, rank, k, transpose ? n : m, transpose ? v : u, b, false, inner.data());
      for (std::size_t i = 0; i < rank; ++i)
        for (std::size_t j = 0; j < k; ++j) inner[i * k + j] = s[i] == 0 ? T(0) : inner[i * k + j] / s[i];
      gemm(false, false, transpose ? m : n, k, rank, transpose ? u : v, inner.data(), false, x);
    };
    each_matrix(y.data, to, (m + n) * rank * k, solve, cannot_fail, F, B);
  }
  static constexpr unsigned keeps(unsigned i) {
    return keep_input(0) | keep_input(1) | (i == 1 ? keep_input(2) | keep_output : 0);
  }
  // dX of X = P B with P = op(A)⁺, for constant rank (Golub and Pereyra 1973, equation 4.12):
  // dX = P dB - P dA X + P Pᵀ dAᵀ (B - A X) + (1 - P A) dAᵀ Pᵀ X. With Z = Pᵀ g that is dB = Z and
  // dA = -Z Xᵀ + (B - A X) (P Z)ᵀ + (Pᵀ X) (g - Aᵀ Z)ᵀ.
  void backward(Gradients<T>& d) const {
    const Tensor<T> A = d.input(1);
    const auto times = [&](bool transposed_too, const Tensor<T>& B) {
      return apply<T>(LeastSquares{transposed_too}, d.operand(0), d.operand(1), B);
    };
    const Tensor<T> Z = times(!transpose, d.adjoint);
    if (d.needs(1)) {
      const Tensor<T> X = d.output();
      const Tensor<T> residual = d.input(2) - product(A, transpose, X, false);
      const Tensor<T> beyond = d.adjoint - product(A, !transpose, Z, false);
      const Tensor<T> dA = product_nt(residual, times(transpose, Z)) +
                           product_nt(times(!transpose, X), beyond) - product_nt(Z, X);
      d.add(1, transpose ? transposed_matrices(dA) : dA);
    }
    d.add(2, Z);
  }
  void tangent(Tangents<T>& t) const {
    const Tensor<T> A = t.input(1);
    const auto times = [&](bool transposed_too, const Tensor<T>& B) {
      return apply<T>(LeastSquares{transposed_too}, t.input(0), A, B);
    };
    if (t.has(1)) {
      const Tensor<T> X = t.output(), dA = t.of(1);
      const auto forward = [&](const Tensor<T>& M, const Tensor<T>& B) {
        return product(M, transpose, B, false);
      };
      const auto adjoint = [&](const Tensor<T>& M, const Tensor<T>& B) {
        return product(M, !transpose, B, false);
      };
      const Tensor<T> residual = t.input(2) - forward(A, X);
      const Tensor<T> along = adjoint(dA, times(!transpose, X));
      const Tensor<T> inside = times(transpose, times(!transpose, adjoint(dA, residual)));
      t.add(inside - times(transpose, forward(dA, X)) + along - times(transpose, forward(A, along)));
    }
    if (t.has(2)) t.add(times(transpose, t.of(2)));
  }
};

template <class T>
Tensor<T> svd_factors(const char* op, const Tensor<T>& A, std::optional<double> rcond) {
  require_matrix(op, A.shape());
  const auto largest = static_cast<double>(std::max(rows_of(A.shape()), columns_of(A.shape())));
  const double least = rcond.value_or(largest * static_cast<double>(std::numeric_limits<T>::epsilon()));
  if (!(least >= 0))
    throw Error(op, "rcond = " + number_text(least) +
                        ": it is the least part of the largest singular value "
                        "that counts, 0 or more");
  return apply<T>(SvdFactors<T>{static_cast<T>(least)}, A);
}

}  // namespace
}  // namespace detail

namespace linalg {

template <class T>
SingularValues<T> svd(const Tensor<T>& A) {
  const Tensor<T> y = detail::apply<T>(detail::Svd<T>{}, A);
  const std::size_t m = detail::rows_of(A.shape()), n = detail::columns_of(A.shape());
  return {detail::matrix_rows(y, 0, m), slice(y, xt::ellipsis(), static_cast<std::ptrdiff_t>(m), xt::all()),
          detail::transposed_matrices(detail::matrix_rows(y, m + 1, m + 1 + n))};
}

template <class T>
Tensor<T> svdvals(const Tensor<T>& A) {
  return svd(A).s;
}

template <class T>
Tensor<T> lstsq(const Tensor<T>& A, const Tensor<T>& B, std::optional<double> rcond) {
  const Tensor<T> F = detail::svd_factors("lstsq", A, rcond);
  return detail::with_columns(B, [&](const Tensor<T>& columns) {
    return detail::apply<T>(detail::LeastSquares<T>{}, F, A, columns);
  });
}

template <class T>
Tensor<T> pinv(const Tensor<T>& A, std::optional<double> rcond) {
  const Tensor<T> F = detail::svd_factors("pinv", A, rcond);
  return detail::apply<T>(detail::LeastSquares<T>{}, F, A, eye<T>(detail::rows_of(A.shape())));
}

#define XTAPE_INSTANTIATE(T)                                                           \
  template SingularValues<T> svd(const Tensor<T>&);                                    \
  template Tensor<T> svdvals(const Tensor<T>&);                                        \
  template Tensor<T> lstsq(const Tensor<T>&, const Tensor<T>&, std::optional<double>); \
  template Tensor<T> pinv(const Tensor<T>&, std::optional<double>);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace linalg
}  // namespace xtape
