// take, gather and scatter_add: reading blocks at a list of offsets, and adding them there; one_hot.
#include "../indexing.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <tuple>

#include "../base/pool_vector.hpp"
#include "../base/text.hpp"
#include "../derivation/code.hpp"
#include "../elementwise.hpp"
#include "../engine.hpp"
#include "../kernels/kernels.hpp"
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

  /// Array and blocks are (before, n, inner) and (before, count, inner): an index is for `inner` elements, or
  /// for one of them where `aligned`.
  std::size_t before() const { return axes_size(from, 0, axis); }
  std::size_t inner() const { return axes_size(from, axis + 1, from.size()); }
  std::size_t count(const Indices& indices) const { return aligned ? to[axis] : indices.size(); }

  /// f(place, at, m) for elements begin <= k < end of the rows first <= r < last of (before, count): the m
  /// ones at `at` of the blocks are those at `place` of the array. The indices have been checked.
  template <class F>
  void each(const Indices& indices, std::size_t first, std::size_t last, std::size_t begin, std::size_t end,
            const F& f) const {
    const std::size_t n = from[axis], step = inner(), rows = count(indices);
    const std::ptrdiff_t* const index = indices.data();
    const auto place = [=](std::size_t outer, std::size_t i) {
      return (outer * n + static_cast<std::size_t>(index[i]) + (index[i] < 0 ? n : 0)) * step;
    };
    for (std::size_t r = first; r < last;) {
      const std::size_t outer = r / rows;
      for (const std::size_t stop = std::min(last, (outer + 1) * rows); r < stop; ++r) {
        if (aligned)
          for (std::size_t k = begin; k < end; ++k) f(place(outer, r * step + k) + k, r * step + k, 1);
        else
          f(place(outer, r - outer * rows) + begin, r * step + begin, end - begin);
      }
    }
  }

  /// Error for an index that names nothing.
  void check(const Indices& indices) const {
    const auto n = static_cast<std::ptrdiff_t>(from[axis]);
    const std::ptrdiff_t* const index = indices.data();
    const auto is_good = [=, least = from_0 ? 0 : -n](std::ptrdiff_t one) { return one >= least && one < n; };
    std::atomic<bool> any = false;
    for_blocks(indices.size(), indices.size(), [&](std::size_t first, std::size_t last) {
      if (!std::all_of(index + first, index + last, is_good)) any.store(true, std::memory_order_relaxed);
    });
    if (!any) return;
    const std::ptrdiff_t* const bad = std::find_if_not(index, index + indices.size(), is_good);
    if (from_0)
      throw Error(name, "index " + std::to_string(*bad) + " at " + std::to_string(bad - index) +
                            " is not one of the " + std::to_string(n) + " rows from 0");
    throw Error(name, "index " + std::to_string(*bad) + " is out of range for axis " + std::to_string(axis) +
                          " of shape " + to_string(from));
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
    blocks.check(indices);
    const T* const from = x.data();
    for_blocks(blocks.before() * blocks.count(indices), y.size, [&](std::size_t first, std::size_t last) {
      blocks.each(indices, first, last, 0, blocks.inner(),
                  [=](std::size_t place, std::size_t at, std::size_t m) {
                    if (!y.accumulate)
                      std::copy_n(from + place, m, y.data + at);
                    else
                      for (std::size_t i = 0; i < m; ++i) y.data[at + i] += from[place + i];
                  });
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
    blocks.check(indices);
    if (!y.accumulate)
      for_blocks(y.size, y.size, [&](std::size_t first, std::size_t last) {
        std::fill(y.data + first, y.data + last, T(0));
      });
    // What meets at one place is added in the order of the rows, by one thread. Shared out are the elements
    // of a row where each has an index, else ranges of the array's rows: threads that add to one row slow
    // each other down, while looking through all indices for those of a range takes little beside long rows.
    const std::size_t count = blocks.count(indices), inner = blocks.inner(), n = blocks.from[blocks.axis];
    const std::size_t width = std::max<std::size_t>(64, part_size / std::max<std::size_t>(count, 1));
    const std::size_t parts = blocks.aligned             ? quotient_up(inner, width)
                              : x.size() < parallel_size ? 1
                                                         : std::clamp<std::size_t>(inner / 16, 1, 8);
    const auto add = [&](auto* sums) {
      const T* const from = x.data();
      const auto add_part = [&](std::size_t outer, std::size_t part) {
        const std::size_t begin = blocks.aligned ? part * width : 0;
        const std::size_t end = blocks.aligned ? std::min(inner, begin + width) : inner;
        const std::size_t low = blocks.aligned ? 0 : part * n / parts;
        const std::size_t high = blocks.aligned ? n : (part + 1) * n / parts;
        blocks.each(indices, outer * count, (outer + 1) * count, begin, end,
                    [=, least = (outer * n + low) * inner, most = (outer * n + high) * inner](
                        std::size_t place, std::size_t at, std::size_t m) {
                      if (place < least || place >= most) return;
                      for (std::size_t i = 0; i < m; ++i) sums[place + i] += from[at + i];
                    });
      };
      for_blocks(blocks.before() * parts, x.size(), [&](std::size_t first, std::size_t last) {
        for (; first < last; ++first) add_part(first / parts, first % parts);
      });
    };
    // Where thousands may meet at one place, their sum is computed in more digits, if it is not mostly zeros.
    const std::size_t size = blocks.aligned ? 1 : std::max<std::size_t>(inner, 1);
    if (x.size() / size < 1024 || y.size > 8 * x.size()) return add(y.data);
    PoolVector<Wider<T>> sums(y.size, Wider<T>(0));
    add(sums.data());
    for_blocks(y.size, y.size, [&](std::size_t first, std::size_t last) {
      for (; first < last; ++first) y.data[first] = static_cast<T>(y.data[first] + sums[first]);
    });
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
