// Gates composed of linear, sigmoid and tanh.
#include "../recurrent.hpp"

#include <array>
#include <cmath>
#include <string>

#include <autodiff/elementwise.hpp>
#include <autodiff/linalg.hpp>
#include <autodiff/random.hpp>

namespace xtape::nn {
namespace {

/// Part k of a row of gates, (N, hidden) of (N, gates·hidden); without a list, as split() would make one.
template <class T>
Tensor<T> gate(const Tensor<T>& gates, std::size_t k, std::size_t hidden) {
  const auto start = static_cast<std::ptrdiff_t>(k * hidden), size = static_cast<std::ptrdiff_t>(hidden);
  return slice(gates, xt::all(), xt::range(start, start + size));
}

}  // namespace

template <class T>
RecurrentCell<T>::RecurrentCell(const char* name, std::size_t gates, std::size_t in, std::size_t hidden)
    : name_(name) {
  if (in == 0 || hidden == 0)
    throw Error(name, std::to_string(in) + " features in and " + std::to_string(hidden) +
                          " hidden: both must be positive");
  const T bound = static_cast<T>(1 / std::sqrt(static_cast<double>(hidden)));
  const auto evenly = [bound](const Shape& shape) {
    return parameter(random::uniform<T>(shape, -bound, bound));
  };
  weight_ih = evenly({gates * hidden, in});
  weight_hh = evenly({gates * hidden, hidden});
  bias_ih = evenly({gates * hidden});
  bias_hh = evenly({gates * hidden});
}

template <class T>
Tensor<T> RecurrentCell<T>::project(const Tensor<T>& x) const {
  return this->observed([&] { return linear(x, weight_ih, bias_ih); });
}

template <class T>
void RecurrentCell<T>::members(Members<T>& m) {
  m.parameter("weight_ih", weight_ih);
  m.parameter("weight_hh", weight_hh);
  m.parameter("bias_ih", bias_ih);
  m.parameter("bias_hh", bias_hh);
}

template <class T>
void RecurrentCell<T>::require_input(const Tensor<T>& x, std::size_t rank) const {
  const std::size_t in = weight_ih.shape()[1];
  if (x.rank() != rank || x.shape().back() != in)
    throw Error(name_, "x of shape " + to_string(x.shape()) + ": it must be " +
                           (rank == 3 ? "(steps, N, " : "(N, ") + std::to_string(in) + ")");
}

template <class T>
void RecurrentCell<T>::require_part(const char* what, const Tensor<T>& h, std::size_t N) const {
  const Shape expected{N, hidden()};
  if (!(h.shape() == expected))
    throw Error(name_, std::string(what) + " of shape " + to_string(h.shape()) + ": it must be " +
                           to_string(expected));
}

template <class T>
typename LSTMCell<T>::State LSTMCell<T>::initial_state(std::size_t N) const {
  return {zeros<T>({N, this->hidden()}), zeros<T>({N, this->hidden()})};
}

template <class T>
void LSTMCell<T>::require_state(const State& state, std::size_t N) const {
  this->require_part("h", state.h, N);
  this->require_part("c", state.c, N);
}

template <class T>
typename LSTMCell<T>::State LSTMCell<T>::step(const Tensor<T>& projected, const State& state) const {
  const auto next = [&]() -> State {
    const Tensor<T> gates = projected + linear(state.h, this->weight_hh, this->bias_hh);
    const auto part = [&](std::size_t k) { return gate(gates, k, this->hidden()); };
    const Tensor<T> i = sigmoid(part(0)), f = sigmoid(part(1)), g = tanh(part(2)), o = sigmoid(part(3));
    const Tensor<T> c = f * state.c + i * g;
    return {o * tanh(c), c};
  };
  return this->observed(next, output);
}

template <class T>
typename LSTMCell<T>::State LSTMCell<T>::operator()(const Tensor<T>& x, const State& state) const {
  this->require_input(x, 2);
  require_state(state, x.shape()[0]);
  return step(this->project(x), state);
}

template <class T>
Tensor<T> LSTMCell<T>::forward(const Tensor<T>& x) {
  this->require_input(x, 2);
  return (*this)(x, initial_state(x.shape()[0])).h;
}

template <class T>
Tensor<T> GRUCell<T>::initial_state(std::size_t N) const {
  return zeros<T>({N, this->hidden()});
}

template <class T>
void GRUCell<T>::require_state(const Tensor<T>& h, std::size_t N) const {
  this->require_part("h", h, N);
}

template <class T>
Tensor<T> GRUCell<T>::step(const Tensor<T>& projected, const Tensor<T>& h) const {
  return this->observed([&] {
    const Tensor<T> b = linear(h, this->weight_hh, this->bias_hh);
    const auto from_x = [&](std::size_t k) { return gate(projected, k, this->hidden()); };
    const auto from_h = [&](std::size_t k) { return gate(b, k, this->hidden()); };
    const Tensor<T> r = sigmoid(from_x(0) + from_h(0)), z = sigmoid(from_x(1) + from_h(1)),
                    n = tanh(from_x(2) + r * from_h(2));
    return (1 - z) * n + z * h;
  });
}

template <class T>
Tensor<T> GRUCell<T>::operator()(const Tensor<T>& x, const Tensor<T>& h) const {
  this->require_input(x, 2);
  require_state(h, x.shape()[0]);
  return step(this->project(x), h);
}

template <class T>
Tensor<T> GRUCell<T>::forward(const Tensor<T>& x) {
  this->require_input(x, 2);
  return (*this)(x, initial_state(x.shape()[0]));
}

template <class Cell>
Tensor<typename Cell::value_type> Recurrent<Cell>::operator()(const Tensor<T>& x, State& state) const {
  cell.require_input(x, 3);
  cell.require_state(state, x.shape()[1]);
  if (x.shape()[0] == 0) return zeros<T>({0, x.shape()[1], cell.hidden()});
  return this->observed([&] {
    const Tensor<T> projected = cell.project(x);  // all steps at once
    const auto step = [&](const std::vector<Tensor<T>>& carry, const Tensor<T>& part) {
      const State next = cell.step(part, Cell::state_of(carry));
      return std::pair(Cell::tensors(next), Cell::output(next));
    };
    if (this->is_watched()) {  // by who is to see each step
      std::vector<Tensor<T>> outputs;
      State now = state;
      for (std::size_t t = 0; t < x.shape()[0]; ++t) {
        now = cell.step(slice(projected, static_cast<std::ptrdiff_t>(t)), now);
        outputs.push_back(Cell::output(now));
      }
      state = now;
      return stack(outputs);
    }
    const std::array reads{cell.weight_hh, cell.bias_hh};
    auto [last, all] = scan(traces_, step, Cell::tensors(state), projected, reads);
    state = Cell::state_of(last);  // where nothing can fail any more
    return all;
  });
}

template <class Cell>
Tensor<typename Cell::value_type> Recurrent<Cell>::forward(const Tensor<T>& x) {
  cell.require_input(x, 3);
  State state = cell.initial_state(x.shape()[1]);
  return (*this)(x, state);
}

#define XTAPE_INSTANTIATE(T)             \
  template class RecurrentCell<T>;       \
  template class LSTMCell<T>;            \
  template class GRUCell<T>;             \
  template class Recurrent<LSTMCell<T>>; \
  template class Recurrent<GRUCell<T>>;
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
