// What the monitor writes: the CSV read back, and the HTML page.
#include <sstream>

#include "monitored_training.hpp"

using namespace xtape;
using namespace xtape::test;

namespace {

std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"')
      rows.back().back() += text[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && c == ',')
      rows.back().emplace_back();
    else if (!quoted && c == '\r')
      rows.emplace_back(1), ++i;
    else
      rows.back().back() += c;
  }
  CHECK(rows.back() == std::vector<std::string>{""});  // the last line ends too
  rows.pop_back();
  return rows;
}

/// Checks that tags are closed in the order in which they were opened.
void check_well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    REQUIRE(end != std::string::npos);
    const std::string tag = html.substr(at + 1, end - at - 1);
    CHECK(tag.find('<') == std::string::npos);
    CHECK(std::ranges::count(tag, '"') % 2 == 0);
    const std::string name = tag.substr(0, tag.find_first_of(" >"));
    if (tag.front() == '!' || name == "meta" || tag.back() == '/') continue;
    if (name.front() != '/') {
      open.push_back(name);
    } else {
      REQUIRE(!open.empty());
      CHECK(open.back() == name.substr(1));
      open.pop_back();
    }
  }
  CHECK(open.empty());
}

}  // namespace

TEST_CASE("the CSV reads back to the same numbers, whatever the names") {
  auto a = parameter<double>({{0.1, 0.2}}), b = parameter<double>({0.0});
  nn::GradientMonitor<double> monitor({{"a, \"quoted\"", a}, {"b\n", b}});
  nn::SGD<double> sgd({a, b}, {.learning_rate = 0.3});
  for (int step = 0; step < 3; ++step) {
    sgd.zero_grad();
    const Tensor<double> loss = sum(exp(a)) + sum(b) * (step == 2 ? not_a_number : 1.0);
    loss.backward();
    monitor.step(sgd, loss.item());
  }
  std::ostringstream out;
  monitor.write_csv(out);
  const auto rows = parse_csv(out.str());
  REQUIRE(rows.size() == 1 + 3 * 2);
  CHECK(rows[0][3] == "parameter");
  CHECK(rows[1][3] == "a, \"quoted\"");
  CHECK(rows[2][3] == "b\n");
  for (std::size_t i = 1; i < rows.size(); ++i) {
    REQUIRE(rows[i].size() == rows[0].size());
    const nn::TrainingStep& step = monitor.history().steps[(i - 1) / 2];
    const nn::ParameterStep& p = step.parameters[(i - 1) % 2];
    CHECK(std::stoul(rows[i][0]) == step.number);
    CHECK((std::isnan(step.loss) ? rows[i][1] == "nan" : std::stod(rows[i][1]) == step.loss));
    CHECK(std::stod(rows[i][2]) == 0.3);
    CHECK((std::isnan(p.gradient_norm) ? rows[i][4] == "nan" : std::stod(rows[i][4]) == p.gradient_norm));
    CHECK(std::stod(rows[i][5]) == p.weight_norm);
    CHECK((std::isnan(p.update_norm) ? rows[i][6] == "nan" : std::stod(rows[i][6]) == p.update_norm));
    CHECK(std::stoul(rows[i][9]) == p.not_finite);
  }
  CHECK(rows[2][7].empty());  // b began at 0
  CHECK(std::stod(rows[1][7]) == monitor.history().steps[0].parameters[0].update_ratio);
  CHECK(rows[6][10] == "multiply");
  CHECK(rows[1][10].empty());
}

TEST_CASE("the CSV has dead and saturated units, in rows of their own") {
  const auto w = parameter<double>({100.0, -1.0, 0.5});
  nn::GradientMonitor<double> monitor({{"w", w}}, {.limits = {.window = 1}});
  sum(sigmoid(relu(w))).backward();
  monitor.before_step();
  monitor.after_step(1.5);
  monitor.before_step();  // nothing ran
  monitor.after_step(1);
  std::ostringstream out;
  monitor.write_csv(out);
  const auto rows = parse_csv(out.str());
  REQUIRE(rows.size() == 1 + 3 + 1);
  for (const auto& row : rows) CHECK(row.size() == rows[0].size());
  const auto cell = [&](std::size_t row, const std::string& name) {
    return rows[row].at(std::size_t(std::ranges::find(rows[0], name) - rows[0].begin()));
  };
  for (const char* name : {"activation", "units", "dead_units", "saturated_share"})
    CHECK(cell(1, name) == "");
  for (const char* name :
       {"parameter", "gradient_norm", "weight_norm", "update_norm", "not_finite", "origin"})
    for (const std::size_t row : {2u, 3u}) CHECK(cell(row, name) == "");
  for (const std::size_t row : {2u, 3u}) {
    CHECK(cell(row, "step") == "0");
    CHECK(cell(row, "loss") == "1.5");
    CHECK(cell(row, "units") == "3");
  }
  CHECK(cell(2, "activation") == "relu 1");
  CHECK(cell(2, "dead_units") == "1");
  CHECK(cell(2, "saturated_share") == "");
  CHECK(std::stod(cell(2, "zero_share")) == 1.0 / 3);
  CHECK(cell(3, "activation") == "sigmoid 1");
  CHECK(cell(3, "dead_units") == "");
  CHECK(std::stod(cell(3, "saturated_share")) == 1.0 / 3);
  CHECK(cell(4, "step") == "1");
  CHECK(cell(4, "parameter") == "w");
}

TEST_CASE("the HTML page is whole, loads nothing, and escapes names") {
  random::seed(12);
  Deep model(20, 8, [](const Tensor<double>& z, const Tensor<double>&) { return sigmoid(z); });
  const Training training(model, 0.1, 40, 8);
  std::ostringstream out;
  training.monitor.write_html(out, "A <title> & \"more\"");
  const std::string html = out.str();
  check_well_formed(html);
  for (const char* absent :
       {"http", "src=", "url(", "<script", "nan", "inf\"", "<title>A <title>", "healthy"})
    CHECK_MESSAGE(html.find(absent) == std::string::npos, absent);
  for (const char* present : {"A &lt;title&gt; &amp; &quot;more&quot;", "vanishing gradients: 0.weight to ",
                              "nn::BatchNorm1d", "<summary>", "role=\"img\"", "sigmoid 19",
                              "prefers-color-scheme", "is usual while learning", "th{white-space:normal"})
    CHECK_MESSAGE(html.find(present) != std::string::npos, present);
  const nn::ParameterStep& p = training.monitor.history().steps.back().parameters[0];
  CHECK(html.find("<td>" + nn::detail::rounded(p.gradient_norm) + "</td>") != std::string::npos);

  // Numbers that cannot be drawn leave gaps.
  auto w = parameter<double>({{1.0}});
  nn::GradientMonitor<double> monitor({{"<w>", w}});
  std::ostringstream none, broken;
  monitor.write_html(none);
  check_well_formed(none.str());
  for (const double loss : {1.0, not_a_number, 2.0, std::numeric_limits<double>::infinity()}) {
    w.zero_grad();
    sum(w * loss).backward();
    monitor.before_step();
    monitor.after_step(loss);
  }
  monitor.write_html(broken);
  check_well_formed(broken.str());
  const std::string page = broken.str();
  CHECK(page.find("&lt;w&gt;") != std::string::npos);
  for (std::size_t at = page.find(" d=\""); at != std::string::npos; at = page.find(" d=\"", at + 1)) {
    const std::string path = page.substr(at + 4, page.find('"', at + 4) - at - 4);
    CHECK_MESSAGE(path.find_first_not_of("MLHh0123456789.e+- ") == std::string::npos, path);
  }
}
