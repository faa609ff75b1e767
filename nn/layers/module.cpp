// Walking the tree of modules, and calling them.
#include "../module.hpp"

#include <set>

namespace xtape::nn {
namespace {

template <class T>
thread_local CallObserver<T>* observer = nullptr;

/// Drops what is in the list before; identity(item) says what an item is.
template <class Item, class Identity>
void drop_repeated(std::vector<Item>& items, const Identity& identity) {
  std::set<const void*> seen;
  std::erase_if(items, [&](const Item& item) { return !seen.insert(identity(item)).second; });
}

/// Elements belong to one leaf, or to one buffer.
template <class T>
const void* elements(const std::pair<std::string, Tensor<T>>& entry) {
  return entry.second.handle().value.get();
}

}  // namespace

template <class T>
CallObserver<T>::CallObserver() : outer_(std::exchange(observer<T>, this)) {}
template <class T>
CallObserver<T>::~CallObserver() {
  observer<T> = outer_;
}

template <class T>
Tensor<T> Module<T>::operator()(const Tensor<T>& x) {
  CallObserver<T>* const seen_by = observer<T>;
  if (!seen_by) return forward(x);
  seen_by->begin(*this);
  Tensor<T> y = forward(x);
  seen_by->end(*this, y);
  return y;
}

template <class T>
std::vector<Tensor<T>> Module<T>::parameters() {
  Members<T> own;
  members(own);
  std::vector<Tensor<T>> all;
  for (const auto& entry : own.parameters) {
    if (!entry.second.is_leaf())
      throw Error("parameters", "'" + entry.first + "' is no parameter: make it with parameter()");
    all.push_back(entry.second);
  }
  for (const auto& entry : own.modules)
    for (const Tensor<T>& p : entry.second->parameters()) all.push_back(p);
  drop_repeated(all, [](const Tensor<T>& p) { return p.handle().value.get(); });
  return all;
}

template <class T>
std::vector<std::pair<std::string, Tensor<T>>> Module<T>::named_parameters() {
  Members<T> own;
  members(own);
  std::vector<std::pair<std::string, Tensor<T>>> all = std::move(own.parameters);
  for (const auto& entry : own.modules)
    for (const auto& [path, p] : entry.second->named_parameters())
      all.emplace_back(entry.first + "." + path, p);
  drop_repeated(all, elements<T>);
  return all;
}

template <class T>
std::vector<std::pair<std::string, Tensor<T>>> Module<T>::named_buffers() {
  Members<T> own;
  members(own);
  std::vector<std::pair<std::string, Tensor<T>>> all = std::move(own.buffers);
  for (const auto& entry : own.modules)
    for (const auto& [path, buffer] : entry.second->named_buffers())
      all.emplace_back(entry.first + "." + path, buffer);
  drop_repeated(all, elements<T>);
  return all;
}

template <class T>
std::vector<std::pair<std::string, Module<T>*>> Module<T>::named_modules() {
  Members<T> own;
  members(own);
  std::vector<std::pair<std::string, Module<T>*>> all{{"", this}};
  for (const auto& [name, module] : own.modules)
    for (const auto& [path, inner] : module->named_modules())
      all.emplace_back(name + (path.empty() ? "" : ".") + path, inner);
  drop_repeated(all, [](const auto& entry) { return entry.second; });
  return all;
}

template <class T>
void Module<T>::zero_grad() {
  for (Tensor<T>& p : parameters()) p.zero_grad();
}

template <class T>
void Module<T>::train(bool on) {
  for (const auto& [path, module] : named_modules()) module->training_ = on;
}

template <class T>
void Sequential<T>::add(std::shared_ptr<Module<T>> layer) {
  if (!layer) throw Error("Sequential", "a layer is null");
  layers_.push_back(std::move(layer));
}

template <class T>
Tensor<T> Sequential<T>::forward(const Tensor<T>& x) {
  Tensor<T> y = x;
  for (const auto& layer : layers_) y = (*layer)(y);
  return y;
}

template <class T>
void Sequential<T>::members(Members<T>& m) {
  for (std::size_t i = 0; i < layers_.size(); ++i) m.module(std::to_string(i), *layers_[i]);
}

template class CallObserver<float>;
template class CallObserver<double>;
template class Module<float>;
template class Module<double>;
template class Sequential<float>;
template class Sequential<double>;

}  // namespace xtape::nn
