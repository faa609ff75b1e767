// load_npy: what is read is written, and read again as the same.
#include <nn/npy.hpp>

#include "fuzz_file.hpp"

using namespace xtape;

namespace {

template <class T>
void check(const std::string& path, const nn::NpyOptions& options) {
  Tensor<T> x;
  if (!fuzz::accepted([&] { x = nn::load_npy<T>(path, options); })) return;
  const std::string copy = fuzz::scratch_path();
  nn::save_npy(copy, x);
  const Tensor<T> again = nn::load_npy<T>(copy);
  unlink(copy.c_str());
  fuzz::require_same(x, again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::File file(fuzz::text_of(data, size));
  for (const bool convert : {false, true}) {
    check<float>(file.path(), {.convert = convert});
    check<double>(file.path(), {.convert = convert});
  }
  return 0;
}
