// A plan at run time: what is bound, and the calls one after the other.
#include <algorithm>
#include <cstring>

#include "../base/pool.hpp"
#include "../base/pool_vector.hpp"
#include "../kernels/kernels.hpp"
#include "plan.hpp"

namespace xtape::detail {

void Plan::set_data(const Root& root, std::byte* data) {
  for (const std::uint32_t p : root.members) values_[p].data = data;
}

void Plan::bind(std::uint32_t place, std::byte* data) {
  if (values_[place].data != data) set_data(roots_[root_of_[place]], data);
}

void Plan::resize(std::size_t elements) {
  for (std::size_t p = 0; p < values_.size(); ++p) {
    if (program_.places[p].shape.empty()) continue;
    if (values_[p].size == elements) return;  // as all are
    values_[p].size = elements;
    values_[p].shape[0] = elements;
  }
}

void Plan::bind_arguments(std::span<const Handle> x) {
  std::uint32_t place = 0;
  for (const Handle& one : x) bind(place++, one.value->data);
}

void Plan::bind_output(std::size_t output, std::byte* to) {
  if (direct_[output]) bind(program_.outputs[output].place, to);
}

void Plan::finish_output(std::size_t output, std::byte* to) const {
  const Value& from = at(program_.outputs[output].place);
  if (from.data != to && from.size != 0) std::memcpy(to, from.data, from.bytes());
}

std::vector<std::pair<std::uint32_t, ValueRef>> Plan::drawn() const {
  std::vector<std::pair<std::uint32_t, ValueRef>> all;
  for (std::size_t k = 0; k < program_.forward; ++k)
    if (const Step& step = program_.steps[k]; step.operation->is_random)
      all.emplace_back(step.output, copy_of(at(step.output)));
  return all;
}

void Plan::bind_kept(std::byte* block) {
  for (const Root& root : roots_)
    if (root.where == Root::Where::kept) set_data(root, block + root.offset);
}

// A tile that is summed is summed whole, with the bits that add_sum() gives for the array: tiles are the
// smallest parts that it adds up.
template <class T>
void Plan::run_group(const Call& call) const {
  const std::span<const Row> rows(rows_.data() + call.first, call.count);
  if (call.registers == 0 && call.totals == 0 && call.y->size <= tile_size) {  // one tile, as it lies there
    for (const Row& row : rows) {
      std::array<const T*, 5> x;
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = row.x[i].value ? row.x[i].value->elements<T>() : nullptr;
      reinterpret_cast<RowKernel<T>>(row.kernel)(row.numbers, reinterpret_cast<T*>(row.y.value->data),
                                                 row.accumulate, call.y->size, x.data(), row.stride.data());
    }
    return;
  }
  const std::span<const Total> totals(totals_.data() + call.first_total, call.totals);
  const std::size_t size = call.y->size, registers = call.registers;
  // What a single row computes is nowhere twice, and needs no tiles.
  const bool whole = registers == 0 && call.count == 1 && totals.empty();
  std::size_t step = whole ? std::max<std::size_t>(size, 1) : tile_size;
  // Of arrays that no cache holds, what is fetched ahead needs its place in the first-level cache, too.
  constexpr std::size_t near = 6144 / sizeof(T), least = 256, from_memory = 1 << 21;
  if (!whole && totals.empty() && size >= from_memory && registers * least <= near)
    step = std::min(tile_size, near / std::max<std::size_t>(registers, 1) / least_in_tiles * least_in_tiles);
  const std::size_t tiles = quotient_up(size, step);
  PoolVector<T> sums(totals.size() * tiles);
  const auto run_part = [&](std::size_t start, std::size_t end, T* storage) {
    for (; start < end; start += step) {
      const std::size_t n = std::min(step, end - start);
      const auto address = [&](const Slot& slot) -> T* {
        if (slot.register_ >= 0) return storage + static_cast<std::size_t>(slot.register_) * tile_size;
        if (!slot.value) return nullptr;
        return reinterpret_cast<T*>(slot.value->data) + (slot.is_number ? 0 : start);
      };
      for (const Row& row : rows) {
        std::array<const T*, 5> x;
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = address(row.x[i]);
        reinterpret_cast<RowKernel<T>>(row.kernel)(row.numbers, address(row.y), row.accumulate, n, x.data(),
                                                   row.stride.data());
      }
      for (std::size_t k = 0; k < totals.size(); ++k)
        sums[k * tiles + start / tile_size] = kernels<T>().sum(address(totals[k].x), n);
    }
  };
  constexpr std::size_t most = 8, room = most * tile_size;  // registers on a stack
  if (registers == 0 && size < parallel_size) {
    run_part(0, size, nullptr);
  } else if (registers <= most) {
    for_blocks(size, size, [&](std::size_t first, std::size_t last) {
      alignas(alignment) std::array<T, room> storage;
      run_part(first, last, storage.data());
    });
  } else {
    const std::size_t parts = size < parallel_size ? 1 : quotient_up(size, part_size),
                      shares = std::min(parts, static_cast<std::size_t>(num_threads()));
    const ValueRef storage = make_value({shares * registers * tile_size}, sizeof(T), "compile");
    parallel_for(shares, [&](std::size_t i) {
      const auto start = [&](std::size_t share) { return share * parts / shares * part_size; };
      run_part(start(i), i + 1 == shares ? size : start(i + 1),
               reinterpret_cast<T*>(storage->data) + i * registers * tile_size);
    });
  }
  for (std::size_t k = 0; k < totals.size(); ++k) {
    const auto part = [&](std::size_t start, std::size_t n) {
      return sum_of_parts<T>(n, tile_size, [&](std::size_t at, std::size_t) {
        return tiles == 0 ? T(0) : sums[k * tiles + (start + at) / tile_size];
      });
    };
    const T base = totals[k].base ? *totals[k].base->elements<T>() : T(0);
    *reinterpret_cast<T*>(totals[k].y->data) = base + sum_in_parallel<T>(size, part);
  }
}

void Plan::run(std::size_t first, std::size_t last) {
  for (std::size_t k = first; k < last; ++k) {
    const Call& call = calls_[k];
    if (!call.run) {
      call.y->item_size == sizeof(float) ? run_group<float>(call) : run_group<double>(call);
      continue;
    }
    if (call.base) std::memcpy(call.y->data, call.base->data, call.y->bytes());
    call.run(call.op, *call.y, call.accumulate, {inputs_.data() + call.first, call.count});
  }
}

void Plan::run_forward() { run(0, forward_calls_); }
void Plan::run_backward() { run(forward_calls_, calls_.size()); }

}  // namespace xtape::detail
