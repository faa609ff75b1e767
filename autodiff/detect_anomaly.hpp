// DetectAnomaly: where the first NaN or infinity comes from.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "platform/compiler.hpp"
#include "tape/observer.hpp"

namespace xtape {

/// A NaN or an infinity, and the operation that gave it.
struct Anomaly {
  std::string op;
  bool is_backward = false;
  std::string inputs;        ///< the shapes of the operation's inputs, "(2, 3), (3,)"
  std::size_t input = 0;     ///< backward: the input whose gradient it is in
  Shape shape{};             ///< of the result, or of that gradient
  Shape index{};             ///< of the first element that is not finite
  double value = 0;          ///< that element
  std::string bad_before{};  ///< what went in and was not finite already; empty when the operation began it
  bool began_here() const { return bad_before.empty(); }
};

/// A sentence: "forward gave -inf at (1,) of its result (2,), from inputs (2,): all finite, so it began
/// here".
std::string to_string(const Anomaly& anomaly);
std::ostream& operator<<(std::ostream& out, const Anomaly& anomaly);

/// What DetectAnomaly throws.
class XTAPE_EXPORT AnomalyError : public Error {
 public:
  explicit AnomalyError(Anomaly found);
  Anomaly anomaly;
};

/// What counts as an anomaly.
struct AnomalyOptions {
  bool infinity = true;  ///< infinities count too; without it NaN alone, for models that mask by −∞
};

namespace detail {

/// Tests what operations give, and what rules add to the adjoints of their inputs.
class AnomalyObserver : public Observer {
 public:
  explicit AnomalyObserver(AnomalyOptions options) : options_(options) {}
  void begin(const char* op, const Handle* adjoint) override;
  void forward(const char* op, const Handle& y, std::span<const Handle* const> inputs) override;
  void backward(Node& node, const Pass& pass) override;
  void end() override;

 protected:
  virtual void found(Anomaly anomaly) = 0;
  /// Whether an anomaly that is found now would be of use: adjoints are tested only then.
  virtual bool is_looking() const { return true; }
  /// A rule is running: what it computes on the way may be masked, and only what it adds counts.
  bool is_in_rule() const { return rules_ != 0; }

 private:
  struct Run {
    bool is_rule;
    std::string bad_adjoint;
  };

  AnomalyOptions options_;
  std::vector<Run> runs_;
  std::size_t rules_ = 0;
};

}  // namespace detail

/// While it lives (the scope that others call detect_anomaly), the result of every operation of this thread,
/// recorded or not, and every gradient that a rule gives are tested; the first that is not finite throws an
/// AnomalyError that names the operation, the shapes of its inputs, the element, and whether it began there.
/// Recorded state is as after any other error: no gradient has changed, and the tape can be used. Without a
/// scope it costs nothing.
///
///     const DetectAnomaly scope;
///     loss(model(x), y).backward();
class DetectAnomaly : public detail::AnomalyObserver {
 public:
  [[nodiscard]] explicit DetectAnomaly(AnomalyOptions options = {}) : AnomalyObserver(options) {}

 private:
  void found(Anomaly anomaly) override { throw AnomalyError(std::move(anomaly)); }
};

}  // namespace xtape
