// C++ that is written from a derivation compiles without a warning, and gives the tape's loss and gradients.
#include <nn/nn.hpp>

#include <set>

#include <autodiff/derivation/derived.hpp>
#include "../check_close.hpp"
#include "../ops/op_table.hpp"
#include "written_cpp.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

Tensor<double> weighted(const Tensor<double>& y) {
  return sum(y * cos(reshape(arange<double>(static_cast<double>(y.size())), Dims(y.shape()))));
}

bool no_compiler() {
  const bool none = !WrittenCpp::have_compiler();
  if (none) MESSAGE("there is no c++ here: what is written is not compiled");
  return none;
}

void check(WrittenCpp& written, double tolerance) {
  Agreement agreement;
  const std::string log = written.run(agreement);
  CHECK_MESSAGE(log.empty(), log.substr(0, 4000));
  CHECK_MESSAGE(agreement.largest <= tolerance, agreement.largest << " in " << agreement.worst);
  MESSAGE(written.size() << " functions: the largest deviation is " << agreement.largest << " ("
                         << agreement.worst << "), " << agreement.same_bits << " of " << agreement.numbers
                         << " numbers have the same bits");
}

}  // namespace

TEST_CASE("every operation of the table") {
  if (no_compiler()) return;
  WrittenCpp written;
  // Factorisations are LAPACK's.
  const std::set<std::string> refused{"cholesky",  "solve_triangular",
                                      "cho_solve", "solve",
                                      "inv",       "det",
                                      "slogdet",   "expm",
                                      "qr",        "svd",
                                      "svdvals",   "pinv",
                                      "eigh",      "eigvalsh",
                                      "lstsq",     "matrix_power/negative"};
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size() && set < 4; ++set) {
      if (row.op == "custom") continue;
      CAPTURE(row.id());
      CAPTURE(set);
      Tensors x;
      WrittenCpp::Named<double> names;
      bool is_empty = false;
      for (const Tensor<double>& one : sample(row, set)) {
        x.push_back(parameter(one));
        names.emplace_back("x" + std::to_string(names.size()), x.back());
        is_empty = is_empty || one.size() == 0;
      }
      const auto f = [&] { return weighted(row.f(x)); };
      const Tensor<double> loss = f();
      if (is_empty || !loss.requires_grad()) continue;
      const Tensors expected = grad(loss, x, {.retain_tape = true});
      const Derivation derivation = set % 2 == 0 && row.op != "checkpoint" ? xtape::derivation(loss, names)
                                                                           : xtape::derivation(f, names);
      if (refused.contains(row.op) || refused.contains(row.id())) {
        std::string error;
        try {
          (void)derivation.cpp("f");
        } catch (const Error& e) { error = e.what(); }
        CHECK_MESSAGE(error.find("cannot be written as C++") != std::string::npos, error);
        continue;
      }
      written.add<double>(row.id() + " of set " + std::to_string(set), derivation, names, loss.detach(),
                          expected);
    }
  check(written, 1e-13);
}

namespace {

/// Models and losses as people train them, each as a recording and as a function.
template <class T>
struct Models {
  WrittenCpp& written;
  CppOptions options{};

  template <class F>
  void add(const std::string& what, WrittenCpp::Named<T> names, const F& f, bool is_recorded = true) {
    CAPTURE(what);
    const Tensor<T> loss = f();
    std::vector<Tensor<T>> leaves, gradients;
    for (const auto& [name, x] : names)
      if (x.requires_grad()) leaves.push_back(x);
    const std::vector<Tensor<T>> of_leaves = grad(loss, leaves, {.retain_tape = true});
    std::size_t next = 0;
    for (const auto& [name, x] : names)
      gradients.push_back(x.requires_grad() ? of_leaves[next++] : Tensor<T>());
    for (auto& [name, x] : names) std::ranges::replace(name, '.', '_');
    if (is_recorded) written.add<T>(what, derivation(loss, names), names, loss.detach(), gradients, options);
    written.add<T>(what + ", traced", derivation(f, names), names, loss.detach(), gradients, options);
  }
  template <class M, class F>
  void add(const std::string& what, M& model, const Tensor<T>& x, const F& loss_of) {
    WrittenCpp::Named<T> names = model.named_parameters();
    for (auto& [name, tensor] : names) name = "w_" + name;
    names.emplace_back("x", x);
    add(what, names, [&] { return loss_of(model(x)); });
  }
  static Tensor<T> normal(const Shape& shape) { return random::normal<T>(shape); }
  static Tensor<T> weight(const Shape& shape) { return parameter(random::normal<T>(shape, 0, 0.5)); }

  void sigmoid_networks() {
    for (const auto [batch, in, hidden, out] :
         {std::array<std::size_t, 4>{1, 2, 2, 1}, {4, 2, 8, 1}, {32, 64, 33, 10}}) {
      const Tensor<T> x = normal({batch, in}), y = random::uniform<T>({batch, out}),
                      W1 = weight({hidden, in}), b1 = weight({hidden}), W2 = weight({out, hidden}),
                      b2 = weight({out});
      const WrittenCpp::Named<T> names{{"x", x}, {"y", y}, {"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}};
      const auto a1 = [=] { return sigmoid(linear(x, W1, b1)); };
      add("mse", names, [=] { return nn::mse_loss(sigmoid(linear(a1(), W2, b2)), y); });
      add("half squared error", names,
          [=] { return nn::half_squared_error(sigmoid(linear(a1(), W2, b2)), y); });
      add("cross-entropy", names, [=] { return nn::binary_cross_entropy(sigmoid(linear(a1(), W2, b2)), y); });
      add("logits", names, [=] { return nn::binary_cross_entropy_with_logits(linear(a1(), W2, b2), y); });
      add("by hand", names, [=] {
        const Tensor<T> a2 = sigmoid(matmul(tanh(linear(x, W1, b1)), transpose(W2)) + b2);
        return -mean(y * log(a2) + (1 - y) * log(1 - a2));
      });
    }
  }
  void classifiers() {
    const auto loss_of = [](const Tensor<T>& z) {
      std::vector<int> labels;
      for (int i = 0; i < static_cast<int>(z.shape()[0]); ++i) labels.push_back(i * 7 % 10);
      return nn::cross_entropy(z, Indices(labels));
    };
    nn::Sequential<T> dense(nn::Linear<T>(12, 16), nn::ReLU<T>(), nn::LayerNorm<T>(16),
                            nn::Residual<T>(nn::Sequential<T>(nn::Linear<T>(16, 16), nn::GELU<T>())),
                            nn::Linear<T>(16, 10));
    add("classifier", dense, normal({9, 12}), loss_of);
    nn::Sequential<T> convolutional(nn::Conv2d<T>(1, 4, 3, {.padding = 1}), nn::ReLU<T>(),
                                    nn::MaxPool2d<T>(2), nn::Conv2d<T>(4, 6, 3), nn::ReLU<T>(),
                                    nn::Flatten<T>(), nn::Linear<T>(24, 8, false), nn::BatchNorm1d<T>(8),
                                    nn::ReLU<T>(), nn::Linear<T>(8, 10));
    add("convolutions", convolutional, normal({5, 1, 8, 8}), loss_of);
  }
  void attention() {
    const std::size_t N = 2, L = 5, heads = 2, width = 8;
    const Tensor<T> x = normal({N, L, width}), q = weight({width, width}), k = weight({width, width}),
                    v = weight({width, width}), o = weight({width, width}), gamma = weight({width}),
                    beta = weight({width});
    const Tensor<T> future = triu(full<T>({L, L}, T(-30)), 1);
    add("attention", {{"x", x}, {"Wq", q}, {"Wk", k}, {"Wv", v}, {"Wo", o}, {"gamma", gamma}, {"beta", beta}},
        [=] {
          const Tensor<T> normal = layer_norm(x, gamma, beta);
          const auto of_heads = [&](const Tensor<T>& w) {
            return transpose(reshape(linear(normal, w), {N, L, heads, width / heads}), {0, 2, 1, 3});
          };
          const Tensor<T> p =
              softmax(matmul(of_heads(q), transpose(of_heads(k), {0, 1, 3, 2})) * T(0.5) + future, -1);
          return mean(
              square(x + linear(reshape(transpose(matmul(p, of_heads(v)), {0, 2, 1, 3}), {N, L, width}), o)));
        });
  }
  void recurrent() {
    nn::LSTM<T> lstm(3, 5);
    const Tensor<T> x = normal({7, 4, 3});
    WrittenCpp::Named<T> names = lstm.named_parameters();
    for (auto& [name, tensor] : names) name = "w_" + name;
    names.emplace_back("x", x);
    // Its steps are those of a scan, of which a recording does not see the weights.
    add(
        "LSTM", names, [&] { return mean(square(lstm(x))); }, false);
  }
  void all() {
    random::seed(3);
    sigmoid_networks();
    classifiers();
    attention();
    recurrent();
  }
};

}  // namespace

TEST_CASE("models") {
  if (no_compiler()) return;
  WrittenCpp written;
  Models<double>{written}.all();
  check(written, 1e-13);
  for (const std::string compiler : {"c++ -std=c++20", "clang++-14 -std=c++17"}) {
    if (std::system((compiler + " --version >/dev/null 2>&1").c_str()) != 0) continue;
    const std::string log = written.warnings(compiler);
    CHECK_MESSAGE(log.empty(), log.substr(0, 4000));
  }
}

TEST_CASE("products by CBLAS") {
  std::string library;
  for (const std::string one : {"$(pkg-config --libs --cflags openblas)", "-lcblas", "-lblas"})
    if (library.empty() && std::system(("echo 'extern \"C\" void cblas_dgemm(); int main() { cblas_dgemm(); "
                                        "}' | c++ -x c++ - -o /dev/null " +
                                        one + " >/dev/null 2>&1")
                                           .c_str()) == 0)
      library = one;
  if (library.empty() || no_compiler()) {
    MESSAGE("there is no CBLAS here: calls of it are not compiled");
    return;
  }
  WrittenCpp written;
  Models<double> models{written, {.cblas = true}};
  models.sigmoid_networks();
  models.attention();
  Agreement agreement;
  const std::string log = written.run(agreement, "c++ -std=c++17 -O1", library);
  CHECK_MESSAGE(log.empty(), log.substr(0, 4000));
  CHECK(agreement.largest <= 1e-13);
}

TEST_CASE("names, refusals, and the same text twice") {
  const Tensor<double> x({1.0, 2.0}), w = parameter<double>({0.5, 0.25});
  const auto f = [&] { return sum(tanh(w * x)); };
  const Derivation of = derivation(f(), {{"2 δ", x}, {"for", w}});
  const std::string text = of.cpp("loss");
  CHECK(text == derivation(f(), {{"2 δ", x}, {"for", w}}).cpp("loss"));
  CHECK(text.find("double loss(const double* for_2, const double* w2_delta, double* d_for_2) {") !=
        std::string::npos);
  for (const char* name : {"", "2", "a b", "double", "a__b", "exp("})
    CHECK_THROWS_AS((void)of.cpp(name), Error);
  const auto message = [](const auto& g) -> std::string {
    try {
      derivation(g).cpp("loss");
      return "no error";
    } catch (const Error& error) { return error.what(); }
  };
  const std::string drawn = message([&] { return sum(w * random::normal<double>({2})); });
  CHECK_MESSAGE(drawn.find("draw them outside and name them") != std::string::npos, drawn);
  const std::string opaque = message([&] {
    return sum(w * custom<double>("twice", {w}, 2 * w.detach(), [](const Tensor<double>& g) {
                 return std::vector<Tensor<double>>{2 * g};
               }));
  });
  CHECK_MESSAGE(opaque.find("custom()") != std::string::npos, opaque);
}

TEST_CASE("named indices are an input") {
  if (no_compiler()) return;
  const Indices labels{2, 0, 1};
  const Tensor<double> z = parameter<double>({{0.1, 0.5, -1}, {2, 0, 1}, {0, 0.3, 0.7}});
  const Derivation of(detail::recorded_source(nn::cross_entropy(z, labels).handle(),
                                              {{"z", z.handle()}, {"labels", labels.handle()}}));
  const std::string text = of.cpp("loss");
  CHECK(text.find("double loss(const double* z, const std::ptrdiff_t* labels, double* d_z) {") !=
        std::string::npos);
}

TEST_CASE("models in float") {
  if (no_compiler()) return;
  WrittenCpp written;
  Models<float>{written}.all();
  check(written, 1e-4);
}
