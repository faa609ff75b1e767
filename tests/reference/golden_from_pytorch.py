"""golden_from_pytorch.json: what the PyTorch programs of examples/from_pytorch print, a number for each step."""
import glob
import json
import os
import subprocess
import sys

import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/from_pytorch")


def printed(path):
    run = subprocess.run([sys.executable, "-B", path], stdout=subprocess.PIPE, check=True, text=True)
    return [float(line) for line in run.stdout.split()]


def text():
    paths = sorted(glob.glob(os.path.join(FOLDER, "*.py")))
    curves = {os.path.basename(path)[:-3]: printed(path) for path in paths if not path.endswith("fill.py")}
    lines = [f"{json.dumps(name)}: {json.dumps(curve)}" for name, curve in curves.items()]
    return f'{{"torch": "{torch.__version__}", "curves": {{\n' + ",\n".join(lines) + "\n}}\n"
