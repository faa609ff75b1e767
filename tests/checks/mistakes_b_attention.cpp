// Set B of mistakes: embeddings and attention.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

namespace {

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

}  // namespace

/// Attention over embeddings with repeated words, scores x A xᵀ / √d: six places, embeddings of 4, values
/// of 3.
void embedded_attention(Mistakes& list) {
  random::seed(217);
  const Indices places{1, 3, 0, 3, 4, 1};
  const Matrix y = normal({6, 3}), E = weights({5, 4}), A = weights({4, 4}), Wv = weights({4, 3});
  const auto loss = [=] {
    const Matrix x = take(E, places, 0), p = softmax(matmul(matmul(x, A), transpose(x)) / 2);
    return nn::mse_loss(matmul(p, matmul(x, Wv)), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix x = take(E, places, 0), p = softmax(matmul(matmul(x, A), transpose(x)) / 2),
                 v = matmul(x, Wv), error = 2 * (matmul(p, v) - y) / 18;
    const Matrix dp = matmul(error, transpose(v));
    Matrix ds = p * (dp - sum(p * dp, 1, true));
    if (wrong == "softmax's derivative forgotten") ds = dp;
    if (wrong == "diagonal of the Jacobian") ds = p * (1 - p) * dp;
    if (wrong == "along the columns") ds = p * (dp - sum(p * dp, 0, true));
    if (wrong != "no scale") ds = ds / 2;
    if (wrong == "scale twice") ds = ds / 2;
    const Matrix dv = matmul(transpose(p), error), by_query = matmul(ds, matmul(x, transpose(A))),
                 by_key = matmul(transpose(ds), matmul(x, A)), by_value = matmul(dv, transpose(Wv));
    Matrix dx = by_query + by_key + by_value;
    if (wrong == "keys forgotten") dx = by_query + by_value;
    if (wrong == "values only") dx = by_value;
    if (wrong == "values forgotten") dx = by_query + by_key;
    if (wrong == "A not transposed") dx = matmul(ds, matmul(x, A)) + by_key + by_value;
    Matrix dE = zeros_like(E);
    for (std::size_t i = 0; i < 6; ++i)
      for (std::size_t j = 0; j < 4; ++j) {
        double& entry = dE.mutable_data()[static_cast<std::size_t>(places[i]) * 4 + j];
        entry = dx.data()[i * 4 + j] + (wrong == "overwritten" ? 0 : entry);
      }
    Matrix dA = matmul(transpose(x), matmul(ds, x));
    if (wrong == "dA transposed") dA = transpose(dA);
    return Graph::Gradients{
        {"E", dE},
        {"A", dA},
        {"Wv", matmul(transpose(x), wrong == "P not transposed" ? matmul(p, error) : dv)}};
  };
  Graph g(list, "embedded attention", {{"E", E}, {"A", A}, {"Wv", Wv}}, loss, hand);
  const Words use{"use", "branch", "path",  "edge", "only",    "constant", "one of",
                  "key", "quer",   "value", "take", "operand", "transpose"};
  const Words scaled{"1/√d", "√4",   "√d",  "sqrt", "scale", "factor", "½",
                     "half", "by 2", "2 ×", "2×",   "twice", "/ 2",    "0.5"};
  g.add_any(
      "one use of a shared weight", "keys forgotten", "E",
      {{join(forgotten, {"cut", "constant", "dropped"}), join(one_use, {"key", "transpose", "second", "ᵀ"})},
       {{"only"}, {"quer", "value"}}},
      "the use of x as keys is forgotten", {"value", "scale"});
  g.add_any("one use of a shared weight", "values only", "E",
            {{{"only"}, {"value", "wv", "third", "last"}},
             {join(forgotten, {"cut", "constant"}),
              {"softmax", "score", "attention", "queries and keys", "keys and queries", "probabilit"}}},
            "only the use of x as values is counted", {"value is", "values is forgotten", "scale", "√"});
  g.add_any(
      "one use of a shared weight", "values forgotten", "E",
      {{join(forgotten, {"cut", "constant", "dropped"}), join(one_use, {"value", "wv", "third", "last"})},
       {{"only"}, {"quer", "key", "softmax", "score"}}},
      "the use of x as values is forgotten", {"only the use of x as values"});
  g.add("rows overwritten", "overwritten", "E",
        {repeated, {"last", "overwr", "not accumul", "instead", "assign"}},
        "rows of repeated words are overwritten");
  g.add("attention's scale", "no scale", "A", {scaled}, "1 / √d is forgotten");
  g.add("attention's scale", "scale twice", "E",
        {scaled,
         {"score", "softmax", "scale", "divi", "√", "sqrt", "attention", "matmul", "twice", "/ 2", "½"}},
        "1 / √d is applied twice in the scores' path");
  g.add("derivative forgotten", "softmax's derivative forgotten", "A", {{"softmax", "jacobian"}, forgotten},
        "the softmax's derivative is forgotten");
  g.add("softmax's diagonal", "diagonal of the Jacobian", "A",
        {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"}},
        "the diagonal of the softmax's Jacobian only");
  g.add("axis", "along the columns", "A", {{"softmax", "jacobian", "sum"}, {"axis", "column", "row"}},
        "the sum of the softmax's Jacobian along the wrong axis");
  g.add("not transposed", "dA transposed", "A", {join(transposed, {"swap", "exchang"})},
        "dA comes out transposed");
  g.add("not transposed", "A not transposed", "E", {transposed, {"a", "matmul", "weight"}},
        "dS x A in place of dS x Aᵀ for the queries");
  g.add("not transposed", "P not transposed", "Wv", {transposed}, "P dO in place of Pᵀ dO");
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

}  // namespace xtape::test
