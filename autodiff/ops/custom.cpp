// A node whose rule is a function of the user's.
#include "../custom.hpp"

#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../elementwise.hpp"
#include "../grad.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"

namespace xtape {
namespace detail {
namespace {

template <class T>
struct Custom {
  const char* name;
  CustomRule<T> rule;

  unsigned keeps(unsigned) const { return rule.takes_output() ? keep_output : 0; }
  /// The transpose of the rule, which is linear in g: the gradient of Σ rule(u)·dx with respect to u.
  void tangent(Tangents<T>& t) const {
    const EnableGrad on;
    const Tensor<T> y = t.output(), u = parameter(ones<T>(y.shape()));
    const std::vector<Tensor<T>> gradients = rule(u, rule.takes_output() ? y : Tensor<T>());
    Tensor<T> product = Tensor<T>(0);
    for (std::size_t i = 0; i < gradients.size() && i < t.input_count(); ++i)
      if (t.has(i) && gradients[i].defined()) product = product + sum(gradients[i] * t.of(i));
    if (product.requires_grad())
      t.add(grad(product, u, {.create_graph = t.pass().creates_graph()}));
    else if (product.item() != 0)
      throw Error("jvp", std::string("the rule of '") + name + "' is not made of recorded operations on g");
  }
  void backward(Gradients<T>& d) const {
    const std::vector<Tensor<T>> gradients = rule(d.adjoint, rule.takes_output() ? d.output() : Tensor<T>());
    if (gradients.size() != d.input_count())
      throw Error(name, "the rule returned " + std::to_string(gradients.size()) + " gradients for " +
                            std::to_string(d.input_count()) + " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!d.needs(i) || !gradients[i].defined()) continue;
      if (!(gradients[i].shape() == d.shape(i)))
        throw Error(name, "the rule returned a gradient of shape " + to_string(gradients[i].shape()) +
                              " for input " + std::to_string(i) + " of shape " + to_string(d.shape(i)));
      d.add(i, d.creates_graph() ? gradients[i] : gradients[i].detach());
    }
  }
};

/// The name for as long as the process lives: errors name nodes whose operation is gone.
const char* lasting(const std::string& name) {
  static std::mutex mutex;
  static std::set<std::string> names;
  const std::scoped_lock lock(mutex);
  return names.insert(name).first->c_str();
}

}  // namespace

}  // namespace detail

template <class T>
Tensor<T> custom(const std::string& name, const std::vector<Tensor<std::type_identity_t<T>>>& inputs,
                 const Tensor<std::type_identity_t<T>>& value, CustomRule<std::type_identity_t<T>> rule) {
  return detail::perform<T>(detail::Custom<T>{detail::lasting(name), std::move(rule)},
                            detail::Handles<T>(inputs), [&](const auto&) { return value.detach(); });
}

template Tensor<float> custom<float>(const std::string&, const std::vector<Tensor<float>>&,
                                     const Tensor<float>&, CustomRule<float>);
template Tensor<double> custom<double>(const std::string&, const std::vector<Tensor<double>>&,
                                       const Tensor<double>&, CustomRule<double>);

}  // namespace xtape
