// Set C of mistakes: scores of pairs.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Two views of six samples, 4 numbers to 3 by one matrix, then of length 1; the softmax of all cosines times
/// e^t has to find the other view. As CLIP and InfoNCE have it, in one direction.
void contrastive(Mistakes& list) {
  random::seed(512);
  const std::vector<std::size_t> own{0, 1, 2, 3, 4, 5};
  const Matrix x1 = normal({6, 4}), x2 = x1 + normal({6, 4}, 0.6), W = weights({4, 3}),
               t = parameter(full<double>({1}, 0.9));
  const auto loss = [=] {
    const Matrix z1 = matmul(x1, W), z2 = matmul(x2, W), u = z1 / norm(z1, 1, true),
                 v = z2 / norm(z2, 1, true);
    return nn::cross_entropy(exp(t) * matmul(u, transpose(v)), Indices(own));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = matmul(x1, W), z2 = matmul(x2, W), length1 = norm(z1, 1, true),
                 length2 = norm(z2, 1, true), u = z1 / length1, v = z2 / length2,
                 cosines = matmul(u, transpose(v)), logits = exp(t) * cosines;
    Matrix d = softmax(logits, wrong == "softmax over the columns" ? 0 : 1);
    if (wrong != "own pair not subtracted") d = d - eye<double>(6);
    d = d / (wrong == "divided by 2 N" ? 12 : 6);
    const Matrix scaled = wrong == "temperature forgotten" ? d : exp(t) * d;
    const Matrix du = matmul(scaled, v),
                 dv = matmul(wrong == "not transposed" ? scaled : transpose(scaled), u);
    const auto back = [&](const Matrix& dn, const Matrix& n, const Matrix& length) {
      if (wrong == "lengths constant") return Matrix(dn / length);
      if (wrong == "lengths forgotten") return Matrix(dn - n * sum(dn * n, 1, true));
      return Matrix((dn - n * sum(dn * n, 1, true)) / length);
    };
    const Matrix first = matmul(transpose(x1), back(du, u, length1)),
                 second = matmul(transpose(x2), back(dv, v, length2));
    return Graph::Gradients{{"W", wrong == "first view only" ? first : first + second},
                            {"t", reshape(sum(d * (wrong == "exp' forgotten" ? cosines : logits)), {1})}};
  };
  Graph g(list, "contrastive", {{"W", W}, {"t", t}}, loss, hand);
  const Words length{"norm", "length", "|z|", "‖", "denominator", "quotient", "divi"};
  g.add("edge forgotten", "temperature forgotten", "W",
        {{"temperature", "exp", "e^t", "scale", "factor", "2.45", "2.46", "0.40", "0.41", "multipl"},
         join(forgotten, cut, {"2.45", "2.46", "0.40", "0.41"})},
        "the temperature's factor e^t is left out", {"exp'"});
  g.add("moments as constants", "lengths constant", "W",
        {length,
         {"constant", "depend", "path", "branch", "quotient rule", "not differentiated", "flow", "edge"}},
        "the norms are taken as constants", {"1 / |z|"});
  g.add("edge forgotten", "lengths forgotten", "W", {length, join(forgotten, {"1/", "1 /"})},
        "the division by the norm is left out: 1 / |z| is not there", {"constant"});
  g.add_any("one use of a shared weight", "first view only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"second", "2nd", "x2", "#2", "last", "other", "transpose"})},
             {{"only"}, {"first", "1st", "x1", "#1", "left"}}},
            "the second view's use of W is left out", {"norm", "eᵗ", "temperature"});
  g.add(
      "label not subtracted", "own pair not subtracted", "W",
      {join(label, {"own pair", "diagonal", "identity"}), join(forgotten, {"subtract", "p alone", "only p"})},
      "1 is not subtracted at the label: p alone", {"view"});
  g.add("not transposed", "not transposed", "W", {{"transpos", "ᵀ", "axes swapped", "rows and columns"}},
        "dv = d u in place of dᵀ u", {"view"});
  g.add("axis", "softmax over the columns", "W", {{"softmax"}, {"axis", "batch", "samples", "column"}},
        "softmax along the axis of the columns");
  // As in SimCLR's loss of both directions, which has 2 N terms.
  g.add("factor", "divided by 2 N", "W", {two}, "divided by 2 N: half of the gradient",
        {"view", "square", "norm"});
  g.add("derivative forgotten", "exp' forgotten", "t",
        {join(slope, {"exp", "e^t"}), join(forgotten, {"chain", "cosine"})},
        "exp' is left out: the derivative by e^t, not by t");
}

}  // namespace xtape::test
