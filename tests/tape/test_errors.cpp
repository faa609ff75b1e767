// Every error of a caller is named by its text, changes nothing, and leaves the tape usable.
#include <sstream>
#include <thread>

#include "../check_close.hpp"

#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;

namespace {

/// Runs f, which must throw an Error with exactly this text, and shows that the tape works afterwards.
template <class F>
void throws(const std::string& expected, F&& f) {
  std::string text = "nothing was thrown";
  const std::size_t size = Tape::current().size();
  try {
    f();
  } catch (const Error& error) { text = error.what(); }
  CHECK(text == expected);
  CHECK(Tape::current().size() == size);
  const auto x = parameter<double>(3.0);
  (x * x).backward();
  CHECK(x.grad().item() == 6);
}

const auto m = [](std::size_t rows, std::size_t cols) { return parameter(ones<double>({rows, cols})); };
const auto v = [](std::size_t n) { return parameter(ones<double>({n})); };

}  // namespace

TEST_CASE("shapes that do not broadcast") {
  throws("[add] shapes (2, 3) and (4, 5) do not broadcast: 3 and 5 differ on axis -1 and neither is 1",
         [] { m(2, 3) + m(4, 5); });
  throws("[multiply] shapes (3,) and (2, 4) do not broadcast: 3 and 4 differ on axis -1 and neither is 1",
         [] { v(3) * m(2, 4); });
  throws("[where] shapes (2,) and (3,) do not broadcast: 2 and 3 differ on axis -1 and neither is 1",
         [] { where(v(2), v(3), v(3)); });
  throws("[broadcast_to] shape (2, 3) does not broadcast to (3,)", [] { broadcast_to(m(2, 3), {3}); });
  throws("[pow] shapes (2,) and (3,) do not broadcast: 2 and 3 differ on axis -1 and neither is 1",
         [] { pow(v(2), v(3)); });
}

TEST_CASE("products") {
  throws("[matmul] shapes (2, 3) and (4, 5): inner dimensions 3 and 4 differ",
         [] { matmul(m(2, 3), m(4, 5)); });
  throws(
      "[matmul] shapes (2, 3) and (4, 3): inner dimensions 3 and 4 differ: transpose the second, or use "
      "linear()",
      [] { matmul(m(2, 3), m(4, 3)); });
  throws("[matmul] shapes () and (2, 2): a scalar is no matrix: use * to multiply by one",
         [] { matmul(Tensor<double>(1.0), m(2, 2)); });
  throws("[matmul] shapes (2,) and (3,) do not broadcast: 2 and 3 differ on axis -1 and neither is 1", [] {
    matmul(ones<double>({2, 2, 2}), ones<double>({3, 2, 2}));
  });
  throws("[dot] shapes (3,) and (2,): the summed dimensions 3 and 2 differ", [] { dot(v(3), v(2)); });
  throws("[linear] shapes (2, 3) of x and (3, 4) of W (out, in): features 3 and 4 differ: is W transposed?",
         [] { linear(m(2, 3), m(3, 4), v(3)); });
  throws("[linear] weight of shape (3,): it must be (out, in)", [] { linear(m(2, 3), v(3), v(3)); });
  throws("[linear] bias of shape (3,) for W of shape (4, 3): it must be (4,)",
         [] { linear(m(2, 3), m(4, 3), v(3)); });
}

TEST_CASE("axes and permutations") {
  throws("[sum] axis 2 is out of range for rank 2: axes go from -2 to 1", [] { sum(m(2, 3), 2); });
  throws("[mean] axis -3 is out of range for rank 2: axes go from -2 to 1", [] { mean(m(2, 3), -3); });
  throws("[softmax] axis -1 is out of range for rank 0: a scalar has no axes",
         [] { softmax(Tensor<double>(1.0)); });
  throws("[max] axis -1 is named twice", [] { max(m(2, 3), {1, -1}); });
  throws("[transpose] a permutation of 3 axes does not fit shape (2, 3)", [] {
    transpose(m(2, 3), {0, 1, 2});
  });
  throws("[transpose] axis 0 is named twice", [] { transpose(m(2, 3), {0, 0}); });
  throws("[squeeze] axis 0 of shape (2, 3) has the size 2, not 1", [] { squeeze(m(2, 3), 0); });
  throws("[unsqueeze] axis 4 is out of range for rank 3: axes go from -3 to 2",
         [] { unsqueeze(m(2, 3), 4); });
  throws("[flip] axis 5 is out of range for rank 1: axes go from -1 to 0", [] { flip(v(2), 5); });
}

TEST_CASE("layout") {
  throws("[reshape] shape (2, 3) cannot become (4, 2): the numbers of elements differ", [] {
    reshape(m(2, 3), {4, 2});
  });
  throws("[reshape] shape (2, 3) cannot become (-1, 4): the numbers of elements differ", [] {
    reshape(m(2, 3), {-1, 4});
  });
  throws("[reshape] shape (-1, -1): at most one dimension may be -1, the others count", [] {
    reshape(m(2, 3), {-1, -1});
  });
  throws("[concatenate] shapes (2, 3) and (3, 3) differ outside of axis 1", [] {
    concatenate({m(2, 3), m(3, 3)}, 1);
  });
  throws("[concatenate] there are no tensors", [] { concatenate(std::vector<Tensor<double>>{}); });
  throws("[stack] shapes (2, 3) and (3, 3) differ", [] { stack({m(2, 3), m(3, 3)}); });
  throws("[split] axis 1 of shape (2, 3) does not divide into 2 equal parts", [] { split(m(2, 3), 2, 1); });
  throws("[split] axis 1 of shape (2, 3) does not divide into 2 equal parts", [] { split<2>(m(2, 3), 1); });
  throws("[flatten] axis 0 of shape (2, 3) is before axis 1", [] { flatten(m(2, 3), 1, 0); });
  throws("[split] index 4 does not ascend within axis 1 of shape (2, 3)", [] { split(m(2, 3), {1, 4}, 1); });
  throws("[slice] index 2 is out of range for axis 0 of shape (2, 3)", [] { slice(m(2, 3), 2); });
  throws("[slice] 3 slices are too many for shape (2, 3)", [] { slice(m(2, 3), 0, 0, xt::all()); });
  throws("[slice] an ellipsis may stand once", [] { slice(m(2, 3), xt::ellipsis(), xt::ellipsis()); });
  throws("[tril] shape (3,) has no two axes", [] { tril(v(3)); });
  throws("[slice] a range with a step of 0 does not move",
         [] { slice(ones<double>({3}), xt::range(0, 3, 0)); });
  throws("[split] axis 0 of shape (0,) does not divide into 4611686018427387904 equal parts",
         [] { split(zeros<double>({0}), std::ptrdiff_t{1} << 62); });
  throws("[diag] the diagonal 9223372036854775807 is too far for a matrix",
         [] { diag(ones<double>({2}), PTRDIFF_MAX); });
  CHECK(diag(ones<double>({2, 3}), PTRDIFF_MIN).size() == 0);
  check_close(tril(ones<double>({2, 2}), PTRDIFF_MAX), ones<double>({2, 2}), 0);
  throws("[diag] shape (1, 1, 1) is neither a vector nor a matrix", [] { diag(ones<double>({1, 1, 1})); });
  throws("[trace] shape (3,) is not a matrix", [] { trace(v(3)); });
  throws("[max] shape (0,) has no element to choose", [] { max(zeros<double>({0})); });
  throws("[shape] rank 9 is above the highest rank, 8", [] {
    unsqueeze(ones<double>({1, 1, 1, 1, 1, 1, 1, 1}), 0);
  });
}

TEST_CASE("indices") {
  throws("[take] index 3 is out of range for axis 1 of shape (2, 3)", [] { take(m(2, 3), {0, 3}, 1); });
  throws("[take] index -4 is out of range for axis 1 of shape (2, 3)", [] { take(m(2, 3), {-4}, 1); });
  throws("[gather] indices of shape (1, 2) do not agree with shape (2, 3) outside of axis 1", [] {
    gather(m(2, 3), xt::xarray<int>{{0, 1}}, 1);
  });
  throws("[scatter_add] updates of shape (2, 3) and indices of shape (1, 2) differ", [] {
    scatter_add(m(2, 3), xt::xarray<int>{{0, 1}}, m(2, 3), 1);
  });
}

TEST_CASE("making tensors") {
  throws("[Indices] 1.5 is not a whole number below 2^53", [] { take(m(2, 3), {0, 1.5}, 1); });
  throws("[Tensor] nested braces are ragged: item 1 has the shape (1,), item 0 has (2,)", [] {
    Tensor<double>{{1.0, 2.0}, {3.0}};
  });
  throws("[Tensor] numbers and lists are mixed in one pair of braces", [] { Tensor<double>{1.0, {2.0}}; });
  throws("[Tensor] the tensor is empty: it was default-constructed or moved from, and never given a value",
         [] { exp(Tensor<double>()); });
  throws("[zeros] shape (4294967296, 4294967296) has more elements than this machine can address", [] {
    zeros<double>({std::size_t{1} << 32, std::size_t{1} << 32});
  });
  throws("[broadcast_to] shape (4294967296, 4294967296) has more elements than this machine can address", [] {
    broadcast_to(Tensor<double>(1.0), {std::size_t{1} << 32, std::size_t{1} << 32});
  });
  throws("[shape] dimension -1 is negative", [] { zeros<double>({2, -1}); });
  throws("[arange] a step of 0 does not lead from 0 to 3", [] { arange<double>(0, 3, 0); });
  throws("[clamp] low 2 is above high 1", [] { clamp(v(2), 2, 1); });
  throws("[item] shape (2,) has not one element: index value() instead", [] { v(2).item(); });
  throws("[random::normal] the standard deviation -1 is negative",
         [] { random::normal<double>({2}, 0, -1); });
  throws("[random::uniform] low 1 is above high 0", [] { random::uniform<double>({2}, 1, 0); });
  throws("[set_num_threads] 0 threads: at least 1 is needed", [] { set_num_threads(0); });
}

TEST_CASE("a checkpoint of more arguments than it counts") {
  const std::vector<Tensor<double>> some(31, parameter<double>({1.0}));
  CHECK_THROWS_WITH_AS(
      detail::checkpoint<double>([](const auto& x) { return x[0]; }, some),
      "[checkpoint] more than 30 arguments: pass them joined, or let the function capture them", Error);
}

TEST_CASE("backward and grad") {
  throws(
      "[backward] the output has the shape (3,), not one element: reduce it, for instance by sum(), or give "
      "a seed",
      [] { exp(v(3)).backward(); });
  throws("[backward] the seed has the shape (2,), the output (3,)",
         [] { exp(v(3)).backward({.seed = ones<double>({2})}); });
  throws(
      "[backward] the output does not depend on any tensor that requires a gradient: make the leaves with "
      "parameter(), and compute outside of NoGrad. A gradient is a constant, too, where the function is "
      "linear "
      "(its second derivative is 0), and where it was taken without create_graph",
      [] { sum(ones<double>({3})).backward(); });
  throws(
      "[grad] the output does not depend on any tensor that requires a gradient: make the leaves with "
      "parameter(), and compute outside of NoGrad. A gradient is a constant, too, where the function is "
      "linear "
      "(its second derivative is 0), and where it was taken without create_graph",
      [] {
        const auto x = v(3);
        grad(sum(grad(sum(2 * x), x, {.create_graph = true})), x);
      });
  const std::string not_recorded =
      "the output does not depend on any tensor that requires a gradient, as nothing is recorded here: "
      "compute "
      "it in a scope of EnableGrad, or outside of NoGrad. A rule of custom() runs without recording, unless "
      "create_graph is set; so do the function of a checkpoint in its forward pass, and models in evaluate "
      "and "
      "summary";
  throws("[grad] " + not_recorded, [] {
    const auto x = v(3);
    sum(custom<double>("mine", {x}, x.detach(), [&](const auto& g) {
      return std::vector<Tensor<double>>{g * grad(sum(exp(x)), x)};
    })).backward();
  });
  throws("[backward] " + not_recorded, [] {
    const NoGrad off;
    sum(v(3)).backward();
  });
  throws(
      "[assign] the tensor of shape (2,) is a temporary, and nobody would see its new elements: slice() and "
      "most "
      "other operations copy. Assign to the whole tensor",
      [] {
        Tensor<double> y{{1.0, 2.0}, {3.0, 4.0}};
        slice(y, 0).assign(Tensor<double>{9.0, 9.0});
      });
  throws("[Tensor] the tensor is empty: it was default-constructed or moved from, and never given a value",
         [] { Tensor<double>().mutable_data(); });
  throws(
      "[shape] index 5 is out of range for (2, 3): tensor.shape(i) is what counts negative ones from the end",
      [] {
        Shape{2, 3}.erase(5);
      });
  throws("[shape] index 0 is out of range for (): tensor.shape(i) is what counts negative ones from the end",
         [] { Shape().erase(0); });
  throws(
      "[shape] index 7 is out of range for (2,): tensor.shape(i) is what counts negative ones from the end",
      [] { Shape{2}.insert(7, 3); });
  throws(
      "[grad] input 1 does not require a gradient: it is a constant, or frozen. Make it with parameter() "
      "before what is "
      "computed "
      "from it; a tensor that was computed must have been recorded",
      [] {
        const auto x = v(3);
        grad(sum(x), {x, ones<double>({3})});
      });
  throws("[jvp] the direction has the shape (2,), x (3,)",
         [] { jvp([](const auto& a) { return exp(a); }, ones<double>({3}), ones<double>({2})); });
  throws("[grad] the leaf has no gradient: call backward() on what was computed from it",
         [] { v(3).grad(); });
  throws("[grad] the tensor is a constant: make it with parameter()", [] { ones<double>({3}).grad(); });
  throws("[grad] only leaves keep their gradient: use grad(output, {tensor})", [] { exp(v(3)).grad(); });
}

TEST_CASE("a recording is consumed by its first backward") {
  const auto x = v(2);
  const Tensor<double> h = exp(x), y = sum(h);
  y.backward();
  const std::string consumed =
      "' was consumed by an earlier backward pass or cleared. Pass a state that is carried over to the next "
      "batch on as state.detach(); for a second backward of the same loss set retain_tape in the first; or "
      "compute the output again";
  throws("[backward] the recording of 'sum" + consumed, [&] { y.backward(); });
  throws("[backward] the recording of 'exp" + consumed, [&] { sum(h * x).backward(); });
  check_close(x.grad(), exp(x), 1e-15);  // once, not twice, and nothing of h * x
  const Tensor<double> z = sum(exp(x));
  Tape::current().clear();
  throws("[backward] the recording of 'sum" + consumed, [&] { z.backward(); });

  Tensor<double> state = ones<double>({2});  // carried over batches
  const auto batch = [&] {
    state = tanh(state * x);
    sum(state).backward();
  };
  batch();
  CHECK_THROWS_WITH_AS(batch(), ("[backward] the recording of 'tanh" + consumed).c_str(), Error);
  state = state.detach();
  batch();
}

TEST_CASE("a value that was assigned after it was recorded") {
  auto x = v(2), w = v(2);
  const Tensor<double> y = sum(x * w);
  w.assign(w.value() * 2);
  const std::string changed = ", was assigned after it was recorded: assign after backward()";
  throws("[backward] a value that 'multiply' needs, of shape (2,)" + changed, [&] { y.backward(); });
  throws("[backward] a value that 'multiply' needs, of shape (2,)" + changed, [&] { grad(y, {x}); });
  CHECK(!x.has_grad());
  const Tensor<double> sum_only = sum(x + w);  // addition needs no values
  w.assign(w.value() * 2);
  sum_only.backward();
  check_close(w.grad(), {1.0, 1.0}, 0);

  // an optimiser's step between forward and backward, seen through a reshaped view
  const Tensor<double> z = sum(exp(reshape(x, {2, 1})) * reshape(w, {2, 1}));
  nn::SGD<double>({w}).step();
  throws("[backward] a value that 'multiply' needs, of shape (2, 1)" + changed, [&] { z.backward(); });
}

TEST_CASE("assign") {
  auto x = v(2);
  throws("[assign] shapes (2,) and (3,) differ", [&] { x.assign(ones<double>({3})); });
  throws("[assign] the tensor was computed by 'exp': only leaves and constants take new values",
         [&] { exp(x).assign(ones<double>({2})); });
  check_close(x, {1.0, 1.0}, 0);
  x.assign(xt::xarray<double>{5.0, 6.0});
  check_close(x, {5.0, 6.0}, 0);
  CHECK(x.is_leaf());
  x.assign(flip(x));
  check_close(x, {6.0, 5.0}, 0);
}

TEST_CASE("a recording of another thread") {
  const auto x = v(2);
  const Tensor<double> h = exp(x);
  std::string operation, backward;
  std::thread([&] {
    try {
      h * 2;
    } catch (const Error& error) { operation = error.what(); }
    try {
      h.backward({.seed = ones<double>({2})});
    } catch (const Error& error) { backward = error.what(); }
    CHECK(sum(h.detach()).item() > 5);  // its value may be read
  }).join();
  CHECK(
      operation ==
      "[multiply] an input was recorded by another thread: pass detach() of it, or record where it is used");
  CHECK(backward ==
        "[backward] the tensor was recorded by another thread: call backward() where it was recorded");
  sum(h).backward();
  check_close(x.grad(), exp(x), 1e-15);
}

TEST_CASE("a rule that throws in the middle of a pass changes no gradient") {
  auto x = v(2);
  sum(x).backward();
  const Tensor<double> bad = custom<double>(
      "bad", {x}, exp(x.detach()),
      [](const Tensor<double>&) -> std::vector<Tensor<double>> { throw std::runtime_error("out of order"); });
  CHECK_THROWS_AS((sum(exp(x) * bad) + sum(x)).backward(), std::runtime_error);
  check_close(x.grad(), {1.0, 1.0}, 0);
  sum(x).backward();
  check_close(x.grad(), {2.0, 2.0}, 0);
}

TEST_CASE("normalisation") {
  throws("[batch_norm] x of shape (3,) is not (N, F) with rows to average",
         [] { batch_norm(v(3), v(3), v(3)); });
  throws("[batch_norm] x of shape (0, 3) is not (N, F) with rows to average",
         [] { batch_norm(m(0, 3), v(3), v(3)); });
  throws("[batch_norm] gamma of shape (2,) and beta of shape (3,) for x of shape (4, 3): both must be (3,)",
         [] { batch_norm(m(4, 3), v(2), v(3)); });
  throws("[layer_norm] gamma of shape (3,) and beta of shape (3, 1) for x of shape (4, 3): both must be (3,)",
         [] { layer_norm(m(4, 3), v(3), m(3, 1)); });
  throws("[layer_norm] x of shape () has no features to average",
         [] { layer_norm(parameter<double>(1.0), v(1), v(1)); });
}
