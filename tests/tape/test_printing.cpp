// Values are printed without xtensor's xio.hpp, which this file must not include.
#include <iomanip>
#include <sstream>

#include "../check_close.hpp"

#ifdef XTENSOR_IO_HPP
#error "this file tests what happens without xio.hpp"
#endif

using namespace xtape;

namespace {
template <class V>
std::string text(const V& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}
}  // namespace

TEST_CASE("what value() returns, and expressions of it, are printed as xtensor prints them") {
  const Tensor<double> x{{1.0, 2.5}, {3.0, 4.0}};
  CHECK(text(x.value()) == "{{ 1. ,  2.5},\n { 3. ,  4. }}");
  CHECK(text(2 * x.value()) == "{{ 2.,  5.},\n { 6.,  8.}}");
  CHECK(text(xt::strided_view(x.value(), {1})) == "{ 3.,  4.}");
  CHECK(text(Tensor<float>{1.0f}.value()) == "{ 1.}");
  std::ostringstream out;
  out << std::setprecision(3) << Tensor<double>(1.23456).value() << ' ' << x.shape() << ' ' << x;
  CHECK(out.str() == " 1.235 (2, 2) Tensor<double>({{ 1. ,  2.5},\n { 3. ,  4. }}, shape (2, 2))");
}
