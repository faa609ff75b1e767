// Set A of mistakes: normalisations of a batch and of a layer.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Batch normalisation by plain operations, then ReLU: widths 3, 4, 2, seven samples.
void batch_norm_net(Mistakes& list) {
  random::seed(112);
  const Matrix x = normal({7, 3}), y = normal({7, 2}), W = weights({3, 4}),
               gamma = parameter(normal({4}, 0.5) + 1.3), beta = weights({4}), V = weights({4, 2});
  const auto loss = [=] {
    const Matrix z = matmul(x, W), centred = z - mean(z, 0), variances = mean(square(centred), 0);
    const Matrix u = gamma * centred / sqrt(variances + 1e-5) + beta;
    return nn::mse_loss(matmul(relu(u), V), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), centred = z - mean(z, 0), variances = mean(square(centred), 0),
                 deviation = sqrt(variances + 1e-5), normed = centred / deviation, u = gamma * normed + beta,
                 a = relu(u), d = 2 * (matmul(a, V) - y) / 7;
    const Matrix du = matmul(d, transpose(V)) * (wrong == "no relu mask" ? ones_like(u) : u > 0);
    const Matrix dn = wrong == "gamma forgotten" ? du : gamma * du;
    // dz = (dn − mean(dn) − n mean(dn n)) / σ
    Matrix through_mean = mean(dn, 0), through_variance = normed * mean(dn * normed, 0);
    if (wrong == "constants" || wrong == "mean constant") through_mean = zeros_like(through_mean);
    if (wrong == "constants" || wrong == "variance constant") through_variance = zeros_like(through_variance);
    if (wrong == "half forgotten") through_variance = 2 * through_variance;
    if (wrong == "N - 1") through_variance = through_variance * 7.0 / 6;
    Matrix dz = (dn - through_mean - through_variance) / deviation;
    if (wrong == "deviation forgotten") dz = dz * deviation;
    return Graph::Gradients{{"W", matmul(transpose(x), dz)},
                            {"gamma", sum(du * (wrong == "z for the normalised" ? z : normed), 0)},
                            {"beta", wrong == "mean for beta" ? mean(du, 0) : sum(du, 0)},
                            {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "batch norm", {{"W", W}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  g.add_any("moments as constants", "constants", "W",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"½", "1 / n"});
  g.add("moments as constants", "variance constant", "W", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "½", "n − 1", "1 / σ is"});
  // What goes through the variance's mean sums to 0, so only the mean of z itself counts.
  g.add("moments as constants", "mean constant", "W", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both", "1 / n"});
  g.add("N - 1 for N", "N - 1", "W",
        {{"n − 1", "n - 1", "n−1", "6", "ddof", "1.1666", "1.167", "7/6", "bessel", "unbiased"}},
        "the variance's path is divided by N − 1");
  g.add("factor", "half forgotten", "W", {join(two, {"square"}), join(of_variance, {"−½", "square"})},
        "the ½ of the square root's derivative is forgotten in the path of the variance");
  g.add("edge forgotten", "gamma forgotten", "W",
        {{"gamma", "γ", "scale", "multipl", "factor", "product"}, forgotten},
        "gamma is forgotten: d(normalised) = du in place of gamma du");
  g.add("derivative forgotten", "deviation forgotten", "W", {join(of_variance, {"divi", "scale"}), forgotten},
        "1 / σ is forgotten on the way to z", {"½", "square root's"});
  g.add("other value in place", "z for the normalised", "gamma",
        {{"z", "normal", "centr", "before", "matmul"}, join(instead, forgotten)},
        "sum of du z in place of du times the normalised z");
  g.add("reduction of a bias", "mean for beta", "beta", {join(averaged, batch("7"))},
        "the mean over the samples in place of the sum");
  g.add("mask forgotten", "no relu mask", "gamma", {join(slope, masked), forgotten},
        "ReLU's mask is forgotten");
}

/// A residual block with layer normalisation and cross entropy: widths 6, 4, 4, 3, five samples.
void residual_net(Mistakes& list) {
  random::seed(117);
  const Matrix x = normal({5, 6}), W0 = weights({6, 4}, 0.5), W1 = weights({4, 4}), b1 = weights({4}),
               gamma = parameter(normal({4}, 0.5) + 1.2), beta = weights({4}), V = weights({4, 3});
  const std::vector<std::size_t> labels{1, 2, 0, 0, 1};
  const Matrix y = one_hot(labels, 3);
  const auto loss = [=] {
    const Matrix u = matmul(x, W0), r = u + tanh(affine(u, W1, b1));
    return nn::cross_entropy(matmul(layer_norm(r, gamma, beta), V), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix u = matmul(x, W0), a = tanh(affine(u, W1, b1)), r = u + a;
    const Matrix centred = r - mean(r, 1, true), deviation = sqrt(mean(square(centred), 1, true) + 1e-5),
                 normed = centred / deviation, out = gamma * normed + beta,
                 d = (softmax(matmul(out, V)) - y) / 5;
    const Matrix dout = matmul(d, transpose(V)), dn = wrong == "gamma forgotten" ? dout : gamma * dout;
    const std::ptrdiff_t axis = wrong == "moments over the batch" ? 0 : 1;
    Matrix m = mean(dn, axis, true), v = normed * mean(dn * normed, axis, true);
    if (wrong == "moments constant" || wrong == "mean constant") m = 0 * m;
    if (wrong == "moments constant" || wrong == "variance constant") v = 0 * v;
    const Matrix dr = (dn - m - v) / deviation;
    Matrix s = 1 - a * a;
    if (wrong == "no slope") s = ones_like(s);
    if (wrong == "slope twice") s = s * s;
    const Matrix da = dr * s, back = matmul(da, wrong == "W1 not transposed" ? W1 : transpose(W1));
    Matrix du = dr + back;
    if (wrong == "skip forgotten") du = back;
    if (wrong == "block forgotten") du = dr;
    if (wrong == "slope on both branches") du = dr * s + back;
    return Graph::Gradients{{"W0", matmul(transpose(x), du)},
                            {"W1", matmul(transpose(u), da)},
                            {"b1", sum(da, 0)},
                            {"gamma", sum(dout * (wrong == "not normalised" ? r : normed), 0)},
                            {"beta", sum(dout, 0)},
                            {"V", matmul(transpose(out), d)}};
  };
  Graph g(list, "residual block",
          {{"W0", W0}, {"W1", W1}, {"b1", b1}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  const Words norm{"norm", "mean", "var", "σ", "moment", "statistic"};
  g.add_any("residual branch forgotten", "skip forgotten", "W0",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"skip", "identity", "direct", "shortcut", "sum", "add", "plus", " + "})},
             {{"only"}, {"block", "matmul", "tanh", "w1", "affine"}}},
            "the skip connection is forgotten: only the path through the block", {"only the skip", "tanh'"});
  g.add_any("residual branch forgotten", "block forgotten", "W0",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"block", "matmul", "tanh", "w1", "affine"})},
             {{"only"}, {"skip", "identity", "direct", "shortcut", "sum", "add", "plus", " + "}}},
            "the path through the block is forgotten: only the skip connection",
            {"only the path through", "tanh'"});
  g.add("derivative forgotten", "no slope", "W1",
        {slope, forgotten, {"tanh", "1 − a²", "1 - a²", "activation", "layer"}}, "tanh' is forgotten");
  g.add("derivative twice", "slope twice", "W0",
        {slope, twice, {"tanh", "1 − a²", "1 - a²", "activation", "layer"}}, "tanh' is applied twice");
  g.add_any("moments as constants", "moments constant", "W1",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance of the layer norm are taken as constants", {"½", "1 / n"});
  g.add("moments as constants", "variance constant", "W0", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "½"});
  g.add("moments as constants", "mean constant", "W1", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both"});
  g.add("axis", "moments over the batch", "W1", {norm, {"axis", "batch", "samples", "column"}},
        "layer norm's derivative with means over the samples in place of the features");
  g.add("not transposed", "W1 not transposed", "W0", {transposed, {"w1"}}, "da W1 in place of da W1ᵀ");
  g.add("edge forgotten", "gamma forgotten", "W0", {{"gamma", "γ", "scale"}, forgotten},
        "gamma is forgotten on the way back");
  g.add("other value in place", "not normalised", "gamma", {join(norm, {"before"}), join(instead, forgotten)},
        "the values before the normalisation in place of the normalised ones");
  g.add("derivative twice", "slope on both branches", "W0",
        {slope, {"skip", "residual", "branch", "both", "path", "direct"}},
        "tanh' is applied to the skip connection, too");
}

}  // namespace xtape::test
