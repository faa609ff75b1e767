// Operations with a rule of the user's own.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// The adjoint of the output to one gradient for each input; an empty Tensor for an input that gets none.
template <class T>
using CustomRule = std::function<std::vector<Tensor<T>>(const Tensor<T>& g)>;

/// Records `value`, computed from `inputs` by any means, with a rule for its gradients. Where gradients are
/// to be differentiated again (create_graph) the rule runs recorded, so write it with xtape's operations and
/// let it capture recorded tensors. Errors, when the rule runs: another number of gradients than inputs, a
/// gradient of another shape than its input; both name the operation.
template <class T>
Tensor<T> custom(const std::string& name, const std::vector<Tensor<std::type_identity_t<T>>>& inputs,
                 const Tensor<std::type_identity_t<T>>& value, CustomRule<std::type_identity_t<T>> rule);

}  // namespace xtape
