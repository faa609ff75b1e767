// The handle's own functions: making, reading, assigning and printing.
#include "../tensor.hpp"

#include "../base/text.hpp"
#include "../grad.hpp"
#include "trace.hpp"

#include <cmath>
#include <cstring>
#include <ostream>
#if __has_include(<xtensor/io/xio.hpp>)
#include <xtensor/io/xio.hpp>
#else
#include <xtensor/xio.hpp>
#endif

namespace xtape {
namespace detail {

Shape nested_shape(std::initializer_list<Nested> items) {
  Shape shape{items.size()};
  if (items.size() == 0 || !items.begin()->is_list) {
    for (const Nested& item : items)
      if (item.is_list) throw Error("Tensor", "numbers and lists are mixed in one pair of braces");
    return shape;
  }
  const Shape inner = nested_shape(items.begin()->items);
  std::size_t i = 0;
  for (const Nested& item : items) {
    const Shape other = item.is_list ? nested_shape(item.items) : Shape{};
    if (!(other == inner))
      throw Error("Tensor", "nested braces are ragged: item " + std::to_string(i) + " has the shape " +
                                to_string(other) + ", item 0 has " + to_string(inner));
    ++i;
  }
  for (std::size_t d : inner) shape.push_back(d);
  return shape;
}

namespace {
template <class T>
T* fill_nested(T* to, std::initializer_list<Nested> items) {
  for (const Nested& item : items) {
    if (item.is_list)
      to = fill_nested(to, item.items);
    else
      *to++ = static_cast<T>(item.value);
  }
  return to;
}
}  // namespace
}  // namespace detail

template <class T>
Tensor<T>::Tensor(std::initializer_list<detail::Nested> items)
    : Tensor(uninitialized(detail::nested_shape(items))) {
  detail::fill_nested(mutable_data(), items);
}

template <class T>
Tensor<T> Tensor<T>::from_data(std::span<const T> data, const Shape& shape) {
  Tensor result = uninitialized(shape, "from_data");
  if (data.size() != result.size())
    throw Error("from_data", std::to_string(data.size()) + " numbers do not fill shape " + to_string(shape) +
                                 ", which has " + std::to_string(result.size()) + " elements");
  std::ranges::copy(data, result.mutable_data());
  return result;
}

template <class T>
void Tensor<T>::no_value() {
  throw Error("Tensor",
              "the tensor is empty: it was default-constructed or moved from, and never given a value");
}

template <class T>
void Tensor<T>::set_requires_grad(bool on) {
  if (!is_leaf())
    throw Error("set_requires_grad",
                handle_.node ? "a computed tensor is recorded as its inputs are: freeze those, or detach() it"
                             : "the tensor is a constant: make it with parameter()");
  if (std::exchange(handle_.node->frozen, !on) == !on) return;
  if (!on) zero_grad();  // an optimiser would go on with it
  detail::mode_changes.fetch_add(1, std::memory_order_relaxed);
}

template <class T>
T Tensor<T>::item() const {
  if (size() != 1)
    throw Error("item", "shape " + to_string(shape()) + " has not one element: index value() instead");
  if (detail::tracing) detail::require_readable(checked(), "item");
  return *data();
}

template <class T>
Tensor<T> Tensor<T>::grad() const {
  if (!has_grad())
    throw Error("grad", !handle_.node ? "the tensor is a constant: make it with parameter()"
                        : !is_leaf()  ? "only leaves keep their gradient: use grad(output, {tensor})"
                        : !requires_grad()
                            ? "the leaf is frozen: set_requires_grad(true), or Module::unfreeze()"
                            : "the leaf has no gradient: call backward() on what was computed from it");
  return Tensor(static_cast<const detail::Leaf*>(handle_.node.get())->grad);
}

template <class T>
bool Tensor<T>::has_grad() const {
  return is_leaf() && static_cast<const detail::Leaf*>(handle_.node.get())->grad.value;
}

template <class T>
void Tensor<T>::zero_grad() const {
  if (is_leaf()) static_cast<detail::Leaf*>(handle_.node.get())->grad = {};
}

template <class T>
void Tensor<T>::set_grad(const Tensor& gradient) const {
  if (!is_leaf()) throw Error("set_grad", "only leaves hold a gradient: make the tensor with parameter()");
  if (!requires_grad()) throw Error("set_grad", "the leaf is frozen: set_requires_grad(true)");
  if (!(shape() == gradient.shape()))
    throw Error("set_grad", "the gradient of shape " + to_string(gradient.shape()) + " for a leaf of shape " +
                                to_string(shape()));
  static_cast<detail::Leaf*>(handle_.node.get())->grad = gradient.handle_;
}

template <class T>
void Tensor<T>::assign(const Tensor& value) && {
  if (handle_.value && handle_.value.unique())
    throw Error("assign",
                "the tensor of shape " + to_string(shape()) +
                    " is a temporary, and nobody would see its new elements: slice() and most other "
                    "operations copy. Assign to the whole tensor");
  assign(value);
}

template <class T>
void Tensor<T>::assign(const Tensor& value) const& {
  if (!(shape() == value.shape()))
    throw Error("assign", "shapes " + to_string(shape()) + " and " + to_string(value.shape()) + " differ");
  if (detail::tracing) return detail::tracing->store(handle_, value.handle_);
  (void)value.data();
  T* const to = begin_update();
  if (size() != 0) std::memmove(to, value.data(), size() * sizeof(T));
}

template <class T>
T* Tensor<T>::begin_update() const {
  if (detail::tracing) detail::require_readable(checked(), "begin_update");
  data();
  if (handle_.node && !is_leaf())
    throw Error("assign", std::string("the tensor was computed by '") + handle_.node->name +
                              "': only leaves and constants take new values");
  // Plain additions will do: threads that write one tensor at a time have something that orders them.
  std::atomic<std::uint32_t>& version = handle_.value->owner().version;
  version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  detail::changes.fetch_add(1, std::memory_order_relaxed);
  return const_cast<T*>(data());
}

template <class T>
Tensor<T> parameter(const Tensor<T>& value) {
  Tensor<T> copy = Tensor<T>::uninitialized(value.shape(), "parameter");
  if (detail::tracing) detail::require_readable(*value.handle().value.get(), "parameter");
  std::copy(value.begin(), value.end(), copy.mutable_data());
  return Tensor<T>(detail::Handle{copy.handle().value, detail::make_leaf(value.shape())});
}

template <class T>
Tensor<T> detail::filled(const Shape& shape, T x, const char* op) {
  Tensor<T> result = Tensor<T>::uninitialized(shape, op);
  std::fill_n(result.mutable_data(), result.size(), x);
  return result;
}

template <class T>
Tensor<T> eye(std::size_t n) {
  Tensor<T> result = zeros<T>({n, n});
  for (std::size_t i = 0; i < n; ++i) result.mutable_data()[i * (n + 1)] = T(1);
  return result;
}

template <class T>
Tensor<T> arange(detail::Number<T> from, detail::Number<T> to, detail::Number<T> step) {
  const double count =
      std::ceil((static_cast<double>(to) - static_cast<double>(from)) / static_cast<double>(step));
  if (step == T(0) || !std::isfinite(count))
    throw Error("arange", "a step of " + detail::number_text(static_cast<double>(step)) +
                              " does not lead from " + detail::number_text(static_cast<double>(from)) +
                              " to " + detail::number_text(static_cast<double>(to)));
  if (count > 9e15) throw Error("arange", "the range has more elements than this machine can address");
  Tensor<T> result = Tensor<T>::uninitialized({static_cast<std::size_t>(std::max(count, 0.0))}, "arange");
  for (std::size_t i = 0; i < result.size(); ++i) result.mutable_data()[i] = from + static_cast<T>(i) * step;
  return result;
}

template <class T>
Tensor<T> linspace(detail::Number<T> from, detail::Number<T> to, std::size_t n) {
  Tensor<T> result = Tensor<T>::uninitialized({n}, "linspace");
  const T step = n > 1 ? (to - from) / static_cast<T>(n - 1) : T(0);
  for (std::size_t i = 0; i < n; ++i) result.mutable_data()[i] = from + static_cast<T>(i) * step;
  if (n > 1) result.mutable_data()[n - 1] = to;
  return result;
}

template <class T>
std::ostream& detail::print(std::ostream& out, const Printed<T>& printed) {
  return out << xt::xarray<T>(printed.value.value());
}

template <class T>
std::ostream& operator<<(std::ostream& out, const Tensor<T>& tensor) {
  out << "Tensor<" << (std::is_same_v<T, float> ? "float" : "double") << ">(";
  if (!tensor.defined()) return out << "empty)";
  if (tensor.size() != 0) out << tensor.value() << ", ";
  return out << "shape " << tensor.shape() << (tensor.requires_grad() ? ", requires grad)" : ")");
}

template <class T>
void Tensor<T>::backward(const BackwardOptions<T>& options) const {
  detail::backward(*this, options);
}

#define XTAPE_INSTANTIATE(T)                                                             \
  template class Tensor<T>;                                                              \
  template Tensor<T> parameter(const Tensor<T>&);                                        \
  template Tensor<T> detail::filled(const Shape&, T, const char*);                       \
  template Tensor<T> eye<T>(std::size_t);                                                \
  template Tensor<T> linspace<T>(detail::Number<T>, detail::Number<T>, std::size_t);     \
  template std::ostream& detail::print(std::ostream&, const Printed<T>&);                \
  template Tensor<T> arange<T>(detail::Number<T>, detail::Number<T>, detail::Number<T>); \
  template std::ostream& operator<<(std::ostream&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
