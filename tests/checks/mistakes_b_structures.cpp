// Set B of mistakes: recurrent cells, normalisations, convolution, attention.
#include "mistakes_graph.hpp"

namespace xtape::test {

void structures_b(Mistakes& list);

namespace {
using namespace words;

const Words recurrent{"recurr", "time", "step", "previous", "state", "earlier", "hidden", "h(t", "h_t"};

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

const Words moments{"root",   "√",         "sqrt", "norm",      "mean", "var",   "σ",
                    "moment", "statistic", "std",  "deviation", "rms",  "square"};

/// Layer normalisation by plain operations, then tanh: widths 3, 6, 2, five samples.
void layer_norm_net(Mistakes& list) {
  random::seed(213);
  const Matrix x = normal({5, 3}), y = normal({5, 2}), W = weights({3, 6}),
               gamma = parameter(normal({6}, 0.5) + 1.2), beta = weights({6}), V = weights({6, 2});
  const auto loss = [=] {
    const Matrix z = matmul(x, W), centred = z - mean(z, 1, true);
    const Matrix normed = centred / sqrt(mean(square(centred), 1, true) + 1e-5);
    return nn::mse_loss(matmul(tanh(gamma * normed + beta), V), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), centred = z - mean(z, 1, true),
                 deviation = sqrt(mean(square(centred), 1, true) + 1e-5), normed = centred / deviation,
                 a = tanh(gamma * normed + beta), d = 2 * (matmul(a, V) - y) / 10;
    const Matrix du = matmul(d, transpose(V)) * (1 - a * a),
                 dn = wrong == "gamma forgotten" ? du : gamma * du;
    const std::ptrdiff_t axis = wrong == "moments over the batch" ? 0 : 1;
    Matrix m = mean(dn, axis, true), v = normed * mean(dn * normed, axis, true);
    if (wrong == "constants" || wrong == "mean constant") m = 0 * m;
    if (wrong == "constants" || wrong == "variance constant") v = 0 * v;
    if (wrong == "N - 1") v = v * 6 / 5;
    if (wrong == "sign of the variance") v = -v;
    if (wrong == "sum for the mean") m = 6 * m;
    Matrix dz = (dn - m - v) / deviation;
    if (wrong == "divided by the variance") dz = dz / deviation;
    if (wrong == "deviation forgotten") dz = dz * deviation;
    Matrix dgamma = sum(du * normed, 0);
    if (wrong == "centred for normalised") dgamma = sum(du * centred, 0);
    return Graph::Gradients{{"W", matmul(transpose(x), dz)},
                            {"gamma", dgamma},
                            {"beta", wrong == "mean for beta" ? mean(du, 0) : sum(du, 0)},
                            {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "layer norm", {{"W", W}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  g.add_any("moments as constants", "constants", "W",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"½", "1 / n"});
  g.add("moments as constants", "mean constant", "W", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both", "1 / n"});
  g.add("moments as constants", "variance constant", "W", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "½", "n − 1", "1 / σ is", "wrong sign"});
  g.add("axis", "moments over the batch", "W", {moments, {"axis", "batch", "samples", "column"}},
        "means over the samples in place of the features");
  g.add("N - 1 for N", "N - 1", "W",
        {{"n − 1", "n - 1", "n−1", "5", "ddof", "1.2", "6/5", "bessel", "unbiased"}},
        "the variance's path is divided by N − 1");
  g.add("sign of a branch", "sign of the variance", "W", {sign, of_variance},
        "the variance's path has the wrong sign");
  g.add("factor", "sum for the mean", "W",
        {join(of_mean, {"sum"}), join(factor("6"), {"sum", "1 / n", "1/n", "divided", "feature"})},
        "the 1 / n of the mean is forgotten in its path", {"sample", "batch"});
  g.add("derivative forgotten", "deviation forgotten", "W", {join(of_variance, {"divi", "scale"}), forgotten},
        "1 / σ is forgotten");
  g.add("derivative twice", "divided by the variance", "W",
        {join(of_variance, {"divi", "scale"}),
         {"twice", "σ²", "again", "once too", "by the variance", "too often", "squared"}},
        "divided by σ² in place of σ", {"constant", "n − 1", "wrong sign"});
  g.add("edge forgotten", "gamma forgotten", "W",
        {{"gamma", "γ", "scale", "multipl", "factor", "product"}, forgotten}, "gamma is forgotten");
  g.add("other value in place", "centred for normalised", "gamma",
        {join(moments, {"centr", "z", "divi", "numerator"}), join(instead, forgotten)},
        "dgamma from the centred values, not divided by σ");
  g.add("reduction of a bias", "mean for beta", "beta", {join(averaged, batch("5"))},
        "the mean in place of the sum");
}

/// RMS normalisation, then softplus: widths 4, 5, 3, six samples.
void rms_norm_net(Mistakes& list) {
  random::seed(214);
  const Matrix x = normal({6, 4}), y = normal({6, 3}), W = weights({4, 5}),
               gain = parameter(normal({5}, 0.4) + 1.1), V = weights({5, 3});
  const auto loss = [=] {
    const Matrix z = matmul(x, W), rms = sqrt(mean(square(z), 1, true) + 1e-6);
    return nn::half_squared_error(matmul(softplus(gain * z / rms), V), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), rms = sqrt(mean(square(z), 1, true) + 1e-6), normed = z / rms,
                 u = gain * normed, a = softplus(u), d = (matmul(a, V) - y) / 6,
                 du = matmul(d, transpose(V)) * (wrong == "no slope" ? ones_like(u) : sigmoid(u)),
                 dn = gain * du;
    Matrix through = normed * mean(dn * normed, 1, true);
    if (wrong == "rms constant") through = 0 * through;
    if (wrong == "2 of the square forgotten") through = through / 2;
    if (wrong == "half of the root forgotten") through = 2 * through;
    if (wrong == "sum for the mean") through = 5 * through;
    if (wrong == "over the batch") through = normed * mean(dn * normed, 0, true);
    if (wrong == "mean over everything") through = normed * mean(dn * normed);
    const Matrix dz = (dn - through) / rms;
    return Graph::Gradients{{"W", matmul(transpose(x), dz)},
                            {"gain", sum(du * (wrong == "not normalised" ? z : normed), 0)},
                            {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "rms norm", {{"W", W}, {"gain", gain}, {"V", V}}, loss, hand);
  g.add("moments as constants", "rms constant", "W", {moments, path_cut},
        "the root mean square is taken as a constant", {"2 of", "½ of", "1 / n"});
  g.add_any("factor", "2 of the square forgotten", "W", {{two, moments}},
            "the 2 of the square's derivative is forgotten in the path of the root mean square",
            {"root's derivative"});
  g.add_any("factor", "half of the root forgotten", "W", {{two, moments}},
            "the ½ of the root's derivative is forgotten in the path of the root mean square",
            {"square's derivative"});
  g.add("factor", "sum for the mean", "W",
        {join(of_mean, {"sum"}), join(factor("5"), {"sum", "1 / n", "1/n", "divided", "feature"})},
        "the 1 / n of the mean is forgotten", {"sample", "batch"});
  g.add("axis", "over the batch", "W", {moments, {"axis", "batch", "samples", "column"}},
        "the mean along the samples");
  g.add("axis", "mean over everything", "W",
        {moments, {"axis", "all", "everything", "whole", "without an axis", "no axis", "batch"}},
        "the mean over all elements in place of each row's");
  g.add("other value in place", "not normalised", "gain",
        {join(moments, {"z", "divi", "matmul"}), join(instead, forgotten)},
        "dgain from z before the normalisation, in place of the normalised z");
  g.add("derivative forgotten", "no slope", "gain", {slope, forgotten}, "softplus' is forgotten");
}

/// xtape's batch_norm, then sigmoid: widths 4, 3, 2, eight samples.
void fused_batch_norm(Mistakes& list) {
  random::seed(215);
  const Matrix x = normal({8, 4}), y = normal({8, 2}), W = weights({4, 3}),
               gamma = parameter(normal({3}, 0.4) + 1.3), beta = weights({3}), V = weights({3, 2});
  const auto loss = [=] {
    return nn::mse_loss(matmul(sigmoid(batch_norm(matmul(x, W), gamma, beta)), V), y,
                        nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), deviation = sqrt(var(z, 0) + 1e-5), normed = (z - mean(z, 0)) / deviation,
                 a = sigmoid(gamma * normed + beta), d = 2 * (matmul(a, V) - y) / 8,
                 du = matmul(d, transpose(V)) * a * (1 - a), dn = gamma * du;
    const std::ptrdiff_t axis = wrong == "over the features" ? 1 : 0;
    Matrix m = mean(dn, axis, true), v = normed * mean(dn * normed, axis, true);
    if (wrong == "constants" || wrong == "mean constant" || wrong == "constants, no 2") m = 0 * m;
    if (wrong == "constants" || wrong == "variance constant" || wrong == "constants, no 2") v = 0 * v;
    if (wrong == "N - 1") v = v * 8 / 7;
    Matrix dz = (dn - m - v) / deviation;
    if (wrong == "constants, no 2") dz = dz / 2;
    if (wrong == "running moments") dz = (dn - m - v) / (0.9 + 0.1 * deviation);
    return Graph::Gradients{
        {"W", matmul(transpose(x), dz)},
        {"gamma", sum(du * (wrong == "dgamma without the normalised" ? ones_like(normed) : normed), 0)},
        {"beta", sum(du, 0)},
        {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "fused batch norm", {{"W", W}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  g.add_any("moments as constants", "constants", "W",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"and the 2"});
  g.add("moments as constants", "mean constant", "W", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both"});
  g.add("moments as constants", "variance constant", "W", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "n − 1", "moments"});
  g.add("N - 1 for N", "N - 1", "W",
        {{"n − 1", "n - 1", "n−1", "7", "ddof", "1.14", "8/7", "bessel", "unbiased"}},
        "N − 1 in the variance's path");
  g.add("axis", "over the features", "W", {moments, {"axis", "feature", "row", "layer"}},
        "the moments' means over the features: layer norm's derivative");
  g.add("derivative forgotten", "dgamma without the normalised", "gamma",
        {join(moments, {"x", "beta", "β"}), join(forgotten, {"dbeta", "beta", "instead"})},
        "dgamma = Σ du, which is dbeta");
  g.add("pair", "constants, no 2", "W", {moments, cut, two},
        "the moments are taken as constants, and the 2 of the square is forgotten");
}

/// Convolution, softplus, strided and padded convolution, sigmoid, average pooling, softmax: three images of
/// 7 × 7.
void strided_convolution(Mistakes& list) {
  random::seed(216);
  const std::vector<std::size_t> labels{2, 0, 3};
  const Matrix x = normal({3, 1, 7, 7}), y = one_hot(labels, 4), w1 = weights({2, 1, 2, 2}),
               c1 = weights({2}), w2 = weights({3, 2, 3, 3}, 0.5), c2 = weights({3}),
               W = weights({3, 4}, 1.5);
  const Conv2dOptions options{.stride = 2, .padding = 1};
  const auto loss = [=] {
    const Matrix a1 = softplus(conv2d(x, w1, c1));           // (3, 2, 6, 6)
    const Matrix a2 = sigmoid(conv2d(a1, w2, c2, options));  // (3, 3, 3, 3)
    return nn::cross_entropy(matmul(reshape(avg_pool2d(a2, 3), {3, 3}), W), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = conv2d(x, w1, c1), a1 = softplus(z1), a2 = sigmoid(conv2d(a1, w2, c2, options)),
                 pooled = reshape(mean(a2, {2, 3}), {3, 3}), logits = matmul(pooled, W), p = softmax(logits);
    Matrix d = p - y;
    if (wrong == "label not subtracted") d = p;
    if (wrong != "not divided by N") d = d / 3;
    const Matrix dp = reshape(matmul(d, transpose(W)), {3, 3, 1, 1});
    Matrix spread = broadcast_to(dp / 9, {3, 3, 3, 3});
    if (wrong == "pooling without 1/9") spread = 9 * spread;
    if (wrong == "to the largest only") spread = dp * equal(a2, max(a2, {2, 3}, true));
    Matrix s2 = a2 * (1 - a2);
    if (wrong == "no slope 2") s2 = ones_like(s2);
    if (wrong == "1 - a") s2 = 1 - a2;
    const Matrix g2 = reshape(spread * s2, {3, 3, 9}), columns = unfold(a1, 3, 2, 1);
    Matrix dw2 = reshape(sum(matmul(g2, transpose(columns, {0, 2, 1})), 0), {3, 2, 3, 3});
    if (wrong == "dw2 flipped") dw2 = flip(dw2, {2, 3});
    if (wrong == "height and width exchanged") dw2 = transpose(dw2, {0, 1, 3, 2});
    Matrix kernels = w2;
    if (wrong == "kernel not flipped") kernels = flip(w2, {2, 3});
    if (wrong == "kernel transposed") kernels = transpose(w2, {0, 1, 3, 2});
    const Matrix da1 = fold(matmul(transpose(reshape(kernels, {3, 18})), g2), {6, 6}, 3, 2, 1);
    Matrix s1 = sigmoid(z1);
    if (wrong == "no slope 1") s1 = ones_like(s1);
    const Matrix g1 = reshape(da1 * s1, {3, 2, 36});
    return Graph::Gradients{
        {"w1", reshape(sum(matmul(g1, transpose(unfold(x, 2), {0, 2, 1})), 0), {2, 1, 2, 2})},
        {"c1", sum(g1, {0, 2})},
        {"w2", dw2},
        {"c2", wrong == "mean over positions" ? sum(mean(g2, 2), 0) : sum(g2, {0, 2})},
        {"W", matmul(transpose(pooled), d)}};
  };
  Graph g(list, "strided convolution", {{"w1", w1}, {"c1", c1}, {"w2", w2}, {"c2", c2}, {"W", W}}, loss,
          hand);
  const Words flipped{"flip", "rotat", "180", "turned", "revers", "mirror"};
  g.add("kernel not flipped", "kernel not flipped", "w1", {flipped},
        "the way back through w2 with the kernel turned by 180°");
  g.add("kernel not flipped", "dw2 flipped", "w2", {flipped}, "dw2 comes out turned by 180°");
  g.add("not transposed", "height and width exchanged", "w2",
        {join(transposed, {"height and width", "exchang", "swap", "axes"})},
        "height and width of dw2 are exchanged");
  g.add("not transposed", "kernel transposed", "w1",
        {join(transposed, {"height and width", "exchang", "swap", "axes"})},
        "height and width of w2 are exchanged on the way back");
  g.add("pooling", "pooling without 1/9", "w2", {join(factor("9"), {"pool", "mean", "average"})},
        "the 1 / 9 of the mean pooling is forgotten", {"largest", "max"});
  g.add("pooling", "to the largest only", "w2", {{"pool", "mean", "average"}, {"max", "largest"}},
        "average pooling's gradient goes to the largest element only, as by max pooling");
  g.add("derivative forgotten", "no slope 2", "w1",
        {slope, forgotten, {"sigmoid", "second", "a2", "z2", "layer 2", "2nd"}}, "sigmoid' is forgotten");
  g.add("derivative forgotten", "no slope 1", "w1",
        {slope, forgotten, {"softplus", "first", "a1", "z1", "layer 1", "1st"}}, "softplus' is forgotten");
  g.add("wrong slope", "1 - a", "c2",
        {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "1−a", "factor a"}},
        "1 − a in place of a (1 − a)");
  g.add("reduction of a bias", "mean over positions", "c2",
        {join(averaged, factor("9"), {"position", "pixel"})},
        "the mean over 9 positions in place of their sum");
  g.add("label not subtracted", "label not subtracted", "w2",
        {label, join(forgotten, {"subtract", "p alone", "only p"})}, "the label is not subtracted");
  g.add("factor", "not divided by N", "w1", {batch("3")}, "the division by N = 3 is forgotten");
}

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
        double& target = dE.mutable_data()[static_cast<std::size_t>(places[i]) * 4 + j];
        target = dx.data()[i * 4 + j] + (wrong == "overwritten" ? 0 : target);
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
        {{"repeat", "duplicate", "several times", "occur", "accumulat", "overwrit", "same index", "same row",
          "same word", "add up", "added up", "summed"},
         {"last", "overwr", "not accumul", "instead", "assign"}},
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

}  // namespace

void structures_b(Mistakes& list) {
  gru(list);
  lstm(list);
  layer_norm_net(list);
  rms_norm_net(list);
  fused_batch_norm(list);
  strided_convolution(list);
  embedded_attention(list);
}

}  // namespace xtape::test
