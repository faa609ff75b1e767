// Numbers of every type in files: read, written and rounded.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "foreign.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

template <class T>
Tensor<T> loaded(const std::string& type, const std::string& elements, std::size_t count) {
  const Path path;
  write(path.name, entry("x", type, std::to_string(count), 0, elements.size()), elements);
  return nn::load_tensors<T>(path.name, {.convert = true}).at("x");
}

/// What a small floating format says, by its definition.
double by_definition(unsigned bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  const int mantissa = static_cast<int>(bits & ((1u << mantissa_bits) - 1));
  const int exponent = static_cast<int>(bits >> mantissa_bits) & top;
  const double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1 : 1;
  if (exponent_bits == 4 && exponent == top && mantissa == 7) return std::nan("");
  if (exponent_bits != 4 && exponent == top) return mantissa ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

/// The 16-bit numbers that a file of this type stores for x.
template <class T>
std::vector<unsigned> stored(nn::DType type, const std::vector<T>& x) {
  const Path path;
  nn::save_tensors<T>(path.name, {.tensors = {{"x", Tensor<T>(x)}}, .metadata = {}}, {.dtype = type});
  std::ifstream in(path.name, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::vector<unsigned> numbers;
  for (std::size_t i = bytes.size() - 2 * x.size(); i < bytes.size(); i += 2)
    numbers.push_back(static_cast<unsigned char>(bytes[i]) + 256u * static_cast<unsigned char>(bytes[i + 1]));
  return numbers;
}

}  // namespace

TEST_CASE_TEMPLATE("every number of 8 and 16 bits is what its definition says", T, float, double) {
  const auto check_all = [](const char* type, std::size_t bytes, int exponent, int mantissa) {
    const std::size_t count = std::size_t(1) << 8 * bytes;
    std::vector<std::uint16_t> two(count);
    std::vector<std::uint8_t> one(count);
    for (std::size_t i = 0; i < count; ++i) {
      two[i] = static_cast<std::uint16_t>(i);
      one[i] = static_cast<std::uint8_t>(i);
    }
    const Tensor<T> x = loaded<T>(type, bytes == 2 ? bytes_of(two) : bytes_of(one), count);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i)
      wrong +=
          !same(x.data()[i], static_cast<T>(by_definition(static_cast<unsigned>(i), exponent, mantissa)));
    CAPTURE(type);
    CHECK(wrong == 0);
  };
  check_all("F16", 2, 5, 10);
  check_all("BF16", 2, 8, 7);
  check_all("F8_E5M2", 1, 5, 2);
  check_all("F8_E4M3", 1, 4, 3);
}

TEST_CASE("integers and booleans, and those that T does not have") {
  check_close(loaded<float>("I8", bytes_of<std::int8_t>({-128, 127}), 2), {-128, 127}, 0);
  check_close(loaded<float>("U8", bytes_of<std::uint8_t>({0, 255}), 2), {0, 255}, 0);
  check_close(loaded<float>("I16", bytes_of<std::int16_t>({-32768, 32767}), 2), {-32768, 32767}, 0);
  check_close(loaded<float>("U16", bytes_of<std::uint16_t>({1, 65535}), 2), {1, 65535}, 0);
  check_close(loaded<float>("I32", bytes_of<std::int32_t>({-16777216, INT32_MIN}), 2),
              {-16777216, -2147483648.0}, 0);
  check_close(loaded<double>("U32", bytes_of<std::uint32_t>({7, 4294967295u}), 2), {7, 4294967295.0}, 0);
  check_close(loaded<double>("I64", bytes_of<std::int64_t>({-9007199254740992, INT64_MIN}), 2),
              {-9007199254740992.0, -9223372036854775808.0}, 0);
  check_close(loaded<double>("U64", bytes_of<std::uint64_t>({1ull << 63, 0}), 2), {9223372036854775808.0, 0},
              0);
  check_close(loaded<float>("BOOL", std::string("\0\1\2", 3), 3), {0, 1, 1}, 0);
  check_close(
      loaded<float>("F64",
                    bytes_of<std::uint64_t>({0x7fefffffffffffff, 0x3ff0000010000001, 0x3ff0000010000000}), 3),
      {HUGE_VAL, 1 + std::ldexp(1.0, -23), 1}, 0);

  const auto refused = [](const std::string& text, const std::string& type, auto of,
                          const std::string& elements) {
    CHECK(text_of([&] { loaded<decltype(of)>(type, elements, 2); }).find(text) != std::string::npos);
  };
  refused("'x' of type I32 holds an integer that F32 does not have, at element 1: leave it out", "I32", 0.0f,
          bytes_of<std::int32_t>({1, 16777217}));
  refused("'x' of type U32 holds an integer that F32 does not have, at element 0: leave it out", "U32", 0.0f,
          bytes_of<std::uint32_t>({4294967295u, 4294967295u}));
  refused("'x' of type I64 holds an integer that F64 does not have, at element 1: leave it out", "I64", 0.0,
          bytes_of<std::int64_t>({1, -9007199254740993}));
  refused("'x' of type U64 holds an integer that F64 does not have, at element 1: leave it out", "U64", 0.0,
          bytes_of<std::uint64_t>({1, ~0ull}));
  for (const char* type : {"C64", "F4", "F8_E8M0", "f4", ""})
    refused("'x' is of type " + std::string(type) + ", which cannot be read", type, 0.0, "12345678");
}

TEST_CASE("numbers are stored in 16 bits as PyTorch rounds them") {
  const Json& golden = expected().at("rounding");
  std::vector<float> x;
  for (const std::uint32_t bits : golden.at("float").get<std::vector<std::uint32_t>>())
    x.push_back(std::bit_cast<float>(bits));
  REQUIRE(x.size() > 300);
  for (const auto& [type, name, infinite] :
       {std::tuple{nn::DType::f16, "F16", 0x7c00u}, {nn::DType::bf16, "BF16", 0x7f80u}}) {
    const auto expected = golden.at(name).get<std::vector<unsigned>>();
    const auto found = stored(type, x), from_double = stored(type, std::vector<double>(x.begin(), x.end()));
    CHECK(found == from_double);
    for (std::size_t i = 0; i < x.size(); ++i) {
      CAPTURE(x[i]);
      if (std::isnan(x[i]))
        CHECK((found[i] & 0x7fff) > infinite);
      else
        CHECK(found[i] == expected[i]);
    }
  }
}

TEST_CASE(
    "between any two neighbours of 16 bits, the half goes to the even one, and the rest to the nearer") {
  for (const auto& [type, exponent] : {std::pair{nn::DType::f16, 5}, {nn::DType::bf16, 8}}) {
    const unsigned infinite = ((1u << exponent) - 1) << (15 - exponent);
    std::vector<double> x;
    std::vector<unsigned> expected;
    for (unsigned bits = 0; bits < infinite; ++bits) {
      const double low = by_definition(bits, exponent, 15 - exponent);
      // Above the largest, where the next would be.
      const double high = bits + 1 < infinite ? by_definition(bits + 1, exponent, 15 - exponent)
                                              : std::ldexp(1.0, 1 << (exponent - 1));
      const double half = (low + high) / 2;
      for (const auto& [number, is_up] : {std::pair{low, false},
                                          {std::nextafter(half, 0), false},
                                          {half, bits % 2 == 1},
                                          {std::nextafter(half, HUGE_VAL), true}}) {
        x.insert(x.end(), {number, -number});
        expected.insert(expected.end(), {bits + is_up, (bits + is_up) | 0x8000});
      }
    }
    CHECK(stored(type, x) == expected);
  }
}

TEST_CASE("saved with another type, and with the format that other loaders ask for") {
  const Path path;
  const Tensor<double> x{1, 1 + std::ldexp(1.0, -30), 1e300, -70000};
  const auto header = [&] {
    std::ifstream in(path.name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    return Json::parse(
        bytes.substr(8, static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) +
                            static_cast<std::size_t>(static_cast<unsigned char>(bytes[1])) * 256));
  };
  for (const auto& [type, name, expected] :
       {std::tuple{nn::DType::f32, "F32", Tensor<double>{1, 1, HUGE_VAL, -70000}},
        {nn::DType::f16, "F16", Tensor<double>{1, 1, HUGE_VAL, -HUGE_VAL}},
        {nn::DType::bf16, "BF16", Tensor<double>{1, 1, HUGE_VAL, -70144}},
        {nn::DType::f64, "F64", x}}) {
    nn::save_tensors<double>(path.name, {{{"x", x}}, {{"note", "1"}}}, {.dtype = type});
    CHECK(header().at("x").at("dtype") == name);
    CHECK(header().at("__metadata__").at("format") == "pt");
    const auto content = nn::load_tensors<double>(path.name, {.convert = true});
    check_close(content.at("x"), expected, 0);
    CHECK(content.metadata == nn::Notes{{"note", "1"}});
  }
  for (const char* format : {"pt", "flax"}) {  // one that the caller names stays
    nn::save_tensors<double>(path.name, {{{"x", x}}, {{"format", format}}});
    CHECK(header().at("__metadata__").at("format") == format);
    CHECK(nn::load_tensors<double>(path.name).metadata == nn::Notes{{"format", format}});
  }
  // Many numbers, in several pieces.
  const Tensor<float> many = random::normal<float>({123, 457});
  nn::save_tensors<float>(path.name, {{{"x", many}}, {}}, {.dtype = nn::DType::f64});
  CHECK(same_bits(nn::load_tensors<float>(path.name, {.convert = true}).at("x"), many));
}

TEST_CASE("numbers are read as std::from_chars reads them, whatever the standard library") {
  using engine::ReadNumber;
  struct Row {
    std::string text;
    double number;
    std::size_t length;
    ReadNumber result = ReadNumber::good;
  };
  const double inf = std::numeric_limits<double>::infinity();
  for (const Row& row : std::initializer_list<Row>{
           {"1.5e3,", 1500, 5},
           {".5", 0.5, 2},
           {"-5.", -5, 3},
           {"1e", 1, 1},
           {"1e+", 1, 1},
           {"2E+05", 2e5, 5},
           {"0x1p3", 0, 1},
           {"0e999", 0, 5},
           {"1e-320", 1e-320, 6},
           {"-Infinity", -inf, 9},
           {"infin", inf, 3},
           {"1e999", 7, 5, ReadNumber::out_of_range},
           {"-1e-400", 7, 7, ReadNumber::out_of_range},
           {"", 7, 0, ReadNumber::none},
           {"-.", 7, 0, ReadNumber::none},
           {"+1", 7, 0, ReadNumber::none},
           {" 1", 7, 0, ReadNumber::none},
           {"- 1", 7, 0, ReadNumber::none},
           {"e1", 7, 0, ReadNumber::none},
       }) {
    CAPTURE(row.text);
    const char* at = row.text.data();
    double number = 7;
    CHECK(engine::read_number(at, at + row.text.size(), number) == row.result);
    CHECK(number == row.number);
    CHECK(at == row.text.data() + row.length);
  }
  for (const double number : {0.1, -3.0, 1e300, 5e-324, -inf, std::nan(""), -std::nan("")}) {
    const std::string text = engine::exact_text(number);
    const char *at = text.data(), *const end = at + text.size();
    double read = 7;
    CHECK(engine::read_number(at, end, read) == ReadNumber::good);
    CHECK(at == end);
    CHECK(std::bit_cast<std::uint64_t>(read) == std::bit_cast<std::uint64_t>(number));
  }
}
