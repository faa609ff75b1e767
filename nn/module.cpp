// Walking the tree of modules.
#include "module.hpp"

namespace xtape::nn {
namespace {

/// Calls visit(path, module) for the module and all within, in order. Depth is that of the users' classes.
template <class T, class Visit>
void walk(const std::string& path, Module<T>& module, Visit&& visit) {
  Members<T> members;
  module.members(members);
  visit(path, module, members);
  for (auto& [name, inner] : members.modules) walk(path.empty() ? name : path + "." + name, *inner, visit);
}

}  // namespace

template <class T>
std::vector<std::pair<std::string, Tensor<T>>> Module<T>::named_parameters() {
  std::vector<std::pair<std::string, Tensor<T>>> named;
  walk("", *this, [&](const std::string& path, Module&, Members<T>& members) {
    for (auto& [name, value] : members.parameters) {
      const std::string full = path.empty() ? name : path + "." + name;
      if (!value.is_leaf())
        throw Error("parameters", "'" + full + "' is no parameter: make it with parameter()");
      named.emplace_back(full, value);
    }
  });
  return named;
}

template <class T>
std::vector<Tensor<T>> Module<T>::parameters() {
  std::vector<Tensor<T>> all;
  for (auto& [name, value] : named_parameters()) all.push_back(std::move(value));
  return all;
}

template <class T>
void Module<T>::zero_grad() {
  for (Tensor<T>& p : parameters()) p.zero_grad();
}

template <class T>
void Module<T>::train(bool on) {
  walk("", *this, [on](const std::string&, Module& module, Members<T>&) { module.training_ = on; });
}

template <class T>
void Sequential<T>::add(std::shared_ptr<Module<T>> layer) {
  if (!layer) throw Error("Sequential", "a layer is null");
  layers_.push_back(std::move(layer));
}

template <class T>
Tensor<T> Sequential<T>::forward(const Tensor<T>& x) {
  Tensor<T> y = x;
  for (const auto& layer : layers_) y = layer->forward(y);
  return y;
}

template <class T>
void Sequential<T>::members(Members<T>& m) {
  for (std::size_t i = 0; i < layers_.size(); ++i) m.module(std::to_string(i), *layers_[i]);
}

template class Module<float>;
template class Module<double>;
template class Sequential<float>;
template class Sequential<double>;

}  // namespace xtape::nn
