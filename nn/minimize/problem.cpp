// Checks of what is given to the minimisers, and what they give.
#include "problem.hpp"

#include <array>
#include <cstdio>
#include <ostream>

#include <autodiff/layout.hpp>

namespace xtape::nn::minimizing {

template <class T>
Unknowns<T>::Unknowns(const TensorList<T>& tensors) {
  for (const Tensor<T>& x : tensors) {
    shapes_.push_back(x.shape());
    size_ += x.size();
  }
}

template <class T>
const TensorList<T>& Unknowns<T>::checked(const char* op, const TensorList<T>& x0) {
  if (x0.empty()) throw Error(op, "there are no unknowns: x0 is an empty list");
  for (std::size_t k = 0; k < x0.size(); ++k) {
    const std::string which = x0.size() == 1 ? "x0" : "x0[" + std::to_string(k) + "]";
    if (!x0[k].defined()) throw Error(op, which + " is a tensor without a value");
    if (x0[k].size() == 0)
      throw Error(op, which + " has no elements: its shape is " + to_string(x0[k].shape()));
    for (std::size_t i = 0; i < x0[k].size(); ++i)
      if (const T x = x0[k].data()[i]; !std::isfinite(x))
        throw Error(op, which + " is not finite: element " + std::to_string(i) + " of the shape " +
                            to_string(x0[k].shape()) + " is " + engine::number_text(static_cast<double>(x)));
  }
  return x0;
}

template <class T>
std::vector<T> Unknowns<T>::flat(const TensorList<T>& x) const {
  std::vector<T> all;
  all.reserve(size_);
  for (const Tensor<T>& one : x) all.insert(all.end(), one.begin(), one.end());
  return all;
}

template <class T>
TensorList<T> Unknowns<T>::tensors(const std::vector<T>& x) const {
  TensorList<T> all;
  std::size_t start = 0;
  for (const Shape& shape : shapes_) {
    const std::size_t size = engine::element_count(shape, "minimize");
    all.push_back(Tensor<T>::from_data(std::span<const T>(x).subspan(start, size), shape));
    start += size;
  }
  return all;
}

template <class T>
std::vector<T> Unknowns<T>::limit(const char* op, const char* which, const TensorList<T>& of, T none) const {
  const bool is_given = std::ranges::any_of(of, [](const Tensor<T>& x) { return x.defined(); });
  if (!is_given) return {};
  if (of.size() != shapes_.size())
    throw Error(op, std::string(which) + " has " + counted(of.size(), "tensor") + ", x0 " +
                        std::to_string(shapes_.size()));
  TensorList<T> all;
  for (std::size_t k = 0; k < of.size(); ++k) {
    try {
      all.push_back(of[k].defined() ? broadcast_to(of[k].detach(), shapes_[k]) : full<T>(shapes_[k], none));
    } catch (const Error&) {
      throw Error(op, std::string(which) + " of the shape " + to_string(of[k].shape()) +
                          " does not broadcast to that of x0, " + to_string(shapes_[k]));
    }
  }
  return flat(all);
}

template <class T>
Bounds<T> Unknowns<T>::bounds(const char* op, const TensorList<T>& lower, const TensorList<T>& upper) const {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  Bounds<T> result{limit(op, "lower", lower, -infinity), limit(op, "upper", upper, infinity)};
  const auto at = [](const std::vector<T>& bound, std::size_t i, T none) {
    return bound.empty() ? none : bound[i];
  };
  for (std::size_t i = 0; result.any() && i < size_; ++i) {
    const T low = at(result.lower, i, -infinity), high = at(result.upper, i, infinity);
    if (!(low <= high) || low == infinity || high == -infinity)
      throw Error(op, "the bounds leave nothing to unknown " + std::to_string(i) + ": lower is " +
                          engine::number_text(static_cast<double>(low)) + ", upper " +
                          engine::number_text(static_cast<double>(high)));
  }
  return result;
}

void print_progress(std::ostream& out, const Outcome& outcome, std::size_t every) {
  if (every > 1 && outcome.iterations % every != 0) return;
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(), "iteration %5zu  f %13.6e  gradient %9.2e  evaluations %5zu\n",
                outcome.iterations, outcome.value, outcome.gradient_norm, outcome.evaluations);
  out << line.data() << std::flush;
}

template <class T>
void fill(Minimum<TensorList<T>>& result, Run<T>& run, const Unknowns<T>& unknowns, const Point<T>& at,
          std::ostream* progress) {
  Outcome& outcome = run.outcome;
  if (progress) *progress << outcome.message << std::endl;
  result.x = unknowns.tensors(at.x);
  result.gradient = unknowns.tensors(at.gradient);
  result.value = at.value;
  result.iterations = outcome.iterations;
  result.converged = outcome.converged;
  result.message = std::move(outcome.message);
  result.evaluations = outcome.evaluations;
  result.products = outcome.products;
  result.gradient_norm = outcome.gradient_norm;
  result.history = std::move(outcome.history);
}

#define XTAPE_INSTANTIATE(T)  \
  template class Unknowns<T>; \
  template void fill(Minimum<TensorList<T>>&, Run<T>&, const Unknowns<T>&, const Point<T>&, std::ostream*);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn::minimizing
