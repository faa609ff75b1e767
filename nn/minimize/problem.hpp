// Functions of tensors as functions of one list of numbers. Not for users' programs.
#pragma once
#include <utility>
#include <vector>

#include <autodiff/engine.hpp>

#include "../minimize.hpp"
#include "run.hpp"

namespace xtape::nn::minimizing {

using detail::TensorFunction;
using detail::TensorList;

/// The tensors that a list of numbers stands for.
template <class T>
class Unknowns {
 public:
  /// Of the shapes of these.
  explicit Unknowns(const TensorList<T>& tensors);
  /// Errors, naming `op`, for no tensors, for empty ones, and for elements that are no numbers.
  Unknowns(const char* op, const TensorList<T>& x0) : Unknowns(checked(op, x0)) {}
  std::size_t size() const { return size_; }
  const std::vector<Shape>& shapes() const { return shapes_; }
  std::vector<T> flat(const TensorList<T>& x) const;
  TensorList<T> tensors(const std::vector<T>& x) const;
  /// Bounds, each of the shape of its x or broadcasting to it, or undefined. Error where they cross.
  Bounds<T> bounds(const char* op, const TensorList<T>& lower, const TensorList<T>& upper) const;

 private:
  static const TensorList<T>& checked(const char* op, const TensorList<T>& x0);
  std::vector<T> limit(const char* op, const char* which, const TensorList<T>& of, T none) const;

  std::vector<Shape> shapes_;
  std::size_t size_ = 0;
};

/// The tensors as leaves.
template <class T>
TensorList<T> leaves_of(const TensorList<T>& x) {
  TensorList<T> leaves;
  for (const Tensor<T>& one : x) leaves.push_back(parameter(one));
  return leaves;
}

/// The limits that options say. Error for a tolerance that is negative or NaN.
template <class Options>
Limits limits_of(const char* op, const Options& options) {
  Limits limits{.gradient = options.gradient_tolerance,
                .value = options.value_tolerance,
                .step = options.step_tolerance,
                .iterations = options.max_iterations};
  if (options.max_evaluations > 0) limits.evaluations = options.max_evaluations;
  for (const auto& [name, value] :
       {std::pair("gradient_tolerance", limits.gradient), std::pair("value_tolerance", limits.value),
        std::pair("step_tolerance", limits.step)})
    if (!(value >= 0)) throw Error(op, std::string(name) + " " + engine::number_text(value) + " is negative");
  return limits;
}
void print_progress(std::ostream& out, const Outcome& outcome, std::size_t every);

/// What both entries do with their options.
template <class T, template <class> class Options>
void set_up(Run<T>& run, const char* op, const Unknowns<T>& unknowns, const Options<TensorList<T>>& options) {
  run.limits = limits_of(op, options);
  run.bounds = unknowns.bounds(op, options.lower, options.upper);
  if (options.callback || options.progress)
    run.observe = [&run, &unknowns, &options](const Point<T>& at, double step) {
      if (options.progress) print_progress(*options.progress, run.outcome, options.progress_every);
      return !options.callback ||
             options.callback({run.outcome.iterations, at.value, run.outcome.gradient_norm, step,
                               run.outcome.evaluations, unknowns.tensors(at.x)});
    };
}

/// What both give.
template <class T>
void fill(Minimum<TensorList<T>>& result, Run<T>& run, const Unknowns<T>& unknowns, const Point<T>& at,
          std::ostream* progress);

}  // namespace xtape::nn::minimizing
