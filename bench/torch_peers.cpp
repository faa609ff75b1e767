// See torch_peers.hpp. The only file that includes LibTorch, whose headers take long to compile. Gradients
// that are dropped, not set to zero, are the faster way and PyTorch's present default.
#include "torch_peers.hpp"

#include <ATen/Version.h>
#include <torch/torch.h>

namespace torch_peers {
namespace {

using bench::Side;
using torch::Tensor;
using torch::autograd::grad;

template <class T>
Tensor tensor(const std::vector<T>& numbers, std::initializer_list<std::size_t> shape) {
  std::vector<std::int64_t> sizes;
  for (const std::size_t n : shape) sizes.push_back(static_cast<std::int64_t>(n));
  return torch::tensor(numbers, torch::dtype<T>()).reshape(sizes).clone();
}

template <class T>
Tensor parameter(const std::vector<T>& numbers, std::initializer_list<std::size_t> shape) {
  return tensor(numbers, shape).set_requires_grad(true);
}

std::vector<double> flat(const std::vector<Tensor>& tensors) {
  std::vector<double> all;
  for (const Tensor& one : tensors) {
    const Tensor doubles = one.detach().to(torch::kDouble).contiguous();
    all.insert(all.end(), doubles.data_ptr<double>(), doubles.data_ptr<double>() + doubles.numel());
  }
  return all;
}

struct Step {
  Tensor x, y;
  std::vector<Tensor> weights;  ///< W1, b1, W2, b2
  torch::optim::SGD sgd;

  explicit Step(const hand_written::Network& data)
      : x(tensor(data.x, {data.batch, data.in})),
        y(tensor(data.y, {data.batch, data.out})),
        weights{parameter(data.W1, {data.hidden, data.in}), parameter(data.b1, {data.hidden}),
                parameter(data.W2, {data.out, data.hidden}), parameter(data.b2, {data.out})},
        sgd(weights, torch::optim::SGDOptions(data.rate)) {}

  void run() {
    for (Tensor& w : weights) w.mutable_grad().reset();
    const Tensor hidden = torch::sigmoid(torch::linear(x, weights[0], weights[1]));
    torch::mse_loss(torch::sigmoid(torch::linear(hidden, weights[2], weights[3])), y).backward();
    sgd.step();
  }
  std::vector<double> gradients() const {
    std::vector<Tensor> all;
    for (const Tensor& w : weights) all.push_back(w.grad());
    return flat(all);
  }
};

/// Sides whose run leaves a list of gradients.
struct Gradients {
  std::vector<Tensor> gradient;
  std::vector<double> gradients() const { return flat(gradient); }
};

struct ReluLayers : Gradients {
  Tensor x;
  std::vector<Tensor> parameters;

  explicit ReluLayers(const hand_written::ReluLayers& data) : x(tensor(data.x, {data.batch, data.width})) {
    for (std::size_t l = 0; l < data.W.size(); ++l) {
      parameters.push_back(parameter(data.W[l], {data.width, data.width}));
      parameters.push_back(parameter(data.b[l], {data.width}));
    }
  }

  void run() {
    Tensor h = x;
    for (std::size_t i = 0; i < parameters.size(); i += 2)
      h = torch::relu(torch::linear(h, parameters[i], parameters[i + 1]));
    gradient = grad({h.mean()}, parameters);
  }
};

struct Convolution : Gradients {
  Tensor x, W, b;

  explicit Convolution(const hand_written::Convolution& data)
      : x(parameter(data.x, {data.batch, data.in, data.size, data.size})),
        W(parameter(data.W, {data.out, data.in, data.kernel, data.kernel})),
        b(parameter(data.b, {data.out})) {}

  void run() { gradient = grad({torch::conv2d(x, W, b, 1, 1).square().mean() * 0.5}, {x, W, b}); }
};

/// Causal attention of q, k and v (texts, length, width); `future` is true where a key is later.
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& future) {
  const std::int64_t heads = bench::TransformerData::heads, D = q.size(2) / heads;
  const auto split = [&](const Tensor& x) {
    return x.view({x.size(0), x.size(1), heads, D}).transpose(1, 2);
  };
  const Tensor scores = torch::matmul(split(q), split(k).transpose(2, 3)) / std::sqrt(static_cast<double>(D));
  const Tensor y = torch::matmul(scores.masked_fill(future, -INFINITY).softmax(-1), split(v));
  return y.transpose(1, 2).reshape(q.sizes());
}

struct Attention : Gradients {
  Tensor q, k, v, g, future;

  explicit Attention(const bench::AttentionData& data) {
    const std::initializer_list<std::size_t> shape{1, data.length, bench::TransformerData::width};
    q = parameter(data.q, shape), k = parameter(data.k, shape), v = parameter(data.v, shape);
    g = tensor(data.g, shape);
    const auto n = static_cast<std::int64_t>(data.length);
    future = torch::ones({n, n}).triu(1) > 0;
  }

  void run() { gradient = grad({attend(q, k, v, future)}, {q, k, v}, {g}); }
};

struct Transformer : Gradients {
  using Data = bench::TransformerData;
  std::vector<Tensor> weights;
  Tensor read, next, future;

  explicit Transformer(const Data& data) : future(torch::ones({Data::length, Data::length}).triu(1) > 0) {
    const auto integers = [](const std::vector<std::size_t>& all) {
      return torch::tensor(std::vector<std::int64_t>(all.begin(), all.end()));
    };
    read = integers(data.read), next = integers(data.next);
    for (const auto& [numbers, shape] : data.weights) {
      const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
      weights.push_back(torch::tensor(numbers).reshape(sizes).clone().set_requires_grad(true));
    }
  }

  void run() {
    const std::int64_t texts = Data::texts, length = Data::length, width = Data::width;
    Tensor x =
        torch::embedding(weights[Data::table], read).reshape({texts, length, width}) + weights[Data::places];
    for (std::size_t l = 0; l < Data::layers; ++l) {
      const auto w = [&](std::size_t i) { return weights[Data::first_layer + l * Data::of_layer + i]; };
      const auto norm = [&](const Tensor& h, Data::OfLayer gamma) {
        return torch::layer_norm(h, {width}, w(gamma), w(gamma + 1u));
      };
      const Tensor a = norm(x, Data::gamma1);
      const auto part = [&](Data::OfLayer i) { return torch::linear(a, w(i)); };
      x = x + torch::linear(attend(part(Data::queries), part(Data::keys), part(Data::values), future),
                            w(Data::joined));
      const Tensor h = torch::gelu(torch::linear(norm(x, Data::gamma2), w(Data::wide), w(Data::wide_bias)));
      x = x + torch::linear(h, w(Data::narrow), w(Data::narrow_bias));
    }
    const Tensor logits = torch::linear(x, weights[Data::output]).view({texts * length, Data::words});
    gradient = grad({torch::cross_entropy_loss(logits, next)}, weights);
  }
};

struct Images : Gradients {
  Tensor x, W, b, g;
  std::int64_t stride, padding, dilation, groups;
  bool with_gradient;

  explicit Images(const bench::ImageData& data)
      : x(tensor(data.x, {data.batch, data.in, data.size, data.size}).set_requires_grad(!data.is_first)),
        W(parameter(data.W, {data.out, data.in / data.groups, data.kernel, data.kernel})),
        b(parameter(data.b, {data.out})),
        g(tensor(data.g, {data.batch, data.out, data.out_size(), data.out_size()})),
        stride(static_cast<std::int64_t>(data.stride)),
        padding(static_cast<std::int64_t>(data.padding)),
        dilation(static_cast<std::int64_t>(data.dilation)),
        groups(static_cast<std::int64_t>(data.groups)),
        with_gradient(data.with_gradient) {}

  void run() {
    gradient.clear();
    if (with_gradient) {
      std::vector<Tensor> inputs{W, b};
      if (x.requires_grad()) inputs.push_back(x);
      gradient = grad({torch::conv2d(x, W, b, stride, padding, dilation, groups)}, inputs, {g});
    } else {
      const torch::NoGradGuard off;
      gradient.push_back(torch::conv2d(x, W, b, stride, padding, dilation, groups));
    }
  }
};

struct SoftmaxCrossEntropy : Gradients {
  Tensor z, labels;

  explicit SoftmaxCrossEntropy(const hand_written::SoftmaxCrossEntropy& data)
      : z(parameter(data.z, {data.rows, data.classes})),
        labels(torch::tensor(std::vector<std::int64_t>(data.labels.begin(), data.labels.end()))) {}

  void run() { gradient = grad({torch::cross_entropy_loss(z, labels)}, {z}); }
};

struct BatchNorm : Gradients {
  Tensor x, gamma, beta, g;

  explicit BatchNorm(const hand_written::BatchNorm& data)
      : x(parameter(data.x, {data.rows, data.features})),
        gamma(parameter(data.gamma, {data.features})),
        beta(parameter(data.beta, {data.features})),
        g(tensor(data.g, {data.rows, data.features})) {}

  void run() {
    const Tensor y =
        torch::batch_norm(x, gamma, beta, {}, {}, true, 0.1, hand_written::BatchNorm::epsilon, false);
    gradient = grad({y}, {x, gamma, beta}, {g});
  }
};

struct Adam {
  Tensor w;
  torch::optim::Adam adam;

  explicit Adam(const hand_written::Adam& data)
      : w(parameter(data.w, {data.w.size()})),
        adam(std::vector<Tensor>{w}, torch::optim::AdamOptions(data.rate)) {
    w.mutable_grad() = tensor(data.g, {data.g.size()});
  }

  void run() { adam.step(); }
  std::vector<double> gradients() const { return flat({w}); }
};

struct ChainOfSin : Gradients {
  std::size_t n;
  Tensor x, one;

  explicit ChainOfSin(const hand_written::ChainOfSin& data)
      : n(data.n), x(parameter(data.x, {data.x.size()})), one(torch::ones_like(x)) {}

  void run() {
    Tensor y = x;
    for (std::size_t i = 0; i < n; ++i) y = torch::sin(y);
    x.mutable_grad() = Tensor();
    y.backward(one);
    gradient = {x.grad()};
  }
};

struct ExpSin : Gradients {
  Tensor x, g;

  explicit ExpSin(const hand_written::ExpSin& data)
      : x(parameter(data.x, {data.x.size()})), g(tensor(data.g, {data.x.size()})) {}

  void run() { gradient = grad({torch::exp(x) * torch::sin(x) + x * x}, {x}, {g}); }
};

struct HessianVector : Gradients {
  Tensor A, w, v;

  explicit HessianVector(const hand_written::HessianVector& data)
      : A(tensor(data.A, {data.n, data.n})), w(parameter(data.w, {data.n})), v(tensor(data.v, {data.n})) {}

  void run() {
    const Tensor y = torch::square(torch::tanh(torch::mv(A, w))).sum();
    const Tensor first = grad({y}, {w}, {}, c10::nullopt, true).front();
    gradient = grad({first}, {w}, {v});
  }
};

struct LogSumExp : Gradients {
  Tensor x;

  explicit LogSumExp(const hand_written::LogSumExp& data) : x(parameter(data.x, {data.x.size()})) {}

  void run() { gradient = grad({torch::logsumexp(x, 0)}, {x}); }
};

/// As xtape's (tensor_mixture.hpp), with points as rows, in tiles of a size that is its best: columns are no
/// faster here.
struct Mixture : Gradients {
  std::int64_t K, d;
  double n, constant;
  Tensor alpha, mu, q, l, places;
  std::vector<Tensor> tiles;
  double value = 0;

  explicit Mixture(const bench::GaussianMixture& data)
      : K(static_cast<std::int64_t>(data.K)),
        d(static_cast<std::int64_t>(data.d)),
        n(static_cast<double>(data.n)),
        constant(data.constant()),
        alpha(parameter(data.alpha, {data.K})),
        mu(parameter(data.mu, {data.K, data.d})),
        q(parameter(data.q, {data.K, data.d})),
        l(parameter(data.l, {data.K, data.below_diagonal()})),
        tiles(tensor(data.x, {data.n, data.d}).split(200)) {
    const std::vector<std::size_t> at = data.places();
    places = torch::tensor(std::vector<std::int64_t>(at.begin(), at.end()));
  }

  void run() {
    const Tensor entries = torch::cat({torch::zeros({K, 1}, torch::kDouble), torch::exp(q), l}, 1);
    const Tensor Q = entries.index_select(1, places).reshape({K, d, d});
    const Tensor stacked = Q.reshape({K * d, d});
    const Tensor shift = -torch::matmul(Q, mu.unsqueeze(2)).reshape({K * d});
    const Tensor offset = alpha + q.sum(1);

    const auto leaf = [](const Tensor& t) { return t.detach().clone().set_requires_grad(true); };
    const Tensor W = leaf(stacked), b = leaf(shift), c = leaf(offset);
    value = constant;
    for (const Tensor& x : tiles) {
      const Tensor z = torch::linear(x, W, b).reshape({-1, K, d});
      const Tensor part = torch::logsumexp(c - 0.5 * torch::square(z).sum(2), 1).sum();
      part.backward();
      value += part.item<double>();
    }
    const Tensor rest =
        -n * torch::logsumexp(alpha, 0) - 0.5 * (torch::exp(2 * q).sum() + torch::square(l).sum());
    value += rest.item<double>();
    gradient =
        grad({rest + (stacked * W.grad()).sum() + (shift * b.grad()).sum() + (offset * c.grad()).sum()},
             {alpha, mu, q, l});
  }
};

/// The instruction set of its own kernels, which ATEN_CPU_CAPABILITY chooses: it tells in a text alone.
std::string capability() {
  const std::string text = at::show_config(), before = "CPU capability usage: ";
  const std::size_t start = text.find(before);
  if (start == std::string::npos) return "unknown";
  const std::size_t from = start + before.size();
  return text.substr(from, text.find('\n', from) - from);
}

/// Threads are set when the first side is made.
template <class Work, class Data>
Side side(const Data& data) {
  torch::set_num_threads(1);
  return bench::side<Work>(data);
}

}  // namespace

std::string version() {
  return TORCH_VERSION + (", vectors of " + capability()) + ", " + at::get_mkldnn_version();
}
std::string compiler_flags() { return "-isystem " XTAPE_LIBTORCH_HEADERS; }
Side step(const hand_written::Network& data) { return side<Step>(data); }
Side relu_layers(const hand_written::ReluLayers& data) { return side<ReluLayers>(data); }
Side convolution(const hand_written::Convolution& data) { return side<Convolution>(data); }
Side attention(const bench::AttentionData& data) { return side<Attention>(data); }
Side transformer(const bench::TransformerData& data) { return side<Transformer>(data); }
Side images(const bench::ImageData& data) { return side<Images>(data); }
Side softmax_cross_entropy(const hand_written::SoftmaxCrossEntropy& data) {
  return side<SoftmaxCrossEntropy>(data);
}
Side batch_norm(const hand_written::BatchNorm& data) { return side<BatchNorm>(data); }
Side adam(const hand_written::Adam& data) { return side<Adam>(data); }
Side chain_of_sin(const hand_written::ChainOfSin& data) { return side<ChainOfSin>(data); }
Side exp_sin(const hand_written::ExpSin& data) { return side<ExpSin>(data); }
Side hessian_vector(const hand_written::HessianVector& data) { return side<HessianVector>(data); }
Side log_sum_exp(const hand_written::LogSumExp& data) { return side<LogSumExp>(data); }
Side gaussian_mixture(const bench::GaussianMixture& data) { return side<Mixture>(data); }

}  // namespace torch_peers
