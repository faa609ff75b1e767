// Linear algebra beside LibTorch: values and gradients, batched, where both have the function. The only file
// of these tests that includes LibTorch, whose headers take long to compile.
#include <ATen/core/ivalue.h>  // complete before libstdc++ 12 and Clang ask for it
#include <torch/torch.h>

#include "../check_close.hpp"

using namespace xtape::test;
using xtape::Shape;
namespace linalg = xtape::linalg;

namespace {

using Own = xtape::Tensor<double>;
using Peer = torch::Tensor;
using Owns = std::vector<Own>;
using Peers = std::vector<Peer>;

Peer peer_of(const Own& x) {
  std::vector<std::int64_t> sizes(x.shape().begin(), x.shape().end());
  return torch::tensor(std::vector<double>(x.begin(), x.end()), torch::kDouble).reshape(sizes);
}
Own own_of(const Peer& x) {
  const Peer all = x.detach().contiguous();
  const std::vector<double> numbers(all.data_ptr<double>(), all.data_ptr<double>() + all.numel());
  return reshape(Own(numbers), xtape::Dims(std::vector<std::size_t>(all.sizes().begin(), all.sizes().end())));
}

/// Σ cos(3 k) y_k of the elements: a loss that no element leaves out.
Own loss_of(const Own& y) {
  return sum(y *
             cos(3 * reshape(xtape::arange<double>(static_cast<double>(y.size())), xtape::Dims(y.shape()))));
}
Peer loss_of(const Peer& y) {
  return (y * (3 * torch::arange(y.numel(), torch::kDouble)).reshape(y.sizes()).cos()).sum();
}

void compare(const std::string& name, const Owns& at, const std::function<Own(const Owns&)>& own,
             const std::function<Peer(const Peers&)>& peer, double tolerance = 1e-10) {
  CAPTURE(name);
  Owns x;
  Peers z;
  for (const Own& one : at) {
    x.push_back(xtape::parameter(one));
    z.push_back(peer_of(one).set_requires_grad(true));
  }
  const Own y = own(x);
  const Peer w = peer(z);
  check_close(y, own_of(w), tolerance, tolerance);
  const Owns g = grad(loss_of(y), x);
  const Peers h = torch::autograd::grad({loss_of(w)}, z);
  for (std::size_t i = 0; i < g.size(); ++i) check_close(g[i], own_of(h[i]), tolerance, tolerance);
}

}  // namespace

TEST_CASE("values and gradients are LibTorch's") {
  xtape::random::seed(11);
  const auto normal = [](const Shape& shape) { return xtape::random::normal<double>(shape); };
  for (const Shape& batch : {Shape{}, Shape{3}, Shape{2, 2}})
    for (const std::size_t n : std::initializer_list<std::size_t>{1, 2, 4, 7}) {
      CAPTURE(n);
      const auto matrix = [&](std::size_t rows, std::size_t columns) {
        Shape shape = batch;
        shape.push_back(rows);
        shape.push_back(columns);
        return normal(shape);
      };
      const Own A = matrix(n, n) + 3 * xtape::eye<double>(n), B = matrix(n, 2), tall = matrix(n + 2, n);
      const auto positive = [](const auto& a) {
        if constexpr (std::is_same_v<std::decay_t<decltype(a)>, Own>)
          return xtape::einsum("...ij,...kj->...ik", {a, a}) + xtape::eye<double>(a.shape(-1));
        else
          return torch::matmul(a, a.transpose(-1, -2)) + torch::eye(a.size(-1), torch::kDouble);
      };
      compare(
          "cholesky", {A}, [&](const Owns& x) { return linalg::cholesky(positive(x[0])); },
          [&](const Peers& x) { return at::linalg_cholesky(positive(x[0])); });
      compare(
          "solve_triangular", {A, B}, [](const Owns& x) { return linalg::solve_triangular(x[0], x[1]); },
          [](const Peers& x) { return at::linalg_solve_triangular(x[0], x[1], false); }, 1e-8);
      compare(
          "solve", {A, B}, [](const Owns& x) { return linalg::solve(x[0], x[1]); },
          [](const Peers& x) { return at::linalg_solve(x[0], x[1]); }, 1e-8);
      compare(
          "inv", {A}, [](const Owns& x) { return linalg::inv(x[0]); },
          [](const Peers& x) { return at::linalg_inv(x[0]); }, 1e-8);
      compare(
          "det", {A}, [](const Owns& x) { return linalg::det(x[0]); },
          [](const Peers& x) { return at::linalg_det(x[0]); }, 1e-9);
      compare(
          "slogdet", {A}, [](const Owns& x) { return linalg::slogdet(x[0]).logabsdet; },
          [](const Peers& x) { return std::get<1>(at::linalg_slogdet(x[0])); }, 1e-8);
      compare(
          "matrix_power", {A}, [](const Owns& x) { return linalg::matrix_power(x[0], 3); },
          [](const Peers& x) { return at::linalg_matrix_power(x[0], 3); }, 1e-9);
      compare(
          "expm", {0.5 * A}, [](const Owns& x) { return linalg::expm(x[0]); },
          [](const Peers& x) { return at::matrix_exp(x[0]); }, 1e-9);
      for (const std::size_t part : std::initializer_list<std::size_t>{0, 1})
        compare(
            part == 0 ? "Q" : "R", {tall}, [&](const Owns& x) { return linalg::qr(x[0])[part]; },
            [&](const Peers& x) {
              const auto [Q, R] = at::linalg_qr(x[0]);
              return part == 0 ? Q : R;
            },
            1e-8);
      compare(
          "eigvalsh", {A}, [&](const Owns& x) { return linalg::eigvalsh(positive(x[0])); },
          [&](const Peers& x) { return at::linalg_eigvalsh(positive(x[0])); }, 1e-9);
      // Of vectors what does not depend on their signs.
      compare(
          "eigh", {A}, [&](const Owns& x) { return square(linalg::eigh(positive(x[0])).vectors); },
          [&](const Peers& x) { return std::get<1>(at::linalg_eigh(positive(x[0]))).square(); }, 1e-7);
      compare(
          "svdvals", {tall}, [](const Owns& x) { return linalg::svdvals(x[0]); },
          [](const Peers& x) { return at::linalg_svdvals(x[0]); }, 1e-9);
      compare(
          "svd", {tall}, [](const Owns& x) { return square(linalg::svd(x[0]).U); },
          [](const Peers& x) { return std::get<0>(at::linalg_svd(x[0], false)).square(); }, 1e-7);
      compare(
          "pinv", {tall}, [](const Owns& x) { return linalg::pinv(x[0]); },
          [](const Peers& x) { return at::linalg_pinv(x[0]); }, 1e-7);
      compare(
          "einsum", {A, B},
          [](const Owns& x) {
            return xtape::einsum("...ji,...jk->...ki", {x[0], x[1]});
          },
          [](const Peers& x) {
            return at::einsum("...ji,...jk->...ki", {x[0], x[1]});
          });
    }
}
