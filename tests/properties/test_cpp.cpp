// C++ that is written from the derivations of random programs gives their loss and gradients.
#include "../derivation/written_cpp.hpp"
#include "generate.hpp"
#include "properties.hpp"

using namespace xtape;
using namespace xtape::properties;

namespace {

/// Of a recording, or of a traced function.
void add(test::WrittenCpp& written, const Program& program, bool is_traced) {
  // Of a checkpoint, a derivation does not see what its function captures; of custom(), not how it is
  // computed; LAPACK's functions are not written.
  const std::string text = print(program);
  for (const char* unwritten : {"checkpoint(", "custom<", "linalg::"})
    if (text.find(unwritten) != std::string::npos) return;
  const List<double> leaves = make_leaves<double>(program);
  const Tensor<double> loss = run(program, leaves);
  if (!loss.requires_grad()) return;
  test::WrittenCpp::Named<double> names;
  for (const Tensor<double>& leaf : leaves) names.emplace_back("x" + std::to_string(names.size()), leaf);
  const List<double> expected = grad(loss, leaves, {.retain_tape = true});
  const auto f = [&] { return run(program, leaves); };
  written.add<double>(text, is_traced ? derivation(f, names) : derivation(loss, names), names, loss.detach(),
                      expected);
}

}  // namespace

TEST_CASE("random programs, written as C++") {
  if (!test::WrittenCpp::have_compiler()) {
    MESSAGE("there is no c++ here: what is written is not compiled");
    return;
  }
  test::WrittenCpp written;
  int number = 0;
  check_programs("written as C++", 300, {.margin = 0.02},
                 [&](const Recipe& recipe) { add(written, resolve(recipe), number++ % 2 == 1); });
  test::Agreement agreement;
  const std::string log = written.run(agreement, "c++ -std=c++17 -O1");
  CHECK_MESSAGE(log.empty(), log.substr(0, 4000));
  CHECK_MESSAGE(agreement.largest <= 1e-13, agreement.largest << " in " << agreement.worst);
  MESSAGE(written.size() << " programs: the largest deviation is " << agreement.largest << ", "
                         << agreement.same_bits << " of " << agreement.numbers
                         << " numbers have the same bits");
}
