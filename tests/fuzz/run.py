#!/usr/bin/env python3
"""Runs the fuzz targets, two at a time, and prints what they did: run.py BUILD SECONDS [TARGET ...]

Starts from tests/fuzz/corpus and keeps what it finds in BUILD/corpus. A finding is left in BUILD/findings, and is run again
by giving its path to the program BUILD/tests/fuzz/fuzz_TARGET.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

SOURCE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ["csv", "idx", "npy", "safetensors", "checkpoint", "shapes"]


def run(build, seconds, target):
    corpus, findings = os.path.join(build, "corpus", target), os.path.join(build, "findings", target + "_")
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(os.path.dirname(findings), exist_ok=True)
    # Files are of at most 4 kB, from which gzip unpacks 4 MB. Shapes may ask for any size, and are refused it.
    limit = "1000000" if target == "shapes" else "64"
    sanitizer = "detect_leaks=1:allocator_may_return_null=1:max_allocation_size_mb=256"
    command = [os.path.join(build, "tests", "fuzz", "fuzz_" + target), corpus, os.path.join(SOURCE, "corpus", target),
               f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", f"-malloc_limit_mb={limit}", "-rss_limit_mb=2048",
               f"-artifact_prefix={findings}", "-print_final_stats=1", "-verbosity=1"]
    environment = {**os.environ, "ASAN_OPTIONS": sanitizer, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    units = re.search(r"stat::number_of_executed_units: *(\d+)", result.stderr)
    edges = re.findall(r"cov: (\d+)", result.stderr)
    return target, result, int(units[1]) if units else 0, edges[-1] if edges else "0", len(os.listdir(corpus))


def main():
    build, seconds = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    failed = False
    print(f"{'target':<12} {'executions':>12} {'edges':>7} {'corpus':>7}  result ({seconds} s each)")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for target, result, units, edges, files in pool.map(lambda t: run(build, seconds, t), sys.argv[3:] or TARGETS):
            good = result.returncode == 0 and units > 0
            print(f"{target:<12} {units:>12} {edges:>7} {files:>7}  {'no finding' if good else 'FINDING'}", flush=True)
            if not good:
                failed = True
                print(result.stderr[-4000:])
    sys.exit(failed)


main()
