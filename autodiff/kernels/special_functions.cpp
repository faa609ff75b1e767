// The only file that includes Boost.
#include "special_functions.hpp"

#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <boost/math/special_functions/trigamma.hpp>
#include <cmath>
#include <limits>

namespace xtape::detail::special {
namespace {

namespace policies = boost::math::policies;

/// Infinities and NaN where Boost would throw.
using Policy = policies::policy<
    policies::domain_error<policies::ignore_error>, policies::pole_error<policies::ignore_error>,
    policies::overflow_error<policies::ignore_error>, policies::evaluation_error<policies::ignore_error>>;
/// Double in double: in long double, in which the others are, it takes 20 times as long.
using Fast = policies::normalise<Policy, policies::promote_double<false>>::type;

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

template <class T>
bool is_pole(T x) {
  return x <= 0 && std::floor(x) == x;
}

template <class T>
T log_gamma(T x) {
  if (std::isnan(x)) return x;
  return std::isinf(x) || is_pole(x) ? infinity<T> : boost::math::lgamma(x, Policy());
}

/// ∞ with the sign of −1/(x − pole)ⁿ⁺¹ for the next pole, which is 0 for all positive x.
template <class T>
T infinite_derivative(int n, T x) {
  return n % 2 == 1 ? infinity<T> : std::copysign(infinity<T>, x > 0 ? -x : std::nearbyint(x) - x);
}

template <class T>
T derivative_of_digamma(int n, T x) {
  if (std::isnan(x) || x == -infinity<T>) return not_a_number<T>;
  if (x == infinity<T>) return n == 0 ? x : n % 2 == 0 ? T(-0.0) : T(0);
  if (is_pole(x)) return n % 2 == 1 ? infinity<T> : x == 0 ? std::copysign(infinity<T>, -x) : not_a_number<T>;
  if (n > 170) {  // where Boost takes time that grows with n², and then gives up
    const T distance = x > 0 ? x : std::abs(x - std::nearbyint(x));  // to the next pole
    // Between two poles those on both sides cancel each other, as far as there are any on the left.
    if (x < 0 && distance == T(0.5) && n % 2 == 0) return derivative_of_digamma(n, 1 - x);
    constexpr T beyond = 12000;  // e to this is more than a long double holds
    if (log_gamma(T(n) + 1) - (T(n) + 1) * std::log(distance) > beyond) return infinite_derivative(n, x);
  }
  const T y = n == 0   ? boost::math::digamma(x, Policy())
              : n == 1 ? boost::math::trigamma(x, Policy())
                       : boost::math::polygamma(n, x, Fast());
  return std::isinf(y) ? infinite_derivative(n, x) : y;  // Boost's has lost the sign
}

template <class T>
T inverse_erf(T x) {
  if (x == 0 || std::isnan(x)) return x;
  if (std::abs(x) >= 1) return std::abs(x) == 1 ? std::copysign(infinity<T>, x) : not_a_number<T>;
  return boost::math::erf_inv(x, Policy());
}

}  // namespace

float lgamma(float x) { return log_gamma(x); }
double lgamma(double x) { return log_gamma(x); }
long double lgamma(long double x) { return log_gamma(x); }

float polygamma(int n, float x) { return derivative_of_digamma(n, x); }
double polygamma(int n, double x) { return derivative_of_digamma(n, x); }
long double polygamma(int n, long double x) { return derivative_of_digamma(n, x); }

float erfinv(float x) { return inverse_erf(x); }
double erfinv(double x) { return inverse_erf(x); }
long double erfinv(long double x) { return inverse_erf(x); }

}  // namespace xtape::detail::special
