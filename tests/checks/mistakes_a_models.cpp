// Set A of mistakes: models that are no plain nets.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// An autoencoder whose decoder is its encoder's transpose: 4 numbers to 3 and back, five samples.
void tied_autoencoder(Mistakes& list) {
  random::seed(115);
  const Matrix x = normal({5, 4}), W = weights({4, 3}), b = weights({3}), c = weights({4});
  const auto loss = [=] {
    const Matrix h = sigmoid(affine(x, W, b));
    return nn::mse_loss(matmul(h, transpose(W)) + c, x);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = sigmoid(affine(x, W, b)), r = matmul(h, transpose(W)) + c;
    Matrix d = (r - x) / 10;  // 2 / 20
    if (wrong == "x - r") d = -d;
    if (wrong == "no 2, N only") d = d * 2;
    Matrix s = h * (1 - h);
    if (wrong == "no slope") s = ones_like(s);
    if (wrong == "slope twice") s = s * s;
    const Matrix dh = matmul(d, W) * s;
    const Matrix encoder = matmul(transpose(x), dh), decoder = matmul(transpose(d), h);
    Matrix dW = encoder + decoder;
    if (wrong == "encoder only") dW = encoder;
    if (wrong == "decoder only") dW = decoder;
    if (wrong == "mean of both uses") dW = dW / 2;
    if (wrong == "difference of both uses") dW = encoder - decoder;
    return Graph::Gradients{
        {"W", dW}, {"b", sum(dh, 0)}, {"c", wrong == "mean for the bias" ? mean(d, 0) : sum(d, 0)}};
  };
  Graph g(list, "tied autoencoder", {{"W", W}, {"b", b}, {"c", c}}, loss, hand);
  const Words one{"use",      "branch", "path", "encoder",   "decoder",
                  "constant", "only",   "edge", "transpose", "one of"};
  g.add_any("one use of a shared weight", "encoder only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"decoder", "transpose", "second", "last", "h w", "ᵀ"})},
             {{"only"}, {"encoder", "first", "sigmoid", "x w", "input", "hidden", "affine"}}},
            "the decoder's use of W is forgotten", {"mean of both", "' is", "encoder's use", "sigmoid'"});
  g.add_any("one use of a shared weight", "decoder only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"encoder", "first", "sigmoid", "x w", "input", "hidden", "affine"})},
             {{"only"}, {"decoder", "transpose", "second", "last", "h w", "ᵀ"}}},
            "the encoder's use of W is forgotten", {"mean of both", "sigmoid'", "decoder's use"});
  g.add("factor", "mean of both uses", "W", {two},
        "half of what it should be: the mean of both uses in place of their sum");
  g.add("sign of a branch", "difference of both uses", "W", {sign, one},
        "the decoder's part has the wrong sign");
  g.add("derivative forgotten", "no slope", "W", {slope, forgotten},
        "sigmoid' is forgotten in the encoder's part");
  g.add("derivative twice", "slope twice", "b", {slope, twice}, "sigmoid' is applied twice");
  g.add("sign", "x - r", "W", {sign}, "the sign is wrong: x − r in place of r − x", {"part", "decoder"});
  g.add("reduction of a bias", "mean for the bias", "c", {join(averaged, batch("5"))},
        "the mean over the samples in place of the sum");
  g.add("factor", "no 2, N only", "b", {two}, "a factor 2: (r − x) / 5 in place of 2 (r − x) / 20",
        {"sigmoid'"});
  g.add_accumulated(3, "b", {{accumulated}}, "backward() ran three times without zero_grad()");
}

/// A Gaussian's log likelihood with log σ as a parameter: 3 features, 4 outputs, six samples.
void gaussian(Mistakes& list) {
  random::seed(118);
  const Matrix x = normal({6, 3}), y = normal({6, 4}), W = weights({3, 4}), b = weights({4}),
               s = weights({4}, 0.4);
  const auto loss = [=] { return mean(0.5 * square((affine(x, W, b) - y) / exp(s)) + s); };
  const auto hand = [=](const std::string& wrong) {
    const Matrix r = affine(x, W, b) - y, deviation = exp(s);
    Matrix d = r / square(deviation) / 24;
    if (wrong == "σ not squared") d = d * deviation;
    if (wrong == "σ forgotten") d = r / 24;
    if (wrong == "y - a") d = -d;
    if (wrong == "½ forgotten") d = 2 * d;
    if (wrong == "not divided") d = 24 * d;
    Matrix square_part = -square(r / deviation), own = ones_like(square_part);
    if (wrong == "ln σ forgotten") own = 0 * own;
    if (wrong == "square's path forgotten") square_part = 0 * square_part;
    if (wrong == "½ of the square kept") square_part = square_part / 2;
    if (wrong == "sign of the square") square_part = -square_part;
    Matrix ds = sum(square_part + own, 0) / 24;
    if (wrong == "by σ") ds = ds / deviation;
    if (wrong == "mean") ds = ds / 6;
    return Graph::Gradients{{"W", matmul(transpose(x), d)}, {"b", sum(d, 0)}, {"s", ds}};
  };
  Graph g(list, "gaussian likelihood", {{"W", W}, {"b", b}, {"s", s}}, loss, hand);
  const Words deviation{"σ", "exp", "sigma", "deviation", "e^s", "divi"},
      part{"square", "term", "branch", "path", "edge", "use", "ln σ", "log", "exp", "one of", "+ 1", "s "};
  g.add("edge forgotten", "σ not squared", "W",
        {deviation,
         {"square", "once", "σ²", "power", "σ in place", "too little", "only one", "derivative", "forgot",
          "left out", "missing", "without"}},
        "divided by σ in place of σ²", {"24", "σ² is"});
  g.add("edge forgotten", "σ forgotten", "W", {deviation, join(forgotten, cut)},
        "the division by σ² is forgotten", {"24"});
  g.add("sign", "y - a", "W", {sign}, "y − μ in place of μ − y");
  g.add("factor", "½ forgotten", "b", {two}, "the ½ before the square is forgotten");
  g.add("factor", "not divided", "W", {elements("24")}, "the mean's division by 24 is forgotten");
  g.add_any("edge dropped", "ln σ forgotten", "s",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"ln σ", "log", "+ s", "term s", "+ 1", "own term", "direct", "sum", "add"})},
             {{"only"}, {"square", "exp", "divi", "r²"}}},
            "the term ln σ is forgotten", {"square's", "squares'"});
  g.add_any("edge dropped", "square's path forgotten", "s",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"square", "exp", "divi", "r²", "quotient"})},
             {{"only"}, {"ln σ", "log", "+ s", "term s", "own term", "direct", "sum", "add"}}},
            "the squares' dependence on σ is forgotten", {"ln σ is", "1 / 24", "lacks its 2"});
  g.add("factor of a branch", "½ of the square kept", "s", {two, part},
        "the square lacks its 2: − ½ r² / σ² in place of − r² / σ²");
  g.add("sign of a branch", "sign of the square", "s", {sign, part}, "the square's path has the wrong sign");
  g.add("derivative forgotten", "by σ", "s",
        {join(slope, {"exp"}), join(forgotten, {"σ"}), join(deviation, {"chain"})},
        "the derivative by σ in place of the one by ln σ");
  g.add("reduction of a bias", "mean", "s", {join(averaged, batch("6"))},
        "the mean over the samples in place of their sum");
}

/// A polynomial of degree 4 through nine points, with a ridge penalty.
void polynomial(Mistakes& list) {
  random::seed(119);
  const Matrix t = random::uniform<double>({9}, -1.5, 1.5), y = normal({9}), w = weights({5});
  const double decay = 0.03;
  const auto powers = [t](int from) {
    std::vector<Matrix> columns;
    for (int p = from; p < from + 5; ++p) columns.push_back(p < 0 ? zeros_like(t) : Matrix(pow(t, p)));
    return stack(columns, 1);
  };
  const auto loss = [=] { return mean(square(matmul(powers(0), w) - y)) + decay * sum(square(w)); };
  const auto hand = [=](const std::string& wrong) {
    const Matrix X = powers(0), used = wrong == "powers off by one" ? powers(-1) : X;
    Matrix r = 2 * (matmul(X, w) - y) / 9;
    if (wrong == "not divided by N") r = 9 * r;
    if (wrong == "no 2 in the data") r = r / 2;
    if (wrong == "y - a") r = -r;
    if (wrong == "targets reversed") r = 2 * (matmul(X, w) - flip(y)) / 9;
    if (wrong == "last four left out") r = r * flatten(rows_mask(9, 0, 5));
    double l2 = 2 * decay;
    if (wrong == "no penalty") l2 = 0;
    if (wrong == "penalty without 2") l2 = decay;
    if (wrong == "penalty over N") l2 /= 9;
    if (wrong == "penalty's sign") l2 = -l2;
    return Graph::Gradients{{"w", matmul(transpose(used), r) + l2 * w}};
  };
  Graph g(list, "polynomial", {{"w", w}}, loss, hand);
  g.add("factor with a penalty", "not divided by N", "w", {batch("9")},
        "the division by N = 9 is forgotten; the penalty is right", {"penalty is divided", "left out"});
  g.add("factor with a penalty", "no 2 in the data", "w",
        {two,
         {"square", "data", "error", "loss", "branch", "path", "penalty", "without", "but", "edge", "matmul",
          "mean"}},
        "the 2 of the squared error is forgotten; the penalty has it", {"penalty is", "λ w"});
  g.add("sign of a branch", "y - a", "w", {sign}, "the data's part has the wrong sign",
        {"power", "order", "penalty is sub"});
  g.add("penalty", "no penalty", "w",
        {join(penalty, {"square", "branch", "path", "edge"}), join(forgotten, cut)},
        "the penalty is forgotten", {"penalty is right", "penalty has it", "divided", "2 λ"});
  g.add("penalty", "penalty without 2", "w", {join(penalty, {"square", "branch", "path", "edge"}), two},
        "the penalty lacks its 2: λ w in place of 2 λ w", {"penalty has it"});
  g.add("penalty", "penalty over N", "w", {join(penalty, {"square", "branch", "path", "edge"}), batch("9")},
        "the penalty is divided by N", {"penalty is right"});
  g.add("penalty", "penalty's sign", "w", {join(penalty, {"square", "branch", "path", "edge"}), sign},
        "the penalty is subtracted");
  g.add("samples misaligned", "targets reversed", "w",
        {join(label, {"sample", "y"}),
         {"shift", "shuffl", "order", "permut", "other sample", "another sample", "misalign", "revers",
          "flip", "row"}},
        "the targets are in reverse order", {"power"});
  g.add("samples left out", "last four left out", "w",
        {{"samples", "batch", "rows"},
         {"half", "first", "only", "left out", "missing", "4", "5", "last", "without"}},
        "the last four of nine samples are left out");
  g.add("other value in place", "powers off by one", "w",
        {{"power", "off by one", "shift", "column", "x", "input"},
         {"power", "off by one", "shift", "column", "previous", "neighbour"}},
        "powers from −1 on, shifted by one");
}

}  // namespace xtape::test
