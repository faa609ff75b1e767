// What holds for every program. See generate.hpp for how many are tried and how a failure is run again.
#include "generate.hpp"
#include "properties.hpp"

using namespace xtape;
using namespace xtape::properties;

TEST_CASE("gradients, and gradients of gradients, agree with directional differences") {
  Tally tally;
  check_programs("differences", 10000, {},
                 [&](const Recipe& recipe) { agrees_with_differences(resolve(recipe), tally); });
  CHECK(tally.vague * 20 < tally.compared);
}

TEST_CASE("the recorded rules give the gradients of the fused ones") {
  check_programs("recorded", 5000, {}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    const List<double> leaves = make_leaves<double>(program);
    const Tensor<double> loss = run(program, leaves);
    const List<double> fused = gradients(loss, leaves, {.retain_tape = true});
    // The two order their sums and products differently: rounding, which a program enlarges.
    const double far = distance(fused, gradients(loss, leaves, {.create_graph = true}));
    if (far > 1e-11)
      throw Broken("they differ by " + std::to_string(far * 1e15) + "e-15 of the largest element");
  });
}

TEST_CASE("nothing is left on the tape, whether or not a backward pass ran") {
  Tape& tape = Tape::current();
  check_programs("tape", 5000, {}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    for (const bool backward : {false, true}) {
      {
        const List<double> leaves = make_leaves<double>(program);
        const Tensor<double> loss = run(program, leaves);
        if (backward && loss.requires_grad()) loss.backward();
        if (backward && tape.size() != 0)
          throw Broken(std::to_string(tape.size()) + " nodes outlive the backward pass");
      }
      if (tape.size() != 0 || tape.bytes() != 0)
        throw Broken(std::to_string(tape.size()) + " nodes are left");
    }
  });
}

TEST_CASE("results do not depend on what else is on the tape") {
  check_programs("company", 5000, {}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    const List<double> alone = evaluate<double>(program);
    // A run before it, one whose recording is consumed, and one after it that shares its leaves.
    const List<double> others = make_leaves<double>(program);
    const Tensor<double> before = run(program, others), consumed = run(program, others);
    gradients(consumed, others);
    const List<double> leaves = make_leaves<double>(program);
    const Tensor<double> loss = run(program, leaves);
    const Tensor<double> after = run(program, leaves) * before;
    List<double> together{loss.detach()};
    for (const Tensor<double>& g : gradients(loss, leaves)) together.push_back(g);
    if (!same_bits(alone, together)) throw Broken("the loss or a gradient differs");
  });
}
