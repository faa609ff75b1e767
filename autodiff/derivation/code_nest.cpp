#include "code_nest.hpp"

#include <algorithm>

namespace xtape::detail {

namespace {

/// "((s[0] + s[1]) + (s[2] + s[3]))"
std::string sum_of_lanes(const std::string& name, std::size_t first, std::size_t n) {
  if (n == 1) return name + "[" + std::to_string(first) + "]";
  const std::size_t half = (n + 1) / 2;
  const auto part = [&](std::size_t from, std::size_t count) {
    const std::string text = sum_of_lanes(name, from, count);
    return count == 1 ? text : "(" + text + ")";
  };
  return part(first, half) + " + " + part(first + half, n - half);
}

/// Whether what follows `before`, and goes on at `after` in the text, is all of an argument of a call.
bool is_argument(const std::string& before, const std::string& text, std::size_t after) {
  const bool begins = before.empty() || before.ends_with('(') || before.ends_with(", ");
  return begins && (after == text.size() || text[after] == ')' || text[after] == ',');
}

/// f(…), and nothing around it.
bool is_one_call(const std::string& text) {
  const std::size_t begin = text.find_first_of("( ");
  if (begin == 0 || begin == std::string::npos || text[begin] == ' ') return false;
  int open = 0;
  for (std::size_t at = begin; at < text.size(); ++at) {
    open += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
    if (open == 0) return at + 1 == text.size();
  }
  return false;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

NestWriter::NestWriter(CodeWriter& writer, const CodeUnit& unit)
    : writer_(writer), unit_(unit), nest_(unit.nest) {
  find_reductions();
  split_sums();
  for (std::size_t d = 0; d < nest_.depth(); ++d) loops_.push_back(code_loop(d));
  for (const std::size_t t : unit.tasks) {
    const CodeTask& task = writer_.code_.tasks[t];
    for (std::size_t i = 0; i < task.reads.size(); ++i)
      uses_[task.reads[i].array] += task.kind == Kind::elements  ? count(task.text, "$" + std::to_string(i))
                                    : task.kind == Kind::product ? 2
                                                                 : 1;
  }
}

void NestWriter::find_reductions() {
  reductions_.clear();
  for (const std::size_t t : unit_.tasks) {
    const CodeTask& task = writer_.code_.tasks[t];
    if (task.kind != Kind::sum && task.kind != Kind::largest && task.kind != Kind::smallest) continue;
    Reduction one{&task, nest_.strides(task.to), nest_.depth(), false, false, {}};
    while (one.first > 0 && one.strides[one.first - 1] == 0) --one.first;
    for (std::size_t d = 0; d < one.first; ++d) one.is_part |= one.strides[d] == 0;
    one.has_lanes = lanes_ != 0 && task.kind == Kind::sum && one.first < nest_.depth();
    reductions_.push_back(std::move(one));
  }
}

/// A long sum is several side by side: faster, and more exact.
void NestWriter::split_sums() {
  constexpr std::size_t longest = 32;
  const std::size_t depth = nest_.depth();
  if (depth == 0 || nest_.size(depth - 1) <= longest) return;
  if (std::ranges::none_of(reductions_, [&](const Reduction& one) {
        return one.task->kind == Kind::sum && one.first < depth;
      }))
    return;
  for (const std::size_t lanes :
       std::initializer_list<std::size_t>{8, 4, 16, 10, 6, 12, 9, 7, 5, 14, 15, 11, 13, 3, 2})
    if (nest_.size(depth - 1) % lanes == 0) {
      lanes_ = lanes;
      nest_.split(lanes);
      return find_reductions();
    }
}

std::string NestWriter::operand(const CodeRead& read, bool is_whole) {
  const auto at = texts_.find(read.array);
  if (at == texts_.end()) return writer_.element(read, nest_);
  return is_whole && in_brackets_.contains(read.array) ? at->second.substr(1, at->second.size() - 2)
                                                       : at->second;
}

std::string NestWriter::with_operands(const CodeTask& task) {
  std::string text;
  for (std::size_t at = 0; at < task.text.size(); ++at) {
    if (task.text[at] != '$')
      text += task.text[at];
    else if (const char what = task.text[++at]; what == 'T')
      text += writer_.type(task.array);
    else
      text += operand(task.reads[static_cast<std::size_t>(what - '0')], is_argument(text, task.text, at + 1));
  }
  return text;
}

/// The element of a result: in its array, in a variable, or within the expression that alone uses it.
void NestWriter::write_result(Statements& to, const CodeTask& task, const std::string& expression,
                              bool is_simple) {
  const CodeWriter::Lifetime& lifetime = writer_.lifetimes_.at(task.array);
  const bool is_variable = writer_.is_variable(task.array);
  if (lifetime.is_kept && !is_variable) {
    const std::string y = writer_.element({task.array, Placing::contiguous(task.size)}, nest_);
    to.push_back({y + " = " + expression + ";"});
    texts_[task.array] = y;
    return;
  }
  constexpr std::size_t longest = 60;
  if (!lifetime.is_kept && uses_[task.array] == 1 && expression.size() < longest) {
    const bool is_call = is_simple || is_one_call(expression);
    texts_[task.array] = is_call ? expression : "(" + expression + ")";
    if (!is_call) in_brackets_.insert(task.array);
    return;
  }
  to.push_back(
      {"const " + writer_.type(task.array) + " " + writer_.name(task.array) + " = " + expression + ";"});
  texts_[task.array] = writer_.name(task.array);
}

void NestWriter::write_dot(Statements& to, const CodeTask& task) {
  const auto factor = [&](std::size_t i, const std::string& k) {
    std::vector<std::string> loops = loops_;
    std::vector<std::ptrdiff_t> strides = nest_.strides(task.reads[i].placing);
    loops.push_back(k);
    strides.push_back(task.inner_stride[i]);
    return writer_.element(task.reads[i], loops, strides);
  };
  constexpr std::size_t written_out = 4;
  if (task.inner <= written_out) {
    std::string sum;
    for (std::size_t k = 0; k < task.inner; ++k) {
      const auto at = [&](std::size_t i) {
        CodeRead moved = task.reads[i];
        moved.placing.offset += static_cast<std::ptrdiff_t>(k) * task.inner_stride[i];
        return writer_.element(moved, loops_, nest_.strides(moved.placing));
      };
      sum += (k == 0 ? "" : " + ") + at(0) + " * " + at(1);
    }
    return write_result(to, task, sum, false);
  }
  const std::string k = code_loop(nest_.depth());
  const bool is_named = writer_.is_variable(task.array) || !writer_.lifetimes_.at(task.array).is_kept;
  const std::string sum = is_named ? writer_.name(task.array) : writer_.names_.numbered("s");
  to.push_back({writer_.type(task.array) + " " + sum + " = 0;"});
  to.push_back({code_for(k, task.inner), {{sum + " += " + factor(0, k) + " * " + factor(1, k) + ";"}}});
  if (is_named)
    texts_[task.array] = sum;
  else
    write_result(to, task, sum, true);
}

std::string NestWriter::taken(const Reduction& reduction, const std::string& so_far,
                              const std::string& one) const {
  if (reduction.task->kind == Kind::sum) return so_far + " += " + one + ";";
  const std::string best = reduction.task->kind == Kind::largest ? "maximum" : "minimum";
  return so_far + " = " + best + "(" + so_far + ", " + one + ");";
}

std::string NestWriter::start(const Reduction& reduction) const {
  if (reduction.task->kind == Kind::sum) return "0";
  const std::string infinity = "std::numeric_limits<" + writer_.type(reduction.task->array) + ">::infinity()";
  return reduction.task->kind == Kind::largest ? "-" + infinity : infinity;
}

std::string NestWriter::total(const Reduction& reduction) const {
  return reduction.has_lanes ? sum_of_lanes(reduction.sum, 0, lanes_) : reduction.sum;
}

void NestWriter::write_sum(Statements& to, Reduction& reduction) {
  const CodeTask& task = *reduction.task;
  const std::string one = operand(task.reads[0], true);
  if (reduction.first == nest_.depth()) {
    to.push_back({taken(reduction, writer_.element({task.array, task.to}, nest_), one)});
    return;
  }
  to.push_back(
      {taken(reduction, reduction.sum + (reduction.has_lanes ? "[" + loops_.back() + "]" : ""), one)});
}

void NestWriter::write_element(Statements& to, const CodeTask& task) {
  if (task.kind == Kind::product) return write_dot(to, task);
  if (task.kind == Kind::elements) {
    const std::string text = with_operands(task);
    return write_result(to, task, text, task.text == "$0");
  }
  write_sum(to, *std::ranges::find(reductions_, &task, &Reduction::task));
}

void NestWriter::write(Statements& to) {
  for (Reduction& one : reductions_) {
    const std::size_t array = one.task->array;
    const bool is_variable = writer_.is_variable(array) && !one.has_lanes;
    one.sum = is_variable ? writer_.name(array) : writer_.names_.numbered("s");
    if (one.is_part || one.first == nest_.depth())
      writer_.fill(to, writer_.name(array), writer_.code_.arrays[array].size, start(one));
  }
  Statements inner;
  for (const std::size_t t : unit_.tasks) write_element(inner, writer_.code_.tasks[t]);
  for (std::size_t d = nest_.depth();; --d) {
    // Around what is under loop d: the reductions that begin there.
    Statements around;
    for (const Reduction& one : reductions_)
      if (one.first == d && d != nest_.depth())
        around.push_back(
            {writer_.type(one.task->array) + " " + one.sum +
             (one.has_lanes ? "[" + std::to_string(lanes_) + "] = {};" : " = " + start(one) + ";")});
    if (d != nest_.depth())
      around.push_back({code_for(loops_[d], nest_.size(d)), std::move(inner)});
    else
      around = std::move(inner);
    for (const Reduction& one : reductions_) {
      if (one.first != d || d == nest_.depth()) continue;
      if (writer_.is_variable(one.task->array)) {
        if (one.has_lanes)
          around.push_back({"const " + writer_.type(one.task->array) + " " + writer_.name(one.task->array) +
                            " = " + total(one) + ";"});
        continue;
      }
      const std::string y = writer_.element({one.task->array, one.task->to}, nest_);
      around.push_back({one.is_part ? taken(one, y, total(one)) : y + " = " + total(one) + ";"});
    }
    inner = std::move(around);
    if (d == 0) break;
  }
  to.insert(to.end(), inner.begin(), inner.end());
}

}  // namespace xtape::detail
