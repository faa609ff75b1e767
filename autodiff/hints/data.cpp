// Labels and samples that are not those of the loss.
#include <algorithm>

#include "../base/text.hpp"
#include "../elementwise.hpp"
#include "../indexing.hpp"
#include "../layout.hpp"
#include "../linalg.hpp"
#include "../reductions.hpp"
#include "row_search.hpp"

namespace xtape::detail {

template <class T>
void RowSearch<T>::try_other_data() {
  for (std::uint32_t p = 0; p < graph_.program().places.size() && !is_late(); ++p) {
    const bool is_given =
        graph_.maker(p) == Graph::none && std::ranges::find(graph_.leaves(), p) == graph_.leaves().end();
    const Handle& handle = graph_.handle(p);
    if (!is_given || !handle.value || handle.value->size < 2 || handle.value->shape.size() == 0) continue;
    const std::string name = graph_.name(p);
    const auto check = [&](Handle other, const std::string& text) {
      try {
        if (explains(graph_.gradient_with(leaf_, p, std::move(other)))) found(text);
      } catch (const Error&) {
        // labels that are none
      }
    };
    if (handle.value->integers) {
      const auto* const index = handle.value->elements<std::ptrdiff_t>();
      const std::size_t n = handle.value->size;
      const auto with = [&](const std::string& text, auto f) {
        std::vector<std::ptrdiff_t> list;
        for (std::size_t i = 0; i < n; ++i) list.push_back(f(i));
        Indices other(list);
        if (handle.value->shape.size() == 1) check(other.handle(), text);
      };
      with("the labels (indices) " + name + " are off by one", [&](std::size_t i) { return index[i] + 1; });
      with("the labels (indices) " + name + " are off by one", [&](std::size_t i) { return index[i] - 1; });
      with("the labels (indices) " + name + " are shifted by one sample",
           [&](std::size_t i) { return index[(i + 1) % n]; });
      with("the labels (indices) " + name + " are shifted by one sample",
           [&](std::size_t i) { return index[(i + n - 1) % n]; });
      with("the labels (indices) " + name + " are in reverse order",
           [&](std::size_t i) { return index[n - 1 - i]; });
      continue;
    }
    const Tensor<T>& x = graph_.value(p);
    if (!x.defined() || x.shape()[0] < 2 || x.size() > 4096) continue;
    check(roll(x, 1).handle(),
          "the rows of " + name + " are shifted by one: samples and targets are misaligned");
    check(roll(x, -1).handle(),
          "the rows of " + name + " are shifted by one: samples and targets are misaligned");
    check(flip(x, 0).handle(),
          "the rows of " + name + " are in reverse order: samples and targets are misaligned");
    check((x * T(0)).handle(), name + " is taken as 0: it is not subtracted");
    if (x.rank() == 2 && x.shape()[1] > 2) {
      check(transpose(roll(transpose(x), 1)).handle(), "the labels (columns) of " + name + " are off by one");
      check(transpose(roll(transpose(x), -1)).handle(),
            "the labels (columns) of " + name + " are off by one");
    }
  }
}

#define XTAPE_INSTANTIATE(T) template void RowSearch<T>::try_other_data();
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::detail
