// DataLoader: the batches of a data set, in an order that a seed decides.
#pragma once
#include <iterator>

#include "data.hpp"

namespace xtape::nn {

/// How a DataLoader cuts and orders its batches.
struct DataLoaderOptions {
  std::size_t batch_size = 32;
  bool shuffle = true;     ///< each pass in an order of its own
  std::uint64_t seed = 0;  ///< of the orders
  bool drop_last = false;  ///< leave out a last batch of fewer samples
  /// Of `size` processes that train together, this is number `rank`: it gets its share of each batch, samples
  /// one after the other, and the batches are those of a single process.
  std::size_t rank = 0, size = 1;
};

/// Walks over a data set in batches; each range-for is one pass (epoch):
///
///     for (const Dataset<double>& batch : loader) { … batch.inputs … batch.labels … }
///
/// The order of a pass follows from the seed and the number of the pass alone, whatever else draws random
/// numbers. One pass at a time; a batch is good until the next one is fetched.
template <class T>
class DataLoader {
 public:
  /// A place in training, from which it can go on: the next batch of a pass, both counted from 0.
  struct State {
    std::uint64_t seed = 0;
    std::size_t epoch = 0;
    std::size_t batch = 0;
    bool operator==(const State&) const = default;
  };

  /// What a range-for holds.
  class Iterator {
   public:
    using value_type = Dataset<T>;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using reference = const Dataset<T>&;
    using pointer = const Dataset<T>*;

    reference operator*() const { return loader_->batch_; }
    pointer operator->() const { return &loader_->batch_; }
    Iterator& operator++() {
      more_ = loader_->fetch();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !more_; }

   private:
    friend class DataLoader;
    explicit Iterator(DataLoader* loader) : loader_(loader), more_(loader->fetch()) {}
    DataLoader* loader_;
    bool more_;
  };

  /// Errors: a batch of 0 samples, or of fewer than there are processes; a rank that is none.
  explicit DataLoader(Dataset<T> dataset, DataLoaderOptions options = {});

  /// Begins the next pass, or after restore() the rest of one. A pass that was left by `break` is over.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

  /// The number of batches in a pass. A last one of fewer samples than processes is left out.
  std::size_t size() const { return batches_for(options_.size); }
  const Dataset<T>& dataset() const { return dataset_; }
  /// The samples of the current batch, all processes' shares together.
  std::size_t samples() const { return samples_; }
  /// What part of them this process has. Error before the first batch.
  double weight() const;
  /// Deals the batches out among processes from here on: see DataLoaderOptions. Errors as of the constructor.
  void shard(std::size_t rank, std::size_t size);

  /// Where training stands: within a pass, the batch behind the current one.
  const State& state() const { return next_; }
  /// Goes on from a state of a loader with the same data and options. Error for a batch behind the last.
  void restore(const State& state);

 private:
  bool fetch();
  std::size_t batches_for(std::size_t processes) const;

  Dataset<T> dataset_, batch_;
  DataLoaderOptions options_;
  State next_;
  bool restored_ = false;
  std::size_t samples_ = 0;
  std::vector<std::size_t> order_;
};

}  // namespace xtape::nn
