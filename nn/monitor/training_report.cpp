// The page: plain HTML that reads from top to bottom, with details that open by keyboard.
#include "training_report.hpp"

#include <cmath>
#include <functional>
#include <ostream>

#include "line_chart.hpp"

namespace xtape::nn::detail {
namespace {

constexpr const char* page_style = R"(
:root{color-scheme:light dark;--text:#1b1f24;--muted:#57606a;--line:#d5dae0;--page:#fff;--card:#f4f6f8;--mark:#b35900;--good:#1a7f37}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--muted:#9da7b1;--line:#333b44;--page:#0f1318;--card:#191f26;--mark:#f0a04b;--good:#56d364}}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}
h1,p,.verdict{max-width:46rem}h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}p{margin:.4rem 0}.muted{color:var(--muted)}
.verdict{background:var(--card);border-left:4px solid var(--mark);border-radius:4px;padding:.6rem 1rem;margin:.7rem 0;overflow-wrap:anywhere}
.verdict h3{font-size:1rem;margin:0}.verdict ul{margin:.3rem 0;padding-left:1.2rem}.good{border-left-color:var(--good)}
summary{cursor:pointer;font-weight:600}summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}th{white-space:normal;vertical-align:bottom}th:first-child,td:first-child{text-align:left}
)";

using Row = std::vector<std::string>;

std::string table(const std::string& label, const Row& head, const std::vector<Row>& rows) {
  std::string html = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" +
                     escaped_html(label) + "\"><table><thead><tr>";
  for (const std::string& cell : head) html += "<th scope=\"col\">" + escaped_html(cell) + "</th>";
  html += "</tr></thead><tbody>";
  for (const Row& row : rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += "<td>" + escaped_html(cell) + "</td>";
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string percent(double share) { return rounded(100 * share) + " %"; }

void write_verdicts(std::ostream& out, const std::vector<Verdict>& verdicts) {
  out << "<h2>Verdicts</h2>\n";
  if (verdicts.empty()) out << "<div class=\"verdict good\"><p>Nothing to report.</p></div>\n";
  for (const Verdict& v : verdicts) {
    out << "<div class=\"verdict\"><h3>" << v.title() << ": " << escaped_html(v.where)
        << "</h3><p class=\"muted\">steps " << v.first_step << " to " << v.last_step
        << (v.follows_from.empty() ? "" : ", follows from " + v.follows_from) << "</p><p>"
        << escaped_html(v.finding) << "</p><ul>";
    for (const std::string& advice : v.advice) out << "<li>" << escaped_html(advice) << "</li>";
    out << "</ul></div>\n";
  }
}

/// A line for each weight, from what `value` takes of its step.
LineChart weights_chart(const GradientHistory& history, const std::vector<double>& steps,
                        const std::string& title, const std::function<double(const ParameterStep&)>& value) {
  LineChart chart{.title = title, .steps = steps, .series = {}, .is_logarithmic = true};
  for (std::size_t k = 0; k < history.parameters.size(); ++k) {
    if (!history.parameters[k].is_weight) continue;
    LineChart::Series series{history.parameters[k].name, {}};
    for (const TrainingStep& step : history.steps) series.values.push_back(value(step.parameters[k]));
    chart.series.push_back(std::move(series));
  }
  return chart;
}

/// A line for each activation layer of that operation, or of the others.
LineChart activations_chart(const GradientHistory& history, const std::vector<double>& steps,
                            const std::string& title, bool of_relu,
                            const std::function<double(const ActivationStep&)>& value) {
  LineChart chart{.title = title, .steps = steps, .series = {}, .is_percent = true};
  for (std::size_t k = 0; k < history.activations.size(); ++k) {
    if ((history.activations[k].rfind("relu", 0) == 0) != of_relu) continue;
    LineChart::Series series{history.activations[k], {}};
    for (const TrainingStep& step : history.steps) {
      const bool ran = k < step.activations.size() && step.activations[k].units != 0;
      series.values.push_back(ran ? 100 * value(step.activations[k]) : std::nan(""));
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

void write_charts(std::ostream& out, const GradientHistory& history) {
  std::vector<double> steps, losses;
  for (const TrainingStep& step : history.steps) {
    steps.push_back(static_cast<double>(step.number));
    losses.push_back(step.loss);
  }
  LineChart ratios = weights_chart(
      history, steps,
      "Update divided by weight; about 0.001 (dotted line) is usual while learning, and it falls "
      "with the learning rate's schedule",
      [](const ParameterStep& p) { return p.update_ratio; });
  ratios.guide = 1e-3;
  out << "<h2>Charts</h2>\n"
      << to_svg({.title = "Loss", .steps = steps, .series = {{"", losses}}})
      << to_svg(weights_chart(history, steps, "Norm of the gradient, each weight from input to output",
                              [](const ParameterStep& p) { return p.gradient_norm; }))
      << to_svg(ratios)
      << to_svg(activations_chart(history, steps, "Dead ReLU units, %", true,
                                  [](const ActivationStep& a) {
                                    return static_cast<double>(a.dead_units) / static_cast<double>(a.units);
                                  }))
      << to_svg(activations_chart(history, steps, "Saturated outputs of sigmoid and tanh, %", false,
                                  [](const ActivationStep& a) { return a.saturated_share; }));
}

void write_tables(std::ostream& out, const GradientHistory& history) {
  const TrainingStep& last = history.steps.back();
  std::vector<Row> rows;
  for (std::size_t k = 0; k < last.parameters.size(); ++k) {
    const ParameterStep& p = last.parameters[k];
    rows.push_back({history.parameters[k].name, xtape::to_string(history.parameters[k].shape),
                    p.has_gradient ? rounded(p.gradient_norm) : "–", rounded(p.weight_norm),
                    rounded(p.update_norm), p.weight_norm == 0 ? "–" : rounded(p.update_ratio),
                    p.has_gradient ? percent(p.zero_share) : "–", std::to_string(p.not_finite)});
  }
  out << "<h2>Last step</h2>\n<details open><summary>Parameters</summary>"
      << table(
             "Parameters at the last step",
             {"parameter", "shape", "gradient", "weight", "update", "update / weight", "zeros", "not finite"},
             rows)
      << "</details>\n";
  rows.clear();
  for (std::size_t k = 0; k < last.activations.size(); ++k) {
    const ActivationStep& a = last.activations[k];
    if (a.units != 0)
      rows.push_back({history.activations[k], std::to_string(a.units), std::to_string(a.dead_units),
                      percent(a.zero_share), percent(a.saturated_share)});
  }
  if (rows.empty()) return;
  out << "<details open><summary>Activations</summary>"
      << table("Activations at the last step", {"layer", "units", "dead", "zeros", "saturated"}, rows)
      << "</details>\n";
}

}  // namespace

void write_report(std::ostream& out, const std::string& title, const GradientHistory& history,
                  const std::vector<Verdict>& verdicts, const MonitorLimits& limits) {
  out << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\"><title>"
      << escaped_html(title) << "</title><style>" << page_style << chart_style
      << "</style></head><body>\n<h1>" << escaped_html(title) << "</h1>\n";
  if (history.steps.empty()) {
    out << "<p>No step yet.</p>\n</body></html>\n";
    return;
  }
  const TrainingStep& last = history.steps.back();
  out << "<p class=\"muted\">" << history.steps.size() << " steps up to number " << last.number << ", loss "
      << rounded(history.steps.front().loss, 6) << " at first and " << rounded(last.loss, 6)
      << " at last. Verdicts look at windows of " << limits.window << " steps.</p>\n";
  write_verdicts(out, verdicts);
  write_charts(out, history);
  write_tables(out, history);
  out << "</body></html>\n";
}

}  // namespace xtape::nn::detail
