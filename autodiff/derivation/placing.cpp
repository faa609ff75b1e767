#include "placing.hpp"

#include <algorithm>
#include <cstdlib>

namespace xtape::detail {

Placing Placing::contiguous(std::size_t n) {
  Placing all;
  all.add(n, 1);
  return all;
}

Placing Placing::of(std::ptrdiff_t offset, std::span<const std::size_t> sizes,
                    std::span<const std::ptrdiff_t> strides) {
  Placing all{offset};
  for (std::size_t i = 0; i < sizes.size(); ++i) all.add(sizes[i], strides[i]);
  return all;
}

void Placing::add(std::size_t size, std::ptrdiff_t stride) {
  if (size == 1) return;
  if (!dimensions.empty() && dimensions.back().stride == stride * static_cast<std::ptrdiff_t>(size))
    dimensions.back() = {dimensions.back().size * size, stride};
  else
    dimensions.push_back({size, stride});
}

std::size_t Placing::size() const {
  std::size_t n = 1;
  for (const Dimension& one : dimensions) n *= one.size;
  return n;
}

bool Placing::is_contiguous() const {
  return offset == 0 && (dimensions.empty() || (dimensions.size() == 1 && dimensions.front().stride == 1));
}

std::optional<Placing> Placing::read(const Placing& again) const {
  // Elements of a step of each own dimension, and the indices that `again` begins with.
  std::vector<std::ptrdiff_t> steps(dimensions.size());
  std::ptrdiff_t all = 1, rest = again.offset;
  for (std::size_t k = dimensions.size(); k-- > 0;) {
    steps[k] = all;
    all *= static_cast<std::ptrdiff_t>(dimensions[k].size);
  }
  Placing result{offset};
  std::vector<std::ptrdiff_t> low, high;  // how far the indices go
  for (std::size_t k = 0; k < dimensions.size(); ++k) {
    const std::ptrdiff_t index = rest / steps[k];
    rest -= index * steps[k];
    result.offset += index * dimensions[k].stride;
    low.push_back(index);
    high.push_back(index);
  }
  const auto add = [&](const auto& self, std::size_t size, std::ptrdiff_t stride) -> bool {
    if (stride == 0 || dimensions.empty()) return result.add(size, 0), stride == 0;
    std::size_t k = 0;
    while (k + 1 < dimensions.size() && steps[k] > std::abs(stride)) ++k;
    if (stride % steps[k] != 0) return false;
    // A dimension that runs over the end of an own one is two.
    const auto own = static_cast<std::ptrdiff_t>(dimensions[k].size) * steps[k];
    if (k > 0 && stride > 0 && static_cast<std::ptrdiff_t>(size) * stride > own) {
      const auto inner = static_cast<std::size_t>(own / stride);
      if (inner > 1 && own % stride == 0 && size % inner == 0 && inner < size)
        return self(self, size / inner, own) && self(self, inner, stride);
    }
    const std::ptrdiff_t times = stride / steps[k], far = times * static_cast<std::ptrdiff_t>(size - 1);
    (far < 0 ? low : high)[k] += far;
    if (low[k] < 0 || high[k] >= static_cast<std::ptrdiff_t>(dimensions[k].size)) return false;
    result.add(size, times * dimensions[k].stride);
    return true;
  };
  for (const Dimension& one : again.dimensions)
    if (!add(add, one.size, one.stride)) return {};
  return result;
}

bool Nest::add(const Placing& placing) {
  std::vector<std::size_t> all = bounds_;
  std::size_t n = 1;
  for (auto at = placing.dimensions.rbegin(); at != placing.dimensions.rend(); ++at)
    all.push_back(n *= at->size);
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (std::size_t i = 1; i < all.size(); ++i)
    if (all[i] % all[i - 1] != 0) return false;
  bounds_ = std::move(all);
  return true;
}

void Nest::split(std::size_t n) { bounds_.insert(bounds_.begin() + 1, n); }

std::size_t Nest::size(std::size_t loop) const {
  const std::size_t at = depth() - loop;
  return bounds_[at] / bounds_[at - 1];
}

std::vector<std::ptrdiff_t> Nest::strides(const Placing& placing) const {
  std::vector<std::ptrdiff_t> all;
  for (std::size_t at = 0; at < depth(); ++at) {
    std::size_t n = 1, k = placing.dimensions.size();
    while (k > 0 && n * placing.dimensions[k - 1].size <= bounds_[at]) n *= placing.dimensions[--k].size;
    all.push_back(k == 0 ? 0
                         : placing.dimensions[k - 1].stride * static_cast<std::ptrdiff_t>(bounds_[at] / n));
  }
  std::ranges::reverse(all);
  return all;
}

std::optional<std::vector<std::ptrdiff_t>> strides_along(const Placing& placing,
                                                         std::span<const std::size_t> sizes) {
  std::vector<std::ptrdiff_t> all(sizes.size(), 0);
  std::size_t k = placing.dimensions.size(), n = 1, done = 1;  // of the innermost dimension not yet used up
  for (std::size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 1) continue;
    if (done == n) {
      if (k == 0) return {};
      n *= placing.dimensions[--k].size;
    }
    const std::size_t from = n / placing.dimensions[k].size;
    if (done % from != 0) return {};
    all[i] = placing.dimensions[k].stride * static_cast<std::ptrdiff_t>(done / from);
    done *= sizes[i];
    if (n % done != 0) return {};
  }
  return all;
}

}  // namespace xtape::detail
