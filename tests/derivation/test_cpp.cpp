// C++ that is written from a derivation compiles without a warning, and gives the tape's loss and gradients.
#include <nn/nn.hpp>

#include "../check_close.hpp"
#include "../ops/op_table.hpp"
#include "written_cpp.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

Tensor<double> weighted(const Tensor<double>& y) {
  return sum(y * cos(reshape(arange<double>(static_cast<double>(y.size())), Dims(y.shape()))));
}

bool no_compiler() {
  const bool none = !WrittenCpp::have_compiler();
  if (none) MESSAGE("there is no c++ here: what is written is not compiled");
  return none;
}

void check(WrittenCpp& written, double tolerance) {
  Agreement agreement;
  const std::string log = written.run(agreement);
  CHECK_MESSAGE(log.empty(), log.substr(0, 4000));
  CHECK_MESSAGE(agreement.largest <= tolerance, agreement.largest << " in " << agreement.worst);
  MESSAGE(written.size() << " functions: the largest deviation is " << agreement.largest << " (" << agreement.worst
                         << "), " << agreement.same_bits << " of " << agreement.numbers << " numbers have the same bits");
}

}  // namespace

TEST_CASE("every operation of the table") {
  if (no_compiler()) return;
  WrittenCpp written;
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size() && set < 4; ++set) {
      if (row.op == "custom") continue;
      CAPTURE(row.id());
      CAPTURE(set);
      Tensors x;
      WrittenCpp::Named<double> names;
      bool is_empty = false;
      for (const Tensor<double>& one : sample(row, set)) {
        x.push_back(parameter(one));
        names.emplace_back("x" + std::to_string(names.size()), x.back());
        is_empty = is_empty || one.size() == 0;
      }
      const auto f = [&] { return weighted(row.f(x)); };
      const Tensor<double> loss = f();
      if (is_empty || !loss.requires_grad()) continue;
      const Tensors expected = grad(loss, x, {.retain_tape = true});
      const Derivation derivation = set % 2 == 0 && row.op != "checkpoint" ? xtape::derivation(loss, names) : xtape::derivation(f, names);
      written.add<double>(row.id() + " of set " + std::to_string(set), derivation, names, loss.detach(), expected);
    }
  check(written, 1e-13);
}
