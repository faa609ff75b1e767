// Where the elements of a tensor lie in an array that code reads or writes: sizes and strides, and what they
// become under one another.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace xtape::detail {

/// The elements of a tensor in row-major order: at offset + Σ index·stride of an array. Neighbouring
/// dimensions are one wherever that says the same, and there is none of size 1: so tensors that differ in
/// their shapes alone lie in the same way.
struct Placing {
  struct Dimension {
    std::size_t size;
    std::ptrdiff_t stride;
    bool operator==(const Dimension&) const = default;
  };
  std::ptrdiff_t offset = 0;
  std::vector<Dimension> dimensions{};
  bool operator==(const Placing&) const = default;

  /// One behind the other.
  static Placing contiguous(std::size_t n);
  static Placing of(std::ptrdiff_t offset, std::span<const std::size_t> sizes,
                    std::span<const std::ptrdiff_t> strides);
  /// One more dimension, the innermost.
  void add(std::size_t size, std::ptrdiff_t stride);
  std::size_t size() const;
  bool is_contiguous() const;

  /// The elements of a tensor that lies so, read once more: by `again`, which numbers them in row-major
  /// order. Nothing where no strides say that.
  std::optional<Placing> read(const Placing& again) const;
};

/// The loops over the elements of tensors that lie in different ways, as few as go for all.
class Nest {
 public:
  explicit Nest(std::size_t n) : bounds_{1} {
    if (n != 1) bounds_.push_back(n);
  }
  /// False, and nothing changes, where no loops go for all.
  bool add(const Placing& placing);
  /// Lets the innermost loop be one of `n`, which divides it.
  void split(std::size_t n);
  std::size_t depth() const { return bounds_.size() - 1; }
  /// Of a loop, from the outermost on.
  std::size_t size(std::size_t loop) const;
  /// The strides along the loops.
  std::vector<std::ptrdiff_t> strides(const Placing& placing) const;

 private:
  std::vector<std::size_t> bounds_;  ///< elements of a step of each loop, the innermost first; then all
};

/// The strides along axes of these sizes; nothing where an axis has no single one.
std::optional<std::vector<std::ptrdiff_t>> strides_along(const Placing& placing,
                                                         std::span<const std::size_t> sizes);

}  // namespace xtape::detail
