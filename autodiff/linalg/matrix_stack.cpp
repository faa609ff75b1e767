#include "matrix_stack.hpp"

namespace xtape::detail {

void require_matrix(const char* op, const Shape& a) {
  if (a.size() < 2)
    throw Error(op, "shape " + to_string(a) + ": a matrix (…, rows, columns) is needed" +
                        (a.size() == 1 ? "; unsqueeze(x, 1) makes a column of a vector" : ""));
}

void require_square(const char* op, const Shape& a) {
  require_matrix(op, a);
  if (rows_of(a) != columns_of(a)) throw Error(op, "shape " + to_string(a) + ": the matrix must be square");
}

void require_countable(const Shape& a) {
  const std::size_t largest = std::max(rows_of(a), columns_of(a));
  if (largest > std::size_t(std::numeric_limits<int>::max()))
    throw Error("linalg", "a dimension of " + std::to_string(largest) + " is more than LAPACK counts");
}

Shape solution_shape(const char* op, const Shape& a, const Shape& b) {
  require_square(op, a);
  require_matrix(op, b);
  if (rows_of(a) != rows_of(b))
    throw Error(op, "shapes " + to_string(a) + " of A and " + to_string(b) + " of B: A has " +
                        std::to_string(rows_of(a)) + " rows, and B " + std::to_string(rows_of(b)));
  return with_matrix(broadcast(batch_of(a), batch_of(b), op), columns_of(a), columns_of(b));
}

std::string matrix_number(const Shape& batch, std::size_t i) {
  if (batch.empty()) return "";
  Shape at = batch;
  for (std::size_t d = batch.size(); d-- > 0; i /= batch[d]) at[d] = i % batch[d];
  return ", matrix " + (at.size() == 1 ? std::to_string(at[0]) : to_string(at)) + " of the batch";
}

void throw_singular(const char* op, int pivot, const std::string& which, const char* hint) {
  throw Error(op, "singular at pivot " + std::to_string(pivot) + which + hint);
}

template <class T>
Tensor<T> matrix_rows(const Tensor<T>& a, std::size_t first, std::size_t last) {
  return slice(a, xt::ellipsis(), xt::range(first, last), xt::all());
}

namespace {

template <class T>
struct RatioOrZero {
  static constexpr const char* name = "ratio_or_zero";
  static constexpr bool broadcasts = true;
  bool operator==(const RatioOrZero&) const = default;

  Shape shape(const Shape& x, const Shape& d) const { return broadcast(x, d, name); }
  void compute(Target<T> y, const Tensor<T>& x, const Tensor<T>& d) const {
    const Shape to = shape(x.shape(), d.shape());
    const Walk<2> walk(to, {broadcast_strides(x.shape(), to), broadcast_strides(d.shape(), to)});
    for (std::size_t i = 0; i < y.size; ++i) {
      const auto at = walk.offsets(i);
      const T top = x.data()[at[0]], bottom = d.data()[at[1]];
      y.data[i] = top == 0 && bottom == 0 ? T(0) : top / bottom;
    }
  }
  static constexpr unsigned keeps(unsigned) { return keep_input(1) | keep_output; }
  // y = x / d, dy/dx = 1 / d, dy/dd = -y / d
  void backward(Gradients<T>& d) const {
    if (d.needs(0)) d.add(0, RatioOrZero{}, d.adjoint, d.operand(1));
    if (d.needs(1)) d.add(1, -apply<T>(RatioOrZero{}, d.adjoint * d.output(), d.operand(1)));
  }
  void tangent(Tangents<T>& t) const {
    if (t.has(0)) t.add(RatioOrZero{}, t.of(0), t.input(1));
    if (t.has(1)) t.add(-apply<T>(RatioOrZero{}, t.of(1) * t.output(), t.input(1)));
  }
};

}  // namespace

template <class T>
Tensor<T> ratio_or_zero(const Tensor<T>& X, const Tensor<T>& D) {
  return apply<T>(RatioOrZero<T>{}, X, D);
}

#define XTAPE_INSTANTIATE(T)                                                  \
  template Tensor<T> matrix_rows(const Tensor<T>&, std::size_t, std::size_t); \
  template Tensor<T> ratio_or_zero(const Tensor<T>&, const Tensor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
