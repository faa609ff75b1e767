// A graph on which mistakes are made: its loss, the right gradients by hand, and words of hints.
#pragma once
#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

#include <nn/nn.hpp>

#include "mistakes.hpp"

namespace xtape::test {

using Matrix = Tensor<double>;
using Mistakes = std::vector<Mistake>;

/// The largest difference over the largest element of either; 2 for other shapes and for what is not finite.
template <class T>
double relative_difference(const Tensor<T>& a, const Tensor<T>& b) {
  if (!(a.shape() == b.shape())) return 2;
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = static_cast<double>(a.data()[i]), q = static_cast<double>(b.data()[i]);
    if (!std::isfinite(p) || !std::isfinite(q)) return 2;
    largest = std::max({largest, std::abs(p), std::abs(q)});
    difference = std::max(difference, std::abs(p - q));
  }
  return largest > 0 ? difference / largest : 0;
}

/// A loss with named parameters, and its gradients derived by hand, in which one mistake can be switched on.
template <class T>
class GraphOf {
 public:
  using Gradients = std::map<std::string, Tensor<T>>;
  using Parameters = std::vector<std::pair<std::string, Tensor<T>>>;
  /// The gradients of all parameters: for "" the right ones, else with the mistake of that name.
  using Hand = std::function<Gradients(const std::string& wrong)>;

  /// Throws where the right gradients are not the tape's.
  GraphOf(std::vector<MistakeOf<T>>& list, std::string name, Parameters parameters,
          std::function<Tensor<T>()> loss, Hand hand)
      : list_(list),
        name_(std::move(name)),
        loss_(std::move(loss)),
        hand_(std::move(hand)),
        parameters_(parameters.begin(), parameters.end()) {
    std::vector<Tensor<T>> leaves;
    for (const auto& named : parameters) leaves.push_back(named.second);
    const std::vector<Tensor<T>> trusted = grad(loss_(), leaves);
    const Gradients right = by_hand("");
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const std::string& row = parameters[i].first;
      const double off = relative_difference(trusted[i], right.at(row));
      if (!(off < (sizeof(T) == 8 ? 1e-9 : 2e-5)))
        throw std::logic_error(name_ + ": the right formula of " + row + " is off by " + std::to_string(off));
      trusted_.emplace(row, trusted[i]);
    }
  }

  Gradients by_hand(const std::string& wrong) const {
    const NoGrad no_grad;
    return hand_(wrong);
  }
  const Tensor<T>& trusted(const std::string& row) const { return trusted_.at(row); }

  /// The mistake `wrong` in the gradient of `row`, of which a hint must have all groups of words.
  void add(const std::string& kind, const std::string& wrong, const std::string& row,
           const Expectation& expected, const std::string& explanation, const Words& never = {}) {
    add_any(kind, wrong, row, std::vector<Expectation>{expected}, explanation, never);
  }
  /// The same with several right readings.
  void add_any(const std::string& kind, const std::string& wrong, const std::string& row,
               const std::vector<Expectation>& any_of, const std::string& explanation,
               const Words& never = {}) {
    list_.push_back({name_ + ": " + wrong + ", " + row, kind, row, parameters_.at(row), trusted(row),
                     by_hand(wrong).at(row), loss_, any_of, never, explanation});
  }
  /// The gradient by hand is right, and backward() ran several times without zero_grad().
  void add_accumulated(double passes, const std::string& row, const std::vector<Expectation>& any_of,
                       const std::string& explanation) {
    const NoGrad no_grad;
    list_.push_back({name_ + ": accumulated, " + row,
                     "accumulated",
                     row,
                     parameters_.at(row),
                     trusted(row) * passes,
                     trusted(row),
                     loss_,
                     any_of,
                     {},
                     explanation,
                     passes});
  }

 private:
  std::vector<MistakeOf<T>>& list_;
  std::string name_;
  std::function<Tensor<T>()> loss_;
  Hand hand_;
  Gradients parameters_, trusted_;
};
using Graph = GraphOf<double>;

// ---- data

inline Matrix normal(const Shape& shape, double sd = 1) { return random::normal<double>(shape, 0, sd); }
inline Matrix weights(const Shape& shape, double sd = 0.7) { return parameter(normal(shape, sd)); }
/// x W + b with W (in, out).
template <class T>
Tensor<T> affine(const Tensor<T>& x, const Tensor<T>& W, const Tensor<T>& b) {
  return matmul(x, W) + b;
}
/// One-hot rows.
inline Matrix one_hot(const std::vector<std::size_t>& labels, std::size_t classes) {
  Matrix rows = zeros<double>({labels.size(), classes});
  for (std::size_t i = 0; i < labels.size(); ++i) rows.mutable_data()[i * classes + labels[i]] = 1;
  return rows;
}
/// 1 for the rows from `first` on, `count` of them, 0 for the others: (n, 1).
inline Matrix rows_mask(std::size_t n, std::size_t first, std::size_t count) {
  Matrix mask = zeros<double>({n, 1});
  std::fill_n(mask.mutable_data() + first, count, 1.0);
  return mask;
}

// ---- words

inline Words join(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Words join(const Words& a, const Words& b, const Words& c) { return join(join(a, b), c); }

namespace words {

inline const Words slope{"derivative", "slope",       "g'",    "σ'",    "f'",      "φ'",
                         "sigmoid'",   "tanh'",       "relu'", "elu'",  "silu'",   "gelu'",
                         "softplus'",  "activation'", "′",     "prime", "jacobian"};
inline const Words forgotten{"forgot",         "missing",       "left out",     "without",
                             "not multiplied", "omitted",       "dropped",      "lack",
                             "unchanged",      "skipped",       "ignored",      "not applied",
                             "taken as 1",     "replaced by 1", "treated as 1", "were 1",
                             "not there",      "absent",        "is not in",    "leaves out",
                             "leave out",      "neglected",     "not taken",    "identity",
                             "disregarded",    "not included",  "not used",     "should be multiplied",
                             "no factor",      "passed on",     "passes on"};
/// Of a path on which no gradient goes back.
inline const Words path_cut{"constant",
                            "cut",
                            "detach",
                            "no gradient",
                            "branch",
                            "propagat",
                            "flow",
                            "path",
                            "edge",
                            "stopped",
                            "depend",
                            "use of",
                            "only",
                            "contribution",
                            "term",
                            "part of",
                            "not differentiated"};
inline const Words cut{"taken as 0",  "as zero",    "constant",  "dropped", "cut",          "detach",
                       "no gradient", "branch",     "forgot",    "missing", "left out",     "without",
                       "ignored",     "propagat",   "flow",      "omitted", "lack",         "skipped",
                       "neglected",   "not added",  "one path",  "one of",  "stopped",      "absent",
                       "only",        "leaves out", "leave out", "edge",    "not included", "disregarded"};
inline const Words twice{"twice",        "two times",   "double",  "squared",        "again",     "once more",
                         "one too many", "second time", "2 times", "once too often", "too often", "²"};
inline const Words sign{"sign",     "negat",    "minus", "−1",   "-1",
                        "opposite", "subtract", "y − ",  "y - ", "wrong way"};
inline const Words transposed{"transpos", "ᵀ", "^t", "axes swapped", "rows and columns"};
inline const Words instead{"instead",   "in place", "in its place", "replaced",   "rather than",
                           "used",      "taken",    "swap",         "mixed up",   "confus",
                           "exchanged", "stands",   "multiplied",   "comes from", "computed",
                           "evaluated", "for ",     "wrong",        "other",      "not "};
inline const Words soft{"softmax", "p (1 − p)", "p(1-p)", "p(1 − p)", "p (1 - p)"};
inline const Words label{"label", "target", "one-hot", "onehot", "one hot",
                         "p − y", "p - y",  "− y",     "- y",    "a − y"};
/// The target, where it was not subtracted.
inline const Words target{"target",    "label", "subtract", "y is",       "y forgotten",
                          "without y", "y in",  "y = 0",    "y replaced", "y taken"};
/// For what is only a factor.
inline const Words of_slopes{"sigmoid'", "slope", "σ'", "g'", "tanh'", "product rule"};
inline const Words negative_term{"1 − y", "1 - y",    "y = 0",   "ln(1",
                                 "log(1", "negative", "class 0", "second term"};
inline const Words positive_term{"y ln p",  "y log p",    "y · l", "y = 1", "positive",
                                 "class 1", "first term", "ln p",  "log p"};
inline const Words of_mean{"mean", "average", "µ", "μ", "centr"};
inline const Words of_variance{"var", "σ", "deviation", "sqrt", "√", "std", "square"};
inline const Words of_moments{"moment", "statistic", "norm", "both", "mean and"};
/// Of an index that occurs several times.
inline const Words repeated{"repeat",     "duplicate", "several times", "occur",  "accumulat", "overwrit",
                            "same index", "same row",  "same word",     "add up", "added up",  "summed"};
inline const Words one_use{"one use", "one of", "a use", "its uses"};
inline const Words two{
    "2 λ", "2λ",   "2 r", "factor 2", "factor of 2", "factor 0.5", "factor of 0.5", "2 ×",     "2×",  "× 2",
    "2 ·", "· 2",  "2·",  "twice",    "double",      "2 times",    "two times",     "times 2", "2 *", "* 2",
    "½",   "half", "0.5", "1/2",      "halved",      "the 2",      "/ 2",           "by 2",    "2 is"};
inline const Words averaged{"mean", "average", "divided"};
inline const Words summed{"sum", "added", "divided", "division"};
inline const Words accumulated{
    "of the loss", "loss's gradient", "accumul",        "zero_grad",        "zero grad",
    "clear",       "added up",        "reset",          "several times",    "backward",
    "two passes",  "passes",          "once too often", "not what the loss"};
inline const Words penalty{"penalty", "weight decay", "l2", "λ", "lambda", "regulari", "decay"};
inline const Words masked{"mask", "dropout", "relu", "z > 0", "a > 0", "where"};

/// A number as a factor, or its inverse.
inline Words factor(const std::string& n) {
  return {"factor " + n, "factor of " + n, n + " ×", n + "×",   "× " + n,  "×" + n,   n + " ·",
          "· " + n,      n + " times",     "1/" + n, "/ " + n,  "/" + n,   "by " + n, n + "·",
          "times " + n,  n + " *",         "= " + n, "of " + n, n + " is", "the " + n};
}
/// The number of samples.
inline Words batch(const std::string& n) {
  return join({"batch", "samples", "1/n", "by n", " n ", "· n", "n ·", "the n", "× n"}, factor(n));
}
/// A factor of the number of samples, where the word samples alone would be too little.
inline Words by_batch(const std::string& n) {
  return join({"batch size", "size of the batch", "number of samples", "over the batch", "over the samples",
               "1/n", "1 / n", "by n ", "by n,", "n = "},
              factor(n));
}
/// A mean over so many samples in place of their sum.
inline Words mean_over(const std::string& n) {
  return join({"mean in place", "mean instead", "mean over", "mean of", "mean for", "averag"}, by_batch(n));
}
/// The number of outputs.
inline Words outputs(const std::string& n) {
  return join({"output", "columns", "features", "width"}, factor(n));
}
/// Batch times outputs.
inline Words elements(const std::string& n) {
  return join({"number of elements", "of the elements", "mean", "average", "batch"}, factor(n));
}
/// A tensor (rows, columns), as texts of its shape.
inline Words shaped(const std::string& rows, const std::string& columns) {
  return {"(" + rows + ", " + columns + ")",
          rows + "×" + columns,
          rows + " × " + columns,
          rows + "x" + columns,
          "(" + rows + "," + columns + ")",
          "[" + rows + ", " + columns + "]"};
}
/// The dense layer k, counted from 1, whose pre-activation z is (rows, columns).
inline Words layer(std::size_t k, const std::string& rows, const std::string& columns) {
  static const std::vector<Words> ordinals{
      {"first", "1st"}, {"second", "2nd"}, {"third", "3rd"}, {"fourth", "4th"}};
  const std::string n = std::to_string(k);
  const Words names{"layer " + n,
                    "number " + n,
                    "no. " + n,
                    "(" + n + " of",
                    "#" + n,
                    "z" + n,
                    "a" + n,
                    "h" + n,
                    "oid " + n,
                    "tanh " + n,
                    "elu " + n,
                    "oid #" + n,
                    "tanh #" + n,
                    "elu #" + n,
                    "w" + n + " + b" + n,
                    "w" + n + ", b" + n,
                    "w" + n + " and b" + n,
                    "x·w" + n,
                    "@ w" + n,
                    ", w" + n + ")"};
  return join(join(names, ordinals[k - 1]), shaped(rows, columns));
}

}  // namespace words
}  // namespace xtape::test
