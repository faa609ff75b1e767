// The table of elementwise operations, from their rules.
#include "elementwise_table.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "../elementwise.hpp"
#include "../kernels/kernel_table.hpp"
#include "../special.hpp"

namespace xtape::detail {
namespace {

/// "multiply_gradient"
template <class Rule>
constexpr auto gradient_name = [] {
  constexpr std::string_view name = Rule::name, end = "_gradient";
  std::array<char, name.size() + end.size() + 1> text{};
  std::copy(end.begin(), end.end(), std::copy(name.begin(), name.end(), text.begin()));
  return text;
}();

template <std::size_t I, class T, class Rule, std::size_t... K>
Symbol<T> gradient_on_symbols(const T* numbers, const Symbol<T>& g, const Symbol<T>* x, const Symbol<T>& y,
                              std::index_sequence<K...>) {
  return gradient<I>(make_rule<T, Rule>(numbers[0], numbers[1]), g, y, x[K]...);
}

template <class Rule>
inline constexpr bool is_length = requires {
  Rule::is_length;
};

template <class T, class Rule, std::size_t... I>
constexpr ElementwiseInfo<T> describe(std::index_sequence<I...> inputs) {
  ElementwiseInfo<T> info{traits_of<Rule>(), OpNumber{op_number<Rule>},
                          Rule::name,        gradient_name<Rule>.data(),
                          inputs.size(),     is_length<Rule>};
  for (std::size_t i = 0; i < info.operands; ++i)
    for (std::size_t place = 0; place <= info.operands; ++place)
      if (info.kept[i] & (place < info.operands ? 1u << place : ops::y_))
        info.used[i].place[info.used[i].count++] = static_cast<unsigned char>(place);
  if constexpr (is_differentiable<Rule>)
    ((info.gradient[I] =
          [](const T* numbers, const Symbol<T>& g, const Symbol<T>* x, const Symbol<T>& y) {
            return gradient_on_symbols<I, T, Rule>(numbers, g, x, y,
                                                   std::make_index_sequence<sizeof...(I)>());
          }),
     ...);
  return info;
}

template <class T>
constexpr ElementwiseInfo<T> infos[] = {
#define XTAPE_UNARY(Op) describe<T, ops::Op<T>>(std::make_index_sequence<1>()),
#define XTAPE_BINARY(Op) describe<T, ops::Op<T>>(std::make_index_sequence<2>()),
#define XTAPE_TERNARY(Op) describe<T, ops::Op<T>>(std::make_index_sequence<3>()),
#include "../kernels/elementwise_list.inc"
};

}  // namespace

template <class T>
const ElementwiseInfo<T>* info_of(OpNumber op) {
  return &infos<T>[index_of(op)];
}

template const ElementwiseInfo<float>* info_of(OpNumber);
template const ElementwiseInfo<double>* info_of(OpNumber);

}  // namespace xtape::detail
