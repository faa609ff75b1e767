// Sums of products by subscripts: pairs of operands are contracted by matrix products, in the cheapest order.
#include <algorithm>
#include <limits>
#include <map>
#include <string_view>

#include "../ops/layout_ops.hpp"
#include "matrix_stack.hpp"

namespace xtape {
namespace detail {
namespace {

/// The label of an axis: a letter, or beyond letters the axes of an ellipsis, counted from the last.
using Label = int;
using Labels = std::vector<Label>;
using Sizes = std::map<Label, std::size_t>;
constexpr Label first_of_ellipsis = 256;

bool has(const Labels& labels, Label one) {
  return std::find(labels.begin(), labels.end(), one) != labels.end();
}

[[noreturn]] void refuse(const std::string& subscripts, const std::string& what) {
  throw Error("einsum", "\"" + subscripts + "\": " + what);
}

std::string label_text(Label label) {
  return label < first_of_ellipsis ? "'" + std::string(1, static_cast<char>(label)) + "'" : "the ellipsis";
}

/// A tensor whose axes have labels, each once.
template <class T>
struct Labelled {
  Tensor<T> x;
  Labels axes;
};

/// The letters of one operand, or of the result, before and after an ellipsis.
struct Subscript {
  Labels before, after;
  bool has_ellipsis = false;
  std::size_t letters() const { return before.size() + after.size(); }
  Labels labels(std::size_t of_ellipsis) const {
    Labels all = before;
    for (std::size_t i = of_ellipsis; i-- > 0;) all.push_back(first_of_ellipsis + static_cast<Label>(i));
    all.insert(all.end(), after.begin(), after.end());
    return all;
  }
};

Subscript parse_term(const std::string& subscripts, std::string_view text) {
  Subscript term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') continue;
    if (text.substr(i, 3) == "...") {
      if (term.has_ellipsis) refuse(subscripts, "an operand has two ellipses");
      term.has_ellipsis = true;
      i += 2;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      (term.has_ellipsis ? term.after : term.before).push_back(c);
    } else {
      refuse(subscripts, std::string("'") + c + "' is no letter");
    }
  }
  return term;
}

/// What the subscripts say of operands of these ranks: their labels, and those of the result.
struct Subscripts {
  std::vector<Labels> operands;
  Labels result;

  Subscripts(const std::string& text, const std::vector<std::size_t>& ranks) {
    const std::size_t arrow = text.find("->");
    const std::string_view left = std::string_view(text).substr(0, arrow);
    std::size_t most_of_ellipsis = 0, from = 0;
    for (;;) {
      const std::size_t comma = left.find(',', from);
      const Subscript term = parse_term(text, left.substr(from, comma - from));
      const std::size_t i = operands.size();
      if (i < ranks.size()) {
        const std::size_t rank = ranks[i];
        if (rank < term.letters() || (rank > term.letters() && !term.has_ellipsis))
          refuse(text, "operand " + std::to_string(i) + " has " + std::to_string(rank) + " axes, and " +
                           std::to_string(term.letters()) + " subscripts");
        most_of_ellipsis = std::max(most_of_ellipsis, rank - term.letters());
        operands.push_back(term.labels(rank - term.letters()));
      } else {
        operands.push_back({});
      }
      if (comma == std::string_view::npos) break;
      from = comma + 1;
    }
    if (operands.size() != ranks.size())
      refuse(text, "subscripts for " + std::to_string(operands.size()) + " operands, and " +
                       std::to_string(ranks.size()) + " are given");
    if (arrow == std::string::npos) {
      result = Subscript{{}, {}, true}.labels(most_of_ellipsis);
      std::map<Label, int> uses;
      for (const Labels& operand : operands)
        for (const Label label : operand) ++uses[label];
      for (const auto& [label, count] : uses)
        if (count == 1 && label < first_of_ellipsis) result.push_back(label);
      return;
    }
    const Subscript term = parse_term(text, std::string_view(text).substr(arrow + 2));
    result = term.labels(term.has_ellipsis ? most_of_ellipsis : 0);
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (std::count(result.begin(), result.end(), result[i]) > 1)
        refuse(text, label_text(result[i]) + " is twice in the result");
      if (std::none_of(operands.begin(), operands.end(), [&](const Labels& o) { return has(o, result[i]); }))
        refuse(text, label_text(result[i]) + " is in the result, and in no operand");
    }
  }
};

/// x with its axes in this order; those that it lacks are added, of length 1.
template <class T>
Tensor<T> in_order(const Labelled<T>& x, const Labels& order) {
  Axes permutation;
  Dims to;
  bool sorted = true;
  for (const Label label : order) {
    const auto at = std::find(x.axes.begin(), x.axes.end(), label);
    if (at == x.axes.end()) {
      to.push_back(1);
      continue;
    }
    const auto axis = at - x.axes.begin();
    sorted = sorted && (permutation.empty() || permutation.back() < axis);
    permutation.push_back(axis);
    to.push_back(static_cast<std::ptrdiff_t>(x.x.shape()[static_cast<std::size_t>(axis)]));
  }
  const Tensor<T> moved = sorted ? x.x : transpose(x.x, permutation);
  return permutation.size() == order.size() ? moved : reshape(moved, to);
}

/// The diagonal along axes of the same label, until each is there once.
template <class T>
Labelled<T> diagonal(Labelled<T> x) {
  Labels once;
  Shape to;
  Dims strides;
  const Dims own = row_major_strides(x.x.shape());
  for (std::size_t i = 0; i < x.axes.size(); ++i) {
    const auto at = std::find(once.begin(), once.end(), x.axes[i]);
    if (at != once.end()) {
      strides[static_cast<std::size_t>(at - once.begin())] += own[i];
      continue;
    }
    once.push_back(x.axes[i]);
    to.push_back(x.x.shape()[i]);
    strides.push_back(own[i]);
  }
  if (once.size() == x.axes.size()) return x;
  return {apply<T>(Strided<T>{"einsum", to, 0, strides}, x.x), once};
}

template <class T>
Labelled<T> sum_out(Labelled<T> x, const Labels& needed) {
  Axes axes;
  Labels left;
  for (std::size_t i = 0; i < x.axes.size(); ++i)
    if (has(needed, x.axes[i]))
      left.push_back(x.axes[i]);
    else
      axes.push_back(static_cast<std::ptrdiff_t>(i));
  if (axes.empty()) return x;
  return {sum(x.x, axes), left};
}

/// The sum over the labels that both have and nobody needs later, of the product.
template <class T>
Labelled<T> contract(const Labelled<T>& a, const Labelled<T>& b, const Labels& needed, const Sizes& sizes) {
  Labels batch, left, right, summed;
  for (const Label label : a.axes) {
    if (!has(b.axes, label))
      left.push_back(label);
    else
      (has(needed, label) ? batch : summed).push_back(label);
  }
  for (const Label label : b.axes)
    if (!has(a.axes, label)) right.push_back(label);
  const auto join = [](const Labels& x, const Labels& y, const Labels& z) {
    Labels all = x;
    all.insert(all.end(), y.begin(), y.end());
    all.insert(all.end(), z.begin(), z.end());
    return all;
  };
  const Labels result = join(batch, left, right);
  if (summed.empty() || (left.empty() && right.empty() && !batch.empty())) {  // element by element
    const Labels all = join(result, summed, {});
    return sum_out<T>({in_order(a, all) * in_order(b, all), all}, result);
  }
  const auto product_of = [&](const Labels& labels) {
    std::size_t n = 1;
    for (const Label label : labels) n *= sizes.at(label);
    return n;
  };
  const std::size_t L = product_of(left), R = product_of(right), K = product_of(summed);
  Dims dims;
  for (const Label label : batch) dims.push_back(static_cast<std::ptrdiff_t>(sizes.at(label)));
  const auto matrix = [&](const Labelled<T>& x, const Labels& order, std::size_t rows, std::size_t columns) {
    Dims to = dims;
    to.push_back(static_cast<std::ptrdiff_t>(rows));
    to.push_back(static_cast<std::ptrdiff_t>(columns));
    return reshape(in_order(x, order), to);
  };
  // What lies the other way round already is read so.
  const bool ta = a.axes == join(batch, summed, left), tb = b.axes == join(batch, right, summed);
  const Tensor<T> A = ta ? matrix(a, a.axes, K, L) : matrix(a, join(batch, left, summed), L, K);
  const Tensor<T> B = tb ? matrix(b, b.axes, R, K) : matrix(b, join(batch, summed, right), K, R);
  Dims to = dims;
  for (const Label label : join(left, right, {})) to.push_back(static_cast<std::ptrdiff_t>(sizes.at(label)));
  return {reshape(product(A, ta, B, tb), to), result};
}

/// In which pairs operands are contracted, at the least number of multiplications: of all orders for up to
/// six operands, and beyond that the cheapest pair first.
class Order {
 public:
  Order(const Sizes& sizes, const Labels& result) : sizes_(sizes), result_(result) {}

  /// The labels of the others and of the result.
  Labels needed_beside(const std::vector<Labels>& all, std::size_t i, std::size_t j) const {
    Labels needed = result_;
    for (std::size_t k = 0; k < all.size(); ++k)
      if (k != i && k != j) needed.insert(needed.end(), all[k].begin(), all[k].end());
    return needed;
  }
  double cost(const Labels& a, const Labels& b) const {
    double product = 1;
    for (const Label label : a) product *= static_cast<double>(sizes_.at(label));
    for (const Label label : b)
      if (!has(a, label)) product *= static_cast<double>(sizes_.at(label));
    return product;
  }
  /// The pair to begin with.
  std::pair<std::size_t, std::size_t> first_pair(const std::vector<Labels>& all) const {
    std::pair<std::size_t, std::size_t> best{0, 1};
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = i + 1; j < all.size(); ++j) {
        const double total = cost(all[i], all[j]) + (all.size() <= 6 ? cost_of_rest(all, i, j) : 0);
        if (total < least) {
          least = total;
          best = {i, j};
        }
      }
    return best;
  }

 private:
  double cost_of_rest(const std::vector<Labels>& all, std::size_t i, std::size_t j) const {
    if (all.size() == 2) return 0;
    const std::vector<Labels> rest = contracted(all, i, j);
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < rest.size(); ++k)
      for (std::size_t l = k + 1; l < rest.size(); ++l)
        least = std::min(least, cost(rest[k], rest[l]) + cost_of_rest(rest, k, l));
    return least;
  }
  std::vector<Labels> contracted(const std::vector<Labels>& all, std::size_t i, std::size_t j) const {
    const Labels needed = needed_beside(all, i, j);
    std::vector<Labels> rest;
    Labels joined;
    for (const Labels* x : {&all[i], &all[j]})
      for (const Label label : *x)
        if (has(needed, label) && !has(joined, label)) joined.push_back(label);
    for (std::size_t k = 0; k < all.size(); ++k)
      if (k != i && k != j) rest.push_back(all[k]);
    rest.push_back(joined);
    return rest;
  }

  const Sizes& sizes_;
  const Labels& result_;
};

}  // namespace

template <class T>
Tensor<T> einsum(const std::string& subscripts, std::span<const Tensor<T>> operands) {
  if (operands.empty()) throw Error("einsum", "there is no operand");
  std::vector<std::size_t> ranks;
  for (const Tensor<T>& x : operands) ranks.push_back(x.rank());
  const Subscripts parsed(subscripts, ranks);

  Sizes sizes;
  for (std::size_t i = 0; i < operands.size(); ++i)
    for (std::size_t axis = 0; axis < ranks[i]; ++axis) {
      const std::size_t n = operands[i].shape()[axis];
      const Label label = parsed.operands[i][axis];
      std::size_t& known = sizes.try_emplace(label, n).first->second;
      if (known == 1) known = n;
      if (n != known && n != 1)
        refuse(subscripts, label_text(label) + " is " + std::to_string(known) + " and, in operand " +
                               std::to_string(i) + " of shape " + to_string(operands[i].shape()) + ", " +
                               std::to_string(n));
    }

  std::vector<Labelled<T>> all;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    // An axis of length 1 that others have longer is repeated: as if it were not there.
    Labelled<T> x{operands[i], {}};
    Axes ones;
    for (std::size_t axis = 0; axis < ranks[i]; ++axis) {
      const Label label = parsed.operands[i][axis];
      if (operands[i].shape()[axis] == 1 && sizes.at(label) != 1)
        ones.push_back(static_cast<std::ptrdiff_t>(axis));
      else
        x.axes.push_back(label);
    }
    if (!ones.empty()) x.x = squeeze(x.x, ones);
    all.push_back(diagonal(std::move(x)));
  }
  const auto labels = [&] {
    std::vector<Labels> list;
    for (const Labelled<T>& x : all) list.push_back(x.axes);
    return list;
  };
  const std::vector<Labels> first = labels();
  const Order order(sizes, parsed.result);
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = sum_out(std::move(all[i]), order.needed_beside(first, i, i));
  while (all.size() > 1) {
    const std::vector<Labels> now = labels();
    const auto pair = order.first_pair(now);
    Labelled<T> joined =
        contract(all[pair.first], all[pair.second], order.needed_beside(now, pair.first, pair.second), sizes);
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(pair.second));
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(pair.first));
    all.push_back(std::move(joined));
  }
  const Tensor<T> y = in_order(all[0], parsed.result);
  Shape to;
  for (const Label label : parsed.result) to.push_back(sizes.at(label));
  return y.shape() == to ? y : broadcast_to(y, to);
}

template Tensor<float> einsum(const std::string&, std::span<const Tensor<float>>);
template Tensor<double> einsum(const std::string&, std::span<const Tensor<double>>);

}  // namespace detail
}  // namespace xtape
