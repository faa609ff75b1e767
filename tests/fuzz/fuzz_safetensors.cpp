// load_tensors: what is read is written, and read again as the same; in part, the same part; in 16 bits, as
// what these hold.
#include <nn/safetensors.hpp>

#include "fuzz_file.hpp"

using namespace xtape;

namespace {

template <class T>
void require_same(const nn::NamedTensors<T>& content, const nn::NamedTensors<T>& again) {
  fuzz::require(again.metadata == content.metadata, "other texts came back");
  fuzz::require(again.tensors.size() == content.tensors.size(), "fewer arrays came back");
  for (std::size_t i = 0; i < content.tensors.size(); ++i) {
    fuzz::require(content.tensors[i].first == again.tensors[i].first, "another name came back");
    fuzz::require_same(content.tensors[i].second, again.tensors[i].second);
  }
}

template <class T>
nn::NamedTensors<T> saved_and_loaded(const nn::NamedTensors<T>& content, const nn::SaveOptions& options) {
  const std::string copy = fuzz::scratch_path();
  nn::save_tensors(copy, content, options);
  nn::NamedTensors<T> again = nn::load_tensors<T>(copy, {.convert = options.dtype.has_value()});
  unlink(copy.c_str());
  return again;
}

template <class T>
void check(const std::string& path, const nn::LoadTensorsOptions& options) {
  nn::NamedTensors<T> content, part;
  const auto is_in_part = [](const std::string& name) { return name.size() % 2 == 1; };
  const bool part_is_good = fuzz::accepted(
      [&] { part = nn::load_tensors<T>(path, {.convert = options.convert, .only = is_in_part}); });
  if (!fuzz::accepted([&] { content = nn::load_tensors<T>(path, options); })) return;
  fuzz::require(part_is_good, "a part is refused, and not the whole");
  for (const auto& entry : content.metadata)
    if (entry.first.starts_with("xtape.")) return;  // a name that cannot be written
  require_same(content, saved_and_loaded(content, {}));
  for (const nn::DType type : {nn::DType::f16, nn::DType::bf16}) {
    const auto rounded = saved_and_loaded(content, {.dtype = type});
    require_same(rounded, saved_and_loaded(rounded, {.dtype = type}));
  }
  std::erase_if(content.tensors, [&](const auto& entry) { return !is_in_part(entry.first); });
  require_same(content, part);
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
