// A cost ledger: what each kind of operation takes in time and memory.
#pragma once
#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "node.hpp"

namespace xtape {

/// While it lives, notes what the operations of this thread cost, forward and backward. Scopes nest, and each
/// sees what happens within. Without a scope an operation pays for one test of a pointer.
class Profile {
 public:
  /// One kind of operation. Times are its own: those of operations that it is composed of are theirs.
  struct Row {
    std::string op;
    std::size_t count = 0;      ///< forward runs
    double forward = 0;         ///< seconds
    double backward = 0;        ///< seconds
    std::size_t allocated = 0;  ///< bytes asked of the pool, forward and backward
    std::size_t kept = 0;       ///< bytes of the values that nodes hold for the backward pass
    double ratio() const { return forward > 0 ? backward / forward : 0; }  ///< gradient to value
  };

  Profile();
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  /// The ledger, the most expensive operation first.
  std::vector<Row> rows() const;
  /// Every run as JSON in Chrome's trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
  /// At most the first million runs; rows() counts all.
  void write_trace(std::ostream& out) const;

  // For the engine.
  void begin(const char* op, bool is_backward);
  void end();
  void keeps(detail::Node& node);
  Profile* outer() const { return outer_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Frame {
    const char* op;
    bool is_backward;
    Clock::time_point start;
    Clock::duration inner{};  ///< in operations that this one is composed of
    std::size_t allocated;    ///< by the thread at the start
    std::size_t inner_allocated = 0;
    std::size_t kept = 0;
  };
  struct Event {
    const char* op;
    bool is_backward;
    Clock::time_point start;
    Clock::duration length;
    std::size_t allocated;
  };

  Profile* outer_;
  const Clock::time_point start_ = Clock::now();
  std::vector<Row> rows_;
  std::vector<Frame> frames_;
  std::vector<Event> events_;
};

/// The ledger as a table.
std::ostream& operator<<(std::ostream& out, const Profile& profile);

namespace detail {

XTAPE_THREAD_LOCAL Profile* profile = nullptr;

void begin_profiled(const char* op, bool is_backward);
void end_profiled();
void profile_kept(Node& node);

/// Notes one run of an operation from here to the end of the scope.
class Profiled {
 public:
  explicit Profiled(const char* op, bool is_backward = false) : active_(profile != nullptr) {
    if (active_) [[unlikely]]
      begin_profiled(op, is_backward);
  }
  ~Profiled() {
    if (active_) [[unlikely]]
      end_profiled();
  }
  Profiled(const Profiled&) = delete;
  Profiled& operator=(const Profiled&) = delete;

 private:
  const bool active_;
};

}  // namespace detail
}  // namespace xtape
