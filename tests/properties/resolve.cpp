// From genes to a program: operands are found, fitted to each other and kept away from kinks, and numbers
// become axes, sizes and positions. Values are computed on the way, since what fits depends on them.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops.hpp"
#include "run.hpp"

namespace xtape::properties {
namespace {

using T = Tensor<double>;

class Resolver {
 public:
  explicit Resolver(const Recipe& recipe)
      : genes_(recipe.genes), choices_(recipe.choices), limit_(choices_.wide ? 1 << 18 : 48) {}

  Program run() {
    const NoGrad no_grad;
    while (next_ < genes_.size()) statement(false);
    if (scope_.empty()) leaf(Gene{});
    finish();
    return std::move(program_);
  }

 private:
  struct Visible {
    std::uint16_t place;
    std::size_t result;
  };

  const T& value(std::size_t result) const { return values_[result]; }
  std::size_t new_result(T value) {
    values_.push_back(std::move(value));
    return program_.results++;
  }
  long number(const Gene& gene, std::size_t i, std::size_t below) const {
    return static_cast<long>(gene.numbers[i] % below);
  }

  /// The next gene, which may be a block with its genes.
  void statement(bool in_map) {
    const Gene gene = genes_[next_++];
    // Of 16 genes, two are leaves and two begin a block.
    const std::size_t choice = gene.kind % 16;
    if (choice < 2 || scope_.empty())
      leaf(gene);
    else if (choice < 4)
      block(gene, in_map);
    else
      operation(gene, in_map);
  }

  void leaf(const Gene& gene) {
    if (!open_blocks_.empty()) return;  // leaves are made once, not again in every recomputation
    static const std::vector<std::size_t> narrow{1, 2, 3}, wide{1, 2, 36, 400, 400, 650};
    const auto& sizes = choices_.wide ? wide : narrow;
    Statement made{.kind = scope_.empty() || gene.kind % 5 != 1 ? Kind::parameter : Kind::constant};
    std::size_t size = 1;
    for (std::size_t axis = 0, rank = gene.numbers[0] % 4; axis < rank; ++axis) {
      const std::size_t d = sizes[gene.numbers[1 + axis] % sizes.size()];
      if (size * d > limit_) break;
      made.with.shape.push_back(static_cast<long>(d));
      size *= d;
    }
    made.with.scale = gene.operands[0] % 64 / 10.0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint32_t mixed =
          (gene.operands[0] + 1u) * 2654435761u + static_cast<std::uint32_t>(i) * 0x9E3779B1u;
      // Few digits, and distinct for most elements.
      const double drawn = (static_cast<double>((mixed ^ mixed >> 15) * 0x85EBCA6Bu >> 24) - 127.5) / 64;
      made.numbers.push_back(size > most_literals ? std::sin(0.7 * static_cast<double>(i) + made.with.scale)
                                                  : drawn);
    }
    made.result = new_result(leaf_value<double>(made));
    scope_.push_back({gene.place, made.result});
    if (made.kind == Kind::parameter) program_.leaves.push_back(made.result);
    program_.statements.push_back(std::move(made));
  }

  std::size_t pick(std::uint16_t operand) const {
    if (operand % 3 == 0) return scope_.back().result;  // so that programs become deep, too
    return std::ranges::min_element(
               scope_, {}, [&](const Visible& v) { return static_cast<std::uint16_t>(v.place - operand); })
        ->result;
  }

  std::vector<Statement>& statements() {
    return open_blocks_.empty() ? program_.statements : open_blocks_.back()->body;
  }

  /// checkpoint, NoGrad or map around the next genes.
  void block(const Gene& gene, bool in_map) {
    if (in_map) return;
    Statement made{
        .kind = std::array{Kind::checkpoint, Kind::no_grad, Kind::map, Kind::map}[gene.numbers[1] % 4]};
    const bool is_map = made.kind == Kind::map;
    const std::vector<Visible> outside = scope_;
    if (made.kind != Kind::no_grad) {
      made.operands = {pick(gene.operands[0]), pick(gene.operands[1])};
      if (is_map && !broadcast(made.operands)) return;
      if (is_map) scope_.clear();  // the lambda sees numbers only
      for (std::size_t i = 0; i < 2; ++i) {
        made.arguments.push_back(new_result(value(made.operands[i])));
        scope_.push_back({gene.operands[1 + i], made.arguments.back()});
      }
    }
    open_blocks_.push_back(&made);
    for (long left = 1 + number(gene, 0, 4); left > 0 && next_ < genes_.size(); --left) statement(is_map);
    open_blocks_.pop_back();
    scope_ = outside;
    if (made.body.empty()) return;
    made.result = new_result(value(made.body.back().result));
    // Elements of a lambda have the broadcast shape of all arguments, also of those that it does not use.
    if (is_map) values_.back() = values_.back() + 0 * (value(made.operands[0]) + value(made.operands[1]));
    scope_.push_back({gene.place, made.result});
    statements().push_back(std::move(made));
  }

  void operation(const Gene& gene, bool in_map) {
    const auto drawable = [&](const Row& row) {
      return (row.elementwise || !in_map) && (!row.planted || choices_.planted);
    };
    // Counted off among those that may be drawn, so that it ends whatever the number of rows.
    const auto count = static_cast<std::size_t>(std::ranges::count_if(rows(), drawable));
    std::size_t op = 0;
    for (std::size_t skip = gene.kind / 16u % count; !drawable(rows()[op]) || skip-- > 0;) ++op;
    const Row& row = rows()[op];
    Statement made{.op = op, .operands = {pick(gene.operands[0])}};
    std::vector<Statement>& to = statements();
    const std::size_t before = to.size();
    const bool fits = fit(row.form, gene, made) && (guarded(made, row) || repaired(made, row));
    if (!fits || !append(std::move(made), gene.place))
      to.resize(before);  // what was inserted for it goes with it
  }

  bool guarded(const Statement& made, const Row& row) const {
    const T guard = row.guard(operands<T>(made, values_), made.with);
    return std::ranges::all_of(guard, [&](double x) { return x >= choices_.margin; });
  }
  bool repaired(Statement& made, const Row& row) {
    if (row.repair.empty()) return false;
    made.operands.back() = insert({.op = row_of(row.repair), .operands = {made.operands.back()}});
    return guarded(made, row);
  }

  /// A statement that was not drawn but makes an operand fit.
  std::size_t insert(Statement made) {
    made.result = new_result(functions<T>()[made.op](operands<T>(made, values_), made.with));
    statements().push_back(made);
    return made.result;
  }

  /// False when the result is not to be used: not finite, or too large, also for float.
  bool append(Statement made, std::uint16_t place) {
    const T y = functions<T>()[made.op](operands<T>(made, values_), made.with);
    double largest = 0;
    for (const double x : y) {
      if (!std::isfinite(x)) return false;
      largest = std::max(largest, std::abs(x));
    }
    if (largest > 1e6 || y.size() > limit_ || y.rank() > 5) return false;
    std::size_t result = made.result = new_result(y);
    statements().push_back(std::move(made));
    // Values of the order of 1 keep differences exact, and gradients from vanishing in what saturates.
    if (largest > 4)
      result = insert({.op = row_of("a * scale"),
                       .operands = {result},
                       .with = {.scale = std::exp2(-std::ceil(std::log2(largest / 2)))}});
    scope_.push_back({place, result});
    return true;
  }

  /// Elements of operand i, repeated or cut off, in this shape.
  bool reshape_to(Statement& made, std::size_t i, const std::vector<long>& shape) {
    std::size_t& operand = made.operands[i];
    const auto size =
        static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), 1L, std::multiplies<>()));
    if (size > limit_) return false;
    if (value(operand).size() > size && size > most_literals) {
      operand = insert({.op = row_of("flatten(a)"), .operands = {operand}});
      operand = insert({.op = row_of("slice(a, {xt::ellipsis(), xt::range(low, high, step)})"),
                        .operands = {operand},
                        .with = {.high = static_cast<long>(size)}});
    } else if (value(operand).size() != size) {
      if (size > most_literals) return false;
      Parameters with;
      for (std::size_t k = 0; k < size; ++k)
        with.index.push_back(static_cast<long>(k % value(operand).size()));
      operand = insert({.op = row_of("take(a, index)"), .operands = {operand}, .with = with});
    }
    if (!(value(operand).shape() == shape))
      operand = insert({.op = row_of("reshape(a, shape)"), .operands = {operand}, .with = {.shape = shape}});
    return true;
  }

  /// Where they do not broadcast, the mean of the second along the axes in question.
  bool broadcast(std::vector<std::size_t>& pair) {
    const Shape a = value(pair[0]).shape(), b = value(pair[1]).shape();
    Parameters with{.keep = true};
    std::size_t size = 1;
    for (std::size_t i = 1; i <= std::max(a.size(), b.size()); ++i) {
      const std::size_t m = i <= a.size() ? a[a.size() - i] : 1, n = i <= b.size() ? b[b.size() - i] : 1;
      if (m != n && m != 1 && n != 1) with.axes.push_back(static_cast<long>(b.size() - i));
      size *= m != 1 ? m : n;
    }
    if (size > limit_) return false;
    if (!with.axes.empty())
      pair[1] = insert({.op = row_of("mean(a, axes, keep)"), .operands = {pair[1]}, .with = with});
    return true;
  }

  /// Operands and parameters as the form needs them; false where it does not apply.
  bool fit(Form form, const Gene& gene, Statement& made);

  /// What no statement uses is what the loss is made of.
  void finish() {
    std::vector<bool> used(program_.results);
    for_each_statement(program_.statements, [&](const Statement& s) {
      for (const std::size_t operand : s.operands) used[operand] = true;
    });
    for (const Statement& s : program_.statements)
      if (!used[s.result]) program_.outputs.push_back(s.result);
  }

  const std::vector<Gene>& genes_;
  const Choices choices_;
  const std::size_t limit_;  ///< elements
  std::size_t next_ = 0;
  Program program_;
  std::vector<T> values_;
  std::vector<Visible> scope_;
  std::vector<Statement*> open_blocks_;
};

bool Resolver::fit(Form form, const Gene& gene, Statement& made) {
  const T a = value(made.operands[0]);
  const std::size_t rank = a.rank();
  const std::vector<long> shape(a.shape().begin(), a.shape().end());
  Parameters& with = made.with;
  const auto more = [&](std::size_t i) { made.operands.push_back(pick(gene.operands[i])); };
  const auto draw_axis = [&](std::size_t axes) {
    const long n = static_cast<long>(axes);
    with.axis = number(gene, 0, 2 * axes) - n;
    with.keep = gene.numbers[1] % 2 == 1;
    return static_cast<std::size_t>(with.axis < 0 ? with.axis + n : with.axis);
  };
  const auto draw_index = [&](std::size_t count, long below) {
    for (std::size_t i = 0; i < count; ++i)
      with.index.push_back(static_cast<long>(gene.numbers[3] * 7u + i * (1 + gene.numbers[2] % 3u)) % below);
  };
  std::vector<long> order(rank);
  std::iota(order.begin(), order.end(), 0L);
  if (rank > 1) std::rotate(order.begin(), order.begin() + number(gene, 0, rank), order.end());
  if (rank > 1 && gene.numbers[1] % 2 == 1) std::swap(order[0], order[1]);
  const long few = 1 + number(gene, 1, 3), several = 1 + number(gene, 2, 3);

  switch (form) {
    case Form::unary:
      return true;
    case Form::binary:
      more(1);
      return broadcast(made.operands);
    case Form::alike:
      if (rank < 1) return false;
      [[fallthrough]];
    case Form::same:
      more(1);
      return reshape_to(made, 1, shape);
    case Form::axis:
      if (rank < 1) return false;
      draw_axis(rank);
      return true;
    case Form::axes:
      if (rank < 2) return false;
      with.axes = {order[0], order[1] - static_cast<long>(rank)};
      with.keep = gene.numbers[2] % 2 == 1;
      return true;
    case Form::reshape: {
      const long n = static_cast<long>(a.size()), d = n % 2 == 0 ? 2 : n % 3 == 0 ? 3 : 1;
      with.shape =
          std::array<std::vector<long>, 4>{{{-1}, {d, -1}, {n / d, 1, d}, {1, -1, d}}}[gene.numbers[0] % 4];
      return true;
    }
    case Form::unsqueeze:
      draw_axis(rank + 1);
      return true;
    case Form::permute:
      with.axes = order;
      return true;
    case Form::widen:
      with.shape = shape;
      for (long& d : with.shape)
        if (d == 1) d = few;
      if (gene.numbers[2] % 2 == 1) with.shape.insert(with.shape.begin(), several);
      return a.size() * 9 <= limit_;
    case Form::matrix:
      with.k = number(gene, 0, 4) - 1;
      return rank >= 2;
    case Form::diagonal:
      with.k = number(gene, 0, 2) - (rank == 2 && shape[0] > 1);
      if (rank == 2 && with.k > 0 && with.k >= shape[1]) with.k = 0;
      return (rank == 1 && (a.size() + 1) * (a.size() + 1) <= limit_) || rank == 2;
    case Form::plane:
      if (rank == 2 && shape[1] > 1) with.k = number(gene, 0, 2);
      return rank == 2;
    case Form::stack:
      more(1);
      draw_axis(rank + 1);
      return reshape_to(made, 1, shape);
    case Form::join:
      more(1);
      if (rank < 1) return false;
      draw_axis(rank);
      return reshape_to(made, 1, shape);
    case Form::cut: {
      if (rank < 1) return false;
      const std::size_t axis = draw_axis(rank);
      with.k = number(gene, 2, static_cast<std::size_t>(shape[axis]) + 1);
      if (shape[0] < 1 || with.k == 0 || with.k == shape[axis]) return false;
      with.low = number(gene, 3, static_cast<std::size_t>(std::min(shape[0], shape[rank - 1])));
      with.high = shape[rank - 1];
      with.step = few;
      return true;
    }
    case Form::take:
      if (rank < 1) return false;
      draw_index(1 + gene.numbers[1] % 4, shape[draw_axis(rank)]);
      return true;
    case Form::take_flat:
      draw_index(1 + gene.numbers[1] % 5, static_cast<long>(a.size()));
      return true;
    case Form::gather:
    case Form::scatter: {
      if (rank < 1) return false;
      const std::size_t axis = draw_axis(rank);
      with.shape = shape;
      with.shape[axis] = few;
      const std::size_t count =
          a.size() / static_cast<std::size_t>(shape[axis]) * static_cast<std::size_t>(few);
      if (count > most_literals) return false;
      draw_index(count, shape[axis]);
      if (form == Form::gather) return true;
      more(1);
      return reshape_to(made, 1, with.shape);
    }
    case Form::matmul: {
      if (rank < 1) return false;
      more(1);
      std::vector<long> other{shape.back()};
      if (gene.numbers[0] % 4 > 0) other.push_back(few);
      if (gene.numbers[0] % 4 > 1) other.insert(other.begin(), rank > 2 ? shape[rank - 3] : several);
      return reshape_to(made, 1, other);
    }
    case Form::dot:
      if (rank < 1) return false;
      more(1);
      return reshape_to(made, 1, {shape.back()});
    case Form::outer:
      more(1);
      return a.size() * value(made.operands[1]).size() <= limit_;
    case Form::linear: {
      if (rank < 1) return false;
      more(1), more(2);
      return reshape_to(made, 1, {few, shape.back()}) && reshape_to(made, 2, {few});
    }
    case Form::attention: {
      if (rank < 2) return false;
      more(1), more(2);
      return reshape_to(made, 1, {several, shape.back()}) && reshape_to(made, 2, {several, few});
    }
    case Form::square:
    case Form::regular:
    case Form::system: {
      with.k = number(gene, 0, 6) - 2;
      std::vector<long> of{few, few};
      if (gene.numbers[3] % 2 == 1) of.insert(of.begin(), several);
      if (!reshape_to(made, 0, of)) return false;
      if (form == Form::square) return true;
      made.operands[0] =
          insert({.op = row_of("0.8 * sin(a) + 3 * eye<T>(a.shape(-1))"), .operands = {made.operands[0]}});
      if (form == Form::regular) return true;
      more(1);
      return reshape_to(made, 1, {few, several});
    }
    case Form::columns:
      more(1), more(2);
      return reshape_to(made, 0, {1 + several, few}) && reshape_to(made, 1, {few}) &&
             reshape_to(made, 2, {few});
    case Form::rows:
      if (rank < 1) return false;
      more(1), more(2);
      return reshape_to(made, 1, {shape.back()}) && reshape_to(made, 2, {shape.back()});
    case Form::image: {
      // Where it can be without an element that is repeated: max_pool2d has no ties then.
      const std::size_t n = a.size();
      return reshape_to(made, 0, {n < 16 ? 1 : few, 1, n < 12 ? 2 : 3, n < 8 ? 2 : 1 + several});
    }
    case Form::fold:
      return reshape_to(made, 0, {few, 4, 6});
    case Form::convolution: {
      more(1), more(2);
      const long channels = 1 + number(gene, 0, 2);
      with.low = 1 + number(gene, 3, 2);
      with.high = number(gene, 3, 3) % 2;
      return reshape_to(made, 0, {1 + few % 2, channels, 3, 1 + several}) &&
             reshape_to(made, 1, {several, channels, few, 2}) && reshape_to(made, 2, {several});
    }
    case Form::grouped: {
      more(1);
      const long channels = 1 + number(gene, 0, 2);
      with.low = 1 + number(gene, 3, 2);
      with.high = number(gene, 3, 3) % 2;
      with.k = 1 + few % 2, with.step = several;
      return reshape_to(made, 0, {1, with.step * channels, 3, 3}) &&
             reshape_to(made, 1, {with.step * few, channels, 1 + few % 2, 2});
    }
  }
  return false;
}

}  // namespace

Program resolve(const Recipe& recipe) { return Resolver(recipe).run(); }

}  // namespace xtape::properties
