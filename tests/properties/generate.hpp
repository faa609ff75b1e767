// Draws recipes with rapidcheck, and checks a property of thousands of them.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <sstream>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "program.hpp"

namespace xtape::properties {

/// What rapidcheck shows of a failure: the program.
inline std::ostream& operator<<(std::ostream& out, const Recipe& recipe) {
  return out << print(resolve(recipe));
}

/// A gene; a simpler one is a leaf, or has a number less.
inline rc::Gen<Gene> gene() {
  const auto draw = [] { return rc::gen::noShrink(rc::gen::inRange<std::uint16_t>(0, 65535)); };
  return rc::gen::shrink(
      rc::gen::build<Gene>(
          rc::gen::set(&Gene::kind, draw()), rc::gen::set(&Gene::place, draw()),
          rc::gen::set(&Gene::operands, rc::gen::container<std::array<std::uint16_t, 3>>(draw())),
          rc::gen::set(&Gene::numbers, rc::gen::container<std::array<std::uint16_t, 4>>(draw()))),
      [](const Gene& from) {
        std::vector<Gene> simpler;
        if (from.kind != 0) {
          simpler.push_back(from);
          simpler.back().kind = 0;
        }
        for (std::size_t i = 0; i < from.numbers.size(); ++i)
          if (from.numbers[i] != 0) {
            simpler.push_back(from);
            simpler.back().numbers[i] = 0;
          }
        return rc::seq::fromContainer(std::move(simpler));
      });
}

/// Lists of up to 60 genes.
inline rc::Gen<Recipe> recipe(const Choices& choices) {
  const double length = 0.6;
  return rc::gen::map(
      rc::gen::scale(length, rc::gen::container<std::vector<Gene>>(rc::gen::scale(1 / length, gene()))),
      [choices](std::vector<Gene> genes) {
        return Recipe{std::move(genes), choices};
      });
}

/// Runs a property, which throws where it does not hold, on so many recipes. `parameters` are those of
/// rapidcheck.
template <class Property>
rc::detail::TestResult try_programs(const std::string& name, int programs, const Choices& choices,
                                    const Property& property, const char* parameters = nullptr) {
  rc::detail::Configuration defaults;
  defaults.testParams.maxSuccess = programs;
  defaults.testParams.seed = 1;
  const auto configuration = rc::detail::configFromString(parameters ? parameters : "", defaults);
  struct Silent : rc::detail::TestListener {
    void onTestCaseFinished(const rc::detail::CaseDescription&) override {}
    void onShrinkTried(const rc::detail::CaseDescription&, bool) override {}
    void onTestFinished(const rc::detail::TestMetadata&, const rc::detail::TestResult&) override {}
  } silent;
  return rc::detail::checkTestable([&] { property(*recipe(choices)); }, rc::detail::TestMetadata{name, name},
                                   configuration.testParams, silent, configuration.reproduce);
}

/// The RC_PARAMS that run the failing program of a property again, and no other of it.
inline std::string replay(const std::string& name, const rc::detail::TestResult& result) {
  rc::detail::Configuration again;
  again.reproduce.emplace(name, result.get<rc::detail::FailureResult>().reproduce);
  return rc::detail::configToMinimalString(again);
}

/// The same as a check of doctest. It tries the same programs each time, so that a failure comes from a
/// change. In the environment, XTAPE_PROGRAMS=20 tries 20 times as many, RC_PARAMS=seed=7 others, and the
/// RC_PARAMS that a failure names, of its property, only the program that failed.
template <class Property>
void check_programs(const std::string& name, int programs, const Choices& choices, const Property& property) {
  const char* const times = std::getenv("XTAPE_PROGRAMS");
  const double wanted = programs * (times ? std::strtod(times, nullptr) : 1);
  const auto result =
      try_programs(name, std::max(1, static_cast<int>(wanted)), choices, property, std::getenv("RC_PARAMS"));
  std::ostringstream message;
  rc::detail::printResultMessage(result, message);
  if (result.template is<rc::detail::FailureResult>())
    message << "\nTo run it again: RC_PARAMS=\"" << replay(name, result) << "\"";
  CHECK_MESSAGE(result.template is<rc::detail::SuccessResult>(), message.str());
}

}  // namespace xtape::properties
