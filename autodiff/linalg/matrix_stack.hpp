// Operations on matrices (…,m,n): the last two axes are the matrix, those before them a batch, which
// broadcasts. A factorisation of several parts gives them as the rows of one matrix, one part below the
// other, so that it is one node of the recording, and its parts are slices.
#pragma once
#include <array>
#include <atomic>
#include <string>

#include "../arrange.hpp"
#include "../elementwise.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../ops/matrix_product.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

inline std::size_t rows_of(const Shape& a) { return a.end()[-2]; }
inline std::size_t columns_of(const Shape& a) { return a.end()[-1]; }
/// (…,rows,columns) for the batch of a.
inline Shape with_matrix(const Shape& batch, std::size_t rows, std::size_t columns) {
  Shape all = batch;
  all.push_back(rows);
  all.push_back(columns);
  return all;
}

/// Error unless a has the axes of a matrix.
void require_matrix(const char* op, const Shape& a);
void require_square(const char* op, const Shape& a);
/// The shape of op(A)⁻¹ B for A (…,n,n) and B (…,n,k), or the error that says what does not fit.
Shape solution_shape(const char* op, const Shape& a, const Shape& b);
/// ", matrix (1, 2) of the batch" for number i, nothing where there is no batch.
std::string matrix_number(const Shape& batch, std::size_t i);

/// Whether a rule fails, and where first, when it is run for many matrices, maybe on several threads.
class FirstFailure {
 public:
  void note(std::size_t matrix, int info) {
    std::size_t seen = first_.load(std::memory_order_relaxed);
    while (matrix < seen && !first_.compare_exchange_weak(seen, matrix)) {}
    if (first_.load(std::memory_order_relaxed) == matrix) info_.store(info, std::memory_order_relaxed);
  }
  bool failed() const { return first_ != none; }
  std::size_t matrix() const { return first_; }
  int info() const { return info_; }

 private:
  static constexpr std::size_t none = ~std::size_t{0};
  std::atomic<std::size_t> first_{none};
  std::atomic<int> info_{0};
};

/// run(y, x…), with the first element of each, for each matrix of the result, of this shape; what it returns,
/// if not 0, has failed: `explain(info, matrix)` makes the error of the first one, after all have run. Each
/// takes about `work` multiplications. OpenBLAS runs on one thread, so that the bits do not depend on how
/// many there are; batches are shared out.
template <class T, class F, class Explain, class... X>
void each_matrix(T* y, const Shape& result, std::size_t work, const F& run, const Explain& explain,
                 const Tensor<X>&... x) {
  const Shape batch = batch_of(result);
  const std::size_t count = element_count(batch, "linalg"), step = rows_of(result) * columns_of(result);
  if (count == 0) return;
  constexpr std::size_t n = sizeof...(X);
  const auto steps = [&](const Shape& shape) {
    Dims all = broadcast_strides(batch_of(shape), batch);
    for (auto& s : all) s *= static_cast<std::ptrdiff_t>(rows_of(shape) * columns_of(shape));
    return all;
  };
  const Walk<n> walk(batch, {steps(x.shape())...});
  FirstFailure failure;
  std::atomic<bool> no_memory = false;
  const auto one = [&](std::size_t i) {
    const auto at = walk.offsets(i);
    const int info = [&]<std::size_t... k>(std::index_sequence<k...>) {
      return run(y + i * step, (x.data() + at[k])...);
    }
    (std::make_index_sequence<n>());
    if (info != 0) failure.note(i, info);
  };
  const SerialBlas serial;  // also for the smallest, which LAPACK computes by other functions with threads
  if (count * work < 2 * gemm_piece_work) {
    for (std::size_t i = 0; i < count; ++i) one(i);
  } else {
    const std::size_t group = std::max<std::size_t>(1, gemm_piece_work / (work + 1));
    parallel_for(quotient_up(count, group), [&](std::size_t part) {
      try {
        for (std::size_t i = part * group; i < std::min(count, (part + 1) * group); ++i) one(i);
      } catch (const std::bad_alloc&) { no_memory = true; }
    });
    if (no_memory) throw std::bad_alloc();
  }
  if (failure.failed()) explain(failure.info(), matrix_number(batch, failure.matrix()));
}

/// Rows first <= i < last of each matrix.
template <class T>
Tensor<T> matrix_rows(const Tensor<T>& a, std::size_t first, std::size_t last);
/// Aᵀ of each.
template <class T>
Tensor<T> transposed_matrices(const Tensor<T>& a) {
  return swapaxes(a, -1, -2);
}
/// The sum of all elements of each matrix, (…,1,1).
template <class T>
Tensor<T> sum_of_each(const Tensor<T>& a) {
  return sum(a, Axes{-2, -1}, true);
}
/// (…) from (…,1,1).
template <class T>
Tensor<T> number_of_each(const Tensor<T>& a) {
  return reshape(a, Dims(batch_of(a.shape())));
}
/// (a + aᵀ) / 2
template <class T>
Tensor<T> symmetric_part(const Tensor<T>& a) {
  return (a + transposed_matrices(a)) / 2;
}

/// f(B) for B as columns (…,n,k), and a vector again where B is one.
template <class T, class F>
Tensor<T> with_columns(const Tensor<T>& B, const F& f) {
  if (B.rank() != 1) return f(B);
  const Tensor<T> y = f(unsqueeze(B, 1));
  Shape to = y.shape();
  to.erase(to.size() - 1);
  return reshape(y, Dims(to));
}

/// op(A)⁻¹ B for a triangle A; see linalg::solve_triangular().
template <class T>
Tensor<T> triangular_solution(const Tensor<T>& A, const Tensor<T>& B, bool lower, bool transpose, bool unit);

/// w_j - w_i (…,n,n) for w (…,1,n), 0 where that is but rounding of the largest; 1 on the diagonal, by which
/// nothing is divided but 0.
template <class T>
Tensor<T> differences(const Tensor<T>& w);

/// X / D, where 0 / 0 is 0: what is not there has no influence. D is of X's shape. Where D is 0 and X is not,
/// the result is infinite, and so is its derivative: an answer that depends on a choice, such as that of
/// eigenvectors of one eigenvalue, is not hidden.
template <class T>
Tensor<T> ratio_or_zero(const Tensor<T>& X, const Tensor<T>& D);

}  // namespace xtape::detail
