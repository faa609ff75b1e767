// custom and checkpoint: nodes whose rule is a function of the user's.
#include "custom.hpp"

#include <memory>
#include <optional>
#include <random>

#include "checkpoint.hpp"
#include "op.hpp"
#include "random.hpp"

namespace xtape {
namespace detail {
namespace {

template <class T>
struct Custom {
  std::shared_ptr<const std::string> label;  ///< the node's name points into it
  CustomRule<T> rule;
  const char* name = "custom";

  void backward(Gradients<T>& d) const {
    const std::vector<Tensor<T>> gradients = rule(d.adjoint);
    if (gradients.size() != d.input_count())
      throw Error(*label, "the rule returned " + std::to_string(gradients.size()) + " gradients for " +
                              std::to_string(d.input_count()) + " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!d.needs(i) || !gradients[i].defined()) continue;
      if (!(gradients[i].shape() == d.shape(i)))
        throw Error(*label, "the rule returned a gradient of shape " + to_string(gradients[i].shape()) +
                                " for input " + std::to_string(i) + " of shape " + to_string(d.shape(i)));
      d.add(i, d.creates_graph() ? gradients[i] : gradients[i].detach());
    }
  }
};

template <class T>
struct Checkpoint {
  Function<T> f;
  std::unique_ptr<std::mt19937_64> random;  ///< as it was before f ran; null when it is not to be set back
  const char* name;

  void backward(Gradients<T>& d) const {
    std::vector<Tensor<T>> x;
    for (std::size_t i = 0; i < d.input_count(); ++i) x.push_back(d.recorded_input(i));
    Node* const mark = d.pass().mark();
    std::optional<std::mt19937_64> now;
    if (random) now = std::exchange(random::generator(), *random);
    Tensor<T> y;
    try {
      const RecordingScope on(true);
      y = f(x);
    } catch (...) {
      if (now) random::generator() = *now;
      throw;
    }
    if (now) random::generator() = *now;
    x.clear();
    if (y.requires_grad()) d.pass().replay(*y.handle().node.get(), d.adjoint.handle(), mark);
  }
};

}  // namespace

template <class T>
Tensor<T> run_unrecorded(const Function<T>& f, const std::vector<Tensor<T>>& x, bool& depends) {
  const bool before = std::exchange(skipped_recording, false);
  Tensor<T> y;
  try {
    const NoGrad no_grad;
    y = f(x);
  } catch (...) {
    skipped_recording = before;
    throw;
  }
  depends = skipped_recording;
  skipped_recording = before || depends;
  return y.detach();
}

template <class T>
Tensor<T> checkpoint(const char* name, Function<T> f, const std::vector<Tensor<T>>& x, const Tensor<T>& value,
                     bool restore_random) {
  if (x.size() > 30)
    throw Error(name, "more than 30 arguments: pass them joined, or let the function capture them");
  std::unique_ptr<std::mt19937_64> random;
  if (restore_random) random = std::make_unique<std::mt19937_64>(random::generator());
  bool depends = false;
  const Tensor<T> y = value.defined() ? value : run_unrecorded(f, x, depends);
  std::vector<const Handle*> inputs;
  for (const Tensor<T>& one : x) inputs.push_back(&one.handle());
  depends = records(inputs) || (depends && recording);
  if (!depends || !recording) return y;

  Checkpoint<T> op{std::move(f), std::move(random), name};
  const std::uint32_t keep_all = (1u << x.size()) - 1u;
  Node* node = append(name, y.shape(), inputs, keep_all, {}, sizeof(op));
  ::new (node->op()) Checkpoint<T>(std::move(op));
  node->destroy_op = [](void* place) { static_cast<Checkpoint<T>*>(place)->~Checkpoint<T>(); };
  node->rule = &run_rule<T, Checkpoint<T>>;
  node->opaque = true;
  return Tensor<T>(Handle{y.handle().value, NodeRef(node)});
}

#define XTAPE_INSTANTIATE(T)                                                                               \
  template Tensor<T> run_unrecorded(const Function<T>&, const std::vector<Tensor<T>>&, bool&);             \
  template Tensor<T> checkpoint(const char*, Function<T>, const std::vector<Tensor<T>>&, const Tensor<T>&, \
                                bool);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace detail

template <class T>
Tensor<T> custom(const std::string& name, const std::vector<Tensor<std::type_identity_t<T>>>& inputs,
                 const Tensor<std::type_identity_t<T>>& value, CustomRule<std::type_identity_t<T>> rule) {
  std::vector<const detail::Handle*> handles;
  for (const Tensor<T>& input : inputs) handles.push_back(&input.handle());
  auto label = std::make_shared<const std::string>(name);
  const char* const text = label->c_str();
  return detail::record<T>(detail::Custom<T>{std::move(label), std::move(rule), text}, value.detach(),
                           handles);
}

template Tensor<float> custom<float>(const std::string&, const std::vector<Tensor<float>>&,
                                     const Tensor<float>&, CustomRule<float>);
template Tensor<double> custom<double>(const std::string&, const std::vector<Tensor<double>>&,
                                       const Tensor<double>&, CustomRule<double>);

}  // namespace xtape
