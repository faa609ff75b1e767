#!/usr/bin/env python3
"""Kills a program that saves, at random moments, and takes its disk away: killed_saves.py SAVE_LOOP [KILLS]

After each kill the file holds one whole step, the last that was reported or the one after it. On a disk that is full, in a
folder that cannot be written and beyond a limit of file sizes, saving is an error that says so, and the old file
stays.
"""
import glob
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from read_safetensors import numbers, read

SEED = int(os.environ.get("XTAPE_SEED", "1"))


def step_of(path):
    """The step of a checkpoint, all numbers of which agree."""
    notes, arrays = read(path)
    step = int(notes["step"])
    for name, array in arrays.items():
        if not name.startswith("optimizer."):
            assert set(numbers(array)) == {float(step)}, f"{name} is not of step {step}"
    return step


def kill(program, folder, kills):
    path = os.path.join(folder, "model.safetensors")
    rng = random.Random(SEED)
    unfinished = beyond = last = 0
    for i in range(kills):
        with subprocess.Popen([program, path], stdout=subprocess.PIPE) as run:
            os.set_blocking(run.stdout.fileno(), True)
            run.stdout.readline()
            time.sleep(rng.uniform(0, 0.012))
            run.send_signal(signal.SIGKILL)
            lines = run.stdout.read().split()
        reported = int(lines[-1]) if lines else last
        step = step_of(path)
        assert step >= reported and (not lines or step <= reported + 1), (i, step, reported)
        beyond += bool(lines) and step == reported + 1
        last = step
        beside = glob.glob(path + ".new-*")
        unfinished += bool(beside)
        for one in beside:
            os.remove(one)
    print(f"{kills} kills (seed {SEED}): {unfinished} while a file was being written, {beyond} between the renaming and the "
          f"report; step {last} at the end, each file whole")
    assert unfinished > 0, "no kill came while a file was being written"


def refused(command, path, text, **options):
    """Saving fails with this text, and the checkpoint is still that of step 1; nothing is left beside it."""
    before = step_of(path)
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 1 and text in result.stderr, (text, result.returncode, result.stderr)
    assert path in result.stderr, result.stderr
    assert step_of(path) == before
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)], os.listdir(os.path.dirname(path))
    print(f"{text}: {result.stderr.strip()}")


def limit_file_size():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def in_namespace(program, path, script):
    """The same in a mount namespace of its own, where this process may mount."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", program, path, sys.executable,
               os.path.abspath(__file__)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main():
    if sys.argv[1] == "--refused":  # within a namespace
        refused([sys.argv[2], sys.argv[3]], sys.argv[3], sys.argv[4])
        return
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        kill(program, folder, int(sys.argv[2]) if len(sys.argv) > 2 else 300)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        subprocess.run([program, path, "1"], check=True, stdout=subprocess.DEVNULL)
        refused([program, path], path, "File too large", preexec_fn=limit_file_size)
        if not shutil.which("unshare") or in_namespace(program, path, "mount -t tmpfs none /mnt").returncode != 0:
            print("no mount namespaces here: a full disk and a read-only one are not tried")
            return
        for name, options, after, text in [("full", "size=400k", "", "No space left on device"),
                                           ("read only", "size=9m", "mount -o remount,ro /mnt;", "Read-only file system")]:
            script = f'mount -t tmpfs -o {options} none /mnt; "$1" /mnt/model 1 >&2; {after} "$3" "$4" --refused "$1" /mnt/model "{text}"'
            result = in_namespace(program, path, script)
            assert result.returncode == 0, (name, result.stdout, result.stderr)
            print(result.stdout.strip())


main()
