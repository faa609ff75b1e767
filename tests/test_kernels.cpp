// Every kernel of every architecture that this machine has, against plain loops in long double.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <autodiff/kernel_table.hpp>
#include <autodiff/rule_traits.hpp>

using namespace xtape::detail;

namespace {

using Real = long double;
constexpr std::size_t guard = 20;

/// Numbers with a frame around them that must stay as it is; `shift` makes the start unaligned.
template <class T>
class Framed {
 public:
  Framed(std::size_t n, T fill, std::size_t shift = 1)
      : n_(n), shift_(shift), all_(n + 2 * guard + shift, T(123)) {
    std::fill_n(data(), n, fill);
  }
  T* data() { return all_.data() + guard + shift_; }
  T& operator[](std::size_t i) { return data()[i]; }
  bool frame_is_whole() const {
    for (std::size_t i = 0; i < all_.size(); ++i)
      if ((i < guard + shift_ || i >= guard + shift_ + n_) && all_[i] != T(123)) return false;
    return true;
  }

 private:
  std::size_t n_, shift_;
  std::vector<T> all_;
};

template <class T>
std::vector<T> random_numbers(std::size_t n, T low, T high, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<T> distribution(low, high);
  std::vector<T> numbers(n);
  for (T& x : numbers) x = distribution(generator);
  return numbers;
}

/// |a − b| in units of the last place of b, at least of `scale`.
template <class T>
double ulps(T a, Real b, Real scale = 0) {
  const T expected = static_cast<T>(b);
  if ((std::isnan(a) && std::isnan(expected)) || a == expected) return 0;
  if (!std::isfinite(a) || !std::isfinite(expected)) return 1e30;
  const T size = std::max({std::abs(expected), static_cast<T>(scale), std::numeric_limits<T>::min()});
  const T ulp = size - std::nextafter(size, T(0));
  return static_cast<double>(std::abs(static_cast<Real>(a) - b) / static_cast<Real>(ulp));
}

template <class F>
void for_each_table(const F& f) {
  const auto run = [&]<class T>(T) {
    const AvailableKernels<T> all = available_kernels<T>();
    for (std::size_t i = 0; i < all.count; ++i) {
      CAPTURE(all.tables[i]->arch);
      CAPTURE(sizeof(T));
      f(*all.tables[i], T(0));
    }
  };
  run(1.0f);
  run(1.0);
}

using Sizes = std::initializer_list<std::size_t>;
constexpr std::size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 35, 100, 1000, 5000};

/// Operations that are tried on (0.05, 0.95), where they are defined or well conditioned; others on (−3, 3).
const std::set<std::string> on_unit_interval = {
    "acos", "asin", "binary_cross_entropy", "divide", "log", "log10", "log1p",
    "log2", "pow",  "reciprocal",           "sqrt",   "cbrt"};

/// Runs a row kernel over sizes, strides and starts, and compares with f(operands at i) in long double.
template <class T, class F>
void check_row(RowKernel<T> kernel, const void* rule, std::size_t operands, unsigned used, double from,
               double to, const F& f) {
  REQUIRE((kernel != nullptr));
  for (const std::size_t n : sizes)
    for (unsigned broadcast = 0; broadcast < (n < 40 ? 1u << operands : 2u); ++broadcast)
      for (const bool accumulate : {false, true}) {
        std::vector<std::vector<T>> x;
        std::array<const T*, max_operands> in{};
        std::array<std::ptrdiff_t, max_operands> stride{};
        for (std::size_t k = 0; k < operands; ++k) {
          x.push_back(random_numbers<T>(n + 1, static_cast<T>(from), static_cast<T>(to),
                                        static_cast<unsigned>(7 * n + k + 1)));
          stride[k] = broadcast >> k & 1u ? 0 : 1;
          if (used >> k & 1u) in[k] = x[k].data() + (stride[k] == 0 ? 0 : 1);
        }
        Framed<T> y(n, T(2), n % 3);
        kernel(rule, y.data(), accumulate, n, in.data(), stride.data());
        double worst = 0;
        for (std::size_t i = 0; i < n; ++i) {
          std::array<Real, max_operands> at{};
          for (std::size_t k = 0; k < operands; ++k)
            if (in[k]) at[k] = in[k][static_cast<std::ptrdiff_t>(i) * stride[k]];
          worst = std::max(worst, ulps(y[i], f(at) + (accumulate ? 2 : 0), 1));
        }
        CAPTURE(n);
        CAPTURE(broadcast);
        CAPTURE(accumulate);
        CHECK(worst <= 12);
        CHECK(y.frame_is_whole());
      }
}

template <template <class> class Op, std::size_t N, class T>
void check_elementwise(const Kernels<T>& k) {
  CAPTURE(Op<T>::name);
  const bool unit = on_unit_interval.contains(Op<T>::name);
  const double from = unit ? 0.05 : -3, to = unit ? 0.95 : 3;
  const auto rule = make_rule<T, Op<T>>(T(0.5), T(1.5));
  const auto exact = make_rule<Real, Op<Real>>(0.5, 1.5);
  const std::size_t number = op_number<Op<T>>;
  const auto each_input = []<std::size_t... K>(std::index_sequence<K...>, const auto& f) {
    return f(std::integral_constant<std::size_t, K>()...);
  };
  check_row<T>(k.value[number], &rule, N, (1u << N) - 1u, from, to, [&](const auto& x) {
    return each_input(std::make_index_sequence<N>(), [&](auto... i) { return exact.value(x[i]...); });
  });
  if constexpr (is_differentiable<Op<T>>)
    each_input(std::make_index_sequence<N>(), [&](auto... input) {
      const auto check = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
        constexpr unsigned kept = kept_by<Op<T>>(I);
        constexpr unsigned used = 1u | (kept & ~ops::y_) << 1 | (kept & ops::y_ ? 1u << (N + 1) : 0u);
        check_row<T>(k.gradient[number][I], &rule, N + 2, used, from, to, [&](const auto& x) {
          return each_input(std::make_index_sequence<N>(), [&](auto... i) {
            return static_cast<Real>(gradient<I>(exact, x[0], x[N + 1], x[i + 1]...));
          });
        });
      };
      (check(input), ...);
    });
}

}  // namespace

TEST_CASE("elementwise kernels agree with their rules on numbers") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
#define XTAPE_UNARY(Op) check_elementwise<ops::Op, 1, T>(k);
#define XTAPE_BINARY(Op) check_elementwise<ops::Op, 2, T>(k);
#define XTAPE_TERNARY(Op) check_elementwise<ops::Op, 3, T>(k);
#include "../autodiff/elementwise_list.inc"
  });
}

namespace {

/// What an element becomes is the same bits alone, in any part of a batch and beside any neighbours.
template <class T>
void check_position(RowKernel<T> kernel, const void* rule, std::size_t operands, bool unit) {
  constexpr std::size_t n = 77;
  std::array<std::vector<T>, max_operands> x;
  std::array<const T*, max_operands> all{}, one{}, some{};
  std::array<std::ptrdiff_t, max_operands> stride{};
  for (std::size_t k = 0; k < operands; ++k) {
    x[k] = unit ? random_numbers<T>(n, T(0.05), T(0.95), static_cast<unsigned>(k))
                : random_numbers<T>(n, T(-30), T(30), static_cast<unsigned>(k));
    // Neighbours that take other paths.
    for (std::size_t i = 0; i < n && !unit; i += 7) x[k][i] *= i % 2 ? T(1e-3) : T(1e4);
    all[k] = x[k].data();
    stride[k] = 1;
  }
  std::vector<T> whole(n, T(1)), part(n);
  kernel(rule, whole.data(), false, n, all.data(), stride.data());
  const auto same = [](T a, T b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  bool good = true;
  for (std::size_t i = 0; i < n; ++i) {
    T alone = 0;
    for (std::size_t k = 0; k < operands; ++k) one[k] = all[k] + i;
    kernel(rule, &alone, false, 1, one.data(), std::array<std::ptrdiff_t, max_operands>{}.data());
    good &= same(alone, whole[i]);
    for (std::size_t k = 0; k < operands; ++k) some[k] = all[k] + i;
    const std::size_t left = std::min<std::size_t>(n - i, 1 + i % 23);
    kernel(rule, part.data(), false, left, some.data(), stride.data());
    for (std::size_t j = 0; j < left; ++j) good &= same(part[j], whole[i + j]);
  }
  CHECK(good);
}

template <template <class> class Op, std::size_t N, class T>
void check_positions(const Kernels<T>& k) {
  CAPTURE(Op<T>::name);
  const auto rule = make_rule<T, Op<T>>(T(0.5), T(1.5));
  const bool unit = on_unit_interval.contains(Op<T>::name);
  check_position<T>(k.value[op_number<Op<T>>], &rule, N, unit);
  for (std::size_t i = 0; i < N; ++i)
    if (k.gradient[op_number<Op<T>>][i])
      check_position<T>(k.gradient[op_number<Op<T>>][i], &rule, N + 2, unit);
}

}  // namespace

TEST_CASE("an element does not depend on its place, on its neighbours or on the length of the row") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
#define XTAPE_UNARY(Op) check_positions<ops::Op, 1, T>(k);
#define XTAPE_BINARY(Op) check_positions<ops::Op, 2, T>(k);
#define XTAPE_TERNARY(Op) check_positions<ops::Op, 3, T>(k);
#include "../autodiff/elementwise_list.inc"
  });
}

namespace {

/// The worst error of a unary kernel over a range, in units of the last place, and that extremes come out as
/// they do from the C library.
template <template <class> class Op, class T, class F>
double worst_of(const Kernels<T>& k, const F& f, double from, double to) {
  const Op<T> rule{};
  std::vector<T> x = random_numbers<T>(20000, static_cast<T>(from), static_cast<T>(to)), y(x.size());
  const T* in[] = {x.data()};
  const std::ptrdiff_t stride[] = {1};
  const RowKernel<T> kernel = k.value[op_number<Op<T>>];
  kernel(&rule, y.data(), false, x.size(), in, stride);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, ulps(y[i], f(static_cast<Real>(x[i]))));

  using Limits = std::numeric_limits<T>;
  for (const T extreme :
       {T(0), T(-0.0), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::denorm_min(),
        Limits::min() / 4, Limits::max(), -Limits::max(), T(1000), T(-1000), T(1), T(-1), T(1e5), T(-1e5)}) {
    T result = 0;
    in[0] = &extreme;
    kernel(&rule, &result, false, 1, in, stride);
    const Real exact = f(static_cast<Real>(extreme));
    CAPTURE(extreme);
    CAPTURE(result);
    CHECK(ulps(result, exact) <= 4);
    if (result == 0 && static_cast<T>(exact) == 0) CHECK(std::signbit(result) == std::signbit(exact));
  }
  return worst;
}

}  // namespace

TEST_CASE("functions are within 4 units of the last place, and right at the extremes") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    const double most = sizeof(T) == 4 ? 87 : 708;
#define XTAPE_ACCURATE(Op, f, from, to)                             \
  {                                                                 \
    CAPTURE(#Op);                                                   \
    CHECK(worst_of<ops::Op>(                                        \
              k, [](Real x) { return std::f(x); }, from, to) <= 4); \
  }
    XTAPE_ACCURATE(Exp, exp, -most, most)
    XTAPE_ACCURATE(Expm1, expm1, -most, most)
    XTAPE_ACCURATE(Expm1, expm1, -1, 1)
    XTAPE_ACCURATE(Log, log, 0, 10)
    XTAPE_ACCURATE(Log1p, log1p, -1, 10)
    XTAPE_ACCURATE(Log2, log2, 0, 10)
    XTAPE_ACCURATE(Log10, log10, 0, 10)
    XTAPE_ACCURATE(Sqrt, sqrt, 0, 1e6)
    XTAPE_ACCURATE(Cbrt, cbrt, -1e6, 1e6)
    XTAPE_ACCURATE(Sin, sin, -1e4, 1e4)
    XTAPE_ACCURATE(Cos, cos, -1e4, 1e4)
    XTAPE_ACCURATE(Sin, sin, -1, 1)
    XTAPE_ACCURATE(Cos, cos, -1, 1)
    XTAPE_ACCURATE(Sin, sin, -1e7, 1e7)
    XTAPE_ACCURATE(Cos, cos, -1e7, 1e7)
    XTAPE_ACCURATE(Tan, tan, -100, 100)
    XTAPE_ACCURATE(Tan, tan, -1e7, 1e7)
    XTAPE_ACCURATE(Asin, asin, -1, 1)
    XTAPE_ACCURATE(Acos, acos, -1, 1)
    XTAPE_ACCURATE(Atan, atan, -10, 10)
    XTAPE_ACCURATE(Sinh, sinh, -most, most)
    XTAPE_ACCURATE(Sinh, sinh, -1, 1)
    XTAPE_ACCURATE(Cosh, cosh, -most, most)
    XTAPE_ACCURATE(Tanh, tanh, -10, 10)
    XTAPE_ACCURATE(Erf, erf, -6, 6)
#undef XTAPE_ACCURATE
  });
}

TEST_CASE("powers and angles of special numbers are those of the C library") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    const T specials[] = {T(0), T(-0.0), 1, -1, 2, -2, T(0.5), 3, inf, -inf, nan, T(1e-3), T(-7)};
    const std::ptrdiff_t stride[] = {1, 1};
    for (const T a : specials)
      for (const T b : specials) {
        CAPTURE(a);
        CAPTURE(b);
        const auto run = [&](RowKernel<T> kernel, const void* rule) {
          T y = 0;
          const T* in[] = {&a, &b};
          kernel(rule, &y, false, 1, in, stride);
          return y;
        };
        ops::PowerScalar<T> scalar;
        scalar.p = b;
        const Real x = a, p = b;
        CHECK(ulps(run(k.value[op_number<ops::Power<T>>], nullptr), std::pow(x, p)) <= 1);
        CHECK(ulps(run(k.value[op_number<ops::PowerScalar<T>>], &scalar), std::pow(x, p)) <= 1);
        const T angle = run(k.value[op_number<ops::Atan2<T>>], nullptr);
        CHECK(ulps(angle, std::atan2(x, p)) <= 1);
        const T larger = run(k.value[op_number<ops::Maximum<T>>], nullptr);
        CHECK(ulps(larger, std::isnan(a) || std::isnan(b) ? nan : std::max(a, b)) == 0);
        const T smaller = run(k.value[op_number<ops::Minimum<T>>], nullptr);
        CHECK(ulps(smaller, std::isnan(a) || std::isnan(b) ? nan : std::min(a, b)) == 0);
      }
  });
}

TEST_CASE("a row may be written over its operand") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t n : sizes) {
      Framed<T> y(n, T(0.5));
      const T* in[] = {y.data(), y.data()};
      const std::ptrdiff_t stride[] = {1, 1};
      const ops::Add<T> rule;
      k.value[op_number<ops::Add<T>>](&rule, y.data(), false, n, in, stride);
      for (std::size_t i = 0; i < n; ++i) CHECK(y[i] == 1);
      CHECK(y.frame_is_whole());
    }
  });
}

TEST_CASE("reductions: sums, squares and extremes of rows and columns") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t n : sizes) {
      CAPTURE(n);
      for (const std::size_t shift : Sizes{0, 1}) {
        std::vector<T> x = random_numbers<T>(n + shift, -1, 2);
        const T* const from = x.data() + shift;
        Real sum = 0, squares = 0;
        T largest = -std::numeric_limits<T>::infinity(), smallest = -largest;
        for (std::size_t i = 0; i < n; ++i) {
          sum += from[i];
          squares += static_cast<Real>(from[i]) * from[i];
          largest = std::max(largest, from[i]);
          smallest = std::min(smallest, from[i]);
        }
        CHECK(ulps(k.sum(from, n), sum, 1) <= 16);
        CHECK(ulps(k.sum_of_squares(from, n), squares, 1) <= 16);
        CHECK(k.max(from, n) == largest);
        CHECK(k.min(from, n) == smallest);
        if (n == 0) continue;
        x[shift + n / 2] = std::numeric_limits<T>::quiet_NaN();
        CHECK(std::isnan(k.max(from, n)));
        CHECK(std::isnan(k.min(from, n)));
      }
      for (const std::size_t rows : Sizes{0, 1, 2, 3, 4, 7, 17, 50}) {
        CAPTURE(rows);
        if (rows * n > 60000) continue;
        const std::vector<T> x = random_numbers<T>(rows * n + 1, -1, 2);
        const T* const from = x.data() + 1;
        Framed<T> sums(n, T(1)), squares(n, T(1)), largest(n, T(-9)), smallest(n, T(9));
        k.add_rows(sums.data(), from, rows, n, T(0.5));
        k.add_squared_rows(squares.data(), from, rows, n);
        k.max_rows(largest.data(), from, rows, n);
        k.min_rows(smallest.data(), from, rows, n);
        bool good = true;
        for (std::size_t j = 0; j < n; ++j) {
          Real sum = 0, square = 0;
          T high = -9, low = 9;
          for (std::size_t i = 0; i < rows; ++i) {
            const T one = from[i * n + j];
            sum += one;
            square += static_cast<Real>(one) * one;
            high = std::max(high, one);
            low = std::min(low, one);
          }
          good &= ulps(sums[j], 1 + sum / 2, 8) <= 8 && ulps(squares[j], 1 + square, 8) <= 8;
          good &= largest[j] == high && smallest[j] == low;
        }
        CHECK(good);
        CHECK(sums.frame_is_whole());
        CHECK(squares.frame_is_whole());
        CHECK(largest.frame_is_whole());
        CHECK(smallest.frame_is_whole());
      }
    }
  });
}

TEST_CASE("softmax, its logarithm and logsumexp along both kinds of axes, with their gradients") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t n : Sizes{1, 2, 3, 5, 8, 17, 100, 1000, 3000})
      for (const std::size_t inner : Sizes{1, 2, 3, 4, 9, 16, 37}) {
        CAPTURE(n);
        CAPTURE(inner);
        const std::size_t size = n * inner;
        const std::vector<T> x = random_numbers<T>(size, -20, 20), g = random_numbers<T>(size, -1, 1, 2);
        Framed<T> total(inner, 0), soft(size, 0), log_soft(size, 0);
        k.logsumexp(total.data(), x.data(), n, inner);
        k.softmax(soft.data(), x.data(), n, inner);
        k.log_softmax(log_soft.data(), x.data(), n, inner);
        Framed<T> d_total(size, 2), d_soft(size, 2), d_log_soft(size, 2);
        const bool accumulate = n % 2 == 0;
        k.logsumexp_gradient(d_total.data(), accumulate, g.data(), x.data(), total.data(), n, inner);
        k.softmax_gradient(d_soft.data(), accumulate, g.data(), soft.data(), n, inner);
        k.log_softmax_gradient(d_log_soft.data(), accumulate, g.data(), log_soft.data(), n, inner);
        double worst = 0;
        for (std::size_t j = 0; j < inner; ++j) {
          Real sum = 0, dot = 0, sum_g = 0;
          for (std::size_t i = j; i < size; i += inner) sum += std::exp(static_cast<Real>(x[i]));
          for (std::size_t i = j; i < size; i += inner) {
            dot += g[i] * std::exp(static_cast<Real>(x[i])) / sum;
            sum_g += g[i];
          }
          const Real lse = std::log(sum), start = accumulate ? 2 : 0;
          worst = std::max(worst, ulps(total[j], lse, 20));
          for (std::size_t i = j; i < size; i += inner) {
            const Real p = std::exp(static_cast<Real>(x[i])) / sum;
            worst = std::max(worst, ulps(soft[i], p, 1));
            worst = std::max(worst, ulps(log_soft[i], x[i] - lse, 20));
            worst = std::max(worst, ulps(d_total[i], start + g[j] * p, 8));
            worst = std::max(worst, ulps(d_soft[i], start + p * (g[i] - dot), 8));
            worst = std::max(worst, ulps(d_log_soft[i], start + g[i] - p * sum_g,
                                         8 * std::max(Real(1), std::abs(p * sum_g))) /
                                        4);
          }
        }
        CHECK(worst <= 8);
        for (Framed<T>* one : {&total, &soft, &log_soft, &d_total, &d_soft, &d_log_soft})
          CHECK(one->frame_is_whole());
      }
  });
}

TEST_CASE("gradients of extremes, shared by ties, and of norms, along both kinds of axes") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t n : Sizes{1, 2, 3, 5, 8, 17, 100, 1000})
      for (const std::size_t inner : Sizes{1, 2, 3, 4, 9, 16, 37}) {
        CAPTURE(n);
        CAPTURE(inner);
        std::vector<T> x = random_numbers<T>(n * inner, -9, 9);
        for (T& one : x) one = std::round(one);  // so that there are ties
        const std::vector<T> g = random_numbers<T>(inner, -1, 1, 2);
        std::vector<T> largest(inner, T(-99)), length(inner);
        std::vector<Real> ties(inner);
        for (std::size_t i = 0; i < n * inner; ++i) {
          largest[i % inner] = std::max(largest[i % inner], x[i]);
          length[i % inner] = std::hypot(length[i % inner], x[i]);
        }
        for (std::size_t i = 0; i < n * inner; ++i) ties[i % inner] += x[i] == largest[i % inner];
        const bool accumulate = n % 2 == 0;
        const Real before = accumulate ? 2 : 0;
        Framed<T> d_largest(n * inner, 2), d_length(n * inner, 2);
        k.extreme_gradient(d_largest.data(), accumulate, g.data(), x.data(), largest.data(), n, inner);
        k.norm_gradient(d_length.data(), accumulate, g.data(), x.data(), length.data(), n, inner);
        double worst = 0;
        for (std::size_t i = 0; i < n * inner; ++i) {
          const std::size_t j = i % inner;
          const Real share = x[i] == largest[j] ? g[j] / ties[j] : 0;
          worst = std::max(worst, ulps(d_largest[i], before + share, 1));
          const Real part = length[j] == 0 ? 0 : Real(g[j]) * x[i] / length[j];
          worst = std::max(worst, ulps(d_length[i], before + part, 1));
        }
        CHECK(worst <= 3);
        CHECK(d_largest.frame_is_whole());
        CHECK(d_length.frame_is_whole());
      }
  });
}

TEST_CASE("lines of infinities and NaN") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    for (const std::size_t n : Sizes{1, 5, 4000})
      for (const std::size_t inner : Sizes{1, 3}) {
        CAPTURE(n);
        CAPTURE(inner);
        const auto logsumexp = [&](T fill, T last) {
          std::vector<T> x(n * inner, fill), y(inner);
          for (std::size_t j = 0; j < inner; ++j) x[(n - 1) * inner + j] = last;
          k.logsumexp(y.data(), x.data(), n, inner);
          return y.back();
        };
        CHECK(logsumexp(-inf, -inf) == -inf);
        CHECK(logsumexp(-inf, T(3)) == T(3));
        CHECK(logsumexp(0, inf) == inf);
        CHECK(logsumexp(inf, inf) == inf);
        CHECK(std::isnan(logsumexp(0, nan)));
        CHECK(std::isnan(logsumexp(inf, nan)) == (n >= 1));
        CHECK(ulps(logsumexp(T(-1e4), T(-1e4)), -1e4L + std::log(static_cast<Real>(n))) <= 2);
        std::vector<T> x(n * inner, -inf), y(inner, -inf), g(inner, T(1)), dx(n * inner, T(9));
        k.logsumexp_gradient(dx.data(), false, g.data(), x.data(), y.data(), n, inner);
        for (const T one : dx) CHECK(one == 0);
        k.softmax(dx.data(), x.data(), n, inner);
        for (const T one : dx) CHECK(std::isnan(one));
      }
  });
}

TEST_CASE("products of small matrices and transposition") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t M : Sizes{1, 2, 4, 5, 9})
      for (const std::size_t N : Sizes{1, 2, 3, 8, 17, 33})
        for (const std::size_t K : Sizes{0, 1, 2, 8, 19})
          for (const unsigned form : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
            const bool ta = form & 1u, tb = form & 2u, accumulate = form & 4u;
            const std::vector<T> a = random_numbers<T>(M * K + 1, -1, 1),
                                 b = random_numbers<T>(K * N + 1, -1, 1, 2);
            Framed<T> c(M * N, T(0.5));
            k.gemm(ta, tb, M, N, K, a.data(), b.data(), accumulate, c.data());
            double worst = 0;
            for (std::size_t i = 0; i < M; ++i)
              for (std::size_t j = 0; j < N; ++j) {
                Real sum = accumulate ? 0.5 : 0;
                for (std::size_t p = 0; p < K; ++p)
                  sum += static_cast<Real>(a[ta ? p * M + i : i * K + p]) * b[tb ? j * K + p : p * N + j];
                worst = std::max(worst, ulps(c[i * N + j], sum, 4));
              }
            CAPTURE(M);
            CAPTURE(N);
            CAPTURE(K);
            CAPTURE(form);
            CHECK(worst <= 8);
            CHECK(c.frame_is_whole());
          }
    for (const std::size_t rows : Sizes{1, 3, 16, 40})
      for (const std::size_t cols : Sizes{1, 5, 16, 33})
        for (const bool accumulate : {false, true}) {
          const std::vector<T> x = random_numbers<T>(rows * (cols + 2), -1, 1);
          Framed<T> y(rows * cols, T(1));
          k.transpose(y.data(), rows, accumulate, x.data(), cols + 2, rows, cols, T(2));
          bool good = true;
          for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t j = 0; j < cols; ++j)
              good &=
                  ulps(y[j * rows + i], 2 * static_cast<Real>(x[i * (cols + 2) + j]) + accumulate, 1) <= 1;
          CHECK(good);
          CHECK(y.frame_is_whole());
        }
  });
}

TEST_CASE("scaled copies and the updates of optimisers") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t n : sizes) {
      CAPTURE(n);
      const std::vector<T> x = random_numbers<T>(n + 1, -1, 1), g = random_numbers<T>(n + 1, -1, 1, 2);
      for (const bool accumulate : {false, true})
        for (const std::ptrdiff_t stride : {0, 1}) {
          Framed<T> y(n, T(1));
          k.scale(y.data(), accumulate, n, x.data(), stride, T(3));
          for (std::size_t i = 0; i < n; ++i)
            CHECK(ulps(y[i], 3 * static_cast<Real>(x[stride ? i : 0]) + accumulate, 1) <= 2);
          CHECK(y.frame_is_whole());
        }
      for (const bool momentum : {false, true}) {
        const SgdStep<T> step{T(0.1), momentum ? T(0.9) : T(0), T(0.01), momentum};
        Framed<T> w(n, 0), v(n, T(0.25));
        std::copy_n(x.data(), n, w.data());
        k.sgd(w.data(), momentum ? v.data() : nullptr, g.data(), n, step);
        for (std::size_t i = 0; i < n; ++i) {
          const Real d = g[i] + Real(step.decay) * x[i], velocity = Real(step.momentum) * Real(0.25) + d;
          if (momentum) CHECK(ulps(v[i], velocity, 1) <= 3);
          const Real move = momentum ? d + Real(step.momentum) * velocity : d;
          CHECK(ulps(w[i], x[i] - Real(step.rate) * move, 1) <= 3);
        }
        CHECK(w.frame_is_whole());
        CHECK(v.frame_is_whole());
      }
      const AdamStep<T> step{T(0.01), T(1.5), T(0.9), T(0.999), T(0.1), T(0.001), T(1e-8), T(0.01)};
      Framed<T> w(n, 0), m(n, T(0.25)), v(n, T(0.5));
      std::copy_n(x.data(), n, w.data());
      k.adam(w.data(), m.data(), v.data(), g.data(), n, step);
      for (std::size_t i = 0; i < n; ++i) {
        const Real d = g[i] + Real(step.decay) * x[i];
        const Real mean = Real(step.beta1) * Real(0.25) + Real(step.one_minus_beta1) * d;
        const Real square = Real(step.beta2) * Real(0.5) + Real(step.one_minus_beta2) * d * d;
        CHECK(ulps(m[i], mean, 1) <= 3);
        CHECK(ulps(v[i], square, 1) <= 3);
        const Real move = Real(step.rate) * mean / (std::sqrt(square) * Real(step.root) + Real(step.epsilon));
        CHECK(ulps(w[i], x[i] - move, 1) <= 3);
      }
      CHECK(w.frame_is_whole());
      CHECK(m.frame_is_whole());
      CHECK(v.frame_is_whole());
    }
  });
}

#if defined(__x86_64__)
TEST_CASE("XTAPE_ARCH limits the choice to what the machine has, and another word in it is an error") {
  const char* const before = std::getenv("XTAPE_ARCH");
  const std::string restore = before ? before : "";
  const std::string best = available_kernels<double>().tables[0]->arch;
  const auto chosen = [](const char* limit) {
    setenv("XTAPE_ARCH", limit, 1);
    return std::string(choose_kernels<double>().arch);
  };
  CHECK(chosen("sse2") == "sse2");
  CHECK(chosen("avx2") == (best == "avx512" ? "avx2" : best));
  CHECK(chosen("avx512") == best);
  CHECK(chosen("") == best);
  CHECK_THROWS_WITH(chosen("neon"),
                    "[XTAPE_ARCH] the environment variable is \"neon\": it may be sse2, avx2 or avx512");
  chosen(restore.c_str());
}
#endif
