// Set B of mistakes: recurrent cells.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

namespace {
const Words recurrent{"recurr", "time", "step", "previous", "state", "earlier", "hidden", "h(t", "h_t"};
}  // namespace

/// A GRU cell over three steps: 3 inputs, 4 states, 2 outputs, five samples.
void gru(Mistakes& list) {
  random::seed(211);
  const std::size_t steps = 3;
  std::vector<Matrix> x;
  for (std::size_t t = 0; t < steps; ++t) x.push_back(normal({5, 3}));
  const Matrix y = normal({5, 2}), h0 = normal({5, 4}, 0.5), Wz = weights({3, 4}), Uz = weights({4, 4}),
               Wr = weights({3, 4}), Ur = weights({4, 4}), Wn = weights({3, 4}), Un = weights({4, 4}),
               V = weights({4, 2});
  const auto loss = [=] {
    Matrix h = h0;
    for (std::size_t t = 0; t < steps; ++t) {
      const Matrix z = sigmoid(matmul(x[t], Wz) + matmul(h, Uz)),
                   r = sigmoid(matmul(x[t], Wr) + matmul(h, Ur));
      const Matrix n = tanh(matmul(x[t], Wn) + matmul(r * h, Un));
      h = (1 - z) * n + z * h;
    }
    return nn::half_squared_error(matmul(h, V), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> h{h0}, z, r, n;
    for (std::size_t t = 0; t < steps; ++t) {
      z.push_back(sigmoid(matmul(x[t], Wz) + matmul(h[t], Uz)));
      r.push_back(sigmoid(matmul(x[t], Wr) + matmul(h[t], Ur)));
      n.push_back(tanh(matmul(x[t], Wn) + matmul(r[t] * h[t], Un)));
      h.push_back((1 - z[t]) * n[t] + z[t] * h[t]);
    }
    const Matrix error = (matmul(h[steps], V) - y) / 5;
    Graph::Gradients d{{"V", matmul(transpose(h[steps]), error)}};
    for (const auto& [name, W] : std::map<std::string, Matrix>{
             {"Wz", Wz}, {"Uz", Uz}, {"Wr", Wr}, {"Ur", Ur}, {"Wn", Wn}, {"Un", Un}})
      d.emplace(name, zeros_like(W));
    Matrix dh = matmul(error, transpose(V));
    for (std::size_t t = steps; t-- > 0;) {
      Matrix difference = h[t] - n[t];
      if (wrong == "n - h") difference = -difference;
      if (wrong == "h alone for the update gate") difference = h[t];
      const Matrix az = dh * difference * (wrong == "no slope of z" ? ones_like(z[t]) : z[t] * (1 - z[t]));
      Matrix dn = dh * (1 - z[t]);
      if (wrong == "1 - z forgotten") dn = dh;
      if (wrong == "z for 1 - z") dn = dh * z[t];
      const Matrix an = dn * (wrong == "no slope of n"          ? ones_like(n[t])
                              : wrong == "sigmoid's slope of n" ? n[t] * (1 - n[t])
                                                                : 1 - square(n[t]));
      const Matrix drh = matmul(an, wrong == "Un not transposed" ? Un : transpose(Un));
      const Matrix ar = drh * (wrong == "n for h at the reset gate" ? n[t] : h[t]) * r[t] * (1 - r[t]);
      if (!(wrong == "last step only" && t + 1 < steps) &&
          !(wrong == "truncated after two steps" && t + 2 < steps)) {
        d.at("Wz") += matmul(transpose(x[t]), az);
        d.at("Uz") += matmul(transpose(h[t]), az);
        d.at("Wr") += matmul(transpose(x[t]), ar);
        d.at("Ur") += matmul(transpose(h[t]), ar);
        d.at("Wn") += matmul(transpose(x[t]), an);
        d.at("Un") += matmul(transpose(wrong == "h for r h" ? h[t] : r[t] * h[t]), an);
      }
      const Matrix direct = dh * z[t], by_reset = drh * r[t];
      const Matrix by_gates = matmul(az, transpose(Uz)) + matmul(ar, transpose(Ur));
      dh = direct + by_reset + by_gates;
      if (wrong == "direct path forgotten") dh = by_reset + by_gates;
      if (wrong == "gates forgotten") dh = direct + by_reset;
      if (wrong == "candidate's path forgotten") dh = direct + by_gates;
    }
    return d;
  };
  Graph g(list, "gru", {{"Wz", Wz}, {"Uz", Uz}, {"Wr", Wr}, {"Ur", Ur}, {"Wn", Wn}, {"Un", Un}, {"V", V}},
          loss, hand);
  g.add("recurrent branch forgotten", "direct path forgotten", "Wn",
        {join(cut, {"as 0"}),
         {"direct", "z h", "z ·", "z *", "multipl", "product", "h(t−1)", "previous state", "recurr",
          "carried", "sum", "add"}},
        "the direct path z h(t−1) is forgotten on the way back", {"gates", "r h", "sigmoid'"});
  g.add("recurrent branch forgotten", "gates forgotten", "Wn", {cut, {"gate", "sigmoid", "uz", "ur"}},
        "the way back through both gates is forgotten", {"z h", "sigmoid'", "direct"});
  g.add("recurrent branch forgotten", "candidate's path forgotten", "Un",
        {cut, {"reset", "r h", "un", "candidate", "r ·", "tanh", "multipl", "product"}},
        "the way back through r h(t−1) is forgotten", {"1 − z", "direct", "tanh'"});
  g.add("other value in place", "h for r h", "Un",
        {{"h", "r", "reset", "gate"},
         join(instead, forgotten),
         {"reset", "gate", "r h", "r ·", "r *", "h ", "state", "operand", "sigmoid", "multipl", "product"}},
        "dUn from h(t−1) in place of r h(t−1)", {"way back", "1 − z"});
  g.add("derivative forgotten everywhere", "no slope of z", "Uz",
        {slope, forgotten, {"z", "gate", "sigmoid", "update"}}, "sigmoid' of the update gate is forgotten");
  g.add("derivative forgotten everywhere", "no slope of n", "Wn",
        {slope, forgotten, {"tanh", "candidate", "n"}}, "tanh' of the candidate is forgotten");
  g.add("wrong slope everywhere", "sigmoid's slope of n", "Wn",
        {join(slope, {"tanh"}), {"sigmoid", "a (1 − a)", "n (1 − n)", "(1 − a)", "a(1"}},
        "sigmoid's slope a (1 − a) in place of tanh's 1 − a² for the candidate");
  g.add("sign of a branch", "n - h", "Wz", {sign}, "n − h(t−1) in place of h(t−1) − n");
  g.add("edge forgotten", "h alone for the update gate", "Uz",
        {cut, {"1 − z", "1 - z", "n", "candidate", "tanh", "branch", "edge", "use", "path"}},
        "the update gate's use in 1 − z is forgotten", {"sigmoid'"});
  g.add("edge forgotten", "1 - z forgotten", "Un",
        {{"1 − z", "1 - z", "gate", "factor", "multipl", "product", "z"}, forgotten},
        "the factor 1 − z is forgotten before the candidate");
  g.add("other value in place", "z for 1 - z", "Wn",
        {{"z", "gate"}, {"1 − ", "1 - ", "instead", "in place", "sigmoid", "swap"}},
        "z in place of 1 − z before the candidate");
  g.add("other value in place", "n for h at the reset gate", "Wr",
        {{"n", "candidate", "tanh", "h", "state"}, instead}, "dr from n in place of h(t−1)");
  g.add("one use of a shared weight", "last step only", "Ur",
        {{"last", "only", "one use", "use of", "one of"}, join(recurrent, {"use", "matmul"})},
        "the last step's contribution only");

  g.add("truncated BPTT", "truncated after two steps", "Wz",
        {{"trunc", "first", "two steps", "2 steps", "last two", "only", "constant", "cut", "detach"},
         join(recurrent, {"use", "trunc"})},
        "backpropagation through time is truncated after two steps");
  g.add("not transposed everywhere", "Un not transposed", "Wn", {transposed}, "an Un in place of an Unᵀ");
}

/// An LSTM over three steps, each gate with one weight for [x, h]: 2 inputs, 3 states, 2 outputs, six
/// samples.
void lstm(Mistakes& list) {
  random::seed(212);
  const std::size_t steps = 3;
  std::vector<Matrix> x;
  for (std::size_t t = 0; t < steps; ++t) x.push_back(normal({6, 2}));
  const Matrix y = normal({6, 2}), h0 = normal({6, 3}, 0.5), c0 = normal({6, 3}, 0.5), Wf = weights({5, 3}),
               Wi = weights({5, 3}), Wg = weights({5, 3}), Wo = weights({5, 3}), V = weights({3, 2});
  const auto loss = [=] {
    Matrix h = h0, c = c0;
    for (std::size_t t = 0; t < steps; ++t) {
      const Matrix xh = concatenate({x[t], h}, 1);
      c = sigmoid(matmul(xh, Wf)) * c + sigmoid(matmul(xh, Wi)) * tanh(matmul(xh, Wg));
      h = sigmoid(matmul(xh, Wo)) * tanh(c);
    }
    return nn::mse_loss(matmul(h, V), y);
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> h{h0}, c{c0}, xh, f, i, g, o;
    for (std::size_t t = 0; t < steps; ++t) {
      xh.push_back(concatenate({x[t], h[t]}, 1));
      f.push_back(sigmoid(matmul(xh[t], Wf)));
      i.push_back(sigmoid(matmul(xh[t], Wi)));
      g.push_back(tanh(matmul(xh[t], Wg)));
      o.push_back(sigmoid(matmul(xh[t], Wo)));
      c.push_back(f[t] * c[t] + i[t] * g[t]);
      h.push_back(o[t] * tanh(c[t + 1]));
    }
    const Matrix error = 2 * (matmul(h[steps], V) - y) / 12;
    Matrix dWf = zeros_like(Wf), dWi = dWf, dWg = dWf, dWo = dWf;
    Matrix dh = matmul(error, transpose(V)), dc = zeros_like(c0);
    for (std::size_t t = steps; t-- > 0;) {
      const Matrix tc = tanh(c[t + 1]);
      Matrix s = 1 - tc * tc;
      if (wrong == "no slope of tanh(c)") s = ones_like(s);
      if (wrong == "1 - tanh(c)") s = 1 - tc;
      if (wrong == "1 - c²") s = 1 - square(c[t + 1]);
      dc = (wrong == "cell's path forgotten" ? 0 * dc : dc) +
           dh * (wrong == "output gate forgotten" ? ones_like(o[t]) : o[t]) * s;
      Matrix df = dc * (wrong == "c(t) for c(t-1)" ? c[t + 1] : c[t]), di = dc * g[t], dg = dc * i[t];
      if (wrong == "i for g") di = dc * i[t];
      if (wrong == "g for i") dg = dc * g[t];
      Matrix d_o = dh * (wrong == "c for tanh(c)" ? c[t + 1] : tc);
      const Matrix af = df * f[t] * (1 - f[t]), ai = di * i[t] * (1 - i[t]);
      const Matrix ag = dg * (wrong == "sigmoid's slope of g" ? g[t] * (1 - g[t]) : 1 - square(g[t]));
      const Matrix ao = d_o * (wrong == "no slope of o" ? ones_like(o[t]) : o[t] * (1 - o[t]));
      if (!(wrong == "last step only" && t + 1 < steps)) {
        dWf += matmul(transpose(xh[t]), af);
        dWi += matmul(transpose(xh[t]), ai);
        dWg += matmul(transpose(xh[t]), ag);
        dWo += matmul(transpose(xh[t]), ao);
      }
      Matrix dxh = matmul(af, transpose(Wf)) + matmul(ai, transpose(Wi)) + matmul(ag, transpose(Wg));
      if (wrong != "output gate's path forgotten") dxh = dxh + matmul(ao, transpose(Wo));
      dh = slice(dxh, xt::all(), xt::range(2, 5));
      if (wrong == "hidden path forgotten") dh = 0 * dh;
      if (wrong != "forget gate forgotten") dc = dc * f[t];
    }
    return Graph::Gradients{
        {"Wf", dWf}, {"Wi", dWi}, {"Wg", dWg}, {"Wo", dWo}, {"V", matmul(transpose(h[steps]), error)}};
  };
  Graph graph(list, "lstm", {{"Wf", Wf}, {"Wi", Wi}, {"Wg", Wg}, {"Wo", Wo}, {"V", V}}, loss, hand);
  const Words edge{"branch", "path", "edge", "multipl", "product", "add"};
  graph.add(
      "recurrent branch forgotten", "cell's path forgotten", "Wf",
      {cut,
       {"cell", "c(", "c_", "later", "recurr", "previous", "step", "state", "forget", "product", "multipl"}},
      "the path of the cell is cut: dc is not carried from later steps",
      {"tanh'", "sigmoid'", "output gate"});
  graph.add("recurrent branch forgotten", "hidden path forgotten", "Wi",
            {cut, {"concatenat", "slice", "recurr", "later", "hidden", "h(t", "previous", "step", "state"}},
            "the path of the hidden state is cut: dh is not carried back to h(t−1)",
            {"tanh'", "sigmoid'", "di ="});
  graph.add("derivative forgotten everywhere", "no slope of tanh(c)", "Wi",
            {slope, forgotten, {"tanh", "c", "cell"}}, "tanh'(c) is forgotten");
  graph.add("edge forgotten", "forget gate forgotten", "Wg",
            {{"forget", "f", "gate", "sigmoid", "factor", "multipl", "product"},
             forgotten,
             {"gate", "f ", "factor", "multipl", "product", "sigmoid", "wf"}},
            "the forget gate is left out: dc(t−1) = dc in place of dc f");
  graph.add("edge forgotten", "output gate forgotten", "Wf",
            {{"output", "gate", "o ", "sigmoid", "factor", "multipl", "product", "wo"}, forgotten},
            "the output gate is forgotten in dc");
  graph.add("edge dropped", "output gate's path forgotten", "Wo",
            {cut, join(recurrent, edge, {"wo", "output gate", "matmul"})},
            "the way back through the output gate's product is forgotten", {"sigmoid'"});
  graph.add(
      "other value in place", "c(t) for c(t-1)", "Wf",
      {{"c(", "c_", "cell", "state", "previous", "next", "step", "sum", "add", "value", "output"}, instead},
      "df from c(t) in place of c(t−1)", {"later", "tanh(c)", "is forgotten", "gate"});
  graph.add("other value in place", "c for tanh(c)", "Wo",
            {{"tanh", "cell", "before", "c "}, join(instead, forgotten)}, "do from c in place of tanh(c)");
  graph.add("other value in place", "i for g", "Wi",
            {{"sigmoid", "tanh", "gate", "candidate", "itself", "own", "operand", "factor", "wi", "wg",
              "dc i", "dc g", "squared"},
             join(instead, twice)},
            "di = dc i in place of dc g", {"tanh²", "tanh'", "h(t"});
  graph.add("other value in place", "g for i", "Wg",
            {{"sigmoid", "tanh", "gate", "candidate", "itself", "own", "operand", "factor", "wi", "wg",
              "dc i", "dc g", "squared"},
             join(instead, twice)},
            "dg = dc g in place of dc i", {"1 − g", "tanh'", "forgotten", "last step", "left out"});
  graph.add("wrong slope everywhere", "sigmoid's slope of g", "Wg",
            {join(slope, {"tanh"}), {"sigmoid", "a (1 − a)", "g (1 − g)", "(1 − a)", "a(1"}},
            "sigmoid's slope g (1 − g) in place of tanh's 1 − g²");
  graph.add("wrong slope everywhere", "1 - tanh(c)", "Wf",
            {join(slope, {"tanh"}), {"1 − a", "1 - a", "1 − tanh", "1 - tanh", "square", "1−a"}},
            "1 − tanh(c) in place of 1 − tanh²(c)");
  graph.add("wrong slope everywhere", "1 - c²", "Wi",
            {join(slope, {"tanh", "1 − "}),
             {"z²", "c²", "1 − z", "1 - z", "operand", "before", "input", "at z", "in place of a", "z in",
              "c in", "z for", "z·z", "z * z"}},
            "1 − c² in place of 1 − tanh²(c)");
  graph.add("derivative forgotten everywhere", "no slope of o", "Wo",
            {slope, forgotten, {"sigmoid", "gate", "output", "o"}},
            "sigmoid' of the output gate is forgotten");
  graph.add("one use of a shared weight", "last step only", "Wg",
            {{"last", "only", "one use", "use of", "one of"}, join(recurrent, {"use", "matmul"})},
            "the last step's contribution only");
}

}  // namespace xtape::test
