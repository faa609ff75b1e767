#include "../ema.hpp"

#include <autodiff/elementwise.hpp>
#include <autodiff/engine.hpp>

#include "../clone.hpp"

namespace xtape::nn {

template <class T>
EMA<T>::EMA(Module<T>& model, double decay) : decay_(decay) {
  if (!(decay >= 0 && decay <= 1))
    throw Error("EMA", "the decay " + engine::number_text(decay) + " is not in [0, 1]");
  for (const auto& [name, value] : model.state_dict()) {
    averages_.emplace_back(name, Tensor<T>(value.value()));
    values_.push_back(value);
  }
  if (values_.empty()) throw Error("EMA", model.describe() + " names no parameters in members()");
}

template <class T>
void EMA<T>::update() {
  const T decay = static_cast<T>(decay_), share = static_cast<T>(1 - decay_);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    Tensor<T>& average = averages_[i].second;
    const Tensor<T> value = values_[i].detach();
    average.assign(values_[i].is_leaf() ? decay * average + share * value : value);
  }
}

template <class T>
void EMA<T>::copy_to(Module<T>& model) const {
  detail::assign_by_name("EMA", averages_, "the averages", model.state_dict(), model.describe());
}

template class EMA<float>;
template class EMA<double>;

}  // namespace xtape::nn
