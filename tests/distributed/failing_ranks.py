#!/usr/bin/env python3
"""Ranks that fail, and training that goes on: failing_ranks.py MPIRUN TRAIN_RANKS [KILLS]

One that throws, has a NaN or is killed ends the job within seconds, with an error that names it and the reason. After kill -9
of any rank at any moment the last checkpoint is whole, and training goes on from it to the same bits; on another number of
ranks to the same numbers but for rounding.
"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "files"))
from read_safetensors import numbers, read  # noqa: E402

SEED = int(os.environ.get("XTAPE_SEED", "1"))
MPIRUN, PROGRAM = sys.argv[1], os.path.abspath(sys.argv[2])


def command(ranks, folder, *arguments):
    return [MPIRUN, "-np", str(ranks), PROGRAM, folder, *arguments]


def weights(folder):
    return read(os.path.join(folder, "trained"))[1]


def run(ranks, folder):
    subprocess.run(command(ranks, folder), check=True, capture_output=True, timeout=60)
    return weights(folder)


def fails(folder, failure, rank, expected):
    """The error within seconds, and the arrays of the checkpoint: those after three batches."""
    start = time.monotonic()
    failed = subprocess.run(command(3, folder, failure, str(rank), "4"), capture_output=True, text=True, timeout=60)
    assert failed.returncode != 0, failure
    assert time.monotonic() - start < 15, failure
    for words in expected:
        assert words in failed.stderr, (failure, words, failed.stderr)
    assert not os.path.exists(os.path.join(folder, "trained"))
    return read(os.path.join(folder, "checkpoint"))[1]


def killed(ranks, goes_on, kind, rng):
    """Kills a rank somewhere in the training, goes on, and gives the weights and whether it was still training."""
    with tempfile.TemporaryDirectory(suffix=kind) as folder:
        with subprocess.Popen(command(ranks, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as training:
            while not os.path.exists(os.path.join(folder, "checkpoint")):
                assert training.poll() is None, "it ended before it was killed"
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.3))
            with open(os.path.join(folder, f"pid.{rng.randrange(ranks)}")) as file:
                pid = int(file.read())
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended
            training.wait(timeout=20)
        hit = not os.path.exists(os.path.join(folder, "trained"))
        return run(goes_on, folder), hit


def main():
    failures = [("throw", 1, ["rank 1 of 3 ends by an exception", "no more data"]),
                ("nan", 2, ["rank 2 has a gradient of", "NaN", "no rank has changed its weights"]),
                ("nan loss", 1, ["rank 1 has a gradient of", "NaN", "no rank has changed its weights"]),
                ("kill", 0, ["rank 0", "signal 9"])]
    left = []
    for failure in failures:
        with tempfile.TemporaryDirectory() as folder:
            left.append(fails(folder, *failure))
    for arrays in left:  # of the same three batches, however the fourth ended
        assert arrays == left[0]

    expected = {}
    for kind in ("plain", "noisy"):
        for ranks in (2, 3):
            with tempfile.TemporaryDirectory(suffix=kind) as folder:
                expected[kind, ranks] = run(ranks, folder)
    rng = random.Random(SEED)
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    same = other = 0
    for i in range(kills):
        ranks, on_others = rng.choice([2, 3]), i % 3 == 2
        kind = "plain" if on_others else "noisy"
        found, hit = killed(ranks, 5 - ranks if on_others else ranks, kind, rng)
        wanted = expected[kind, ranks]
        assert found.keys() == wanted.keys()
        for name, array in found.items():
            assert on_others or array == wanted[name], (i, name)
            for a, b in zip(numbers(array), numbers(wanted[name])):
                assert abs(a - b) < 1e-12, (i, name, a, b)
        same += hit and not on_others
        other += hit and on_others
    assert same > 0 and (other > 0 or kills < 3), "no kill hit a training"
    print(f"{kills} kills: {same} went on with the same bits, {other} on another number of ranks")


main()
