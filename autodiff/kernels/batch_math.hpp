// Exponentials, the logarithm and angles of batches: xsimd's are slower where an architecture lacks
// conversions to integers, and choose the reduction of an angle by the whole batch, so that a result would
// depend on its neighbours. Within 4 units of the last place, which tests/kernels/test_kernels.cpp checks;
// results under the normal range may be 0.
#pragma once
#include <bit>
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
  return std::bit_cast<Bits<T, A>>(x);
}
template <class T, class A>
xsimd::batch<T, A> number_of(const Bits<T, A>& bits) {
  return std::bit_cast<xsimd::batch<T, A>>(bits);
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

/// |x| = k π/2 + r with |r| ≤ π/4, for |x| ≤ limit: products of k and the first three parts of π/2 are exact.
template <class T, class A>
struct Angle {
  using B = xsimd::batch<T, A>;
  static constexpr T limit = Layout<T>::select(12000, 1.6e6);
  Bits<T, A> k;
  B r;

  explicit Angle(const B& x) {
    using L = Layout<T>;
    const B shifted = xsimd::fma(x, B(T(0.63661977236758134)), B(L::rounder)), count = shifted - L::rounder;
    k = bits_of(shifted);
    r = xsimd::fnma(count, B(L::select(0x1.92p+0, 0x1.921fb544p+0)), x);
    r = xsimd::fnma(count, B(L::select(0x1.fb4p-12, 0x1.0b4611a6p-34)), r);
    r = xsimd::fnma(count, B(L::select(0x1.444p-24, 0x1.3198a2ep-69)), r);
    r = xsimd::fnma(count, B(L::select(0x1.68c234p-39, 0x1.b839a252049c1p-104)), r);
  }
  B sin() const {
    const B z = r * r;
    B q;
    if constexpr (std::is_same_v<T, float>)
      q = polynomial(z, -1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f);
    else
      q = polynomial(z, -1.66666666666666307295e-1, 8.33333333332211858878e-3, -1.98412698295895385996e-4,
                     2.75573136213857245213e-6, -2.50507477628578072866e-8, 1.58962301576546568060e-10);
    return xsimd::fma(q * z, r, r);
  }
  B cos() const {
    const B z = r * r;
    if constexpr (std::is_same_v<T, float>) {
      const B q = polynomial(z, 4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f);
      return T(1) + xsimd::fma(z, B(-0.5f), q * z * z);
    } else {
      return T(1) - z * polynomial(z, 0.5, -4.16666666666665929218e-2, 1.38888888888730564116e-3,
                                   -2.48015872888517045348e-5, 2.75573141792967388112e-7,
                                   -2.08757008419747316778e-9, 1.13585365213876817300e-11);
    }
  }
  /// a where k is even, b where it is odd.
  B by_parity(const B& a, const B& b) const {
    const Bits<T, A> odd = Bits<T, A>(0) - (k & Bits<T, A>(1));
    return a ^ ((a ^ b) & number_of<T, A>(odd));
  }
  /// The bit of the given value, 1 or 2, moved to where the sign is.
  static B sign_from(const Bits<T, A>& bits, unsigned value) {
    return number_of<T, A>((bits & Bits<T, A>(value)) << static_cast<int>(8 * sizeof(T) - value));
  }
};

// By value: what is passed by reference would go through memory on the common path, too.
template <class T, class A, class Far>
[[gnu::cold, gnu::noinline]] xsimd::batch<T, A> far_angles(xsimd::batch<T, A> x, xsimd::batch<T, A> near,
                                                           xsimd::batch_bool<T, A> within, Far far) {
  return xsimd::select(within, near, lanewise(far, x));
}

/// near(Angle of |x|) within the limit, and far(lane) by the C library beyond it and for NaN.
template <class T, class A, class Near, class Far>
xsimd::batch<T, A> by_angle(const xsimd::batch<T, A>& x, const Near& near, const Far& far) {
  const xsimd::batch<T, A> size = xsimd::abs(x), y = near(Angle<T, A>(size));
  const auto within = size <= Angle<T, A>::limit;
  return xsimd::all(within) ? y : far_angles(x, y, within, far);
}

template <std::floating_point T, class A>
xsimd::batch<T, A> sin(const xsimd::batch<T, A>& x) {
  return by_angle(
      x,
      [&x](const auto& angle) {
        return angle.by_parity(angle.sin(), angle.cos()) ^ angle.sign_from(angle.k, 2) ^ xsimd::bitofsign(x);
      },
      [](T lane) { return std::sin(lane); });
}
template <std::floating_point T, class A>
xsimd::batch<T, A> cos(const xsimd::batch<T, A>& x) {
  return by_angle(
      x,
      [](const auto& angle) {
        return angle.by_parity(angle.cos(), angle.sin()) ^ angle.sign_from(angle.k + Bits<T, A>(1), 2);
      },
      [](T lane) { return std::cos(lane); });
}
template <std::floating_point T, class A>
xsimd::batch<T, A> tan(const xsimd::batch<T, A>& x) {
  return by_angle(
      x,
      [&x](const auto& angle) {
        const auto s = angle.sin(), c = angle.cos();
        const auto size = angle.by_parity(s, c) / angle.by_parity(c, s);
        return size ^ angle.sign_from(angle.k, 1) ^ xsimd::bitofsign(x);
      },
      [](T lane) { return std::tan(lane); });
}

/// Half to even: numbers below 2^mantissa lose their fraction where one of that size is added.
template <std::floating_point T, class A>
xsimd::batch<T, A> round(const xsimd::batch<T, A>& x) {
  using B = xsimd::batch<T, A>;
  const B size = xsimd::abs(x), least(static_cast<T>(std::uint64_t(1) << Layout<T>::mantissa));
  return xsimd::select(size < least, ((size + least) - least) | xsimd::bitofsign(x), x);
}
template <std::floating_point T, class A>
xsimd::batch<T, A> floor(const xsimd::batch<T, A>& x) {
  const xsimd::batch<T, A> near = round(x);
  return xsimd::select(near > x, near - T(1), near);
}
template <std::floating_point T, class A>
xsimd::batch<T, A> ceil(const xsimd::batch<T, A>& x) {
  const xsimd::batch<T, A> near = round(x);
  return xsimd::select(near < x, near + T(1), near) | xsimd::bitofsign(x);
}

}  // namespace xtape::detail::ops
