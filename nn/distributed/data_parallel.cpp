// Gradients that are summed over ranks while the backward pass runs.
#include <algorithm>
#include <deque>
#include <exception>
#include <thread>
#include <type_traits>
#include <unordered_map>

#include <autodiff/engine.hpp>
#include <autodiff/random.hpp>

#include "communicator.hpp"

namespace xtape::mpi {

using Clock = std::chrono::steady_clock;

/// What the passes of this rank leave is packed into buckets, those of the last parameters first, since these
/// are complete first. A bucket is sent when all of it is there and those before it are sent: so in one order
/// on all ranks. Behind its gradients it has a 1 for each that there is.
template <class T>
class DataParallel<T>::Reducer : public engine::LeafObserver {
 public:
  Reducer(nn::Module<T>& model, const Communicator& ranks, const DataParallelOptions& options)
      : ranks_(ranks), exceptions_(std::uncaught_exceptions()), parameters_(model.named_parameters()) {
    if (parameters_.empty()) throw Error("DataParallel", "the model has no parameters");
    for (auto& [name, x] : model.named_buffers()) buffers_.push_back(x);
    require_same_model();
    for (MPI_Comm* const one : {&parts_, &sums_})
      detail::check(MPI_Comm_dup(ranks_.state().comm, one), "DataParallel");
    std::vector<Tensor<T>> all = buffers_;
    for (const auto& [name, x] : parameters_) all.push_back(x);
    take_from_first(all);
    std::size_t filled = 0, first = 0;
    const auto close = [&](std::size_t end) {
      if (filled == 0) return;
      buckets_.emplace_back(ranks_, filled + (end - first) + (buckets_.empty() ? 1 : 0), parts_, sums_);
      for (std::size_t i = first; i < end; ++i) places_[i].bucket = buckets_.size() - 1;
      buckets_.back().first = first;
      buckets_.back().end = end;
      buckets_.back().filled = filled;
      filled = 0;
      first = end;
    };
    std::reverse(parameters_.begin(), parameters_.end());
    places_.resize(parameters_.size());
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Tensor<T>& x = parameters_[i].second;
      places_[i].at = filled;
      filled += std::max<std::size_t>(1, x.size());
      numbers_[x.handle().node.get()] = i;
      if (filled * sizeof(T) >= options.bucket_bytes) close(i + 1);
    }
    close(parameters_.size());
  }

  ~Reducer() override {
    if (is_under_way_ || (std::uncaught_exceptions() > exceptions_ && !has_agreed)) {
      detail::note_failure();
      return;
    }
    int ended = 0;
    MPI_Finalized(&ended);
    for (MPI_Comm* const one : {&parts_, &sums_})
      if (!ended) MPI_Comm_free(one);
  }

  std::function<double()> find_weight;
  double loss = 0;
  Times times;
  bool has_agreed = false;  ///< on an error that all ranks throw
  const Communicator& ranks() const { return ranks_; }

 private:
  struct Place {
    std::size_t bucket = 0, at = 0;
    bool is_packed = false;
  };
  struct Bucket {
    Bucket(const Communicator& ranks, std::size_t n, MPI_Comm parts, MPI_Comm sums)
        : sum(ranks, n, parts, sums) {}
    detail::OrderedSum<T> sum;
    std::size_t first = 0, end = 0, filled = 0, packed = 0;
  };

  void begin_pass(const engine::Handle& output) override {
    is_on_ = false;
    if (is_under_way_)
      throw Error("DataParallel",
                  "the last backward pass ended by an exception while gradients were on their way: the ranks "
                  "do not agree any more");
    weight_ = find_weight ? find_weight() : 1 / static_cast<double>(ranks_.size());
    is_on_ = true;
    has_agreed = false;
    sent_ = 0;
    for (Place& place : places_) place.is_packed = false;
    for (Bucket& bucket : buckets_) {
      bucket.packed = 0;
      std::fill(bucket.sum.data() + bucket.filled, bucket.sum.data() + bucket.sum.size(), T(0));
    }
    const bool is_loss = output.value->size == 1 && output.value->item_size == sizeof(T);
    if (is_loss)
      buckets_.front().sum.data()[buckets_.front().sum.size() - 1] =
          static_cast<T>(weight_) * Tensor<T>(engine::Handle(output)).detach().item();
  }

  void complete(engine::Node& leaf) override {
    if (is_on_) pack(leaf);
  }
  void step() override {
    if (is_under_way_) progress();
  }
  /// Whether all that is sent is done.
  bool progress() {
    bool done = true;
    for (std::size_t b = 0; b < sent_; ++b) {
      done &= buckets_[b].sum.progress();
      if (!buckets_[b].sum.has_parts()) return false;
    }
    return done;
  }

  void pack(engine::Node& leaf) {
    const auto found = numbers_.find(&leaf);
    if (found == numbers_.end() || places_[found->second].is_packed) return;
    if (leaf.adjoint.node)
      throw Error("DataParallel",
                  "gradients that are recorded (create_graph) are not summed over ranks: take grad(), and "
                  "all_reduce() of what it gives");
    Place& place = places_[found->second];
    Bucket& bucket = buckets_[place.bucket];
    const Tensor<T> gradient{engine::Handle(leaf.adjoint)};
    T* const to = bucket.sum.data() + place.at;
    const T* const from = gradient.data();
    const T w = static_cast<T>(weight_);
    for (std::size_t i = 0; i < gradient.size(); ++i) to[i] = w * from[i];
    bucket.sum.data()[bucket.filled + found->second - bucket.first] = T(1);
    place.is_packed = true;
    if (++bucket.packed == bucket.end - bucket.first) send();
  }

  void send(bool all = false) {
    while (sent_ < buckets_.size() &&
           (all || buckets_[sent_].packed == buckets_[sent_].end - buckets_[sent_].first)) {
      Bucket& bucket = buckets_[sent_++];
      for (std::size_t i = bucket.first; i < bucket.end; ++i)
        if (!places_[i].is_packed)
          std::fill_n(bucket.sum.data() + places_[i].at, parameters_[i].second.size(), T(0));
      is_under_way_ = true;
      bucket.sum.start();
    }
  }

  void end_pass(std::span<engine::Node* const> leaves) override {
    if (!std::exchange(is_on_, false)) return;
    for (engine::Node* const leaf : leaves)
      if (leaf->adjoint.value) pack(*leaf);
    const auto start = Clock::now();
    send(true);
    times = {};
    while (!progress()) std::this_thread::yield();
    for (Bucket& bucket : buckets_) {
      times.communicating += bucket.sum.seconds;
      times.collectives += bucket.sum.collectives;
    }
    times.waiting = std::chrono::duration<double>(Clock::now() - start).count();
    is_under_way_ = false;
    require_finite();
    loss = static_cast<double>(buckets_.front().sum.data()[buckets_.front().sum.size() - 1]);
    std::vector<engine::Handle> sums(parameters_.size());
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      Bucket& bucket = buckets_[places_[i].bucket];
      const auto with = static_cast<std::size_t>(bucket.sum.data()[bucket.filled + i - bucket.first]);
      if (with == 0) continue;
      if (with == ranks_.size()) {
        Tensor<T> sum = Tensor<T>::uninitialized(parameters_[i].second.shape());
        std::copy_n(bucket.sum.data() + places_[i].at, sum.size(), sum.mutable_data());
        sums[i] = std::move(sum).release();
        continue;
      }
      has_agreed = true;
      throw Error("DataParallel", "the losses of " + std::to_string(with) + " of " +
                                      std::to_string(ranks_.size()) + " ranks depend on '" +
                                      parameters_[i].first +
                                      "': all must compute the same function, of other data");
    }
    take_from_first(buffers_);
    take_generator();
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      if (sums[i].value) parameters_[i].second.handle().node->adjoint = std::move(sums[i]);
  }

  /// A sum is NaN or infinite on all ranks, so that they find it together.
  void require_finite() {
    const auto is_finite = [](const T* x, std::size_t n) {
      T zero = 0;
      for (std::size_t i = 0; i < n; ++i) zero += x[i] * T(0);
      return zero == 0;
    };
    const auto bad =
        std::ranges::find_if_not(buckets_, [&](Bucket& b) { return is_finite(b.sum.data(), b.filled); });
    if (bad == buckets_.end()) return;
    has_agreed = true;
    const auto none = static_cast<int>(parameters_.size());
    int own = none;
    for (std::size_t i = bad->first; i < bad->end && own == none; ++i) {
      const engine::Handle& gradient = parameters_[i].second.handle().node->adjoint;
      if (!gradient.value) continue;
      const Tensor<T> g{engine::Handle(gradient)};
      if (!is_finite(g.data(), g.size())) own = static_cast<int>(i);
    }
    std::vector<int> all(ranks_.size());
    detail::check(MPI_Allgather(&own, 1, MPI_INT, all.data(), 1, MPI_INT, ranks_.state().comm),
                  "DataParallel");
    const auto rank = std::ranges::find_if(all, [&](int i) { return i != none; }) - all.begin();
    if (rank == static_cast<std::ptrdiff_t>(all.size()))
      throw Error("DataParallel",
                  "a sum of gradients over the ranks is too large for its type: lower the "
                  "learning rate, or clip the gradients");
    throw Error("DataParallel",
                "rank " + std::to_string(rank) + " has a gradient of '" +
                    parameters_[static_cast<std::size_t>(all[static_cast<std::size_t>(rank)])].first +
                    "' that is NaN or infinite; no rank has changed its weights");
  }

  /// Names and shapes as a text, which is that of the first rank.
  void require_same_model() {
    std::string own;
    for (const auto& [name, x] : parameters_) own += name + " " + to_string(x.shape()) + "\n";
    MPI_Comm comm = ranks_.state().comm;
    unsigned long long length = own.size();
    detail::check(MPI_Bcast(&length, 1, MPI_UNSIGNED_LONG_LONG, 0, comm), "DataParallel");
    std::string first = own;
    first.resize(length);
    detail::check(MPI_Bcast(first.data(), static_cast<int>(length), MPI_CHAR, 0, comm), "DataParallel");
    int same = first == own, all_same = 0;
    detail::check(MPI_Allreduce(&same, &all_same, 1, MPI_INT, MPI_MIN, comm), "DataParallel");
    if (all_same) return;
    has_agreed = true;
    throw Error("DataParallel", same ? "other ranks have another model than rank 0: names or shapes differ"
                                     : "this rank, " + std::to_string(ranks_.rank()) +
                                           ", has another model than rank 0: names or shapes differ");
  }

  void take_from_first(std::vector<Tensor<T>> tensors) {  // handles
    std::vector<T> all;
    for (const Tensor<T>& x : tensors) all.insert(all.end(), x.data(), x.data() + x.size());
    detail::send_to_all(all.data(), all.size(), 0, ranks_.state().comm, "DataParallel");
    if (ranks_.is_first()) return;
    const T* from = all.data();
    for (Tensor<T>& x : tensors) {
      if (!std::equal(x.data(), x.data() + x.size(), from)) {  // else what is recorded may have kept it
        Tensor<T> first = Tensor<T>::uninitialized(x.shape());
        std::copy_n(from, x.size(), first.mutable_data());
        x.assign(first);
      }
      from += x.size();
    }
  }

  /// Ranks with shares of other sizes have drawn other numbers, and a checkpoint has those of the first.
  void take_generator() {
    auto& generator = random::generator();
    static_assert(std::is_trivially_copyable_v<std::remove_reference_t<decltype(generator)>>);
    detail::check(MPI_Bcast(&generator, sizeof generator, MPI_BYTE, 0, ranks_.state().comm), "DataParallel");
  }

  Communicator ranks_;
  MPI_Comm parts_ = MPI_COMM_NULL, sums_ = MPI_COMM_NULL;
  int exceptions_;
  std::vector<std::pair<std::string, Tensor<T>>> parameters_;  ///< the last first
  std::vector<Tensor<T>> buffers_;
  std::unordered_map<const engine::Node*, std::size_t> numbers_;  ///< of parameters_
  std::vector<Place> places_;
  std::deque<Bucket> buckets_;
  std::size_t sent_ = 0;
  double weight_ = 1;  ///< of this rank's loss in that of the whole batch
  bool is_on_ = false, is_under_way_ = false;
};

template <class T>
DataParallel<T>::DataParallel(nn::Module<T>& model, const Communicator& ranks,
                              const DataParallelOptions& options)
    : reducer_(std::make_unique<Reducer>(model, ranks, options)) {}

template <class T>
DataParallel<T>::DataParallel(nn::Trainer<T>& trainer, nn::DataLoader<T>& loader, const Communicator& ranks,
                              const DataParallelOptions& options)
    : DataParallel(trainer.model(), ranks, options) {
  reducer_->has_agreed = true;  // on the loader's errors
  loader.shard(ranks.rank(), ranks.size());
  loader_ = &loader;
  trainer_ = &trainer;
  reducer_->find_weight = [&loader] { return loader.weight(); };
  trainer.options.reduced_loss = [this] { return loss(); };
}

template <class T>
DataParallel<T>::~DataParallel() {
  if (loader_) loader_->shard(0, 1);
  if (trainer_) trainer_->options.reduced_loss = nullptr;
}

template <class T>
void DataParallel<T>::shard(nn::Optimizer<T>& optimizer) {
  optimizer.shard(detail::shards_of<T>(optimizer.parameters(), ranks()));
}

template <class T>
const Communicator& DataParallel<T>::ranks() const {
  return reducer_->ranks();
}

template <class T>
double DataParallel<T>::loss() const {
  return reducer_->loss;
}

template <class T>
typename DataParallel<T>::Times DataParallel<T>::times() const {
  return reducer_->times;
}

template class DataParallel<float>;
template class DataParallel<double>;

}  // namespace xtape::mpi
