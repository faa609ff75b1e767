// Looking for the first element that is not finite, and saying where it is.
#include "../detect_anomaly.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <type_traits>

#include "../base/text.hpp"
#include "../kernels/kernels.hpp"
#include "../tape/backward.hpp"

namespace xtape {
namespace detail {
namespace {

/// Whether one of n elements is NaN, or infinite where that counts. Without the sign, the bits of an infinity
/// are above those of all numbers and below those of every NaN: what is added to them carries into the sign.
template <class T>
bool any_bad(const T* x, std::size_t n, bool infinity) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits sign = Bits{1} << (8 * sizeof(T) - 1);
  const Bits up = sign - std::bit_cast<Bits>(std::numeric_limits<T>::infinity()) - (infinity ? 0 : 1);
  Bits all = 0;
  constexpr std::size_t block = 64;  // a length that the compiler knows: it makes vectors
  for (; n >= block; n -= block, x += block)
    for (std::size_t i = 0; i < block; ++i) all |= (std::bit_cast<Bits>(x[i]) & ~sign) + up;
  for (std::size_t i = 0; i < n; ++i) all |= (std::bit_cast<Bits>(x[i]) & ~sign) + up;
  return (all & sign) != 0;
}

/// The number of the first element that is so; the size when there is none.
template <class T>
std::size_t first_bad(const T* x, std::size_t size, bool infinity) {
  std::atomic<bool> any = false;
  for_blocks(size, size, [&](std::size_t first, std::size_t last) {
    if (any_bad(x + first, last - first, infinity)) any.store(true, std::memory_order_relaxed);
  });
  if (!any) return size;
  const auto is_bad = [=](T one) { return infinity ? !std::isfinite(one) : std::isnan(one); };
  return static_cast<std::size_t>(std::find_if(x, x + size, is_bad) - x);
}

std::size_t first_bad(const Value& x, bool infinity) {
  if (x.integers) return x.size;
  if (!x.data) require_elements(x);  // of a trace
  return x.item_size == sizeof(float) ? first_bad(x.elements<float>(), x.size, infinity)
                                      : first_bad(x.elements<double>(), x.size, infinity);
}

double shown_element(const Value& x, std::size_t i) {
  const double value = element(x, i);
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;  // without the sign of a NaN
}

/// "input 0 was nan at (1,)" when x is not finite, else nothing.
std::string describe_bad(const std::string& what, const Value& x) {
  const std::size_t i = first_bad(x, true);
  if (i == x.size) return {};
  return what + " was " + number_text(shown_element(x, i)) + " at " + index_text(i, x.shape);
}

Anomaly describe(const char* op, const Value& x, std::size_t i) {
  Anomaly anomaly;
  anomaly.op = op;
  anomaly.shape = x.shape;
  anomaly.index = index_of(i, x.shape);
  anomaly.value = shown_element(x, i);
  return anomaly;
}

void add_to_list(std::string& list, const std::string& text) { list += (list.empty() ? "" : ", ") + text; }

}  // namespace

void AnomalyObserver::begin(const char*, const Handle* adjoint) {
  runs_.push_back({adjoint != nullptr,
                   adjoint && is_looking() ? describe_bad("the adjoint", *adjoint->value.get()) : ""});
  rules_ += adjoint ? 1 : 0;
}

void AnomalyObserver::end() {
  if (runs_.empty()) return;  // the scope began within an operation
  if (runs_.back().is_rule) --rules_;
  runs_.pop_back();
}

void AnomalyObserver::forward(const char* op, const Handle& y, std::span<const Handle* const> inputs) {
  if (is_in_rule()) return;
  const Value& result = *y.value.get();
  const std::size_t bad = first_bad(result, options_.infinity);
  if (bad == result.size) return;
  Anomaly anomaly = describe(op, result, bad);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = *inputs[i]->value.get();
    add_to_list(anomaly.inputs, to_string(input.shape));
    if (anomaly.bad_before.empty()) anomaly.bad_before = describe_bad("input " + std::to_string(i), input);
  }
  found(std::move(anomaly));
}

void AnomalyObserver::backward(Node& node, const Pass& pass) {
  for (std::size_t i = 0; i < node.input_count; ++i) {
    const Value* const gradient = node.inputs()[i] ? pass.collected(*node.inputs()[i]) : nullptr;
    const std::size_t bad = gradient ? first_bad(*gradient, options_.infinity) : 0;
    if (!gradient || bad == gradient->size) continue;
    Anomaly anomaly = describe(node.name, *gradient, bad);
    anomaly.is_backward = true;
    anomaly.input = i;
    if (!runs_.empty()) anomaly.bad_before = runs_.back().bad_adjoint;
    std::size_t kept = 0;
    for (std::size_t k = 0; k <= node.input_count; ++k) {
      const bool is_input = k < node.input_count;
      const bool is_kept = is_input ? node.keeps_input(k) : (node.kept_mask & keep_output) != 0;
      const Value* const value = is_kept ? node.kept()[kept++].value.get() : nullptr;
      if (is_input)
        add_to_list(anomaly.inputs, value              ? to_string(value->shape)
                                    : node.inputs()[k] ? to_string(node.inputs()[k]->shape())
                                                       : "a constant");
      if (value && anomaly.bad_before.empty())
        anomaly.bad_before = describe_bad(is_input ? "input " + std::to_string(k) : "the result", *value);
    }
    return found(std::move(anomaly));
  }
}

}  // namespace detail

AnomalyError::AnomalyError(Anomaly found) : Error(found.op, to_string(found)), anomaly(std::move(found)) {}

std::string to_string(const Anomaly& a) {
  const std::string shape = to_string(a.shape);
  return std::string(a.is_backward ? "backward" : "forward") + " gave " + detail::number_text(a.value) +
         " at " + to_string(a.index) + " of " +
         (a.is_backward ? "the gradient " + shape + " of input " + std::to_string(a.input)
                        : "its result " + shape) +
         ", from inputs " + a.inputs + ": " +
         (a.began_here() ? "what went in was finite, so it began here"
                         : a.bad_before + ", so it began before");
}

std::ostream& operator<<(std::ostream& out, const Anomaly& a) { return out << to_string(a); }

}  // namespace xtape
