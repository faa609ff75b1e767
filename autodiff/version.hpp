// The version, the same as in meson.build.
#pragma once

#define XTAPE_VERSION "0.1.0"

namespace xtape {

/// The version of the headers, "major.minor.patch".
inline constexpr const char* version = XTAPE_VERSION;

}  // namespace xtape
