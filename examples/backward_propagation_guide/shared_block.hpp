// A network that is no stack of layers, derived by the library and by hand.
#pragma once
#include <filesystem>

/// Prints the derivation, compares the gradients derived by hand with the tape's, makes mistakes on purpose,
/// and writes derivation.html to `out`. Returns whether all agrees and each mistake is named.
bool shared_block(const std::filesystem::path& out);
