// What the kernels use of xsimd, on vectors of 16 bytes as GCC and Clang have them for every processor: for
// builds without xsimd. Names and meaning are xsimd's, and so is the namespace, which a macro renames for the
// kernels.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../platform/compiler.hpp"

namespace xsimd {

struct plain {};
using default_arch = plain;

template <class T>
struct Vector {
  typedef T type XTAPE_VECTOR_OF(16);  // GCC loses the attribute of an alias template
};

template <class T, class A>
struct batch_bool {
  using Lanes = decltype(typename Vector<T>::type() < typename Vector<T>::type());  // −1 or 0 in each
  Lanes lanes;
  friend batch_bool operator||(const batch_bool& a, const batch_bool& b) { return {a.lanes | b.lanes}; }
};

template <class T, class A>
struct batch {
  using value_type = T;
  using Lanes = typename Vector<T>::type;
  using Bits = typename Vector<std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>::type;
  static constexpr std::size_t size = 16 / sizeof(T);
  Lanes lanes;

  batch() = default;
  batch(T x) {
    for (std::size_t i = 0; i < size; ++i) lanes[i] = x;
  }
  explicit batch(Lanes x) : lanes(x) {}
  static batch load_unaligned(const T* p) {
    batch x;
    std::memcpy(&x.lanes, p, sizeof(Lanes));
    return x;
  }
  static batch load_aligned(const T* p) { return load_unaligned(p); }
  void store_unaligned(T* p) const { std::memcpy(p, &lanes, sizeof(Lanes)); }
  void store_aligned(T* p) const { store_unaligned(p); }
  T get(std::size_t i) const { return lanes[i]; }

  friend batch operator+(const batch& a, const batch& b) { return batch(a.lanes + b.lanes); }
  friend batch operator-(const batch& a, const batch& b) { return batch(a.lanes - b.lanes); }
  friend batch operator*(const batch& a, const batch& b) { return batch(a.lanes * b.lanes); }
  friend batch operator/(const batch& a, const batch& b) { return batch(a.lanes / b.lanes); }
  batch operator-() const { return batch(-lanes); }
  batch& operator+=(const batch& b) { return *this = *this + b; }
  batch& operator*=(const batch& b) { return *this = *this * b; }

  friend batch_bool<T, A> operator<(const batch& a, const batch& b) { return {a.lanes < b.lanes}; }
  friend batch_bool<T, A> operator<=(const batch& a, const batch& b) { return {a.lanes <= b.lanes}; }
  friend batch_bool<T, A> operator>(const batch& a, const batch& b) { return {a.lanes > b.lanes}; }
  friend batch_bool<T, A> operator>=(const batch& a, const batch& b) { return {a.lanes >= b.lanes}; }
  friend batch_bool<T, A> operator==(const batch& a, const batch& b) { return {a.lanes == b.lanes}; }

  friend batch operator&(const batch& a, const batch& b) { return of_bits(a.bits() & b.bits()); }
  friend batch operator|(const batch& a, const batch& b) { return of_bits(a.bits() | b.bits()); }
  friend batch operator^(const batch& a, const batch& b) { return of_bits(a.bits() ^ b.bits()); }
  friend batch operator<<(const batch& a, int n) { return of_bits(a.bits() << n); }
  friend batch operator>>(const batch& a, int n) { return of_bits(a.bits() >> n); }

 private:
  Bits bits() const { return std::bit_cast<Bits>(lanes); }
  static batch of_bits(Bits x) { return batch(std::bit_cast<Lanes>(x)); }
};

template <class T, class A>
batch<T, A> select(const batch_bool<T, A>& condition, const batch<T, A>& a, const batch<T, A>& b) {
  return batch<T, A>(condition.lanes ? a.lanes : b.lanes);
}
template <class T, class A>
bool all(const batch_bool<T, A>& x) {
  bool result = true;
  for (std::size_t i = 0; i < batch<T, A>::size; ++i) result &= x.lanes[i] != 0;
  return result;
}
template <class T, class A>
T hadd(const batch<T, A>& x) {
  T sum = x.get(0);
  for (std::size_t i = 1; i < x.size; ++i) sum += x.get(i);
  return sum;
}
/// x y + z, rounded once where the processor does it at the same price.
template <class T, class A>
batch<T, A> fma(const batch<T, A>& x, const batch<T, A>& y, const batch<T, A>& z) {
  return batch<T, A>(x.lanes * y.lanes + z.lanes);
}
template <class T, class A>
batch<T, A> fnma(const batch<T, A>& x, const batch<T, A>& y, const batch<T, A>& z) {
  return batch<T, A>(z.lanes - x.lanes * y.lanes);
}
template <class T, class A>
batch<T, A> bitofsign(const batch<T, A>& x) {
  return x & batch<T, A>(T(-0.0));
}
template <class T, class A>
batch<T, A> abs(const batch<T, A>& x) {
  return x ^ bitofsign(x);
}
template <class T, class A>
batch_bool<T, A> isnan(const batch<T, A>& x) {
  return {x.lanes != x.lanes};
}

template <class T, class A, class F>
batch<T, A> each_lane(batch<T, A> x, const F& f) {
  for (std::size_t i = 0; i < x.size; ++i) x.lanes[i] = f(x.lanes[i]);
  return x;
}
#define XTAPE_BY_THE_C_LIBRARY(f)                             \
  template <class T, class A>                                 \
  batch<T, A> f(const batch<T, A>& x) {                       \
    return each_lane(x, [](T lane) { return std::f(lane); }); \
  }
XTAPE_BY_THE_C_LIBRARY(sqrt)
XTAPE_BY_THE_C_LIBRARY(cbrt)
XTAPE_BY_THE_C_LIBRARY(log2)
XTAPE_BY_THE_C_LIBRARY(log10)
XTAPE_BY_THE_C_LIBRARY(log1p)
XTAPE_BY_THE_C_LIBRARY(asin)
XTAPE_BY_THE_C_LIBRARY(acos)
XTAPE_BY_THE_C_LIBRARY(atan)
XTAPE_BY_THE_C_LIBRARY(sinh)
XTAPE_BY_THE_C_LIBRARY(cosh)
XTAPE_BY_THE_C_LIBRARY(erf)
#undef XTAPE_BY_THE_C_LIBRARY

}  // namespace xsimd
