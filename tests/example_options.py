#!/usr/bin/env python3
"""Checks how an example's program behaves on the command line, and that it writes the pictures that its README promises.

    example_options.py README PROGRAM [ARGUMENT ...]

The arguments make the program run for a short time.
--help succeeds and names the options; a bad option is one line on the standard error and a failure, and so is a learning
rate that is no finite number above 0. Programs with --out: a folder that is not there is an error that names it; otherwise
the files are written that the README names as `name.svg`, `name.png`, `name.csv` or `name.html`, and no others; without
gnuplot the program says which pictures it leaves out, and succeeds. The README's commands write to a folder, not to where
they are run, and the options that its section Options names, `--name value`, are taken without a complaint. The option
--hidden changes no point that is drawn.
"""
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree


def run(*arguments, **environment):
    return subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **environment})


def check_file(path):
    with open(path, "rb") as file:
        content = file.read()
    if path.endswith((".csv", ".html")):
        assert content.count(b"\n") > 1, f"{path}: no content"
    elif path.endswith(".svg"):
        root = xml.etree.ElementTree.fromstring(content)
        assert root.tag.endswith("svg") and len(list(root.iter())) > 20, f"{path}: an empty picture"
    else:
        assert content.startswith(b"\x89PNG") and len(content) > 1000, f"{path}: no picture"


def drawn_points(program, *arguments):
    """The numbers that go to gnuplot as points, taken down by a program of its name."""
    with tempfile.TemporaryDirectory() as folder:
        gnuplot, scripts = os.path.join(folder, "gnuplot"), os.path.join(folder, "scripts")
        with open(gnuplot, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec cat $1 >>'{scripts}'\n")
        os.chmod(gnuplot, 0o755)
        result = run(program, *arguments, "--out", folder, PATH=folder + os.pathsep + os.environ["PATH"])
        assert result.returncode == 0 and result.stderr == "", result
        with open(scripts, encoding="utf-8") as file:
            text = file.read()
    names = sorted(set(re.findall(r"\$(\w+) using \S+ with points", text)))
    return [block for name in names for block in re.findall(rf"^\${name} << END\n(.*?)^END", text, re.S | re.M)]


def check_out(program, readme, arguments):
    missing = run(program, "--out", "no/such/folder")
    assert missing.returncode == 1 and "no/such/folder" in missing.stderr, missing
    assert missing.stderr.count("\n") == 1 and missing.stdout == "", missing
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    commands = [line for line in text.splitlines() if re.match(r"\s*\./build/examples/", line)]
    assert commands and all(" --out build" in line or " --help" in line for line in commands), commands
    promised = set(re.findall(r"`([\w-]+\.(?:svg|png|csv|html))`", text))
    with tempfile.TemporaryDirectory() as folder:
        result = run(program, *arguments, "--out", folder)
        assert result.returncode == 0 and result.stderr == "", result
        assert promised == set(os.listdir(folder)), f"promised {promised}, written {os.listdir(folder)}"
        for name in promised:
            assert f"wrote {os.path.join(folder, name)}\n" in result.stdout, f"{name}: its path is not printed"
            check_file(os.path.join(folder, name))
        for option in re.findall(r"`(--[\w-]+ \S+)`", text.partition("## Options")[2].partition("\n## ")[0]):
            result = run(program, *arguments, *option.split(), "--out", folder)
            assert result.returncode == 0 and result.stderr == "", result
    with tempfile.TemporaryDirectory() as folder:
        result = run(program, *arguments, "--out", folder, PATH=folder)
        pictures = {name for name in promised if name.endswith((".svg", ".png"))}
        assert result.returncode == 0 and set(os.listdir(folder)) == promised - pictures, result
        for name in pictures:
            assert f"{os.path.join(folder, name)} is left out: gnuplot is not installed" in result.stderr, result.stderr


def main():
    readme, program, arguments = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]
    shown = run(program, "--help")
    assert shown.returncode == 0 and "--help" in shown.stdout and shown.stderr == "", shown
    bad = run(program, "--no-such-option")
    assert bad.returncode != 0 and "--no-such-option" in bad.stderr, bad
    for value in ("-1", "0", "nan", "inf", "1x", "") if "--learning-rate" in shown.stdout else ():
        refused = run(program, "--learning-rate", value)
        assert refused.returncode == 1 and "--learning-rate" in refused.stderr and refused.stdout == "", refused
        assert refused.stderr.count("\n") == 1 and len(refused.stderr) < 120, refused.stderr
    if "--out DIR" in re.sub(r"\s+", " ", shown.stdout):
        assert bad.returncode == 1 and bad.stderr.count("\n") == 1 and bad.stdout == "", bad
        check_out(program, readme, arguments)
    if "--hidden" in shown.stdout:
        points = [drawn_points(program, *arguments, "--hidden", hidden) for hidden in ("2", "8")]
        assert points[0] and points[0] == points[1], "the number of hidden neurons changes the points"


main()
