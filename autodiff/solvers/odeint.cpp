// Ordinary differential equations: steps of Dormand and Prince, and gradients by the adjoint equation.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "../base/text.hpp"
#include "../custom.hpp"
#include "../derivatives.hpp"
#include "../elementwise.hpp"
#include "implicit.hpp"
#include "ode.hpp"

namespace xtape::detail {

template <class T>
template <class U>
void Times<T>::set(const Tensor<U>& times) {
  if (times.rank() != 1)
    throw Error("odeint", "times of shape " + to_string(times.shape()) + ": one axis of numbers is needed");
  list_.assign(times.begin(), times.end());
  if (!times.requires_grad()) return;
  if constexpr (std::is_same_v<T, U>)
    tensor_ = times;
  else
    throw Error("odeint", "times have another element type than y, and so no gradient: detach() them");
}

namespace {

/// The steps from the first time to the last, and the values at all. Recorded where recording is on.
template <class T>
class DormandPrince {
 public:
  DormandPrince(const Ode<T>& f, const std::vector<Tensor<T>>& theta, const OdeOptions& options)
      : f_(f), theta_(theta), options_(options) {}

  std::vector<Tensor<T>> run(const Tensor<T>& y0, const std::vector<double>& times) {
    std::vector<Tensor<T>> results{y0};
    double t = times.front();
    const double end = times.back(), sign = end < t ? -1 : 1;
    Tensor<T> y = y0, slope = at(t, y);
    double h = times.size() > 1 ? first_step(t, y, slope, sign, end) : 0, before = 1e-4;
    bool was_refused = false;
    std::size_t next = 1;
    for (; next < times.size() && times[next] == t; ++next) results.push_back(y);
    for (std::size_t steps = 0; next < times.size();) {
      if (++steps > options_.max_steps)
        give_up(t, "more than " + std::to_string(options_.max_steps) + " steps");
      const bool is_last = sign * (t + 1.01 * h - end) > 0;
      if (is_last) h = end - t;
      if (std::abs(h) < 16 * std::numeric_limits<double>::epsilon() * std::abs(t) || !(std::abs(h) > 0))
        give_up(t, "the step has shrunk to " + number_text(h) +
                       ": a singularity, or a stiff equation, for which there is Method::bdf");
      const Step step = advance(t, y, slope, h);
      const double error = error_of(step, y, h);
      if (!(error <= 1)) {  // also of NaN
        h *= std::isfinite(error) ? std::max(0.2, 0.9 * std::pow(error, -0.2)) : 0.1;
        was_refused = true;
        continue;
      }
      const double to = is_last ? end : t + h;
      for (; next < times.size() && sign * (times[next] - to) <= 0; ++next)
        results.push_back(times[next] == to ? step.y : between(step, y, h, (times[next] - t) / h));
      t = to;
      y = step.y;
      slope = step.k[6];
      // Hairer's controller, which looks at the last error, too.
      const double grown = 0.9 * std::pow(std::max(error, 1e-10), -0.17) * std::pow(before, 0.04);
      h *= std::clamp(grown, 0.2, was_refused ? 1.0 : 10.0);
      before = std::max(error, 1e-4);
      was_refused = false;
    }
    return results;
  }

 private:
  struct Step {
    Tensor<T> y;
    std::array<Tensor<T>, 7> k;
  };
  using Weights = std::array<double, 7>;

  Tensor<T> at(double t, const Tensor<T>& y) const { return slope_at(f_, t, y, theta_); }
  [[noreturn]] static void give_up(double t, const std::string& why) {
    throw Error("odeint", "at t = " + number_text(t) + " " + why);
  }
  /// y + h Σ weights k
  static Tensor<T> moved(const Tensor<T>& y, double h, const std::array<Tensor<T>, 7>& k,
                         const Weights& weights) {
    Tensor<T> sum = y;
    for (std::size_t i = 0; i < 7; ++i)
      if (weights[i] != 0) sum = sum + static_cast<T>(h * weights[i]) * k[i];
    return sum;
  }
  Step advance(double t, const Tensor<T>& y, const Tensor<T>& slope, double h) const {
    static constexpr std::array<double, 7> c{0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
    static constexpr std::array<Weights, 7> a{
        {{},
         {1.0 / 5},
         {3.0 / 40, 9.0 / 40},
         {44.0 / 45, -56.0 / 15, 32.0 / 9},
         {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
         {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
         {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}}};
    Step step;
    step.k[0] = slope;
    for (std::size_t i = 1; i < 7; ++i) {
      step.y = moved(y, h, step.k, a[i]);
      step.k[i] = at(t + c[i] * h, step.y);
    }
    return step;
  }
  double error_of(const Step& step, const Tensor<T>& y, double h) const {
    static constexpr Weights e{71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                               -17253.0 / 339200, 22.0 / 525, -1.0 / 40};
    double total = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      double error = 0;
      for (std::size_t k = 0; k < 7; ++k) error += e[k] * static_cast<double>(step.k[k].data()[i]);
      error = h * error / scale_at(y, step.y, i);
      total += error * error;
    }
    return y.size() == 0 ? 0 : std::sqrt(total / static_cast<double>(y.size()));
  }
  double scale_at(const Tensor<T>& a, const Tensor<T>& b, std::size_t i) const {
    return options_.atol + options_.rtol * std::max(std::abs(static_cast<double>(a.data()[i])),
                                                    std::abs(static_cast<double>(b.data()[i])));
  }
  /// y at t + part h, to order 4.
  static Tensor<T> between(const Step& step, const Tensor<T>& y, double h, double part) {
    static constexpr Weights d{-12715105075.0 / 11282082432,  0,
                               87487479700.0 / 32700410799,   -10690763975.0 / 1880347072,
                               701980252875.0 / 199316789632, -1453857185.0 / 822651844,
                               69997945.0 / 29380423};
    const auto p = static_cast<T>(part), rest = static_cast<T>(1 - part), step_size = static_cast<T>(h);
    const Tensor<T> change = step.y - y, first = step_size * step.k[0] - change;
    const Tensor<T> second = change - step_size * step.k[6] - first, fourth = moved(y * 0, h, step.k, d);
    return y + p * (change + rest * (first + p * (second + rest * fourth)));
  }
  /// Of about the size that makes an error of 1 % of what is allowed (Hairer, section II.4).
  double first_step(double t, const Tensor<T>& y, const Tensor<T>& slope, double sign, double end) const {
    const auto size_of = [&](const Tensor<T>& x) {
      double total = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double part = static_cast<double>(x.data()[i]) / scale_at(y, y, i);
        total += part * part;
      }
      return std::sqrt(total / std::max<double>(1, static_cast<double>(x.size())));
    };
    const double of_y = size_of(y), of_slope = size_of(slope);
    if (!std::isfinite(of_y) || !std::isfinite(of_slope)) give_up(t, "y or dy/dt is not finite");
    double h = of_y < 1e-5 || of_slope < 1e-5 ? 1e-6 : 0.01 * of_y / of_slope;
    h = std::min(h, std::abs(end - t));
    const NoGrad off;
    const Tensor<T> there = at(t + sign * h, y + static_cast<T>(sign * h) * slope);
    const double curvature = size_of(there - slope) / h, most = std::max(of_slope, curvature);
    const double next = most <= 1e-15 ? std::max(1e-6, h * 1e-3) : std::pow(0.01 / most, 0.2);
    return sign * std::min({100 * h, std::isfinite(next) ? next : h, std::abs(end - t)});
  }

  const Ode<T>& f_;
  const std::vector<Tensor<T>>& theta_;
  const OdeOptions& options_;
};

/// The gradients of y0 and θ from g, those of the results `ys`: backward in time go y, its adjoint a with
/// da/dt = -aᵀ ∂f/∂y, and that of θ, with dθ̄/dt = -aᵀ ∂f/∂θ.
template <class T>
std::vector<Tensor<T>> adjoint(const Ode<T>& f, const Tensor<T>& ys, const Tensor<T>& g,
                               const std::vector<double>& times, const std::vector<Tensor<T>>& theta,
                               const OdeOptions& options) {
  const auto row = [](const Tensor<T>& x, std::size_t i) { return slice(x, static_cast<std::ptrdiff_t>(i)); };
  std::vector<Tensor<T>> gradients{row(g, times.size() - 1)};
  for (const Tensor<T>& p : theta) gradients.push_back(zeros<T>(p.shape()));
  std::vector<Tensor<T>> like = values_of(gradients);
  like.insert(like.begin(), like.front());
  const Ode<T> backward = [f, like](T t, const Tensor<T>& state, const std::vector<Tensor<T>>& p) {
    const std::vector<Tensor<T>> parts = unpacked(state, like);
    std::vector<Tensor<T>> x{parts[0]};
    x.insert(x.end(), p.begin(), p.end());
    const auto of = [&](const std::vector<Tensor<T>>& list) { return slope_of_list<T>(f, t, list); };
    auto [slope, products] = detail::vjp<T>(of, x, -parts[1], {.create_graph = recording});
    products.insert(products.begin(), slope);
    return packed(products);
  };
  for (std::size_t i = times.size() - 1; i > 0; --i) {
    std::vector<Tensor<T>> state{row(ys, i)};
    state.insert(state.end(), gradients.begin(), gradients.end());
    const Tensor<T> both = ode_solution<T>(backward, packed(state), {times[i], times[i - 1]}, theta, options);
    state = unpacked(row(both, 1), like);
    gradients.assign(state.begin() + 1, state.end());
    gradients[0] = gradients[0] + row(g, i - 1);
  }
  return gradients;
}

/// y, with first derivatives in reverse mode alone.
template <class T>
Tensor<T> differentiable_once(const Tensor<T>& y) {
  return custom<T>("odeint", {y}, y.detach(), [](const Tensor<T>& g) {
    if (recording)
      throw Error("odeint",
                  "with times that require a gradient there are first derivatives, in reverse mode, alone: f "
                  "takes t as a number, so that ∂f/∂t is not known. detach() the times");
    return std::vector<Tensor<T>>{g};
  });
}

/// The values that solve(y0) gives, with the gradients of times: when t_k moves by dt, y(t_k) moves by f dt;
/// when t_0 does, the solution is that from y0 - f dt.
template <class T, class F>
Tensor<T> with_times(const F& solve, const Ode<T>& f, const Tensor<T>& y0, const Times<T>& times,
                     const std::vector<Tensor<T>>& theta) {
  if (!times.tensor().defined()) return solve(y0);
  const std::vector<Tensor<T>> values = values_of(theta);
  const auto slope = [&](std::size_t k, const Tensor<T>& y) {
    const NoGrad off;
    return slope_at(f, times.list()[k], y.detach(), values);
  };
  const Tensor<T> dt = times.tensor() - times.tensor().detach();
  const Tensor<T> ys = solve(y0 - slice(dt, 0) * slope(0, y0));
  std::vector<Tensor<T>> slopes;
  for (std::size_t k = 0; k < times.list().size(); ++k)
    slopes.push_back(slope(k, slice(ys.detach(), static_cast<std::ptrdiff_t>(k))));
  std::vector<std::size_t> column(ys.rank(), 1);
  column[0] = slopes.size();
  return differentiable_once(ys + reshape(dt, Dims(column)) * stack(slopes));
}

}  // namespace

template <class T>
Tensor<T> ode_solution(const Ode<T>& f, const Tensor<T>& y0, const std::vector<double>& times,
                       const std::vector<Tensor<T>>& theta, const OdeOptions& options) {
  const bool is_stiff = options.method == Method::bdf && y0.size() > 0;
  std::vector<Tensor<T>> inputs{y0};
  inputs.insert(inputs.end(), theta.begin(), theta.end());
  const Tensor<T> ys = [&] {
    const NoGrad off;
    const std::vector<Tensor<T>> values = values_of(theta);
    return is_stiff ? bdf_values(f, y0.detach(), times, values, options)
                    : stack(DormandPrince<T>(f, values, options).run(y0.detach(), times));
  }();
  const auto rule = [is_stiff, f, inputs, times, theta, options](const Tensor<T>& g, const Tensor<T>& y) {
    return is_stiff ? unpacked(bdf_adjoint(f, inputs, g, times, options), inputs)
                    : adjoint(f, y, g, times, theta, options);
  };
  const auto tangent = [f, inputs, times, options](const std::vector<Tensor<T>>& d) {
    return ode_tangent(f, inputs, d, times, options);
  };
  return detail::custom<T>("odeint", inputs, ys, rule, tangent);
}

template <class T>
Tensor<T> odeint(const Ode<T>& f, const Tensor<T>& y0, const Times<T>& given,
                 const std::vector<Tensor<T>>& theta, const OdeOptions& options) {
  const std::vector<double>& times = given.list();
  if (times.empty()) throw Error("odeint", "there are no times");
  for (std::size_t i = 2; i < times.size(); ++i)
    if ((times[i] - times[i - 1]) * (times[1] - times[0]) < 0)
      throw Error("odeint", "times turn at number " + std::to_string(i) + ": they go up or down");
  if (!(options.rtol >= 0) || !(options.atol >= 0) || options.rtol + options.atol == 0)
    throw Error("odeint", "rtol = " + number_text(options.rtol) + ", atol = " + number_text(options.atol) +
                              ": they are 0 or more, and not both 0");
  if (options.method == Method::bdf && !options.adjoint)
    throw Error("odeint", "Method::bdf has gradients by the adjoint: leave adjoint = true");
  const auto solve = [&](const Tensor<T>& start) {
    return options.adjoint ? ode_solution(f, start, times, theta, options)
                           : stack(DormandPrince<T>(f, theta, options).run(start, times));
  };
  if (options.adjoint)
    require_no_other_leaf("odeint",
                          [&] { return f(static_cast<T>(times.front()), y0.detach(), values_of(theta)); });
  return with_times(solve, f, y0, given, theta);
}

#define XTAPE_INSTANTIATE(T)                                                                                 \
  template class Times<T>;                                                                                   \
  template void Times<T>::set(const Tensor<float>&);                                                         \
  template void Times<T>::set(const Tensor<double>&);                                                        \
  template Tensor<T> ode_solution(const Ode<T>&, const Tensor<T>&, const std::vector<double>&,               \
                                  const std::vector<Tensor<T>>&, const OdeOptions&);                         \
  template Tensor<T> odeint(const Ode<T>&, const Tensor<T>&, const Times<T>&, const std::vector<Tensor<T>>&, \
                            const OdeOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
