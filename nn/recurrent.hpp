// Recurrent layers: cells that take one step, and layers that take a sequence of them.
#pragma once
#include <autodiff/layout.hpp>
#include <autodiff/scan.hpp>

#include "module.hpp"

namespace xtape::nn {

/// The parameters of a cell with several gates, one below the other: weight_ih (gates·hidden, in), weight_hh
/// (gates·hidden, hidden), bias_ih and bias_hh (gates·hidden), as PyTorch names them. All start evenly
/// distributed between ±1/√hidden, as in PyTorch. Error for 0 features.
template <class T>
class RecurrentCell : public Module<T> {
 public:
  std::size_t hidden() const { return weight_hh.shape()[1]; }
  /// W_ih x + b_ih: x (…, in) gives (…, gates·hidden). Observers see it, and a step, as a call of the cell.
  Tensor<T> project(const Tensor<T>& x) const;
  /// Error for x that is not (N, in), or not (steps, N, in) where rank 3 is asked for.
  void require_input(const Tensor<T>& x, std::size_t rank) const;
  void members(Members<T>& m) override;
  /// "LSTMCell(3, 5)"
  std::string describe() const override { return name_ + ("Cell" + sizes()); }
  /// "LSTM(3, 5)", of the layer that takes a sequence.
  std::string describe_layer() const { return name_ + sizes(); }

  Tensor<T> weight_ih, weight_hh, bias_ih, bias_hh;

 protected:
  RecurrentCell(const char* name, std::size_t gates, std::size_t in, std::size_t hidden);
  void require_part(const char* what, const Tensor<T>& h, std::size_t N) const;

 private:
  std::string sizes() const {
    return "(" + std::to_string(weight_ih.shape()[1]) + ", " + std::to_string(hidden()) + ")";
  }

  const char* name_;
};

/// Long short-term memory (Hochreiter and Schmidhuber, 1997; with the forget gate of Gers et al., 2000), as
/// PyTorch writes it: with (i, f, g, o) the four parts of W_ih x + b_ih + W_hh h + b_hh,
///     c' = σ(f) c + σ(i) tanh(g),    h' = σ(o) tanh(c').
/// x (N, in), h and c (N, hidden).
template <class T>
class LSTMCell : public RecurrentCell<T> {
 public:
  /// What a step hands to the next.
  struct State {
    Tensor<T> h, c;
  };
  LSTMCell(std::size_t in, std::size_t hidden) : RecurrentCell<T>("LSTM", 4, in, hidden) {}
  using Module<T>::operator();
  State operator()(const Tensor<T>& x, const State& state) const;
  /// h' of one step from zeros.
  Tensor<T> forward(const Tensor<T>& x) override;

  /// All 0, for N sequences.
  State initial_state(std::size_t N) const;
  /// Error for a state that is not of N sequences.
  void require_state(const State& state, std::size_t N) const;
  /// A step, given project(x).
  State step(const Tensor<T>& projected, const State& state) const;
  static const Tensor<T>& output(const State& state) { return state.h; }
  /// The state as a list, and back.
  static std::vector<Tensor<T>> tensors(const State& state) { return {state.h, state.c}; }
  static State state_of(const std::vector<Tensor<T>>& tensors) { return {tensors[0], tensors[1]}; }
};

/// Gated recurrent unit (Cho et al., 2014), as PyTorch writes it: with the parts for r, z and n of
/// a = W_ih x + b_ih and b = W_hh h + b_hh,
///     r = σ(a_r + b_r),    z = σ(a_z + b_z),    n = tanh(a_n + r b_n),    h' = (1 − z) n + z h.
/// x (N, in), h (N, hidden), which is the state.
template <class T>
class GRUCell : public RecurrentCell<T> {
 public:
  using State = Tensor<T>;
  GRUCell(std::size_t in, std::size_t hidden) : RecurrentCell<T>("GRU", 3, in, hidden) {}
  using Module<T>::operator();
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& h) const;
  /// h' of one step from zeros.
  Tensor<T> forward(const Tensor<T>& x) override;

  Tensor<T> initial_state(std::size_t N) const;
  void require_state(const Tensor<T>& h, std::size_t N) const;
  Tensor<T> step(const Tensor<T>& projected, const Tensor<T>& h) const;
  static const Tensor<T>& output(const Tensor<T>& h) { return h; }
  static std::vector<Tensor<T>> tensors(const Tensor<T>& h) { return {h}; }
  static Tensor<T> state_of(const std::vector<Tensor<T>>& tensors) { return tensors[0]; }
};

/// A cell over a sequence: x (steps, N, in) gives the h of every step, (steps, N, hidden), by a scan whose
/// step is traced once for all calls of a kind.
template <class Cell>
class Recurrent : public Module<typename Cell::value_type> {
 public:
  using T = typename Cell::value_type;
  using State = typename Cell::State;

  Recurrent(std::size_t in, std::size_t hidden) : cell(in, hidden) {}
  using Module<T>::operator();
  /// From `state`, which becomes that after the last step.
  Tensor<T> operator()(const Tensor<T>& x, State& state) const;
  /// From zeros.
  Tensor<T> forward(const Tensor<T>& x) override;
  void members(Members<T>& m) override { m.module("cell", cell); }
  std::string describe() const override { return cell.describe_layer(); }

  Cell cell;

 private:
  mutable ScanTraces<T> traces_;
};

/// A layer of long short-term memory: an LSTMCell over a sequence.
template <class T>
using LSTM = Recurrent<LSTMCell<T>>;
/// A layer of gated recurrent units: a GRUCell over a sequence.
template <class T>
using GRU = Recurrent<GRUCell<T>>;

}  // namespace xtape::nn
