// The rows of convolutions: those of ResNet, forward and with the gradients of images, weight and bias.
#include "data.hpp"
#include "image_data.hpp"
#include "torch_peers.hpp"

namespace bench {
namespace {

using xtape::Tensor;

struct Images {
  Tensor<float> x, W, b, g;
  xtape::Conv2dOptions options;
  bool with_gradient;
  std::vector<Tensor<float>> results;

  explicit Images(const ImageData& data)
      : x(tensor(data.x, {data.batch, data.in, data.size, data.size})),
        W(parameter(data.W, {data.out, data.in / data.groups, data.kernel, data.kernel})),
        b(parameter(data.b, {data.out})),
        g(tensor(data.g, {data.batch, data.out, data.out_size(), data.out_size()})),
        options{
            .stride = data.stride, .padding = data.padding, .dilation = data.dilation, .groups = data.groups},
        with_gradient(data.with_gradient) {
    if (!data.is_first) x = parameter(x);
  }

  void run() {
    results.clear();
    if (with_gradient) {
      std::vector<Tensor<float>> inputs{W, b};
      if (x.requires_grad()) inputs.push_back(x);
      results = grad(conv2d(x, W, b, options), inputs, {.seed = g});
    } else {
      const xtape::NoGrad off;
      results.push_back(conv2d(x, W, b, options));
    }
  }
  std::vector<double> gradients() const {
    std::vector<double> all;
    for (const Tensor<float>& one : results) all.insert(all.end(), one.begin(), one.end());
    return all;
  }
};

void add(std::vector<Row>& rows, const std::string& name, const ImageData& shape) {
  for (const bool with_gradient : {false, true})
    rows.push_back(row(name + (with_gradient ? ", forward and backward" : ", forward"),
                       [shape, with_gradient] {
                         ImageData data = shape;
                         data.with_gradient = with_gradient;
                         data.x = normal<float>(data.batch * data.in * data.size * data.size);
                         data.W =
                             normal<float>(data.out * data.in / data.groups * data.kernel * data.kernel, 0.1);
                         data.b = normal<float>(data.out, 0.1);
                         data.g = normal<float>(data.batch * data.out * data.out_size() * data.out_size());
                         return Comparison{side<Images>(data), {}, {}, torch_peers::images(data), {}, 2e-3};
                       },
                       {faster_than_libtorch(1)}));
}

}  // namespace

std::vector<Row> image_rows() {
  std::vector<Row> rows;
  add(rows, "conv2d 7×7 stride 2, 4×3×224×224 to 64", {4, 3, 224, 64, 7, 2, 3, 1, true});
  add(rows, "conv2d 3×3, 8×64×56×56 to 64", {8, 64, 56, 64, 3, 1, 1, 1, false});
  add(rows, "conv2d 3×3, 8×128×28×28 to 128", {8, 128, 28, 128, 3, 1, 1, 1, false});
  add(rows, "conv2d 1×1, 8×256×14×14 to 256", {8, 256, 14, 256, 1, 1, 0, 1, false});
  add(rows, "conv2d 1×1, 8×256×56×56 to 64", {8, 256, 56, 64, 1, 1, 0, 1, false});
  add(rows, "conv2d 3×3, 8×512×7×7 to 512", {8, 512, 7, 512, 3, 1, 1, 1, false});
  add(rows, "conv2d 3×3 stride 2, 8×128×28×28 to 256", {8, 128, 28, 256, 3, 2, 1, 1, false});
  add(rows, "conv2d 3×3, 16×16×28×28 to 32", {16, 16, 28, 32, 3, 1, 1, 1, false});
  add(rows, "depthwise conv2d 3×3, 8×64×56×56", {8, 64, 56, 64, 3, 1, 1, 64, false});
  add(rows, "conv2d 3×3 in 32 groups, 8×128×28×28", {8, 128, 28, 128, 3, 1, 1, 32, false});
  add(rows, "conv2d 3×3 with dilation 2, 8×64×28×28 to 64", {8, 64, 28, 64, 3, 1, 2, 1, false, 2});
  return rows;
}

}  // namespace bench
