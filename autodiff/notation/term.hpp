// A formula as it is written on paper: a tree that simplifies itself as it is put together, and is printed as
// text and as LaTeX.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../shape.hpp"

namespace xtape::detail {

/// How a function of terms is written. In the templates #0 is the first operand, #0! the same where it
/// binds as tightly as a name, in brackets otherwise.
struct WrittenAs {
  std::string name, text, latex;
  bool is_atom = true;  ///< needs no brackets as an operand
};

class Term {
 public:
  enum class Kind { number, name, sum, product, matmul, transposed, power, function };

  /// A number, as if it had this shape.
  static Term number(double value, Shape shape = {});
  static Term name(std::string text, std::string latex, Shape shape);
  /// name(operands…), as `function` is written.
  static Term call(const WrittenAs& function, std::vector<Term> operands, Shape shape);
  /// The same for a function that has no other notation than its name.
  static Term call(const std::string& name, std::vector<Term> operands, Shape shape);
  /// The same, repeated to a wider shape: not written.
  Term broadcast(const Shape& to) const;
  /// The same, known to be 0 or 1 everywhere.
  Term as_mask() const;
  bool is_mask() const;

  Kind kind() const;
  const Shape& shape() const;
  bool is_scalar() const;
  bool is_number() const { return kind() == Kind::number; }
  bool is_number(double value) const;
  double value() const;                   ///< of a number
  std::pair<Term, Term> scalars() const;  ///< the numbers that a product has as factors, and the rest
  const std::string& name() const;        ///< of a name, or of a function
  const std::vector<Term>& parts() const;

  std::string text() const;
  std::string latex() const;

  friend Term operator+(const Term& a, const Term& b);
  friend Term operator-(const Term& a, const Term& b);
  friend Term operator-(const Term& a);
  /// Element by element.
  friend Term operator*(const Term& a, const Term& b);
  friend Term operator/(const Term& a, const Term& b);
  friend Term power(const Term& a, double exponent);
  friend Term matmul(const Term& a, const Term& b, Shape shape);
  /// Of the last two axes.
  friend Term transposed(const Term& a);

 private:
  struct Data;
  struct Factors;
  class Printer;
  explicit Term(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  static Factors factors(const Term& a);
  static Term product(Factors factors);
  static void multiply(std::vector<Term>& factors, const std::vector<Term>& more);
  static Term sum(std::vector<Term> parts);
  bool equals(const Term& other) const;

  std::shared_ptr<const Data> data_;
};

Term operator+(const Term& a, const Term& b);
Term operator-(const Term& a, const Term& b);
Term operator-(const Term& a);
Term operator*(const Term& a, const Term& b);
Term operator/(const Term& a, const Term& b);
Term power(const Term& a, double exponent);
Term matmul(const Term& a, const Term& b, Shape shape);
Term transposed(const Term& a);

/// A name as LaTeX: W_{1}, \delta_{2}, \mathtt{0.weight}.
std::string latex_name(const std::string& name);

/// What an operation is told of its operands, and says of its result.
class Notation {
 public:
  Notation(std::vector<Term> operands, Shape of_result)
      : x(std::move(operands)), shape(std::move(of_result)) {}
  std::vector<Term> x;  ///< the operands
  Shape shape;          ///< of the result
  std::unique_ptr<Term> y;
  void set(Term term) { y = std::make_unique<Term>(std::move(term)); }
};

}  // namespace xtape::detail
