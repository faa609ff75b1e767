// The hand-written code once more, compiled as one would for speed: with -O3 -march=native -ffast-math, and
// with AVX2 instead for a run that XTAPE_ARCH limits to it. Each is a shared library that exports one
// function (tuned_peers.map), so that what it compiles of std:: and hand_written:: stays its own.
#pragma once
#include <tuple>

#include "comparison.hpp"
#include "gaussian_mixture.hpp"
#include "hand_written.hpp"

namespace tuned_peers {

template <class Data>
using Maker = bench::Side (*)(const Data&);

template <class... Data>
using MakersOf = std::tuple<Maker<Data>...>;

struct Library {
  const char* flags;  ///< of the compiler
  MakersOf<hand_written::Network, hand_written::ReluLayers, hand_written::Convolution,
           hand_written::SoftmaxCrossEntropy, hand_written::BatchNorm, hand_written::Adam,
           hand_written::ChainOfSin, hand_written::ExpSin, hand_written::HessianVector,
           hand_written::LogSumExp, bench::GaussianMixture>
      makers;
};

const Library& native();
const Library& avx2();

/// The one for the instruction set that this run may use.
const Library& chosen();

template <class Data>
bench::Side side(const Data& data) {
  return std::get<Maker<Data>>(chosen().makers)(data);
}

}  // namespace tuned_peers
