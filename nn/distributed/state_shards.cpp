// An optimiser's state, divided among the ranks by whole parameters.
#include <algorithm>
#include <numeric>

#include <autodiff/engine.hpp>

#include "communicator.hpp"

namespace xtape::mpi {
namespace {

template <class T>
class Shards : public nn::StateShards<T> {
 public:
  Shards(const std::vector<Tensor<T>>& parameters, const Communicator& ranks)
      : rank_(ranks.rank()), owners_(parameters.size()), shapes_(parameters.size()) {
    detail::check(MPI_Comm_dup(ranks.state().comm, &comm_), "shard");
    // The largest first, each to the rank that has least so far.
    std::vector<std::size_t> order(parameters.size()), sizes(ranks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return parameters[i].size(); });
    for (const std::size_t i : order) {
      const auto least = static_cast<std::size_t>(std::ranges::min_element(sizes) - sizes.begin());
      owners_[i] = least;
      sizes[least] += parameters[i].size();
      shapes_[i] = parameters[i].shape();
    }
  }
  bool is_own(std::size_t i) const override { return owners_[i] == rank_; }
  void exchange(std::vector<Tensor<T>>& parameters) override {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      send(is_own(i) ? parameters[i].mutable_data() : parameters[i].begin_update(), i);
  }
  Tensor<T> gather(std::size_t i, const Tensor<T>& own) override {
    int defined = own.defined();
    detail::check(MPI_Bcast(&defined, 1, MPI_INT, static_cast<int>(owners_[i]), comm_), "shard");
    if (!defined) return {};
    Tensor<T> all = is_own(i) ? own : Tensor<T>::uninitialized(shapes_[i]);
    send(all.mutable_data(), i);
    return all;
  }

 private:
  /// The numbers of its owner, to all.
  void send(T* numbers, std::size_t i) {
    detail::send_to_all(numbers, engine::element_count(shapes_[i], "shard"), owners_[i], comm_, "shard");
  }

  std::size_t rank_;
  MPI_Comm comm_ = MPI_COMM_NULL;  ///< of its own, until MPI ends
  std::vector<std::size_t> owners_;
  std::vector<Shape> shapes_;
};

}  // namespace

template <class T>
std::shared_ptr<nn::StateShards<T>> detail::shards_of(const std::vector<Tensor<T>>& parameters,
                                                      const Communicator& ranks) {
  return std::make_shared<Shards<T>>(parameters, ranks);
}

template std::shared_ptr<nn::StateShards<float>> detail::shards_of(const std::vector<Tensor<float>>&,
                                                                   const Communicator&);
template std::shared_ptr<nn::StateShards<double>> detail::shards_of(const std::vector<Tensor<double>>&,
                                                                    const Communicator&);

}  // namespace xtape::mpi
