// The arena of nodes: appending, releasing what nothing can reach, and trimming the tail.
#include "tape.hpp"

#include <bit>
#include <limits>
#include <new>
#include <string>
#include <unordered_set>

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

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 16;
constexpr std::size_t node_alignment = 16;

constexpr std::size_t round_up(std::size_t n) {
  return (n + node_alignment - 1) / node_alignment * node_alignment;
}

bool unreachable(const Node& node) {
  return node.consumers == 0 && !node.adjoint.value && node.handles.load(std::memory_order_acquire) == 0;
}

}  // namespace

NodeRef make_leaf(const Shape& shape) {
  std::uint32_t size_class = 0;
  auto* leaf = ::new (allocate(sizeof(Leaf), size_class)) Leaf;
  leaf->shape = shape;
  leaf->name = "leaf";
  leaf->size_class = size_class;
  return NodeRef(leaf);
}

Tape* tape_of(const Node& node) { return node.chunk ? node.chunk->tape : nullptr; }

void drop_handle(Node* node) noexcept {
  if (node->is_leaf()) {
    if (node->handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    auto* leaf = static_cast<Leaf*>(node);
    const std::uint32_t size_class = leaf->size_class;
    leaf->~Leaf();
    deallocate(leaf, size_class);
    return;
  }
  Tape* tape = node->chunk->tape;
  if (tape != current_tape) return tape->drop_from_other_thread(*node);
  if (node->handles.load(std::memory_order_acquire) == 1)
    node->handles.store(0, std::memory_order_relaxed);
  else if (node->handles.fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  if (unreachable(*node)) tape->release(*node);
}

Node* append(const char* name, const Shape& shape, std::span<const Handle* const> inputs,
             std::uint32_t kept_mask, const ValueRef& output, std::size_t op_bytes) {
  Tape& tape = Tape::current();
  if (tape.dropped_elsewhere_.load(std::memory_order_relaxed)) tape.sweep();
  for (const Handle* input : inputs)
    if (input->node && !input->node->is_leaf() && input->node->chunk->tape != &tape)
      throw Error(name,
                  "an input was recorded by another thread: pass detach() of it, or record where it is used");

  if (inputs.size() > std::numeric_limits<std::uint16_t>::max())
    throw Error(name, std::to_string(inputs.size()) + " inputs are more than 65535: join them in groups");
  const auto kept_count = static_cast<std::uint16_t>(std::popcount(kept_mask));
  void* place = tape.reserve(
      round_up(sizeof(Node) + inputs.size() * sizeof(Node*) + kept_count * sizeof(Kept) + op_bytes));
  if (tape.size_ == 0) tape.changes_seen_ = changes.load(std::memory_order_relaxed);

  auto* node = ::new (place) Node;
  node->name = name;
  node->chunk = tape.last_chunk_;
  node->shape = shape;
  node->input_count = static_cast<std::uint16_t>(inputs.size());
  node->kept_count = kept_count;
  node->kept_mask = kept_mask;
  Node** to = node->inputs().data();
  Kept* kept = node->kept().data();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Node* input = inputs[i]->node.get();
    to[i] = input;
    if (input && input->is_leaf())
      input->handles.fetch_add(1, std::memory_order_relaxed);
    else if (input)
      ++input->consumers;
    if (kept_mask != 0 && (kept_mask >> i & 1u))  // operations with more than 30 inputs keep none
      ::new (kept++)
          Kept{inputs[i]->value, inputs[i]->value->owner().version.load(std::memory_order_relaxed)};
  }
  if (kept_mask != 0 && (kept_mask >> inputs.size() & 1u)) ::new (kept) Kept{output, 0};

  node->previous = tape.tail_;
  if (!node->chunk->first) node->chunk->first = node;
  ++node->chunk->live;
  tape.tail_ = node;
  ++tape.size_;
  return node;
}

}  // namespace detail

using detail::Chunk;
using detail::Kept;
using detail::Node;

/// Ends the tape with its thread.
struct TapeOwner {
  Tape* tape;
  explicit TapeOwner(Tape* t) : tape(t) {}
  ~TapeOwner() { tape->close(); }
};

Tape& Tape::current() {
  if (!detail::current_tape) {
    detail::current_tape = new Tape;
    thread_local TapeOwner owner(detail::current_tape);
  }
  return *detail::current_tape;
}

Tape::~Tape() {
  while (last_chunk_) free_chunk(std::exchange(last_chunk_, last_chunk_->previous));
  if (spare_chunk_) free_chunk(spare_chunk_);
}

void* Tape::reserve(std::size_t bytes) {
  if (!last_chunk_ || last_chunk_->used + bytes > last_chunk_->capacity) new_chunk(bytes);
  void* place = reinterpret_cast<std::byte*>(last_chunk_) + last_chunk_->used;
  last_chunk_->used += bytes;
  return place;
}

void Tape::new_chunk(std::size_t bytes) {
  constexpr std::size_t header = detail::round_up(sizeof(Chunk));
  if (last_chunk_ && last_chunk_->live == 0) ++dead_chunks_;  // possible only while a pass holds the tail
  if (dead_chunks_ * 4 > chunks_ && !floor_) unlink_dead_chunks();
  Chunk* chunk = nullptr;
  if (spare_chunk_ && header + bytes <= spare_chunk_->capacity) {
    chunk = std::exchange(spare_chunk_, nullptr);
  } else {
    const std::size_t capacity = std::max(detail::chunk_bytes, header + bytes);
    std::uint32_t size_class = 0;
    chunk = ::new (detail::allocate(capacity, size_class)) Chunk{};
    chunk->capacity = capacity;
    chunk->size_class = size_class;
  }
  chunk->tape = this;
  chunk->used = header;
  chunk->first = nullptr;
  chunk->live = 0;
  chunk->next = nullptr;
  chunk->previous = last_chunk_;
  if (last_chunk_) last_chunk_->next = chunk;
  last_chunk_ = chunk;
  ++chunks_;
}

void Tape::free_chunk(Chunk* chunk) noexcept { detail::deallocate(chunk, chunk->size_class); }

// A handle that is replaced in a loop (`loss = step()`) always leaves a live tail, so the tail alone would
// never let the earlier nodes go: whole chunks of dead nodes are taken out of the middle. The last chunk
// holds the tail, which is live when no pass is running.
void Tape::unlink_dead_chunks() noexcept {
  for (Chunk* chunk = last_chunk_; chunk;) {
    Chunk* const previous = chunk->previous;
    if (chunk->live == 0) {
      chunk->next->first->previous = chunk->first->previous;
      chunk->next->previous = previous;
      if (previous) previous->next = chunk->next;
      free_chunk(chunk);
      --chunks_;
    }
    chunk = previous;
  }
  dead_chunks_ = 0;
}

void Tape::consume(Node& node) noexcept {
  if (!node.rule) return;
  node.rule = nullptr;
  --size_;
  ++husks_;
  for (Kept& kept : node.kept()) kept.~Kept();
  if (node.destroy_op) node.destroy_op(node.op());
  node.kept_count = 0;
  for (Node* input : node.inputs())
    if (input) unuse(*input);
  node.input_count = 0;
}

void Tape::unuse(Node& node) noexcept {
  if (node.is_leaf()) return drop_handle(&node);
  --node.consumers;
  if (detail::unreachable(node)) release(node);
}

void Tape::release(Node& first) noexcept {
  // Releasing a node drops handles and uses, which leads back here: a list instead of recursion.
  if (!first.dead) {
    first.dead = true;
    first.next_to_release = std::exchange(to_release_, &first);
  }
  if (is_releasing_) return;
  is_releasing_ = true;
  while (to_release_) {
    Node& node = *to_release_;
    to_release_ = node.next_to_release;
    consume(node);
    --husks_;
    if (--node.chunk->live == 0 && node.chunk != last_chunk_) ++dead_chunks_;
  }
  is_releasing_ = false;
  trim();
}

void Tape::trim() noexcept {
  while (tail_ && tail_ != floor_ && tail_->dead) {
    Node* const node = tail_;
    tail_ = node->previous;
    Chunk* const chunk = node->chunk;
    chunk->used =
        static_cast<std::size_t>(reinterpret_cast<std::byte*>(node) - reinterpret_cast<std::byte*>(chunk));
    const bool emptied = chunk->first == node;
    node->~Node();
    if (!emptied) continue;
    last_chunk_ = chunk->previous;
    if (last_chunk_) last_chunk_->next = nullptr;
    --chunks_;
    if (spare_chunk_)
      free_chunk(chunk);
    else
      spare_chunk_ = chunk;
  }
}

void Tape::sweep() noexcept {
  dropped_elsewhere_.store(false, std::memory_order_relaxed);
  Node* const floor = std::exchange(floor_, tail_);  // keep the nodes in place while they are visited
  for (Node* node = tail_; node; node = node->previous)
    if (!node->dead && detail::unreachable(*node)) release(*node);
  floor_ = floor;
  trim();
}

void Tape::restart_surveys() noexcept {
  if (floor_) return;  // a running pass compares numbers; there are two thousand million left for it
  for (Node* node = tail_; node; node = node->previous) node->survey = 0;
  survey_serial_ = 0;
}

void Tape::drop_from_other_thread(Node& node) noexcept {
  bool last = false;
  {
    const std::scoped_lock lock(mutex_);
    if (node.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    dropped_elsewhere_.store(true, std::memory_order_relaxed);
    last = orphaned_ && --survivors_ == 0;
  }
  if (last) delete this;
}

void Tape::close() {
  clear();
  detail::current_tape = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    orphaned_ = true;
    for (Node* node = tail_; node; node = node->previous)
      if (node->handles.load(std::memory_order_acquire) != 0) ++survivors_;
    if (survivors_ != 0) return;
  }
  delete this;
}

std::size_t Tape::size() {
  if (dropped_elsewhere_.load(std::memory_order_relaxed)) sweep();
  return size_;
}

std::size_t Tape::bytes() {
  std::size_t total = 0;
  std::unordered_set<const detail::Value*> seen;
  for (Node* node = tail_; node; node = node->previous) {
    if (!node->rule) continue;
    total += sizeof(Node) + node->inputs().size_bytes() + node->kept().size_bytes();
    for (const Kept& kept : node->kept()) {
      const detail::Value& owner = kept.value->owner();
      if (seen.insert(&owner).second && owner.size) total += sizeof(detail::Value) + owner.bytes();
    }
  }
  return total;
}

void Tape::clear() {
  if (floor_) throw Error("Tape::clear", "a backward pass is running");
  floor_ = tail_;
  for (Node* node = tail_; node; node = node->previous) consume(*node);
  floor_ = nullptr;
  trim();
}

}  // namespace xtape
