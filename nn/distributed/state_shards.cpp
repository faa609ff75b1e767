// An optimiser's state, divided among the ranks by whole parameters.
#include <algorithm>
#include <numeric>

#include "communicator.hpp"

namespace xtape::mpi {
namespace {

template <class T>
class Shares : public nn::StateShards<T> {
 public:
  Shares(const std::vector<Tensor<T>>& parameters, const Communicator& ranks)
      : rank_(ranks.rank()), owners_(parameters.size()), shapes_(parameters.size()) {
    detail::check(MPI_Comm_dup(ranks.state().comm, &comm_), "shard");
    // The largest first, each to the rank that has least so far.
    std::vector<std::size_t> order(parameters.size()), sizes(ranks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return parameters[i].size(); });
    for (const std::size_t i : order) {
      const auto least = std::ranges::min_element(sizes) - sizes.begin();
      owners_[i] = static_cast<int>(least);
      sizes[static_cast<std::size_t>(least)] += parameters[i].size();
      shapes_[i] = parameters[i].shape();
    }
  }
  bool is_own(std::size_t i) const override { return owner(i) == rank_; }
  void exchange(std::vector<Tensor<T>>& parameters) override {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      send(is_own(i) ? parameters[i].mutable_data() : parameters[i].begin_update(), i);
  }
  Tensor<T> gather(std::size_t i, const Tensor<T>& own) override {
    int defined = own.defined();
    detail::check(MPI_Bcast(&defined, 1, MPI_INT, owners_[i], comm_), "shard");
    if (!defined) return {};
    Tensor<T> all = is_own(i) ? own : Tensor<T>::uninitialized(shapes_[i]);
    send(all.mutable_data(), i);
    return all;
  }

 private:
  std::size_t owner(std::size_t i) const { return static_cast<std::size_t>(owners_[i]); }
  /// The numbers of its owner, to all.
  void send(T* numbers, std::size_t i) {
    const std::size_t n = element_count(i);
    for (std::size_t at = 0; at < n; at += detail::most_at_once)
      detail::check(MPI_Bcast(numbers + at, static_cast<int>(std::min(detail::most_at_once, n - at)),
                              detail::type_of<T>(), owners_[i], comm_),
                    "shard");
  }
  std::size_t element_count(std::size_t i) const {
    return std::accumulate(shapes_[i].begin(), shapes_[i].end(), std::size_t{1}, std::multiplies<>());
  }

  std::size_t rank_;
  MPI_Comm comm_ = MPI_COMM_NULL;  ///< of its own, until MPI ends
  std::vector<int> owners_;
  std::vector<Shape> shapes_;
};

}  // namespace

template <class T>
std::shared_ptr<nn::StateShards<T>> detail::shards_of(const std::vector<Tensor<T>>& parameters,
                                                      const Communicator& ranks) {
  return std::make_shared<Shares<T>>(parameters, ranks);
}

template std::shared_ptr<nn::StateShards<float>> detail::shards_of(const std::vector<Tensor<float>>&,
                                                                   const Communicator&);
template std::shared_ptr<nn::StateShards<double>> detail::shards_of(const std::vector<Tensor<double>>&,
                                                                    const Communicator&);

}  // namespace xtape::mpi
