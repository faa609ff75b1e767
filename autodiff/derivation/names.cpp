#include "names.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace xtape::detail {
namespace {

constexpr std::string_view activations[] = {"sigmoid", "tanh", "relu", "leaky_relu",
                                            "elu",     "gelu", "silu", "softplus"};
constexpr std::string_view layers[] = {"linear", "matmul", "conv2d"};
constexpr std::string_view arithmetic[] = {
    "add",  "subtract",     "multiply", "divide", "negative",  "reciprocal",   "square", "squared_difference",
    "pow",  "sqrt",         "exp",      "log",    "log1p",     "expm1",        "abs",    "sum",
    "mean", "squared_norm", "slice",    "take",   "transpose", "cross_entropy"};
bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// A mask: some elements are 0, and not all.
bool has_zeros(const Handle& tensor) {
  if (!tensor.value || tensor.value->integers) return false;
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < tensor.value->size; ++i) zeros += element(*tensor.value.get(), i) == 0;
  return zeros != 0 && zeros != tensor.value->size;
}
bool ends_in_number(const std::string& name) {
  return name.size() > 1 &&
         std::ranges::all_of(name.substr(1), [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

bool is_binary(const Handle& tensor) {
  if (!tensor.value || tensor.value->integers) return false;
  for (std::size_t i = 0; i < tensor.value->size; ++i)
    if (const double x = element(*tensor.value.get(), i); x != 0 && x != 1) return false;
  return true;
}

Names::Names(const Derived& derived)
    : derived_(derived), program_(derived.program), given_(derived.results.begin(), derived.results.end()) {
  const std::size_t places = program_.places.size();
  makers_.resize(places), readers_.resize(places), uses_.resize(places), forward_uses_.resize(places);
  for (const Step& step : program_.steps) {
    makers_[step.output] = &step;
    for (const Input& input : step.inputs) ++uses_[input.place];
  }
  std::set<const Step*> forward;
  std::vector<std::uint32_t> open{derived.loss};
  while (!open.empty()) {
    const Step* const step = makers_[open.back()];
    open.pop_back();
    if (!step || !forward.insert(step).second) continue;
    for (const Input& input : step->inputs) {
      open.push_back(input.place);
      readers_[input.place] = step;
      ++forward_uses_[input.place];
    }
  }
  for (const Source::Argument& one : derived.arguments) taken_.insert(one.name);
  for (const auto& [place, name] : derived.results) taken_.insert(name);
}

std::string Names::free_name(const std::string& letter) {
  for (;;) {
    std::string name = letter + std::to_string(++last_[letter]);
    if (taken_.insert(name).second) return name;
  }
}

std::string Names::of_argument(std::uint32_t place, const Source::Argument& one) {
  if (!one.name.empty()) return one.name;
  if (one.is_leaf) return free_name(program_.places[place].shape.size() >= 2 ? "W" : "b");
  std::string role = role_of_data(place);
  if (role == "mask" && !has_zeros(one.tensor)) role = "c";
  if (role == "c") return free_name(role);
  if (taken_.insert(role).second) {
    last_[role] = 1;
    return role;
  }
  return free_name(role);
}

std::string Names::role_of_data(std::uint32_t place) const {
  for (const Step& step : program_.steps)
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      if (step.inputs[i].place != place) continue;
      const std::string_view op = step.name();
      if (program_.places[place].integers)
        return op == "take" || op == "gather" || op == "scatter_add" || op == "embedding" ? "indices"
                                                                                          : "labels";
      if (op == "matmul") return "x";
      if (is_one_of(layers, op)) return i == 0 ? "x" : "c";
      if (op == "squared_difference" || op.starts_with("binary_cross_entropy") || op == "subtract")
        return i == 1 ? "y" : "x";
      if (op == "where" && i == 0) return "mask";
      if (op == "multiply") return "mask";
      if (step.operation->is_view || op == "slice" || op == "transpose") return "x";
      return "c";
    }
  return "c";
}

std::string Names::own(std::uint32_t place) {
  if (const auto at = given_.find(place); at != given_.end()) return at->second;
  if (place != derived_.loss) return {};
  return taken_.insert("L").second ? "L" : taken_.insert("loss").second ? "loss" : free_name("L");
}

std::string Names::of_result(std::uint32_t place) {
  const Step& step = *makers_[place];
  if (is_layer(place)) return free_name("z");
  if (is_one_of(activations, step.name())) {
    const auto z = names_.find(source_of(step.inputs[0].place));
    if (z != names_.end() && z->second.starts_with("z") && ends_in_number(z->second))
      if (const std::string name = "a" + z->second.substr(1); taken_.insert(name).second) return name;
  }
  if (std::string_view(step.name()) == "softmax" && taken_.insert("p").second) return "p";
  return free_name("v");
}

/// What a view shows.
std::uint32_t Names::source_of(std::uint32_t place) const {
  while (makers_[place] && makers_[place]->operation->is_view) place = makers_[place]->inputs[0].place;
  return place;
}

bool Names::is_layer(std::uint32_t place) const {
  const Step* const step = makers_[place];
  if (!step) return false;
  if (is_one_of(layers, step->name())) return true;
  return std::string_view(step->name()) == "add" &&
         std::ranges::any_of(step->inputs,
                             [&](const Input& input) { return is_added_to_a_layer(input.place); });
}

/// x W, to which a parameter or another product is added: one line, x W + b.
bool Names::is_added_to_a_layer(std::uint32_t place) const {
  const Step *const step = makers_[place], *const reader = readers_[place];
  if (!step || !reader || uses_[place] != 1 || given_.contains(place) ||
      std::string_view(step->name()) == "conv2d" || std::string_view(reader->name()) != "add" ||
      !is_layer(place))
    return false;
  return std::ranges::any_of(reader->inputs, [&](const Input& other) {
    const std::uint32_t source = source_of(other.place);
    return other.place != place &&
           (program_.places[source].kind == Place::Kind::argument || is_layer(other.place));
  });
}

bool Names::is_part(std::uint32_t place) const {
  const Step& step = *makers_[place];
  return step.operation->is_view || step.operation->repeats || uses_[place] == 0 ||
         is_added_to_a_layer(place);
}

bool Names::is_arithmetic(std::uint32_t place) const {
  return forward_uses_[place] == 1 && is_one_of(arithmetic, makers_[place]->name()) && !is_layer(place);
}

}  // namespace xtape::detail
