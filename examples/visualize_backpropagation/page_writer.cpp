// Puts the parts of the page together.
#include "page_writer.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace {

/// JSON that may stand in a script element: "</script>" within a string would end it.
std::string embedded(const nlohmann::json& data) {
  std::string text;
  for (const char c : data.dump()) c == '<' ? text += "\\u003c" : text += c;
  return text;
}

/// The whole content of a file.
std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  if (!(file && content << file.rdbuf())) throw std::runtime_error(path + " cannot be read");
  return content.str();
}

}  // namespace

std::string page(const std::string& folder, const nlohmann::json& data) {
  const std::string frame = read_file(folder + "/page.html");
  std::string text;
  std::size_t at = 0;
  for (std::size_t open; (open = frame.find("{{", at)) != std::string::npos;) {
    const std::size_t close = frame.find("}}", open);
    if (close == std::string::npos) throw std::runtime_error(folder + "/page.html: {{ without }}");
    const std::string name = frame.substr(open + 2, close - open - 2);
    const std::string part = name == "data" ? embedded(data) : read_file(folder + "/" + name);
    if (part.find("</script") != std::string::npos || part.find("</style") != std::string::npos)
      throw std::runtime_error(name + " ends the element that it stands in");
    text += frame.substr(at, open - at) + part;
    at = close + 2;
  }
  return text + frame.substr(at);
}
