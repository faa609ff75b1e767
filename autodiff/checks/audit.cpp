// Runs the function at moved leaves, and each rule alone against the differences.
#include "../audit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iomanip>
#include <limits>
#include <numeric>
#include <ostream>
#include <random>
#include <unordered_map>
#include <unordered_set>

#include "../base/text.hpp"
#include "../base/text_stream.hpp"
#include "../random.hpp"
#include "../tape/backward.hpp"
#include "audit_run.hpp"

namespace xtape {
namespace detail {
namespace {

template <class T>
class Auditor {
 public:
  Auditor(const std::function<Tensor<T>()>& f, const AuditOptions& options, double step)
      : f_(f),
        options_(options),
        probes_{{{step, Probe::all, false},
                 {step / 10, Probe::blamed_or_curved, false},
                 {step / 10'000, Probe::blamed_or_curved, false},
                 {step, Probe::all, true},
                 {step / 10, Probe::blamed_or_curved, true},
                 {100 * step, Probe::faint, false}}},
        engine_(options.seed) {
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
    find_leaves();
  }

  AuditReport report() {
    for (int d = 0; d < options_.directions; ++d) {
      for (MovedLeaf<T>& leaf : leaves_) {
        leaf.direction.resize(leaf.before.size());
        std::ranges::generate(leaf.direction, [&] { return random_weight(engine_); });
      }
      weights_seed_ = engine_();
      check_direction();
    }
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      AuditReport::Row& row = report_.rows[r];
      if (row.note.empty() && !row.passed) row.note = factor_note(ratios_[r]);
      report_.passed = report_.passed && row.passed;
    }
    return std::move(report_);
  }

 private:
  struct Side {
    std::vector<typename Recording<T>::Operation> operations;
    std::unordered_map<Node*, std::vector<T>> leaves;
  };

  /// What one probe says of an operation.
  struct Finding {
    enum { unseen, settled, wrong, right } verdict = unseen;  ///< the later one says more
    double error = 0;
    double ratio = 0;  ///< of the rule's derivative to that of the differences
    std::string note{};
    bool curved = false;  ///< unseen since within the step the output is no line
  };

  /// A wrong rule shows the same error at any width; that of a line through a curve falls with its square.
  struct Blame {
    Probe probe;
    double error;
    bool confirms(const Blame& b) const {
      const bool is_same = std::isfinite(error) && std::isfinite(b.error)
                               ? std::max(error, b.error) <= 3 * std::min(error, b.error)
                               : std::isfinite(error) == std::isfinite(b.error);
      return is_same && probe.relative == b.probe.relative && probe.step != b.probe.step;
    }
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

  /// Those that are the same at a second call: one that the function makes itself cannot be moved. What
  /// that call computes must be the same, or every difference would be the function's own.
  void find_leaves() {
    const Recording<T> again = run_again();
    for (std::size_t i = 0; i < base_.operations.size(); ++i)
      if (const auto& a = base_.operations[i].value, &b = again.operations[i].value;
          hash_of(a.data(), a.size()) != hash_of(b.data(), b.size()))
        throw Error("audit", "operation " + std::to_string(i + 1) + ", '" + base_.operations[i].node->name +
                                 "', gave another value at a second call with the same leaves: take out of "
                                 "the function what changes from call to call (a loader's next batch, "
                                 "random numbers that are not from xtape)");
    for (const Handle& leaf : base_.leaves)
      if (std::ranges::any_of(again.leaves, [&](auto& l) { return l.node.get() == leaf.node.get(); }))
        leaves_.emplace_back(leaf);
  }

  Recording<T> run_again() {
    random::generator() = generator_;
    Recording<T> again = run<T>(f_);
    for (std::size_t i = 0; i < std::max(again.operations.size(), base_.operations.size()); ++i)
      require_same(again, i);
    return again;
  }

  void require_same(const Recording<T>& again, std::size_t i) const {
    const auto text = [i](const Recording<T>& r) {
      return i < r.operations.size() ? "'" + std::string(r.operations[i].node->name) + "' of shape " +
                                           to_string(r.operations[i].node->shape())
                                     : std::string("no more");
    };
    if (text(again) != text(base_))
      throw Error("audit", "the function recorded " + text(base_) + " as its operation " +
                               std::to_string(i + 1) + " at first, and " + text(again) +
                               " at a later call: it must do the same at each call, whatever the values");
  }

  Side moved(const Probe& probe, double sign) {
    for (MovedLeaf<T>& leaf : leaves_) leaf.move(probe, sign);
    Side side{std::move(run_again().operations), {}};
    for (const MovedLeaf<T>& leaf : leaves_)
      side.leaves[leaf.leaf.handle().node.get()] = copy_of<T>(leaf.leaf.handle());
    for (MovedLeaf<T>& leaf : leaves_)
      leaf.set_back();  // the rules see the values at which they were recorded
    return side;
  }

  /// One probe that shows a row right is enough; blame takes two.
  void check_direction() {
    std::vector<Finding> findings(rows_.size());
    std::vector<std::vector<Blame>> blamed(rows_.size());
    std::vector<std::size_t> open(rows_.size());
    std::iota(open.begin(), open.end(), std::size_t(0));
    for (const Probe& probe : probes_) {
      const auto is_for = [&](std::size_t r) {
        const bool narrower = !blamed[r].empty() || findings[r].curved;
        return probe.use == Probe::all || narrower == (probe.use == Probe::blamed_or_curved);
      };
      if (std::ranges::none_of(open, is_for)) continue;
      const Side above = moved(probe, 1), below = moved(probe, -1);
      std::erase_if(open, [&](std::size_t r) {
        if (!is_for(r)) return false;
        Finding next = check(rows_[r], above, below);
        bool confirmed = false;
        if (next.verdict == Finding::wrong) {
          const Blame blame{probe, next.error};
          confirmed = std::ranges::any_of(blamed[r], [&](const Blame& b) { return b.confirms(blame); });
          blamed[r].push_back(blame);
        }
        if (&probe == &probes_[0] || next.verdict > findings[r].verdict) findings[r] = std::move(next);
        return confirmed || findings[r].verdict == Finding::right || findings[r].verdict == Finding::settled;
      });
    }
    for (const std::size_t r : open)
      if (findings[r].verdict == Finding::wrong)
        findings[r] = {Finding::unseen, 0, 0, "too curved for the step, or too flat for a narrower one"};
    for (std::size_t r = 0; r < rows_.size(); ++r) merge(r, findings[r]);
  }

  /// A row keeps what says most: wrong in one direction, or right in one.
  void merge(std::size_t r, Finding& finding) {
    AuditReport::Row& row = report_.rows[r];
    const auto weight = [](bool is_wrong, bool is_right) { return is_wrong ? 2 : is_right ? 1 : 0; };
    const bool is_wrong = finding.verdict == Finding::wrong, is_right = finding.verdict == Finding::right;
    const int more = weight(is_wrong, is_right) - weight(!row.passed, row.checked);
    if (more > 0 || (more == 0 && row.note.empty())) row.note = std::move(finding.note);
    if (is_wrong) ratios_[r].push_back(finding.ratio);
    row.passed = row.passed && !is_wrong;
    row.checked = row.checked || is_wrong || is_right;
    row.error = std::max(row.error, finding.error);
  }

  /// ±[0.5, 1.5)
  static T random_weight(std::mt19937_64& engine) {
    const double magnitude = 0.5 + static_cast<double>(engine() >> 11) * 0x1p-53;
    return static_cast<T>(engine() & 1u ? magnitude : -magnitude);
  }

  /// Of the finite elements: no step moves the others, such as a mask of −∞.
  static double largest(const std::vector<T>& x) {
    double result = 0;
    for (const T v : x)
      if (std::isfinite(v)) result = std::max(result, std::abs(static_cast<double>(v)));
    return result;
  }

  /// Where the output is finite and, within the step, nearly straight. Curvature makes the slopes to both
  /// sides differ by a part that vanishes with the step; at a kink they differ whatever the step.
  std::vector<std::size_t> smooth_elements(const std::vector<T>& at, const std::vector<T>& above,
                                           const std::vector<T>& below, double noise) const {
    const double bend = 0.6 * std::sqrt(options_.rtol);  // of log, say, this leaves an error of 0.12 rtol
    std::vector<double> right(at.size()), left(at.size());
    double scale = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      right[i] = static_cast<double>(above[i]) - static_cast<double>(at[i]);
      left[i] = static_cast<double>(at[i]) - static_cast<double>(below[i]);
      if (const double d = std::abs(right[i] + left[i]); std::isfinite(d)) scale = std::max(scale, d);
    }
    std::vector<std::size_t> smooth;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double size = std::max(std::abs(right[i]), std::abs(left[i]));
      if (std::abs(right[i] - left[i]) <= bend * (size + 0.1 * scale) + noise) smooth.push_back(i);
    }
    return smooth;
  }

  /// Of an element of the output, as far as the sizes of what it is computed from tell.
  double rounding(std::size_t i, const Side& above) const {
    double magnitude = largest(base_.operations[i].value);
    for (Node* input : base_.operations[i].node->inputs())
      if (const auto leaf = above.leaves.find(input); leaf != above.leaves.end())
        magnitude = std::max(magnitude, largest(leaf->second));
      else if (const auto at = number_.find(input); at != number_.end())
        magnitude = std::max(magnitude, largest(base_.operations[at->second].value));
    return 32 * static_cast<double>(std::numeric_limits<T>::epsilon()) * magnitude;
  }

  Finding check(std::size_t i, const Side& above, const Side& below) {
    const auto& operation = base_.operations[i];
    for (const Side* side : {&above, &below})
      if (!std::ranges::equal(operation.given, side->operations[i].given, &Given::is_followed))
        return {Finding::settled, 0, 0,
                "an input from detach() or NoGrad moves with the leaves, and its derivative is left out"};
    const double element_noise = rounding(i, above);
    const std::vector<T>&up = above.operations[i].value, &down = below.operations[i].value;
    std::vector<std::size_t> elements = smooth_elements(operation.value, up, down, element_noise);
    const std::size_t size = operation.value.size(), left_out = size - elements.size();

    std::mt19937_64 engine(weights_seed_ + i);  // the same weights for each probe
    // The largest movements hide the others: those that do not show are weighed again without them.
    Finding result;
    bool moves = false;
    for (std::size_t before = size + 1; !elements.empty() && elements.size() < before;) {
      std::vector<T> random(size);
      std::ranges::generate(random, [&] { return random_weight(engine); });
      Tensor<T> w = zeros<T>(operation.node->shape());
      for (const std::size_t k : elements) w.mutable_data()[k] = random[k];
      Sum forward, backward;  // <w, J v> and <Jᵀ w, v>
      double weight = 0;
      for (const std::size_t k : elements) {
        forward.add(w.data()[k], up[k], down[k]);
        weight = std::hypot(weight, static_cast<double>(w.data()[k]));
      }
      try {
        backward = run_rule(*operation.node.get(), w, above, below);
      } catch (const Error& e) { return {Finding::wrong, 0, std::nan(""), e.what()}; }
      const double difference = std::abs(forward.total - backward.total);
      const double scale = std::max(forward.norm(), backward.norm()), noise = weight * element_noise;
      const double threshold = options_.rtol * scale + noise;
      moves = moves || !(scale == 0);
      if (!(difference <= threshold))
        return {Finding::wrong,
                std::isfinite(difference) ? difference / scale : difference,
                backward.total / forward.total,
                {}};
      if (noise <= options_.rtol * scale) {
        result.verdict = Finding::right;
        result.error = std::max(result.error, difference / scale);
      }
      before = elements.size();
      std::erase_if(elements, [&](std::size_t k) {
        const double move = std::abs(static_cast<double>(w.data()[k]) *
                                     (static_cast<double>(up[k]) - static_cast<double>(down[k])));
        return move == 0 || move > threshold;
      });
    }
    const auto of_all = [size](std::size_t n) {
      return std::to_string(n) + " of " + std::to_string(size) + " elements";
    };
    result.curved = left_out != 0;
    if (size != 0 && left_out == size)
      result.note = "not finite, at a kink, or too curved for the step";
    else if (!moves)
      result.verdict = Finding::settled;  // nor does the rule give anything
    else if (result.verdict == Finding::unseen)
      result.note = "it moves by little more than rounding";
    else if (left_out != 0)
      result.note = "without " + of_all(left_out) + ", which are at a kink, not finite or too curved";
    else if (!elements.empty())
      result.note = "without " + of_all(elements.size()) +
                    ", whose moves are as small as the rounding of the largest values";
    return result;
  }

  struct Sum {
    double total = 0, squares = 0;
    void add(T weight, T above, T below) {
      if (weight == T(0)) return;  // the difference may be infinite
      const double term =
          static_cast<double>(weight) * (static_cast<double>(above) - static_cast<double>(below));
      total += term;
      squares += term * term;
    }
    /// The weights have random signs, so errors of single terms add up as their squares do.
    double norm() const { return std::sqrt(squares); }
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
        collect(adjoint, above.operations[at->second].value, below.operations[at->second].value);
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
  const std::array<Probe, 6> probes_;
  std::mt19937_64 engine_;
  std::uint64_t weights_seed_ = 0;
  std::mt19937_64 generator_;  ///< as it was before the function ran
  Recording<T> base_;
  std::vector<MovedLeaf<T>> leaves_;
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
  detail::TextStream text;
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
                           : "  not checked")
         << (row.note.empty() ? "" : ": " + row.note) << '\n';
  }
  return out << text.str();
}

}  // namespace xtape
