#!/usr/bin/env python3
"""Counts the instructions of kernels on 64-bit Arm: instructions.py PLUGIN QEMU ... KERNEL_CALLS

The rest is how the program is run, with the QEMU of the plugin first. For exp of 4,096 floats, a sum of 65,536 and a product
of 32 x 32 x 32, NEON's kernels beside the generic ones, which the compiler makes of vectors of 16 bytes and so of the same
instructions, and beside loops number by number. Ends with 1 where NEON executes more than 0.4 of the latter.
"""
import os
import subprocess
import sys

LIMIT = 0.4


def instructions(command, plugin, arch, kernel):
    counts = []
    for calls in "1", "11":
        done = subprocess.run([command[0], "-plugin", plugin, "-E", "XTAPE_ARCH=" + arch, *command[1:], kernel, calls],
                              capture_output=True, text=True, check=True)
        if arch != "" and not done.stdout.startswith(arch):
            sys.exit(f"instructions.py: {done.stdout.split()[0]} instead of {arch}")
        counts.append(int(done.stderr.split("instructions: ")[1]))
    return (counts[1] - counts[0]) // 10


def main():
    plugin, *command = sys.argv[1:]
    bad = 0
    print("instructions   NEON     generic  by number  NEON / generic  NEON / by number")
    for kernel in "exp", "sum", "product":
        neon, generic = (instructions(command, os.path.abspath(plugin), arch, kernel) for arch in ("neon", "generic"))
        single = instructions(command, os.path.abspath(plugin), "", kernel + "_by_number")
        bad += neon > LIMIT * single
        print(f"{kernel:8} {neon:10} {generic:11} {single:10} {neon / generic:15.2f} {neon / single:17.2f}")
    result = "0 passed | 1 failed" if bad else "1 passed | 0 failed"
    print(f"[instructions] test cases: 1 | {result}")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
