// Set B of mistakes: scores of pairs.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// A siamese net with the contrastive loss: 4 numbers to 3, eight pairs, margin 2.
void siamese(Mistakes& list) {
  random::seed(223);
  const Matrix x1 = normal({8, 4}), x2 = normal({8, 4}), W = weights({4, 3}), b = weights({3});
  const Matrix same = reshape(Matrix{1, 0, 0, 1, 0, 1, 0, 0}, {8, 1});
  const double margin = 1.2;
  const auto loss = [=] {
    const Matrix difference = tanh(affine(x1, W, b)) - tanh(affine(x2, W, b)),
                 distance = norm(difference, 1, true);
    return mean(same * square(distance) + (1 - same) * square(relu(margin - distance)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix a1 = tanh(affine(x1, W, b)), a2 = tanh(affine(x2, W, b)), difference = a1 - a2,
                 distance = norm(difference, 1, true);
    Matrix near = same * 2 * distance, far = -(1 - same) * 2 * relu(margin - distance);
    if (wrong == "same pairs only") far = 0 * far;
    if (wrong == "different pairs only") near = 0 * near;
    if (wrong == "margin without mask") far = -(1 - same) * 2 * (margin - distance);
    if (wrong == "sign of the margin") far = -far;
    Matrix d = (near + far) * difference / distance / 8;
    if (wrong == "norm's 1/D forgotten") d = d * distance;
    Matrix s1 = 1 - a1 * a1, s2 = 1 - a2 * a2;
    if (wrong == "no slopes") s1 = ones_like(s1), s2 = s1;
    if (wrong == "slope of the other") s2 = s1;
    const Matrix first = matmul(transpose(x1), d * s1),
                 second = matmul(transpose(wrong == "x1 twice" ? x1 : x2), -d * s2);
    Matrix dW = first + second;
    if (wrong == "first branch only") dW = first;
    if (wrong == "second branch only") dW = second;
    if (wrong == "branches added") dW = first - second;
    return Graph::Gradients{
        {"W", dW}, {"b", sum(d * s1, 0) - (wrong == "first branch only" ? 0.0 : 1.0) * sum(d * s2, 0)}};
  };
  Graph g(list, "siamese net", {{"W", W}, {"b", b}}, loss, hand);
  const Words branch{"branch", "path",     "use", "edge", "tanh",   "one of",
                     "only",   "constant", "x1",  "x2",   "affine", "matmul"};
  const Words margins{"margin", "relu",     "1 − y", "1 - y",  "branch", "term",   "path",
                      "edge",   "distance", "norm",  "square", "one of", "second", "first"};
  g.add_any("one use of a shared weight", "first branch only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"second", "2nd", "x2", "#2", "last", "other", "subtract"})},
             {{"only"}, {"first", "1st", "x1", "#1", "left"}}},
            "the second branch is forgotten",
            {"margin", "minus", "wrong sign", "tanh'", "both branches", "first branch is", "pairs"});
  g.add_any(
      "one use of a shared weight", "second branch only", "W",
      {{join(forgotten, {"cut", "constant", "dropped"}), join(one_use, {"first", "1st", "x1", "#1", "left"})},
       {{"only"}, {"second", "2nd", "x2", "#2", "last", "other", "subtract"}}},
      "the first branch is forgotten",
      {"margin", "minus", "wrong sign", "tanh'", "both branches", "second branch is", "pairs", "norm's"});
  g.add_any("one use of a shared weight", "first branch only", "b",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"second", "2nd", "x2", "#2", "last", "other", "subtract"})},
             {{"only"}, {"first", "1st", "x1", "#1", "left"}}},
            "the second branch is forgotten",
            {"margin", "minus", "wrong sign", "tanh'", "both branches", "pairs"});
  g.add("sign of a branch", "branches added", "W", {sign, branch}, "the second branch's minus is forgotten");
  g.add("edge dropped", "same pairs only", "W",
        {cut, {"margin", "relu", "1 − y", "1 - y", "different", "term", "second", "one of"}},
        "the margin's term is forgotten",
        {"second branch", "first branch", "minus", "far enough", "both branches"});
  g.add("edge dropped", "different pairs only", "b",
        {cut, {"same", "term", "first", "square", "distance", "one of", "similar"}},
        "the term of the pairs that are the same is forgotten", {"branch", "margin", "1/d"});
  g.add("mask forgotten", "margin without mask", "W", {join(slope, masked), join(forgotten, {"mask is"})},
        "relu's mask is forgotten: pairs that are far enough are counted, too", {"norm's", "tanh'"});
  g.add("sign of a branch", "sign of the margin", "W", {sign, margins},
        "the margin's part has the wrong sign: the minus before D in m − D is forgotten", {"second branch"});
  g.add("derivative forgotten", "norm's 1/D forgotten", "W",
        {join(slope, {"norm", "distance", "1/d", "sqrt", "root"}), forgotten},
        "the norm's derivative is left out: dD = difference, not divided by D", {"mask", "tanh'"});
  g.add("derivative forgotten everywhere", "no slopes", "W", {slope, forgotten},
        "tanh' is forgotten in both branches", {"mask", "norm's"});
  g.add("other value in place", "slope of the other", "W",
        {join(slope, {"tanh"}),
         join(instead, {"in both"}),
         {"other", "first", "another", "1", "swap", "branch", "sibling", "affine"}},
        "the first branch's tanh' in both branches", {"forgotten"});
  g.add("other value in place", "x1 twice", "W",
        {{"x1", "x2", "input", "operand", "other"}, join(instead, {"both"})},
        "x1 as the input of both branches", {"tanh'", "forgotten", "sign"});
}

/// Ratings of five users and five things by factors of three numbers, some unknown, with a penalty.
void factorisation(Mistakes& list) {
  random::seed(226);
  const Matrix ratings = normal({5, 5}), U = weights({5, 3}), V = weights({5, 3});
  const Matrix known = (random::uniform<double>({5, 5}) < 0.7) * 1.0;
  const double decay = 0.05;
  const auto loss = [=] {
    return sum(known * square(ratings - matmul(U, transpose(V)))) + decay * (sum(square(U)) + sum(square(V)));
  };
  const auto hand = [=](const std::string& wrong) {
    Matrix error = 2 * known * (matmul(U, transpose(V)) - ratings);
    if (wrong == "unknown ones counted") error = 2 * (matmul(U, transpose(V)) - ratings);
    if (wrong == "no 2 in the data") error = error / 2;
    if (wrong == "sign of the data") error = -error;
    double l2 = 2 * decay;
    if (wrong == "penalty without 2" || wrong == "unknown ones counted, penalty without 2") l2 = decay;
    if (wrong == "no penalty") l2 = 0;
    if (wrong == "penalty twice") l2 *= 2;
    if (wrong == "penalty's sign") l2 = -l2;
    const Matrix dU = matmul(error, V) + l2 * U;
    Matrix factors = U;
    if (wrong == "U updated") factors = U - 0.02 * dU;
    if (wrong == "V for U") factors = V;
    return Graph::Gradients{
        {"U", dU}, {"V", matmul(wrong == "not transposed" ? error : transpose(error), factors) + l2 * V}};
  };
  Graph g(list, "matrix factorisation", {{"U", U}, {"V", V}}, loss, hand);
  g.add("mask forgotten", "unknown ones counted", "U",
        {{"mask", "known", "multipl", "constant", "product", "weight", "factor", "0 and 1"}, forgotten},
        "the mask of known ratings is left out: unknown ones are counted as errors");
  g.add("factor with a penalty", "no 2 in the data", "V",
        {two,
         {"square", "data", "error", "loss", "branch", "path", "penalty", "without", "but", "edge", "matmul",
          "known", "product", "multipl"}},
        "the 2 of the square is forgotten; the penalty has it", {"λ v"});
  g.add("sign of a branch", "sign of the data", "U", {sign},
        "the data's part has the wrong sign, the penalty's is right", {"penalty has"});
  g.add("penalty", "penalty without 2", "V", {join(penalty, {"square", "branch", "path", "edge"}), two},
        "the penalty lacks its 2: λ V in place of 2 λ V", {"penalty has it", "4 λ"});
  g.add("penalty", "no penalty", "U",
        {join(penalty, {"square", "branch", "path", "edge"}), join(forgotten, cut)},
        "the penalty is forgotten");
  g.add("penalty", "penalty twice", "V",
        {join(penalty, {"square", "branch", "path", "edge"}), join(two, twice)},
        "the penalty is doubled: 4 λ V in place of 2 λ V", {"penalty has it", "lacks"});
  g.add("penalty", "penalty's sign", "U", {join(penalty, {"square", "branch", "path", "edge"}), sign},
        "the penalty has the wrong sign", {"penalty's is right"});
  g.add("updated weight", "U updated", "V",
        {{"updated", "after the step", "new ", "learning rate", "step", "already changed"}},
        "U was updated (rate 0.02) before dV was computed");
  g.add("not transposed", "not transposed", "V", {transposed}, "E U in place of Eᵀ U", {"eᵀ v"});
  g.add("other value in place", "V for U", "V",
        {{"v", "u"}, instead, {"u ", "v ", "u,", "v,", "other", "operand", "itself", "own", "factor"}},
        "Eᵀ V in place of Eᵀ U", {"λ", "updated", "e u"});
}

/// 1 − cosine of a layer's output and a target: 5 numbers to 4, six samples.
void cosine(Mistakes& list) {
  random::seed(227);
  const Matrix x = normal({6, 5}), y = normal({6, 4}), W = weights({5, 4}), b = weights({4});
  const auto loss = [=] {
    const Matrix a = affine(x, W, b);
    return mean(1 - sum(a * y, 1) / (norm(a, 1) * norm(y, 1)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix a = affine(x, W, b), length = norm(a, 1, true), other = norm(y, 1, true),
                 product = sum(a * y, 1, true), c = product / (length * other);
    Matrix direct = y / (length * other), through = c * a / square(length);
    if (wrong == "norm constant") through = 0 * through;
    if (wrong == "norm's sign") through = -through;
    if (wrong == "norm not squared") through = through * length;
    if (wrong == "a's norm forgotten") direct = y / other, through = 0 * through;
    if (wrong == "product constant") direct = 0 * direct;
    Matrix d = -(direct - through);
    if (wrong == "minus forgotten") d = -d;
    if (wrong != "not divided by N") d = d / 6;
    if (wrong == "half of the batch") d = d * rows_mask(6, 3, 3);
    return Graph::Gradients{{"W", matmul(transpose(x), d)}, {"b", sum(d, 0)}};
  };
  Graph g(list, "cosine", {{"W", W}, {"b", b}}, loss, hand);
  const Words length{"norm", "length", "|a|", "denominator", "quotient", "divi"};
  g.add("moments as constants", "norm constant", "W", {length, join(cut, {"quotient rule"})},
        "the norm |a| is taken as a constant", {"quotient rule with", "left out", "wrong sign", "once too"});
  g.add("sign of a branch", "norm's sign", "W", {sign, length},
        "the wrong sign in the quotient rule: the path of the norm is added");
  g.add("factor", "norm not squared", "W",
        {{"norm", "length", "|a|", "denominator", "quotient", "divi"},
         {"square", "power", "once", "|a|²", "too little", "1/", "without", "derivative", "divided by"}},
        "the norm's path is divided by |a| once too little", {"constant", "altogether"});
  g.add("edge dropped", "a's norm forgotten", "W", {length, cut},
        "the norm |a| is left out altogether: the target over its norm",
        {"as a constant", "once too", "wrong sign"});
  g.add("edge dropped", "product constant", "b",
        {cut, {"product", "sum", "numerator", "dot", "multipl", "branch", "path", "norm", "edge"}},
        "only the norm's path is differentiated");
  g.add("sign", "minus forgotten", "W", {sign},
        "the sign is wrong: the gradient of the cosine, not of 1 − cosine", {"quotient rule", "path"});
  g.add("factor", "not divided by N", "b", {batch("6")}, "the division by N = 6 is forgotten", {"only"});
  g.add("samples left out", "half of the batch", "W",
        {{"samples", "batch", "rows"}, {"half", "last", "only", "left out", "missing", "3", "without"}},
        "the last three samples of six only");
}

/// A bilinear form u A v of two projections by one matrix: 3 numbers to 4, seven samples.
void bilinear(Mistakes& list) {
  random::seed(228);
  const Matrix x = normal({7, 3}), t = normal({7, 3}), y = normal({7}), P = weights({3, 4}),
               A = weights({4, 4});
  const auto loss = [=] {
    const Matrix u = matmul(x, P), v = matmul(t, P);
    return nn::mse_loss(sum(matmul(u, A) * v, 1), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix u = matmul(x, P), v = matmul(t, P), scores = sum(matmul(u, A) * v, 1);
    Matrix d = unsqueeze(2 * (scores - y) / 7, 1);
    if (wrong == "y not subtracted") d = unsqueeze(2 * scores / 7, 1);
    const Matrix du = matmul(d * v, wrong == "A not transposed" ? A : transpose(A)),
                 dv = d * matmul(u, wrong == "A transposed for v" ? transpose(A) : A);
    Matrix first = matmul(transpose(x), du), second = matmul(transpose(t), dv),
           dA = matmul(transpose(d * u), v);
    if (wrong == "dA transposed") dA = transpose(dA);
    if (wrong == "symmetric A") dA = dA + transpose(dA);
    if (wrong == "d forgotten") dA = matmul(transpose(u), v);
    Matrix dP = first + second;
    if (wrong == "first use only") dP = first;
    if (wrong == "second use only") dP = second;
    if (wrong == "first use twice") dP = 2 * first;
    return Graph::Gradients{{"P", dP}, {"A", dA}};
  };
  Graph g(list, "bilinear form", {{"P", P}, {"A", A}}, loss, hand);
  const Words use{"use", "branch", "path", "edge", "only", "one of", "constant", "first", "second", "matmul"};
  g.add_any("one use of a shared weight", "first use only", "P",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"second", "for v", "t p", "of v", "right", "last"})},
             {{"only"}, {"first", "for u", "x p", "of u", "left"}}},
            "the use of P for v is forgotten", {"for u is"});
  g.add_any("one use of a shared weight", "second use only", "P",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"first", "for u", "x p", "of u", "left"})},
             {{"only"}, {"second", "for v", "t p", "of v", "right", "last"}}},
            "the use of P for u is forgotten", {"for v is"});
  g.add("one use of a shared weight", "first use twice", "P", {use, join(twice, two)},
        "2 times the first use, as if A were symmetric and both inputs the same");
  g.add("not transposed", "A not transposed", "P", {transposed, {"a"}}, "du = d v A in place of d v Aᵀ",
        {"dv"});
  g.add("not transposed", "A transposed for v", "P", {transposed, {"a"}}, "dv = d u Aᵀ in place of d u A",
        {"du"});
  g.add("not transposed", "dA transposed", "A", {join(transposed, {"swap", "exchang"})},
        "dA = vᵀ (d u) in place of (d u)ᵀ v", {"symmetric", "error"});
  g.add("other value in place", "symmetric A", "A", {{"symmetric", "transpos", "aᵀ", "both"}},
        "dA + dAᵀ, as if A were symmetric");
  g.add("edge forgotten", "d forgotten", "A",
        {{"error", "d", "adjoint", "loss", "upstream", "mse", "factor"},
         join(forgotten, {"1"}),
         {"error", "adjoint", "loss", "upstream", "mse", "derivative", "a − y", "square", "subtract", "chain",
          "incoming"}},
        "uᵀ v: the error is forgotten");
  g.add("label not subtracted", "y not subtracted", "P",
        {{"y", "target", "label"}, join(forgotten, {"subtract", "zero", "= 0"})},
        "the target is not subtracted");
}

}  // namespace xtape::test
