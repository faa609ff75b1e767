// take, gather and scatter_add: reading blocks at a list of offsets, and adding them there; one_hot.
#include "../indexing.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>

#include "../base/pool_vector.hpp"
#include "../base/text.hpp"
#include "../derivation/code.hpp"
#include "../elementwise.hpp"
#include "../engine.hpp"
#include "../layout.hpp"
#include "../notation/axes.hpp"
#include "../tape/op.hpp"

namespace xtape {

Indices::Indices(std::initializer_list<detail::Nested> items) {
  const Tensor<double> numbers(items);
  *this = uninitialized(numbers.shape());
  std::ptrdiff_t* to = mutable_data();
  for (const double number : numbers) {
    if (!(std::abs(number) < 0x1p53 && std::floor(number) == number))
      throw Error("Indices", detail::number_text(number) + " is not a whole number below 2^53");
    *to++ = static_cast<std::ptrdiff_t>(number);
  }
}

namespace detail {
namespace {

/// The blocks of an array of shape `from` that indices along an axis name. Indices are checked where they are
/// read: a program reads others at each run.
struct Blocks {
  const char* name;
  Shape from;
  std::size_t axis;
  Shape to;             ///< of the blocks, one behind the other
  bool aligned;         ///< an index for each element of `to`, else one for each sub-array
  bool from_0 = false;  ///< negative indices do not count from the end, but are errors
  bool operator==(const Blocks&) const = default;

  /// Elements of a block.
  std::size_t size() const { return aligned ? 1 : inner(); }
  /// f(offset) for each block.
  template <class F>
  void each(const Indices& indices, const F& f) const {
    const std::size_t n = from[axis], step = inner();
    const std::ptrdiff_t* index = indices.data();
    if (!aligned) {
      for (std::size_t outer = 0; outer < before(); ++outer)
        for (std::size_t i = 0; i < indices.size(); ++i) f((outer * n + checked(index, i)) * step);
      return;
    }
    const Dims strides = row_major_strides(from);
    Dims at(from.size(), 0);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      std::size_t offset = checked(index, i) * step;
      for (std::size_t d = 0; d < from.size(); ++d)
        if (d != axis) offset += static_cast<std::size_t>(at[d] * strides[d]);
      f(offset);
      for (std::size_t d = from.size(); d-- > 0;) {
        if (++at[d] < static_cast<std::ptrdiff_t>(to[d])) break;
        at[d] = 0;
      }
    }
  }

  /// Of a batch in front: all samples have indices of their own where `aligned`, else the same ones.
  Blocks batched(std::size_t samples) const {
    return {name, with_batch({samples}, from), axis + 1, with_batch({samples}, to), aligned, from_0};
  }

  /// Loops over the blocks, with `line` for each of their elements: BLOCK is where it is among the blocks,
  /// ROW where it is in the array, INDEX the number of its index.
  void code(Code& code, const std::string& line, bool filled) const {
    const std::size_t count = element_count(to, name) / (before() * inner());
    code.text(
        "for (std::size_t i = 0; i < outer; ++i)\n"
        "  for (std::size_t j = 0; j < count; ++j)\n"
        "    for (std::size_t k = 0; k < inner; ++k) " +
            replaced(line, {{"BLOCK", "(i * count + j) * inner + k"},
                            {"ROW", "(i * n + row($1[INDEX], n)) * inner + k"},
                            {"INDEX", aligned ? "(i * count + j) * inner + k" : "j"}}),
        {{"outer", before()}, {"count", count}, {"inner", inner()}, {"n", from[axis]}}, filled);
  }

 private:
  std::size_t before() const { return axes_size(from, 0, axis); }
  std::size_t inner() const { return axes_size(from, axis + 1, from.size()); }
  std::size_t checked(const std::ptrdiff_t* indices, std::size_t i) const {
    const auto n = static_cast<std::ptrdiff_t>(from[axis]);
    const std::ptrdiff_t index = indices[i];
    if (from_0 && (index < 0 || index >= n))
      throw Error(name, "index " + std::to_string(index) + " at " + std::to_string(i) +
                            " is not one of the " + std::to_string(n) + " rows from 0");
    if (index < -n || index >= n)
      throw Error(name, "index " + std::to_string(index) + " is out of range for axis " +
                            std::to_string(axis) + " of shape " + to_string(from));
    return static_cast<std::size_t>(index < 0 ? index + n : index);
  }
};

/// An operation on blocks for a batch: at once where what the samples share allows it.
template <class T, class Op>
Tensor<T> lifted_blocks(const Op& op, std::span<const Handle* const> in, const std::vector<char>& batched,
                        const Shape& shape) {
  if (!batched[0] || bool(batched[1]) != op.blocks.aligned) return lift_each<T>(op, in, batched, shape);
  const Op whole{op.blocks.batched(shape[0])};
  return perform_here<T>(whole, in, shape);
}

template <class T>
struct ScatterBlocks;

/// y = the blocks of x, one behind the other.
template <class T>
struct GatherBlocks {
  static constexpr bool accumulates = true;
  using Inputs = std::tuple<Tensor<T>, Indices>;
  Blocks blocks;
  bool operator==(const GatherBlocks&) const = default;
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& shape) const {
    return lifted_blocks<T>(*this, in, batched, shape);
  }

  const char* name() const { return blocks.name; }
  void write(Notation& to) const { to.set(rows_term(blocks.name, to.x[0], to.x[1], to.shape)); }
  void code(Code& to) const { blocks.code(to, "$y[BLOCK] = $0[ROW];", false); }
  Shape shape(const Shape&, const Shape&) const { return blocks.to; }
  void compute(Target<T> y, const Tensor<T>& x, const Indices& indices) const {
    T* to = y.data;
    const std::size_t n = blocks.size();
    blocks.each(indices, [&](std::size_t offset) {
      const T* const from = x.data() + offset;
      for (std::size_t i = 0; i < n; ++i) to[i] = y.accumulate ? to[i] + from[i] : from[i];
      to += n;
    });
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(1); }
  void tangent(Tangents<T>& t) const { t.add(*this, t.of(0), t.indices(1)); }
  void backward(Gradients<T>& d) const { d.add(0, ScatterBlocks<T>{blocks}, d.adjoint, d.indices(1)); }
};

/// y = 0, with the blocks of x added where they are.
template <class T>
struct ScatterBlocks {
  static constexpr bool accumulates = true;
  using Inputs = std::tuple<Tensor<T>, Indices>;
  Blocks blocks;
  bool operator==(const ScatterBlocks&) const = default;
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& shape) const {
    return lifted_blocks<T>(*this, in, batched, shape);
  }

  const char* name() const { return blocks.name; }
  void write(Notation& to) const { to.set(scatter_term(to.x[0], to.x[1], to.shape)); }
  void code(Code& to) const { blocks.code(to, "$y[ROW] += $0[BLOCK];", true); }
  Shape shape(const Shape&, const Shape&) const { return blocks.from; }
  void compute(Target<T> y, const Tensor<T>& x, const Indices& indices) const {
    if (!y.accumulate) std::fill_n(y.data, y.size, T(0));
    const std::size_t n = blocks.size();
    const auto add = [&](auto* sums) {
      const T* from = x.data();
      blocks.each(indices, [&](std::size_t offset) {
        for (std::size_t i = 0; i < n; ++i) sums[offset + i] += from[i];
        from += n;
      });
    };
    // Where thousands may meet at one place, their sum is computed in more digits, if it is not mostly zeros.
    if (x.size() / std::max<std::size_t>(n, 1) < 1024 || y.size > 8 * x.size()) return add(y.data);
    PoolVector<Wider<T>> sums(y.size, Wider<T>(0));
    add(sums.data());
    for (std::size_t i = 0; i < y.size; ++i) y.data[i] = static_cast<T>(y.data[i] + sums[i]);
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(1); }
  void tangent(Tangents<T>& t) const { t.add(*this, t.of(0), t.indices(1)); }
  void backward(Gradients<T>& d) const { d.add(0, GatherBlocks<T>{blocks}, d.adjoint, d.indices(1)); }
};

/// The elements of an array of `shape` that indices name along an axis, one by one.
Blocks elements_along(const Shape& shape, const Indices& indices, std::size_t axis, const char* op) {
  Shape expected = shape;
  const bool same_rank = indices.shape().size() == shape.size();
  if (same_rank) expected[axis] = indices.shape()[axis];
  if (!same_rank || !(indices.shape() == expected))
    throw Error(op, "indices of shape " + to_string(indices.shape()) + " do not agree with shape " +
                        to_string(shape) + " outside of axis " + std::to_string(axis));
  return {op, shape, axis, indices.shape(), true};
}

}  // namespace
}  // namespace detail

namespace detail {
namespace {

template <class T>
Tensor<T> take(const char* name, const Tensor<T>& x, const Indices& indices, std::size_t axis, bool from_0) {
  const Shape& from = x.shape();
  Shape to;
  for (std::size_t i = 0; i < axis; ++i) to.push_back(from[i]);
  for (std::size_t d : indices.shape()) to.push_back(d);
  for (std::size_t i = axis + 1; i < from.size(); ++i) to.push_back(from[i]);
  return apply<T>(GatherBlocks<T>{{name, from, axis, to, false, from_0}}, x, indices);
}

/// Rows of zeros with a one where the label is: (…, classes).
template <class T>
struct OneHot {
  using Inputs = std::tuple<Indices>;
  std::size_t classes;
  static constexpr const char* name = "one_hot";
  void code(Code& to) const {
    to.text("for (std::size_t i = 0; i < size; ++i) $y[i * classes + static_cast<std::size_t>($0[i])] = 1;",
            {{"size", element_count(to.shape(0), name)}, {"classes", classes}}, true);
  }
  bool operator==(const OneHot&) const = default;
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>&, const Shape& shape) const {
    return perform_here<T>(*this, in, shape);
  }

  Shape shape(const Shape& labels) const {
    Shape all = labels;
    all.push_back(classes);
    return all;
  }
  void compute(Target<T> y, const Indices& labels) const {
    std::fill_n(y.data, y.size, T(0));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::ptrdiff_t label = labels.data()[i];
      if (label < 0 || label >= static_cast<std::ptrdiff_t>(classes))
        throw Error(name, "label " + std::to_string(label) + " at " + std::to_string(i) +
                              " is not one of the " + std::to_string(classes) + " classes from 0");
      y.data[i * classes + static_cast<std::size_t>(label)] = 1;
    }
  }
};

/// The places of a matrix (n, m) where kept(column − row).
template <class F>
MatrixIndices matrix_indices(const char* op, std::size_t n, std::size_t m, const F& kept) {
  element_count({n, m}, op);
  std::vector<std::ptrdiff_t> rows, columns;
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(n); ++i)
    for (std::ptrdiff_t j = 0; j < static_cast<std::ptrdiff_t>(m); ++j)
      if (kept(j - i)) {
        rows.push_back(i);
        columns.push_back(j);
      }
  return {Indices(rows), Indices(columns)};
}

/// The numbers of x, which are whole, as Indices.
template <class T>
struct WholeNumbers {
  using Inputs = std::tuple<Tensor<T>>;
  const char* name;
  static constexpr bool gives_integers = true;
  WholeNumbers batched(const Shape&) const { return *this; }
  void code(Code& to) const {
    to.text("for (std::size_t i = 0; i < size; ++i) $y[i] = static_cast<std::ptrdiff_t>($0[i]);",
            {{"size", element_count(to.shape(), name)}});
  }
  bool operator==(const WholeNumbers&) const = default;

  Shape shape(const Shape& x) const { return x; }
  /// y is an array of integers, which are of the size of double.
  void compute(Target<double> y, const Tensor<T>& x) const {
    static_assert(sizeof(double) == sizeof(std::ptrdiff_t));
    auto* const to = reinterpret_cast<std::ptrdiff_t*>(y.data);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const T number = x.data()[i];
      if (!(std::abs(number) < T(0x1p53) && std::floor(number) == number))
        throw Error(name, number_text(static_cast<double>(number)) + " at " + std::to_string(i) +
                              " is not a whole number: give indices");
      to[i] = static_cast<std::ptrdiff_t>(number);
    }
  }
};

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> engine::take_rows(const char* op, const Tensor<T>& x, const Indices& indices) {
  return detail::take(op, x, indices, 0, true);
}

template <class T>
Indices engine::whole_numbers(const char* op, const Tensor<T>& x) {
  const NoGrad no_grad;
  return Indices(detail::perform_here<double>(detail::WholeNumbers<T>{op}, std::array{&x.handle()}, x.shape())
                     .release());
}

template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t signed_axis) {
  return detail::take("take", x, indices, detail::normalize_axis(signed_axis, x.rank(), "take"), false);
}

template <class T>
Tensor<T> take(const Tensor<T>& x, const Indices& indices) {
  return take(flatten(x), indices, 0);
}

template <class T>
Tensor<T> gather(const Tensor<T>& x, const Indices& indices, std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "gather");
  return detail::apply<T>(detail::GatherBlocks<T>{detail::elements_along(x.shape(), indices, axis, "gather")},
                          x, indices);
}

template <class T>
Tensor<T> scatter_add(const Tensor<T>& x, const Indices& indices, const Tensor<T>& updates,
                      std::ptrdiff_t signed_axis) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "scatter_add");
  if (!(updates.shape() == indices.shape()))
    throw Error("scatter_add", "updates of shape " + to_string(updates.shape()) + " and indices of shape " +
                                   to_string(indices.shape()) + " differ");
  const detail::ScatterBlocks<T> scatter{detail::elements_along(x.shape(), indices, axis, "scatter_add")};
  return x + detail::apply<T>(scatter, updates, indices);
}

template <class T>
Tensor<T> one_hot(const Indices& labels, std::size_t classes) {
  const detail::OneHot<T> op{classes};
  return detail::perform_here<T>(op, std::array{&labels.handle()}, op.shape(labels.shape()));
}

MatrixIndices tril_indices(std::size_t n, std::ptrdiff_t k, std::size_t m) {
  return detail::matrix_indices("tril_indices", n, m, [k](std::ptrdiff_t above) { return above <= k; });
}
MatrixIndices tril_indices(std::size_t n, std::ptrdiff_t k) { return tril_indices(n, k, n); }

MatrixIndices triu_indices(std::size_t n, std::ptrdiff_t k, std::size_t m) {
  return detail::matrix_indices("triu_indices", n, m, [k](std::ptrdiff_t above) { return above >= k; });
}
MatrixIndices triu_indices(std::size_t n, std::ptrdiff_t k) { return triu_indices(n, k, n); }

#define XTAPE_INSTANTIATE(T)                                                           \
  template Tensor<T> engine::take_rows(const char*, const Tensor<T>&, const Indices&); \
  template Indices engine::whole_numbers(const char*, const Tensor<T>&);               \
  template Tensor<T> take(const Tensor<T>&, const Indices&, std::ptrdiff_t);           \
  template Tensor<T> take(const Tensor<T>&, const Indices&);                           \
  template Tensor<T> gather(const Tensor<T>&, const Indices&, std::ptrdiff_t);         \
  template Tensor<T> one_hot(const Indices&, std::size_t);                             \
  template Tensor<T> scatter_add(const Tensor<T>&, const Indices&, const Tensor<T>&, std::ptrdiff_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
