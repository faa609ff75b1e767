// The graphs of the sets, by the file they are in: each function adds the mistakes on its graph to the list.
// Those of nets of dense layers are in mistakes_a.cpp, mistakes_b.cpp and mistakes_c.cpp, which say the
// order.
#pragma once
#include "mistakes_graph.hpp"

namespace xtape::test {

// mistakes_a_recurrent.cpp
void rnn(Mistakes& list);

// mistakes_a_norms.cpp
void batch_norm_net(Mistakes& list);
void residual_net(Mistakes& list);

// mistakes_a_convolution.cpp
void convolution_net(Mistakes& list);

// mistakes_a_attention.cpp
void embedding_bag(Mistakes& list);
void causal_attention(Mistakes& list);

// mistakes_a_models.cpp
void tied_autoencoder(Mistakes& list);
void gaussian(Mistakes& list);
void polynomial(Mistakes& list);

// mistakes_b_recurrent.cpp
void gru(Mistakes& list);
void lstm(Mistakes& list);

// mistakes_b_norms.cpp
void layer_norm_net(Mistakes& list);
void rms_norm_net(Mistakes& list);
void fused_batch_norm(Mistakes& list);

// mistakes_b_convolution.cpp
void strided_convolution(Mistakes& list);

// mistakes_b_attention.cpp
void embedded_attention(Mistakes& list);
void skip_gram(Mistakes& list);

// mistakes_b_gates.cpp
void highway(Mistakes& list);
void mixture(Mistakes& list);

// mistakes_b_pairs.cpp
void siamese(Mistakes& list);
void factorisation(Mistakes& list);
void cosine(Mistakes& list);
void bilinear(Mistakes& list);

// mistakes_b_models.cpp
void variational(Mistakes& list);
void huber(Mistakes& list);
void oscillators(Mistakes& list);

// mistakes_c_recurrent.cpp
void character_rnn(Mistakes& list);
void joint_lstm(Mistakes& list);

// mistakes_c_convolution.cpp
void pooled_convolution(Mistakes& list);

// mistakes_c_attention.cpp
void two_heads(Mistakes& list);
void cbow(Mistakes& list);

// mistakes_c_norms.cpp
void batch_norm_residual(Mistakes& list);

// mistakes_c_models.cpp
void denoising_autoencoder(Mistakes& list);
void gaussian_head(Mistakes& list);
void policy_gradient(Mistakes& list);

// mistakes_c_pairs.cpp
void contrastive(Mistakes& list);

}  // namespace xtape::test
