// An order for each pass, and the batches that are cut from it.
#include "../data_loader.hpp"

#include <numeric>
#include <random>
#include <span>

#include <autodiff/random.hpp>

namespace xtape::nn {

template <class T>
DataLoader<T>::DataLoader(Dataset<T> dataset, DataLoaderOptions options)
    : dataset_(std::move(dataset)), options_(options), next_{.seed = options.seed} {
  if (options_.batch_size == 0) throw Error("DataLoader", "a batch of 0 samples");
  shard(options_.rank, options_.size);
}

template <class T>
void DataLoader<T>::shard(std::size_t rank, std::size_t size) {
  if (rank >= size)
    throw Error("DataLoader", "there is no rank " + std::to_string(rank) + " among " + std::to_string(size));
  if (options_.batch_size < size)
    throw Error("DataLoader", "a batch of " + std::to_string(options_.batch_size) + " samples for " +
                                  std::to_string(size) + " processes: each needs one at least");
  options_.rank = rank;
  options_.size = size;
}

template <class T>
double DataLoader<T>::weight() const {
  if (samples_ == 0) throw Error("DataLoader", "there is no batch yet");
  return static_cast<double>(batch_.size()) / static_cast<double>(samples_);
}

template <class T>
std::size_t DataLoader<T>::batches_for(std::size_t processes) const {
  const std::size_t n = dataset_.size(), whole = n / options_.batch_size;
  return whole + (!options_.drop_last && n % options_.batch_size >= processes ? 1 : 0);
}

template <class T>
typename DataLoader<T>::Iterator DataLoader<T>::begin() {
  State start = next_;
  if (start.batch > 0 && !restored_) start = {start.seed, start.epoch + 1, 0};
  if (options_.shuffle) {
    std::seed_seq words{start.seed, start.seed >> 32, std::uint64_t{start.epoch}};  // of 32 bits each
    std::mt19937_64 engine(words);
    order_ = random::permutation(dataset_.size(), engine);
  } else {
    order_.resize(dataset_.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
  }
  next_ = start;
  const Iterator first(this);
  restored_ = false;  // until here an exception leaves the pass to the next begin()
  return first;
}

template <class T>
bool DataLoader<T>::fetch() {
  if (next_.batch >= size()) {
    next_ = {next_.seed, next_.epoch + 1, 0};
    return false;
  }
  const std::size_t at = next_.batch * options_.batch_size,
                    all = std::min(options_.batch_size, order_.size() - at),
                    from = options_.rank * all / options_.size,
                    to = (options_.rank + 1) * all / options_.size;
  batch_ = dataset_.select(std::span(order_).subspan(at + from, to - from));
  samples_ = all;
  ++next_.batch;
  return true;
}

template <class T>
void DataLoader<T>::restore(const State& state) {
  if (state.batch > batches_for(1))  // a last batch may be too small for the processes of today
    throw Error("DataLoader", "there is no batch " + std::to_string(state.batch) + " among " +
                                  std::to_string(size()) + ": the data or the batch size were others");
  next_ = state;
  if (next_.batch >= size()) next_ = {state.seed, state.epoch + 1, 0};
  restored_ = true;
}

template class DataLoader<float>;
template class DataLoader<double>;

}  // namespace xtape::nn
