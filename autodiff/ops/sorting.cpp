// Operations that give positions along an axis; what they choose is gathered.
#include "../sorting.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>

#include "../base/pool_vector.hpp"
#include "../derivation/code.hpp"
#include "../indexing.hpp"
#include "../kernels/kernels.hpp"
#include "../layout.hpp"
#include "../notation/term.hpp"
#include "../tape/op.hpp"

namespace xtape {
namespace detail {
namespace {

/// Whether a comes before b in ascending or descending order, NaN being the largest.
template <class T>
bool comes_before(T a, T b, bool descending) {
  if (descending) std::swap(a, b);
  return a < b || (a == a && b != b);
}

/// f(line, n, inner, at, scratch) for each line along an axis of x: its n elements begin at `line`, inner
/// apart, those of a result with m in their place at `at`. `scratch` has room for so many positions, which no
/// other thread uses: for all threads together not more than for all lines.
template <class T, class F>
void each_line(const Tensor<T>& x, std::size_t axis, std::size_t m, std::size_t room, const F& f) {
  const std::size_t n = x.shape()[axis], inner = axes_size(x.shape(), axis + 1, x.rank()),
                    lines = element_count(reduced_shape(x.shape(), 1u << axis, false), "sort"),
                    groups = std::min(lines, std::clamp<std::size_t>(x.size() / parallel_size, 1, 16));
  PoolVector<std::ptrdiff_t> memory(groups * room);
  parallel_for(groups, [&, scratch = memory.data()](std::size_t group) {
    for (std::size_t l = group * lines / groups; l < (group + 1) * lines / groups; ++l) {
      const std::size_t o = l / inner, k = l % inner;
      f(x.data() + o * n * inner + k, n, inner, o * m * inner + k, scratch + group * room);
    }
  });
}

/// Loops over lines in the C++ of a derivation, for lines of text with `j` along the axis; the result is 0
/// before where it is `filled`.
void write_lines(Code& to, std::size_t axis, std::size_t m, const std::string& lines, bool filled = false) {
  const Shape& x = to.shape(0);
  to.text(
      "for (std::size_t i = 0; i < outer; ++i)\n"
      "  for (std::size_t k = 0; k < inner; ++k) {\n" +
          lines + "  }",
      {{"outer", axes_size(x, 0, axis)},
       {"inner", axes_size(x, axis + 1, x.size())},
       {"n", x[axis]},
       {"m", m}},
      filled);
}

/// y = the positions of the first `count` elements in order along an axis. It has the size of y's axis.
template <class T>
struct SortedPositions {
  using Inputs = std::tuple<Tensor<T>>;
  const char* name;
  std::size_t axis, count;
  bool descending;
  static constexpr bool gives_integers = true;
  bool operator==(const SortedPositions&) const = default;
  SortedPositions batched(const Shape&) const { return {name, axis + 1, count, descending}; }
  void write(Notation& to) const { to.set(Term::call(name, to.x, to.shape)); }
  void code(Code& to) const {  // the place of an element is how many come before it
    write_lines(
        to, axis, count,
        std::string("    for (std::size_t j = 0; j < n; ++j) {\n"
                    "      std::size_t place = 0;\n"
                    "      const auto x = $0[(i * n + j) * inner + k];\n"
                    "      for (std::size_t l = 0; l < n; ++l) {\n"
                    "        const auto other = $0[(i * n + l) * inner + k];\n"
                    "        const bool is_less = other < x || (std::isnan(x) && !std::isnan(other));\n"
                    "        const bool is_greater = other > x || (std::isnan(other) && !std::isnan(x));\n"
                    "        if (") +
            (descending ? "is_greater || (!is_less" : "is_less || (!is_greater") +
            " && l < j)) ++place;\n"
            "      }\n"
            "      if (place < m) $y[(i * m + place) * inner + k] = static_cast<std::ptrdiff_t>(j);\n"
            "    }\n",
        true);  // compilers do not see that all places are written
  }

  Shape shape(const Shape& x) const {
    Shape y = x;
    y[axis] = count;
    return y;
  }
  /// y is an array of integers, which are of the size of double.
  void compute(Target<double> y, const Tensor<T>& x) const {
    auto* const to = reinterpret_cast<std::ptrdiff_t*>(y.data);
    each_line(x, axis, count, x.shape()[axis],
              [&](const T* line, std::size_t n, std::size_t inner, std::size_t at, std::ptrdiff_t* order) {
                const auto value = [=](std::ptrdiff_t i) {
                  return line[static_cast<std::size_t>(i) * inner];
                };
                const auto before = [&](std::ptrdiff_t i, std::ptrdiff_t j) {
                  const T a = value(i), b = value(j);
                  return comes_before(a, b, descending) || (!comes_before(b, a, descending) && i < j);
                };
                std::iota(order, order + n, std::ptrdiff_t{0});
                if (count < n)
                  std::partial_sort(order, order + count, order + n, before);
                else
                  std::sort(order, order + n, before);
                for (std::size_t j = 0; j < count; ++j) to[at + j * inner] = order[j];
              });
  }
};

/// y = the position of the largest or smallest element along an axis, of the first NaN where there is one.
template <class T>
struct ExtremePosition {
  using Inputs = std::tuple<Tensor<T>>;
  std::size_t axis;
  bool largest, keepdims;
  static constexpr bool gives_integers = true;
  bool operator==(const ExtremePosition&) const = default;
  const char* name() const { return largest ? "argmax" : "argmin"; }
  ExtremePosition batched(const Shape&) const { return {axis + 1, largest, keepdims}; }
  void write(Notation& to) const { to.set(Term::call(name(), to.x, to.shape)); }
  void code(Code& to) const {
    write_lines(
        to, axis, 1,
        std::string("    std::size_t best = 0;\n"
                    "    for (std::size_t j = 1; j < n; ++j) {\n"
                    "      const auto a = $0[(i * n + j) * inner + k], b = $0[(i * n + best) * inner + k];\n"
                    "      if (a ") +
            (largest ? ">" : "<") +
            " b || (std::isnan(a) && !std::isnan(b))) best = j;\n"
            "    }\n"
            "    $y[i * inner + k] = static_cast<std::ptrdiff_t>(best);\n");
  }

  Shape shape(const Shape& x) const { return reduced_shape(x, 1u << axis, keepdims); }
  void compute(Target<double> y, const Tensor<T>& x) const {
    auto* const to = reinterpret_cast<std::ptrdiff_t*>(y.data);
    each_line(x, axis, 1, 0, [&](const T* line, std::size_t n, std::size_t inner, std::size_t at, auto*) {
      std::size_t best = 0;
      for (std::size_t j = 1; j < n; ++j) {
        const T a = line[j * inner], b = line[best * inner];
        if ((largest ? a > b : a < b) || (a != a && b == b)) best = j;
      }
      to[at] = static_cast<std::ptrdiff_t>(best);
    });
  }
};

/// y = the position of the largest or smallest of the elements up to each, the last of equal ones, of the
/// last NaN where there are any.
template <class T>
struct RunningPosition {
  using Inputs = std::tuple<Tensor<T>>;
  std::size_t axis;
  bool largest;
  static constexpr bool gives_integers = true;
  bool operator==(const RunningPosition&) const = default;
  const char* name() const { return largest ? "argcummax" : "argcummin"; }
  RunningPosition batched(const Shape&) const { return {axis + 1, largest}; }
  void write(Notation& to) const { to.set(Term::call(name(), to.x, to.shape)); }
  void code(Code& to) const {
    write_lines(
        to, axis, 1,
        std::string("    std::size_t best = 0;\n"
                    "    for (std::size_t j = 0; j < n; ++j) {\n"
                    "      const auto a = $0[(i * n + j) * inner + k], b = $0[(i * n + best) * inner + k];\n"
                    "      if (a ") +
            (largest ? ">=" : "<=") +
            " b || std::isnan(a)) best = j;\n"
            "      $y[(i * n + j) * inner + k] = static_cast<std::ptrdiff_t>(best);\n"
            "    }\n");
  }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<double> y, const Tensor<T>& x) const {
    auto* const to = reinterpret_cast<std::ptrdiff_t*>(y.data);
    each_line(x, axis, x.shape()[axis], 0,
              [&](const T* line, std::size_t n, std::size_t inner, std::size_t at, auto*) {
                std::size_t best = 0;
                for (std::size_t j = 0; j < n; ++j) {
                  const T a = line[j * inner], b = line[best * inner];
                  if ((largest ? a >= b : a <= b) || a != a) best = j;
                  to[at + j * inner] = static_cast<std::ptrdiff_t>(best);
                }
              });
  }
};

/// The integers that an operation on x gives.
template <class T, class Op>
Indices positions(const Op& op, const Tensor<T>& x) {
  const NoGrad no_grad;
  return Indices(perform_here<double>(op, std::array{&x.handle()}, op.shape(x.shape())).release());
}

template <class T>
Indices extreme_position(const Tensor<T>& x, std::ptrdiff_t signed_axis, bool largest, bool keepdims) {
  const char* const name = largest ? "argmax" : "argmin";
  const std::size_t axis = normalize_axis(signed_axis, x.rank(), name);
  const ExtremePosition<T> op{axis, largest, keepdims};
  if (x.shape()[axis] == 0 && element_count(op.shape(x.shape()), name) != 0)
    throw Error(name, "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) +
                          " has no element to choose");
  return positions(op, x);
}

template <class T>
Tensor<T> running_extreme(const char* name, const Tensor<T>& x, std::ptrdiff_t axis, bool largest) {
  return gather(x, positions(RunningPosition<T>{normalize_axis(axis, x.rank(), name), largest}, x), axis);
}

}  // namespace
}  // namespace detail

template <class T>
Indices argsort(Tensor<T> x, std::ptrdiff_t signed_axis, bool descending) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "argsort");
  return detail::positions(detail::SortedPositions<T>{"argsort", axis, x.shape()[axis], descending}, x);
}

template <class T>
Tensor<T> sort(Tensor<T> x, std::ptrdiff_t signed_axis, bool descending) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "sort");
  return gather(x, argsort(x, static_cast<std::ptrdiff_t>(axis), descending),
                static_cast<std::ptrdiff_t>(axis));
}

template <class T>
TopK<T> topk(const Tensor<T>& x, std::size_t k, std::ptrdiff_t signed_axis, bool largest) {
  const std::size_t axis = detail::normalize_axis(signed_axis, x.rank(), "topk");
  if (k > x.shape()[axis])
    throw Error("topk", "axis " + std::to_string(axis) + " of shape " + to_string(x.shape()) + " has no " +
                            std::to_string(static_cast<std::ptrdiff_t>(k)) + " elements");
  const Indices indices = detail::positions(detail::SortedPositions<T>{"topk", axis, k, largest}, x);
  return {gather(x, indices, static_cast<std::ptrdiff_t>(axis)), indices};
}

template <class T>
Indices argmax(Tensor<T> x, std::ptrdiff_t axis, bool keepdims) {
  return detail::extreme_position(x, axis, true, keepdims);
}
template <class T>
Indices argmax(Tensor<T> x) {
  return argmax(flatten(std::move(x)), 0);
}

template <class T>
Indices argmin(Tensor<T> x, std::ptrdiff_t axis, bool keepdims) {
  return detail::extreme_position(x, axis, false, keepdims);
}
template <class T>
Indices argmin(Tensor<T> x) {
  return argmin(flatten(std::move(x)), 0);
}

template <class T>
Tensor<T> cummax(const Tensor<T>& x, std::ptrdiff_t axis) {
  return detail::running_extreme("cummax", x, axis, true);
}

template <class T>
Tensor<T> cummin(const Tensor<T>& x, std::ptrdiff_t axis) {
  return detail::running_extreme("cummin", x, axis, false);
}

#define XTAPE_INSTANTIATE(T)                                                  \
  template Indices argsort(Tensor<T>, std::ptrdiff_t, bool);                  \
  template Tensor<T> sort(Tensor<T>, std::ptrdiff_t, bool);                   \
  template TopK<T> topk(const Tensor<T>&, std::size_t, std::ptrdiff_t, bool); \
  template Indices argmax(Tensor<T>, std::ptrdiff_t, bool);                   \
  template Indices argmax(Tensor<T>);                                         \
  template Indices argmin(Tensor<T>, std::ptrdiff_t, bool);                   \
  template Indices argmin(Tensor<T>);                                         \
  template Tensor<T> cummax(const Tensor<T>&, std::ptrdiff_t);                \
  template Tensor<T> cummin(const Tensor<T>&, std::ptrdiff_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
