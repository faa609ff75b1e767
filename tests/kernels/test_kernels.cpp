// The elementwise kernels of every architecture that this machine has, against plain loops in long double.
#include <array>
#include <cstdlib>
#include <set>
#include <string>

#include <autodiff/kernels/rule_traits.hpp>
#include <autodiff/platform/system.hpp>

#include "kernel_testing.hpp"

using namespace xtape::test;

namespace {

/// Operations that are tried on (0.05, 0.95), where they are defined or well conditioned; others on (−3, 3).
const std::set<std::string> on_unit_interval = {
    "acos",  "asin", "atanh", "binary_cross_entropy", "divide", "erfinv", "log", "log10",
    "log1p", "log2", "pow",   "reciprocal",           "sqrt",   "cbrt"};

/// What rounding may do to f(x) computed in T: some units of the last place of the result, and twice what a
/// unit in each operand does to it, which is much where terms cancel each other.
template <class T, class F>
Real rounding(const F& f, const std::array<Real, max_operands>& x, Real exact) {
  constexpr Real unit = std::numeric_limits<T>::epsilon();
  Real allowed = 4 * unit * std::abs(exact);
  for (std::size_t k = 0; k < x.size(); ++k) {
    auto near = x;
    near[k] *= 1 + unit;
    if (near[k] != x[k]) allowed += 2 * std::abs(f(near) - exact);
  }
  return allowed;
}

/// Runs a row kernel over sizes, strides and starts, and compares with f(operands at i) in long double. Where
/// `lossy`, intermediate results cancel, and the error is measured by them.
template <class T, class F>
void check_row(RowKernel<T> kernel, const void* rule, std::size_t operands, unsigned used, double from,
               double to, bool lossy, const F& f) {
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
        Real worst = 0;
        for (std::size_t i = 0; i < n; ++i) {
          std::array<Real, max_operands> at{};
          for (std::size_t k = 0; k < operands; ++k)
            if (in[k]) at[k] = in[k][static_cast<std::ptrdiff_t>(i) * stride[k]];
          const Real exact = f(at), start = accumulate ? 2 : 0, unit = std::numeric_limits<T>::epsilon();
          const Real allowed = rounding<T>(f, at, exact) + start * unit + (lossy ? unit : 0);
          worst = std::max(worst, std::abs(y[i] - (start + exact)) / allowed);
        }
        CAPTURE(n);
        CAPTURE(broadcast);
        CAPTURE(accumulate);
        CHECK(worst <= 1);
        CHECK(y.frame_is_whole());
      }
}

template <template <class> class Op, std::size_t N, class T>
void check_elementwise(const Kernels<T>& k) {
  CAPTURE(Op<T>::name);
  const bool unit = on_unit_interval.contains(Op<T>::name), lossy = Op<T>::name == std::string("gelu");
  const double from = unit ? 0.05 : -3, to = unit ? 0.95 : 3;
  const auto rule = make_rule<T, Op<T>>(T(0.5), T(1.5));
  const auto exact = make_rule<Real, Op<Real>>(0.5, 1.5);
  const std::size_t number = op_number<Op<T>>;
  const auto each_input = []<std::size_t... K>(std::index_sequence<K...>, const auto& f) {
    return f(std::integral_constant<std::size_t, K>()...);
  };
  check_row<T>(k.value[number], &rule, N, (1u << N) - 1u, from, to, lossy, [&](const auto& x) {
    return each_input(std::make_index_sequence<N>(), [&](auto... i) { return exact.value(x[i]...); });
  });
  if constexpr (is_differentiable<Op<T>>)
    each_input(std::make_index_sequence<N>(), [&](auto... input) {
      const auto check = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
        constexpr unsigned kept = kept_by<Op<T>>(I);
        constexpr unsigned used = 1u | (kept & ~ops::y_) << 1 | (kept & ops::y_ ? 1u << (N + 1) : 0u);
        check_row<T>(k.gradient[number][I], &rule, N + 2, used, from, to, lossy, [&](const auto& x) {
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
#include "../../autodiff/kernels/elementwise_list.inc"
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
#include "../../autodiff/kernels/elementwise_list.inc"
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

TEST_CASE("functions are within 4 units of the last place, and right at the extremes" *
          doctest::skip(!has_long_functions)) {
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
    XTAPE_ACCURATE(Erfc, erfc, -6, 9)
    XTAPE_ACCURATE(Asinh, asinh, -10, 10)
    XTAPE_ACCURATE(Acosh, acosh, 1, 100)
    XTAPE_ACCURATE(Atanh, atanh, -1, 1)
    XTAPE_ACCURATE(LogGamma, lgamma, 0, 30)
    XTAPE_ACCURATE(Floor, floor, -3, 3)
    XTAPE_ACCURATE(Ceil, ceil, -3, 3)
    XTAPE_ACCURATE(Round, nearbyint, -1e6, 1e6)
#undef XTAPE_ACCURATE
  });
}

TEST_CASE("powers, angles and lengths of special numbers are those of the C library" *
          doctest::skip(!has_long_functions)) {
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
        const T length = run(k.value[op_number<ops::Hypot<T>>], nullptr);
        CHECK(ulps(length, std::hypot(x, p)) <= 1);
        const T larger = run(k.value[op_number<ops::Maximum<T>>], nullptr);
        CHECK(ulps(larger, std::isnan(a) || std::isnan(b) ? nan : std::max(a, b)) == 0);
        const T smaller = run(k.value[op_number<ops::Minimum<T>>], nullptr);
        CHECK(ulps(smaller, std::isnan(a) || std::isnan(b) ? nan : std::min(a, b)) == 0);
      }
  });
}

TEST_CASE("hypot is within 2 units of the last place over the whole range") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    using Limits = std::numeric_limits<T>;
    constexpr std::size_t n = 20000;
    // Exponents are uniform; operands are up to 2⁸ apart, else only the larger one would count.
    const auto exponent = random_numbers<T>(n, T(Limits::min_exponent - Limits::digits),
                                            T(Limits::max_exponent - 1), 1),
               apart = random_numbers<T>(n, T(-8), T(0), 2), mantissa = random_numbers<T>(n, T(-1), T(1), 3);
    std::vector<T> a(n), b(n), y(n);
    for (std::size_t i = 0; i < n; ++i) {
      a[i] = std::exp2(exponent[i]);
      b[i] = std::exp2(exponent[i] + apart[i]) * mantissa[i];
      if (i % 2) std::swap(a[i], b[i]);
    }
    const T* in[] = {a.data(), b.data()};
    const std::ptrdiff_t stride[] = {1, 1};
    k.value[op_number<ops::Hypot<T>>](nullptr, y.data(), false, n, in, stride);
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i)
      worst = std::max(worst, ulps(y[i], std::hypot(static_cast<Real>(a[i]), static_cast<Real>(b[i]))));
    CHECK(worst <= 2);

    // At the origin the derivatives are 0, and elsewhere never larger than the adjoint.
    for (const T extreme : {T(0), Limits::denorm_min(), Limits::min(), Limits::max() / 2, T(1)}) {
      const T g = Limits::max(), length = extreme;
      const T* kept[] = {&g, &extreme, &extreme, &length};
      const std::ptrdiff_t still[] = {1, 1, 1, 1};
      for (std::size_t input = 0; input < 2; ++input) {
        T gradient = -1;
        k.gradient[op_number<ops::Hypot<T>>][input](nullptr, &gradient, false, 1, kept, still);
        CAPTURE(extreme);
        CHECK(gradient == (extreme == 0 ? 0 : g));
      }
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

TEST_CASE("XTAPE_ARCH limits the choice to what the machine has, and another word in it is an error") {
  const char* const before = std::getenv("XTAPE_ARCH");
  const std::string restore = before ? before : "";
  const std::string best = available_kernels<double>().tables[0]->arch;
  const auto chosen = [](const char* limit) {
    xtape::platform::set_environment("XTAPE_ARCH", limit);
    return std::string(choose_kernels<double>().arch);
  };
  CHECK(chosen("") == best);
  const std::string error = "[XTAPE_ARCH] the environment variable is \"mmx\": ";
  if (best == "generic") {
    CHECK(available_kernels<double>().count == 1);
    CHECK(chosen("generic") == "generic");
    CHECK_THROWS_WITH(chosen("mmx"), (error + "this build has generic alone").c_str());
  } else if (best == "neon") {
    CHECK(chosen("neon") == "neon");
    CHECK(chosen("generic") == "generic");
    CHECK_THROWS_WITH(chosen("mmx"), (error + "it may be generic or neon").c_str());
  } else {
    CHECK(chosen("sse2") == "sse2");
    CHECK(chosen("avx2") == (best == "avx512" ? "avx2" : best));
    CHECK(chosen("avx512") == best);
    CHECK_THROWS_WITH(chosen("mmx"), (error + "it may be sse2, avx2 or avx512").c_str());
  }
  chosen(restore.c_str());
}
