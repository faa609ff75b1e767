// Audit: every recorded operation is checked by itself, so that a wrong derivative is named where it is.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// How audit() moves the leaves, and what it forgives.
struct AuditOptions {
  /// Half the distance of central differences, for an element x times max(1, |x|); 0: 1e-6 for double,
  /// refused for float. Where it shows nothing, it is tried times |x|, wider and narrower; blame is confirmed
  /// so too.
  double step = 0;
  double rtol =
      1e-5;  ///< of an operation's differences; one that shows no more than this is not called right
  int directions = 2;  ///< how many random moves of the leaves
  std::uint64_t seed = 0;
};

/// What an audit found, one row for each operation under the loss, in the order of recording.
struct AuditReport {
  /// One recorded operation.
  struct Row {
    std::size_t place = 0;  ///< counted from 1, the first operation recorded under the loss
    std::string op;
    std::string shapes;  ///< "(8, 4), (3, 4) -> (8, 3)"; the inputs that are recorded or leaves
    double error = 0;    ///< |<w, J v> − <Jᵀ w, v>|, relative to the norm of their terms
    bool passed = true;
    bool checked = true;  ///< false when nothing could be seen; the note says why, unless nothing moved
    std::string note;
  };
  std::vector<Row> rows;
  bool passed = true;
};

/// The table, with the wrong operations named above it.
std::ostream& operator<<(std::ostream& out, const AuditReport& report);

namespace detail {
template <class T>
AuditReport audit(const std::function<Tensor<T>()>& loss, const AuditOptions& options);
}  // namespace detail

/// Checks the derivative of every operation that `loss()` records and depends on, each by itself: with random
/// w it compares <w, J v>, from central differences of that operation's output, with <Jᵀ w, v>, from that
/// operation's rule alone. v is how its inputs move when the leaves are moved at random. A wrong rule, for
/// instance of `custom`, is found in a network of any depth, and no other operation is blamed for it:
///
///   std::cout << audit([&] { return nn::mse_loss(model(x), y); });
///
/// The function is called 2 + 2 · directions times (where an operation moves too little or is too curved, up
/// to 2 + 10 · directions times), each time with the same random numbers, and must record the same
/// operations; the leaves that it uses are moved in place and set back, their gradients stay as they are, and
/// other recordings remain usable. What else the function changes stays changed, such as the running
/// statistics of a batch normalisation: audit a model in eval() to keep them. Not checked,
/// never blamed: an operation that reads a constant computed from the leaves (detach(), NoGrad), elements at
/// a kink, such as relu at 0, and a leaf that the function makes or only a checkpointed function captures,
/// which is not moved. The function of a `custom` rule must compute from its inputs alone. Errors: float
/// without a step, an audit inside NoGrad, a function that records nothing, something else or other values at
/// a later call.
template <class F>
requires std::invocable<F&> AuditReport audit(F&& loss, const AuditOptions& options = {}) {
  using Output = std::remove_cvref_t<std::invoke_result_t<F&>>;
  return detail::audit<typename Output::value_type>([&loss]() -> Output { return loss(); }, options);
}

/// A loss that is recorded already cannot be computed again a step away.
template <class T>
AuditReport audit(const Tensor<T>&, const AuditOptions& = {}) = delete;  // pass [&] { return the loss; }

}  // namespace xtape
