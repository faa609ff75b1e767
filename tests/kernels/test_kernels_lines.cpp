// The kernels of reductions, of lines such as softmax's, and of updates, for every architecture
// that this machine has, against plain loops in long double.
#include <array>
#include <string>

#include "kernel_testing.hpp"

using namespace xtape::test;

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
        if (n != 0) CHECK(k.count(from, n, largest) == static_cast<T>(std::count(from, from + n, largest)));
        CHECK(k.count(from, n, T(3)) == 0);
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
        k.add_rows(sums.data(), from, rows, n);
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
          good &= ulps(sums[j], 1 + sum, 8) <= 8 && ulps(squares[j], 1 + square, 8) <= 8;
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
        k.logsumexp(total.data(), nullptr, x.data(), n, inner, inner);
        k.softmax(soft.data(), x.data(), n, inner, inner);
        k.log_softmax(log_soft.data(), x.data(), n, inner, inner);
        Framed<T> d_total(size, 2), d_soft(size, 2), d_log_soft(size, 2);
        const bool accumulate = n % 2 == 0;
        if (n % 3 == 0) {
          std::vector<T> rest(inner), largest(inner);
          k.logsumexp(rest.data(), largest.data(), x.data(), n, inner, inner);
          k.logsumexp_gradient(d_total.data(), accumulate, g.data(), x.data(), rest.data(), largest.data(), n,
                               inner);
        } else {
          k.logsumexp_gradient(d_total.data(), accumulate, g.data(), x.data(), total.data(), nullptr, n,
                               inner);
        }
        k.softmax_gradient(d_soft.data(), accumulate, g.data(), soft.data(), n, inner, inner);
        k.log_softmax_gradient(d_log_soft.data(), accumulate, g.data(), log_soft.data(), n, inner, inner);
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
        k.extreme_gradient(d_largest.data(), accumulate, g.data(), x.data(), largest.data(), nullptr, n,
                           inner, inner);
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
          k.logsumexp(y.data(), nullptr, x.data(), n, inner, inner);
          return y.back();
        };
        CHECK(logsumexp(-inf, -inf) == -inf);
        CHECK(logsumexp(-inf, T(3)) == T(3));
        CHECK(logsumexp(0, inf) == inf);
        CHECK(logsumexp(inf, inf) == inf);
        CHECK(std::isnan(logsumexp(0, nan)));
        CHECK(std::isnan(logsumexp(inf, nan)) == (n >= 1));
        CHECK(ulps(logsumexp(T(-1e4), T(-1e4)), -1e4L + std::log(static_cast<Real>(n))) <= 2);
        // The logarithm of a probability keeps its digits where the logits are large.
        std::vector<T> large(n * inner, T(1e4)), logarithms(n * inner);
        k.log_softmax(logarithms.data(), large.data(), n, inner, inner);
        CHECK(ulps(logarithms.back(), -std::log(static_cast<Real>(n))) <= 2);
        std::vector<T> x(n * inner, -inf), y(inner, -inf), g(inner, T(1)), dx(n * inner, T(9));
        k.logsumexp_gradient(dx.data(), false, g.data(), x.data(), y.data(), nullptr, n, inner);
        for (const T one : dx) CHECK(one == 0);
        k.softmax(dx.data(), x.data(), n, inner, inner);
        for (const T one : dx) CHECK(std::isnan(one));
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
      const AdamStep<T> step{T(0.01), T(1.5), T(0.9), T(0.999), T(0.1), T(0.001), T(1e-8), T(0.01), T(0.75)};
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
        CHECK(ulps(w[i], Real(step.shrink) * x[i] - move, 1) <= 3);
      }
      CHECK(w.frame_is_whole());
      CHECK(m.frame_is_whole());
      CHECK(v.frame_is_whole());
    }
  });
}

TEST_CASE("the updates of RMSprop, with and without mean and velocity, and of Adagrad") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t n : sizes) {
      CAPTURE(n);
      const std::vector<T> x = random_numbers<T>(n, -1, 1), g = random_numbers<T>(n, -1, 1, 2);
      for (const bool centered : {false, true})
        for (const bool momentum : {false, true}) {
          const RmspropStep<T> step{T(0.01), T(0.75), T(0.25), T(0.125), T(0.9), T(0.01)};
          Framed<T> w(n, 0), s(n, T(0.5)), m(n, T(0.25)), v(n, T(0.5));
          std::copy_n(x.data(), n, w.data());
          k.rmsprop(w.data(), s.data(), centered ? m.data() : nullptr, momentum ? v.data() : nullptr,
                    g.data(), n, step);
          bool good = true;
          for (std::size_t i = 0; i < n; ++i) {
            const Real d = g[i] + Real(step.decay) * x[i];
            const Real square = Real(0.75) * Real(0.5) + Real(0.25) * d * d;
            const Real mean = centered ? Real(0.75) * Real(0.25) + Real(0.25) * d : 0;
            Real move = d / (std::sqrt(square - mean * mean) + Real(step.epsilon));
            if (momentum) move += Real(step.momentum) * Real(0.5);
            good &= ulps(s[i], square, 1) <= 3 && ulps(m[i], centered ? mean : Real(0.25), 1) <= 3;
            good &= ulps(v[i], momentum ? move : Real(0.5), 1) <= 8;
            good &= ulps(w[i], x[i] - Real(step.rate) * move, 1) <= 3;
          }
          CHECK(good);
          for (const auto* array : {&w, &s, &m, &v}) CHECK(array->frame_is_whole());
        }
      const AdagradStep<T> step{T(0.01), T(0.125), T(0.01)};
      Framed<T> w(n, 0), s(n, T(0.5));
      std::copy_n(x.data(), n, w.data());
      k.adagrad(w.data(), s.data(), g.data(), n, step);
      bool good = true;
      for (std::size_t i = 0; i < n; ++i) {
        const Real d = g[i] + Real(step.decay) * x[i], square = Real(0.5) + d * d;
        good &= ulps(s[i], square, 1) <= 3;
        good &= ulps(w[i], x[i] - Real(step.rate) * d / (std::sqrt(square) + Real(step.epsilon)), 1) <= 3;
      }
      CHECK(good);
      CHECK(w.frame_is_whole());
      CHECK(s.frame_is_whole());
    }
    // A variance that rounding has taken below 0 counts as 0, and NaN stays.
    T w[] = {1, 1}, s[] = {1, 1}, m[] = {2, 2};
    const T g[] = {1, std::numeric_limits<T>::quiet_NaN()};
    k.rmsprop(w, s, m, nullptr, g, 2, {T(1), T(1), T(0), T(0.5), T(0), T(0)});
    CHECK(w[0] == T(-1));
    CHECK(std::isnan(w[1]));
  });
}
