// The mistakes that people make in the derivative of one operation.
#pragma once
#include <string>
#include <vector>

#include "graph.hpp"

namespace xtape::detail {

template <class T>
struct Mistake {
  std::string key;   ///< the same for the same mistake at another operation of the same name
  std::string text;  ///< what is wrong; where, is said by who asks
  typename GradientGraph<T>::Change change;
};

/// Those in what is passed along an edge, the usual ones first: other slopes, a factor or a mask that is
/// forgotten, sums over other axes, and what the operation's own derivative invites.
template <class T>
std::vector<Mistake<T>> mistakes_at(const GradientGraph<T>& graph, std::size_t edge);

/// Those that take another value of the same shape in place of one that the derivative uses: z for a, W2 for
/// W1, an operand that is not transposed.
template <class T>
std::vector<Mistake<T>> wrong_operands(const GradientGraph<T>& graph, std::size_t edge);

}  // namespace xtape::detail
