// A node whose rule is a function of the user's.
#include "../custom.hpp"

#include <cmath>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../elementwise.hpp"
#include "../grad.hpp"
#include "../layout.hpp"
#include "../reductions.hpp"
#include "../tape/op.hpp"

namespace xtape {
namespace detail {
namespace {

template <class T>
struct Custom {
  const char* name;
  CustomRule<T> rule;
  CustomTangent<T> along{};

  unsigned keeps(unsigned) const { return rule.takes_output() ? keep_output : 0; }
  /// The transpose of the rule, which is linear in g: the gradient of Σ rule(u)·dx with respect to u.
  void tangent(Tangents<T>& t) const {
    if (along) return t.add(of_inputs(t));
    const EnableGrad on;
    const Tensor<T> y = t.output(), u = parameter(sin(arange<T>(T(1), static_cast<T>(y.size()) + 1)) + 2);
    const std::vector<Tensor<T>> gradients =
        rule(reshape(u, Dims(y.shape())), rule.takes_output() ? y : Tensor<T>());
    require_one_each(gradients, t.input_count());
    Tensor<T> product(0);
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!t.has(i) || !gradients[i].defined()) continue;
      require_shape(gradients[i], i, t.of(i).shape());
      product = product + sum(gradients[i] * t.of(i));
    }
    const Tensor<T> J = product.requires_grad() ? grad(product, u, {.create_graph = t.pass().creates_graph()})
                                                : zeros<T>(u.shape());
    // What is linear in u is u times its gradient; what the rule computes outside of operations is missing
    // there.
    const Tensor<T> parts = u.detach() * J.detach();
    const T scale = sum(abs(parts)).item() + std::abs(product.item());
    if (std::abs(product.item() - sum(parts).item()) > std::sqrt(std::numeric_limits<T>::epsilon()) * scale)
      throw Error("jvp", std::string("the rule of '") + name + "' is not made of recorded operations on g");
    t.add(reshape(J, Dims(y.shape())));
  }
  void backward(Gradients<T>& d) const {
    const std::vector<Tensor<T>> gradients = rule(d.adjoint, rule.takes_output() ? d.output() : Tensor<T>());
    require_one_each(gradients, d.input_count());
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!d.needs(i) || !gradients[i].defined()) continue;
      require_shape(gradients[i], i, d.shape(i));
      d.add(i, d.creates_graph() ? gradients[i] : gradients[i].detach());
    }
  }

 private:
  Tensor<T> of_inputs(Tangents<T>& t) const {
    std::vector<Tensor<T>> tangents;
    for (std::size_t i = 0; i < t.input_count(); ++i)
      tangents.push_back(t.has(i) ? t.of(i) : zeros<T>(t.input(i).shape()));
    const RecordingScope scope(t.pass().creates_graph());
    return along(tangents);
  }
  void require_one_each(const std::vector<Tensor<T>>& gradients, std::size_t inputs) const {
    if (gradients.size() != inputs)
      throw Error(name, "the rule returned " + std::to_string(gradients.size()) + " gradients for " +
                            std::to_string(inputs) + " inputs");
  }
  void require_shape(const Tensor<T>& gradient, std::size_t i, const Shape& shape) const {
    if (!(gradient.shape() == shape))
      throw Error(name, "the rule returned a gradient of shape " + to_string(gradient.shape()) +
                            " for input " + std::to_string(i) + " of shape " + to_string(shape));
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

template <class T>
Tensor<T> custom(const char* name, const std::vector<Tensor<T>>& inputs, const Tensor<T>& value,
                 CustomRule<T> rule, CustomTangent<T> tangent) {
  return perform<T>(Custom<T>{name, std::move(rule), std::move(tangent)}, Handles<T>(inputs), value.shape(),
                    [&](const auto&) { return value.detach(); });
}

template Tensor<float> custom(const char*, const std::vector<Tensor<float>>&, const Tensor<float>&,
                              CustomRule<float>, CustomTangent<float>);
template Tensor<double> custom(const char*, const std::vector<Tensor<double>>&, const Tensor<double>&,
                               CustomRule<double>, CustomTangent<double>);

}  // namespace detail

template <class T>
Tensor<T> custom(const std::string& name, const std::vector<Tensor<std::type_identity_t<T>>>& inputs,
                 const Tensor<std::type_identity_t<T>>& value, CustomRule<std::type_identity_t<T>> rule) {
  return detail::custom<T>(detail::lasting(name), inputs, value, std::move(rule), {});
}

template Tensor<float> custom<float>(const std::string&, const std::vector<Tensor<float>>&,
                                     const Tensor<float>&, CustomRule<float>);
template Tensor<double> custom<double>(const std::string&, const std::vector<Tensor<double>>&,
                                       const Tensor<double>&, CustomRule<double>);

}  // namespace xtape
