#!/usr/bin/env python3
"""Writes files of the page as C++ strings: embed.py OUTPUT FILE ...

page.html becomes xtape::detail::page_html. Files of one ending are joined: all *.js are page_js, in their order here.
"""
import pathlib
import sys


def main():
    output, *files = map(pathlib.Path, sys.argv[1:])
    parts = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert ')page"' not in text, file
        assert file.suffix == ".html" or "</script" not in text and "</style" not in text, file  # it stands in one
        parts[file.suffix[1:]] = parts.get(file.suffix[1:], "") + text
    code = '// Written by embed.py.\n#include <autodiff/derivation/page/parts.hpp>\n\nnamespace xtape::detail {\n\n'
    for name, text in parts.items():
        code += f'const std::string_view page_{name} = R"page({text})page";\n'
    output.write_text(code + "\n}  // namespace xtape::detail\n", encoding="utf-8")


main()
