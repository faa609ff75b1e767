// A GPT that learns to write, character by character: a loop of one's own, and samples from what it has
// learned.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "../program.hpp"
#include "model.hpp"
#include "text.hpp"

namespace {

using namespace xtape;

struct Options {
  examples::Paths text{"/usr/share/common-licenses"};
  GPTOptions model;
  std::size_t window = 64, batch = 16, accumulate = 1, steps = 2000, every = 200;
  double learning_rate = 2e-3, weight_decay = 0.1, clip = 1;
  std::uint64_t seed = 1;
  int threads = 0;
  std::string checkpoint;
  bool resume = false;
  std::size_t sample = 0;
  std::string prompt = "The ";
  double temperature = 0.8;
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// `count` characters that follow the prompt, each drawn from what the model says after those before it.
std::string sample(GPT& model, const Alphabet& alphabet, const Options& o, std::size_t count) {
  const NoGrad no_grad;
  std::mt19937_64 engine(o.seed);  // its own: a training goes on the same whether or not it is watched
  GPT::Caches caches = model.caches(o.window);
  Indices next = alphabet.numbers(o.prompt);
  std::string written;
  model.eval();
  while (written.size() < count) {
    const Tensor<float> logits = model(next, caches);
    const Tensor<float> likely = softmax(slice(logits, -1) / static_cast<float>(o.temperature), -1);
    double left = static_cast<double>(engine() >> 11) * 0x1p-53;
    std::size_t drawn = 0;
    while (drawn + 1 < alphabet.size() && (left -= static_cast<double>(likely.data()[drawn])) >= 0) ++drawn;
    written += alphabet[drawn];
    next = std::vector{drawn};
  }
  model.train();
  return written;
}

/// The mean loss of windows that are spread over a text.
double evaluate(GPT& model, const std::vector<std::ptrdiff_t>& text, std::size_t window) {
  const NoGrad no_grad;
  const std::size_t last = text.size() - window - 1, count = std::min<std::size_t>(128, 1 + last / window);
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < count; ++i) starts.push_back(count == 1 ? 0 : i * last / (count - 1));
  const Windows all(text, starts, window);
  model.eval();
  const Tensor<float> logits = model(all.x);
  model.train();
  return nn::cross_entropy(reshape(logits, {-1, logits.shape(-1)}), all.y).item();
}

/// The notes of a checkpoint, which are read alone to begin with. Error for a file of another program.
nn::Notes notes_of(const std::string& checkpoint) {
  nn::Notes notes = nn::load_tensors<float>(checkpoint).metadata;
  for (const char* name : {"step", "generator", "alphabet", "model"})
    if (!notes.contains(name)) throw std::runtime_error(checkpoint + " is no checkpoint of train_text");
  return notes;
}

/// What the weights' shapes and their use depend on.
std::string settings(const GPTOptions& o) {
  std::ostringstream text;
  text << o.layers << ' ' << o.width << ' ' << o.heads << ' ';
  return text.str();
}

void train(const Options& o) {
  random::seed(o.seed);
  const std::string text = read_texts(o.text);
  const Alphabet alphabet(text);
  std::vector<std::ptrdiff_t> training = alphabet.numbers(text), validation;
  const auto held_out = training.begin() + static_cast<std::ptrdiff_t>(training.size() / 10 * 9);
  validation.assign(held_out, training.end());
  training.erase(held_out, training.end());
  if (validation.size() <= o.window) throw std::runtime_error("a tenth of the text is shorter than a window");
  alphabet.numbers(o.prompt);  // an error now, and not at the first sample

  GPT model(alphabet.size(), o.model);
  std::vector<Tensor<float>> matrices, vectors;
  std::size_t weights = 0;
  for (const Tensor<float>& p : model.parameters()) {
    (p.rank() >= 2 ? matrices : vectors).push_back(p);
    weights += p.size();
  }
  std::printf("%zu characters to train on, %zu held out, %zu different ones; %zu weights\n", training.size(),
              validation.size(), alphabet.size(), weights);

  // What moves the values is to decay, not what shifts and scales them.
  nn::AdamW<float> adam(
      nn::groups<float>({{matrices, {.weight_decay = o.weight_decay}}, {vectors, {.weight_decay = 0}}}),
      {.learning_rate = o.learning_rate});
  const std::size_t warmup = std::max<std::size_t>(1, o.steps / 20);
  nn::WarmupLR schedule(adam, {.steps = warmup, .start_factor = 0.01},
                        nn::CosineLR(adam, {.steps = std::max<std::size_t>(1, o.steps - warmup),
                                            .minimum = o.learning_rate / 10}));

  std::size_t step = 0;
  if (o.resume) {
    const nn::Notes notes = notes_of(o.checkpoint);
    if (notes.at("alphabet") != alphabet.codes())
      throw std::runtime_error(o.checkpoint + " is of a text with other characters");
    if (!notes.at("model").starts_with(settings(o.model)))
      throw std::runtime_error(o.checkpoint + " is of a model with other --layers, --width or --heads");
    nn::load(o.checkpoint, model, adam);
    step = std::stoul(notes.at("step"));
    std::istringstream(notes.at("generator")) >> random::generator();
    schedule.set_count(step);
    std::printf("going on after step %zu of %s\n", step, o.checkpoint.c_str());
  }
  const auto save = [&] {
    std::ostringstream generator;
    generator << random::generator();
    nn::save(o.checkpoint, model, adam,
             {{"step", std::to_string(step)},
              {"generator", generator.str()},
              {"alphabet", alphabet.codes()},
              {"model", settings(o.model) + std::to_string(o.window)}});
  };

  // Traced at the first step, and then run as one program.
  const auto loss_of = compile([&](const Indices& x, const Indices& y) {
    const Tensor<float> logits = model(x);
    return nn::cross_entropy(reshape(logits, {-1, logits.shape(-1)}), y) / static_cast<float>(o.accumulate);
  });
  double sum_of_losses = 0;
  std::size_t losses = 0;
  const std::size_t first = step;
  const Stopwatch watch;
  while (step < o.steps) {
    model.zero_grad();
    for (std::size_t part = 0; part < o.accumulate; ++part) {
      std::vector<std::size_t> starts(o.batch);
      for (std::size_t& start : starts) start = random::generator()() % (training.size() - o.window);
      const Windows windows(training, starts, o.window);
      const Tensor<float> loss = loss_of(windows.x, windows.y);
      loss.backward();  // adds to the gradients of the parts before
      sum_of_losses += static_cast<double>(loss.item());
    }
    nn::clip_grad_norm(model.parameters(), o.clip);
    adam.step();
    schedule.step();
    ++step, ++losses;

    if (step % o.every == 0 || step == o.steps) {
      std::string written = o.prompt + sample(model, alphabet, o, 80);
      std::ranges::replace(written, '\n', ' ');
      std::printf("step %5zu  loss %.3f  validation %.3f  %s\n", step,
                  sum_of_losses / static_cast<double>(losses), evaluate(model, validation, o.window),
                  written.c_str());
      std::fflush(stdout);
      sum_of_losses = 0, losses = 0;
      if (!o.checkpoint.empty()) save();
    }
  }
  const double seconds = watch.seconds();
  std::printf("%.1f s, %.0f characters a second\n", seconds,
              static_cast<double>((step - first) * o.accumulate * o.batch * o.window) / seconds);
}

/// Writes from a checkpoint alone.
void write(Options o) {
  if (o.checkpoint.empty()) throw std::runtime_error("--sample needs --checkpoint, which training writes");
  const nn::Notes notes = notes_of(o.checkpoint);
  std::istringstream codes(notes.at("alphabet")), shape(notes.at("model"));
  const Alphabet alphabet = Alphabet::of_codes(codes);
  shape >> o.model.layers >> o.model.width >> o.model.heads >> o.window;
  GPT model(alphabet.size(), o.model);
  nn::load(o.checkpoint, model);
  const Stopwatch watch;
  const std::string written = sample(model, alphabet, o, o.sample);
  const double seconds = watch.seconds();
  std::cout << o.prompt << written << std::endl;
  std::fprintf(stderr, "%zu characters, %.0f a second\n", written.size(),
               static_cast<double>(written.size()) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  examples::Program program("train_text",
                            "Trains a GPT on a text, character by character, and writes with it.");
  program.option("--text", o.text, "files, or folders of files; without it Debian's licences");
  program.option("--layers", o.model.layers, "blocks of attention and feedforward part",
                 {.low = 1, .high = 1000});
  program.option("--width", o.model.width, "numbers that stand for a character", {.low = 2, .high = 100000});
  program.option("--heads", o.model.heads, "of attention; they divide the width", {.low = 1, .high = 1000});
  program.option("--dropout", o.model.dropout, "share of the places that are set to 0 in training");
  program.option("--window", o.window, "characters that it sees", {.low = 2, .high = 100000});
  program.option("--batch", o.batch, "windows in a micro-batch", {.low = 1, .high = 100000});
  program.option("--accumulate", o.accumulate, "micro-batches in a step", {.low = 1, .high = 100000});
  program.option("--steps", o.steps, "updates, also for the schedule", {.low = 1, .high = 100000000});
  program.option("--every", o.every, "updates from one validation to the next",
                 {.low = 1, .high = 100000000});
  program.option("--learning-rate", o.learning_rate, "of AdamW, after the warm-up", {.positive = true});
  program.option("--weight-decay", o.weight_decay, "of the matrices");
  program.option("--clip", o.clip, "largest norm of all gradients together", {.positive = true});
  program.option("--seed", o.seed, "of weights, windows, dropout and samples");
  program.option("--threads", o.threads, "that compute; 0: all cores", {.low = 0, .high = 1000});
  program.option("--checkpoint", o.checkpoint, "file to save to at each validation");
  program.flag("--resume", o.resume, "go on from the checkpoint", "--checkpoint");
  program.option("--sample", o.sample, "write so many characters with the checkpoint, without training");
  program.option("--prompt", o.prompt, "what a sample continues");
  program.option("--temperature", o.temperature, "of samples: below 1 they are likelier", {.positive = true});
  return program.run(argc, argv, [&] {
    if (o.prompt.empty()) throw std::runtime_error("--prompt needs a character at least");
    if (o.threads != 0) set_num_threads(o.threads);
    o.sample != 0 ? write(o) : train(o);
  });
}
