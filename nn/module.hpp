// Module: a function with parameters. Layers derive from it, and so do models.
#pragma once
#include <atomic>
#include <concepts>
#include <functional>
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
template <class T>
class CallObserver;

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
///
/// Modules move, and are passed by reference. A copy would share the parameters and buffers, so that training
/// it would train the original: copying a module that has some is an error, except into Sequential and
/// Residual, which share a layer that they are given by its name.
template <class T>
class Module {
 public:
  using value_type = T;
  Module() = default;
  Module(const Module& other) : training_(other.training_), holds_shared_(other.holds_shared_) {
    other.require_sharing();
  }
  Module(Module&& other) noexcept : training_(other.training_), holds_shared_(other.holds_shared_) {}
  virtual ~Module() = default;

  virtual Tensor<T> forward(const Tensor<T>& x) = 0;
  /// forward(x), seen by the CallObserver that lives. Error when a module is called within another that names
  /// members, but not this one, and the parameters of this one are recorded: they would be neither trained
  /// nor saved. One without parameters and buffers that is not named follows the mode of its caller.
  Tensor<T> operator()(const Tensor<T>& x) {
    return observed([&] { return forward(x); });
  }
  /// The class and its settings, such as "Linear(784, 128)".
  virtual std::string describe() const { return "Module"; }
  /// Names what the module holds; a module without parameters has nothing to name.
  virtual void members(Members<T>&) {}

  /// All parameters: those that members() names, then those of the modules within, in their order. Handles
  /// share. A parameter that several modules share is listed once, where it comes first; so are its name and
  /// the buffers. Virtual only so that a class that defines it, instead of members(), does not compile.
  virtual std::vector<Tensor<T>> parameters() final;
  /// The parameters with dotted paths, such as "hidden.weight".
  virtual std::vector<std::pair<std::string, Tensor<T>>> named_parameters() final;
  /// The buffers with dotted paths, such as "norm.running_mean".
  std::vector<std::pair<std::string, Tensor<T>>> named_buffers();
  /// What a file of the model holds: the parameters, then the buffers.
  std::vector<std::pair<std::string, Tensor<T>>> state_dict();
  /// This module, with an empty path, and those within, each where it comes first, such as "hidden.0".
  std::vector<std::pair<std::string, Module<T>*>> named_modules();
  /// Drops the gradients of all parameters.
  void zero_grad();

  /// Training mode (the default) or evaluation mode, for this module and those within; layers that behave
  /// differently ask training().
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

 protected:
  // For the classes: through a reference to a module of any class it would assign nothing of that.
  Module& operator=(const Module& other) {
    if (this != &other) other.require_sharing();
    training_ = other.training_;
    holds_shared_ = other.holds_shared_;
    return *this;
  }
  Module& operator=(Module&& other) noexcept {
    training_ = other.training_;
    holds_shared_ = other.holds_shared_;
    return *this;
  }
  /// Says that this module holds others by shared pointers: to copy it is an error, as those would be shared.
  void hold_shared() { holds_shared_ = true; }
  /// A layer on its own, as Sequential keeps it: moved, or sharing the parameters of one that has a name.
  template <class M>
  static std::shared_ptr<Module> shared(M&& layer) {
    const SharingScope sharing;
    return std::make_shared<std::remove_cvref_t<M>>(std::forward<M>(layer));
  }

  /// f() as a call of this module, for an operator() that takes other arguments than a tensor; output(f())
  /// is the tensor that observers are shown.
  template <class F, class Output = std::identity>
  auto observed(const F& f, const Output& output = {}) const {
    const Call call(const_cast<Module&>(*this));  // members() is not const, and some calls are
    auto result = f();
    call.end(output(result));
    return result;
  }
  /// Whether a CallObserver lives, to which each call is to be shown.
  static bool is_watched();

 private:
  friend class ModeScope<T>;  // sets modes one by one
  void set_training(bool on);

  /// While it lives, copies of modules that share parameters are wanted.
  class SharingScope {
   public:
    SharingScope();
    ~SharingScope();
    SharingScope(const SharingScope&) = delete;
    SharingScope& operator=(const SharingScope&) = delete;

   private:
    bool before_;
  };

  /// One call, from its beginning to its end.
  class Call {
   public:
    explicit Call(Module& module);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    void end(const Tensor<T>& output) const;

   private:
    Module& module_;
    Module* model_;  ///< the outermost module that is being called
    CallObserver<T>* observer_;
  };

  void require_sharing() const;
  void require_named(Module& model);

  static std::uint64_t next_number();

  bool training_ = true;
  bool holds_shared_ = false;                   ///< modules that a copy of this one would share
  const std::uint64_t number_ = next_number();  ///< its own; an address may be that of a module before
  std::atomic<std::uint64_t> named_in_ = 0;     ///< the outermost caller that was found to name this one
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

/// What Sequential and Residual take: a layer, or a shared pointer to a module.
template <class M, class T>
concept LayerOf = std::derived_from<std::remove_cvref_t<M>, Module<T>> ||
    std::convertible_to<M, std::shared_ptr<Module<T>>>;

/// Modules one after the other. Takes shared pointers to modules, and layers: one that has a name stays, and
/// shares its parameters with the one in here.
template <class T>
class Sequential : public Module<T> {
 public:
  Sequential() = default;
  template <class... M>
  requires(sizeof...(M) > 0 && (LayerOf<M, T> && ...) &&
           !(sizeof...(M) == 1 && (std::same_as<std::remove_cvref_t<M>, Sequential> && ...)))  // a copy
      explicit Sequential(M&&... layers) {
    (add(std::forward<M>(layers)), ...);
  }

  /// Appends a layer. Error for a null pointer.
  void add(std::shared_ptr<Module<T>> layer);
  template <class M>
  requires std::derived_from<std::remove_cvref_t<M>, Module<T>>
  void add(M&& layer) { add(this->shared(std::forward<M>(layer))); }
  std::size_t size() const { return layers_.size(); }
  /// Error for i from size() on.
  Module<T>& operator[](std::size_t i);
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override { return "Sequential"; }

 private:
  std::vector<std::shared_ptr<Module<T>>> layers_;
};

}  // namespace xtape::nn
