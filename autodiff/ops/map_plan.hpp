// What runs the formulas of map: the calls of kernels that one tile takes, worked out once for all tiles.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "../kernels/kernel_table.hpp"
#include "../map.hpp"
#include "../tape/op.hpp"

namespace xtape::detail {

/// What the kernels of a tile read and write.
template <class T>
struct Slot {
  T* data = nullptr;            ///< where an array begins, or a number is
  std::ptrdiff_t stride = 1;    ///< 0 for a number
  std::int32_t register_ = -1;  ///< no array, but this register of the tile
};

/// One call of a kernel for each tile, with indices of slots; −1 for an operand that is not read.
template <class T>
struct Call {
  RowKernel<T> kernel;
  const T* numbers = nullptr;
  bool accumulate = false;
  std::int32_t to = -1;
  std::array<std::int32_t, max_operands> in{-1, -1, -1, -1, -1};
};

template <class T>
class TilePlan {
 public:
  /// y = f(x), for arguments of y's shape or of one element.
  TilePlan(const Formula<T>& formula, std::span<const Tensor<T>> x, T* y);
  /// The adjoints of the arguments that `needs` has a bit for, from that of the result. The forward values
  /// that gradients use are computed again.
  TilePlan(const Formula<T>& formula, std::span<const Tensor<T>> x, const T* adjoint, std::uint32_t needs);

  /// Whether the result depends on an argument in a way that has a gradient.
  bool reaches(std::size_t argument) const { return adjoint_[argument] != none; }
  /// Where the adjoint of an argument of the full shape is written, or added.
  void set_target(std::size_t argument, T* data, bool accumulate);
  /// Runs all tiles of `size` elements; leaves the sums of adjoints for arguments of one element.
  void run(std::size_t size, std::span<T> sums) const;

 private:
  static constexpr std::int32_t none = -1;
  template <class X>
  static X& at(PoolVector<X>& all, std::int32_t i) {
    return all[static_cast<std::size_t>(i)];
  }
  bool is_instruction(std::size_t place) const {
    return place >= formula_.arguments() && formula_.at(place).op != op_count;
  }
  void place_inputs(std::span<const Tensor<T>> x);
  std::int32_t add_slot(const Slot<T>& slot);
  std::int32_t take_register();
  void free_register(std::int32_t slot);
  void require_operands(PoolVector<char>& required) const;
  void call_value(std::size_t place, std::int32_t to);
  void call_gradients(std::size_t place, const PoolVector<char>& active);
  void run_tiles(std::size_t start, std::size_t end, std::size_t tile, T* storage, T* sums) const;

  const Formula<T>& formula_;
  PoolVector<Slot<T>> slots_;  ///< of the places first
  PoolVector<Call<T>> calls_;
  PoolVector<std::int32_t> adjoint_;     ///< by place: the slot of its adjoint
  PoolVector<char> owned_;               ///< by place: whether that may be written
  PoolVector<std::int32_t> first_call_;  ///< by argument of the full shape: what writes its adjoint first
  PoolVector<std::int32_t> free_;        ///< registers that hold nothing any more
  std::int32_t registers_ = 0;
};

/// The rules of a node that ran a formula.
template <class T>
void add_gradients(const Formula<T>& formula, Gradients<T>& d);
template <class T>
void add_tangent(const Formula<T>& formula, Tangents<T>& t);

}  // namespace xtape::detail
