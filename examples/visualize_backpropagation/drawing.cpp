// Graphviz decides the places; the page's style sheet decides the colours and its script fills in the
// numbers.
#include "drawing.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <sys/wait.h>
#include <unistd.h>

namespace {

/// A file with this text, gone at the end of the scope.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    const int file = mkstemp(path);
    if (file < 0) throw std::runtime_error("no temporary file can be made in /tmp");
    const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(file);
    if (!written) {
      unlink(path);
      throw std::runtime_error("a temporary file cannot be written in /tmp");
    }
  }
  ~TemporaryFile() { unlink(path); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  char path[32] = "/tmp/xtape_drawing_XXXXXX";
};

}  // namespace

std::string network_dot(const std::string& rankdir) {
  const bool tall = rankdir == "TB";
  std::string text = "digraph network {\n  rankdir=" + rankdir + (tall ? "; nodesep=0.1" : "; nodesep=0.35") +
                     ";\n  node [fontname=\"sans-serif\", shape=box, style=rounded];\n"
                     "  edge [fontname=\"sans-serif\", fontsize=" +
                     (tall ? "13" : "12") + "];\n";
  const auto node = [&](const std::string& name, const std::string& lines, const char* shape = "box") {
    text += "  " + name + " [shape=" + shape + ", label=\"" + lines + "\"];\n";
  };
  // A narrow drawing names the weights, and leaves their numbers to the table below it. A space that does not
  // break keeps the name off the line.
  const auto weight = [&](const std::string& from, const std::string& to, const std::string& name,
                          const std::string& key) {
    text += "  " + from + " -> " + to + " [label=\"" +
            (tall ? "\u00a0" + name : name + " {" + key + "}\\n∂ {d" + key + "}") + "\"];\n";
  };
  const auto edge = [&](const char* from, const char* to) {
    text += std::string("  ") + from + " -> " + to + ";\n";
  };
  node("x1", "x₁\\n{x1}", "ellipse");
  node("x2", "x₂\\n{x2}", "ellipse");
  node("one0", "1", "circle");
  node("z11", "z1₁\\n{z11}\\nδ {dz11}");
  node("z12", "z1₂\\n{z12}\\nδ {dz12}");
  node("a11", "a1₁\\n{a11}\\n∂ {da11}");
  node("a12", "a1₂\\n{a12}\\n∂ {da12}");
  node("one1", "1", "circle");
  node("z2", "z2\\n{z2}\\nδ {dz2}");
  node("a2", "a2\\n{a2}\\n∂ {da2}");
  node("y", "y\\n{y}", "ellipse");
  node("J", "J\\n{J}");
  weight("x1", "z11", "W1₁₁", "W111");
  weight("x2", "z11", "W1₁₂", "W112");
  weight("one0", "z11", "b1₁", "b11");
  weight("x1", "z12", "W1₂₁", "W121");
  weight("x2", "z12", "W1₂₂", "W122");
  weight("one0", "z12", "b1₂", "b12");
  edge("z11", "a11");
  edge("z12", "a12");
  weight("a11", "z2", "W2₁", "W21");
  weight("a12", "z2", "W2₂", "W22");
  if (!tall) text += "  edge [weight=10];\n";  // straight, so that its label is nearest to it
  weight("one1", "z2", "b2", "b2");
  text += "  edge [weight=1];\n";
  edge("z2", "a2");
  edge("a2", "J");
  edge("y", "J");
  // Invisible edges keep the order of what stands side by side.
  return text +
         "  edge [style=invis];\n  {rank=same; x1 -> x2 -> one0}\n  {rank=same; z11 -> z12}\n"
         "  {rank=same; a11 -> a12 -> one1}\n}\n";
}

std::string draw(const std::string& dot) {
  const TemporaryFile file(dot);
  FILE* const pipe = popen((std::string("dot -Tsvg -Granksep=0.35 ") + file.path + " 2>&1").c_str(), "r");
  if (!pipe) throw std::runtime_error("dot cannot be started");
  std::string svg;
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) svg.append(buffer, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    throw std::runtime_error("dot is not found: install the package graphviz");
  const std::size_t start = svg.find("<svg");
  if (status != 0 || start == std::string::npos) throw std::runtime_error("dot refuses the drawing: " + svg);
  return svg.substr(start);
}
