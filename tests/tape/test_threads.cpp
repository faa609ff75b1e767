// Threads: results that do not depend on their number, several that record at once, and work that is shared.
// Also run under the thread sanitizer; see ./dev sanitize thread.
#include <atomic>
#include <thread>

#include "../check_close.hpp"
#include "thread_scope.hpp"

#include <autodiff/kernels/gemm.hpp>
#include <autodiff/kernels/kernels.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using test::same_bits, test::Threads;

TEST_CASE("every part of shared work is done once, also when several threads bring work") {
  const Threads four(4);
  std::vector<std::thread> threads;
  for (int k = 0; k < 3; ++k)
    threads.emplace_back([] {
      for (std::size_t n : {0u, 1u, 2u, 7u, 1000u}) {
        std::vector<std::atomic<int>> done(n);
        detail::parallel_for(n, [&](std::size_t i) { done[i].fetch_add(1); });
        CHECK(std::ranges::all_of(done, [](const auto& d) { return d == 1; }));
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST_CASE_TEMPLATE("results are the same bits with one thread and with many", T, float, double) {
  random::seed(7);
  const auto value = random::normal<T>({700, 1500});  // above every threshold
  const auto row = random::normal<T>({1500}), column = random::normal<T>({700, 1});
  const Indices labels(std::vector<std::ptrdiff_t>(700, 3));
  const auto run = [&](int n) {
    const Threads threads(n);
    const auto x = parameter<T>(value), b = parameter<T>(row), c = parameter<T>(column);
    const Tensor<T> y = map([](auto a, auto d) { return exp(a) * sin(d) + a * a; }, x, x * b + c);
    const Tensor<T> z = tanh(y * T(0.01)) / (T(1) + square(x));
    const Tensor<T> loss = sum(z) + mean(logsumexp(z, 1)) + sum(max(z, 0)) + sum(sum(z, 0) * b) +
                           sum(softmax(z, 0) * x) + norm(z) + nn::mse_loss(z, value) +
                           sum(logsumexp(flatten(z), 0)) + sum(norm(z, 1)) + sum(norm(z, 0)) +
                           sum(min(z, 1)) + max(y) + sum(transpose(z) * T(2)) + nn::cross_entropy(z, labels) +
                           sum(square(layer_norm(z + c, b, b)));
    loss.backward();
    return std::vector{loss.detach(), x.grad(), b.grad(), c.grad()};
  };
  const auto one = run(1);
  for (int n : {2, 3, 8}) {
    const auto many = run(n);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], many[i]));
  }
}

TEST_CASE_TEMPLATE("products are the same bits with one thread and with many", T, float, double) {
  random::seed(8);
  // Of one piece, of pieces of rows and of columns, and with edges; the first is one that OpenBLAS cuts by
  // the number of threads.
  struct Product {
    std::size_t M, K, N;
  };
  const std::vector<Product> products{{650, 400, 3}, {64, 64, 64},   {70, 65, 64},   {128, 300, 128},
                                      {1, 700, 900}, {900, 700, 1},  {513, 64, 77},  {77, 64, 513},
                                      {30, 9000, 2}, {600, 90, 300}, {2, 600, 1500}, {1, 110, 90},
                                      {90, 110, 1}};
  for (const auto& [M, K, N] : products) {
    const std::string product = std::to_string(M) + " x " + std::to_string(K) + " x " + std::to_string(N);
    CAPTURE(product);
    const auto left = random::normal<T>({M, K}), right = random::normal<T>({K, N}),
               w = random::normal<T>({N, K}), bias = random::normal<T>({N});
    const auto run = [&](int n) {
      const Threads threads(n);
      const auto a = parameter<T>(left), b = parameter<T>(right), W = parameter<T>(w), c = parameter<T>(bias);
      const Tensor<T> x = matmul(a, b), y = linear(a, W, c);
      sum(square(x) + square(y)).backward();
      return std::vector{x.detach(), y.detach(), a.grad(), b.grad(), W.grad(), c.grad()};
    };
    const auto one = run(1);
    for (int n : {2, 3, 8}) {
      const auto many = run(n);
      for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], many[i]));
    }
  }
}

TEST_CASE_TEMPLATE("products of a batch are the same bits, and counted, with one thread and with many", T,
                   float, double) {
  random::seed(9);
  for (const Shape& shape :
       {Shape{4, 40, 40, 40}, Shape{64, 30, 30}, Shape{64, 50, 50}, Shape{3, 128, 128}, Shape{5000, 4, 4}}) {
    Shape one_row = shape;  // broadcasts along the first axis
    one_row[0] = 1;
    const auto left = random::normal<T>(shape), right = random::normal<T>(one_row);
    const auto run = [&](int n) {
      const Threads threads(n);
      const std::size_t before = detail::multiply_adds;
      const auto a = parameter<T>(left), b = parameter<T>(right);
      const auto y = matmul(a, matmul(transpose(a, shape.size() == 3 ? Axes{0, 2, 1} : Axes{0, 1, 3, 2}), b));
      sum(square(y)).backward();
      CHECK(detail::multiply_adds - before == 6 * y.size() * shape.back());
      return std::vector{y.detach(), a.grad(), b.grad()};
    };
    const auto one = run(1);
    for (int n : {2, 3, 8}) {
      const auto many = run(n);
      for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], many[i]));
    }
  }
}

TEST_CASE_TEMPLATE("lines side by side, and places, are the same bits with one thread and with many", T,
                   float, double) {
  random::seed(10);
  const auto value = random::normal<T>({700, 301}), table = random::normal<T>({300, 64});
  const auto steps = round(value * T(2));  // in which the largest is found several times
  std::mt19937_64 engine(1);
  const auto draw = [&](std::vector<std::size_t> shape, std::size_t n) {  // repeated, and from the end, too
    auto numbers = xt::xarray<std::ptrdiff_t>::from_shape(shape);
    for (std::ptrdiff_t& i : numbers)
      i = static_cast<std::ptrdiff_t>(engine() % (2 * n)) - static_cast<std::ptrdiff_t>(n);
    return Indices(numbers);
  };
  const Indices rows = draw({5000}, 300), columns = draw({900}, 301), along_rows = draw({900, 301}, 700),
                along_columns = draw({700, 301}, 301);
  const auto run = [&](int n) {
    const Threads threads(n);
    const auto x = parameter<T>(value), t = parameter<T>(table), s = parameter<T>(steps);
    const std::vector<Tensor<T>> results{
        softmax(x, 0),
        log_softmax(x, 0),
        logsumexp(x, 0),
        cumsum(x, 0),
        cumprod(T(1) + x * T(0.01), 0),
        max(s, 0),
        max(flatten(s), 0),
        min(s),
        slice(x, xt::all(), xt::range(0, 301, 2)),
        slice(flatten(x), xt::range(3, 210000, 1)),
        slice(flatten(x), xt::range(0, 210000, 1)),
        flip(x, {0}),
        flip(flatten(x), {0}),
        take(t, rows, 0),
        take(x, columns, 1),
        gather(x, along_rows, 0),
        gather(x, along_columns, 1),
        scatter_add(x, along_rows, concatenate<T>({x, slice(x, xt::range(0, 200))}), 0),
        scatter_add(x, along_columns, x, 1)};
    Tensor<T> loss(0);
    for (const Tensor<T>& y : results) loss = loss + sum(square(y + T(1)));
    loss.backward();
    std::vector<Tensor<T>> all{loss.detach(), x.grad(), t.grad(), s.grad()};
    for (const Tensor<T>& y : results) all.push_back(y.detach());
    return all;
  };
  const auto one = run(1);
  for (int n : {2, 3}) {
    const auto many = run(n);
    for (std::size_t i = 0; i < one.size(); ++i) {
      CAPTURE(i);
      CHECK(same_bits(one[i], many[i]));
    }
  }
}

TEST_CASE_TEMPLATE("what is added to places that meet is added in order", T, float, double) {
  constexpr std::size_t n = 500;  // x (n, n) to the diagonals of a matrix
  std::vector<T> x(n * n), expected(2 * n - 1, 0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = T(1) / static_cast<T>(i + 1);
  for (std::size_t i = 0; i < x.size(); ++i) expected[i / n + i % n] += x[i];
  for (int threads : {1, 2, 3}) {
    const Threads scope(threads);
    std::vector<T> y(2 * n - 1, 0);
    detail::add_to_strided(y.data(), x.data(), {n, n}, {1, 1});
    CHECK(y == expected);
  }
}

TEST_CASE_TEMPLATE("updates and clipping are the same bits with one thread and with many", T, float, double) {
  random::seed(11);
  const auto value = random::normal<T>({70001}), slope = random::normal<T>({70001}, 0, 3);
  const auto run = [&](int n) {
    const Threads threads(n);
    std::vector<Tensor<T>> all;
    const auto train = [&](auto make) {
      auto w = parameter<T>(value);
      auto optimizer = make(std::vector<Tensor<T>>{w});
      for (int step = 0; step < 3; ++step) {
        optimizer.zero_grad();
        sum(w * slope + square(w) * T(step)).backward();
        all.push_back(Tensor<T>(static_cast<T>(nn::clip_grad_norm<T>({w}, 100))));
        optimizer.step();
      }
      all.push_back(w.detach());
    };
    using Parameters = std::vector<Tensor<T>>;
    train([](const Parameters& p) { return nn::SGD<T>(p, {.learning_rate = 0.1}); });
    train([](const Parameters& p) {
      return nn::SGD<T>(p, {.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1});
    });
    train([](const Parameters& p) { return nn::Adam<T>(p); });
    train([](const Parameters& p) { return nn::AdamW<T>(p); });
    train([](const Parameters& p) { return nn::RMSprop<T>(p); });
    train([](const Parameters& p) { return nn::RMSprop<T>(p, {.momentum = 0.9, .centered = true}); });
    train([](const Parameters& p) { return nn::Adagrad<T>(p); });
    return all;
  };
  const auto one = run(1);
  for (int n : {2, 3}) {
    const auto many = run(n);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], many[i]));
  }
}

TEST_CASE_TEMPLATE("large draws are the generator's numbers, with one thread and with many", T, float,
                   double) {
  for (const std::size_t size : {2495u, 2496u, 2497u, 32768u, 33000u, 100001u}) {
    CAPTURE(size);
    random::seed(size);
    random::generator().discard(size % 311);
    const std::mt19937_64 start = random::generator();
    std::mt19937_64 engine = start;
    const auto low = T(-0.7), high = T(2.1);
    std::vector<T> expected(size);
    for (T& x : expected) {
      const T r = low + (high - low) * static_cast<T>(static_cast<double>(engine() >> 11) * 0x1p-53);
      x = r < high ? r : low;
    }
    Tensor<T> normal;
    for (int n : {1, 2, 3}) {
      const Threads threads(n);
      random::generator() = start;
      CHECK(same_bits(random::uniform<T>({size}, low, high), Tensor<T>(expected)));
      std::mt19937_64 after = engine;
      CHECK(random::generator()() == after());
      const Tensor<T> drawn = random::normal<T>({size}, 1, 3);
      after.discard(size + size % 2);
      for (int i = 0; i < 700; ++i) CHECK(random::generator()() == after());
      if (n == 1) normal = drawn;
      CHECK(same_bits(drawn, normal));
    }
  }
  random::seed(3);  // the numbers of a large draw are those of small ones
  const Tensor<T> all = random::normal<T>({5000});
  random::seed(3);
  for (std::ptrdiff_t i = 0; i < 5000; i += 1000)
    CHECK(same_bits(random::normal<T>({1000}), slice(all, xt::range(i, i + 1000))));
}

TEST_CASE_TEMPLATE("the first number that is not finite is found with one thread and with many", T, float,
                   double) {
  for (int n : {1, 2, 3})
    for (const std::size_t size : {70u, 1000000u})
      for (const std::size_t at : {std::size_t(0), std::size_t(63), std::size_t(66), size - 1}) {
        const Threads threads(n);
        for (const T bad : {std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::infinity()}) {
          std::vector<T> numbers(size, -std::numeric_limits<T>::max());
          numbers[at] = numbers[size - 1] = bad;
          const Tensor<T> x(numbers);
          try {
            const DetectAnomaly scope;
            const Tensor<T> y = -x;
            FAIL("not found");
          } catch (const AnomalyError& error) { CHECK(error.anomaly.index == Shape{at}); }
          const DetectAnomaly nan_alone({.infinity = false});
          if (std::isnan(bad))
            CHECK_THROWS_AS(-x, AnomalyError);
          else
            CHECK_NOTHROW(-x);
        }
      }
}

TEST_CASE("threads train models of their own at once, sharing workers") {
  const Threads two(2);
  std::atomic<int> learned = 0;
  const auto train = [&](unsigned seed) {
    const auto data = [&](std::size_t n, double scale) {
      std::vector<double> numbers(n);
      for (std::size_t i = 0; i < n; ++i) numbers[i] = std::sin(static_cast<double>(i * 7 + seed)) * scale;
      return Tensor<double>(numbers);
    };
    const auto x = reshape(data(400 * 300, 1), {400, 300});
    const auto W = parameter<double>(reshape(data(300 * 4, 0.1), {4, 300}));
    const auto target = reshape(data(400 * 4, 0.5), {400, 4});
    nn::SGD<double> sgd({W}, {.learning_rate = 0.05});
    double first = 0, last = 0;
    for (int i = 0; i < 10; ++i) {
      sgd.zero_grad();
      const auto loss = nn::mse_loss(tanh(linear(exp(x * 0.1) - 1.0, W)), target);
      loss.backward();
      sgd.step();
      (i == 0 ? first : last) = loss.item();
    }
    learned += last < first;
  };
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < 4; ++k) threads.emplace_back(train, k);
  for (auto& thread : threads) thread.join();
  CHECK(learned == 4);
}

TEST_CASE("values cross threads, and are released wherever the last handle goes") {
  std::vector<Tensor<float>> made;
  std::thread([&] {
    for (int i = 0; i < 100; ++i) made.push_back(full<float>({static_cast<std::size_t>(i)}, 1.0f));
  }).join();
  double total = 0;
  for (const auto& t : made) total += sum(t).item();
  CHECK(total == 4950);
  const auto shared = parameter<float>({1.0f, 2.0f});
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&shared] {
      for (int i = 0; i < 200; ++i) {
        const auto g = grad(sum(exp(shared) * shared), {shared});
        CHECK(g[0].size() == 2);
      }
    });
  for (auto& thread : threads) thread.join();
  made.clear();
  release_cached_memory();
  CHECK(memory_use().cached < (std::size_t{1} << 20));
}

TEST_CASE("threads that drop what one thread has made share slabs, and give them back") {
  for (int round = 0; round < 20; ++round) {
    std::vector<Tensor<double>> a, b;
    for (int i = 0; i < 200; ++i) {
      a.push_back(ones<double>({4}));
      b.push_back(ones<double>({4}));
    }
    const auto drop = [](std::vector<Tensor<double>>& tensors) {
      tensors.clear();
      release_cached_memory();
    };
    std::thread x([&] { drop(a); }), y([&] { drop(b); });
    x.join();
    y.join();
    const Tensor<double> one = ones<double>({4});  // from what they have left
    CHECK(memory_use().cached < (std::size_t{1} << 20));
  }
}

TEST_CASE("a thread that only drops keeps little of it") {
  constexpr std::size_t n = 20000;
  std::size_t cached = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<Tensor<double>> made;
    for (std::size_t i = 0; i < n; ++i) made.push_back(ones<double>({8}));
    std::thread([&] {
      const Tensor<double> own = ones<double>({8});
      made.clear();
      cached = memory_use().cached;
    }).join();
    CHECK(cached < (std::size_t{2} << 20));
  }
}
