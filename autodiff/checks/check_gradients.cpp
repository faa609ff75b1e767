// Central differences against the tape: entry by entry, or along random directions.
#include "../check_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <random>

#include "../elementwise.hpp"
#include "../grad.hpp"
#include "../layout.hpp"

namespace xtape {
namespace detail {
namespace {

template <class T>
class Checker {
 public:
  Checker(const Function<T>& f, const std::vector<Tensor<T>>& x, const CheckOptions& options, double step,
          bool create_graph = false)
      : f_(f), options_(options), step_(step), create_graph_(create_graph) {
    for (const Tensor<T>& one : x) x_.push_back(parameter(one));
    sums_.resize(x.size());
  }

  /// Checks the first derivatives of f.
  GradientReport run(int order) {
    report_.order = order;
    const Tensor<T> y = f_(x_);
    value_scale_ = 0;
    for (const T v : y) value_scale_ = std::max(value_scale_, std::abs(static_cast<double>(v)));
    std::size_t n = 0;
    for (const Tensor<T>& one : x_) n += one.size();
    if (n * y.size() <= options_.full_limit)
      check_entries(y);
    else
      check_projections(y);
    finish();
    return report_;
  }

 private:
  /// f with x moved along a direction that `move` adds; values only.
  Tensor<T> shifted(const std::vector<Tensor<T>>& direction, double by) const {
    const RecordingScope on(true);  // f may differentiate inside
    std::vector<Tensor<T>> moved;
    for (std::size_t i = 0; i < x_.size(); ++i)
      moved.push_back(parameter((x_[i].detach() + static_cast<T>(by) * direction[i]).detach()));
    return f_(moved).detach();
  }

  std::vector<Tensor<T>> gradients(const Tensor<T>& y, const Tensor<T>& seed) const {
    if (y.requires_grad())
      return grad(y, x_, {.seed = seed, .retain_tape = true, .create_graph = create_graph_});
    std::vector<Tensor<T>> zero;
    for (const Tensor<T>& one : x_) zero.push_back(zeros<T>(one.shape()));
    return zero;
  }

  void check_entries(const Tensor<T>& y) {
    std::vector<std::vector<Tensor<T>>> rows;  // one gradient per element of y
    for (std::size_t j = 0; j < y.size(); ++j) {
      Tensor<T> seed = zeros<T>(y.shape());
      seed.mutable_data()[j] = T(1);
      rows.push_back(gradients(y, seed));
    }
    for (std::size_t i = 0; i < x_.size(); ++i)
      for (std::size_t k = 0; k < x_[i].size(); ++k) {
        std::vector<Tensor<T>> unit;
        for (const Tensor<T>& one : x_) unit.push_back(zeros<T>(one.shape()));
        unit[i].mutable_data()[k] = T(1);
        Line line(*this, std::move(unit), y.shape());
        for (std::size_t j = 0; j < y.size(); ++j)
          compare({i, index_text(k, x_[i].shape()), index_text(j, y.shape()),
                   static_cast<double>(rows[j][i].data()[k])},
                  line, y, [&](const Tensor<T>& f) { return static_cast<double>(f.data()[j]); });
      }
  }

  void check_projections(const Tensor<T>& y) {
    std::mt19937_64 engine(options_.seed);
    const auto random_signs = [&](const Shape& shape) {
      Tensor<T> t = Tensor<T>::uninitialized(shape);
      for (std::size_t i = 0; i < t.size(); ++i) t.mutable_data()[i] = engine() & 1u ? T(1) : T(-1);
      return t;
    };
    // One input after the other, so that a mistake in one is not hidden by the others.
    for (int p = 0; p < options_.projections; ++p) {
      const Tensor<T> weights = random_signs(y.shape());
      const std::vector<Tensor<T>> g = gradients(y, weights);
      for (std::size_t i = 0; i < x_.size(); ++i) {
        std::vector<Tensor<T>> direction;
        for (std::size_t k = 0; k < x_.size(); ++k)
          direction.push_back(k == i ? random_signs(x_[k].shape()) : zeros<T>(x_[k].shape()));
        const auto dot = [](const Tensor<T>& a, const Tensor<T>& b) {
          double total = 0;
          for (std::size_t k = 0; k < a.size(); ++k)
            total += static_cast<double>(a.data()[k]) * static_cast<double>(b.data()[k]);
          return total;
        };
        const double analytic = dot(g[i], direction[i]);
        Line line(*this, std::move(direction), y.shape());
        compare({i, "random direction " + std::to_string(p), "random weights", analytic}, line, y,
                [&](const Tensor<T>& f) { return dot(f, weights); });
      }
    }
  }

  static void require_shape(const Tensor<T>& moved, const Shape& shape) {
    if (!(moved.shape() == shape))
      throw Error("check_gradients", "f returned shape " + to_string(shape) + ", and " +
                                         to_string(moved.shape()) +
                                         " a step away: it must not depend on the values");
  }

  /// f a step up and a step down from x.
  struct Step {
    Tensor<T> above, below;
    double up, down;      ///< how long the steps are, after rounding where one element moves
    double rounding = 0;  ///< of their length, relative, where that is not known
  };

  /// Steps of several lengths along a direction, a decade apart, each made when it is first asked for.
  class Line {
   public:
    Line(const Checker& checker, std::vector<Tensor<T>> direction, const Shape& shape)
        : checker_(checker), direction_(std::move(direction)), shape_(shape) {
      double smallest = std::numeric_limits<double>::infinity();
      each_moved([&](double x, double) {
        ++moved_;
        if (x != 0) smallest = std::min(smallest, std::abs(x));
        largest_ = std::max(largest_, std::abs(x));
      });
      const double step = checker.step_;
      const auto decades = [](double ratio) { return std::ceil(std::log10(ratio) - 1e-9); };
      const double narrower = std::clamp(decades(1 / smallest), 2.0, 12.0);
      const double wider = std::clamp(decades(1e-3 * std::max(1.0, largest_) / step), 1.0, 30.0);
      default_ = static_cast<std::size_t>(narrower);
      for (double e = -narrower; e <= wider; ++e) lengths_.push_back(step * std::pow(10, e));
      steps_.resize(lengths_.size());
    }
    std::size_t size() const { return steps_.size(); }
    /// The number of the step that was asked for.
    std::size_t default_step() const { return default_; }
    /// The step that was asked for is wider than what it moves.
    bool is_wide() const { return largest_ > 0 && checker_.step_ > 1e-2 * largest_; }
    const Step& operator[](std::size_t i) {
      Step& step = steps_[i];
      if (step.above.defined()) return step;
      const double length = lengths_[i];
      step = {checker_.shifted(direction_, length), checker_.shifted(direction_, -length), length, length,
              static_cast<double>(std::numeric_limits<T>::epsilon()) * largest_ / length};
      require_shape(step.above, shape_);
      if (moved_ == 1)
        each_moved([&](double x, double d) {
          const T at = static_cast<T>(x), by = static_cast<T>(length) * static_cast<T>(d);
          step.up = (static_cast<double>(static_cast<T>(at + by)) - x) / d;
          step.down = (x - static_cast<double>(static_cast<T>(at - by))) / d;
          step.rounding = 0;
        });
      return step;
    }

   private:
    template <class Visit>
    void each_moved(Visit visit) const {
      for (std::size_t i = 0; i < direction_.size(); ++i)
        for (std::size_t k = 0; k < direction_[i].size(); ++k)
          if (direction_[i].data()[k] != T(0))
            visit(static_cast<double>(checker_.x_[i].data()[k]),
                  static_cast<double>(direction_[i].data()[k]));
    }

    const Checker& checker_;
    std::vector<Tensor<T>> direction_;
    Shape shape_;
    std::size_t moved_ = 0, default_ = 0;
    double largest_ = 0;
    std::vector<double> lengths_;
    std::vector<Step> steps_;
  };

  /// What one step shows.
  struct Slopes {
    double numeric, left, right;
    double error;  ///< of `numeric`, by rounding

    bool is_kink() const {
      return std::abs(right - left) > 1e-2 * std::max({1.0, std::abs(left), std::abs(right)}) + error;
    }
  };

  template <class Read>
  Slopes slopes(const Step& step, const Tensor<T>& y, Read read) const {
    const double above = read(step.above), at = read(y), below = read(step.below);
    const double length = (step.up + step.down) / 2, numeric = (above - below) / (2 * length);
    const double rounding =
        8 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::max(value_scale_, std::abs(at));
    const double error = step.rounding < 0.1 ? rounding / length + step.rounding * std::abs(numeric)
                                             : std::numeric_limits<double>::infinity();
    return {numeric, (at - below) / step.down, (above - at) / step.up, error};
  }

  double tolerance(double numeric) const { return options_.atol + options_.rtol * std::abs(numeric); }

  /// How far the tape's derivative is outside of the tolerance.
  double excess(double analytic, double numeric) const {
    if (!std::isfinite(analytic) || !std::isfinite(numeric))
      return analytic == numeric ? 0 : std::numeric_limits<double>::infinity();
    return std::abs(analytic - numeric) - tolerance(numeric);
  }

  /// The narrowest step that shows the derivative: rounding, and the change from the step before for what the
  /// function's curvature does, are well below the tolerance. Without one, the step with the smallest error.
  /// `resolved` is false when that is too large to tell.
  template <class Read>
  Slopes best_slopes(Line& line, const Tensor<T>& y, Read read, double analytic, bool& resolved) const {
    Slopes best{}, before{};
    best.error = std::numeric_limits<double>::infinity();
    bool is_hidden = false;  // by the rounding of some step
    for (std::size_t i = 0; i < line.size(); ++i) {
      const Slopes here = slopes(line[i], y, read);
      if (i >= line.default_step()) is_hidden |= !(excess(analytic, here.numeric) > here.error);
      Slopes s = here;
      s.error += i == 0 ? best.error : std::abs(here.numeric - before.numeric);
      before = here;
      if (s.error < best.error) best = s;
      if (s.error > 0.1 * tolerance(s.numeric) || !std::isfinite(s.error)) continue;
      is_hidden = false;
      best = s;
      break;
    }
    resolved =
        excess(analytic, best.numeric) <= 0 || (excess(analytic, best.numeric) > best.error && !is_hidden);
    return best;
  }

  template <class Read>
  void compare(GradientReport::Entry entry, Line& line, const Tensor<T>& y, Read read) {
    Slopes s = slopes(line[line.default_step()], y, read);
    const bool agrees = excess(entry.analytic, s.numeric) <= 0;
    const bool kink = s.is_kink() && (agrees || slopes(line[0], y, read).is_kink());
    const bool is_clear = agrees && s.error <= 0.1 * tolerance(s.numeric) && !line.is_wide();
    bool resolved = true;
    if (!kink && !is_clear && std::isfinite(entry.analytic)) {
      const Slopes best = best_slopes(line, y, read, entry.analytic, resolved);
      if (std::isfinite(best.error))
        s = best;
      else
        resolved = true;  // f is not finite at any distance
    }
    entry.numeric = s.numeric;
    entry.left = s.left;
    entry.right = s.right;
    double excess_here = excess(entry.analytic, entry.numeric);
    ++report_.compared;
    if (kink) {
      report_.kinks.push_back(entry);
      const auto [low, high] = std::minmax(entry.left, entry.right);
      excess_here = std::max(low - entry.analytic, entry.analytic - high) - tolerance(entry.numeric);
    } else if (!resolved) {
      ++report_.unresolved;
      excess_here = 0;  // worse than what agrees, and not as bad as what differs
    } else if (std::isfinite(entry.numeric) && std::isfinite(entry.analytic)) {
      Sums& sums = sums_[entry.input];
      sums.analytic_numeric += entry.analytic * entry.numeric;
      sums.numeric_numeric += entry.numeric * entry.numeric;
      sums.noise += s.error * s.error;
    }
    nonzero_ |= entry.analytic != 0 || entry.numeric != 0;
    if (excess_here > 0) ++report_.mismatches;
    if (report_.compared == 1 || excess_here > worst_excess_) {
      worst_excess_ = excess_here;
      report_.worst = std::move(entry);
    }
  }

  void finish() {
    report_.all_zero = report_.compared != 0 && !nonzero_;
    report_.passed = report_.mismatches == 0 && report_.unresolved == 0 && !report_.all_zero;
    // A common factor shows far below the tolerance of single entries, once they stand clear of rounding.
    for (const Sums& sums : sums_) {
      if (std::sqrt(sums.numeric_numeric) * options_.rtol / 10 <= 10 * std::sqrt(sums.noise)) continue;
      const double factor = sums.analytic_numeric / sums.numeric_numeric;
      if (std::abs(factor - 1) > std::abs(report_.factor - 1)) report_.factor = factor;
    }
    if (std::abs(report_.factor - 1) > options_.rtol / 10) report_.passed = false;
  }

  /// Of one input: for the factor between its analytic and numeric derivatives.
  struct Sums {
    double analytic_numeric = 0, numeric_numeric = 0, noise = 0;
  };

  const Function<T>& f_;
  const CheckOptions& options_;
  double step_;
  bool create_graph_;
  std::vector<Tensor<T>> x_;
  GradientReport report_;
  double value_scale_ = 0, worst_excess_ = 0;
  std::vector<Sums> sums_;
  bool nonzero_ = false;
};

}  // namespace

template <class T>
GradientReport check_gradients(const Function<T>& f, const std::vector<Tensor<T>>& x,
                               const CheckOptions& options) {
  if (std::is_same_v<T, float> && options.step <= 0)
    throw Error("check_gradients",
                "differences in float are too coarse for a default step: check in double, or give "
                "a step (about 1e-3) and wider tolerances");
  const double step = options.step > 0 ? options.step : 1e-6;
  const RecordingScope on(true);
  GradientReport report = Checker<T>(f, x, options, step).run(1);
  if (options.order < 2 || !report.passed) return report;
  // What is differentiated again may have a text of its own; below, it is only compared with itself.
  GradientReport recorded = Checker<T>(f, x, options, step, true).run(1);
  if (!recorded.passed) {
    recorded.note = "the gradient is right; wrong is the one that create_graph records";
    return recorded;
  }

  // The gradient of Σ w f, with fixed weights w, as a function of x: its Jacobian is the second derivative.
  const Function<T> gradient = [&](const std::vector<Tensor<T>>& in) {
    const Tensor<T> y = f(in);
    std::mt19937_64 engine(options.seed + 1);
    Tensor<T> weights = Tensor<T>::uninitialized(y.shape());
    for (std::size_t i = 0; i < y.size(); ++i)
      weights.mutable_data()[i] = static_cast<T>(0.5 + static_cast<double>(engine() >> 11) * 0x1p-53);
    std::vector<Tensor<T>> parts;
    if (y.requires_grad())
      for (const Tensor<T>& g : grad(y, in, {.seed = weights, .create_graph = true}))
        parts.push_back(flatten(g));
    else
      for (const Tensor<T>& one : in) parts.push_back(zeros<T>({one.size()}));
    return concatenate(parts);
  };
  GradientReport second = Checker<T>(gradient, x, options, step).run(2);
  second.compared += report.compared;
  if (second.all_zero) {  // a linear function
    second.passed = second.mismatches == 0 && second.unresolved == 0;
    second.all_zero = false;
    second.note = "all second derivatives are 0";
  }
  second.kinks.insert(second.kinks.begin(), report.kinks.begin(), report.kinks.end());
  return second;
}

template GradientReport check_gradients<float>(const Function<float>&, const std::vector<Tensor<float>>&,
                                               const CheckOptions&);
template GradientReport check_gradients<double>(const Function<double>&, const std::vector<Tensor<double>>&,
                                                const CheckOptions&);

}  // namespace detail

std::ostream& operator<<(std::ostream& out, const GradientReport& r) {
  const auto where = [&](const GradientReport::Entry& e) {
    out << "input " << e.input << " at " << e.index << ", output " << e.output;
  };
  const auto precision = out.precision(10);
  const bool unknown = r.unresolved != 0 && r.mismatches == 0;
  out << (r.passed  ? "gradients agree"
          : unknown ? "gradients UNKNOWN"
                    : "gradients DIFFER")
      << ": " << r.compared << " compared, " << r.mismatches << " outside of the tolerance";
  if (r.unresolved != 0)
    out << ", " << r.unresolved << " too coarse to tell: the rounding of f's value hides the difference";
  if (r.compared != 0 && !r.all_zero) {
    out << "\n  worst, order " << r.order << ": ";
    where(r.worst);
    out << ": analytic " << r.worst.analytic << ", numeric " << r.worst.numeric;
  }
  if (!r.passed && r.mismatches == 0 && r.unresolved == 0 && !r.all_zero)
    out << "\n  the gradient of one input is, by and large, " << r.factor << " times the numeric one";
  if (r.all_zero)
    out << "\n  every value compared is 0: the check says nothing; does the output depend on the input?";
  for (std::size_t i = 0; i < r.kinks.size() && i < 5; ++i) {
    out << "\n  kink: ";
    where(r.kinks[i]);
    out << ": slope " << r.kinks[i].left << " from the left, " << r.kinks[i].right
        << " from the right, analytic " << r.kinks[i].analytic;
  }
  if (r.kinks.size() > 5) out << "\n  and " << r.kinks.size() - 5 << " more kinks";
  if (!r.note.empty()) out << "\n  " << r.note;
  out.precision(precision);
  return out << '\n';
}

}  // namespace xtape
