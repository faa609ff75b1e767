// A node of the recording, and the handle (value, node) that a Tensor is made of.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "../base/value.hpp"

namespace xtape {
class Tape;
}

namespace xtape::detail {

struct Chunk;
struct Node;
class Code;
class ForwardPass;
class Notation;
class Pass;

/// One handle on `node` is gone: with the last one it is dead, unless a recorded node uses it.
void drop_handle(Node* node) noexcept;

/// Owning pointer to a node, one user handle.
class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(Node* adopted) : node_(adopted) {}
  /// One more handle on `node`, which may be null.
  static NodeRef share(Node* node);
  NodeRef(const NodeRef& other);
  NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  NodeRef& operator=(const NodeRef& other) noexcept { return *this = NodeRef(other); }
  NodeRef& operator=(NodeRef&& other) noexcept {
    drop(std::exchange(node_, std::exchange(other.node_, nullptr)));
    return *this;
  }
  ~NodeRef() { drop(node_); }
  Node* get() const { return node_; }
  Node* operator->() const { return node_; }
  explicit operator bool() const { return node_ != nullptr; }

 private:
  static void drop(Node* node) noexcept {
    if (node) drop_handle(node);
  }

  Node* node_ = nullptr;
};

/// What a Tensor holds: the value, and the place on the tape (null for a constant).
struct Handle {
  ValueRef value;
  NodeRef node;

  /// The node, where a gradient may pass: null for a constant, and for a leaf that is frozen.
  Node* active() const;
};

/// A value that a rule will need, with its version at the time of recording; or a constant that none needs,
/// for who reads the recording: that may change.
struct Kept {
  static constexpr std::uint32_t any_version = ~std::uint32_t{0};
  ValueRef value;
  std::uint32_t version;

  bool is_as_recorded() const {
    return version == any_version || value->owner().version.load(std::memory_order_relaxed) == version;
  }
};

/// The bit of Node::kept_mask for the output. The others are those of the inputs, by number; an input that
/// has no bit is not kept.
inline constexpr std::uint32_t keep_output = 1u << 31;

/// How many bits are set: masks of inputs have few.
constexpr unsigned bit_count(unsigned mask) {
  unsigned n = 0;
  for (; mask != 0; mask &= mask - 1) ++n;
  return n;
}

/// An elementwise operation as a call of a kernel: of kernel_table.hpp's RowKernel<T>, for operands that each
/// have as many elements as the result, or one.
struct RowCall {
  static constexpr std::uint8_t unread = 255;
  void (*kernel)() = nullptr;
  const void* numbers = nullptr;
  /// The inputs that are the kernel's operands, by number.
  std::array<std::uint8_t, 5> operands{unread, unread, unread, unread, unread};
};

/// What the engine does with one kind of recorded operation.
struct Operation {
  /// Passes the adjoint of a node on to its inputs. Null where there is no gradient.
  void (*backward)(Node&, Pass&, Handle&& adjoint);
  void (*destroy)(void* op);  ///< null when there is nothing to destroy
  /// The tangent of the result y from those of the inputs, null for 0; empty for 0. Null where there is no
  /// forward mode.
  Handle (*tangent)(const void* op, ForwardPass&, const Handle& y, std::span<const Handle* const> inputs,
                    std::span<const Handle* const> tangents);
  const char* (*name)(const void* op);

  // As a step of a program; null where the operation is never one.
  /// Computes y, or adds to it.
  void (*run)(const void* op, const Value& y, bool accumulate, std::span<Value* const> inputs);
  /// Performs the operation anew, with a result of this shape: it is recorded, traced and watched.
  Handle (*again)(const void* op, std::span<const Handle* const> inputs, const Shape& shape);
  /// The same for several sets of inputs at once, which the marked ones have along a leading axis, as the
  /// result of this shape does; there are some.
  Handle (*lift)(const void* op, std::span<const Handle* const> inputs, const std::vector<char>& batched,
                 const Shape& shape);
  /// Performs it by simpler operations, as its formula is written in a textbook. Null for those that are
  /// simple themselves.
  Handle (*decompose)(const void* op, std::span<const Handle* const> inputs);
  /// Says how the result is written as a formula of its inputs: see notation/term.hpp. Null for those that
  /// are written as a function, name(inputs).
  void (*write)(const void* op, Notation&);
  /// Writes it as C++: see derivation/code.hpp. Null for what decomposes.
  void (*code)(const void* op, Code&);
  bool (*equal)(const void* op, const void* other);
  /// Of an elementwise operation, whose result may be written over an operand of as many elements; no kernel
  /// where it has none. Null for others.
  RowCall (*row_call)(const void* op);
  bool is_view = false;         ///< the result shares the elements of the input
  bool repeats = false;         ///< the elements of the input: where that is one number, all are it
  bool sums = false;            ///< where the result is one number: Σ of the input, as add_sum() sums it
  bool gives_integers = false;  ///< the result is Indices
  bool is_random = false;       ///< draws from the generator
  bool mixes_matrices =
      false;  ///< each matrix of the result, its last two axes, depends on all of its operands'
};

/// How an operation is aligned behind its node. Some hold a std::function, which libc++ aligns as its widest
/// numbers; the words of a node are enough for all others.
inline constexpr std::size_t op_alignment = std::max(alignof(std::function<void()>), alignof(void*));

/// A recorded operation, or a leaf. In memory a recorded node is followed by its dimensions, by its inputs
/// (Node*, null for a constant), by the values that it keeps and by the operation itself, which knows the
/// derivative.
struct Node {
  const Operation* operation = nullptr;  ///< null for a leaf, and once the recording is consumed
  const char* name = "";
  Chunk* chunk = nullptr;                 ///< null for a leaf
  Node* previous = nullptr;               ///< the node recorded before this one
  Node* next_dead = nullptr;              ///< of the list of those to be consumed
  Handle adjoint;                         ///< of the pass that is running
  std::atomic<std::uint32_t> handles{1};  ///< Tensors, and for a leaf also the nodes that use it
  std::uint32_t consumers = 0;            ///< recorded nodes that have this one as input
  std::uint32_t kept_mask = 0;            ///< bit i: input i is kept; keep_output: the output is
  std::uint32_t survey = 0;               ///< the last survey of a pass that reached this node
  std::uint32_t input_count = 0;
  std::uint8_t kept_count = 0;
  std::uint8_t rank = 0;    ///< of a recorded node
  bool dead : 1 = false;    ///< no handle and no consumer: is consumed, and freed with the tail
  bool needed : 1 = false;  ///< scratch of a pass: an input that was asked for lies below
  bool traced : 1 = false;  ///< recorded while a trace ran
  bool opaque : 1 = false;  ///< its rule may reach leaves that are not among its inputs (checkpoint)
  bool frozen = false;      ///< a leaf that counts as a constant: see Tensor::set_requires_grad

  bool is_leaf() const { return chunk == nullptr; }
  bool keeps_input(std::size_t i) const { return i < 31 && (kept_mask >> i & 1u); }
  /// Of the value, which may be gone.
  Shape shape() const;
  bool has_shape(const Shape& s) const;
  std::span<std::size_t> dimensions() { return {reinterpret_cast<std::size_t*>(this + 1), rank}; }
  std::span<Node*> inputs() { return {reinterpret_cast<Node**>(dimensions().data() + rank), input_count}; }
  std::span<Kept> kept() { return {reinterpret_cast<Kept*>(inputs().data() + input_count), kept_count}; }
  void* op() {
    void* const behind = kept().data() + kept_count;
    if constexpr (op_alignment == alignof(void*)) return behind;
    const auto place = reinterpret_cast<std::uintptr_t>(behind);
    return reinterpret_cast<void*>((place + op_alignment - 1) / op_alignment * op_alignment);
  }
};

static_assert(sizeof(Node) == 80);

/// A leaf that requires a gradient. It is on no tape, so any recording may use it.
struct Leaf : Node {
  Handle grad;
  std::uint32_t size_class = 0;
  Shape shape;

  explicit Leaf(const Shape& s) : shape(s) {}
};

inline Shape Node::shape() const {
  if (is_leaf()) return static_cast<const Leaf*>(this)->shape;
  return Shape(const_cast<Node*>(this)->dimensions());
}

[[gnu::always_inline]] inline bool Node::has_shape(const Shape& s) const {
  if (is_leaf()) return static_cast<const Leaf*>(this)->shape == s;
  if (s.size() != rank) return false;
  const auto* const own = reinterpret_cast<const std::size_t*>(this + 1);
  for (std::size_t i = 0; i < s.size(); ++i)
    if (s[i] != own[i]) return false;
  return true;
}

NodeRef make_leaf(const Shape& shape);

/// The tape that a node was recorded on; null for a leaf.
Tape* tape_of(const Node& node);

inline NodeRef NodeRef::share(Node* node) {
  if (node) node->handles.fetch_add(1, std::memory_order_relaxed);
  return NodeRef(node);
}

inline Node* Handle::active() const { return node && !node->frozen ? node.get() : nullptr; }

inline NodeRef::NodeRef(const NodeRef& other) : NodeRef(share(other.node_)) {}

}  // namespace xtape::detail
