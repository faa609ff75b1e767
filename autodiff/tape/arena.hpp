// The arena of nodes, and how a node is appended to it. Not installed.
#pragma once
#include <new>

#include "../tape.hpp"

namespace xtape {
namespace detail {

/// A piece of the arena. Nodes lie one behind the other and never move.
struct Chunk {
  Tape* tape;
  Chunk* previous;
  Chunk* next;
  Node* first;
  std::size_t used;      ///< bytes, this header included
  std::size_t capacity;  ///< bytes
  std::size_t live;      ///< nodes that are not dead
  std::uint32_t size_class;
};

}  // namespace detail

inline void* Tape::reserve(std::size_t bytes) {
  if (!last_chunk_ || last_chunk_->used + bytes > last_chunk_->capacity) new_chunk(bytes);
  void* const place = reinterpret_cast<std::byte*>(last_chunk_) + last_chunk_->used;
  last_chunk_->used += bytes;
  return place;
}

namespace detail {

[[noreturn]] void throw_foreign(const char* op);

/// Appends a node and returns it with room for `op_bytes` behind it, which the caller fills and names the
/// operation of. It keeps what is `needed`, and its constants, which are the inputs without an active node.
/// Error when an input was recorded by another thread.
template <class Inputs>
Node* append(const char* name, const Shape& shape, const Inputs& inputs, std::uint32_t needed,
             const ValueRef& output, std::size_t op_bytes) {
  constexpr std::size_t word = sizeof(void*);
  Tape& tape = Tape::current();
  if (tape.dropped_elsewhere_.load(std::memory_order_relaxed)) tape.find_dead();
  std::uint32_t kept_mask = needed;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Node* const from = inputs[i]->active();
    if (from && from->chunk && from->chunk->tape != &tape) throw_foreign(name);
    if (!from && i < 31) kept_mask |= 1u << i;
  }
  const unsigned kept_count = bit_count(kept_mask);
  const std::size_t bytes = sizeof(Node) + (shape.size() + inputs.size()) * word + kept_count * sizeof(Kept) +
                            (op_alignment - word) + (op_bytes + word - 1) / word * word;
  auto* node = ::new (tape.reserve(bytes)) Node;
  if (tape.size_ == 0) tape.changes_seen_ = changes.load(std::memory_order_relaxed);

  node->name = name;
  node->chunk = tape.last_chunk_;
  node->rank = static_cast<std::uint8_t>(shape.size());
  node->input_count = static_cast<std::uint32_t>(inputs.size());
  node->kept_count = static_cast<std::uint8_t>(kept_count);
  node->kept_mask = kept_mask;
  std::size_t* dimension = node->dimensions().data();
  for (const std::size_t d : shape) *dimension++ = d;
  Node** to = node->inputs().data();
  Kept* kept = node->kept().data();
  const auto keep = [&](const ValueRef& value) {
    ::new (kept++) Kept{value, value->owner().version.load(std::memory_order_relaxed)};
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Node* const input = inputs[i]->active();
    to[i] = input;
    if (input && input->is_leaf())
      input->handles.fetch_add(1, std::memory_order_relaxed);
    else if (input)
      ++input->consumers;
    if (i < 31 && (kept_mask >> i & 1u)) {
      keep(inputs[i]->value);
      if (!(needed >> i & 1u)) kept[-1].version = Kept::any_version;
    }
  }
  if (kept_mask & keep_output) keep(output);

  node->previous = tape.tail_;
  if (!node->chunk->first) node->chunk->first = node;
  ++node->chunk->live;
  tape.tail_ = node;
  ++tape.size_;
  return node;
}

}  // namespace detail
}  // namespace xtape
