#!/usr/bin/env python3
"""Writes a page with every public function and class by subject, one line each, from the headers: functions.py HEADER ...

A header is a subject: its first sentence says which one. A line is the first sentence of the name's comment. The headers are
in the order of the README's table.
"""
import re
import sys


def first_sentence(text):
    return re.split(r"(?<=[^\W_\d]|[0-9)”″′\]])[.:;] ", " ".join(text.split()) + " ", maxsplit=1)[0].strip().rstrip(".")


def entries(text):
    """The name, with its namespaces, and the comment of what is declared outside of classes."""
    scopes, depth, comment, declaration = [], 0, [], ""
    for line in text.splitlines():
        code = re.sub(r'"[^"]*"|//.*', "", line)
        opened = re.match(r"namespace ([\w:]+) \{$", line)
        if opened:
            scopes.append((opened[1], depth))
        elif depth == len(scopes):
            if line.startswith("///"):
                comment.append(line[3:])
            elif line.endswith("\\"):
                comment = []
            elif comment and not re.match(r"template|#|requires [^(]*$", line):
                declaration += " " + re.sub(r"__attribute__\(\(.*?\)\)\)? |^requires \S+ ", "", code)
        if comment and re.search(r"[({;]", declaration):
            kind = re.match(r" (?:class|struct|enum class|concept|using) (\w+)", declaration)
            call = re.search(r"(operator *[^\s(]+|\w+)\(", declaration)
            made = re.match(r" XTAPE_\w+\((\w+)", declaration)  # by a macro, which Doxygen does not see
            found = made and ("", f"`{made[1]}`") or kind or call
            names = [name for name, _ in scopes] + [found[1] if found else "detail"]
            if names[0].startswith("xtape") and "detail" not in "::".join(names):
                yield "::".join(names), " ".join(comment)
        if declaration and re.search(r"[({;]", declaration) or not line:
            comment, declaration = [], ""
        depth += code.count("{") - code.count("}")
        while scopes and depth <= scopes[-1][1]:
            scopes.pop()


def main():
    print("# Functions by subject\n\n[TOC]\n")
    with open("README.md", encoding="utf-8") as file:
        readme = file.read()
    order = {path: readme.find(f"`{path.removeprefix('autodiff/')}`") % (len(readme) + 1) for path in sys.argv[1:]}
    seen = set()
    for path in sorted(sys.argv[1:], key=order.get):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        rows = []
        for name, comment in entries(text):
            if name in seen:
                continue
            seen.add(name)
            shown = name.removeprefix("xtape::")
            brief = first_sentence(comment).replace("|", "\\|").replace("<", "&lt;")
            link = f"`{shown.strip('`')}`" if re.search("operator|`", shown) else f'@ref {name} "{shown}"'
            rows.append(f"| {link} | {brief} |")
        if rows:
            head = re.match(r"((?:// .*\n)+)", text)[1].replace("// ", " ")
            title, name = re.split("[,:]", first_sentence(head))[0], re.sub(r"\W", "_", path)
            print(f"## {title} {{#{name}}}\n\n`<{path}>`\n\n| name | what it does |\n|:---|:---|")
            print("\n".join(rows) + "\n")


main()
