// Keeping the ledger, and writing it as a table and as a trace.
#include "profile.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <ostream>
#include <string_view>

#include "memory.hpp"

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

Profile::Profile() : outer_(detail::profile) { detail::profile = this; }
Profile::~Profile() {
  Profile** at = &detail::profile;  // scopes that live on the heap may end in any order
  while (*at && *at != this) at = &(*at)->outer_;
  if (*at) *at = outer_;
}

void Profile::begin(const char* op, bool is_backward) {
  frames_.push_back({op, is_backward, {}, {}, memory_use().allocated});
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
  auto row = std::ranges::find(rows_, std::string_view(frame.op), &Row::op);
  if (row == rows_.end()) row = rows_.insert(row, Row{.op = frame.op});
  (frame.is_backward ? row->backward : row->forward) += seconds(length - frame.inner);
  row->count += frame.is_backward ? 0 : 1;
  row->allocated += allocated - frame.inner_allocated;
  row->kept += frame.kept;
  if (events_.size() < max_events)
    events_.push_back({frame.op, frame.is_backward, frame.start, length, allocated});
}

void Profile::keeps(detail::Node& node) {
  if (frames_.empty()) return;
  for (const detail::Kept& kept : node.kept()) frames_.back().kept += kept.value->owner().bytes();
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

namespace detail {

void begin_profiled(const char* op, bool is_backward) {
  for (Profile* p = profile; p; p = p->outer()) p->begin(op, is_backward);
}
void end_profiled() {
  for (Profile* p = profile; p; p = p->outer()) p->end();
}
void profile_kept(Node& node) {
  for (Profile* p = profile; p; p = p->outer()) p->keeps(node);
}

}  // namespace detail
}  // namespace xtape
