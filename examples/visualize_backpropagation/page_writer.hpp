// One file with all that the page needs.
#pragma once
#include <string>

#include <nlohmann/json.hpp>

/// The whole content of a file. std::runtime_error when it cannot be read.
std::string read_file(const std::string& path);

/// Writes the template `folder`/page.html to `path`, with {{data}} replaced by the data as JSON and any other
/// {{name}} by the file of this name in the folder. std::runtime_error when a file cannot be read or written,
/// and when a script would end its own element.
void write_page(const std::string& path, const std::string& folder, const nlohmann::json& data);
