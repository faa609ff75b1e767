// The formulas are those of the paper, in its numbering; x₁ is `at(x, 0)` here.
#include "more_garbow_hillstrom.hpp"

#include <cmath>
#include <limits>
#include <numbers>

#include <autodiff/autodiff.hpp>

namespace xtape::test {
namespace {

using X = Tensor<double>;

X at(const X& x, std::size_t i) { return slice(x, static_cast<std::ptrdiff_t>(i)); }
X part(const X& x, std::size_t from, std::size_t to) {
  return slice(x, xt::range(static_cast<std::ptrdiff_t>(from), static_cast<std::ptrdiff_t>(to)));
}
/// Every second, third, … element from one on.
X every(const X& x, std::size_t from, std::size_t step) {
  return slice(x, xt::range(static_cast<std::ptrdiff_t>(from), static_cast<std::ptrdiff_t>(x.size()),
                            static_cast<std::ptrdiff_t>(step)));
}
/// from, from + 1, …, to.
X count(double from, double to) { return arange<double>(from, to + 0.5); }
X one(const X& x) { return reshape(x, {1}); }
std::vector<double> repeated(std::initializer_list<double> numbers, std::size_t times) {
  std::vector<double> all;
  for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), numbers);
  return all;
}
/// g(1), …, g(n).
template <class G>
std::vector<double> made(std::size_t n, const G& g) {
  std::vector<double> all;
  for (std::size_t i = 1; i <= n; ++i) all.push_back(g(static_cast<double>(i)));
  return all;
}
double number(std::size_t n) { return static_cast<double>(n); }

X rosenbrock(const X& x) { return stack({10 * (at(x, 1) - square(at(x, 0))), 1 - at(x, 0)}); }

X freudenstein_roth(const X& x) {
  const X a = at(x, 0), b = at(x, 1);
  return stack({-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b});
}

X powell_badly_scaled(const X& x) {
  return stack({1e4 * at(x, 0) * at(x, 1) - 1, exp(-at(x, 0)) + exp(-at(x, 1)) - 1.0001});
}

X brown_badly_scaled(const X& x) { return stack({at(x, 0) - 1e6, at(x, 1) - 2e-6, at(x, 0) * at(x, 1) - 2}); }

X beale(const X& x) {
  const X b = at(x, 1), a = at(x, 0);
  return stack({1.5 - a * (1 - b), 2.25 - a * (1 - b * b), 2.625 - a * (1 - b * b * b)});
}

X jennrich_sampson(const X& x) {
  const X i = count(1, 10);
  return 2 + 2 * i - (exp(i * at(x, 0)) + exp(i * at(x, 1)));
}

X helical_valley(const X& x) {
  const X a = at(x, 0), b = at(x, 1), c = at(x, 2);
  const X theta = atan(b / a) / (2 * std::numbers::pi) + 0.5 * (0.0 > a);
  return stack({10 * (c - 10 * theta), 10 * (sqrt(a * a + b * b) - 1), c});
}

X bard(const X& x) {
  const X y{.14, .18, .22, .25, .29, .32, .35, .39, .37, .58, .73, .96, 1.34, 2.10, 4.39};
  const X u = count(1, 15), v = 16 - u, w = minimum(u, v);
  return y - (at(x, 0) + u / (v * at(x, 1) + w * at(x, 2)));
}

X gaussian(const X& x) {
  const X y{.0009, .0044, .0175, .0540, .1295, .2420, .3521, .3989,
            .3521, .2420, .1295, .0540, .0175, .0044, .0009};
  const X t = (8 - count(1, 15)) / 2;
  return at(x, 0) * exp(-at(x, 1) * square(t - at(x, 2)) / 2) - y;
}

X meyer(const X& x) {
  const X y{34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744,
            8261,  7030,  6005,  5147,  4427,  3820,  3307,  2872};
  const X t = 45 + 5 * count(1, 16);
  return at(x, 0) * exp(at(x, 1) / (t + at(x, 2))) - y;
}

/// With y − x₂ in place of the misprint y m i x₂.
X gulf(const X& x) {
  const X t = count(1, 99) / 100, y = 25 + pow(-50 * log(t), 2.0 / 3);
  return exp(-pow(abs(y - at(x, 1)), at(x, 2)) / at(x, 0)) - t;
}

X box(const X& x) {
  const X t = count(1, 10) / 10;
  return exp(-t * at(x, 0)) - exp(-t * at(x, 1)) - at(x, 2) * (exp(-t) - exp(-10 * t));
}

X powell_singular(const X& x) {
  return stack({at(x, 0) + 10 * at(x, 1), std::sqrt(5) * (at(x, 2) - at(x, 3)),
                square(at(x, 1) - 2 * at(x, 2)), std::sqrt(10) * square(at(x, 0) - at(x, 3))});
}

X wood(const X& x) {
  const X a = at(x, 0), b = at(x, 1), c = at(x, 2), d = at(x, 3);
  return stack({10 * (b - a * a), 1 - a, std::sqrt(90) * (d - c * c), 1 - c, std::sqrt(10) * (b + d - 2),
                (b - d) / std::sqrt(10)});
}

X kowalik_osborne(const X& x) {
  const X y{.1957, .1947, .1735, .1600, .0844, .0627, .0456, .0342, .0323, .0235, .0246};
  const X u{4, 2, 1, .5, .25, .167, .125, .1, .0833, .0714, .0625};
  return y - at(x, 0) * (u * u + u * at(x, 1)) / (u * u + u * at(x, 2) + at(x, 3));
}

X brown_dennis(const X& x) {
  const X t = count(1, 20) / 5;
  return square(at(x, 0) + t * at(x, 1) - exp(t)) + square(at(x, 2) + at(x, 3) * sin(t) - cos(t));
}

X osborne_1(const X& x) {
  const X y{.844, .908, .932, .936, .925, .908, .881, .850, .818, .784, .751,
            .718, .685, .658, .628, .603, .580, .558, .538, .522, .506, .490,
            .478, .467, .457, .448, .438, .431, .424, .420, .414, .411, .406};
  const X t = 10 * (count(1, 33) - 1);
  return y - (at(x, 0) + at(x, 1) * exp(-t * at(x, 3)) + at(x, 2) * exp(-t * at(x, 4)));
}

X biggs_exp6(const X& x) {
  const X t = count(1, 13) / 10, y = exp(-t) - 5 * exp(-10 * t) + 3 * exp(-4 * t);
  return at(x, 2) * exp(-t * at(x, 0)) - at(x, 3) * exp(-t * at(x, 1)) + at(x, 5) * exp(-t * at(x, 4)) - y;
}

X osborne_2(const X& x) {
  const X y{1.366, 1.191, 1.112, 1.013, .991, .885, .831, .847, .786, .725, .746, .679, .608,
            .655,  .616,  .606,  .602,  .626, .651, .724, .649, .649, .694, .644, .624, .661,
            .612,  .558,  .533,  .495,  .500, .423, .395, .375, .372, .391, .396, .405, .428,
            .429,  .523,  .562,  .607,  .653, .672, .708, .633, .668, .645, .632, .591, .559,
            .597,  .625,  .739,  .710,  .729, .720, .636, .581, .428, .292, .162, .098, .054};
  const X t = (count(1, 65) - 1) / 10;
  return y - (at(x, 0) * exp(-t * at(x, 4)) + at(x, 1) * exp(-square(t - at(x, 8)) * at(x, 5)) +
              at(x, 2) * exp(-square(t - at(x, 9)) * at(x, 6)) +
              at(x, 3) * exp(-square(t - at(x, 10)) * at(x, 7)));
}

X watson(const X& x) {
  const std::size_t n = x.size();
  const X t = reshape(count(1, 29) / 29, {29, 1}), j = count(1, number(n));
  const X powers = pow(t, j - 1), slopes = (j - 1) * where(j > 1, pow(t, maximum(j - 2, 0.0)), 0.0);
  const X r = matmul(slopes, x) - square(matmul(powers, x)) - 1;
  return concatenate({r, one(at(x, 0)), one(at(x, 1) - square(at(x, 0)) - 1)});
}

X extended_rosenbrock(const X& x) {
  const X odd = every(x, 0, 2), even = every(x, 1, 2);
  return concatenate({10 * (even - square(odd)), 1 - odd});
}

X extended_powell_singular(const X& x) {
  const X a = every(x, 0, 4), b = every(x, 1, 4), c = every(x, 2, 4), d = every(x, 3, 4);
  return concatenate({a + 10 * b, std::sqrt(5) * (c - d), square(b - 2 * c), std::sqrt(10) * square(a - d)});
}

X penalty_1(const X& x) { return concatenate({std::sqrt(1e-5) * (x - 1), one(sum(square(x)) - 0.25)}); }

X penalty_2(const X& x) {
  const std::size_t n = x.size();
  const double a = std::sqrt(1e-5);
  const X i = count(2, number(n)), y = exp(i / 10) + exp((i - 1) / 10), e = exp(x / 10);
  return concatenate({one(at(x, 0) - 0.2), a * (part(e, 1, n) + part(e, 0, n - 1) - y),
                      a * (part(e, 1, n) - std::exp(-0.1)),
                      one(sum((number(n) + 1 - count(1, number(n))) * square(x)) - 1)});
}

X variably_dimensioned(const X& x) {
  const X s = sum(count(1, number(x.size())) * (x - 1));
  return concatenate({x - 1, one(s), one(square(s))});
}

X trigonometric(const X& x) {
  const X c = cos(x);
  return number(x.size()) - sum(c) + count(1, number(x.size())) * (1 - c) - sin(x);
}

X brown_almost_linear(const X& x) {
  const std::size_t n = x.size();
  return concatenate({part(x, 0, n - 1) + sum(x) - (number(n) + 1), one(prod(x) - 1)});
}

/// (x₀, x₁, …, xₙ₊₁) with zeros at both ends.
X with_ends(const X& x) { return concatenate({zeros<double>({1}), x, zeros<double>({1})}); }

X discrete_boundary_value(const X& x) {
  const std::size_t n = x.size();
  const double h = 1 / (number(n) + 1);
  const X t = h * count(1, number(n)), z = with_ends(x);
  return 2 * x - part(z, 0, n) - part(z, 2, n + 2) + h * h / 2 * pow(x + t + 1, 3);
}

X discrete_integral_equation(const X& x) {
  const std::size_t n = x.size();
  const double h = 1 / (number(n) + 1);
  const X t = h * count(1, number(n)), cube = pow(x + t + 1, 3);
  const X lower = cumsum(t * cube), all = (1 - t) * cube, upper = sum(all) - cumsum(all);
  return x + h / 2 * ((1 - t) * lower + t * upper);
}

X broyden_tridiagonal(const X& x) {
  const std::size_t n = x.size();
  const X z = with_ends(x);
  return (3 - 2 * x) * x - part(z, 0, n) - 2 * part(z, 2, n + 2) + 1;
}

X broyden_banded(const X& x) {
  const std::size_t n = x.size();
  const X all = ones<double>({n, n}), band = triu(tril(all, 1), -5) - eye<double>(n);
  return x * (2 + 5 * square(x)) + 1 - matmul(band, x * (1 + x));
}

X linear_full_rank(const X& x) {
  const std::size_t n = x.size(), m = 2 * n;
  const X shared = 2 / number(m) * sum(x) + 1;
  return concatenate({x - shared, broadcast_to(-shared, {m - n})});
}

X linear_rank_1(const X& x) {
  const std::size_t n = x.size(), m = 2 * n;
  return count(1, number(m)) * sum(count(1, number(n)) * x) - 1;
}

X linear_rank_1_with_zeros(const X& x) {
  const std::size_t n = x.size(), m = 2 * n;
  const X j = count(2, number(n) - 1), s = sum(j * part(x, 1, n - 1));
  return concatenate({X{-1.0}, count(1, number(m) - 2) * s - 1, X{-1.0}});
}

X chebyquad(const X& x) {
  const std::size_t n = x.size();
  const X u = 2 * x - 1;
  X before = ones<double>({n}), now = u;
  std::vector<X> r;
  for (std::size_t i = 1; i <= n; ++i) {
    const double integral = i % 2 == 1 ? 0 : -1 / (number(i) * number(i) - 1);
    r.push_back(mean(now) - integral);
    const X next = 2 * u * now - before;
    before = now;
    now = next;
  }
  return stack(r);
}

std::vector<double> boundary_start(std::size_t n) {
  return made(n, [&](double j) { return j / (number(n) + 1) * (j / (number(n) + 1) - 1); });
}

}  // namespace

double SumOfSquares::distance(double value) const {
  double least = std::numeric_limits<double>::infinity();
  for (const double minimum : minima)
    least = std::min(least, std::abs(value - minimum) / (minimum == 0 ? 1e-3 : minimum));
  return least;
}

std::vector<SumOfSquares> more_garbow_hillstrom() {
  const auto equal_parts = [](std::size_t n) {
    return made(n, [&](double j) { return j / (number(n) + 1); });
  };
  const auto all = [](std::size_t n, double x) { return repeated({x}, n); };
  return {
      {1, "Rosenbrock", {-1.2, 1}, {0}, rosenbrock},
      {2, "Freudenstein and Roth", {0.5, -2}, {0, 48.9842}, freudenstein_roth},
      {3, "Powell badly scaled", {0, 1}, {0}, powell_badly_scaled},
      {4, "Brown badly scaled", {1, 1}, {0}, brown_badly_scaled},
      {5, "Beale", {1, 1}, {0}, beale},
      {6, "Jennrich and Sampson", {0.3, 0.4}, {124.362}, jennrich_sampson},
      {7, "Helical valley", {-1, 0, 0}, {0}, helical_valley},
      {8, "Bard", {1, 1, 1}, {8.21487e-3, 17.4286}, bard},
      {9, "Gaussian", {0.4, 1, 0}, {1.12793e-8}, gaussian},
      {10, "Meyer", {0.02, 4000, 250}, {87.9458}, meyer},
      {11, "Gulf research", {5, 2.5, 0.15}, {0}, gulf},
      {12, "Box three-dimensional", {0, 10, 20}, {0}, box},
      {13, "Powell singular", {3, -1, 0, 1}, {0}, powell_singular},
      {14, "Wood", {-3, -1, -3, -1}, {0}, wood},
      {15, "Kowalik and Osborne", {.25, .39, .415, .39}, {3.07505e-4, 1.02734e-3}, kowalik_osborne},
      {16, "Brown and Dennis", {25, 5, -5, -1}, {85822.2}, brown_dennis},
      {17, "Osborne 1", {.5, 1.5, -1, .01, .02}, {5.46489e-5}, osborne_1},
      {18, "Biggs EXP6", {1, 2, 1, 1, 1, 1}, {0, 5.65565e-3}, biggs_exp6},
      {19, "Osborne 2", {1.3, .65, .65, .7, .6, 3, 5, 7, 2, 4.5, 5.5}, {4.01377e-2}, osborne_2},
      {20, "Watson, 6", all(6, 0), {2.28767e-3}, watson},
      {20, "Watson, 9", all(9, 0), {1.39976e-6}, watson},
      {20, "Watson, 12", all(12, 0), {4.72238e-10}, watson},
      {21, "Extended Rosenbrock, 100", repeated({-1.2, 1}, 50), {0}, extended_rosenbrock},
      {22, "Extended Powell singular, 100", repeated({3, -1, 0, 1}, 25), {0}, extended_powell_singular},
      {23, "Penalty I, 4", made(4, [](double j) { return j; }), {2.24997e-5}, penalty_1},
      {23, "Penalty I, 10", made(10, [](double j) { return j; }), {7.08765e-5}, penalty_1},
      {24, "Penalty II, 4", all(4, 0.5), {9.37629e-6}, penalty_2},
      {24, "Penalty II, 10", all(10, 0.5), {2.93660e-4}, penalty_2},
      {25,
       "Variably dimensioned, 10",
       made(10, [](double j) { return 1 - j / 10; }),
       {0},
       variably_dimensioned},
      {26, "Trigonometric, 10", all(10, 0.1), {0, 2.79506e-5}, trigonometric},
      {27, "Brown almost-linear, 10", all(10, 0.5), {0, 1}, brown_almost_linear},
      {28, "Discrete boundary value, 10", boundary_start(10), {0}, discrete_boundary_value},
      {29, "Discrete integral equation, 10", boundary_start(10), {0}, discrete_integral_equation},
      {30, "Broyden tridiagonal, 10", all(10, -1), {0}, broyden_tridiagonal},
      {31, "Broyden banded, 10", all(10, -1), {0}, broyden_banded},
      {32, "Linear, full rank, 10 of 20", all(10, 1), {10}, linear_full_rank},
      {33, "Linear, rank 1, 10 of 20", all(10, 1), {20 * 19 / 2.0 / 41}, linear_rank_1},
      {34,
       "Linear, rank 1, zeros, 10 of 20",
       all(10, 1),
       {(400 + 60 - 6) / 2.0 / 37},
       linear_rank_1_with_zeros},
      {35, "Chebyquad, 7", equal_parts(7), {0}, chebyquad},
      {35, "Chebyquad, 8", equal_parts(8), {3.51687e-3}, chebyquad},
      {35, "Chebyquad, 9", equal_parts(9), {0}, chebyquad},
      {35, "Chebyquad, 10", equal_parts(10), {6.50395e-3}, chebyquad},
  };
}

}  // namespace xtape::test
