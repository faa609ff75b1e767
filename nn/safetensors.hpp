// Safetensors: arrays in files of this format, https://github.com/huggingface/safetensors#format
#pragma once
#include <map>
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

/// Writes `content` as the file `path`: beside it first, flushed to the disk, then renamed, so that at any
/// moment there is either the old file or the new one. Errors name the path and what the system says; two
/// arrays of one name, an empty tensor, and a text whose name begins with "xtape." are errors too. float
/// becomes F32, double F64. Beside the texts is a checksum of all bytes.
template <class T>
void save_tensors(const std::string& path, const NamedTensors<T>& content);

/// The arrays and texts of a file, in the order of their bytes. Nothing that the file claims is believed
/// before it is checked against the file's size. Error for anything that is not as the format says, and for
/// an array whose type is not T; it names the path and the entry. In a file that this library wrote, a
/// changed bit anywhere is an error; the format itself has no checksum, so in those of others it may pass.
template <class T>
NamedTensors<T> load_tensors(const std::string& path);

}  // namespace xtape::nn
