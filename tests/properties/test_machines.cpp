// Programs give the same whatever they run on: numbers of threads, instruction sets, float and double,
// LibTorch.
#include "generate.hpp"
#include "properties.hpp"

#include <autodiff/kernels/kernels.hpp>

#ifdef HAVE_LIBTORCH
#include "torch_run.hpp"
#endif

using namespace xtape;
using namespace xtape::properties;

namespace {

/// Runs with the kernels of an instruction set, in a scope.
template <class T>
class Kernels {
 public:
  explicit Kernels(const detail::Kernels<T>& table) : before_(&detail::kernels<T>()) {
    detail::chosen_kernels<T>.store(&table);
  }
  ~Kernels() { detail::chosen_kernels<T>.store(before_); }

 private:
  const detail::Kernels<T>* before_;
};

/// Distance of the lists in units of the last place of the largest element.
template <class T>
double ulps(const List<T>& a, const List<T>& b) {
  return distance(a, b) / static_cast<double>(std::numeric_limits<T>::epsilon());
}

/// What programs make of the rounding of single operations, which is some units: about an eighth of it is the
/// most that was seen in 100 000 programs.
constexpr double most_ulps = 1 << 14;

}  // namespace

TEST_CASE_TEMPLATE("results are the same bits with any number of threads", T, float, double) {
  const int before = num_threads();
  // Large tensors, which are shared out; few programs, since each takes milliseconds.
  int shared = 0, programs = 0;
  check_programs("threads", 300, {.wide = true, .margin = 0}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    ++programs;
    shared += std::ranges::any_of(
        program.statements, [](const Statement& s) { return s.numbers.size() >= detail::parallel_size; });
    set_num_threads(1);
    const List<T> one = evaluate<T>(program);
    for (const int n : {2, 5}) {
      set_num_threads(n);
      if (!same_bits(one, evaluate<T>(program)))
        throw Broken("they differ with " + std::to_string(n) + " threads");
    }
  });
  set_num_threads(before);
  CHECK(shared * 5 >= programs);
}

TEST_CASE_TEMPLATE("results of the instruction sets differ by rounding", T, float, double) {
  const auto tables = detail::available_kernels<T>();
  if (tables.count == 1) {
    MESSAGE("nothing to compare: this machine or this build has one instruction set");
    return;
  }
  for (const bool wide : {false, true})
    check_programs(wide ? "instruction sets, large" : "instruction sets", wide ? 50 : 4000, {.wide = wide},
                   [&](const Recipe& recipe) {
                     const Program program = resolve(recipe);
                     const List<T> best = evaluate<T>(program);
                     for (std::size_t i = 1; i < tables.count; ++i) {
                       const Kernels<T> scope(*tables.tables[i]);
                       const double far = ulps(evaluate<T>(program), best);
                       if (far > most_ulps)
                         throw Broken(std::string(tables.tables[i]->arch) + " differs by " +
                                      std::to_string(far) + " ulps");
                     }
                   });
}

TEST_CASE("float gives what double gives, to float's precision") {
  check_programs("float", 4000, {}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    const double far = distance(evaluate<float>(program), evaluate<double>(program));
    // Eight times what was seen in 60 000 programs.
    if (far > 1.6e-4)
      throw Broken("they differ by " + std::to_string(far * 1e3) + "e-3 of the largest element");
  });
}

#ifdef HAVE_LIBTORCH
TEST_CASE("LibTorch gives the same loss and gradients") {
  check_programs("LibTorch", 4000, {}, [&](const Recipe& recipe) {
    const Program program = resolve(recipe);
    const List<double> ours = evaluate<double>(program);
    List<double> theirs;
    for (const std::vector<double>& numbers : torch_gradients(program)) {
      const Tensor<double>& like = ours[theirs.size()];
      if (numbers.size() != like.size()) throw Broken("a shape differs");
      theirs.push_back(reshape(Tensor<double>(numbers), Dims(like.shape())));
    }
    const double far = distance(ours, theirs);
    // Ten times what was seen in 60 000 programs.
    if (far > 1e-12)
      throw Broken("they differ by " + std::to_string(far * 1e15) + "e-15 of the largest element");
  });
}
#endif
