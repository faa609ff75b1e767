// Wrong factors, masks, sums over axes and matrix products.
#include "collector.hpp"

namespace xtape::detail {

template <class T>
void Collector<T>::add_products() {
  const Shape shape = x_.shape();
  const std::size_t other_input = of_.input == 0 ? 1 : 0;
  if (op_ == "where") {
    add("unmasked", "the mask of where() is forgotten: the gradient is passed everywhere",
        [shape](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g, shape); });
    const Tensor<T> mask = graph_.value(step_.inputs[0].place);
    if (mask.defined())
      add("other branch",
          "the branches of where() are swapped (exchanged): the gradient is passed through the other one",
          [shape, mask, is_first = of_.input == 1](const Tensor<T>& g, const Tensor<T>&) {
            const Tensor<T> chosen = is_first ? equal(mask, 0) : 1 - equal(mask, 0);
            return summed_to(g * chosen, shape);
          });
    return;
  }
  if (step_.inputs.size() < 2) return;
  const Tensor<T> other = graph_.value(step_.inputs[other_input].place);
  if (!other.defined()) return;
  const std::string name = graph_.name(step_.inputs[other_input].place);
  const std::string factor = name.empty() ? "the other factor" : "the factor " + name;
  if (op_ == "maximum" || op_ == "minimum") {
    add("to both",
        "the gradient of " + op_ + " is passed to both operands, and not to the one that is chosen",
        [shape](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g, shape); });
    add("other", "the gradient of " + op_ + " is passed to the operand that is not chosen",
        [shape](const Tensor<T>& g, const Tensor<T>& c) { return summed_to(g, shape) - c; });
    return;
  }
  const bool divides = op_ == "divide" && of_.input == 0;
  const std::string what = divides ? "the division by " + name : factor;
  if (op_ == "multiply" || op_ == "divide") {
    add("missing", what + " is missing: the gradient is passed on without it",
        [shape](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g, shape); });
    if (op_ == "multiply" || divides)
      add("twice", what + " is applied twice", [shape, other, divides](const Tensor<T>& g, const Tensor<T>&) {
        return summed_to(divides ? g / square(other) : g * square(other), shape);
      });
    if (!(op_ == "divide" && of_.input == 1)) {
      add("own", "the product rule takes the operand itself, and not the other factor",
          [shape, x = x_](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g * x, shape); });
      const std::uint32_t at = step_.inputs[other_input].place;
      const bool is_given = graph_.maker(at) == GradientGraph<T>::none && !graph_.is_leaf(at);
      if (is_given && (other.size() == 1 || max(equal(other, 0)).item() != 0))
        add("scale of mask",
            "the scale of the dropout (of " + name +
                ") is left out: the gradient is multiplied by 1 where it is not 0",
            [shape, other](const Tensor<T>& g, const Tensor<T>&) {
              return summed_to(g * (1 - equal(other, 0)), shape);
            });
      add("value", "the gradient is multiplied by the product itself",
          [shape, y = y_](const Tensor<T>& g, const Tensor<T>&) { return summed_to(g * y, shape); });
      add("one minus", "the gradient is multiplied by 1 − " + name + " in place of " + name,
          [shape, other, divides](const Tensor<T>& g, const Tensor<T>&) {
            return divides ? Tensor<T>() : summed_to(g * (1 - other), shape);
          });
      add("divided",
          divides ? "the gradient is multiplied by " + name + ", and not divided"
                  : "the gradient is divided by " + name + ", and not multiplied",
          [shape, other, divides](const Tensor<T>& g, const Tensor<T>&) {
            return summed_to(divides ? g * other : g / other, shape);
          });
    } else {  // of the divisor: −g a / b²
      const Tensor<T> b = x_;
      const auto form = [&](const char* key, const std::string& text, auto f) {
        add(key, text, [shape, other, b, f](const Tensor<T>& g, const Tensor<T>&) {
          return summed_to(f(g, other, b), shape);
        });
      };
      form("-a/b", "the square of the divisor is missing: −a / b, and not −a / b²",
           [](const auto& g, const auto& a, const auto& d) { return -g * a / d; });
      form("-1/b²", "the numerator is missing in the derivative of the quotient: −1 / b², and not −a / b²",
           [](const auto& g, const auto&, const auto& d) { return -g / square(d); });
      form("1/b", "the quotient rule of the divisor is forgotten: 1 / b is used, and not −a / b²",
           [](const auto& g, const auto&, const auto& d) { return g / d; });
      form("a", "the divisor is treated as a factor: a is used, and not −a / b²",
           [](const auto& g, const auto& a, const auto&) { return g * a; });
    }
  }
}

template <class T>
void Collector<T>::add_reductions() {
  const Shape shape = x_.shape(), wide = y_.shape();
  if (op_ != "add" && op_ != "subtract" && op_ != "multiply") return;
  const Tensor<T> other =
      step_.inputs.size() > 1 ? graph_.value(step_.inputs[1 - of_.input].place) : Tensor<T>();
  const auto full = [op = op_, input = of_.input, other, wide](const Tensor<T>& g) {
    return op == "subtract" && input == 1 ? -g : op == "multiply" ? g * other : g;
  };
  const auto summed = [&](const char* key, const std::string& text, auto f) {
    add(key, text, [full, f, shape, wide](const Tensor<T>& g, const Tensor<T>&) -> Tensor<T> {
      const Tensor<T> all = full(g);
      if (!(all.shape() == wide)) return {};
      const Tensor<T> result = f(all);
      if (!result.defined() || result.size() != element_count(shape, "hint")) return {};
      return reshape(result, Dims(shape));
    });
  };
  const std::string it =
      "the gradient of " + (graph_.name(of_.from).empty() ? "the bias" : graph_.name(of_.from));
  const std::string n = std::to_string(wide.size() ? wide[0] : 1);
  if (wide.size() < 2 || shape.size() >= wide.size() + 1) return;
  summed("mean", it + " is the mean over the batch of " + n + ", and not the sum over it",
         [](const Tensor<T>& g) { return mean(g, 0); });
  summed("first", it + " takes the first sample alone, and is not summed over the batch of " + n,
         [](const Tensor<T>& g) { return slice(g, 0); });
  summed("last", it + " takes the last sample alone, and is not summed over the batch of " + n,
         [](const Tensor<T>& g) { return slice(g, -1); });
  summed("largest", it + " takes the largest over the batch, and is not summed over it",
         [](const Tensor<T>& g) { return max(g, 0); });
  add("total",
      it + " is summed over all axes, without an axis, and not over the batch alone: each element is the "
           "total",
      [full, shape](const Tensor<T>& g, const Tensor<T>&) { return broadcast_to(sum(full(g)), shape); });
  add("mean of all", it + " is the mean over all axes, without an axis",
      [full, shape](const Tensor<T>& g, const Tensor<T>&) { return broadcast_to(mean(full(g)), shape); });
  if (wide.size() == 2) {
    summed("other axis",
           it + " is summed over the wrong axis: over axis 1, the features, and not over axis 0, the batch",
           [](const Tensor<T>& g) { return sum(g, 1); });
    summed("other mean", it + " is the mean over the wrong axis: over axis 1, the features",
           [](const Tensor<T>& g) { return mean(g, 1); });
    summed("other first", it + " is a column of δ, and not its sum over the batch",
           [](const Tensor<T>& g) { return slice(g, xt::all(), 0); });
  }
}

template <class T>
void Collector<T>::add_branches() {
  if (step_.inputs.size() != 2) return;
  const std::size_t maker = graph_.maker(step_.inputs[1 - of_.input].place);
  if (maker == Graph::none) return;
  const Step& other = graph_.program().steps[maker];
  if (other.inputs.size() != 1 || !other.operation->row_call) return;
  for (std::size_t e = 0; e < graph_.edges().size(); ++e)
    if (graph_.edges()[e].step == maker) {
      const Tensor<T> slope = graph_.contribution_with(e, ones<T>(graph_.value(other.output).shape()), {});
      if (slope.defined() && slope.shape() == x_.shape() && x_.shape() == y_.shape())
        add("slope of the other",
            "the derivative of " + std::string(other.name()) +
                " is applied to both branches of the sum, to the skip connection (the direct path), too",
            [slope](const Tensor<T>&, const Tensor<T>& c) { return c * slope; });
    }
}

template <class T>
void Collector<T>::add_matmul() {
  if (y_.rank() == 2 && y_.shape()[0] == y_.shape()[1])
    add("error not transposed",
        "the error " + graph_.gradient_name(step_.output) +
            " is not transposed, or is transposed where it should not be",
        [g_ = graph_ptr(), e = edge_](const Tensor<T>& g, const Tensor<T>&) {
          return g_->contribution_with(e, transpose(g), {});
        });
  // c (M, K) = g (M, N) Bᵀ, where B (K, N): the sum is over N. Of a batch of one weight: parts of the sum.
  const Tensor<T> other = graph_.value(step_.inputs[1 - of_.input].place);
  if (!other.defined() || other.rank() != 2 || y_.rank() != 2) return;
  const std::size_t rows = y_.shape()[0];
  if (rows < 2) return;
  const bool is_weight = std::ranges::find(graph_.leaves(), of_.from) != graph_.leaves().end();
  if (!is_weight) return;
  const std::string it = "the gradient of " + graph_.name(of_.from);
  const auto rows_only = [&](const char* key, const std::string& text, std::size_t first, std::size_t last) {
    add(key, it + " " + text,
        [g_ = graph_ptr(), e = edge_, first, last, rows](const Tensor<T>& g, const Tensor<T>&) {
          const Tensor<T> mask = reshape(arange<T>(static_cast<T>(rows)), Dims{rows, std::size_t{1}});
          return g_->contribution_with(
              e, g * ((mask >= static_cast<T>(first)) * (mask < static_cast<T>(last))), {});
        });
  };
  const std::string n = std::to_string(rows);
  rows_only("first", "takes the first of the " + n + " samples alone: sum over all", 0, 1);
  rows_only("last", "takes the last of the " + n + " samples alone: add up (+=) over all " + n, rows - 1,
            rows);
  rows_only("all but last", "leaves out the last of the " + n + " samples", 0, rows - 1);
  rows_only("all but first", "leaves out the first of the " + n + " samples", 1, rows);
  if (rows > 3) rows_only("half", "takes the first half of the " + n + " samples alone", 0, rows / 2);
  const auto shifted = [&](const char* key, const std::string& text, auto f) {
    add(key, it + " " + text, [g_ = graph_ptr(), e = edge_, f](const Tensor<T>& g, const Tensor<T>&) {
      return g_->contribution_with(e, f(g), {});
    });
  };
  shifted("roll",
          "multiplies each sample's error by the input of another sample: the rows are shifted by one",
          [](const Tensor<T>& g) { return roll_rows(g, 1); });
  shifted("roll back",
          "multiplies each sample's error by the input of another sample: the rows are shifted by one",
          [](const Tensor<T>& g) { return roll_rows(g, -1); });
  shifted("reversed",
          "multiplies each sample's error by the input of another sample: the rows are in reverse order",
          [](const Tensor<T>& g) { return flip(g, 0); });
  shifted("sign", "takes the sign of the error alone", [](const Tensor<T>& g) { return sign(g); });
  shifted("abs", "takes the absolute value of the error", [](const Tensor<T>& g) { return abs(g); });
}

template <class T>
void Collector<T>::add_rows() {
  const Handle& indices = graph_.handle(step_.inputs[1].place);
  if (of_.input != 0 || !indices.value || !indices.value->integers) return;
  const auto* const index = indices.value->elements<std::ptrdiff_t>();
  const std::size_t n = indices.value->size;
  const auto keep = [&](const char* key, const std::string& text, const std::vector<char>& kept,
                        bool averaged) {
    add(key, text,
        [kept, averaged, list = std::vector<std::ptrdiff_t>(index, index + n), n, g_ = graph_ptr(),
         e = edge_](const Tensor<T>& g, const Tensor<T>&) {
          std::vector<T> weight(n);
          for (std::size_t i = 0; i < n; ++i)
            weight[i] =
                averaged ? 1 / static_cast<T>(std::ranges::count(list, list[i])) : static_cast<T>(kept[i]);
          if (g.size() % n != 0) return Tensor<T>();
          const Tensor<T> rows =
              reshape(g, Dims{n, g.size() / n}) * reshape(Tensor<T>(weight), Dims{n, std::size_t{1}});
          return g_->contribution_with(e, reshape(rows, Dims(g.shape())), {});
        });
  };
  std::vector<char> last(n, true), first(n, true);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k)
      if (index[i] == index[k]) {
        if (k > i) last[i] = false;
        if (k < i) first[i] = false;
      }
  keep(
      "last",
      "rows that are used several times are overwritten (=) and not added up (+=): the last use alone counts",
      last, false);
  keep("first",
       "rows that are used several times count once, with their first use: add up (+=) over all uses", first,
       false);
  keep("mean", "rows that are used several times get the mean of their gradients, and not the sum", {}, true);
}

template <class T>
void Collector<T>::add_layout() {
  if (op_ == "transpose" && y_.shape() == x_.shape())
    add("missing", "the gradient of transpose() is not transposed back",
        [](const Tensor<T>& g, const Tensor<T>&) { return g; });
  if (op_ == "reshape" && x_.rank() == 2 && y_.size() == x_.size() && !(x_.shape() == y_.shape()))
    add("order", "the gradient is reshaped in another order than the value",
        [shape = x_.shape()](const Tensor<T>& g, const Tensor<T>&) {
          return transpose(reshape(g, Dims{shape[1], shape[0]}));
        });
}

#define XTAPE_INSTANTIATE(T)                    \
  template void Collector<T>::add_products();   \
  template void Collector<T>::add_reductions(); \
  template void Collector<T>::add_branches();   \
  template void Collector<T>::add_matmul();     \
  template void Collector<T>::add_rows();       \
  template void Collector<T>::add_layout();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
