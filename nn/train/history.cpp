// A history as CSV, with numbers that are read back as they were, and as a table.
#include "../history.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <string>

#include <autodiff/engine.hpp>
#include <autodiff/error.hpp>

namespace xtape::nn {

void History::write_csv(std::ostream& out) const {
  out << "epoch,train_loss,validation_loss,validation_accuracy,learning_rate,seconds\n";
  for (const Epoch& e : epochs) {
    out << std::to_string(e.number);
    for (const double x :
         {e.train_loss, e.validation_loss, e.validation_accuracy, e.learning_rate, e.seconds})
      out << ',' << (std::isnan(x) ? "" : engine::exact_text(x));
    out << '\n';
  }
}

std::ostream& operator<<(std::ostream& out, const History& history) {
  out << "epoch  train loss  validation loss  accuracy  learning rate  seconds\n";
  for (const Epoch& e : history.epochs) {
    const auto cell = [](const char* format, double x) {
      std::array<char, 64> text{};
      std::snprintf(text.data(), text.size(), format, x);
      return std::isnan(x) ? std::string("-") : std::string(text.data());
    };
    std::array<char, 256> line{};
    std::snprintf(line.data(), line.size(), "%5zu  %10s  %15s  %8s  %13s  %7s\n", e.number,
                  cell("%.4g", e.train_loss).c_str(), cell("%.4g", e.validation_loss).c_str(),
                  cell("%.1f %%", 100 * e.validation_accuracy).c_str(), cell("%.3g", e.learning_rate).c_str(),
                  cell("%.2f", e.seconds).c_str());
    out << line.data();
  }
  return out;
}

}  // namespace xtape::nn
