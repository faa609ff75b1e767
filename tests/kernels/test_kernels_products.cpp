// The kernels of matrix products, for every architecture that this machine has, against plain loops in long
// double.
#include "kernel_testing.hpp"

using namespace xtape::test;

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

TEST_CASE("products in blocks, of parts of larger matrices") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t M : Sizes{5, 131})
      for (const std::size_t N : Sizes{0, 1, 16, 67})
        for (const std::size_t K : Sizes{0, 1, 257})
          for (const unsigned form : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
            const bool ta = form & 1u, tb = form & 2u, accumulate = form & 4u;
            const std::size_t lda = (ta ? M : K) + 1, ldb = (tb ? K : N) + 2, ldc = N + 3;
            const std::vector<T> a = random_numbers<T>((ta ? K : M) * lda, -1, 1),
                                 b = random_numbers<T>((tb ? N : K) * ldb, -1, 1, 2);
            Framed<T> c(M * ldc, T(0.5));
            k.blocked_gemm(ta, tb, M, N, K, a.data(), lda, b.data(), ldb, accumulate, c.data(), ldc);
            double worst = 0;
            bool gaps = true;
            for (std::size_t i = 0; i < M; ++i)
              for (std::size_t j = 0; j < ldc; ++j) {
                if (j >= N) {
                  gaps &= c[i * ldc + j] == T(0.5);
                  continue;
                }
                Real sum = accumulate ? 0.5 : 0;
                for (std::size_t p = 0; p < K; ++p)
                  sum += static_cast<Real>(a[ta ? p * lda + i : i * lda + p]) *
                         b[tb ? j * ldb + p : p * ldb + j];
                worst = std::max(worst, ulps(c[i * ldc + j], sum, static_cast<double>(K + 4)));
              }
            CAPTURE(M);
            CAPTURE(N);
            CAPTURE(K);
            CAPTURE(form);
            CHECK(worst <= 8);
            CHECK(gaps);
            CHECK(c.frame_is_whole());
          }
  });
}

TEST_CASE("a matrix times a vector, whose elements need not be side by side") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    for (const std::size_t rows : Sizes{1, 7, 25, 530})
      for (const std::size_t columns : Sizes{0, 1, 37, 1030})
        for (const std::size_t step : Sizes{1, 3})
          for (const unsigned form : {0u, 1u, 2u, 3u}) {
            const bool transpose = form & 1u, accumulate = form & 2u;
            const std::size_t lda = columns + 2, m = transpose ? columns : rows,
                              n = transpose ? rows : columns;
            const std::vector<T> a = random_numbers<T>(rows * lda, -1, 1),
                                 x = random_numbers<T>(n * step, -1, 1, 2);
            Framed<T> y(m * step, T(0.5));
            k.gemv(transpose, rows, columns, a.data(), lda, x.data(), step, accumulate, y.data(), step);
            double worst = 0;
            bool gaps = true;
            for (std::size_t i = 0; i < m * step; ++i) {
              if (i % step != 0) {
                gaps &= y[i] == T(0.5);
                continue;
              }
              Real sum = accumulate ? 0.5 : 0;
              for (std::size_t j = 0; j < n; ++j)
                sum +=
                    static_cast<Real>(a[transpose ? j * lda + i / step : i / step * lda + j]) * x[j * step];
              worst = std::max(worst, ulps(y[i], sum, static_cast<double>(n + 4)));
            }
            CAPTURE(rows);
            CAPTURE(columns);
            CAPTURE(step);
            CAPTURE(form);
            CHECK(worst <= 8);
            CHECK(gaps);
            CHECK(y.frame_is_whole());
          }
  });
}

TEST_CASE("products by offsets, of which the kernel reads some columns at once") {
  for_each_table([](const auto& k, auto number) {
    using T = decltype(number);
    const std::size_t W = k.width;
    CHECK(W * sizeof(T) >= 16);
    for (const std::size_t M : Sizes{1, 2, 5, 6, 7, 11, 12, 25})
      for (const std::size_t K : Sizes{0, 1, 3, 300, 1100})
        for (const std::size_t panels : Sizes{1, 2, 3, 4, 7})
          for (const bool by_lane : {false, true}) {
            if (by_lane && panels != 1) continue;
            // A (m, k) is x[3 m + 2 k], rows of C are in reverse, and panels have a gap.
            const std::size_t panel = (K + 1) * W, c_panel = (M + 2) * W;
            const std::vector<T> x = random_numbers<T>(3 * M + 2 * K + W, -1, 1),
                                 b = random_numbers<T>(panels * panel, -1, 1, 2);
            std::vector<std::ptrdiff_t> c_row, a_row, a_column;
            for (std::size_t m = 0; m < M; ++m) {
              c_row.push_back(static_cast<std::ptrdiff_t>((M - 1 - m) * W));
              a_row.push_back(static_cast<std::ptrdiff_t>(3 * m));
            }
            for (std::size_t i = 0; i < K; ++i) a_column.push_back(static_cast<std::ptrdiff_t>(2 * i));
            Framed<T> c(panels * c_panel, T(0.5));
            k.indexed_gemm(c.data(), c_row.data(), c_panel, M, K, panels, x.data(), a_row.data(),
                           a_column.data(), by_lane, b.data(), panel);
            double worst = 0;
            bool gaps = true;
            for (std::size_t p = 0; p < panels; ++p)
              for (std::size_t m = 0; m < M + 2; ++m)
                for (std::size_t l = 0; l < W; ++l) {
                  const T one = c[p * c_panel + m * W + l];
                  if (m >= M) {
                    gaps &= one == T(0.5);
                    continue;
                  }
                  Real sum = 0.5;
                  for (std::size_t i = 0; i < K; ++i)
                    sum += static_cast<Real>(x[3 * (M - 1 - m) + 2 * i + (by_lane ? l : 0)]) *
                           b[p * panel + i * W + l];
                  worst = std::max(worst, ulps(one, sum, static_cast<double>(K + 4)));
                }
            CAPTURE(M);
            CAPTURE(K);
            CAPTURE(panels);
            CHECK(worst <= 8);
            CHECK(gaps);
            CHECK(c.frame_is_whole());
          }
  });
}
