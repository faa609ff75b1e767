// See tuned_peers.hpp. Compiled once for each library, with its name in XTAPE_TUNED and its flags in
// XTAPE_TUNED_FLAGS.
#include "tuned_peers.hpp"

namespace tuned_peers {
namespace {

using namespace hand_written;

/// The patches under all places of the weights become the columns of a matrix, one for each pixel: a product
/// gives y, and two more the gradients.
struct ConvolutionByColumns : Convolution {
  std::vector<float> columns,
      dcolumns;  ///< (batch, taps, area), of which the zeros around stay; (taps, area)

  explicit ConvolutionByColumns(const Convolution& data) : Convolution(data) {}

  void run() {
    columns.resize(batch * taps() * area());
    dcolumns.resize(taps() * area());
    start_with_bias();
    for (std::size_t n = 0; n < batch; ++n) {
      float* const column = columns.data() + n * taps() * area();
      const float* const picture = x.data() + n * in * area();
      for (std::size_t tap = 0; tap < taps(); ++tap)
        for_each_row(tap, [&](std::size_t to, std::size_t from, std::size_t length) {
          std::copy_n(picture + from, length, column + tap * area() + to);
        });
      product(false, false, out, area(), taps(), W.data(), column, true, y.data() + n * out * area());
    }
    adjoint_of_y();
    for (std::size_t n = 0; n < batch; ++n) {
      const float* const dy = y.data() + n * out * area();
      product(false, true, out, taps(), area(), dy, columns.data() + n * taps() * area(), true, dW.data());
      product(true, false, taps(), area(), out, W.data(), dy, false, dcolumns.data());
      float* const picture = dx.data() + n * in * area();
      for (std::size_t tap = 0; tap < taps(); ++tap)
        for_each_row(tap, [&](std::size_t to, std::size_t from, std::size_t length) {
          const float* const column = dcolumns.data() + tap * area() + to;
          for (std::size_t j = 0; j < length; ++j) picture[from + j] += column[j];
        });
    }
  }
};

template <class Work, class Data = Work>
bench::Side make(const Data& data) {
  return bench::side<Work>(data);
}

constexpr Library library{
    XTAPE_TUNED_FLAGS,
    {make<Network>, make<ReluLayers>, make<ConvolutionByColumns, Convolution>, make<SoftmaxCrossEntropy>,
     make<BatchNorm>, make<Adam>, make<ChainOfSin>, make<ExpSin>, make<HessianVector>, make<LogSumExp>,
     make<bench::HandWrittenMixture, bench::GaussianMixture>}};

}  // namespace

const Library& XTAPE_TUNED() { return library; }

}  // namespace tuned_peers
