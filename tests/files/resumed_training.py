#!/usr/bin/env python3
"""Checks that a training that was killed goes on as if nothing had happened: resumed_training.py PROGRAM

The checkpoints of a whole run and of one that was killed after its first epoch and resumed have the same arrays, bit for
bit, and the same notes but for the seconds. They are read here by the published format, not by the library.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import read_safetensors

ARGUMENTS = ["--samples", "6400", "--epochs", "3", "--patience", "0"]


def checkpoint(path):
    """The notes, without the seconds of the history, and the arrays."""
    notes, arrays = read_safetensors.read(path)
    notes["history"] = [line.rsplit(" ", 1)[0] for line in notes["history"].splitlines()]
    return notes, arrays


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = os.path.join(folder, "whole"), os.path.join(folder, "parts")
        command = [program, *ARGUMENTS, "--out", folder, "--checkpoint"]
        subprocess.run([*command, whole], check=True, stdout=subprocess.DEVNULL)

        with subprocess.Popen([*command, parts], stdout=subprocess.DEVNULL) as run:
            while not os.path.exists(parts):
                assert run.poll() is None, "it ended without a checkpoint"
                time.sleep(0.002)
            run.send_signal(signal.SIGKILL)
        epochs = len(checkpoint(parts)[0]["history"])
        assert epochs < 3, "it was killed too late"
        result = subprocess.run([*command, parts, "--resume"], check=True, capture_output=True, text=True)
        assert f"going on after epoch {epochs} of" in result.stdout, result.stdout
        assert re.search(r"epoch +3/3 ", result.stdout), result.stdout

        (notes, arrays), (expected_notes, expected) = checkpoint(parts), checkpoint(whole)
        assert notes == expected_notes, (notes["history"], expected_notes["history"])
        assert arrays.keys() == expected.keys() and len(arrays) > 10
        for name, array in arrays.items():
            assert array == expected[name], f"{name} differs"


main()
