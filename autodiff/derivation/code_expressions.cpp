// Elementwise operations as C++: the formulas of the rules, kernels/*_rules.hpp, so that results agree to the
// last digits and special cases are guarded in the same way.
#include <charconv>
#include <cmath>
#include <set>

#include "code.hpp"

namespace xtape::detail {
namespace {

struct HelperFunction {
  const char *name, *text;
};

// Each after those that it calls.
constexpr HelperFunction functions[] = {
    {"row", R"(
// A negative index counts from the end.
inline std::size_t row(std::ptrdiff_t index, std::ptrdiff_t n) {
  return static_cast<std::size_t>(index < 0 ? index + n : index);
})"},
    {"maximum", R"(
template <class T>
inline T maximum(T a, T b) {
  return a > b || a != a ? a : b;
})"},
    {"minimum", R"(
template <class T>
inline T minimum(T a, T b) {
  return a < b || a != a ? a : b;
})"},
    {"clamp", R"(
template <class T>
inline T clamp(T x, T low, T high) {
  return x < low ? low : x > high ? high : x;
})"},
    {"sign", R"(
template <class T>
inline T sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x;
})"},
    {"square", R"(
template <class T>
inline T square(T x) {
  return x * x;
})"},
    {"sigmoid", R"(
template <class T>
inline T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
})"},
    {"log_sigmoid", R"(
template <class T>
inline T log_sigmoid(T x) {
  return (x < 0 || x != x ? x : T(-0.0)) - std::log1p(std::exp(-std::abs(x)));
})"},
    {"softplus", R"(
template <class T>
inline T softplus(T x) {
  return (x > 0 || x != x ? x : T(0)) + std::log1p(std::exp(-std::abs(x)));
})"},
    {"relu", R"(
template <class T>
inline T relu(T x) {
  return x <= 0 ? T(0) : x;
})"},
    {"leaky_relu", R"(
template <class T>
inline T leaky_relu(T x, T slope) {
  return x > 0 ? x : slope * x;
})"},
    {"elu", R"(
template <class T>
inline T elu(T x, T limit) {
  return x > 0 ? x : limit * std::expm1(x);
})"},
    {"gelu", R"(
template <class T>
inline T gelu(T x) {
  const T phi = T(0.5) * (1 + std::erf(x * T(0.70710678118654752440)));
  return phi == 0 ? T(-0.0) : x * phi;
})"},
    {"silu", R"(
template <class T>
inline T silu(T x) {
  const T s = 1 / (1 + std::exp(-x));
  return s == 0 ? T(-0.0) : x * s;
})"},
    {"erfinv", R"(
// Winitzki's approximation, and Newton's steps from there.
template <class T>
inline T erfinv(T x) {
  const T infinity = std::numeric_limits<T>::infinity(), size = std::abs(x);
  if (size == 1) return x * infinity;
  if (!(size < 1)) return std::numeric_limits<T>::quiet_NaN();
  const T half_log = std::log1p(-x * x) / 2, t = T(4.3307467508) + half_log;
  T y = std::copysign(std::sqrt(std::sqrt(t * t - half_log / T(0.0735)) - t), x);
  for (int i = 0; i < 5; ++i) {
    const T beyond = x > T(0.5)    ? (1 - x) - std::erfc(y)
                     : x < T(-0.5) ? std::erfc(-y) - (1 + x)
                                   : std::erf(y) - x;
    y -= beyond * T(0.88622692545275801365) * std::exp(y * y);
  }
  return y;
})"},
    {"polygamma", R"(
// Where x is large, by the asymptotic series; from there by the recurrence. Not for x below -1e5.
template <class T>
inline T polygamma(T order, T x) {
  const T bernoulli[] = {T(1) / 6, T(-1) / 30, T(1) / 42,      T(-1) / 30,
                         T(5) / 66, T(-691) / 2730, T(7) / 6, T(-3617) / 510};
  if (x < T(-1e5)) return std::numeric_limits<T>::quiet_NaN();
  const T n = order, sign = std::fmod(n, T(2)) == 0 ? T(-1) : T(1), factorial = std::tgamma(n + 1);
  T sum = 0;
  for (; x < 15 + n; x += 1) sum += factorial / std::pow(x, n + 1);
  if (n == 0)
    sum -= std::log(x);
  else
    sum += factorial / n / std::pow(x, n);
  sum += factorial / (2 * std::pow(x, n + 1));
  T term = factorial * (n + 1) / (2 * std::pow(x, n + 2)), k = 2;
  for (const T b : bernoulli) {
    sum += b * term;
    term *= (k + n) * (k + n + 1) / ((k + 1) * (k + 2) * x * x);
    k += 2;
  }
  return sign * sum;
})"},
    {"log_add_exp", R"(
template <class T>
inline T log_add_exp(T a, T b) {
  if (a == b) return a + T(0.69314718055994530942);
  return (a > b || a != a ? a : b) + std::log1p(std::exp(-std::abs(a - b)));
})"},
    {"binary_cross_entropy", R"(
template <class T>
inline T binary_cross_entropy(T p, T y) {
  const T yes = std::log(p), no = std::log1p(-p);
  return -(y * (yes < -100 ? T(-100) : yes) + (1 - y) * (no < -100 ? T(-100) : no));
})"},
    {"binary_cross_entropy_with_logits", R"(
template <class T>
inline T binary_cross_entropy_with_logits(T z, T y) {
  const T wrong = z > 0 ? 1 - y : y;
  return (wrong == 0 ? T(0) : std::abs(z) * wrong) + std::log1p(std::exp(-std::abs(z)));
})"},
};

bool calls(const std::string& text, const std::string& name) {
  for (std::size_t at = text.find(name + "("); at != std::string::npos; at = text.find(name + "(", at + 1))
    if (at == 0 || (!std::isalnum(static_cast<unsigned char>(text[at - 1])) && text[at - 1] != '_' &&
                    text[at - 1] != ':'))
      return true;
  return false;
}

}  // namespace

std::string code_expression(OpNumber op, const std::string& p, const std::string& q) {
  switch (op) {
    case OpNumber::Negative:
      return "-$0";
    case OpNumber::Reciprocal:
      return "1 / $0";
    case OpNumber::PowerScalar:
      return "std::pow($0, " + p + ")";
    case OpNumber::Square:
      return "$0 * $0";
    case OpNumber::Sqrt:
      return "std::sqrt($0)";
    case OpNumber::Cbrt:
      return "std::cbrt($0)";
    case OpNumber::Exp:
      return "std::exp($0)";
    case OpNumber::Expm1:
      return "std::expm1($0)";
    case OpNumber::Log:
      return "std::log($0)";
    case OpNumber::Log1p:
      return "std::log1p($0)";
    case OpNumber::Log2:
      return "std::log2($0)";
    case OpNumber::Log10:
      return "std::log10($0)";
    case OpNumber::Sin:
      return "std::sin($0)";
    case OpNumber::Cos:
      return "std::cos($0)";
    case OpNumber::Tan:
      return "std::tan($0)";
    case OpNumber::Asin:
      return "std::asin($0)";
    case OpNumber::Acos:
      return "std::acos($0)";
    case OpNumber::Atan:
      return "std::atan($0)";
    case OpNumber::Sinh:
      return "std::sinh($0)";
    case OpNumber::Cosh:
      return "std::cosh($0)";
    case OpNumber::Tanh:
      return "std::tanh($0)";
    case OpNumber::Asinh:
      return "std::asinh($0)";
    case OpNumber::Acosh:
      return "std::acosh($0)";
    case OpNumber::Atanh:
      return "std::atanh($0)";
    case OpNumber::Erf:
      return "std::erf($0)";
    case OpNumber::Erfc:
      return "std::erfc($0)";
    case OpNumber::Erfinv:
      return "erfinv($0)";
    case OpNumber::LogGamma:
      return "std::lgamma($0)";
    case OpNumber::Polygamma:
      return "polygamma(" + p + ", $0)";
    case OpNumber::Floor:
      return "std::floor($0)";
    case OpNumber::Ceil:
      return "std::ceil($0)";
    case OpNumber::Round:
      return "std::nearbyint($0)";
    case OpNumber::Sigmoid:
      return "sigmoid($0)";
    case OpNumber::LogSigmoid:
      return "log_sigmoid($0)";
    case OpNumber::Softplus:
      return "softplus($0)";
    case OpNumber::Relu:
      return "relu($0)";
    case OpNumber::LeakyRelu:
      return "leaky_relu($0, " + p + ")";
    case OpNumber::Elu:
      return "elu($0, " + p + ")";
    case OpNumber::Gelu:
      return "gelu($0)";
    case OpNumber::Silu:
      return "silu($0)";
    case OpNumber::Abs:
      return "std::abs($0)";
    case OpNumber::Sign:
      return "sign($0)";
    case OpNumber::Clamp:
      return "clamp($0, " + p + ", " + q + ")";
    case OpNumber::Add:
      return "$0 + $1";
    case OpNumber::Subtract:
      return "$0 - $1";
    case OpNumber::Multiply:
      return "$0 * $1";
    case OpNumber::Divide:
      return "$0 / $1";
    case OpNumber::Power:
      return "std::pow($0, $1)";
    case OpNumber::Fmod:
      return "std::fmod($0, $1)";
    case OpNumber::Atan2:
      return "std::atan2($0, $1)";
    case OpNumber::Hypot:
      return "std::hypot($0, $1)";
    case OpNumber::LogAddExp:
      return "log_add_exp($0, $1)";
    case OpNumber::Maximum:
      return "maximum($0, $1)";
    case OpNumber::Minimum:
      return "minimum($0, $1)";
    case OpNumber::Greater:
      return "$0 > $1 ? $T(1) : $T(0)";
    case OpNumber::GreaterEqual:
      return "$0 >= $1 ? $T(1) : $T(0)";
    case OpNumber::Equal:
      return "$0 == $1 ? $T(1) : $T(0)";
    case OpNumber::SquaredDifference:
      return "square($0 - $1)";
    case OpNumber::BinaryCrossEntropy:
      return "binary_cross_entropy($0, $1)";
    case OpNumber::BinaryCrossEntropyWithLogits:
      return "binary_cross_entropy_with_logits($0, $1)";
    case OpNumber::Where:
      return "$0 == 0 ? $2 : $1";
    case OpNumber::count:
      break;
  }
  return {};
}

std::string code_functions(const std::string& text) {
  std::string all;
  for (const HelperFunction& one : functions)
    if (calls(text, one.name)) all += one.text + std::string("\n");
  return all;
}

std::string code_number(double x, CodeType type) {
  const char* const name = code_name(type);
  const std::string limits = "std::numeric_limits<" + std::string(name) + ">::";
  if (std::isnan(x)) return limits + "quiet_NaN()";
  if (std::isinf(x)) return (x < 0 ? "(-" : "") + limits + "infinity()" + (x < 0 ? ")" : "");
  char digits[64];
  const auto end = type == CodeType::real32 ? std::to_chars(digits, digits + 64, static_cast<float>(x)).ptr
                                            : std::to_chars(digits, digits + 64, x).ptr;
  std::string number(digits, end);
  if (number.find_first_of(".e") == std::string::npos) number += ".0";
  if (type == CodeType::real32) number += "f";
  return std::signbit(x) ? "(" + number + ")" : number;
}

const char* code_name(CodeType type) {
  return type == CodeType::real64 ? "double" : type == CodeType::real32 ? "float" : "std::ptrdiff_t";
}

}  // namespace xtape::detail
