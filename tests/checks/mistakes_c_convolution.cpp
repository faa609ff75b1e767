// Set C of mistakes: convolution and pooling.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Convolution, ReLU, max pooling, convolution, tanh, average pooling, softmax: five images of 7 × 7 with two
/// channels.
void pooled_convolution(Mistakes& list) {
  random::seed(505);
  const std::vector<std::size_t> labels{1, 0, 2, 2, 1};
  const Matrix x = normal({5, 2, 7, 7}), y = one_hot(labels, 3), w1 = weights({3, 2, 2, 2}, 0.5),
               c1 = weights({3}, 0.3), w2 = weights({2, 3, 2, 2}, 0.5), c2 = weights({2}, 0.3),
               V = weights({2, 3}, 1.2), b = weights({3});
  const auto loss = [=] {
    const Matrix pooled = max_pool2d(relu(conv2d(x, w1, c1)), 2);  // (5, 3, 3, 3)
    const Matrix a2 = tanh(conv2d(pooled, w2, c2));                // (5, 2, 2, 2)
    return nn::cross_entropy(affine(reshape(avg_pool2d(a2, 2), {5, 2}), V, b), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = conv2d(x, w1, c1), a1 = relu(z1), pooled = max_pool2d(a1, 2),
                 a2 = tanh(conv2d(pooled, w2, c2)), features = reshape(mean(a2, {2, 3}), {5, 2}),
                 d = (softmax(affine(features, V, b)) - y) / (wrong == "not divided by N" ? 1 : 5);
    Matrix spread = broadcast_to(reshape(matmul(d, transpose(V)), {5, 2, 1, 1}), {5, 2, 2, 2});
    if (wrong != "average pooling not divided") spread = spread / 4;
    const Matrix s2 = wrong == "sigmoid's slope for tanh" ? a2 * (1 - a2) : 1 - square(a2);
    const Matrix g2 = reshape(spread * s2, {5, 2, 4});
    const Matrix dw2 = reshape(sum(matmul(g2, transpose(unfold(pooled, 2), {0, 2, 1})), 0), {2, 3, 2, 2});
    const Matrix kernels = wrong == "kernel not flipped" ? flip(w2, {2, 3}) : w2;
    Matrix dp = fold(matmul(transpose(reshape(kernels, {2, 12})), g2), {3, 3}, 2);  // (5, 3, 3, 3)
    if (wrong == "channels in reverse order") dp = flip(dp, 1);
    // The windows of a1, each channel as an image of its own: (15, 4, 9).
    const Matrix windows = unfold(reshape(a1, {15, 1, 6, 6}), 2, 2);
    const Matrix is_largest = equal(windows, max(windows, 1, true));
    Matrix chosen = is_largest / sum(is_largest, 1, true);
    if (wrong == "largest of the image") chosen = equal(windows, max(windows, {1, 2}, true));
    if (wrong == "first window only")
      chosen = chosen * concatenate({ones<double>({1, 1, 1}), zeros<double>({1, 1, 8})}, 2);
    const Matrix da = reshape(fold(chosen * reshape(dp, {15, 1, 9}), {6, 6}, 2, 2), {5, 3, 6, 6});
    const Matrix g1 = reshape(da * (wrong == "no relu mask" ? ones_like(z1) : z1 > 0), {5, 3, 36});
    return Graph::Gradients{
        {"w1", reshape(sum(matmul(g1, transpose(unfold(x, 2), {0, 2, 1})), 0), {3, 2, 2, 2})},
        {"c1", sum(g1, {0, 2})},
        {"w2", dw2},
        {"c2", wrong == "mean over images and positions" ? mean(g2, {0, 2}) : sum(g2, {0, 2})},
        {"V", matmul(transpose(features), d)},
        {"b", sum(d, 0)}};
  };
  Graph g(list, "pooled convolution", {{"w1", w1}, {"c1", c1}, {"w2", w2}, {"c2", c2}, {"V", V}, {"b", b}},
          loss, hand);
  const Words pool{"pool", "max", "window"};
  // github.com/riccardoandreoni0/CNN-from-scratch/issues/1: the return statement is one tab too far.
  g.add("pooling", "first window only", "w1",
        {pool,
         {"first window", "one window", "window 0", "window 1", "first patch", "upper left window", "1 of 9",
          "other windows", "a single window"}},
        "only the first window of the max pooling gets a gradient, as by a return within the loop");
  g.add("pooling", "largest of the image", "c1",
        {pool, {"whole", "all windows", "global", "entire", "image", "channel", "map"}},
        "max pooling as if the whole map were one window: only its largest element gets a gradient",
        {"relu"});
  // github.com/NervanaSystems/neon/issues/111: array_grad_I[:, m, ...] in place of [:, d, ...]
  g.add("other value in place", "channels in reverse order", "w1",
        {{"channel", "axis 1", "feature map", "kernel"},
         {"other", "swap", "exchang", "order", "index", "mixed", "revers", "permut", "wrong", "shift", "roll",
          "another"}},
        "the gradients of the channels are in reverse order", {"window", "pool"});
  g.add("kernel not flipped", "kernel not flipped", "c1", {{"flip", "rotat", "180", "turned", "mirror"}},
        "w2 is turned by 180° once too often on the way back");
  g.add("mask forgotten", "no relu mask", "w1", {{"mask", "relu", "z1 > 0", "z > 0"}, forgotten},
        "relu'(z1) is left out");
  g.add("pooling", "average pooling not divided", "w2",
        {{"pool", "average", "mean"}, join(factor("4"), {"pool", "window", "¼"})},
        "the 1/4 of the average pooling is forgotten", {"max"});
  g.add("wrong slope", "sigmoid's slope for tanh", "w2",
        {join(slope, {"tanh", "a (1 − a)"}), {"sigmoid", "a (1 − a)", "(1 − a)", "a(1"}},
        "tanh' as a (1 − a), which is the sigmoid's");
  g.add("reduction of a bias", "mean over images and positions", "c2",
        {join(mean_over("20"), {"position", "pixel"})},
        "the mean over 5 images and 4 positions in place of their sum");
  g.add("factor", "not divided by N", "V", {by_batch("5")}, "the division by N = 5 is forgotten");
}

}  // namespace xtape::test
