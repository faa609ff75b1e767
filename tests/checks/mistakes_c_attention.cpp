// Set C of mistakes: attention with two heads, and embeddings.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Self-attention with two heads of 3 over five places of 6 numbers, of which the last is padding: no query
/// sees it.
void two_heads(Mistakes& list) {
  random::seed(506);
  const Matrix x = normal({5, 6}), y = normal({5, 6}), Wq = weights({6, 6}), Wk = weights({6, 6}, 0.6),
               Wv = weights({6, 6}), Wo = weights({6, 6});
  const Matrix padding{{0, 0, 0, 0, -1e9}};
  const auto head = [](const Matrix& a, std::size_t k) {
    return Matrix(slice(a, xt::all(), xt::range(3 * k, 3 * k + 3)));
  };
  const auto loss = [=] {
    const Matrix q = matmul(x, Wq), k = matmul(x, Wk), v = matmul(x, Wv);
    std::vector<Matrix> outputs;
    for (std::size_t n = 0; n < 2; ++n) {
      const Matrix scores = matmul(head(q, n), transpose(head(k, n))) / std::sqrt(3.0) + padding;
      outputs.push_back(matmul(softmax(scores), head(v, n)));
    }
    return nn::mse_loss(matmul(concatenate(outputs, 1), Wo), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix q = matmul(x, Wq), k = matmul(x, Wk), v = matmul(x, Wv);
    std::vector<Matrix> p, seen, outputs;
    for (std::size_t n = 0; n < 2; ++n) {
      const Matrix scores = matmul(head(q, n), transpose(head(k, n))) / std::sqrt(3.0);
      p.push_back(softmax(scores + padding));
      seen.push_back(wrong == "no padding mask" ? softmax(scores) : p[n]);
      outputs.push_back(matmul(p[n], head(v, n)));
    }
    const Matrix out = concatenate(outputs, 1),
                 error = 2 * (matmul(out, Wo) - y) / (wrong == "divided by the places only" ? 5 : 30);
    const Matrix dout = matmul(error, wrong == "Wo not transposed" ? Wo : transpose(Wo));
    std::vector<Matrix> dq, dk, dv;
    for (std::size_t n = 0; n < 2; ++n) {
      const Matrix d = head(dout, wrong == "heads exchanged" ? 1 - n : n),
                   dp = matmul(d, transpose(head(v, n)));
      Matrix ds = seen[n] * (dp - sum(seen[n] * dp, 1, true));
      if (wrong == "diagonal of the Jacobian" || wrong == "diagonal, no scale") ds = p[n] * (1 - p[n]) * dp;
      ds = ds / std::sqrt(wrong == "diagonal, no scale" ? 1.0 : wrong == "scale of the model" ? 6.0 : 3.0);
      dq.push_back(matmul(ds, head(k, n)));
      dk.push_back(matmul(transpose(ds), head(q, n)));
      dv.push_back(matmul(transpose(seen[n]), d));
    }
    if (wrong == "second head forgotten") dk[1] = 0 * dk[1];
    return Graph::Gradients{{"Wq", matmul(transpose(x), concatenate(dq, 1))},
                            {"Wk", matmul(transpose(x), concatenate(dk, 1))},
                            {"Wv", matmul(transpose(x), concatenate(dv, 1))},
                            {"Wo", matmul(transpose(wrong == "values for the output" ? v : out), error)}};
  };
  Graph g(list, "two heads", {{"Wq", Wq}, {"Wk", Wk}, {"Wv", Wv}, {"Wo", Wo}}, loss, hand);
  g.add("attention's scale", "scale of the model", "Wq",
        {{"√6", "√2", "0.707", "1.414", "scale", "1/√d", "√d", "sqrt", "√", "1.732", "2.449"}},
        "1/√6, by the width of the model, in place of the head's 1/√3");
  // github.com/deeplearning4j/libnd4j/issues/440: output · (1 − output), the case i ≠ j is missing.
  g.add("softmax's diagonal", "diagonal of the Jacobian", "Wq",
        {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"}},
        "of the softmax's Jacobian the diagonal p (1 − p) only");
  g.add("edge dropped", "second head forgotten", "Wk",
        {cut, {"head", "slice", "column", "half", "second", "concat", "2nd", "last 3", "block"}},
        "the second head is left out: half of the columns are 0");
  g.add("mask forgotten", "no padding mask", "Wk",
        {{"mask", "padding", "added", "constant", "− 1e9", "−1e9", "-1e9", "add"}, join(forgotten, instead)},
        "P is computed again without the mask of the padding", {"head", "scale"});
  g.add("pair", "diagonal, no scale", "Wk",
        {{"softmax", "jacobian"},
         {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"},
         {"1/√d", "√3", "√d", "sqrt", "scale", "0.577", "1.732", "factor", "√"}},
        "the diagonal of the softmax's Jacobian only, and 1/√3 is forgotten");
  g.add("not transposed", "Wo not transposed", "Wv", {transposed}, "error Wo in place of error Woᵀ");
  g.add("other value in place", "heads exchanged", "Wv",
        {{"head", "half", "slice", "block", "concat", "column", "part"},
         {"swap", "exchang", "other", "order", "mixed up", "interchang", "permut", "wrong"}},
        "the halves of the heads are exchanged on the way back", {"woᵀ"});
  g.add("other value in place", "values for the output", "Wo",
        {{"value", "x wv", "x·wv", "x @ wv", "softmax", "attention", "p v", "operand", "wv"},
         join(instead, forgotten)},
        "dWo from the values V in place of the attention's output P V", {"element", "places"});
  g.add("factor", "divided by the places only", "Wo",
        {join(factor("6"), {"number of elements", "all elements of", "all 30", "features", "width"})},
        "divided by the 5 places, not by all 30 elements: a factor 6");
}

namespace {

/// Zeros like E with `updates` (n, columns) added at rows, or put there.
Matrix scatter_rows(const Matrix& E, const Indices& rows, const Matrix& updates, bool is_added) {
  Matrix result = zeros_like(E);
  const std::size_t columns = E.shape(1);
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      double& target = result.mutable_data()[static_cast<std::size_t>(rows[i]) * columns + j];
      target = updates.data()[i * columns + j] + (is_added ? target : 0);
    }
  return result;
}

}  // namespace

/// A bag of three context words predicts the middle one, against two negative samples: eight words of four
/// numbers, five places.
void cbow(Mistakes& list) {
  random::seed(507);
  const Indices contexts{{0, 3, 5}, {3, 1, 3}, {7, 2, 0}, {5, 6, 1}, {2, 2, 4}}, middle{1, 4, 4, 0, 6},
      first{6, 7, 2, 4, 7}, second{3, 0, 5, 2, 1};
  Indices flat{0, 3, 5, 3, 1, 3, 7, 2, 0, 5, 6, 1, 2, 2, 4};
  const Matrix E = weights({8, 4}), U = weights({8, 4});
  const auto loss = [=] {
    const Matrix h = mean(take(E, contexts, 0), 1);  // (5, 4)
    return -mean(log_sigmoid(sum(h * take(U, middle, 0), 1)) + log_sigmoid(-sum(h * take(U, first, 0), 1)) +
                 log_sigmoid(-sum(h * take(U, second, 0), 1)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = mean(take(E, contexts, 0), 1), u = take(U, middle, 0), n1 = take(U, first, 0),
                 n2 = take(U, second, 0);
    const Matrix s1 = sum(h * n1, 1, true), s2 = sum(h * n2, 1, true);
    const Matrix d = (sigmoid(sum(h * u, 1, true)) - 1) / 5;
    Matrix e1 = sigmoid(s1), e2 = sigmoid(s2);
    if (wrong == "sigmoid(-s)") e1 = sigmoid(-s1), e2 = sigmoid(-s2);
    if (wrong == "1 subtracted from all") e1 = e1 - 1, e2 = e2 - 1;
    if (wrong == "last negative only") e1 = 0 * e1;
    e1 = e1 / 5, e2 = e2 / 5;
    const bool is_added = wrong != "overwritten";
    const Matrix dU = scatter_rows(U, middle, d * h, is_added) + scatter_rows(U, first, e1 * h, is_added) +
                      scatter_rows(U, second, e2 * h, is_added);
    const Matrix used = wrong == "U updated" ? U - 0.1 * dU : U;
    Matrix dh = d * take(used, middle, 0) + e1 * take(used, first, 0) + e2 * take(used, second, 0);
    if (wrong != "not divided by the context") dh = dh / 3;
    const Matrix updates = reshape(broadcast_to(unsqueeze(dh, 1), {5, 3, 4}), {15, 4});
    return Graph::Gradients{{"E", scatter_rows(E, flat, updates, true)}, {"U", dU}};
  };
  Graph g(list, "cbow", {{"E", E}, {"U", U}}, loss, hand);
  const Words negatives{"negative", "first", "#1",   "1st",    "branch", "path",       "edge",
                        "term",     "use",   "take", "one of", "second", "log_sigmoid"};
  // word2vec.c and others after it; Irsoy, Benton, Stratos: Corrected CBOW performs as well as skip-gram
  // (2020).
  g.add("factor", "not divided by the context", "E",
        {join(factor("3"), {"mean", "average", "three", "context words"})},
        "the 1/3 of the mean over the context is forgotten", {"negative"});
  // dU[words] += … of NumPy counts a word that occurs twice once.
  g.add("rows overwritten", "overwritten", "U",
        {repeated, {"last", "overwr", "not accumul", "instead", "assign", "once", "only"}},
        "rows of words that occur several times are overwritten");
  g.add("edge dropped", "last negative only", "E", {cut, negatives},
        "the first negative sample is left out: its term is not added up", {"sigmoid'", "occur", "1/3"});
  g.add("label not subtracted", "1 subtracted from all", "U",
        {{"− 1", "- 1", "label", "target", "1 is", "1 too", "subtract"},
         {"negative", "second", "1 − y", "all", "also", "both", "too", "every"}},
        "1 is subtracted for the negative samples, too");
  g.add("wrong slope", "sigmoid(-s)", "E",
        {{"sigmoid(−", "σ(−", "sigmoid(-", "σ(-", "1 − σ", "1 − sigmoid", "1 − p", "1 − a", "argument",
          "operand", "log_sigmoid", "slope", "derivative"},
         {"−s", "σ(−", "sigmoid(−", "sigmoid(-", "σ(-", "1 − ", "argument", "sign", "minus", "negated"}},
        "σ(−s) in place of σ(s) for the negative samples");
  g.add("updated weight", "U updated", "E",
        {{"updated", "after the step", "new u", "learning rate", "already changed"}},
        "U was updated (rate 0.1) before dh was computed");
}

}  // namespace xtape::test
