#!/usr/bin/env python3
"""Runs the programs of this folder beside GradBench's own C++ tools: compare.py [options] SUITE PROGRAMS

SUITE is a copy of https://github.com/gradbench/gradbench, PROGRAMS the folder where ours are built. The suite's tools
are built in a temporary copy, by its own makefiles: `manual`, whose gradients are written by hand, and those of
--tools that build here; the others are named and left out. The inputs are those of the suite's evals, by their
formulas, with other random numbers. Each result is compared with that of `manual`, as the suite does, and more
strictly: then the programs run in turns, and a table gives the medians of their own timers.
"""
import argparse
import json
import math
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

GRADIENT = {"gmm": "jacobian", "lse": "gradient", "llsq": "gradient", "lstm": "jacobian", "ba": "jacobian"}
VALUE = {name: "primal" if function == "gradient" else "objective" for name, function in GRADIENT.items()}
TOOLS = ["finite", "adol-c", "cppad", "codipack", "adept", "enzyme"]  # the makefiles of others download
TOLERANCE = {"manual": 1e-8, "finite": 1e-2}  # |a - b| / max(1, |a| + |b|); other tools have that of manual
SLOW = {"finite": {"gmm", "lse"}}  # a value for each of very many inputs


def numbers(rng, *shape, draw=random.Random.random):
    if not shape:
        return draw(rng)
    return [numbers(rng, *shape[1:], draw=draw) for _ in range(shape[0])]


def gmm(rng, d, k, n):
    def normal(*shape):
        return numbers(rng, *shape, draw=lambda r: r.gauss(0, 1))
    return {"d": d, "k": k, "n": n, "m": 0, "gamma": 1.0, "x": normal(n, d), "alpha": normal(k),
            "mu": numbers(rng, k, d), "q": normal(k, d), "l": normal(k, d * (d - 1) // 2)}


def lstm(rng, suite, layers, steps):
    """A text in bits. Where the suite's is not in the copy, which has it by Git LFS, characters are drawn."""
    path = suite / "evals/lstm/data/lstm_full.txt"
    text = path.read_text(encoding="utf8")[:steps] if path.is_file() else ""
    if len(text) < steps:
        text = "".join(chr(rng.randrange(32, 127)) for _ in range(steps))
    bits = math.ceil(math.log2(max(map(ord, text))))
    return {"main_params": numbers(rng, 2 * layers, 4 * bits), "extra_params": numbers(rng, 3, bits),
            "state": numbers(rng, 2 * layers, bits),
            "sequence": [[float(b) for b in format(ord(c), f"0{bits}b")] for c in text]}


def ba(suite, number):
    path, = suite.glob(f"evals/ba/data/ba{number}_*.txt")
    sizes, cam, x, w, feat = path.read_text().splitlines()[:5]
    n, m, p = map(int, sizes.split())
    return {"n": n, "m": m, "p": p, "w": float(w), "cam": list(map(float, cam.split())),
            "x": list(map(float, x.split())), "feat": list(map(float, feat.split()))}


def inputs(suite, quick):
    """(eval, size, input), one after the other."""
    rng = random.Random(31337)
    for d, k, n in [(10, 25, 1000)] if quick else [(10, 25, 1000), (10, 25, 10_000), (20, 50, 1000)]:
        yield "gmm", f"d {d}, K {k}, n {n:,}", gmm(rng, d, k, n)
    for n in [10_000] if quick else [10_000, 1_280_000]:
        yield "lse", f"n {n:,}", {"x": numbers(rng, n)}
    for n in [1024] if quick else [1024, 8196]:
        yield "llsq", f"n {n:,}, m 128", {"x": numbers(rng, 128), "n": n}
    for layers, steps in [(2, 1024)] if quick else [(2, 1024), (4, 4096)]:
        yield "lstm", f"l {layers}, c {steps:,}", lstm(rng, suite, layers, steps)
    for number in [1] if quick else [1, 2]:
        input_ = ba(suite, number)
        yield "ba", "n {n:,}, m {m:,}, p {p:,}".format(**input_), input_


def build(suite, tool, evals):
    """The programs of a tool of the suite, {eval: path}; None where it does not build."""
    folder = suite / "tools" / tool
    flags = ["-std=c++17", "-O3", "-Wall", "-I../../cpp"]
    if not (suite / "cpp/json.hpp").is_file():  # which its makefile downloads
        include = subprocess.run(["pkg-config", "--variable=includedir", "nlohmann_json"], capture_output=True, text=True)
        flags.append(f"-I{include.stdout.strip() or '/usr/include'}/nlohmann")
    made = {}
    for name in evals:
        target = f"bin/{name}"
        if not (folder / f"{name}.cpp").is_file():
            continue
        make = subprocess.run(["make", "-C", folder, target], env={**os.environ, "CXXFLAGS": " ".join(flags)},
                              capture_output=True, text=True)
        if make.returncode == 0:
            made[name] = folder / target
        else:
            error = [line for line in make.stderr.splitlines() if "rror" in line or "not found" in line]
            print(f"left out: {tool}/{name}: {error[0].strip() if error else 'does not build'}", file=sys.stderr)
            if not made:
                return None  # it is the same for its other evals
    return made


def run(program, path, function, seconds):
    """(result, nanoseconds of each run)."""
    out = subprocess.run([program, path, function], capture_output=True, text=True, timeout=60 + 20 * seconds)
    if out.returncode != 0:
        raise RuntimeError(f"{program} {function}: {out.stderr.strip() or out.returncode}")
    result, *lines = map(json.loads, out.stdout.splitlines())
    return result, [line["nanoseconds"] for line in lines if line["name"] == "evaluate"]


def difference(a, b, where="result"):
    """The largest |a - b| / max(1, |a| + |b|) of two results of one form, as the suite measures it."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max(difference(a[key], b[key], key) for key in a)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max((difference(x, y, where) for x, y in zip(a, b)), default=0)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        far = abs(a - b) / max(1, abs(a) + abs(b))
        return far if far == far else math.inf
    raise RuntimeError(f"{where}: {str(a)[:60]} and {str(b)[:60]} are not of one form")


def time_text(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=pathlib.Path)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--evals", nargs="+", default=list(GRADIENT), choices=list(GRADIENT))
    parser.add_argument("--tools", nargs="*", default=TOOLS, metavar="TOOL", help="besides manual")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each program (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each turn, at least (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one turn")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.1

    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "suite"
        for part in ("cpp", *(f"tools/{tool}" for tool in ["manual", *options.tools])):
            if (options.suite / part).is_dir():
                shutil.copytree(options.suite / part, copy / part, ignore=shutil.ignore_patterns("bin"))
        tools = {tool: build(copy, tool, options.evals) for tool in ["manual", *options.tools]}
        if not tools["manual"]:
            sys.exit("the suite's tool `manual` does not build")
        tools = {tool: made for tool, made in tools.items() if made}
        compare(options, tools, pathlib.Path(folder) / "input.json")


def compare(options, tools, path):
    tools = {"xtape": {name: options.programs / name for name in options.evals}, **tools}
    print("| eval | size | function | " + " | ".join(tools) + " | manual / xtape | difference |")
    print("|" + "---|" * (len(tools) + 5))
    wrong = []
    for name, size, input_ in inputs(options.suite, options.quick):
        if name not in options.evals:
            continue
        path.write_text(json.dumps({**input_, "min_runs": 3, "min_seconds": options.seconds}))
        for function in (VALUE[name], GRADIENT[name]):
            sides = {tool: made[name] for tool, made in tools.items()
                     if name in made and not (name in SLOW.get(tool, ()) and function == GRADIENT[name])}
            results, times = {}, {tool: [] for tool in sides}
            for _ in range(options.rounds):
                for tool, program in sides.items():
                    results[tool], all_times = run(program, path, function, options.seconds)
                    times[tool].append(statistics.median(all_times))
            far = {tool: difference(results[tool], results["manual"]) for tool in sides}
            wrong += [f"{tool}, {name} {function}, {size}: {far[tool]:.1e}" for tool in sides
                      if not far[tool] <= TOLERANCE.get(tool, TOLERANCE["manual"])]
            median = {tool: statistics.median(all_times) for tool, all_times in times.items()}
            ratio = statistics.median(m / x for m, x in zip(times["manual"], times["xtape"]))
            cells = [time_text(median[tool]) if tool in median else "" for tool in tools]
            print(f"| {name} | {size} | {function} | " + " | ".join(cells) + f" | {ratio:.3g} | {far['xtape']:.0e} |",
                  flush=True)
    if wrong:
        sys.exit("differs from manual: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
