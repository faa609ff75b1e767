// How many threads the library may use.
#pragma once

namespace xtape {

/// Sets the number of threads for matrix products, at least 1. Error below 1. Elementwise work runs on the
/// calling thread.
void set_num_threads(int n);
/// What was set last; before that, what BLAS would use.
int num_threads();

}  // namespace xtape
