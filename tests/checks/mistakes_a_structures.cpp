// Set A of mistakes: recurrent, normalised, convolutional and other graphs.
#include "mistakes_graph.hpp"

namespace xtape::test {

void structures_a(Mistakes& list);

namespace {
using namespace words;

const Words recurrent{"recurr", "time", "step", "previous", "wh", "state", "earlier", "hidden", "h(t", "h_t"};

/// A tanh RNN over four steps, with an output at each: 2 inputs, 5 states, 3 outputs, four samples.
void rnn(Mistakes& list) {
  random::seed(111);
  const std::size_t steps = 4;
  std::vector<Matrix> x, y;
  for (std::size_t t = 0; t < steps; ++t) {
    x.push_back(normal({4, 2}));
    y.push_back(normal({4, 3}));
  }
  const Matrix Wx = weights({2, 5}), Wh = weights({5, 5}, 0.5), b = weights({5}), Wy = weights({5, 3}),
               by = weights({3});
  const auto loss = [=] {
    Matrix h = zeros<double>({4, 5}), total(0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      h = tanh(matmul(x[t], Wx) + matmul(h, Wh) + b);
      total = total + nn::half_squared_error(affine(h, Wy, by), y[t]);
    }
    return total / 4;
  };
  const auto hand = [=](const std::string& wrong) {
    std::vector<Matrix> h{zeros<double>({4, 5})};
    std::vector<Matrix> errors;
    for (std::size_t t = 0; t < steps; ++t) {
      h.push_back(tanh(matmul(x[t], Wx) + matmul(h[t], Wh) + b));
      errors.push_back((affine(h[t + 1], Wy, by) - y[t]) / 4);
    }
    Matrix dWx = zeros_like(Wx), dWh = zeros_like(Wh), db = zeros_like(b), dWy = zeros_like(Wy),
           dby = zeros_like(by);
    Matrix back = zeros<double>({4, 5});  // into h(t + 1), from later steps
    std::vector<Matrix> deltas(steps);
    for (std::size_t t = steps; t-- > 0;) {
      if (wrong == "last output only" && t + 1 < steps) errors[t] = zeros_like(errors[t]);
      dWy += matmul(transpose(h[t + 1]), errors[t]);
      dby += sum(errors[t], 0);
      Matrix slopes = 1 - square(h[t + 1]);
      if (wrong == "no slope") slopes = ones_like(slopes);
      if (wrong == "1 - h") slopes = 1 - h[t + 1];
      const Matrix into = matmul(errors[t], transpose(Wy)) + (wrong == "no recurrence" ? 0 * back : back);
      const Matrix d = into * slopes;
      back = matmul(d, wrong == "Wh not transposed" ? Wh : transpose(Wh));
      if (wrong == "recurrent slope forgotten") back = matmul(into, transpose(Wh));
      if (wrong == "y's error forgotten on the way" && t + 1 == steps) back = zeros_like(back);
      deltas[t] = d;
    }
    if (wrong == "two steps only") {  // each error goes back through one earlier step
      for (std::size_t t = 0; t < steps; ++t) {
        const auto own = [&](std::size_t s) {
          return matmul(errors[s], transpose(Wy)) * (1 - square(h[s + 1]));
        };
        deltas[t] = own(t);
        if (t + 1 < steps) deltas[t] = deltas[t] + matmul(own(t + 1), transpose(Wh)) * (1 - square(h[t + 1]));
      }
    }
    for (std::size_t t = 0; t < steps; ++t) {
      if (wrong == "last step's use only" && t + 1 < steps) continue;
      if (wrong == "first step left out" && t == 0) continue;
      dWx += matmul(transpose(x[t]), deltas[t]);
      dWh += matmul(transpose(wrong == "h(t) for h(t-1)" ? h[t + 1] : h[t]), deltas[t]);
      db += sum(deltas[t], 0);
    }
    if (wrong == "Wy from the last step") dWy = matmul(transpose(h[steps]), errors[steps - 1]);
    return Graph::Gradients{{"Wx", dWx}, {"Wh", dWh}, {"b", db}, {"Wy", dWy}, {"by", dby}};
  };
  Graph g(list, "rnn", {{"Wx", Wx}, {"Wh", Wh}, {"b", b}, {"Wy", Wy}, {"by", by}}, loss, hand);
  g.add("recurrent branch forgotten", "no recurrence", "Wh", {cut, recurrent},
        "the gradient that comes from later steps is not added",
        {"last step", "tanh'", "two steps", "2 steps"});
  g.add("recurrent branch forgotten", "no recurrence", "Wx", {cut, recurrent},
        "the gradient that comes from later steps is not added",
        {"last step", "tanh'", "two steps", "2 steps"});
  g.add("truncated BPTT", "two steps only", "Wx",
        {{"trunc", "only", "cut", "constant", "detach", "two steps", "2 steps"}, recurrent},
        "backpropagation through time is truncated after two steps", {"last step", "output"});
  g.add("one use of a shared weight", "last step's use only", "Wh",
        {{"last", "only", "one use", "use of", "one of"}, join(recurrent, {"use", "matmul"})},
        "only the last step's contribution is counted, in place of the sum over all");
  g.add("one use of a shared weight", "first step left out", "b",
        {{"first", "step 1", "step 0", "left out", "missing", "only", "use", "t = 0", "t = 1"},
         join(cut, {"use"})},
        "the loop stops before the first step, which is left out");
  g.add("derivative forgotten everywhere", "no slope", "Wh", {slope, forgotten},
        "tanh' is forgotten at every step", {"lacks", "goes back"});
  g.add("wrong slope everywhere", "1 - h", "Wx",
        {join(slope, {"1 − ", "1 - "}), {"1 − a", "1 - a", "1 − h", "1 - h", "square", "1−a", "1−h"}},
        "1 − h in place of 1 − h² at every step");
  g.add("other value in place", "h(t) for h(t-1)", "Wh", {join(recurrent, {"output", "next"}), instead},
        "h(t)ᵀ d(t) in place of h(t−1)ᵀ d(t)", {"last step", "later steps"});
  g.add("not transposed everywhere", "Wh not transposed", "Wx", {transposed},
        "d Wh in place of d Whᵀ at every step");
  g.add("derivative forgotten", "recurrent slope forgotten", "Wh",
        {slope, forgotten, {"back", "recurr", "h(t", "state", "wh", "only", "previous", "path"}},
        "what goes back to h(t−1) lacks tanh' of step t, while the weights' gradients have it",
        {"at every step"});
  g.add("samples left out", "last output only", "Wx",
        {{"last", "only", "output", "loss", "error"}, join(cut, recurrent)},
        "only the last step's error is counted");
  g.add("one use of a shared weight", "Wy from the last step", "Wy",
        {{"last", "only", "one use", "use of", "one of", "step"}}, "dWy from the last step only");
}

/// Batch normalisation by plain operations, then ReLU: widths 3, 4, 2, seven samples.
void batch_norm_net(Mistakes& list) {
  random::seed(112);
  const Matrix x = normal({7, 3}), y = normal({7, 2}), W = weights({3, 4}),
               gamma = parameter(normal({4}, 0.5) + 1.3), beta = weights({4}), V = weights({4, 2});
  const auto loss = [=] {
    const Matrix z = matmul(x, W), centred = z - mean(z, 0), variances = mean(square(centred), 0);
    const Matrix u = gamma * centred / sqrt(variances + 1e-5) + beta;
    return nn::mse_loss(matmul(relu(u), V), y, nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z = matmul(x, W), centred = z - mean(z, 0), variances = mean(square(centred), 0),
                 deviation = sqrt(variances + 1e-5), normed = centred / deviation, u = gamma * normed + beta,
                 a = relu(u), d = 2 * (matmul(a, V) - y) / 7;
    const Matrix du = matmul(d, transpose(V)) * (wrong == "no relu mask" ? ones_like(u) : u > 0);
    const Matrix dn = wrong == "gamma forgotten" ? du : gamma * du;
    // dz = (dn − mean(dn) − n mean(dn n)) / σ
    Matrix through_mean = mean(dn, 0), through_variance = normed * mean(dn * normed, 0);
    if (wrong == "constants" || wrong == "mean constant") through_mean = zeros_like(through_mean);
    if (wrong == "constants" || wrong == "variance constant") through_variance = zeros_like(through_variance);
    if (wrong == "half forgotten") through_variance = 2 * through_variance;
    if (wrong == "N - 1") through_variance = through_variance * 7.0 / 6;
    Matrix dz = (dn - through_mean - through_variance) / deviation;
    if (wrong == "deviation forgotten") dz = dz * deviation;
    return Graph::Gradients{{"W", matmul(transpose(x), dz)},
                            {"gamma", sum(du * (wrong == "z for the normalised" ? z : normed), 0)},
                            {"beta", wrong == "mean for beta" ? mean(du, 0) : sum(du, 0)},
                            {"V", matmul(transpose(a), d)}};
  };
  Graph g(list, "batch norm", {{"W", W}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  g.add_any("moments as constants", "constants", "W",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance are taken as constants", {"½", "1 / n"});
  g.add("moments as constants", "variance constant", "W", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "½", "n − 1", "1 / σ is"});
  // What goes through the variance's mean sums to 0, so only the mean of z itself counts.
  g.add("moments as constants", "mean constant", "W", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both", "1 / n"});
  g.add("N - 1 for N", "N - 1", "W",
        {{"n − 1", "n - 1", "n−1", "6", "ddof", "1.1666", "1.167", "7/6", "bessel", "unbiased"}},
        "the variance's path is divided by N − 1");
  g.add("factor", "half forgotten", "W", {join(two, {"square"}), join(of_variance, {"−½", "square"})},
        "the ½ of the square root's derivative is forgotten in the path of the variance");
  g.add("edge forgotten", "gamma forgotten", "W",
        {{"gamma", "γ", "scale", "multipl", "factor", "product"}, forgotten},
        "gamma is forgotten: d(normalised) = du in place of gamma du");
  g.add("derivative forgotten", "deviation forgotten", "W", {join(of_variance, {"divi", "scale"}), forgotten},
        "1 / σ is forgotten on the way to z", {"½", "square root's"});
  g.add("other value in place", "z for the normalised", "gamma",
        {{"z", "normal", "centr", "before", "matmul"}, join(instead, forgotten)},
        "sum of du z in place of du times the normalised z");
  g.add("reduction of a bias", "mean for beta", "beta", {join(averaged, batch("7"))},
        "the mean over the samples in place of the sum");
  g.add("mask forgotten", "no relu mask", "gamma", {join(slope, masked), forgotten},
        "ReLU's mask is forgotten");
}

/// Convolution, ReLU, max pooling, convolution, tanh, linear: two images of 8 × 8, three samples.
void convolution_net(Mistakes& list) {
  random::seed(113);
  const Matrix x = normal({3, 1, 8, 8}), y = normal({3, 2}), w1 = weights({2, 1, 3, 3}, 0.5),
               c1 = weights({2}, 0.3), w2 = weights({3, 2, 2, 2}, 0.5), c2 = weights({3}, 0.3),
               W = weights({12, 2});
  const auto loss = [=] {
    const Matrix pooled = max_pool2d(relu(conv2d(x, w1, c1)), 2);
    return nn::mse_loss(matmul(reshape(tanh(conv2d(pooled, w2, c2)), {3, 12}), W), y,
                        nn::Reduction::batch_mean);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix z1 = conv2d(x, w1, c1), a1 = relu(z1), pooled = max_pool2d(a1, 2),
                 a2 = tanh(conv2d(pooled, w2, c2)), features = reshape(a2, {3, 12}),
                 d = 2 * (matmul(features, W) - y) / (wrong == "not divided by N" ? 1 : 3);
    const Matrix s2 = wrong == "1 - a" ? 1 - a2 : 1 - square(a2);
    Matrix d2 = reshape(matmul(d, transpose(W)), {3, 3, 2, 2}) * s2;
    const Matrix g2 = reshape(d2, {3, 3, 4});
    Matrix dw2 = reshape(sum(matmul(g2, transpose(unfold(pooled, 2), {0, 2, 1})), 0), {3, 2, 2, 2});
    if (wrong == "dw2 flipped") dw2 = flip(dw2, {2, 3});
    const Matrix kernels = wrong == "kernel not flipped" ? flip(w2, {2, 3}) : w2;
    const Matrix dp = fold(matmul(transpose(reshape(kernels, {3, 8})), g2), {3, 3}, 2);  // (3, 2, 3, 3)
    // Windows of a1, each channel as an image of its own: (6, 4, 9).
    const Matrix windows = unfold(reshape(a1, {6, 1, 6, 6}), 2, 2), largest = max(windows, 1, true);
    Matrix chosen = equal(windows, largest) * (1 / sum(equal(windows, largest), 1, true));
    if (wrong == "pooling to all") chosen = ones_like(windows);
    if (wrong == "pooling's mean") chosen = full_like(windows, 0.25);
    if (wrong == "pooling to the first")
      chosen = concatenate<double>({ones<double>({6, 1, 9}), zeros<double>({6, 3, 9})}, 1);
    const Matrix da = reshape(fold(chosen * reshape(dp, {6, 1, 9}), {6, 6}, 2, 2), {3, 2, 6, 6});
    const Matrix d1 = da * (wrong == "no relu mask" ? ones_like(z1) : z1 > 0);
    const Matrix g1 = reshape(d1, {3, 2, 36});
    Matrix per_sample = matmul(g1, transpose(unfold(x, 3), {0, 2, 1}));
    if (wrong == "last sample only") per_sample = per_sample * reshape(rows_mask(3, 2, 1), {3, 1, 1});
    return Graph::Gradients{{"w1", reshape(sum(per_sample, 0), {2, 1, 3, 3})},
                            {"c1", sum(g1, {0, 2})},
                            {"w2", dw2},
                            {"c2", wrong == "mean over positions" ? sum(mean(g2, 2), 0) : sum(g2, {0, 2})},
                            {"W", matmul(transpose(features), d)}};
  };
  Graph g(list, "convolution net", {{"w1", w1}, {"c1", c1}, {"w2", w2}, {"c2", c2}, {"W", W}}, loss, hand);
  const Words flipped{"flip", "rotat", "180", "turned", "revers", "mirror"}, pool{"pool", "max", "window"};
  g.add("kernel not flipped", "kernel not flipped", "w1", {flipped},
        "the error is correlated with w2 as it stands, not rotated by 180°");
  g.add("kernel not flipped", "dw2 flipped", "w2", {flipped}, "dw2 comes out rotated by 180°");
  g.add("pooling", "pooling to all", "w1",
        {pool, {"all", "every", "each", "mask", "where", "forgot", "missing", "left out"}},
        "max pooling's gradient goes to all four elements of a window", {"first"});
  g.add("pooling", "pooling's mean", "w1",
        {pool, {"average", "mean", "avg", "spread", "¼", "0.25", "1/4", "equal"}},
        "max pooling's gradient is spread as by average pooling");
  g.add("pooling", "pooling to the first", "w1",
        {pool, {"first", "top left", "upper left", "corner", "element 0"}},
        "max pooling's gradient goes to the first element of each window");
  g.add("mask forgotten", "no relu mask", "w1", {join(slope, masked), forgotten}, "ReLU's mask is forgotten");
  g.add("reduction of a bias", "mean over positions", "c2",
        {join(averaged, factor("4"), {"position", "pixel"})},
        "the mean over the 4 positions in place of their sum");
  g.add("wrong slope", "1 - a", "w2", {join(slope, {"1 − a", "1 - a"}), {"1 − a", "1 - a", "square", "1−a"}},
        "1 − a in place of 1 − a²");
  g.add("factor", "not divided by N", "W", {batch("3")}, "the division by N = 3 is forgotten");
  g.add("samples left out", "last sample only", "w1",
        {{"last", "sample 3", "sample 2", "row 2", "one sample", "single", "1 of", "one image"}},
        "only the last image is counted");
}

/// Mean of embeddings with repeated indices, tanh, softmax: six words of three numbers, five classes.
void embedding_bag(Mistakes& list) {
  random::seed(114);
  const Indices words{{0, 2, 2}, {4, 0, 1}, {2, 5, 4}, {2, 2, 2}};
  const std::vector<std::size_t> labels{3, 0, 4, 1};
  const Matrix y = one_hot(labels, 5), embedding = weights({6, 3}), W = weights({3, 5}), b = weights({5});
  const auto loss = [=] {
    const Matrix h = tanh(mean(take(embedding, words, 0), 1));
    return nn::cross_entropy(affine(h, W, b), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix bag = mean(take(embedding, words, 0), 1), h = tanh(bag), p = softmax(affine(h, W, b));
    const Matrix d = (wrong == "label not subtracted" ? p : p - y) / 4;
    const Matrix s = wrong == "no slope" ? ones_like(h) : 1 - h * h;
    const Matrix to_bag = matmul(d, transpose(W)) * s;
    Matrix rows = zeros_like(embedding);
    std::vector<double> seen(6, 0);
    for (std::size_t n = 0; n < 4; ++n)
      for (std::size_t k = 0; k < 3; ++k) {
        const auto word = static_cast<std::size_t>(words[n * 3 + k]);
        const bool is_new = seen[word]++ == 0;
        for (std::size_t j = 0; j < 3; ++j) {
          double& target = rows.mutable_data()[word * 3 + j];
          const double update = to_bag.data()[n * 3 + j] / (wrong == "mean's 3" ? 1 : 3);
          if (wrong == "overwritten")
            target = update;
          else if (wrong != "first occurrence only" || is_new)
            target += update;
        }
      }
    if (wrong == "mean of occurrences")
      for (std::size_t i = 0; i < 18; ++i) rows.mutable_data()[i] /= std::max(1.0, seen[i / 3]);
    const Matrix input = wrong == "before tanh" ? bag : h;
    return Graph::Gradients{{"embedding", rows}, {"W", matmul(transpose(input), d)}, {"b", sum(d, 0)}};
  };
  Graph g(list, "embedding bag", {{"embedding", embedding}, {"W", W}, {"b", b}}, loss, hand);
  const Words repeated{"repeat",     "duplicate", "several times", "occur",  "accumulat", "overwrit",
                       "same index", "same row",  "same word",     "add up", "added up",  "summed"};
  g.add("rows overwritten", "overwritten", "embedding",
        {repeated, {"last", "overwr", "not accumul", "instead", "assign"}},
        "rows of repeated words are overwritten, not accumulated");
  g.add("rows overwritten", "first occurrence only", "embedding", {repeated, {"first", "once", "only"}},
        "only the first occurrence of each word is counted");
  g.add("rows overwritten", "mean of occurrences", "embedding",
        {repeated, {"mean", "average", "divided", "number of occ", "how often"}},
        "the mean over the occurrences of a word in place of their sum");
  g.add("factor", "mean's 3", "embedding", {join(factor("3"), averaged, {"three"})},
        "the mean over three words is forgotten", {"occurrence"});
  g.add("derivative forgotten", "no slope", "embedding", {slope, forgotten}, "tanh' is forgotten");
  g.add("other value in place", "before tanh", "W",
        {{"tanh", "before", "pre-activation", "mean", "bag"}, join(instead, forgotten)},
        "the layer's input is taken before tanh");
  g.add("label not subtracted", "label not subtracted", "embedding",
        {label, join(forgotten, {"subtract", "p alone", "only p"})},
        "softmax alone: the label is not subtracted");
}

/// An autoencoder whose decoder is its encoder's transpose: 4 numbers to 3 and back, five samples.
void tied_autoencoder(Mistakes& list) {
  random::seed(115);
  const Matrix x = normal({5, 4}), W = weights({4, 3}), b = weights({3}), c = weights({4});
  const auto loss = [=] {
    const Matrix h = sigmoid(affine(x, W, b));
    return nn::mse_loss(matmul(h, transpose(W)) + c, x);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix h = sigmoid(affine(x, W, b)), r = matmul(h, transpose(W)) + c;
    Matrix d = (r - x) / 10;  // 2 / 20
    if (wrong == "x - r") d = -d;
    if (wrong == "no 2, N only") d = d * 2;
    Matrix s = h * (1 - h);
    if (wrong == "no slope") s = ones_like(s);
    if (wrong == "slope twice") s = s * s;
    const Matrix dh = matmul(d, W) * s;
    const Matrix encoder = matmul(transpose(x), dh), decoder = matmul(transpose(d), h);
    Matrix dW = encoder + decoder;
    if (wrong == "encoder only") dW = encoder;
    if (wrong == "decoder only") dW = decoder;
    if (wrong == "mean of both uses") dW = dW / 2;
    if (wrong == "difference of both uses") dW = encoder - decoder;
    return Graph::Gradients{
        {"W", dW}, {"b", sum(dh, 0)}, {"c", wrong == "mean for the bias" ? mean(d, 0) : sum(d, 0)}};
  };
  Graph g(list, "tied autoencoder", {{"W", W}, {"b", b}, {"c", c}}, loss, hand);
  const Words one{"use",      "branch", "path", "encoder",   "decoder",
                  "constant", "only",   "edge", "transpose", "one of"};
  g.add_any("one use of a shared weight", "encoder only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"decoder", "transpose", "second", "last", "h w", "ᵀ"})},
             {{"only"}, {"encoder", "first", "sigmoid", "x w", "input", "hidden", "affine"}}},
            "the decoder's use of W is forgotten", {"mean of both", "' is", "encoder's use", "sigmoid'"});
  g.add_any("one use of a shared weight", "decoder only", "W",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"encoder", "first", "sigmoid", "x w", "input", "hidden", "affine"})},
             {{"only"}, {"decoder", "transpose", "second", "last", "h w", "ᵀ"}}},
            "the encoder's use of W is forgotten", {"mean of both", "sigmoid'", "decoder's use"});
  g.add("factor", "mean of both uses", "W", {two},
        "half of what it should be: the mean of both uses in place of their sum");
  g.add("sign of a branch", "difference of both uses", "W", {sign, one},
        "the decoder's part has the wrong sign");
  g.add("derivative forgotten", "no slope", "W", {slope, forgotten},
        "sigmoid' is forgotten in the encoder's part");
  g.add("derivative twice", "slope twice", "b", {slope, twice}, "sigmoid' is applied twice");
  g.add("sign", "x - r", "W", {sign}, "the sign is wrong: x − r in place of r − x", {"part", "decoder"});
  g.add("reduction of a bias", "mean for the bias", "c", {join(averaged, batch("5"))},
        "the mean over the samples in place of the sum");
  g.add("factor", "no 2, N only", "b", {two}, "a factor 2: (r − x) / 5 in place of 2 (r − x) / 20",
        {"sigmoid'"});
  g.add_accumulated(3, "b", {{accumulated}}, "backward() ran three times without zero_grad()");
}

/// Self-attention with a causal mask: five places, 4 numbers, queries of 3, values of 2.
void causal_attention(Mistakes& list) {
  random::seed(116);
  const Matrix x = normal({5, 4}), y = normal({5, 2}), Wq = weights({4, 3}), Wk = weights({4, 3}),
               Wv = weights({4, 2});
  const Matrix future = triu(full<double>({5, 5}, -1e9), 1);
  const double scale = 1 / std::sqrt(3.0);
  const auto loss = [=] {
    const Matrix scores = matmul(matmul(x, Wq), transpose(matmul(x, Wk))) * scale + future;
    return nn::mse_loss(matmul(softmax(scores), matmul(x, Wv)), y);
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix q = matmul(x, Wq), k = matmul(x, Wk), v = matmul(x, Wv);
    Matrix scores = matmul(q, transpose(k)) * scale;
    const Matrix true_p = softmax(scores + future), error = 2 * (matmul(true_p, v) - y) / 10;
    const Matrix p = wrong == "no causal mask" ? softmax(scores) : true_p;
    const Matrix dv = matmul(wrong == "P not transposed" ? p : transpose(p), error);
    const Matrix dp = matmul(error, transpose(v));
    Matrix ds = p * (dp - sum(p * dp, 1, true));
    if (wrong == "diagonal of the Jacobian") ds = p * (1 - p) * dp;
    if (wrong == "no softmax derivative") ds = dp;
    if (wrong == "Jacobian along the columns") ds = p * (dp - sum(p * dp, 0, true));
    if (wrong == "p forgotten") ds = dp - sum(p * dp, 1, true);
    if (wrong != "no scale") ds = ds * scale;
    if (wrong == "scale twice") ds = ds * scale;
    if (wrong == "scale 1/d") ds = ds * scale;
    const Matrix dq = matmul(wrong == "scores transposed" ? transpose(ds) : ds, wrong == "q for k" ? q : k);
    const Matrix dk =
        matmul(wrong == "scores not transposed" ? ds : transpose(ds), wrong == "k for q" ? k : q);
    return Graph::Gradients{
        {"Wq", matmul(transpose(x), dq)}, {"Wk", matmul(transpose(x), dk)}, {"Wv", matmul(transpose(x), dv)}};
  };
  Graph g(list, "causal attention", {{"Wq", Wq}, {"Wk", Wk}, {"Wv", Wv}}, loss, hand);
  const Words scaled{"1/√d", "√3", "√d", "sqrt", "scale", "0.577", "1.732", "factor", "constant", "√"};
  g.add("attention's scale", "no scale", "Wq", {scaled}, "1 / √d is forgotten on the way back");
  g.add("attention's scale", "scale twice", "Wk", {scaled}, "1 / √d is applied twice", {"p dp"});
  g.add("mask forgotten", "no causal mask", "Wv",
        {{"mask", "causal", "triu", "future", "added", "constant", "add"}, join(forgotten, instead)},
        "P is computed again without the causal mask");
  g.add("softmax's diagonal", "diagonal of the Jacobian", "Wq",
        {{"softmax", "jacobian"}, {"diagonal", "p (1 − p)", "p(1 − p)", "p (1 - p)", "cross", "off-diag"}},
        "of the softmax's Jacobian only the diagonal is used");
  g.add("derivative forgotten", "no softmax derivative", "Wk", {{"softmax", "jacobian"}, forgotten},
        "the softmax's derivative is forgotten");
  g.add("axis", "Jacobian along the columns", "Wq",
        {{"softmax", "jacobian", "sum"}, {"axis", "column", "row"}},
        "the softmax's Jacobian with the sum along the wrong axis");
  g.add("softmax's Jacobian", "p forgotten", "Wk",
        {{"softmax", "jacobian", "p dp"},
         {"factor p", "p before", "without p", "multiplied by p", "p is", "p forgotten", "not multiplied",
          "p ∘", "p ·", "without the factor"}},
        "dP − Σ P dP without the factor P before it");
  g.add("not transposed", "P not transposed", "Wv", {transposed}, "dV = P dO in place of Pᵀ dO");
  g.add("not transposed", "scores not transposed", "Wk", {transposed}, "dK = dS Q in place of dSᵀ Q",
        {"dsᵀ k", "key"});
  g.add("other value in place", "k for q", "Wk",
        {{"k in place", "key", "k instead", "k for q", "itself", "own", "other operand", "another", "dsᵀ k",
          "x wk", "wk)"},
         instead},
        "dK = dSᵀ K in place of dSᵀ Q", {"ds q"});
}

/// A residual block with layer normalisation and cross entropy: widths 6, 4, 4, 3, five samples.
void residual_net(Mistakes& list) {
  random::seed(117);
  const Matrix x = normal({5, 6}), W0 = weights({6, 4}, 0.5), W1 = weights({4, 4}), b1 = weights({4}),
               gamma = parameter(normal({4}, 0.5) + 1.2), beta = weights({4}), V = weights({4, 3});
  const std::vector<std::size_t> labels{1, 2, 0, 0, 1};
  const Matrix y = one_hot(labels, 3);
  const auto loss = [=] {
    const Matrix u = matmul(x, W0), r = u + tanh(affine(u, W1, b1));
    return nn::cross_entropy(matmul(layer_norm(r, gamma, beta), V), Indices(labels));
  };
  const auto hand = [=](const std::string& wrong) {
    const Matrix u = matmul(x, W0), a = tanh(affine(u, W1, b1)), r = u + a;
    const Matrix centred = r - mean(r, 1, true), deviation = sqrt(mean(square(centred), 1, true) + 1e-5),
                 normed = centred / deviation, out = gamma * normed + beta,
                 d = (softmax(matmul(out, V)) - y) / 5;
    const Matrix dout = matmul(d, transpose(V)), dn = wrong == "gamma forgotten" ? dout : gamma * dout;
    const std::ptrdiff_t axis = wrong == "moments over the batch" ? 0 : 1;
    Matrix m = mean(dn, axis, true), v = normed * mean(dn * normed, axis, true);
    if (wrong == "moments constant" || wrong == "mean constant") m = 0 * m;
    if (wrong == "moments constant" || wrong == "variance constant") v = 0 * v;
    const Matrix dr = (dn - m - v) / deviation;
    Matrix s = 1 - a * a;
    if (wrong == "no slope") s = ones_like(s);
    if (wrong == "slope twice") s = s * s;
    const Matrix da = dr * s, back = matmul(da, wrong == "W1 not transposed" ? W1 : transpose(W1));
    Matrix du = dr + back;
    if (wrong == "skip forgotten") du = back;
    if (wrong == "block forgotten") du = dr;
    if (wrong == "slope on both branches") du = dr * s + back;
    return Graph::Gradients{{"W0", matmul(transpose(x), du)},
                            {"W1", matmul(transpose(u), da)},
                            {"b1", sum(da, 0)},
                            {"gamma", sum(dout * (wrong == "not normalised" ? r : normed), 0)},
                            {"beta", sum(dout, 0)},
                            {"V", matmul(transpose(out), d)}};
  };
  Graph g(list, "residual block",
          {{"W0", W0}, {"W1", W1}, {"b1", b1}, {"gamma", gamma}, {"beta", beta}, {"V", V}}, loss, hand);
  const Words norm{"norm", "mean", "var", "σ", "moment", "statistic"};
  g.add_any("residual branch forgotten", "skip forgotten", "W0",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"skip", "identity", "direct", "shortcut", "sum", "add", "plus", " + "})},
             {{"only"}, {"block", "matmul", "tanh", "w1", "affine"}}},
            "the skip connection is forgotten: only the path through the block", {"only the skip", "tanh'"});
  g.add_any("residual branch forgotten", "block forgotten", "W0",
            {{join(forgotten, {"cut", "constant", "dropped"}),
              join(one_use, {"block", "matmul", "tanh", "w1", "affine"})},
             {{"only"}, {"skip", "identity", "direct", "shortcut", "sum", "add", "plus", " + "}}},
            "the path through the block is forgotten: only the skip connection",
            {"only the path through", "tanh'"});
  g.add("derivative forgotten", "no slope", "W1",
        {slope, forgotten, {"tanh", "1 − a²", "1 - a²", "activation", "layer"}}, "tanh' is forgotten");
  g.add("derivative twice", "slope twice", "W0",
        {slope, twice, {"tanh", "1 − a²", "1 - a²", "activation", "layer"}}, "tanh' is applied twice");
  g.add_any("moments as constants", "moments constant", "W1",
            {{of_moments, path_cut}, {of_mean, of_variance, path_cut}},
            "mean and variance of the layer norm are taken as constants", {"½", "1 / n"});
  g.add("moments as constants", "variance constant", "W0", {of_variance, path_cut},
        "the variance is taken as a constant", {"mean and", "both", "½"});
  g.add("moments as constants", "mean constant", "W1", {of_mean, path_cut}, "the mean is taken as a constant",
        {"var", "σ", "√", "sqrt", "std", "deviation", "both"});
  g.add("axis", "moments over the batch", "W1", {norm, {"axis", "batch", "samples", "column"}},
        "layer norm's derivative with means over the samples in place of the features");
  g.add("not transposed", "W1 not transposed", "W0", {transposed, {"w1"}}, "da W1 in place of da W1ᵀ");
  g.add("edge forgotten", "gamma forgotten", "W0", {{"gamma", "γ", "scale"}, forgotten},
        "gamma is forgotten on the way back");
  g.add("other value in place", "not normalised", "gamma", {join(norm, {"before"}), join(instead, forgotten)},
        "the values before the normalisation in place of the normalised ones");
  g.add("derivative twice", "slope on both branches", "W0",
        {slope, {"skip", "residual", "branch", "both", "path", "direct"}},
        "tanh' is applied to the skip connection, too");
}

}  // namespace

void structures_a(Mistakes& list) {
  rnn(list);
  batch_norm_net(list);
  convolution_net(list);
  embedding_bag(list);
  tied_autoencoder(list);
  causal_attention(list);
  residual_net(list);
}

}  // namespace xtape::test
