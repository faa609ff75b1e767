// Parameters, buffers and the optimiser's state by name; everything is checked before anything is changed.
#include "../save.hpp"

#include <autodiff/base/text.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace xtape::nn {
namespace {

constexpr std::string_view optimizer_prefix = "optimizer.";
constexpr const char* rate_note = "optimizer.learning_rate";

template <class T>
using Entries = std::vector<std::pair<std::string, Tensor<T>>>;

template <class T>
Entries<T> entries_of(Module<T>& model) {
  Entries<T> all = model.named_parameters();
  for (auto& buffer : model.named_buffers()) all.push_back(std::move(buffer));
  return all;
}

template <class T>
void save_all(const std::string& path, Module<T>& model, const Optimizer<T>* optimizer, const Notes& notes) {
  NamedTensors<T> content{entries_of(model), notes};
  if (optimizer) {
    if (notes.contains(rate_note))
      throw Error("save", path + ": the note '" + rate_note + "' has a name that the file uses itself");
    for (const auto& [name, tensor] : optimizer->state())
      content.tensors.emplace_back(std::string(optimizer_prefix) + name, tensor);
    content.metadata[rate_note] = xtape::detail::exact_text(optimizer->learning_rate());
  }
  save_tensors(path, content);
}

template <class T>
Notes load_all(const std::string& path, Module<T>& model, Optimizer<T>* optimizer) {
  const auto fail = [&](const std::string& what) { throw Error("load", path + ": " + what); };
  NamedTensors<T> content = load_tensors<T>(path);
  Entries<T> targets = entries_of(model);
  const auto is_of_model = [&](const std::string& name) {
    return !name.starts_with(optimizer_prefix) ||
           std::ranges::any_of(targets, [&](const auto& entry) { return entry.first == name; });
  };
  std::map<std::string, Tensor<T>> of_model;
  Entries<T> of_optimizer;
  for (auto& [name, tensor] : content.tensors)
    if (is_of_model(name))
      of_model.emplace(std::move(name), std::move(tensor));
    else
      of_optimizer.emplace_back(name.substr(optimizer_prefix.size()), std::move(tensor));

  std::vector<Tensor<T>> values;
  for (const auto& [name, target] : targets) {
    auto found = of_model.extract(name);
    if (found.empty()) fail("there is no '" + name + "', which the model has");
    values.push_back(std::move(found.mapped()));
    if (!(values.back().shape() == target.shape()))
      fail("'" + name + "' is of shape " + to_string(values.back().shape()) + ", and in the model of shape " +
           to_string(target.shape()));
  }
  if (!of_model.empty()) fail("the model has no '" + of_model.begin()->first + "'");

  Notes notes = std::move(content.metadata);
  const auto saved_rate = notes.extract(rate_note);  // takes memory, so before anything is changed
  if (optimizer) {
    if (saved_rate.empty()) fail("it was saved without an optimiser");
    const std::string& text = saved_rate.mapped();
    double rate = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), rate);
    if (code != std::errc() || end != text.data() + text.size() || !(rate >= 0 && std::isfinite(rate)))
      fail("'" + text + "' is no learning rate");
    optimizer->restore(of_optimizer);
    optimizer->set_learning_rate(rate);
  }
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i].second.assign(values[i]);
  return notes;
}

}  // namespace

template <class T>
void save(const std::string& path, Module<T>& model, const Notes& notes) {
  save_all<T>(path, model, nullptr, notes);
}

template <class T>
void save(const std::string& path, Module<T>& model, const Optimizer<T>& optimizer, const Notes& notes) {
  save_all(path, model, &optimizer, notes);
}

template <class T>
Notes load(const std::string& path, Module<T>& model) {
  return load_all<T>(path, model, nullptr);
}

template <class T>
Notes load(const std::string& path, Module<T>& model, Optimizer<T>& optimizer) {
  return load_all(path, model, &optimizer);
}

#define XTAPE_INSTANTIATE(T)                                                             \
  template void save(const std::string&, Module<T>&, const Notes&);                      \
  template void save(const std::string&, Module<T>&, const Optimizer<T>&, const Notes&); \
  template Notes load(const std::string&, Module<T>&);                                   \
  template Notes load(const std::string&, Module<T>&, Optimizer<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
