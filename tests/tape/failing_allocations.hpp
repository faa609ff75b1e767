// Programs that run again and again, each time with another allocation refused.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <autodiff/autodiff.hpp>
#include <autodiff/threads.hpp>

#include "heap_count.hpp"

namespace xtape::test {

/// What a program computed, compared bit by bit.
struct Result {
  std::vector<Tensor<double>> tensors{};
  std::string text{};

  void add(const Tensor<double>& x) { tensors.push_back(x.detach()); }
  bool operator==(const Result& other) const {
    const auto same = [](const auto& a, const auto& b) {
      return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
    };
    return text == other.text && std::ranges::equal(tensors, other.tensors, same);
  }
};

/// f() while the n-th allocation is refused, or that and all after it. Empty when it threw; `refused` says
/// whether there were so many.
template <class F>
std::optional<Result> run_without(std::size_t n, FailingHeap::Calls calls, const F& f, bool& refused) {
  const FailingHeap heap(n, calls);
  std::optional<Result> result;
  try {
    result.emplace(f());
  } catch (const std::exception&) {}  // std::bad_alloc, or an Error that says what the system answered
  refused = heap.has_refused();
  return result;
}

/// Returns when all threads work: one that begins takes memory, and the address sanitizer ends the program
/// where it gets none.
inline void wait_for_threads() {
  const int all = num_threads();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::atomic<int> here = 0;
  detail::parallel_for(static_cast<std::size_t>(all), [&](std::size_t) {
    ++here;
    while (here < all && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
}

/// attempt(n, calls, refused) for every n (from 150 on, in steps of n / 150, others for either kind) until
/// nothing was refused, from an empty pool and from a full one. It returns what went wrong, or nothing; the
/// tape, the pool and the heap must then hold what they held before.
template <class Attempt>
void refuse_each(const std::string& name, const Attempt& attempt) {
  wait_for_threads();
  (void)zeros<double>({1});
  const bool keeps = memory_use().cached != 0;  // or this pool is never full
  for (const bool empty : {true, false}) {
    if (!empty && !keeps) return;
    for (const auto calls : {FailingHeap::one, FailingHeap::all_from}) {
      bool refused = true;
      for (std::size_t n = 1; refused; n += 1 + (n + (calls == FailingHeap::one)) / 150) {
        if (empty) release_cached_memory();
        const std::size_t nodes = Tape::current().size();
        const std::ptrdiff_t live = memory_use().live, blocks = heap_blocks();
        const char* wrong = attempt(n, calls, refused);
        if (empty) release_cached_memory();
        if (!wrong && Tape::current().size() != nodes) wrong = "there are nodes left on the tape";
        if (!wrong && memory_use().live != live) wrong = "the pool has lost memory";
        if (!wrong && empty && heap_blocks() > blocks) wrong = "the heap has lost memory";
        if (!wrong) continue;
        const std::string text = name + ", allocation " + std::to_string(n) +
                                 (calls == FailingHeap::one ? "" : " and all after it") +
                                 (empty ? ", empty pool: " : ", full pool: ") + wrong;
        FAIL_CHECK(text);
        break;
      }
    }
  }
}

/// The program either throws or gives the bits that it always gives, and gives them when it runs again.
template <class Program>
void check_program(const std::string& name, const Program& program) {
  const Result expected = program();
  REQUIRE(program() == expected);
  refuse_each(name, [&](std::size_t n, FailingHeap::Calls calls, bool& refused) -> const char* {
    const std::size_t nodes = Tape::current().size();
    const std::ptrdiff_t live = memory_use().live;
    if (const auto result = run_without(n, calls, program, refused); result && !(*result == expected))
      return "it gave another result";
    if (Tape::current().size() != nodes || memory_use().live != live) return "it left something behind";
    return program() == expected ? nullptr : "it gives another result when it runs again";
  });
}

/// Of an object that make() makes: change() either throws and leaves what state() shows as it was, or changes
/// it to what it always becomes, and does so when it is called again.
template <class Make, class Change, class State>
void check_change(const std::string& name, const Make& make, const Change& change, const State& state) {
  const auto changed = [&](auto& object) {
    change(object);
    return Result{};
  };
  const auto expected = [&] {
    auto object = make();
    change(*object);
    return state(*object);
  };
  const Result old = state(*make()), after = expected();
  REQUIRE(expected() == after);
  REQUIRE(!(old == after));
  refuse_each(name, [&](std::size_t n, FailingHeap::Calls calls, bool& refused) -> const char* {
    auto object = make();
    const bool threw = !run_without(
        n, calls, [&] { return changed(*object); }, refused);
    if (threw && !(state(*object) == old)) return "it threw, and something has changed";
    if (threw) change(*object);
    return state(*object) == after ? nullptr : "it changed to something else";
  });
}

}  // namespace xtape::test
