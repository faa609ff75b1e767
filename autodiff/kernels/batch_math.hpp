// Exponentials, the logarithm and angles of batches: xsimd's are slower where an architecture lacks
// conversions to integers, and choose the reduction of an angle by the whole batch, so that a result would
// depend on its neighbours. Within 4 units of the last place, which tests/test_kernels.cpp checks; results
// under the normal range may be 0.
#pragma once
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "batch.hpp"

namespace xtape::detail::ops {

/// f of each lane by the C library.
template <class F, class T, class A, class... Rest>
xsimd::batch<T, A> lanewise(const F& f, const xsimd::batch<T, A>& x, const Rest&... rest) {
  constexpr std::size_t lanes = xsimd::batch<T, A>::size;
  alignas(xsimd::batch<T, A>) T in[1 + sizeof...(Rest)][lanes], out[lanes];
  std::size_t k = 0;
  x.store_aligned(in[k]);
  (rest.store_aligned(in[++k]), ...);
  for (std::size_t i = 0; i < lanes; ++i) {
    if constexpr (sizeof...(Rest) == 0)
      out[i] = f(in[0][i]);
    else
      out[i] = f(in[0][i], in[1][i]);
  }
  return xsimd::batch<T, A>::load_aligned(out);
}

/// The bits of numbers as unsigned integers, which every architecture can shift, and back.
template <class T, class A>
using Bits = xsimd::batch<std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>, A>;
template <class T, class A>
Bits<T, A> bits_of(const xsimd::batch<T, A>& x) {
  return xsimd::bitwise_cast<Bits<T, A>>(x);
}
template <class T, class A>
xsimd::batch<T, A> number_of(const Bits<T, A>& bits) {
  return xsimd::bitwise_cast<xsimd::batch<T, A>>(bits);
}

template <class T>
struct Layout {
  static constexpr int mantissa = std::numeric_limits<T>::digits - 1;
  /// Added to a number below 2^(mantissa−1), this leaves the nearest integer in the lowest bits.
  static constexpr T rounder = T(3) * static_cast<T>(std::uint64_t(1) << (mantissa - 1));
  static constexpr auto select(auto for_float, auto for_double) {
    return static_cast<T>(std::is_same_v<T, float> ? static_cast<double>(for_float) : for_double);
  }
};

/// c0 + c1 x + …
template <class B, class... C>
B polynomial(const B& x, typename B::value_type c0, C... c) {
  if constexpr (sizeof...(c) == 0)
    return B(c0);
  else
    return xsimd::fma(x, polynomial(x, c...), B(c0));
}

/// x = k ln 2 + r with |r| ≤ ln 2 / 2: eˣ = 2ᵏ (1 + m).
template <class T, class A>
struct Exponential {
  Bits<T, A> k;  ///< in the place of the exponent
  xsimd::batch<T, A> m;

  explicit Exponential(const xsimd::batch<T, A>& x) {
    using B = xsimd::batch<T, A>;
    using L = Layout<T>;
    const B shifted = xsimd::fma(x, B(T(1.4426950408889634)), B(L::rounder)), count = shifted - L::rounder;
    k = bits_of(shifted) << L::mantissa;
    B r = xsimd::fnma(count, B(L::select(0.693359375, 0.693145751953125)), x);
    r = xsimd::fnma(count, B(L::select(-2.12194440e-4, 1.42860682030941723e-6)), r);
    B q;  // Taylor's: 1/2! + r/3! + …
    if constexpr (std::is_same_v<T, float>)
      q = polynomial(r, 1.f / 2, 1.f / 6, 1.f / 24, 1.f / 120, 1.f / 720, 1.f / 5040);
    else
      q = polynomial(r, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880,
                     1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800);
    m = xsimd::fma(r * r, q, r);
  }
  xsimd::batch<T, A> value() const { return number_of<T, A>(bits_of(xsimd::batch<T, A>(T(1) + m)) + k); }
};

/// Where eˣ leaves the normal range.
template <class T>
constexpr T largest_exponent = Layout<T>::select(88.72283f, 709.782712893384);
template <class T>
constexpr T least_exponent = Layout<T>::select(-87.33654f, -708.3964185322641);

// In the loops of sums of exponentials a call would cost as much as the function.
template <std::floating_point T, class A>
[[gnu::always_inline]] inline xsimd::batch<T, A> exp(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const B y = Exponential<T, A>(x).value();
  const B above = xsimd::select(x <= B(largest_exponent<T>), y, x + B(std::numeric_limits<T>::infinity()));
  return xsimd::select(x < B(least_exponent<T>), B(T(0)), above);
}

/// eˣ − 1 for |x| ≤ 44; further up the one does not count.
template <class T, class A>
xsimd::batch<T, A> near_expm1(const Exponential<T, A>& e) {
  using B = xsimd::batch<T, A>;
  const B scale = number_of<T, A>(bits_of(B(T(1))) + e.k);
  return xsimd::fma(scale, e.m, scale - T(1));
}

template <std::floating_point T, class A>
xsimd::batch<T, A> expm1(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const Exponential<T, A> e(x);
  const B above =
      xsimd::select(x <= B(largest_exponent<T>), e.value(), x + B(std::numeric_limits<T>::infinity()));
  const B y = xsimd::select(x < B(T(-44)), B(T(-1)), xsimd::select(x <= B(T(44)), near_expm1(e), above));
  return xsimd::select(x == B(T(0)), x, y);  // −0
}

template <std::floating_point T, class A>
xsimd::batch<T, A> tanh(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const B size = xsimd::abs(x);
  const B e = near_expm1(Exponential<T, A>(xsimd::select(size > B(T(20)), B(T(40)), size + size)));
  return (e / (e + T(2))) | xsimd::bitofsign(x);
}

template <std::floating_point T, class A>
xsimd::batch<T, A> sigmoid(const xsimd::batch<T, A>& x) {
  return T(1) / (T(1) + exp(-x));
}

/// As fdlibm does: x = 2ᵏ (1 + f) with 1 + f in [√½, √2), s = f / (2 + f).
template <std::floating_point T, class A>
xsimd::batch<T, A> log(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  using L = Layout<T>;
  using I = Bits<T, A>;
  constexpr T least = std::numeric_limits<T>::min(), infinity = std::numeric_limits<T>::infinity();
  constexpr int bias = std::numeric_limits<T>::max_exponent - 1;
  const auto below = x < least;
  const I root = bits_of(B(T(0.70710678118654752))), one = bits_of(B(T(1)));
  const I bits = bits_of(B(xsimd::select(below, x * T(1ull << 54), x))) + (one - root);
  const B mantissa_mask = number_of<T, A>((I(1) << L::mantissa) - I(1));
  // The exponent in the lowest bits of 2^mantissa.
  const B two(static_cast<T>(std::uint64_t(1) << L::mantissa));
  const B biased = number_of<T, A>((bits >> L::mantissa) | bits_of(two));
  const B k = (biased - two) - xsimd::select(below, B(T(bias + 54)), B(T(bias)));
  const B f = number_of<T, A>((bits & bits_of(mantissa_mask)) + root) - T(1);
  const B s = f / (T(2) + f), z = s * s, half = T(0.5) * f * f;
  B r;
  if constexpr (std::is_same_v<T, float>)
    r = z * polynomial(z, 0.66666662693f, 0.40000972152f, 0.28498786688f, 0.24279078841f);
  else
    r = z * polynomial(z, 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                       2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                       1.479819860511658591e-01);
  const B low = k * L::select(9.0580006145e-06, 1.90821492927058770002e-10);
  const B y =
      k * L::select(6.9313812256e-01, 6.93147180369123816490e-01) - ((half - (s * (half + r) + low)) - f);
  const B finite = xsimd::select(x < infinity, y, x);  // ∞ and NaN as they are
  const B special = xsimd::select(x == T(0), B(-infinity), B(std::numeric_limits<T>::quiet_NaN()));
  return xsimd::select(x <= T(0), special, finite);
}

/// x = (k + shift) π + r with |r| ≤ π/2, for |x| ≤ limit and a shift of 0 or ½: products of twice k + shift
/// and the first three parts of π/2 are exact.
template <class T, class A>
struct HalfTurn {
  using B = xsimd::batch<T, A>;
  static constexpr T limit = Layout<T>::select(12000, 1.6e6);
  Bits<T, A> k;
  B r;

  HalfTurn(const B& x, T shift) {
    using L = Layout<T>;
    const B shifted = xsimd::fma(x, B(T(0.31830988618379067)), B(-shift)) + L::rounder;
    const B count = (shifted - L::rounder) + shift;
    k = bits_of(shifted);
    r = xsimd::fnma(count, B(L::select(0x1.92p+1, 0x1.921fb544p+1)), x);
    r = xsimd::fnma(count, B(L::select(0x1.fb4p-11, 0x1.0b4611a6p-33)), r);
    r = xsimd::fnma(count, B(L::select(0x1.444p-23, 0x1.3198a2ep-68)), r);
    r = xsimd::fnma(count, B(L::select(0x1.68c234p-38, 0x1.b839a252049c1p-103)), r);
  }
  /// (−1)ᵏ sin r. The polynomial in r² has the least relative error, 6e-9 in float and 3e-19 in double.
  B sin() const {
    const B z = r * r;
    B q;
    if constexpr (std::is_same_v<T, float>)
      q = polynomial(z, -0.1666665954675f, 0.0083330661433223f, -0.00019809594841820f, 2.6057617627650e-6f);
    else
      q = polynomial(z, -0.16666666666666665568, 0.0083333333333331941814, -0.00019841269841209172522,
                     2.7557319211129044901e-6, -2.5052106872028522722e-8, 1.6058939666037700544e-10,
                     -7.6429904280005751281e-13, 2.7211635453709258174e-15);
    const B size = xsimd::min(xsimd::abs(xsimd::fma(q * z, r, r)), B(T(1)));  // rounded, it may be above 1
    const B sign = number_of<T, A>(k << static_cast<int>(8 * sizeof(T) - 1));
    return size ^ xsimd::bitofsign(r) ^ sign;
  }
};

// By value: what is passed by reference would go through memory on the common path, too.
template <class T, class A, class Far>
[[gnu::cold, gnu::noinline]] xsimd::batch<T, A> far_angles(xsimd::batch<T, A> x, xsimd::batch<T, A> near,
                                                           xsimd::batch_bool<T, A> within, Far far) {
  return xsimd::select(within, near, lanewise(far, x));
}

/// `near` within the limit, and far(lane) by the C library beyond it and for NaN.
template <class T, class A, class Far>
xsimd::batch<T, A> by_angle(const xsimd::batch<T, A>& x, const xsimd::batch<T, A>& near, const Far& far) {
  const auto within = xsimd::abs(x) <= HalfTurn<T, A>::limit;
  return xsimd::all(within) ? near : far_angles(x, near, within, far);
}

template <std::floating_point T, class A>
xsimd::batch<T, A> sin(const xsimd::batch<T, A>& x) {
  return by_angle(x, HalfTurn<T, A>(x, T(0)).sin(), [](T lane) { return std::sin(lane); });
}
template <std::floating_point T, class A>
xsimd::batch<T, A> cos(const xsimd::batch<T, A>& x) {
  return by_angle(x, -HalfTurn<T, A>(x, T(0.5)).sin(), [](T lane) { return std::cos(lane); });
}
template <std::floating_point T, class A>
xsimd::batch<T, A> tan(const xsimd::batch<T, A>& x) {
  return by_angle(x, HalfTurn<T, A>(x, T(0)).sin() / -HalfTurn<T, A>(x, T(0.5)).sin(),
                  [](T lane) { return std::tan(lane); });
}

}  // namespace xtape::detail::ops
