// derivation: the formulas of a recorded computation and of its gradients, as a textbook would write them.
#pragma once
#include <concepts>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

namespace detail {
struct Source;
}

/// A quantity of a derivation, with its formula.
struct DerivationLine {
  enum class Part { given, forward, backward };
  Part part;
  std::string name;       ///< "z1", "dL/dW1", "δ1" for dL/dz1
  std::string formula;    ///< "δ1ᵀ x"; empty for what is given
  std::string latex;      ///< the name and the formula, as LaTeX
  std::string operation;  ///< what was recorded: "linear"
  Shape shape;
  std::vector<std::size_t> reads;  ///< the lines that the formula uses, by number
  std::vector<double> values;      ///< row-major; empty where the recording does not know what was given
};

/// How C++ is written by Derivation::cpp().
struct CppOptions {
  /// Products of more than 512 multiplications by CBLAS, which the file then needs; else by loops.
  bool cblas = false;
};

/// The formulas of a loss and of its gradients: see derivation().
class Derivation {
 public:
  explicit Derivation(detail::Source source);

  /// What is given, then the forward pass, then the backward pass: an operation a line, but for short sums,
  /// products and the like without a name, which are written into the line that reads them.
  const std::vector<DerivationLine>& lines() const;
  /// The lines as text, with shapes and the meaning of the signs that occur.
  std::string text() const;
  /// The lines as an environment of the package amsmath, `align*`.
  std::string latex() const;
  /// A page that needs nothing else: the graph, forward and backward step by step, each formula with its
  /// numbers. Where Graphviz's `dot` is found on PATH, it lays the graph out; it is told sizes, no names.
  std::string html(const std::string& title = "Derivation") const;
  /// A file of C++17 that needs nothing else (with .cblas: CBLAS), and allocates nothing. Its function gives
  /// the loss and writes its gradients:
  ///
  ///     double name(const double* x, const double* W1, …, double* d_W1, …);
  ///
  /// or float. What was named, and parameters, are inputs, in the order of lines(): arrays, row-major, of the
  /// shapes of the recording, one element for a single number, `std::ptrdiff_t` for Indices; then come the
  /// gradients of all parameters, each written whole. No two of the arrays may overlap. All else is a
  /// constant in the file. The comment at its top has all names, shapes, the memory that it takes, and
  /// text(). Numbers are the tape's but for the order of long sums. Names that are no identifiers are made
  /// some: Greek letters by their names, _ for other signs, w before a digit, and a number at the end where a
  /// name is taken. Errors: a name that is none for a function; random numbers, which are to be drawn outside
  /// and named; custom() and checkpoint() within a function that was given. Indices that are an input are not
  /// checked.
  std::string cpp(const std::string& name, const CppOptions& options = {}) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// The text.
std::ostream& operator<<(std::ostream& out, const Derivation& derivation);

namespace detail {
using DerivationNames = std::vector<std::pair<std::string, Handle>>;
Derivation derivation_of(const Handle& loss, const DerivationNames& names);
Derivation derivation_of(const std::function<Handle()>& f, const DerivationNames& names);

template <class T>
DerivationNames handles(const std::vector<std::pair<std::string, Tensor<T>>>& names) {
  DerivationNames all;
  for (const auto& [name, tensor] : names) all.emplace_back(name, tensor.handle());
  return all;
}
/// A module, or what else names its parameters.
template <class M>
concept NamesParameters = requires(M& model) {
  model.named_parameters();
};
}  // namespace detail

/// The formulas of a loss, one number that was recorded and not yet consumed by backward(), and of its
/// gradients with respect to all parameters. `names` are those of tensors that it was computed from, data and
/// parameters; results that have no name are called z1, a1 (a layer and its activation) or v1; dL/dz1 is δ1.
/// What was computed without being recorded, such as a comparison, is a number to it: give the function
/// instead, see below. Errors: a loss that is not one number, or was not recorded, or was consumed; custom(),
/// of which the recording knows the derivative only.
///
///     std::cout << derivation(loss, {{"x", x}, {"y", y}, {"W1", W1}, {"b1", b1}});
template <class T>
Derivation derivation(
    const Tensor<T>& loss,
    const std::vector<std::pair<std::string, Tensor<std::type_identity_t<T>>>>& names = {}) {
  return detail::derivation_of(loss.handle(), detail::handles<T>(names));
}
/// The same with the parameters of a model, named by their paths: "0.weight"; `names` are those of other
/// tensors.
template <class T, detail::NamesParameters M>
Derivation derivation(const Tensor<T>& loss, M& model,
                      std::vector<std::pair<std::string, Tensor<std::type_identity_t<T>>>> names = {}) {
  for (const auto& one : model.named_parameters()) names.push_back(one);
  return detail::derivation_of(loss.handle(), detail::handles<T>(names));
}
/// Of a function without arguments that gives the loss. It is traced, as by compile(): comparisons, maps,
/// scans and checkpoints are seen, too.
template <std::invocable F>
Derivation derivation(const F& f,
                      const std::vector<std::pair<std::string, std::invoke_result_t<const F&>>>& names = {}) {
  return detail::derivation_of([&] { return f().release(); },
                               detail::handles<typename std::invoke_result_t<const F&>::value_type>(names));
}

}  // namespace xtape
