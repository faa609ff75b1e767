// Set A of mistakes: a recurrent net.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

namespace {
const Words recurrent{"recurr", "time", "step", "previous", "wh", "state", "earlier", "hidden", "h(t", "h_t"};
}  // namespace

/// A tanh RNN over four steps, with an output at each: 2 inputs, 5 states, 3 outputs, four samples.
void rnn(Mistakes& list) {
  random::seed(111);
  const std::size_t steps = 4;
  std::vector<Matrix> x, y;
  for (std::size_t t = 0; t < steps; ++t) {
    x.push_back(normal({4, 2}));
    y.push_back(normal({4, 3}));
  }
  const Matrix Wx = weights({2, 5}), Wh = weights({5, 5}, 0.5), b = weights({5}), Wy = weights({5, 3}),
               by = weights({3});
  const auto loss = [=] {
    Matrix h = zeros<double>({4, 5}), total(0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      h = tanh(matmul(x[t], Wx) + matmul(h, Wh) + b);
      total = total + nn::half_squared_error(affine(h, Wy, by), y[t]);
    }
    return total / 4;
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> h{zeros<double>({4, 5})};
    std::vector<Matrix> errors;
    for (std::size_t t = 0; t < steps; ++t) {
      h.push_back(tanh(matmul(x[t], Wx) + matmul(h[t], Wh) + b));
      errors.push_back((affine(h[t + 1], Wy, by) - y[t]) / 4);
    }
    Matrix dWx = zeros_like(Wx), dWh = zeros_like(Wh), db = zeros_like(b), dWy = zeros_like(Wy),
           dby = zeros_like(by);
    Matrix back = zeros<double>({4, 5});  // into h(t + 1), from later steps
    std::vector<Matrix> deltas(steps);
    for (std::size_t t = steps; t-- > 0;) {
      if (wrong == "last output only" && t + 1 < steps) errors[t] = zeros_like(errors[t]);
      dWy += matmul(transpose(h[t + 1]), errors[t]);
      dby += sum(errors[t], 0);
      Matrix slopes = 1 - square(h[t + 1]);
      if (wrong == "no slope") slopes = ones_like(slopes);
      if (wrong == "1 - h") slopes = 1 - h[t + 1];
      const Matrix into = matmul(errors[t], transpose(Wy)) + (wrong == "no recurrence" ? 0 * back : back);
      const Matrix d = into * slopes;
      back = matmul(d, wrong == "Wh not transposed" ? Wh : transpose(Wh));
      if (wrong == "recurrent slope forgotten") back = matmul(into, transpose(Wh));
      if (wrong == "y's error forgotten on the way" && t + 1 == steps) back = zeros_like(back);
      deltas[t] = d;
    }
    if (wrong == "two steps only") {  // each error goes back through one earlier step
      for (std::size_t t = 0; t < steps; ++t) {
        const auto own = [&](std::size_t s) {
          return matmul(errors[s], transpose(Wy)) * (1 - square(h[s + 1]));
        };
        deltas[t] = own(t);
        if (t + 1 < steps) deltas[t] = deltas[t] + matmul(own(t + 1), transpose(Wh)) * (1 - square(h[t + 1]));
      }
    }
    for (std::size_t t = 0; t < steps; ++t) {
      if (wrong == "last step's use only" && t + 1 < steps) continue;
      if (wrong == "first step left out" && t == 0) continue;
      dWx += matmul(transpose(x[t]), deltas[t]);
      dWh += matmul(transpose(wrong == "h(t) for h(t-1)" ? h[t + 1] : h[t]), deltas[t]);
      db += sum(deltas[t], 0);
    }
    if (wrong == "Wy from the last step") dWy = matmul(transpose(h[steps]), errors[steps - 1]);
    return Graph::Gradients{{"Wx", dWx}, {"Wh", dWh}, {"b", db}, {"Wy", dWy}, {"by", dby}};
  };
  Graph g(list, "rnn", {{"Wx", Wx}, {"Wh", Wh}, {"b", b}, {"Wy", Wy}, {"by", by}}, loss, hand);
  g.add("recurrent branch forgotten", "no recurrence", "Wh", {cut, recurrent},
        "the gradient that comes from later steps is not added",
        {"last step", "tanh'", "two steps", "2 steps"});
  g.add("recurrent branch forgotten", "no recurrence", "Wx", {cut, recurrent},
        "the gradient that comes from later steps is not added",
        {"last step", "tanh'", "two steps", "2 steps"});
  g.add("truncated BPTT", "two steps only", "Wx",
        {{"trunc", "only", "cut", "constant", "detach", "two steps", "2 steps"}, recurrent},
        "backpropagation through time is truncated after two steps", {"last step", "output"});
  g.add("one use of a shared weight", "last step's use only", "Wh",
        {{"last", "only", "one use", "use of", "one of"}, join(recurrent, {"use", "matmul"})},
        "only the last step's contribution is counted, in place of the sum over all");
  g.add("one use of a shared weight", "first step left out", "b",
        {{"first", "step 1", "step 0", "left out", "missing", "only", "use", "t = 0", "t = 1"},
         join(cut, {"use"})},
        "the loop stops before the first step, which is left out");
  g.add("derivative forgotten everywhere", "no slope", "Wh", {slope, forgotten},
        "tanh' is forgotten at every step", {"lacks", "goes back"});
  g.add("wrong slope everywhere", "1 - h", "Wx",
        {join(slope, {"1 − ", "1 - "}), {"1 − a", "1 - a", "1 − h", "1 - h", "square", "1−a", "1−h"}},
        "1 − h in place of 1 − h² at every step");
  g.add("other value in place", "h(t) for h(t-1)", "Wh", {join(recurrent, {"output", "next"}), instead},
        "h(t)ᵀ d(t) in place of h(t−1)ᵀ d(t)", {"last step", "later steps"});
  g.add("not transposed everywhere", "Wh not transposed", "Wx", {transposed},
        "d Wh in place of d Whᵀ at every step");
  g.add("derivative forgotten", "recurrent slope forgotten", "Wh",
        {slope, forgotten, {"back", "recurr", "h(t", "state", "wh", "only", "previous", "path"}},
        "what goes back to h(t−1) lacks tanh' of step t, while the weights' gradients have it",
        {"at every step"});
  g.add("samples left out", "last output only", "Wx",
        {{"last", "only", "output", "loss", "error"}, join(cut, recurrent)},
        "only the last step's error is counted");
  g.add("one use of a shared weight", "Wy from the last step", "Wy",
        {{"last", "only", "one use", "use of", "one of", "step"}}, "dWy from the last step only");
}

}  // namespace xtape::test
