// Safetensors: arrays in files of this format, https://github.com/huggingface/safetensors#format
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <autodiff/tensor.hpp>

namespace xtape::nn {

/// What a safetensors file holds: arrays with names, and texts with names.
template <class T>
struct NamedTensors {
  std::vector<std::pair<std::string, Tensor<T>>> tensors;
  std::map<std::string, std::string> metadata;

  /// The array of that name. Error where there is none.
  const Tensor<T>& at(const std::string& name) const;
};

/// How a file stores numbers.
enum class DType { f16, bf16, f32, f64 };

struct SaveOptions {
  std::optional<DType> dtype{};  ///< that of T, unless it is given
};

/// Writes `content` as the file `path`: beside it first, flushed to the disk, then renamed, so that at any
/// moment there is either the old file or the new one. Errors name the path and what the system says; two
/// arrays of one name, an empty tensor, and a text whose name begins with "xtape." are errors too. As another
/// type each number is rounded once, to the nearest even one; those beyond the largest are infinite, as in
/// PyTorch: beyond 65504 in f16. Beside the texts is a checksum of all bytes, and "format": "pt" unless the
/// texts have a format: the loaders of Hugging Face refuse a file without one, and load_tensors takes it away
/// again.
template <class T>
void save_tensors(const std::string& path, const NamedTensors<T>& content, const SaveOptions& options = {});

struct LoadTensorsOptions {
  bool convert = false;  ///< reads other types than T
  /// Asked once about each name of the file: those refused are left out, whatever their type.
  std::function<bool(const std::string&)> only{};
};

/// The arrays and texts of a file, in the order of their bytes. Nothing that the file claims is believed
/// before it is checked against the file's size. Error for anything that is not as the format says, and for
/// an array whose type is not T; it names the path and the entry. In a file that this library wrote, a
/// changed bit anywhere is an error; the format itself has no checksum, so in those of others it may pass.
///
///     load_tensors<float>(path, {.convert = true, .only = [](auto& name) { return name != "position_ids";
///     }})
///
/// With convert: BF16, F16, F8_E4M3, F8_E5M2, F32, F64, BOOL, I8 to I64 and U8 to U64. Floating numbers that
/// T does not have go to the nearest even one, and are infinite beyond the largest; such an integer is an
/// error, as it counts or names something: 2^24 + 1 and most above as float, 2^53 + 1 as double.
template <class T>
NamedTensors<T> load_tensors(const std::string& path, const LoadTensorsOptions& options = {});

}  // namespace xtape::nn
