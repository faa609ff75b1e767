// Set A of mistakes: embeddings and attention.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// Mean of embeddings with repeated indices, tanh, softmax: six words of three numbers, five classes.
void embedding_bag(Mistakes& list) {
  random::seed(114);
  const Indices words{{0, 2, 2}, {4, 0, 1}, {2, 5, 4}, {2, 2, 2}};
  const std::vector<std::size_t> labels{3, 0, 4, 1};
  const Matrix y = one_hot(labels, 5), embedding = weights({6, 3}), W = weights({3, 5}), b = weights({5});
  const auto loss = [=] {
    const Matrix h = tanh(mean(take(embedding, words, 0), 1));
    return nn::cross_entropy(affine(h, W, b), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix bag = mean(take(embedding, words, 0), 1), h = tanh(bag), p = softmax(affine(h, W, b));
    const Matrix d = (wrong == "label not subtracted" ? p : p - y) / 4;
    const Matrix s = wrong == "no slope" ? ones_like(h) : 1 - h * h;
    const Matrix to_bag = matmul(d, transpose(W)) * s;
    Matrix rows = zeros_like(embedding);
    std::vector<double> seen(6, 0);
    for (std::size_t n = 0; n < 4; ++n)
      for (std::size_t k = 0; k < 3; ++k) {
        const auto word = static_cast<std::size_t>(words[n * 3 + k]);
        const bool is_new = seen[word]++ == 0;
        for (std::size_t j = 0; j < 3; ++j) {
          double& entry = rows.mutable_data()[word * 3 + j];
          const double update = to_bag.data()[n * 3 + j] / (wrong == "mean's 3" ? 1 : 3);
          if (wrong == "overwritten")
            entry = update;
          else if (wrong != "first occurrence only" || is_new)
            entry += update;
        }
      }
    if (wrong == "mean of occurrences")
      for (std::size_t i = 0; i < 18; ++i) rows.mutable_data()[i] /= std::max(1.0, seen[i / 3]);
    const Matrix input = wrong == "before tanh" ? bag : h;
    return Graph::Gradients{{"embedding", rows}, {"W", matmul(transpose(input), d)}, {"b", sum(d, 0)}};
  };
  Graph g(list, "embedding bag", {{"embedding", embedding}, {"W", W}, {"b", b}}, loss, hand);
  g.add("rows overwritten", "overwritten", "embedding",
        {repeated, {"last", "overwr", "not accumul", "instead", "assign"}},
        "rows of repeated words are overwritten, not accumulated");
  g.add("rows overwritten", "first occurrence only", "embedding", {repeated, {"first", "once", "only"}},
        "only the first occurrence of each word is counted");
  g.add("rows overwritten", "mean of occurrences", "embedding",
        {repeated, {"mean", "average", "divided", "number of occ", "how often"}},
        "the mean over the occurrences of a word in place of their sum");
  g.add("factor", "mean's 3", "embedding", {join(factor("3"), averaged, {"three"})},
        "the mean over three words is forgotten", {"occurrence"});
  g.add("derivative forgotten", "no slope", "embedding", {slope, forgotten}, "tanh' is forgotten");
  g.add("other value in place", "before tanh", "W",
        {{"tanh", "before", "pre-activation", "mean", "bag"}, join(instead, forgotten)},
        "the layer's input is taken before tanh");
  g.add("label not subtracted", "label not subtracted", "embedding",
        {label, join(forgotten, {"subtract", "p alone", "only p"})},
        "softmax alone: the label is not subtracted");
}

/// Self-attention with a causal mask: five places, 4 numbers, queries of 3, values of 2.
void causal_attention(Mistakes& list) {
  random::seed(116);
  const Matrix x = normal({5, 4}), y = normal({5, 2}), Wq = weights({4, 3}), Wk = weights({4, 3}),
               Wv = weights({4, 2});
  const Matrix future = triu(full<double>({5, 5}, -1e9), 1);
  const double scale = 1 / std::sqrt(3.0);
  const auto loss = [=] {
    const Matrix scores = matmul(matmul(x, Wq), transpose(matmul(x, Wk))) * scale + future;
    return nn::mse_loss(matmul(softmax(scores), matmul(x, Wv)), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix q = matmul(x, Wq), k = matmul(x, Wk), v = matmul(x, Wv);
    Matrix scores = matmul(q, transpose(k)) * scale;
    const Matrix true_p = softmax(scores + future), error = 2 * (matmul(true_p, v) - y) / 10;
    const Matrix p = wrong == "no causal mask" ? softmax(scores) : true_p;
    const Matrix dv = matmul(wrong == "P not transposed" ? p : transpose(p), error);
    const Matrix dp = matmul(error, transpose(v));
    Matrix ds = p * (dp - sum(p * dp, 1, true));
    if (wrong == "diagonal of the Jacobian") ds = p * (1 - p) * dp;
    if (wrong == "no softmax derivative") ds = dp;
    if (wrong == "Jacobian along the columns") ds = p * (dp - sum(p * dp, 0, true));
    if (wrong == "p forgotten") ds = dp - sum(p * dp, 1, true);
    if (wrong != "no scale") ds = ds * scale;
    if (wrong == "scale twice") ds = ds * scale;
    if (wrong == "scale 1/d") ds = ds * scale;
    const Matrix dq = matmul(wrong == "scores transposed" ? transpose(ds) : ds, wrong == "q for k" ? q : k);
    const Matrix dk =
        matmul(wrong == "scores not transposed" ? ds : transpose(ds), wrong == "k for q" ? k : q);
    return Graph::Gradients{
        {"Wq", matmul(transpose(x), dq)}, {"Wk", matmul(transpose(x), dk)}, {"Wv", matmul(transpose(x), dv)}};
  };
  Graph g(list, "causal attention", {{"Wq", Wq}, {"Wk", Wk}, {"Wv", Wv}}, loss, hand);
  const Words scaled{"1/√d", "√3", "√d", "sqrt", "scale", "0.577", "1.732", "factor", "constant", "√"};
  g.add("attention's scale", "no scale", "Wq", {scaled}, "1 / √d is forgotten on the way back");
  g.add("attention's scale", "scale twice", "Wk", {scaled}, "1 / √d is applied twice", {"p dp"});
  g.add("mask forgotten", "no causal mask", "Wv",
        {{"mask", "causal", "triu", "future", "added", "constant", "add"}, join(forgotten, instead)},
        "P is computed again without the causal mask");
  g.add("softmax's diagonal", "diagonal of the Jacobian", "Wq",
        {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"}},
        "of the softmax's Jacobian only the diagonal is used");
  g.add("derivative forgotten", "no softmax derivative", "Wk", {{"softmax", "jacobian"}, forgotten},
        "the softmax's derivative is forgotten");
  g.add("axis", "Jacobian along the columns", "Wq",
        {{"softmax", "jacobian", "sum"}, {"axis", "column", "row"}},
        "the softmax's Jacobian with the sum along the wrong axis");
  g.add("softmax's Jacobian", "p forgotten", "Wk",
        {{"softmax", "jacobian", "p dp"},
         {"factor p", "p before", "without p", "multiplied by p", "p is", "p forgotten", "not multiplied",
          "p ∘", "p ·", "without the factor"}},
        "dP − Σ P dP without the factor P before it");
  g.add("not transposed", "P not transposed", "Wv", {transposed}, "dV = P dO in place of Pᵀ dO");
  g.add("not transposed", "scores not transposed", "Wk", {transposed}, "dK = dS Q in place of dSᵀ Q",
        {"dsᵀ k", "key"});
  g.add("other value in place", "k for q", "Wk",
        {{"k in place", "key", "k instead", "k for q", "itself", "own", "other operand", "another", "dsᵀ k",
          "x wk", "wk)"},
         instead},
        "dK = dSᵀ K in place of dSᵀ Q", {"ds q"});
}

}  // namespace xtape::test
