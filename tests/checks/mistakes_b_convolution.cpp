// Set B of mistakes: convolution and pooling.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Convolution, softplus, strided and padded convolution, sigmoid, average pooling, softmax: three images of
/// 7 × 7.
void strided_convolution(Mistakes& list) {
  random::seed(216);
  const std::vector<std::size_t> labels{2, 0, 3};
  const Matrix x = normal({3, 1, 7, 7}), y = one_hot(labels, 4), w1 = weights({2, 1, 2, 2}),
               c1 = weights({2}), w2 = weights({3, 2, 3, 3}, 0.5), c2 = weights({3}),
               W = weights({3, 4}, 1.5);
  const Conv2dOptions options{.stride = 2, .padding = 1};
  const auto loss = [=] {
    const Matrix a1 = softplus(conv2d(x, w1, c1));           // (3, 2, 6, 6)
    const Matrix a2 = sigmoid(conv2d(a1, w2, c2, options));  // (3, 3, 3, 3)
    return nn::cross_entropy(matmul(reshape(avg_pool2d(a2, 3), {3, 3}), W), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = conv2d(x, w1, c1), a1 = softplus(z1), a2 = sigmoid(conv2d(a1, w2, c2, options)),
                 pooled = reshape(mean(a2, {2, 3}), {3, 3}), logits = matmul(pooled, W), p = softmax(logits);
    Matrix d = p - y;
    if (wrong == "label not subtracted") d = p;
    if (wrong != "not divided by N") d = d / 3;
    const Matrix dp = reshape(matmul(d, transpose(W)), {3, 3, 1, 1});
    Matrix spread = broadcast_to(dp / 9, {3, 3, 3, 3});
    if (wrong == "pooling without 1/9") spread = 9 * spread;
    if (wrong == "to the largest only") spread = dp * equal(a2, max(a2, {2, 3}, true));
    Matrix s2 = a2 * (1 - a2);
    if (wrong == "no slope 2") s2 = ones_like(s2);
    if (wrong == "1 - a") s2 = 1 - a2;
    const Matrix g2 = reshape(spread * s2, {3, 3, 9}), columns = unfold(a1, 3, 2, 1);
    Matrix dw2 = reshape(sum(matmul(g2, transpose(columns, {0, 2, 1})), 0), {3, 2, 3, 3});
    if (wrong == "dw2 flipped") dw2 = flip(dw2, {2, 3});
    if (wrong == "height and width exchanged") dw2 = transpose(dw2, {0, 1, 3, 2});
    Matrix kernels = w2;
    if (wrong == "kernel not flipped") kernels = flip(w2, {2, 3});
    if (wrong == "kernel transposed") kernels = transpose(w2, {0, 1, 3, 2});
    const Matrix da1 = fold(matmul(transpose(reshape(kernels, {3, 18})), g2), {6, 6}, 3, 2, 1);
    Matrix s1 = sigmoid(z1);
    if (wrong == "no slope 1") s1 = ones_like(s1);
    const Matrix g1 = reshape(da1 * s1, {3, 2, 36});
    return Graph::Gradients{
        {"w1", reshape(sum(matmul(g1, transpose(unfold(x, 2), {0, 2, 1})), 0), {2, 1, 2, 2})},
        {"c1", sum(g1, {0, 2})},
        {"w2", dw2},
        {"c2", wrong == "mean over positions" ? sum(mean(g2, 2), 0) : sum(g2, {0, 2})},
        {"W", matmul(transpose(pooled), d)}};
  };
  Graph g(list, "strided convolution", {{"w1", w1}, {"c1", c1}, {"w2", w2}, {"c2", c2}, {"W", W}}, loss,
          hand);
  const Words flipped{"flip", "rotat", "180", "turned", "revers", "mirror"};
  g.add("kernel not flipped", "kernel not flipped", "w1", {flipped},
        "the way back through w2 with the kernel turned by 180°");
  g.add("kernel not flipped", "dw2 flipped", "w2", {flipped}, "dw2 comes out turned by 180°");
  g.add("not transposed", "height and width exchanged", "w2",
        {join(transposed, {"height and width", "exchang", "swap", "axes"})},
        "height and width of dw2 are exchanged");
  g.add("not transposed", "kernel transposed", "w1",
        {join(transposed, {"height and width", "exchang", "swap", "axes"})},
        "height and width of w2 are exchanged on the way back");
  g.add("pooling", "pooling without 1/9", "w2", {join(factor("9"), {"pool", "mean", "average"})},
        "the 1 / 9 of the mean pooling is forgotten", {"largest", "max"});
  g.add("pooling", "to the largest only", "w2", {{"pool", "mean", "average"}, {"max", "largest"}},
        "average pooling's gradient goes to the largest element only, as by max pooling");
  g.add("derivative forgotten", "no slope 2", "w1",
        {slope, forgotten, {"sigmoid", "second", "a2", "z2", "layer 2", "2nd"}}, "sigmoid' is forgotten");
  g.add("derivative forgotten", "no slope 1", "w1",
        {slope, forgotten, {"softplus", "first", "a1", "z1", "layer 1", "1st"}}, "softplus' is forgotten");
  g.add("wrong slope", "1 - a", "c2",
        {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "1−a", "factor a"}},
        "1 − a in place of a (1 − a)");
  g.add("reduction of a bias", "mean over positions", "c2",
        {join(averaged, factor("9"), {"position", "pixel"})},
        "the mean over 9 positions in place of their sum");
  g.add("label not subtracted", "label not subtracted", "w2",
        {label, join(forgotten, {"subtract", "p alone", "only p"})}, "the label is not subtracted");
  g.add("factor", "not divided by N", "w1", {batch("3")}, "the division by N = 3 is forgotten");
}

}  // namespace xtape::test
