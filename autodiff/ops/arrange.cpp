// Padding, repeating, rolling and the like, composed of operations on layout.
#include "../arrange.hpp"

#include <algorithm>
#include <string>

#include "../indexing.hpp"
#include "../layout.hpp"

namespace xtape {
namespace {

/// x itself, but for NoGrad: then a constant. For what may have nothing to do.
template <class T>
Tensor<T> itself(const Tensor<T>& x) {
  return reshape(x, Dims(x.shape()));
}

/// n copies of x (outer, rest) as a whole along a new axis between them, as `shape`.
template <class T>
Tensor<T> copies(const Tensor<T>& x, std::size_t outer, std::size_t n, const Shape& shape) {
  const std::size_t rest = outer == 0 ? 0 : x.size() / outer;
  const Tensor<T> all = broadcast_to(reshape(x, Dims{outer, std::size_t{1}, rest}), Shape{outer, n, rest});
  return reshape(all, Dims(shape));
}

/// The shape with an axis n times as long. Error for a negative n and for more than there can be.
Shape lengthened(const char* op, Shape shape, std::size_t axis, std::ptrdiff_t n) {
  if (n < 0) throw Error(op, std::to_string(n) + " times is not possible");
  const auto times = static_cast<std::size_t>(n);
  if (times != 0 && shape[axis] > detail::max_elements / times) detail::throw_too_large(shape, op);
  shape[axis] *= times;
  detail::element_count(shape, op);
  return shape;
}

struct PadWidth {
  std::ptrdiff_t before, after;
};

/// Of each axis of x. Error where they do not fit, or the result is too large.
std::vector<PadWidth> pad_widths(const Indices& widths, const Shape& x) {
  const Shape &given = widths.shape(), wanted{x.size(), 2};
  if (!detail::broadcasts_to(given, wanted))
    throw Error("pad", "widths of shape " + to_string(given) + " are not pairs for the " +
                           std::to_string(x.size()) + " axes of shape " + to_string(x) + ": give " +
                           to_string(wanted) + ", {before, after} for all axes, or one number");
  const Dims strides = detail::broadcast_strides(given, wanted);
  std::vector<PadWidth> all;
  Shape to = x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::ptrdiff_t* const first = widths.data() + static_cast<std::ptrdiff_t>(i) * strides[0];
    all.push_back({first[0], first[strides[1]]});
    for (const std::ptrdiff_t one : {all[i].before, all[i].after}) {
      if (one < 0)
        throw Error("pad",
                    "the width " + std::to_string(one) + " is negative: slice() makes tensors smaller");
      to[i] += static_cast<std::size_t>(one);
      detail::element_count(to, "pad");
    }
  }
  return all;
}

std::ptrdiff_t mod(std::ptrdiff_t a, std::ptrdiff_t n) { return (a % n + n) % n; }

/// Which of n elements stands at the place p, which may be before the first or behind the last one.
std::ptrdiff_t padded_place(std::ptrdiff_t p, std::ptrdiff_t n, PadMode mode) {
  switch (mode) {
    case PadMode::edge:
      return std::clamp<std::ptrdiff_t>(p, 0, n - 1);
    case PadMode::wrap:
      return mod(p, n);
    case PadMode::reflect: {
      const std::ptrdiff_t there = mod(p, std::max<std::ptrdiff_t>(2 * n - 2, 1));
      return std::min(there, 2 * n - 2 - there);
    }
    case PadMode::symmetric:
      break;
  }
  const std::ptrdiff_t there = mod(p, 2 * n);
  return std::min(there, 2 * n - 1 - there);
}

/// Scalars as vectors, and for rank 2 vectors as rows.
template <class T>
std::vector<Tensor<T>> at_least(std::size_t rank, const std::vector<Tensor<T>>& tensors) {
  std::vector<Tensor<T>> all;
  for (Tensor<T> x : tensors) {
    while (x.rank() < rank) x = unsqueeze(x, 0);
    all.push_back(std::move(x));
  }
  return all;
}

}  // namespace

template <class T>
Tensor<T> pad(Tensor<T> x, const Indices& widths, std::type_identity_t<T> value) {
  const Shape from = x.shape();
  const std::vector<PadWidth> all = pad_widths(widths, from);
  x = itself(x);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto part = [&](std::ptrdiff_t width) {
      Shape shape = x.shape();
      shape[i] = static_cast<std::size_t>(width);
      return full<T>(shape, value);
    };
    if (all[i].before + all[i].after != 0)
      x = concatenate({part(all[i].before), x, part(all[i].after)}, static_cast<std::ptrdiff_t>(i));
  }
  return x;
}

template <class T>
Tensor<T> pad(Tensor<T> x, const Indices& widths, PadMode mode) {
  const Shape from = x.shape();
  const std::vector<PadWidth> all = pad_widths(widths, from);
  x = itself(x);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto n = static_cast<std::ptrdiff_t>(from[i]);
    const auto [before, after] = all[i];
    if (before + after == 0) continue;
    if (n == 0)
      throw Error("pad", "axis " + std::to_string(i) + " of shape " + to_string(from) +
                             " has no element to repeat: pad with a number");
    std::vector<std::ptrdiff_t> places;
    for (std::ptrdiff_t p = -before; p < n + after; ++p) places.push_back(padded_place(p, n, mode));
    x = take(x, Indices(places), static_cast<std::ptrdiff_t>(i));
  }
  return x;
}

template <class T>
Tensor<T> detail::repeat(const Tensor<T>& x, std::ptrdiff_t n, std::ptrdiff_t signed_axis) {
  const std::size_t axis = normalize_axis(signed_axis, x.rank(), "repeat");
  const Shape shape = lengthened("repeat", x.shape(), axis, n);
  return copies(x, axes_size(x.shape(), 0, axis + 1), static_cast<std::size_t>(n), shape);
}

template <class T>
Tensor<T> repeat(Tensor<T> x, const Indices& counts, std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "repeat");
  if (counts.shape().empty() || (counts.size() == 1 && counts.shape().size() == 1))
    return repeat(std::move(x), counts[0], signed_axis);
  if (!(counts.shape() == Shape{x.shape()[axis]}))
    throw Error("repeat", "counts of shape " + to_string(counts.shape()) + " are not one for each of the " +
                              std::to_string(x.shape()[axis]) + " along axis " + std::to_string(axis) +
                              " of shape " + to_string(x.shape()));
  std::vector<std::size_t> places;
  Shape shape = x.shape();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    shape[axis] = 1;
    shape[axis] = places.size() + lengthened("repeat", shape, axis, counts[i])[axis];
    detail::element_count(shape, "repeat");
    places.insert(places.end(), static_cast<std::size_t>(counts[i]), i);
  }
  return take(x, Indices(places), static_cast<std::ptrdiff_t>(axis));
}

template <class T>
Tensor<T> tile(Tensor<T> x, const Dims& times) {
  Dims shape(x.shape());
  while (shape.size() < times.size()) shape.insert(0, 1);
  x = reshape(x, shape);
  for (std::size_t k = 0; k < times.size(); ++k) {
    const std::size_t axis = x.rank() - times.size() + k;
    if (times[k] == 1) continue;
    const Shape tiled = lengthened("tile", x.shape(), axis, times[k]);
    x = copies(x, detail::axes_size(x.shape(), 0, axis), static_cast<std::size_t>(times[k]), tiled);
  }
  return x;
}

template <class T>
Tensor<T> roll(Tensor<T> x, const Axes& shift, const Axes& axes) {
  if (shift.size() != axes.size())
    throw Error("roll", std::to_string(shift.size()) + " shifts do not belong to " +
                            std::to_string(axes.size()) + " axes");
  x = itself(x);
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const std::size_t axis = detail::normalize_axis(axes[k], x.rank(), "roll");
    const auto n = static_cast<std::ptrdiff_t>(x.shape()[axis]);
    const std::ptrdiff_t by = n == 0 ? 0 : mod(shift[k], n);
    if (by == 0) continue;
    const std::vector<Tensor<T>> parts = split(x, Indices(n - by), static_cast<std::ptrdiff_t>(axis));
    x = concatenate({parts[1], parts[0]}, static_cast<std::ptrdiff_t>(axis));
  }
  return x;
}

template <class T>
Tensor<T> roll(Tensor<T> x, std::ptrdiff_t shift) {
  const Dims shape(x.shape());
  return reshape(roll(flatten(std::move(x)), Axes(shift), Axes(0)), shape);
}

template <class T>
Tensor<T> swapaxes(Tensor<T> x, std::ptrdiff_t a, std::ptrdiff_t b) {
  Axes order;
  for (std::size_t i = 0; i < x.rank(); ++i) order.push_back(static_cast<std::ptrdiff_t>(i));
  std::swap(order[detail::normalize_axis(a, x.rank(), "swapaxes")],
            order[detail::normalize_axis(b, x.rank(), "swapaxes")]);
  return transpose(std::move(x), order);
}

template <class T>
Tensor<T> moveaxis(Tensor<T> x, const Axes& from, const Axes& to) {
  const std::size_t rank = x.rank();
  if (from.size() != to.size())
    throw Error("moveaxis",
                std::to_string(from.size()) + " axes do not have " + std::to_string(to.size()) + " places");
  const unsigned moved = detail::axis_mask(from, rank, "moveaxis"),
                 taken = detail::axis_mask(to, rank, "moveaxis");
  Axes order(rank, 0);
  for (std::size_t k = 0; k < from.size(); ++k)
    order[detail::normalize_axis(to[k], rank, "moveaxis")] =
        static_cast<std::ptrdiff_t>(detail::normalize_axis(from[k], rank, "moveaxis"));
  for (std::size_t place = 0, axis = 0; place < rank; ++place) {
    if (taken >> place & 1u) continue;
    while (moved >> axis & 1u) ++axis;
    order[place] = static_cast<std::ptrdiff_t>(axis++);
  }
  return transpose(std::move(x), order);
}

template <class T>
Tensor<T> vstack(const std::vector<Tensor<T>>& tensors) {
  return concatenate(at_least(2, tensors), 0);
}

template <class T>
Tensor<T> hstack(const std::vector<Tensor<T>>& tensors) {
  const std::vector<Tensor<T>> all = at_least(1, tensors);
  return concatenate(all, all.empty() || all.front().rank() == 1 ? 0 : 1);
}

template <class T>
std::vector<Tensor<T>> meshgrid(const std::vector<Tensor<T>>& vectors, GridIndexing indexing) {
  const std::size_t n = vectors.size();
  const auto axis_of = [&](std::size_t i) {
    return indexing == GridIndexing::xy && n >= 2 && i < 2 ? 1 - i : i;
  };
  Shape shape(n, 1);
  for (std::size_t i = 0; i < n; ++i) {
    if (vectors[i].rank() > 1)
      throw Error("meshgrid", "shape " + to_string(vectors[i].shape()) + " is not a vector");
    shape[axis_of(i)] = vectors[i].size();
  }
  std::vector<Tensor<T>> all;
  for (std::size_t i = 0; i < n; ++i) {
    Shape own(n, 1);
    own[axis_of(i)] = vectors[i].size();
    all.push_back(broadcast_to(reshape(vectors[i], Dims(own)), shape));
  }
  return all;
}

#define XTAPE_INSTANTIATE(T)                                                           \
  template Tensor<T> pad(Tensor<T>, const Indices&, T);                                \
  template Tensor<T> pad(Tensor<T>, const Indices&, PadMode);                          \
  template Tensor<T> detail::repeat(const Tensor<T>&, std::ptrdiff_t, std::ptrdiff_t); \
  template Tensor<T> repeat(Tensor<T>, const Indices&, std::ptrdiff_t);                \
  template Tensor<T> tile(Tensor<T>, const Dims&);                                     \
  template Tensor<T> roll(Tensor<T>, const Axes&, const Axes&);                        \
  template Tensor<T> roll(Tensor<T>, std::ptrdiff_t);                                  \
  template Tensor<T> swapaxes(Tensor<T>, std::ptrdiff_t, std::ptrdiff_t);              \
  template Tensor<T> moveaxis(Tensor<T>, const Axes&, const Axes&);                    \
  template Tensor<T> vstack(const std::vector<Tensor<T>>&);                            \
  template Tensor<T> hstack(const std::vector<Tensor<T>>&);                            \
  template std::vector<Tensor<T>> meshgrid(const std::vector<Tensor<T>>&, GridIndexing);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
