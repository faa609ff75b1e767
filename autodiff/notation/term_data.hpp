// What a term holds.
#pragma once
#include <optional>

#include "term.hpp"

namespace xtape::detail {

struct Term::Data {
  Kind kind;
  Shape shape;
  std::string name{}, latex{};
  /// A number is over / under; so is the coefficient of a product. Of a power `over` is the exponent.
  double over = 1, under = 1;
  std::vector<Term> parts{}, divisors{};
  std::optional<WrittenAs> function{};
  bool is_repeated_scalar = false, is_mask = false;
};

struct Term::Factors {
  double over, under;
  std::vector<Term> parts, divisors;
  Shape shape;
};

}  // namespace xtape::detail
