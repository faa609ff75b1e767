#include "plan.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "../base/make_like.hpp"
#include "../kernels/kernels.hpp"

namespace xtape::detail {
namespace {

constexpr std::array<double, 2> no_numbers{};  ///< what a copy carries
constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

/// Offsets in an arena: the smallest hole that fits, else its end.
class Arena {
 public:
  std::size_t take(std::size_t bytes) {
    bytes = aligned(bytes);
    auto best = holes_.end();
    for (auto at = holes_.begin(); at != holes_.end(); ++at)
      if (at->second >= bytes && (best == holes_.end() || at->second < best->second)) best = at;
    if (best == holes_.end()) {
      if (!holes_.empty() && std::prev(holes_.end())->first + std::prev(holes_.end())->second == size_) {
        const std::size_t start = std::prev(holes_.end())->first;  // the hole at the end grows
        holes_.erase(std::prev(holes_.end()));
        size_ = start + bytes;
        return start;
      }
      return std::exchange(size_, size_ + bytes);
    }
    const auto [start, hole] = *best;
    holes_.erase(best);
    if (hole > bytes) holes_.emplace(start + bytes, hole - bytes);
    return start;
  }
  void give_back(std::size_t start, std::size_t bytes) {
    bytes = aligned(bytes);
    if (bytes == 0) return;
    auto next = holes_.lower_bound(start);
    if (next != holes_.end() && start + bytes == next->first) {
      bytes += next->second;
      next = holes_.erase(next);
    }
    if (next != holes_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == start) {
        before->second += bytes;
        return;
      }
    }
    holes_.emplace(start, bytes);
  }
  std::size_t size() const { return size_; }

 private:
  std::map<std::size_t, std::size_t> holes_;  ///< start and bytes
  std::size_t size_ = 0;
};

}  // namespace

ValueRef copy_of(const Value& value) {
  ValueRef copy = make_value(value.shape, value.item_size, "compile");
  if (value.size != 0) std::memcpy(copy->data, value.data, value.bytes());
  return copy;
}

/// When places live: from the step that writes them to the last that reads them.
struct Plan::Lives {
  std::vector<std::size_t> written, last_use;  ///< by place: steps
  std::vector<std::size_t> group_of;           ///< by step: never for none
  std::vector<char> is_summed;                 ///< by place: behind the last row of its group

  std::size_t end_of(const Root& root) const {
    std::size_t end = 0;
    for (const std::uint32_t p : root.members) end = std::max(end, last_use[p]);
    return end;
  }
  bool is_within(std::uint32_t p, const Group& group) const {
    return written[p] >= group.first && last_use[p] <= group.last;
  }
  bool is_within(const Root& root, const Group& group) const {
    return std::ranges::all_of(root.members, [&](std::uint32_t p) { return is_within(p, group); });
  }
};

Plan::Plan(const Program& program, bool is_split) : program_(program) {
  for (const Place& place : program.places) {
    Value& value = values_.emplace_back(place.shape);
    describe_elements(value, place.item_size, "compile");
    if (place.tensor.value && is_abstract(*place.tensor.value.get()))
      require_elements(*place.tensor.value.get());
  }
  const std::size_t split = is_split ? program.forward : 0;
  find_numbers();
  find_groups(split);
  const Lives lives = find_lives(split);
  join_roots(lives);
  give_memory(lives, choose_direct(), split);
  auto group = groups_.begin();
  for (std::size_t k = 0; k < program.steps.size(); ++k) {
    if (k <= program.forward) forward_calls_ = calls_.size();
    const Step& step = program.steps[k];
    if (group != groups_.end() && k == group->first) {
      add_group(*group);
      k = group->last;
      ++group;
      continue;
    }
    if (takes_no_time(step)) continue;
    const auto first = static_cast<std::uint32_t>(inputs_.size());
    for (const Input& input : step.inputs) inputs_.push_back(&values_[input.place]);
    calls_.push_back({step.operation->run, step.op.get(), &values_[step.output],
                      is_copied_to(step) ? &values_[step.base] : nullptr, first,
                      static_cast<std::uint32_t>(step.inputs.size()), step.base != Step::none});
  }
  if (program.forward == program.steps.size()) forward_calls_ = calls_.size();
}

/// Whether a step is a call of a kernel on whole arrays and single numbers.
bool Plan::is_row(const Step& step) const {
  const Operation& operation = *step.operation;
  if (!operation.repeats && !(operation.row_call && operation.row_call(step.op.get()).kernel)) return false;
  const std::size_t size = values_[step.output].size;
  return std::ranges::all_of(step.inputs, [&](const Input& in) {
    const Value& x = values_[in.place];
    return (x.size == size || x.size == 1) && x.item_size == values_[step.output].item_size;
  });
}

/// Whether a step sums all of an array of this size.
bool Plan::is_total(const Step& step, std::size_t size) const {
  if (!step.operation->sums || size == 1) return false;
  const Value &x = values_[step.inputs[0].place], &y = values_[step.output];
  return x.size == size && y.size == 1 && x.item_size == y.item_size;
}

// A repeated number that only rows read is no array: they read the number.
void Plan::find_numbers() {
  is_number_.assign(program_.places.size(), false);
  for (const Step& step : program_.steps)
    if (step.operation->repeats && step.base == Step::none && values_[step.inputs[0].place].size == 1 &&
        values_[step.output].size != 1)
      is_number_[step.output] = true;
  for (const Step& step : program_.steps) {
    if (is_row(step)) continue;
    for (const Input& input : step.inputs) is_number_[input.place] = false;
    if (step.base != Step::none) is_number_[step.base] = false;
  }
  for (const Input& output : program_.outputs) is_number_[output.place] = false;
  for (const Store& store : program_.stores) is_number_[store.value] = false;
}

void Plan::find_groups(std::size_t split) {
  const auto& steps = program_.steps;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    if (!is_row(steps[k]) || takes_no_time(steps[k])) continue;
    const Value& y = values_[steps[k].output];
    std::size_t last = k;
    std::vector<std::uint32_t> late;  // sums, and what shows them: there when all tiles have run
    const auto is_late = [&](std::uint32_t place) { return std::ranges::count(late, place) != 0; };
    for (std::size_t next = k + 1; next < steps.size() && next != split; ++next) {
      const Step& step = steps[next];
      const Value& value = values_[step.output];
      const bool needs_late =
          is_late(step.base) ||
          std::ranges::any_of(step.inputs, is_late, [](const Input& in) { return in.place; });
      const bool is_sum = is_total(step, y.size) && value.item_size == y.item_size;
      if (takes_no_time(step) ? needs_late : is_sum) late.push_back(step.output);
      if (takes_no_time(step)) continue;
      if (!is_sum && (needs_late || !is_row(step) || value.size != y.size || value.item_size != y.item_size))
        break;
      last = next;
    }
    groups_.push_back({k, last});
    k = last;
  }
}

void Plan::add_group(const Group& group) {
  const auto first = static_cast<std::uint32_t>(rows_.size()),
             first_total = static_cast<std::uint32_t>(totals_.size());
  const auto slot = [&](std::uint32_t place) {
    const Root& root = roots_[root_of_[place]];
    const bool in_tile = root.where == Root::Where::tile;
    return Slot{&values_[place], in_tile ? static_cast<std::int32_t>(root.offset) : -1,
                values_[place].size == 1 || is_number_[place]};
  };
  Value& y = values_[program_.steps[group.first].output];
  const auto add_copy = [&](std::uint32_t to, std::uint32_t from, bool accumulate) {
    constexpr std::size_t add = index_of(OpNumber::Add);  // whose gradient is the adjoint
    const auto kernel = y.item_size == sizeof(float)
                            ? reinterpret_cast<void (*)()>(kernels<float>().gradient[add][0])
                            : reinterpret_cast<void (*)()>(kernels<double>().gradient[add][0]);
    const Slot x = slot(from);
    rows_.push_back({kernel, no_numbers.data(), slot(to), {x}, {x.is_number ? 0 : 1}, accumulate});
  };
  for (std::size_t k = group.first; k <= group.last; ++k) {
    const Step& step = program_.steps[k];
    if (takes_no_time(step)) continue;
    const bool adds = step.base != Step::none;
    if (is_total(step, y.size)) {
      totals_.push_back(
          {slot(step.inputs[0].place), adds ? &values_[step.base] : nullptr, &values_[step.output]});
      continue;
    }
    if (is_copied_to(step)) add_copy(step.output, step.base, false);
    if (step.operation->repeats) {
      add_copy(step.output, step.inputs[0].place, adds);
      continue;
    }
    const RowCall call = step.operation->row_call(step.op.get());
    Row row{call.kernel, call.numbers, slot(step.output), {}, {}, adds};
    for (std::size_t i = 0; i < call.operands.size(); ++i) {
      if (call.operands[i] == RowCall::unread) continue;
      row.x[i] = slot(step.inputs[call.operands[i]].place);
      row.stride[i] = row.x[i].is_number ? 0 : 1;
    }
    rows_.push_back(row);
  }
  calls_.push_back({nullptr, nullptr, &y, nullptr, first, static_cast<std::uint32_t>(rows_.size()) - first,
                    false, group.registers, first_total,
                    static_cast<std::uint32_t>(totals_.size()) - first_total});
}

Plan::Lives Plan::find_lives(std::size_t split) const {
  const std::size_t places = program_.places.size();
  Lives lives{std::vector<std::size_t>(places, 0), std::vector<std::size_t>(places, 0),
              std::vector<std::size_t>(program_.steps.size(), never), std::vector<char>(places, false)};
  auto& last_use = lives.last_use;
  for (std::size_t k = 0; k < program_.steps.size(); ++k) {
    const Step& step = program_.steps[k];
    lives.written[step.output] = k;
    last_use[step.output] = k < split && step.operation->is_random ? never : k;  // for a replay
    for (const Input& input : step.inputs) last_use[input.place] = std::max(last_use[input.place], k);
    if (step.base != Step::none) last_use[step.base] = std::max(last_use[step.base], k);
  }
  for (std::size_t p = 0; p < places; ++p)
    if (program_.places[p].kind == Place::Kind::result && lives.written[p] < split && last_use[p] >= split)
      last_use[p] = never;
  for (const Input& output : program_.outputs) last_use[output.place] = never;
  for (const Store& store : program_.stores) last_use[store.value] = never;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    for (std::size_t k = group.first; k <= group.last; ++k) {
      lives.group_of[k] = g;
      const Step& step = program_.steps[k];
      if (takes_no_time(step) || !is_total(step, values_[program_.steps[group.first].output].size)) continue;
      const std::uint32_t x = step.inputs[0].place;
      lives.is_summed[x] = true;
      last_use[x] = std::max(last_use[x], group.last);
    }
  }
  return lives;
}

// Places that share memory are a root: a view with what it shows, a sum with what was added to, the result of
// an elementwise operation with an operand that ends there.
void Plan::join_roots(const Lives& lives) {
  const std::size_t places = program_.places.size();
  root_of_.resize(places);
  roots_.resize(places);
  for (std::uint32_t p = 0; p < places; ++p) {
    root_of_[p] = p;
    roots_[p].members = {p};
    roots_[p].bytes = values_[p].bytes();
  }
  const auto join = [&](std::uint32_t place, std::uint32_t root) {
    root_of_[place] = root;
    roots_[root].members.push_back(place);
    roots_[place].members.clear();
  };
  const auto can_write = [&](std::uint32_t root) {
    return (is_result(root) || program_.places[root].is_consumed) &&
           std::ranges::none_of(roots_[root].members, [&](std::uint32_t p) { return lives.is_summed[p]; });
  };
  for (std::size_t k = 0; k < program_.steps.size(); ++k) {
    const Step& step = program_.steps[k];
    if (takes_no_time(step)) {
      join(step.output, root_of_[step.inputs[0].place]);
      continue;
    }
    const auto reads = [&](std::uint32_t root) {
      return std::ranges::any_of(step.inputs, [&](const Input& in) { return root_of_[in.place] == root; });
    };
    const auto ends_here = [&](std::uint32_t root) {
      return can_write(root) && lives.end_of(roots_[root]) == k;
    };
    if (step.base != Step::none) {
      const std::uint32_t root = root_of_[step.base];
      if (ends_here(root) && !reads(root) && !is_number_[step.base]) join(step.output, root);
    } else if (step.operation->row_call || step.operation->repeats) {
      for (const Input& input : step.inputs) {
        const std::uint32_t root = root_of_[input.place];
        if (!ends_here(root) || roots_[root].bytes != values_[step.output].bytes()) continue;
        // What can be a register stays one, and does not go by way of the memory of the result.
        if (const std::size_t g = lives.group_of[k];
            g != never && values_[step.output].size > least_in_tiles &&
            lives.is_within(roots_[root], groups_[g]) && !lives.is_within(step.output, groups_[g]))
          continue;
        join(step.output, root);
        break;
      }
    }
  }
}

// An output is written where the caller says, unless several are the same place, or it is none of a step.
std::vector<char> Plan::choose_direct() {
  direct_.assign(program_.outputs.size(), false);
  std::vector<char> is_given(program_.places.size(), false);
  for (std::size_t k = 0; k < direct_.size(); ++k) {
    const std::uint32_t root = root_of_[program_.outputs[k].place];
    direct_[k] = is_result(root) && !is_given[root] &&
                 roots_[root].bytes == values_[program_.outputs[k].place].bytes();
    if (direct_[k]) is_given[root] = true;
  }
  return is_given;
}

// What lives within a group of large arrays is a register of its tiles; all else has an offset.
void Plan::give_memory(const Lives& lives, const std::vector<char>& is_given, std::size_t split) {
  std::vector<std::vector<std::uint32_t>> free_registers(groups_.size());
  Arena kept, scratch;
  std::vector<std::uint32_t> ended_in_group;  // its memory is free when all tiles have run
  for (std::size_t k = 0; k < program_.steps.size(); ++k) {
    const Step& step = program_.steps[k];
    const std::uint32_t own = root_of_[step.output];
    Root& root = roots_[own];
    const std::size_t g = lives.group_of[k];
    if (own == step.output && !is_given[own] && g != never && values_[own].size > least_in_tiles &&
        lives.is_within(root, groups_[g])) {
      auto& free = free_registers[g];
      root.where = Root::Where::tile;
      if (free.empty()) free.push_back(groups_[g].registers++);
      root.offset = free.back();
      free.pop_back();
    } else if (own == step.output && !is_given[own]) {
      const bool is_kept = k < split && lives.end_of(root) == never;
      root.where = is_kept ? Root::Where::kept : Root::Where::scratch;
      root.offset = (is_kept ? kept : scratch).take(root.bytes);
    }
    if (takes_no_time(step)) continue;
    // What ends with this step makes room for those after it.
    std::vector<std::uint32_t> ended{own};
    for (const Input& input : step.inputs) ended.push_back(root_of_[input.place]);
    if (step.base != Step::none) ended.push_back(root_of_[step.base]);
    std::ranges::sort(ended);
    ended.erase(std::unique(ended.begin(), ended.end()), ended.end());
    for (const std::uint32_t r : ended)
      if (lives.end_of(roots_[r]) > k)
        continue;
      else if (roots_[r].where == Root::Where::scratch)
        ended_in_group.push_back(r);
      else if (roots_[r].where == Root::Where::tile)
        free_registers[g].push_back(static_cast<std::uint32_t>(roots_[r].offset));
    if (g != never && k != groups_[g].last) continue;
    for (const std::uint32_t r : ended_in_group) scratch.give_back(roots_[r].offset, roots_[r].bytes);
    ended_in_group.clear();
  }
  kept_bytes_ = kept.size();
  scratch_bytes_ = scratch.size();
  scratch_ = make_value({scratch_bytes_}, 1, "compile");
  for (const Root& root : roots_)
    if (root.where == Root::Where::scratch)
      set_data(root, scratch_->data + root.offset);
    else if (!root.members.empty() && program_.places[root.members[0]].tensor.value)
      set_data(root, program_.places[root.members[0]].tensor.value->data);
}

}  // namespace xtape::detail
