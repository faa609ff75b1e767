// Set C of mistakes: two classifiers, and the order of all graphs. Written without a look at the search that
// it judges, after questions that people asked about their own gradients; where there is one, its place is
// given.
#include "mistakes_index.hpp"

namespace xtape::test {
namespace {
using namespace words;

const Words penalty_part = join(penalty, {"square", "branch", "path", "edge"});

/// tanh with dropout (kept: 0.75), ReLU, softmax, with an L2 penalty: widths 4, 7, 5, 3, eight samples.
void deep_classifier(Mistakes& list) {
  random::seed(501);
  const Matrix x = normal({8, 4}), W1 = weights({4, 7}), b1 = weights({7}), W2 = weights({7, 5}),
               b2 = weights({5}), W3 = weights({5, 3}), b3 = weights({3});
  const Matrix kept = (random::uniform<double>({8, 7}) < 0.75) * 1.0;
  const std::vector<std::size_t> labels{1, 2, 0, 0, 2, 1, 1, 2};
  const Matrix y = one_hot(labels, 3), previous = one_hot({0, 1, 2, 2, 1, 0, 0, 1}, 3);
  const double decay = 0.06;
  const auto loss = [=] {
    const Matrix a1 = tanh(affine(x, W1, b1)) * kept / 0.75, a2 = relu(affine(a1, W2, b2));
    return nn::cross_entropy(affine(a2, W3, b3), Indices(labels)) +
           0.5 * decay * (sum(square(W1)) + sum(square(W2)) + sum(square(W3)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = affine(x, W1, b1), h1 = tanh(z1), a1 = h1 * kept / 0.75, z2 = affine(a1, W2, b2),
                 a2 = relu(z2), p = softmax(affine(a2, W3, b3));
    Matrix d3 = p - (wrong == "previous label" ? previous : y);
    if (wrong != "not divided by N" && wrong != "no relu mask, not divided by N") d3 = d3 / 8;
    Matrix mask = z2 > 0;
    if (wrong == "no relu mask" || wrong == "no relu mask, not divided by N") mask = ones_like(z2);
    const Matrix d2 = matmul(d3, transpose(W3)) * mask;
    Matrix s1 = 1 - h1 * h1;
    if (wrong == "no tanh'") s1 = ones_like(s1);
    if (wrong == "1 - z²") s1 = 1 - z1 * z1;
    const Matrix back = wrong == "no dropout" ? ones_like(kept) : kept / 0.75;
    const Matrix d1 = matmul(d2, transpose(W2)) * back * s1;
    double l2 = decay;
    if (wrong == "penalty without ½") l2 = 2 * decay;
    if (wrong == "no penalty") l2 = 0;
    if (wrong == "penalty over N") l2 = decay / 8;
    return Graph::Gradients{{"W1", matmul(transpose(x), d1) + l2 * W1},
                            {"b1", sum(d1, 0)},
                            {"W2", matmul(transpose(a1), d2) + l2 * W2},
                            {"b2", wrong == "mean for the bias" ? mean(d2, 0) : sum(d2, 0)},
                            {"W3", matmul(transpose(a2), d3) + l2 * W3},
                            {"b3", sum(d3, 0)}};
  };
  Graph g(list, "deep classifier", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"W3", W3}, {"b3", b3}},
          loss, hand);
  // github.com/dennybritz/nn-from-scratch/issues/13: the loss is averaged, its gradients are not.
  g.add("factor with a penalty", "not divided by N", "W3", {by_batch("8")},
        "p − y is not divided by N = 8, the penalty is as it should be", {"penalty is divided"});
  g.add("penalty", "penalty over N", "W3", {penalty_part, by_batch("8")},
        "the penalty is divided by N, as if the mean were taken of it, too",
        {"penalty is right", "penalty is as it should be"});
  // github.com/cs231n/cs231n.github.io/issues/89: the ½ of the penalty, of which notes and code disagree.
  g.add("penalty", "penalty without ½", "W2", {penalty_part, join(twice, two)},
        "the penalty is doubled: 2 λ W2 in place of λ W2");
  g.add("mask forgotten", "no relu mask", "W2", {{"mask", "relu", "z2 > 0", "z > 0"}, forgotten},
        "ReLU's mask z2 > 0 is forgotten");
  g.add("penalty", "no penalty", "W1", {penalty_part, join(forgotten, cut)},
        "λ W1 of the penalty is forgotten", {"relu", "tanh'"});
  g.add("derivative forgotten", "no tanh'", "W1",
        {slope, forgotten, join(layer(1, "8", "7"), {"tanh", "1 − a²", "1 - a²"})}, "tanh'(z1) is left out",
        {"relu'"});
  g.add("wrong slope", "1 - z²", "b1",
        {join(slope, {"tanh", "1 − ", "1 - "}),
         {"z²", "1 − z", "1 - z", "operand", "before", "input", "at z", "in place of a", "z in", "z1 in",
          "z for", "z·z", "z * z", "not activated"}},
        "tanh' as 1 − z² in place of 1 − a²");
  g.add(
      "dropout", "no dropout", "b1",
      {{"dropout", "mask", "scale", "constant", "0.75", "1.33", "4/3", "keep", "kept", "multipli", "product"},
       join(forgotten, cut)},
      "the dropout is left out on the way back", {"tanh'", "relu"});
  g.add("reduction of a bias", "mean for the bias", "b2", {mean_over("8")},
        "db2 is the mean over the samples; d3 has the 1 / N already");
  g.add("label off by one", "previous label", "b3",
        {label,
         {"off by one", "previous", "shift", "+ 1", "− 1", "one place", "counted from", "by 1", "wrong class",
          "other class", "neighbour", "roll", "next"}},
        "1 is subtracted at label − 1");
  g.add("pair", "no relu mask, not divided by N", "W1",
        {{"mask", "relu", "z2 > 0", "z > 0"}, forgotten, by_batch("8")},
        "ReLU's mask is forgotten, and so is the division by N = 8");
}

/// Samples in columns, as in Coursera's exercises: W x + b of five features and nine samples, the classes
/// weighted 2.5 and 0.6, and λ / (2 N) |W|².
void weighted_logistic(Mistakes& list) {
  random::seed(502);
  const Matrix x = normal({5, 9}), W = weights({1, 5}), b = weights({1, 1});
  const Matrix y = reshape(Matrix{0, 1, 0, 0, 1, 1, 0, 0, 1}, {1, 9}),
               class_weights = 2.5 * y + 0.6 * (1 - y), exchanged = 0.6 * y + 2.5 * (1 - y);
  const double decay = 0.7;
  const auto loss = [=] {
    const Matrix p = sigmoid(matmul(W, x) + b);
    return -mean(class_weights * (y * log(p) + (1 - y) * log(1 - p))) + decay / 18 * sum(square(W));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix p = sigmoid(matmul(W, x) + b);
    Matrix d = p - y, weight = class_weights;
    if (wrong == "class weights forgotten") weight = ones_like(y);
    if (wrong == "class weights exchanged") weight = exchanged;
    if (wrong == "slope on top") d = d * p * (1 - p);
    if (wrong == "y - p") d = -d;
    if (wrong == "first term only") d = -y * (1 - p);
    d = weight * d;
    if (wrong != "not divided by N") d = d / 9;
    if (wrong == "last sample left out") d = d * transpose(rows_mask(9, 0, 8));
    if (wrong == "last sample only") d = d * transpose(rows_mask(9, 8, 1));
    double l2 = decay / 9;
    if (wrong == "penalty not over N") l2 = decay;
    if (wrong == "penalty's ½ kept") l2 = decay / 18;
    return Graph::Gradients{{"W", matmul(d, transpose(x)) + l2 * W}, {"b", sum(d, 1, true)}};
  };
  Graph g(list, "weighted logistic", {{"W", W}, {"b", b}}, loss, hand);
  const Words weighted{"class weight", "weights of", "weighted", "weight of", "constant", "multipl",
                       "2.5",          "0.6",        "product",  "factor",    "class"};
  g.add("edge forgotten", "class weights forgotten", "W", {weighted, join(forgotten, cut)},
        "the weights of the classes are left out", {"sigmoid'", "penalty", "sample"});
  g.add("other value in place", "class weights exchanged", "W",
        {weighted, {"swap", "exchang", "interchang", "other class", "mixed up", "revers"}},
        "the weights of the two classes are exchanged");
  // github.com/hankcs/CS224n/issues/17: is the derivative of what gives the probabilities still to come?
  g.add("derivative twice", "slope on top", "W",
        {join(slope, {"p (1 − p)", "a (1 − a)"}),
         join(twice, {"top", "already", "cancel", "additional", "multiplied", "extra"})},
        "p − y is multiplied by sigmoid' = p (1 − p), which has cancelled already");
  g.add("penalty", "penalty not over N", "W", {penalty_part, by_batch("9")},
        "the penalty is not divided by N: λ W in place of λ W / 9", {"halv", "½"});
  g.add("penalty", "penalty's ½ kept", "W", {penalty_part, two},
        "the penalty is halved: its ½ is still there", {"not divided"});
  // A loop over i = 1 : m − 1.
  g.add("samples left out", "last sample left out", "W",
        {{"last", "sample 9", "sample 8", "row 8", "column 8", "one sample", "a sample", "8 of", "first 8",
          "first eight", "1 of"},
         {"left out", "first 8", "first eight", "8 of", "missing", "without", "not counted", "ignored",
          "dropped", "skipped", "forgot", "not in", "leaves out"}},
        "the loop ends before the last sample, which is left out");
  g.add("sign", "y - p", "b", {sign}, "y − p in place of p − y");
  g.add_any("a term of the cross entropy", "first term only", "b",
            {{negative_term, forgotten}, {positive_term, {"only"}}},
            "(1 − y) ln(1 − p) is forgotten: only the samples of class 1 are counted");
  // github.com/janchorowski/nn_assignments/pull/21: np.dot(X, dLdA.T) without / num_samples.
  g.add("factor", "not divided by N", "b", {by_batch("9")}, "the division by N = 9 is forgotten",
        {"only", "last sample"});
  // db = dz in the loop over samples, in place of db += dz.
  g.add("samples left out", "last sample only", "b",
        {{"last", "sample 9", "sample 8", "row 8", "column 8", "one sample", "single", "1 of"},
         {"only", "overwrit", "assign", "alone", "just", "no other", "not added", "single"}},
        "only the last sample is counted, as by db = dz in place of db += dz");
}

}  // namespace

std::vector<Mistake> mistakes_c() {
  Mistakes list;
  deep_classifier(list);
  weighted_logistic(list);
  character_rnn(list);
  joint_lstm(list);
  pooled_convolution(list);
  two_heads(list);
  cbow(list);
  batch_norm_residual(list);
  denoising_autoencoder(list);
  gaussian_head(list);
  policy_gradient(list);
  contrastive(list);
  return list;
}

}  // namespace xtape::test
