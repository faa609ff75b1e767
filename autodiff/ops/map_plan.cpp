#include "map_plan.hpp"

#include <algorithm>

#include "../base/pool.hpp"
#include "../kernels/kernels.hpp"
#include "elementwise_table.hpp"

namespace xtape::detail {
namespace {

template <class T>
const ElementwiseInfo<T>& info_of(const Instruction<T>& i) {
  return *info_of<T>(static_cast<OpNumber>(i.op));
}

/// The kernel y = x.
template <class T>
RowKernel<T> copy_kernel() {
  return kernels<T>().gradient[index_of(OpNumber::Add)][0];
}

}  // namespace

template <class T>
std::int32_t TilePlan<T>::add_slot(const Slot<T>& slot) {
  slots_.push_back(slot);
  return static_cast<std::int32_t>(slots_.size() - 1);
}

template <class T>
std::int32_t TilePlan<T>::take_register() {
  std::int32_t r = registers_;
  if (free_.empty()) {
    ++registers_;
  } else {
    r = free_.back();
    free_.pop_back();
  }
  return r;
}

template <class T>
void TilePlan<T>::free_register(std::int32_t slot) {
  if (at(slots_, slot).register_ >= 0) free_.push_back(at(slots_, slot).register_);
}

template <class T>
void TilePlan<T>::place_inputs(std::span<const Tensor<T>> x) {
  const std::size_t places = formula_.places();
  slots_.reserve(2 * places + 2);
  calls_.reserve(4 * places);
  slots_.resize(places);
  for (std::size_t k = 0; k < x.size(); ++k)
    slots_[k] = {const_cast<T*>(x[k].data()), x[k].size() == 1 ? 0 : 1};
  for (std::size_t k = x.size(); k < places; ++k)
    if (!is_instruction(k)) slots_[k] = {const_cast<T*>(formula_.at(k).numbers.data()), 0};
}

/// Marks what the marked places are computed from.
template <class T>
void TilePlan<T>::require_operands(PoolVector<char>& required) const {
  for (std::size_t k = formula_.places(); k-- > formula_.arguments();)
    if (required[k])
      for (std::size_t a = 0; a < formula_.at(k).operand_count; ++a)
        required[static_cast<std::size_t>(formula_.at(k).operands[a])] = true;
}

template <class T>
void TilePlan<T>::call_value(std::size_t place, std::int32_t to) {
  const Instruction<T>& i = formula_.at(place);
  Call<T> call{kernels<T>().value[i.op], i.numbers.data()};
  std::copy_n(i.operands.begin(), i.operand_count, call.in.begin());
  call.to = to;
  calls_.push_back(call);
}

template <class T>
TilePlan<T>::TilePlan(const Formula<T>& formula, std::span<const Tensor<T>> x, T* y) : formula_(formula) {
  place_inputs(x);
  const std::size_t places = formula.places(), result = formula.result();
  if (!is_instruction(result)) {
    Call<T> copy{copy_kernel<T>()};
    copy.in[0] = static_cast<std::int32_t>(result);
    copy.to = add_slot({y});
    calls_.push_back(copy);
    return;
  }
  PoolVector<char> required(places, false);
  required[result] = true;
  require_operands(required);
  PoolVector<std::size_t> last_use(places, 0);
  for (std::size_t k = formula.arguments(); k <= result; ++k)
    if (required[k])
      for (std::size_t a = 0; a < formula.at(k).operand_count; ++a)
        last_use[static_cast<std::size_t>(formula.at(k).operands[a])] = k;
  for (std::size_t k = formula.arguments(); k <= result; ++k) {
    if (!required[k] || !is_instruction(k)) continue;
    // A register is free for the very instruction that reads it last: kernels may write over an operand.
    for (std::size_t a = 0; a < formula.at(k).operand_count; ++a) {
      const std::int32_t from = formula.at(k).operands[a];
      if (at(last_use, from) != k) continue;
      free_register(from);
      at(last_use, from) = 0;
    }
    slots_[k] = k == result ? Slot<T>{y} : Slot<T>{nullptr, 1, take_register()};
    call_value(k, static_cast<std::int32_t>(k));
  }
}

template <class T>
TilePlan<T>::TilePlan(const Formula<T>& formula, std::span<const Tensor<T>> x, const T* adjoint,
                      std::uint32_t needs)
    : formula_(formula) {
  place_inputs(x);
  const std::size_t places = formula.places(), result = formula.result();
  const auto& gradient = kernels<T>().gradient;
  PoolVector<char> active(places, false), reached(places, false), required(places, false);
  for (std::size_t k = 0; k < places; ++k)
    if (k < x.size())
      active[k] = needs >> k & 1u;
    else
      for (std::size_t a = 0; a < formula.at(k).operand_count; ++a)
        active[k] |= gradient[formula.at(k).op][a] && at(active, formula.at(k).operands[a]);

  reached[result] = active[result];
  for (std::size_t k = places; k-- > x.size();) {
    if (!reached[k]) continue;
    const Instruction<T>& i = formula.at(k);
    for (std::size_t a = 0; a < i.operand_count; ++a) {
      if (!gradient[i.op][a] || !at(active, i.operands[a])) continue;
      at(reached, i.operands[a]) = true;
      const unsigned kept = info_of(i).kept[a];
      for (std::size_t b = 0; b < i.operand_count; ++b)
        if (kept >> b & 1u) at(required, i.operands[b]) = true;
      if (kept & ops::y_) required[k] = true;
    }
  }
  require_operands(required);
  for (std::size_t k = x.size(); k < places; ++k)
    if (required[k] && is_instruction(k)) {
      slots_[k] = {nullptr, 1, take_register()};
      call_value(k, static_cast<std::int32_t>(k));
    }

  adjoint_.assign(places, none);
  owned_.assign(places, false);
  first_call_.assign(x.size(), none);
  if (!active[result]) return;
  adjoint_[result] = add_slot({const_cast<T*>(adjoint)});
  if (result < x.size() && slots_[result].stride != 0) {
    Call<T> copy{copy_kernel<T>()};
    copy.in[0] = adjoint_[result];
    copy.to = adjoint_[result] = add_slot({});
    first_call_[result] = static_cast<std::int32_t>(calls_.size());
    calls_.push_back(copy);
  }
  for (std::size_t k = places; k-- > x.size();)
    if (adjoint_[k] != none) call_gradients(k, active);
}

/// The adjoints of an instruction's operands, from its own.
template <class T>
void TilePlan<T>::call_gradients(std::size_t place, const PoolVector<char>& active) {
  const Instruction<T>& i = formula_.at(place);
  const auto& gradient = kernels<T>().gradient[i.op];
  const std::int32_t own = adjoint_[place];
  const auto takes_part = [&](std::size_t a) {
    return gradient[a] && active[static_cast<std::size_t>(i.operands[a])];
  };
  std::size_t last = i.operand_count;
  while (!takes_part(last - 1)) --last;
  for (std::size_t a = 0; a < last; ++a) {
    if (!takes_part(a)) continue;
    const auto to = static_cast<std::size_t>(i.operands[a]);
    const unsigned kept = info_of(i).kept[a];
    Call<T> call{gradient[a], i.numbers.data()};
    call.in[0] = own;
    for (std::size_t b = 0; b < i.operand_count; ++b)
      if (kept >> b & 1u) call.in[b + 1] = i.operands[b];
    if (kept & ops::y_) call.in[i.operand_count + 1u] = static_cast<std::int32_t>(place);

    const bool first = adjoint_[to] == none, is_target = to < formula_.arguments() && slots_[to].stride != 0;
    if (first && is_target) {
      adjoint_[to] = add_slot({});
      owned_[to] = true;
      first_call_[to] = static_cast<std::int32_t>(calls_.size());
    } else if (first && info_of(i).passes_adjoint[a] && (!owned_[place] || a + 1 == last)) {
      adjoint_[to] = own;
      owned_[to] = std::exchange(owned_[place], false);
      continue;
    } else if (first || !owned_[to]) {
      const std::int32_t borrowed = std::exchange(adjoint_[to], add_slot({nullptr, 1, take_register()}));
      owned_[to] = true;
      if (borrowed != none) {
        Call<T> copy{copy_kernel<T>()};
        copy.in[0] = borrowed;
        copy.to = adjoint_[to];
        calls_.push_back(copy);
        call.accumulate = true;
      }
    } else {
      call.accumulate = true;
    }
    call.to = adjoint_[to];
    calls_.push_back(call);
  }
  if (owned_[place]) free_register(own);
}

template <class T>
void TilePlan<T>::set_target(std::size_t argument, T* data, bool accumulate) {
  at(slots_, adjoint_[argument]).data = data;
  at(calls_, first_call_[argument]).accumulate = accumulate;
}

template <class T>
void TilePlan<T>::run_tiles(std::size_t start, std::size_t end, std::size_t tile, T* storage, T* sums) const {
  for (; start < end; start += tile) {
    const std::size_t n = std::min(tile, end - start);
    const auto address = [&](const Slot<T>& slot) {
      if (slot.register_ >= 0) return storage + static_cast<std::size_t>(slot.register_) * tile;
      return slot.stride == 0 ? slot.data : slot.data + start;
    };
    for (const Call<T>& call : calls_) {
      std::array<const T*, max_operands> in;
      std::array<std::ptrdiff_t, max_operands> stride;
      for (std::size_t k = 0; k < max_operands; ++k) {
        if (call.in[k] == none) continue;
        const Slot<T>& slot = slots_[static_cast<std::size_t>(call.in[k])];
        in[k] = address(slot);
        stride[k] = slot.stride;
      }
      call.kernel(call.numbers, address(slots_[static_cast<std::size_t>(call.to)]), call.accumulate, n,
                  in.data(), stride.data());
    }
    for (std::size_t k = 0; k < adjoint_.size() && k < formula_.arguments(); ++k)
      if (adjoint_[k] != none && slots_[k].stride == 0)
        sums[k] += kernels<T>().sum(address(slots_[static_cast<std::size_t>(adjoint_[k])]), n);
  }
}

template <class T>
void TilePlan<T>::run(std::size_t size, std::span<T> sums) const {
  const std::size_t parts = quotient_up(size, part_size), registers = static_cast<std::size_t>(registers_);
  constexpr std::size_t room = storage_bytes / sizeof(T);
  const std::size_t fitting = registers == 0 ? most_tile : room / registers / least_tile * least_tile;
  const std::size_t tile = std::clamp(fitting, least_tile, most_tile);
  PoolVector<T> part_sums(sums.size() * parts, T(0));
  const auto run_part = [&](std::size_t part, T* storage) {
    const std::size_t start = part * part_size;
    run_tiles(start, std::min(start + part_size, size), tile, storage, part_sums.data() + part * sums.size());
  };
  if (registers * tile <= room) {
    for_blocks(parts, size, [&](std::size_t first, std::size_t last) {
      alignas(alignment) std::array<T, room> storage;
      for (std::size_t part = first; part < last; ++part) run_part(part, storage.data());
    });
  } else {  // a long formula: one block for one thread
    PoolVector<T> storage(registers * tile);
    for (std::size_t part = 0; part < parts; ++part) run_part(part, storage.data());
  }
  for (std::size_t k = 0; k < sums.size(); ++k)
    sums[k] = sum_of_parts<T>(parts, 1, [&](std::size_t part, std::size_t) {
      return parts == 0 ? T(0) : part_sums[part * sums.size() + k];
    });
}

template class TilePlan<float>;
template class TilePlan<double>;

}  // namespace xtape::detail
