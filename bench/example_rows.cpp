// The rows of the examples: training steps of their models, with two threads beside one.
#include "../examples/train_advanced/models.hpp"
#include "../examples/train_text/model.hpp"
#include "comparison.hpp"
#include "data.hpp"

namespace bench {
namespace {

using xtape::Indices;
using xtape::Tensor;

/// Numbers below n, of this shape.
Indices cycle(const std::vector<std::size_t>& shape, std::size_t n) {
  auto all = xt::xarray<std::size_t>::from_shape(shape);
  for (std::size_t i = 0; i < all.size(); ++i) all.data()[i] = i * 7 % n;
  return Indices(all);
}

/// The step of train_advanced: its convolutional network, 128 pictures of 28 × 28 pixels.
struct PictureStep {
  xtape::nn::Sequential<float> model = convolutional_network(28);
  Tensor<float> x = tensor(normal<float>(128 * 28 * 28), {128, 1, 28, 28});
  Indices labels = cycle({128}, 10);

  Tensor<float> loss() { return xtape::nn::cross_entropy(model(x), labels); }
};

/// The step of train_text: 16 windows of 64 out of 96 characters.
struct TextStep {
  static constexpr std::size_t windows = 16, length = 64, characters = 96;
  GPT model{characters, {}};
  Indices text = cycle({windows, length}, characters), next = cycle({windows * length}, characters);
  xtape::Compiled<std::function<Tensor<float>()>> compiled{[this] {
    const Tensor<float> letters = reshape(model(text), {windows * length, characters});
    return xtape::nn::cross_entropy(letters, next);
  }};

  Tensor<float> loss() { return compiled(); }
};

/// Both sides begin with the same weights and draw the same numbers for dropout.
template <class Step>
class OnThreads {
 public:
  explicit OnThreads(int threads) : threads_(threads) {}

  void run() {
    const int before = xtape::num_threads();
    xtape::set_num_threads(threads_);
    xtape::random::seed(1);
    adam_.zero_grad();
    step_->loss().backward();
    xtape::nn::clip_grad_norm(adam_.parameters(), 1);
    adam_.step();
    xtape::set_num_threads(before);
  }
  std::vector<double> gradients() const {
    std::vector<double> all;
    for (const Tensor<float>& p : adam_.parameters()) all.insert(all.end(), p.grad().begin(), p.grad().end());
    return all;
  }

 private:
  static std::unique_ptr<Step> make() {
    xtape::random::seed(2);
    return std::make_unique<Step>();
  }

  int threads_;
  std::unique_ptr<Step> step_ = make();
  xtape::nn::AdamW<float> adam_{step_->model.parameters(), {.learning_rate = 1e-4}};
};

template <class Step>
Comparison two_threads_beside_one() {
  return {side<OnThreads<Step>>(2), {}, {}, {}, side<OnThreads<Step>>(1)};
}

}  // namespace

std::vector<Row> example_rows() {
  return {row("step of train_advanced's convolutional network, 128 pictures, 2 threads",
              two_threads_beside_one<PictureStep>, {faster_than_baseline(1.75, "1 thread")}),
          row("step of train_text's GPT, 1,024 characters, 2 threads", two_threads_beside_one<TextStep>,
              {faster_than_baseline(1.75, "1 thread")})};
}

}  // namespace bench
