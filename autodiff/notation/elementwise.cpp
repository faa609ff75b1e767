// One line for each elementwise operation: how a textbook writes it.
#include "elementwise.hpp"

#include <cmath>

namespace xtape::detail {
namespace {

using Op = OpNumber;

/// How functions are written; what is arithmetic is in elementwise_term().
const WrittenAs* function_of(Op op) {
  static const WrittenAs sqrt{"sqrt", "√#0!", "\\sqrt{#0}"}, cbrt{"cbrt", "∛#0!", "\\sqrt[3]{#0}"},
      exp{"exp", "exp(#0)", "e^{#0}"}, log{"log", "ln(#0)", "\\ln\\left(#0\\right)"},
      log2{"log2", "log2(#0)", "\\log_2\\left(#0\\right)"},
      log10{"log10", "log10(#0)", "\\log_{10}\\left(#0\\right)"},
      sin{"sin", "sin(#0)", "\\sin\\left(#0\\right)"}, cos{"cos", "cos(#0)", "\\cos\\left(#0\\right)"},
      tan{"tan", "tan(#0)", "\\tan\\left(#0\\right)"},
      asin{"asin", "arcsin(#0)", "\\arcsin\\left(#0\\right)"},
      acos{"acos", "arccos(#0)", "\\arccos\\left(#0\\right)"},
      atan{"atan", "arctan(#0)", "\\arctan\\left(#0\\right)"},
      sinh{"sinh", "sinh(#0)", "\\sinh\\left(#0\\right)"},
      cosh{"cosh", "cosh(#0)", "\\cosh\\left(#0\\right)"},
      tanh{"tanh", "tanh(#0)", "\\tanh\\left(#0\\right)"},
      asinh{"asinh", "arsinh(#0)", "\\operatorname{arsinh}\\left(#0\\right)"},
      acosh{"acosh", "arcosh(#0)", "\\operatorname{arcosh}\\left(#0\\right)"},
      atanh{"atanh", "artanh(#0)", "\\operatorname{artanh}\\left(#0\\right)"},
      erf{"erf", "erf(#0)", "\\operatorname{erf}\\left(#0\\right)"},
      erfc{"erfc", "erfc(#0)", "\\operatorname{erfc}\\left(#0\\right)"},
      erfinv{"erfinv", "erfinv(#0)", "\\operatorname{erf}^{-1}\\left(#0\\right)"},
      lgamma{"lgamma", "ln |Γ(#0)|", "\\ln\\left|\\Gamma\\left(#0\\right)\\right|"},
      floor{"floor", "⌊#0⌋", "\\left\\lfloor #0\\right\\rfloor"},
      ceil{"ceil", "⌈#0⌉", "\\left\\lceil #0\\right\\rceil"},
      round{"round", "round(#0)", "\\operatorname{round}\\left(#0\\right)"},
      fmod{"fmod", "fmod(#0, #1)", "\\operatorname{fmod}\\left(#0, #1\\right)"},
      sigmoid{"sigmoid", "σ(#0)", "\\sigma\\left(#0\\right)"},
      log_sigmoid{"log_sigmoid", "ln σ(#0)", "\\ln\\sigma\\left(#0\\right)"},
      softplus{"softplus", "softplus(#0)", "\\operatorname{softplus}\\left(#0\\right)"},
      relu{"relu", "ReLU(#0)", "\\operatorname{ReLU}\\left(#0\\right)"},
      leaky_relu{"leaky_relu", "LeakyReLU(#0; #1)", "\\operatorname{LeakyReLU}\\left(#0; #1\\right)"},
      elu{"elu", "ELU(#0; #1)", "\\operatorname{ELU}\\left(#0; #1\\right)"},
      gelu{"gelu", "GELU(#0)", "\\operatorname{GELU}\\left(#0\\right)"},
      silu{"silu", "SiLU(#0)", "\\operatorname{SiLU}\\left(#0\\right)"},
      abs{"abs", "|#0|", "\\left|#0\\right|"},
      sign{"sign", "sign(#0)", "\\operatorname{sign}\\left(#0\\right)"},
      clamp{"clamp", "clamp(#0, #1, #2)", "\\operatorname{clamp}\\left(#0, #1, #2\\right)"},
      power{"pow", "#0!^#1!", "{#0!}^{#1}"},
      atan2{"atan2", "atan2(#0, #1)", "\\operatorname{atan2}\\left(#0, #1\\right)"},
      hypot{"hypot", "√(#0!² + #1!²)", "\\sqrt{#0!^2 + #1!^2}"},
      logaddexp{"logaddexp", "ln(exp(#0) + exp(#1))", "\\ln\\left(e^{#0} + e^{#1}\\right)"},
      maximum{"maximum", "max(#0, #1)", "\\max\\left(#0, #1\\right)"},
      minimum{"minimum", "min(#0, #1)", "\\min\\left(#0, #1\\right)"},
      greater{"greater", "[#0 > #1]", "\\left[#0 > #1\\right]"},
      greater_equal{"greater_equal", "[#0 ≥ #1]", "\\left[#0 \\ge #1\\right]"},
      equal{"equal", "[#0 = #1]", "\\left[#0 = #1\\right]"},
      logits{"binary_cross_entropy_with_logits", "(#1! ⊙ ln σ(#0) + (1 − #1!) ⊙ ln(1 − σ(#0)))",
             "\\left(#1! \\odot \\ln\\sigma(#0) + (1 - #1!) \\odot \\ln(1 - \\sigma(#0))\\right)"},
      entropy{"binary_cross_entropy", "(#1! ⊙ ln(#0) + (1 − #1!) ⊙ ln(1 − #0!))",
              "\\left(#1! \\odot \\ln\\left(#0\\right) + (1 - #1!) \\odot \\ln(1 - #0!)\\right)"};
  switch (op) {
    case Op::Sqrt:
      return &sqrt;
    case Op::Cbrt:
      return &cbrt;
    case Op::Exp:
      return &exp;
    case Op::Log:
      return &log;
    case Op::Log2:
      return &log2;
    case Op::Log10:
      return &log10;
    case Op::Sin:
      return &sin;
    case Op::Cos:
      return &cos;
    case Op::Tan:
      return &tan;
    case Op::Asin:
      return &asin;
    case Op::Acos:
      return &acos;
    case Op::Atan:
      return &atan;
    case Op::Sinh:
      return &sinh;
    case Op::Cosh:
      return &cosh;
    case Op::Tanh:
      return &tanh;
    case Op::Asinh:
      return &asinh;
    case Op::Acosh:
      return &acosh;
    case Op::Atanh:
      return &atanh;
    case Op::Erf:
      return &erf;
    case Op::Erfc:
      return &erfc;
    case Op::Erfinv:
      return &erfinv;
    case Op::LogGamma:
      return &lgamma;
    case Op::Floor:
      return &floor;
    case Op::Ceil:
      return &ceil;
    case Op::Round:
      return &round;
    case Op::Fmod:
      return &fmod;
    case Op::Sigmoid:
      return &sigmoid;
    case Op::LogSigmoid:
      return &log_sigmoid;
    case Op::Softplus:
      return &softplus;
    case Op::Relu:
      return &relu;
    case Op::LeakyRelu:
      return &leaky_relu;
    case Op::Elu:
      return &elu;
    case Op::Gelu:
      return &gelu;
    case Op::Silu:
      return &silu;
    case Op::Abs:
      return &abs;
    case Op::Sign:
      return &sign;
    case Op::Clamp:
      return &clamp;
    case Op::Power:
      return &power;
    case Op::Atan2:
      return &atan2;
    case Op::Hypot:
      return &hypot;
    case Op::LogAddExp:
      return &logaddexp;
    case Op::Maximum:
      return &maximum;
    case Op::Minimum:
      return &minimum;
    case Op::Greater:
      return &greater;
    case Op::GreaterEqual:
      return &greater_equal;
    case Op::Equal:
      return &equal;
    case Op::BinaryCrossEntropy:
      return &entropy;
    case Op::BinaryCrossEntropyWithLogits:
      return &logits;
    default:
      return nullptr;
  }
}

const WrittenAs where_function{"where", "(#1 where #0, else #2)",
                               "\\begin{cases}#1 & #0\\\\#2 & \\text{else}\\end{cases}"};
const WrittenAs less_equal{"less_equal", "[#0 ≤ #1]", "\\left[#0 \\le #1\\right]"};
const WrittenAs less{"less", "[#0 < #1]", "\\left[#0 < #1\\right]"};

bool is_call(const Term& t, const std::string& name) {
  return t.kind() == Term::Kind::function && t.name() == name;
}
bool is_mask(const Term& t) {
  if (t.is_mask()) return true;
  for (const char* name : {"greater", "greater_equal", "equal", "less_equal", "less"})
    if (is_call(t, name)) return true;
  return false;
}
/// 1 − mask; the mask of an equality has none that is written so.
Term opposite(const Term& mask) {
  if (is_call(mask, "greater")) return Term::call(less_equal, mask.parts(), mask.shape());
  if (is_call(mask, "greater_equal")) return Term::call(less, mask.parts(), mask.shape());
  if (is_call(mask, "less_equal")) return Term::call(*function_of(Op::Greater), mask.parts(), mask.shape());
  if (is_call(mask, "less")) return Term::call(*function_of(Op::GreaterEqual), mask.parts(), mask.shape());
  return Term::number(1, mask.shape()) - mask;
}

/// a (1 − a), which the derivative of the cross-entropy divides by.
bool is_slope_of_sigmoid(const Term& t) {
  if (t.kind() != Term::Kind::product || t.parts().size() != 2) return false;
  return t.text() == (t.parts()[0] * (Term::number(1) - t.parts()[0])).text();
}

/// Without what is there for the computer alone: a branch that avoids 0 · ∞ or 0 / 0 is not written, nor that
/// two equal arguments of max() share the gradient.
Term where_term(const Term& mask, const Term& a, const Term& b, const Shape& shape) {
  if (is_call(mask, "equal") && mask.parts()[1].is_number() && std::isinf(mask.parts()[1].value())) return b;
  if (is_call(mask, "equal") && mask.parts()[1].is_number(0)) {
    const Term& of = mask.parts()[0];
    if (is_mask(of)) return where_term(of, b, a, shape);
    if (of.is_number()) return of.value() == 0 ? a : b;
    if (a.is_number(0) && b.text().find(of.text()) != std::string::npos) return b;
    if (a.is_number(1) && b.text() == of.text()) return b;
  }
  if (a.text() == b.text()) return a;
  if (b.is_number(0)) return a * mask;
  if (a.is_number(0)) return b * opposite(mask);
  const Term ratio = b / a;
  if (b.text().starts_with("½ " + a.text()) && b.text().find(" = ") != std::string::npos) return a * mask;
  if (!a.is_number() && ratio.is_number())
    return a * Term::call(where_function, {mask, Term::number(1), ratio}, shape);
  return Term::call(where_function, {mask, a, b}, shape);
}

/// ψ, and ψ⁽¹⁾, ψ⁽²⁾ … for its derivatives.
Term polygamma_term(int order, const Term& x, const Shape& shape) {
  const std::string n = std::to_string(order);
  return Term::call(order == 0 ? WrittenAs{"digamma", "ψ(#0)", "\\psi\\left(#0\\right)"}
                               : WrittenAs{"polygamma" + n, "polygamma(" + n + ", #0)",
                                           "\\psi^{(" + n + ")}\\left(#0\\right)"},
                    {x}, shape);
}

}  // namespace

Term elementwise_term(OpNumber op, double p, double q, const std::vector<Term>& x, const Shape& shape) {
  const Term one = Term::number(1);
  const auto call = [&](Op of, std::vector<Term> operands) {
    return Term::call(*function_of(of), std::move(operands), shape);
  };
  switch (op) {
    case Op::Add:
      return x[0] + x[1];
    case Op::Subtract:
      return x[0] - x[1];
    case Op::Multiply:
      return x[0] * x[1];
    case Op::Divide:
      return x[0] / x[1];
    case Op::Negative:
      return -x[0];
    case Op::Reciprocal:
      return one / x[0];
    case Op::PowerScalar:
      return power(x[0], p);
    case Op::Polygamma:
      return polygamma_term(static_cast<int>(p), x[0], shape);
    case Op::Square:
      return power(x[0], 2);
    case Op::SquaredDifference:
      return power(x[0] - x[1], 2);
    case Op::Expm1:
      return call(Op::Exp, x) - one;
    case Op::Log1p:
      return call(Op::Log, {one + x[0]});
    case Op::LeakyRelu:
    case Op::Elu:
      return call(op, {x[0], Term::number(p)});
    case Op::Clamp:
      return call(op, {x[0], Term::number(p), Term::number(q)});
    case Op::Where:
      return where_term(x[0], x[1], x[2], shape);
    case Op::Maximum:
      if (x[1].is_number(-100) && is_call(x[0], "log")) return x[0];
      if (is_slope_of_sigmoid(x[0]) && x[1].is_number() && x[1].value() <= 1.1e-12) return x[0];
      return call(op, x);
    case Op::BinaryCrossEntropy:
    case Op::BinaryCrossEntropyWithLogits:
      return -call(op, x);
    case Op::Greater:
      return (x[0].is_number() ? Term::call(less, {x[1], x[0]}, shape) : call(op, x)).as_mask();
    case Op::GreaterEqual:
      return (x[0].is_number() ? Term::call(less_equal, {x[1], x[0]}, shape) : call(op, x)).as_mask();
    case Op::Equal:
      return call(op, x).as_mask();
    default:
      return call(op, x);
  }
}

}  // namespace xtape::detail
