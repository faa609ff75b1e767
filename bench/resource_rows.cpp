// The rows that count something else than running time: calls of the heap, bytes, and seconds of the
// compiler.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "../tests/tape/heap_count.hpp"
#include "torch_peers.hpp"
#include "training_step.hpp"
#include "transformer.hpp"

namespace bench {
namespace {

Result counted(double count, const char* unit, Target target) {
  Result result;
  result.xtape = count;
  result.unit = unit;
  result.verdicts.push_back({std::move(target), Spread{count, count, count}});
  return result;
}

Result heap_calls_of_steps(const Timing&) {
  TrainingStep step(network(1, 2, 2, 1));
  for (int i = 0; i < 100; ++i) step.run();
  const std::size_t before = xtape::test::heap_calls();
  if (before == 0) throw std::runtime_error("calls of malloc are not counted on this system");
  for (int i = 0; i < 1000; ++i) step.run();
  return counted(static_cast<double>(xtape::test::heap_calls() - before), "", at_most(0, "calls of malloc"));
}

Result growth_over_steps(const Timing&) {
  TrainingStep step(network(32, 64, 32, 10));
  const auto held = [] {
    const xtape::MemoryUse use = xtape::memory_use();
    return static_cast<double>(use.live) + static_cast<double>(use.cached);
  };
  for (int i = 0; i < 100; ++i) step.run();
  const double before = held();
  for (int i = 0; i < 10'000; ++i) step.run();
  return counted(held() - before, "B", at_most(0, "growth of memory_use()"));
}

Result bytes_of_a_node(const Timing&) {
  constexpr int nodes = 1'000'000;
  const auto x = xtape::parameter<float>({0.1f, 0.2f, 0.3f, 0.4f});
  const std::ptrdiff_t before = xtape::memory_use().live;
  xtape::Tensor<float> y = x;
  for (int i = 0; i < nodes; ++i) y = sin(y);
  const auto live = static_cast<double>(xtape::memory_use().live - before);
  return counted(live / nodes, "B", at_most(400, "memory_use().live"));
}

/// Bytes that the plan of a function holds, for each byte of the peak of its forward and backward pass on the
/// tape; gradients are in both.
template <class F>
Result plan_to_peak(const F& f, double most) {
  f().backward();
  xtape::reset_peak_memory();
  const std::ptrdiff_t before = xtape::memory_use().live;
  f().backward();
  const auto peak = static_cast<double>(xtape::memory_use().peak - before);
  const auto compiled = xtape::compile(f);
  compiled.backward();
  double held = 0;
  for (const auto& leaf : compiled.leaves()) held += static_cast<double>(leaf.size() * sizeof(float));
  std::ostringstream text;
  text << compiled;
  std::istringstream bytes(text.str().substr(text.str().rfind("calls, ") + 7));
  double of_plan = 0;
  bytes >> of_plan;
  return counted((held + of_plan) / peak, "", at_most(most, "bytes of the plan / peak of the tape"));
}

Result plan_of_transformer(const Timing&) {
  const TransformerStep<> step;
  return plan_to_peak([&] { return step.loss(); }, 0.75);
}

Result plan_of_chain(const Timing&) {
  const auto x = xtape::parameter(xtape::full<float>({1000}, 0.5f));
  const auto chain = [&] {
    xtape::Tensor<float> y = x;
    for (int i = 0; i < 100; ++i) y = sin(y);
    return sum(y);
  };
  return plan_to_peak(chain, 0.75);
}

/// The first program of the README.
std::string ten_lines() {
  std::ifstream file(XTAPE_SOURCE_DIR "/README.md");
  const std::string text(std::istreambuf_iterator<char>(file), {}), opening = "```cpp\n";
  const std::size_t start = text.find(opening);
  if (start == std::string::npos) throw std::runtime_error("the README has no program");
  const std::size_t from = start + opening.size();
  return text.substr(from, text.find("```", from) - from);
}

double child_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Processor time of the compiler, which other work on the machine does not lengthen as it does the wall
/// clock's.
Spread compile(const std::string& program, const std::string& flags, int repetitions) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("xtape_bench_" + std::to_string(getpid()) + ".cpp");
  std::ofstream(path) << program;
  const std::string command =  // without what a cache of results adds
      "CCACHE_DISABLE=1 " XTAPE_COMPILER " -std=c++20 -O2 " XTAPE_FLAGS " " + flags + " -c -o /dev/null " +
      path.string();
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const double before = child_seconds();
    if (std::system(command.c_str()) != 0) throw std::runtime_error("it does not compile: " + command);
    seconds.push_back(child_seconds() - before);
  }
  std::filesystem::remove(path);
  return spread(seconds);
}

Result compile_time(const std::string& program, const Timing&) {
  const Spread seconds = compile(program, "", 3);
  Result result;
  result.xtape = seconds.median;
  result.verdicts.push_back({at_most(2, "time"), seconds});
  return result;
}

Result compile_time_of_empty_program(const Timing& timing) {
  Result result = compile_time("#include <autodiff/autodiff.hpp>\nint main() {}\n", timing);
  if (!torch_peers::version().empty())  // takes long: once
    result.libtorch =
        compile("#include <torch/torch.h>\nint main() {}\n", torch_peers::compiler_flags(), 1).median;
  return result;
}

Result compile_time_of_ten_lines(const Timing& timing) { return compile_time(ten_lines(), timing); }

}  // namespace

std::vector<Row> resource_rows() {
  return {
      {"heap allocations in 1,000 steps, 2-2-1", heap_calls_of_steps},
      {"memory over 10,000 steps, 64-32-10", growth_over_steps},
      {"memory of a chain of 1,000,000 sin, per node", bytes_of_a_node},
      {"memory of the compiled transformer step, of the tape's", plan_of_transformer},
      {"memory of a compiled chain of 100 sin, of the tape's", plan_of_chain},
      {"compiling an empty program", compile_time_of_empty_program},
      {"compiling the README's ten lines", compile_time_of_ten_lines},
  };
}

}  // namespace bench
