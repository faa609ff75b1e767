#!/usr/bin/env python3
"""Checks that examples/train_text learns, goes on after a kill with the same bits, and writes from a checkpoint alone:
resumed_text.py PROGRAM TEXT

The checkpoints of a whole run, and of runs that were killed after a validation and resumed, have the same notes and the same
arrays, bit for bit, with dropout and several micro-batches in a step; samples of the same seed are the same text.
"""
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import read_safetensors

STEPS = 60
ARGUMENTS = ["--layers", "2", "--width", "32", "--heads", "2", "--window", "32", "--batch", "4", "--accumulate", "2",
             "--steps", str(STEPS), "--every", "15", "--learning-rate", "0.01", "--threads", "1"]


def step_of(path):
    return int(read_safetensors.read(path)[0]["step"]) if os.path.exists(path) else 0


def main():
    program, text = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        whole = os.path.join(folder, "whole")
        command = [program, "--text", text, *ARGUMENTS, "--checkpoint"]
        shown = subprocess.run([*command, whole], check=True, capture_output=True, text=True).stdout
        losses = [float(loss) for loss in re.findall(r"loss (\d\.\d+)", shown)]
        characters = int(re.search(r"(\d+) different", shown)[1])
        assert len(losses) == STEPS // 15 and losses[-1] < 0.75 * math.log(characters), shown
        expected = read_safetensors.read(whole)
        for killed_after in (15, 30, 45):
            parts = os.path.join(folder, f"parts{killed_after}")
            with subprocess.Popen([*command, parts], stdout=subprocess.DEVNULL) as run:
                while step_of(parts) < killed_after:
                    assert run.poll() is None, "it ended before it was killed"
                    time.sleep(0.002)
                run.send_signal(signal.SIGKILL)
            step = step_of(parts)
            result = subprocess.run([*command, parts, "--resume"], check=True, capture_output=True, text=True)
            assert f"going on after step {step} of" in result.stdout, result.stdout
            assert read_safetensors.read(parts) == expected, f"it differs from a run that was not killed after step {step}"

        def sample(*options):
            result = subprocess.run([program, "--checkpoint", whole, "--sample", "100", *options], check=True,
                                    capture_output=True)
            assert re.fullmatch(rb"100 characters, \d+ a second\n", result.stderr), result.stderr
            return result.stdout

        first = sample("--prompt", "this ")
        assert len(first) == len("this ") + 100 + 1 and first.startswith(b"this "), first  # more than the window
        assert sample("--prompt", "this ") == first and sample("--prompt", "this ", "--seed", "2") != first
        wrong = subprocess.run([program, "--checkpoint", whole, "--sample", "9", "--prompt", "é"], capture_output=True, text=True)
        assert wrong.returncode == 1 and "'é' has a character that" in wrong.stderr, wrong

        def refused(message, *options):
            result = subprocess.run([program, *options], capture_output=True, text=True)
            assert result.returncode == 1 and message in result.stderr, result

        def written(name, content):
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(content)
            return path

        foreign = written("foreign", (2).to_bytes(8, "little") + b"{}")  # a safetensors file without arrays and notes
        refused("is no checkpoint of train_text", "--checkpoint", foreign, "--sample", "9")
        refused("is no checkpoint of train_text", "--text", text, "--checkpoint", foreign, "--resume")
        other = written("other", b"The end. " * 200)
        refused("is of a text with other characters", "--text", other, "--checkpoint", whole, "--resume")
        refused("other --layers, --width or --heads", "--text", text, "--checkpoint", whole, "--resume", "--layers", "3")


main()
