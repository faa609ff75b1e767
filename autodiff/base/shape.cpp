// Broadcasting, axes and sizes: every check of a shape that is not special to one operation.
#include "../shape.hpp"

#include <ostream>

namespace xtape {

template <class I>
std::string detail::tuple_text(std::span<const I> items) {
  std::string text = "(";
  for (std::size_t i = 0; i < items.size(); ++i) text += (i ? ", " : "") + std::to_string(items[i]);
  return text + (items.size() == 1 ? ",)" : ")");
}
template std::string detail::tuple_text(std::span<const std::size_t>);
template std::string detail::tuple_text(std::span<const std::ptrdiff_t>);

std::string to_string(const Shape& shape) { return detail::tuple_text<std::size_t>(shape); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

namespace detail {

Shape index_of(std::size_t flat, const Shape& shape) {
  Shape index(shape.size(), 0);
  for (std::size_t d = shape.size(); d-- > 0;) {
    index[d] = flat % shape[d];
    flat /= shape[d];
  }
  return index;
}

std::string index_text(std::size_t flat, const Shape& shape) { return to_string(index_of(flat, shape)); }

void throw_too_large(const Shape& shape, const char* op) {
  throw Error(op, "shape " + to_string(shape) + " has more elements than this machine can address");
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  if (a == b) return a;
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const std::size_t shift = longer.size() - shorter.size();
  for (std::size_t i = shorter.size(); i-- > 0;) {
    std::size_t& d = result[i + shift];
    if (d == shorter[i] || shorter[i] == 1) continue;
    if (d != 1)
      throw Error(op, "shapes " + to_string(a) + " and " + to_string(b) +
                          " do not broadcast: " + std::to_string(a.size() >= b.size() ? d : shorter[i]) +
                          " and " + std::to_string(a.size() >= b.size() ? shorter[i] : d) +
                          " differ on axis -" + std::to_string(shorter.size() - i) + " and neither is 1");
    d = shorter[i];
  }
  return result;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  const std::size_t shift = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i] != to[i + shift] && from[i] != 1) return false;
  return true;
}

std::size_t normalize_axis(std::ptrdiff_t axis, std::size_t rank, const char* op) {
  const auto r = static_cast<std::ptrdiff_t>(rank);
  if (axis < -r || axis >= r)
    throw Error(op,
                "axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank) +
                    (rank == 0 ? ": a scalar has no axes"
                               : ": axes go from " + std::to_string(-r) + " to " + std::to_string(r - 1)));
  return static_cast<std::size_t>(axis < 0 ? axis + r : axis);
}

unsigned axis_mask(const Axes& axes, std::size_t rank, const char* op) {
  unsigned mask = 0;
  for (std::ptrdiff_t axis : axes) {
    const unsigned bit = 1u << normalize_axis(axis, rank, op);
    if (mask & bit) throw Error(op, "axis " + std::to_string(axis) + " is named twice");
    mask |= bit;
  }
  return mask;
}

Dims row_major_strides(const Shape& shape) {
  Dims strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * static_cast<std::ptrdiff_t>(shape[i]);
  return strides;
}

Dims broadcast_strides(const Shape& from, const Shape& to) {
  const Dims own = row_major_strides(from);
  Dims strides(to.size(), 0);
  const std::size_t shift = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i) strides[i + shift] = from[i] == 1 ? 0 : own[i];
  return strides;
}

Shape reduced_shape(const Shape& shape, unsigned mask, bool keepdims) {
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (!(mask >> i & 1u))
      result.push_back(shape[i]);
    else if (keepdims)
      result.push_back(1);
  }
  return result;
}

}  // namespace detail
}  // namespace xtape
