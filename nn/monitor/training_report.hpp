// A training run as one page of HTML.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "../verdicts.hpp"

namespace xtape::nn::detail {

/// Verdicts with what to do, charts over the steps, and tables of the last one. The page loads nothing.
void write_report(std::ostream& out, const std::string& title, const GradientHistory& history,
                  const std::vector<Verdict>& verdicts, const MonitorLimits& limits);

}  // namespace xtape::nn::detail
