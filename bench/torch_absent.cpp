// Empty sides, for a machine without LibTorch.
#include "torch_peers.hpp"

namespace torch_peers {

using bench::Side;

std::string version() { return ""; }
std::string compiler_flags() { return ""; }
Side step(const hand_written::Network&) { return {}; }
Side relu_layers(const hand_written::ReluLayers&) { return {}; }
Side convolution(const hand_written::Convolution&) { return {}; }
Side attention(const bench::AttentionData&) { return {}; }
Side transformer(const bench::TransformerData&) { return {}; }
Side images(const bench::ImageData&) { return {}; }
Side softmax_cross_entropy(const hand_written::SoftmaxCrossEntropy&) { return {}; }
Side batch_norm(const hand_written::BatchNorm&) { return {}; }
Side adam(const hand_written::Adam&) { return {}; }
Side chain_of_sin(const hand_written::ChainOfSin&) { return {}; }
Side exp_sin(const hand_written::ExpSin&) { return {}; }
Side hessian_vector(const hand_written::HessianVector&) { return {}; }
Side log_sum_exp(const hand_written::LogSumExp&) { return {}; }
Side gaussian_mixture(const bench::GaussianMixture&) { return {}; }
Side process(const bench::ProcessData&) { return {}; }
Side filter(const bench::FilterData&) { return {}; }
Side batch(const bench::BatchData&) { return {}; }

}  // namespace torch_peers
