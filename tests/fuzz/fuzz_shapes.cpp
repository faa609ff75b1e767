// Operations on shapes, axes and indices, chosen and parametrised by the bytes; then their gradients, which
// must have the shapes of the operands.
#include <autodiff/autodiff.hpp>

#include <new>

#include "fuzz_file.hpp"

using namespace xtape;

namespace {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : left_(data, size) {}
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const std::uint8_t b = left_[0];
    left_ = left_.subspan(1);
    return b;
  }
  std::size_t below(std::size_t n) { return byte() % n; }
  /// Mostly small; sometimes at the ends of what there is.
  std::ptrdiff_t number() {
    constexpr std::ptrdiff_t extremes[] = {PTRDIFF_MAX,
                                           PTRDIFF_MIN,
                                           PTRDIFF_MIN + 1,
                                           std::ptrdiff_t{1} << 31,
                                           -(std::ptrdiff_t{1} << 32),
                                           std::ptrdiff_t{1} << 62,
                                           1000,
                                           -1000};
    const std::uint8_t b = byte();
    return b < 224 ? b % 9 - 4 : extremes[b % 8];
  }
  Shape shape() {
    Shape s;
    for (std::size_t axes = below(6); axes-- > 0;) s.push_back(below(4));
    return s;
  }
  Tensor<double> tensor() {
    const Shape s = shape();
    return parameter(random::normal<double>(s));
  }
  template <class List>
  List list() {
    List all;
    for (std::size_t n = below(5); n-- > 0;) all.push_back(number());
    return all;
  }
  Size2 size2() {
    const std::ptrdiff_t height = number(), width = number();
    return {height, width};
  }
  xt::xstrided_slice<std::ptrdiff_t> slice() {
    switch (below(6)) {
      case 0:
        return xt::all();
      case 1:
        return xt::newaxis();
      case 2:
        return xt::ellipsis();
      case 3:
        return number();
      case 4: {
        const std::ptrdiff_t from = number(), to = number();
        return xt::range(from, to);
      }
      default: {
        const std::ptrdiff_t from = number(), to = number(), step = number();
        return xt::range(from, to, step);
      }
    }
  }

 private:
  std::span<const std::uint8_t> left_;
};

using Operands = std::vector<Tensor<double>>;

Tensor<double> operation(Bytes& in, const Operands& x) {
  switch (in.below(30)) {
    case 0:
      return x[0] + x[1];
    case 1:
      return where(x[0] > 0.0, x[1], x[2]);
    case 2:
      return reshape(x[0], in.list<Dims>());
    case 3:
      return transpose(x[0], in.list<Axes>());
    case 4:
      return squeeze(x[0], in.list<Axes>());
    case 5:
      return unsqueeze(x[0], in.number());
    case 6:
      return broadcast_to(x[0], in.shape());
    case 7:
      return concatenate({x[0], x[1]}, in.number());
    case 8:
      return stack({x[0], x[1]}, in.number());
    case 9: {
      Tensor<double> total(0.0);
      for (const auto& part : split(x[0], in.number(), in.number())) total = total + sum(part);
      return total;
    }
    case 10: {
      Tensor<double> total(0.0);
      for (const auto& part : split(x[0], Indices(in.list<std::vector<std::ptrdiff_t>>()), in.number()))
        total = total + sum(part);
      return total;
    }
    case 11: {
      xt::xstrided_slice_vector slices;
      for (std::size_t n = in.below(7); n-- > 0;) slices.push_back(in.slice());
      return slice(x[0], slices);
    }
    case 12:
      return flip(x[0], in.list<Axes>());
    case 13:
      return tril(x[0], in.number());
    case 14:
      return diag(x[0], in.number());
    case 15:
      return trace(x[0], in.number());
    case 16:
      return take(x[0], Indices(in.list<std::vector<std::ptrdiff_t>>()), in.number());
    case 17:
      return gather(x[0], Indices(in.list<std::vector<std::ptrdiff_t>>()), in.number());
    case 18:
      return scatter_add(x[0], Indices(in.list<std::vector<std::ptrdiff_t>>()), x[1], in.number());
    case 19:
      return sum(x[0], in.list<Axes>(), in.byte() & 1);
    case 20:
      return max(x[0], in.list<Axes>(), in.byte() & 1);
    case 21:
      return var(x[0], in.list<Axes>(), in.byte() & 1, in.below(3));
    case 22:
      return softmax(x[0], in.number());
    case 23:
      return cumsum(x[0], in.number());
    case 24:
      return matmul(x[0], x[1]);
    case 25:
      return unfold(x[0], in.size2(), in.size2(), in.size2(), in.size2());
    case 26:
      return fold(x[0], in.size2(), in.size2(), in.size2(), in.size2(), in.size2());
    case 27:
      return max_pool2d(x[0], in.size2(), in.size2(), in.size2());
    case 28:
      return conv2d(x[0], x[1], x[2],
                    {.stride = in.size2(),
                     .padding = in.size2(),
                     .dilation = in.size2(),
                     .groups = static_cast<std::size_t>(in.number())});
    default:
      return linear(x[0], x[1], x[2]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes in(data, size);
  const Operands x{in.tensor(), in.tensor(), in.tensor()};
  const std::size_t nodes = Tape::current().size();
  try {
    fuzz::accepted([&] {
      const Tensor<double> y = operation(in, x);
      if (y.requires_grad()) sum(square(y)).backward();
      for (const auto& one : x)
        if (one.has_grad()) fuzz::require(one.grad().shape() == one.shape(), "a gradient of another shape");
    });
  } catch (const std::bad_alloc&) {
    // A result that is truly that large.
  }
  fuzz::require(Tape::current().size() == nodes, "something is left on the tape");
  return 0;
}
