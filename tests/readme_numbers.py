#!/usr/bin/env python3
"""Checks that an example's README.md says what its program prints.

    readme_numbers.py README PROGRAM [ARGUMENT ...]

Runs the program in an empty folder. Every line of the README's ```text blocks must be a line of its output, in this
order. Every number of the README's sentences and tables must be in the output too, digit for digit, but for `code`,
the addresses of links, and the sections named Options, Sources, Data and Measured, which speak of other things.
"""
import os
import re
import subprocess
import sys
import tempfile

NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+−]?\d+)?(?![\w.]*\d)")
UNCHECKED = {"options", "sources", "data", "measured"}


def numbers(text):
    """The numbers of a text as they are written, without thousands separators and plus signs."""
    return [n.replace("−", "-").replace(",", "").lstrip("+") for n in NUMBER.findall(text)]


def claims(readme):
    """The lines of the text blocks, and the (line number, number) pairs of the prose."""
    blocks, found, fence, skipped = [], [], None, False
    for at, line in enumerate(readme.splitlines(), 1):
        if line.startswith("```"):
            fence = line[3:].strip() or "code" if fence is None else None
        elif fence is not None:
            if fence == "text" and line.strip():
                blocks.append((at, line.rstrip()))
        elif line.startswith("#"):
            skipped = line.lstrip("#").strip().lower() in UNCHECKED
        elif not skipped and not line.startswith("    "):
            prose = re.sub(r"`[^`]*`|\]\([^)]*\)|^\s*\d+\.\s", " ", line)
            found += [(at, n) for n in numbers(prose)]
    return blocks, found


def problems(readme, output):
    blocks, found = claims(readme)
    result = []
    lines, here = [line.rstrip() for line in output.splitlines()], 0
    for at, line in blocks:
        try:
            here = lines.index(line, here) + 1
        except ValueError:
            result.append(f"line {at}: the program does not print: {line}")
    printed = set(numbers(output))
    printed |= {n.lstrip("-") for n in printed}  # a minus may be a dash: 2-8-1
    result += [f"line {at}: the program does not print {n}" for at, n in found if n not in printed]
    return result


def self_test():
    output = "loss 0.25 at 1,000 steps, -0.035\nrow  7 of 2-8-1\n"
    good = "# A 99\n\n1. Loss 0.25 after 1000 steps, −0.035 for 2-8-1.\n```text\nrow  7 of 2-8-1\n```\n## Sources\nB, 1998\n"
    assert problems(good, output) == [], problems(good, output)
    for wrong in [good.replace("0.25", "0.26"), good.replace("0.25", "0.250"), good.replace("1000", "100"),
                  good.replace("−0.035", "−0.03"), good.replace("row  7", "row 7"), good.replace("Sources", "Results")]:
        assert len(problems(wrong, output)) == 1, wrong
    assert len(problems("```text\nb\na\n```\n", "a\nb\n")) == 1  # in another order


def main():
    self_test()
    readme, command = sys.argv[1], [os.path.abspath(sys.argv[2]), *sys.argv[3:]]
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {run.returncode}\n{run.stdout}")
    with open(readme, encoding="utf-8") as file:
        found = problems(file.read(), run.stdout)
    if found:
        sys.exit(run.stdout + "\n" + "\n".join(f"{readme}: {problem}" for problem in found))


main()
