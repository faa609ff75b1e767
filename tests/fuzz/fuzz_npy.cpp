// load_npy: what is read is written, and read again as the same.
#include <nn/npy.hpp>

#include <cstring>

#include "fuzz_file.hpp"

using namespace xtape;

namespace {

template <class T>
void check(const std::string& path) {
  Tensor<T> x;
  if (!fuzz::accepted([&] { x = nn::load_npy<T>(path); })) return;
  const std::string copy = "/tmp/xtape_fuzz_npy_" + std::to_string(getpid());
  nn::save_npy(copy, x);
  const Tensor<T> again = nn::load_npy<T>(copy);
  unlink(copy.c_str());
  fuzz::require(again.shape() == x.shape(), "another shape came back");
  fuzz::require(x.size() == 0 || std::memcmp(x.data(), again.data(), x.size() * sizeof(T)) == 0,
                "other elements came back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::File file(fuzz::text_of(data, size));
  check<float>(file.path());
  check<double>(file.path());
  return 0;
}
