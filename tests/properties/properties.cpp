// See properties.hpp.
#include "properties.hpp"

#include <sstream>

namespace xtape::properties {
namespace {

/// Where leaf i moves, with elements of the order of 1.
Tensor<double> direction(const Tensor<double>& leaf, std::size_t i, double phase) {
  const double n = static_cast<double>(leaf.size());
  return reshape(cos(arange<double>(n) * 1.7 + (phase + static_cast<double>(i))), Dims(leaf.shape()));
}

/// Σ a · b over a list of tensors, and the sum of the terms' absolute values.
struct Product {
  double value = 0, scale = 0;
};
Product dot_product(const List<double>& list, double phase) {
  Product all;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Tensor<double> d = direction(list[i], i, phase);
    for (std::size_t k = 0; k < d.size(); ++k) {
      all.value += list[i].data()[k] * d.data()[k];
      all.scale += std::abs(list[i].data()[k] * d.data()[k]);
    }
  }
  return all;
}

/// The derivative of f at 0 against `expected`. f has a rounding error of about 1e-15 of its size, so that
/// differences over h = 1e-4 are right to 1e-11 or so; what they lack by the third derivative, two steps tell
/// and Richardson's formula removes. Where they tell of more than 1e-4, the program is too steep for
/// differences.
template <class F>
void compare(const char* what, const F& f, const Product& expected, double size, Tally& tally) {
  const double h = 0x1p-13;
  const auto central = [&](double step) { return (f(step) - f(-step)) / (2 * step); };
  const double wide = central(h), narrow = central(h / 2), error = std::abs(wide - narrow);
  const double difference = (4 * narrow - wide) / 3,
               scale = expected.scale + std::abs(difference) + 1e-3 * size + 1e-3;
  if (!(error <= 1e-4 * scale)) {
    ++tally.vague;
    return;
  }
  ++tally.compared;
  if (std::abs(difference - expected.value) <= error + 1e-6 * scale) return;
  std::ostringstream message;
  message.precision(12);
  message << what << ": the gradient gives " << expected.value << ", differences give " << difference << " ± "
          << error;
  throw Broken(message.str());
}

}  // namespace

void agrees_with_differences(const Program& program, Tally& tally) {
  const List<double> leaves = make_leaves<double>(program);
  Frozen<double> frozen;
  const Tensor<double> loss = run(program, leaves, &frozen);
  frozen.replay = true;
  const List<double> first = gradients(loss, leaves, {.retain_tape = true, .create_graph = true});
  const auto moved = [&](double step) {
    List<double> list;
    for (std::size_t i = 0; i < leaves.size(); ++i)
      list.push_back(parameter(leaves[i].detach() + direction(leaves[i], i, 0) * step));
    return list;
  };
  const auto value = [&](double step) {
    const NoGrad no_grad;
    return run(program, moved(step), &frozen).item();
  };
  compare("first order", value, dot_product(first, 0), std::abs(loss.item()), tally);

  Tensor<double> slope = 0;
  for (std::size_t i = 0; i < first.size(); ++i) slope = slope + sum(first[i] * direction(first[i], i, 1));
  const auto slope_at = [&](double step) {
    const List<double> at = moved(step);
    return dot_product(gradients(run(program, at, &frozen), at), 1).value;
  };
  compare("second order", slope_at, dot_product(gradients(slope, leaves), 0), dot_product(first, 1).scale,
          tally);
}

}  // namespace xtape::properties
