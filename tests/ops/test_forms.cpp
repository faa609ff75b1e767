// The forms of every operation of the table: compiled, and batched, each with its gradients. That it is
// recorded and carried forward, test_ops.cpp shows.
#include "../check_close.hpp"
#include "op_table.hpp"

#include <cstring>

using namespace xtape;
using namespace xtape::test;

namespace {

using Function = std::function<Tensors(const Tensors&)>;

/// The gradients of a weighted sum of f, 0 where there is none.
Tensors gradients(const OpRow& row, const Tensors& x) {
  const Tensor<double> y = row.f(x);
  Tensors g;
  if (y.requires_grad())
    g = grad(y, x, {.seed = cos(reshape(arange<double>(static_cast<double>(y.size())), Dims(y.shape())))});
  else
    for (const Tensor<double>& one : x) g.push_back(0 * one.detach());
  return g;
}

Tensors leaves(const Tensors& x) {
  Tensors all;
  for (const Tensor<double>& one : x) all.push_back(parameter(one));
  return all;
}

/// Another sample: the same numbers in another order.
Tensors reversed(const Tensors& x) {
  Tensors all;
  for (const Tensor<double>& one : x) all.push_back(reshape(flip(flatten(one), 0), Dims(one.shape())));
  return all;
}

/// f for each sample, stacked; `mapped` are the inputs that samples differ in.
Tensors in_a_loop(const Function& f, const std::vector<Tensors>& samples, const std::vector<bool>& mapped) {
  std::vector<Tensors> results;
  for (const Tensors& sample : samples) {
    Tensors x = sample;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!mapped[i]) x[i] = samples.front()[i];
    const Tensors y = f(leaves(x));
    results.resize(y.size());
    for (std::size_t k = 0; k < y.size(); ++k) results[k].push_back(y[k].detach());
  }
  Tensors stacked;
  for (const Tensors& one : results) stacked.push_back(stack(one));
  return stacked;
}

Tensors mapped_at_once(const Function& f, const std::vector<Tensors>& samples,
                       const std::vector<bool>& mapped) {
  Tensors x;
  VmapOptions options;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    Tensors column;
    for (const Tensors& sample : samples) column.push_back(sample[i]);
    x.push_back(mapped[i] ? stack(column, -1) : column.front());
    options.in.push_back(mapped[i] ? std::ptrdiff_t{-1} : std::ptrdiff_t{none});
  }
  return detail::vmap<double>(f, x, options);
}

}  // namespace

TEST_CASE("every operation is compiled to the same bits, forward and backward") {
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      CAPTURE(row.id());
      CAPTURE(set);
      const Tensors x = leaves(sample(row, set));
      const auto compiled = compile([&](const Tensors& in) { return row.f(in); });
      for (int call = 0; call < 2; ++call) {
        const Tensor<double> expected = row.f(x), got = compiled(x);
        CHECK(same_bits(expected.detach(), got.detach()));
        if (!expected.requires_grad()) continue;
        const Tensor<double> seed = cos(arange<double>(static_cast<double>(expected.size())));
        const BackwardOptions<double> options{.seed = reshape(seed, Dims(expected.shape()))};
        const Tensors g = grad(expected, x, options), h = grad(got, x, options);
        for (std::size_t i = 0; i < x.size(); ++i) CHECK(same_bits(g[i], h[i]));
      }
    }
}

TEST_CASE("every operation on a batch, and its gradients for each sample, are those of a loop") {
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      CAPTURE(row.id());
      CAPTURE(set);
      const Tensors x = sample(row, set);
      const std::vector<Tensors> samples{x, reversed(x), x};
      const Function value = [&](const Tensors& in) { return Tensors{row.f(in)}; };
      const Function slopes = [&](const Tensors& in) { return gradients(row, in); };
      std::vector<std::vector<bool>> choices{std::vector<bool>(x.size(), true)};
      for (std::size_t i = 0; i < x.size() && x.size() > 1; ++i) {
        choices.emplace_back(x.size(), false);
        choices.back()[i] = true;
      }
      for (const std::vector<bool>& mapped : choices)
        for (const Function& f : {value, slopes}) {
          const Tensors expected = in_a_loop(f, samples, mapped), got = mapped_at_once(f, samples, mapped);
          REQUIRE(expected.size() == got.size());
          for (std::size_t k = 0; k < expected.size(); ++k) check_close(got[k], expected[k], 1e-12, 1e-12);
        }
    }
}

TEST_CASE("the sparse Jacobian of every operation holds all that is in the Jacobian") {
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size(); ++set)
      for (std::size_t i = 0; i < row.shapes[set].size(); ++i) {
        CAPTURE(row.id());
        CAPTURE(set);
        CAPTURE(i);
        const Tensors x = sample(row, set);
        const auto f = [&](const Tensor<double>& one) {
          Tensors all = x;
          all[i] = one;
          return flatten(row.f(all));
        };
        const auto slope = [&](const Tensor<double>& one) {
          Tensors all = x;
          all[i] = one;
          const Tensor<double> y = row.f(all);
          const auto seed = cos(reshape(arange<double>(static_cast<double>(y.size())), Dims(y.shape())));
          return flatten(detail::gradient_or_zero(y, one, {.seed = seed, .create_graph = true}));
        };
        const auto check = [&](const auto& function) {
          const Tensor<double> full = jacobian(function, x[i]);
          const SparseMatrix<double> sparse = sparse_jacobian(function, x[i]);
          const std::size_t n = x[i].size(), m = n == 0 ? 0 : full.size() / n;
          Tensor<double> dense = zeros<double>({m, n});
          for (std::size_t k = 0; k < sparse.rows.size(); ++k)
            dense.mutable_data()[sparse.rows[k] * n + sparse.columns[k]] = sparse.values.data()[k];
          if (full.size() != 0) check_close(dense, reshape(full, Dims{m, n}), 1e-12, 1e-12);
        };
        check(f);
        if (row.order >= 2) check(slope);
      }
}

TEST_CASE("a batch within a batch, derivatives through it, and what is refused") {
  const auto x = parameter(reshape(sin(arange<double>(12.0)), {2, 2, 3}));
  const auto f = [](const Tensor<double>& row) { return sum(exp(row) * row); };
  const auto twice = vmap(vmap(f));
  check_close(twice(x), sum(exp(x) * x, 2), 1e-15, 1e-15);
  check_close(grad(sum(square(twice(x))), x), grad(sum(square(sum(exp(x) * x, 2))), x), 1e-14, 1e-14);
  const Tensor<double> v = cos(x.detach());
  check_close(jvp(twice, x, v).second,
              jvp([](const auto& all) { return sum(exp(all) * all, 2); }, x, v).second, 1e-14, 1e-14);
  const auto compiled = compile([&](const Tensor<double>& all) { return sum(square(twice(all))); });
  check_close(compiled(x), sum(square(twice(x))), 1e-15, 1e-15);
  check_close(grad(compiled(x), x), grad(sum(square(twice(x))), x), 1e-14, 1e-14);
  const auto w = parameter(Tensor<double>{0.1, 0.2, 0.3});
  const auto per_sample = vmap([&](const Tensor<double>& row) { return grad(square(sum(row * w)), w); });
  const Tensor<double> rows = slice(x.detach(), 0);
  check_close(per_sample(rows), 2 * unsqueeze(matmul(rows, w.detach()), 1) * rows, 1e-15, 1e-15);
  const Tensor<double> out_last = vmap([](const Tensor<double>& row) { return row * 2; }, {.out = -1})(rows);
  check_close(out_last, transpose(rows) * 2, 0, 0);
  random::seed(4);
  const auto noise = vmap([](const Tensor<double>& row) { return row + random::normal<double>({3}); });
  const Tensor<double> n = noise(zeros<double>({2, 3}));
  CHECK(n.data()[0] != n.data()[3]);
  const auto same = vmap([](const Tensor<double>& row) { return row + random::normal<double>({3}); },
                         {.same_random_numbers = true});
  const Tensor<double> s = same(zeros<double>({2, 3}));
  CHECK(s.data()[0] == s.data()[3]);
  const auto add = [](const auto& a, const auto& b) { return a + b; };
  CHECK_THROWS_WITH_AS(vmap(add)(rows, w), "[vmap] arguments have 2 and 3 samples", Error);
  CHECK_THROWS_WITH_AS(vmap(add, {.in = {none, none}})(rows, w), "[vmap] no argument has an axis of samples",
                       Error);
  CHECK_THROWS_WITH_AS(vmap([](const auto& a) { return a.item() > 0 ? a : -a; })(w),
                       doctest::Contains("[vmap] item() reads"), Error);
}
