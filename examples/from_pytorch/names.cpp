// One line for each row of the README's tables of names; names.py gives the same numbers.
#include <cstdio>
#include <filesystem>

#include <nn/nn.hpp>

#include "fill.hpp"

using namespace xtape;

template <Scalar N>
void show(N number) {
  std::printf("%.15g\n", static_cast<double>(number));
}
template <class T>
void show(const Tensor<T>& x) {
  for (const T number : x) show(number);
}
void show(const Indices& numbers) {
  for (const auto number : numbers) show(number);
}

int main() {
  // Tensors
  const Tensor<double> x{{1, 2, 4}, {3, 5, 0.5}};
  const std::vector<double> numbers{0, 1, 2, 3, 4, 5};
  show(Tensor<double>::from_data(numbers, {2, 3}));
  show(zeros<double>({2, 3}));
  show(full<double>({2, 3}, 7));
  show(eye<double>(3));
  show(arange<double>(6));
  show(linspace<double>(0, 1, 5));
  show(ones_like(x));
  show(x.shape(1));
  show(x.size());
  show(x.rank());
  show(sum(x).item());
  show(x.astype<float>());
  random::seed(1);
  show(random::normal<double>({2, 3}).size());
  show(random::uniform<double>({2, 3}).size());

  // Operations
  const auto y = reshape(linspace<double>(-1, 1, 6), {2, 3});
  const Indices labels{2, 0};
  show(x * y);
  show(matmul(x, transpose(y)));
  show(pow(x, 2));
  show(sum(x));
  show(mean(x, 1, true));
  show(max(x, {0, 1}));
  show(var(x, 1, false, 1));
  show(var(x, 1));
  show(norm(x));
  show(argmax(x, 1));
  show(reshape(x, {-1, 2}));
  show(flatten(x));
  show(flatten(x, 0, 1));
  show(transpose(x, {1, 0}));
  show(swapaxes(x, 0, 1));
  show(unsqueeze(x, 1));
  show(broadcast_to(x, {2, 2, 3}));
  show(slice(x, 0));
  show(slice(x, xt::all(), 1));
  show(slice(x, xt::all(), xt::range(1, 3)));
  show(take(x, {2, 0}, 1));
  show(gather(x, {{2}, {0}}, 1));
  show(concatenate({x, y}, 1));
  show(stack({x, y}));
  show(split(x, 3, 1)[1]);
  const auto [left, middle, right] = split<3>(x, 1);
  show(middle);
  show(unbind(x)[1]);
  show(where(x > 2, x, y));
  show(masked_fill(x, y < 0, 9));
  show(clamp(x, 1, 3));
  show(einsum("ij,kj->ik", {x, y}));
  show(linalg::solve(matmul(x, transpose(x)), x));

  // Derivatives
  auto w = parameter(ones<double>({3}));
  const auto b = parameter(zeros<double>({2}));
  const auto loss = sum(square(matmul(x, w) + b));
  loss.backward({.retain_tape = true});
  show(w.grad());
  loss.backward();
  show(w.grad());
  w.zero_grad();
  matmul(x, w).backward({.seed = Tensor<double>{1, -1}});
  show(w.grad());
  {
    const NoGrad no_grad;
    w.assign(Tensor<double>{1, 2, 3});
    show(matmul(x, w));
  }
  show(matmul(x, w.detach()).requires_grad());
  const auto f = [&](const auto& a) { return sum(tanh(a) * w); };
  const Tensor<double> v{0.3, -0.2, 0.1}, u{1, 0, 2};
  show(grad(f(v * w), {w}, {.create_graph = true})[0]);
  show(jacobian([&](const auto& a) { return square(a) * w.detach(); }, v));
  show(hessian(f, v));
  show(jvp(f, v, u).second);
  show(hvp(f, v, u).second);
  show(vmap(f)(x));
  show(compile(f)(v));
  show(checkpoint(f, v));
  show(check_gradients(f, v).passed);
  {
    const DetectAnomaly scope;
    show(f(v));
  }

  // Functions and losses
  const auto image = reshape(linspace<double>(-1, 1, 32), {1, 2, 4, 4});
  const auto kernel = reshape(linspace<double>(1, -1, 54), {3, 2, 3, 3});
  show(relu(y));
  show(gelu(y));
  show(silu(y));
  show(leaky_relu(y, 0.2));
  show(softplus(y));
  show(softmax(y, 1));
  show(log_softmax(y, -1));
  show(one_hot<double>(labels, 3));
  show(linear(x, y, b));
  show(conv2d(image, kernel, {.stride = 2, .padding = 1}));
  show(max_pool2d(image, 2));
  show(layer_norm(x, ones<double>({3}), zeros<double>({3})));
  show(attention(image, image, image, {.causal = true}));
  show(nn::mse_loss(x, y));
  show(nn::mse_loss(x, y, nn::Reduction::sum));
  show(nn::cross_entropy(x, labels));
  const Tensor<double> classes{1, 2, 3};
  show(nn::cross_entropy(x, labels, {.ignore_index = 0, .label_smoothing = 0.1, .weight = classes}));
  show(nn::binary_cross_entropy_with_logits(y, sigmoid(x)));
  show(nn::binary_cross_entropy_with_logits(y, sigmoid(x), {.pos_weight = classes}));
  show(nn::l1_loss(x, y));
  show(nn::huber_loss(x, y, 0.5));
  show(nn::kl_div(log_softmax(x, 1), softmax(y, 1), nn::Reduction::batch_mean));

  // Modules
  nn::Linear<double> first(3, 2), last(2, 3, false);
  nn::Sequential<double> model(first, nn::Tanh<double>(), last);
  first.weight.assign(nn::init::xavier_uniform<double>({2, 3}));
  last.weight.assign(nn::init::he_normal<double>({3, 2}));
  first.weight.assign(full_like(first.weight, 0.1));
  first.bias.assign(full_like(first.bias, 0.2));
  last.weight.assign(full_like(last.weight, 0.3));
  show(model.at<nn::Linear<double>>(0).bias);
  show(model(x));
  show(model.parameters().size());
  std::size_t count = 0;
  for (const auto& p : model.parameters()) count += p.size();
  show(count);
  show(model.named_parameters()[0].second.shape(0));
  show(model.state_dict().size());
  model.eval();
  show(model.training());
  model.train();
  model.zero_grad();
  const auto path = std::filesystem::temp_directory_path() / "xtape_names.safetensors";
  nn::save(path, model);
  nn::load(path, model);
  std::filesystem::remove(path);
  show(model(x));
  show(nn::LayerNorm<double>(3)(x));
  show(nn::BatchNorm1d<double>(3)(x));
  show(nn::Embedding<double>(4, 3)(labels).size());
  show(nn::Dropout<double>(0.1)(x).size());
  show(nn::Conv2d<double>(2, 3, 3, {.padding = 1})(image).size());
  show(nn::Conv2d<double>(2, 4, 3, {.padding = 2, .dilation = 2, .groups = 2})(image).size());
  show(nn::BatchNorm2d<double>(2)(image));
  const auto rows = flatten(image, 0, 1);
  nn::MultiheadAttention<double> heads(4, 2);
  fill(heads);
  show(heads(rows));
  nn::TransformerBlock<double> block(4, 2, {.causal = false, .feedforward = 8});
  fill(block);
  show(block(rows));
  first.weight.set_requires_grad(false);
  show(first.weight.requires_grad());
  model.freeze();
  show(model(x).requires_grad());
  model.unfreeze();
  show(nn::clone(model)(x));
  show(nn::functional_call(model, {{"0.bias", b}}, x));

  // Training
  nn::SGD<double> sgd({w, b}, {.learning_rate = 0.1, .momentum = 0.9});
  nn::AdamW<double> optimizer(
      model.parameters(),
      {.learning_rate = 0.1, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.1});
  nn::StepLR schedule(optimizer, {.step_size = 2, .gamma = 0.5});
  nn::DataLoader<double> loader({x, labels}, {.batch_size = 1, .shuffle = false});
  for (const auto& batch : loader) {
    optimizer.zero_grad();
    nn::cross_entropy(model(batch.inputs), batch.labels).backward();
    show(nn::clip_grad_norm(model.parameters(), 0.1));
    optimizer.step();
    schedule.step();
    show(optimizer.learning_rate());
  }
  optimizer.set_learning_rate(0.01);
  show(optimizer.learning_rate());
  show(model(x));
  nn::AdamW<double> adamw(nn::groups<double>({{{w}, {}}, {{b}, {.weight_decay = 0}}}),
                          {.learning_rate = 0.1, .weight_decay = 0.1});
  adamw.step();
  show(w);
  show(b);
  nn::LBFGS<double> lbfgs({w}, {.history = 20});
  show(lbfgs.step([&] { return square(f(x) - 1); }));
  set_num_threads(1);
  show(num_threads());
}
