// NumPy files: one array, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once
#include <string>

#include <autodiff/tensor.hpp>

namespace xtape::nn {

/// Writes an array as a .npy file, for numpy.load and xt::load_npy: beside it first, then renamed, so that at
/// any moment there is either the old file or the new one. Errors name the path and what the system says; an
/// empty tensor is one too.
template <class T>
void save_npy(const std::string& path, const Tensor<T>& x);

struct NpyOptions {
  bool convert = false;  ///< reads other types than T
};

/// The array of a .npy file, in C or Fortran order, of either byte order, of version 1.0 or 2.0. Nothing that
/// the file claims is believed before it is checked against the file's size. Error for a file that is
/// damaged, cut short or too long, and for one whose type is not T: it names the path.
///
///     load_npy<float>(path, {.convert = true})
///
/// With convert: floating numbers of 16, 32 and 64 bits, integers with and without a sign, and booleans, by
/// the rules of load_tensors.
template <class T>
Tensor<T> load_npy(const std::string& path, const NpyOptions& options = {});

}  // namespace xtape::nn
