// See run.hpp.
#include "run.hpp"

#include <stdexcept>

namespace xtape::properties {
namespace {

template <class T>
class Runner {
 public:
  using X = Tensor<T>;

  Runner(std::vector<X> values, Frozen<T>* frozen) : values_(std::move(values)), frozen_(frozen) {}

  void run(const std::vector<Statement>& list) {
    for (const Statement& s : list) values_[s.result] = evaluate(s);
  }
  X& operator[](std::size_t result) { return values_[result]; }

 private:
  X evaluate(const Statement& s) {
    static const std::size_t detach = row_of("a.detach()");
    switch (s.kind) {
      case Kind::parameter:
        return values_[s.result];  // given
      case Kind::constant:
        return leaf_value<T>(s);
      case Kind::operation: {
        const auto y = [&] { return functions<X>()[s.op](operands<X>(s, values_), s.with); };
        return s.op == detach ? frozen(s, y) : y();
      }
      case Kind::no_grad:
        return frozen(s, [&] {
          const NoGrad no_grad;
          run(s.body);
          return values_[s.body.back().result];
        });
      case Kind::checkpoint: {
        // The lambda is called again in the backward pass: what it captures is copied.
        auto f = [&s, runner = *this](const X& a, const X& b) {
          Runner inner = runner;
          inner[s.arguments[0]] = a;
          inner[s.arguments[1]] = b;
          inner.run(s.body);
          return inner[s.body.back().result];
        };
        return checkpoint(f, values_[s.operands[0]], values_[s.operands[1]]);
      }
      case Kind::map: {
        auto f = [&s](const auto& a, const auto& b) {
          using E = std::remove_cvref_t<decltype(a)>;
          std::vector<E> values(s.body.back().result + 1, a);
          values[s.arguments[1]] = b;
          for (const Statement& inner : s.body)
            values[inner.result] = functions<E>()[inner.op](operands<E>(inner, values), inner.with);
          return values.back();
        };
        return map(f, values_[s.operands[0]], values_[s.operands[1]]);
      }
    }
    throw std::logic_error("a statement of no kind");
  }

  template <class F>
  X frozen(const Statement& s, const F& compute) {
    if (!frozen_) return compute();
    if (!frozen_->replay) frozen_->values[s.result] = compute();
    return frozen_->values[s.result];
  }

  std::vector<X> values_;
  Frozen<T>* frozen_;
};

}  // namespace

template <class T>
Tensor<T> leaf_value(const Statement& leaf) {
  return reshape(Tensor<T>(leaf.numbers), leaf.with.shape);
}

template <class T>
std::vector<Tensor<T>> make_leaves(const Program& program) {
  std::vector<Tensor<T>> leaves;
  for (const Statement& s : program.statements)
    if (s.kind == Kind::parameter) leaves.push_back(parameter(leaf_value<T>(s)));
  return leaves;
}

template <class T>
Tensor<T> run(const Program& program, const std::vector<Tensor<T>>& leaves, Frozen<T>* frozen) {
  std::vector<Tensor<T>> values(program.results);
  for (std::size_t i = 0; i < leaves.size(); ++i) values[program.leaves[i]] = leaves[i];
  if (frozen) frozen->values.resize(program.results);
  Runner<T> runner(std::move(values), frozen);
  runner.run(program.statements);
  Tensor<T> loss = 0;
  for (const std::size_t output : program.outputs) loss = loss + sum(sin(runner[output]));
  return loss;
}

template Tensor<float> leaf_value<float>(const Statement&);
template Tensor<double> leaf_value<double>(const Statement&);
template std::vector<Tensor<float>> make_leaves(const Program&);
template std::vector<Tensor<double>> make_leaves(const Program&);
template Tensor<float> run(const Program&, const std::vector<Tensor<float>>&, Frozen<float>*);
template Tensor<double> run(const Program&, const std::vector<Tensor<double>>&, Frozen<double>*);

}  // namespace xtape::properties
