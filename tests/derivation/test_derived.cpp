// A loss as a program with its gradients: from its recording and from its function, as it is and by simpler
// operations, it computes what the tape does.
#include "../check_close.hpp"
#include "../ops/op_table.hpp"

#include <autodiff/derivation/derived.hpp>

using namespace xtape;
using namespace xtape::test;
using detail::Derived, detail::Handle, detail::Source, detail::Step;

namespace {

Tensor<double> weighted(const Tensor<double>& y) {
  return sum(y * cos(reshape(arange<double>(static_cast<double>(y.size())), Dims(y.shape()))));
}

void check_values(const Derived& derived, const Tensors& x, double loss, const Tensors& gradients) {
  const std::vector<Handle> at = values_of(derived, given_arguments(derived, "test"));
  check_close(Tensor<double>(Handle(at[derived.loss])), Tensor<double>(loss), 1e-12, 1e-14);
  std::uint32_t place = 0;
  for (const Source::Argument& one : derived.arguments) {
    while (derived.program.places[place].kind != detail::Place::Kind::argument) ++place;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (one.tensor.node.get() == x[i].handle().node.get()) {
        const std::uint32_t adjoint = derived.adjoints[place];
        const Tensor<double> found =
            adjoint == Step::none ? zeros<double>(x[i].shape()) : Tensor<double>(Handle(at[adjoint]));
        check_close(found, gradients[i], 1e-11, 1e-13);
      }
    ++place;
  }
}

}  // namespace

TEST_CASE("every operation of the table: the derived program computes its value and its gradients") {
  const detail::IsLeft all = [](const Step&) { return true; };
  for (const OpRow& row : op_table())
    for (std::size_t set = 0; set < row.shapes.size(); ++set) {
      if (row.op == "custom" || row.op == "checkpoint") continue;
      CAPTURE(row.id());
      CAPTURE(set);
      Tensors x;
      bool is_empty = false;
      for (const Tensor<double>& one : sample(row, set)) {
        x.push_back(parameter(one));
        is_empty = is_empty || one.size() == 0;
      }
      detail::NamedHandles names;
      for (const Tensor<double>& one : x)
        names.emplace_back("x" + std::to_string(names.size()), one.handle());
      const auto f = [&] { return weighted(row.f(x)); };
      const Tensor<double> loss = f();
      if (!loss.requires_grad()) continue;
      const Tensors expected = grad(loss, x, {.retain_tape = true});
      for (const Source& source : {detail::recorded_source(loss.handle(), names),
                                   detail::traced_source([&] { return f().release(); }, names)}) {
        Derived derived = derive(source, all);
        check_values(derived, x, loss.item(), expected);
        if (is_empty) continue;
        simplify(derived, {});
        for (const Step& step : derived.program.steps) CHECK(!step.operation->decompose);
        check_values(derived, x, loss.item(), expected);
        Derived simple = derive(source, {});
        simplify(simple, {});
        check_values(simple, x, loss.item(), expected);
      }
    }
}
