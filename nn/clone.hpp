// Copies of a model: one of its own, and of the values alone.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "module.hpp"

namespace xtape::nn {

namespace detail {

/// While it lives, modules are copied with those that they hold by a HeldModule.
template <class T>
class CloneScope {
 public:
  CloneScope();
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;

  std::map<const Module<T>*, std::shared_ptr<Module<T>>> clones;  ///< of what is held more than once

 private:
  CloneScope* outer_;
  bool sharing_;
};

/// Error where the class is another than the type, of which alone a copy can be made.
void require_class(const std::string& layer, bool is_same);
/// Gives the copy parameters and buffers of its own.
template <class T>
void separate(Module<T>& copy, Module<T>& model);
/// Error, before anything is changed, unless both have the same names and shapes; they are called by texts.
template <class T>
void assign_by_name(const char* op, const std::vector<std::pair<std::string, Tensor<T>>>& from,
                    const std::string& from_what, std::vector<std::pair<std::string, Tensor<T>>> to,
                    const std::string& to_what);

}  // namespace detail

/// A model of its own with the same values: the parameters are new leaves, without gradients and frozen where
/// the model's are, the buffers are copied, and the modes kept. What was shared within the model is shared
/// within the clone. The class is copied by its copy constructor. Errors, which name the member: a reference
/// to a class derived from M, a module that the class holds by a pointer or a reference, which its copies
/// share (Sequential and Residual hold layers that are cloned), and a member that is no variable.
template <class M>
requires std::derived_from<M, Module<typename M::value_type>> M clone(const M& model) {
  using T = typename M::value_type;
  detail::require_class(model.describe(), typeid(model) == typeid(M));
  M copy = [&] {
    const detail::CloneScope<T> scope;
    return M(model);
  }();
  detail::separate<T>(copy, const_cast<M&>(model));  // whose members() names what is in it
  return copy;
}

/// The values of parameters and buffers, by name. Error, before anything is changed, for names that only one
/// of the models has, and for shapes that differ.
template <class T>
void copy_parameters(const Module<T>& from, Module<T>& to);

}  // namespace xtape::nn
