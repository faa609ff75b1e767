// Set A of mistakes: nets of dense layers, and the order of all graphs.
#include "mistakes_index.hpp"

namespace xtape::test {
namespace {
using namespace words;

/// Sigmoids throughout, widths 3, 5, 4, 2, six samples, mean of squared errors.
void sigmoid_net(Mistakes& list) {
  random::seed(101);
  const Matrix x = normal({6, 3}), y = random::uniform<double>({6, 2});
  const Matrix W1 = weights({3, 5}), b1 = weights({5}), W2 = weights({5, 4}), b2 = weights({4}),
               W3 = weights({4, 2}), b3 = weights({2});
  const auto loss = [=] {
    const Matrix a1 = sigmoid(affine(x, W1, b1)), a2 = sigmoid(affine(a1, W2, b2));
    return nn::mse_loss(sigmoid(affine(a2, W3, b3)), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = affine(x, W1, b1), a1 = sigmoid(z1), z2 = affine(a1, W2, b2), a2 = sigmoid(z2),
                 a3 = sigmoid(affine(a2, W3, b3));
    Matrix s1 = a1 * (1 - a1), s2 = a2 * (1 - a2), s3 = a3 * (1 - a3);
    if (wrong == "no slope 1" || wrong == "no slopes") s1 = ones_like(s1);
    if (wrong == "no slope 2" || wrong == "no slopes" || wrong == "no slope 2, no 2") s2 = ones_like(s2);
    if (wrong == "no slope 3" || wrong == "no slopes") s3 = ones_like(s3);
    if (wrong == "slope 2 twice") s2 = s2 * s2;
    if (wrong == "1 - a in layer 1") s1 = 1 - a1;
    if (wrong == "z (1 - z) in layer 2") s2 = z2 * (1 - z2);
    if (wrong == "slope at a in layer 1") s1 = sigmoid(a1) * (1 - sigmoid(a1));
    if (wrong == "tanh's slope in layer 1") s1 = 1 - a1 * a1;
    double scale = 2.0 / 12;
    if (wrong == "no 2" || wrong == "no slope 2, no 2") scale = 1.0 / 12;
    if (wrong == "mean over the batch only") scale = 2.0 / 6;
    if (wrong == "not divided") scale = 2;
    Matrix error = a3 - y;
    if (wrong == "y - a") error = y - a3;
    if (wrong == "y not subtracted") error = a3;
    Matrix d3 = scale * error * s3, d2 = matmul(d3, transpose(W3)) * s2, d1 = matmul(d2, transpose(W2)) * s1;
    if (wrong == "last sample only") d2 = d2 * rows_mask(6, 5, 1);
    const Matrix input2 = wrong == "z1 for a1" ? z1 : a1;
    return Graph::Gradients{{"W1", matmul(transpose(x), d1)},
                            {"b1", sum(d1, 0)},
                            {"W2", matmul(transpose(input2), d2)},
                            {"b2", wrong == "mean for the bias" ? mean(d2, 0) : sum(d2, 0)},
                            {"W3", matmul(transpose(a2), d3)},
                            {"b3", sum(d3, 0)}};
  };
  Graph g(list, "sigmoid net", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"W3", W3}, {"b3", b3}}, loss,
          hand);
  const Words first = layer(1, "6", "5"), second = layer(2, "6", "4"),
              third = join(layer(3, "6", "2"), {"last", "output"});
  g.add("derivative forgotten", "no slope 1", "W1", {slope, forgotten, first},
        "sigmoid'(z1) is left out: d1 = d2 W2ᵀ");
  g.add("derivative forgotten", "no slope 2", "W1", {slope, forgotten, second},
        "sigmoid'(z2) is left out: d2 = d3 W3ᵀ");
  g.add("derivative forgotten", "no slope 3", "W3", {slope, forgotten},
        "sigmoid'(z3) is left out: d3 = 2 (a3 − y) / 12");
  g.add("derivative forgotten everywhere", "no slopes", "W1",
        {slope, forgotten, {"every", "all", "each", "layers", "both", "three"}},
        "sigmoid' is left out at every layer");
  g.add("derivative twice", "slope 2 twice", "W2", {slope, twice, second},
        "multiplied by sigmoid'(z2) twice");
  g.add("wrong slope", "1 - a in layer 1", "W1",
        {{"1 − a", "1 - a", "1−a", "1-a", "factor a"}, join(instead, forgotten), first},
        "1 − a in place of a (1 − a) in layer 1");
  g.add("wrong slope", "z (1 - z) in layer 2", "b2",
        {join(slope, {"z (1 − z)", "z(1 − z)", "z (1 - z)", "z·(1", "z2"}), instead, second},
        "a (1 − a) with z2 in place of a2");
  g.add("wrong slope", "slope at a in layer 1", "W1",
        {slope,
         {"at a", "of a", "(a", "'(a", "twice", "activated value", "the output", "already", "its own result",
          "again", "result"},
         first},
        "sigmoid' is taken at a1, which is already sigmoid(z1), in place of z1");
  g.add("wrong slope", "tanh's slope in layer 1", "b1",
        {join(slope, {"1 − a²", "1 - a²", "1 − a·a"}),
         {"tanh", "1 − a²", "1 - a²", "1 − a·a", "1 - a^2"},
         instead},
        "tanh' = 1 − a² in place of sigmoid' = a (1 − a) in layer 1");
  g.add_any("other value in place", "z1 for a1", "W2",
            {{{"z1", "before", "pre-activation", "not activated", "linear", "without the", "input of the",
               "x·w1", "x w1", "matmul", "z for a", "z in place of a"},
              instead},
             {{"sigmoid"}, forgotten, {"input", "operand", "activation"}}},
            "dW2 = z1ᵀ d2: the input of the layer is taken before its activation");
  g.add("factor", "no 2", "W3", {two}, "the 2 of d(a − y)² is forgotten");
  g.add("factor", "mean over the batch only", "W2", {join(two, outputs("2"), averaged)},
        "divided by the 6 samples and not by the 12 elements of the mean", {"sigmoid'", "slope"});
  g.add("factor", "not divided", "b1", {elements("12")}, "the division of the mean by 12 is forgotten");
  g.add("sign", "y - a", "W1", {sign}, "y − a in place of a − y");
  g.add("reduction of a bias", "mean for the bias", "b2", {join(averaged, batch("6"))},
        "the mean over the samples in place of their sum");
  g.add("label not subtracted", "y not subtracted", "W3",
        {target, join(forgotten, {"subtract", "zero", "= 0"})},
        "d3 from a3 alone: the target is not subtracted", {"sigmoid'"});
  g.add("pair", "no slope 2, no 2", "W1", {slope, forgotten, second, two},
        "sigmoid'(z2) and the 2 of the squared error are both forgotten");
  g.add("samples left out", "last sample only", "W2",
        {{"last", "sample 6", "row 5", "sample 5", "one sample", "single", "1 of"}},
        "dW2 from the last sample only, as a loop that assigns in place of adding gives");
}

/// ReLU and cross entropy with an L2 penalty: widths 4, 6, 3, five samples.
void relu_classifier(Mistakes& list) {
  random::seed(102);
  const Matrix x = normal({5, 4}), W1 = weights({4, 6}), b1 = weights({6}), W2 = weights({6, 3}),
               b2 = weights({3});
  const std::vector<std::size_t> labels{2, 0, 1, 1, 2};
  const Matrix y = one_hot(labels, 3), next = one_hot({0, 1, 2, 2, 0}, 3),
               shuffled = one_hot({2, 2, 0, 1, 1}, 3);
  const double decay = 0.1;
  const auto loss = [=] {
    const Matrix logits = affine(relu(affine(x, W1, b1)), W2, b2);
    return nn::cross_entropy(logits, Indices(labels)) + 0.5 * decay * (sum(square(W1)) + sum(square(W2)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = affine(x, W1, b1), a1 = relu(z1), logits = affine(a1, W2, b2), p = softmax(logits);
    Matrix error = p - y;
    if (wrong == "label not subtracted") error = p;
    if (wrong == "next label") error = p - next;
    if (wrong == "shuffled labels") error = p - shuffled;
    if (wrong == "softmax over the batch") error = softmax(logits, 0) - y;
    if (wrong == "diagonal of the Jacobian") error = -y * (1 - p);
    if (wrong == "Jacobian on top") error = p * (error - sum(p * error, 1, true));
    if (wrong == "p (1 - p) on top") error = error * p * (1 - p);
    Matrix d2 = wrong == "not divided by N" ? error : error / 5;
    if (wrong == "half of the batch") d2 = d2 * rows_mask(5, 0, 2);
    Matrix mask = z1 > 0;
    if (wrong == "no mask" || wrong == "no mask, no penalty") mask = ones_like(z1);
    const Matrix d1 = matmul(d2, transpose(W2)) * mask;
    double l2 = decay;
    if (wrong == "no penalty" || wrong == "no mask, no penalty") l2 = 0;
    if (wrong == "penalty twice") l2 = 2 * decay;
    if (wrong == "penalty's sign") l2 = -decay;
    if (wrong == "penalty over N") l2 = decay / 5;
    const Matrix dW1 = matmul(transpose(x), d1), dW2 = matmul(transpose(a1), d2);
    Matrix db1 = sum(d1, 0);
    if (wrong == "penalty on the bias") db1 = db1 + decay * b1;
    if (wrong == "rows of dW") db1 = sum(dW1, 0);
    return Graph::Gradients{{"W1", dW1 + l2 * W1}, {"b1", db1}, {"W2", dW2 + l2 * W2}, {"b2", sum(d2, 0)}};
  };
  Graph g(list, "relu classifier", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  g.add("mask forgotten", "no mask", "W1", {join(slope, masked), forgotten},
        "ReLU's mask z1 > 0 is forgotten");
  g.add("label not subtracted", "label not subtracted", "W2",
        {label, join(forgotten, {"subtract", "p alone", "only p"})},
        "softmax(z) alone: the label is not subtracted");
  g.add("label off by one", "next label", "b2",
        {label,
         {"off by one", "next", "shift", "+ 1", "one place", "counted from 1", "one further", "by 1",
          "wrong class", "other class", "neighbour"}},
        "1 is subtracted at label + 1");
  g.add("samples misaligned", "shuffled labels", "W2",
        {join(label, {"sample"}),
         {"shift", "shuffl", "order", "permut", "other sample", "another sample", "misalign", "next",
          "previous", "neighbour", "rolled", "row"}},
        "each sample is compared with the label of the previous one");
  g.add("softmax Jacobian on top", "Jacobian on top", "W1",
        {{"softmax", "jacobian"}, join(twice, {"top", "already", "applied", "additional", "one too"})},
        "p − y is already behind the softmax; its Jacobian is applied on top");
  g.add(
      "softmax Jacobian on top", "p (1 - p) on top", "b2",
      {join(soft, slope), join(twice, {"top", "already", "applied", "additional", "multiplied", "one too"})},
      "p − y is multiplied by p (1 − p), which it contains already");
  g.add(
      "softmax's diagonal", "diagonal of the Jacobian", "W2",
      {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "off-diag", "cross term"}},
      "of the softmax's Jacobian only the diagonal p (1 − p) is used: −y (1 − p)");
  g.add("axis", "softmax over the batch", "W2", {{"softmax"}, {"axis", "batch", "samples", "column"}},
        "softmax along the axis of the samples");
  g.add("factor", "not divided by N", "b2", {batch("5")}, "the mean's division by N = 5 is forgotten");
  g.add("factor with a penalty", "not divided by N", "W2", {batch("5")},
        "the mean's division by N = 5 is forgotten, while the penalty is right",
        {"along the axis", "penalty is divided"});
  g.add("samples left out", "half of the batch", "W1",
        {{"samples", "batch", "rows"},
         {"half", "first", "only", "left out", "missing", "2", "last", "without"}},
        "only the first two samples of five are counted");
  g.add("penalty", "no penalty", "W1", {penalty, forgotten}, "λ W1 is forgotten");
  g.add("penalty", "penalty twice", "W2", {penalty, join(twice, two)},
        "the penalty is doubled: 2 λ W2 in place of λ W2");
  g.add("penalty", "penalty's sign", "W1", {penalty, join(sign, {"subtract"})},
        "the penalty has the wrong sign: − λ W1 in place of + λ W1");
  g.add("penalty", "penalty over N", "W2", {penalty, batch("5")}, "the penalty is divided by N",
        {"penalty is right", "mean's division"});
  g.add("penalty", "penalty on the bias", "b1",
        {penalty, {"bias", "b1", "has none", "no penalty", "not", "added"}},
        "λ b1 is added, which the loss does not have");
  g.add("reduction of a bias", "rows of dW", "b1",
        {{"dw", "w1", "weight", "rows"}, {"sum", "added", "instead", "in place", "row"}},
        "db1 is the sum of dW1's rows in place of d1's");
  g.add("pair", "no mask, no penalty", "W1", {join(slope, masked), forgotten, penalty},
        "ReLU's mask and the penalty are both forgotten");
}

/// Four features, seven samples, binary cross entropy of probabilities.
void logistic_regression(Mistakes& list) {
  random::seed(103);
  const Matrix x = normal({7, 4}), W = weights({4, 1}), b = weights({1});
  const Matrix y = reshape(Matrix{1, 0, 0, 1, 1, 0, 1}, {7, 1});
  const auto loss = [=] { return nn::binary_cross_entropy(sigmoid(affine(x, W, b)), y); };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = affine(x, W, b), p = sigmoid(z);
    Matrix d = p - y;
    if (wrong == "first term only") d = -y * (1 - p);
    if (wrong == "second term only") d = p * (1 - y);
    if (wrong == "slope on top") d = d * p * (1 - p);
    if (wrong == "no slope") d = d / (p * (1 - p));
    if (wrong == "y - p") d = y - p;
    if (wrong == "z for p") d = z - y;
    if (wrong == "decisions for p") d = (p > 0.5) - y;
    if (wrong != "not divided by N") d = d / 7;
    if (wrong == "first sample only") d = d * rows_mask(7, 0, 1);
    if (wrong == "divided by N twice") d = d / 7;
    return Graph::Gradients{{"W", matmul(transpose(x), d)}, {"b", sum(d, 0)}};
  };
  Graph g(list, "logistic regression", {{"W", W}, {"b", b}}, loss, hand);
  g.add_any("a term of the cross entropy", "first term only", "W",
            {{negative_term, forgotten}, {positive_term, {"only"}}},
            "only y ln p is differentiated; (1 − y) ln(1 − p) is forgotten");
  g.add_any("a term of the cross entropy", "second term only", "W",
            {{positive_term, forgotten}, {negative_term, {"only"}}},
            "only (1 − y) ln(1 − p) is differentiated", {"only y ln p"});
  g.add("derivative twice", "slope on top", "W",
        {join(slope, {"p (1 − p)", "a (1 − a)"}),
         join(twice, {"top", "already", "cancel", "additional", "multiplied", "extra"})},
        "p − y is multiplied by p (1 − p), which has cancelled already");
  g.add("derivative forgotten", "no slope", "W", {slope, forgotten},
        "(p − y) / (p (1 − p)) without sigmoid'(z)");
  g.add("sign", "y - p", "W", {sign}, "y − p in place of p − y");
  g.add("other value in place", "z for p", "W",
        {{"z − y", "z - y", "logit", "sigmoid is", "sigmoid forgotten", "z for", "z in", "before the sigmoid",
          "pre-activation", "without the sigmoid", "sigmoid left", "sigmoid missing",
          "operand of the sigmoid", "input of the sigmoid"}},
        "z − y in place of p − y: the sigmoid is forgotten", {"sigmoid'", "slope", "derivative"});
  g.add("other value in place", "decisions for p", "W",
        {{"decision", "threshold", "round", "0.5", "p > ", "z > 0", "perceptron", "hard", "step function",
          "predicted class"}},
        "p rounded to 0 or 1, as the perceptron's rule has it");
  g.add("factor", "not divided by N", "W", {batch("7")}, "the mean's division by 7 is forgotten",
        {"twice", "too often"});
  g.add("factor", "divided by N twice", "W", {batch("7")}, "divided by 7 twice",
        {"forgotten", "missing", "not divided"});
  g.add("samples left out", "first sample only", "W",
        {{"first", "sample 1", "sample 0", "row 0", "one sample", "single", "1 of"}},
        "only the first sample is counted");
  g.add_accumulated(2, "W", {{accumulated}},
                    "zero_grad() is forgotten: the trusted gradient is twice the loss's");
}

/// Square tanh layers, four wide, six samples; half the squared error summed, over N.
void square_net(Mistakes& list) {
  random::seed(104);
  const Matrix x = normal({6, 4}), y = normal({6, 4}), W1 = weights({4, 4}), b1 = weights({4}),
               W2 = weights({4, 4}), b2 = weights({4}), W3 = weights({4, 4}), b3 = weights({4});
  const auto loss = [=] {
    const Matrix a1 = tanh(affine(x, W1, b1)), a2 = tanh(affine(a1, W2, b2));
    return nn::half_squared_error(affine(a2, W3, b3), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = affine(x, W1, b1), a1 = tanh(z1), a2 = tanh(affine(a1, W2, b2)),
                 d3 = (affine(a2, W3, b3) - y) / 6;
    Matrix s1 = 1 - a1 * a1, s2 = 1 - a2 * a2;
    if (wrong == "slope of layer 1 in layer 2") s2 = s1;
    if (wrong == "1 + a²") s1 = 1 + a1 * a1;
    if (wrong == "(1 - a)²") s2 = (1 - a2) * (1 - a2);
    if (wrong == "1 - a everywhere") s1 = 1 - a1, s2 = 1 - a2;
    const bool all = wrong == "no transpose anywhere";
    const Matrix dW3 = matmul(transpose(a2), d3);
    Matrix back3 = wrong == "W3 not transposed" || all ? W3 : transpose(W3);
    if (wrong == "W2 for W3") back3 = transpose(W2);
    if (wrong == "W3 updated") back3 = transpose(W3 - 0.1 * dW3);
    const Matrix d2 = matmul(d3, back3) * s2;
    Matrix d1 = matmul(d2, wrong == "W2 not transposed" || all ? W2 : transpose(W2)) * s1;
    if (wrong == "layer 2 skipped") d1 = matmul(d3, transpose(W3)) * s1;
    Matrix input2 = a1;
    if (wrong == "x for a1") input2 = x;
    if (wrong == "a2 for a1") input2 = a2;
    const Matrix dW1 = matmul(transpose(x), d1);
    return Graph::Gradients{{"W1", wrong == "dW1 transposed" ? transpose(dW1) : dW1},
                            {"b1", sum(wrong == "d2 for d1" ? d2 : d1, 0)},
                            {"W2", matmul(transpose(input2), d2)},
                            {"b2", sum(d2, 0)},
                            {"W3", dW3},
                            {"b3", sum(d3, 0)}};
  };
  Graph g(list, "square tanh net", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"W3", W3}, {"b3", b3}},
          loss, hand);
  const Words second{"w2", "layer 2", "second", "2nd"},
      third{"w3", "layer 3", "third", "3rd", "last", "output"};
  // Names of the layers' values: the shapes are the same everywhere.
  const Words at1{"layer 1", "z1", "a1", "first", "1st", "w1 + b1", "tanh 1", "tanh #1", "x·w1", "x w1"};
  const Words at2{"layer 2", "z2", "a2", "second", "2nd", "w2", "last tanh", "tanh 2", "tanh #2"};
  g.add("not transposed", "W2 not transposed", "W1", {transposed, second}, "d1 = d2 W2 in place of d2 W2ᵀ",
        {"w3", "left out"});
  g.add("not transposed", "W3 not transposed", "W1", {transposed, third}, "d2 = d3 W3 in place of d3 W3ᵀ",
        {"left out"});
  g.add("not transposed", "dW1 transposed", "W1", {transposed}, "d1ᵀ x in place of xᵀ d1",
        {"w2", "w3", "weight matri", "layer"});
  g.add("not transposed everywhere", "no transpose anywhere", "W1",
        {transposed,
         {"every", "all ", "each", "layers", "both", "w2 and w3", "w3 and w2", "no weight matri", "anywhere",
          "nowhere"}},
        "no weight matrix is transposed on the way back");
  g.add("other value in place", "W2 for W3", "W2",
        {{"w2", "layer 2", "another weight", "other weight"}, {"w3", "layer 3", "weight"}, instead},
        "d2 = d3 W2ᵀ in place of d3 W3ᵀ", {"updated", "transposed"});
  g.add("updated weight", "W3 updated", "W2",
        {{"updated", "after the step", "new w", "learning rate", "step", "already changed"}},
        "W3 was updated (rate 0.1) before d2 = d3 W3ᵀ was computed");
  g.add("other value in place", "x for a1", "W2",
        {{" x", "xᵀ", "input", "other layer", "a0", "layer 1", "constant"}, instead},
        "dW2 = xᵀ d2 in place of a1ᵀ d2", {"a2", "output"});
  g.add("other value in place", "a2 for a1", "W2",
        {{"a2", "output", "next layer", "layer 2", "tanh"}, instead},
        "dW2 = a2ᵀ d2: the layer's output in place of its input", {"tanh'", "slope", "derivative"});
  g.add("other value in place", "slope of layer 1 in layer 2", "W2",
        {join(slope, {"1 − a", "1 - a", "tanh"}), instead, join(at1, {"other layer", "another layer"})},
        "tanh'(z1) in place of tanh'(z2)");
  g.add("edge dropped", "layer 2 skipped", "W1",
        {{"left out", "skipped", "forgotten", "missing", "omitted", "bypass", "cut", "dropped", "ignored",
          "as if"},
         join(second, {"d2", "d3"})},
        "d1 = d3 W3ᵀ tanh'(z1): layer 2 is left out");
  g.add("other value in place", "d2 for d1", "b1",
        {{"d2", "δ2", "layer 2", "b2", "other layer", "another", "row"}},
        "db1 is summed from d2, and so equals db2");
  g.add("wrong slope", "1 + a²", "W1",
        {join(slope, {"1 + a", "1+a"}), {"1 + ", "1+", "sign", "plus"}, join(at1, {"1 + a", "a²"})},
        "1 + a² in place of 1 − a² in layer 1");
  g.add("wrong slope", "(1 - a)²", "b2",
        {join(slope, {"(1 − a)", "(1 - a)"}), {"(1 − a)", "(1 - a)", "(1−a)", "(1-a)"}},
        "(1 − a)² in place of 1 − a² in layer 2");
  g.add("wrong slope everywhere", "1 - a everywhere", "W1",
        {join(slope, {"1 − a", "1 - a"}),
         {"1 − a", "1 - a", "1−a", "square"},
         {"every", "all", "each", "both", "layers"}},
        "1 − a in place of 1 − a² in every layer");
}

/// Leaky ReLU and dropout with a kept share of 0.6: widths 3, 5, 2, six samples.
void dropout_net(Mistakes& list) {
  random::seed(105);
  const Matrix x = normal({6, 3}), y = normal({6, 2}), W1 = weights({3, 5}), b1 = weights({5}),
               W2 = weights({5, 2}), b2 = weights({2});
  const Matrix kept = (random::uniform<double>({6, 5}) < 0.6) * 1.0;
  const auto loss = [=] {
    const Matrix a1 = leaky_relu(affine(x, W1, b1), 0.1) * kept / 0.6;
    return nn::mse_loss(affine(a1, W2, b2), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = affine(x, W1, b1), a1 = leaky_relu(z1, 0.1), dropped = a1 * kept / 0.6,
                 d2 = 2 * (affine(dropped, W2, b2) - y) / 6;
    Matrix back = kept / 0.6;
    if (wrong == "no mask") back = full_like(kept, 1 / 0.6);
    if (wrong == "no scale") back = kept;
    if (wrong == "no dropout") back = ones_like(kept);
    if (wrong == "dropout twice") back = back * back;
    Matrix s1 = where(z1 > 0, 1.0, 0.1 + 0 * z1);
    if (wrong == "relu's mask") s1 = z1 > 0;
    if (wrong == "no slope" || wrong == "no slope, no scale") s1 = ones_like(z1);
    if (wrong == "no slope, no scale") back = kept;
    const Matrix d1 = matmul(d2, transpose(W2)) * back * s1;
    const Matrix input2 = wrong == "a1 before dropout" ? a1 : dropped;
    return Graph::Gradients{{"W1", matmul(transpose(x), d1)},
                            {"b1", wrong == "last sample's error" ? slice(d1, 5) : sum(d1, 0)},
                            {"W2", matmul(transpose(input2), d2)},
                            {"b2", sum(d2, 0)}};
  };
  Graph g(list, "dropout net", {{"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}}, loss, hand);
  const Words drop{"dropout", "mask", "scale", "constant", "0.6",    "1.666",
                   "1.667",   "keep", "kept",  "multipli", "factor", "product"};
  g.add("dropout", "no mask", "W1", {{"mask", "constant", "0 and 1", "kept", "multipli", "zeros"}, forgotten},
        "the dropout's mask is forgotten; its scale 1 / 0.6 is there", {"dropout's scale", "division"});
  g.add("dropout", "no scale", "W1",
        {{"scale", "0.6", "1.666", "1.667", "dropout", "divi", "keep", "factor"}},
        "the dropout's scale 1 / 0.6 is forgotten", {"mask is forgotten", "twice"});
  g.add("dropout", "no dropout", "b1", {drop, join(forgotten, cut)},
        "the dropout is forgotten on the way back");
  g.add("dropout", "dropout twice", "W1", {drop, join(twice, {"1.666", "1.667", "5/3"})},
        "mask / 0.6 is applied twice");
  g.add("wrong slope", "relu's mask", "W1",
        {{"leaky", "relu", "slope", "derivative"}, {"relu", "0 for", "mask", "negative", "0.1", "z > 0"}},
        "ReLU's mask in place of the leaky ReLU's slope 0.1 for z < 0");
  g.add("derivative forgotten", "no slope", "b1", {join(slope, {"leaky", "relu"}), forgotten},
        "the leaky ReLU's derivative is forgotten");
  g.add("other value in place", "a1 before dropout", "W2",
        {{"dropout", "mask", "before", "leaky", "without", "0.6"}}, "dW2 from a1 before the dropout");
  g.add("samples left out", "last sample's error", "b1",
        {{"last", "row 5", "sample 5", "sample 6", "one sample", "single", "1 of"}},
        "db1 is the last sample's d1, without a sum over the samples");
  g.add("pair", "no slope, no scale", "W1",
        {join(slope, {"leaky", "relu"}), forgotten, {"scale", "0.6", "1.666", "1.667", "dropout", "factor"}},
        "the leaky ReLU's derivative and the dropout's scale are both forgotten");
}

}  // namespace

std::vector<Mistake> mistakes_a() {
  Mistakes list;
  sigmoid_net(list);
  relu_classifier(list);
  logistic_regression(list);
  square_net(list);
  dropout_net(list);
  rnn(list);
  batch_norm_net(list);
  convolution_net(list);
  embedding_bag(list);
  tied_autoencoder(list);
  causal_attention(list);
  residual_net(list);
  gaussian(list);
  polynomial(list);
  return list;
}

}  // namespace xtape::test
