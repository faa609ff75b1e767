// The life of nodes (tape.md): consuming, finding the dead, freeing the tail.
#include "arena.hpp"

#include <algorithm>
#include <new>
#include <unordered_set>

#include "../base/pool.hpp"
#include "backward.hpp"

namespace xtape {
namespace detail {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 16;
bool unreachable(const Node& node) {
  return node.consumers == 0 && !node.adjoint.value && node.handles.load(std::memory_order_acquire) == 0;
}

}  // namespace

void throw_foreign(const char* op) {
  throw Error(op, "an input was recorded by another thread: pass detach() of it, or record where it is used");
}

NodeRef make_leaf(const Shape& shape) {
  const std::uint32_t size_class = size_class_of(sizeof(Leaf));
  auto* leaf = ::new (allocate(size_class)) Leaf(shape);
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
  if (unreachable(*node)) tape->mark_dead(*node);
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

Tape& Tape::open() {
  detail::current_tape = new Tape;
  thread_local TapeOwner owner(detail::current_tape);
  return *detail::current_tape;
}

Tape::~Tape() {
  while (last_chunk_) free_chunk(std::exchange(last_chunk_, last_chunk_->previous));
  if (spare_chunk_) free_chunk(spare_chunk_);
}

void Tape::new_chunk(std::size_t bytes) {
  constexpr std::size_t header = sizeof(Chunk);
  if (last_chunk_ && last_chunk_->live == 0) ++dead_chunks_;  // possible only while nodes stay in place
  if (dead_chunks_ * 4 > chunks_ && !running_ && !is_consuming_) free_dead_chunks();
  Chunk* chunk = nullptr;
  if (spare_chunk_ && header + bytes <= spare_chunk_->capacity) {
    chunk = std::exchange(spare_chunk_, nullptr);
  } else {
    const std::size_t capacity = std::max(detail::chunk_bytes, header + bytes);
    const std::uint32_t size_class = detail::size_class_of(capacity);
    chunk = ::new (detail::allocate(size_class)) Chunk{};
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
// holds the tail, which is live unless nodes stay in place.
void Tape::free_dead_chunks() noexcept {
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

// A rule of the user's owns whatever it likes, so that its destructor may drop handles (the last one of this
// very node, too), record, replay and clear. The node is dead, or held by the caller, and has lost its
// operation before that is destroyed; each input is taken off before it is let go.
void Tape::consume(Node& node) noexcept {
  const detail::Operation* const operation = std::exchange(node.operation, nullptr);
  if (!operation) return;
  --size_;
  ++consumed_;
  void* const op = node.op();
  for (Kept& kept : node.kept()) kept.~Kept();
  node.kept_count = 0;
  if (operation->destroy) operation->destroy(op);
  for (Node*& slot : node.inputs())
    if (Node* const input = std::exchange(slot, nullptr)) drop_consumer(*input);
  node.input_count = 0;
}

void Tape::drop_consumer(Node& node) noexcept {
  if (node.is_leaf()) return drop_handle(&node);
  --node.consumers;
  if (detail::unreachable(node)) mark_dead(node);
}

// To consume a dead node drops handles and consumers, which leads back here: a list instead of recursion.
void Tape::mark_dead(Node& node) noexcept {
  if (node.dead) return;
  node.dead = true;
  node.next_dead = std::exchange(dead_, &node);
  if (!is_consuming_) consume_dead();
}

void Tape::consume_dead() noexcept {
  is_consuming_ = true;
  while (dead_) {
    Node& node = *dead_;
    dead_ = node.next_dead;
    consume(node);
    --consumed_;
    if (--node.chunk->live == 0 && node.chunk != last_chunk_) ++dead_chunks_;
  }
  is_consuming_ = false;
  free_tail();
}

void Tape::free_tail() noexcept {
  if (is_consuming_) return;
  if (clear_asked_ && !running_) return clear();
  while (tail_ && tail_->dead) {
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

void Tape::find_dead() noexcept {
  dropped_elsewhere_.store(false, std::memory_order_relaxed);
  const bool is_within = std::exchange(is_consuming_, true);  // no node is consumed while they are visited
  for (Node* node = tail_; node; node = node->previous)
    if (detail::unreachable(*node)) mark_dead(*node);
  if (!is_within) consume_dead();
}

void Tape::restart_surveys() noexcept {
  if (running_) return;  // it compares these numbers, and has half of their range left
  for (Node* node = tail_; node; node = node->previous) node->survey = 0;
  survey_serial_ = 0;
}

void Tape::drop_from_other_thread(Node& node) noexcept {
  bool last = false;
  {
    const std::scoped_lock lock(mutex_);
    if (node.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    dropped_elsewhere_.store(true, std::memory_order_relaxed);
    last = closed_ && --held_ == 0;
  }
  if (last) delete this;
}

void Tape::close() {
  do clear();
  while (size_ != 0 && !clear_asked_);  // what destructors have recorded meanwhile
  detail::current_tape = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    for (Node* node = tail_; node; node = node->previous)
      if (node->handles.load(std::memory_order_acquire) != 0) ++held_;
    if (held_ != 0) return;
  }
  delete this;
}

std::size_t Tape::size() {
  if (dropped_elsewhere_.load(std::memory_order_relaxed)) find_dead();
  return size_;
}

std::size_t Tape::bytes() {
  std::size_t total = 0;
  std::unordered_set<const detail::Value*> seen;
  for (Node* node = tail_; node; node = node->previous) {
    if (!node->operation) continue;
    total += sizeof(Node) + node->inputs().size_bytes() + node->kept().size_bytes();
    for (const Kept& kept : node->kept()) {
      const detail::Value& owner = kept.value->owner();
      if (seen.insert(&owner).second && owner.size) total += sizeof(detail::Value) + owner.bytes();
    }
  }
  return total;
}

void Tape::clear() {
  clear_asked_ = running_ || is_consuming_;
  if (clear_asked_) return;
  is_consuming_ = true;
  for (Node* node = tail_; node; node = node->previous) {
    ++node->consumers;
    consume(*node);
    drop_consumer(*node);
  }
  consume_dead();
}

}  // namespace xtape
