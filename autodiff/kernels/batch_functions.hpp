// Batches of numbers: parts of a batch in memory, and what xsimd lacks of the vocabulary of the rules or does
// not get right. Accuracy was measured against long double over the whole range, in units of the last place:
// xsimd's log1p, asin, acos, atan, sinh, cosh, cbrt, and erf in float, are within 3.4 and right at ±0, ±∞ and
// NaN, except where corrected below. Results under the normal range may be 0.
#pragma once
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "batch.hpp"
#include "batch_math.hpp"
#include "special_functions.hpp"

namespace xtape::detail {

#if XSIMD_WITH_SSE2  // these names are xsimd's: none is defined without it
static inline __m128 load_part(const float* p, std::size_t n, __m128 rest) {
  if (n == 1) return _mm_move_ss(rest, _mm_load_ss(p));
  const __m128 two = _mm_loadl_pi(rest, reinterpret_cast<const __m64*>(p));
  return n == 2 ? two : _mm_movelh_ps(two, _mm_move_ss(rest, _mm_load_ss(p + 2)));
}
static inline __m128d load_part(const double* p, std::size_t, __m128d rest) {
  return _mm_move_sd(rest, _mm_load_sd(p));
}
static inline void store_part(float* p, std::size_t n, __m128 x) {
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), x);
    x = _mm_movehl_ps(x, x);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, x);
}
static inline void store_part(double* p, std::size_t n, __m128d x) {
  if (n & 1) _mm_store_sd(p, x);
}
#elif XSIMD_WITH_NEON64
static inline float32x4_t load_part(const float* p, std::size_t n, float32x4_t rest) {
  if (n == 1) return vld1q_lane_f32(p, rest, 0);
  const float32x4_t two = vcombine_f32(vld1_f32(p), vget_high_f32(rest));
  return n == 2 ? two : vld1q_lane_f32(p + 2, two, 2);
}
static inline float64x2_t load_part(const double* p, std::size_t, float64x2_t rest) {
  return vld1q_lane_f64(p, rest, 0);
}
static inline void store_part(float* p, std::size_t n, float32x4_t x) {
  if (n & 2) {
    vst1_f32(p, vget_low_f32(x));
    x = vextq_f32(x, x, 2);
    p += 2;
  }
  if (n & 1) vst1q_lane_f32(p, x, 0);
}
static inline void store_part(double* p, std::size_t, float64x2_t x) { vst1q_lane_f64(p, x, 0); }
#endif

/// The first n numbers from p on, 0 < n < B::size, and of `rest` in the other lanes. Nothing beyond is read.
template <class B>
B load_part(const typename B::value_type* p, std::size_t n, B rest) {
#if XSIMD_WITH_AVX512F
  const auto lanes = (1u << n) - 1u;
  if constexpr (std::is_same_v<typename B::value_type, float>)
    return _mm512_mask_loadu_ps(rest, static_cast<__mmask16>(lanes), p);
  else
    return _mm512_mask_loadu_pd(rest, static_cast<__mmask8>(lanes), p);
#elif XSIMD_WITH_AVX2
  if constexpr (std::is_same_v<typename B::value_type, float>) {
    alignas(32) static constexpr std::int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones + 8 - n));
    return _mm256_blendv_ps(rest, _mm256_maskload_ps(p, lanes), _mm256_castsi256_ps(lanes));
  } else {
    alignas(32) static constexpr std::int64_t ones[8] = {-1, -1, -1, -1};
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones + 4 - n));
    return _mm256_blendv_pd(rest, _mm256_maskload_pd(p, lanes), _mm256_castsi256_pd(lanes));
  }
#elif XSIMD_WITH_SSE2 || XSIMD_WITH_NEON64
  return load_part(p, n, typename B::register_type(rest));
#else
  alignas(B) typename B::value_type lanes[B::size];
  rest.store_aligned(lanes);
  for (std::size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return B::load_aligned(lanes);
#endif
}

/// Writes the first n lanes to p, 0 < n < B::size, and nothing beyond.
template <class B>
void store_part(typename B::value_type* p, std::size_t n, B x) {
#if XSIMD_WITH_AVX512F
  const auto lanes = (1u << n) - 1u;
  if constexpr (std::is_same_v<typename B::value_type, float>)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>(lanes), x);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes), x);
#elif XSIMD_WITH_AVX2  // masked stores are slow on AMD
  if constexpr (std::is_same_v<typename B::value_type, float>) {
    __m128 part = _mm256_castps256_ps128(x);
    if (n & 4) {
      _mm_storeu_ps(p, part);
      part = _mm256_extractf128_ps(x, 1);
      p += 4;
    }
    store_part(p, n, part);
  } else {
    __m128d part = _mm256_castpd256_pd128(x);
    if (n & 2) {
      _mm_storeu_pd(p, part);
      part = _mm256_extractf128_pd(x, 1);
      p += 2;
    }
    store_part(p, n, part);
  }
#elif XSIMD_WITH_SSE2 || XSIMD_WITH_NEON64
  store_part(p, n, typename B::register_type(x));
#else
  alignas(B) typename B::value_type lanes[B::size];
  x.store_aligned(lanes);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
#endif
}

/// The next batch of an array of which `left` numbers are left; lanes beyond them hold `rest`.
template <class B>
B load(const typename B::value_type* p, std::size_t left, B rest) {
  return left >= B::size ? B::load_unaligned(p) : load_part(p, left, rest);
}

template <class B>
void store(typename B::value_type* p, std::size_t left, B x) {
  if (left >= B::size)
    x.store_unaligned(p);
  else
    store_part(p, left, x);
}

/// store, or adding to what is there.
template <class B>
void store(typename B::value_type* p, std::size_t left, bool accumulate, B x) {
  if (accumulate) x += load(p, left, x);
  store(p, left, x);
}

namespace ops {

// A batch as the type of one parameter: numbers convert to it.
template <class T, class A>
using Batch = std::type_identity_t<xsimd::batch<T, A>>;

template <class T, class A>
xsimd::batch<T, A> where(const xsimd::batch_bool<T, A>& condition, const Batch<T, A>& a,
                         const Batch<T, A>& b) {
  return xsimd::select(condition, a, b);
}
template <class T, class A>
xsimd::batch_bool<T, A> equal(const xsimd::batch<T, A>& a, const Batch<T, A>& b) {
  return a == b;
}
template <class T, class A>
xsimd::batch<T, A> maximum(const xsimd::batch<T, A>& a, const Batch<T, A>& b) {
  return where(a > b || xsimd::isnan(a), a, b);  // a NaN on either side comes through
}
template <class T, class A>
xsimd::batch<T, A> minimum(const xsimd::batch<T, A>& a, const Batch<T, A>& b) {
  return where(a < b || xsimd::isnan(a), a, b);
}
template <class T, class A>
xsimd::batch<T, A> square(const xsimd::batch<T, A>& x) {
  return x * x;
}

// What follows has the name of a function of xsimd, and is preferred because it is constrained.
template <std::floating_point T, class A>
xsimd::batch<T, A> sign(const xsimd::batch<T, A>& x) {
  return where(x > T(0), T(1), where(x < T(0), T(-1), x));
}
template <std::floating_point T, class A, class = void>  // as many parameters as xsimd's
xsimd::batch<T, A> reciprocal(const xsimd::batch<T, A>& x) {
  return T(1) / x;  // xsimd's is an approximation
}

/// Numbers below the normal range times 2⁵⁴, so that f, which takes them for others, sees normal ones only.
template <class F, class T, class A>
xsimd::batch<T, A> scaled_up(const F& f, const xsimd::batch<T, A>& x) {
  const auto small = xsimd::abs(x) < std::numeric_limits<T>::min();
  return f(where(small, x * T(1ull << 54), x), small);
}

// The logarithms of xsimd are wrong by up to 300 below the normal range in double, and the cube root by 1.3
// times.
template <std::floating_point T, class A>
xsimd::batch<T, A> log2(const xsimd::batch<T, A>& x) {
  if constexpr (std::is_same_v<T, float>) return xsimd::log2(x);
  return scaled_up([](auto y, auto small) { return xsimd::log2(y) - where(small, T(54), T(0)); }, x);
}
template <std::floating_point T, class A>
xsimd::batch<T, A> log10(const xsimd::batch<T, A>& x) {
  if constexpr (std::is_same_v<T, float>) return xsimd::log10(x);
  return scaled_up(
      [](auto y, auto small) { return xsimd::log10(y) - where(small, T(16.255619765854984), T(0)); }, x);
}
template <std::floating_point T, class A>
xsimd::batch<T, A> cbrt(const xsimd::batch<T, A>& x) {
  if constexpr (std::is_same_v<T, float>) return xsimd::cbrt(x);
  return scaled_up([](auto y, auto small) { return xsimd::cbrt(y) * where(small, T(1) / T(1 << 18), T(1)); },
                   x);
}

// It loses the sign of −0.
template <std::floating_point T, class A>
xsimd::batch<T, A> log1p(const xsimd::batch<T, A>& x) {
  return where(x == T(0), x, xsimd::log1p(x));
}

// In double xsimd's erf is 68 units off, and NaN for the largest numbers.
template <std::floating_point T, class A>
xsimd::batch<T, A> erf(const xsimd::batch<T, A>& x) {
  if constexpr (std::is_same_v<T, float>)
    return xsimd::erf(x);
  else
    return lanewise([](T lane) { return std::erf(lane); }, x);
}
// xsimd's atan2(±0, 0) is NaN.
template <std::floating_point T, class A>
xsimd::batch<T, A> atan2(const xsimd::batch<T, A>& y, const xsimd::batch<T, A>& x) {
  return lanewise([](T a, T b) { return std::atan2(a, b); }, y, x);
}
// xsimd's pow is up to 800 units off, and wrong for 0⁰, 0⁻¹ and (−∞)ʸ.
template <std::floating_point T, class A>
xsimd::batch<T, A> pow(const xsimd::batch<T, A>& a, const xsimd::batch<T, A>& b) {
  return lanewise([](T x, T y) { return std::pow(x, y); }, a, b);
}
template <std::floating_point T, class A>
xsimd::batch<T, A> pow(const xsimd::batch<T, A>& a, T b) {
  if (b == 2) return a * a;
  if (b == 1) return a;
  if (b == -1) return T(1) / a;
  if (b == 0) return T(1);
  return lanewise([b](T x) { return std::pow(x, b); }, a);
}

// Rare functions, for which xsimd has none, or one that was not measured.
#define XTAPE_LANEWISE(library, f)                               \
  template <std::floating_point T, class A>                      \
  xsimd::batch<T, A> f(const xsimd::batch<T, A>& x) {            \
    return lanewise([](T lane) { return library::f(lane); }, x); \
  }
XTAPE_LANEWISE(std, asinh)
XTAPE_LANEWISE(std, acosh)
XTAPE_LANEWISE(std, atanh)
XTAPE_LANEWISE(std, erfc)
XTAPE_LANEWISE(special, erfinv)
XTAPE_LANEWISE(special, lgamma)
#undef XTAPE_LANEWISE
template <std::floating_point T, class A>
xsimd::batch<T, A> polygamma(int n, const xsimd::batch<T, A>& x) {
  return lanewise([n](T lane) { return special::polygamma(n, lane); }, x);
}
template <std::floating_point T, class A>
xsimd::batch<T, A> fmod(const xsimd::batch<T, A>& a, const xsimd::batch<T, A>& b) {
  return lanewise([](T x, T y) { return std::fmod(x, y); }, a, b);
}

template <class T>
struct Hypot;
template <std::floating_point T, class A>
xsimd::batch<T, A> hypot(const xsimd::batch<T, A>& a, T b) {
  return Hypot<T>::value(a, xsimd::batch<T, A>(b));
}

}  // namespace ops
}  // namespace xtape::detail
