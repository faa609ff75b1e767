// Saves a model again and again, for tests/files/killed_saves.py to kill: save_loop PATH [COUNT]. In step k
// every number of the checkpoint is k. Prints k once it is saved; goes on from the checkpoint that it finds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/stat.h>

#include <nn/nn.hpp>

using namespace xtape;

namespace {

using Arrays = std::vector<std::pair<std::string, Tensor<float>>>;

/// Whether all numbers are k.
bool is_whole(const Arrays& arrays, float k) {
  return std::ranges::all_of(arrays, [k](const auto& entry) {
    const float* const x = entry.second.data();
    return std::all_of(x, x + entry.second.size(), [k](float one) { return one == k; });
  });
}

void run(const std::string& path, long count) {
  nn::Sequential<float> model(nn::Linear<float>(300, 200), nn::BatchNorm1d<float>(200),
                              nn::Linear<float>(200, 10));
  nn::SGD<float> sgd(model.parameters(), {.momentum = 0.5});
  const auto arrays = [&] {
    Arrays all = model.named_parameters();
    for (auto& buffer : model.named_buffers()) all.push_back(buffer);
    return all;
  };
  long k = 0;
  struct stat found {};
  if (stat(path.c_str(), &found) == 0) {
    k = std::stol(nn::load(path, model, sgd).at("step"));
    if (!is_whole(arrays(), static_cast<float>(k))) throw Error("save_loop", "the checkpoint is a mixture");
    std::printf("%ld\n", k);
  }
  for (long end = k + count; k < end;) {
    ++k;
    for (auto& [name, x] : arrays()) x.assign(full<float>(x.shape(), static_cast<float>(k)));
    nn::save(path, model, sgd, {{"step", std::to_string(k)}});
    std::printf("%ld\n", k);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    run(argv[1], argc > 2 ? std::atol(argv[2]) : 1'000'000);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
