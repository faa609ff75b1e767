// The operations behind layout.hpp. Reading through strides and writing through them are each other's
// derivative, and serve slices, flips, diagonals and parts of a concatenation.
#pragma once
#include <algorithm>
#include <vector>

#include "../derivation/code.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../notation/axes.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

inline Dims with_stride(std::ptrdiff_t first, const Dims& strides) {
  Dims all{first};
  for (const std::ptrdiff_t s : strides) all.push_back(s);
  return all;
}

template <class T>
struct ScatterStrided;

/// y = the elements of x at offset + Σ index·stride. No element is read twice.
template <class T>
struct Strided {
  static constexpr bool accumulates = true;
  const char* name;
  Shape to;
  std::ptrdiff_t offset;
  Dims strides;
  bool operator==(const Strided&) const = default;
  Strided batched(const Shape& x) const {
    return {name, with_batch(x, to), offset, with_stride(row_major_strides(x)[0], strides)};
  }
  void write(Notation& n) const { n.set(slice_term(name, n.x[0], offset, strides, to)); }
  void code(Code& code) const { code.read(offset, strides); }

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    copy_from_strided(y.data, y.accumulate, x.data() + offset, to, strides);
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const {
    d.add(0, ScatterStrided<T>{name, d.shape(0), to, offset, strides}, d.adjoint);
  }
};

/// y = 0, but x at offset + Σ index·stride.
template <class T>
struct ScatterStrided {
  static constexpr bool accumulates = true;
  const char* name;
  Shape to;
  Shape from;
  std::ptrdiff_t offset;
  Dims strides;
  bool operator==(const ScatterStrided&) const = default;
  ScatterStrided batched(const Shape& x) const {
    const Shape all = with_batch(x, to);
    return {name, all, with_batch(x, from), offset, with_stride(row_major_strides(all)[0], strides)};
  }
  void write(Notation& n) const { n.set(put_term(name, n.x[0], from, offset, strides, to)); }
  void code(Code& code) const { code.write(0, offset, strides); }

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const std::size_t size = element_count(to, name);
    if (!y.accumulate)
      for_blocks(size, size, [&](std::size_t first, std::size_t last) {
        std::fill(y.data + first, y.data + last, T(0));
      });
    add_to_strided(y.data + offset, x.data(), from, strides);
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, Strided<T>{name, from, offset, strides}, d.adjoint); }
};

/// The part first <= i < last of an axis of x.
template <class T>
Strided<T> part_of_axis(const char* op, const Shape& x, std::size_t axis, std::size_t first,
                        std::size_t last) {
  const Dims strides = row_major_strides(x);
  Shape part = x;
  part[axis] = last - first;
  return {op, part, first == last ? 0 : static_cast<std::ptrdiff_t>(first) * strides[axis], strides};
}

template <class T>
struct Transpose {
  static constexpr bool accumulates = true;
  Axes permutation;
  static constexpr const char* name = "transpose";
  bool operator==(const Transpose&) const = default;
  Transpose batched(const Shape&) const {
    Transpose all{{0}};
    for (const std::ptrdiff_t axis : permutation) all.permutation.push_back(axis + 1);
    return all;
  }

  void write(Notation& to) const { to.set(permuted(to.x[0], permutation, to.shape)); }

  Shape shape(const Shape& x) const {
    Shape result;
    for (std::ptrdiff_t axis : permutation) result.push_back(x[static_cast<std::size_t>(axis)]);
    return result;
  }
  void compute(Target<T> y, const Tensor<T>& x) const {
    copy_from_strided(y.data, y.accumulate, x.data(), shape(x.shape()), strides(x.shape()));
  }
  void code(Code& to) const { to.read(0, strides(to.shape(0))); }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const {
    Transpose inverse{permutation};
    for (std::size_t i = 0; i < permutation.size(); ++i)
      inverse.permutation[static_cast<std::size_t>(permutation[i])] = static_cast<std::ptrdiff_t>(i);
    d.add(0, inverse, d.adjoint);
  }

 private:
  /// Of the result's axes in x.
  Dims strides(const Shape& x) const {
    const Dims own = row_major_strides(x);
    Dims result;
    for (std::ptrdiff_t axis : permutation) result.push_back(own[static_cast<std::size_t>(axis)]);
    return result;
  }
};

template <class T>
struct BroadcastTo {
  static constexpr bool accumulates = true;
  Shape to;
  static constexpr const char* name = "broadcast_to";
  static constexpr bool broadcasts = true, repeats = true;
  BroadcastTo batched(const Shape& all) const { return {all}; }
  void write(Notation& n) const { n.set(n.x[0].broadcast(to)); }
  void code(Code& code) const { code.read(0, broadcast_strides(code.shape(0), to)); }
  bool operator==(const BroadcastTo&) const = default;

  Shape shape(const Shape&) const { return to; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    copy_from_strided(y.data, y.accumulate, x.data(), to, broadcast_strides(x.shape(), to));
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, d.adjoint); }
};

template <class T>
Tensor<T> view(const Tensor<T>& x, const Shape& shape);

/// A view: shares the elements.
template <class T>
struct Reshape {
  static constexpr const char* name = "reshape";
  static constexpr bool is_view = true;
  void write(Notation& to) const { to.set(reshaped(to.x[0], to.shape)); }
  void code(Code& to) const { to.same(); }
  static Tensor<T> again(std::span<const Handle* const> x, const Shape& shape) {
    return view(Tensor<T>(Handle(*x[0])), shape);
  }
  void tangent(Tangents<T>& t) const { t.add(reshape(t.of(0), Dims(t.output().shape()))); }
  void backward(Gradients<T>& d) const { d.add(0, reshape(d.adjoint, Dims(d.shape(0)))); }
};

/// The elements of x under another shape of as many, or the same.
template <class T>
Tensor<T> view(const Tensor<T>& x, const Shape& shape) {
  return perform<T>(Reshape<T>{}, std::array{&x.handle()}, shape, [&](const Reshape<T>&) {
    return Tensor<T>(Handle{make_view(x.handle().value, shape), {}});
  });
}

/// Runs f with recording, and continues the pass of a rule through what it recorded.
template <class T, class F>
void replay_through(const char* op, const Gradients<T>& d, F&& f) {
  const RecordingScope on(true);
  const NodeRef mark = d.pass().mark();
  Tensor<T> y = f();
  if (!(y.shape() == d.adjoint.shape()))
    throw Error(op, "the function gave the shape " + to_string(d.adjoint.shape()) + " at first and " +
                        to_string(y.shape()) + " when it was run again");
  if (!y.requires_grad()) return;
  // A node of its own: f may return what was recorded before, which has an adjoint already.
  const Tensor<T> fresh = view(y, y.shape());
  y = {};
  d.pass().replay(*fresh.handle().node.get(), d.adjoint.handle(), mark.get());
}

template <class T>
struct Concatenate {
  std::size_t axis;
  ValueRef block;  ///< of sizes()
  static constexpr const char* name = "concatenate";
  Concatenate batched(const Shape&) const { return {axis + 1, block}; }
  bool operator==(const Concatenate& other) const {
    return axis == other.axis && std::ranges::equal(sizes(), other.sizes());
  }

  void write(Notation& to) const {
    to.set(axis == 0 ? below_each_other(to.x, to.shape) : Term::call(name, to.x, to.shape));
  }

  /// Of the inputs along the axis.
  std::span<std::size_t> sizes() const { return {reinterpret_cast<std::size_t*>(block->data), block->size}; }

  void compute(Target<T> y, std::span<const Tensor<T>> x) const {
    const std::size_t outer = axes_size(x.front().shape(), 0, axis);
    std::size_t row = 0;
    for (const Tensor<T>& one : x) row += outer == 0 ? 0 : one.size() / outer;
    for (const Tensor<T>& one : x) {
      const std::size_t n = outer == 0 ? 0 : one.size() / outer;
      for (std::size_t i = 0; i < outer; ++i) std::copy_n(one.data() + i * n, n, y.data + i * row);
      y.data += n;
    }
  }
  void code(Code& to) const {
    const Dims strides = row_major_strides(to.shape());
    std::size_t start = 0;
    for (std::size_t i = 0; i < sizes().size(); start += sizes()[i++])
      to.write(i, static_cast<std::ptrdiff_t>(start) * strides[axis], strides);
  }
  void tangent(Tangents<T>& t) const {
    std::vector<Tensor<T>> parts;
    for (std::size_t i = 0; i < t.input_count(); ++i)
      parts.push_back(t.has(i) ? t.of(i) : zeros<T>(t.input(i).shape()));
    t.add(concatenate<T>(parts, static_cast<std::ptrdiff_t>(axis)));
  }
  void backward(Gradients<T>& d) const {
    std::size_t start = 0;
    for (std::size_t i = 0; i < sizes().size(); start += sizes()[i++])
      d.add(i, part_of_axis<T>(name, d.adjoint.shape(), axis, start, start + sizes()[i]), d.adjoint);
  }
};

/// Keeps the triangle col − row <= k (lower) or >= k (upper) of the last two axes.
template <class T>
struct Triangle {
  static constexpr bool accumulates = true;
  const char* name;
  std::ptrdiff_t k;
  bool lower;
  bool operator==(const Triangle&) const = default;
  Triangle batched(const Shape&) const { return *this; }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const Shape& s = x.shape();
    const auto rows = static_cast<std::ptrdiff_t>(s[s.size() - 2]),
               cols = static_cast<std::ptrdiff_t>(s.back());
    const T* from = x.data();
    T* to = y.data;
    for (std::size_t left = x.size(); left != 0; left -= static_cast<std::size_t>(rows * cols))
      for (std::ptrdiff_t i = 0; i < rows; ++i)
        for (std::ptrdiff_t j = 0; j < cols; ++j, ++from, ++to) {
          const T kept = (lower ? j - i <= k : j - i >= k) ? *from : T(0);
          *to = y.accumulate ? *to + kept : kept;
        }
  }
  void code(Code& to) const {
    const std::size_t R = to.shape().end()[-2], C = to.shape().end()[-1];
    // col − row <= k, or >= k, without negative numbers
    const auto row = static_cast<std::size_t>(std::max<std::ptrdiff_t>(k, 0)),
               column = static_cast<std::size_t>(std::max<std::ptrdiff_t>(-k, 0));
    to.text(std::string("for (std::size_t at = 0; at < size; ++at) {\n"
                        "  const std::size_t column = at % C + plus_column, row = at / C % R + plus_row;\n"
                        "  $y[at] = column ") +
                (lower ? "<=" : ">=") + " row ? $0[at] : $T(0);\n}",
            {{"size", element_count(to.shape(), name)},
             {"R", R},
             {"C", C},
             {"plus_row", row},
             {"plus_column", column}});
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, *this, d.adjoint); }
};

/// One behind the other, as one row.
template <class T>
Tensor<T> packed(const std::vector<Tensor<T>>& parts) {
  std::vector<Tensor<T>> rows;
  for (const Tensor<T>& part : parts) rows.push_back(flatten(part));
  return xtape::concatenate(rows);
}

}  // namespace xtape::detail
