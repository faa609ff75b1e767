// The table: every row of work beside its peers, its target, and whether it is met. See README.md.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <autodiff/autodiff.hpp>

#include "comparison.hpp"
#include "environment.hpp"

namespace {

using bench::Against, bench::Result, bench::Spread, bench::Target, bench::Verdict;
using Cells = std::vector<std::string>;

/// Three significant digits.
std::string digits(double x) {
  char text[32];
  const double size = std::abs(x);
  std::snprintf(text, sizeof text, "%.*f", size >= 100 || x == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3, x);
  return text;
}

std::string quantity(double x, const std::string& unit) {
  if (unit != "s") return digits(x) + (unit.empty() ? "" : " " + unit);
  if (x < 1e-6) return digits(x * 1e9) + " ns";
  if (x < 1e-3) return digits(x * 1e6) + " µs";
  if (x < 1) return digits(x * 1e3) + " ms";
  return digits(x) + " s";
}

std::string quantity(const std::optional<double>& x, const std::string& unit) {
  return x ? quantity(*x, unit) : "";
}

std::string text(const Target& target, const std::string& unit) {
  char times[32];
  std::snprintf(times, sizeof times, "%g × ", target.limit);
  if (target.sense == Target::Sense::times_faster)
    return "≥ " + std::string(times) + "faster than " + target.name;
  if (target.sense == Target::Sense::times_the_time) return "≤ " + std::string(times) + target.name;
  return target.name + " ≤ " + quantity(target.limit, unit);
}

std::string measured(const Verdict& verdict, const std::string& unit) {
  if (!verdict.measured) return "";
  const auto& [median, low, high] = *verdict.measured;
  if (low == high) return quantity(median, unit);
  if (verdict.target.sense == Target::Sense::at_most)
    return quantity(median, unit) + " (" + quantity(low, unit) + "–" + quantity(high, unit) + ")";
  return digits(median) + " (" + digits(low) + "–" + digits(high) + ")";
}

std::string met(const Verdict& verdict) { return !verdict.measured ? "–" : verdict.met() ? "yes" : "no"; }

/// A line for each target; a row's own figures stand in its first.
void add_lines(std::vector<Cells>& table, const std::string& work, const Result& result) {
  char difference[32] = "";
  if (result.difference) std::snprintf(difference, sizeof difference, "%.0e", *result.difference);
  const auto ratio = [](const std::optional<Spread>& spread) { return spread ? digits(spread->median) : ""; };
  Cells figures{work,
                quantity(result.xtape, result.unit),
                quantity(result.hand_written, result.unit),
                quantity(result.tuned, result.unit),
                quantity(result.libtorch, result.unit),
                ratio(result.xtape_to_hand_written),
                ratio(result.xtape_to_tuned),
                ratio(result.libtorch_to_xtape),
                difference};
  for (const Verdict& verdict : result.verdicts) {
    figures.insert(figures.end(),
                   {text(verdict.target, result.unit), measured(verdict, result.unit), met(verdict)});
    table.push_back(figures);
    figures.assign(9, "");
  }
}

/// Characters of UTF-8, all of them one column wide here.
std::size_t width(const std::string& cell) {
  return static_cast<std::size_t>(
      std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// As Markdown.
void print(const std::vector<Cells>& table) {
  std::vector<std::size_t> widths(table.front().size(), 0);
  for (const Cells& line : table)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  for (const Cells& line : table) {
    for (std::size_t i = 0; i < line.size(); ++i)
      std::cout << "| " << line[i] << std::string(widths[i] - width(line[i]) + 1, ' ');
    std::cout << "|\n";
    if (&line != &table.front()) continue;
    for (const std::size_t n : widths) std::cout << '|' << std::string(n + 2, '-');
    std::cout << "|\n";
  }
}

nlohmann::json json(const std::optional<Spread>& spread) {
  if (!spread) return nullptr;
  return {{"median", spread->median}, {"first_quartile", spread->low}, {"third_quartile", spread->high}};
}

nlohmann::json json(const std::string& work, const Result& result) {
  const auto number = [](const std::optional<double>& x) { return x ? nlohmann::json(*x) : nullptr; };
  nlohmann::json row{{"work", work},
                     {"unit", result.unit},
                     {"xtape", number(result.xtape)},
                     {"hand_written", number(result.hand_written)},
                     {"hand_written_tuned", number(result.tuned)},
                     {"libtorch", number(result.libtorch)},
                     {"xtape_to_hand_written", json(result.xtape_to_hand_written)},
                     {"xtape_to_hand_written_tuned", json(result.xtape_to_tuned)},
                     {"libtorch_to_xtape", json(result.libtorch_to_xtape)},
                     {"largest_difference", number(result.difference)},
                     {"targets", nlohmann::json::array()}};
  for (const Verdict& verdict : result.verdicts)
    row["targets"].push_back({{"target", text(verdict.target, result.unit)},
                              {"limit", verdict.target.limit},
                              {"measured", json(verdict.measured)},
                              {"met", verdict.measured ? nlohmann::json(verdict.met()) : nullptr}});
  return row;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Timing timing;
  std::string filter, json_path;
  bool quick = false;
  CLI::App app("Work beside its peers, and what it is to reach");
  app.add_option("--filter", filter, "Only rows whose name contains this");
  auto* const repetitions = app.add_option("--repetitions", timing.repetitions, "Alternated repetitions")
                                ->check(CLI::PositiveNumber)
                                ->capture_default_str();
  app.add_flag("--quick", quick, "Few, short repetitions: for a first look")->excludes(repetitions);
  app.add_option("--json", json_path,
                 "Where the same is written as JSON; else bench/targets_ARCH.json in the build");
  CLI11_PARSE(app, argc, argv);
  if (quick) timing = {.repetitions = 3, .batch_seconds = 1e-3};
  if (json_path.empty())
    json_path = XTAPE_BUILD_DIR "/bench/targets_" + std::string(xtape::kernel_architecture()) + ".json";
  xtape::set_num_threads(1);

  nlohmann::json report{{"environment", nlohmann::json::object()}, {"rows", nlohmann::json::array()}};
  for (const auto& [name, value] : bench::environment()) {
    std::cout << name << ": " << value << '\n';
    report["environment"][name] = value;
  }
  std::cout << '\n' << std::flush;

  std::vector<bench::Row> rows;
  for (auto&& some : {bench::network_rows(), bench::image_rows(), bench::example_rows(),
                      bench::function_rows(), bench::linalg_rows(), bench::resource_rows()})
    for (const bench::Row& row : some)
      if (row.work.find(filter) != std::string::npos) rows.push_back(row);
  if (rows.empty()) {
    std::cerr << "no row's name contains \"" << filter << "\"\n";
    return 2;
  }

  std::vector<Cells> table{{"work", "xtape", "hand-written", "hand-written, tuned", "LibTorch",
                            "xtape / hand", "xtape / tuned", "LibTorch / xtape", "difference", "target",
                            "measured (quartiles)", "met"}};
  bool failed = false;
  for (const bench::Row& row : rows) {
    std::cerr << row.work << " …" << std::endl;
    try {
      xtape::random::seed(1);
      const Result result = row.measure(timing);
      add_lines(table, row.work, result);
      report["rows"].push_back(json(row.work, result));
    } catch (const std::exception& error) {
      std::cerr << "FAILED: " << row.work << ": " << error.what() << '\n';
      failed = true;
    }
    xtape::release_cached_memory();  // so that the rows do not depend on each other
  }
  print(table);
  if (!(std::ofstream(json_path) << report.dump(2) << std::endl)) {
    std::cerr << "cannot write " << json_path << '\n';
    return 2;
  }
  return failed ? 1 : 0;
}
