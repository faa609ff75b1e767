// load of a model, with its optimiser and schedule or in part: all of it, or an error and nothing changed.
#include <nn/layers.hpp>
#include <nn/normalization.hpp>
#include <nn/save.hpp>

#include "fuzz_file.hpp"

using namespace xtape;

namespace {

/// The bytes of all parameters, buffers and of the optimiser's state.
std::string bytes_of(nn::Module<float>& model, const nn::Optimizer<float>& optimizer) {
  std::string bytes = std::to_string(optimizer.learning_rate());
  const auto add = [&](const auto& entries) {
    for (const auto& [name, tensor] : entries) {
      bytes += name + to_string(tensor.shape());
      bytes.append(reinterpret_cast<const char*>(tensor.data()), tensor.size() * sizeof(float));
    }
  };
  add(model.named_parameters());
  add(model.named_buffers());
  add(optimizer.state(model.named_parameters()));
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nn::Sequential<float> model(nn::Linear<float>(2, 1), nn::BatchNorm1d<float>(1));
  nn::Adam<float> adam(model.parameters());
  const std::string before = bytes_of(model, adam);
  const fuzz::File file(fuzz::text_of(data, size));
  if (!fuzz::accepted([&] { nn::load(file.path(), model, adam); }))
    fuzz::require(bytes_of(model, adam) == before, "a refused file changed something");
  nn::LoadOptions part{.strict = false, .rename = {}, .convert = true};
  part.rename = [](const std::string& name) { return name.starts_with("m.") ? name.substr(2) : name; };
  const std::string now = bytes_of(model, adam);
  nn::LoadResult result;
  const bool is_loaded = fuzz::accepted([&] { result = nn::load(file.path(), model, part); });
  if (!is_loaded || result.missing.size() == model.state_dict().size())
    fuzz::require(bytes_of(model, adam) == now, "a file that gives nothing changed something");
  if (!fuzz::accepted([&] { nn::load(file.path(), model); })) return 0;
  const std::string copy = fuzz::scratch_path();
  nn::save(copy, model, adam);
  const std::string saved = bytes_of(model, adam);
  nn::load(copy, model, adam);
  unlink(copy.c_str());
  fuzz::require(bytes_of(model, adam) == saved, "another state came back");
  return 0;
}
