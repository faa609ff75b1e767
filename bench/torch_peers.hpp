// The same work by LibTorch, on one thread, from the data of the hand-written sides. torch_peers.cpp has
// them; without LibTorch, torch_absent.cpp gives empty sides.
#pragma once
#include <string>

#include "comparison.hpp"
#include "gaussian_mixture.hpp"
#include "hand_written.hpp"
#include "image_data.hpp"
#include "linalg_data.hpp"
#include "transformer_data.hpp"

namespace torch_peers {

/// With the instruction set that it uses and its oneDNN; "" without LibTorch.
std::string version();
/// Where its headers are, as flags of the compiler.
std::string compiler_flags();

bench::Side step(const hand_written::Network& data);
bench::Side relu_layers(const hand_written::ReluLayers& data);
bench::Side convolution(const hand_written::Convolution& data);
bench::Side images(const bench::ImageData& data);
bench::Side softmax_cross_entropy(const hand_written::SoftmaxCrossEntropy& data);
bench::Side batch_norm(const hand_written::BatchNorm& data);
bench::Side adam(const hand_written::Adam& data);
bench::Side chain_of_sin(const hand_written::ChainOfSin& data);
bench::Side exp_sin(const hand_written::ExpSin& data);
bench::Side hessian_vector(const hand_written::HessianVector& data);
bench::Side log_sum_exp(const hand_written::LogSumExp& data);
bench::Side gaussian_mixture(const bench::GaussianMixture& data);
bench::Side attention(const bench::AttentionData& data);
bench::Side transformer(const bench::TransformerData& data);
bench::Side process(const bench::ProcessData& data);
bench::Side filter(const bench::FilterData& data);
bench::Side batch(const bench::BatchData& data);

}  // namespace torch_peers
