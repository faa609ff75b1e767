// Writes the training steps of rows as C++, which the rows then run. usage: write_steps FILE FILE
#include <fstream>

#include <autodiff/derivation.hpp>

#include "training_step.hpp"

namespace {

void write(const char* file, const std::string& name, std::size_t batch, std::size_t in, std::size_t hidden,
           std::size_t out) {
  const bench::TrainingStep step(bench::network(batch, in, hidden, out));
  const auto& [x, y, W1, b1, W2, b2, sgd] = step;
  std::ofstream(file) << derivation(step.loss(),
                                    {{"x", x}, {"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}, {"y", y}})
                             .cpp(name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 1;
  write(argv[1], "written_step_2_2_1", 1, 2, 2, 1);
  write(argv[2], "written_step_2_8_1", 4, 2, 8, 1);
}
