// scan: a recurrence whose step is traced once.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <mutex>
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
/// The traces of a step that is scanned with often: one for each kind of call, of which the last used ones
/// stay. A copy has none.
template <class T>
class KeptSteps {
 public:
  KeptSteps() = default;
  KeptSteps(const KeptSteps&) {}
  KeptSteps& operator=(const KeptSteps&) { return *this; }

  /// That of a call like this one, traced where there is none. All that the step reads besides its arguments
  /// is in `reads`.
  std::shared_ptr<StepProgram<T>> get(const ScanStep<T>& step, const std::vector<Tensor<T>>& carry,
                                      const Tensor<T>& xs, const std::vector<Tensor<T>>& reads);

 private:
  std::mutex mutex_;
  std::list<std::shared_ptr<StepProgram<T>>> steps_;
};

template <class T>
ScanResult<T> scan(const ScanStep<T>& step, const std::vector<Tensor<T>>& carry, const Tensor<T>& xs,
                   const ScanOptions& options, KeptSteps<T>* kept = nullptr,
                   const std::vector<Tensor<T>>& reads = {});
/// The same, one step after the other, by operations.
template <class T>
ScanResult<T> scan_one_by_one(const ScanStep<T>& step, std::vector<Tensor<T>> carry, const Tensor<T>& xs);

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
  auto result = detail::scan<T>(
      [&](const std::vector<Tensor<T>>& in, const Tensor<T>& x) {
        auto [next, y] = step(in, x);
        return std::pair(std::vector<Tensor<T>>(std::move(next)), Tensor<T>(std::move(y)));
      },
      carry, xs, options);
  return {std::move(result.carry), std::move(result.ys)};
}

}  // namespace xtape
