// Jacobians and Hessians by products with seeds, many at once: unit vectors, or sums of those that do not
// meet.
#include <algorithm>
#include <array>
#include <utility>

#include "../derivatives.hpp"
#include "../indexing.hpp"
#include "../tape/adjoint_sums.hpp"
#include "../vmap.hpp"
#include "coloring.hpp"
#include "program.hpp"
#include "sparsity.hpp"

namespace xtape::detail {
namespace {

/// f of a seed for each colour, which is 1 at the elements of that colour, as rows: by vmap(), where they are
/// many and f can be traced.
template <class T>
Tensor<T> for_each_seed(const Unary<T>& f, const Shape& shape, const Coloring& coloring) {
  const auto product = [&](const Tensor<T>& seed) { return flatten(f(reshape_to(seed, shape))); };
  constexpr std::size_t least = 8, most = 64;  // below, a trace costs more than it saves; above, memory
  // The seeds of colours first to last − 1, along a leading axis where there may be several.
  const auto seeds = [&](std::size_t first, std::size_t last, bool several) {
    Tensor<T> all = zeros<T>(several ? Shape{last - first, coloring.of.size()} : Shape{coloring.of.size()});
    for (std::size_t e = 0; e < coloring.of.size(); ++e)
      if (const std::size_t color = coloring.of[e]; color >= first && color < last)
        all.mutable_data()[(color - first) * coloring.of.size() + e] = T(1);
    return all;
  };
  std::vector<Tensor<T>> results;
  if (coloring.count >= least) try {
      const std::function<std::vector<Tensor<T>>(const std::vector<Tensor<T>>&)> list =
          [&](const std::vector<Tensor<T>>& v) { return std::vector<Tensor<T>>{product(v.front())}; };
      for (std::size_t first = 0; first < coloring.count; first += most) {
        const Tensor<T> some = seeds(first, std::min(coloring.count, first + most), true);
        results.push_back(vmap<T>(list, {some}, {.same_random_numbers = true}).front());
      }
      return results.size() == 1 ? results.front() : concatenate<T>(results);
    } catch (const Error&) {
      results.clear();  // not to be traced: one by one
    }
  for (std::size_t k = 0; k < coloring.count; ++k) results.push_back(product(seeds(k, k + 1, false)));
  return stack(results);
}

/// A function at x, recorded once, and its products with seeds.
template <class T>
class ColoredProducts {
 public:
  ColoredProducts(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options)
      : f_(f), x_(x), options_(options), leaf_(variable(x, options)), y_(f(leaf_)) {}

  const Shape& shape() const { return y_.shape(); }
  std::size_t size() const { return y_.size(); }
  /// J s for the seeds of x, (colours, elements of f(x)): forward.
  Tensor<T> columns(const Coloring& coloring) const {
    const auto column = [&](const Tensor<T>& v) {
      before_.rewind();
      return jvp(f_, x_, v, options_).second;
    };
    return for_each_seed<T>(column, x_.shape(), coloring);
  }
  /// sᵀ J for the seeds of f(x), (colours, elements of x): reverse.
  Tensor<T> rows(const Coloring& coloring) const {
    const auto row = [&](const Tensor<T>& v) {
      return gradient_or_zero(y_, leaf_,
                              {.seed = v, .retain_tape = true, .create_graph = options_.create_graph});
    };
    return for_each_seed<T>(row, y_.shape(), coloring);
  }
  /// by_columns() where the mode, or the number of seeds, says so, else by_rows(); and where an operation has
  /// no forward mode.
  template <class C, class R>
  auto choose(std::size_t columns, std::size_t rows, const C& by_columns, const R& by_rows) const {
    if (options_.mode == Mode::forward || (options_.mode == Mode::automatic && columns < rows)) try {
        return by_columns();
      } catch (const Error&) {
        if (options_.mode == Mode::forward) throw;
      }
    return by_rows();
  }

 private:
  const RecordingScope scope_{true};
  const RandomPoint before_;
  const Unary<T>& f_;
  const Tensor<T>& x_;
  const DerivativeOptions& options_;
  const Tensor<T> leaf_, y_;
};

/// Which elements of f(x) depend on which of x.
template <class T>
Pattern pattern_of(const char* op, const Unary<T>& f, const Shape& x) {
  const RecordingScope scope(true);
  const Program program = traced(
      op, "the function assigns a tensor, which would be done more than once",
      [&](Trace& trace) { return std::array{f(Tensor<T>(trace.argument(x, sizeof(T), false, true)))}; });
  if (!program.is_opaque) return dependences(program);
  Pattern dense{element_count(x, op)};
  const std::vector<std::uint32_t> all = unit_coloring(dense.columns).of;
  const std::size_t rows = element_count(program.places[program.outputs.front().place].shape, op);
  for (std::size_t i = 0; i < rows; ++i) dense.add_row(all);
  return dense;
}

/// The elements of a pattern, of which number k, (i, j), lies at element at(i, j, k) of `products`.
template <class T, class F>
SparseMatrix<T> elements(const Pattern& pattern, const Tensor<T>& products, const F& at) {
  SparseMatrix<T> matrix;
  std::vector<std::ptrdiff_t> from;
  for (std::size_t i = 0; i < pattern.rows(); ++i)
    for (const std::size_t j : pattern.row(i)) {
      matrix.rows.push_back(i);
      matrix.columns.push_back(j);
      from.push_back(static_cast<std::ptrdiff_t>(at(i, j, from.size())));
    }
  matrix.values = take(flatten(products), from, 0);
  return matrix;
}

}  // namespace

template <class T>
Tensor<T> jacobian(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options) {
  const ColoredProducts<T> products(f, x, options);
  Shape shape = products.shape();
  for (const std::size_t d : x.shape()) shape.push_back(d);
  if (products.size() == 0 || x.size() == 0) return zeros<T>(shape);
  const auto by_columns = [&] { return transpose(products.columns(unit_coloring(x.size()))); };
  const auto by_rows = [&] { return products.rows(unit_coloring(products.size())); };
  return reshape(products.choose(x.size(), products.size(), by_columns, by_rows), Dims(shape));
}

template <class T>
SparseMatrix<T> sparse_jacobian(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options) {
  const Pattern pattern = pattern_of("sparse_jacobian", f, x.shape());
  if (pattern.index.empty()) return {{}, {}, zeros<T>({0})};
  const Coloring columns = column_coloring(pattern), rows = column_coloring(transposed(pattern));
  const ColoredProducts<T> products(f, x, options);
  const auto by_columns = [&] {
    const std::size_t m = pattern.rows();
    return elements(pattern, products.columns(columns),
                    [&](std::size_t i, std::size_t j, std::size_t) { return columns.of[j] * m + i; });
  };
  const auto by_rows = [&] {
    const std::size_t n = pattern.columns;
    return elements(pattern, products.rows(rows),
                    [&](std::size_t i, std::size_t j, std::size_t) { return rows.of[i] * n + j; });
  };
  return products.choose(columns.count, rows.count, by_columns, by_rows);
}

template <class T>
SparseMatrix<T> sparse_hessian(const Unary<T>& f, const Tensor<T>& x, const DerivativeOptions& options) {
  const Unary<T> gradient = [&](const Tensor<T>& at) {
    return gradient_or_zero(f(at), at, {.create_graph = true});
  };
  const Pattern pattern = symmetric(pattern_of("sparse_hessian", gradient, x.shape()));
  if (pattern.index.empty()) return {{}, {}, zeros<T>({0})};
  Coloring coloring = star_coloring(pattern), columns = column_coloring(pattern);
  if (columns.count < coloring.count) coloring = std::move(columns);
  const ColoredProducts<T> products(gradient, x, options);
  const std::size_t n = pattern.columns;
  std::vector<std::uint32_t> in_row(coloring.count);  // columns of each colour, in the row at hand
  std::vector<char> alone;                            // by element: the only one of its colour in its row
  for (std::size_t i = 0; i < n; ++i) {
    for (const std::uint32_t j : pattern.row(i)) ++in_row[coloring.of[j]];
    for (const std::uint32_t j : pattern.row(i)) alone.push_back(in_row[coloring.of[j]] == 1);
    for (const std::uint32_t j : pattern.row(i)) in_row[coloring.of[j]] = 0;
  }
  // Product k holds at i the sum of the elements (i, j) with j of colour k.
  const auto at = [&](std::size_t i, std::size_t j, std::size_t k) {
    return alone[k] ? coloring.of[j] * n + i : coloring.of[i] * n + j;
  };
  const bool forward = options.mode == Mode::forward;
  return elements(pattern, forward ? products.columns(coloring) : products.rows(coloring), at);
}

#define XTAPE_INSTANTIATE(T)                                                                             \
  template Tensor<T> jacobian(const Unary<T>&, const Tensor<T>&, const DerivativeOptions&);              \
  template SparseMatrix<T> sparse_jacobian(const Unary<T>&, const Tensor<T>&, const DerivativeOptions&); \
  template SparseMatrix<T> sparse_hessian(const Unary<T>&, const Tensor<T>&, const DerivativeOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
