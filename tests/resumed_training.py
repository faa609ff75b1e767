#!/usr/bin/env python3
"""Checks that a training that was killed goes on as if nothing had happened: resumed_training.py PROGRAM

The checkpoints of a whole run and of one that was killed after its first epoch and resumed have the same arrays, bit for
bit, and the same notes but for the seconds. They are read here by the published format, not by the library.
"""
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ARGUMENTS = ["--samples", "6400", "--epochs", "3", "--patience", "0"]


def read(path):
    """The notes and the bytes of each array of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        text, data = file.read(length), file.read()
    header = json.loads(text)
    notes = header.pop("__metadata__")
    digits = notes.pop("xtape.crc32")
    without = text.replace(f'"xtape.crc32":"{digits}"'.encode(), b'"xtape.crc32":"00000000"')
    assert int(digits, 16) == zlib.crc32(without + data), "its checksum is not that of its bytes"
    notes["history"] = [line.rsplit(" ", 1)[0] for line in notes["history"].splitlines()]
    return notes, {name: (e["dtype"], e["shape"], data[slice(*e["data_offsets"])]) for name, e in header.items()}


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
        epochs = len(read(parts)[0]["history"])
        assert epochs < 3, "it was killed too late"
        result = subprocess.run([*command, parts, "--resume"], check=True, capture_output=True, text=True)
        assert f"going on after epoch {epochs} of" in result.stdout, result.stdout
        assert re.search(r"epoch +3/3 ", result.stdout), result.stdout

        (notes, arrays), (expected_notes, expected) = read(parts), read(whole)
        assert notes == expected_notes, (notes["history"], expected_notes["history"])
        assert arrays.keys() == expected.keys() and len(arrays) > 10
        for name, array in arrays.items():
            assert array == expected[name], f"{name} differs"


main()
