// Where the stream goes, and what fits into a line of it.
#include "../progress.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>

#include <autodiff/platform/system.hpp>

namespace xtape::nn {
namespace {

/// Columns of the terminal behind a stream; 0 where there is none.
std::size_t terminal_width(const std::ostream* out) {
  if (out == &std::cout) return platform::terminal_width(stdout);
  return out == &std::cerr || out == &std::clog ? platform::terminal_width(stderr) : 0;
}

template <class... Args>
std::string formatted(const char* format, Args... args) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), format, args...);
  return text.data();
}

}  // namespace

Progress::Progress(std::ostream* out, std::size_t epochs, std::size_t every)
    : Progress(out, epochs, every, terminal_width(out)) {}

Progress::Progress(std::ostream* out, std::size_t epochs, std::size_t every, std::size_t width)
    : out_(out), epochs_(epochs), every_(std::max<std::size_t>(every, 1)), width_(width) {}

Progress::~Progress() {
  if (open_) *out_ << std::endl;
}

void Progress::batch(std::size_t epoch, std::size_t batch, std::size_t batches, double loss) {
  using namespace std::chrono_literals;
  if (!out_ || width_ == 0 || std::chrono::steady_clock::now() - drawn_ < 100ms) return;
  const double done =
      static_cast<double>(epoch - 1) + static_cast<double>(batch) / static_cast<double>(batches);
  draw(done / static_cast<double>(epochs_),
       formatted("epoch %3zu/%zu  batch %zu/%zu  loss %.4f", epoch, epochs_, batch, batches, loss));
}

void Progress::epoch(const Epoch& e) {
  if (!out_) return;
  std::string text = formatted("epoch %3zu/%zu  loss %.4f", e.number, epochs_, e.train_loss);
  if (!std::isnan(e.validation_loss)) text += formatted("  validation %.4f", e.validation_loss);
  if (!std::isnan(e.validation_accuracy))
    text += formatted("  accuracy %5.1f %%", 100 * e.validation_accuracy);
  if (width_ > 0)
    draw(static_cast<double>(e.number) / static_cast<double>(epochs_), text);
  else if (e.number == 1 || e.number % every_ == 0 || e.number == epochs_)
    *out_ << text << std::endl;
}

void Progress::draw(double share, const std::string& text) {
  // The last column stays free: some terminals go to the next line when it is written.
  const std::size_t room = width_ - 1;
  const std::size_t bar = room > text.size() + 13 ? std::min<std::size_t>(room - text.size() - 3, 30) : 0;
  const auto filled = std::min(static_cast<std::size_t>(share * static_cast<double>(bar)), bar);
  std::string line = text;
  if (bar > 0) line = "[" + std::string(filled, '#') + std::string(bar - filled, ' ') + "] " + text;
  *out_ << '\r' << line.substr(0, room) << "\x1b[K" << std::flush;  // clears what was longer
  open_ = true;
  drawn_ = std::chrono::steady_clock::now();
}

}  // namespace xtape::nn
