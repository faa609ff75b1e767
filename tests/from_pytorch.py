#!/usr/bin/env python3
"""Checks examples/from_pytorch: what its programs compute, and that its page shows them as they are.

    from_pytorch.py FOLDER GOLDEN PROGRAM ...    golden_from_pytorch.json, and the programs of xtape
    from_pytorch.py --write FOLDER               writes the files' text into the README

Each NAME.cpp has a NAME.py and a program, which prints the numbers that NAME.py printed by PyTorch. Below a line
`[FILE](FILE)` the README shows FILE, and it shows all files but those of names, of whose lines it makes tables: what
a table has for PyTorch is in names.py, what it has for xtape in names.cpp.
"""
import hashlib
import json
import os
import re
import subprocess
import sys

RELATIVE, ABSOLUTE = 1e-6, 1e-12
SHOWN = re.compile(r"^(\[([\w.]+)\]\(\2\)\n\n```\w+\n)(.*?)^```$", re.M | re.S)


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def sha256(folder, name):
    return hashlib.sha256(read(folder, name).encode()).hexdigest()


def files_of(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith((".py", ".cpp", ".hpp")))


def with_files(readme, text_of):
    """The README with each file that it shows as text_of(name) gives it."""
    return SHOWN.sub(lambda m: m[1] + text_of(m[2]) + "```", readme)


def row_problems(readme, python, cpp):
    """The code in the README's tables | PyTorch | xtape | … | that the two files do not have."""
    dense = [re.sub(r"\s", "", text) for text in (python, cpp)]
    result, rows, inside = [], 0, False
    for line in readme.splitlines():
        inside = line.startswith("|") and (inside or line.startswith("| PyTorch | xtape |"))
        if not inside:
            continue
        cells = re.split(r"(?<!\\)\|", line)[1:3]
        for cell, text, name in zip(cells, dense, ("names.py", "names.cpp")):
            for code in re.findall(r"`([^`]+)`", cell):
                rows += 1
                if re.sub(r"\s", "", code.replace("\\|", "|")) not in text:
                    result.append(f"README.md: {name} has no {code}")
    return result if rows else ["README.md has no table of names"]


def page_problems(folder):
    readme, files = read(folder, "README.md"), files_of(folder)
    shown = [name for _, name, _ in SHOWN.findall(readme)]
    result = [f"README.md does not show {name} once" for name in files
              if not name.startswith("names.") and shown.count(name) != 1]
    result += [f"README.md shows {name}, which is not there" for name in shown if name not in files]
    result += [f"README.md shows another {name}; from_pytorch.py --write mends it"
               for _, name, text in SHOWN.findall(readme) if name in files and text != read(folder, name)]
    models = [name[:-4] for name in files if name.endswith(".cpp")]
    result += [f"{name}.cpp has no {name}.py" for name in models if name + ".py" not in files]
    if len(models) != len(["names"]) + 10:
        result.append(f"there are {len(models)} programs, not ten models and names.cpp")
    return result + row_problems(readme, read(folder, "names.py"), read(folder, "names.cpp"))


def curve_problems(name, golden, output):
    numbers = [float(line) for line in output.split()]
    if len(numbers) != len(golden):
        return [f"{name} prints {len(numbers)} numbers, PyTorch {len(golden)}"]
    wrong = [i for i, (a, b) in enumerate(zip(numbers, golden)) if not abs(a - b) <= RELATIVE * abs(b) + ABSOLUTE]
    return [f"{name}, number {i}: {numbers[i]}, but PyTorch {golden[i]}" for i in wrong[:3]]


def self_test():
    page = ("# A\n\n[a.py](a.py)\n\n```python\nx = 1\n```\n\n"
            "| PyTorch | xtape | |\n|---|---|---|\n| `x = 1` | `int x = 1;` | `z` |\n")
    assert [found[1:] for found in SHOWN.findall(page)] == [("a.py", "x = 1\n")]
    emptied = with_files(page, lambda name: "")
    assert "```python\n```\n" in emptied and with_files(emptied, lambda name: "x = 1\n") == page
    assert row_problems(page, "x = 1\n", "int  x =\n1;") == []
    assert len(row_problems(page, "y = 1\n", "int x;")) == 2 and row_problems("", "", "")
    assert curve_problems("a", [1.0, 0.0], "1.0000009\n0\n") == []
    for output in ("1.000002\n0\n", "1\n1e-6\n", "1\n", "1\n0\n0\n", "nan\n0\n"):
        assert curve_problems("a", [1.0, 0.0], output), output


def main():
    self_test()
    if sys.argv[1] == "--write":
        folder = sys.argv[2]
        text = with_files(read(folder, "README.md"), lambda name: read(folder, name))
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
            file.write(text)
        return
    folder, programs = sys.argv[1], {os.path.basename(path): os.path.abspath(path) for path in sys.argv[3:]}
    with open(sys.argv[2], encoding="utf-8") as file:
        golden = json.load(file)
    curves, printed = golden["curves"], {}
    result = page_problems(folder)
    result += [f"{name} is not the script whose numbers are kept: ./dev reference golden_from_pytorch.json"
               for name in files_of(folder) if name.endswith(".py") and golden["scripts"].get(name) != sha256(folder, name)]
    models = {name[:-4] for name in files_of(folder) if name.endswith(".cpp")}
    result += [f"{name}: a file, a curve of PyTorch or a program is missing"
               for name in models ^ set(curves) | models ^ set(programs)]
    for name in models & set(curves) & set(programs):
        run = subprocess.run([programs[name]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        printed[name] = run.stdout
        result += curve_problems(name, curves[name], run.stdout) if run.returncode == 0 else [f"{name}: {run.stdout}"]
    if printed.get("compiled_step") != printed.get("mlp"):
        result.append("compiled_step does not print what mlp prints")
    if result:
        sys.exit("\n".join(result))
    print(f"[from_pytorch] test cases: {len(printed)} | {len(printed)} passed | 0 failed")


main()
