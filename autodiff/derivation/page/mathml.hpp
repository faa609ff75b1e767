// The LaTeX that formulas are written in, as MathML, which browsers show without a library.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xtape::detail {

/// Names as LaTeX, and the number that marks each of them in the result.
using MarkedNames = std::vector<std::pair<std::string, std::size_t>>;

/// The content of a <math> element. Where a marked name occurs, it is <mrow data-q="number">. Nothing where
/// the text holds what this does not know: it knows what Term::latex() writes.
std::optional<std::string> mathml(std::string_view latex, const MarkedNames& names = {});

/// Text as it may stand in HTML, between tags and in the quotes of an attribute.
std::string html_escaped(std::string_view text);

}  // namespace xtape::detail
