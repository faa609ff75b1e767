#include "axes.hpp"

#include <algorithm>

#include "../layout.hpp"

namespace xtape::detail {
namespace {

std::string subscript(std::size_t number) {
  static constexpr const char* digits[] = {"₀", "₁", "₂", "₃", "₄", "₅", "₆", "₇", "₈", "₉"};
  std::string text;
  for (const char c : std::to_string(number)) text += digits[c - '0'];
  return text;
}

Shape without_ones(const Shape& shape) {
  Shape all;
  for (const std::size_t d : shape)
    if (d != 1) all.push_back(d);
  return all;
}

}  // namespace

Term over_axes(const char* name, const Term& x, unsigned mask, const Shape& shape) {
  if (x.is_scalar()) {
    const double count = static_cast<double>(element_count(x.shape(), name)) /
                         std::max(1.0, static_cast<double>(element_count(shape, name)));
    const Term one = x.broadcast(shape);
    return std::string(name) == "sum" ? Term::number(count, shape) * one : one;
  }
  const bool is_sum = std::string(name) == "sum";
  if (const auto [c, rest] = x.scalars(); is_sum && !c.is_number(1))
    return c.broadcast(shape) * over_axes(name, rest, mask, shape);
  if (is_sum && mask + 1 == 1u << x.shape().size() && x.kind() == Term::Kind::function && x.name() == "sum")
    return over_axes(name, x.parts()[0], (1u << x.parts()[0].shape().size()) - 1, shape);  // Σ Σ₁ is Σ
  std::string axes, latex;
  const std::size_t rank = x.shape().size();
  std::size_t count = 0;
  for (std::size_t i = 0; i < rank; ++i)
    if (mask >> i & 1u) {
      axes += (axes.empty() ? "" : "ˏ") + subscript(i);
      latex += (latex.empty() ? "" : ",") + std::to_string(i);
      ++count;
    }
  if (count == rank) axes = latex = "";
  if (is_sum)
    return Term::call(WrittenAs{"sum", "Σ" + axes + " #0!",
                                latex.empty() ? "\\sum #0!" : "\\sum_{" + latex + "} #0!", false},
                      {x}, shape);
  const std::string function = name;
  const bool is_latex = function == "max" || function == "min";
  return Term::call(WrittenAs{name, name + axes + "(#0)",
                              (is_latex ? "\\" + function : "\\operatorname{" + function + "}") +
                                  (latex.empty() ? "" : "_{" + latex + "}") + "\\left(#0\\right)",
                              true},
                    {x}, shape);
}

namespace {

/// "1:3, 0", where elements of an array of the shape `of` lie; empty where that cannot be written so.
std::string index_text(const Shape& of, std::ptrdiff_t offset, const Dims& strides, const Shape& shape) {
  const Dims own = row_major_strides(of);
  std::string index;
  std::size_t next = 0;
  for (std::size_t d = 0; d < own.size(); ++d) {
    const std::ptrdiff_t start = own[d] == 0 ? 0 : offset / own[d];
    if (own[d] != 0) offset %= own[d];
    std::string one = std::to_string(start);
    const bool ranged = next < strides.size() && own[d] != 0 && strides[next] % own[d] == 0 &&
                        strides[next] >= 0 &&
                        (d == 0 || own[d - 1] == 0 || strides[next] < own[d - 1] || shape[next] == 1) &&
                        shape.size() - next >= 1 && own.size() - d >= 1 &&
                        (own.size() - d == shape.size() - next || strides[next] == own[d]);
    if (ranged) {
      const auto step = strides[next] / own[d];
      const auto n = static_cast<std::ptrdiff_t>(shape[next++]);
      one = start == 0 && step == 1 && n == static_cast<std::ptrdiff_t>(of[d])
                ? ":"
                : std::to_string(start) + ":" + std::to_string(start + n * step) +
                      (step == 1 ? "" : ":" + std::to_string(step));
    }
    index += (index.empty() ? "" : ", ") + one;
  }
  if (next != shape.size()) return {};
  while (index.ends_with(", :")) index.resize(index.size() - 3);
  return index;
}
bool is_slice(const std::string& name) { return name == "slice" || name == "concatenate" || name == "split"; }

}  // namespace

Term put_term(const std::string& name, const Term& x, const Shape& from, std::ptrdiff_t offset,
              const Dims& strides, const Shape& shape) {
  if (x.is_number(0)) return x.broadcast(shape);
  const std::string index = is_slice(name) ? index_text(shape, offset, strides, from) : "";
  if (index.empty()) return Term::call(name, {x}, shape);
  return Term::call(
      WrittenAs{"put", "put(#0, [" + index + "])", "\\operatorname{put}\\left(#0, [" + index + "]\\right)"},
      {x}, shape);
}

Term below_each_other(const std::vector<Term>& parts, const Shape& shape) {
  std::string text, latex;
  for (const Term& part : parts) {
    text += (text.empty() ? "[" : "; ") + part.text();
    latex += (latex.empty() ? "\\left[" : "; ") + part.latex();
  }
  return Term::call(WrittenAs{"rows of", text + "]", latex + "\\right]"}, parts, shape);
}

Term slice_term(const std::string& name, const Term& x, std::ptrdiff_t offset, const Dims& strides,
                const Shape& shape) {
  if (x.is_number()) return x.broadcast(shape);
  if (!is_slice(name)) return Term::call(name, {x}, shape);
  const Dims own = row_major_strides(x.shape());
  if (x.kind() == Term::Kind::function && x.name() == "rows of" && !own.empty() && own[0] != 0) {
    // A part of what was just put together.
    std::ptrdiff_t row = offset / own[0];
    for (const Term& part : x.parts()) {
      const bool is_row = part.shape().size() + 1 == x.shape().size();
      const auto rows = is_row ? 1 : static_cast<std::ptrdiff_t>(part.shape()[0]);
      if (row == 0 && offset % own[0] == 0 &&
          element_count(part.shape(), "slice") == element_count(shape, "slice"))
        return part;
      row -= rows;
    }
  }
  const std::string index = index_text(x.shape(), offset, strides, shape);
  if (index.empty()) return Term::call(name, {x}, shape);
  return Term::call(WrittenAs{"slice", "#0![" + index + "]", "{#0!}_{[" + index + "]}"}, {x}, shape);
}

Term reshaped(const Term& x, const Shape& shape) {
  if (x.is_number()) return x.broadcast(shape);
  if (without_ones(x.shape()) == without_ones(shape)) return x;
  std::string sizes;
  for (const std::size_t d : shape) sizes += (sizes.empty() ? "" : ", ") + std::to_string(d);
  return Term::call(WrittenAs{"reshape", "reshape(#0, (" + sizes + "))",
                              "\\operatorname{reshape}\\left(#0, (" + sizes + ")\\right)"},
                    {x}, shape);
}

Term permuted(const Term& x, const Axes& permutation, const Shape& shape) {
  const std::size_t rank = permutation.size();
  Axes swapped{};
  for (std::size_t i = 0; i < rank; ++i) swapped.push_back(static_cast<std::ptrdiff_t>(i));
  if (x.is_number()) return x.broadcast(shape);
  if (std::ranges::equal(permutation, swapped)) return x;
  if (rank >= 2) std::swap(swapped[rank - 1], swapped[rank - 2]);
  if (rank >= 2 && std::ranges::equal(permutation, swapped)) return transposed(x);
  std::string axes;
  for (const std::ptrdiff_t axis : permutation) axes += (axes.empty() ? "" : ", ") + std::to_string(axis);
  return Term::call(WrittenAs{"transpose", "transpose(#0, {" + axes + "})",
                              "\\operatorname{transpose}\\left(#0, (" + axes + ")\\right)"},
                    {x}, shape);
}

Term cumulative(const std::string& name, const Term& x, std::size_t axis) {
  std::string latex;
  for (const char c : name) latex += (c == '_' ? "\\" : "") + std::string(1, c);
  return Term::call(
      WrittenAs{name, name + subscript(axis) + "(#0)",
                "\\operatorname{" + latex + "}_{" + std::to_string(axis) + "}\\left(#0\\right)"},
      {x}, x.shape());
}

Term scatter_term(const Term& x, const Term& indices, const Shape& shape) {
  return Term::call(
      WrittenAs{"scatter_add", "scatter_add(#0, #1)", "\\operatorname{scatter\\_add}\\left(#0, #1\\right)"},
      {x, indices}, shape);
}

Term rows_term(const char* name, const Term& x, const Term& indices, const Shape& shape) {
  if (x.is_number()) return x.broadcast(shape);
  return Term::call(WrittenAs{name, "#0![#1]", "{#0!}_{[#1]}"}, {x, indices}, shape);
}

}  // namespace xtape::detail
