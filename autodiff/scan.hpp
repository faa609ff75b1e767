// scan: a recurrence whose step is traced once.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

struct ScanOptions {
  /// How many carries the backward pass may keep, that of the beginning included; it computes what lies
  /// between them again, as seldom as is possible with so many (Griewank and Walther's schedule). 0: all that
  /// gradients read is kept, and nothing is computed again.
  std::size_t checkpoints = 0;
};

template <class T>
class ScanTraces;

namespace detail {

template <class T>
struct ScanResult {
  std::vector<Tensor<T>> carry;
  Tensor<T> ys;
};

template <class T>
using ScanStep = std::function<std::pair<std::vector<Tensor<T>>, Tensor<T>>(
    const std::vector<Tensor<T>>& carry, const Tensor<T>& x)>;

template <class T>
struct StepProgram;
template <class T>
ScanResult<T> scan(const ScanStep<T>& step, const std::vector<Tensor<T>>& carry, const Tensor<T>& xs,
                   const ScanOptions& options, ScanTraces<T>* traces = nullptr,
                   std::span<const Tensor<T>> reads = {});

}  // namespace detail

/// The traces of one step that is scanned with often, each for one kind of call: the shapes, what is
/// recorded, the thread, and the tensors that the step reads. The 8 that were used last stay; a copy has
/// none.
template <class T>
class ScanTraces {
 public:
  ScanTraces() = default;
  ScanTraces(const ScanTraces&) {}
  ScanTraces& operator=(const ScanTraces&) { return *this; }

 private:
  friend detail::ScanResult<T> detail::scan<T>(const detail::ScanStep<T>&, const std::vector<Tensor<T>>&,
                                               const Tensor<T>&, const ScanOptions&, ScanTraces<T>*,
                                               std::span<const Tensor<T>>);
  /// That for a call like this one, made where there is none.
  std::shared_ptr<detail::StepProgram<T>> get(const detail::ScanStep<T>& step,
                                              const std::vector<Tensor<T>>& carry, const Tensor<T>& xs,
                                              std::span<const Tensor<T>> reads);

  std::mutex mutex_;
  std::list<std::shared_ptr<detail::StepProgram<T>>> traces_;
};

namespace detail {

/// A step of lists, with the types that it is called with.
template <class T, class F>
auto scan_step(F& step) {
  return [&](const std::vector<Tensor<T>>& in, const Tensor<T>& x) {
    auto [next, y] = step(in, x);
    return std::pair(std::vector<Tensor<T>>(std::move(next)), Tensor<T>(std::move(y)));
  };
}

}  // namespace detail

/// for each x of xs, (steps, shape of x…): {carry, y} = step(carry, x). Gives {the last carry, all y
/// stacked}, which are (steps, shape of y…). The carry is a tensor, or a std::vector of them; each keeps its
/// shape. The step is traced once (see compile() for what a trace refuses), then run as a plan, forward and,
/// for the gradients, backward: one node on the tape. Where operations are watched, in another trace, where a
/// step holds a rule of custom() or a checkpoint, and where gradients are to be differentiated, the steps run
/// one by one as operations. Errors: xs without an axis of steps, or without a step; a carry that changes its
/// shape; a step that assigns a tensor; in the backward pass, what the steps read and was assigned since.
///
///     auto [h, hs] = scan([&](const auto& h, const auto& x) {
///       const auto next = tanh(linear(x, W) + linear(h, U));
///       return std::pair{next, next};
///     }, zeros<double>({batch, hidden}), xs);
template <class F, class T>
std::pair<Tensor<T>, Tensor<T>> scan(F&& step, const Tensor<T>& carry,
                                     const Tensor<std::type_identity_t<T>>& xs, ScanOptions options = {}) {
  auto result = detail::scan<T>(
      [&](const std::vector<Tensor<T>>& in, const Tensor<T>& x) {
        auto [next, y] = step(in.front(), x);
        return std::pair(std::vector<Tensor<T>>{std::move(next)}, Tensor<T>(std::move(y)));
      },
      {carry}, xs, options);
  return {std::move(result.carry.front()), std::move(result.ys)};
}
template <class F, class T>
std::pair<std::vector<Tensor<T>>, Tensor<T>> scan(F&& step, const std::vector<Tensor<T>>& carry,
                                                  const Tensor<std::type_identity_t<T>>& xs,
                                                  ScanOptions options = {}) {
  auto result = detail::scan<T>(detail::scan_step<T>(step), carry, xs, options);
  return {std::move(result.carry), std::move(result.ys)};
}

/// The same with traces that are kept from call to call: the step runs to be traced where there is none for
/// this kind of call. `reads` are all tensors that it reads besides its arguments; where one of them is
/// another tensor than before, it is traced anew. Error where the step reads a tensor that is not among them.
template <class F, class T>
std::pair<std::vector<Tensor<T>>, Tensor<T>> scan(ScanTraces<T>& traces, F&& step,
                                                  const std::vector<Tensor<T>>& carry,
                                                  const Tensor<std::type_identity_t<T>>& xs,
                                                  std::type_identity_t<std::span<const Tensor<T>>> reads,
                                                  ScanOptions options = {}) {
  auto result = detail::scan<T>(detail::scan_step<T>(step), carry, xs, options, &traces, reads);
  return {std::move(result.carry), std::move(result.ys)};
}

}  // namespace xtape
