// From the last task to the first: each is done as late as it can be, so that what follows from a kept value
// by little, such as a (1 − a) in the derivative of a sigmoid, is computed where it is used, and not kept.
#include "code_units.hpp"

#include <algorithm>
#include <set>

namespace xtape::detail {
namespace {

using Kind = CodeTask::Kind;

class Scheduler {
 public:
  Scheduler(const Code& code, bool cblas) : code_(code), cblas_(cblas) {
    const std::size_t n = code.tasks.size();
    consumers_.resize(code.arrays.size());
    makers_.assign(code.arrays.size(), none);
    state_.assign(n, State::open);
    for (std::size_t t = 0; t < n; ++t) {
      makers_[code.tasks[t].array] = t;
      const bool is_product = code.tasks[t].kind == Kind::product;  // which reads others, too
      for (const CodeRead& read : code.tasks[t].reads)
        consumers_[read.array].push_back({t, !is_product && read.placing.is_contiguous()});
    }
  }

  std::vector<CodeUnit> run() {
    for (std::size_t t = code_.tasks.size(); t-- > 0;) {
      if (state_[t] != State::open) continue;
      if (waits_for_maker(t))
        state_[t] = State::waiting;
      else
        open(t);
    }
    std::ranges::reverse(units_);
    return std::move(units_);
  }

 private:
  static constexpr std::size_t none = ~std::size_t{0}, few = 4, any = none;
  enum class State : unsigned char { open, waiting, in_unit, done };
  struct Consumer {
    std::size_t task;
    bool is_same_element;  ///< each element for itself
  };

  bool is_reduction(const CodeTask& task) const {
    return task.kind == Kind::sum || task.kind == Kind::largest || task.kind == Kind::smallest;
  }
  bool has_elements(const CodeTask& task) const {
    if (task.kind == Kind::elements) return true;
    // Longer sums are worth loops of another order.
    const std::size_t work = task.inner * task.size;
    return task.kind == Kind::product &&
           (cblas_ ? work <= 512 : task.inner <= 4 || (task.inner <= 16 && work <= 4096));
  }
  bool joins(const CodeTask& task) const { return has_elements(task) || is_reduction(task); }

  /// A reduction is done along with what it reads, where that can be.
  bool waits_for_maker(std::size_t t) const {
    const CodeTask& task = code_.tasks[t];
    if (!is_reduction(task) || !task.reads[0].placing.is_contiguous()) return false;
    const std::size_t maker = makers_[task.reads[0].array];
    return maker != none && has_elements(code_.tasks[maker]) && code_.tasks[maker].size == task.size;
  }

  /// Takes what the task reads and writes into the nest, if its loops stay few; `deepest` are few.
  bool fits(Nest& nest, const CodeTask& task, std::size_t deepest) const {
    Nest all = nest;
    for (const CodeRead& read : task.reads)
      if (!all.add(read.placing)) return false;
    if (is_reduction(task) && !all.add(task.to)) return false;
    if (all.depth() > deepest && all.depth() > nest.depth()) return false;
    nest = all;
    return true;
  }

  void open(std::size_t t) {
    const CodeTask& task = code_.tasks[t];
    CodeUnit unit;
    if (!joins(task)) {
      for (const Consumer& one : consumers_[task.array])
        if (state_[one.task] == State::waiting) finish_alone(one.task);
      unit.tasks = {t};
      return finish(std::move(unit));
    }
    unit.is_nest = true;
    unit.nest = Nest(task.size);
    if (!accept(unit, t)) {  // a reduction that waits for it does not fit
      for (const Consumer& one : consumers_[task.array])
        if (state_[one.task] == State::waiting) finish_alone(one.task);
      accept(unit, t);
    }
    for (std::size_t p = t; p-- > 0;) {
      const CodeTask& other = code_.tasks[p];
      if (state_[p] != State::open || !joins(other) || other.size != task.size || waits_for_maker(p))
        continue;
      const bool feeds = std::ranges::any_of(
          consumers_[other.array], [&](const Consumer& one) { return state_[one.task] == State::in_unit; });
      if (feeds || is_related(p, 6)) accept(unit, p);
    }
    finish(std::move(unit));
  }

  /// Takes a task into the unit, with the reductions that wait for it, if all that reads it is done or here.
  bool accept(CodeUnit& unit, std::size_t t) {
    const CodeTask& task = code_.tasks[t];
    Nest nest = unit.nest;
    if (!fits(nest, task, unit.tasks.empty() ? any : few)) return false;
    std::vector<std::size_t> taken{t};
    for (const Consumer& one : consumers_[task.array]) {
      const State state = state_[one.task];
      if (state == State::done) continue;
      if (state == State::open || !one.is_same_element || !has_elements(task)) return false;
      if (state == State::in_unit) continue;
      if (!fits(nest, code_.tasks[one.task], few)) return false;
      taken.push_back(one.task);
    }
    unit.nest = nest;
    for (const std::size_t one : taken) {
      if (state_[one] == State::in_unit) continue;
      state_[one] = State::in_unit;
      unit.tasks.push_back(one);
      for (const CodeRead& read : code_.tasks[one].reads) read_.insert(read.array);
    }
    return true;
  }

  void finish_alone(std::size_t t) {
    CodeUnit unit;
    unit.is_nest = true;
    unit.nest = Nest(code_.tasks[t].size);
    fits(unit.nest, code_.tasks[t], any);
    unit.tasks = {t};
    finish(std::move(unit));
  }

  void finish(CodeUnit unit) {
    std::ranges::sort(unit.tasks);
    for (const std::size_t t : unit.tasks) state_[t] = State::done;
    units_.push_back(std::move(unit));
    read_.clear();
  }

  /// Whether it reads what the unit does, or follows from that element by element.
  bool is_related(std::size_t t, int steps) const {
    const CodeTask& task = code_.tasks[t];
    if (task.size == 1 || task.kind == Kind::product) return false;
    for (const CodeRead& read : task.reads) {
      if (code_.arrays[read.array].size == task.size && read_.contains(read.array)) return true;
      const std::size_t maker = makers_[read.array];
      if (steps > 0 && maker != none && code_.tasks[maker].kind == Kind::elements &&
          code_.tasks[maker].size == task.size && state_[maker] == State::open &&
          is_related(maker, steps - 1))
        return true;
    }
    return false;
  }

  const Code& code_;
  bool cblas_;
  std::vector<std::vector<Consumer>> consumers_;  ///< of each array
  std::vector<std::size_t> makers_;
  std::vector<State> state_;
  std::set<std::size_t> read_;  ///< arrays that the open unit reads
  std::vector<CodeUnit> units_;
};

}  // namespace

std::vector<CodeUnit> code_units(const Code& code, bool cblas) { return Scheduler(code, cblas).run(); }

}  // namespace xtape::detail
