// Kernels of reductions: sums, extremes, and what goes along a line, such as softmax.
#pragma once
#include <initializer_list>

#include "batch_functions.hpp"

namespace xtape::detail {

/// Σ f(x), where f(rest) = 0. Halves are added, so the error grows with log n; where they part depends on n
/// alone.
template <class B, class T, class F>
T pairwise_sum(const T* x, std::size_t n, const F& f, T rest = 0) {
  constexpr std::size_t block = 1024, W = B::size;
  if (n > block) {
    const std::size_t half = (n / 2 + block - 1) / block * block;
    return pairwise_sum<B>(x, half, f, rest) + pairwise_sum<B>(x + half, n - half, f, rest);
  }
  B total[4] = {T(0), T(0), T(0), T(0)};
  std::size_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (std::size_t k = 0; k < 4; ++k) total[k] += f(B::load_unaligned(x + i + k * W));
  for (; i < n; i += W) total[0] += f(load(x + i, n - i, B(rest)));
  return xsimd::hadd((total[0] + total[1]) + (total[2] + total[3]));
}

/// The number that pick chooses from x and `start`.
template <class B, class T, class Pick>
T contiguous_extreme(const T* x, std::size_t n, T start, const Pick& pick) {
  constexpr std::size_t W = B::size;
  B best[4] = {start, start, start, start};
  std::size_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (std::size_t k = 0; k < 4; ++k) best[k] = pick(best[k], B::load_unaligned(x + i + k * W));
  for (; i < n; i += W) best[0] = pick(best[0], load(x + i, n - i, B(start)));
  alignas(B) T lanes[W];
  pick(pick(best[0], best[1]), pick(best[2], best[3])).store_aligned(lanes);
  constexpr std::size_t chains = W < 4 ? W : 4;  // so that few wait for each other
  for (std::size_t k = 0; k < chains; ++k) best[k] = lanes[k];
  for (std::size_t k = chains; k < W; ++k) best[k % chains] = pick(best[k % chains], B(lanes[k]));
  for (std::size_t k = 1; k < chains; ++k) best[0] = pick(best[0], best[k]);
  return best[0].get(0);
}

/// y (n) = take(y, f(row)) for the rows of x (rows, n); four rows at a time are joined first.
template <class B, class T, class F, class Join, class Take>
void take_rows(T* y, const T* x, std::size_t rows, std::size_t n, const F& f, const Join& join,
               const Take& take) {
  const B zero(T(0));
  for (const std::size_t at_once : {std::size_t(4), std::size_t(1)})
    for (; rows >= at_once; rows -= at_once, x += at_once * n)
      for (std::size_t j = 0; j < n; j += B::size) {
        const auto row = [&](std::size_t k) { return f(load(x + k * n + j, n - j, zero)); };
        const B joined = at_once == 1 ? row(0) : join(join(row(0), row(1)), join(row(2), row(3)));
        store(y + j, n - j, take(load(y + j, n - j, zero), joined));
      }
}

/// y (n) += Σ f(rows of x). Rows shorter than a few batches lie side by side in n batches, whose
/// lanes come round to the same columns every B::size rows.
template <class B, class T, class F>
void sum_rows(T* y, const T* x, std::size_t rows, std::size_t n, const F& f) {
  constexpr std::size_t W = B::size, narrow = 16;
  if (n <= narrow && rows >= W) {
    B total[narrow];
    for (std::size_t k = 0; k < n; ++k) total[k] = T(0);
    for (; rows >= W; rows -= W)
      for (std::size_t k = 0; k < n; ++k, x += W) total[k] += f(B::load_unaligned(x));
    alignas(B) T lanes[narrow * W];
    for (std::size_t k = 0; k < n; ++k) total[k].store_aligned(lanes + k * W);
    for (std::size_t j = 0; j < n; ++j) {
      T sum = 0;
      for (std::size_t i = j; i < n * W; i += n) sum += lanes[i];
      y[j] += sum;
    }
  }
  const auto add = [](const B& a, const B& b) { return a + b; };
  take_rows<B>(y, x, rows, n, f, add, add);
}

/// A line of numbers and how batches lie on it. With `along`, the line is contiguous, and what is asked of
/// all of it is asked of the lanes, too; otherwise each lane has a line of its own, which goes on every
/// `step` numbers.
template <class B, bool along>
class Line {
  using T = typename B::value_type;

 public:
  /// n numbers, of which each is `step` behind the one before; `lanes`: how many lines there are side by
  /// side.
  Line(std::size_t n, std::size_t step, std::size_t lanes)
      : n_(n), step_(along ? B::size : step), lanes_(lanes) {}

  /// Calls f(place, left) for each batch.
  template <class F>
  [[gnu::flatten]] void each(const F& f) const {
    if constexpr (along) {
      std::size_t i = 0;
      for (; i + B::size <= n_; i += B::size) f(i, whole());
      if (i < n_) f(i, n_ - i);
    } else if (lanes_ >= B::size) {
      for (std::size_t i = 0; i < n_; ++i) f(i * step_, whole());
    } else {
      for (std::size_t i = 0; i < n_; ++i) f(i * step_, lanes_);
    }
  }
  /// Calls f(part, place) for parts of the line that stay within the first-level cache.
  template <class F>
  void parts(const F& f) const {
    constexpr std::size_t most = 128 * B::size / (along ? 1 : B::size);
    for (std::size_t i = 0; i < n_; i += most)
      f(Line(n_ - i < most ? n_ - i : most, step_, lanes_), along ? i : i * step_);
  }
  /// The number that goes with the line, in all of its lanes.
  B number(const T* p) const {
    if constexpr (along)
      return B(*p);
    else
      return load(p, lanes_, B(*p));
  }
  void set_number(T* p, const B& x) const { store(p, along ? 1 : lanes_, x); }
  B total(const B& sums) const {
    if constexpr (along)
      return B(xsimd::hadd(sums));
    else
      return sums;
  }
  /// Σ f(place, left) over the line, first within its parts: the error does not grow with the length.
  template <class F>
  B sum(const F& f) const {
    B sums(T(0));
    parts([&](const Line& part, std::size_t place) {
      B some(T(0));
      part.each([&](std::size_t at, std::size_t left) { some += f(place + at, left); });
      sums += some;
    });
    return total(sums);
  }
  B max(const T* x) const {
    constexpr T least = -std::numeric_limits<T>::infinity();
    const auto pick = [](const B& a, const B& b) { return ops::maximum(a, b); };
    if constexpr (along) return B(contiguous_extreme<B>(x, n_, least, pick));
    B best(least);
    each([&](std::size_t at, std::size_t left) { best = pick(best, load(x + at, left, B(least))); });
    return best;
  }

 private:
  /// What is left where a whole batch is: known to the compiler.
  static constexpr std::size_t whole() { return B::size; }
  std::size_t n_, step_, lanes_;
};

/// f(line, place) for the lines along the first axis of (n, inner), whose rows lie `step` apart.
template <class B, class F>
void for_lines(std::size_t n, std::size_t inner, std::size_t step, const F& f) {
  if (step == 1) return f(Line<B, true>(n, 1, 1), std::size_t(0));
  for (std::size_t j = 0; j < inner; j += B::size) f(Line<B, false>(n, step, inner - j), j);
}

template <class B>
inline const B minus_infinity() {
  return B(-std::numeric_limits<typename B::value_type>::infinity());
}

template <class B>
inline const B plus_infinity() {
  return B(std::numeric_limits<typename B::value_type>::infinity());
}

/// Whether a line of the batch has +∞.
template <class B>
bool any_infinite(const B& largest) {
  return !xsimd::all(largest < plus_infinity<B>() || xsimd::isnan(largest));
}

/// f(difference, infinite) with the difference of an x and the largest: 0 for an x of +∞, so that its
/// exponential is 1. `infinite`: whether a line has it, known to the compiler.
template <class B, class F>
void with_difference(const B& largest, const F& f) {
  if (any_infinite(largest))
    f(
        [&](const B& x) {
          return ops::where(x == plus_infinity<B>(), B(typename B::value_type(0)), x - largest);
        },
        std::true_type());
  else
    f([&](const B& x) { return x - largest; }, std::false_type());
}

/// `total` where at most one x of the line is +∞, else NaN.
template <class B, class L, class T>
B unless_several_infinite(const L& line, const T* x, const B& total) {
  const B zero(T(0)), one(T(1));
  const B count = line.sum([&](std::size_t at, std::size_t left) {
    return ops::where(load(x + at, left, zero) == plus_infinity<B>(), one, zero);
  });
  return ops::where(count > one, B(std::numeric_limits<T>::quiet_NaN()), total);
}

/// ln Σ eˣ as the largest x and what the logarithm adds to it: their sum would round off what counts where
/// the largest is large.
template <class B>
struct LogTotal {
  B largest, rest;

  /// −∞ where there is nothing but −∞; +∞ and NaN come through.
  B sum() const {
    return ops::where(xsimd::abs(largest) < std::numeric_limits<typename B::value_type>::infinity(),
                      largest + rest, largest);
  }
};

/// In one pass over memory: part by part, what was summed is rescaled by the new maximum.
template <class B, class L, class T>
LogTotal<B> line_logsumexp(const L& line, const T* x) {
  using ops::where;
  B max = minus_infinity<B>(), sums(T(0));
  line.parts([&](const L& part, std::size_t place) {
    const B above = ops::maximum(max, part.max(x + place));
    const B origin = where(xsimd::abs(above) < std::numeric_limits<T>::infinity(), above, B(T(0)));
    sums *= ops::exp(max - origin);
    part.each([&](std::size_t at, std::size_t left) {
      sums += ops::exp(load(x + place + at, left, minus_infinity<B>()) - origin);
    });
    max = above;
  });
  const B rest = ops::log(line.total(sums));
  if (!any_infinite(max)) return {max, rest};
  return {max, where(max == plus_infinity<B>(), unless_several_infinite(line, x, B(T(0))), rest)};
}

template <class B, class T>
void logsumexp(T* y, T* largest, const T* x, std::size_t n, std::size_t inner, std::size_t step) {
  for_lines<B>(n, inner, step, [&](const auto& line, std::size_t j) {
    const LogTotal<B> total = line_logsumexp<B>(line, x + j);
    line.set_number(y + j, largest ? total.rest : total.sum());
    if (largest) line.set_number(largest + j, total.largest);
  });
}

template <class B, class T>
void softmax(T* y, const T* x, std::size_t n, std::size_t inner, std::size_t step) {
  for_lines<B>(n, inner, step, [&](const auto& line, std::size_t j) {
    const B max = line.max(x + j);
    B total;
    with_difference(max, [&](const auto& difference, auto infinite) {
      B several(T(0));  // NaN where they are; found before y is written, which may be x
      if constexpr (infinite) several = unless_several_infinite(line, x + j, several);
      total = line.sum([&](std::size_t at, std::size_t left) {
        const B e = ops::exp(difference(load(x + j + at, left, minus_infinity<B>())));
        store(y + j + at, left, e);
        return e;
      });
      if constexpr (infinite) total += several;
    });
    const B share = T(1) / total;
    line.each([&](std::size_t at, std::size_t left) {
      store(y + j + at, left, B(load(y + j + at, left, B(T(0))) * share));
    });
  });
}

template <class B, class T>
void log_softmax(T* y, const T* x, std::size_t n, std::size_t inner, std::size_t step) {
  for_lines<B>(n, inner, step, [&](const auto& line, std::size_t j) {
    const LogTotal<B> total = line_logsumexp<B>(line, x + j);
    with_difference(total.largest, [&](const auto& difference, auto) {
      line.each([&](std::size_t at, std::size_t left) {
        store(y + j + at, left, B(difference(load(x + j + at, left, B(T(0)))) - total.rest));
      });
    });
  });
}

template <class B, class T>
void logsumexp_gradient(T* dx, bool accumulate, const T* g, const T* x, const T* y, const T* largest,
                        std::size_t n, std::size_t inner) {
  for_lines<B>(n, inner, inner, [&](const auto& line, std::size_t j) {
    // Where all of a line is −∞ the difference would be NaN; its gradient is 0.
    const B adjoint = line.number(g + j), value = line.number(y + j);
    const B total = ops::where(value == minus_infinity<B>(), B(T(0)), value);
    const B origin = largest ? line.number(largest + j) : B(T(0));
    line.each([&](std::size_t at, std::size_t left) {
      store(dx + j + at, left, accumulate,
            B(adjoint * ops::exp(load(x + j + at, left, total) - origin - total)));
    });
  });
}

template <class B, class T>
T count_of(const T* x, std::size_t n, T y) {
  const B number(y), zero(T(0)), one(T(1));
  return pairwise_sum<B>(
      x, n, [&](const B& some) { return B(ops::where(some == number, one, zero)); },
      std::numeric_limits<T>::quiet_NaN());
}

template <class B, class T>
void extreme_gradient(T* dx, bool accumulate, const T* g, const T* x, const T* y, const T* count,
                      std::size_t n, std::size_t inner, std::size_t step) {
  const B zero(T(0)), one(T(1)), rest(std::numeric_limits<T>::quiet_NaN());
  for_lines<B>(n, inner, step, [&](const auto& line, std::size_t j) {
    const B best = line.number(y + j);
    const B found = count ? line.number(count + j) : line.sum([&](std::size_t at, std::size_t left) {
      return ops::where(load(x + j + at, left, rest) == best, one, zero);
    });
    const B share = one / found, adjoint = line.number(g + j);
    line.each([&](std::size_t at, std::size_t left) {
      const B chosen = ops::where(load(x + j + at, left, rest) == best, one, zero);
      store(dx + j + at, left, accumulate, B(adjoint * (chosen * share)));
    });
  });
}

template <class B, class T>
void norm_gradient(T* dx, bool accumulate, const T* g, const T* x, const T* y, std::size_t n,
                   std::size_t inner) {
  const B zero(T(0)), one(T(1));
  for_lines<B>(n, inner, inner, [&](const auto& line, std::size_t j) {
    // x / y first: g / y could leave the normal range.
    const B length = line.number(y + j), adjoint = ops::where(length == zero, zero, line.number(g + j));
    const B divisor = ops::where(length == zero, one, length);
    line.each([&](std::size_t at, std::size_t left) {
      store(dx + j + at, left, accumulate, B(adjoint * (load(x + j + at, left, zero) / divisor)));
    });
  });
}

template <class B, class T>
void softmax_gradient(T* dx, bool accumulate, const T* g, const T* y, std::size_t n, std::size_t inner,
                      std::size_t step) {
  const B zero(T(0));
  for_lines<B>(n, inner, step, [&](const auto& line, std::size_t j) {
    const B total = line.sum([&](std::size_t at, std::size_t left) {
      return B(load(g + j + at, left, zero) * load(y + j + at, left, zero));
    });
    line.each([&](std::size_t at, std::size_t left) {
      store(dx + j + at, left, accumulate,
            B(load(y + j + at, left, zero) * (load(g + j + at, left, zero) - total)));
    });
  });
}

template <class B, class T>
void log_softmax_gradient(T* dx, bool accumulate, const T* g, const T* y, std::size_t n, std::size_t inner,
                          std::size_t step) {
  const B zero(T(0));
  for_lines<B>(n, inner, step, [&](const auto& line, std::size_t j) {
    const B total = line.sum([&](std::size_t at, std::size_t left) { return load(g + j + at, left, zero); });
    line.each([&](std::size_t at, std::size_t left) {
      store(dx + j + at, left, accumulate,
            B(load(g + j + at, left, zero) - ops::exp(load(y + j + at, left, zero)) * total));
    });
  });
}

}  // namespace xtape::detail
