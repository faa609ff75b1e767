// Set B of mistakes: nets of dense layers, and the order of all graphs.
#include "mistakes_index.hpp"

namespace xtape::test {
namespace {
using namespace words;

/// Softplus, ELU, SiLU, and a linear output, with weights (out, in): widths 3, 5, 4, 6, 2, seven samples.
void mixed_net(Mistakes& list) {
  random::seed(201);
  const Matrix x = normal({7, 3}), y = normal({7, 2});
  const Matrix W1 = weights({5, 3}), b1 = weights({5}), W2 = weights({4, 5}), b2 = weights({4}),
               W3 = weights({6, 4}), b3 = weights({6}), W4 = weights({2, 6}), b4 = weights({2});
  const auto loss = [=] {
    const Matrix a1 = softplus(linear(x, W1, b1)), a2 = elu(linear(a1, W2, b2)),
                 a3 = silu(linear(a2, W3, b3));
    return nn::half_squared_error(linear(a3, W4, b4), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = linear(x, W1, b1), a1 = softplus(z1), z2 = linear(a1, W2, b2), a2 = elu(z2),
                 z3 = linear(a2, W3, b3), a3 = silu(z3), p3 = sigmoid(z3);
    const bool none = wrong == "no slopes";
    Matrix s1 = sigmoid(z1), s2 = where(z2 > 0, 1.0, exp(z2)), s3 = p3 * (1 + z3 * (1 - p3));
    if (wrong == "softplus' at a") s1 = sigmoid(a1);
    if (wrong == "sigmoid's slope for softplus") s1 = s1 * (1 - s1);
    if (none || wrong == "no slope 1, y - a") s1 = ones_like(s1);
    if (wrong == "exp for all z") s2 = exp(z2);
    if (wrong == "relu's mask for elu") s2 = z2 > 0;
    if (wrong == "a for a + 1") s2 = where(z2 > 0, 1.0, a2);
    if (none || wrong == "no slope 2") s2 = ones_like(s2);
    if (wrong == "sigmoid alone for silu'") s3 = p3;
    if (wrong == "sigmoid's slope for silu") s3 = p3 * (1 - p3);
    if (none || wrong == "no slope 3") s3 = ones_like(s3);
    if (wrong == "slope 3 twice") s3 = s3 * s3;
    Matrix d4 = linear(a3, W4, b4) - y;
    if (wrong != "not divided by N") d4 = d4 / 7;
    if (wrong == "a 2 too many") d4 = 2 * d4;
    if (wrong == "y - a" || wrong == "no slope 1, y - a") d4 = -d4;
    const Matrix d3 = matmul(d4, W4) * s3;
    Matrix d2 = matmul(d3, W3) * s2;
    if (wrong == "half of the batch") d2 = d2 * rows_mask(7, 0, 4);
    const Matrix d1 = matmul(d2, W2) * s1;
    return Graph::Gradients{{"W1", matmul(transpose(d1), x)},
                            {"b1", sum(d1, 0)},
                            {"W2", matmul(transpose(d2), a1)},
                            {"b2", sum(d2, 0)},
                            {"W3", matmul(transpose(d3), wrong == "z2 for a2" ? z2 : a2)},
                            {"b3", wrong == "mean for the bias" ? mean(d3, 0) : sum(d3, 0)},
                            {"W4", matmul(transpose(d4), a3)},
                            {"b4", sum(d4, 0)}};
  };
  Graph g(list, "mixed net",
          {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"W3", W3}, {"b3", b3}, {"W4", W4}, {"b4", b4}},
          loss, hand);
  const Words first = join(layer(1, "7", "5"), {"softplus"}), second = join(layer(2, "7", "4"), {"elu"}),
              third = join(layer(3, "7", "6"), {"silu"});
  g.add("wrong slope", "softplus' at a", "W1",
        {first,
         slope,
         {"at a", "of a", "(a", "'(a", "twice", "activated value", "the output", "already", "its own result",
          "again", "result"}},
        "softplus' is taken at a1 in place of z1");
  g.add("wrong slope", "sigmoid's slope for softplus", "b1",
        {join(slope, {"a (1 − a)", "p (1 − p)"}), {"sigmoid", "σ", "a (1 − a)", "a(1 − a)"}, first},
        "sigmoid's a (1 − a) in place of softplus' = sigmoid");
  g.add("wrong slope", "exp for all z", "W2",
        {second,
         join(slope, {"exp", "e^z", "eᶻ"}),
         {"exp", "e^z", "eᶻ", "where", "z > 0", "positive", "mask", "α", "all z"}},
        "ELU's e^z for positive z, too");
  g.add("wrong slope", "relu's mask for elu", "b2",
        {join(second, slope), {"relu", "mask", "z > 0", "step", "0 for", "negative"}},
        "ReLU's mask in place of ELU's slope");
  g.add("wrong slope", "a for a + 1", "W1",
        {second,
         join(slope, {"a + 1"}),
         {"+ 1", "+1", "a in place", "value in place", "elu(z)", "output", "activation itself"}},
        "ELU' for z < 0 as a in place of a + 1");
  g.add("wrong slope", "sigmoid alone for silu'", "W3",
        {third, {"sigmoid", "σ", "product rule", "z (", "z σ", "term", "x ·", "z ·"}},
        "silu' = σ(z): half of the product rule");
  g.add("wrong slope", "sigmoid's slope for silu", "W2",
        {third, {"sigmoid", "σ", "(1 − a)", "product rule", "p (1"}}, "silu' as sigmoid's slope");
  g.add("derivative forgotten", "no slope 2", "W1", {slope, forgotten, second}, "elu'(z2) is forgotten");
  g.add("derivative forgotten", "no slope 3", "b1", {slope, forgotten, third}, "silu'(z3) is forgotten");
  g.add("derivative forgotten everywhere", "no slopes", "W1",
        {slope, forgotten, {"every", "all", "each", "layers", "three", "3"}},
        "no activation's derivative is there: it is left out at every layer");
  g.add("derivative twice", "slope 3 twice", "W2", {slope, twice, third}, "silu'(z3) is applied twice");
  g.add("factor", "not divided by N", "W4", {batch("7")}, "the division by N = 7 is forgotten");
  g.add("factor", "a 2 too many", "W3", {two}, "a 2 where the loss has ½", {"product rule"});
  g.add_any("other value in place", "z2 for a2", "W3",
            {{{"z2", "before", "pre-activation", "linear", "without", "input of the", "operand of", "z for a",
               "z in place of a"},
              instead},
             {{"elu"}, forgotten, {"input", "operand", "activation"}}},
            "dW3 = d3ᵀ z2 in place of d3ᵀ a2");
  g.add("sign", "y - a", "b3", {sign}, "y − a in place of a − y");
  g.add("pair", "no slope 1, y - a", "W1", {slope, forgotten, first, sign},
        "softplus' is forgotten and the sign is wrong");
  g.add("samples left out", "half of the batch", "W2",
        {{"samples", "batch", "rows"},
         {"half", "first", "only", "left out", "missing", "4", "last", "without"}},
        "only the first four samples of seven");
  g.add("reduction of a bias", "mean for the bias", "b3", {join(averaged, batch("7"))},
        "the mean over the samples in place of their sum");
  g.add_accumulated(2, "W4", {{accumulated}}, "backward() ran twice without zero_grad()");
}

/// GELU, softmax, smoothed labels, penalty λ |W|²: widths 4, 5, 3, six samples.
void smoothed_classifier(Mistakes& list) {
  random::seed(202);
  const Matrix x = normal({6, 4}), W1 = weights({4, 5}), b1 = weights({5}), W2 = weights({5, 3}),
               b2 = weights({3});
  const Matrix hard = one_hot({1, 0, 2, 2, 0, 2}, 3), next = one_hot({2, 1, 0, 0, 1, 0}, 3);
  const Matrix y = 0.9 * hard + 0.1 / 3;
  const double decay = 0.08;
  const auto loss = [=] {
    return nn::cross_entropy(affine(gelu(affine(x, W1, b1)), W2, b2), y) +
           decay * (sum(square(W1)) + sum(square(W2)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = affine(x, W1, b1), a1 = gelu(z1), logits = affine(a1, W2, b2), p = softmax(logits);
    Matrix error = p - y;
    if (wrong == "hard labels") error = p - hard;
    if (wrong == "next label") error = p - 0.9 * next - 0.1 / 3;
    if (wrong == "label not subtracted") error = p;
    if (wrong == "softmax over the batch") error = softmax(logits, 0) - y;
    if (wrong == "diagonal of the Jacobian") error = -y * (1 - p);
    if (wrong == "Jacobian on top") error = p * (error - sum(p * error, 1, true));
    if (wrong == "samples shifted")
      error = p - concatenate({slice(y, xt::range(1, 6)), slice(y, xt::range(0, 1))}, 0);
    const Matrix d2 = wrong == "not divided by N" ? error : error / 6;
    const Matrix cdf = 0.5 * (1 + erf(z1 / std::sqrt(2.0))),
                 pdf = exp(-0.5 * square(z1)) / std::sqrt(2 * 3.14159265358979323846);
    Matrix s = cdf + z1 * pdf;
    if (wrong == "cdf only") s = cdf;
    if (wrong == "density only") s = z1 * pdf;
    if (wrong == "no slope" || wrong == "no slope, penalty forgotten") s = ones_like(s);
    const Matrix d1 = matmul(d2, transpose(W2)) * s;
    double l2 = 2 * decay;
    if (wrong == "penalty without 2") l2 = decay;
    if (wrong == "no penalty" || wrong == "no slope, penalty forgotten") l2 = 0;
    if (wrong == "penalty over N") l2 /= 6;
    if (wrong == "penalty's sign") l2 = -l2;
    const Matrix penalty_of_bias = wrong == "penalty on the bias" ? 2 * decay * b1 : 0 * b1;
    return Graph::Gradients{{"W1", matmul(transpose(x), d1) + l2 * W1},
                            {"b1", sum(d1, 0) + penalty_of_bias},
                            {"W2", matmul(transpose(a1), d2) + l2 * W2},
                            {"b2", sum(d2, 0)}};
  };
  Graph g(list, "smoothed classifier", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  const Words gelu_words{"gelu", "φ", "Φ", "activation", "cdf", "normal distribution", "layer 1", "z1"};
  g.add("other value in place", "hard labels", "W2",
        {join(label, {"smooth"}),
         {"smooth", "hard", "one-hot", "onehot", "one hot", "largest", "argmax", "round"}},
        "the labels are not smoothed");
  g.add("wrong slope", "cdf only", "W1",
        {gelu_words, {"product rule", "term", "cdf", "φ", "Φ", "erf", "density", "part", "z ·"}},
        "gelu' = Φ(z): half of the product rule");
  g.add("wrong slope", "density only", "b1",
        {gelu_words, {"product rule", "term", "cdf", "φ", "Φ", "erf", "density", "part", "z ·"}},
        "gelu' = z φ(z): the other half");
  g.add("derivative forgotten", "no slope", "W1", {slope, forgotten}, "gelu'(z1) is forgotten");
  g.add("softmax Jacobian on top", "Jacobian on top", "W1",
        {{"softmax", "jacobian"}, join(twice, {"top", "already", "applied", "additional", "one too"})},
        "the softmax's Jacobian is applied to p − y");
  g.add("softmax's diagonal", "diagonal of the Jacobian", "W2",
        {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"}},
        "−y (1 − p): the Jacobian's diagonal only");
  g.add("factor with a penalty", "not divided by N", "W1", {batch("6")},
        "the division by N = 6 is forgotten; the penalty is right", {"penalty is divided"});
  g.add("penalty", "penalty without 2", "W1", {penalty, join(two, {"halv"})},
        "the penalty lacks its 2: λ W in place of 2 λ W");
  g.add("penalty", "no penalty", "W2", {penalty, forgotten}, "the penalty is forgotten");
  g.add("penalty", "penalty over N", "W1", {penalty, batch("6")}, "the penalty is divided by N",
        {"penalty is right"});
  g.add("penalty", "penalty's sign", "W2", {penalty, join(sign, {"subtract"})}, "the penalty is subtracted");
  g.add("penalty", "penalty on the bias", "b1",
        {penalty, {"bias", "b1", "has none", "no penalty", "not", "added"}},
        "a penalty is added for the bias, which has none");
  g.add("label not subtracted", "label not subtracted", "b1",
        {label, join(forgotten, {"subtract", "p alone", "only p"})}, "the label is not subtracted");
  g.add("label off by one", "next label", "W1",
        {label,
         {"off by one", "next", "shift", "+ 1", "one place", "counted from 1", "one further", "by 1",
          "wrong class", "other class", "neighbour", "roll"}},
        "labels counted from 1");
  g.add("samples misaligned", "samples shifted", "W2",
        {join(label, {"sample"}),
         {"shift", "shuffl", "order", "permut", "other sample", "another sample", "misalign", "next",
          "previous", "neighbour", "roll", "row"}},
        "each sample is compared with the label of the next");
  g.add("axis", "softmax over the batch", "W2", {{"softmax"}, {"axis", "batch", "samples", "column"}},
        "softmax along the wrong axis");
  g.add("pair", "no slope, penalty forgotten", "W1", {slope, forgotten, penalty},
        "gelu' and the penalty are forgotten");
}

/// Several labels at once: SiLU, binary cross entropy with logits, weights (out, in): widths 4, 6, 3, five
/// samples.
void multi_label(Mistakes& list) {
  random::seed(203);
  const Matrix x = normal({5, 4}), W1 = weights({6, 4}), b1 = weights({6}), W2 = weights({3, 6}),
               b2 = weights({3});
  const Matrix y{{1, 0, 0}, {0, 1, 1}, {1, 1, 0}, {0, 0, 0}, {0, 1, 0}};
  const auto loss = [=] {
    return nn::binary_cross_entropy_with_logits(linear(silu(linear(x, W1, b1)), W2, b2), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = linear(x, W1, b1), a1 = silu(z1), z2 = linear(a1, W2, b2), p = sigmoid(z2);
    Matrix d2 = p - y;
    if (wrong == "slope on top") d2 = d2 * p * (1 - p);
    if (wrong == "first term only") d2 = -y * (1 - p);
    if (wrong == "second term only") d2 = (1 - y) * p;
    if (wrong == "z for p") d2 = z2 - y;
    if (wrong == "labels reversed") d2 = p - flip(y, 0);
    if (wrong == "y - p") d2 = -d2;
    if (wrong == "label not subtracted") d2 = p;
    d2 = d2 / (wrong == "mean over the batch only" ? 5 : wrong == "mean over the outputs only" ? 3 : 15);
    if (wrong == "first sample only") d2 = d2 * rows_mask(5, 0, 1);
    const Matrix q = sigmoid(z1);
    Matrix s = q * (1 + z1 * (1 - q));
    if (wrong == "a (1 - a) for silu") s = a1 * (1 - a1);
    if (wrong == "slope twice") s = s * s;
    const Matrix d1 = matmul(d2, W2) * s, dW1 = matmul(transpose(d1), x);
    return Graph::Gradients{{"W1", dW1},
                            {"b1", wrong == "columns of dW" ? sum(dW1, 1) : sum(d1, 0)},
                            {"W2", matmul(transpose(d2), a1)},
                            {"b2", sum(d2, 0)}};
  };
  Graph g(list, "multi label", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  g.add("derivative twice", "slope on top", "W2",
        {join(slope, {"p (1 − p)", "a (1 − a)"}),
         join(twice, {"top", "already", "cancel", "additional", "multiplied", "extra"})},
        "p − y is multiplied by sigmoid', which it contains");
  g.add_any("a term of the cross entropy", "first term only", "W1",
            {{negative_term, forgotten}, {positive_term, {"only"}}}, "(1 − y) ln(1 − p) is forgotten");
  g.add_any("a term of the cross entropy", "second term only", "W2",
            {{positive_term, forgotten}, {negative_term, {"only"}}}, "y ln p is forgotten");
  g.add("other value in place", "z for p", "W2",
        {{"z − y", "z - y", "logit", "sigmoid is", "sigmoid forgotten", "z for", "z in", "before the sigmoid",
          "pre-activation", "without the sigmoid", "sigmoid left", "sigmoid missing",
          "operand of the sigmoid", "input of the sigmoid"}},
        "the sigmoid is forgotten: z − y", {"sigmoid'", "slope", "derivative"});
  g.add("samples misaligned", "labels reversed", "W1",
        {join(label, {"sample"}),
         {"shift", "shuffl", "order", "permut", "other sample", "another sample", "misalign", "revers",
          "flip", "row"}},
        "the labels' rows are in reverse order");
  g.add("sign", "y - p", "W1", {sign}, "y − p in place of p − y", {"rows", "order"});
  g.add("label not subtracted", "label not subtracted", "W2",
        {label, join(forgotten, {"subtract", "p alone", "only p"})}, "the label is not subtracted",
        {"z − y", "sigmoid is"});
  g.add("factor", "mean over the batch only", "W1", {join(outputs("3"), averaged)},
        "divided by N = 5, not by 15", {"rows", "order"});
  g.add("factor", "mean over the outputs only", "b1", {join(batch("5"), averaged)},
        "divided by 3 outputs, not by 15");
  g.add("samples left out", "first sample only", "W2",
        {{"first", "sample 1", "sample 0", "row 0", "one sample", "single", "1 of"}},
        "only the first sample");
  g.add("wrong slope", "a (1 - a) for silu", "W1",
        {join(slope, {"silu"}), {"sigmoid", "a (1 − a)", "a(1 − a)", "a (1 - a)", "(1 − a)"}},
        "a (1 − a) in place of silu'");
  g.add("derivative twice", "slope twice", "b1", {slope, twice}, "silu' is applied twice");
  g.add("reduction of a bias", "columns of dW", "b1",
        {{"dw", "w1", "weight", "column", "rows"}, {"sum", "added", "instead", "in place", "row", "column"}},
        "db1 as the sum of dW1's columns");
}

/// Square ReLU layers with weights (out, in), five wide, and a sigmoid output; four samples, mean of squares.
void square_relu_net(Mistakes& list) {
  random::seed(204);
  const Matrix x = normal({4, 5}), y = random::uniform<double>({4, 5}), W1 = weights({5, 5}),
               b1 = weights({5}), W2 = weights({5, 5}), b2 = weights({5}), W3 = weights({5, 5}),
               b3 = weights({5});
  const auto loss = [=] {
    const Matrix a1 = relu(linear(x, W1, b1)), a2 = relu(linear(a1, W2, b2));
    return nn::mse_loss(sigmoid(linear(a2, W3, b3)), y, nn::Reduction::sum);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = linear(x, W1, b1), a1 = relu(z1), z2 = linear(a1, W2, b2), a2 = relu(z2),
                 a3 = sigmoid(linear(a2, W3, b3));
    Matrix s3 = a3 * (1 - a3), m1 = z1 > 0, m2 = z2 > 0;
    if (wrong == "a²") s3 = a3 * a3;
    if (wrong == "a (1 - a)²") s3 = a3 * (1 - a3) * (1 - a3);
    if (wrong == "mask 1 in layer 2") m2 = m1;
    if (wrong == "masks swapped") m1 = z2 > 0, m2 = z1 > 0;
    if (wrong == "no masks") m1 = ones_like(m1), m2 = m1;
    if (wrong == "a for the mask") m1 = a1;
    const Matrix d3 = 2 * (a3 - y) * s3, dW2_input = a1;
    const bool all = wrong == "transposed everywhere";
    Matrix d2 = matmul(d3, wrong == "W3 transposed" || all ? transpose(W3) : W3) * m2;
    if (wrong == "d3 without slope") d2 = matmul(2 * (a3 - y), W3) * m2;
    Matrix back2 = wrong == "W2 transposed" || all ? transpose(W2) : W2;
    if (wrong == "W1 for W2") back2 = W1;
    if (wrong == "W2 updated") back2 = W2 - 0.05 * matmul(transpose(d2), a1);
    const Matrix d1 = matmul(d2, back2) * m1;
    const Matrix input3 = wrong == "a1 for a2" ? a1 : a2;
    return Graph::Gradients{{"W1", wrong == "xᵀ d" ? matmul(transpose(x), d1) : matmul(transpose(d1), x)},
                            {"b1", sum(d1, 0)},
                            {"W2", matmul(transpose(d2), wrong == "own output" ? a2 : a1)},
                            {"b2", wrong == "d1 for d2" ? sum(d1, 0) : sum(d2, 0)},
                            {"W3", matmul(transpose(d3), input3)},
                            {"b3", sum(d3, 0)}};
  };
  Graph g(list, "square relu net", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"W3", W3}, {"b3", b3}},
          loss, hand);
  const Words second{"w2", "layer 2", "second", "2nd"},
      third{"w3", "layer 3", "third", "3rd", "last", "output"};
  g.add("not transposed", "W3 transposed", "W2", {transposed, third},
        "d3 W3ᵀ in place of d3 W3, W3 being (out, in)");
  g.add("not transposed", "W2 transposed", "b1", {transposed, second}, "d2 W2ᵀ in place of d2 W2");
  g.add("not transposed everywhere", "transposed everywhere", "W1",
        {transposed, {"every", "all", "each", "layers", "both", "w2"}},
        "every weight matrix is transposed on the way back");
  g.add("not transposed", "xᵀ d", "W1", {transposed}, "xᵀ d1 in place of d1ᵀ x",
        {"w2", "w3", "weight matri"});
  g.add("other value in place", "W1 for W2", "W1",
        {{"w1", "w2", "layer 1", "layer 2", "other weight", "another weight"}, instead},
        "d2 W1 in place of d2 W2", {"updated", "transpos"});
  g.add("updated weight", "W2 updated", "W1",
        {{"updated", "after the step", "new w", "learning rate", "step", "already changed"}},
        "W2 was updated (rate 0.05) before d2 W2 was computed");
  g.add("other value in place", "a1 for a2", "W3",
        {{"a1", "input", "other layer", "layer 1", "relu", "another"}, instead},
        "dW3 from a1 in place of a2");
  g.add("other value in place", "own output", "W2",
        {{"a2", "output", "layer 2", "relu", "next layer"}, instead},
        "dW2 from the layer's output in place of its input", {"mask", "z1"});
  g.add("other value in place", "d1 for d2", "b2",
        {{"d1", "δ1", "layer 1", "b1", "other layer", "another", "row"}}, "db2 is summed from d1");
  g.add("other value in place", "mask 1 in layer 2", "W2",
        {join(slope, masked),
         join(instead, {"other layer"}),
         {"z1", "a1", "layer 1", "other layer", "another layer", "first", "1st"}},
        "the mask z1 > 0 in place of z2 > 0 in layer 2");
  g.add(
      "other value in place", "masks swapped", "W1",
      {join(slope, masked), {"swap", "exchang", "other layer", "instead", "in place", "mixed", "interchang"}},
      "the masks of both layers are exchanged");
  g.add("mask forgotten", "no masks", "W1",
        {join(slope, masked), forgotten, {"every", "all", "each", "both", "layers", "2"}},
        "both masks are forgotten");
  g.add("other value in place", "a for the mask", "b1",
        {join(slope, masked), {"a1", "value", "activation", "itself", "instead", "in place", "output", "z1"}},
        "multiplied by relu(z1) in place of relu'(z1)");
  g.add("derivative forgotten", "d3 without slope", "W1",
        {slope, forgotten, {"sigmoid", "layer 3", "third", "last", "output", "a (1 − a)", "z3", "a3"}},
        "sigmoid' is forgotten on the way back, though dW3 has it");
  g.add("wrong slope", "a²", "W3",
        {join(slope, {"a²", "a·a", "a a"}), {"a²", "a·a", "a a", "a * a", "a^2", "square", "1 − a", "1 - a"}},
        "the slope a · a in place of a (1 − a)");
  g.add("wrong slope", "a (1 - a)²", "W2",
        {join(slope, {"(1 − a)", "(1 - a)"}),
         {"(1 − a)²", "(1 - a)²", "(1 − a)^2", "twice", "squared", "(1 − a) (1 − a)"}},
        "a (1 − a)² in place of a (1 − a)");
}

/// Dropout of the input (kept: 0.8) and of what ELU gives (kept: 0.5): widths 5, 6, 3, seven samples.
void two_dropouts(Mistakes& list) {
  random::seed(205);
  const Matrix x = normal({7, 5}), y = normal({7, 3}), W1 = weights({5, 6}), b1 = weights({6}),
               W2 = weights({6, 3}), b2 = weights({3});
  const Matrix kept0 = (random::uniform<double>({7, 5}) < 0.8) * 1.0,
               kept1 = (random::uniform<double>({7, 6}) < 0.5) * 1.0;
  const auto loss = [=] {
    return nn::mse_loss(affine(elu(affine(x * kept0 / 0.8, W1, b1)) * kept1 / 0.5, W2, b2), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix x0 = x * kept0 / 0.8, z1 = affine(x0, W1, b1), a1 = elu(z1), x1 = a1 * kept1 / 0.5,
                 d2 = 2 * (affine(x1, W2, b2) - y) / 21;
    Matrix back = kept1 / 0.5;
    if (wrong == "no mask") back = full_like(kept1, 2);
    if (wrong == "no dropout") back = ones_like(kept1);
    if (wrong == "no scale") back = kept1;
    if (wrong == "other mask") back = flip(kept1, 0) / 0.5;
    const Matrix d1 = matmul(d2, transpose(W2)) * back * where(z1 > 0, 1.0, a1 + 1);
    Matrix input1 = x0;
    if (wrong == "x before dropout") input1 = x;
    if (wrong == "x without its scale") input1 = x * kept0;
    return Graph::Gradients{{"W1", matmul(transpose(input1), d1)},
                            {"b1", sum(d1, 0)},
                            {"W2", matmul(transpose(wrong == "a1 before dropout" ? a1 : x1), d2)},
                            {"b2", sum(d2, 0)}};
  };
  Graph g(list, "two dropouts", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  const Words drop{"dropout", "mask", "kept", "keep", "constant", "multipli", "zeros", "0 and 1"};
  g.add("dropout", "no mask", "W1", {drop, forgotten}, "the dropout's mask is forgotten, its scale is there",
        {"scale is forgotten", "division", "data", "input", "altogether"});
  g.add("dropout", "no dropout", "W1", {join(drop, two), join(forgotten, cut)},
        "the dropout behind ELU is left out altogether on the way back",
        {"scale is forgotten", "input", "mask is"});
  g.add("dropout", "no scale", "b1", {join(two, {"scale", "keep", "kept"})},
        "the scale 1 / 0.5 of the dropout is forgotten");
  g.add("dropout", "other mask", "b1",
        {join(drop, {"random"}),
         {"other", "another", "new", "drawn", "order", "shuffl", "flip", "revers", "different", "row",
          "sample"}},
        "another mask than on the way forward");
  g.add("dropout", "x without its scale", "W1", {{"scale", "0.8", "1.25", "divi", "factor"}},
        "the scale 1 / 0.8 of the input's dropout is forgotten", {"mask is"});
  g.add("other value in place", "x before dropout", "W1",
        {join(drop, {"before", "input"}), join(instead, forgotten)},
        "dW1 from x before the dropout, in place of after it", {"behind elu", "way back", "scale"});
  g.add("other value in place", "a1 before dropout", "W2",
        {join(drop, {"before", "elu"}), join(instead, forgotten)},
        "dW2 from a1 before the dropout, in place of after it");
}

}  // namespace

std::vector<Mistake> mistakes_b() {
  Mistakes list;
  mixed_net(list);
  smoothed_classifier(list);
  multi_label(list);
  square_relu_net(list);
  two_dropouts(list);
  gru(list);
  lstm(list);
  layer_norm_net(list);
  rms_norm_net(list);
  fused_batch_norm(list);
  strided_convolution(list);
  embedded_attention(list);
  skip_gram(list);
  variational(list);
  siamese(list);
  highway(list);
  mixture(list);
  factorisation(list);
  cosine(list);
  bilinear(list);
  huber(list);
  oscillators(list);
  return list;
}

}  // namespace xtape::test
