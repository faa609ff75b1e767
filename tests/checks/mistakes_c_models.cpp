// Set C of mistakes: models that are no plain nets.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// A denoising autoencoder with tied weights: 5 numbers to 3 and back, seven samples of which some numbers
/// are put to 0; tanh, then the cross entropy of each number.
void denoising_autoencoder(Mistakes& list) {
  random::seed(509);
  const Matrix x = random::uniform<double>({7, 5}), W = weights({5, 3}), b = weights({3}), c = weights({5});
  const Matrix noise = (random::uniform<double>({7, 5}) < 0.7) * 1.0;
  const auto loss = [=] {
    const Matrix h = tanh(affine(x * noise, W, b));
    return nn::binary_cross_entropy_with_logits(matmul(h, transpose(W)) + c, x);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix noisy = x * noise, h = tanh(affine(noisy, W, b)), p = sigmoid(matmul(h, transpose(W)) + c);
    Matrix d = p - (wrong == "noisy target" ? noisy : x);
    if (wrong == "sigmoid' on top") d = d * p * (1 - p);
    d = d / (wrong == "mean over the samples only" ? 7 : 35);
    const bool is_flat = wrong == "no tanh'" || wrong == "encoder only, no tanh'";
    const Matrix dh = matmul(d, W) * (is_flat ? ones_like(h) : 1 - h * h);
    const Matrix encoder = matmul(transpose(wrong == "clean input" ? x : noisy), dh);
    const Matrix decoder = matmul(transpose(d), h);
    const bool is_encoder = wrong == "encoder only" || wrong == "encoder only, no tanh'";
    return Graph::Gradients{
        {"W", is_encoder ? encoder : encoder + decoder}, {"b", sum(dh, 0)}, {"c", sum(d, 0)}};
  };
  Graph g(list, "denoising autoencoder", {{"W", W}, {"b", b}, {"c", c}}, loss, hand);
  const Words decoding{"decoder", "transpose", "second", "last", "ᵀ", "2nd", "#2"};
  g.add_any("one use of a shared weight", "encoder only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}), join(one_use, decoding)},
             {{"only"}, {"encoder", "first", "x w", "input", "affine"}}},
            "the decoder's use of W is forgotten", {"tanh'", "noise"});
  g.add("other value in place", "clean input", "W",
        {{"x", "input", "mask", "noise", "corrupt", "multipl", "dropout"},
         {"before", "without the", "clean", "not multiplied", "noise", "mask", "0 and 1", "constant"},
         join(instead, forgotten)},
        "the encoder's part from the clean x, without the noise", {"decoder", "tanh'"});
  g.add("pair", "encoder only, no tanh'", "W",
        {slope,
         {"tanh", "1 − a²", "1 - a²", "1 − h²", "activation"},
         forgotten,
         join(one_use, decoding, {"only the encoder"})},
        "the decoder's use is forgotten, and so is tanh'");
  g.add("derivative forgotten", "no tanh'", "b",
        {slope, {"tanh", "1 − a²", "1 - a²", "1 − h²", "activation", "layer"}, forgotten},
        "tanh' of the encoder is left out");
  g.add("factor", "mean over the samples only", "b",
        {join(factor("5"), {"number of elements", "all elements of", "all 35", "features", "width"})},
        "divided by the 7 samples, not by all 35 elements", {"tanh'"});
  g.add("other value in place", "noisy target", "c",
        {{"target", "label", "x", "noise", "mask", "input"},
         {"noisy", "noise", "corrupt", "mask", "multipl", "input", "product", "0 and 1"},
         join(instead, {"target", "label"})},
        "compared with the noisy input in place of x", {"sigmoid'"});
  // The delta of squared errors, which many formulas for nets of sigmoids have.
  g.add("derivative twice", "sigmoid' on top", "c",
        {join(slope, {"p (1 − p)", "a (1 − a)"}),
         join(twice, {"top", "already", "cancel", "additional", "multiplied", "extra", "one too"})},
        "p − x is multiplied by sigmoid', which it has already");
}

/// Mean and log variance of two numbers from a tanh layer, the variance at least 0.02: widths 3, 5, 2 and 2,
/// eight samples.
void gaussian_head(Mistakes& list) {
  random::seed(510);
  const Matrix x = normal({8, 3}), y = normal({8, 2}), W1 = weights({3, 5}), b1 = weights({5}),
               Wm = weights({5, 2}), bm = weights({2}), Ws = weights({5, 2}, 0.5), bs = weights({2}, 0.5);
  const double least = 0.02;
  const auto loss = [=] {
    const Matrix h = tanh(affine(x, W1, b1)), variance = exp(affine(h, Ws, bs)) + least;
    return mean(0.5 * square(y - affine(h, Wm, bm)) / variance + 0.5 * log(variance));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = tanh(affine(x, W1, b1)), s = affine(h, Ws, bs), r = affine(h, Wm, bm) - y;
    const Matrix variance = exp(s) + (wrong == "least variance forgotten" ? 0.0 : least);
    Matrix dm = r / variance / 16;
    if (wrong == "variance forgotten") dm = r / 16;
    if (wrong == "times the variance") dm = r * variance / 16;
    if (wrong == "y - m") dm = -dm;
    Matrix by_square = -0.5 * square(r / variance), by_log = 0.5 / variance;
    if (wrong == "log without ½") by_log = 2 * by_log;
    if (wrong == "square's sign") by_square = -by_square;
    if (wrong == "log's term forgotten") by_log = 0 * by_log;
    Matrix ds = (by_square + by_log) * exp(s) / 16;
    if (wrong == "by the variance") ds = (by_square + by_log) / 16;
    Matrix dh = matmul(dm, transpose(Wm)) + matmul(ds, transpose(Ws));
    if (wrong == "mean's path only") dh = matmul(dm, transpose(Wm));
    const Matrix d1 = dh * (1 - h * h);
    return Graph::Gradients{{"W1", matmul(transpose(x), d1)}, {"b1", sum(d1, 0)},
                            {"Wm", matmul(transpose(h), dm)}, {"bm", sum(dm, 0)},
                            {"Ws", matmul(transpose(h), ds)}, {"bs", sum(ds, 0)}};
  };
  Graph g(list, "gaussian head", {{"W1", W1}, {"b1", b1}, {"Wm", Wm}, {"bm", bm}, {"Ws", Ws}, {"bs", bs}},
          loss, hand);
  const Words variance{"varianc", "exp", "σ²", "divi", "quotient", "denominator", "e^", "σ", "/ "};
  const Words part{"square", "term", "branch", "path",     "edge",  "use",
                   "log",    "ln",   "divi",   "quotient", "one of"};
  g.add("edge forgotten", "variance forgotten", "Wm", {variance, join(forgotten, cut)},
        "the division by the variance is forgotten", {"least", "0.02", "16"});
  g.add("sign", "y - m", "Wm", {sign}, "y − m in place of m − y: the minus of d(y − m) is forgotten",
        {"variance"});
  g.add("epsilon", "least variance forgotten", "Wm",
        {{"0.02", "least", "ε", "eps", "small constant", "added constant", "+ 0.02"},
         join(forgotten, {"0 in place", "as 0", "constant"})},
        "the least variance 0.02 is forgotten");
  g.add("other value in place", "times the variance", "bm",
        {variance,
         {"multiplied by", "inverse", "reciprocal", "times", "in place of divided", "product", "· exp"}},
        "multiplied by the variance, not divided");
  g.add("factor of a branch", "log without ½", "bs", {two, part}, "the ½ of the log's term is forgotten",
        {"altogether"});
  g.add_any("edge dropped", "log's term forgotten", "bs",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"log", "ln", "second", "last", "1 /", "+ "})},
             {{"only"}, {"square", "divi", "quotient", "first"}}},
            "the log's term is left out altogether", {"½", "exp'"});
  g.add("sign of a branch", "square's sign", "Ws", {sign, part}, "the path of the squares has the wrong sign",
        {"exp"});
  g.add("derivative forgotten", "by the variance", "Ws",
        {join(slope, {"exp"}), join(forgotten, {"by the variance", "chain"}), {"exp", "e^", "variance"}},
        "exp' is forgotten: the derivative by the variance, not by its logarithm");
  g.add_any("edge dropped", "mean's path only", "W1",
            {{{"branch", "path", "edge", "use", "cut", "constant", "only", "no gradient", "flow", "depend",
               "propagat"},
              {"varianc", "exp", "ws", "second", "log", "σ", "divi"}},
             {{"only"}, {"mean", "wm", "μ"}}},
            "the path through the variance is left out: only the mean's goes back to h", {"exp'", "½"});
}

/// A policy of three actions by a tanh layer, nine steps with their advantages, and an entropy bonus.
void policy_gradient(Mistakes& list) {
  random::seed(511);
  const Matrix x = normal({9, 4}), W1 = weights({4, 6}), b1 = weights({6}), W2 = weights({6, 3});
  const Matrix advantages = normal({9, 1}, 1.5);
  const Matrix actions = one_hot({0, 2, 1, 1, 0, 2, 2, 0, 1}, 3);
  const double bonus = 0.15;
  const auto loss = [=] {
    const Matrix l = log_softmax(matmul(tanh(affine(x, W1, b1)), W2));
    return -mean(advantages * sum(actions * l, 1, true)) + bonus * mean(sum(exp(l) * l, 1));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = tanh(affine(x, W1, b1)), logits = matmul(h, W2), p = softmax(logits),
                 l = log_softmax(logits);
    Matrix weight = advantages;
    if (wrong == "advantage forgotten") weight = ones_like(weight);
    if (wrong == "next step's advantage")
      weight = concatenate({slice(weight, xt::range(1, 9)), slice(weight, xt::range(0, 1))}, 0);
    Matrix by_entropy = bonus * p * (l - sum(p * l, 1, true));
    if (wrong == "entropy forgotten") by_entropy = 0 * by_entropy;
    if (wrong == "entropy's sign") by_entropy = -by_entropy;
    if (wrong == "entropy without its mean") by_entropy = bonus * p * (l + 1);
    Matrix d = (weight * (p - actions) + by_entropy) / 9;
    if (wrong == "ascent") d = -d;
    const Matrix d1 = matmul(d, transpose(W2)) * (wrong == "1 - a" ? 1 - h : 1 - h * h);
    Matrix dW1 = matmul(transpose(x), d1);
    if (wrong == "clipped") dW1 = clamp(dW1, -0.05, 0.05);
    return Graph::Gradients{{"W1", dW1}, {"b1", sum(d1, 0)}, {"W2", matmul(transpose(h), d)}};
  };
  Graph g(list, "policy gradient", {{"W1", W1}, {"b1", b1}, {"W2", W2}}, loss, hand);
  const Words entropy{"entropy", "branch", "path", "edge",  "term",  "use",   "log",
                      "exp",     "second", "p ln", "p log", "bonus", "one of"};
  const Words weighting{"advantage", "constant", "factor", "multipl", "product", "weight"};
  g.add("edge forgotten", "advantage forgotten", "W1", {weighting, join(forgotten, cut)},
        "the advantages are left out, as in supervised learning", {"tanh'"});
  // The gradient of what policy gradients maximise, where the loss is its negative.
  g.add("sign", "ascent", "W1", {sign},
        "the sign of the ascent: the loss is the negative of what is maximised", {"branch", "entropy"});
  g.add("clipped", "clipped", "W1",
        {{"clip", "clamp", "bounded", "limited", "cut off at", "saturat", "0.05"}}, "clipped to ±0.05");
  g.add("wrong slope", "1 - a", "b1",
        {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "1−a", "1-a", "square"}},
        "1 − a in place of 1 − a²");
  g.add("samples misaligned", "next step's advantage", "W2",
        {join(weighting, {"sample", "row"}),
         {"shift", "next", "previous", "other", "order", "roll", "another", "misalign", "permut", "shuffl"}},
        "each step has the advantage of the next one");
  g.add("edge dropped", "entropy forgotten", "W2", {cut, entropy}, "the entropy bonus is left out",
        {"sign", "jacobian", "advantage", "softmax'"});
  g.add("sign of a branch", "entropy's sign", "W2", {sign, entropy}, "the entropy has the wrong sign",
        {"jacobian"});
  g.add("softmax's Jacobian", "entropy without its mean", "W2",
        {{"softmax", "jacobian", "normalis", "logsumexp"},
         {"σ", "sum", "term", "p ·", "without", "part", "p ∘", "denominator", "constant", "− p", "branch",
          "only", "diagonal"}},
        "p (ln p + 1) of the entropy, without the − p Σ of the softmax's Jacobian");
}

}  // namespace xtape::test
