// Progress: one line that is drawn over on a terminal, lines of their own elsewhere.
#pragma once
#include <chrono>
#include <iosfwd>
#include <string>

#include "history.hpp"

namespace xtape::nn {

/// Tells how far training is.
class Progress {
 public:
  /// Whether std::cout, std::cerr and std::clog are a terminal, and how wide it is, is found out; any other
  /// stream gets lines: of the first epoch, of every `every`th, and of the last. Nothing is written without a
  /// stream.
  Progress(std::ostream* out, std::size_t epochs, std::size_t every = 1);
  /// A terminal of this width, or 0: lines.
  Progress(std::ostream* out, std::size_t epochs, std::size_t every, std::size_t width);
  /// Ends a line that was begun.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After a batch of an epoch, both counted from 1. A terminal is drawn to ten times a second.
  void batch(std::size_t epoch, std::size_t batch, std::size_t batches, double loss);
  void epoch(const Epoch& epoch);

 private:
  void draw(double share, const std::string& text);

  std::ostream* out_;
  std::size_t epochs_, every_, width_;
  bool open_ = false;  ///< a line without its end
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace xtape::nn
