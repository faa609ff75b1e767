// Set A of mistakes: convolution and pooling.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Convolution, ReLU, max pooling, convolution, tanh, linear: two images of 8 × 8, three samples.
void convolution_net(Mistakes& list) {
  random::seed(113);
  const Matrix x = normal({3, 1, 8, 8}), y = normal({3, 2}), w1 = weights({2, 1, 3, 3}, 0.5),
               c1 = weights({2}, 0.3), w2 = weights({3, 2, 2, 2}, 0.5), c2 = weights({3}, 0.3),
               W = weights({12, 2});
  const auto loss = [=] {
    const Matrix pooled = max_pool2d(relu(conv2d(x, w1, c1)), 2);
    return nn::mse_loss(matmul(reshape(tanh(conv2d(pooled, w2, c2)), {3, 12}), W), y,
                        nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = conv2d(x, w1, c1), a1 = relu(z1), pooled = max_pool2d(a1, 2),
                 a2 = tanh(conv2d(pooled, w2, c2)), features = reshape(a2, {3, 12}),
                 d = 2 * (matmul(features, W) - y) / (wrong == "not divided by N" ? 1 : 3);
    const Matrix s2 = wrong == "1 - a" ? 1 - a2 : 1 - square(a2);
    Matrix d2 = reshape(matmul(d, transpose(W)), {3, 3, 2, 2}) * s2;
    const Matrix g2 = reshape(d2, {3, 3, 4});
    Matrix dw2 = reshape(sum(matmul(g2, transpose(unfold(pooled, 2), {0, 2, 1})), 0), {3, 2, 2, 2});
    if (wrong == "dw2 flipped") dw2 = flip(dw2, {2, 3});
    const Matrix kernels = wrong == "kernel not flipped" ? flip(w2, {2, 3}) : w2;
    const Matrix dp = fold(matmul(transpose(reshape(kernels, {3, 8})), g2), {3, 3}, 2);  // (3, 2, 3, 3)
    // Windows of a1, each channel as an image of its own: (6, 4, 9).
    const Matrix windows = unfold(reshape(a1, {6, 1, 6, 6}), 2, 2), largest = max(windows, 1, true);
    Matrix chosen = equal(windows, largest) * (1 / sum(equal(windows, largest), 1, true));
    if (wrong == "pooling to all") chosen = ones_like(windows);
    if (wrong == "pooling's mean") chosen = full_like(windows, 0.25);
    if (wrong == "pooling to the first")
      chosen = concatenate<double>({ones<double>({6, 1, 9}), zeros<double>({6, 3, 9})}, 1);
    const Matrix da = reshape(fold(chosen * reshape(dp, {6, 1, 9}), {6, 6}, 2, 2), {3, 2, 6, 6});
    const Matrix d1 = da * (wrong == "no relu mask" ? ones_like(z1) : z1 > 0);
    const Matrix g1 = reshape(d1, {3, 2, 36});
    Matrix per_sample = matmul(g1, transpose(unfold(x, 3), {0, 2, 1}));
    if (wrong == "last sample only") per_sample = per_sample * reshape(rows_mask(3, 2, 1), {3, 1, 1});
    return Graph::Gradients{{"w1", reshape(sum(per_sample, 0), {2, 1, 3, 3})},
                            {"c1", sum(g1, {0, 2})},
                            {"w2", dw2},
                            {"c2", wrong == "mean over positions" ? sum(mean(g2, 2), 0) : sum(g2, {0, 2})},
                            {"W", matmul(transpose(features), d)}};
  };
  Graph g(list, "convolution net", {{"w1", w1}, {"c1", c1}, {"w2", w2}, {"c2", c2}, {"W", W}}, loss, hand);
  const Words flipped{"flip", "rotat", "180", "turned", "revers", "mirror"}, pool{"pool", "max", "window"};
  g.add("kernel not flipped", "kernel not flipped", "w1", {flipped},
        "the error is correlated with w2 as it stands, not rotated by 180°");
  g.add("kernel not flipped", "dw2 flipped", "w2", {flipped}, "dw2 comes out rotated by 180°");
  g.add("pooling", "pooling to all", "w1",
        {pool, {"all", "every", "each", "mask", "where", "forgot", "missing", "left out"}},
        "max pooling's gradient goes to all four elements of a window", {"first"});
  g.add("pooling", "pooling's mean", "w1",
        {pool, {"average", "mean", "avg", "spread", "¼", "0.25", "1/4", "equal"}},
        "max pooling's gradient is spread as by average pooling");
  g.add("pooling", "pooling to the first", "w1",
        {pool, {"first", "top left", "upper left", "corner", "element 0"}},
        "max pooling's gradient goes to the first element of each window");
  g.add("mask forgotten", "no relu mask", "w1", {join(slope, masked), forgotten}, "ReLU's mask is forgotten");
  g.add("reduction of a bias", "mean over positions", "c2",
        {join(averaged, factor("4"), {"position", "pixel"})},
        "the mean over the 4 positions in place of their sum");
  g.add("wrong slope", "1 - a", "w2", {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "square", "1−a"}},
        "1 − a in place of 1 − a²");
  g.add("factor", "not divided by N", "W", {batch("3")}, "the division by N = 3 is forgotten");
  g.add("samples left out", "last sample only", "w1",
        {{"last", "sample 3", "sample 2", "row 2", "one sample", "single", "1 of", "one image"}},
        "only the last image is counted");
}

}  // namespace xtape::test
