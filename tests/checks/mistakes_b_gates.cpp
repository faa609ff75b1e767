// Set B of mistakes: what gates mix.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

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

}  // namespace xtape::test
