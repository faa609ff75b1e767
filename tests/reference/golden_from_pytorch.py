"""golden_from_pytorch.json: what the PyTorch scripts of examples/from_pytorch print, a number for each step, and the
hashes of the scripts that printed it."""
import glob
import hashlib
import json
import os
import subprocess
import sys

import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/from_pytorch")


def printed(path):
    run = subprocess.run([sys.executable, "-B", "-W", "ignore", path], stdout=subprocess.PIPE, check=True, text=True)
    return [float(line) for line in run.stdout.split()]


def text():
    paths = sorted(glob.glob(os.path.join(FOLDER, "*.py")))
    hashes, curves = {}, {}
    for path in paths:
        name = os.path.basename(path)
        with open(path, "rb") as file:
            hashes[name] = hashlib.sha256(file.read()).hexdigest()
        if name != "fill.py":
            curves[name[:-3]] = printed(path)
    lines = [f"{json.dumps(name)}: {json.dumps(curve)}" for name, curve in curves.items()]
    return (f'{{"torch": "{torch.__version__}",\n"scripts": {json.dumps(hashes, indent=0)},\n"curves": {{\n'
            + ",\n".join(lines) + "\n}}\n")
