#include "sparsity.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

#include "../base/make_like.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {
namespace {

/// Sets of numbers, each once.
class IndexSets {
 public:
  using Id = std::uint32_t;
  static constexpr Id empty = 0;

  IndexSets() { id_of({}); }
  std::span<const std::uint32_t> operator[](Id id) const { return *sets_[id]; }
  Id single(std::uint32_t number) { return id_of({number}); }
  Id unite(Id a, Id b) {
    if (a == b || b == empty) return a;
    if (a == empty) return b;
    const std::uint64_t key = std::uint64_t{std::min(a, b)} << 32 | std::max(a, b);
    if (const auto found = pairs_.find(key); found != pairs_.end()) return found->second;
    return pairs_[key] = merged(std::array{a, b});
  }
  Id unite(std::vector<Id>& ids) {
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    if (ids.size() <= 2) return ids.empty() ? empty : unite(ids.front(), ids.back());
    return merged(ids);
  }

 private:
  Id id_of(std::vector<std::uint32_t> numbers) {
    const auto [at, is_new] = ids_.try_emplace(std::move(numbers), static_cast<Id>(sets_.size()));
    if (is_new) sets_.push_back(&at->first);
    return at->second;
  }
  Id merged(std::span<const Id> ids) {
    std::vector<std::uint32_t> all;
    for (const Id id : ids) all.insert(all.end(), sets_[id]->begin(), sets_[id]->end());
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return id_of(std::move(all));
  }

  std::map<std::vector<std::uint32_t>, Id> ids_;
  std::vector<const std::vector<std::uint32_t>*> sets_;
  std::unordered_map<std::uint64_t, Id> pairs_;
};

using Sets = std::vector<IndexSets::Id>;  ///< of the elements of a place

/// A step on numbers that stand for nothing, to see what reaches its result.
class NanProbe {
 public:
  NanProbe(const Program& program, const Step& step) : step_(step) {
    for (const Input& input : step.inputs) add(program.places[input.place]);
    add(program.places[step.output]);
    inputs_.pop_back();
  }
  /// Whether it can run here: its indices are known.
  bool is_possible() const { return possible_; }

  /// Which elements of the result depend on elements of an input that is_marked(element).
  template <class F>
  std::vector<char> reached(std::size_t input, const F& is_marked) {
    mark(*inputs_[input], is_marked);
    const Value& y = values_.back();
    step_.operation->run(step_.op.get(), y, false, inputs_);
    mark(*inputs_[input], none);
    return y.item_size == sizeof(float) ? is_nan(y.elements<float>(), y.size)
                                        : is_nan(y.elements<double>(), y.size);
  }

 private:
  void add(const Place& place) {
    Value& value = values_.emplace_back(place.shape);
    describe_elements(value, place.item_size, "sparse_jacobian");
    value.integers = place.integers;
    inputs_.push_back(&value);
    if (place.integers) {
      const Value* const known = place.tensor.value.get();
      possible_ = possible_ && known && !is_abstract(*known);
      if (possible_) value.data = known->data;
      return;
    }
    value.data = memory_.emplace_back(make_value(place.shape, place.item_size, "sparse_jacobian"))->data;
    mark(value, none);
  }
  /// NaN where is_marked(element), 1 elsewhere.
  template <class F>
  static void mark(Value& x, const F& is_marked) {
    const auto fill = [&]<class T>(T* to) {
      for (std::size_t i = 0; i < x.size; ++i)
        to[i] = is_marked(i) ? std::numeric_limits<T>::quiet_NaN() : T(1);
    };
    x.item_size == sizeof(float) ? fill(reinterpret_cast<float*>(x.data))
                                 : fill(reinterpret_cast<double*>(x.data));
  }
  static bool none(std::size_t) { return false; }
  template <class T>
  static std::vector<char> is_nan(const T* numbers, std::size_t n) {
    std::vector<char> found(n);
    std::transform(numbers, numbers + n, found.begin(), [](T number) { return number != number; });
    return found;
  }

  const Step& step_;
  std::deque<Value> values_;  ///< of the inputs, and the result
  std::vector<Value*> inputs_;
  std::vector<ValueRef> memory_;
  bool possible_ = true;
};

/// While it lives, what runs here is no part of an outer trace, and nobody watches it.
class Unwatched {
 public:
  Unwatched() = default;
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
  ~Unwatched() {
    tracing = trace_;
    observer = observer_;
  }

 private:
  Trace* trace_ = std::exchange(tracing, nullptr);
  Observer* observer_ = std::exchange(observer, nullptr);
  const ForwardPass::Watch no_tangents_{nullptr};
};

/// The positions that an element of the result reads of an input: along each axis from the first to the last.
using Box = std::vector<std::uint32_t>;

/// Narrows the boxes of all elements that read an input along one axis.
void narrow(NanProbe& probe, std::size_t input, std::size_t stride, std::uint32_t length, std::size_t axis,
            const std::vector<char>& reads, std::vector<Box>& boxes) {
  const auto position = [=](std::size_t element) { return element / stride % length; };
  std::vector<char> several(reads.size(), false);
  std::vector<std::uint32_t> at(reads.size(), 0);
  for (std::uint32_t bit = 1; bit < length; bit <<= 1) {
    const auto with = probe.reached(input, [&](std::size_t e) { return (position(e) & bit) != 0; });
    const auto without = probe.reached(input, [&](std::size_t e) { return (position(e) & bit) == 0; });
    for (std::size_t o = 0; o < reads.size(); ++o) {
      several[o] |= with[o] == without[o];
      if (with[o]) at[o] |= bit;
    }
  }
  constexpr std::uint32_t most_runs = 256;
  std::vector<std::uint32_t> first(reads.size(), length), last(reads.size(), 0);
  if (length <= most_runs && std::ranges::count(several, true) != 0)
    for (std::uint32_t k = 0; k < length; ++k) {
      const auto found = probe.reached(input, [&](std::size_t e) { return position(e) == k; });
      for (std::size_t o = 0; o < reads.size(); ++o)
        if (found[o]) first[o] = std::min(first[o], k), last[o] = k;
    }
  for (std::size_t o = 0; o < reads.size(); ++o) {
    const bool whole = first[o] > last[o];  // too long to look at each, or a NaN alone leaves no trace
    boxes[o][2 * axis] = !several[o] ? at[o] : whole ? 0 : first[o];
    boxes[o][2 * axis + 1] = !several[o] ? at[o] : whole ? length - 1 : last[o];
  }
}

class Propagation {
 public:
  explicit Propagation(const Program& program) : program_(program), at_(program.places.size()) {}

  Pattern run() {
    for (std::size_t p = 0; p < at_.size(); ++p) at_[p].assign(size(p), IndexSets::empty);
    const std::size_t count = size(0);
    for (std::size_t i = 0; i < count; ++i) at_[0][i] = sets_.single(static_cast<std::uint32_t>(i));
    for (const Step& step : program_.steps) {
      Sets& y = at_[step.output];
      for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        // What was not recorded counts, too: rules of gradients know that a mean is one of x, say.
        const Sets& x = at_[step.inputs[i].place];
        if (program_.places[step.inputs[i].place].integers ||
            std::ranges::all_of(x, [](auto id) { return id == IndexSets::empty; }))
          continue;
        if (step.operation->is_view)
          y = x;
        else if (step.operation->row_call)
          add_elementwise(y, program_.places[step.output].shape, x,
                          program_.places[step.inputs[i].place].shape);
        else if (step.operation->mixes_matrices)
          add_matrices(y, program_.places[step.output].shape, x, program_.places[step.inputs[i].place].shape);
        else
          add_probed(y, step, i);
      }
      if (step.base != Step::none) {
        const Shape& shape = program_.places[step.output].shape;
        add_elementwise(y, shape, at_[step.base], program_.places[step.base].shape);
      }
    }
    const Input& output = program_.outputs.front();
    Pattern pattern{count};
    for (const IndexSets::Id id : at_[output.place])
      pattern.add_row(sets_[output.recorded ? id : IndexSets::empty]);
    return pattern;
  }

 private:
  std::size_t size(std::size_t place) const {
    return element_count(program_.places[place].shape, "sparse_jacobian");
  }

  void add_elementwise(Sets& y, const Shape& shape, const Sets& x, const Shape& from) {
    const std::size_t lead = shape.size() - from.size();
    for (std::size_t o = 0; o < y.size(); ++o) {
      std::size_t rest = o, element = 0, stride = 1;
      for (std::size_t axis = shape.size(); axis-- > lead;) {
        if (from[axis - lead] != 1) element += rest % shape[axis] * stride;
        stride *= from[axis - lead];
        rest /= shape[axis];
      }
      y[o] = sets_.unite(y[o], x[element]);
    }
  }

  /// All of a matrix to all of another; batches broadcast.
  void add_matrices(Sets& y, const Shape& shape, const Sets& x, const Shape& from) {
    Sets of_x(element_count(batch_of(from), "sparse_jacobian")),
        of_y(element_count(batch_of(shape), "sparse_jacobian"));
    for (std::size_t i = 0; i < of_x.size(); ++i) {
      const auto first = x.begin() + static_cast<std::ptrdiff_t>(i * (x.size() / of_x.size()));
      Sets all(first, first + static_cast<std::ptrdiff_t>(x.size() / of_x.size()));
      of_x[i] = sets_.unite(all);
    }
    add_elementwise(of_y, batch_of(shape), of_x, batch_of(from));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = sets_.unite(y[i], of_y[i / (y.size() / of_y.size())]);
  }

  void add_probed(Sets& y, const Step& step, std::size_t input) {
    const Sets& x = at_[step.inputs[input].place];
    const Shape& shape = program_.places[step.inputs[input].place].shape;
    std::vector<char> reads(y.size(), true);
    Box whole;
    for (const std::size_t d : shape) whole.insert(whole.end(), {0, static_cast<std::uint32_t>(d - 1)});
    std::vector<Box> boxes(y.size(), whole);
    NanProbe probe(program_, step);
    if (probe.is_possible()) try {
        reads = probe.reached(input, [](std::size_t) { return true; });
        std::size_t stride = x.size();
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
          stride /= shape[axis];
          narrow(probe, input, stride, static_cast<std::uint32_t>(shape[axis]), axis, reads, boxes);
        }
      } catch (const Error&) {  // it refuses such numbers, and may read all
        reads.assign(y.size(), true);
        boxes.assign(y.size(), whole);
      }
    std::map<Box, IndexSets::Id> known;
    for (std::size_t o = 0; o < y.size(); ++o) {
      if (!reads[o]) continue;
      const auto [at, is_new] = known.try_emplace(boxes[o], IndexSets::empty);
      if (is_new) at->second = united(x, shape, boxes[o]);
      y[o] = sets_.unite(y[o], at->second);
    }
  }

  /// The sets of all elements of a box in one.
  IndexSets::Id united(const Sets& x, const Shape& shape, const Box& box) {
    Sets ids;
    std::vector<std::uint32_t> position;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) position.push_back(box[2 * axis]);
    for (;;) {
      std::size_t element = 0;
      for (std::size_t axis = 0; axis < shape.size(); ++axis)
        element = element * shape[axis] + position[axis];
      ids.push_back(x[element]);
      std::size_t axis = shape.size();
      for (; axis > 0; --axis) {
        if (++position[axis - 1] <= box[2 * axis - 1]) break;
        position[axis - 1] = box[2 * axis - 2];
      }
      if (axis == 0) return sets_.unite(ids);
    }
  }

  const Program& program_;
  IndexSets sets_;
  std::vector<Sets> at_;
};

}  // namespace

Pattern dependences(const Program& program) {
  const NoGrad no_grad;
  const Unwatched unwatched;
  return Propagation(program).run();
}

Pattern transposed(const Pattern& of) {
  Pattern to{of.rows(), std::vector<std::size_t>(of.columns + 1, 0),
             std::vector<std::uint32_t>(of.index.size())};
  for (const std::uint32_t j : of.index) ++to.start[j + 1];
  for (std::size_t j = 0; j < of.columns; ++j) to.start[j + 1] += to.start[j];
  std::vector<std::size_t> next(to.start.begin(), to.start.end() - 1);
  for (std::size_t i = 0; i < of.rows(); ++i)
    for (const std::uint32_t j : of.row(i)) to.index[next[j]++] = static_cast<std::uint32_t>(i);
  return to;
}

Pattern symmetric(const Pattern& of) {
  const Pattern other = transposed(of);
  Pattern both{of.columns};
  for (std::size_t i = 0; i < of.rows(); ++i) {
    std::vector<std::uint32_t> row;
    std::ranges::set_union(of.row(i), other.row(i), std::back_inserter(row));
    both.add_row(row);
  }
  return both;
}

}  // namespace xtape::detail
