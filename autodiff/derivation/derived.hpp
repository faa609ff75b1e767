// A loss as one program: how it is computed, and under it how its gradients are. What derivation() prints,
// and what hints vary.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../program/program.hpp"

namespace xtape::detail {

/// What errors name.
inline constexpr const char* derivation_op = "derivation";

/// Tensors with their names.
using NamedHandles = std::vector<std::pair<std::string, Handle>>;

/// How a loss is computed. Its arguments are the leaves and what was named; all else that it reads is a
/// constant of the program.
struct Source {
  struct Argument {
    std::string name;  ///< empty where it has none
    Handle tensor;     ///< without a value where a recording did not keep it
    bool is_leaf = false;
  };
  Program program;
  std::vector<Argument> arguments;
  /// Names of results, by place.
  std::vector<std::pair<std::uint32_t, std::string>> results;
  std::uint32_t loss() const { return program.outputs.front().place; }
};

/// From the recording behind a tensor of one element. Errors: it is not recorded, or was consumed, or holds a
/// custom() operation, of which only the derivative is known.
Source recorded_source(const Handle& loss, const NamedHandles& names);
/// From a function, which is traced. Errors as those of compile().
Source traced_source(const std::function<Handle()>& f, const NamedHandles& names);

/// Makes arguments without names of those constants that are not one number, so that nothing is computed from
/// them in advance.
void give_constants(Source& source);
/// The number that all elements are, to the bit.
std::optional<double> uniform(const Place& constant);

/// A loss and its gradients.
struct Derived {
  /// Its outputs are the loss, and then what `gradients` says.
  Program program;
  std::vector<Source::Argument> arguments;
  std::vector<std::pair<std::uint32_t, std::string>> results;
  std::vector<std::uint32_t> recorded;  ///< the results of the operations that the source has, in their order
  /// dL/d of each place, as a place; Step::none where there is none.
  std::vector<std::uint32_t> adjoints;
  std::uint32_t loss;
  std::uint32_t seed;  ///< dL/dL, the last argument of the program, which is not among `arguments`
};

/// Whether an operation that has a decomposed form is left as it is.
using IsLeft = std::function<bool(const Step&)>;

/// The same program by simpler operations. `now` gets the place of each of its places.
Program decomposed(const Program& program, const IsLeft& is_left, std::vector<std::uint32_t>& now);
/// Steps that compute the same are one. `now` is renumbered, as the places are not.
void merge_equal_steps(Program& program, std::vector<std::uint32_t>& now);

/// The loss and its gradients with respect to all that is recorded; the operations of the forward part are
/// decomposed first, except those that are left.
Derived derive(const Source& source, const IsLeft& is_left);
/// All of it by simpler operations, and nothing twice.
void simplify(Derived& derived, const IsLeft& is_left);

/// What lies at each place, for these arguments.
std::vector<Handle> values_of(const Derived& derived, std::span<const Handle> arguments);
/// The arguments as they were given. Error where a value is not known.
std::vector<Handle> given_arguments(const Derived& derived, const char* op);

}  // namespace xtape::detail
