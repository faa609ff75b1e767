// The exponential of a matrix.
#include <cmath>

#include "../masks.hpp"
#include "lapack.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {
namespace {

/// exp(A) of one matrix by Padé approximants and squaring: Higham 2005, "The scaling and squaring method for
/// the matrix exponential revisited", table 2.3, whose bounds are for double; for float they are met, too.
template <class T>
class Exponential {
 public:
  explicit Exponential(std::size_t n) : n_(n) {}
  int operator()(T* y, const T* a) {
    PoolVector<T> A(a, a + n_ * n_);
    const T norm = one_norm(A);
    if (!std::isfinite(norm)) return 1;
    constexpr std::array<std::pair<int, double>, 4> small{{{3, 1.495585217958292e-2},
                                                           {5, 2.539398330063230e-1},
                                                           {7, 9.504178996162932e-1},
                                                           {9, 2.097847961257068}}};
    for (const auto& [degree, bound] : small)
      if (norm <= static_cast<T>(bound)) return approximate(y, A, degree);
    int halvings = 0;
    std::frexp(norm / static_cast<T>(5.371920351148152), &halvings);
    halvings = std::max(halvings, 0);
    for (T& x : A) x = std::ldexp(x, -halvings);
    if (const int info = approximate(y, A, 13); info != 0) return info;
    PoolVector<T> before(n_ * n_);
    for (; halvings > 0; --halvings) {
      std::copy_n(y, n_ * n_, before.data());
      gemm(false, false, n_, n_, n_, before.data(), before.data(), false, y);
    }
    return 0;
  }

 private:
  using Matrix = PoolVector<T>;
  T one_norm(const Matrix& A) const {
    T largest = 0;
    for (std::size_t j = 0; j < n_; ++j) {
      T column = 0;
      for (std::size_t i = 0; i < n_; ++i) column += std::abs(A[i * n_ + j]);
      if (!std::isfinite(column)) return column;
      largest = std::max(largest, column);
    }
    return largest;
  }
  Matrix product(const Matrix& A, const Matrix& B) const {
    Matrix C(n_ * n_);
    gemm(false, false, n_, n_, n_, A.data(), B.data(), false, C.data());
    return C;
  }
  /// [p / p] approximant: (V - U)⁻¹ (V + U), U the odd part of the numerator, V the even one.
  int approximate(T* y, const Matrix& A, int degree) const {
    // c_k = (2p - k)! p! / ((2p)! k! (p - k)!), by which the numerator is Σ c_k Aᵏ
    std::array<double, 14> c{1};
    for (int k = 1; k <= degree; ++k)
      c[static_cast<std::size_t>(k)] =
          c[static_cast<std::size_t>(k - 1)] * (degree - k + 1) / ((2.0 * degree - k + 1) * k);
    const std::size_t size = n_ * n_;
    Matrix odd(size, T(0)), even(size, T(0));
    for (std::size_t i = 0; i < size; i += n_ + 1) {
      even[i] = static_cast<T>(c[0]);
      odd[i] = static_cast<T>(c[1]);
    }
    const Matrix A2 = product(A, A);
    Matrix power = A2;
    for (int k = 2; k < degree; k += 2) {
      if (k > 2) power = product(power, A2);
      for (std::size_t i = 0; i < size; ++i) {
        even[i] += static_cast<T>(c[static_cast<std::size_t>(k)]) * power[i];
        odd[i] += static_cast<T>(c[static_cast<std::size_t>(k + 1)]) * power[i];
      }
    }
    const Matrix U = product(A, odd);
    Matrix denominator(size + n_);
    for (std::size_t i = 0; i < size; ++i) {
      y[i] = even[i] + U[i];
      denominator[i] = even[i] - U[i];
    }
    const int info = lapack::lu(n_, denominator.data());
    lapack::lu_solve(false, n_, n_, denominator.data(), y);
    return info;
  }

  std::size_t n_;
};

template <class T>
struct Expm {
  static constexpr const char* name = "expm";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const Expm&) const = default;

  Shape shape(const Shape& a) const {
    require_square(name, a);
    return a;
  }
  void compute(Target<T> y, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    each_matrix(
        y.data, A.shape(), 16 * n * n * n, [n](T* to, const T* a) { return Exponential<T>(n)(to, a); },
        [](int, const std::string& which) {
          throw Error(name, "an element is infinite or NaN, or too large" + which);
        },
        A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(0); }
  // The derivative along E is the upper right block of exp of (A E; 0 A), and its adjoint that of Aᵀ along g
  // (Najfeld and Havel 1995).
  void backward(Gradients<T>& d) const { d.add(0, along(transposed_matrices(d.input(0)), d.adjoint)); }
  void tangent(Tangents<T>& t) const { t.add(along(t.input(0), t.of(0))); }

 private:
  /// It is linear in E, whose size is put in at the end: a large E would take squarings, and with them
  /// digits, and what is not finite belongs into the result.
  static Tensor<T> along(const Tensor<T>& A, const Tensor<T>& E) {
    if (E.size() == 0) return E;
    const std::size_t n = rows_of(A.shape());
    const Tensor<T> largest = max(abs(E.detach()), Axes{-2, -1}, true),
                    size = where(equal(largest, 0), T(1), largest),
                    unit = where(isfinite(size), E / size, T(0));
    const Tensor<T> blocks =
        xtape::concatenate({xtape::concatenate({A, unit}, -1), xtape::concatenate({A * 0, A}, -1)}, -2);
    return slice(apply<T>(Expm{}, blocks), xt::ellipsis(), xt::range(0, n), xt::range(n, 2 * n)) * size;
  }
};

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> linalg::expm(const Tensor<T>& A) {
  return detail::apply<T>(detail::Expm<T>{}, A);
}

template Tensor<float> linalg::expm(const Tensor<float>&);
template Tensor<double> linalg::expm(const Tensor<double>&);

}  // namespace xtape
