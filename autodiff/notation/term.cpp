// How terms simplify themselves: numbers are collected, equal parts are joined, double signs go.
#include "term.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "axes.hpp"
#include "term_data.hpp"

namespace xtape::detail {

Term Term::number(double value, Shape shape) {
  Data data{Kind::number, std::move(shape)};
  data.over = value;
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term Term::name(std::string text, std::string latex, Shape shape) {
  Data data{Kind::name, std::move(shape)};
  data.name = std::move(text);
  data.latex = std::move(latex);
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term Term::call(const WrittenAs& function, std::vector<Term> operands, Shape shape) {
  Data data{Kind::function, std::move(shape)};
  data.name = function.name;
  data.function = function;
  data.parts = std::move(operands);
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term Term::call(const std::string& name, std::vector<Term> operands, Shape shape) {
  Data data{Kind::function, std::move(shape)};
  data.name = name;
  data.parts = std::move(operands);
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term Term::broadcast(const Shape& to) const {
  Data data = *data_;
  data.is_repeated_scalar = is_scalar();
  data.shape = to;
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term Term::as_mask() const {
  Data data = *data_;
  data.is_mask = true;
  return Term(std::make_shared<const Data>(std::move(data)));
}
bool Term::is_mask() const { return data_->is_mask; }

Term::Kind Term::kind() const { return data_->kind; }
const Shape& Term::shape() const { return data_->shape; }
bool Term::is_scalar() const {
  return is_number() || data_->is_repeated_scalar || element_count(shape(), "derivation") == 1;
}
bool Term::is_number(double number) const { return is_number() && value() == number; }
double Term::value() const { return data_->over / data_->under; }
std::pair<Term, Term> Term::scalars() const {
  if (kind() != Kind::product) return {number(1), *this};
  Factors own{data_->over, data_->under, {}, {}, {}}, rest{1, 1, {}, {}, shape()};
  for (const Term& part : data_->parts) (part.is_scalar() ? own : rest).parts.push_back(part);
  for (const Term& part : data_->divisors) (part.is_scalar() ? own : rest).divisors.push_back(part);
  return {product(std::move(own)), product(std::move(rest))};
}
const std::string& Term::name() const { return data_->name; }
const std::vector<Term>& Term::parts() const { return data_->parts; }
bool Term::equals(const Term& other) const {
  return data_ == other.data_ || (kind() == other.kind() && text() == other.text());
}

namespace {

Shape wider(const Shape& a, const Shape& b) {
  return element_count(b, "derivation") > element_count(a, "derivation") ||
                 (element_count(b, "derivation") == element_count(a, "derivation") && b.size() > a.size())
             ? b
             : a;
}

bool is_whole(double x) { return std::floor(x) == x && std::abs(x) < 1e15; }

}  // namespace

Term::Factors Term::factors(const Term& a) {
  if (a.kind() == Kind::number) return {a.data_->over, a.data_->under, {}, {}, a.shape()};
  if (a.kind() == Kind::product)
    return {a.data_->over, a.data_->under, a.data_->parts, a.data_->divisors, a.shape()};
  return {1, 1, {a}, {}, a.shape()};
}

Term Term::product(Factors f) {
  if (is_whole(f.over) && is_whole(f.under) && f.under != 0) {
    const auto common =
        static_cast<double>(std::gcd(static_cast<long long>(f.over), static_cast<long long>(f.under)));
    if (common > 1) f.over /= common, f.under /= common;
  }
  if (f.under < 0) f.over = -f.over, f.under = -f.under;
  for (std::size_t i = f.divisors.size(); i-- > 0;) {  // a / a
    const auto same =
        std::ranges::find_if(f.parts, [&](const Term& part) { return part.equals(f.divisors[i]); });
    if (same == f.parts.end()) continue;
    f.parts.erase(same);
    f.divisors.erase(f.divisors.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (f.over == 0 || (f.parts.empty() && f.divisors.empty())) {
    Data data{Kind::number, f.shape};
    data.over = f.over == 0 ? 0 : f.over;
    data.under = f.over == 0 ? 1 : f.under;
    return Term(std::make_shared<const Data>(std::move(data)));
  }
  if (f.over == 1 && f.under == 1 && f.divisors.empty() && f.parts.size() == 1) return f.parts.front();
  if (f.over == -1 && f.under == 1 && f.divisors.empty() && f.parts.size() == 1 &&
      f.parts.front().kind() == Kind::sum) {  // −(a − b) is b − a
    std::vector<Term> parts = f.parts.front().parts();
    const bool has_negative =
        std::ranges::any_of(parts, [](const Term& part) { return factors(part).over < 0; });
    if (has_negative) {
      for (Term& part : parts) part = -part;
      return sum(std::move(parts));
    }
  }
  Data data{Kind::product, f.shape};
  data.over = f.over;
  data.under = f.under;
  data.parts = std::move(f.parts);
  data.divisors = std::move(f.divisors);
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term Term::sum(std::vector<Term> parts) {
  std::vector<Term> kept;
  double number = 0;
  Shape shape = parts.front().shape();
  for (const Term& part : parts) {
    shape = wider(shape, part.shape());
    if (part.is_number()) {
      number += part.data_->over / part.data_->under;
      continue;
    }
    Factors f = factors(part);
    const auto same = std::ranges::find_if(kept, [&](const Term& other) {
      Factors g = factors(other);
      g.over = g.under = 1;
      Factors own = f;
      own.over = own.under = 1;
      return product(std::move(g)).equals(product(std::move(own)));
    });
    if (same == kept.end()) {
      kept.push_back(part);
      continue;
    }
    Factors g = factors(*same);
    g.over = g.over * f.under + f.over * g.under;
    g.under *= f.under;
    if (g.over == 0)
      kept.erase(same);
    else
      *same = product(std::move(g));
  }
  if (number != 0 || kept.empty()) {
    const Term constant = Term::number(number, shape);
    // 1 − a, but a + 1
    if (!kept.empty() && number > 0 &&
        std::ranges::all_of(kept, [](const Term& t) { return factors(t).over < 0; }))
      kept.insert(kept.begin(), constant);
    else
      kept.push_back(constant);
  }
  if (kept.size() == 1) return kept.front();
  // A sum does not begin with a sign where it can be helped.
  if (factors(kept.front()).over < 0) {
    const auto positive = std::ranges::find_if(kept, [](const Term& t) { return factors(t).over > 0; });
    if (positive != kept.end()) std::rotate(kept.begin(), positive, positive + 1);
  }
  Data data{Kind::sum, shape};
  data.parts = std::move(kept);
  return Term(std::make_shared<const Data>(std::move(data)));
}

Term operator+(const Term& a, const Term& b) {
  std::vector<Term> parts;
  for (const Term& one : {a, b})
    if (one.kind() == Term::Kind::sum)
      parts.insert(parts.end(), one.parts().begin(), one.parts().end());
    else
      parts.push_back(one);
  return Term::sum(std::move(parts));
}
Term operator-(const Term& a) { return Term::number(-1) * a; }
Term operator-(const Term& a, const Term& b) {
  if (b.kind() != Term::Kind::sum) return a + -b;
  std::vector<Term> parts{a};
  if (a.kind() == Term::Kind::sum) parts = a.parts();
  for (const Term& part : b.parts()) parts.push_back(-part);
  return Term::sum(std::move(parts));
}

void Term::multiply(std::vector<Term>& factors, const std::vector<Term>& more) {
  for (const Term& one : more) {
    const auto base = [](const Term& t) { return t.kind() == Kind::power ? t.parts().front() : t; };
    const auto exponent = [](const Term& t) { return t.kind() == Kind::power ? t.value() : 1.0; };
    const auto same =
        std::ranges::find_if(factors, [&](const Term& other) { return base(other).equals(base(one)); });
    if (same == factors.end())
      factors.push_back(one);
    else
      *same = power(base(one), exponent(*same) + exponent(one));
  }
}

Term operator*(const Term& a, const Term& b) {
  Term::Factors f = Term::factors(a);
  const Term::Factors g = Term::factors(b);
  f.over *= g.over;
  f.under *= g.under;
  f.shape = wider(f.shape, g.shape);
  Term::multiply(f.parts, g.parts);
  Term::multiply(f.divisors, g.divisors);
  return Term::product(std::move(f));
}

Term operator/(const Term& a, const Term& b) {
  Term::Factors f = Term::factors(a);
  const Term::Factors g = Term::factors(b);
  f.over *= g.under;
  f.under *= g.over;
  f.shape = wider(f.shape, g.shape);
  if (f.under != 0 && !is_whole(f.under)) {
    f.over /= f.under;
    f.under = 1;
  }
  Term::multiply(f.parts, g.divisors);
  Term::multiply(f.divisors, g.parts);
  return Term::product(std::move(f));
}

Term power(const Term& a, double exponent) {
  if (exponent == 1) return a;
  if (exponent == 0) return Term::number(1, a.shape());
  if (exponent == -1) return Term::number(1) / a;
  if (a.is_number()) return Term::number(std::pow(a.data_->over / a.data_->under, exponent), a.shape());
  if (a.kind() == Term::Kind::power) return power(a.parts().front(), a.data_->over * exponent);
  Term::Data data{Term::Kind::power, a.shape()};
  data.over = exponent;
  data.parts = {a};
  return Term(std::make_shared<const Term::Data>(std::move(data)));
}

Term matmul(const Term& a, const Term& b, Shape shape) {
  // Where all elements of one are the same number, the product is a sum over the other.
  if (a.is_number())
    return a.broadcast(shape) *
           over_axes("sum", b, 1u << (std::max<std::size_t>(b.shape().size(), 2) - 2), shape);
  if (b.is_number())
    return b.broadcast(shape) *
           over_axes("sum", a, 1u << (std::max<std::size_t>(a.shape().size(), 1) - 1), shape);
  Term::Data data{Term::Kind::matmul, std::move(shape)};
  for (const Term& one : {a, b})
    if (one.kind() == Term::Kind::matmul)
      data.parts.insert(data.parts.end(), one.parts().begin(), one.parts().end());
    else
      data.parts.push_back(one);
  return Term(std::make_shared<const Term::Data>(std::move(data)));
}

Term transposed(const Term& a) {
  if (a.kind() == Term::Kind::transposed) return a.parts().front();
  Shape shape = a.shape();
  if (shape.size() < 2) return a;
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  if (a.is_number()) return a.broadcast(shape);
  if (a.kind() == Term::Kind::matmul &&  // (A B)ᵀ is Bᵀ Aᵀ
      std::ranges::all_of(a.parts(), [](const Term& part) { return part.shape().size() >= 2; })) {
    Term::Data product{Term::Kind::matmul, std::move(shape)};
    for (std::size_t i = a.parts().size(); i-- > 0;) product.parts.push_back(transposed(a.parts()[i]));
    return Term(std::make_shared<const Term::Data>(std::move(product)));
  }
  Term::Data data{Term::Kind::transposed, std::move(shape)};
  data.parts = {a};
  return Term(std::make_shared<const Term::Data>(std::move(data)));
}

}  // namespace xtape::detail
