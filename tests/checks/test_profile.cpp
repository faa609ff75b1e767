// The cost ledger: what it counts, and the two forms that it is written in.
#include <memory>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "../check_close.hpp"

#include <autodiff/autodiff.hpp>

using namespace xtape;

namespace {

const Profile::Row& row_of(const std::vector<Profile::Row>& rows, const std::string& op) {
  const auto at = std::ranges::find(rows, op, &Profile::Row::op);
  REQUIRE(at != rows.end());
  return *at;
}

}  // namespace

TEST_CASE("operations are counted, forward and backward, with what they allocate and keep") {
  const auto x = parameter<double>(ones<double>({1000}));
  Profile profile;
  for (int i = 0; i < 3; ++i) sum(sigmoid(x) * x).backward();
  const auto rows = profile.rows();
  CHECK(rows.size() == 3);
  const Profile::Row &sigmoids = row_of(rows, "sigmoid"), &sums = row_of(rows, "sum");
  CHECK(sigmoids.count == 3);
  CHECK(sigmoids.forward > 0);
  CHECK(sigmoids.backward > 0);
  CHECK(sigmoids.ratio() == sigmoids.backward / sigmoids.forward);
  CHECK(sigmoids.kept == 3 * 8000);                      // its output
  CHECK(row_of(rows, "multiply").kept == 3 * 2 * 8000);  // both operands
  CHECK(sums.kept == 0);
  CHECK(sigmoids.allocated >= 3 * 8000);
  CHECK(sums.allocated < 3 * 16000);  // a scalar, and the adjoint of its operand
}

TEST_CASE("an operation that is composed of others is charged for its own time only") {
  const auto x = parameter<double>(ones<double>({100, 100}));
  Profile profile;
  const auto start = std::chrono::steady_clock::now();
  norm(x / 3).backward();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  double total = 0;
  for (const auto& row : profile.rows()) total += row.forward + row.backward;
  CHECK(total <= elapsed.count());
}

TEST_CASE("scopes nest, end, and belong to their thread") {
  const auto x = parameter<double>(2.0);
  Profile outer;
  {
    Profile inner;
    exp(x);
    CHECK(row_of(inner.rows(), "exp").count == 1);
  }
  exp(x);
  std::thread([] { exp(parameter<double>(1.0)); }).join();
  CHECK(row_of(outer.rows(), "exp").count == 2);
}

TEST_CASE("operations of the user's, checkpoints, maps and views have rows of their own") {
  const auto x = parameter<double>({1.0, 2.0});
  Profile profile;
  const auto y = custom<double>("my \"op\"", {x}, 2.0 * x.detach(),
                                [](const Tensor<double>& g) { return std::vector{2.0 * g}; });
  const auto z = checkpoint([](const Tensor<double>& t) { return sin(t); }, y);
  sum(reshape(concatenate({map([](auto t) { return t * t; }, z), z}), {2, 2})).backward();
  for (const char* op : {"my \"op\"", "checkpoint", "map", "concatenate", "reshape", "sum"})
    CHECK(row_of(profile.rows(), op).count >= 1);
  std::ostringstream json;
  profile.write_trace(json);
  const auto trace = nlohmann::json::parse(json.str());
  std::size_t forward = 0, backward = 0, named = 0;
  double last_start = 0;
  for (const auto& event : trace["traceEvents"]) {
    CHECK(event["ph"] == "X");
    CHECK(event["dur"].get<double>() >= 0);
    last_start = std::max(last_start, event["ts"].get<double>());
    (event["cat"] == "forward" ? forward : backward) += 1;
    named += event["name"] == "my \"op\"";
  }
  CHECK(forward >= 7);
  CHECK(backward >= 6);
  CHECK(named == 2);
  CHECK(last_start > 0);
}

TEST_CASE("the table has a line for each operation and one for all") {
  const auto x = parameter<double>({1.0, 2.0});
  Profile profile;
  sum(exp(x)).backward();
  std::ostringstream table;
  table << profile;
  const std::string text = table.str();
  CHECK(std::ranges::count(text, '\n') == 4);
  for (const char* word :
       {"operation", "forward", "backward", "ratio", "allocated", "kept", "exp", "sum", "total"})
    CHECK(text.find(word) != std::string::npos);
}

TEST_CASE("a rule that throws is still accounted for") {
  const auto x = parameter<double>(1.0);
  Profile profile;
  const auto y = custom<double>(
      "thrower", {x}, x.detach(),
      [](const Tensor<double>&) -> std::vector<Tensor<double>> { throw std::runtime_error("no"); });
  CHECK_THROWS(y.backward());
  exp(x);
  CHECK(row_of(profile.rows(), "thrower").count == 1);
  CHECK(row_of(profile.rows(), "exp").count == 1);
}

TEST_CASE("scopes on the heap may end in any order") {
  auto first = std::make_unique<Profile>(), second = std::make_unique<Profile>();
  first.reset();
  exp(parameter<double>(1.0));
  CHECK(row_of(second->rows(), "exp").count == 1);
  second.reset();
  exp(parameter<double>(1.0));
}
