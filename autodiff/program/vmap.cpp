// A program on a batch: each step once, for all samples.
#include "../vmap.hpp"

#include <string>

#include "../arrange.hpp"
#include "../layout.hpp"
#include "../ops/layout_ops.hpp"
#include "../random.hpp"
#include "../tape/op.hpp"
#include "program.hpp"

namespace xtape::detail {
namespace {

/// x itself where an axis is in its place already.
template <class T>
Tensor<T> with_axis_moved(const Tensor<T>& x, std::size_t from, std::size_t to) {
  return from == to ? x : moveaxis(x, Axes(from), Axes(to));
}

struct Batched {
  Handle tensor;
  bool batched = false;  ///< has a leading axis of samples
};

template <class T>
Handle sum(const Batched& a, const Batched& b, std::size_t rank) {
  return sum_of_adjoints(aligned<T>(a.tensor, a.batched, rank), aligned<T>(b.tensor, b.batched, rank))
      .release();
}

/// Like replay(), for `samples` at once.
std::vector<Batched> replay_batched(const Program& program, std::span<const Batched> arguments,
                                    std::size_t samples, bool same_random_numbers) {
  std::vector<Batched> at(program.places.size());
  std::size_t next = 0;
  for (std::size_t p = 0; p < program.places.size(); ++p)
    if (program.places[p].kind == Place::Kind::argument)
      at[p] = arguments[next++];
    else
      at[p].tensor = program.places[p].tensor;
  for (const Step& step : program.steps) {
    const Shape& shape = program.places[step.output].shape;
    std::vector<Handle> inputs;
    std::vector<const Handle*> pointers;
    std::vector<char> batched;
    bool any = step.operation->is_random && !same_random_numbers;
    for (const Input& input : step.inputs) {
      const Batched& x = at[input.place];
      inputs.push_back(input.recorded ? x.tensor : Handle{x.tensor.value, {}});
      batched.push_back(x.batched);
      any = any || x.batched;
    }
    for (const Handle& one : inputs) pointers.push_back(&one);
    Batched y{{}, any};
    if (!any)
      y.tensor = step.operation->again(step.op.get(), pointers, shape);
    else if (step.operation->is_random)
      y.tensor = step.operation->again(step.op.get(), pointers, with_batch({samples}, shape));
    else
      y.tensor = step.operation->lift(step.op.get(), pointers, batched, with_batch({samples}, shape));
    if (step.base != Step::none) {
      const Batched& base = at[step.base];
      y.tensor = y.tensor.value->item_size == sizeof(float) ? sum<float>(base, y, shape.size())
                                                            : sum<double>(base, y, shape.size());
      y.batched = y.batched || base.batched;
    }
    at[step.output] = std::move(y);
  }
  return at;
}

/// f for one sample after the other.
template <class T, class F>
std::vector<Tensor<T>> one_by_one(const F& f, const std::vector<Batched>& arguments, std::size_t samples,
                                  const VmapOptions& options) {
  const RandomPoint start;
  std::vector<std::vector<Tensor<T>>> columns;
  for (std::size_t b = 0; b < samples; ++b) {
    if (options.same_random_numbers) start.rewind();
    std::vector<Tensor<T>> x;
    for (const Batched& one : arguments)
      x.emplace_back(one.batched ? row_of(one.tensor, b) : Handle(one.tensor));
    const std::vector<Tensor<T>> y = f(x);
    columns.resize(y.size());
    for (std::size_t k = 0; k < y.size(); ++k) columns[k].push_back(y[k]);
  }
  std::vector<Tensor<T>> results;
  for (const std::vector<Tensor<T>>& column : columns) {
    const Tensor<T> all = stack(column);
    results.push_back(with_axis_moved(all, 0, normalize_axis(options.out, all.rank(), "vmap")));
  }
  return results;
}

}  // namespace

template <class T>
std::vector<Tensor<T>> vmap(const std::function<std::vector<Tensor<T>>(const std::vector<Tensor<T>>&)>& f,
                            const std::vector<Tensor<T>>& x, const VmapOptions& options) {
  constexpr const char* op = "vmap";
  if (options.in.size() > x.size())
    throw Error(op,
                std::to_string(options.in.size()) + " axes for " + std::to_string(x.size()) + " arguments");
  std::size_t samples = 0;
  bool any = false;
  std::vector<Batched> arguments;
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::ptrdiff_t axis = i < options.in.size() ? options.in[i] : 0;
    Shape shape = x[i].shape();
    if (axis == none) {
      arguments.push_back({x[i].handle(), false});
    } else {
      const std::size_t at = normalize_axis(axis, x[i].rank(), op);
      if (any && shape[at] != samples)
        throw Error(op, "arguments have " + std::to_string(samples) + " and " + std::to_string(shape[at]) +
                            " samples");
      samples = shape[at];
      any = true;
      shape.erase(at);
      arguments.push_back({with_axis_moved(x[i], at, 0).release(), true});
    }
    shapes.push_back(shape);
  }
  if (!any) throw Error(op, "no argument has an axis of samples");
  const Program program =
      traced(op, "the function assigns a tensor: that is not done once a sample", [&](Trace& trace) {
        std::vector<Tensor<T>> in;
        for (const Shape& shape : shapes) in.emplace_back(trace.argument(shape, sizeof(T), false, true));
        return f(in);
      });
  if (program.is_opaque)
    return one_by_one<T>(f, arguments, samples, options);  // its rules are the function's
  const std::vector<Batched> at = replay_batched(program, arguments, samples, options.same_random_numbers);
  std::vector<Tensor<T>> results;
  for (const Input& output : program.outputs) {
    const Batched& y = at[output.place];
    const Tensor<T> tensor(output.recorded ? y.tensor : Handle{y.tensor.value, {}});
    const Tensor<T> all = y.batched ? tensor : repeated(tensor, samples);
    results.push_back(with_axis_moved(all, 0, normalize_axis(options.out, all.rank(), op)));
  }
  return results;
}

template std::vector<Tensor<float>> vmap(
    const std::function<std::vector<Tensor<float>>(const std::vector<Tensor<float>>&)>&,
    const std::vector<Tensor<float>>&, const VmapOptions&);
template std::vector<Tensor<double>> vmap(
    const std::function<std::vector<Tensor<double>>(const std::vector<Tensor<double>>&)>&,
    const std::vector<Tensor<double>>&, const VmapOptions&);

}  // namespace xtape::detail
