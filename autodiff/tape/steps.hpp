// An operation as a step of a program: run on arrays, performed anew, performed for a batch. Included by
// op.hpp.
#pragma once

namespace xtape::detail {

/// Computes from as many inputs, where the operation takes so many.
template <class T, class Op, std::size_t... i>
void run_with(const Op& op, Target<T> y, std::span<Value* const> x, std::index_sequence<i...>) {
  if constexpr (takes<T, Op, sizeof...(i)> && (sizeof...(i) != 0 || !takes<T, Op, 1>))
    if (x.size() == sizeof...(i))
      op.compute(y,
                 static_cast<const InputType<T, Op, i>&>(BorrowedAs<InputType<T, Op, i>>(x[i], nullptr))...);
}

template <class T, class Op>
[[gnu::noinline]] void run_step(const void* erased, const Value& value, bool accumulate,
                                std::span<Value* const> x) {
  const Op& op = *static_cast<const Op*>(erased);
  const Target<T> y{reinterpret_cast<T*>(value.data), value.size, accumulate};
  if constexpr (takes_list<T, Op>) {
    PoolVector<Tensor<T>> list;
    list.reserve(x.size());
    for (Value* one : x) {
      const Borrowed<T> borrowed(one, nullptr);
      list.push_back(borrowed);
    }
    op.compute(y, std::span<const Tensor<T>>(list));
  } else {
    [&]<std::size_t... n>(std::index_sequence<n...>) {
      (run_with(op, y, x, std::make_index_sequence<n>()), ...);
    }
    (std::make_index_sequence<6>());
  }
}

template <class T, class Op>
[[gnu::cold, gnu::noinline]] Tensor<T> perform_here(const Op& op, std::span<const Handle* const> inputs,
                                                    const Shape& shape) {
  return perform<T>(op, inputs, shape, [&](const Op& same) {
    Tensor<T> y = Tensor<T>::uninitialized(shape, name_of(same));
    y.handle().value->integers = requires { Op::gives_integers; };
    PoolVector<Value*> values;
    for (const Handle* input : inputs) values.push_back(input->value.get());
    run_step<T, Op>(&same, *y.handle().value.get(), false, values);
    return y;
  });
}

template <class T, class Op>
[[gnu::cold]] Handle perform_again(const void* erased, std::span<const Handle* const> inputs,
                                   const Shape& shape) {
  const Op& op = *static_cast<const Op*>(erased);
  if constexpr (requires { op.again(inputs, shape); })
    return op.again(inputs, shape).release();
  else
    return perform_here<T>(op, inputs, shape).release();
}

template <class T, class Op, std::size_t... i>
void decompose_with(const Op& op, Handle& y, std::span<const Handle* const> x, std::index_sequence<i...>) {
  if constexpr (decomposes<T, Op, sizeof...(i)>)
    if (x.size() == sizeof...(i)) y = op.decomposed(InputType<T, Op, i>(Handle(*x[i]))...).release();
}

template <class T, class Op>
[[gnu::cold, gnu::noinline]] Handle decompose(const void* erased, std::span<const Handle* const> x) {
  const Op& op = *static_cast<const Op*>(erased);
  if constexpr (decomposes_list<T, Op>) {
    std::vector<Tensor<T>> list;
    for (const Handle* one : x) list.emplace_back(Handle(*one));
    return op.decomposed(std::span<const Tensor<T>>(list)).release();
  } else {
    Handle y;
    [&]<std::size_t... n>(std::index_sequence<n...>) {
      (decompose_with<T>(op, y, x, std::make_index_sequence<n + 1>()), ...);
    }
    (std::make_index_sequence<5>());
    return y;
  }
}

/// x, which has a leading axis of a batch where `batched`, as an operand that broadcasts to results of `rank`
/// axes without it.
template <class T>
Tensor<T> aligned(const Handle& x, bool batched, std::size_t rank) {
  const Tensor<T> tensor{Handle(x)};
  const Shape& own = tensor.shape();
  if (!batched || own.size() > rank) return tensor;
  Shape wide{own[0]};
  for (std::size_t i = own.size() - 1; i < rank; ++i) wide.push_back(1);
  for (std::size_t i = 1; i < own.size(); ++i) wide.push_back(own[i]);
  return reshape_to(tensor, wide);
}

/// An operation whose inputs broadcast, on a batch.
template <class T, class Op>
[[gnu::cold]] Tensor<T> lift_aligned(const Op& op, std::span<const Handle* const> inputs,
                                     const std::vector<char>& batched, const Shape& shape) {
  std::vector<Tensor<T>> all;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    all.push_back(aligned<T>(*inputs[i], batched[i], shape.size() - 1));
  std::vector<const Handle*> pointers;
  for (const Tensor<T>& one : all) pointers.push_back(&one.handle());
  return perform_here<T>(op, pointers, shape);
}

/// An operation for one sample of a batch after the other.
template <class T, class Op>
[[gnu::cold]] Tensor<T> lift_each(const Op& op, std::span<const Handle* const> inputs,
                                  const std::vector<char>& batched, const Shape& shape) {
  std::vector<Tensor<T>> results;
  Shape each = shape;
  each.erase(0);
  for (std::size_t b = 0; b < shape[0]; ++b) {
    std::vector<Handle> all;
    std::vector<const Handle*> pointers;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      all.push_back(batched[i] ? row_of(*inputs[i], b) : *inputs[i]);
    for (const Handle& one : all) pointers.push_back(&one);
    results.push_back(perform_here<T>(op, pointers, each));
  }
  return results.empty() ? zeros<T>(shape) : stack_rows<T>(results);
}

template <class T, class Op>
[[gnu::cold]] Handle lift(const void* erased, std::span<const Handle* const> inputs,
                          const std::vector<char>& batched, const Shape& shape) {
  const Op& op = *static_cast<const Op*>(erased);
  if constexpr (requires { op.lifted(inputs, batched, shape); }) {
    return op.lifted(inputs, batched, shape).release();
  } else if constexpr (
      requires { op.row_call(); } || requires { Op::broadcasts; }) {
    if constexpr (requires { op.batched(shape); })
      return lift_aligned<T>(op.batched(shape), inputs, batched, shape).release();
    else
      return lift_aligned<T>(op, inputs, batched, shape).release();
  } else if constexpr (requires { Op::is_view; }) {
    return perform_again<T, Op>(erased, inputs, shape);
  } else if constexpr (requires { op.batched(shape); }) {
    using In = InputType<T, Op, 0>;
    std::vector<Handle> all;
    std::vector<const Handle*> pointers;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      all.push_back(batched[i] ? *inputs[i] : repeated(In(Handle(*inputs[i])), shape[0]).release());
    for (const Handle& one : all) pointers.push_back(&one);
    const Shape from = all.front().value->shape;
    return perform_here<T>(op.batched(from), pointers, shape).release();
  } else {
    return lift_each<T>(op, inputs, batched, shape).release();
  }
}

}  // namespace xtape::detail
