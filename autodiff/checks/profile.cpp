// Keeping the ledger, and writing it as a table and as a trace.
#include "../profile.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <ostream>
#include <string_view>

#include "../memory.hpp"

namespace xtape {
namespace {

constexpr std::size_t max_events = 1'000'000;

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    char code[8];
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20)
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c)), result += code;
    else
      result += c;
  }
  return result;
}

}  // namespace

void Profile::begin(const char* op, const detail::Handle* adjoint) {
  // All that takes memory is here: end() runs where exceptions pass, too.
  if (events_.size() + frames_.size() >= events_.capacity()) events_.reserve(2 * events_.capacity() + 1);
  frames_.push_back({op, adjoint != nullptr, {}, {}, memory_use().allocated});
  if (row_of(op) == rows_.end()) try {
      rows_.push_back({.op = op});
    } catch (...) {
      frames_.pop_back();
      throw;
    }
  frames_.back().start = Clock::now();
}

void Profile::end() {
  const Clock::time_point now = Clock::now();
  if (frames_.empty()) return;  // the scope began within an operation
  const Frame frame = frames_.back();
  frames_.pop_back();
  const Clock::duration length = now - frame.start;
  const std::size_t allocated = memory_use().allocated - frame.allocated;
  if (!frames_.empty()) {
    frames_.back().inner += length;
    frames_.back().inner_allocated += allocated;
  }
  const auto row = row_of(frame.op);
  (frame.is_backward ? row->backward : row->forward) += seconds(length - frame.inner);
  row->count += frame.is_backward ? 0 : 1;
  row->allocated += allocated - frame.inner_allocated;
  row->kept += frame.kept;
  if (events_.size() < max_events)
    events_.push_back({frame.op, frame.is_backward, frame.start, length, allocated});
}

void Profile::forward(const char*, const detail::Handle& y, std::span<const detail::Handle* const>) {
  if (frames_.empty() || !y.node) return;
  for (const detail::Kept& kept : y.node->kept()) frames_.back().kept += kept.value->owner().bytes();
}

std::vector<Profile::Row> Profile::rows() const {
  std::vector<Row> sorted = rows_;
  std::ranges::stable_sort(sorted, std::greater<>(),
                           [](const Row& row) { return row.forward + row.backward; });
  return sorted;
}

void Profile::write_trace(std::ostream& out) const {
  out << "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
  const char* separator = "\n";
  for (const Event& event : events_) {
    const auto nanoseconds = [](Clock::duration d) {
      return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
    };
    // Microseconds with three decimals, whatever the locale writes as a decimal point.
    char times[96];
    const auto start = nanoseconds(event.start - start_), length = nanoseconds(event.length);
    std::snprintf(times, sizeof times, "\"ts\":%lld.%03lld,\"dur\":%lld.%03lld",
                  static_cast<long long>(start / 1000), static_cast<long long>(start % 1000),
                  static_cast<long long>(length / 1000), static_cast<long long>(length % 1000));
    out << separator << "{\"name\":\"" << escaped(event.op) << "\",\"cat\":\""
        << (event.is_backward ? "backward" : "forward") << "\",\"ph\":\"X\"," << times
        << ",\"pid\":1,\"tid\":1,\"args\":{\"allocated\":" << event.allocated << "}}";
    separator = ",\n";
  }
  out << "\n]}\n";
}

std::ostream& operator<<(std::ostream& out, const Profile& profile) {
  const auto line = [&](const char* op, std::size_t count, double forward, double backward,
                        std::size_t allocated, std::size_t kept, double ratio) {
    char text[160];
    std::snprintf(text, sizeof text, "%-24.24s %9zu %12.1f %12.1f %8.2f %13.1f %12.1f\n", op, count,
                  1e6 * forward, 1e6 * backward, ratio, static_cast<double>(allocated) / 1024,
                  static_cast<double>(kept) / 1024);
    out << text;
  };
  out << "operation                    count   forward/us  backward/us    ratio allocated/KiB     kept/KiB\n";
  Profile::Row total;
  for (const Profile::Row& row : profile.rows()) {
    line(row.op.c_str(), row.count, row.forward, row.backward, row.allocated, row.kept, row.ratio());
    total.count += row.count;
    total.forward += row.forward;
    total.backward += row.backward;
    total.allocated += row.allocated;
    total.kept += row.kept;
  }
  line("total", total.count, total.forward, total.backward, total.allocated, total.kept, total.ratio());
  return out;
}

}  // namespace xtape
