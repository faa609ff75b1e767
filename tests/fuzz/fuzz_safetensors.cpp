// load_tensors: what is read is written, and read again as the same.
#include <nn/safetensors.hpp>

#include "fuzz_file.hpp"

using namespace xtape;

namespace {

template <class T>
void check(const std::string& path) {
  nn::NamedTensors<T> content;
  if (!fuzz::accepted([&] { content = nn::load_tensors<T>(path); })) return;
  for (const auto& entry : content.metadata)
    if (entry.first.starts_with("xtape.")) return;  // a name that cannot be written
  const std::string copy = fuzz::scratch_path();
  nn::save_tensors(copy, content);
  const auto again = nn::load_tensors<T>(copy);
  unlink(copy.c_str());
  fuzz::require(again.metadata == content.metadata, "other texts came back");
  fuzz::require(again.tensors.size() == content.tensors.size(), "fewer arrays came back");
  for (std::size_t i = 0; i < content.tensors.size(); ++i) {
    const auto& [name, x] = content.tensors[i];
    const auto& [other, y] = again.tensors[i];
    fuzz::require(name == other, "another name came back");
    fuzz::require_same(x, y);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::File file(fuzz::text_of(data, size));
  check<float>(file.path());
  check<double>(file.path());
  return 0;
}
