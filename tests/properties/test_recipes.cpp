// The random programs themselves: wrong rules are found and shrunk, every operation is drawn, and what is
// printed runs.
#include <cstdio>
#include <fstream>
#include <map>
#include <random>
#include <regex>

#include "../ops/op_table.hpp"
#include "generate.hpp"
#include "ops.hpp"
#include "properties.hpp"

using namespace xtape;
using namespace xtape::properties;

namespace {

/// A program that does not depend on the version of rapidcheck.
Program some_program(std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  const auto draw = [&] { return static_cast<std::uint16_t>(engine() >> 48); };
  Recipe recipe;
  for (int i = 0; i < 14; ++i) {
    Gene gene{.kind = draw(), .place = draw()};
    std::ranges::generate(gene.operands, draw);
    std::ranges::generate(gene.numbers, draw);
    recipe.genes.push_back(gene);
  }
  return resolve(recipe);
}

constexpr std::uint64_t printed_seed = 8867;  // one with blocks of every kind

std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = popen(command.c_str(), "r");
  REQUIRE(pipe);
  for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  CHECK(pclose(pipe) == 0);
  return text;
}

}  // namespace

TEST_CASE("a wrong rule is found, shrunk to a program of few statements, and found again") {
  std::map<std::string, std::string> found;
  for (const char* seed : {"seed=1", "seed=2", "seed=3", "seed=4", "seed=5", "seed=6"}) {
    Tally tally;
    const auto property = [&](const Recipe& recipe) { agrees_with_differences(resolve(recipe), tally); };
    const auto result = try_programs("planted", 3000, {.planted = true}, property, seed);
    REQUIRE(result.is<rc::detail::FailureResult>());
    const auto& failure = result.get<rc::detail::FailureResult>();
    const std::string program = failure.counterExample.front().second;
    CAPTURE(program);
    const std::regex wrong("custom<T>\\(\"(off|forgets|first order)\"");
    std::smatch match;
    REQUIRE(std::regex_search(program, match, wrong));
    found[match[1]] = program;
    // One leaf or two, the wrong operation, and what its operand needs.
    const std::regex statement("const auto v");
    const auto statements =
        std::distance(std::sregex_iterator(program.begin(), program.end(), statement), {});
    CHECK(statements <= 4);
    CHECK(failure.description.find("order") != std::string::npos);
    const auto again =
        try_programs("planted", 3000, {.planted = true}, property, replay("planted", result).c_str());
    REQUIRE(again.is<rc::detail::FailureResult>());
    CHECK(again.get<rc::detail::FailureResult>().numSuccess == 0);
    CHECK(again.get<rc::detail::FailureResult>().counterExample == failure.counterExample);
  }
  CHECK(found.size() >= 2);
}

TEST_CASE(
    "every operation is in programs, in every kind of block, and most programs depend on their leaves") {
  std::map<std::size_t, int> drawn;
  std::map<Kind, int> kinds;
  int differentiable = 0, programs = 0;
  const auto result = try_programs("distribution", 2000, {}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    for_each_statement(program.statements, [&](const Statement& s) {
      ++kinds[s.kind];
      if (s.kind == Kind::operation) ++drawn[s.op];
    });
    ++programs;
    differentiable += run(program, make_leaves<double>(program)).requires_grad();
  });
  CHECK(result.is<rc::detail::SuccessResult>());
  for (std::size_t op = 0; op < rows().size(); ++op) {
    CAPTURE(rows()[op].text);
    CHECK((drawn[op] >= 10) == !rows()[op].planted);
  }
  CHECK(kinds.size() == 6);
  for (const auto& [kind, count] : kinds) CHECK(count > 200);
  CHECK(differentiable * 10 > programs * 9);
}

TEST_CASE("every operation of the table of operations is in ops.inc") {
  for (const test::OpRow& row : test::op_table()) {
    const bool is_operator = row.op.starts_with("operator");
    const std::string name = is_operator ? " " + row.op.substr(8) + " " : row.op + "(";
    const bool found =
        row.op == "map" ||  // a block
        std::ranges::any_of(rows(), [&](const Row& r) {
          const std::string text = " " + r.text;
          return text.find(name) != std::string::npos || text.find(row.op + "<T>(") != std::string::npos;
        });
    CHECK_MESSAGE(found, row.op << " has no line in tests/properties/ops.inc");
  }
}

TEST_CASE("a program is printed as C++ that compiles and gives the same gradients") {
  const std::string path = XTAPE_SOURCE_DIR "/tests/properties/printed_program.cpp";
  const Program program = some_program(printed_seed);
  if (std::getenv("XTAPE_PRINT_PROGRAM")) std::ofstream(path) << print(program);
  std::ifstream file(path);
  const std::string committed(std::istreambuf_iterator<char>(file), {});
  CHECK_MESSAGE(committed == print(program),
                "to write printed_program.cpp again where other programs are drawn: XTAPE_PRINT_PROGRAM=1 "
                "test_properties");
  std::istringstream output(output_of(PRINTED_PROGRAM));
  for (const Tensor<double>& numbers : evaluate<double>(program))
    for (const double expected : numbers) {
      double printed = 0;
      REQUIRE(static_cast<bool>(output >> printed));
      CHECK(printed == expected);
    }
}
