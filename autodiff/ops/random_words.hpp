// The numbers of a generator in large quantities: by its recurrence, with what follows from them on several
// threads. They are those that engine() gives, and it goes on after them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>

#include "../base/pool_vector.hpp"
#include "../kernels/kernels.hpp"

namespace xtape::detail {

/// The Mersenne Twister (Matsumoto and Nishimura, 1998; Nishimura, 2000): each word of its sequence follows
/// from those `size` and `size` − 1 and `shift` places before it, and a number is a word that is tempered.
struct Twister {
  using Engine = std::mt19937_64;
  using Word = std::uint64_t;
  static constexpr std::size_t size = Engine::state_size, shift = Engine::shift_size;
  static_assert(size == 2 * shift);

  static Word temper(Word x) {
    x ^= first(x);
    x ^= second(x);
    x ^= third(x);
    return x ^ x >> Engine::tempering_l;
  }
  /// The word of a number.
  static Word word(Word number) {
    const auto solve = [](Word y, auto&& part) {  // x = y ^ part(x): each time more bits of x are right
      Word x = y;
      for (int i = 0; i < 3; ++i) x = y ^ part(x);
      return x;
    };
    number = solve(number, [](Word x) { return x >> Engine::tempering_l; });
    return solve(solve(solve(number, third), second), first);
  }
  /// The `shift` words behind the `size` ones from x on.
  static void extend(Word* x) {
    constexpr Word low = (Word{1} << Engine::mask_bits) - 1;
    for (std::size_t i = 0; i < shift; ++i) {
      const Word y = (x[i] & ~low) | (x[i + 1] & low);
      x[size + i] = x[shift + i] ^ y >> 1 ^ ((Word{0} - (y & 1)) & Engine::xor_mask);
    }
  }
  /// The `size` words before the `size` ones from x + size on, but for bits of the first that none follows
  /// from.
  static void retreat(Word* x) {
    constexpr Word low = (Word{1} << Engine::mask_bits) - 1;
    for (std::size_t i = size; i-- > 0;) {
      const Word mixed = x[size + i] ^ x[shift + i], odd = mixed >> 63;  // the highest bit of the mask is set
      const Word y = (mixed ^ ((Word{0} - odd) & Engine::xor_mask)) << 1 | odd;
      x[i] = y & ~low;
      if (i + 1 < size) x[i + 1] |= y & low;
    }
  }
  /// As a sequence of seeds, `size` words: the engine goes on behind them.
  struct State {
    using result_type = std::uint32_t;
    const Word* words;
    template <class To>
    void generate(To to, To end) {
      for (std::size_t i = 0; to != end; ++to, ++i)
        *to = static_cast<result_type>(words[i / 2] >> (i % 2 * 32));
    }
  };

 private:
  static Word first(Word x) { return x >> Engine::tempering_u & Engine::tempering_d; }
  // Masked first: the sanitizer of integers takes a bit that is shifted out for a mistake.
  static Word second(Word x) {
    return (x & Engine::tempering_b >> Engine::tempering_s) << Engine::tempering_s;
  }
  static Word third(Word x) {
    return (x & Engine::tempering_c >> Engine::tempering_t) << Engine::tempering_t;
  }
};

/// f(first, last, draw) for parts of `count` numbers of the engine, which draw() gives one after the other;
/// parts begin at even places. What f does with a number takes as long as elementwise work on `cost`
/// elements.
template <class F>
void each_drawn(std::mt19937_64& engine, std::size_t count, std::size_t cost, const F& f) {
  using Word = Twister::Word;
  constexpr std::size_t size = Twister::size, most = part_size;
  if (count < 8 * size) return f(std::size_t(0), count, [&] { return engine(); });
  const auto part = [&](std::size_t first, std::size_t last, const Word* word) {
    f(first, last, [&] { return Twister::temper(*word++); });
  };
  // `size` words and those that follow from them, and the same for those after these: one thread makes them
  // while others work on these.
  const std::size_t room = size + quotient_up(std::min(count, most), Twister::shift) * Twister::shift;
  PoolVector<Word> memory(2 * room);
  Word *now = memory.data(), *next = now + room;
  const auto extend = [](Word* words, std::size_t n) {
    for (std::size_t i = 0; i < n; i += Twister::shift) Twister::extend(words + i);
  };
  for (std::size_t i = 0; i < size; ++i) now[i] = Twister::word(engine());
  part(0, size, now);
  std::size_t done = size, n = std::min(most, count - done);
  extend(now, n);
  const bool is_shared = count * cost >= parallel_size;
  const std::size_t length = is_shared ? std::max<std::size_t>(1, part_size / 4 / cost) * 2 : most;
  while (n != 0) {
    const std::size_t then = std::min(most, count - done - n), parts = 1 + quotient_up(n, length);
    const auto task = [&](std::size_t i) {
      if (i == 0) {
        std::copy_n(now + n, size, next);
        return extend(next, then);
      }
      const std::size_t first = (i - 1) * length;
      part(done + first, done + std::min(n, first + length), now + size + first);
    };
    if (is_shared)
      parallel_for(parts, task);
    else
      for (std::size_t i = 0; i < parts; ++i) task(i);
    done += n;
    n = then;
    std::swap(now, next);
  }
  Twister::State state{now};
  engine.seed(state);
}

}  // namespace xtape::detail
