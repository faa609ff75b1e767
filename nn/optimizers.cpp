// Each update is one pass over a parameter.
#include "optimizers.hpp"

#include <cmath>
#include <string>

#include <autodiff/kernel_table.hpp>

namespace xtape::nn {

using detail::AdamStep, detail::kernels, detail::SgdStep;

namespace {

void require_not_negative(const char* op, const char* what, double value) {
  if (!(value >= 0))
    throw Error(op, std::string(what) + " " + xtape::detail::number_text(value) + " is negative");
}

}  // namespace

template <class T>
Optimizer<T>::Optimizer(std::vector<Tensor<T>> parameters) : parameters_(std::move(parameters)) {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!parameters_[i].is_leaf())
      throw Error("optimizer", "tensor " + std::to_string(i) + " is no parameter: make it with parameter()");
}

template <class T>
void Optimizer<T>::zero_grad() {
  for (Tensor<T>& p : parameters_) p.zero_grad();
}

template <class T>
SGD<T>::SGD(std::vector<Tensor<T>> parameters, SGDOptions o)
    : Optimizer<T>(std::move(parameters)), options(o) {
  require_not_negative("SGD", "the learning rate", o.learning_rate);
  require_not_negative("SGD", "the momentum", o.momentum);
  require_not_negative("SGD", "the weight decay", o.weight_decay);
  if (o.nesterov && o.momentum == 0) throw Error("SGD", "Nesterov needs a momentum");
  velocity_.resize(this->parameters_.size());
}

template <class T>
void SGD<T>::step() {
  const SgdStep<T> step{static_cast<T>(options.learning_rate), static_cast<T>(options.momentum),
                        static_cast<T>(options.weight_decay), options.nesterov};
  for (std::size_t k = 0; k < this->parameters_.size(); ++k) {
    Tensor<T>& p = this->parameters_[k];
    if (!p.has_grad()) continue;
    const Tensor<T> gradient = p.grad();
    // A velocity of 0 makes the first step that of the gradient alone.
    if (step.momentum != 0) velocity_[k].resize(p.size());
    T* const v = step.momentum != 0 ? velocity_[k].data() : nullptr;
    kernels<T>().sgd(p.begin_update(), v, gradient.data(), p.size(), step);
  }
}

template <class T>
Adam<T>::Adam(std::vector<Tensor<T>> parameters, AdamOptions o)
    : Optimizer<T>(std::move(parameters)), options(o) {
  require_not_negative("Adam", "the learning rate", o.learning_rate);
  require_not_negative("Adam", "epsilon", o.epsilon);
  require_not_negative("Adam", "the weight decay", o.weight_decay);
  if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
    throw Error("Adam", "beta1 " + xtape::detail::number_text(o.beta1) + " and beta2 " +
                            xtape::detail::number_text(o.beta2) + " must be in [0, 1)");
  mean_.resize(this->parameters_.size());
  square_.resize(this->parameters_.size());
  steps_.resize(this->parameters_.size());
}

template <class T>
void Adam<T>::step() {
  for (std::size_t k = 0; k < this->parameters_.size(); ++k) {
    Tensor<T>& p = this->parameters_[k];
    if (!p.has_grad()) continue;
    const Tensor<T> gradient = p.grad();
    const std::size_t n = p.size();
    mean_[k].resize(n);
    square_[k].resize(n);
    const auto t = static_cast<double>(++steps_[k]);
    const double correction1 = 1 - std::pow(options.beta1, t), correction2 = 1 - std::pow(options.beta2, t);
    const AdamStep<T> step{
        .rate = static_cast<T>(options.learning_rate / correction1),
        .root = static_cast<T>(1 / std::sqrt(correction2)),
        .beta1 = static_cast<T>(options.beta1),
        .beta2 = static_cast<T>(options.beta2),
        .one_minus_beta1 = static_cast<T>(1 - options.beta1),
        .one_minus_beta2 = static_cast<T>(1 - options.beta2),
        .epsilon = static_cast<T>(options.epsilon),
        .decay = static_cast<T>(options.weight_decay),
    };
    kernels<T>().adam(p.begin_update(), mean_[k].data(), square_[k].data(), gradient.data(), n, step);
  }
}

template class Optimizer<float>;
template class Optimizer<double>;
template class SGD<float>;
template class SGD<double>;
template class Adam<float>;
template class Adam<double>;

}  // namespace xtape::nn
