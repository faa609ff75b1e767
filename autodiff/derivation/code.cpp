#include "code.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "../error.hpp"
#include "derived.hpp"

namespace xtape::detail {
namespace {

Placing row_major(const Shape& shape) { return Placing::contiguous(element_count(shape, cpp_op)); }

}  // namespace

std::string replaced(std::string text,
                     std::initializer_list<std::pair<std::string_view, std::string_view>> words) {
  for (const auto& [word, by] : words)
    for (std::size_t at; (at = text.find(word)) != std::string::npos;) text.replace(at, word.size(), by);
  return text;
}

Code::Code(const Program& program) : program_(program) {
  for (std::uint32_t p = 0; p < program.places.size(); ++p)
    if (program.places[p].kind != Place::Kind::result) given(p);
}

void Code::run() {
  for (const Step& step : program_.steps) {
    step_ = &step;
    if (!step.operation->code || step.base != Step::none)
      throw Error(cpp_op, std::string("'") + step.name() + "' cannot be written as C++");
    if (element_count(shape(), cpp_op) == 0)  // nothing to compute
      set(number_read(0, type_of(program_.places[step.output]), 0));
    else
      step.operation->code(step.op.get(), *this);
  }
}

CodeType Code::type_of(const Place& place) const {
  if (place.integers) return CodeType::index;
  return place.item_size == sizeof(float) ? CodeType::real32 : CodeType::real64;
}

void Code::given(std::uint32_t p) {
  const Place& place = program_.places[p];
  const std::size_t n = element_count(place.shape, cpp_op);
  const CodeType type = type_of(place);
  CodeRead read{0, row_major(place.shape)};
  if (place.kind == Place::Kind::argument) {
    read.array = add_array({CodeArray::Kind::argument, type, n});
  } else {
    const Value* const value = place.tensor.value.get();
    if (!value || is_abstract(*value))
      throw Error(cpp_op,
                  "the value of a constant of shape " + to_string(place.shape) + " is not known: name it");
    if (const auto number = uniform(place))
      read = number_read(*number, type, n);
    else
      read.array = add_array({CodeArray::Kind::constant, type, n, 0, place.tensor});
  }
  at_[p] = std::move(read);
}

std::size_t Code::add_array(CodeArray array) {
  arrays.push_back(std::move(array));
  return arrays.size() - 1;
}

CodeRead Code::number_read(double number, CodeType type, std::size_t size) {
  Placing all;
  all.add(size, 0);
  return {add_array({CodeArray::Kind::number, type, 1, number}), std::move(all)};
}

CodeTask Code::task(CodeTask::Kind kind, std::size_t size) const {
  CodeTask one;
  one.kind = kind;
  one.size = size;
  return one;
}

void Code::add(CodeTask task, CodeType type, std::size_t size) {
  task.array = add_array({CodeArray::Kind::computed, type, size});
  set({task.array, Placing::contiguous(size)});
  tasks.push_back(std::move(task));
}

bool Code::is_number(const CodeRead& x, double number) const {
  const CodeArray& array = arrays[x.array];
  return array.kind == CodeArray::Kind::number && array.number == number;
}

CodeRead Code::copy(const CodeRead& x) {
  for (const auto& [from, to] : copies_)
    if (from == x) return to;
  CodeTask all = task(CodeTask::Kind::elements, x.placing.size());
  all.text = "$0";
  all.reads = {x};
  all.array = add_array({CodeArray::Kind::computed, arrays[x.array].type, all.size});
  const CodeRead to{all.array, Placing::contiguous(all.size)};
  tasks.push_back(std::move(all));
  copies_.emplace_back(x, to);
  return to;
}

CodeRead Code::read_again(const CodeRead& x, const Placing& again) {
  if (const auto placing = x.placing.read(again)) return {x.array, *placing};
  const CodeRead own = copy(x);
  return {own.array, again};
}

CodeRead Code::broadcast(std::size_t i, const Shape& to) {
  const Shape& from = shape(i);
  if (element_count(from, cpp_op) == element_count(to, cpp_op)) return input(i);
  return read_again(input(i), Placing::of(0, to, broadcast_strides(from, to)));
}

/// What arithmetic gives of numbers alone.
std::optional<double> Code::folded(const std::vector<CodeRead>& x, OpNumber number) const {
  for (const CodeRead& one : x)
    if (arrays[one.array].kind != CodeArray::Kind::number) return {};
  const auto with = [&]<class T>(T) -> std::optional<double> {
    const auto at = [&](std::size_t i) { return static_cast<T>(arrays[x[i].array].number); };
    switch (number) {
      case OpNumber::Add:
        return at(0) + at(1);
      case OpNumber::Subtract:
        return at(0) - at(1);
      case OpNumber::Multiply:
        return at(0) * at(1);
      case OpNumber::Divide:
        return at(0) / at(1);
      case OpNumber::Negative:
        return -at(0);
      default:
        return {};
    }
  };
  return arrays[x[0].array].type == CodeType::real32 ? with(0.0f) : with(0.0);
}

void Code::elements(OpNumber number, double p, double q) {
  const CodeType type = type_of(program_.places[step_->output]);
  CodeTask all = task(CodeTask::Kind::elements, element_count(shape(), cpp_op));
  Nest nest(all.size);
  for (std::size_t i = 0; i < step_->inputs.size(); ++i) {
    CodeRead x = broadcast(i, shape());
    if (!nest.add(x.placing)) x = copy(x);
    if (!nest.add(x.placing)) {  // what came before lies in a way that no loop agrees with: rare
      for (CodeRead& other : all.reads) other = other.placing.is_contiguous() ? other : copy(other);
      nest = Nest(all.size);
    }
    all.reads.push_back(std::move(x));
  }
  if (const auto number_of_all = folded(all.reads, number))
    return set(number_read(*number_of_all, type, all.size));
  // What changes nothing is not written.
  const auto is = [&](std::size_t i, double x) { return is_number(all.reads[i], x); };
  const bool is_sum = number == OpNumber::Add, is_product = number == OpNumber::Multiply;
  if ((number == OpNumber::Divide && is(1, 1)) || (number == OpNumber::Subtract && is(1, 0)) ||
      (is_product && is(1, 1)) || (is_sum && is(1, 0)))
    return set(all.reads[0]);
  if ((is_product && is(0, 1)) || (is_sum && is(0, 0))) return set(all.reads[1]);
  if (is_product && is(0, -1)) {
    number = OpNumber::Negative;
    all.reads.erase(all.reads.begin());
  }
  all.text = code_expression(number, code_number(p, type), code_number(q, type));
  add(std::move(all), type, element_count(shape(), cpp_op));
}

void Code::cast() {
  CodeTask all = task(CodeTask::Kind::elements, element_count(shape(), cpp_op));
  const CodeType type = type_of(program_.places[step_->output]);
  all.text = std::string("static_cast<") + code_name(type) + ">($0)";
  all.reads = {input(0)};
  add(std::move(all), type, element_count(shape(), cpp_op));
}

void Code::same() { set(input(0)); }

void Code::read(std::ptrdiff_t offset, std::span<const std::size_t> sizes,
                std::span<const std::ptrdiff_t> strides) {
  set(read_again(input(0), Placing::of(offset, sizes, strides)));
}

void Code::write(std::size_t i, std::ptrdiff_t offset, const Dims& strides) {
  const Placing to = Placing::of(offset, shape(i), strides);
  if (i == 0) {
    add(task(CodeTask::Kind::writes, 0), type_of(program_.places[step_->output]),
        element_count(shape(), cpp_op));
    tasks.back().fills = true;
  }
  if (element_count(shape(i), cpp_op) == 0) return;
  // An input that needs a copy comes before the result.
  CodeTask all = std::move(tasks.back());
  tasks.pop_back();
  CodeRead x = input(i);
  Nest nest(x.placing.size());
  if (nest.add(x.placing) && !nest.add(to)) x = copy(x);
  all.reads.push_back(std::move(x));
  all.targets.push_back(to);
  std::size_t written = 0;
  for (const Placing& one : all.targets) written += one.size();
  all.fills = written != arrays[all.array].size;
  tasks.push_back(std::move(all));
}

void Code::reduce(CodeTask::Kind kind, unsigned mask) {
  CodeRead x = input(0);
  const Shape kept = reduced_shape(shape(0), mask, true);
  const std::size_t n = element_count(kept, cpp_op);
  if (n == x.placing.size()) return set(std::move(x));
  if (x.placing.size() == 0) return set(number_read(0, arrays[x.array].type, n));  // only sums are of nothing
  CodeTask all = task(kind, x.placing.size());
  Dims strides = row_major_strides(kept);
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (mask >> i & 1u) strides[i] = 0;
  all.to = Placing::of(0, shape(0), strides);
  Nest nest(all.size);
  if (nest.add(x.placing) && !nest.add(all.to)) x = copy(x);
  all.reads = {std::move(x)};
  add(std::move(all), type_of(program_.places[step_->output]), n);
}

void Code::product(bool transpose_a, bool transpose_b) {
  const Shape& y = shape();
  const std::size_t rank = y.size();
  CodeTask all = task(CodeTask::Kind::product, element_count(y, cpp_op));
  all.rows = y[rank - 2];
  all.columns = y[rank - 1];
  const auto operand = [&](std::size_t i, bool transposed) {
    const Shape& own = shape(i);
    std::optional<std::vector<std::ptrdiff_t>> strides = strides_along(input(i).placing, own);
    CodeRead x = input(i);
    if (!strides) {
      x = copy(x);
      strides = strides_along(x.placing, own);
    }
    const std::size_t last = own.size() - 1, row = transposed ? last : last - 1,
                      column = transposed ? last - 1 : last;
    all.inner = own[i == 0 ? column : row];
    all.inner_stride[i] = (*strides)[i == 0 ? column : row];
    all.outer_stride[i] = (*strides)[i == 0 ? row : column];
    Placing placing{x.placing.offset};
    for (std::size_t axis = 0; axis + 2 < rank; ++axis) {
      const bool is_own = axis + own.size() >= rank && own[axis + own.size() - rank] != 1;
      placing.add(y[axis], is_own ? (*strides)[axis + own.size() - rank] : 0);
    }
    all.batches[i] = placing;
    placing.add(all.rows, i == 0 ? (*strides)[row] : 0);
    placing.add(all.columns, i == 0 ? 0 : (*strides)[column]);
    all.reads.push_back({x.array, std::move(placing)});
  };
  operand(0, transpose_a);
  operand(1, transpose_b);
  if (all.inner == 0) return set(number_read(0, type_of(program_.places[step_->output]), all.size));
  Nest nest(all.size);
  nest.add(all.reads[0].placing);
  if (!nest.add(all.reads[1].placing)) throw Error(cpp_op, "a product cannot be written as C++");
  add(std::move(all), type_of(program_.places[step_->output]), element_count(y, cpp_op));
}

void Code::text(std::string_view lines,
                std::initializer_list<std::pair<std::string_view, std::size_t>> numbers, bool filled) {
  CodeTask all = task(CodeTask::Kind::text, 0);
  all.fills = filled;
  for (std::size_t i = 0; i < step_->inputs.size(); ++i) {
    const CodeRead x = input(i);
    if (x.placing.size() == 0)  // nothing is put into what is zero
      return set(number_read(0, type_of(program_.places[step_->output]), element_count(shape(), cpp_op)));
    Placing from_start = x.placing;
    from_start.offset = 0;
    all.reads.push_back(
        from_start.is_contiguous() && arrays[x.array].kind != CodeArray::Kind::number ? x : copy(x));
  }
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (std::size_t at = 0; at < lines.size();) {
    std::size_t end = at;
    while (end < lines.size() && is_word(lines[end])) ++end;
    if (end == at) ++end;
    const std::string_view word = lines.substr(at, end - at);
    const auto number = std::ranges::find(numbers, word, &std::pair<std::string_view, std::size_t>::first);
    const bool is_array = at > 0 && lines[at - 1] == '$';
    all.text += number == numbers.end() || is_array ? std::string(word) : std::to_string(number->second);
    at = end;
  }
  add(std::move(all), type_of(program_.places[step_->output]), element_count(shape(), cpp_op));
}

std::string Code::number(double x) const { return code_number(x, type_of(program_.places[step_->output])); }

}  // namespace xtape::detail
