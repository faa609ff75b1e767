// Set B of mistakes: normalisations of a layer and of a batch.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

namespace {
const Words moments{"root",   "√",         "sqrt", "norm",      "mean", "var",   "σ",
                    "moment", "statistic", "std",  "deviation", "rms",  "square"};
}  // namespace

/// Layer normalisation by plain operations, then tanh: widths 3, 6, 2, five samples.
void layer_norm_net(Mistakes& list) {
  random::seed(213);
  const Matrix x = normal({5, 3}), y = normal({5, 2}), W = weights({3, 6}),
               gamma = parameter(normal({6}, 0.5) + 1.2), beta = weights({6}), V = weights({6, 2});
  const auto loss = [=] {
    const Matrix z = matmul(x, W), centred = z - mean(z, 1, true);
    const Matrix normed = centred / sqrt(mean(square(centred), 1, true) + 1e-5);
    return nn::mse_loss(matmul(tanh(gamma * normed + beta), V), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), centred = z - mean(z, 1, true),
                 deviation = sqrt(mean(square(centred), 1, true) + 1e-5), normed = centred / deviation,
                 a = tanh(gamma * normed + beta), d = 2 * (matmul(a, V) - y) / 10;
    const Matrix du = matmul(d, transpose(V)) * (1 - a * a),
                 dn = wrong == "gamma forgotten" ? du : gamma * du;
    const std::ptrdiff_t axis = wrong == "moments over the batch" ? 0 : 1;
    Matrix m = mean(dn, axis, true), v = normed * mean(dn * normed, axis, true);
    if (wrong == "constants" || wrong == "mean constant") m = 0 * m;
    if (wrong == "constants" || wrong == "variance constant") v = 0 * v;
    if (wrong == "N - 1") v = v * 6 / 5;
    if (wrong == "sign of the variance") v = -v;
    if (wrong == "sum for the mean") m = 6 * m;
    Matrix dz = (dn - m - v) / deviation;
    if (wrong == "divided by the variance") dz = dz / deviation;
    if (wrong == "deviation forgotten") dz = dz * deviation;
    Matrix dgamma = sum(du * normed, 0);
    if (wrong == "centred for normalised") dgamma = sum(du * centred, 0);
    return Graph::Gradients{{"W", matmul(transpose(x), dz)},
                            {"gamma", dgamma},
                            {"beta", wrong == "mean for beta" ? mean(du, 0) : sum(du, 0)},
                            {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "layer norm", {{"W", W}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  g.add_any("moments as constants", "constants", "W",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"½", "1 / n"});
  g.add("moments as constants", "mean constant", "W", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both", "1 / n"});
  g.add("moments as constants", "variance constant", "W", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "½", "n − 1", "1 / σ is", "wrong sign"});
  g.add("axis", "moments over the batch", "W", {moments, {"axis", "batch", "samples", "column"}},
        "means over the samples in place of the features");
  g.add("N - 1 for N", "N - 1", "W",
        {{"n − 1", "n - 1", "n−1", "5", "ddof", "1.2", "6/5", "bessel", "unbiased"}},
        "the variance's path is divided by N − 1");
  g.add("sign of a branch", "sign of the variance", "W", {sign, of_variance},
        "the variance's path has the wrong sign");
  g.add("factor", "sum for the mean", "W",
        {join(of_mean, {"sum"}), join(factor("6"), {"sum", "1 / n", "1/n", "divided", "feature"})},
        "the 1 / n of the mean is forgotten in its path", {"sample", "batch"});
  g.add("derivative forgotten", "deviation forgotten", "W", {join(of_variance, {"divi", "scale"}), forgotten},
        "1 / σ is forgotten");
  g.add("derivative twice", "divided by the variance", "W",
        {join(of_variance, {"divi", "scale"}),
         {"twice", "σ²", "again", "once too", "by the variance", "too often", "squared"}},
        "divided by σ² in place of σ", {"constant", "n − 1", "wrong sign"});
  g.add("edge forgotten", "gamma forgotten", "W",
        {{"gamma", "γ", "scale", "multipl", "factor", "product"}, forgotten}, "gamma is forgotten");
  g.add("other value in place", "centred for normalised", "gamma",
        {join(moments, {"centr", "z", "divi", "numerator"}), join(instead, forgotten)},
        "dgamma from the centred values, not divided by σ");
  g.add("reduction of a bias", "mean for beta", "beta", {join(averaged, batch("5"))},
        "the mean in place of the sum");
}

/// RMS normalisation, then softplus: widths 4, 5, 3, six samples.
void rms_norm_net(Mistakes& list) {
  random::seed(214);
  const Matrix x = normal({6, 4}), y = normal({6, 3}), W = weights({4, 5}),
               gain = parameter(normal({5}, 0.4) + 1.1), V = weights({5, 3});
  const auto loss = [=] {
    const Matrix z = matmul(x, W), rms = sqrt(mean(square(z), 1, true) + 1e-6);
    return nn::half_squared_error(matmul(softplus(gain * z / rms), V), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), rms = sqrt(mean(square(z), 1, true) + 1e-6), normed = z / rms,
                 u = gain * normed, a = softplus(u), d = (matmul(a, V) - y) / 6,
                 du = matmul(d, transpose(V)) * (wrong == "no slope" ? ones_like(u) : sigmoid(u)),
                 dn = gain * du;
    Matrix through = normed * mean(dn * normed, 1, true);
    if (wrong == "rms constant") through = 0 * through;
    if (wrong == "2 of the square forgotten") through = through / 2;
    if (wrong == "half of the root forgotten") through = 2 * through;
    if (wrong == "sum for the mean") through = 5 * through;
    if (wrong == "over the batch") through = normed * mean(dn * normed, 0, true);
    if (wrong == "mean over everything") through = normed * mean(dn * normed);
    const Matrix dz = (dn - through) / rms;
    return Graph::Gradients{{"W", matmul(transpose(x), dz)},
                            {"gain", sum(du * (wrong == "not normalised" ? z : normed), 0)},
                            {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "rms norm", {{"W", W}, {"gain", gain}, {"V", V}}, loss, hand);
  g.add("moments as constants", "rms constant", "W", {moments, path_cut},
        "the root mean square is taken as a constant", {"2 of", "½ of", "1 / n"});
  g.add_any("factor", "2 of the square forgotten", "W", {{two, moments}},
            "the 2 of the square's derivative is forgotten in the path of the root mean square",
            {"root's derivative"});
  g.add_any("factor", "half of the root forgotten", "W", {{two, moments}},
            "the ½ of the root's derivative is forgotten in the path of the root mean square",
            {"square's derivative"});
  g.add("factor", "sum for the mean", "W",
        {join(of_mean, {"sum"}), join(factor("5"), {"sum", "1 / n", "1/n", "divided", "feature"})},
        "the 1 / n of the mean is forgotten", {"sample", "batch"});
  g.add("axis", "over the batch", "W", {moments, {"axis", "batch", "samples", "column"}},
        "the mean along the samples");
  g.add("axis", "mean over everything", "W",
        {moments, {"axis", "all", "everything", "whole", "without an axis", "no axis", "batch"}},
        "the mean over all elements in place of each row's");
  g.add("other value in place", "not normalised", "gain",
        {join(moments, {"z", "divi", "matmul"}), join(instead, forgotten)},
        "dgain from z before the normalisation, in place of the normalised z");
  g.add("derivative forgotten", "no slope", "gain", {slope, forgotten}, "softplus' is forgotten");
}

/// xtape's batch_norm, then sigmoid: widths 4, 3, 2, eight samples.
void fused_batch_norm(Mistakes& list) {
  random::seed(215);
  const Matrix x = normal({8, 4}), y = normal({8, 2}), W = weights({4, 3}),
               gamma = parameter(normal({3}, 0.4) + 1.3), beta = weights({3}), V = weights({3, 2});
  const auto loss = [=] {
    return nn::mse_loss(matmul(sigmoid(batch_norm(matmul(x, W), gamma, beta)), V), y,
                        nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), deviation = sqrt(var(z, 0) + 1e-5), normed = (z - mean(z, 0)) / deviation,
                 a = sigmoid(gamma * normed + beta), d = 2 * (matmul(a, V) - y) / 8,
                 du = matmul(d, transpose(V)) * a * (1 - a), dn = gamma * du;
    const std::ptrdiff_t axis = wrong == "over the features" ? 1 : 0;
    Matrix m = mean(dn, axis, true), v = normed * mean(dn * normed, axis, true);
    if (wrong == "constants" || wrong == "mean constant" || wrong == "constants, no 2") m = 0 * m;
    if (wrong == "constants" || wrong == "variance constant" || wrong == "constants, no 2") v = 0 * v;
    if (wrong == "N - 1") v = v * 8 / 7;
    Matrix dz = (dn - m - v) / deviation;
    if (wrong == "constants, no 2") dz = dz / 2;
    if (wrong == "running moments") dz = (dn - m - v) / (0.9 + 0.1 * deviation);
    return Graph::Gradients{
        {"W", matmul(transpose(x), dz)},
        {"gamma", sum(du * (wrong == "dgamma without the normalised" ? ones_like(normed) : normed), 0)},
        {"beta", sum(du, 0)},
        {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "fused batch norm", {{"W", W}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  g.add_any("moments as constants", "constants", "W",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"and the 2"});
  g.add("moments as constants", "mean constant", "W", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both"});
  g.add("moments as constants", "variance constant", "W", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "n − 1", "moments"});
  g.add("N - 1 for N", "N - 1", "W",
        {{"n − 1", "n - 1", "n−1", "7", "ddof", "1.14", "8/7", "bessel", "unbiased"}},
        "N − 1 in the variance's path");
  g.add("axis", "over the features", "W", {moments, {"axis", "feature", "row", "layer"}},
        "the moments' means over the features: layer norm's derivative");
  g.add("derivative forgotten", "dgamma without the normalised", "gamma",
        {join(moments, {"x", "beta", "β"}), join(forgotten, {"dbeta", "beta", "instead"})},
        "dgamma = Σ du, which is dbeta");
  g.add("pair", "constants, no 2", "W", {moments, cut, two},
        "the moments are taken as constants, and the 2 of the square is forgotten");
}

}  // namespace xtape::test
