// How often the program has asked the heap for memory: operator new comes down to malloc, which is replaced.
#pragma once
#include <cstddef>

namespace xtape::test {

/// Calls of malloc and its like by the calling thread, the libraries' included.
std::size_t heap_calls();

}  // namespace xtape::test
