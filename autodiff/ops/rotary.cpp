// rotary_embedding().
#include <cmath>

#include "../attention.hpp"
#include "../elementwise.hpp"
#include "layout_ops.hpp"

namespace xtape {
namespace detail {
namespace {

/// y = x with its pairs of features i and i + D/2 turned by the angle (first + row) base^(−2i/D), or back.
template <class T>
struct Rotary {
  static constexpr bool accumulates = true;
  std::size_t first, heads;
  double base;
  bool back = false;
  const char* name() const { return back ? "rotary_embedding_gradient" : "rotary_embedding"; }
  bool operator==(const Rotary&) const = default;
  Rotary batched(const Shape&) const { return *this; }
  void write(Notation& to) const { to.set(Term::call(name(), to.x, to.shape)); }

  Shape shape(const Shape& x) const { return x; }
  void compute(Target<T> y, const Tensor<T>& x) const {
    const std::size_t L = x.shape().end()[-2], D = x.shape().back() / heads, half = D / 2;
    const Tensor<T> turns = cosines_and_sines(L, half);
    for_blocks(D == 0 ? 0 : x.size() / D, x.size(), [&](std::size_t from, std::size_t to) {
      for (std::size_t r = from; r < to; ++r) {
        const T *const low = x.data() + r * D, *const high = low + half;
        const T *const c = turns.data() + r / heads % L * half, *const s = c + L * half;
        T* const out = y.data + r * D;
        for (std::size_t i = 0; i < half; ++i) {
          const T a = low[i] * c[i] - high[i] * s[i], b = high[i] * c[i] + low[i] * s[i];
          out[i] = y.accumulate ? out[i] + a : a;
          out[half + i] = y.accumulate ? out[half + i] + b : b;
        }
      }
    });
  }
  Tensor<T> decomposed(const Tensor<T>& x) const {
    const std::size_t L = x.shape(-2), half = x.shape(-1) / heads / 2;
    const Tensor<T> turns = cosines_and_sines(L, half), c = slice(turns, 0), s = slice(turns, 1);
    const Tensor<T> pairs =
        reshape(x, Dims{axes_size(x.shape(), 0, x.rank() - 2), L, heads, std::size_t(2), half});
    const Tensor<T> low = slice(pairs, xt::ellipsis(), 0, xt::all()),
                    high = slice(pairs, xt::ellipsis(), 1, xt::all());
    return reshape(xtape::concatenate({low * c - high * s, high * c + low * s}, -1), Dims(x.shape()));
  }
  static constexpr bool is_linear = true;
  void backward(Gradients<T>& d) const { d.add(0, Rotary{first, heads, base, !back}, d.adjoint); }

 private:
  /// Of the angles of each row and pair: (2, L, 1, D/2).
  Tensor<T> cosines_and_sines(std::size_t L, std::size_t half) const {
    Tensor<T> all = Tensor<T>::uninitialized({2, L, 1, half}, name());
    T *const c = all.mutable_data(), *const s = c + L * half;
    for (std::size_t i = 0; i < half; ++i) {
      const double turn = std::pow(base, -static_cast<double>(i) / static_cast<double>(half));
      for (std::size_t p = 0; p < L; ++p) {
        const double angle = static_cast<double>(first + p) * turn;
        c[p * half + i] = static_cast<T>(std::cos(angle));
        s[p * half + i] = static_cast<T>(back ? -std::sin(angle) : std::sin(angle));
      }
    }
    return all;
  }
};

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> rotary_embedding(const Tensor<T>& x, const RotaryOptions& options) {
  const std::size_t heads = std::max<std::size_t>(1, options.heads);
  if (x.rank() < 2 || x.shape().back() % (2 * heads) != 0)
    throw Error("rotary_embedding", "x of shape " + to_string(x.shape()) + " is not (…, length, " +
                                        (heads > 1 ? std::to_string(heads) + " times an" : "an") +
                                        " even number of features)");
  if (!(options.base > 0))
    throw Error("rotary_embedding", "the base " + detail::number_text(options.base) + " is not positive");
  return detail::apply<T>(detail::Rotary<T>{options.first, heads, options.base}, x);
}

template Tensor<float> rotary_embedding(const Tensor<float>&, const RotaryOptions&);
template Tensor<double> rotary_embedding(const Tensor<double>&, const RotaryOptions&);

}  // namespace xtape
