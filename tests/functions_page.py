#!/usr/bin/env python3
"""Checks the page of functions that ./dev doc makes: functions_page.py SOURCE

A header made for this has the entries it should. Of the library's own, each has a sentence, and those that users look for
are there: the names in the last column of the README's table.
"""
import os
import re
import subprocess
import sys
import tempfile

HEADER = '''// Samples: what a header may hold. More of it.
#pragma once

namespace xtape {

/// One sentence, over
/// two lines. Another one.
template <class T>
requires std::floating_point<T> Tensor<T> first(const Tensor<T>& x, Options options = {});
template <class T>
Tensor<T> first(const Tensor<T>& x, int more);

/// Set apart:
///
///   first(x)
inline constexpr int second = 2;

namespace detail {
/// Not public.
void third();
}  // namespace detail

/// a | b < c.
class XTAPE_EXPORT Fourth : public Base {
 public:
  /// Not listed beside its class.
  Fourth(int x) : x_(x) {}
  /// A member.
  void fifth() const;
  std::function<void(int)> value;

 private:
  /// Not public.
  void sixth();
};

/// A sum.
auto operator+(const Fourth& a, const Fourth& b);

}  // namespace xtape
'''
ENTRIES = [("first", "One sentence, over two lines"), ("second", "Set apart"), ("Fourth", "a \\| b &lt; c"),
           ("Fourth::fifth", "A member"), ("operator+", "A sum")]

source = sys.argv[1]
failures = []


def page(*headers):
    command = [sys.executable, "-B", os.path.join(source, "autodiff/doc/functions.py"), *headers]
    return subprocess.run(command, cwd=source, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def entries(text):
    return re.findall(r'^\| (?:@ref \S+ "|`)(.+?)["`] \| (.*) \|$', text, re.M)


with tempfile.NamedTemporaryFile("w", suffix=".hpp", encoding="utf-8") as file:
    file.write(HEADER)
    file.flush()
    text = page(file.name)
if entries(text) != ENTRIES or "\n## Samples {#" not in text:
    failures.append(f"of the sample:\n{text}")

headers = [f"{folder}/{name}" for folder in ("autodiff", "nn") for name in os.listdir(os.path.join(source, folder))
           if name.endswith(".hpp")]
listed = entries(page(*headers))
failures += [f"'{name}' has no sentence" for name, sentence in listed if not re.search(r"\w", sentence)]

with open(os.path.join(source, "README.md"), encoding="utf-8") as file:
    section = file.read().split("## Names you know", 1)[1].split("\n## ", 1)[0]
last = [line.split("|")[-2] for line in section.splitlines() if line.startswith("|")]
wanted = {name for code in re.findall(r"`([^`]+)`", " ".join(last)) for name in re.findall(r"[A-Za-z_]\w*", code)}
words = {word for name, _ in listed for word in name.split("::")}
failures += [f"'{name}' of the README is not listed" for name in sorted(wanted - words - {"x", "double", "true"})]

for failure in failures:
    print("functions by subject:", failure)
print(f"[functions] test cases: 1 | {0 if failures else 1} passed | {1 if failures else 0} failed")
sys.exit(bool(failures))
