// What the search is given: the mistakes at an edge, and other values for the operands.
#include "collector.hpp"

namespace xtape::detail {

template <class T>
std::vector<Mistake<T>> mistakes_at(const GradientGraph<T>& graph, std::size_t edge) {
  return Collector<T>(graph, edge).run();
}

template <class T>
std::vector<Mistake<T>> wrong_operands(const GradientGraph<T>& graph, std::size_t number) {
  std::vector<Mistake<T>> all;
  const auto& edge = graph.edges()[number];
  const Step& step = graph.step_of(edge);
  const std::string op = step.name();
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (i == edge.input && !(step.operation->row_call && step.inputs.size() == 1)) continue;
    const std::uint32_t right = step.inputs[i].place;
    const Tensor<T>& own = graph.value(right);
    if (!own.defined() || own.size() < 2) continue;
    const auto add = [&](const std::string& key, const std::string& text, const Tensor<T>& wrong) {
      all.push_back({op + "/" + key, text, [&graph, number, i, wrong](const Tensor<T>& g, const Tensor<T>&) {
                       return graph.contribution_with(number, g, {{i, wrong.handle()}});
                     }});
    };
    const std::string name = graph.name(right);
    if (op == "matmul" && own.rank() >= 2 && own.shape().end()[-1] == own.shape().end()[-2])
      add("transposed", name + " is not transposed", swapaxes(own, -1, -2));
    for (std::uint32_t p = 0; p < graph.program().places.size(); ++p) {
      const Tensor<T>& other = graph.value(p);
      if (p == right || !other.defined() || !graph.has_name(p)) continue;
      const std::string what = "the value of " + graph.definition(p);
      const std::string place = " is used in place of " + graph.definition(right) +
                                (p == edge.from ? ": it is the operand itself, and not the other one"
                                 : p < right    ? ", the value before it in place of the one after"
                                                : ", a value after it, an output, in place of an input");
      if (other.shape() == own.shape()) add("other", what + place, other);
      if (op == "matmul" && own.rank() == 2 && other.rank() == 2 && other.shape()[0] == own.shape()[1] &&
          other.shape()[1] == own.shape()[0])
        add("other", what + ", transposed," + place, swapaxes(other, -1, -2));
    }
  }
  return all;
}

#define XTAPE_INSTANTIATE(T)                                                          \
  template std::vector<Mistake<T>> mistakes_at(const GradientGraph<T>&, std::size_t); \
  template std::vector<Mistake<T>> wrong_operands(const GradientGraph<T>&, std::size_t);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
