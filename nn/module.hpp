// Module: a function with parameters. Layers derive from it, and so do models.
#pragma once
#include <atomic>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
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
template <class T>
class HeldModule;

/// What a module names in members(): parameters, buffers (state that is no parameter, such as running means),
/// and modules within it.
template <class T>
class Members {
 public:
  void parameter(std::string name, Tensor<T>& value) { add(parameters, std::move(name), value, &value); }
  void parameter(std::string name, const Tensor<T>& value) {
    add(parameters, std::move(name), value, nullptr);
  }
  void buffer(std::string name, Tensor<T>& value) { add(buffers, std::move(name), value, &value); }
  void buffer(std::string name, const Tensor<T>& value) { add(buffers, std::move(name), value, nullptr); }
  void module(std::string name, Module<T>& module) { modules.emplace_back(std::move(name), &module); }

  std::vector<std::pair<std::string, Tensor<T>>> parameters;
  std::vector<std::pair<std::string, Tensor<T>>> buffers;
  std::vector<std::pair<std::string, Module<T>*>> modules;
  /// The module's own variables of both, in which clone() and functional_call() put another tensor; null for
  /// a constant.
  std::vector<std::pair<std::string, Tensor<T>*>> variables;

 private:
  void add(std::vector<std::pair<std::string, Tensor<T>>>& to, std::string name, const Tensor<T>& value,
           Tensor<T>* variable) {
    variables.emplace_back(name, variable);
    to.emplace_back(std::move(name), value);
  }
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
/// An operator() of one's own, of other arguments or with other results, calls observed(): only then is a
/// layer found that members() leaves out, and only then does a summary see the call.
///
/// Modules move, and are passed by reference. A copy would share the parameters and buffers, so that training
/// it would train the original: copying a module that has some is an error, except into Sequential and
/// Residual, which share a layer that they are given by its name. nn::clone makes a copy of its own.
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
  /// nor saved; where they are not recorded, save() and summary() say so. One without parameters and buffers
  /// that is not named follows the mode of its caller.
  Tensor<T> operator()(const Tensor<T>& x) {
    return observed([&] { return forward(x); });
  }
  /// The same of a const module, which must be in evaluation mode, where a call changes nothing. forward() is
  /// not const, as it may count or remember in training. Error in training mode.
  Tensor<T> operator()(const Tensor<T>& x) const {
    require_evaluation();
    return const_cast<Module&>(*this)(x);
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
  /// Freezes all parameters, with Tensor::set_requires_grad: they count as constants, so that what is
  /// computed from them alone is not recorded, and optimisers leave them as they are. They stay among
  /// parameters(), and in files. A mode is another thing: eval() says whether running statistics change.
  void freeze() { set_requires_grad(false); }
  /// All parameters are trained again.
  void unfreeze() { set_requires_grad(true); }

  /// Training mode (the default) or evaluation mode, for this module and those within; layers that behave
  /// differently ask training().
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Error, naming `op`, where a call has found a layer with parameters that no members() names, and still
  /// none does.
  void require_all_named(const char* op);

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
  friend class HeldModule<T>;
  void set_training(bool on);
  void set_requires_grad(bool on);
  void require_evaluation() const;

  /// While it lives, copies of modules that share parameters are wanted.
  class SharingScope {
   public:
    [[nodiscard]] SharingScope();
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
  Tensor<T> unnamed_parameter_;                 ///< of a layer that was called, and named by no members()
  std::string unnamed_layer_;
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

/// A module that another one holds by a pointer, as Sequential and Residual do: copies share it, but
/// nn::clone copies it. Of a layer, which is moved in, or shares the parameters of one that has a name, or of
/// a shared pointer, which may be null.
template <class T>
class HeldModule {
 public:
  template <LayerOf<T> M>
  explicit HeldModule(M&& layer) {
    using Layer = std::remove_cvref_t<M>;
    if constexpr (std::derived_from<Layer, Module<T>>) {
      const typename Module<T>::SharingScope sharing;
      module_ = std::make_shared<Layer>(std::forward<M>(layer));
      copy_ = &copy_of<Layer>;
    } else {
      module_ = std::forward<M>(layer);
      if constexpr (requires { typename Layer::element_type; })
        copy_ = &copy_of<typename Layer::element_type>;
      else
        copy_ = &copy_of<Module<T>>;
    }
  }
  HeldModule(const HeldModule& other) : module_(other.shared_or_cloned()), copy_(other.copy_) {}
  HeldModule(HeldModule&&) noexcept = default;
  HeldModule& operator=(const HeldModule&) = default;
  HeldModule& operator=(HeldModule&&) noexcept = default;

  explicit operator bool() const { return module_ != nullptr; }
  Module<T>& operator*() const { return *module_; }
  Module<T>* operator->() const { return module_.get(); }

 private:
  std::shared_ptr<Module<T>> shared_or_cloned() const;
  /// Null where the module is of a class of which no copy can be made here.
  template <class M>
  static std::shared_ptr<Module<T>> copy_of(const Module<T>& module) {
    if constexpr (std::is_copy_constructible_v<M>)
      if (typeid(module) == typeid(M)) return std::make_shared<M>(dynamic_cast<const M&>(module));
    return nullptr;
  }

  std::shared_ptr<Module<T>> module_;
  std::shared_ptr<Module<T>> (*copy_)(const Module<T>&);
};

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
  template <LayerOf<T> M>
  void add(M&& layer) {
    append(HeldModule<T>(std::forward<M>(layer)));
  }
  std::size_t size() const { return layers_.size(); }
  /// Error for i from size() on.
  Module<T>& operator[](std::size_t i);
  /// Layer i as what it is: `model.at<nn::Linear<double>>(0).weight`. Error for i from size() on, and for a
  /// layer of another class.
  template <std::derived_from<Module<T>> M>
  M& at(std::size_t i) {
    if (auto* const layer = dynamic_cast<M*>(&(*this)[i])) return *layer;
    throw Error("Sequential", "layer " + std::to_string(i) + " is " + (*this)[i].describe() +
                                  ", no layer of the class that is asked for");
  }
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override;
  std::string describe() const override { return "Sequential"; }

 private:
  void append(HeldModule<T> layer);

  std::vector<HeldModule<T>> layers_;
};

template <class First, class... Rest>
requires requires { typename std::remove_cvref_t<First>::value_type; }
Sequential(First&&, Rest&&...)->Sequential<typename std::remove_cvref_t<First>::value_type>;
template <class First, class... Rest>
Sequential(std::shared_ptr<First>, Rest&&...) -> Sequential<typename First::value_type>;

}  // namespace xtape::nn
