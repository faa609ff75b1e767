// attention(): its operation, gradient and tangent.
#include "../attention.hpp"

#include <bit>

#include "../random.hpp"
#include "attention_ops.hpp"

namespace xtape {
namespace detail {
namespace {

/// Which of the inputs gradients are wanted of, and which have tangents: bits by their number.
using AttentionParts = unsigned;
constexpr unsigned q_part = 1, k_part = 2, v_part = 4, bias_part = 8;

/// A rule for what is differentiated seldom: that of the decomposed form, recorded anew.
template <class T, class Op>
void replay_decomposed(const Op& op, const Gradients<T>& d) {
  std::vector<Tensor<T>> x;
  for (std::size_t i = 0; i < d.input_count(); ++i) x.push_back(d.recorded_input(i));
  replay_through<T>(op.name, d, [&] { return op.decomposed(x); });
}

/// The gradients that are wanted of q, k, v and the bias, one behind the other for each of the batch:
/// (batch…, L·heads·D + S·heads·D + S·heads·E + heads·L·S), from g, q, k, v, …
template <class T>
struct AttentionGradient : AttentionRule {
  AttentionParts wanted;
  static constexpr const char* name = "attention_gradient";
  bool operator==(const AttentionGradient&) const = default;

  /// Where the four begin in each of the batch, and their end.
  std::array<std::size_t, 5> starts(const AttentionSizes& s) const {
    const std::size_t sizes[] = {s.L * s.q_row, s.S * s.q_row, s.S * s.v_row, s.heads * s.L * s.S};
    std::array<std::size_t, 5> all{};
    for (std::size_t i = 0; i < 4; ++i) all[i + 1] = all[i] + ((wanted >> i & 1u) != 0 ? sizes[i] : 0);
    return all;
  }
  Shape shape(const AttentionSizes& sizes) const {
    Shape all = sizes.batch;
    all.push_back(starts(sizes).back());
    return all;
  }
  /// Reads part i from the result, as of the input that was broadcast to the batch.
  Strided<T> part(std::size_t i, const AttentionSizes& s) const {
    Shape to = i == 3 ? scores(s.batch, s.L, s.S) : s.batch;
    if (i < 3) to.push_back(i == 0 ? s.L : s.S), to.push_back(i == 2 ? s.v_row : s.q_row);
    Dims strides = row_major_strides(to);
    const Dims packed = row_major_strides(shape(s));
    std::copy_n(packed.begin(), s.batch.size(), strides.begin());
    return {name, to, static_cast<std::ptrdiff_t>(starts(s)[i]), strides};
  }

  /// From g, q, k, v, …
  AttentionSizes sizes(std::span<const Tensor<T>> in) const {
    AttentionSizes all(*this, in.subspan(1));
    all.widen(batch_of(in[0].shape()));
    return all;
  }

  void compute(Target<T> y, std::span<const Tensor<T>> in) const {
    const AttentionHeads<T> all(*this, in.subspan(1), sizes(in));
    const Walk<1> g_of_heads = all.walk_over(in[0], all.v_row * all.L, all.E);
    const auto start = starts(all);
    const std::size_t D = all.D, E = all.E;
    std::fill_n(y.data, y.size, T(0));
    all.each(
        dropout > 0 ? 3 : 2, false,
        [&](const auto& head, std::size_t first, std::size_t rows, std::size_t n, T* scaled, T* W) {
          T *const dP = W + rows * n, *const used = dropout > 0 ? dP + rows * n : W;
          const T* const g = in[0].data() + g_of_heads.offsets(head.number)[0] + first * all.v_row;
          T* const to = y.data + head.number / all.heads * start.back();
          const std::size_t h = head.number % all.heads;
          const auto place = [&](std::size_t i, std::size_t column) { return to + start[i] + h * column; };
          all.weights(W, scaled, head, first, rows, n);
          if (dropout > 0) {
            std::copy_n(W, rows * n, used);
            all.drop(used, head, first, rows, n);
          }
          if (wanted & v_part)  // dv (n, E) += Pᵀ g
            gemm_rows(true, false, n, E, rows, used, n, g, all.v_row, true, place(2, E), all.v_row);
          if (!(wanted & ~v_part)) return;
          gemm_rows(false, true, rows, n, E, g, all.v_row, head.v, all.v_row, false, dP, n);
          all.drop(dP, head, first, rows, n);
          all.through_softmax(dP, W, first, rows, n);  // dS
          if (wanted & k_part)                         // dk (n, D) += dSᵀ (scale q)
            gemm_rows(true, false, n, D, rows, dP, n, scaled, D, true, place(1, D), all.q_row);
          if (wanted & q_part) {  // dq (rows, D) = scale dS k
            T* const dq = place(0, D) + first * all.q_row;
            gemm_rows(false, false, rows, D, n, dP, n, head.k, all.q_row, false, dq, all.q_row);
            for (std::size_t i = 0; i < rows; ++i)
              kernels<T>().scale(dq + i * all.q_row, false, D, dq + i * all.q_row, 1, static_cast<T>(scale));
          }
          if (wanted & bias_part)
            for (std::size_t i = 0; i < rows; ++i)
              std::copy_n(dP + i * n, n, place(3, all.L * all.S) + (first + i) * all.S);
        });
  }
  Tensor<T> decomposed(std::span<const Tensor<T>> in) const {
    const AttentionFormula<T> f(*this, in.subspan(1));
    const Tensor<T> g = f.split(in[0]), c = Tensor<T>(static_cast<T>(scale));
    const Tensor<T> dS = f.through_softmax(f.dropped(product_nt(g, f.v)));
    std::vector<Tensor<T>> parts;
    const Shape batch = sizes(in).batch;
    const auto add = [&](const Tensor<T>& part) {
      Shape to = batch;
      to.push_back(axes_size(part.shape(), batch.size(), part.rank()));
      parts.push_back(reshape(part, Dims(to)));
    };
    if (wanted & q_part) add(f.joined(xtape::matmul(dS, f.k) * c));
    if (wanted & k_part) add(f.joined(product_tn(dS, f.q) * c));
    if (wanted & v_part) add(f.joined(product_tn(f.dropped(f.P), g)));
    if (wanted & bias_part) add(dS);
    return concatenate(parts, -1);
  }
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& to) const {
    return lift_attention<T>(*this, in, batched, to, to.size(), {4});
  }
  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const {
    t.replay([&](const std::vector<Tensor<T>>& x) { return decomposed(x); });
  }
  void backward(Gradients<T>& d) const { replay_decomposed(*this, d); }
};

/// The tangent of the result from q, k, v, …, and the tangents that there are of q, k, v and the bias.
template <class T>
struct AttentionTangent : AttentionRule {
  AttentionParts moved;
  static constexpr const char* name = "attention_tangent";
  bool operator==(const AttentionTangent&) const = default;

  /// The tangent of input i, after those of the inputs before it; of an input that does not move none.
  const Tensor<T>* of(std::size_t i, std::span<const Tensor<T>> in) const {
    if ((moved >> i & 1u) == 0) return nullptr;
    return &in[inputs() + static_cast<std::size_t>(std::popcount(moved & ((1u << i) - 1)))];
  }
  /// q, k and v with tangents in their places, and the bias.
  PoolVector<Tensor<T>> tangents(std::span<const Tensor<T>> in) const {
    PoolVector<Tensor<T>> all(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(inputs()));
    for (std::size_t i = 0; i < 4; ++i)
      if (const Tensor<T>* const x = of(i, in)) all[i] = *x;
    return all;
  }

  // dS = scale (dq kᵀ + q dkᵀ) + dbias, dP = P (dS − Σ P dS), dy = dP v + P dv
  void compute(Target<T> y, std::span<const Tensor<T>> in) const {
    const PoolVector<Tensor<T>> other = tangents(in);
    AttentionSizes sizes(*this, in);
    sizes.widen(AttentionSizes(*this, std::span<const Tensor<T>>(other)).batch);
    const AttentionHeads<T> all(*this, in, sizes), moving(*this, other, sizes);
    const std::size_t D = all.D, E = all.E;
    all.each(2, true,
             [&](const auto& head, std::size_t first, std::size_t rows, std::size_t n, T* scaled, T* W) {
               T* const dS = W + rows * n;
               T* const to = y.data + all.start(head.number, all.L, E) + first * all.v_row;
               const auto dots = moving.head(head.number);
               std::fill_n(dS, rows * n, T(0));
               if (moved & q_part) {
                 for (std::size_t i = 0; i < rows; ++i)
                   kernels<T>().scale(scaled + i * D, false, D, dots.q + (first + i) * all.q_row, 1,
                                      static_cast<T>(scale));
                 gemm_rows(false, true, rows, n, D, scaled, D, head.k, all.q_row, false, dS, n);
               }
               all.weights(W, scaled, head, first, rows, n);
               if (moved & k_part)
                 gemm_rows(false, true, rows, n, D, scaled, D, dots.k, all.q_row, true, dS, n);
               if (moved & bias_part) moving.add_bias(dS, head, first, rows, n);
               all.through_softmax(dS, W, first, rows, n);
               all.drop(dS, head, first, rows, n);
               gemm_rows(false, false, rows, E, n, dS, n, head.v, all.v_row, false, to, all.v_row);
               if (!(moved & v_part)) return;
               all.drop(W, head, first, rows, n);
               gemm_rows(false, false, rows, E, n, W, n, dots.v, all.v_row, true, to, all.v_row);
             });
  }
  Tensor<T> decomposed(std::span<const Tensor<T>> in) const {
    const AttentionFormula<T> f(*this, in);
    const Tensor<T> c = Tensor<T>(static_cast<T>(scale));
    Tensor<T> dS, dy;
    const auto add = [](Tensor<T>& to, const Tensor<T>& part) { to = to.defined() ? to + part : part; };
    if (const auto* dq = of(0, in)) add(dS, product_nt(f.split(*dq), f.k) * c);
    if (const auto* dk = of(1, in)) add(dS, product_nt(f.q, f.split(*dk)) * c);
    if (const auto* dbias = of(3, in)) add(dS, *dbias);
    if (dS.defined()) add(dy, xtape::matmul(f.dropped(f.through_softmax(dS)), f.v));
    if (const auto* dv = of(2, in)) add(dy, xtape::matmul(f.dropped(f.P), f.split(*dv)));
    return f.joined(dy);
  }
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& to) const {
    const std::size_t bias = has_bias ? 3 : in.size(), moved_bias = moved & bias_part ? in.size() - 1 : bias;
    return lift_attention<T>(*this, in, batched, to, to.size() - 1, {bias, moved_bias});
  }
  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const {
    t.replay([&](const std::vector<Tensor<T>>& x) { return decomposed(x); });
  }
  void backward(Gradients<T>& d) const { replay_decomposed(*this, d); }
};

template <class T, class Op>
Tensor<T> apply_list(const Op& op, std::span<const Tensor<T>> in, const Shape& shape) {
  return perform<T>(op, Handles<T>(in), shape, [&](const Op& same) {
    Tensor<T> y = Tensor<T>::uninitialized(shape, same.name);
    same.compute(Target<T>{y.mutable_data(), y.size()}, in);
    return y;
  });
}

/// y (…, L, heads·E) = softmax(scale q kᵀ + bias) v
template <class T>
struct Attention : AttentionRule {
  static constexpr const char* name = "attention";
  bool operator==(const Attention&) const = default;

  void compute(Target<T> y, std::span<const Tensor<T>> in) const {
    const AttentionHeads<T> all(*this, in, AttentionSizes(*this, in));
    all.each(1, true,
             [&](const auto& head, std::size_t first, std::size_t rows, std::size_t n, T* scaled, T* W) {
               all.weights(W, scaled, head, first, rows, n);
               all.drop(W, head, first, rows, n);
               gemm_rows(false, false, rows, all.E, n, W, n, head.v, all.v_row, false,
                         y.data + all.start(head.number, all.L, all.E) + first * all.v_row, all.v_row);
             });
  }
  Tensor<T> decomposed(std::span<const Tensor<T>> in) const {
    const AttentionFormula<T> f(*this, in);
    return f.joined(xtape::matmul(f.dropped(f.P), f.v));
  }
  Tensor<T> lifted(std::span<const Handle* const> in, const std::vector<char>& batched,
                   const Shape& to) const {
    return lift_attention<T>(*this, in, batched, to, to.size() - 1, {has_bias ? 3 : in.size()});
  }
  static constexpr unsigned keeps(unsigned) { return keep_all_inputs; }
  void tangent(Tangents<T>& t) const {
    PoolVector<Tensor<T>> all;
    AttentionTangent<T> op{*this, 0};
    for (std::size_t i = 0; i < t.input_count(); ++i) all.push_back(t.input(i));
    for (std::size_t i = 0; i < 3u + has_bias; ++i)
      if (t.has(i)) op.moved |= 1u << i, all.push_back(t.of(i));
    if (op.moved) t.add(apply_list<T>(op, all, t.output().shape()));
  }
  void backward(Gradients<T>& d) const {
    PoolVector<Tensor<T>> all{d.adjoint};
    AttentionGradient<T> op{*this, 0};
    for (std::size_t i = 0; i < d.input_count(); ++i) all.push_back(d.input(i));
    for (std::size_t i = 0; i < 3u + has_bias; ++i)
      if (d.needs(i)) op.wanted |= 1u << i;
    const AttentionSizes sizes = op.sizes(all);
    const Tensor<T> gradients = apply_list<T>(op, all, op.shape(sizes));
    for (std::size_t i = 0; i < 3u + has_bias; ++i)
      if (d.needs(i)) d.add(i, op.part(i, sizes), gradients);
  }
};

void require_attention(const Shape& q, const Shape& k, const Shape& v, std::size_t heads, bool causal) {
  const auto fail = [&](const std::string& what) {
    throw Error("attention", "q of shape " + to_string(q) + ", k of shape " + to_string(k) +
                                 " and v of shape " + to_string(v) + ": " + what);
  };
  if (std::min({q.size(), k.size(), v.size()}) < 2)
    fail("each needs an axis of positions and one of features, such as (batch, heads, length, features)");
  if (q.back() != k.back())
    fail("features " + std::to_string(q.back()) + " of q and " + std::to_string(k.back()) + " of k differ");
  if (k.end()[-2] != v.end()[-2])
    fail(std::to_string(k.end()[-2]) + " keys and " + std::to_string(v.end()[-2]) +
         " values: there must be as many");
  if (k.end()[-2] == 0) fail("there are no keys");
  if (heads != 0 && (q.back() % heads != 0 || v.back() % heads != 0))
    fail("their features do not divide into " + std::to_string(heads) + " heads");
  if (causal && q.end()[-2] > k.end()[-2])
    fail("causal queries are the last of the keys' positions, and there are more of them than keys");
}

template <class T>
Tensor<T> attention_bias(const AttentionOptions<T>& options, const Shape& scores) {
  const auto require = [&](const char* what, const Tensor<T>& x) {
    if (!broadcasts_to(x.shape(), scores))
      throw Error("attention", std::string("the ") + what + " of shape " + to_string(x.shape()) +
                                   " does not broadcast to the scores (…, queries, keys), " +
                                   to_string(scores));
  };
  Tensor<T> bias = options.bias;
  if (bias.defined()) require("bias", bias);
  if (!options.mask.defined()) return bias;
  const Tensor<T> mask = options.mask.detach();
  require("mask", mask);
  if (!is_abstract(*mask.handle().value.get()))
    for (const T x : mask.value())
      if (x != T(0) && x != T(1))
        throw Error("attention", "the mask holds " + number_text(static_cast<double>(x)) +
                                     ": it is 1 where a query sees a key, else 0; numbers to be added to the "
                                     "scores are a bias");
  const Tensor<T> hidden = where(mask, T(0), -std::numeric_limits<T>::infinity());
  return bias.defined() ? bias + hidden : hidden;
}

}  // namespace
}  // namespace detail

template <class T>
Tensor<T> attention(const Tensor<T>& q, const Tensor<std::type_identity_t<T>>& k,
                    const Tensor<std::type_identity_t<T>>& v,
                    const AttentionOptions<std::type_identity_t<T>>& options) {
  using namespace detail;
  require_attention(q.shape(), k.shape(), v.shape(), options.heads, options.causal);
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw Error("attention", "dropout " + number_text(options.dropout) + " is not in [0, 1)");
  Attention<T> op{{options.heads, options.causal, false, options.dropout, options.scale}};
  PoolVector<Tensor<T>> in{q, k, v};
  const AttentionSizes sizes(op, std::span<const Tensor<T>>(in));
  if (op.scale == 0) op.scale = 1 / std::sqrt(static_cast<double>(std::max<std::size_t>(1, sizes.D)));
  const Tensor<T> bias = attention_bias(options, op.scores(sizes.batch, sizes.L, sizes.S));
  op.has_bias = bias.defined();
  if (op.has_bias) in.push_back(bias);
  if (op.dropout > 0) in.push_back(random::uniform<T>({2}));
  Shape shape = sizes.batch;
  shape.push_back(sizes.L);
  shape.push_back(sizes.v_row);
  return apply_list<T>(op, in, shape);
}

#define XTAPE_INSTANTIATE(T)                                                         \
  template Tensor<T> attention(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, \
                               const AttentionOptions<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape
