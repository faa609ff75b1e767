// Set B of mistakes: models that are no plain nets.
#include "mistakes_graph.hpp"

namespace xtape::test {

void models_b(Mistakes& list);

namespace {
using namespace words;

/// x with `updates` (n, columns) added at rows, or put there.
Matrix at_rows(const Matrix& like, const Indices& rows, const Matrix& updates, const std::string& how) {
  Matrix result = zeros_like(like);
  const std::size_t columns = like.shape(1);
  std::vector<bool> seen(like.shape(0), false);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    for (std::size_t j = 0; j < columns; ++j) {
      double& target = result.mutable_data()[row * columns + j];
      const double update = updates.data()[i * columns + j];
      if (how == "overwritten")
        target = update;
      else if (how != "first occurrence only" || !seen[row])
        target += update;
    }
    seen[row] = true;
  }
  return result;
}

/// Skip-grams with one negative sample: seven words of three numbers, six pairs.
void skip_gram(Mistakes& list) {
  random::seed(221);
  const Indices centres{2, 0, 2, 5, 0, 2}, contexts{1, 3, 1, 6, 4, 3}, negatives{6, 1, 4, 1, 6, 0};
  const Matrix U = weights({7, 3}), V = weights({7, 3});
  const auto loss = [=] {
    const Matrix u = take(U, centres, 0);
    return -mean(log_sigmoid(sum(u * take(V, contexts, 0), 1)) +
                 log_sigmoid(-sum(u * take(V, negatives, 0), 1)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix u = take(U, centres, 0), v = take(V, contexts, 0), w = take(V, negatives, 0);
    const Matrix positive = sigmoid(sum(u * v, 1, true)), negative = sigmoid(sum(u * w, 1, true));
    Matrix d = positive - 1, e = negative;
    if (wrong == "1 not subtracted") d = positive;
    if (wrong == "negatives forgotten") e = 0 * e;
    if (wrong == "positives forgotten") d = 0 * d;
    if (wrong == "negatives' sign") e = -e;
    if (wrong == "slope on top") d = d * positive * (1 - positive), e = e * negative * (1 - negative);
    if (wrong != "not divided by N") d = d / 6, e = e / 6;
    const Matrix du = d * (wrong == "u for v" ? u : v) + e * w;
    return Graph::Gradients{{"U", at_rows(U, centres, du, wrong)},
                            {"V", at_rows(V, contexts, d * u, wrong) + at_rows(V, negatives, e * u, wrong)}};
  };
  Graph g(list, "skip-gram", {{"U", U}, {"V", V}}, loss, hand);
  const Words repeated{"repeat",     "duplicate", "several times", "occur",  "accumulat", "overwrit",
                       "same index", "same row",  "same word",     "add up", "added up",  "summed"};
  const Words branch{"negative", "branch", "path",  "edge",     "term",        "use",    "take",
                     "one of",   "second", "first", "positive", "log_sigmoid", "context"};
  g.add("rows overwritten", "overwritten", "U",
        {repeated, {"last", "overwr", "not accumul", "instead", "assign"}},
        "rows of repeated words are overwritten");
  g.add("rows overwritten", "first occurrence only", "V", {repeated, {"first", "once", "only"}},
        "only the first occurrence of a word is counted");
  g.add("edge dropped", "negatives forgotten", "U", {cut, branch}, "the negative samples' term is forgotten");
  g.add("edge dropped", "positives forgotten", "V", {cut, branch}, "the true contexts' term is forgotten",
        {"occurrence"});
  g.add("sign of a branch", "negatives' sign", "V", {sign, branch},
        "the negative samples' term has the wrong sign");
  g.add("label not subtracted", "1 not subtracted", "U",
        {{"1", "label", "target", "sigmoid"},
         join(forgotten, {"subtract", "(−", "sigmoid(x)", "wrong", "instead", "slope", "derivative"})},
        "1 is not subtracted: σ in place of σ − 1 for the true contexts");
  g.add("derivative twice", "slope on top", "V",
        {slope, join(twice, {"top", "already", "additional", "extra", "multiplied"})},
        "σ − 1 is multiplied by sigmoid', which it contains already");
  g.add("other value in place", "u for v", "U",
        {{"u", "v", "operand", "factor", "take", "context", "centre"},
         join(instead, twice),
         {"operand", "other", "itself", "own", "take", "factor", "context", "u "}},
        "du = d u in place of d v", {"σ"});
  g.add("factor", "not divided by N", "U", {batch("6")}, "the division by N = 6 pairs is forgotten",
        {"negative"});
}

/// A variational autoencoder: 4 numbers, 5 hidden, 3 latent, five samples; log σ² as an output.
void variational(Mistakes& list) {
  random::seed(222);
  const Matrix x = normal({5, 4}), noise = normal({5, 3}), We = weights({4, 5}), Wm = weights({5, 3}),
               Ws = weights({5, 3}, 0.4), Wd = weights({3, 4});
  const auto loss = [=] {
    const Matrix h = tanh(matmul(x, We)), mu = matmul(h, Wm), log_variance = matmul(h, Ws);
    const Matrix z = mu + noise * exp(0.5 * log_variance);
    const Matrix kl = -0.5 * sum(1 + log_variance - square(mu) - exp(log_variance));
    return (sum(square(matmul(z, Wd) - x)) + kl) / 5;
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = tanh(matmul(x, We)), mu = matmul(h, Wm), lv = matmul(h, Ws), deviation = exp(0.5 * lv),
                 z = mu + noise * deviation;
    const Matrix error = (wrong == "no 2" ? 1 : 2) * (matmul(z, Wd) - x) / 5,
                 dz = matmul(error, transpose(Wd));
    Matrix kl_mu = mu / 5, kl_lv = 0.5 * (exp(lv) - 1) / 5;
    if (wrong == "no KL" || wrong == "no KL, no tanh'") kl_mu = 0 * kl_mu, kl_lv = 0 * kl_lv;
    if (wrong == "KL's sign") kl_mu = -kl_mu, kl_lv = -kl_lv;
    if (wrong == "KL without 1") kl_lv = 0.5 * exp(lv) / 5;
    if (wrong == "KL not divided by N") kl_mu = 5 * kl_mu, kl_lv = 5 * kl_lv;
    Matrix path = dz * noise * 0.5 * deviation;
    if (wrong == "½ forgotten") path = 2 * path;
    if (wrong == "noise forgotten") path = dz * 0.5 * deviation;
    if (wrong == "sampling as a constant") path = 0 * path;
    if (wrong == "exp forgotten") path = dz * noise * 0.5;
    const Matrix dmu = dz + kl_mu, dlv = path + kl_lv;
    Matrix dh = matmul(dmu, transpose(Wm)) + matmul(dlv, transpose(Ws));
    if (wrong == "variance's branch forgotten") dh = matmul(dmu, transpose(Wm));
    const Matrix s = wrong == "no KL, no tanh'" || wrong == "no tanh'" ? ones_like(h)
                     : wrong == "1 - a"                                ? 1 - h
                                                                       : 1 - h * h;
    return Graph::Gradients{{"We", matmul(transpose(x), dh * s)},
                            {"Wm", matmul(transpose(h), dmu)},
                            {"Ws", matmul(transpose(h), dlv)},
                            {"Wd", matmul(transpose(wrong == "mu for z" ? mu : z), error)}};
  };
  Graph g(list, "variational autoencoder", {{"We", We}, {"Wm", Wm}, {"Ws", Ws}, {"Wd", Wd}}, loss, hand);
  const Words kl{"kl",     "divergence", "square", "μ",    "mu",  "penalty", "term",
                 "branch", "path",       "use",    "edge", "exp", "one of"};
  g.add("edge dropped", "no KL", "Wm", {cut, kl}, "the KL divergence is forgotten");
  g.add("edge dropped", "no KL", "We", {cut, kl}, "the KL divergence is forgotten",
        {"mean's branch", "only the mean"});
  g.add("sign of a branch", "KL's sign", "Wm", {sign, kl}, "the KL divergence has the wrong sign");
  g.add("edge dropped", "KL without 1", "Ws",
        {cut, {"own term", "log variance", "lv", "− 1", "1 +", "+ 1", "log_variance", "add", "sum"}},
        "½ e^lv in place of ½ (e^lv − 1): the log variance's own term is forgotten",
        {"½ in", "derivative of exp", "noise"});
  g.add("factor of a branch", "KL not divided by N", "Wm", {kl, batch("5")},
        "the KL divergence is not divided by N");
  g.add("factor of a branch", "½ forgotten", "Ws",
        {two, {"exp", "σ", "deviation", "½", "0.5", "half", "branch", "path", "noise", "variance", "edge"}},
        "the ½ in e^(½ lv) is forgotten", {"own term"});
  g.add("edge forgotten", "noise forgotten", "Ws",
        {{"noise", "ε", "eps", "constant", "factor", "multipl", "product", "random"}, forgotten},
        "the noise is forgotten: dσ = dz");
  g.add("edge dropped", "sampling as a constant", "Ws",
        {cut,
         {"noise", "sampl", "exp", "reparam", "σ", "deviation", "branch", "path", "edge", "multipl",
          "reconstruct", "one of"}},
        "the way back through the sampling is forgotten", {"noise is forgotten", "derivative of exp"});
  g.add("derivative forgotten", "exp forgotten", "Ws",
        {join(slope, {"exp"}), forgotten, {"exp", "σ", "deviation"}}, "the derivative of exp is forgotten");
  g.add("edge dropped", "variance's branch forgotten", "We",
        {cut, {"ws", "variance", "branch", "path", "edge", "matmul", "log", "use", "one of"}},
        "only the mean's branch goes back into the encoder");
  g.add("derivative forgotten", "no tanh'", "We",
        {slope, forgotten, {"tanh", "hidden", "activation", "layer", "a", "h"}}, "tanh' is forgotten");
  g.add("wrong slope", "1 - a", "We", {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "1−a", "square"}},
        "1 − a in place of 1 − a²");
  g.add("other value in place", "mu for z", "Wd",
        {{"mu", "μ", "noise", "mean", "sampl", "add", "before", "z", "matmul", "branch"},
         join(instead, cut),
         {"mu", "μ", "noise", "mean", "sampl", "add", "wm", "matmul", "exp", "operand"}},
        "the decoder's input is μ in place of the sampled z");
  g.add("factor", "no 2", "Wd", {two}, "the 2 of the square is forgotten");
  g.add("pair", "no KL, no tanh'", "We", {slope, forgotten, kl},
        "the KL divergence and tanh' are both forgotten");
}

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

/// Two highway layers: widths 3, 4, 4, 4, 2; five samples.
void highway(Mistakes& list) {
  random::seed(224);
  const Matrix x = normal({5, 3}), y = normal({5, 2}), W0 = weights({3, 4}), Wh = weights({4, 4}),
               Wt = weights({4, 4}), bt = weights({4}), V = weights({4, 2});
  const auto loss = [=] {
    const Matrix u = matmul(x, W0), h = tanh(matmul(u, Wh)), t = sigmoid(affine(u, Wt, bt));
    return nn::mse_loss(matmul(t * h + (1 - t) * u, V), y, nn::Reduction::sum);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix u = matmul(x, W0), h = tanh(matmul(u, Wh)), t = sigmoid(affine(u, Wt, bt)),
                 out = t * h + (1 - t) * u;
    const Matrix dout = matmul(2 * (matmul(out, V) - y), transpose(V));
    Matrix dt = dout * (h - u);
    if (wrong == "h alone") dt = dout * h;
    if (wrong == "u - h") dt = -dt;
    if (wrong == "u added") dt = dout * (h + u);
    Matrix st = t * (1 - t);
    if (wrong == "no sigmoid'") st = ones_like(t);
    if (wrong == "tanh's slope of the gate") st = 1 - t * t;
    const Matrix at = dt * st, dh = wrong == "gate forgotten" ? dout
                                    : wrong == "gate twice"   ? dout * t * t
                                    : wrong == "1 - t for t"  ? dout * (1 - t)
                                                              : dout * t;
    const Matrix ah = dh * (wrong == "no tanh'"     ? ones_like(h)
                            : wrong == "slope at a" ? 1 - square(tanh(h))
                                                    : 1 - h * h);
    Matrix carry = dout * (1 - t), by_gate = matmul(at, transpose(Wt)), by_block = matmul(ah, transpose(Wh));
    if (wrong == "carry forgotten") carry = 0 * carry;
    if (wrong == "carry without 1 - t") carry = dout;
    if (wrong == "gate's path forgotten") by_gate = 0 * by_gate;
    if (wrong == "block forgotten") by_block = 0 * by_block;
    if (wrong == "Wh not transposed") by_block = matmul(ah, Wh);
    return Graph::Gradients{{"W0", matmul(transpose(x), carry + by_gate + by_block)},
                            {"Wh", matmul(transpose(u), ah)},
                            {"Wt", matmul(transpose(u), at)},
                            {"bt", sum(at, 0)},
                            {"V", matmul(transpose(out), 2 * (matmul(out, V) - y))}};
  };
  Graph g(list, "highway layer", {{"W0", W0}, {"Wh", Wh}, {"Wt", Wt}, {"bt", bt}, {"V", V}}, loss, hand);
  const Words edge{"branch", "path", "edge", "multipl", "product", "one of", "use", "matmul", "add"};
  g.add("residual branch forgotten", "carry forgotten", "W0",
        {cut, join(edge, {"carry", "skip", "1 − t", "1 - t", "direct"})},
        "the direct path of the carried input is forgotten", {"factor 1 − t"});
  g.add("residual branch forgotten", "block forgotten", "W0", {cut, join(edge, {"tanh", "wh", "block"})},
        "the way through the block is forgotten", {"tanh'", "direct"});
  g.add("residual branch forgotten", "gate's path forgotten", "W0",
        {cut, join(edge, {"sigmoid", "wt", "gate"})}, "the way through the gate is forgotten", {"direct"});
  g.add("edge forgotten", "carry without 1 - t", "W0",
        {{"1 − t", "1 - t", "gate", "factor", "multipl", "product"}, forgotten},
        "the factor 1 − t of the carried input is forgotten", {"way through the gate"});
  g.add("edge dropped", "h alone", "Wt", {cut, join(edge, {"1 − t", "1 - t", "carry", "u"})},
        "the gate's use in 1 − t is forgotten");
  g.add("sign of a branch", "u added", "bt", {sign, join(edge, {"1 − t", "1 - t", "carry", "gate"})},
        "the wrong sign of u in the gate: h + u in place of h − u");
  g.add("sign", "u - h", "Wt", {sign}, "the wrong sign: u − h in place of h − u");
  g.add("derivative forgotten", "no sigmoid'", "Wt", {slope, forgotten}, "sigmoid' of the gate is forgotten");
  g.add("wrong slope", "tanh's slope of the gate", "bt",
        {join(slope, {"1 − a²", "1 - a²"}), {"tanh", "1 − a²", "1 - a²", "1 − t²", "1 - a^2"}},
        "tanh's slope 1 − t² in place of t (1 − t)");
  g.add("edge forgotten", "gate forgotten", "Wh",
        {{"gate", "t ", "sigmoid", "factor", "multipl", "product"}, forgotten},
        "the gate is forgotten before the block");
  g.add("other value in place", "1 - t for t", "Wh",
        {{"1 − t", "1 - t", "gate", "sigmoid", "1 − ", "1 - ", "subtract"}, instead},
        "1 − t in place of t before the block");

  g.add("edge twice", "gate twice", "Wh", {{"gate", "t ", "sigmoid", "factor", "multipl", "product"}, twice},
        "the gate is applied twice before the block");
  g.add("derivative forgotten", "no tanh'", "W0",
        {slope, forgotten, {"tanh", "wh", "block", "1 − a²", "1 - a²"}}, "tanh' is forgotten");
  g.add("wrong slope", "slope at a", "Wh",
        {slope,
         {"at a", "of a", "(a", "'(a", "twice", "activated value", "the output", "already", "own result",
          "again", "result"}},
        "tanh' is taken at h = tanh(z), the activated value, in place of z");
  g.add("not transposed", "Wh not transposed", "W0", {transposed}, "dh Wh in place of dh Whᵀ");
}

/// A mixture of three experts behind a softmax gate: 4 inputs, 3 outputs, six samples.
void mixture(Mistakes& list) {
  random::seed(225);
  const Matrix x = normal({6, 4}), y = normal({6, 2}), G = weights({4, 3}), E1 = weights({4, 2}),
               E2 = weights({4, 2}), E3 = weights({4, 2});
  const auto loss = [=] {
    const Matrix p = softmax(matmul(x, G));
    Matrix out = zeros<double>({6, 2});
    std::size_t k = 0;
    for (const Matrix& E : {E1, E2, E3}) {
      out = out + slice(p, xt::all(), xt::range(k, k + 1)) * tanh(matmul(x, E));
      ++k;
    }
    return nn::mse_loss(out, y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix p = softmax(matmul(x, G));
    const std::vector<Matrix> experts{tanh(matmul(x, E1)), tanh(matmul(x, E2)), tanh(matmul(x, E3))};
    const auto gate = [&](std::size_t k) { return Matrix(slice(p, xt::all(), xt::range(k, k + 1))); };
    Matrix out = zeros<double>({6, 2});
    for (std::size_t k = 0; k < 3; ++k) out = out + gate(k) * experts[k];
    Matrix error = 2 * (out - y) / 12;
    if (wrong == "y not subtracted") error = 2 * out / 12;
    Graph::Gradients d;
    std::vector<Matrix> scores;
    for (std::size_t k = 0; k < 3; ++k) {
      scores.push_back(sum(error * experts[k], 1, true));
      Matrix weight = gate(wrong == "gate 1 for all" ? 0 : k);
      if (wrong == "gate forgotten") weight = ones_like(weight);
      if (wrong == "gate twice") weight = weight * weight;
      if (wrong == "winner takes all") weight = equal(gate(k), max(p, 1, true)) * 1.0;
      const Matrix s = wrong == "no slopes" ? ones_like(experts[k])
                       : wrong == "1 + a²"  ? 1 + square(experts[k])
                                            : 1 - square(experts[k]);
      d.emplace("E" + std::to_string(k + 1), matmul(transpose(x), error * weight * s));
    }
    const Matrix dp = concatenate(scores, 1);
    Matrix dz = p * (dp - sum(p * dp, 1, true));
    if (wrong == "diagonal of the Jacobian") dz = p * (1 - p) * dp;
    if (wrong == "softmax's derivative forgotten") dz = dp;
    if (wrong == "Σ forgotten") dz = p * dp;
    if (wrong == "third expert forgotten") {
      const Matrix partial = concatenate({scores[0], scores[1], 0 * scores[2]}, 1);
      dz = p * (partial - sum(p * partial, 1, true));
    }
    d.emplace("G", matmul(transpose(x), dz));
    return d;
  };
  Graph g(list, "mixture of experts", {{"G", G}, {"E1", E1}, {"E2", E2}, {"E3", E3}}, loss, hand);
  const Words gated{"gate", "softmax", "factor", "multipl", "product", "p ", "slice", "weight"};
  g.add("softmax's diagonal", "diagonal of the Jacobian", "G",
        {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"}},
        "the diagonal of the softmax's Jacobian only");
  g.add("derivative forgotten", "softmax's derivative forgotten", "G", {{"softmax", "jacobian"}, forgotten},
        "the softmax's derivative is forgotten");
  g.add("softmax's Jacobian", "Σ forgotten", "G",
        {{"softmax", "jacobian", "p dp"},
         {"σ", "sum", "term", "p ·", "without", "part", "p ∘", "normalis", "denominator", "constant", "− p"}},
        "p dp without − p Σ p dp", {"derivative is forgotten", "p (1 − p)", "diagonal"});
  g.add("edge dropped", "third expert forgotten", "G",
        {cut,
         {"e3", "expert", "branch", "path", "use", "edge", "slice", "one of", "third", "multipl", "product",
          "last"}},
        "the gate's third use is forgotten");
  g.add("edge forgotten", "gate forgotten", "E1", {gated, forgotten}, "the gate's weight is forgotten");
  g.add("edge twice", "gate twice", "E2", {gated, twice}, "the gate's weight is applied twice");
  g.add("other value in place", "gate 1 for all", "E3",
        {gated, join(instead, {"first", "other", "another", "1"})},
        "the first gate's weight for the third expert", {"largest"});
  g.add("other value in place", "winner takes all", "E3",
        {{"max", "largest", "winner", "hard", "argmax", "one-hot", "top", "mask"}},
        "the gate is taken as 1 for the largest, 0 else");
  g.add("derivative forgotten", "no slopes", "E2", {slope, forgotten}, "tanh' is forgotten");
  g.add("wrong slope", "1 + a²", "E1", {join(slope, {"1 + a", "1+a"}), {"1 + ", "1+", "sign", "plus"}},
        "1 + a² in place of 1 − a²");
  g.add("label not subtracted", "y not subtracted", "E3",
        {{"y", "target", "label"}, join(forgotten, {"subtract", "zero", "= 0"})},
        "the target is not subtracted");
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
  const Matrix x = normal({6, 5}), target = normal({6, 4}), W = weights({5, 4}), b = weights({4});
  const auto loss = [=] {
    const Matrix a = affine(x, W, b);
    return mean(1 - sum(a * target, 1) / (norm(a, 1) * norm(target, 1)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix a = affine(x, W, b), length = norm(a, 1, true), other = norm(target, 1, true),
                 product = sum(a * target, 1, true), c = product / (length * other);
    Matrix direct = target / (length * other), through = c * a / square(length);
    if (wrong == "norm constant") through = 0 * through;
    if (wrong == "norm's sign") through = -through;
    if (wrong == "norm not squared") through = through * length;
    if (wrong == "a's norm forgotten") direct = target / other, through = 0 * through;
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

/// Regression with Huber's loss by where(), δ = 0.8: 4 features, 2 outputs, eight samples.
void huber(Mistakes& list) {
  random::seed(229);
  const Matrix x = normal({8, 4}), y = normal({8, 2}), W = weights({4, 2}, 0.5), b = weights({2}, 0.3);
  const double delta = 0.8;
  const auto loss = [=] {
    const Matrix r = affine(x, W, b) - y;
    return mean(where(abs(r) <= delta, 0.5 * square(r), delta * (abs(r) - 0.5 * delta)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix r = affine(x, W, b) - y, is_small = abs(r) <= delta,
                 direction = where(r > 0, 1.0, -ones_like(r));
    Matrix d = where(is_small, r, delta * direction);
    if (wrong == "quadratic everywhere") d = r;
    if (wrong == "linear everywhere") d = delta * direction;
    if (wrong == "δ forgotten") d = where(is_small, r, direction);
    if (wrong == "direction forgotten") d = where(is_small, r, full_like(r, delta));
    if (wrong == "branches exchanged") d = where(is_small, delta * direction, r);
    if (wrong == "large errors as 0") d = where(is_small, r, zeros_like(r));
    if (wrong == "2 r") d = where(is_small, 2 * r, delta * direction);
    d = d / (wrong == "mean over the batch only" ? 8 : 16);
    return Graph::Gradients{{"W", matmul(transpose(x), d)}, {"b", sum(d, 0)}};
  };
  Graph g(list, "huber", {{"W", W}, {"b", b}}, loss, hand);
  const Words cases{"where", "case",      "branch", "mask",      "|r|",   "abs",
                    "δ",     "quadratic", "linear", "condition", "square"};
  g.add("mask forgotten", "quadratic everywhere", "W",
        {cases,
         {"everywhere", "all", "quadratic", "forgot", "ignored", "first", "square", "missing", "left out",
          "without", "always", "only"}},
        "the condition of where is ignored: r for large errors, too",
        {"small errors", "derivative of |r|", "left out", "factor"});
  g.add("mask forgotten", "linear everywhere", "W",
        {cases,
         {"everywhere", "all", "linear", "forgot", "ignored", "second", "abs", "missing", "left out",
          "without", "always", "only"}},
        "the condition of where is ignored: δ sign(r) for small errors, too",
        {"derivative of |r|", "large errors", "factor"});
  g.add("factor of a branch", "δ forgotten", "W",
        {{"δ", "delta", "0.8", "factor", "1.25", "constant", "multipl"},
         join(forgotten, factor("0.8"), factor("1.25"))},
        "the factor δ is left out: sign(r) in place of δ sign(r)",
        {"derivative of |r|", "ignored", "large errors"});
  g.add("derivative forgotten", "direction forgotten", "W",
        {{"sign", "abs", "|r|", "±"}, join(forgotten, {"derivative"})},
        "δ in place of δ sign(r): the derivative of |r| is forgotten", {"condition", "factor δ"});
  g.add(
      "other value in place", "branches exchanged", "W",
      {join(cases, {"operand"}),
       {"exchang", "swap", "wrong way", "revers", "other way", "negat", "opposite", "invert", "interchang"}},
      "the two cases of where are exchanged");
  g.add("edge dropped", "large errors as 0", "W", {cut, cases},
        "the branch of where() for large errors is left out", {"derivative of |r|", "ignored", "factor δ"});
  g.add("factor of a branch", "2 r", "W",
        {two,
         {"square", "branch", "quadratic", "where", "case", "r", "½"},
         {"square", "branch", "quadratic", "where", "case", "½", "edge"}},
        "a factor 2 in the quadratic case: 2 r in place of r");
  g.add("factor", "mean over the batch only", "W", {join(outputs("2"), two, averaged)},
        "divided by 8 samples, not by 16 elements", {"quadratic"});
}

/// Four damped oscillators by Euler's method, five steps of 0.2: stiffnesses k, dampings c.
void oscillators(Mistakes& list) {
  random::seed(230);
  const std::size_t steps = 5;
  const double dt = 0.2;
  const Matrix x0 = normal({4}), v0 = normal({4}), k = parameter(random::uniform<double>({4}, 1, 2)),
               c = parameter(random::uniform<double>({4}, 0.2, 0.6));
  std::vector<Matrix> seen;
  for (std::size_t t = 0; t < steps; ++t) seen.push_back(normal({4}));
  const auto loss = [=] {
    Matrix x = x0, v = v0, total(0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      const Matrix a = -k * x - c * v;
      x = x + dt * v;
      v = v + dt * a;
      total = total + sum(square(x - seen[t]));
    }
    return total;
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> x{x0}, v{v0};
    for (std::size_t t = 0; t < steps; ++t) {
      x.push_back(x[t] + dt * v[t]);
      v.push_back(v[t] + dt * (-k * x[t] - c * v[t]));
    }
    Matrix dx = zeros<double>({4}), dv = dx, dk = dx, dc = dx;
    for (std::size_t t = steps; t-- > 0;) {
      if (!(wrong == "last observation only" && t + 1 < steps)) dx = dx + 2 * (x[t + 1] - seen[t]);
      const Matrix da = (wrong == "dt forgotten" ? 1 : dt) * dv;
      if (!(wrong == "last use only" && t + 2 < steps)) {
        dk = dk - da * (wrong == "next x" ? x[t + 1] : x[t]);
        dc = dc - da * (wrong == "x for v" ? x[t] : v[t]);
      }
      Matrix new_dv = dv + dt * dx, new_dx = dx;
      if (wrong != "spring forgotten") new_dx = dx - k * dt * dv;
      if (wrong != "damping forgotten") new_dv = new_dv - c * dt * dv;
      if (wrong == "force's sign") new_dx = dx + k * dt * dv;
      if (wrong == "dv not carried") new_dv = dt * dx;
      dx = new_dx;
      dv = new_dv;
    }
    if (wrong == "plus for the force") dk = -dk;
    return Graph::Gradients{{"k", dk}, {"c", dc}};
  };
  Graph g(list, "oscillators", {{"k", k}, {"c", c}}, loss, hand);
  const Words state{"step", "time", "previous", "earlier", "recurr", "state", "branch",
                    "path", "edge", "multipl",  "product", "every",  "use",   "add"};
  g.add("recurrent branch forgotten", "spring forgotten", "k", {cut, state},
        "the force's dependence on the state x is cut on the way back", {"last observation", "v(t)"});
  g.add("recurrent branch forgotten", "damping forgotten", "c", {cut, state},
        "the damping's dependence on the state v is cut on the way back", {"time step is", "last two"});
  g.add("recurrent branch forgotten", "dv not carried", "k", {cut, state},
        "the path from v(t) to the next step's v(t + 1) is cut", {"last observation", "force"});
  g.add("sign of a branch", "force's sign", "k", {sign}, "the force goes back with the wrong sign",
        {"minus of"});
  g.add("sign", "plus for the force", "k", {sign}, "the minus of − k x is forgotten", {"goes back"});
  g.add("factor", "dt forgotten", "c", {join(factor("5"), {"dt", "0.2", "δt", "time step", "factor"})},
        "the time step is forgotten before the force");
  g.add("samples left out", "last observation only", "k", {{"last", "only", "observation"}, join(cut, state)},
        "only the last observation is counted");
  g.add("one use of a shared weight", "last use only", "c",
        {{"last", "only", "one use", "use of", "one of", "trunc", "two", "2"}, join(state, cut)},
        "only the last two steps' uses are counted");
  g.add("other value in place", "next x", "k",
        {{"x", "next", "state", "step", "other"},
         instead,
         {"next", "later", "x(", "step", "another", "other", "value", "sum", "result", "operand"}},
        "x(t + 1) in place of x(t)");
  g.add("other value in place", "x for v", "c",
        {{"x", "v", "state", "operand", "position", "other"}, instead}, "x in place of v");
}

}  // namespace

void models_b(Mistakes& list) {
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
}

}  // namespace xtape::test
