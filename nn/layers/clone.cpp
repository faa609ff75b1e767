// What a clone has of its own, and what a call has in place of the model's own.
#include "../clone.hpp"

#include <algorithm>
#include <set>

#include "../functional_call.hpp"

namespace xtape::nn {
namespace {

template <class T>
struct Variable {
  std::string path;
  Tensor<T>* tensor;  ///< null for a constant
};

/// The variables of a module and those within, also those that are named again.
template <class T>
void list_variables(Module<T>& module, const std::string& prefix, std::vector<Variable<T>>& all) {
  Members<T> own;
  module.members(own);
  for (const auto& [name, tensor] : own.variables) all.push_back({prefix + name, tensor});
  for (const auto& [name, inner] : own.modules) list_variables(*inner, prefix + name + ".", all);
}

template <class T>
std::vector<Variable<T>> variables(const char* op, Module<T>& module) {
  std::vector<Variable<T>> all;
  list_variables(module, "", all);
  for (const Variable<T>& one : all)
    if (!one.tensor)
      throw Error(op, "members() names '" + one.path + "' by a constant: name the variable that holds it");
  return all;
}

template <class T>
const void* elements_of(const Tensor<T>& tensor) {
  return tensor.handle().value.get();
}

}  // namespace

void detail::require_class(const std::string& layer, bool is_same) {
  if (!is_same)
    throw Error("clone", layer +
                             " is given as a reference to a class that it is derived from, and a copy "
                             "would be of that class alone: give it by its own type");
}

template <class T>
void detail::separate(Module<T>& copy, Module<T>& model) {
  std::set<const void*> originals;
  for (const auto& [path, module] : model.named_modules()) originals.insert(module);
  for (const Variable<T>& one : variables("clone", model)) originals.insert(one.tensor);
  const auto require_own = [&](const void* member, const std::string& path, const char* what) {
    if (originals.contains(member))
      throw Error("clone", "a copy of " + model.describe() + " has the " + what + " '" + path +
                               "' in common with it, by a pointer or a reference: hold it as a member, or in "
                               "a Sequential");
  };
  for (const auto& [path, module] : copy.named_modules()) require_own(module, path, "module");
  const std::vector<Variable<T>> all = variables("clone", copy);
  for (const Variable<T>& one : all) require_own(one.tensor, one.path, "tensor");
  std::map<const void*, Tensor<T>> fresh;  // by the elements: what is shared stays shared
  std::vector<Tensor<T>> values;
  for (const Variable<T>& one : all) {
    const Tensor<T>& old = *one.tensor;
    Tensor<T>& own = fresh[elements_of(old)];
    if (!own.defined()) {
      own = old.is_leaf() ? parameter(old) : Tensor<T>(old.value());
      if (old.is_leaf()) own.set_requires_grad(old.requires_grad());
    }
    values.push_back(own);
  }
  for (std::size_t i = 0; i < all.size(); ++i) *all[i].tensor = values[i];
}

template <class T>
void detail::assign_by_name(const char* op, const std::vector<std::pair<std::string, Tensor<T>>>& from,
                            const std::string& from_what, std::vector<std::pair<std::string, Tensor<T>>> to,
                            const std::string& to_what) {
  std::map<std::string, Tensor<T>> values(from.begin(), from.end());
  for (const auto& [name, target] : to) {
    const auto found = values.find(name);
    if (found == values.end()) throw Error(op, "'" + name + "' of " + to_what + " is not in " + from_what);
    if (!(found->second.shape() == target.shape()))
      throw Error(op, "'" + name + "' is of shape " + to_string(found->second.shape()) + " in " + from_what +
                          ", and of shape " + to_string(target.shape()) + " in " + to_what);
  }
  if (values.size() != to.size())
    for (const auto& entry : values)
      if (std::ranges::none_of(to, [&](const auto& one) { return one.first == entry.first; }))
        throw Error(op, "'" + entry.first + "' of " + from_what + " is not in " + to_what);
  for (auto& [name, target] : to) target.assign(values.at(name));
}

template <class T>
void copy_parameters(const Module<T>& from, Module<T>& to) {
  // members() of `from` changes nothing.
  detail::assign_by_name("copy_parameters", const_cast<Module<T>&>(from).state_dict(), "the first model",
                         to.state_dict(), "the second model");
}

namespace detail {

template <class T>
Replaced<T>::Replaced(Module<T>& module, const Named& parameters) {
  const auto known = module.state_dict();
  std::map<const void*, Tensor<T>> replacement;
  for (const auto& [name, tensor] : parameters) {
    const std::string& path = name;  // Clang 14 captures no binding
    const auto own = std::ranges::find_if(known, [&](const auto& one) { return one.first == path; });
    if (own == known.end())
      throw Error("functional_call", "'" + name + "' is no parameter or buffer of " + module.describe());
    if (!(own->second.shape() == tensor.shape()))
      throw Error("functional_call", "'" + name + "' is of shape " + to_string(own->second.shape()) +
                                         ", and the tensor for it of shape " + to_string(tensor.shape()));
    if (!replacement.emplace(elements_of(own->second), tensor).second)
      throw Error("functional_call", "'" + name + "' is given twice");
  }
  const auto all = variables("functional_call", module);
  before_.reserve(all.size());
  for (const Variable<T>& one : all)
    if (replacement.contains(elements_of(*one.tensor))) before_.emplace_back(one.tensor, *one.tensor);
  for (auto& [variable, old] : before_) *variable = replacement.at(elements_of(old));
}

template <class T>
Replaced<T>::~Replaced() {
  for (auto& [variable, old] : before_) *variable = std::move(old);
}

}  // namespace detail

#define XTAPE_INSTANTIATE(T)                                                                               \
  template void detail::separate(Module<T>&, Module<T>&);                                                  \
  template void detail::assign_by_name(const char*, const std::vector<std::pair<std::string, Tensor<T>>>&, \
                                       const std::string&, std::vector<std::pair<std::string, Tensor<T>>>, \
                                       const std::string&);                                                \
  template void copy_parameters(const Module<T>&, Module<T>&);                                             \
  template class detail::Replaced<T>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
