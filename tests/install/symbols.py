#!/usr/bin/env python3
"""Compares the names that a shared library exports with a list of them: symbols.py [--update] LIBRARY LIST

The list is that of the Debian package, which dpkg-gensymbols compares too: tests/install/debian/*.symbols.amd64, of GCC on
64-bit x86. In it is what programs may use: names of xtape outside of xtape::detail, and those within it that a public
header uses. What else is exported is matched by one pattern, which is optional. A name that went away is an error: a program
that was linked with an earlier patch version would not start. So is a new one, so that the list tells in which version it
came. Names of variables and functions: the tables of a class go with its functions. A function that a header defines, and of
which the library happens to have a copy, is tagged (optional) by hand. xtape::platform is for the library alone.
"""
import os
import re
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = re.compile(r"_ZT[VTISC]|_ZG[VR]")
OPERATOR = re.compile(r"operator(<=>|<<|>>|->|<|>)")
NUMBERS = re.compile(r"(<(double|float)(, (double|float))*>)?")


class Headers:
    """The headers that are installed, the public ones and what they include of the rooms: what is said there, without comments."""

    def __init__(self):
        todo = [os.path.join(SOURCE, room, f) for room in ("autodiff", "nn") for f in os.listdir(os.path.join(SOURCE, room))
                if f.endswith(".hpp")]
        texts = {}
        while todo:
            path = os.path.normpath(todo.pop())
            if path not in texts:
                with open(path, encoding="utf-8") as file:
                    texts[path] = file.read()
                todo += [os.path.join(os.path.dirname(path), name) for name in re.findall(r'^\s*#\s*include "([^"]+)"', texts[path], re.M)]
        text = re.sub(r"//.*|/\*.*?\*/", "", "\n".join(texts.values()))
        self.words = set(re.findall(r"\w+", text))
        self.free = set(re.findall(r"(?<![.>\w])\w+", text))  # not as a member of something
        self.classes = set(re.findall(r"\b(?:class|struct) (?:\[\[.*?\]\] |XTAPE_EXPORT )*(\w+)(?=[^;{}()]*\{)", text))

    def offer(self, name, text):
        """Whether a function or a variable, by its name without parameters and with all, can be used through them."""
        path, arguments = without_arguments(name)
        classes = [part for part in path[:-1] if part[0].isupper()]
        types = re.findall(r"xtape::(?:\w+::)*(\w+)", text)
        if "{lambda" in text or "platform" in path or not self.classes.issuperset(classes) or not self.words.issuperset(types + path[:-1]):
            return False
        # Of a function that headers define the library has what it uses itself: those for arguments of other kinds.
        return bool(NUMBERS.fullmatch(arguments)) and (bool(classes) or path[-1] in self.free)


def without_arguments(name):
    """The parts of a name without the arguments of templates, and those of the last part."""
    name = OPERATOR.sub("operator ", name)
    kept, arguments, depth = "", "", 0
    for c in name:
        depth += c == "<"
        kept, arguments = (kept, arguments + c) if depth else (kept + c, "" if c == ":" else arguments)
        depth -= c == ">"
    path = re.sub(r"\[abi:\w+\]| ", "", kept).split("::")
    return path, arguments.strip()


def demangled(names, *options):
    return subprocess.run(["c++filt", *options], input="\n".join(names), check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()


def exported(library):
    """The names of functions and variables that belong to the interface."""
    said = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], check=True, text=True, stdout=subprocess.PIPE).stdout
    names = sorted(n for n in (line.split()[0] for line in said.splitlines()) if not TABLE.match(n))
    headers = Headers()
    return {n for n, name, text in zip(names, demangled(names, "--no-params"), demangled(names)) if headers.offer(name, text)}


def listed(path):
    """The head of the list, and its line for each name."""
    head, lines = [], {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if match := re.fullmatch(r" (?:\(optional\))?(\w+)@Base \S+\n", line):
                lines[match[1]] = line
            else:
                head.append(line)
    return head, lines


def readable(names):
    names = sorted(names)
    return [f"  {text}\n    {name}" for text, name in zip(demangled(names), names)]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    library, path = arguments
    names = exported(library)
    head, lines = listed(path)
    gone = {n for n in lines if n not in names and "(optional)" not in lines[n]}
    new = names - lines.keys()
    if gone:
        print(f"{len(gone)} names went away, and programs that use them would not start. A patch version keeps them; else it is a new",
              "minor version, with a library of another name and a list of its own (CONTRIBUTING.md, Versions):", *readable(gone), sep="\n")
    if new:
        print(f"{len(new)} names are new:", *readable(new), sep="\n")
    if "--update" in sys.argv:
        with open(os.path.join(SOURCE, "meson.build"), encoding="utf-8") as file:
            version = re.search(r"^  version: '(.*)',$", file.read(), re.M)[1]
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(head)
            file.writelines(lines.get(n, f" {n}@Base {version}\n") for n in sorted(lines.keys() - gone | names))
        print(f"{path}: {len(lines.keys() - gone | names)} names")
        return 0
    if gone or new:
        print("Where that is meant: tests/install/symbols.py --update", *(os.path.relpath(p, SOURCE) for p in (library, path)))
    good = not gone and not new and bool(names)
    print(f"{len(names)} names, {len(gone)} gone, {len(new)} new")
    print("[symbols] test cases: 1 |", "1 passed | 0 failed" if good else "0 passed | 1 failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
