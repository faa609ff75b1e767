// Parameters, buffers and the state of a training by name; everything is checked before anything is changed.
#include "../save.hpp"

#include <algorithm>
#include <array>
#include <autodiff/engine.hpp>
#include <cmath>
#include <cstring>
#include <set>
#include <span>

namespace xtape::nn {
namespace {

constexpr std::string_view optimizer_prefix = "optimizer.";
constexpr std::string_view trainer_prefix = "trainer.";
constexpr const char* rate_note = "learning_rate";
constexpr const char* first_rate_note = "first_learning_rate";

template <class T>
using Optimizers = std::span<const NamedOptimizer<T>>;

bool is_of_training(const std::string& name) {
  return name.starts_with(optimizer_prefix) || name.starts_with(trainer_prefix);
}

/// The only optimiser of a file has no name.
std::string prefix_of(const std::string& optimizer) {
  return std::string(optimizer_prefix) + optimizer + (optimizer.empty() ? "" : ".");
}

/// Error for names that would not tell optimisers apart.
template <class T>
void require_names(const char* op, Optimizers<T> optimizers) {
  std::set<std::string> names;
  for (const auto& [name, optimizer] : optimizers)
    if (name.empty() || name.find('.') != std::string::npos || !names.insert(name).second)
      throw Error(op, "'" + name + "' cannot name an optimiser: each has a name of its own, without a point");
}

/// Takes out what is named prefix…, without the prefix.
template <class Map>
Map take_section(Map& from, const std::string& prefix) {
  Map section;
  for (auto at = from.lower_bound(prefix); at != from.end() && at->first.starts_with(prefix);) {
    auto item = from.extract(at++);
    item.key().erase(0, prefix.size());
    section.insert(std::move(item));
  }
  return section;
}

template <class T>
void save_all(const std::string& path, Module<T>& model, Optimizers<T> optimizers, const Trainer<T>* trainer,
              const Notes& notes) {
  for (const auto& [name, text] : notes)
    if (is_of_training(name))
      throw Error("save", path + ": the note '" + name + "' has a name that the file uses itself");
  NamedTensors<T> content{model.state_dict(), notes};
  if (content.tensors.empty())
    throw Error("save", path + ": " + model.describe() +
                            " has nothing to save: name its parameters and layers in members()");
  model.require_all_named("save");
  const auto add = [&](const std::string& prefix, const NamedTensors<T>& section) {
    for (const auto& [name, tensor] : section.tensors) content.tensors.emplace_back(prefix + name, tensor);
    for (const auto& [name, text] : section.metadata) content.metadata[prefix + name] = text;
  };
  const auto named = model.named_parameters();
  for (const auto& [name, optimizer] : optimizers)
    add(prefix_of(name), {optimizer.state(named),
                          {{rate_note, engine::exact_text(optimizer.learning_rate())},
                           {first_rate_note, engine::exact_text(optimizer.first_learning_rate())}}});
  if (trainer) add(std::string(trainer_prefix), trainer->state());
  save_tensors(path, content);
}

/// All names of a module's parameters and buffers: state_dict() lists one that several modules share once.
template <class T>
std::vector<std::pair<std::string, Tensor<T>>> all_names(Module<T>& module) {
  Members<T> own;
  module.members(own);
  std::vector<std::pair<std::string, Tensor<T>>> all = std::move(own.parameters);
  for (auto& buffer : own.buffers) all.push_back(std::move(buffer));
  for (const auto& [path, inner] : own.modules)
    for (const auto& [name, tensor] : all_names(*inner)) all.emplace_back(path + "." + name, tensor);
  return all;
}

template <class T>
struct Values {
  std::vector<std::pair<Tensor<T>, Tensor<T>>> pairs;  ///< of a tensor of the model and its new value
  std::vector<std::string> missing;
};

/// Takes what a model has out of `arrays`.
template <class T>
Values<T> take_values(const std::string& path, Module<T>& model, std::map<std::string, Tensor<T>>& arrays) {
  const auto fail = [&](const std::string& what) { throw Error("load", path + ": " + what); };
  std::map<const void*, std::pair<std::string, Tensor<T>>> found;
  for (const auto& [name, target] : all_names(model)) {
    const auto array = arrays.extract(name);
    if (array.empty()) continue;
    const Tensor<T>& value = array.mapped();
    if (!(value.shape() == target.shape()))
      fail("'" + name + "' is of shape " + to_string(value.shape()) + ", and in the model of shape " +
           to_string(target.shape()));
    const auto& [first, other] = found.try_emplace(target.handle().value.get(), name, value).first->second;
    if (std::memcmp(other.data(), value.data(), value.size() * sizeof(T)) != 0)
      fail("'" + first + "' and '" + name + "' differ, and are one tensor in the model");
  }
  Values<T> result;
  for (const auto& [name, target] : model.state_dict()) {
    const auto value = found.find(target.handle().value.get());
    if (value == found.end())
      result.missing.push_back(name);
    else
      result.pairs.emplace_back(target, value->second.second);
  }
  return result;
}

template <class T>
Notes load_all(const std::string& path, Module<T>& model, Optimizers<T> optimizers, Trainer<T>* trainer) {
  const auto fail = [&](const std::string& what) { throw Error("load", path + ": " + what); };
  NamedTensors<T> content = load_tensors<T>(path);
  std::map<std::string, Tensor<T>> arrays;
  for (auto& [name, tensor] : content.tensors) arrays.emplace(std::move(name), std::move(tensor));
  Notes notes = std::move(content.metadata);

  const auto [values, missing] = take_values(path, model, arrays);
  if (!missing.empty()) fail("there is no '" + missing.front() + "', which the model has");
  for (const auto& entry : arrays)
    if (!is_of_training(entry.first)) fail("the model has no '" + entry.first + "'");

  struct Ready {
    Optimizer<T>& optimizer;
    typename Optimizer<T>::State state;
    double rate, first_rate;
  };
  std::vector<Ready> ready;
  const auto named = model.named_parameters();
  for (const auto& [name, optimizer] : optimizers) {
    const auto state = take_section(arrays, prefix_of(name));
    const auto rates = take_section(notes, prefix_of(name));
    const auto rate = [&](const char* note, double otherwise) {
      const auto found = rates.find(note);
      if (found == rates.end()) return otherwise;
      const std::string& text = found->second;
      double value = 0;
      const char *at = text.data(), *const end = at + text.size();
      const bool is_number = engine::read_number(at, end, value) == engine::ReadNumber::good && at == end;
      if (!is_number || !(value >= 0 && std::isfinite(value))) fail("'" + text + "' is no learning rate");
      return value;
    };
    if (!rates.contains(rate_note))
      fail("it was saved without an optimiser" + (name.empty() ? "" : " '" + name + "'"));
    const double now = rate(rate_note, 0);
    ready.push_back(
        {optimizer, optimizer.read(named, {state.begin(), state.end()}), now, rate(first_rate_note, now)});
  }
  const auto left = take_section(arrays, std::string(optimizer_prefix));
  const auto left_notes = take_section(notes, std::string(optimizer_prefix));
  if (!optimizers.empty() && !(left.empty() && left_notes.empty()))
    fail("'" + prefix_of(left.empty() ? left_notes.begin()->first : left.begin()->first) +
         "' is of an optimiser that is not given");
  NamedTensors<T> section;
  section.metadata = take_section(notes, std::string(trainer_prefix));
  for (auto& [name, tensor] : take_section(arrays, std::string(trainer_prefix)))
    section.tensors.emplace_back(name, std::move(tensor));
  typename Trainer<T>::State training;
  if (trainer) training = trainer->read(section);

  for (Ready& one : ready) {
    one.optimizer.adopt(std::move(one.state));
    one.optimizer.schedule_learning_rate(one.rate, one.first_rate);
  }
  if (trainer) trainer->adopt(std::move(training));
  for (auto [target, value] : values) target.assign(value);
  return notes;
}

/// The first names of many, between quotes.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i)
    text += (i == 0 ? "'" : ", '") + names[i] + "'";
  return text + (names.size() > most ? " and " + std::to_string(names.size() - most) + " more" : "");
}

/// An optimiser that is the only one of a file.
template <class T>
NamedOptimizer<T> only(const Optimizer<T>& optimizer) {
  return {"", const_cast<Optimizer<T>&>(optimizer)};  // which save() only reads
}

}  // namespace

template <class T>
void save(const std::string& path, Module<T>& model, const Notes& notes) {
  save_all<T>(path, model, {}, nullptr, notes);
}

template <class T>
void save(const std::string& path, Module<T>& model, const Optimizer<T>& optimizer, const Notes& notes) {
  save_all<T>(path, model, std::array{only(optimizer)}, nullptr, notes);
}

template <class T>
void save(const std::string& path, Module<T>& model,
          std::initializer_list<std::type_identity_t<NamedOptimizer<T>>> optimizers, const Notes& notes) {
  require_names<T>("save", optimizers);
  save_all<T>(path, model, optimizers, nullptr, notes);
}

template <class T>
void save(const std::string& path, const Trainer<T>& trainer, const Notes& notes) {
  save_all<T>(path, trainer.model(), std::array{only(trainer.optimizer())}, &trainer, notes);
}

template <class T>
Notes load(const std::string& path, Module<T>& model) {
  return load_all<T>(path, model, {}, nullptr);
}

template <class T>
Notes load(const std::string& path, Module<T>& model, Optimizer<T>& optimizer) {
  return load_all<T>(path, model, std::array{only(optimizer)}, nullptr);
}

template <class T>
Notes load(const std::string& path, Module<T>& model,
           std::initializer_list<std::type_identity_t<NamedOptimizer<T>>> optimizers) {
  require_names<T>("load", optimizers);
  return load_all<T>(path, model, optimizers, nullptr);
}

template <class T>
Notes load(const std::string& path, Trainer<T>& trainer) {
  return load_all<T>(path, trainer.model(), std::array{only(trainer.optimizer())}, &trainer);
}

template <class T>
LoadResult load(const std::string& path, Module<T>& model, const LoadOptions& options) {
  const auto fail = [&](const std::string& what) { throw Error("load", path + ": " + what); };
  std::set<std::string> known;
  for (const auto& entry : all_names(model)) known.insert(entry.first);
  LoadResult result;
  std::map<std::string, std::string> in_file;  // by the names of the model
  const auto is_wanted = [&](const std::string& name) {
    const std::string to = options.rename ? options.rename(name) : name;
    if (to.empty()) return false;
    if (!known.contains(to)) {
      if (!is_of_training(name)) result.unexpected.push_back(to);
      return false;
    }
    if (const auto [other, is_new] = in_file.emplace(to, name); !is_new)
      fail("'" + other->second + "' and '" + name + "' are both renamed to '" + to + "'");
    return true;
  };
  const NamedTensors<T> content = load_tensors<T>(path, {.convert = options.convert, .only = is_wanted});
  std::map<std::string, Tensor<T>> arrays;
  for (const auto& [to, name] : in_file) arrays.emplace(to, content.at(name));
  auto [values, missing] = take_values(path, model, arrays);
  result.missing = std::move(missing);
  if (options.strict && !(result.missing.empty() && result.unexpected.empty()))
    fail((result.missing.empty() ? "" : "there is no " + listed(result.missing) + ", which the model has") +
         (result.missing.empty() || result.unexpected.empty() ? "" : "; ") +
         (result.unexpected.empty() ? "" : "the model has no " + listed(result.unexpected)) +
         ": give .rename or {.strict = false}");
  for (auto& [target, value] : values) target.assign(value);
  return result;
}

#define XTAPE_INSTANTIATE(T)                                                                     \
  template void save(const std::string&, Module<T>&, const Notes&);                              \
  template void save(const std::string&, Module<T>&, const Optimizer<T>&, const Notes&);         \
  template void save(const std::string&, Module<T>&, std::initializer_list<NamedOptimizer<T>>,   \
                     const Notes&);                                                              \
  template void save(const std::string&, const Trainer<T>&, const Notes&);                       \
  template Notes load(const std::string&, Module<T>&);                                           \
  template Notes load(const std::string&, Module<T>&, Optimizer<T>&);                            \
  template Notes load(const std::string&, Module<T>&, std::initializer_list<NamedOptimizer<T>>); \
  template Notes load(const std::string&, Trainer<T>&);                                          \
  template LoadResult load(const std::string&, Module<T>&, const LoadOptions&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
