// A model in a file, alone or with its optimiser, to be used or to be trained further.
#pragma once
#include "module.hpp"
#include "optimizers.hpp"
#include "safetensors.hpp"

namespace xtape::nn {

/// Texts by name that go into the file beside the arrays: the epoch, the settings, the state of a generator.
using Notes = std::map<std::string, std::string>;

/// Writes the parameters and buffers of a model as a safetensors file, under their dotted paths. At any
/// moment there is either the old file or the new one. Errors as of save_tensors.
template <class T>
void save(const std::string& path, Module<T>& model, const Notes& notes = {});

/// With the state of the optimiser, as "optimizer.mean.0" and so on, and its learning rate.
template <class T>
void save(const std::string& path, Module<T>& model, const Optimizer<T>& optimizer, const Notes& notes = {});

/// Gives a model the parameters and buffers of a file, and returns the notes. Error, before anything is
/// changed, when the file lacks one of them, has one that the model does not have, or has one of another
/// shape; and errors as of load_tensors.
template <class T>
Notes load(const std::string& path, Module<T>& model);

/// With the state and the learning rate of the optimiser, which must have been made for the parameters of
/// this model.
template <class T>
Notes load(const std::string& path, Module<T>& model, Optimizer<T>& optimizer);

}  // namespace xtape::nn
