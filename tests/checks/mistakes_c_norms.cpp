// Set C of mistakes: a residual block with batch normalisation.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// u + relu(batch norm(u W1)): widths 3, 5, 5, 2, nine samples.
void batch_norm_residual(Mistakes& list) {
  random::seed(508);
  const Matrix x = normal({9, 3}), y = normal({9, 2}), W0 = weights({3, 5}), W1 = weights({5, 5}),
               gamma = parameter(normal({5}, 0.4) + 1.2), beta = weights({5}), V = weights({5, 2});
  const double epsilon = 1e-3;
  const auto loss = [=] {
    const Matrix u = matmul(x, W0), z = matmul(u, W1), centred = z - mean(z, 0);
    const Matrix normed = centred / sqrt(mean(square(centred), 0) + epsilon);
    return nn::mse_loss(matmul(u + relu(gamma * normed + beta), V), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix u = matmul(x, W0), z = matmul(u, W1), centred = z - mean(z, 0),
                 deviation = sqrt(mean(square(centred), 0) + epsilon), normed = centred / deviation,
                 a = gamma * normed + beta, r = relu(a), out = u + r, d = 2 * (matmul(out, V) - y) / 18;
    const Matrix dout = matmul(d, transpose(V));
    const bool is_constant = wrong == "moments constant" || wrong == "moments constant, no relu mask";
    Matrix mask = a > 0;
    if (wrong == "moments constant, no relu mask") mask = ones_like(mask);
    const Matrix da = dout * mask, dn = gamma * da;
    Matrix m = mean(dn, 0), v = normed * mean(dn * normed, 0);
    if (is_constant) m = 0 * m, v = 0 * v;
    if (wrong == "sums for means") m = 9 * m, v = 9 * v;
    Matrix dz = (dn - m - v) / deviation;
    if (wrong == "divided by the variance") dz = dz / deviation;
    if (wrong == "epsilon forgotten") {
      const Matrix bare = sqrt(mean(square(centred), 0)), n = centred / bare;
      dz = (dn - m - n * mean(dn * n, 0)) / bare;
    }
    Matrix dgamma = sum(da * normed, 0);
    if (wrong == "no relu mask") dgamma = sum(dout * normed, 0);
    if (wrong == "mean for gamma") dgamma = mean(da * normed, 0);
    const Matrix skip = wrong == "mask on the skip connection" ? da : dout;
    return Graph::Gradients{{"W0", matmul(transpose(x), skip + matmul(dz, transpose(W1)))},
                            {"W1", matmul(transpose(u), dz)},
                            {"gamma", dgamma},
                            {"beta", sum(da, 0)},
                            {"V", matmul(transpose(wrong == "without the skip connection" ? r : out), d)}};
  };
  Graph g(list, "batch norm residual", {{"W0", W0}, {"W1", W1}, {"gamma", gamma}, {"beta", beta}, {"V", V}},
          loss, hand);
  // github.com/deeplearning4j/deeplearning4j/pull/8379: "add deposits […] from derivatives with respect to
  // mean and variance".
  g.add_any("moments as constants", "moments constant", "W1",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"1 / n", "1/n", "ε"});
  // github.com/jax-ml/jax/issues/442: a square where the root belongs.
  g.add("derivative twice", "divided by the variance", "W1",
        {join(of_variance, {"divi", "scale"}),
         {"twice", "σ²", "again", "once too", "by the variance", "too often", "squared", "root"}},
        "divided by σ² in place of σ", {"constant", "ε", "sum"});
  g.add("factor", "sums for means", "W1",
        {join(of_mean, {"sum"}), join(factor("9"), {"sum", "1 / n", "1/n", "divided", "division"})},
        "the 1 / n of both means is forgotten: sums are subtracted", {"constant", "ε"});
  g.add("epsilon", "epsilon forgotten", "W1",
        {{"ε", "eps", "0.001", "1e-3", "1e-03", "small constant", "added constant", "+ 0.001"},
         join(forgotten, {"0 in place", "as 0", "no ε", "constant"})},
        "ε under the root is forgotten");
  g.add("pair", "moments constant, no relu mask", "W1",
        {join(of_moments, of_mean, of_variance), path_cut, join(slope, {"mask", "relu"}), forgotten},
        "the moments are taken as constants, and relu' is forgotten");
  g.add("mask forgotten", "no relu mask", "gamma", {{"mask", "relu"}, forgotten},
        "relu' is forgotten in dgamma");
  g.add("reduction of a bias", "mean for gamma", "gamma", {mean_over("9")},
        "the mean over the samples in place of their sum");
  g.add("derivative twice", "mask on the skip connection", "W0",
        {join(slope, {"mask", "relu"}), {"skip", "residual", "branch", "both", "path", "direct", "identity"}},
        "relu' is applied to the skip connection, too", {"forgotten", "left out"});
  g.add("residual branch forgotten", "without the skip connection", "V",
        {join(forgotten, cut, {"instead", "in place"}),
         {"skip", "identity", "direct", "shortcut", "sum", "add", "plus", " + ", "residual"}},
        "dV from relu(…) alone: the skip connection u is left out", {"mean"});
}

}  // namespace xtape::test
