// What derivation() prints: formulas of networks as a textbook writes them, names, LaTeX, and errors.
#include "../check_close.hpp"

#include <cmath>
#include <sstream>

#include <autodiff/derivation.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

using Part = DerivationLine::Part;

Tensor<double> data(const Shape& shape) { return random::normal<double>(shape); }
Tensor<double> weights(const Shape& shape) { return parameter(data(shape)); }

/// "z1 = x Wᵀ + b" and so on, of what is not given.
std::string formulas(const Derivation& derivation) {
  std::string text;
  for (const DerivationLine& line : derivation.lines())
    if (line.part != Part::given) text += line.name + " = " + line.formula + "\n";
  return text;
}
std::string given(const Derivation& derivation) {
  std::string text;
  for (const DerivationLine& line : derivation.lines())
    if (line.part == Part::given) text += (text.empty() ? "" : " ") + line.name;
  return text;
}
const DerivationLine& line_of(const Derivation& derivation, const std::string& name) {
  for (const DerivationLine& line : derivation.lines())
    if (line.name == name) return line;
  FAIL("no line " << name);
  return derivation.lines().front();
}
void check_same(const Tensor<double>& a, const Tensor<double>& b) { check_close(a, b, 1e-12, 1e-14); }
/// The values of a line, as a tensor.
Tensor<double> values(const Derivation& derivation, const std::string& name) {
  const DerivationLine& line = line_of(derivation, name);
  return Tensor<double>::from_data(line.values, line.shape);
}

/// Two layers of the sigmoid, with half the squared error.
struct Mlp {
  Tensor<double> x = data({4, 3}), y = data({4, 2}), W1 = weights({5, 3}), b1 = weights({5}),
                 W2 = weights({2, 5}), b2 = weights({2});
  Tensor<double> loss() const {
    return 0.5 * sum(square(sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2)) - y));
  }
  Derivation derive() const {
    return derivation(loss(), {{"x", x}, {"y", y}, {"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}});
  }
};

}  // namespace

TEST_CASE("an MLP, as a textbook writes it") {
  random::seed(1);
  const Mlp mlp;
  const Derivation d = mlp.derive();
  CHECK(d.text() ==
        "Given\n"
        "  x                                (4, 3)\n"
        "  W1                               (5, 3)\n"
        "  b1                               (5,)\n"
        "  W2                               (2, 5)\n"
        "  b2                               (2,)\n"
        "  y                                (4, 2)\n"
        "\nForward\n"
        "  z1     = x W1ᵀ + b1              (4, 5)\n"
        "  a1     = σ(z1)                   (4, 5)\n"
        "  z2     = a1 W2ᵀ + b2             (4, 2)\n"
        "  a2     = σ(z2)                   (4, 2)\n"
        "  L      = ½ Σ (a2 − y)²           ()\n"
        "\nBackward\n"
        "  dL/da2 = a2 − y                  (4, 2)\n"
        "  δ2     = dL/da2 ⊙ a2 ⊙ (1 − a2)  (4, 2)\n"
        "  dL/da1 = δ2 W2                   (4, 5)\n"
        "  dL/dW2 = δ2ᵀ a1                  (2, 5)\n"
        "  dL/db2 = Σ₀ δ2                   (2,)\n"
        "  δ1     = dL/da1 ⊙ a1 ⊙ (1 − a1)  (4, 5)\n"
        "  dL/dW1 = δ1ᵀ x                   (5, 3)\n"
        "  dL/db1 = Σ₀ δ1                   (5,)\n"
        "\n⊙ multiplies element by element;\n"
        "ᵀ transposes; arrays with nothing between them are multiplied as matrices;\n"
        "Σ adds up all elements;\n"
        "Σ₀ adds up along axis 0, which is the batch where there is one;\n"
        "δ1 is dL/dz1, and so on;\n"
        "σ(z) is 1 / (1 + exp(−z)).\n");
  std::ostringstream out;
  out << d;
  CHECK(out.str() == d.text());
  const std::string latex = d.latex();
  for (const char* part :
       {"\\begin{align*}\n  z_{1} &= x \\, W_{1}^{\\top} + b_{1} \\\\\n",
        "\\delta_{2} &= \\frac{\\partial L}{\\partial a_{2}} \\odot a_{2} \\odot \\left(1 - a_{2}\\right)",
        "\\frac{\\partial L}{\\partial W_{1}} &= \\delta_{1}^{\\top} \\, x", "\\end{align*}\n"})
    CHECK_MESSAGE(latex.find(part) != std::string::npos, latex);
  CHECK(std::ranges::count(latex, '{') == std::ranges::count(latex, '}'));
}

TEST_CASE("the lines' values are those of their formulas") {
  random::seed(2);
  const Mlp mlp;
  const Derivation d = mlp.derive();
  const auto at = [&](const char* name) { return values(d, name); };
  const auto a1 = at("a1"), a2 = at("a2"), delta1 = at("δ1"), delta2 = at("δ2");
  check_same(at("z1"), linear(at("x"), at("W1"), at("b1")));
  check_same(a1, sigmoid(at("z1")));
  check_same(delta2, (a2 - at("y")) * a2 * (1 - a2));
  check_same(delta1, matmul(delta2, at("W2")) * a1 * (1 - a1));
  check_same(at("dL/dW1"), matmul(transpose(delta1), at("x")));
  check_same(at("dL/db2"), sum(delta2, 0));
  const auto gradients = grad(mlp.loss(), {mlp.W1, mlp.b1, mlp.W2, mlp.b2});
  check_same(at("dL/dW1"), gradients[0]);
  check_same(at("dL/db1"), gradients[1]);
  check_same(at("dL/dW2"), gradients[2]);
  check_same(at("dL/db2"), gradients[3]);
  // What a line reads is above it.
  for (std::size_t i = 0; i < d.lines().size(); ++i)
    for (const std::size_t k : d.lines()[i].reads) CHECK(k < i);
}

TEST_CASE("softmax regression: p − y") {
  const auto x = data({4, 3}), W = weights({5, 3}), b = weights({5});
  const Derivation d =
      derivation(nn::cross_entropy(linear(x, W, b), Indices({0, 2, 1, 4})), {{"x", x}, {"W", W}, {"b", b}});
  CHECK(given(d) == "x W b labels");
  CHECK(formulas(d) ==
        "z1 = x Wᵀ + b\nL = −Σ ln softmax(z1)[labels] / 4\n"
        "p = softmax(z1)\nδ1 = (p − one_hot(labels)) / 4\ndL/dW = δ1ᵀ x\ndL/db = Σ₀ δ1\n");
  check_same(values(d, "dL/dW"), matmul(transpose(values(d, "δ1")), x));
}

TEST_CASE("a residual block that is used twice: gradients of both uses are added") {
  const auto x = data({4, 3}), W = weights({3, 3}), b = weights({3});
  const auto h1 = x + tanh(linear(x, W, b)), h2 = h1 + tanh(linear(h1, W, b));
  const Derivation d = derivation(sum(square(h2)), {{"x", x}, {"W", W}, {"b", b}, {"h1", h1}, {"h2", h2}});
  CHECK(formulas(d) ==
        "z1 = x Wᵀ + b\na1 = tanh(z1)\nh1 = x + a1\nz2 = h1 Wᵀ + b\na2 = tanh(z2)\nh2 = h1 + a2\nL = Σ h2²\n"
        "dL/dh2 = 2 h2\ndL/da2 = dL/dh2\nδ2 = dL/dh2 ⊙ (1 − a2²)\ndL/dh1 = dL/dh2 + δ2 W\ndL/da1 = dL/dh1\n"
        "δ1 = dL/dh1 ⊙ (1 − a1²)\ndL/dW = δ2ᵀ h1 + δ1ᵀ x\ndL/db = Σ₀ δ2 + Σ₀ δ1\n");
}

TEST_CASE("a recurrent step: both products are one line") {
  const auto x1 = data({2, 2}), x2 = data({2, 2}), h0 = data({2, 3}), W = weights({3, 3}),
             U = weights({3, 2});
  const auto cell = [&](const Tensor<double>& x, const Tensor<double>& h) {
    const auto from_input = linear(x, U), from_state = linear(h, W);
    return tanh(from_input + from_state);
  };
  const auto h1 = cell(x1, h0), h2 = cell(x2, h1);
  const Derivation d =
      derivation(sum(h2), {{"x1", x1}, {"x2", x2}, {"h0", h0}, {"W", W}, {"U", U}, {"h1", h1}, {"h2", h2}});
  CHECK(formulas(d) ==
        "z1 = x1 Uᵀ + h0 Wᵀ\nh1 = tanh(z1)\nz2 = x2 Uᵀ + h1 Wᵀ\nh2 = tanh(z2)\nL = Σ h2\n"
        "dL/dh2 = 1\nδ2 = 1 − h2²\ndL/dh1 = δ2 W\nδ1 = dL/dh1 ⊙ (1 − h1²)\n"
        "dL/dW = δ2ᵀ h1 + δ1ᵀ h0\ndL/dU = δ2ᵀ x2 + δ1ᵀ x1\n");
}

TEST_CASE("attention: the transposed keys and the scale are no lines of their own") {
  const auto q = weights({3, 2}), k = weights({3, 2}), v = weights({3, 2});
  const auto A = softmax(matmul(q, transpose(k)) / std::sqrt(2.0), -1);
  const Derivation d = derivation(sum(square(matmul(A, v))), {{"q", q}, {"k", k}, {"v", v}, {"A", A}});
  CHECK(formulas(d) ==
        "z1 = q kᵀ\nA = softmax(z1 / √2)\nz2 = A v\nL = Σ z2²\n"
        "δ2 = 2 z2\ndL/dA = δ2 vᵀ\ndL/dv = Aᵀ δ2\nδ1 = A ⊙ (dL/dA − Σ₁ (dL/dA ⊙ A)) / √2\n"
        "dL/dq = δ1 k\ndL/dk = δ1ᵀ q\n");
}

TEST_CASE("layer normalisation, by its operation and by hand") {
  const auto x = weights({4, 5}), g = weights({5}), b = weights({5});
  const Derivation d = derivation(sum(square(layer_norm(x, g, b))), {{"x", x}, {"gamma", g}, {"beta", b}});
  CHECK(line_of(d, "t2").formula == "(x − Σ₁ x / 5) / t1");
  CHECK(line_of(d, "t1").formula == "√(Σ₁ (x − Σ₁ x / 5)² / 5 + 10⁻⁵)");
  CHECK(line_of(d, "dL/dgamma").formula == "Σ₀ (dL/dv1 ⊙ t2)");
  // x − mu is computed twice: one quantity, whose gradient is that of both uses.
  const auto mu = mean(x, -1, true), var = mean(square(x - mu), -1, true), n = (x - mu) / sqrt(var + 1e-5);
  const Derivation own =
      derivation(sum(square(n - b)), {{"x", x}, {"mu", mu}, {"var", var}, {"n", n}, {"b", b}});
  CHECK(line_of(own, "dL/dv1").formula == "dL/dn / √(var + 10⁻⁵) + 2 dL/dvar ⊙ v1 / 5");
  CHECK(line_of(own, "dL/dmu").formula == "−Σ₁ dL/dv1");
}

TEST_CASE("slices, rows and penalties") {
  const auto E = weights({6, 3});
  const auto of_rows = sum(square(take(E, Indices({0, 2, 2}), 0))), penalty = 0.1 * sum(square(E));
  const Derivation rows = derivation(of_rows + penalty, {{"E", E}});
  CHECK(line_of(rows, "dL/dE").formula == "0.2 E + scatter_add(2 E[indices], indices)");
  CHECK(rows.text().find("scatter_add(g, indices) adds") != std::string::npos);
  const auto z = weights({4, 2});
  const auto mu = slice(z, xt::all(), xt::range(0, 1)), s = slice(z, xt::all(), xt::range(1, 2));
  const Derivation parts = derivation(sum(square(mu) * exp(s)), {{"z", z}, {"mu", mu}, {"s", s}});
  CHECK(line_of(parts, "mu").formula == "z[:, 0:1]");
  CHECK(line_of(parts, "dL/dz").formula == "put(dL/ds, [:, 1:2]) + put(dL/dmu, [:, 0:1])");
  CHECK(parts.latex().find("\\mu &= {z}_{[:, 0:1]}") != std::string::npos);
  CHECK(parts.text().find("[…]") == std::string::npos);  // there is no comparison
}

TEST_CASE("names: of modules by their paths, one's own kept, others not taken twice") {
  const auto x = data({5, 3}), y = data({5, 2});
  nn::Sequential<double> model(nn::Linear<double>(3, 4), nn::Tanh<double>(), nn::Linear<double>(4, 2));
  CHECK(given(derivation(nn::mse_loss(model(x), y), model)) == "x 0.weight 0.bias 2.weight 2.bias y");
  CHECK(given(derivation(nn::mse_loss(model(x), y), model, {{"in", x}})) ==
        "in 0.weight 0.bias 2.weight 2.bias y");
  const Derivation d = derivation(nn::mse_loss(model(x), y), model);
  CHECK(line_of(d, "dL/d2.weight").formula == "δ2ᵀ a1");
  CHECK(line_of(d, "δ2").formula == "(z2 − y) / 5");
  CHECK(d.latex().find("\\mathtt{0.weight}") != std::string::npos);

  const auto z1 = weights({2, 3}), a1 = weights({2, 3}), L = weights({3});
  const auto J = sum(sigmoid(linear(z1, a1)));
  const Derivation clash = derivation(J + sum(L), {{"z1", z1}, {"a1", a1}, {"L", L}});
  CHECK(formulas(clash).starts_with("z2 = z1 a1ᵀ\na2 = σ(z2)\nloss = Σ a2 + Σ L\n"));
  CHECK(derivation(J, {{"J", J}}).lines().back().name.starts_with("dJ/d"));
}

TEST_CASE("a function: comparisons are seen, which a recording knows as numbers") {
  const auto w = weights({3}), y = data({3});
  const auto huber = [&] {
    const auto e = w - y;
    return sum(where(abs(e) < 1.0, 0.5 * square(e), abs(e) - 0.5));
  };
  const Derivation traced = derivation(huber, {{"w", w}, {"y", y}});
  CHECK(line_of(traced, "v3").formula == "[v2 < 1]");
  const Derivation recorded = derivation(huber(), {{"w", w}, {"y", y}});
  CHECK(given(recorded) == "w y mask");
  CHECK(formulas(recorded).find("[mask = 0]") == std::string::npos);
  check_same(values(traced, "dL/dw"), values(recorded, "dL/dw"));
  check_same(values(traced, "dL/dw"), grad(huber(), w));
}

TEST_CASE("numbers") {
  const auto w = weights({3});
  const auto of = [&](double c) { return derivation(sum(c * w), {{"w", w}}).lines()[1].formula; };
  CHECK(of(1 / 3.0) == "1/3 Σ w");
  CHECK(of(1 / std::sqrt(3.0)) == "Σ w / √3");
  CHECK(of(-0.25) == "−0.25 Σ w");
  CHECK(of(1e-5) == "10⁻⁵ Σ w");
  CHECK(of(0.5) == "½ Σ w");
  const auto f = parameter<float>({1.0f, 2.0f});
  CHECK(derivation(sum(0.1f * f), {{"f", f}}).lines()[1].formula == "0.1 Σ f");
}

TEST_CASE("errors") {
  const auto w = weights({3});
  const auto message = [](const auto& f) {
    try {
      f();
    } catch (const Error& error) { return std::string(error.what()); }
    return std::string();
  };
  CHECK(message([&] { derivation(square(w)); }).find("has the shape (3,): it must be one number") !=
        std::string::npos);
  CHECK(message([&] { derivation(sum(data({3}))); }).find("was not recorded") != std::string::npos);
  CHECK(message([&] {
          derivation([&] { return sum(data({3})); });
        }).find("depends on nothing that requires") != std::string::npos);
  const auto loss = sum(square(w));
  loss.backward();
  CHECK(message([&] { derivation(loss); }).find("was consumed by backward()") != std::string::npos);
  const auto own = [&] {
    return sum(custom<double>("own", {w}, w.detach(), [](const auto& g) { return std::vector{g}; }));
  };
  CHECK(message([&] { derivation(own()); }).find("'own' is one node of a function of its own") !=
        std::string::npos);
}
