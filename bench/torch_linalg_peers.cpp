// Linear algebra by LibTorch.
#include <ATen/core/ivalue.h>  // complete before libstdc++ 12 and Clang ask for it
#include <torch/torch.h>

#include "torch_peers.hpp"

namespace torch_peers {
namespace {

using torch::Tensor;

Tensor tensor(const std::vector<double>& numbers, at::IntArrayRef shape) {
  return torch::tensor(numbers, torch::kDouble).reshape(shape);
}
Tensor parameter(const std::vector<double>& numbers) {
  return torch::tensor(numbers, torch::kDouble).set_requires_grad(true);
}
std::vector<double> flat(const Tensor& x) {
  const Tensor all = x.detach().contiguous();
  return {all.data_ptr<double>(), all.data_ptr<double>() + all.numel()};
}

struct Process {
  Tensor x, y, parameters, gradient;
  bool with_gradient;

  explicit Process(const bench::ProcessData& data)
      : x(torch::tensor(data.x, torch::kDouble)),
        y(torch::tensor(data.y, torch::kDouble)),
        parameters(parameter(data.parameters)),
        with_gradient(data.with_gradient) {}

  Tensor value() const {
    const Tensor difference = (x.unsqueeze(1) - x.unsqueeze(0)) * (-parameters[1]).exp();
    const Tensor K = (parameters[0] - difference.square() / 2).exp();
    const Tensor L = at::linalg_cholesky(K + parameters[2].exp() * torch::eye(x.numel(), torch::kDouble));
    return at::linalg_solve_triangular(L, y.unsqueeze(1), false).square().sum() / 2 +
           L.diagonal().log().sum();
  }
  void run() {
    if (with_gradient) {
      gradient = torch::autograd::grad({value()}, {parameters})[0];
    } else {
      const torch::NoGradGuard off;
      gradient = value();
    }
  }
  std::vector<double> gradients() const { return flat(gradient); }
};

struct Filter {
  Tensor z, logarithms, gradient;

  explicit Filter(const bench::FilterData& data)
      : z(tensor(data.z, {-1, 2})), logarithms(parameter(data.logarithms)) {}

  void run() {
    const Tensor F = tensor({1, 0.1, 0, 1}, {2, 2}), I = torch::eye(2, torch::kDouble);
    const Tensor Q = torch::diag(logarithms.slice(0, 0, 2).exp()),
                 R = torch::diag(logarithms.slice(0, 2, 4).exp());
    Tensor x = torch::zeros({2, 1}, torch::kDouble), P = I, total = torch::zeros({}, torch::kDouble);
    for (std::int64_t t = 0; t < z.size(0); ++t) {
      x = torch::matmul(F, x);
      P = torch::matmul(torch::matmul(F, P), F.t()) + Q;
      const Tensor S = P + R, e = z[t].unsqueeze(1) - x;
      const Tensor K = at::linalg_solve(S, P).t();
      total = total + (e * at::linalg_solve(S, e)).sum() + std::get<1>(at::slogdet(S));
      x = x + torch::matmul(K, e);
      P = torch::matmul(I - K, P);
    }
    gradient = torch::autograd::grad({total}, {logarithms})[0];
  }
  std::vector<double> gradients() const { return flat(gradient); }
};

struct Batch {
  bench::BatchData::Kind kind;
  Tensor A, b, result;

  explicit Batch(const bench::BatchData& data)
      : kind(data.kind), A(tensor(data.A, {-1, 8, 8})), b(tensor(data.b, {-1, 8, 1})) {}

  void run() {
    result = kind == bench::BatchData::cholesky ? at::linalg_cholesky(A)
             : kind == bench::BatchData::solve  ? at::linalg_solve(A, b)
                                                : at::linalg_inv(A);
  }
  std::vector<double> gradients() const { return flat(result); }
};

template <class Work, class Data>
bench::Side side(const Data& data) {
  torch::set_num_threads(1);
  return bench::side<Work>(data);
}

}  // namespace

bench::Side process(const bench::ProcessData& data) { return side<Process>(data); }
bench::Side filter(const bench::FilterData& data) { return side<Filter>(data); }
bench::Side batch(const bench::BatchData& data) { return side<Batch>(data); }

}  // namespace torch_peers
