#!/usr/bin/env python3
"""Ranks that fail, and training that goes on: failing_ranks.py MPIRUN TRAIN_RANKS [KILLS]

One that throws, has a NaN or is killed ends the job within seconds, with an error that names it and the reason. After kill -9
of any rank at any moment the last checkpoint is whole, and training goes on from it to the same bits; on another number of
ranks to the same numbers but for rounding.
"""
import glob
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


def fails(folder, failure, rank, expected):
    run = subprocess.run(command(3, folder, failure, str(rank), "4"), capture_output=True, text=True, timeout=20)
    assert run.returncode != 0, failure
    for words in expected:
        assert words in run.stderr, (failure, words, run.stderr)
    assert not os.path.exists(os.path.join(folder, "trained"))
    return run.stderr


def killed(ranks, rng):
    """Kills a rank somewhere in the training, goes on, and gives the weights."""
    with tempfile.TemporaryDirectory() as folder:
        with subprocess.Popen(command(ranks, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            while not os.path.exists(os.path.join(folder, "checkpoint")):
                assert run.poll() is None, "it ended before it was killed"
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.4))
            with open(os.path.join(folder, f"pid.{rng.randrange(ranks)}")) as file:
                pid = int(file.read())
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended
            run.wait(timeout=20)
        done = os.path.exists(os.path.join(folder, "trained"))
        goes_on = rng.choice([ranks, 5 - ranks])  # 2 or 3
        subprocess.run(command(goes_on, folder), check=True, capture_output=True, timeout=60)
        assert not glob.glob(os.path.join(folder, "trained.new-*"))
        return weights(folder), goes_on == ranks, done


def main():
    with tempfile.TemporaryDirectory() as folder:
        fails(folder, "throw", 1, ["rank 1 of 3 ends by an exception", "no more data"])
    with tempfile.TemporaryDirectory() as folder:
        fails(folder, "nan", 2, ["rank 2 has a gradient of", "NaN", "no rank has changed its weights"])
        before = read(os.path.join(folder, "checkpoint"))[1]
        subprocess.run(command(3, folder), check=True, capture_output=True, timeout=60)
        assert before != weights(folder)
    with tempfile.TemporaryDirectory() as folder:
        fails(folder, "kill", 0, ["rank 0", "signal 9"])

    expected = {}
    for ranks in (2, 3):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(command(ranks, folder), check=True, capture_output=True, timeout=60)
            expected[ranks] = weights(folder)
    rng = random.Random(SEED)
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    same = other = 0
    for i in range(kills):
        ranks = rng.choice([2, 3])
        found, is_same, done = killed(ranks, rng)
        assert found.keys() == expected[ranks].keys()
        for name, array in found.items():
            if is_same:
                assert array == expected[ranks][name], (i, name)
            for a, b in zip(numbers(array), numbers(expected[ranks][name])):
                assert abs(a - b) < 1e-12, (i, name, a, b)
        same += is_same and not done
        other += not is_same and not done
    print(f"{kills} kills: {same} went on with the same bits, {other} on another number of ranks")


main()
