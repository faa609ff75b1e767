#!/usr/bin/env python3
"""Checks that a training that was killed goes on as if nothing had happened: resumed_training.py PROGRAM

The checkpoints of a whole run with early stopping, and of runs that were killed after each of its first epochs and resumed,
have the same arrays, bit for bit, and the same notes but for the seconds. They are read here by the published format, not by
the library.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import read_safetensors

EPOCHS = 5
# At this rate the loss of validation rises now and then, so that waiting and the best weights matter.
ARGUMENTS = ["--samples", "6400", "--epochs", str(EPOCHS), "--patience", "2", "--learning-rate", "0.03"]


def checkpoint(path):
    """The notes, without the seconds of the history, and the arrays."""
    notes, arrays = read_safetensors.read(path)
    notes["trainer.history"] = [line.rsplit(" ", 1)[0] for line in notes["trainer.history"].splitlines()]
    return notes, arrays


def epochs_of(path):
    return len(checkpoint(path)[0]["trainer.history"]) if os.path.exists(path) else 0


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        whole = os.path.join(folder, "whole")
        command = [program, *ARGUMENTS, "--out", folder, "--checkpoint"]
        subprocess.run([*command, whole], check=True, stdout=subprocess.DEVNULL)
        expected_notes, expected = checkpoint(whole)
        assert len(expected) > 10 and any(name.startswith("trainer.best.") for name in expected)
        last = len(expected_notes["trainer.history"])
        for killed_after in range(1, last):
            parts = os.path.join(folder, f"parts{killed_after}")
            with subprocess.Popen([*command, parts], stdout=subprocess.DEVNULL) as run:
                while epochs_of(parts) < killed_after:
                    assert run.poll() is None, "it ended before it was killed"
                    time.sleep(0.002)
                run.send_signal(signal.SIGKILL)
            epochs = epochs_of(parts)
            result = subprocess.run([*command, parts, "--resume"], check=True, capture_output=True, text=True)
            assert f"going on after epoch {epochs} of" in result.stdout, result.stdout
            assert epochs == last or re.search(rf"epoch +{last}/{EPOCHS} ", result.stdout), result.stdout

            notes, arrays = checkpoint(parts)
            assert notes == expected_notes, (notes["trainer.history"], expected_notes["trainer.history"])
            assert arrays.keys() == expected.keys()
            for name, array in arrays.items():
                assert array == expected[name], f"{name} differs"


main()
