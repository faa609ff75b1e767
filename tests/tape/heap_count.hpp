// What the program asks the heap for: counted, and refused where a test says so. operator new comes down to
// malloc, which is replaced.
#pragma once
#include <cstddef>

namespace xtape::test {

/// Calls of malloc and its like by the calling thread, the libraries' included.
std::size_t heap_calls();

/// Blocks that the program holds, all threads together.
std::ptrdiff_t heap_blocks();

/// While it lives, the heap has no memory for the n-th call from its construction on, of any thread; nor for
/// those after it, unless only that one is to fail. Calls by OpenBLAS do not count.
class FailingHeap {
 public:
  enum Calls { one, all_from };
  FailingHeap(std::size_t n, Calls calls);
  ~FailingHeap();
  FailingHeap(const FailingHeap&) = delete;
  FailingHeap& operator=(const FailingHeap&) = delete;

  /// Whether there was an n-th call, which got nothing.
  bool has_refused() const;
};

}  // namespace xtape::test
