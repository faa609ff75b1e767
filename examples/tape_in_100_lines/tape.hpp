// A reverse mode on xtensor, whole: what a tape is, without what makes one fast. README.md goes through it.
#pragma once
#include <functional>
#include <utility>
#include <vector>

#include <xtensor/xarray.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>

namespace small {

using Array = xt::xarray<double>;
using Shape = Array::shape_type;

// 1. The tape: an entry for each value, in the order in which they are computed.
struct Operand {
  std::size_t place;                         ///< of what the value was computed from
  std::function<Array(const Array&)> share;  ///< its share of the adjoint, from that of the value
};
struct Entry {
  Shape shape;
  std::vector<Operand> operands;
};
using Tape = std::vector<Entry>;

struct Variable {
  Array value;
  Tape* tape;
  std::size_t place;
};

inline Variable record(Tape& tape, Array value, std::vector<Operand> operands = {}) {
  tape.push_back({value.shape(), std::move(operands)});
  return {std::move(value), &tape, tape.size() - 1};
}

// 2. The reverse pass: the adjoints dy/d(value) of all entries up to y, the last one first.
inline std::vector<Array> backward(const Variable& y) {
  std::vector<Array> adjoints;
  for (std::size_t i = 0; i <= y.place; ++i) adjoints.push_back(xt::zeros<double>((*y.tape)[i].shape));
  adjoints[y.place] += 1;
  for (std::size_t i = y.place + 1; i-- > 0;)
    for (const auto& [place, share] : (*y.tape)[i].operands) adjoints[place] += share(adjoints[i]);
  return adjoints;
}

// 3. Broadcasting: what was repeated along an axis gets the sum along it.
inline Array sum_to(Array g, const Shape& shape) {
  while (g.dimension() > shape.size()) g = Array(xt::sum(g, {0}));
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] == 1) g = Array(xt::sum(g, {axis}, xt::keep_dims));
  return g;
}

// 4. Operations. Each is a value, and for each operand the product of g, the adjoint, with a derivative.
using Rule = std::function<Array(const Array&)>;

inline Variable elementwise(const Variable& x, Array value, Rule dx) {
  return record(*x.tape, std::move(value), {{x.place, std::move(dx)}});
}
inline Variable elementwise(const Variable& a, const Variable& b, Array value, Rule da, Rule db) {
  const auto summed = [](Rule rule, const Shape& shape) {
    return [=](const Array& g) { return sum_to(rule(g), shape); };
  };
  return record(*a.tape, std::move(value),
                {{a.place, summed(da, a.value.shape())}, {b.place, summed(db, b.value.shape())}});
}

inline Variable operator+(const Variable& a, const Variable& b) {
  const Rule same = [](const Array& g) { return g; };
  return elementwise(a, b, a.value + b.value, same, same);
}
inline Variable operator-(const Variable& a, const Variable& b) {
  return elementwise(
      a, b, a.value - b.value, [](const Array& g) { return g; }, [](const Array& g) -> Array { return -g; });
}
inline Variable operator*(const Variable& a, const Variable& b) {
  return elementwise(
      a, b, a.value * b.value, [v = b.value](const Array& g) -> Array { return g * v; },
      [v = a.value](const Array& g) -> Array { return g * v; });
}
inline Variable sin(const Variable& x) {
  return elementwise(x, xt::sin(x.value), [v = x.value](const Array& g) -> Array { return g * xt::cos(v); });
}
inline Variable sigmoid(const Variable& x) {
  const Array y = 1 / (1 + xt::exp(-x.value));
  return elementwise(x, y, [y](const Array& g) -> Array { return g * y * (1 - y); });
}
inline Variable sum(const Variable& x) {
  return elementwise(x, xt::sum(x.value),
                     [shape = x.value.shape()](const Array& g) { return Array(shape, g()); });
}

inline Array product(const Array& a, const Array& b) {  // (m, k) and (k, n): (m, n)
  Array c = xt::zeros<double>({a.shape(0), b.shape(1)});
  for (std::size_t i = 0; i < a.shape(0); ++i)
    for (std::size_t k = 0; k < a.shape(1); ++k)
      for (std::size_t j = 0; j < b.shape(1); ++j) c(i, j) += a(i, k) * b(k, j);
  return c;
}
inline Variable matmul(const Variable& a, const Variable& b) {  // da = g bᵀ, db = aᵀ g
  return record(*a.tape, product(a.value, b.value),
                {{a.place, [v = b.value](const Array& g) { return product(g, xt::transpose(v)); }},
                 {b.place, [v = a.value](const Array& g) { return product(xt::transpose(v), g); }}});
}

}  // namespace small
