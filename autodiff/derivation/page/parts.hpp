// The files of the page, which embed.py makes part of the library.
#pragma once
#include <string_view>

namespace xtape::detail {

extern const std::string_view page_html, page_css, page_js;

}  // namespace xtape::detail
