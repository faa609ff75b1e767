// Eigenvalues and eigenvectors of symmetric matrices.
#include <limits>

#include "lapack.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {

template <class T>
Tensor<T> differences(const Tensor<T>& w) {
  const Tensor<T> gaps = w - transposed_matrices(w);  // w_j - w_i
  if (gaps.size() == 0) return gaps;
  const T least = static_cast<T>(columns_of(w.shape())) * std::numeric_limits<T>::epsilon();
  return where(abs(gaps) > least * max(abs(w.detach()), Axes(-1), true), gaps, eye<T>(columns_of(w.shape())));
}

namespace {

/// V (…,n,n) and below it w (…,1,n), of the symmetric A (…,n,n).
template <class T>
struct Eigh {
  static constexpr const char* name = "eigh";
  static constexpr bool broadcasts = true, mixes_matrices = true;
  bool operator==(const Eigh&) const = default;

  Shape shape(const Shape& a) const {
    require_square(name, a);
    return with_matrix(batch_of(a), rows_of(a) + 1, rows_of(a));
  }
  void compute(Target<T> y, const Tensor<T>& A) const {
    const std::size_t n = rows_of(A.shape());
    const auto solve = [n](T* v, const T* a) {
      std::copy_n(a, n * n, v);
      return lapack::eigh(n, v, v + n * n);
    };
    each_matrix(
        y.data, shape(A.shape()), 4 * n * n * n, solve,
        [](int, const std::string& which) {
          throw Error(name, "the eigenvalues do not converge" + which + ": is an element infinite or NaN?");
        },
        A);
  }
  static constexpr unsigned keeps(unsigned) { return keep_output; }
  // dA = V (diag(gw) + ½ (K - Kᵀ) / (w_j - w_i)) Vᵀ with K = Vᵀ gV (Giles 2008, section 2.3.2; the symmetric
  // part)
  void backward(Gradients<T>& d) const {
    const Parts x(d.output()), g(d.adjoint);
    const Tensor<T> K = product_tn(x.V, g.V);
    const Tensor<T> mixed = ratio_or_zero((K - transposed_matrices(K)) / 2, differences(x.w));
    d.add(0, product_nt(matmul(x.V, mixed) + x.V * g.w, x.V));
  }
  // With C = Vᵀ dA V: dw = diag(C), dV = V (C / (w_j - w_i))
  void tangent(Tangents<T>& t) const {
    const Tensor<T> dA = symmetric_part(t.of(0));
    const Parts x(t.output());
    const Tensor<T> C = matmul(product_tn(x.V, dA), x.V);
    const Tensor<T> on_diagonal = eye<T>(rows_of(C.shape()));
    const Tensor<T> rotation = ratio_or_zero(C * (1 - on_diagonal), differences(x.w));
    t.add(xtape::concatenate({matmul(x.V, rotation), sum(C * on_diagonal, Axes(-2), true)}, -2));
  }

  struct Parts {
    Tensor<T> V, w;  ///< (…,n,n), (…,1,n)
    explicit Parts(const Tensor<T>& y) {
      const std::size_t n = columns_of(y.shape());
      V = matrix_rows(y, 0, n);
      w = matrix_rows(y, n, n + 1);
    }
  };
};

}  // namespace
}  // namespace detail

namespace linalg {

template <class T>
Eigen<T> eigh(const Tensor<T>& A) {
  const Tensor<T> y = detail::apply<T>(detail::Eigh<T>{}, A);
  const std::size_t n = A.shape().back();
  return {.values = slice(y, xt::ellipsis(), static_cast<std::ptrdiff_t>(n), xt::all()),
          .vectors = detail::matrix_rows(y, 0, n)};
}

template <class T>
Tensor<T> eigvalsh(const Tensor<T>& A) {
  return eigh(A).values;
}

#define XTAPE_INSTANTIATE(T)                \
  template Eigen<T> eigh(const Tensor<T>&); \
  template Tensor<T> eigvalsh(const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace linalg

template Tensor<float> detail::differences(const Tensor<float>&);
template Tensor<double> detail::differences(const Tensor<double>&);

}  // namespace xtape
