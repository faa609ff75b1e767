// Random numbers: the same seed gives the same bits on every machine with IEEE 754 arithmetic.
#pragma once
#include <random>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace xtape::random {

/// The calling thread's generator. That of the main thread starts with the seed 0. That of another starts
/// when the thread first draws, from the main thread's last seed and a number: it is the first, second, …
/// thread to draw since then. So threads draw different numbers, which can be repeated where the order of
/// their first draws can.
std::mt19937_64& generator();

/// Starts the calling thread's sequence anew, with the same numbers in any thread. On the main thread, also
/// decides what threads that have not drawn yet will draw; on another, nothing else.
void seed(std::uint64_t n);

/// Normally distributed numbers, by the Box-Muller transform. Error for a negative sd.
template <class T>
Tensor<T> normal(const Shape& shape, std::type_identity_t<T> mean = 0, std::type_identity_t<T> sd = 1);

/// Numbers in [low, high), evenly distributed. Error for high < low.
template <class T>
Tensor<T> uniform(const Shape& shape, std::type_identity_t<T> low = 0, std::type_identity_t<T> high = 1);

/// 0 … n − 1 in random order (Fisher-Yates), drawn from the calling thread's generator or from one's own.
std::vector<std::size_t> permutation(std::size_t n, std::mt19937_64& engine = generator());

}  // namespace xtape::random

namespace xtape {
namespace detail {

/// The state of a generator as a text, the same with every standard library: as GCC's writes it.
std::string generator_text(std::mt19937_64 engine);
/// False where the text is none of a state, of this library's or as a standard library writes it.
bool read_generator(const std::string& text, std::mt19937_64& engine);

/// Where the random numbers of this thread are: a function that is run again from here draws the same.
class RandomPoint {
 public:
  RandomPoint();
  void rewind() const;

 private:
  ValueRef engine_;          ///< a copy of the generator, in a block of the pool
  std::uint64_t trace_ = 0;  ///< the number of the trace in which it was made, and where that was
  std::size_t drawn_ = 0;
  bool draws_now_ = false;
};

/// The thread's random numbers from an earlier point on, while it lives.
class RandomAgain {
 public:
  [[nodiscard]] explicit RandomAgain(const RandomPoint& then) { then.rewind(); }
  ~RandomAgain() { now_.rewind(); }
  RandomAgain(const RandomAgain&) = delete;
  RandomAgain& operator=(const RandomAgain&) = delete;

 private:
  RandomPoint now_;
};

}  // namespace detail
}  // namespace xtape
