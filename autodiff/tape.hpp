// Tape: the recording of one thread, nodes in the order of their creation, and the scopes that switch it.
#pragma once
#include <atomic>
#include <mutex>
#include <vector>

#include "platform/compiler.hpp"
#include "tape/node.hpp"

namespace xtape {
namespace detail {

/// How many times any value has been assigned anew: while it stands, no kept value can have changed.
inline std::atomic<std::size_t> changes{0};

XTAPE_THREAD_LOCAL Tape* current_tape = nullptr;
XTAPE_THREAD_LOCAL bool recording = true;
/// Where not null: takes the inputs of operations that would have been recorded, were it not for NoGrad.
XTAPE_THREAD_LOCAL std::vector<Kept>* skipped_inputs = nullptr;

/// How many times modules have changed between training and evaluation mode, and leaves have been frozen or
/// not any more: what is computed with them may be another function then.
inline std::atomic<std::uint64_t> mode_changes{0};

class Trace;
/// The innermost trace.
XTAPE_THREAD_LOCAL Trace* tracing = nullptr;
/// Error where a trace must not see the elements of a value; `what` would read them.
void require_readable(const Value& value, const char* what);
/// The same for a value without elements, and where there is no trace any more.
[[noreturn]] void require_elements(const Value& value);

template <class Inputs>
Node* append(const char* name, const Shape& shape, const Inputs& inputs, std::uint32_t kept_mask,
             const ValueRef& output, std::size_t op_bytes);

}  // namespace detail

/// The recording of a thread. Operations append to it when an input requires a gradient. It unwinds by
/// itself: a node that no handle and no later node can reach is dead, and gives back what it kept at once.
/// For the life of a node see tape.md.
class Tape {
 public:
  /// The calling thread's tape.
  static Tape& current() { return detail::current_tape ? *detail::current_tape : open(); }

  /// Operations that are recorded and can be replayed.
  std::size_t size();
  /// Bytes of the recorded nodes with their lists, and of the distinct values they keep (those of leaves
  /// included); without what operations hold besides, such as indices and users' lambdas. Visits every node.
  std::size_t bytes();
  /// Forgets the recording, and destroys the rules that it holds, also those that own their own output.
  /// Tensors keep their values; a backward from them is an error. Called by a rule, or by the destructor of
  /// what a rule owns, it takes effect when the backward pass has ended, or the dead nodes are consumed.
  void clear();
  /// How many rules the last backward pass ran.
  std::size_t rules_run() const { return rules_run_; }

  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

 private:
  friend class detail::Pass;
  friend void detail::drop_handle(detail::Node*) noexcept;
  template <class Inputs>
  friend detail::Node* detail::append(const char*, const Shape&, const Inputs&, std::uint32_t,
                                      const detail::ValueRef&, std::size_t);
  friend struct TapeOwner;

  Tape() = default;
  ~Tape();

  static Tape& open();
  void* reserve(std::size_t bytes);
  void new_chunk(std::size_t bytes);
  void consume(detail::Node& node) noexcept;
  void mark_dead(detail::Node& node) noexcept;
  void drop_consumer(detail::Node& node) noexcept;
  void consume_dead() noexcept;
  void free_tail() noexcept;
  void free_chunk(detail::Chunk* chunk) noexcept;
  void free_dead_chunks() noexcept;
  void find_dead() noexcept;
  void restart_surveys() noexcept;
  void drop_from_other_thread(detail::Node& node) noexcept;
  void close();

  detail::Node* tail_ = nullptr;
  detail::Pass* running_ = nullptr;  ///< the innermost pass that is walking down: nodes stay in place
  detail::Chunk* last_chunk_ = nullptr;
  detail::Chunk* spare_chunk_ = nullptr;
  std::size_t size_ = 0;
  std::size_t rules_run_ = 0;
  std::size_t dead_chunks_ = 0;   ///< chunks before the last whose nodes are all dead
  std::size_t changes_seen_ = 0;  ///< detail::changes when the recording began
  std::size_t consumed_ = 0;      ///< consumed nodes that are not dead
  std::size_t chunks_ = 0;
  std::uint32_t survey_serial_ = 0;
  std::vector<detail::Node*> leaf_scratch_;  ///< lists that a pass borrows, so that it allocates nothing
  std::vector<detail::Node*> survey_scratch_;
  detail::Node* dead_ = nullptr;
  bool is_consuming_ = false;  ///< nodes stay in place, and the dead wait in the list
  bool clear_asked_ = false;   ///< while that could not be done
  std::atomic<bool> dropped_elsewhere_{false};
  std::mutex mutex_;      ///< guards what other threads touch: the two below
  bool closed_ = false;   ///< its thread has ended; the last handle deletes it
  std::size_t held_ = 0;  ///< nodes with handles at that time
};

namespace detail {

/// Sets the recording flag for a scope.
class RecordingScope {
 public:
  [[nodiscard]] explicit RecordingScope(bool on) : before_(std::exchange(recording, on)) {}
  ~RecordingScope() { recording = before_; }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  bool before_;
};

/// While it lives, receives the inputs of operations that would be recorded, were it not for NoGrad.
struct SkippedInputs {
  std::vector<Kept> values;
  std::vector<Kept>* const outer = std::exchange(skipped_inputs, &values);
  [[nodiscard]] SkippedInputs() = default;
  SkippedInputs(const SkippedInputs&) = delete;
  SkippedInputs& operator=(const SkippedInputs&) = delete;
  ~SkippedInputs() { skipped_inputs = outer; }
};

}  // namespace detail

/// Whether operations of this thread are recorded, where an input requires a gradient.
inline bool is_recording() { return detail::recording; }

/// While it lives, operations of this thread are not recorded. Scopes nest. Like all scopes it needs a name:
/// `NoGrad();` ends at once, and compilers warn of it.
class NoGrad {
 public:
  [[nodiscard]] NoGrad() = default;

 private:
  detail::RecordingScope scope_{false};
};

/// While it lives, operations of this thread are recorded: within NoGrad, and in a rule of custom(), which
/// runs without recording unless the pass creates a graph. Scopes nest.
class EnableGrad {
 public:
  [[nodiscard]] EnableGrad() = default;

 private:
  detail::RecordingScope scope_{true};
};

}  // namespace xtape
