// The table of kernels of one architecture and one element type: compiled once for each of them, with
// XTAPE_ARCH and XTAPE_ELEMENT from the build, and the architecture's flags.
#define XTAPE_JOIN(a, b) a##b
#define XTAPE_NAMED(a, b) XTAPE_JOIN(a, b)
#define XTAPE_TEXT(a) XTAPE_QUOTED(a)
#define XTAPE_QUOTED(a) #a

// A namespace of its own for the library of batches: its functions would otherwise carry the same names for
// each architecture, and the linker would keep any of them.
#define xsimd XTAPE_NAMED(xsimd_, XTAPE_ARCH)

#include "elementwise_kernels.hpp"
#include "gemm_kernels.hpp"
#include "normalization_kernels.hpp"
#include "optimizer_kernels.hpp"
#include "reduction_kernels.hpp"

namespace xtape::detail {
namespace {

namespace batches {
using generic = xsimd::default_arch;
#if XSIMD_WITH_NEON64
using neon = xsimd::neon64;
#elif !defined(XTAPE_WITHOUT_XSIMD)
using sse2 = xsimd::sse2;
using avx2 = xsimd::fma3<xsimd::avx2>;
using avx512 = xsimd::avx512bw;
#endif
}  // namespace batches

template <class T, class Rule, std::size_t N, class A>
constexpr void add_rule(Kernels<T>& k) {
  k.value[op_number<Rule>] = value_kernel<T, Rule, N, A>();
  if constexpr (is_differentiable<Rule>) {
    k.gradient[op_number<Rule>][0] = gradient_kernel<T, Rule, N, 0, A>();
    if constexpr (N > 1) k.gradient[op_number<Rule>][1] = gradient_kernel<T, Rule, N, 1, A>();
    if constexpr (N > 2) k.gradient[op_number<Rule>][2] = gradient_kernel<T, Rule, N, 2, A>();
  }
}

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class B>
constexpr auto same = [](const B& a) { return a; };
template <class B>
constexpr auto squared = [](const B& a) { return a * a; };
template <class B>
constexpr auto larger = [](const B& a, const B& b) { return ops::maximum(a, b); };
template <class B>
constexpr auto smaller = [](const B& a, const B& b) { return ops::minimum(a, b); };

template <class T, class A>
constexpr Kernels<T> make_table(const char* name) {
  using B = xsimd::batch<T, A>;
  Kernels<T> k{};
  k.arch = name;
#define XTAPE_UNARY(Op) add_rule<T, ops::Op<T>, 1, A>(k);
#define XTAPE_BINARY(Op) add_rule<T, ops::Op<T>, 2, A>(k);
#define XTAPE_TERNARY(Op) add_rule<T, ops::Op<T>, 3, A>(k);
#include "elementwise_list.inc"
  k.scale = scale_row<B, T>;

  k.sum = [](const T* x, std::size_t n) { return pairwise_sum<B>(x, n, same<B>); };
  k.sum_of_squares = [](const T* x, std::size_t n) { return pairwise_sum<B>(x, n, squared<B>); };
  k.max = [](const T* x, std::size_t n) { return contiguous_extreme<B>(x, n, -infinity<T>, larger<B>); };
  k.min = [](const T* x, std::size_t n) { return contiguous_extreme<B>(x, n, infinity<T>, smaller<B>); };
  k.count = count_of<B, T>;
  k.add_rows = [](T* y, const T* x, std::size_t rows, std::size_t n) { sum_rows<B>(y, x, rows, n, same<B>); };
  k.add_squared_rows = [](T* y, const T* x, std::size_t rows, std::size_t n) {
    sum_rows<B>(y, x, rows, n, squared<B>);
  };
  k.max_rows = [](T* y, const T* x, std::size_t rows, std::size_t n) {
    take_rows<B>(y, x, rows, n, same<B>, larger<B>, larger<B>);
  };
  k.min_rows = [](T* y, const T* x, std::size_t rows, std::size_t n) {
    take_rows<B>(y, x, rows, n, same<B>, smaller<B>, smaller<B>);
  };

  k.logsumexp = logsumexp<B, T>;
  k.softmax = softmax<B, T>;
  k.log_softmax = log_softmax<B, T>;
  k.logsumexp_gradient = logsumexp_gradient<B, T>;
  k.extreme_gradient = extreme_gradient<B, T>;
  k.norm_gradient = norm_gradient<B, T>;
  k.softmax_gradient = softmax_gradient<B, T>;
  k.log_softmax_gradient = log_softmax_gradient<B, T>;

  k.moments = moments<B, T>;
  k.normalize_columns = normalize_columns<B, T>;
  k.normalize_rows = normalize_rows<B, T>;
  k.sums_of_columns = normalized_sums<B, true, T>;
  k.sums_of_rows = normalized_sums<B, false, T>;
  k.normalize_columns_gradient = normalize_columns_gradient<B, T>;
  k.normalize_rows_gradient = normalize_rows_gradient<B, T>;

  k.gemm = small_gemm<B, T>;
  k.blocked_gemm = blocked_gemm<B, T>;
  k.gemv = gemv<B, T>;
  k.transpose = transpose<B, T>;
  k.sgd = sgd<B, T>;
  k.adam = adam<B, T>;
  k.rmsprop = rmsprop<B, T>;
  k.adagrad = adagrad<B, T>;
  k.width = B::size;
  k.indexed_gemm = indexed_gemm<B, T>;
  return k;
}

}  // namespace

template <>
const Kernels<XTAPE_ELEMENT>& table<arch::XTAPE_ARCH, XTAPE_ELEMENT>() {
  static constexpr auto kernels = make_table<XTAPE_ELEMENT, batches::XTAPE_ARCH>(XTAPE_TEXT(XTAPE_ARCH));
  return kernels;
}

}  // namespace xtape::detail
