// The symbolic scalar that map() hands to the user's lambda: operations on it write a short formula.
#pragma once
#include <concepts>
#include <type_traits>

namespace xtape {

namespace detail {
template <class T>
class Formula;
}

/// An element inside map(): stands for a number that is not known yet. All elementwise operations take it,
/// mixed with numbers. It cannot be branched on: select with where(). It is good until the lambda returns.
template <class T>
class Symbol {
 public:
  using value_type = T;

  /// A number. Not part of a formula until an operation uses it together with another symbol.
  template <class S>
  requires std::is_arithmetic_v<S> Symbol(S number) : number_(static_cast<T>(number)) {}  // NOLINT
  Symbol(detail::Formula<T>* formula, int place) : formula_(formula), place_(place) {}

  /// A symbol has no truth value; the compiler says what to write.
  template <std::same_as<bool> B>
  explicit operator B() const {
    static_assert(sizeof(B) == 0,
                  "a symbol of map() has no truth value: write where(x > 0, a, b) for a branch");
    return false;
  }

  detail::Formula<T>* formula() const { return formula_; }
  int place() const { return place_; }
  T number() const { return number_; }

 private:
  detail::Formula<T>* formula_ = nullptr;  ///< null for a number
  int place_ = -1;
  T number_ = 0;
};

}  // namespace xtape
