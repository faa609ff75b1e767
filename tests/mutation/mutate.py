#!/usr/bin/env python3
"""Makes every derivative wrong in every small way, one at a time, and runs the tests until one fails: mutate.py BUILD [WORDS ...]

Signs are flipped, factors dropped, operands and the sides of comparisons swapped, constants replaced, contributions left out.
All mutants are in one build of a copy of the sources; XTAPE_MUTANT says which one a process is. With WORDS, only mutants whose
line has one of them are run. A mutant that no test fails for is printed, and is a test that is missing, or is listed
below because it computes the same. What has no meaning for the types at hand, such as the sum of two pointers, does not count.
"""
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

from mutants import Rewriter

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# They run, schedule or check derivatives, and define none.
NOT_RULES = {"audit.cpp", "audit_run.hpp", "check_gradients.cpp", "compare_gradients.cpp", "grad.cpp", "gradient_hints.cpp",
             "krylov.cpp"}
# They call what has the arithmetic, and do none of their own.
NOTHING_TO_MUTATE = {
    ("accumulate.cpp", "add_recorded"), ("compile.hpp", "Compiled::backward"), ("elementwise.cpp", "AsType::backward"),
    ("elementwise.cpp", "ElementwiseGradient::backward"), ("elementwise.cpp", "ElementwiseGradient::tangent"),
    ("elementwise.cpp", "with_gradient"), ("graph.cpp", "gradient"), ("map.cpp", "Map::backward"), ("map.cpp", "Map::tangent"),
}
# Mutants that compute the same: file, function, and what they change, with the reason.
EQUIVALENT = {
    ("activation_rules.hpp", "Elu::derivative", "T(0) → T(1) [2]"):
        "a limit for what is selected only below 0",
    ("selection_rules.hpp", "Steps::gradient", "T(0) * g → -(T(0) * g)"): "0 has no sign",
    ("selection_rules.hpp", "Steps::gradient", "T(0) * g → T(0)"): "0",
    ("selection_rules.hpp", "Where::gradient", "T(0) * g → -(T(0) * g)"): "0 has no sign",
    ("selection_rules.hpp", "Where::gradient", "T(0) * g → T(0)"): "0",
    ("elementwise.cpp", "Elementwise::backward", "last > 0 → last < 0"): "memory of its own instead of the adjoint's",
    ("elementwise.cpp", "Elementwise::backward", "i + 1 → i - 1, of offsets i"): "memory of its own instead of the adjoint's",
    ("elementwise.cpp", "Elementwise::backward", "i + 1 → i - 1, of offsets i [2]"): "memory of its own instead of the adjoint's",
    ("elementwise_rules.hpp", "Power::gradient", "T(1) → T(2)"): "what is not 0",
    ("elementwise_rules.hpp", "Power::gradient", "T(1) → T(2) [2]"): "a base that is not used",
    ("elementwise_rules.hpp", "Power::gradient", "T(1) → T(2) [4]"):
        "any positive number serves where the logarithm is not selected",
    ("elementwise_rules.hpp", "Hypot::gradient", "T(1) → T(2)"): "divides 0",
    ("elementwise_rules.hpp", "LogAddExp::gradient", "T(0) → T(1)"): "a difference that is not selected",
    ("expm.cpp", "Expm::along", "T(0) → T(1)"): "any number, times what is not finite",
    ("expm.cpp", "Expm::along", "T(1) → T(2)"): "divides 0, and multiplies it again",
    ("lapack.cpp", "cholesky_gradient", "T(0) → T(1) [2]"): "what a triangle does not read, but as 0 · NaN",
    ("linalg.cpp", "Linear::backward", "false → true [2]"): "the engine sums to the shape of the bias",
    ("normalization_kernels.hpp", "normalize_rows_gradient",
     "(load(x + j, left, B(center)) - center) * inv - lack → lack - ((load(x + j, left, B(center)) - center) * inv)"):
        "occurs twice in a product",
    ("pooling.cpp", "MaxPool2dGradient::moved", "T(0) → T(1)"): "the padding, which has no share",
    ("reduction_kernels.hpp", "logsumexp_gradient", "T(0) → T(1)"): "e to minus infinity less a finite number",
    ("reduction_kernels.hpp", "norm_gradient", "T(1) → T(2)"): "divides 0",
}
# The quickest first. Of the kernels' tests, those that compare a kernel with its own rule tell nothing here.
TESTS = ["golden", "linalg", "linalg_extremes", "solvers", "extremes", "special_points", "normalization", "derivatives", "custom", "ops", "nn",
         "losses", "textbook", "hand_derived", "errors", "kernels_lines", "arrange", "special_functions", "sums", "tape", "threads",
         "convolution", "sorting", "odeint", "stiff"]
SLOW = "large batches*<float>,a chain of 1,000,000*,10,000 training*"
SECONDS = 120
DOES_NOT_APPLY = 77
HEADER = '#include <autodiff/mutant.hpp>\n'


def copy_sources(to):
    """Copies the sources with their derivatives rewritten, and only what has changed, so that little is built again."""
    mutants, barren = [], []
    paths = [p for d in ("meson*", "autodiff/**", "nn/**", "tests/**") for p in sorted(glob.glob(os.path.join(SOURCE, d), recursive=True))]
    for path in paths:
        if os.path.isdir(path) or "__pycache__" in path:
            continue
        name = os.path.relpath(path, SOURCE)
        with open(path, "rb") as file:
            data = file.read()
        if name.startswith("autodiff/") and name.endswith((".hpp", ".cpp")) and os.path.basename(name) not in NOT_RULES:
            before = len(mutants)
            text, none = Rewriter(os.path.basename(name), data.decode(), mutants).rewrite()
            barren += none
            text = re.sub(r"d\.operand\((\d)\)", r"d.input(\1)", text)  # as what a mutant can return instead
            # With its header, and that of the minus before a tensor.
            data = (HEADER * (len(mutants) > before) + '#include <autodiff/elementwise.hpp>\n' * ("d.adjoint" in text) + text).encode()
        data = with_number(name, data)
        target = os.path.join(to, name.replace("tests/mutation/mutant.hpp", "autodiff/mutant.hpp"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target) or open(target, "rb").read() != data:
            with open(target, "wb") as file:
                file.write(data)
            shutil.copymode(path, target)
    return mutants, barren


def with_number(name, data):
    """The number of the mutant that a process is lives beside the kernels."""
    if name == "autodiff/kernels/kernels.cpp":
        data += (HEADER + 'const int mutant::active = std::getenv("XTAPE_MUTANT") ? std::atoi(std::getenv("XTAPE_MUTANT")) : 0;\n').encode()
    return data


def build(folder):
    built = os.path.join(folder, "build")
    if not os.path.exists(os.path.join(built, "build.ninja")):
        subprocess.run(["meson", "setup", built, folder, "-Dbuildtype=plain", "-Doptimization=0", "-Dtests=enabled", "-Dexamples=disabled",
                        "-Dbenchmarks=disabled", "-Dlibtorch=disabled", "-Dxsimd=disabled", "-Dwarning_level=0", f"-Dcpp_args=-w -I{os.path.abspath(folder)}"], check=True)
    subprocess.run(["ninja", "-C", built, *(f"tests/test_{t}" for t in TESTS)], check=True)
    return os.path.join(built, "tests")


def run(programs, test, number):
    """The status of a test program; a mutant that goes on for too long is ended, which counts as a failure."""
    environment = {**os.environ, "XTAPE_MUTANT": str(number), "OPENBLAS_NUM_THREADS": "1"}
    command = [os.path.join(programs, "test_" + test), "--abort-after=1", "--minimal", "--test-case-exclude=" + SLOW]
    limit = f"ulimit -t {SECONDS}; exec \"$@\""  # seconds of the processor, which a busy machine does not spend
    return subprocess.run(["sh", "-c", limit, "sh", *command], env=environment, capture_output=True, check=False).returncode


def run_all(programs, mutants):
    """The name of the test that fails for each mutant: "" where none does, None for what is no mutant."""
    caught = collections.Counter()

    def outcome(mutant):
        # First the tests that caught others of the same function.
        for test in sorted(TESTS, key=lambda t: -caught[mutant.function, t]):
            status = run(programs, test, mutant.number)
            if status == DOES_NOT_APPLY:
                return None
            if status != 0:
                caught[mutant.function, test] += 1
                return test
        return ""

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield from zip(mutants, pool.map(outcome, mutants))


def main():
    folder, words = os.path.abspath(sys.argv[1]), sys.argv[2:]
    mutants, barren = copy_sources(folder)
    programs = build(folder)
    failed = [t for t in TESTS if run(programs, t, 0) != 0]
    if failed:
        sys.exit(f"without a mutation these fail: {failed}")
    chosen = [m for m in mutants if not words or any(w in str(m) for w in words)]
    survivors, equivalent, count, by_test = [], set(), 0, collections.Counter()
    for mutant, test in run_all(programs, chosen):
        if mutant.key() in EQUIVALENT:
            equivalent.add(mutant.key())
        if test is None or test == "" and mutant.key() in EQUIVALENT:
            continue
        count += 1
        by_test[test] += 1
        if mutant.key() in EQUIVALENT:
            print(f"listed as equivalent, but test_{test} fails: {mutant}", flush=True)
        if not test:
            survivors.append(mutant)
            print(f"SURVIVED {mutant}", flush=True)
    for test, n in by_test.most_common():
        print(f"{n:>5} by test_{test}" if test else f"{n:>5} by none")
    errors = [f"{file}: {function} has nothing to mutate" for file, function in barren if (file, function) not in NOTHING_TO_MUTATE]
    if not words:
        errors += [f"listed as equivalent, but there is no such mutant: {key}" for key in EQUIVALENT.keys() - equivalent]
    if count == 0:
        errors.append("there is no mutant")
    for error in errors:
        print(error)
    print(f"{count} mutants, {count - len(survivors)} caught, {len(survivors)} survived")
    sys.exit(bool(errors or survivors))


if __name__ == "__main__":
    main()
