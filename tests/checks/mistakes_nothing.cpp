// Wrong gradients that come from no mistake in the derivation: no hint explains them.
#include "mistakes_graph.hpp"

namespace xtape::test {
namespace {

struct Case {
  std::string name;
  std::vector<std::pair<std::string, Matrix>> parameters;
  std::function<Matrix()> loss;
};

/// Each of these with data and weights of its own for each seed.
Case dense(std::uint64_t seed) {
  random::seed(seed);
  const Matrix x = normal({6, 3}), y = normal({6, 2}), W1 = weights({3, 5}), b1 = weights({5}),
               W2 = weights({5, 2});
  return {"dense", {{"W1", W1}, {"b1", b1}, {"W2", W2}}, [=] {
            return nn::mse_loss(matmul(tanh(affine(x, W1, b1)), W2), y);
          }};
}
Case classifier(std::uint64_t seed) {
  random::seed(seed);
  const Matrix x = normal({5, 4}), W1 = weights({4, 6}), W2 = weights({6, 3});
  const std::vector<std::size_t> labels{0, 2, 1, 1, 0};
  return {"classifier", {{"W1", W1}, {"W2", W2}}, [=] {
            return nn::cross_entropy(matmul(relu(matmul(x, W1)), W2), Indices(labels)) +
                   0.05 * sum(square(W1));
          }};
}
Case recurrent(std::uint64_t seed) {
  random::seed(seed);
  const Matrix x = normal({3, 4, 2}), y = normal({4, 5}), Wx = weights({2, 5}), Wh = weights({5, 5}, 0.5);
  return {"recurrent", {{"Wx", Wx}, {"Wh", Wh}}, [=] {
            Matrix h = zeros<double>({4, 5});
            for (std::size_t t = 0; t < 3; ++t) h = tanh(matmul(slice(x, t), Wx) + matmul(h, Wh));
            return nn::half_squared_error(h, y);
          }};
}
Case normalised(std::uint64_t seed) {
  random::seed(seed);
  const Matrix x = normal({6, 3}), y = normal({6, 4}), W = weights({3, 4}),
               gamma = parameter(normal({4}, 0.3) + 1.0), beta = weights({4});
  return {"normalised", {{"W", W}, {"gamma", gamma}}, [=] {
            return nn::mse_loss(sigmoid(layer_norm(matmul(x, W), gamma, beta)), y);
          }};
}
Case attention(std::uint64_t seed) {
  random::seed(seed);
  const Matrix x = normal({5, 4}), y = normal({5, 3}), Wq = weights({4, 3}), Wk = weights({4, 3}),
               Wv = weights({4, 3});
  return {"attention", {{"Wq", Wq}, {"Wk", Wk}, {"Wv", Wv}}, [=] {
            const Matrix p = softmax(matmul(matmul(x, Wq), transpose(matmul(x, Wk))) / std::sqrt(3.0));
            return nn::mse_loss(matmul(p, matmul(x, Wv)), y);
          }};
}

double largest(const Matrix& x) { return max(abs(x)).item(); }

/// `how` in the gradients of one row, at random numbers that follow from the seed.
void add(Mistakes& list, Case (*make)(std::uint64_t), std::uint64_t seed, std::size_t which,
         const std::string& how, double size = 0) {
  const Case now = make(seed);
  const auto& [row, leaf] = now.parameters.at(which);
  const Matrix trusted = grad(now.loss(), leaf);
  const Case other = make(seed + 1000);
  const Matrix of_other = grad(other.loss(), other.parameters.at(which).second);
  const NoGrad no_grad;
  random::seed(seed + 2000);
  const Matrix noise = normal(trusted.shape()) * largest(trusted);
  Matrix mine = noise;
  if (how == "noise") mine = trusted + size * noise;
  if (how == "relative noise") mine = trusted * (1 + size * normal(trusted.shape()));
  if (how == "another net") mine = of_other;
  if (how == "mean with another net") mine = (trusted + of_other) / 2;
  if (how == "mixture with noise") mine = 0.3 * trusted + 0.7 * noise;
  if (how == "cube") mine = trusted * trusted * trusted;
  if (how == "root") mine = sqrt(abs(trusted)) * sin(3 * noise);
  if (how == "exponential") mine = exp(trusted * 1.7) - 0.4;
  if (how == "sine of the weights") mine = sin(3.3 * leaf) * 0.21;
  if (how == "quadratic in the weights") mine = 0.4 * leaf * leaf - 0.13;
  if (how == "waves") {
    mine = trusted * 1;
    for (std::size_t i = 0; i < mine.size(); ++i)
      mine.mutable_data()[i] *= std::cos(2.7 * static_cast<double>(i) + 0.4);
  }
  if (how == "random row") {
    mine = trusted * 1;
    const std::size_t columns = mine.shape(-1), from = mine.size() - columns;
    for (std::size_t i = from; i < mine.size(); ++i) mine.mutable_data()[i] = noise.data()[i];
  }
  std::ostringstream name;
  name << "nothing, " << now.name << ": " << how;
  if (size > 0) name << " of " << size;
  name << ", " << row;
  list.push_back({name.str(), how, row, leaf, trusted, mine, now.loss, {}, {}, "no mistake: " + how});
}

}  // namespace

std::vector<Mistake> nothing() {
  Mistakes list;
  std::uint64_t seed = 401;
  const auto next = [&](Case (*make)(std::uint64_t), std::size_t which, const std::string& how,
                        double size = 0) { add(list, make, seed++, which, how, size); };
  for (const auto make : {dense, classifier, recurrent, normalised, attention}) {
    next(make, 0, "random numbers");
    next(make, 1, "another net");
    next(make, 0, "mixture with noise");
  }
  double size = 2e-6;
  for (const auto make : {dense, recurrent, classifier, attention, normalised, dense, recurrent}) {
    next(make, 0, "noise", size);
    size *= 10;
  }
  for (const auto make : {classifier, attention, recurrent}) next(make, 1, "relative noise", size /= 200);
  next(dense, 2, "cube");
  next(classifier, 0, "cube");
  next(recurrent, 1, "root");
  next(attention, 2, "root");
  next(dense, 0, "exponential");
  next(normalised, 0, "exponential");
  next(classifier, 1, "sine of the weights");
  next(attention, 0, "sine of the weights");
  next(recurrent, 0, "quadratic in the weights");
  next(dense, 0, "quadratic in the weights");
  next(classifier, 0, "waves");
  next(attention, 1, "waves");
  next(recurrent, 1, "mean with another net");
  next(dense, 0, "mean with another net");
  next(normalised, 0, "mean with another net");
  next(recurrent, 1, "random row");
  next(attention, 2, "random row");
  return list;
}

}  // namespace xtape::test
