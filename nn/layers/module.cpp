// Walking the tree of modules, and calling them.
#include "../clone.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <autodiff/engine.hpp>

namespace xtape::nn {
namespace {

template <class T>
thread_local CallObserver<T>* observer = nullptr;
template <class T>
thread_local Module<T>* called_model = nullptr;  // the outermost module that is being called
thread_local bool sharing = false;
template <class T>
thread_local detail::CloneScope<T>* cloning = nullptr;
std::mutex noting;  // of layers that are not named: models are evaluated by several threads

/// Drops what is in the list before; identity(item) says what an item is.
template <class Item, class Identity>
void drop_repeated(std::vector<Item>& items, const Identity& identity) {
  std::set<const void*> seen;
  std::erase_if(items, [&](const Item& item) { return !seen.insert(identity(item)).second; });
}

[[noreturn]] void throw_unnamed(const char* op, const std::string& layer, const std::string& model) {
  throw Error(op, layer + " is called within " + model +
                      ", whose members() does not name it: it would be neither trained nor saved. Name it "
                      "with m.module(), and freeze() it where it is not to be trained");
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
bool Module<T>::is_watched() {
  return observer<T> != nullptr;
}

template <class T>
Module<T>::SharingScope::SharingScope() : before_(std::exchange(sharing, true)) {}
template <class T>
Module<T>::SharingScope::~SharingScope() {
  sharing = before_;
}

namespace detail {

template <class T>
CloneScope<T>::CloneScope()
    : outer_(std::exchange(cloning<T>, this)), sharing_(std::exchange(sharing, true)) {}
template <class T>
CloneScope<T>::~CloneScope() {
  cloning<T> = outer_;
  sharing = sharing_;
}

}  // namespace detail

template <class T>
std::shared_ptr<Module<T>> HeldModule<T>::shared_or_cloned() const {
  if (!cloning<T>) return module_;
  std::shared_ptr<Module<T>>& clone = cloning<T>->clones[module_.get()];
  if (!clone) clone = copy_(*module_);
  if (!clone)
    throw Error("clone", module_->describe() +
                             " is held by a std::shared_ptr to another class, so that its own is not known: "
                             "make it with std::make_shared and hand that on, or hand on the layer itself");
  return clone;
}

template <class T>
void Module<T>::require_sharing() const {
  auto& original = const_cast<Module&>(*this);  // whose members() names what is in it
  if (sharing) return;
  const bool has_state = !original.state_dict().empty();
  if (!has_state && !holds_shared_) return;
  throw Error("Module", "a copy of " + describe() +
                            (has_state ? " would share its parameters, and train them with its own"
                                       : " would share its layers, and their mode") +
                            ": pass it by "
                            "reference, std::move it, or hold it by a std::shared_ptr");
}

template <class T>
std::uint64_t Module<T>::next_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

template <class T>
Module<T>::Call::Call(Module& module) : module_(module), model_(called_model<T>), observer_(observer<T>) {
  if (model_ && module.named_in_.load(std::memory_order_relaxed) != model_->number_)
    module.require_named(*model_);
  if (observer_) observer_->begin(module);
  if (!model_) called_model<T> = &module;
}

template <class T>
Module<T>::Call::~Call() {
  called_model<T> = model_;
}

template <class T>
void Module<T>::Call::end(const Tensor<T>& output) const {
  if (observer_) observer_->end(module_, output);
}

template <class T>
void Module<T>::require_named(Module& model) {
  const auto modules = model.named_modules();
  if (std::ranges::any_of(modules, [this](const auto& entry) { return entry.second == this; })) {
    named_in_.store(model.number_, std::memory_order_relaxed);
    return;
  }
  const auto own = named_parameters(), known = model.named_parameters();
  if (own.empty() && named_buffers().empty()) set_training(model.training_);
  // A model that names nothing at all is one whose parameters are listed by hand.
  if (known.empty() && modules.size() == 1) return;
  for (const auto& entry : own)
    if (std::ranges::none_of(known, [&](const auto& k) { return elements<T>(k) == elements<T>(entry); })) {
      const std::scoped_lock lock(noting);
      model.unnamed_parameter_ = entry.second;
      model.unnamed_layer_ = describe();
      if (is_recording()) throw_unnamed("Module", describe(), model.describe());
      return;
    }
}

template <class T>
void Module<T>::require_all_named(const char* op) {
  const std::scoped_lock lock(noting);
  if (!unnamed_parameter_.defined()) return;
  for (const auto& [path, p] : named_parameters())
    if (p.handle().value.get() == unnamed_parameter_.handle().value.get()) return;
  throw_unnamed(op, unnamed_layer_, describe());
}

template <class T>
void Module<T>::require_evaluation() const {
  for (const auto& [path, module] : const_cast<Module&>(*this).named_modules())
    if (module->training_)
      throw Error("Module", "a const " + describe() + " is called, and " +
                                (path.empty() ? "it" : "its '" + path + "'") +
                                " is in training mode, in which calls may change it: call eval() first");
}

template <class T>
void Module<T>::set_requires_grad(bool on) {
  for (Tensor<T>& p : parameters()) p.set_requires_grad(on);
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
std::vector<std::pair<std::string, Tensor<T>>> Module<T>::state_dict() {
  std::vector<std::pair<std::string, Tensor<T>>> all = named_parameters();
  for (auto& buffer : named_buffers()) all.push_back(std::move(buffer));
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
  for (const auto& [path, module] : named_modules()) module->set_training(on);
}

template <class T>
void Module<T>::set_training(bool on) {
  if (std::exchange(training_, on) != on) engine::note_mode_change();
}

template <class T>
void Sequential<T>::append(HeldModule<T> layer) {
  if (!layer) throw Error("Sequential", "a layer is null");
  layers_.push_back(std::move(layer));
  this->hold_shared();
}

template <class T>
Module<T>& Sequential<T>::operator[](std::size_t i) {
  if (i >= layers_.size())
    throw Error("Sequential", "there is no layer " + std::to_string(static_cast<std::ptrdiff_t>(i)) + " of " +
                                  std::to_string(layers_.size()));
  return *layers_[i];
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
template class HeldModule<float>;
template class HeldModule<double>;
template class detail::CloneScope<float>;
template class detail::CloneScope<double>;
template class Sequential<float>;
template class Sequential<double>;

}  // namespace xtape::nn
