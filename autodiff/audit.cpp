// Runs the function at moved leaves, and each rule alone against the differences.
#include "audit.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <ostream>
#include <random>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "backward.hpp"
#include "observer.hpp"
#include "random.hpp"

namespace xtape {
namespace detail {
namespace {

/// Elements that nothing else holds: those of leaves are about to change in place.
template <class T>
std::vector<T> copy_of(const Handle& handle) {
  const T* const from = handle.value->elements<T>();
  return {from, from + handle.value->size};
}

/// One run of the function: its operations in order, with their values.
template <class T>
struct Run {
  struct Operation {
    NodeRef node;
    std::vector<T> value;
  };
  std::vector<Operation> operations;
  std::unordered_map<Node*, Handle> leaves;
  Tensor<T> loss;
};

/// Notes what is recorded while it lives.
template <class T>
class Recorder : public Observer {
 public:
  explicit Recorder(Run<T>& run) : run_(run) {}
  void forward(const char*, const Handle& y, std::span<const Handle* const> inputs) override {
    if (!y.node) return;
    run_.operations.push_back({y.node, copy_of<T>(y)});
    for (const Handle* input : inputs)
      if (input->node && input->node->is_leaf()) run_.leaves.emplace(input->node.get(), *input);
  }

 private:
  Run<T>& run_;
};

template <class T>
Run<T> run(const std::function<Tensor<T>()>& f) {
  Run<T> result;
  const Recorder<T> recorder(result);
  result.loss = f();
  return result;
}

/// A leaf's elements, set back at the end.
template <class T>
struct MovedLeaf {
  Tensor<T> leaf;
  std::vector<T> before;
  std::vector<T> direction{};

  explicit MovedLeaf(const Handle& handle) : leaf(handle), before(copy_of<T>(handle)) {}
  MovedLeaf(MovedLeaf&&) = default;
  ~MovedLeaf() {
    if (leaf.defined()) std::ranges::copy(before, leaf.mutable_data());
  }
  T moved(std::size_t i, double by) const { return before[i] + static_cast<T>(by) * direction[i]; }
  void move(double by) {
    for (std::size_t i = 0; i < before.size(); ++i) leaf.mutable_data()[i] = moved(i, by);
  }
};

template <class T>
class Auditor {
 public:
  Auditor(const std::function<Tensor<T>()>& f, const AuditOptions& options, double step)
      : f_(f), options_(options), step_(step), engine_(options.seed) {
    generator_ = random::generator();
    base_ = run<T>(f_);
    for (std::size_t i = 0; i < base_.operations.size(); ++i) number_[base_.operations[i].node.get()] = i;
    Node* const root = base_.loss.handle().node.get();
    if (!root || !number_.contains(root))
      throw Error(
          "audit",
          "the function recorded nothing that leads to its result: compute the loss inside of it, from "
          "tensors made with parameter()");
    find_rows(*root);
  }

  AuditReport report() {
    for (int d = 0; d < options_.directions; ++d) {
      const auto [above, below] = moved_runs();
      for (std::size_t r = 0; r < rows_.size(); ++r) check(report_.rows[r], rows_[r], above, below);
    }
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      AuditReport::Row& row = report_.rows[r];
      if (row.note.empty() && !row.passed) row.note = factor_note(ratios_[rows_[r]]);
      report_.passed = report_.passed && row.passed;
    }
    return std::move(report_);
  }

 private:
  struct Side {
    std::vector<std::vector<T>> values;  ///< of the operations
    std::unordered_map<Node*, std::vector<T>> leaves;
  };

  /// The operations that the loss depends on, in the order of recording.
  void find_rows(Node& root) {
    std::unordered_set<Node*> seen{&root};
    std::vector<Node*> found{&root};
    for (std::size_t i = 0; i < found.size(); ++i)
      for (Node* input : found[i]->inputs())
        if (input && !input->is_leaf() && seen.insert(input).second) found.push_back(input);
    for (Node* node : found)
      if (const auto at = number_.find(node); at != number_.end()) rows_.push_back(at->second);
    std::ranges::sort(rows_);
    for (const std::size_t i : rows_) {
      Node& node = *base_.operations[i].node.get();
      std::string shapes;
      for (Node* input : node.inputs())
        if (input) shapes += (shapes.empty() ? "" : ", ") + to_string(input->shape());
      report_.rows.push_back({report_.rows.size() + 1,
                              node.name,
                              shapes + " -> " + to_string(node.shape()),
                              0,
                              true,
                              false,
                              {}});
    }
  }

  /// The values when all leaves move along a random direction, and against it.
  std::pair<Side, Side> moved_runs() {
    std::vector<MovedLeaf<T>> leaves;
    for (const auto& operation : base_.operations)  // in an order that is the same at each audit
      for (Node* input : operation.node->inputs())
        if (const auto at = base_.leaves.find(input);
            at != base_.leaves.end() &&
            std::ranges::none_of(leaves, [&](auto& m) { return m.leaf.handle().node.get() == input; }))
          leaves.emplace_back(at->second);
    for (MovedLeaf<T>& leaf : leaves)
      for (std::size_t i = 0; i < leaf.before.size(); ++i) leaf.direction.push_back(random_weight());
    const auto side = [&](double by) {
      for (MovedLeaf<T>& leaf : leaves) leaf.move(by);
      random::generator() = generator_;
      Run<T> moved = run<T>(f_);
      Side result;
      for (std::size_t i = 0; i < std::max(moved.operations.size(), base_.operations.size()); ++i) {
        require_same(moved, i);
        result.values.push_back(std::move(moved.operations[i].value));
      }
      for (const MovedLeaf<T>& leaf : leaves)
        result.leaves[leaf.leaf.handle().node.get()] = copy_of<T>(leaf.leaf.handle());
      return result;
    };
    Side above = side(step_);
    return {std::move(above), side(-step_)};
  }

  void require_same(const Run<T>& moved, std::size_t i) const {
    const auto text = [i](const Run<T>& r) {
      return i < r.operations.size() ? "'" + std::string(r.operations[i].node->name) + "' of shape " +
                                           to_string(r.operations[i].node->shape())
                                     : std::string("no more");
    };
    if (text(moved) != text(base_))
      throw Error("audit", "the function recorded " + text(base_) + " as its operation " +
                               std::to_string(i + 1) + " at first, and " + text(moved) +
                               " a step away: it must do the same at each call, whatever the values");
  }

  /// ±[0.5, 1.5)
  T random_weight() {
    const double magnitude = 0.5 + static_cast<double>(engine_() >> 11) * 0x1p-53;
    return static_cast<T>(engine_() & 1u ? magnitude : -magnitude);
  }

  static double largest(const std::vector<T>& x) {
    double result = 0;
    for (const T v : x) result = std::max(result, std::abs(static_cast<double>(v)));
    return result;
  }

  /// Random numbers, 0 where the output has a kink or is not finite.
  Tensor<T> weights(const std::vector<T>& at, const std::vector<T>& above, const std::vector<T>& below,
                    const Shape& shape, double noise, std::size_t& left_out) {
    double scale = 0;
    const auto slopes = [&](std::size_t i) {
      return std::pair(static_cast<double>(above[i]) - static_cast<double>(at[i]),
                       static_cast<double>(at[i]) - static_cast<double>(below[i]));
    };
    for (std::size_t i = 0; i < at.size(); ++i)
      if (const double d = std::abs(slopes(i).first + slopes(i).second); std::isfinite(d))
        scale = std::max(scale, d);
    Tensor<T> w = Tensor<T>::uninitialized(shape);
    for (std::size_t i = 0; i < at.size(); ++i) {
      const auto [right, left] = slopes(i);
      const double jump = std::abs(right - left), size = std::max(std::abs(right), std::abs(left));
      // Curvature makes the slopes differ too, by a part that vanishes with the step.
      const bool is_smooth = jump <= step_ * (100 * size + 10 * scale) + noise;
      w.mutable_data()[i] = is_smooth ? random_weight() : T(0);
      left_out += !is_smooth;
    }
    return w;
  }

  void check(AuditReport::Row& row, std::size_t i, const Side& above, const Side& below) {
    Node& node = *base_.operations[i].node.get();
    const std::vector<T>& value = base_.operations[i].value;
    double magnitude = largest(value);
    for (Node* input : node.inputs())
      if (const auto leaf = above.leaves.find(input); leaf != above.leaves.end())
        magnitude = std::max(magnitude, largest(leaf->second));
      else if (const auto at = number_.find(input); at != number_.end())
        magnitude = std::max(magnitude, largest(base_.operations[at->second].value));
    const double rounding = 32 * static_cast<double>(std::numeric_limits<T>::epsilon()) * magnitude;

    std::size_t left_out = 0;
    const Tensor<T> w = weights(value, above.values[i], below.values[i], node.shape(), rounding, left_out);
    Sum forward, backward;  // <w, J v> and <Jᵀ w, v>
    double noise = 0;
    for (std::size_t k = 0; k < w.size(); ++k) {
      if (w.data()[k] == T(0)) continue;
      forward.add(w.data()[k], above.values[i][k], below.values[i][k]);
      noise += std::abs(static_cast<double>(w.data()[k])) * rounding;
    }
    try {
      backward = run_rule(node, w, above, below);
    } catch (const Error& e) {
      row.passed = false;
      row.note = e.what();
      return;
    }
    if (left_out != 0 && left_out == w.size()) return;
    if (left_out != 0 && row.passed)
      row.note = "without " + std::to_string(left_out) + " of " + std::to_string(w.size()) +
                 " elements, which are at a kink or not finite";
    const double difference = std::abs(forward.total - backward.total);
    const double scale = (forward.terms + backward.terms) / 2;
    const bool is_wrong = !(difference <= options_.rtol * scale + noise);
    if (is_wrong || scale > noise) {
      row.checked = true;
      row.error = std::max(row.error, std::isfinite(difference) ? difference / scale : difference);
      ratios_[i].push_back(backward.total / forward.total);
    }
    if (is_wrong) {
      row.passed = false;
      row.note.clear();
    }
  }

  struct Sum {
    double total = 0, terms = 0;
    void add(T weight, T above, T below) {
      if (weight == T(0)) return;  // the difference may be infinite
      const double term =
          static_cast<double>(weight) * (static_cast<double>(above) - static_cast<double>(below));
      total += term;
      terms += std::abs(term);
    }
  };

  /// <Jᵀ w, v>, by the rule of this node alone.
  Sum run_rule(Node& node, const Tensor<T>& w, const Side& above, const Side& below) {
    Sum sum;
    const auto collect = [&](const Handle& adjoint, const std::vector<T>& up, const std::vector<T>& down) {
      const T* const g = adjoint.value->template elements<T>();
      for (std::size_t k = 0; k < up.size(); ++k) sum.add(g[k], up[k], down[k]);
    };
    Pass pass(true, false);
    pass.replay(node, w.handle(), node.previous);
    for (Node* leaf : pass.leaves())
      if (const auto at = above.leaves.find(leaf); at != above.leaves.end())
        collect(leaf->adjoint, at->second, below.leaves.at(leaf));
    const auto take = [&](Node* input) {
      if (!input || input->is_leaf() || !input->adjoint.value) return;
      const Handle adjoint = std::exchange(input->adjoint, {});
      if (const auto at = number_.find(input); at != number_.end())
        collect(adjoint, above.values[at->second], below.values[at->second]);
    };
    if (!node.opaque)
      for (Node* input : node.inputs()) take(input);
    else  // its rule reaches nodes that are not among its inputs
      for (Node* before = node.previous; before; before = before->previous) take(before);
    return sum;
  }

  static std::string factor_note(const std::vector<double>& ratios) {
    if (ratios.empty() || !std::isfinite(ratios[0]) || ratios[0] == 1) return "its rule is wrong";
    for (const double ratio : ratios)
      if (!(std::abs(ratio - ratios[0]) <= 1e-4 * std::abs(ratios[0]))) return "its rule is wrong";
    return "its rule is wrong by the factor " + number_text(ratios[0] + 0.0);  // no -0
  }

  const std::function<Tensor<T>()>& f_;
  const AuditOptions& options_;
  const double step_;
  std::mt19937_64 engine_;
  std::mt19937_64 generator_;  ///< as it was before the function ran
  Run<T> base_;
  std::unordered_map<Node*, std::size_t> number_;  ///< of the recorded operations
  std::vector<std::size_t> rows_;                  ///< the numbers of those under the loss
  std::unordered_map<std::size_t, std::vector<double>> ratios_;
  AuditReport report_;
};

}  // namespace

template <class T>
AuditReport audit(const std::function<Tensor<T>()>& loss, const AuditOptions& options) {
  if (std::is_same_v<T, float> && options.step <= 0)
    throw Error("audit",
                "differences in float are too coarse for a default step: audit in double, or give a "
                "step (about 1e-2) and a wider tolerance");
  if (options.directions < 1) throw Error("audit", "there must be at least one direction");
  if (!recording) throw Error("audit", "nothing is recorded inside NoGrad: audit outside of it");
  return Auditor<T>(loss, options, options.step > 0 ? options.step : 1e-6).report();
}

template AuditReport audit(const std::function<Tensor<float>()>&, const AuditOptions&);
template AuditReport audit(const std::function<Tensor<double>()>&, const AuditOptions&);

}  // namespace detail

std::ostream& operator<<(std::ostream& out, const AuditReport& report) {
  std::size_t op = 9, shapes = 6;
  const auto wrong = std::ranges::count(report.rows, false, &AuditReport::Row::passed);
  std::ostringstream text;
  text << report.rows.size() << " operations, " << wrong << " with a wrong derivative\n";
  for (const auto& row : report.rows) {
    op = std::max(op, row.op.size());
    shapes = std::max(shapes, row.shapes.size());
    if (!row.passed)
      text << "  '" << row.op << "' at place " << row.place << ", " << row.shapes << ": " << row.note << '\n';
  }
  text << std::setw(5) << "place"
       << "  " << std::left << std::setw(static_cast<int>(op) + 2) << "operation"
       << std::setw(static_cast<int>(shapes) + 2) << "shapes" << std::right << std::setw(9) << "error"
       << '\n';
  for (const auto& row : report.rows) {
    text << std::setw(5) << row.place << "  " << std::left << std::setw(static_cast<int>(op) + 2) << row.op
         << std::setw(static_cast<int>(shapes) + 2) << row.shapes << std::right << std::setw(9)
         << std::scientific << std::setprecision(1) << row.error
         << (!row.passed   ? "  WRONG"
             : row.checked ? "  right"
                           : "  nothing to see")
         << (row.note.empty() ? "" : ": " + row.note) << '\n';
  }
  return out << text.str();
}

}  // namespace xtape
