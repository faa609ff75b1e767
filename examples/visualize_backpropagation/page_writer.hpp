// One file with all that the page needs.
#pragma once
#include <string>

#include <nlohmann/json.hpp>

/// The template `folder`/page.html, with {{data}} replaced by the data as JSON and any other {{name}} by the
/// file of this name in the folder. std::runtime_error when a file cannot be read, and when a script would
/// end its own element.
std::string page(const std::string& folder, const nlohmann::json& data);
