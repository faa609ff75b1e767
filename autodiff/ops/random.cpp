// Distributions written out, since those of the standard library differ between implementations.
#include "../random.hpp"

#include "../base/text.hpp"
#include "../platform/system.hpp"
#include "../tape/op.hpp"
#include "../threads.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <memory>
#include <mutex>
#include <numbers>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "random_words.hpp"

namespace xtape::random {
namespace {

/// In [0, 1), 53 bits of a number of the generator.
double unit(std::uint64_t number) {
  return static_cast<double>(static_cast<std::int64_t>(number >> 11)) * 0x1p-53;
}

// Of the mathematical library, machines have versions that differ in the last bit. These are sums of + − · ÷,
// which IEEE 754 defines.

/// ln x for 0 < x ≤ 1.
double logarithm(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < std::numbers::sqrt2 / 2) m *= 2, --exponent;
  const double s = (m - 1) / (m + 1), square = s * s;  // ln m = 2 (s + s³/3 + s⁵/5 + …), |s| < 0.172
  double sum = 0;
  for (int k = 21; k > 0; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * std::numbers::ln2 + 2 * s * sum;
}

/// {cos 2πx, sin 2πx} for 0 ≤ x < 1.
std::pair<double, double> on_circle(double x) {
  const int quarter = static_cast<int>(4 * x + 0.5);
  const double angle = 2 * std::numbers::pi * (x - quarter * 0.25), square = angle * angle;
  double cosine = 1, sine = 1;  // 1 − a²/2 (1 − a²/12 (…)) and 1 − a²/6 (1 − a²/20 (…)), |a| ≤ π/4
  for (int k = 18; k > 0; k -= 2) cosine = 1 - cosine * (square * (1.0 / (k * (k - 1))));
  for (int k = 19; k > 1; k -= 2) sine = 1 - sine * (square * (1.0 / (k * (k - 1))));
  sine *= angle;
  if (quarter % 2 != 0) cosine = std::exchange(sine, cosine), cosine = -cosine;
  return quarter % 4 < 2 ? std::pair{cosine, sine} : std::pair{-cosine, -sine};
}

// What other threads' generators are made of.
const std::thread::id main_thread = std::this_thread::get_id();  // as long as the library is loaded by it
XTAPE_CONSTINIT std::mutex stream_mutex;
constinit std::uint64_t main_seed = 0;  ///< the last seed of the main thread
constinit std::uint64_t streams = 0;    ///< threads that have drawn since
[[maybe_unused]] const bool whole_in_forks = xtape::platform::hold_over_fork<stream_mutex>();

std::mt19937_64 next_stream() {
  if (std::this_thread::get_id() == main_thread) return std::mt19937_64(0);
  const std::scoped_lock lock(stream_mutex);
  const std::uint64_t n = streams + 1;
  std::seed_seq words{main_seed, main_seed >> 32, n, n >> 32};  // of 32 bits each
  std::mt19937_64 engine(words);
  streams = n;
  return engine;
}

}  // namespace

namespace {

std::mt19937_64& engine_of_thread() {
  thread_local std::mt19937_64 engine = next_stream();
  return engine;
}

template <class T>
struct Normal {
  T mean, sd;
  static constexpr const char* name = "random::normal";
  static constexpr bool is_random = true;
  bool operator==(const Normal&) const = default;

  void compute(detail::Target<T> y) const {
    const std::size_t count = y.size + y.size % 2;
    detail::each_drawn(engine_of_thread(), count, 32, [&](std::size_t i, std::size_t last, auto&& draw) {
      for (; i < last; i += 2) {
        const double radius = std::sqrt(-2 * logarithm(1 - unit(draw())));
        const auto [cosine, sine] = on_circle(unit(draw()));
        y.data[i] = mean + sd * static_cast<T>(radius * cosine);
        if (i + 1 < y.size) y.data[i + 1] = mean + sd * static_cast<T>(radius * sine);
      }
    });
  }
};

template <class T>
struct Uniform {
  T low, high;
  static constexpr const char* name = "random::uniform";
  static constexpr bool is_random = true;
  bool operator==(const Uniform&) const = default;

  void compute(detail::Target<T> y) const {
    detail::each_drawn(engine_of_thread(), y.size, 4, [&](std::size_t i, std::size_t last, auto&& draw) {
      for (; i < last; ++i) {
        const T r = low + (high - low) * static_cast<T>(unit(draw()));
        y.data[i] = r < high ? r : low;  // rounding to float may reach the upper end
      }
    });
  }
};

template <class T, class Op>
Tensor<T> draw(const Op& op, const Shape& shape) {
  using namespace detail;
  if (tracing && !tracing->draws_now)
    return Tensor<T>(
        Handle{tracing->add_random(operation<T, Op>, std::make_shared<const Op>(op), shape, sizeof(T)), {}});
  Tensor<T> x = Tensor<T>::uninitialized(shape, op.name);
  op.compute({x.mutable_data(), x.size()});
  return x;
}

}  // namespace

std::mt19937_64& generator() {
  if (detail::tracing)
    throw Error(
        "random::generator",
        "the function is traced, and its program draws by random::normal() and random::uniform() alone");
  return engine_of_thread();
}

void seed(std::uint64_t n) {
  generator().seed(n);
  if (std::this_thread::get_id() != main_thread) return;
  const std::scoped_lock lock(stream_mutex);
  main_seed = n;
  streams = 0;
}

template <class T>
Tensor<T> normal(const Shape& shape, std::type_identity_t<T> mean, std::type_identity_t<T> sd) {
  if (!(sd >= 0))
    throw Error("random::normal", "the standard deviation " +
                                      xtape::detail::number_text(static_cast<double>(sd)) + " is negative");
  return draw<T>(Normal<T>{mean, sd}, shape);
}

template <class T>
Tensor<T> uniform(const Shape& shape, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  if (!(low <= high))
    throw Error("random::uniform", "low " + xtape::detail::number_text(static_cast<double>(low)) +
                                       " is above high " +
                                       xtape::detail::number_text(static_cast<double>(high)));
  return draw<T>(Uniform<T>{low, high}, shape);
}

std::vector<std::size_t> permutation(std::size_t n, std::mt19937_64& engine) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) {
    const auto j = static_cast<std::size_t>(unit(engine()) * static_cast<double>(i));
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

template Tensor<float> normal<float>(const Shape&, float, float);
template Tensor<double> normal<double>(const Shape&, double, double);
template Tensor<float> uniform<float>(const Shape&, float, float);
template Tensor<double> uniform<double>(const Shape&, double, double);

}  // namespace xtape::random

namespace xtape::detail {

// Standard libraries write the state in two ways: GCC's has the words of a round, and how many are drawn of
// them; libc++ has the last words that were drawn. A text of GCC's that is read by libc++ would be other
// numbers.
std::string generator_text(std::mt19937_64 engine) {
  std::string text;
  for (std::size_t i = 0; i < Twister::size; ++i) text += std::to_string(Twister::word(engine())) + ' ';
  return text + '0';
}

bool read_generator(const std::string& text, std::mt19937_64& engine) {
  constexpr std::size_t size = Twister::size;
  std::array<Twister::Word, 2 * size> words{};
  Twister::Word* const round = words.data() + size;
  std::size_t drawn = size;
  const char *at = text.data(), *const end = at + text.size();
  const auto read = [&](auto& number) {
    while (at != end && (*at == ' ' || *at == '\n')) ++at;
    const auto [rest, code] = std::from_chars(at, end, number);
    at = rest;
    return code == std::errc();
  };
  for (std::size_t i = 0; i < size; ++i)
    if (!read(round[i])) return false;
  if (at != end && !(read(drawn) && drawn <= size)) return false;
  Twister::retreat(words.data());
  Twister::State state{words.data() + drawn};
  engine.seed(state);
  return at == end;
}

static_assert(std::is_trivially_destructible_v<std::mt19937_64>);

RandomPoint::RandomPoint() : engine_(make_value({sizeof(std::mt19937_64)}, 1, "random")) {
  ::new (engine_->data) std::mt19937_64(random::engine_of_thread());
  if (!tracing) return;
  trace_ = tracing->number();
  drawn_ = tracing->drawn;
  draws_now_ = tracing->draws_now;
}

void RandomPoint::rewind() const {
  random::engine_of_thread() = *engine_->elements<std::mt19937_64>();
  if (!tracing) return;
  tracing->draws_now = trace_ != tracing->number() || draws_now_;
  if (trace_ == tracing->number()) tracing->drawn = drawn_;
}

}  // namespace xtape::detail
