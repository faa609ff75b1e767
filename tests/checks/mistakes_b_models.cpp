// Set B of mistakes: models that are no plain nets.
#include "mistakes_index.hpp"

namespace xtape::test {
using namespace words;

/// A variational autoencoder: 4 numbers, 5 hidden, 3 latent, five samples; log σ² as an output.
void variational(Mistakes& list) {
  random::seed(222);
  const Matrix x = normal({5, 4}), noise = normal({5, 3}), We = weights({4, 5}), Wm = weights({5, 3}),
               Ws = weights({5, 3}, 0.4), Wd = weights({3, 4});
  const auto loss = [=] {
    const Matrix h = tanh(matmul(x, We)), mu = matmul(h, Wm), log_variance = matmul(h, Ws);
    const Matrix z = mu + noise * exp(0.5 * log_variance);
    const Matrix kl = -0.5 * sum(1 + log_variance - square(mu) - exp(log_variance));
    return (sum(square(matmul(z, Wd) - x)) + kl) / 5;
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = tanh(matmul(x, We)), mu = matmul(h, Wm), lv = matmul(h, Ws), deviation = exp(0.5 * lv),
                 z = mu + noise * deviation;
    const Matrix error = (wrong == "no 2" ? 1 : 2) * (matmul(z, Wd) - x) / 5,
                 dz = matmul(error, transpose(Wd));
    Matrix kl_mu = mu / 5, kl_lv = 0.5 * (exp(lv) - 1) / 5;
    if (wrong == "no KL" || wrong == "no KL, no tanh'") kl_mu = 0 * kl_mu, kl_lv = 0 * kl_lv;
    if (wrong == "KL's sign") kl_mu = -kl_mu, kl_lv = -kl_lv;
    if (wrong == "KL without 1") kl_lv = 0.5 * exp(lv) / 5;
    if (wrong == "KL not divided by N") kl_mu = 5 * kl_mu, kl_lv = 5 * kl_lv;
    Matrix path = dz * noise * 0.5 * deviation;
    if (wrong == "½ forgotten") path = 2 * path;
    if (wrong == "noise forgotten") path = dz * 0.5 * deviation;
    if (wrong == "sampling as a constant") path = 0 * path;
    if (wrong == "exp forgotten") path = dz * noise * 0.5;
    const Matrix dmu = dz + kl_mu, dlv = path + kl_lv;
    Matrix dh = matmul(dmu, transpose(Wm)) + matmul(dlv, transpose(Ws));
    if (wrong == "variance's branch forgotten") dh = matmul(dmu, transpose(Wm));
    const Matrix s = wrong == "no KL, no tanh'" || wrong == "no tanh'" ? ones_like(h)
                     : wrong == "1 - a"                                ? 1 - h
                                                                       : 1 - h * h;
    return Graph::Gradients{{"We", matmul(transpose(x), dh * s)},
                            {"Wm", matmul(transpose(h), dmu)},
                            {"Ws", matmul(transpose(h), dlv)},
                            {"Wd", matmul(transpose(wrong == "mu for z" ? mu : z), error)}};
  };
  Graph g(list, "variational autoencoder", {{"We", We}, {"Wm", Wm}, {"Ws", Ws}, {"Wd", Wd}}, loss, hand);
  const Words kl{"kl",     "divergence", "square", "μ",    "mu",  "penalty", "term",
                 "branch", "path",       "use",    "edge", "exp", "one of"};
  g.add("edge dropped", "no KL", "Wm", {cut, kl}, "the KL divergence is forgotten");
  g.add("edge dropped", "no KL", "We", {cut, kl}, "the KL divergence is forgotten",
        {"mean's branch", "only the mean"});
  g.add("sign of a branch", "KL's sign", "Wm", {sign, kl}, "the KL divergence has the wrong sign");
  g.add("edge dropped", "KL without 1", "Ws",
        {cut, {"own term", "log variance", "lv", "− 1", "1 +", "+ 1", "log_variance", "add", "sum"}},
        "½ e^lv in place of ½ (e^lv − 1): the log variance's own term is forgotten",
        {"½ in", "derivative of exp", "noise"});
  g.add("factor of a branch", "KL not divided by N", "Wm", {kl, batch("5")},
        "the KL divergence is not divided by N");
  g.add("factor of a branch", "½ forgotten", "Ws",
        {two, {"exp", "σ", "deviation", "½", "0.5", "half", "branch", "path", "noise", "variance", "edge"}},
        "the ½ in e^(½ lv) is forgotten", {"own term"});
  g.add("edge forgotten", "noise forgotten", "Ws",
        {{"noise", "ε", "eps", "constant", "factor", "multipl", "product", "random"}, forgotten},
        "the noise is forgotten: dσ = dz");
  g.add("edge dropped", "sampling as a constant", "Ws",
        {cut,
         {"noise", "sampl", "exp", "reparam", "σ", "deviation", "branch", "path", "edge", "multipl",
          "reconstruct", "one of"}},
        "the way back through the sampling is forgotten", {"noise is forgotten", "derivative of exp"});
  g.add("derivative forgotten", "exp forgotten", "Ws",
        {join(slope, {"exp"}), forgotten, {"exp", "σ", "deviation"}}, "the derivative of exp is forgotten");
  g.add("edge dropped", "variance's branch forgotten", "We",
        {cut, {"ws", "variance", "branch", "path", "edge", "matmul", "log", "use", "one of"}},
        "only the mean's branch goes back into the encoder");
  g.add("derivative forgotten", "no tanh'", "We",
        {slope, forgotten, {"tanh", "hidden", "activation", "layer", "a", "h"}}, "tanh' is forgotten");
  g.add("wrong slope", "1 - a", "We", {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "1−a", "square"}},
        "1 − a in place of 1 − a²");
  g.add("other value in place", "mu for z", "Wd",
        {{"mu", "μ", "noise", "mean", "sampl", "add", "before", "z", "matmul", "branch"},
         join(instead, cut),
         {"mu", "μ", "noise", "mean", "sampl", "add", "wm", "matmul", "exp", "operand"}},
        "the decoder's input is μ in place of the sampled z");
  g.add("factor", "no 2", "Wd", {two}, "the 2 of the square is forgotten");
  g.add("pair", "no KL, no tanh'", "We", {slope, forgotten, kl},
        "the KL divergence and tanh' are both forgotten");
}

/// Regression with Huber's loss by where(), δ = 0.8: 4 features, 2 outputs, eight samples.
void huber(Mistakes& list) {
  random::seed(229);
  const Matrix x = normal({8, 4}), y = normal({8, 2}), W = weights({4, 2}, 0.5), b = weights({2}, 0.3);
  const double delta = 0.8;
  const auto loss = [=] {
    const Matrix r = affine(x, W, b) - y;
    return mean(where(abs(r) <= delta, 0.5 * square(r), delta * (abs(r) - 0.5 * delta)));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix r = affine(x, W, b) - y, is_small = abs(r) <= delta,
                 direction = where(r > 0, 1.0, -ones_like(r));
    Matrix d = where(is_small, r, delta * direction);
    if (wrong == "quadratic everywhere") d = r;
    if (wrong == "linear everywhere") d = delta * direction;
    if (wrong == "δ forgotten") d = where(is_small, r, direction);
    if (wrong == "direction forgotten") d = where(is_small, r, full_like(r, delta));
    if (wrong == "branches exchanged") d = where(is_small, delta * direction, r);
    if (wrong == "large errors as 0") d = where(is_small, r, zeros_like(r));
    if (wrong == "2 r") d = where(is_small, 2 * r, delta * direction);
    d = d / (wrong == "mean over the batch only" ? 8 : 16);
    return Graph::Gradients{{"W", matmul(transpose(x), d)}, {"b", sum(d, 0)}};
  };
  Graph g(list, "huber", {{"W", W}, {"b", b}}, loss, hand);
  const Words cases{"where", "case",      "branch", "mask",      "|r|",   "abs",
                    "δ",     "quadratic", "linear", "condition", "square"};
  g.add("mask forgotten", "quadratic everywhere", "W",
        {cases,
         {"everywhere", "all", "quadratic", "forgot", "ignored", "first", "square", "missing", "left out",
          "without", "always", "only"}},
        "the condition of where is ignored: r for large errors, too",
        {"small errors", "derivative of |r|", "left out", "factor"});
  g.add("mask forgotten", "linear everywhere", "W",
        {cases,
         {"everywhere", "all", "linear", "forgot", "ignored", "second", "abs", "missing", "left out",
          "without", "always", "only"}},
        "the condition of where is ignored: δ sign(r) for small errors, too",
        {"derivative of |r|", "large errors", "factor"});
  g.add("factor of a branch", "δ forgotten", "W",
        {{"δ", "delta", "0.8", "factor", "1.25", "constant", "multipl"},
         join(forgotten, factor("0.8"), factor("1.25"))},
        "the factor δ is left out: sign(r) in place of δ sign(r)",
        {"derivative of |r|", "ignored", "large errors"});
  g.add("derivative forgotten", "direction forgotten", "W",
        {{"sign", "abs", "|r|", "±"}, join(forgotten, {"derivative"})},
        "δ in place of δ sign(r): the derivative of |r| is forgotten", {"condition", "factor δ"});
  g.add(
      "other value in place", "branches exchanged", "W",
      {join(cases, {"operand"}),
       {"exchang", "swap", "wrong way", "revers", "other way", "negat", "opposite", "invert", "interchang"}},
      "the two cases of where are exchanged");
  g.add("edge dropped", "large errors as 0", "W", {cut, cases},
        "the branch of where() for large errors is left out", {"derivative of |r|", "ignored", "factor δ"});
  g.add("factor of a branch", "2 r", "W",
        {two,
         {"square", "branch", "quadratic", "where", "case", "r", "½"},
         {"square", "branch", "quadratic", "where", "case", "½", "edge"}},
        "a factor 2 in the quadratic case: 2 r in place of r");
  g.add("factor", "mean over the batch only", "W", {join(outputs("2"), two, averaged)},
        "divided by 8 samples, not by 16 elements", {"quadratic"});
}

/// Four damped oscillators by Euler's method, five steps of 0.2: stiffnesses k, dampings c.
void oscillators(Mistakes& list) {
  random::seed(230);
  const std::size_t steps = 5;
  const double dt = 0.2;
  const Matrix x0 = normal({4}), v0 = normal({4}), k = parameter(random::uniform<double>({4}, 1, 2)),
               c = parameter(random::uniform<double>({4}, 0.2, 0.6));
  std::vector<Matrix> seen;
  for (std::size_t t = 0; t < steps; ++t) seen.push_back(normal({4}));
  const auto loss = [=] {
    Matrix x = x0, v = v0, total(0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      const Matrix a = -k * x - c * v;
      x = x + dt * v;
      v = v + dt * a;
      total = total + sum(square(x - seen[t]));
    }
    return total;
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> x{x0}, v{v0};
    for (std::size_t t = 0; t < steps; ++t) {
      x.push_back(x[t] + dt * v[t]);
      v.push_back(v[t] + dt * (-k * x[t] - c * v[t]));
    }
    Matrix dx = zeros<double>({4}), dv = dx, dk = dx, dc = dx;
    for (std::size_t t = steps; t-- > 0;) {
      if (!(wrong == "last observation only" && t + 1 < steps)) dx = dx + 2 * (x[t + 1] - seen[t]);
      const Matrix da = (wrong == "dt forgotten" ? 1 : dt) * dv;
      if (!(wrong == "last use only" && t + 2 < steps)) {
        dk = dk - da * (wrong == "next x" ? x[t + 1] : x[t]);
        dc = dc - da * (wrong == "x for v" ? x[t] : v[t]);
      }
      Matrix new_dv = dv + dt * dx, new_dx = dx;
      if (wrong != "spring forgotten") new_dx = dx - k * dt * dv;
      if (wrong != "damping forgotten") new_dv = new_dv - c * dt * dv;
      if (wrong == "force's sign") new_dx = dx + k * dt * dv;
      if (wrong == "dv not carried") new_dv = dt * dx;
      dx = new_dx;
      dv = new_dv;
    }
    if (wrong == "plus for the force") dk = -dk;
    return Graph::Gradients{{"k", dk}, {"c", dc}};
  };
  Graph g(list, "oscillators", {{"k", k}, {"c", c}}, loss, hand);
  const Words state{"step", "time", "previous", "earlier", "recurr", "state", "branch",
                    "path", "edge", "multipl",  "product", "every",  "use",   "add"};
  g.add("recurrent branch forgotten", "spring forgotten", "k", {cut, state},
        "the force's dependence on the state x is cut on the way back", {"last observation", "v(t)"});
  g.add("recurrent branch forgotten", "damping forgotten", "c", {cut, state},
        "the damping's dependence on the state v is cut on the way back", {"time step is", "last two"});
  g.add("recurrent branch forgotten", "dv not carried", "k", {cut, state},
        "the path from v(t) to the next step's v(t + 1) is cut", {"last observation", "force"});
  g.add("sign of a branch", "force's sign", "k", {sign}, "the force goes back with the wrong sign",
        {"minus of"});
  g.add("sign", "plus for the force", "k", {sign}, "the minus of − k x is forgotten", {"goes back"});
  g.add("factor", "dt forgotten", "c", {join(factor("5"), {"dt", "0.2", "δt", "time step", "factor"})},
        "the time step is forgotten before the force");
  g.add("samples left out", "last observation only", "k", {{"last", "only", "observation"}, join(cut, state)},
        "only the last observation is counted");
  g.add("one use of a shared weight", "last use only", "c",
        {{"last", "only", "one use", "use of", "one of", "trunc", "two", "2"}, join(state, cut)},
        "only the last two steps' uses are counted");
  g.add("other value in place", "next x", "k",
        {{"x", "next", "state", "step", "other"},
         instead,
         {"next", "later", "x(", "step", "another", "other", "value", "sum", "result", "operand"}},
        "x(t + 1) in place of x(t)");
  g.add("other value in place", "x for v", "c",
        {{"x", "v", "state", "operand", "position", "other"}, instead}, "x in place of v");
}

}  // namespace xtape::test
