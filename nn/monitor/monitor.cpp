// The monitor's public face.
#include "../monitor.hpp"

#include <ostream>

#include "training_report.hpp"
#include "watch.hpp"

namespace xtape::nn {

template <class T>
GradientMonitor<T>::GradientMonitor(std::vector<std::pair<std::string, Tensor<T>>> parameters,
                                    MonitorOptions options)
    : watch_(std::make_unique<Watch>(std::move(parameters), options)) {}
template <class T>
GradientMonitor<T>::~GradientMonitor() = default;

template <class T>
void GradientMonitor<T>::before_step() {
  watch_->before_step();
}

template <class T>
void GradientMonitor<T>::after_step(double loss, double learning_rate) {
  watch_->after_step(loss, learning_rate);
}

template <class T>
void GradientMonitor<T>::step(Optimizer<T>& optimizer, double loss) {
  watch_->step(optimizer, loss);
}

template <class T>
const GradientHistory& GradientMonitor<T>::history() const {
  return watch_->history();
}

template <class T>
std::vector<Verdict> GradientMonitor<T>::verdicts() const {
  return find_verdicts(history(), watch_->limits());
}

template <class T>
void GradientMonitor<T>::write_html(std::ostream& out, const std::string& title) const {
  detail::write_report(out, title, history(), verdicts(), watch_->limits());
}

template <class T>
std::ostream& operator<<(std::ostream& out, const GradientMonitor<T>& monitor) {
  out << monitor.history();
  const std::vector<Verdict> verdicts = monitor.verdicts();
  if (verdicts.empty()) out << "no verdict\n";
  for (const Verdict& verdict : verdicts) out << verdict;
  return out;
}

#define XTAPE_INSTANTIATE(T)         \
  template class GradientMonitor<T>; \
  template std::ostream& operator<<(std::ostream&, const GradientMonitor<T>&);
XTAPE_INSTANTIATE(float)
XTAPE_INSTANTIATE(double)
#undef XTAPE_INSTANTIATE

}  // namespace xtape::nn
