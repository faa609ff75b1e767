// The loops over numbers, as a table of functions: one table for each architecture, the best of which is
// chosen when the first kernel is asked for. Included by code compiled for other architectures: nothing here
// may leave a function that is shared between them.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>

#include "op_number.hpp"
#include "optimizer_steps.hpp"

namespace xtape::detail {

namespace ops {
#define XTAPE_UNARY(Op) \
  template <class T>    \
  struct Op;
#define XTAPE_BINARY XTAPE_UNARY
#define XTAPE_TERNARY XTAPE_UNARY
#include "elementwise_list.inc"
}  // namespace ops

/// The number of a rule, as an index into the tables.
template <class Rule>
inline constexpr std::size_t op_number = op_count;
#define XTAPE_UNARY(Op) \
  template <class T>    \
  inline constexpr std::size_t op_number<ops::Op<T>> = static_cast<std::size_t>(OpNumber::Op);
#define XTAPE_BINARY XTAPE_UNARY
#define XTAPE_TERNARY XTAPE_UNARY
#include "elementwise_list.inc"

/// y[i] = f(x0[i·s0], x1[i·s1], …), or y[i] += …, for i < n, with the strides s, each 0 or 1: operands are
/// row-major, so along the innermost axis of the result each is either whole or one number. `op` is the
/// operation's struct, or the numbers in it. y may be one of the operands.
template <class T>
using RowKernel = void (*)(const void* op, T* y, bool accumulate, std::size_t n, const T* const* x,
                           const std::ptrdiff_t* stride);

/// How many arrays an elementwise operation reads at most: the adjoint, three inputs and the output.
inline constexpr std::size_t max_operands = 5;

/// How many elements of a transposed right operand Kernels::gemm can take.
inline constexpr std::size_t gemm_packed_limit = 2048;

/// The loops of one architecture. Arrays are contiguous and need no alignment; targets are assigned, or added
/// to where `accumulate` says so.
template <class T>
struct Kernels {
  const char* arch;

  // Elementwise, by op_number. Gradients are by input, too, and null where there is none. Operands of a
  // value: the inputs. Of a gradient: the adjoint, the inputs, the output; what it does not use may be null.
  std::array<RowKernel<T>, op_count> value;
  std::array<std::array<RowKernel<T>, 3>, op_count> gradient;
  /// y = scale · x, or y += …; `stride` is 0 or 1.
  void (*scale)(T* y, bool accumulate, std::size_t n, const T* x, std::ptrdiff_t stride, T scale);

  // Reductions; NaN comes through max and min.
  T (*sum)(const T* x, std::size_t n);  ///< pairwise
  T (*sum_of_squares)(const T* x, std::size_t n);
  T (*max)(const T* x, std::size_t n);
  T (*min)(const T* x, std::size_t n);
  T (*count)(const T* x, std::size_t n, T y);  ///< how many are y
  /// y (n) += Σ over the rows of x (rows, n).
  void (*add_rows)(T* y, const T* x, std::size_t rows, std::size_t n);
  void (*add_squared_rows)(T* y, const T* x, std::size_t rows, std::size_t n);
  /// y (n) = the largest, the smallest of y and the rows of x (rows, n).
  void (*max_rows)(T* y, const T* x, std::size_t rows, std::size_t n);
  void (*min_rows)(T* y, const T* x, std::size_t rows, std::size_t n);

  // Along the first axis of x (n, inner), whose rows lie `step` apart; y lies as x does, or is (inner) for
  // logsumexp, which where `largest` (inner) is not null gives it the largest x, and y what is to be added to
  // that. A single +∞ takes it all, as in the limit; of several there is none: NaN.
  void (*logsumexp)(T* y, T* largest, const T* x, std::size_t n, std::size_t inner, std::size_t step);
  void (*softmax)(T* y, const T* x, std::size_t n, std::size_t inner, std::size_t step);  ///< y may be x
  void (*log_softmax)(T* y, const T* x, std::size_t n, std::size_t inner, std::size_t step);
  /// dx = g eˣ⁻ʸ, or with `largest` the y that logsumexp splits, with g and y (inner); 0 where y = −∞. Not
  /// for a y of +∞.
  void (*logsumexp_gradient)(T* dx, bool accumulate, const T* g, const T* x, const T* y, const T* largest,
                             std::size_t n, std::size_t inner);
  /// dx = g / (how many x are y) where x = y, else 0; NaN where y is. `count` (inner) says how many where it
  /// is not null: for a part of a line.
  void (*extreme_gradient)(T* dx, bool accumulate, const T* g, const T* x, const T* y, const T* count,
                           std::size_t n, std::size_t inner, std::size_t step);
  /// dx = g (x / y), 0 where y is.
  void (*norm_gradient)(T* dx, bool accumulate, const T* g, const T* x, const T* y, std::size_t n,
                        std::size_t inner);
  /// dx = y (g − Σ g y); dx may be g.
  void (*softmax_gradient)(T* dx, bool accumulate, const T* g, const T* y, std::size_t n, std::size_t inner,
                           std::size_t step);
  /// dx = g − eʸ Σ g
  void (*log_softmax_gradient)(T* dx, bool accumulate, const T* g, const T* y, std::size_t n,
                               std::size_t inner, std::size_t step);

  /// `moments` (4, inner) of each line along the first axis of x (n, inner): its mean in two parts, whose sum
  /// the type could not hold, Σ (x − mean)², which like these is exact where all of a line is one number, and
  /// 1/√(the third / n + epsilon), 0 where that root is.
  void (*moments)(T* moments, const T* x, std::size_t n, std::size_t inner, T epsilon);

  // Normalisation of x (rows, n) by the moments (4, n) of its columns, or (rows, 4) of its rows:
  // x̂ = (x − mean) / √(variance + epsilon), y = gamma x̂ + beta.
  void (*normalize_columns)(T* y, const T* x, const T* gamma, const T* beta, const T* moments,
                            std::size_t rows, std::size_t n);
  void (*normalize_rows)(T* y, const T* x, const T* gamma, const T* beta, const T* moments, std::size_t rows,
                         std::size_t n);
  /// sums (2, n) = Σ g and Σ g x̂ over the rows.
  void (*sums_of_columns)(T* sums, const T* g, const T* x, const T* moments, std::size_t rows, std::size_t n);
  void (*sums_of_rows)(T* sums, const T* g, const T* x, const T* moments, std::size_t rows, std::size_t n);
  /// dx = (the inverse) (gamma g − its mean − x̂ · the mean of gamma g x̂), means along the line. dx may be g.
  void (*normalize_columns_gradient)(T* dx, bool accumulate, const T* g, const T* x, const T* gamma,
                                     const T* moments, const T* sums, std::size_t rows, std::size_t n);
  void (*normalize_rows_gradient)(T* dx, bool accumulate, const T* g, const T* x, const T* gamma,
                                  const T* moments, std::size_t rows, std::size_t n);

  // Matrices.
  /// C (M,N) = op(A) (M,K) op(B) (K,N); a transposed B has at most gemm_packed_limit elements.
  void (*gemm)(bool transpose_a, bool transpose_b, std::size_t M, std::size_t N, std::size_t K, const T* A,
               const T* B, bool accumulate, T* C);
  /// The same in blocks, of matrices whose rows lie lda, ldb and ldc apart.
  void (*blocked_gemm)(bool transpose_a, bool transpose_b, std::size_t M, std::size_t N, std::size_t K,
                       const T* A, std::size_t lda, const T* B, std::size_t ldb, bool accumulate, T* C,
                       std::size_t ldc);
  /// y = op(A) x for A (rows, columns), or y += …: elements of x and y lie x_step and y_step apart.
  void (*gemv)(bool transpose, std::size_t rows, std::size_t columns, const T* A, std::size_t lda, const T* x,
               std::size_t x_step, bool accumulate, T* y, std::size_t y_step);
  /// y[j · y_row + i] = scale · x[i · x_row + j] for i < rows, j < cols.
  void (*transpose)(T* y, std::size_t y_row, bool accumulate, const T* x, std::size_t x_row, std::size_t rows,
                    std::size_t cols, T scale);

  // Updates of parameters w by gradients g; v may be null without momentum, m where nothing is centered.
  void (*sgd)(T* w, T* v, const T* g, std::size_t n, const engine::SgdStep<T>& step);
  void (*adam)(T* w, T* m, T* v, const T* g, std::size_t n, const engine::AdamStep<T>& step);
  void (*rmsprop)(T* w, T* square, T* m, T* v, const T* g, std::size_t n, const engine::RmspropStep<T>& step);
  void (*adagrad)(T* w, T* square, const T* g, std::size_t n, const engine::AdagradStep<T>& step);

  // Convolutions.
  std::size_t width;  ///< of a panel: how many numbers are in a batch
  /// C (M, panels · width) += A (M,K) B (K, panels · width), both in panels of `width` columns: those of B
  /// (K, width) are `panel` numbers apart, those of C c_panel, and in them row m begins at c_row[m]. A (m, k)
  /// is x[a_row[m] + a_column[k]]. With `by_lane` A has a number for each column, there and at the width − 1
  /// places after it, and there is one panel: C (m, l) += Σ A (m, k, l) B (k, l).
  void (*indexed_gemm)(T* C, const std::ptrdiff_t* c_row, std::size_t c_panel, std::size_t M, std::size_t K,
                       std::size_t panels, const T* x, const std::ptrdiff_t* a_row,
                       const std::ptrdiff_t* a_column, bool by_lane, const T* B, std::size_t panel);
};

/// The table of an architecture, whether this machine has it or not; defined by kernels_arch.cpp.
namespace arch {
struct generic;
struct neon;
struct sse2;
struct avx2;    ///< with FMA
struct avx512;  ///< F, CD, DQ and BW
}  // namespace arch
template <class Arch, class T>
const Kernels<T>& table();

/// The tables that this machine can run, the best first, and how many they are.
template <class T>
struct AvailableKernels {
  std::array<const Kernels<T>*, 3> tables{};
  std::size_t count = 0;
};
template <class T>
AvailableKernels<T> available_kernels();

/// The best of available_kernels() that the environment variable XTAPE_ARCH allows: "sse2", "avx2" or
/// "avx512" names the highest, on 64-bit Arm "generic" or "neon"; without xsimd and on other processors there
/// is "generic" alone. Error for another word in it.
template <class T>
const Kernels<T>& choose_kernels();

/// The choice, once it is made.
template <class T>
inline constinit std::atomic<const Kernels<T>*> chosen_kernels = nullptr;

/// The table in use.
template <class T>
const Kernels<T>& kernels() {
  const Kernels<T>* const chosen = chosen_kernels<T>.load(std::memory_order_acquire);
  return chosen ? *chosen : choose_kernels<T>();
}

}  // namespace xtape::detail
