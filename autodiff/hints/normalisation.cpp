// Mistakes in the derivative of a normalisation as a whole.
#include <algorithm>

#include "../elementwise.hpp"
#include "../reductions.hpp"
#include "row_search.hpp"

namespace xtape::detail {

/// x̂ = c / σ, with c = x − mean or x itself, and the adjoint h of x̂: dx = (h − mean h − x̂ mean(h x̂)) / σ.
template <class T>
void RowSearch<T>::try_normalisation() {
  const auto& steps = graph_.program().steps;
  const auto made_by = [&](std::uint32_t place, std::string_view op) -> const Step* {
    const std::size_t maker = graph_.maker(place);
    return maker != Graph::none && steps[maker].name() == op ? &steps[maker] : nullptr;
  };
  for (std::size_t k = 0; k < steps.size() && !is_late(); ++k) {
    const Step& quotient = steps[k];
    const std::uint32_t y = quotient.output;
    if (std::string_view(quotient.name()) != "divide" || !graph_.adjoint(y).defined()) continue;
    std::uint32_t numerator = quotient.inputs[0].place;
    const Tensor<T>& deviation = graph_.value(quotient.inputs[1].place);
    if (!deviation.defined() || deviation.rank() == 0 || !made_by(quotient.inputs[1].place, "sqrt")) continue;
    Tensor<T> h = graph_.adjoint(y);
    if (const Step* scaled = made_by(numerator, "multiply"))  // gamma c / σ
      for (const std::size_t i : {std::size_t{0}, std::size_t{1}})
        if (graph_.value(scaled->inputs[i].place).shape() == h.shape() &&
            scaled->inputs[i].place != scaled->inputs[1 - i].place) {
          h = h * graph_.value(scaled->inputs[1 - i].place);
          numerator = scaled->inputs[i].place;
          break;
        }
    const Tensor<T>& c = graph_.value(numerator);
    if (!c.defined() || c.rank() != 2 || !(c.shape() == h.shape())) continue;
    const Step* const centred = made_by(numerator, "subtract");
    const std::uint32_t x = centred ? centred->inputs[0].place : numerator;
    if (!graph_.leads_to(x, leaf_)) continue;
    const bool over_features =
        deviation.size() == c.shape()[0] && !(deviation.rank() == 1 && c.shape()[0] == c.shape()[1]);
    const std::ptrdiff_t axis = over_features ? 1 : 0;
    const Tensor<T> normal = c / deviation;
    const auto average = [&](const Tensor<T>& of, std::ptrdiff_t along) { return mean(of, along, true); };
    const auto slope = [&](std::ptrdiff_t along) {
      const Tensor<T> of_variance = normal * average(h * normal, along);
      return ((centred ? h - average(h, along) : h) - of_variance) / deviation;
    };
    const Tensor<T> right = slope(axis);
    const Tensor<T> rest = own_ - graph_.gain(leaf_, x, right);
    const std::string where = " of the normalisation; in " + graph_.formula(k);
    const auto check = [&](const std::string& text, const Tensor<T>& wrong) {
      if (wrong.shape() == right.shape() && explains(rest + graph_.gain(leaf_, x, wrong)))
        found(text + where);
    };
    check("the means (sums) run over the wrong axis, " +
              std::string(axis == 0 ? "the features" : "the batch") + ", in the derivative",
          slope(1 - axis));
    check("the division by the deviation σ is missing (forgotten) in the derivative", right * deviation);
    check("it is divided by the variance σ², and not by the deviation σ, in the derivative: σ twice",
          right / deviation);
    const T n = static_cast<T>(c.shape()[static_cast<std::size_t>(axis)]);
    const Tensor<T> mean_h = centred ? average(h, axis) : T(0) * h, mean_hx = average(h * normal, axis);
    check("the means are sums, the division by N is missing, in the derivative",
          (h - n * mean_h - normal * (n * mean_hx)) / deviation);
    check("a sign is wrong before the term of the variance, x̂ mean(h x̂), in the derivative",
          (h - mean_h + normal * mean_hx) / deviation);
    check("a sign is wrong before the term of the mean in the derivative",
          (h + mean_h - normal * mean_hx) / deviation);
    check("the factor x̂ is missing in the term of the variance, x̂ mean(h x̂), in the derivative",
          (h - mean_h - mean_hx) / deviation);
    check("the centred values are used in place of the normalised ones, x̂, in the derivative",
          (h - mean_h - c * average(h * c, axis)) / deviation);
    check("the mean of h, without x̂, is used in the term of the variance in the derivative",
          (h - mean_h - normal * average(h, axis)) / deviation);
  }
}

template void RowSearch<float>::try_normalisation();
template void RowSearch<double>::try_normalisation();

}  // namespace xtape::detail
