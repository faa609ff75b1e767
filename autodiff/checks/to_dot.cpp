// Visits what the output depends on, with a list instead of recursion.
#include "../to_dot.hpp"

#include <unordered_map>
#include <vector>

namespace xtape {

template <class T>
std::string to_dot(const Tensor<T>& output,
                   const std::vector<std::pair<std::string, Tensor<std::type_identity_t<T>>>>& names,
                   const std::string& rankdir) {
  std::string text = "digraph tape {\n  rankdir=" + rankdir + ";\n  node [fontname=\"sans-serif\"];\n";
  std::unordered_map<detail::Node*, std::size_t> numbers;
  std::vector<detail::Node*> found;
  const auto number = [&](detail::Node* node) {
    const auto [at, is_new] = numbers.try_emplace(node, numbers.size());
    if (is_new) found.push_back(node);
    return "n" + std::to_string(at->second);
  };
  const auto name_of = [&](const detail::Node* node) -> std::string {
    for (const auto& [name, tensor] : names)
      if (tensor.handle().node.get() == node) return name;
    return {};
  };
  const auto escaped = [](std::string name) {
    for (std::size_t i = 0; i < name.size(); ++i)
      if (name[i] == '"' || name[i] == '\\') name.insert(i++, 1, '\\');
    return name;
  };
  if (detail::Node* root = output.handle().node.get())
    number(root);
  else
    text += "  constant [label=\"constant\\n" + to_string(output.shape()) + "\"];\n";
  for (std::size_t i = 0; i < found.size(); ++i) {
    detail::Node* node = found[i];
    const std::string own = number(node);
    const std::string name = name_of(node);
    text += "  " + own + " [shape=" + (node->is_leaf() ? "ellipse" : "box") + ", label=\"" +
            (name.empty() ? "" : escaped(name) + "\\n") + escaped(node->name) + "\\n" +
            to_string(node->shape()) + "\"];\n";
    for (detail::Node* input : node->inputs())
      if (input) text += "  " + number(input) + " -> " + own + ";\n";
  }
  return text + "}\n";
}

template std::string to_dot(const Tensor<float>&, const std::vector<std::pair<std::string, Tensor<float>>>&,
                            const std::string&);
template std::string to_dot(const Tensor<double>&, const std::vector<std::pair<std::string, Tensor<double>>>&,
                            const std::string&);

}  // namespace xtape
