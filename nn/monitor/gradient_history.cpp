// The history as CSV, and its last step as a table.
#include "../gradient_history.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <ostream>
#include <string_view>

#include <autodiff/engine.hpp>

namespace xtape::nn {
namespace detail {
namespace {

template <class... Format>
std::string as_text(double x, Format... format) {
  if (std::isnan(x)) return "nan";  // without a sign
  std::array<char, 40> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), x, format...);
  return {text.data(), result.ptr};
}

}  // namespace

std::string shortest(double x) { return as_text(x); }
std::string rounded(double x, int digits) { return as_text(x, std::chars_format::general, digits); }

}  // namespace detail

namespace {

std::string field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

/// The text of `width` columns or more; numbers on the right, names on the left.
std::string column(const std::string& text, std::size_t width, bool right = true) {
  const std::string space(text.size() < width ? width - text.size() : 0, ' ');
  return right ? " " + space + text : text + space;
}

}  // namespace

std::size_t GradientHistory::Parameter::size() const {
  return engine::element_count(shape, "GradientMonitor");
}

void GradientHistory::write_csv(std::ostream& out) const {
  using detail::shortest;
  out << "step,loss,learning_rate,parameter,gradient_norm,weight_norm,update_norm,update_ratio,zero_share,"
         "not_finite,origin,activation,units,dead_units,saturated_share\r\n";
  for (const TrainingStep& step : steps) {
    const std::string begin = std::to_string(step.number) + ',' + shortest(step.loss) + ',' +
                              (std::isnan(step.learning_rate) ? "" : shortest(step.learning_rate)) + ',';
    const std::string origin = step.origin ? field(step.origin->op) : "";
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      const ParameterStep& p = step.parameters[k];
      out << begin << field(parameters[k].name) << ',' << (p.has_gradient ? shortest(p.gradient_norm) : "")
          << ',' << shortest(p.weight_norm) << ',' << shortest(p.update_norm) << ','
          << (p.weight_norm == 0 ? "" : shortest(p.update_ratio)) << ','
          << (p.has_gradient ? shortest(p.zero_share) : "") << ',' << p.not_finite << ',' << origin
          << ",,,,\r\n";
    }
    for (std::size_t k = 0; k < step.activations.size(); ++k) {
      const ActivationStep& a = step.activations[k];
      if (a.units == 0) continue;
      const bool is_relu = activations[k].rfind("relu", 0) == 0;
      out << begin << ",,,,," << shortest(a.zero_share) << ",," << origin << ',' << field(activations[k])
          << ',' << a.units << ',' << (is_relu ? std::to_string(a.dead_units) : "") << ','
          << (is_relu ? "" : shortest(a.saturated_share)) << "\r\n";
    }
  }
}

std::ostream& operator<<(std::ostream& out, const GradientHistory& history) {
  if (history.steps.empty()) return out << "no step yet\n";
  const TrainingStep& last = history.steps.back();
  std::size_t width = 9;
  for (const auto& p : history.parameters) width = std::max(width, p.name.size());
  for (const auto& name : history.activations) width = std::max(width, name.size());

  out << "step " << last.number << ", loss " << detail::rounded(last.loss, 6) << '\n';
  out << column("parameter", width, false);
  for (const char* head : {"gradient", "weight", "update", "ratio", "zeros"}) out << column(head, 9);
  out << '\n';
  for (std::size_t k = 0; k < history.parameters.size(); ++k) {
    const ParameterStep& p = last.parameters[k];
    out << column(history.parameters[k].name, width, false);
    out << column(p.has_gradient ? detail::rounded(p.gradient_norm) : "-", 9);
    out << column(detail::rounded(p.weight_norm), 9) << column(detail::rounded(p.update_norm), 9);
    out << column(p.weight_norm == 0 ? "-" : detail::rounded(p.update_ratio), 9);
    out << column(p.has_gradient ? detail::rounded(100 * p.zero_share) + " %" : "-", 9) << '\n';
  }
  if (history.activations.empty()) return out;
  out << column("layer", width, false);
  for (const char* head : {"units", "dead", "zeros", "saturated"}) out << column(head, 9);
  out << '\n';
  for (std::size_t k = 0; k < last.activations.size(); ++k) {
    const ActivationStep& a = last.activations[k];
    if (a.units == 0) continue;
    out << column(history.activations[k], width, false) << column(std::to_string(a.units), 9)
        << column(std::to_string(a.dead_units), 9) << column(detail::rounded(100 * a.zero_share) + " %", 9)
        << column(detail::rounded(100 * a.saturated_share) + " %", 9) << '\n';
  }
  return out;
}

}  // namespace xtape::nn
