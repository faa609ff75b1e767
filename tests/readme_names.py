#!/usr/bin/env python3
"""Checks that the README's table of names speaks of what there is: readme_names.py SOURCE

Each name in its last column must be a word of a public header.
"""
import glob
import os
import re
import sys

source = sys.argv[1]
with open(os.path.join(source, "README.md"), encoding="utf-8") as file:
    section = file.read().split("## Names you know", 1)[1].split("\n## ", 1)[0]
words = set()
for header in glob.glob(os.path.join(source, "autodiff/*.hpp")) + glob.glob(os.path.join(source, "nn/*.hpp")):
    with open(header, encoding="utf-8") as file:
        words |= set(re.findall(r"[A-Za-z_]\w*", file.read()))
rows = [line.split("|") for line in section.splitlines() if line.startswith("|") and "---" not in line][1:]
names = [name for row in rows for code in re.findall(r"`([^`]+)`", row[-2]) for name in re.findall(r"[A-Za-z_]\w*", code)]
missing = sorted({name for name in names if name not in words | {"x", "double", "true"}})
for name in missing:
    print(f"README: '{name}' is in no public header")
failed = bool(missing) or len(rows) < 20
print(f"[names] test cases: 1 | {0 if failed else 1} passed | {1 if failed else 0} failed")
sys.exit(failed)
