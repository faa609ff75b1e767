// Mistakes in single precision, of both sets.
#include "mistakes_graph.hpp"

namespace xtape::test {
namespace {
using namespace words;

using Single = Tensor<float>;
using Singles = std::vector<MistakeOf<float>>;

Single numbers(const Shape& shape, float sd = 1) { return random::normal<float>(shape, 0, sd); }
Single leaf(const Shape& shape) { return parameter(numbers(shape, 0.7F)); }

/// tanh, then a linear layer, mean of squares: widths 3, 5, 4, six samples.
void tanh_net(Singles& list) {
  random::seed(301);
  const Single x = numbers({6, 3}), y = numbers({6, 4}), W1 = leaf({3, 5}), b1 = leaf({5}), W2 = leaf({5, 4}),
               b2 = leaf({4});
  const auto loss = [=] { return nn::mse_loss(affine(tanh(affine(x, W1, b1)), W2, b2), y); };
  const auto hand = [=](const std::string& wrong) {
    const Single z1 = affine(x, W1, b1), a1 = tanh(z1);
    Single d2 = 2 * (affine(a1, W2, b2) - y) / 24, s = 1 - a1 * a1;
    if (wrong == "no 2") d2 = d2 / 2;
    if (wrong == "no slope") s = ones_like(s);
    if (wrong == "1 - a") s = 1 - a1;
    if (wrong == "slope twice") s = s * s;
    const Single d1 = matmul(d2, transpose(W2)) * s;
    return GraphOf<float>::Gradients{{"W1", matmul(transpose(x), d1)},
                                     {"b1", sum(d1, 0)},
                                     {"W2", matmul(transpose(wrong == "z1 for a1" ? z1 : a1), d2)},
                                     {"b2", wrong == "mean for the bias" ? mean(d2, 0) : sum(d2, 0)}};
  };
  GraphOf<float> g(list, "float tanh net", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  g.add("derivative forgotten", "no slope", "W1", {slope, forgotten}, "tanh'(z1) is forgotten");
  g.add("derivative twice", "slope twice", "W1", {slope, twice}, "tanh'(z1) is applied twice");
  g.add("wrong slope", "1 - a", "W1", {{"1 − a", "1 - a", "1−a", "square"}}, "1 − a in place of 1 − a²");
  g.add("factor", "no 2", "W2", {two}, "the 2 of the square is forgotten");
  g.add("other value in place", "z1 for a1", "W2",
        {{"z1", "before", "pre-activation", "without", "input of the", "operand", "tanh"},
         join(instead, forgotten)},
        "the layer's input is taken before tanh", {"tanh'", "derivative", "slope"});
  g.add("reduction of a bias", "mean for the bias", "b2", {join(averaged, batch("6"))},
        "the mean over the samples in place of their sum");
}

/// ReLU and softmax with a penalty: widths 4, 6, 3, five samples.
void classifier(Singles& list) {
  random::seed(302);
  const std::vector<std::size_t> labels{1, 0, 2, 1, 0};
  const Single x = numbers({5, 4}), y = one_hot(labels, 3).astype<float>(), W1 = leaf({4, 6}), b1 = leaf({6}),
               W2 = leaf({6, 3}), b2 = leaf({3});
  const float decay = 0.1F;
  const auto loss = [=] {
    return nn::cross_entropy(affine(relu(affine(x, W1, b1)), W2, b2), Indices(labels)) +
           decay * sum(square(W1));
  };
  const auto hand = [=](const std::string& wrong) {
    const Single z1 = affine(x, W1, b1), a1 = relu(z1), p = softmax(affine(a1, W2, b2));
    Single error = p - y;
    if (wrong == "label not subtracted") error = p;
    if (wrong == "Jacobian on top") error = p * (error - sum(p * error, 1, true));
    if (wrong != "not divided by N") error = error / 5;
    const Single mask = wrong == "no mask" ? ones_like(z1) : Single(z1 > 0),
                 d1 = matmul(error, transpose(W2)) * mask;
    const float l2 = wrong == "no penalty" ? 0 : wrong == "penalty without 2" ? decay : 2 * decay;
    return GraphOf<float>::Gradients{{"W1", matmul(transpose(x), d1) + l2 * W1},
                                     {"b1", sum(d1, 0)},
                                     {"W2", matmul(transpose(a1), error)},
                                     {"b2", sum(error, 0)}};
  };
  GraphOf<float> g(list, "float classifier", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  g.add("mask forgotten", "no mask", "b1", {join(slope, masked), forgotten}, "ReLU's mask is forgotten");
  g.add("label not subtracted", "label not subtracted", "W2",
        {label, join(forgotten, {"subtract", "p alone", "only p"})}, "the label is not subtracted");
  g.add("softmax Jacobian on top", "Jacobian on top", "W2",
        {{"softmax", "jacobian"}, join(twice, {"top", "already", "applied", "additional", "one too"})},
        "the softmax's Jacobian is applied to p − y, on top");
  g.add("factor", "not divided by N", "b1", {batch("5")}, "the division by N = 5 is forgotten");
  g.add("penalty", "no penalty", "W1", {penalty, join(forgotten, cut)}, "the penalty is forgotten");
  g.add("penalty", "penalty without 2", "W1", {penalty, two}, "the penalty lacks its 2");
}

}  // namespace

std::vector<MistakeOf<float>> mistakes_float_a() {
  Singles list;
  tanh_net(list);
  return list;
}

std::vector<MistakeOf<float>> mistakes_float_b() {
  Singles list;
  classifier(list);
  return list;
}

}  // namespace xtape::test
