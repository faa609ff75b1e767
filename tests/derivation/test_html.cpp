// The page of a derivation as text: formulas as MathML, layouts, folding, numbers, and what must not end up
// in it as it is. tests/page looks at it in a browser.
#include "../check_close.hpp"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <unistd.h>
#include <autodiff/derivation.hpp>
#include <autodiff/derivation/page/graph.hpp>
#include <autodiff/derivation/page/mathml.hpp>
#include <nlohmann/json.hpp>
#include <nn/nn.hpp>

using namespace xtape;
using namespace xtape::test;
using detail::Drawing, detail::Graph, detail::mathml;
using nlohmann::json;

namespace {

/// Runs with another PATH.
class PathScope {
 public:
  explicit PathScope(const std::string& path) : before_(std::getenv("PATH")) {
    setenv("PATH", path.c_str(), 1);
  }
  ~PathScope() { setenv("PATH", before_.c_str(), 1); }

 private:
  std::string before_;
};

/// A folder with a `dot` that is this script.
class FakeDot {
 public:
  explicit FakeDot(const std::string& script) {
    char name[] = "/tmp/xtape_dot_XXXXXX";
    REQUIRE(mkdtemp(name));
    folder = name;
    std::ofstream(folder + "/dot") << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(folder + "/dot", std::filesystem::perms::owner_all);
  }
  ~FakeDot() { std::filesystem::remove_all(folder); }
  std::string folder;
};

json data_of(const std::string& page) {
  const std::string head = "id=\"data\">";
  const std::size_t at = page.find(head) + head.size();
  return json::parse(page.substr(at, page.find("</script>", at) - at));
}
std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

Tensor<double> ramp(const Shape& shape) {
  return parameter(0.1 *
                   reshape(arange<double>(static_cast<double>(element_count(shape, "test"))), Dims(shape)));
}
Derivation two_layers() {
  const Tensor<double> x{{1.0, 0.5}}, y{{0.8}};
  const auto W1 = parameter<double>({{0.4, 0.1}, {0.1, 0.2}}), b1 = parameter<double>({0.05, 0.1});
  const auto W2 = parameter<double>({{0.95, 0.8}}), b2 = parameter<double>({-0.451});
  const auto a = sigmoid(linear(sigmoid(linear(x, W1, b1)), W2, b2));
  return derivation(0.5 * sum(square(a - y)),
                    {{"x", x}, {"y", y}, {"W1", W1}, {"b1", b1}, {"W2", W2}, {"b2", b2}});
}
/// A block with the names of an encoder: heads of attention without their softmax's details.
Derivation block() {
  std::vector<std::pair<std::string, Tensor<double>>> names;
  const auto layer = [&](const std::string& path, const Tensor<double>& x, std::size_t in, std::size_t out) {
    names.emplace_back(path + ".weight", ramp({out, in}));
    const Tensor<double> weight = names.back().second;
    names.emplace_back(path + ".bias", ramp({out}));
    return linear(x, weight, names.back().second);
  };
  Tensor<double> x = 0.1 * ones<double>({4, 8});
  names.emplace_back("x", x);
  for (const std::string number : {"0", "1"}) {
    const std::string path = "encoder." + number;
    const auto q = layer(path + ".attention.query", x, 8, 8), k = layer(path + ".attention.key", x, 8, 8);
    const auto v = layer(path + ".attention.value", x, 8, 8);
    const auto p = softmax(0.35 * matmul(q, transpose(k)), -1);
    x = x + layer(path + ".attention.output", matmul(p, v), 8, 8);
    x = x + layer(path + ".down", gelu(layer(path + ".up", x, 8, 16)), 16, 8);
  }
  return derivation(mean(square(x)), names);
}

/// Nodes apart from each other and within the drawing; edges from the lower end of one to the upper of
/// another.
void check_drawing(const Drawing& drawing) {
  const auto overlap = [](double a, double half_a, double b, double half_b) {
    return std::abs(a - b) < half_a + half_b - 1;
  };
  for (std::size_t i = 0; i < drawing.nodes.size(); ++i) {
    const Drawing::Node& a = drawing.nodes[i];
    CHECK(a.centre.x - 0.5 * a.width >= -1);
    CHECK(a.centre.x + 0.5 * a.width <= drawing.width + 1);
    CHECK(a.centre.y + 0.5 * a.height <= drawing.height + 1);
    for (std::size_t j = 0; j < i; ++j) {
      const Drawing::Node& b = drawing.nodes[j];
      const bool is_over = overlap(a.centre.x, 0.5 * a.width, b.centre.x, 0.5 * b.width) &&
                           overlap(a.centre.y, 0.5 * a.height, b.centre.y, 0.5 * b.height);
      CHECK_FALSE(is_over);
    }
  }
  for (const Drawing::Edge& edge : drawing.edges) {
    REQUIRE(edge.path.size() >= 4);
    CHECK(edge.path.size() % 3 == 1);
    CHECK(drawing.nodes[edge.from].centre.y < drawing.nodes[edge.to].centre.y);
    CHECK(edge.path.front().y < edge.path.back().y);
  }
}

}  // namespace

TEST_CASE("LaTeX as MathML") {
  const std::pair<const char*, const char*> formulas[] = {
      {"x", "<mi>x</mi>"},
      {"W_{1}^{\\top}", "<msubsup><mi>W</mi><mn>1</mn><mo>⊤</mo></msubsup>"},
      {"\\frac{\\partial L}{2}", "<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mn>2</mn></mfrac>"},
      {"\\tfrac{1}{2}", "<mstyle displaystyle=\"false\"><mfrac><mn>1</mn><mn>2</mn></mfrac></mstyle>"},
      {"\\sqrt{x}", "<msqrt><mi>x</mi></msqrt>"},
      {"\\sqrt[3]{x}", "<mroot><mi>x</mi><mn>3</mn></mroot>"},
      {"\\sum_{0} x", "<munder><mo>∑</mo><mn>0</mn></munder><mi>x</mi>"},
      {"a &= -1.5", "<mi>a</mi><mo>=</mo><mo>−</mo><mn>1.5</mn>"},
      {"\\left(a \\odot b\\right)", "<mrow><mo>(</mo><mi>a</mi><mo>⊙</mo><mi>b</mi><mo>)</mo></mrow>"},
      {"\\mathtt{0.my\\_weight}", "<mi class=\"tt\">0.my_weight</mi>"},
      {"\\mathtt{a<b&c}", "<mi class=\"tt\">a&lt;b&amp;c</mi>"},
      {"\\operatorname{ReLU}\\left(z\\right)",
       "<mi mathvariant=\"normal\">ReLU</mi><mrow><mo>(</mo><mi>z</mi><mo>)</mo></mrow>"},
      {"\\ln x", "<mi>ln</mi><mspace width=\".17em\"></mspace><mi>x</mi>"},
      {"a < b", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"},
      {"\\begin{cases}1 & a\\\\2 & \\text{else}\\end{cases}",
       "<mrow><mo>{</mo><mtable "
       "class=\"cases\"><mtr><mtd><mn>1</mn></mtd><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mn>2</mn>"
       "</mtd><mtd><mtext>else</mtext></mtd></mtr></mtable></mrow>"}};
  for (const auto& one : formulas) {
    CAPTURE(one.first);
    CHECK(mathml(one.first).value_or("unknown") == one.second);
  }
  SUBCASE("marked names, the longest first, and no part of another") {
    CHECK(mathml("W_{1} W", {{"W", 3}, {"W_{1}", 4}}).value() ==
          "<mrow data-q=\"4\"><msub><mi>W</mi><mn>1</mn></msub></mrow><mrow data-q=\"3\"><mi>W</mi></mrow>");
    CHECK(mathml("W_{2}", {{"W", 3}}).value() == "<msub><mi>W</mi><mn>2</mn></msub>");
    CHECK(mathml("W^{\\top}", {{"W", 3}}).value() ==
          "<msup><mrow data-q=\"3\"><mi>W</mi></mrow><mo>⊤</mo></msup>");
    CHECK(mathml("\\mathit{loss}", {{"s", 1}}).value() == "<mi class=\"it\">loss</mi>");
  }
  SUBCASE("what is unknown or broken gives nothing, and never hangs") {
    for (const char* latex :
         {"\\unknown", "\\frac{1}", "{", "\\left( x", "x^", "\\begin{matrix}1\\end{matrix}", "\\mathtt{x",
          "\\", "\\sqrt[3", "x_1_2", "\\begin{cases}1"})
      CHECK_FALSE(mathml(latex).has_value());
    CHECK_FALSE(mathml(std::string(10000, '{')).has_value());
  }
  SUBCASE("every formula of a network has its MathML") {
    for (const Derivation& one : {two_layers(), block()})
      for (const DerivationLine& line : one.lines()) {
        CAPTURE(line.latex);
        CHECK(mathml(line.latex).has_value());
      }
  }
}

TEST_CASE("a layered layout, without Graphviz and with it") {
  Graph graph = detail::graph_of(block().lines());
  REQUIRE(graph.views.size() == graph.groups.size() + 2);
  for (Graph::View& view : graph.views) {
    Drawing layered = view.drawing;
    lay_out_in_layers(layered);
    check_drawing(layered);
    if (detail::lay_out_by_dot({&view.drawing})) check_drawing(view.drawing);
  }
  SUBCASE("a large graph takes little time, and dot is not asked") {
    std::vector<Drawing> large(1);
    for (std::size_t i = 0; i < 3000; ++i) {
      large[0].nodes.push_back({.width = 80, .height = 50});
      for (const std::size_t back : std::initializer_list<std::size_t>{1, 7, 50})
        if (i >= back && i % back == 0) large[0].edges.push_back({i - back, i});
    }
    const auto start = std::chrono::steady_clock::now();
    lay_out(large);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
    CHECK(large[0].nodes.back().centre.y > large[0].nodes.front().centre.y);
  }
  SUBCASE("nothing to draw") {
    Drawing empty;
    lay_out_in_layers(empty);
    CHECK(empty.width == 0);
  }
}

TEST_CASE("dot that is not there, fails, hangs or lies changes nothing but the layout") {
  const Derivation one = two_layers();
  const std::string page = one.html();
  CHECK(page == one.html());
  Drawing drawing = detail::graph_of(one.lines()).views[0].drawing;
  std::string layered;
  {
    const PathScope no_path("");
    CHECK_FALSE(detail::lay_out_by_dot({&drawing}));
    layered = one.html();
    CHECK(layered == one.html());
    CHECK(data_of(layered)["lines"] == data_of(page)["lines"]);
  }
  for (const char* script :
       {"exit 1", "echo graph 1 nan", "echo graph 1 2 3; echo node 99 1 1 1 1; echo stop",
        "echo graph 1 2 3; echo stop", "yes | head -c 100000"}) {
    CAPTURE(script);
    const FakeDot fake(script);
    const PathScope path(fake.folder + ":/usr/bin:/bin");
    CHECK(one.html() == layered);
  }
  const FakeDot slow("exec sleep 20");
  const PathScope path(slow.folder + ":/usr/bin:/bin");
  const auto start = std::chrono::steady_clock::now();
  CHECK_FALSE(detail::lay_out_by_dot({&drawing}, 0.1));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("the page is one file: names cannot end what they stand in, and nothing is asked of a network") {
  const std::string name = "</script><b>\"W'\\&<!--";
  const auto W = parameter<double>({1.0, 2.0});
  const std::string page = derivation(sum(square(W)), {{name, W}}).html("A \"<title>\" & '</title>");
  CHECK(count(page, "</script>") == 2);
  CHECK(count(page, "<!--") == 0);
  CHECK(count(page, "A &quot;&lt;title&gt;&quot; &amp; &#39;&lt;/title&gt;") == 2);
  CHECK(data_of(page)["lines"][0]["name"] == name);
  for (const char* part :
       {"src=", "@import", "https://", "fetch(", "{{title", "{{style", "{{data", "{{script"})
    CHECK(count(page, part) == 0);
  CHECK(count(page, "url(") == count(page, "url(#"));
  // Namespaces, which nobody asks for.
  CHECK(count(page, "http://") == count(page, "http://www.w3.org/"));
  CHECK(count(two_layers().html(), "<title>Derivation</title>") == 1);
}

TEST_CASE("numbers of the page are those of the derivation") {
  const Derivation one = two_layers();
  const json data = data_of(one.html());
  REQUIRE(data["lines"].size() == one.lines().size());
  for (std::size_t i = 0; i < one.lines().size(); ++i) {
    const DerivationLine& line = one.lines()[i];
    const json& shown = data["lines"][i];
    CAPTURE(line.name);
    CHECK(shown["name"] == line.name);
    CHECK(shown["text"] == line.formula);
    CHECK(shown["reads"] == line.reads);
    std::vector<double> values;
    for (const json& row : shown["rows"])
      for (const json& value : row) values.push_back(value);
    REQUIRE(values.size() == line.values.size());
    double squares = 0;
    for (std::size_t k = 0; k < values.size(); ++k) {
      CHECK(values[k] == doctest::Approx(line.values[k]).epsilon(1e-5));
      squares += line.values[k] * line.values[k];
    }
    CHECK(shown["stats"][0].get<double>() == doctest::Approx(std::sqrt(squares)).epsilon(1e-5));
  }
  // Each gradient belongs to its quantity.
  for (const json& line : data["lines"])
    if (line.contains("of")) {
      const std::string of = data["lines"][line["of"].get<std::size_t>()]["name"];
      const std::string expected = of[0] == 'z' ? "δ" + of.substr(1) : "dL/d" + of;
      CHECK(line["name"] == expected);
    }
  SUBCASE("of a large quantity, the first 8 by 8 of the last two axes") {
    const auto W = ramp({3, 40, 50});
    const Derivation large = derivation(sum(square(W)), {{"W", W}});
    const std::string page = large.html();
    const json line = data_of(page)["lines"][0];
    CHECK(line["rows"].size() == 8);
    CHECK(line["rows"][7].size() == 8);
    CHECK(line["rows"][7][1].get<double>() == doctest::Approx(0.1 * 351));
    CHECK(line["stats"][2].get<double>() == doctest::Approx(599.9));
    CHECK(line["stats"][3].get<double>() == doctest::Approx(299.95));
    CHECK(page.size() < 60000);
  }
  SUBCASE("what is not finite, and norms that would overflow") {
    const double infinity = std::numeric_limits<double>::infinity();
    const auto W = parameter<double>({1e200, 2.0}), V = parameter<double>({infinity, std::nan("")});
    const json lines =
        data_of(derivation(sum(square(W)) + sum(square(V)), {{"W", W}, {"V", V}}).html())["lines"];
    const std::size_t of_W = lines[0]["name"] == "W" ? 0 : 1;
    CHECK(lines[of_W]["stats"][0].get<double>() == doctest::Approx(1e200));
    CHECK(lines[1 - of_W]["rows"][0] == json({"∞", "NaN"}));
  }
  SUBCASE("without values, numbers are left out") {
    const auto W = parameter<double>({1.0, 2.0});
    const Derivation unknown = derivation(sum(W + 1.0));
    REQUIRE(unknown.lines()[0].values.empty());
    CHECK_FALSE(data_of(unknown.html())["lines"][0].contains("stats"));
  }
}

TEST_CASE("many lines are folded by module") {
  const Derivation one = block();
  const Graph graph = detail::graph_of(one.lines());
  CHECK(graph.groups.size() >= 6);
  CHECK(graph.views[0].nodes.size() <= 20);
  std::set<std::string> names;
  for (std::size_t g = 0; g < graph.groups.size(); ++g) {
    const Graph::Group& group = graph.groups[g];
    CHECK(names.insert(group.name).second);
    for (const std::size_t line : group.lines) CHECK(graph.group_of[line] == static_cast<std::ptrdiff_t>(g));
  }
  for (std::size_t i = 0; i < one.lines().size(); ++i) {
    const DerivationLine& line = one.lines()[i];
    if (line.part != DerivationLine::Part::given || line.name.find(".weight") == std::string::npos) continue;
    REQUIRE(graph.group_of[i] >= 0);  // a parameter is in the box of its module
    CHECK(line.name.starts_with(graph.groups[static_cast<std::size_t>(graph.group_of[i])].name));
  }
  CHECK(names.contains("encoder.0.attention.query"));
  // Edges of each view go from lower to higher numbers, so that there is no cycle.
  for (const Graph::View& view : graph.views)
    for (const Drawing::Edge& edge : view.drawing.edges) CHECK(edge.from < edge.to);
  CHECK(one.html().size() < 400000);
  SUBCASE("few lines are not") { CHECK(detail::graph_of(two_layers().lines()).groups.empty()); }
  SUBCASE("without modules, by their order") {
    const auto W = ramp({2, 2});
    Tensor<double> x = W;
    for (int i = 0; i < 60; ++i) x = sin(x) + W;
    const Derivation chain = derivation(sum(x), {{"W", W}});
    const Graph folded = detail::graph_of(chain.lines());
    CHECK(folded.groups.size() >= 5);
    CHECK(folded.groups.size() <= 12);
  }
}
