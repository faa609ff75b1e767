// Saving: a model in a file, alone, with its optimisers or its trainer, to be used or to be trained further.
#pragma once
#include <initializer_list>

#include "module.hpp"
#include "optimizers.hpp"
#include "safetensors.hpp"
#include "trainer.hpp"

namespace xtape::nn {

/// Texts by name that go into the file beside the arrays: the epoch, the settings, the count of a schedule.
using Notes = std::map<std::string, std::string>;

/// One of several optimisers that share a model.
template <class T>
struct NamedOptimizer {
  std::string name;
  Optimizer<T>& optimizer;
};

/// Writes the parameters and buffers of a model as a safetensors file, under their dotted paths. At any
/// moment there is either the old file or the new one. Errors: a model that names neither, a note whose name
/// begins with "optimizer." or "trainer.", and those of save_tensors.
template <class T>
void save(const std::string& path, Module<T>& model, const Notes& notes = {});

/// With the learning rate and the state of the optimiser, by the dotted paths of its parameters:
/// "optimizer.mean.hidden.weight". Error for an optimiser of a tensor that the model does not name.
template <class T>
void save(const std::string& path, Module<T>& model, const Optimizer<T>& optimizer, const Notes& notes = {});

/// With several: `save(path, model, {{"encoder", sgd}, {"decoder", adam}})`. Error for names that repeat, are
/// empty or hold a point.
template <class T>
void save(const std::string& path, Module<T>& model,
          std::initializer_list<std::type_identity_t<NamedOptimizer<T>>> optimizers, const Notes& notes = {});

/// A training as it stands: the model, the optimiser, the history, early stopping with its best parameters,
/// the place in the data, and the random generator of this thread. From a callback of the trainer, as a rule
/// on_epoch_end; a schedule is not known to the trainer, so its count() is a note.
template <class T>
void save(const std::string& path, const Trainer<T>& trainer, const Notes& notes = {});

/// Gives a model the parameters and buffers of a file, and returns the notes. Error, before anything is
/// changed, when the file lacks one of them, has one that the model does not have, or has one of another
/// shape; and errors as of load_tensors.
template <class T>
Notes load(const std::string& path, Module<T>& model);

/// With the learning rate and the state of the optimiser, which goes to the parameters of the same paths.
/// Error when the file has a state for a parameter that the optimiser does not have; one without a state
/// starts anew.
template <class T>
Notes load(const std::string& path, Module<T>& model, Optimizer<T>& optimizer);

/// With several, all that the file has.
template <class T>
Notes load(const std::string& path, Module<T>& model,
           std::initializer_list<std::type_identity_t<NamedOptimizer<T>>> optimizers);

/// A training that goes on with the next fit() as if it had not ended: its first options.epochs are the ones
/// that are left, and its loader is set to the saved place.
template <class T>
Notes load(const std::string& path, Trainer<T>& trainer);

}  // namespace xtape::nn
