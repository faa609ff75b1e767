#!/usr/bin/env python3
"""Writes golden.json, golden_nn.json, golden_from_pytorch.json and extremes.csv, or those that are named:
make_references.py [NAME ...]

Needs Debian's python3-torch and python3-mpmath; the tests only read the results. A row's numbers depend on its name and
not on its place, so that a new one leaves the others as they are.
"""
import importlib
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
for result in sys.argv[1:] or ["golden.json", "golden_nn.json", "golden_from_pytorch.json", "extremes.csv"]:
    try:
        text = importlib.import_module(os.path.splitext(result)[0]).text()
    except ModuleNotFoundError as error:
        sys.exit(f"{result} needs {error.name}, Debian's python3-{error.name}, and Debian's own python3")
    with open(os.path.join(FOLDER, result), "w", encoding="utf-8") as file:
        file.write(text)
    print("wrote tests/reference/" + result)
