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
/// moment there is either the old file or the new one. Errors: a model that names neither, a layer with
/// parameters that was called in it and that members() does not name, a note whose name begins with
/// "optimizer." or "trainer.", and those of save_tensors.
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
/// shape; and errors as of load_tensors. Files that do not fit are loaded with LoadOptions.
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

struct LoadOptions {
  bool strict = true;  ///< names that are missing or unexpected are an error
  /// From a name in the file to the name in the model; an empty one leaves the array out.
  std::function<std::string(const std::string&)> rename{};
  bool convert = false;  ///< reads other types than T, as load_tensors does
};

/// What a file and a model do not have in common.
struct LoadResult {
  std::vector<std::string> missing;     ///< in the file, of what the model has
  std::vector<std::string> unexpected;  ///< in the model, of what the file has: the names after .rename
};

/// Gives a model what a file of another program, or of another model, has for it:
///
///     auto [missing, unexpected] = load(path, model, {.strict = false, .rename = f, .convert = true})
///
/// Arrays that the model does not have are not read, whatever their type. Without .strict, too, another shape
/// is an error, and so are two arrays of one name after .rename. A tensor that the model has by several names
/// takes any of them; under two of them the file must have the same numbers. Everything is checked before
/// anything is changed. State of optimisers and trainers in the file is passed over.
template <class T>
LoadResult load(const std::string& path, Module<T>& model, const LoadOptions& options);

}  // namespace xtape::nn
