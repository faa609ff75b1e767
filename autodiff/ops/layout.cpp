// Checks of shapes and axes for the layout operations.
#include "../layout.hpp"

#include <string>

#include "../reductions.hpp"
#include "layout_ops.hpp"

namespace xtape {
namespace {

Error sizes_differ(const char* op, const Shape& from, const std::string& to) {
  return Error(op, "shape " + to_string(from) + " cannot become " + to + ": the numbers of elements differ");
}

template <class T>
Tensor<T> reshaped(const Tensor<T>& x, const Shape& shape) {
  if (shape == x.shape() && (detail::recording || !x.requires_grad())) return x;  // NoGrad: a constant
  return detail::view(x, shape);
}

template <class T>
Tensor<T> split_part(const Tensor<T>& x, std::size_t axis, std::size_t first, std::size_t last) {
  return detail::apply<T>(detail::part_of_axis<T>("split", x.shape(), axis, first, last), x);
}

struct SliceInfo {
  std::ptrdiff_t start, size, step;
};

/// Resolves one slice of an axis of n elements.
template <class S>
SliceInfo resolve(const S& s, std::size_t n) {
  if constexpr (requires { s.step() == 0; })
    if (s.step() == 0) throw Error("slice", "a range with a step of 0 does not move");
  if constexpr (requires { s.get(n); })
    return resolve(s.get(n), n);
  else if constexpr (requires {
                       s.step_size();
                       s.size();
                       s(0);
                     })
    return {static_cast<std::ptrdiff_t>(s(0)), static_cast<std::ptrdiff_t>(s.size()),
            static_cast<std::ptrdiff_t>(s.step_size())};
  else
    return {0, static_cast<std::ptrdiff_t>(n), 1};  // xt::all()
}

}  // namespace

template <class T>
Tensor<T> reshape(const Tensor<T>& x, const Dims& dims) {
  std::size_t known = 1;
  std::size_t unknown = max_rank;
  Shape shape(dims.size(), 0);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0) {
      if (dims[i] != -1 || unknown != max_rank)
        throw Error("reshape", "shape " + detail::tuple_text<std::ptrdiff_t>(dims) +
                                   ": at most one dimension may be -1, the others count");
      unknown = i;
      shape[i] = 1;
    } else {
      shape[i] = static_cast<std::size_t>(dims[i]);
    }
  }
  known = detail::element_count(shape, "reshape");
  if (unknown != max_rank) {
    if (known == 0 || x.size() % known != 0)
      throw sizes_differ("reshape", x.shape(), detail::tuple_text<std::ptrdiff_t>(dims));
    shape[unknown] = x.size() / known;
  } else if (known != x.size()) {
    throw sizes_differ("reshape", x.shape(), detail::tuple_text<std::ptrdiff_t>(dims));
  }
  return reshaped(x, shape);
}

template <class T>
Tensor<T> flatten(Tensor<T> x) {
  return reshaped(x, Shape{x.size()});
}

template <class T>
Tensor<T> flatten(const Tensor<T>& x, std::ptrdiff_t start, std::ptrdiff_t end) {
  const std::size_t first = detail::normalize_axis(start, x.rank(), "flatten"),
                    last = detail::normalize_axis(end, x.rank(), "flatten");
  if (last < first)
    throw Error("flatten", "axis " + std::to_string(last) + " of shape " + to_string(x.shape()) +
                               " is before axis " + std::to_string(first));
  Shape shape;
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (i <= first || i > last)
      shape.push_back(x.shape()[i]);
    else
      shape[first] *= x.shape()[i];
  return reshaped(x, shape);
}

template <class T>
Tensor<T> squeeze(Tensor<T> x) {
  Shape shape;
  for (std::size_t d : x.shape())
    if (d != 1) shape.push_back(d);
  return reshaped(x, shape);
}

template <class T>
Tensor<T> squeeze(Tensor<T> x, const Axes& axes) {
  const unsigned mask = detail::axis_mask(axes, x.rank(), "squeeze");
  for (std::size_t i = 0; i < x.rank(); ++i)
    if ((mask >> i & 1u) && x.shape()[i] != 1)
      throw Error("squeeze", "axis " + std::to_string(i) + " of shape " + to_string(x.shape()) +
                                 " has the size " + std::to_string(x.shape()[i]) + ", not 1");
  return reshaped(x, detail::reduced_shape(x.shape(), mask, false));
}

template <class T>
Tensor<T> unsqueeze(const Tensor<T>& x, std::ptrdiff_t axis) {
  Shape shape = x.shape();
  shape.insert(detail::normalize_axis(axis, x.rank() + 1, "unsqueeze"), 1);
  return reshaped(x, shape);
}

template <class T>
Tensor<T> transpose(Tensor<T> x) {
  Axes reversed;
  for (std::size_t i = x.rank(); i-- > 0;) reversed.push_back(static_cast<std::ptrdiff_t>(i));
  return transpose(x, reversed);
}

template <class T>
Tensor<T> transpose(Tensor<T> x, const Axes& permutation) {
  if (permutation.size() != x.rank())
    throw Error("transpose", "a permutation of " + std::to_string(permutation.size()) +
                                 " axes does not fit shape " + to_string(x.shape()));
  detail::axis_mask(permutation, x.rank(), "transpose");
  detail::Transpose<T> op{permutation};
  for (std::ptrdiff_t& axis : op.permutation)
    axis = static_cast<std::ptrdiff_t>(detail::normalize_axis(axis, x.rank(), "transpose"));
  return detail::apply<T>(op, x);
}

template <class T>
Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape) {
  if (!detail::broadcasts_to(x.shape(), shape))
    throw Error("broadcast_to",
                "shape " + to_string(x.shape()) + " does not broadcast to " + to_string(shape));
  return detail::apply<T>(detail::BroadcastTo<T>{shape}, x);
}

template <class T>
Tensor<T> detail::concatenate(std::span<const Tensor<T>> tensors, std::ptrdiff_t signed_axis) {
  if (tensors.empty()) throw Error("concatenate", "there are no tensors");
  const std::size_t axis = detail::normalize_axis(signed_axis, tensors.front().rank(), "concatenate");
  Shape shape = tensors.front().shape();
  shape[axis] = 0;
  detail::Concatenate<T> op{axis, detail::make_value({tensors.size()}, sizeof(std::size_t), "concatenate")};
  std::size_t* size = op.sizes().data();
  for (const Tensor<T>& x : tensors) {
    Shape other = x.shape();
    const bool fits = other.size() == shape.size();
    if (fits) other[axis] = shape[axis];
    if (!fits || !(other == shape))
      throw Error("concatenate", "shapes " + to_string(tensors.front().shape()) + " and " +
                                     to_string(x.shape()) + " differ outside of axis " +
                                     std::to_string(axis));
    shape[axis] += x.shape()[axis];
    *size++ = x.shape()[axis];
  }
  return perform<T>(std::move(op), Handles<T>(tensors), shape, [&](const Concatenate<T>& same) {
    Tensor<T> y = Tensor<T>::uninitialized(shape, same.name);
    same.compute(Target<T>{y.mutable_data(), y.size()}, tensors);
    return y;
  });
}

template <class T>
Tensor<T> stack(const std::vector<Tensor<T>>& tensors, std::ptrdiff_t axis) {
  if (tensors.empty()) throw Error("stack", "there are no tensors");
  const std::size_t at = detail::normalize_axis(axis, tensors.front().rank() + 1, "stack");
  std::vector<Tensor<T>> parts;
  parts.reserve(tensors.size());
  for (const Tensor<T>& x : tensors) {
    if (!(x.shape() == tensors.front().shape()))
      throw Error("stack", "shapes " + to_string(tensors.front().shape()) + " and " + to_string(x.shape()) +
                               " differ");
    parts.push_back(unsqueeze(x, static_cast<std::ptrdiff_t>(at)));
  }
  return concatenate(parts, static_cast<std::ptrdiff_t>(at));
}

template <class T>
std::vector<Tensor<T>> detail::split_sections(const Tensor<T>& x, std::ptrdiff_t sections,
                                              std::ptrdiff_t signed_axis) {
  const std::size_t axis = normalize_axis(signed_axis, x.rank(), "split");
  const auto n = static_cast<std::ptrdiff_t>(x.shape()[axis]);
  // An empty axis divides into any number of empty parts, but not into more than there can be.
  if (sections <= 0 || n % sections != 0 || sections >= std::ptrdiff_t{1} << 31)
    throw Error("split", "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) +
                             " does not divide into " + std::to_string(sections) + " equal parts");
  std::vector<Tensor<T>> parts;
  parts.reserve(static_cast<std::size_t>(sections));
  const auto size = static_cast<std::size_t>(n / sections);
  for (std::size_t start = 0; parts.size() < static_cast<std::size_t>(sections); start += size)
    parts.push_back(split_part(x, axis, start, start + size));
  return parts;
}

template <class T>
std::vector<Tensor<T>> unbind(const Tensor<T>& x, std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "unbind");
  std::vector<Tensor<T>> parts;
  for (std::size_t i = 0; i < x.shape()[axis]; ++i)
    parts.push_back(squeeze(split_part(x, axis, i, i + 1), static_cast<std::ptrdiff_t>(axis)));
  return parts;
}

template <class T>
std::vector<Tensor<T>> split(Tensor<T> x, const Indices& indices, std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "split");
  const auto n = static_cast<std::ptrdiff_t>(x.shape()[axis]);
  std::vector<Tensor<T>> parts;
  std::ptrdiff_t start = 0;
  for (std::size_t i = 0; i <= indices.size(); ++i) {
    const std::ptrdiff_t stop = i < indices.size() ? indices.values()[i] : n;
    if (stop < start || stop > n)
      throw Error("split", "index " + std::to_string(stop) + " does not ascend within axis " +
                               std::to_string(axis) + " of shape " + to_string(x.shape()));
    parts.push_back(split_part(x, axis, static_cast<std::size_t>(start), static_cast<std::size_t>(stop)));
    start = stop;
  }
  return parts;
}

template <class T>
Tensor<T> detail::slice(const Tensor<T>& x, std::span<const Slice> slices) {
  const Shape& from = x.shape();
  std::size_t taken = 0;
  bool has_ellipsis = false;
  for (const auto& s : slices) {
    const bool ellipsis = xtl::get_if<xt::xellipsis_tag>(&s) != nullptr;
    if (ellipsis && has_ellipsis) throw Error("slice", "an ellipsis may stand once");
    has_ellipsis |= ellipsis;
    if (!ellipsis && !xtl::get_if<xt::xnewaxis_tag>(&s)) ++taken;
  }
  if (taken > x.rank())
    throw Error("slice", std::to_string(taken) + " slices are too many for shape " + to_string(from));

  const Dims own = detail::row_major_strides(from);
  detail::Strided<T> op{"slice", {}, 0, {}};
  std::size_t axis = 0;
  const auto keep_axes = [&](std::size_t end) {
    for (; axis < end; ++axis) {
      op.to.push_back(from[axis]);
      op.strides.push_back(own[axis]);
    }
  };
  for (const auto& s : slices) {
    if (xtl::get_if<xt::xnewaxis_tag>(&s)) {
      op.to.push_back(1);
      op.strides.push_back(0);
    } else if (xtl::get_if<xt::xellipsis_tag>(&s)) {
      keep_axes(axis + x.rank() - taken);
    } else if (const auto* index = xtl::get_if<std::ptrdiff_t>(&s)) {
      const auto n = static_cast<std::ptrdiff_t>(from[axis]);
      if (*index < -n || *index >= n)
        throw Error("slice", "index " + std::to_string(*index) + " is out of range for axis " +
                                 std::to_string(axis) + " of shape " + to_string(from));
      op.offset += (*index < 0 ? *index + n : *index) * own[axis];
      ++axis;
    } else {
      SliceInfo r = xtl::visit([&](const auto& one) { return resolve(one, from[axis]); }, s);
      if (r.size <= 1) r.step = 1;  // a step that is not taken may be of any size
      const auto n = static_cast<std::ptrdiff_t>(from[axis]);
      const std::ptrdiff_t last = r.start + (r.size - 1) * r.step;
      if (r.size > 0 && (r.start < 0 || r.start >= n || last < 0 || last >= n))
        throw Error("slice", "the range from " + std::to_string(r.start) + " to " + std::to_string(last) +
                                 " leaves axis " + std::to_string(axis) + " of shape " + to_string(from));
      op.to.push_back(static_cast<std::size_t>(std::max<std::ptrdiff_t>(r.size, 0)));
      op.strides.push_back(r.step * own[axis]);
      if (r.size > 0) op.offset += r.start * own[axis];
      ++axis;
    }
  }
  keep_axes(x.rank());
  return detail::apply<T>(op, x);
}

template <class T>
Tensor<T> flip(Tensor<T> x) {
  Axes all;
  for (std::size_t i = 0; i < x.rank(); ++i) all.push_back(static_cast<std::ptrdiff_t>(i));
  return flip(x, all);
}

template <class T>
Tensor<T> flip(Tensor<T> x, const Axes& axes) {
  const unsigned mask = detail::axis_mask(axes, x.rank(), "flip");
  detail::Strided<T> op{"flip", x.shape(), 0, detail::row_major_strides(x.shape())};
  for (std::size_t i = 0; i < x.rank(); ++i)
    if ((mask >> i & 1u) && x.size() != 0) {
      op.offset += (static_cast<std::ptrdiff_t>(x.shape()[i]) - 1) * op.strides[i];
      op.strides[i] = -op.strides[i];
    }
  return detail::apply<T>(op, x);
}

namespace {
/// A diagonal beyond the matrix is as far as the first one that is.
std::ptrdiff_t within(std::ptrdiff_t k, std::size_t rows, std::size_t cols) {
  return std::clamp(k, -static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(cols));
}

template <class T>
Tensor<T> triangle(const char* op, const Tensor<T>& x, std::ptrdiff_t k, bool lower) {
  if (x.rank() < 2) throw Error(op, "shape " + to_string(x.shape()) + " has no two axes");
  const std::size_t rows = x.shape()[x.rank() - 2], cols = x.shape()[x.rank() - 1];
  return detail::apply<T>(detail::Triangle<T>{op, within(k, rows, cols), lower}, x);
}
}  // namespace

template <class T>
Tensor<T> detail::tril(const Tensor<T>& x, std::ptrdiff_t k) {
  return triangle("tril", x, k, true);
}

template <class T>
Tensor<T> detail::triu(const Tensor<T>& x, std::ptrdiff_t k) {
  return triangle("triu", x, k, false);
}

template <class T>
Tensor<T> detail::diag(const Tensor<T>& x, std::ptrdiff_t k) {
  if (x.rank() != 1 && x.rank() != 2)
    throw Error("diag", "shape " + to_string(x.shape()) + " is neither a vector nor a matrix");
  constexpr std::ptrdiff_t farthest = std::ptrdiff_t{1}
                                      << 30;  // a matrix of as many rows cannot be addressed
  if (x.rank() == 1 && (k > farthest || k < -farthest))
    throw Error("diag", "the diagonal " + std::to_string(k) + " is too far for a matrix");
  const auto rows = static_cast<std::ptrdiff_t>(x.shape()[0]);
  if (x.rank() == 1) {
    const std::ptrdiff_t n = rows + std::abs(k), first = k < 0 ? -k * n : k;
    return detail::apply<T>(detail::ScatterStrided<T>{"diag", Shape{n, n}, x.shape(), first, Dims{n + 1}}, x);
  }
  const auto cols = static_cast<std::ptrdiff_t>(x.shape()[1]);
  k = within(k, x.shape()[0], x.shape()[1]);
  const std::ptrdiff_t down = std::max<std::ptrdiff_t>(-k, 0), right = std::max<std::ptrdiff_t>(k, 0);
  const std::ptrdiff_t n = std::min(rows - down, cols - right);
  return detail::apply<T>(
      detail::Strided<T>{"diag", Shape{n}, n == 0 ? 0 : down * cols + right, Dims{cols + 1}}, x);
}

template <class T>
Tensor<T> trace(const Tensor<T>& x, std::ptrdiff_t k) {
  if (x.rank() != 2) throw Error("trace", "shape " + to_string(x.shape()) + " is not a matrix");
  return sum(diag(x, k));
}

#define XTAPE_INSTANTIATE(T)                                                                                \
  template Tensor<T> reshape(const Tensor<T>&, const Dims&);                                                \
  template Tensor<T> flatten(Tensor<T>);                                                                    \
  template Tensor<T> flatten(const Tensor<T>&, std::ptrdiff_t, std::ptrdiff_t);                             \
  template Tensor<T> squeeze(Tensor<T>);                                                                    \
  template Tensor<T> squeeze(Tensor<T>, const Axes&);                                                       \
  template Tensor<T> unsqueeze(const Tensor<T>&, std::ptrdiff_t);                                           \
  template Tensor<T> transpose(Tensor<T>);                                                                  \
  template Tensor<T> transpose(Tensor<T>, const Axes&);                                                     \
  template Tensor<T> broadcast_to(const Tensor<T>&, const Shape&);                                          \
  template Tensor<T> detail::concatenate(std::span<const Tensor<T>>, std::ptrdiff_t);                       \
  template Tensor<T> stack(const std::vector<Tensor<T>>&, std::ptrdiff_t);                                  \
  template std::vector<Tensor<T>> detail::split_sections(const Tensor<T>&, std::ptrdiff_t, std::ptrdiff_t); \
  template std::vector<Tensor<T>> unbind(const Tensor<T>&, std::ptrdiff_t);                                 \
  template std::vector<Tensor<T>> split(Tensor<T>, const Indices&, std::ptrdiff_t);                         \
  template Tensor<T> detail::slice(const Tensor<T>&, std::span<const Slice>);                               \
  template Tensor<T> flip(Tensor<T>);                                                                       \
  template Tensor<T> flip(Tensor<T>, const Axes&);                                                          \
  template Tensor<T> detail::tril(const Tensor<T>&, std::ptrdiff_t);                                        \
  template Tensor<T> detail::triu(const Tensor<T>&, std::ptrdiff_t);                                        \
  template Tensor<T> detail::diag(const Tensor<T>&, std::ptrdiff_t);                                        \
  template Tensor<T> trace(const Tensor<T>&, std::ptrdiff_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
