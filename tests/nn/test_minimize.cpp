// minimize(): what it finds, why it ends, and what it refuses.
#include <cmath>
#include <limits>
#include <sstream>

#include "../check_close.hpp"

#include <nn/minimize.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Minimizer all_methods[] = {Minimizer::lbfgs, Minimizer::newton_cg, Minimizer::gradient_descent};

/// Rosenbrock's function of a chain of unknowns.
template <class T>
Tensor<T> chained(const Tensor<T>& x) {
  const auto n = static_cast<std::ptrdiff_t>(x.size());
  const auto before = slice(x, xt::range(0, n - 1)), after = slice(x, xt::range(1, n));
  return sum(100 * square(after - square(before)) + square(1 - before));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Rosenbrock's function in 2 and in 1,000 dimensions") {
  const auto two = [](const auto& x) { return chained(x); };
  for (const Minimizer method : all_methods) {
    const auto found = minimize(two, Tensor<double>{-1.2, 1.0}, {.method = method});
    CAPTURE(found.message);
    CHECK(found.converged);
    CHECK(found.gradient_norm <= 1e-8);
    CHECK(contains(found.message, "the largest component of the gradient, "));
    CHECK(contains(found.message, ", is below 1e-08"));
    check_close(found.x, {1.0, 1.0}, 1e-7);
    CHECK(found.value < 1e-14);
    CHECK(found.history.size() == found.iterations + 1);
    CHECK(found.history.front() == doctest::Approx(24.2));
    CHECK(found.history.back() == found.value);
    CHECK((found.products > 0) == (method == Minimizer::newton_cg));
    if (method != Minimizer::gradient_descent) CHECK(found.evaluations < 60);
  }
  for (const Minimizer method : {Minimizer::lbfgs, Minimizer::newton_cg}) {
    const auto found = minimize(two, full<double>({1000}, 0.5), {.method = method});
    CAPTURE(found.message);
    CHECK(found.converged);
    check_close(found.x, ones<double>({1000}), 1e-6);
  }
}

TEST_CASE("several tensors, as a list and one by one, of any shapes") {
  const Tensor<double> A{{3.0, 1.0}, {1.0, 2.0}}, b{1.0, -1.0};
  const auto f = [&](const auto& w, const auto& c) {
    return sum(square(matmul(A, w) - b)) + square(c - 3) + sum(square(w)) * square(c - 3);
  };
  const std::vector<Tensor<double>> x0{zeros<double>({2}), Tensor<double>(0.0)};
  const auto of_list = [&](const std::vector<Tensor<double>>& x) { return f(x[0], x[1]); };
  for (const Minimizer method : all_methods) {
    const auto found = minimize(of_list, x0, {.method = method});
    CHECK(found.converged);
    CHECK(found.x.size() == 2);
    CHECK(found.x[1].rank() == 0);
    check_close(matmul(A, found.x[0]), b, 1e-7);
    CHECK(found.x[1].item() == doctest::Approx(3));
    CHECK(found.gradient[0].shape() == x0[0].shape());
  }
  CHECK(minimize(f, x0).x[1].item() == doctest::Approx(3));
  CHECK(minimize(f, {x0[0], x0[1]}, {.history = 3}).x[1].item() == doctest::Approx(3));
  CHECK_THROWS_WITH_AS(minimize(f, {x0[0]}),
                       "[minimize] f does not take 1 tensors: write it over const std::vector<Tensor<T>>&",
                       Error);
  // A compiled function, x0 a leaf with a gradient of its own, and a caller that does not record.
  auto w = parameter<double>({0.0, 0.0});
  sum(w).backward();
  const NoGrad no_grad;
  const auto compiled = compile([&](const Tensor<double>& x) { return squared_norm(matmul(A, x) - b); });
  for (const Minimizer method : all_methods)
    check_close(matmul(A, minimize(compiled, w, {.method = method}).x), b, 1e-6);
  check_close(w, {0.0, 0.0}, 0);
  check_close(w.grad(), {1.0, 1.0}, 0);
}

TEST_CASE("line searches, and steps without one") {
  const auto f = [](const auto& x) { return chained(x); };
  for (const Minimizer method : {Minimizer::lbfgs, Minimizer::gradient_descent})
    for (const LineSearch search : {LineSearch::strong_wolfe, LineSearch::backtracking}) {
      const auto found = minimize(f, Tensor<double>{-1.2, 1.0},
                                  {.method = method, .line_search = search, .max_iterations = 50000});
      CAPTURE(found.message);
      CHECK(found.converged);
      check_close(found.x, {1.0, 1.0}, 1e-6);
    }
  const auto bowl = [](const auto& x) { return sum(square(x) * Tensor<double>{1.0, 4.0}) / 10; };
  CHECK(minimize(bowl, Tensor<double>{3.0, 2.0}, {.line_search = LineSearch::none}).converged);
  // From far away, where f is first flat and then infinite.
  for (const double start : {1e-3, 30.0, 700.0}) {
    const auto found = minimize([](const auto& x) { return exp(x) - 2 * x; }, Tensor<double>(start));
    CAPTURE(found.message);
    CHECK(found.x.item() == doctest::Approx(std::log(2)));
  }
}

TEST_CASE("where f is no number the search goes back") {
  for (const Minimizer method : all_methods) {
    const auto log_barrier = [](const auto& x) { return sum(x - 1e-3 * log(x)); };
    const auto found = minimize(log_barrier, Tensor<double>{5.0, 1e-5}, {.method = method});
    CAPTURE(found.message);
    CHECK(found.converged);
    check_close(found.x, {1e-3, 1e-3}, 1e-5);
    const auto root = [](const auto& x) { return sum(x - 2 * sqrt(x - 1)); };  // NaN below 1
    check_close(minimize(root, Tensor<double>{1.5, 9.0}, {.method = method}).x, {2.0, 2.0}, 1e-6);
  }
}

TEST_CASE("Newton-CG goes along negative curvature, and exactly where f is quadratic or linear in parts") {
  const auto saddle = [](const auto& x) {
    const auto a = slice(x, 0), b = slice(x, 1);
    return square(a) + square(square(b)) / 4 - square(b) / 2;
  };
  const auto found = minimize(saddle, Tensor<double>{1.0, 1e-6}, {.method = Minimizer::newton_cg});
  CHECK(found.converged);
  CHECK(found.value == doctest::Approx(-0.25));
  const Tensor<double> A{{4.0, 1.0, 0.0}, {1.0, 3.0, 1.0}, {0.0, 1.0, 2.0}}, b{1.0, 2.0, 3.0};
  const auto quadratic = [&](const auto& x) { return dot(x, matmul(A, x)) / 2 - dot(b, x); };
  const auto one = minimize(quadratic, zeros<double>({3}), {.method = Minimizer::newton_cg});
  CHECK(one.iterations <= 6);
  check_close(matmul(A, one.x), b, 1e-8);
  const auto linear = minimize([](const auto& x) { return sum(x); }, zeros<double>({3}),
                               {.method = Minimizer::newton_cg, .lower = Tensor<double>(-2.0)});
  CHECK(linear.converged);
  check_close(linear.x, {-2.0, -2.0, -2.0}, 0);
}

TEST_CASE("bounds: the minimum within, at edges and in corners") {
  const auto f = [](const auto& x) { return chained(x); };
  for (const Minimizer method : all_methods) {
    CAPTURE(static_cast<int>(method));
    const auto edge =
        minimize(f, Tensor<double>{-1.2, 1.0}, {.method = method, .upper = Tensor<double>{0.5, infinity}});
    CAPTURE(edge.message);
    CHECK(edge.converged);
    check_close(edge.x, {0.5, 0.25}, 1e-7);
    const auto inside = minimize(f, Tensor<double>{-1.2, 1.0},
                                 {.method = method, .lower = Tensor<double>(-2), .upper = Tensor<double>(2)});
    check_close(inside.x, {1.0, 1.0}, 1e-6);
    CHECK(contains(inside.message, "the largest component of the projected gradient, "));
    // x0 outside; a corner; a bound for one of two tensors, and one that leaves a single number.
    const auto g = [](const auto& a, const auto& b) { return sum(square(a + 3)) + sum(square(b - a)); };
    const auto corner =
        minimize(g, {Tensor<double>{-9.0, 9.0}, Tensor<double>{5.0, 5.0}},
                 {.method = method, .lower = {Tensor<double>{0.0, 1.0}, {}}, .upper = {{2.0, 1.0}, {}}});
    CAPTURE(corner.message);
    CHECK(corner.converged);
    check_close(corner.x[0], {0.0, 1.0}, 0);
    check_close(corner.x[1], {0.0, 1.0}, 1e-7, 1e-8);
  }
  // Many unknowns, half of them at their bounds.
  const auto target = linspace<double>(-1, 1, 101);
  for (const Minimizer method : {Minimizer::lbfgs, Minimizer::newton_cg}) {
    const auto h = [&](const auto& x) {
      return sum(square(x - target) * arange<double>(1, 102)) + square(sum(x)) / 100;
    };
    const auto many = minimize(h, ones<double>({101}), {.method = method, .lower = Tensor<double>(0.0)});
    CAPTURE(many.message);
    CHECK(many.converged);
    for (std::size_t i = 0; i < 101; ++i) {
      const double x = many.x.data()[i], g = many.gradient.data()[i];
      CHECK((x > 0 ? std::abs(g) <= 1e-8 : g >= 0));
    }
  }
}

TEST_CASE("random problems with bounds: all methods find the same minimum") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    random::seed(seed);
    const std::size_t n = 20;
    const auto A = random::normal<double>({n, n}), y = random::normal<double>({n});
    const Tensor<double> low = -0.3 * abs(random::normal<double>({n})),
                         high = 0.3 * abs(random::normal<double>({n}));
    const auto residuals = [&](const auto& x) { return matmul(A, sin(x)) + 0.3 * matmul(A, x) - y; };
    const auto f = [&](const auto& x) { return squared_norm(residuals(x)) / 2; };
    const auto first = minimize(f, zeros<double>({n}), {.lower = low, .upper = high});
    CHECK(first.converged);
    for (const Minimizer method : {Minimizer::newton_cg, Minimizer::gradient_descent}) {
      const auto other = minimize(f, zeros<double>({n}), {.method = method, .lower = low, .upper = high});
      CAPTURE(other.message);
      CHECK(other.converged);
      CHECK(other.value == doctest::Approx(first.value).epsilon(1e-9));
    }
    for (const JacobianUse use : {JacobianUse::whole, JacobianUse::products}) {
      const auto other =
          least_squares(residuals, zeros<double>({n}), {.jacobian = use, .lower = low, .upper = high});
      CAPTURE(other.message);
      CHECK(other.converged);
      CHECK(other.value == doctest::Approx(first.value).epsilon(1e-7));
    }
  }
}

TEST_CASE("a callback sees each iteration and may end it; progress is a line each") {
  const auto f = [](const auto& x) { return chained(x); };
  for (const Minimizer method : all_methods) {
    std::vector<double> values;
    const auto found = minimize(f, Tensor<double>{-1.2, 1.0},
                                {.method = method, .callback = [&](const auto& at) {
                                   CHECK(at.number == values.size());
                                   CHECK(at.value == doctest::Approx(chained(at.x).item()).epsilon(1e-14));
                                   CHECK(at.step >= 0);
                                   CHECK(at.evaluations > at.number);
                                   values.push_back(at.value);
                                   return values.size() < 4;
                                 }});
    CHECK(!found.converged);
    CHECK(found.message == "the callback ended it after 3 iterations");
    CHECK(found.iterations == 3);
    CHECK(found.history == values);
  }
  std::ostringstream out;
  const auto found = minimize(f, Tensor<double>{-1.2, 1.0}, {.progress = &out, .progress_every = 10});
  CHECK(contains(out.str(), "iteration     0  f  2.420000e+01  gradient  2.16e+02  evaluations     1\n"));
  CHECK(contains(out.str(), "iteration    10  f "));
  CHECK(!contains(out.str(), "iteration    11  f "));
  CHECK(contains(out.str(), found.message + "\n"));
}

TEST_CASE("messages say why it ended") {
  const auto f = [](const auto& x) { return chained(x); };
  const Tensor<double> x0{-1.2, 1.0};
  const auto message = [&](const auto& g, const MinimizeOptions<Tensor<double>>& options) {
    return minimize(g, x0, options).message;
  };
  CHECK(
      contains(message(f, {.max_iterations = 5}), "after 5 iterations, as many as max_iterations allows, "));
  CHECK(contains(message(f, {.max_iterations = 1}), "after 1 iteration, "));
  for (const Minimizer method : all_methods) {
    CHECK(contains(message(f, {.method = method, .max_evaluations = 7}),
                   "as many as max_evaluations allows, "));
    CHECK(minimize(f, x0, {.method = method, .max_evaluations = 7}).evaluations <= 7);
    CHECK(message([](const auto& x) { return sum(log(x)); }, {.method = method}) == "f is NaN at the start");
    CHECK(message([](const auto& x) { return sum(x) / 0.0; }, {.method = method}) ==
          "f is infinite at the start");
    CHECK(message([&](const auto& x) { return sum(sqrt(x - x0)); }, {.method = method}) ==
          "f is 0 at the start, and its gradient inf in element 0");
    CHECK(message([](const auto& x) { return sum(0.0 * x); }, {.method = method}) == "the gradient is 0");
    CHECK(contains(message(f, {.method = method, .value_tolerance = 0.5, .max_iterations = 100000}),
                   "the last step changed f by "));
    CHECK(contains(message(f, {.method = method, .step_tolerance = 0.1}),
                   "the last step changed no unknown by more than "));
    // Down to the last digit of f.
    const auto offset = minimize([&](const auto& x) { return 1e4 + f(x); }, x0,
                                 {.method = method, .gradient_tolerance = 0, .max_iterations = 100000});
    CAPTURE(offset.message);
    CHECK(offset.value == doctest::Approx(1e4).epsilon(1e-14));
    // A gradient of the wrong sign.
    const auto wrong = [](const auto& x) {
      return custom<double>("wrong", {x}, squared_norm(x.detach()),
                            [x](const auto& g) { return std::vector<Tensor<double>>{-2 * g * x}; });
    };
    const auto lost = minimize(wrong, x0, {.method = method});
    CHECK(!lost.converged);
    CHECK(contains(lost.message, "no step along the direction decreases f below 2.44"));
    CHECK(contains(lost.message, "is the gradient right? check_gradients(f, x) tells"));
  }
  for (const Minimizer method : all_methods) {
    const auto straight = minimize([](const auto& x) { return sum(x); }, x0, {.method = method});
    CAPTURE(straight.message);
    CHECK(!straight.converged);
    CHECK(contains(straight.message, "no minimum"));
    const auto falling =
        minimize([](const auto& x) { return -exp(x); }, Tensor<double>(1.0), {.method = method});
    CAPTURE(falling.message);
    CHECK(!falling.converged);
    if (method != Minimizer::newton_cg)  // stays where squares of the gradient overflow
      CHECK(contains(falling.message, "f has no minimum: from "));
    CHECK(std::isfinite(falling.value));
  }
}

TEST_CASE("in float") {
  for (const Minimizer method : all_methods) {
    const auto found =
        minimize([](const auto& x) { return chained(x); }, Tensor<float>{-1.2f, 1.0f}, {.method = method});
    CAPTURE(found.message);
    CHECK(found.converged);
    check_close(found.x, {1, 1}, 2e-3);
  }
  const auto bounded = minimize([](const auto& x) { return chained(x); }, Tensor<float>{-1.2f, 1.0f},
                                {.upper = Tensor<float>{0.5f, 2.0f}});
  check_close(bounded.x, {0.5f, 0.25f}, 1e-3);
}

TEST_CASE("errors say what is wrong with f, x0 and the options") {
  const auto f = [](const auto& x) { return squared_norm(x); };
  const Tensor<double> x0{1.0, 2.0};
  const auto refused = [&](const auto& g, const Tensor<double>& start,
                           const MinimizeOptions<Tensor<double>>& options, const char* text) {
    CHECK_THROWS_WITH_AS(minimize(g, start, options), text, Error);
  };
  refused([](const auto& x) { return 2 * x; }, x0, {},
          "[minimize] f returns the shape (2,), and a function to be minimised gives one element: take its "
          "sum() or "
          "mean(); for residuals there is least_squares()");
  refused([](const auto&) { return Tensor<double>(3.0); }, x0, {},
          "[minimize] f does not depend on x: it must compute with the tensors that it is given, outside of "
          "NoGrad, "
          "and without detach(), item() and data()");
  refused([](const auto&) { return Tensor<double>(); }, x0, {},
          "[minimize] f returns a tensor without a value");
  refused(f, Tensor<double>{1.0, std::nan("")}, {},
          "[minimize] x0 is not finite: element 1 of the shape (2,) is nan");
  refused(f, Tensor<double>(), {}, "[minimize] x0 is a tensor without a value");
  refused(f, zeros<double>({0, 2}), {}, "[minimize] x0 has no elements: its shape is (0, 2)");
  refused(f, x0, {.lower = Tensor<double>{0.0, 3.0}, .upper = Tensor<double>{0.0, 2.0}},
          "[minimize] the bounds leave nothing to unknown 1: lower is 3, upper 2");
  refused(f, x0, {.lower = Tensor<double>(infinity)},
          "[minimize] the bounds leave nothing to unknown 0: lower is inf, upper inf");
  refused(f, x0, {.upper = Tensor<double>{1.0, std::nan("")}},
          "[minimize] the bounds leave nothing to unknown 1: lower is -inf, upper nan");
  refused(f, x0, {.lower = zeros<double>({3})},
          "[minimize] lower of the shape (3,) does not broadcast to that of x0, (2,)");
  refused(f, x0, {.gradient_tolerance = -1}, "[minimize] gradient_tolerance -1 is negative");
  const auto of_list = [](const std::vector<Tensor<double>>& x) { return squared_norm(x[0]); };
  CHECK_THROWS_WITH_AS(minimize(of_list, std::vector<Tensor<double>>()),
                       "[minimize] there are no unknowns: x0 is an empty list", Error);
  CHECK_THROWS_WITH_AS(minimize(of_list, std::vector<Tensor<double>>{x0, x0}, {.lower = {x0}}),
                       "[minimize] lower has 1 tensor, x0 2", Error);
}
