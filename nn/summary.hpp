// Summary: a model as a table of layers, shapes of their outputs, parameters and operations.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "module.hpp"

namespace xtape::nn {

/// What a model consists of, and what one forward pass costs.
struct Summary {
  /// One module, in the order of named_parameters(). Numbers are its own: those of modules within are theirs.
  struct Row {
    std::string path;             ///< empty for the model itself, "(not named)" for what members() leaves out
    std::string layer;            ///< describe()
    std::optional<Shape> output;  ///< of its last call; none where it was not called
    std::size_t parameters = 0;   ///< elements; a shared parameter counts where it comes first
    std::size_t frozen = 0;       ///< of them
    std::size_t operations = 0;   ///< multiply-adds in matrix products; elementwise work is not counted
  };

  std::vector<Row> rows;
  std::size_t parameters() const;
  std::size_t frozen() const;
  std::size_t operations() const;
};

/// Runs the model on zeros of input_shape, the batch included, in evaluation mode without recording, and
/// notes what its modules give. A module that occurs several times has one row, with the operations of all
/// its calls. Calls are seen when they are made as layer(x), not as layer.forward(x). The modes of the
/// modules and the random generator are afterwards as before. Error when the model uses a parameter that no
/// members() names.
template <class T>
Summary summary(Module<T>& model, const Shape& input_shape);

/// As a table with totals, which says what is frozen.
std::ostream& operator<<(std::ostream& out, const Summary& summary);

}  // namespace xtape::nn
