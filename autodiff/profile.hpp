// Profile: what each kind of operation takes in time and memory.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "tape/observer.hpp"

namespace xtape {

/// While it lives, notes what the operations of this thread cost, forward and backward. Scopes nest, and each
/// sees what happens within. Without a scope an operation pays for one test of a pointer.
class Profile : public detail::Observer {
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

  [[nodiscard]] Profile() = default;

  /// The ledger, the most expensive operation first.
  std::vector<Row> rows() const;
  /// Every run as JSON in Chrome's trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
  /// At most the first million runs; rows() counts all.
  void write_trace(std::ostream& out) const;

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

  void begin(const char* op, const detail::Handle* adjoint) override;
  void forward(const char*, const detail::Handle& y, std::span<const detail::Handle* const>) override;
  void end() override;

  std::vector<Row>::iterator row_of(std::string_view op) { return std::ranges::find(rows_, op, &Row::op); }

  const Clock::time_point start_ = Clock::now();
  std::vector<Row> rows_;
  std::vector<Frame> frames_;
  std::vector<Event> events_;
};

/// The ledger as a table.
std::ostream& operator<<(std::ostream& out, const Profile& profile);

}  // namespace xtape
