// Dataset: samples with what is to be predicted for them; from arrays, CSV and IDX files.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <autodiff/indices.hpp>
#include <autodiff/tensor.hpp>

namespace xtape::nn {

/// What makes a tensor of targets: a tensor, or an xtensor expression of floating-point numbers.
template <class Y, class T>
concept TargetsOf = std::same_as<Y, Tensor<T>> ||
    (Expression<Y>&& std::floating_point<typename Y::value_type>);

/// What the columns of a CSV file are; see Dataset::from_csv. Columns count from 0, negative ones from the
/// end.
struct CsvOptions {
  std::optional<std::ptrdiff_t> label_column = -1;  ///< of integer classes from 0; nullopt: there is none
  std::vector<std::ptrdiff_t> target_columns = {};  ///< numbers to predict; where there are any, no labels
  bool header = false;                              ///< the first line holds names, and is passed over
  char separator = ',';
  double scale = 1;                 ///< inputs are multiplied by it
  std::optional<double> low = {};   ///< an input below it, before scaling, is an error
  std::optional<double> high = {};  ///< an input above it is an error
  std::size_t classes = 0;          ///< a label that is not below it is an error; 0: any number of classes
  std::size_t columns = 0;          ///< in each line; 0: as many as in the first one
  std::size_t max_bytes = std::size_t{1} << 32;  ///< of the text; what unpacks to more is an error
};

/// Samples and what is to be predicted for them: numbers (for mse_loss and the like), or classes (for
/// cross_entropy), of each sample or of each of its places, or nothing. The first axis of all counts the
/// samples. A batch is a small data set. Tokens, for Embedding, are inputs of whole numbers, which a float
/// holds up to 2^24.
template <class T>
struct Dataset {
  Tensor<T> inputs;   ///< (N, …)
  Tensor<T> targets;  ///< (N, …), or empty
  Indices labels;     ///< classes from 0: (N,), or (N, …) for those of places; or none

  Dataset() = default;
  /// Inputs alone. Error for rank 0.
  explicit Dataset(const Tensor<T>& inputs);
  /// With numbers to predict. Error when the first axes differ.
  template <TargetsOf<T> Y>
  Dataset(const Tensor<T>& x, const Y& y) : Dataset(x, Tensor<T>(y), {}) {}
  /// With classes: whatever makes Indices. Error unless there are some for each sample.
  Dataset(const Tensor<T>& inputs, const Indices& labels);

  /// N; 0 without inputs.
  std::size_t size() const { return inputs.defined() ? inputs.shape()[0] : 0; }

  /// The samples at these places, copied. Error for a place that is not below size().
  Dataset select(const Indices& places) const;
  /// Two parts, the first with fraction · N samples, rounded, drawn by the seed. Error for a fraction that is
  /// not in [0, 1].
  std::pair<Dataset, Dataset> split(double fraction, std::uint64_t seed) const;

  /// A table of numbers, plain or compressed by gzip, a sample a line; what the label and the targets leave
  /// is the inputs, (N, columns). A point is the decimal separator in every locale. Errors name file, line
  /// and column of the text: what is no finite number, a line of another length, a label that is not whole.
  static Dataset from_csv(const std::string& path, const CsvOptions& options = {});
  /// The IDX files of MNIST, Fashion-MNIST and their like, plain or compressed by gzip: unsigned bytes
  /// (N, …), as a rule (N, height, width), divided by 255; and N labels. Error for a file that is damaged or
  /// holds more or less than its head says, and when the counts differ.
  static Dataset from_idx(const std::string& images, const std::string& labels);

 private:
  Dataset(const Tensor<T>& inputs, const Tensor<T>& targets, const Indices& labels);
};

/// Brings inputs to mean 0 and standard deviation 1. The numbers are those of the training data; all other
/// data get the same: `const Standardizer<T> standardize(training); test = standardize(test);`. What does not
/// vary is only centred.
template <class T>
class Standardizer {
 public:
  /// Of each feature, or of all features together, as for the pixels of images. Error without samples.
  explicit Standardizer(const Dataset<T>& training, bool per_feature = true);
  /// (x − mean) / sd for each input x.
  Dataset<T> operator()(const Dataset<T>& data) const;

  Tensor<T> mean, sd;
};

}  // namespace xtape::nn
