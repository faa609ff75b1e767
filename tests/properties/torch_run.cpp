// See torch_run.hpp. The only file of the tests that includes LibTorch, whose headers take long to compile.
#include "torch_run.hpp"

#include <ATen/core/ivalue.h>  // complete before libstdc++ 12 and Clang ask for it
#include <torch/torch.h>

namespace xtape::properties {
namespace {

using X = torch::Tensor;
using Sizes = std::vector<std::int64_t>;

Sizes all_axes(const X& a) {
  Sizes axes;
  for (std::int64_t axis = 0; axis < a.dim(); ++axis) axes.push_back(axis);
  return axes;
}
X reversed_axes(const X& a) {
  Sizes axes = all_axes(a);
  std::reverse(axes.begin(), axes.end());
  return a.permute(axes);
}

/// The angles of rotary positions for pairs of the features of a.
X turns(const X& a) {
  const auto count = [](std::int64_t n) { return torch::arange(n, torch::kDouble); };
  return count(a.size(-2)).unsqueeze(1) * torch::pow(1e4, -count(a.size(-1)) / a.size(-1));
}

/// By its series: at::matrix_exp has 12 digits.
X exp_by_series(const X& a) {
  const X unit = torch::eye(a.size(-1), torch::kDouble);
  X y = unit;
  for (int k = 32; k > 0; --k) y = unit + torch::matmul(a, y) / k;
  return y;
}

using Function = X (*)(const X& a, const X& b, const X& c, const Parameters& with);

const std::vector<Function>& functions() {
  static const std::vector<Function> all = [] {
    std::vector<Function> list;
#define OP(form, guard, repair, xtape, expression)                                                         \
  list.push_back([]([[maybe_unused]] const X& a, [[maybe_unused]] const X& b, [[maybe_unused]] const X& c, \
                    const Parameters& with) -> X {                                                         \
    [[maybe_unused]] const std::int64_t axis = with.axis, k = with.k, low = with.low, high = with.high;    \
    [[maybe_unused]] const std::int64_t step = with.step;                                                  \
    [[maybe_unused]] const bool keep = with.keep;                                                          \
    [[maybe_unused]] const double scale = with.scale;                                                      \
    [[maybe_unused]] const Sizes axes(with.axes.begin(), with.axes.end());                                 \
    [[maybe_unused]] const Sizes shape(with.shape.begin(), with.shape.end()), &sizes = shape;              \
    [[maybe_unused]] const X index = torch::tensor(with.index, torch::kLong);                              \
    [[maybe_unused]] const X positions = with.index.empty() || shape.empty() ? X() : index.reshape(shape); \
    return expression;                                                                                     \
  });
#include "ops.inc"
    return list;
  }();
  return all;
}

void run(const std::vector<Statement>& list, std::vector<X>& values) {
  for (const Statement& s : list) {
    const auto operand = [&](std::size_t i) -> const X& {
      return values[s.operands[i < s.operands.size() ? i : 0]];
    };
    switch (s.kind) {
      case Kind::parameter:
      case Kind::constant:
        values[s.result] =
            torch::tensor(s.numbers, torch::kDouble).reshape(Sizes(s.with.shape.begin(), s.with.shape.end()));
        if (s.kind == Kind::parameter) values[s.result] = values[s.result].clone().set_requires_grad(true);
        break;
      case Kind::operation:
        values[s.result] = functions()[s.op](operand(0), operand(1), operand(2), s.with);
        break;
      case Kind::no_grad: {
        const torch::NoGradGuard no_grad;
        run(s.body, values);
        // Some of LibTorch's operations give their operand where nothing changes, with what it was computed
        // from.
        values[s.result] = values[s.body.back().result].detach();
        break;
      }
      case Kind::checkpoint:
      case Kind::map:
        values[s.arguments[0]] = operand(0);
        values[s.arguments[1]] = operand(1);
        run(s.body, values);
        values[s.result] = values[s.body.back().result];
        // map() gives the shape of all arguments, also of those that its lambda does not use.
        if (s.kind == Kind::map)
          values[s.result] = torch::broadcast_tensors({values[s.result], operand(0), operand(1)})[0];
        break;
    }
  }
}

std::vector<double> elements(const X& x) {
  const X whole = x.detach().contiguous();
  return {whole.data_ptr<double>(), whole.data_ptr<double>() + whole.numel()};
}

}  // namespace

std::vector<std::vector<double>> torch_gradients(const Program& program) {
  std::vector<X> values(program.results);
  run(program.statements, values);
  X loss = torch::zeros({}, torch::kDouble);
  for (const std::size_t output : program.outputs) loss = loss + values[output].sin().sum();
  if (loss.requires_grad()) loss.backward();
  std::vector<std::vector<double>> all{elements(loss)};
  for (const std::size_t leaf : program.leaves)
    all.push_back(
        elements(values[leaf].grad().defined() ? values[leaf].grad() : torch::zeros_like(values[leaf])));
  return all;
}

}  // namespace xtape::properties
