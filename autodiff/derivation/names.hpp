// How the quantities of a derivation are called, and which have no name because they are written into the
// formula that reads them.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "derived.hpp"

namespace xtape::detail {

class Names {
 public:
  explicit Names(const Derived& derived);

  const Step* maker(std::uint32_t place) const { return makers_[place]; }
  /// How many operands it is, of the backward pass too.
  std::size_t uses(std::uint32_t place) const { return uses_[place]; }
  bool has(std::uint32_t place) const { return names_.contains(place); }
  const std::string& of(std::uint32_t place) const { return names_.at(place); }
  void set(std::uint32_t place, const std::string& name) { names_.try_emplace(place, name); }

  /// What the user calls the argument; else "W1", "b1" of a parameter; "x" of data that a layer reads, "y" of
  /// what a loss compares with, "mask" of a factor, "labels" and "indices"; else "c1".
  std::string of_argument(std::uint32_t place, const Source::Argument& one);
  /// What the user calls the result, or "L"; "" where it has no name of its own.
  std::string own(std::uint32_t place);
  /// "z1", "a1" of a layer and its activation, "p" of the first softmax; else "v1".
  std::string of_result(std::uint32_t place);
  std::string of_temporary() { return free_name("t"); }

  /// Never a line of its own: a view, a repetition, a product to which a bias or another product is added.
  bool is_part(std::uint32_t place) const;
  /// Sums, products, quotients and the like that one operation of the forward pass reads.
  bool is_arithmetic(std::uint32_t place) const;

 private:
  std::string free_name(const std::string& letter);
  std::string role_of_data(std::uint32_t place) const;
  bool is_layer(std::uint32_t place) const;
  bool is_added_to_a_layer(std::uint32_t place) const;
  std::uint32_t source_of(std::uint32_t place) const;

  const Derived& derived_;
  const Program& program_;
  std::vector<const Step*> makers_, readers_;  ///< the readers within the forward pass; the last of several
  std::vector<std::size_t> uses_, forward_uses_;
  std::map<std::uint32_t, std::string> names_, given_;
  std::map<std::string, int> last_;  ///< numbers by letter
  std::set<std::string> taken_;
};

/// Whether all elements of an argument are 0 or 1.
bool is_binary(const Handle& tensor);

}  // namespace xtape::detail
