#include "code_writer.hpp"

#include <algorithm>

#include "code_nest.hpp"

namespace xtape::detail {

namespace {

constexpr std::size_t most_on_stack = 4096, line_size = 64;  // bytes

std::size_t item_size(CodeType type) { return type == CodeType::real32 ? sizeof(float) : sizeof(double); }

std::string indented(std::size_t spaces) { return std::string(spaces, ' '); }

}  // namespace

std::string to_text(const std::vector<Statement>& all, std::size_t indent) {
  std::string out;
  for (const Statement& one : all) {
    const bool braces = one.body.size() > 1;
    for (std::size_t at = 0; at <= one.text.size();) {
      const std::size_t end = std::min(one.text.find('\n', at), one.text.size());
      out += (end == at ? "" : indented(indent) + one.text.substr(at, end - at)) + (braces ? " {\n" : "\n");
      at = end + 1;
    }
    out += to_text(one.body, indent + 2);
    if (braces) out += indented(indent) + "}\n";
  }
  return out;
}

std::string code_loop(std::size_t depth) {
  return depth < 4 ? std::string(1, "ijkl"[depth]) : "i" + std::to_string(depth);
}

std::string code_for(const std::string& variable, std::size_t n) {
  return "for (std::size_t " + variable + " = 0; " + variable + " < " + std::to_string(n) + "; ++" +
         variable + ")";
}

std::string code_index(std::ptrdiff_t offset, const std::vector<std::string>& loops,
                       const std::vector<std::ptrdiff_t>& strides) {
  // What is subtracted comes last, so that no sum is negative on the way.
  std::string out;
  for (const bool negative : {false, true}) {
    for (std::size_t d = 0; d < loops.size(); ++d) {
      if (strides[d] == 0 || (strides[d] < 0) != negative) continue;
      const std::ptrdiff_t size = std::abs(strides[d]);
      out += (out.empty() ? ""
              : negative  ? " - "
                          : " + ") +
             loops[d] + (size == 1 ? "" : " * " + std::to_string(size));
    }
    if (!negative && offset != 0) out += (out.empty() ? "" : " + ") + std::to_string(offset);
  }
  return out.empty() ? "0" : out;
}

CodeWriter::CodeWriter(Code& code, CodeNames& names, std::vector<CodeUnit> units, bool cblas)
    : code_(code), names_(names), units_(std::move(units)), cblas_(cblas) {}

const std::string& CodeWriter::name(std::size_t array) {
  CodeArray& one = code_.arrays[array];
  if (one.name.empty()) one.name = names_.numbered(one.kind == CodeArray::Kind::constant ? "c" : "t");
  return one.name;
}

void CodeWriter::find_lifetimes(const CodeRead& loss, const std::vector<CodeGradient>& gradients) {
  const auto keep_to_end = [&](const CodeRead& read) {
    if (const auto at = lifetimes_.find(read.array); at != lifetimes_.end())
      at->second.is_kept = true, at->second.last = units_.size();
  };
  for (std::size_t u = 0; u < units_.size(); ++u)
    for (const std::size_t t : units_[u].tasks) {
      const CodeTask& task = code_.tasks[t];
      lifetimes_[task.array] = {u, u};
      const bool is_one = code_.arrays[task.array].size == 1;
      if (units_[u].is_nest && is_one) variables_.insert(task.array);
      if (task.kind != Kind::elements && task.kind != Kind::product) lifetimes_[task.array].is_kept = true;
      if (!units_[u].is_nest) lifetimes_[task.array].is_kept = true;
      for (const CodeRead& read : task.reads)
        if (const auto at = lifetimes_.find(read.array); at != lifetimes_.end()) {
          at->second.last = u;
          at->second.is_kept = at->second.is_kept || at->second.first != u;
        }
    }
  keep_to_end(loss);
  for (const CodeGradient& gradient : gradients) {
    if (gradient.size == 0) continue;
    if (!gradient.read) continue;
    keep_to_end(*gradient.read);
    CodeArray& array = code_.arrays[gradient.read->array];
    if (array.kind != CodeArray::Kind::computed || !gradient.read->placing.is_contiguous() ||
        array.size != gradient.size || is_variable(gradient.read->array))
      continue;
    Lifetime& lifetime = lifetimes_[gradient.read->array];
    if (lifetime.is_given) continue;  // another gradient of the same numbers: a copy
    lifetime.is_given = true;
    array.name = gradient.name;
  }
}

/// Few bytes are arrays of their own on the stack. Many share one static array, each from its first use to
/// its last.
void CodeWriter::place() {
  std::vector<std::pair<Lifetime, std::size_t>> all;
  std::size_t sum = 0;
  for (const auto& [array, lifetime] : lifetimes_) {
    if (!lifetime.is_kept || lifetime.is_given || is_variable(array)) continue;
    all.emplace_back(lifetime, array);
    sum += code_.arrays[array].size * item_size(code_.arrays[array].type);
  }
  memory_.bytes = sum;
  if (sum <= most_on_stack) return;
  const auto type_of = [&](const auto& one) { return code_.arrays[one.second].type; };
  const bool is_one_type =
      std::ranges::all_of(all, [&](const auto& one) { return type_of(one) == type_of(all[0]); });
  memory_ = {0, is_one_type ? code_name(type_of(all[0])) : "unsigned char",
             is_one_type ? item_size(type_of(all[0])) : std::size_t{1}};
  std::ranges::stable_sort(all, {}, [](const auto& one) { return one.first.first; });
  struct Block {
    std::size_t begin, end, last;
  };
  std::vector<Block> taken;  // by their beginnings
  for (const auto& [lifetime, array] : all) {
    std::erase_if(taken, [&, first = lifetime.first](const Block& block) { return block.last < first; });
    const std::size_t bytes =
        (code_.arrays[array].size * item_size(code_.arrays[array].type) + line_size - 1) / line_size *
        line_size;
    std::size_t begin = 0;
    auto at = taken.begin();
    for (; at != taken.end() && at->begin < begin + bytes; ++at) begin = at->end;
    taken.insert(at, {begin, begin + bytes, lifetime.last});
    memory_.bytes = std::max(memory_.bytes, begin + bytes);
    places_[array] = "memory + " + std::to_string(begin / memory_.item_size);
    if (!is_one_type) places_[array] = "reinterpret_cast<" + type(array) + "*>(" + places_[array] + ")";
  }
}

void CodeWriter::declare(Statements& to, std::size_t unit) {
  for (const std::size_t t : units_[unit].tasks) {
    const std::size_t array = code_.tasks[t].array;
    const Lifetime& lifetime = lifetimes_.at(array);
    if (!lifetime.is_kept || lifetime.is_given || is_variable(array)) continue;
    const std::string size = std::to_string(code_.arrays[array].size);
    if (const auto at = places_.find(array); at == places_.end())
      to.push_back({type(array) + " " + name(array) + "[" + size + "];"});
    else
      to.push_back({type(array) + "* const " + name(array) + " = " + at->second + ";"});
  }
}

std::string CodeWriter::element(const CodeRead& read, const std::vector<std::string>& loops,
                                const std::vector<std::ptrdiff_t>& strides) const {
  const CodeArray& array = code_.arrays[read.array];
  if (array.kind == CodeArray::Kind::number) return code_number(array.number, array.type);
  if (is_variable(read.array)) return array.name;
  return array.name + "[" + code_index(read.placing.offset, loops, strides) + "]";
}

std::string CodeWriter::element(const CodeRead& read, const Nest& nest) const {
  std::vector<std::string> loops;
  for (std::size_t d = 0; d < nest.depth(); ++d) loops.push_back(code_loop(d));
  return element(read, loops, nest.strides(read.placing));
}

void CodeWriter::fill(Statements& to, const std::string& array, std::size_t size, const std::string& number) {
  to.push_back({code_for("i", size), {{array + "[i] = " + number + ";"}}});
}

void CodeWriter::write_nest(Statements& to, const CodeUnit& unit) { NestWriter(*this, unit).write(to); }

void CodeWriter::write_copy(Statements& to, const std::string& array, const CodeRead& read,
                            std::size_t size) {
  Nest nest(size);
  nest.add(read.placing);
  std::vector<std::string> loops;
  for (std::size_t d = 0; d < nest.depth(); ++d) loops.push_back(code_loop(d));
  Statement copy{array + "[" + code_index(0, loops, nest.strides(Placing::contiguous(size))) +
                 "] = " + element(read, nest) + ";"};
  for (std::size_t d = nest.depth(); d-- > 0;) copy = {code_for(code_loop(d), nest.size(d)), {copy}};
  to.push_back(std::move(copy));
}

void CodeWriter::write_writes(Statements& to, const CodeTask& task) {
  const std::string y = name(task.array);
  if (task.fills) fill(to, y, code_.arrays[task.array].size, "0");
  for (std::size_t p = 0; p < task.reads.size(); ++p) {
    const CodeRead& read = task.reads[p];
    Nest nest(read.placing.size());
    nest.add(read.placing);
    nest.add(task.targets[p]);
    Statement copy{element({task.array, task.targets[p]}, nest) + " = " + element(read, nest) + ";"};
    for (std::size_t d = nest.depth(); d-- > 0;) copy = {code_for(code_loop(d), nest.size(d)), {copy}};
    to.push_back(std::move(copy));
  }
}

void CodeWriter::write_text(Statements& to, const CodeTask& task) {
  if (task.fills) fill(to, name(task.array), code_.arrays[task.array].size, "0");
  std::string text;
  for (std::size_t at = 0; at < task.text.size(); ++at) {
    if (task.text[at] != '$') {
      text += task.text[at];
      continue;
    }
    const char what = task.text[++at];
    if (what == 'T') {
      text += type(task.array);
      continue;
    }
    const CodeRead self{task.array, {}};
    const CodeRead& read = what == 'y' ? self : task.reads[static_cast<std::size_t>(what - '0')];
    // Of a variable, the one element; the index is left out.
    if (is_variable(read.array)) {
      text += "(&" + name(read.array) + ")";
      continue;
    }
    text += read.placing.offset == 0
                ? name(read.array)
                : "(" + name(read.array) + " + " + std::to_string(read.placing.offset) + ")";
  }
  to.push_back({text});
}

std::vector<Statement> CodeWriter::body(const std::vector<std::string>& formulas, const CodeRead& loss,
                                        const std::vector<CodeGradient>& gradients) {
  find_lifetimes(loss, gradients);
  place();
  for (std::size_t a = 0; a < code_.arrays.size(); ++a)
    if (code_.arrays[a].kind == CodeArray::Kind::constant) name(a);
  Statements all;
  for (std::size_t u = 0; u < units_.size(); ++u) {
    std::set<std::size_t> lines;
    for (const std::size_t t : units_[u].tasks) {
      lines.insert(code_.tasks[t].lines.begin(), code_.tasks[t].lines.end());
      name(code_.tasks[t].array);
    }
    if (!lines.empty() && u != 0) all.push_back({""});
    for (const std::size_t line : lines) all.push_back({"// " + formulas[line]});
    declare(all, u);
    const CodeTask& task = code_.tasks[units_[u].tasks.front()];
    if (units_[u].is_nest)
      write_nest(all, units_[u]);
    else if (task.kind == Kind::product)
      write_product(all, task);
    else if (task.kind == Kind::writes)
      write_writes(all, task);
    else
      write_text(all, task);
  }
  if (!units_.empty()) all.push_back({""});
  for (const CodeGradient& gradient : gradients) {
    if (!gradient.read)
      fill(all, gradient.name, gradient.size, "0");
    else if (code_.arrays[gradient.read->array].name != gradient.name)
      write_copy(all, gradient.name, *gradient.read, gradient.size);
  }
  all.push_back({"return " + element(loss, {}, {}) + ";"});
  return all;
}

}  // namespace xtape::detail
