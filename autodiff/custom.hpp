// Operations with a rule of the user's own.
#pragma once
#include <concepts>
#include <functional>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace xtape {

/// How a custom operation gives its gradients: from the adjoint g of the output, or from g and the output y
/// itself, one for each input; an empty Tensor for an input that gets none. Made from any function rule(g) or
/// rule(g, y).
template <class T>
class CustomRule {
  using Gradients = std::vector<Tensor<T>>;
  template <class F, class... In>
  static constexpr bool is_rule = std::is_invocable_r_v<Gradients, F&, In...>;

 public:
  CustomRule() = default;
  template <class F>
  requires(!std::is_same_v<F, CustomRule> && is_rule<F, const Tensor<T>&>) CustomRule(F rule)  // NOLINT
      : rule_([rule = std::move(rule)](const Tensor<T>& g, const Tensor<T>&) mutable -> Gradients {
          return rule(g);
        }) {}
  template <class F>
  requires(!std::is_same_v<F, CustomRule> && !is_rule<F, const Tensor<T>&> &&
           is_rule<F, const Tensor<T>&, const Tensor<T>&>) CustomRule(F rule)  // NOLINT
      : rule_(std::move(rule)), takes_output_(true) {}

  bool takes_output() const { return takes_output_; }
  Gradients operator()(const Tensor<T>& g, const Tensor<T>& y) const { return rule_(g, y); }

 private:
  std::function<Gradients(const Tensor<T>& g, const Tensor<T>& y)> rule_;
  bool takes_output_ = false;
};

/// Records `value`, computed from `inputs` by any means, with a rule for its gradients. Where gradients are
/// to be differentiated again (create_graph) the rule runs recorded, so write it with xtape's operations, let
/// it capture recorded tensors, and take the output as y.
///
/// In forward mode (jvp) it runs recorded, too, on a g of its own, in which it must be linear. Otherwise a
/// rule runs without recording; it may open a scope of EnableGrad. A rule that captures the output instead
/// keeps it, and so itself, on the tape until it is replayed or Tape::clear() is called. Errors, when the
/// rule runs: another number of gradients than inputs, a gradient of another shape than its input; both name
/// the operation.
template <class T>
Tensor<T> custom(const std::string& name, const std::vector<Tensor<std::type_identity_t<T>>>& inputs,
                 const Tensor<std::type_identity_t<T>>& value, CustomRule<std::type_identity_t<T>> rule);

/// The same with the value as a function of the inputs, a std::vector, which runs without recording.
template <class T, class F>
requires(!std::convertible_to<F, Tensor<T>>) Tensor<T> custom(const std::string& name,
                                                              const std::vector<Tensor<T>>& inputs,
                                                              const F& value,
                                                              CustomRule<std::type_identity_t<T>> rule) {
  std::vector<Tensor<T>> constants;
  for (const Tensor<T>& x : inputs) constants.push_back(x.detach());
  const Tensor<T> y = [&]() -> Tensor<T> {
    const NoGrad no_grad;
    return value(constants);
  }();
  return custom<T>(name, inputs, y, std::move(rule));
}
/// For inputs in braces the function takes one argument for each. exp is
///
///     custom<double>("exp", {x}, [](const auto& a) { return exp(a); },
///                    [](const auto& g, const auto& y) { return std::vector{g * y}; })
template <class T, std::size_t n, class F>
requires(!std::convertible_to<F, Tensor<T>>) Tensor<T> custom(const std::string& name,
                                                              const Tensor<T> (&inputs)[n], const F& value,
                                                              CustomRule<std::type_identity_t<T>> rule) {
  const auto of_list = [&]<std::size_t... i>(const std::vector<Tensor<T>>& x, std::index_sequence<i...>) {
    return Tensor<T>(value(x[i]...));
  };
  return custom<T>(
      name, std::vector<Tensor<T>>(std::begin(inputs), std::end(inputs)),
      [&](const std::vector<Tensor<T>>& x) { return of_list(x, std::make_index_sequence<n>()); },
      std::move(rule));
}

namespace detail {

/// The tangent of the value from those of the inputs, of their shapes.
template <class T>
using CustomTangent = std::function<Tensor<T>(const std::vector<Tensor<T>>& tangents)>;
/// The same with a rule of its own for forward mode, where the other one is not linear in g to rounding.
template <class T>
Tensor<T> custom(const char* name, const std::vector<Tensor<T>>& inputs, const Tensor<T>& value,
                 CustomRule<T> rule, CustomTangent<T> tangent);

}  // namespace detail

}  // namespace xtape
