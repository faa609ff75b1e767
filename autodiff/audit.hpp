// Checks every recorded operation by itself, so that a wrong derivative is named where it is.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace xtape {

struct AuditOptions {
  double step = 0;     ///< half the distance of central differences; 0: 1e-6 for double, refused for float
  double rtol = 1e-5;  ///< of an operation's differences
  int directions = 2;  ///< how many random moves of the leaves
  std::uint64_t seed = 0;
};

/// What an audit found, one row for each operation under the loss, in the order of recording.
struct AuditReport {
  struct Row {
    std::size_t place = 0;  ///< counted from 1, the first operation recorded under the loss
    std::string op;
    std::string shapes;  ///< "(8, 4), (3, 4) -> (8, 3)"; the inputs that are recorded or leaves
    double error = 0;    ///< |<w, J v> − <Jᵀ w, v>|, relative to their terms
    bool passed = true;
    bool checked = true;  ///< false when its output did not move, or by rounding only
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
}

/// Checks the derivative of every operation that `loss()` records and depends on, each by itself: with random
/// w it compares <w, J v>, from central differences of that operation's output, with <Jᵀ w, v>, from that
/// operation's rule alone. v is how its inputs move when the leaves are moved at random. A wrong rule, for
/// instance of `custom`, is found in a network of any depth, and no other operation is blamed for it:
///
///   std::cout << audit([&] { return nn::mse_loss(model(x), y); });
///
/// The function is called 1 + 2 · directions times, each time with the same random numbers, and must record
/// the same operations; the leaves that it uses are moved in place and set back, their gradients stay as they
/// are, and other recordings remain usable. Elements of outputs at a kink, such as relu at 0, are left out. A
/// leaf that only a checkpointed function captures is not moved. Errors: float without a step, an audit
/// inside NoGrad, a function that records nothing, or something else at the second call.
template <class F>
requires std::invocable<F&> AuditReport audit(F&& loss, const AuditOptions& options = {}) {
  using Output = std::remove_cvref_t<std::invoke_result_t<F&>>;
  return detail::audit<typename Output::value_type>([&loss]() -> Output { return loss(); }, options);
}

/// A loss that is recorded already cannot be computed again a step away.
template <class T>
AuditReport audit(const Tensor<T>&, const AuditOptions& = {}) = delete;  // pass [&] { return the loss; }

}  // namespace xtape
