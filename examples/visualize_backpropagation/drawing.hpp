// Drawings by Graphviz.
#pragma once
#include <string>

/// The 2-2-1 network in Graphviz's language, with {names} where numbers go. `rankdir` is LR or TB; from top
/// to bottom, where the space is narrow, weights are without their names.
std::string network_dot(const std::string& rankdir);

/// The drawing as SVG, by running `dot`. std::runtime_error when it is missing or refuses.
std::string draw(const std::string& dot);
