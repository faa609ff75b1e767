// Operations on matrices (…,m,n): the last two axes are the matrix, those before them a batch, which
// broadcasts. A factorisation of several parts gives them as the rows of one matrix, one part below the
// other, so that it is one node of the recording, and its parts are slices.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
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
/// Error where a matrix has more rows or columns than LAPACK counts; its calls do not ask any more.
void require_countable(const Shape& a);
/// The shape of op(A)⁻¹ B for A (…,n,n) and B (…,n,k), or the error that says what does not fit.
Shape solution_shape(const char* op, const Shape& a, const Shape& b);
/// ", matrix (1, 2) of the batch" for number i, nothing where there is no batch.
std::string matrix_number(const Shape& batch, std::size_t i);

/// The error of a matrix that is singular: which pivot is 0, in which matrix_number(), and what helps.
[[noreturn]] void throw_singular(const char* op, int pivot, const std::string& which, const char* hint = "");

/// The first of many matrices that fails, and its info > 0, of several threads: the number of the matrix and
/// below it info, in one number, so that the least is the first.
class FirstFailure {
 public:
  static constexpr int out_of_memory = std::numeric_limits<int>::max();
  void note(std::size_t matrix, int info) noexcept {
    const std::uint64_t own = std::uint64_t{matrix} << info_bits | static_cast<std::uint64_t>(info);
    std::uint64_t first = first_.load(std::memory_order_relaxed);
    while (own < first && !first_.compare_exchange_weak(first, own, std::memory_order_relaxed)) {}
  }
  bool failed() const { return first_ != none; }
  std::size_t matrix() const { return first_ >> info_bits; }
  int info() const { return static_cast<int>(first_ & out_of_memory); }

 private:
  static constexpr int info_bits = 31;
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  std::atomic<std::uint64_t> first_{none};
};

/// What explains the failure of a rule that cannot fail: whatever it returns is no failure.
struct CannotFail {
  void operator()(int, const std::string&) const {}
};
inline constexpr CannotFail cannot_fail;

/// run(y, x…), with the first element of each, for each matrix of the result, of this shape; what it returns,
/// if not 0, has failed: `explain(info, matrix)` throws the error of the first one, after all have run. Each
/// takes about `work` multiplications. OpenBLAS runs on one thread, so that the bits do not depend on how
/// many there are; batches are shared out.
template <class T, class F, class Explain, class... X>
void each_matrix(T* y, const Shape& result, std::size_t work, const F& run, const Explain& explain,
                 const Tensor<X>&... x) {
  const Shape batch = batch_of(result);
  const std::size_t count = element_count(batch, "linalg"), step = rows_of(result) * columns_of(result);
  if (count == 0) return;
  (require_countable(x.shape()), ...);
  constexpr std::size_t n = sizeof...(X);
  const auto steps = [&](const Shape& shape) {
    Dims all = broadcast_strides(batch_of(shape), batch);
    for (auto& s : all) s *= static_cast<std::ptrdiff_t>(rows_of(shape) * columns_of(shape));
    return all;
  };
  const Walk<n> walk(batch, {steps(x.shape())...});
  FirstFailure failure;
  const auto run_at = [&]<std::size_t... k>(std::size_t i, std::index_sequence<k...>) {
    const auto at = walk.offsets(i);
    return run(y + i * step, (x.data() + at[k])...);
  };
  const auto one = [&](std::size_t i) noexcept {
    constexpr std::make_index_sequence<n> all;
    try {
      if constexpr (std::is_same_v<Explain, CannotFail>)
        run_at(i, all);
      else if (const int info = run_at(i, all); info != 0)
        failure.note(i, info);
    } catch (const std::bad_alloc&) { failure.note(i, FirstFailure::out_of_memory); }
  };
  const SerialBlas serial;  // also for the smallest, which LAPACK computes by other functions with threads
  if (count * work < 2 * gemm_piece_work) {
    for (std::size_t i = 0; i < count; ++i) one(i);
  } else {
    const std::size_t group = std::max<std::size_t>(1, gemm_piece_work / (work + 1));
    parallel_for(quotient_up(count, group), [&](std::size_t part) {
      for (std::size_t i = part * group; i < std::min(count, (part + 1) * group); ++i) one(i);
    });
  }
  if (!failure.failed()) return;
  if (failure.info() == FirstFailure::out_of_memory) throw std::bad_alloc();
  explain(failure.info(), matrix_number(batch, failure.matrix()));
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
