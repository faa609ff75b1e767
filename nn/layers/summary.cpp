// The walk over the modules, the observed run, and the table.
#include "../summary.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <ostream>
#include <random>
#include <set>

#include <autodiff/engine.hpp>
#include <autodiff/random.hpp>

#include "../evaluate.hpp"

namespace xtape::nn {
namespace {

template <class T>
const void* identity(const Tensor<T>& p) {
  return p.handle().value.get();
}

/// Counts the elements of the parameters that are the module's own and not in `seen`, which receives them.
template <class T>
void count_parameters(Module<T>& module, std::set<const void*>& seen, Summary::Row& row) {
  Members<T> own;
  module.members(own);
  std::set<const void*> inner;
  for (const auto& entry : own.modules)
    for (const Tensor<T>& p : entry.second->parameters()) inner.insert(identity(p));
  for (const Tensor<T>& p : module.parameters())
    if (!inner.contains(identity(p)) && seen.insert(identity(p)).second) {
      row.parameters += p.size();
      if (!p.requires_grad()) row.frozen += p.size();
    }
}

/// Notes shapes and operations in the rows of the modules that are called.
template <class T>
class SummaryObserver : public CallObserver<T> {
 public:
  explicit SummaryObserver(const std::map<Module<T>*, Summary::Row*>& rows) : rows_(rows) {}
  void begin(Module<T>&) override { running_.push_back({engine::multiply_adds(), 0}); }
  void end(Module<T>& module, const Tensor<T>& output) override {
    const std::size_t all = engine::multiply_adds() - running_.back().start;
    const std::size_t own = all - running_.back().inner;
    running_.pop_back();
    if (!running_.empty()) running_.back().inner += all;
    const auto row = rows_.find(&module);
    Summary::Row& to = row != rows_.end() ? *row->second : unnamed[&module];
    to.output = output.shape();
    to.operations += own;
    if (row != rows_.end()) return;
    to.path = "(not named)";
    to.layer = module.describe();
    for (const Tensor<T>& p : module.parameters()) owners.emplace(identity(p), to.layer);
  }

  std::map<Module<T>*, Summary::Row> unnamed;   ///< called, but named by no members()
  std::map<const void*, std::string> owners{};  ///< of their parameters

 private:
  struct Running {
    std::size_t start, inner;
  };
  const std::map<Module<T>*, Summary::Row*>& rows_;
  std::vector<Running> running_;
};

/// Sets the random generator back at its end.
struct RandomScope {
  std::mt19937_64 before = random::generator();
  ~RandomScope() { random::generator() = before; }
};

std::size_t total(const Summary& summary, std::size_t Summary::Row::*what) {
  std::size_t sum = 0;
  for (const Summary::Row& row : summary.rows) sum += row.*what;
  return sum;
}

}  // namespace

std::size_t Summary::parameters() const { return total(*this, &Row::parameters); }
std::size_t Summary::frozen() const { return total(*this, &Row::frozen); }
std::size_t Summary::operations() const { return total(*this, &Row::operations); }

template <class T>
Summary summary(Module<T>& model, const Shape& input_shape) {
  const auto modules = model.named_modules();
  Summary result;
  result.rows.reserve(modules.size());  // so that rows stay where they are
  std::map<Module<T>*, Summary::Row*> rows;
  std::set<const void*> seen;
  for (const auto& [path, module] : modules) {
    result.rows.push_back({.path = path, .layer = module->describe(), .output = {}});
    count_parameters(*module, seen, result.rows.back());
    rows[module] = &result.rows.back();
  }

  const ModeScope<T> evaluated(model, false);
  const RandomScope random;
  const NoGrad no_grad;
  SummaryObserver<T> recorder(rows);
  const engine::SkippedInputs used;
  model(zeros<T>(input_shape));
  for (const auto& [value, version] : used.values)
    if (!seen.contains(value.get())) {
      const auto owner = recorder.owners.find(value.get());
      throw Error("summary", "members() does not name a parameter of shape " + to_string(value->shape) +
                                 (owner == recorder.owners.end() ? "" : ", of " + owner->second) +
                                 ", which the model uses: it would be neither trained nor saved");
    }
  model.require_all_named("summary");
  for (auto& [module, row] : recorder.unnamed) result.rows.push_back(std::move(row));
  return result;
}

std::ostream& operator<<(std::ostream& out, const Summary& summary) {
  std::vector<std::array<std::string, 5>> lines{{"path", "layer", "output", "parameters", "operations"}};
  for (const Summary::Row& row : summary.rows)
    lines.push_back({row.path.empty() ? "(model)" : row.path, row.layer + (row.frozen > 0 ? ", frozen" : ""),
                     row.output ? to_string(*row.output) : "not called", std::to_string(row.parameters),
                     std::to_string(row.operations)});
  lines.push_back(
      {"total", "", "", std::to_string(summary.parameters()), std::to_string(summary.operations())});
  if (const std::size_t frozen = summary.frozen(); frozen > 0)
    lines.push_back({"of these frozen", "", "", std::to_string(frozen), ""});
  std::array<std::size_t, 5> width{};
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) width[i] = std::max(width[i], line[i].size());
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string space(width[i] - line[i].size(), ' ');
      text += (i == 0 ? "" : "  ") + (i < 3 ? line[i] + space : space + line[i]);
    }
    out << text << '\n';
  }
  return out;
}

template Summary summary(Module<float>&, const Shape&);
template Summary summary(Module<double>&, const Shape&);

}  // namespace xtape::nn
