// Module: a function with parameters. Layers derive from it, and so do models.
#pragma once
#include <concepts>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <autodiff/tensor.hpp>

namespace xtape::nn {

template <class T>
class Module;
template <class T>
class ModeScope;

/// What a module names in members(): parameters, buffers (state that is no parameter, such as running means),
/// and modules within it.
template <class T>
class Members {
 public:
  void parameter(std::string name, const Tensor<T>& value) {
    parameters.emplace_back(std::move(name), value);
  }
  void buffer(std::string name, const Tensor<T>& value) { buffers.emplace_back(std::move(name), value); }
  void module(std::string name, Module<T>& module) { modules.emplace_back(std::move(name), &module); }

  std::vector<std::pair<std::string, Tensor<T>>> parameters;
  std::vector<std::pair<std::string, Tensor<T>>> buffers;
  std::vector<std::pair<std::string, Module<T>*>> modules;
};

/// A differentiable function of a tensor, with parameters. A class of one's own derives from it, holds layers
/// and parameters as members, writes forward(), and names them in members():
///
///     struct Net : Module<double> {
///       Linear<double> hidden{2, 8}, output{8, 1};
///       Tensor<double> forward(const Tensor<double>& x) override { return output(tanh(hidden(x))); }
///       void members(Members<double>& m) override { m.module("hidden", hidden); m.module("output", output);
///       }
///     };
template <class T>
class Module {
 public:
  using value_type = T;
  virtual ~Module() = default;

  virtual Tensor<T> forward(const Tensor<T>& x) = 0;
  /// forward(x), seen by the CallObserver that lives.
  Tensor<T> operator()(const Tensor<T>& x);
  /// The class and its settings, such as "Linear(784, 128)".
  virtual std::string describe() const { return "Module"; }
  /// Names what the module holds; a module without parameters has nothing to name.
  virtual void members(Members<T>&) {}

  /// All parameters: those that members() names, then those of the modules within, in their order. Handles
  /// share. A parameter that several modules share is listed once, where it comes first; so are its name and
  /// the buffers.
  virtual std::vector<Tensor<T>> parameters();
  /// The same with dotted paths, such as "hidden.weight".
  virtual std::vector<std::pair<std::string, Tensor<T>>> named_parameters();
  /// The buffers with dotted paths, such as "norm.running_mean".
  std::vector<std::pair<std::string, Tensor<T>>> named_buffers();
  /// This module, with an empty path, and those within, each where it comes first, such as "hidden.0".
  std::vector<std::pair<std::string, Module<T>*>> named_modules();
  /// Drops the gradients of all parameters.
  void zero_grad();

  /// Training mode (the default) or evaluation mode, for this module and those within; layers that behave
  /// differently ask training().
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

 private:
  friend class ModeScope<T>;  // sets modes one by one
  bool training_ = true;
};

/// While it lives, sees the calls of modules by this thread, those through Module::operator(). Observers nest
/// as scopes do, and the innermost one sees them.
template <class T>
class CallObserver {
 public:
  CallObserver();
  virtual ~CallObserver();
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;

  virtual void begin(Module<T>&) {}
  virtual void end(Module<T>&, const Tensor<T>& /*output*/) {}

 private:
  CallObserver* outer_;
};

/// Modules one after the other. Takes layers by value, or shared pointers to modules.
template <class T>
class Sequential : public Module<T> {
 public:
  Sequential() = default;
  template <class... M>
  requires(sizeof...(M) > 0 &&
           ((std::derived_from<M, Module<T>> ||
             std::convertible_to<M, std::shared_ptr<Module<T>>>)&&...)) explicit Sequential(M... layers) {
    (add(std::move(layers)), ...);
  }

  /// Appends a layer. Error for a null pointer.
  void add(std::shared_ptr<Module<T>> layer);
  template <std::derived_from<Module<T>> M>
  void add(M layer) {
    add(std::shared_ptr<Module<T>>(std::make_shared<M>(std::move(layer))));
  }
  std::size_t size() const { return layers_.size(); }
  Module<T>& operator[](std::size_t i) { return *layers_.at(i); }
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override { return "Sequential"; }

 private:
  std::vector<std::shared_ptr<Module<T>>> layers_;
};

}  // namespace xtape::nn
