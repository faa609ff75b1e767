// A model as a function of its parameters, too.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "module.hpp"

namespace xtape::nn {

namespace detail {

/// While it lives, a module has other parameters and buffers, by their names.
template <class T>
class Replaced {
 public:
  using Named = std::vector<std::pair<std::string, Tensor<T>>>;
  Replaced(Module<T>& module, const Named& parameters);
  ~Replaced();
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;

 private:
  std::vector<std::pair<Tensor<T>*, Tensor<T>>> before_;
};

}  // namespace detail

/// model(x…) with these tensors in place of the parameters and buffers of these names, as named_parameters()
/// gives them; the others stay. They may be recorded, so that gradients pass through them, to any order and
/// in both modes: as the result of a step of an optimiser that is differentiated, or the argument of
/// hessian(), vmap() or compile(). A parameter that is shared is replaced everywhere, under its first name.
/// Afterwards, and when the call throws, the model is as before; meanwhile no other thread may use it.
/// Errors: a name that the model does not have, or that is given twice, another shape, and a member that is
/// no variable.
template <class M, class... X>
requires std::derived_from<M, Module<typename M::value_type>>
auto functional_call(M& model,
                     const std::vector<std::pair<std::string, Tensor<typename M::value_type>>>& parameters,
                     X&&... x) {
  const detail::Replaced<typename M::value_type> scope(model, parameters);
  return model(std::forward<X>(x)...);
}

}  // namespace xtape::nn
