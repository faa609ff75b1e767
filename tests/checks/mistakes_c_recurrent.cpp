// Set C of mistakes: recurrent nets.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

namespace {
const Words through_time{"recurr", "time", "step",   "previous", "state", "earlier",
                         "later",  "next", "hidden", "h(t",      "h_t"};
/// Of what comes back from later steps and is lost.
const Words not_carried{"carried", "not added", "recurr",       "from the next", "from later",
                        "truncat", "detach",    "constant",     "cut",           "no gradient",
                        "flow",    "propagat",  "back in time", "through time",  "branch",
                        "path",    "edge",      "comes back"};
}  // namespace

/// A tanh RNN that predicts the next character: five steps, six characters, 4 states, three texts. The loss
/// is the sum over the steps of the mean over the texts.
void character_rnn(Mistakes& list) {
  random::seed(503);
  const std::size_t steps = 5;
  const std::vector<std::vector<std::size_t>> texts{{2, 0, 4}, {5, 1, 1}, {0, 3, 2},
                                                    {0, 5, 1}, {4, 2, 3}, {1, 0, 5}};
  std::vector<Matrix> x;  // x[t + 1] is what follows x[t]
  for (const auto& characters : texts) x.push_back(one_hot(characters, 6));
  const Matrix Wxh = weights({6, 4}), Whh = weights({4, 4}, 0.6), bh = weights({4}), Why = weights({4, 6}),
               by = weights({6});
  const auto loss = [=] {
    Matrix h = zeros<double>({3, 4}), total(0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      h = tanh(matmul(x[t], Wxh) + matmul(h, Whh) + bh);
      total = total + nn::cross_entropy(affine(h, Why, by), Indices(texts[t + 1]));
    }
    return total;
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> h{zeros<double>({3, 4})};
    for (std::size_t t = 0; t < steps; ++t) h.push_back(tanh(matmul(x[t], Wxh) + matmul(h[t], Whh) + bh));
    Matrix dWxh = zeros_like(Wxh), dWhh = zeros_like(Whh), dbh = zeros_like(bh), dWhy = zeros_like(Why),
           dby = zeros_like(by), dhnext = zeros_like(h[0]);
    for (std::size_t t = steps; t-- > 0;) {
      const Matrix logits = affine(h[t + 1], Why, by);
      Matrix dy = (softmax(logits, wrong == "softmax over the batch" ? 0 : 1) -
                   x[wrong == "input for the target" ? t : t + 1]) /
                  3;
      if (wrong == "divided by T") dy = dy / 5;
      dWhy += matmul(transpose(wrong == "h(t-1) for h(t)" ? h[t] : h[t + 1]), dy);
      dby = sum(dy, 0) + (wrong == "dby assigned" ? 0 * dby : dby);
      const Matrix dh = matmul(dy, transpose(Why)) + (wrong == "dhnext not added" ? 0 * dhnext : dhnext);
      const Matrix s = 1 - square(h[t + 1]), draw = wrong == "divided by the slope" ? dh / s : dh * s;
      dWxh += matmul(transpose(x[t]), draw);
      dWhh += matmul(transpose(h[t]), draw);
      dbh += sum(draw, 0);
      dhnext = matmul(draw, transpose(Whh));
    }
    if (wrong == "clipped") dWhh = clamp(dWhh, -0.15, 0.15);
    return Graph::Gradients{{"Wxh", dWxh}, {"Whh", dWhh}, {"bh", dbh}, {"Why", dWhy}, {"by", dby}};
  };
  Graph g(list, "character rnn", {{"Wxh", Wxh}, {"Whh", Whh}, {"bh", bh}, {"Why", Why}, {"by", by}}, loss,
          hand);
  // github.com/qixianbiao/RNN/issues/2; github.com/d2l-ai/d2l-en/issues/2616: ∂h(t)/∂W is not h(t−1) alone.
  g.add("recurrent branch forgotten", "dhnext not added", "bh", {not_carried, join(through_time, {"whh"})},
        "what comes back from the next step, dhnext, is not added");
  // github.com/oreilly-japan/deep-learning-from-scratch-2/issues/26
  g.add("wrong slope everywhere", "divided by the slope", "Whh",
        {join(slope, {"1 − a²", "1 - a²", "1 − h²", "1 - h²", "tanh"}),
         {"divid", "1 /", "1/", "inverse", "reciprocal", "quotient"}},
        "dh / (1 − h²): divided by tanh', not multiplied");
  // min-char-rnn clips its gradients before anybody sees them.
  g.add("clipped", "clipped", "Whh",
        {{"clip", "clamp", "bounded", "limited", "cut off at", "saturat", "0.15"}}, "clipped to ±0.15");
  g.add("samples misaligned", "input for the target", "Why",
        {join(label, {"sample"}),
         {"shift", "step", "input", "other sample", "another", "misalign", "time", "previous", "order",
          "wrong"}},
        "p − x(t) in place of p − x(t + 1): the input is taken as the label", {"h(t−1)"});
  g.add("other value in place", "h(t-1) for h(t)", "Why",
        {{"previous", "earlier", "h(t−1)", "h(t-1)", "h0", "state before", "input of", "one step",
          "last step", "operand of", "before tanh"},
         join(instead, forgotten)},
        "dWhy from the previous state h(t−1) in place of h(t)", {"label", "target", "before tanh"});
  g.add("axis", "softmax over the batch", "by", {{"softmax"}, {"axis", "batch", "samples", "column"}},
        "softmax along the axis of the texts");
  // The loop runs backwards: what stays is the first step's.
  g.add("one use of a shared weight", "dby assigned", "by",
        {{"first", "step 0", "step 1", "t = 0", "t = 1", "#1", "1st", "use 1", "earliest", "1 of 5"},
         {"only", "one use", "use", "overwrit", "assign", "not add", "alone", "one of"}},
        "dby = dy in place of dby += dy: only the first step's is left");
  g.add("factor", "divided by T", "Wxh",
        {join(factor("5"), {"number of steps", "5 steps", "1/t", "length of the", "mean over the steps"})},
        "divided by the number of steps, 5, over which the loss is a sum");
}

/// An LSTM as CS231n has it: one matrix for all gates, whose blocks of columns are i, f, o, g. Three steps, 3
/// inputs, 3 states, 2 outputs at each step, four samples.
void joint_lstm(Mistakes& list) {
  random::seed(504);
  const std::size_t steps = 3;
  std::vector<Matrix> x, y;
  for (std::size_t t = 0; t < steps; ++t) {
    x.push_back(normal({4, 3}));
    y.push_back(normal({4, 2}));
  }
  const Matrix h0 = normal({4, 3}, 0.5), Wx = weights({3, 12}), Wh = weights({3, 12}), b = weights({12}),
               V = weights({3, 2});
  const auto block = [](const Matrix& a, std::size_t k) {
    return Matrix(slice(a, xt::all(), xt::range(3 * k, 3 * k + 3)));
  };
  const auto loss = [=] {
    Matrix h = h0, c = zeros<double>({4, 3}), total(0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      const Matrix a = matmul(x[t], Wx) + matmul(h, Wh) + b;
      c = sigmoid(block(a, 1)) * c + sigmoid(block(a, 0)) * tanh(block(a, 3));
      h = sigmoid(block(a, 2)) * tanh(c);
      total = total + nn::half_squared_error(matmul(h, V), y[t]);
    }
    return total / 4;
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> h{h0}, c{zeros<double>({4, 3})}, i, f, o, g;
    for (std::size_t t = 0; t < steps; ++t) {
      const Matrix a = matmul(x[t], Wx) + matmul(h[t], Wh) + b;
      i.push_back(sigmoid(block(a, 0)));
      f.push_back(sigmoid(block(a, 1)));
      o.push_back(sigmoid(block(a, 2)));
      g.push_back(tanh(block(a, 3)));
      c.push_back(f[t] * c[t] + i[t] * g[t]);
      h.push_back(o[t] * tanh(c[t + 1]));
    }
    Matrix dWx = zeros_like(Wx), dWh = zeros_like(Wh), db = zeros_like(b), dV = zeros_like(V),
           dh = zeros_like(h0), dc = zeros_like(h0);
    for (std::size_t t = steps; t-- > 0;) {
      Matrix error = (matmul(h[t + 1], V) - y[t]) / 4;
      if (wrong == "a 2 too many") error = 2 * error;
      dV += matmul(transpose(h[t + 1]), error);
      dh = dh + matmul(error, transpose(V));
      const Matrix tc = tanh(c[t + 1]);
      dc = dc + dh * o[t] * (1 - tc * tc);
      const Matrix ai = dc * g[t] * i[t] * (1 - i[t]),
                   af = dc * c[t] * f[t] * (wrong == "f for f (1 - f)" ? ones_like(f[t]) : 1 - f[t]),
                   ao = dh * tc * o[t] * (1 - o[t]), ag = dc * i[t] * (1 - square(g[t]));
      const Matrix da =
          wrong == "blocks exchanged" ? concatenate({ai, af, ag, ao}, 1) : concatenate({ai, af, ao, ag}, 1);
      dWx += matmul(transpose(x[t]), da);
      dWh += matmul(transpose(h[t]), da);
      db += wrong == "f's bias for all gates" ? sum(concatenate({af, af, af, ag}, 1), 0)
            : wrong == "mean for the bias"    ? mean(da, 0)
                                              : sum(da, 0);
      dh = matmul(da, transpose(Wh));
      const bool is_shifted = wrong == "f(t-1) for f(t)" && t > 0;
      dc = dc * f[is_shifted ? t - 1 : t];
      if (wrong == "nothing carried") dh = 0 * dh, dc = 0 * dc;
    }
    return Graph::Gradients{{"Wx", dWx}, {"Wh", dWh}, {"b", db}, {"V", dV}};
  };
  Graph graph(list, "joint lstm", {{"Wx", Wx}, {"Wh", Wh}, {"b", b}, {"V", V}}, loss, hand);
  const Words gates{"gate",   "block",     "column", "slice", "part",
                    "concat", "candidate", "output", "tanh",  "sigmoid"};
  // github.com/CaptainE/RNN-LSTM-in-numpy/issues/1: df = sigmoid(f) * df, and nothing is carried on.
  graph.add("wrong slope everywhere", "f for f (1 - f)", "Wx",
            {{"1 − a", "1 - a", "1 − f", "1 - f", "a in place", "itself", "value"},
             {"in place", "instead", "factor 1 −", "factor (1", "without (1", "without 1 −", "lacks (1",
              "lacks 1 −", "replaced", "rather than"}},
            "sigmoid' of the forget gate as f in place of f (1 − f)");
  graph.add("recurrent branch forgotten", "nothing carried", "Wh",
            {not_carried, join(through_time, {"c(", "cell"})},
            "dh and dc of the next step are not added: nothing is carried back in time");
  // github.com/hanbt/learn_dl/issues/53: bi_grad = self.delta_f_list[t]
  graph.add("other value in place", "f's bias for all gates", "b",
            {{"forget", "gate", "block", "slice", "part", "column", "sigmoid"},
             {"in place of i", "instead of i", "i and o", "same", "copied", "repeat", "all three", "also",
              "every gate", "each gate", "gates", "another block", "other block", "blocks", "another gate",
              "other gate", "broadcast"}},
            "the forget gate's part of db also for the gates i and o", {"mean over", "average"});
  graph.add("other value in place", "blocks exchanged", "Wx",
            {gates, {"swap", "exchang", "order", "permut", "interchang", "mixed up", "other place"}},
            "the blocks of columns of o and g are exchanged");
  graph.add(
      "other value in place", "f(t-1) for f(t)", "Wh",
      {{"forget", "gate", "sigmoid", "multipl", "product", "factor"},
       {"previous", "earlier", "next", "other step", "another step", "t − 1", "t−1", "shift", "off by one"}},
      "dc goes back by the forget gate f(t−1) of the previous step in place of f(t)", {"carried"});
  graph.add("reduction of a bias", "mean for the bias", "b", {mean_over("4")},
            "the mean over the samples in place of their sum", {"forget"});
  graph.add("factor", "a 2 too many", "V", {two}, "a factor 2, where the loss has ½",
            {"two passes", "zero_grad"});
  graph.add_accumulated(3, "V", {{accumulated}}, "zero_grad() was not called before each of three passes");
}

}  // namespace xtape::test
