#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, small files of every form: seeds.py FOLDER"""
import gzip
import json
import os
import struct
import sys
import zlib


def idx(kind, shape, data):
    return bytes([0, 0, kind, len(shape)]) + b"".join(struct.pack(">I", d) for d in shape) + data


def npy(shape, data, kind="<f4", order="False", version=1):
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    start = 10 if version == 1 else 12
    text += " " * (-(start + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text.encode() + data


def safetensors(arrays, notes=None, own=False):
    header, data = {}, b""
    if notes is not None or own:
        header["__metadata__"] = dict(notes or {})
    if own:
        header["__metadata__"].update({"xtape.version": "0.1.0", "xtape.crc32": "00000000"})
    for name, shape, values, *kind in arrays:
        part = bytes(values) if kind else struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": kind[0] if kind else "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if own:
        text = text.replace(b'"00000000"', b'"%08x"' % zlib.crc32(text + data))
    return struct.pack("<Q", len(text)) + text + data


MODEL = [("0.weight", [1, 2], [1, 2]), ("0.bias", [1], [3]), ("1.weight", [1], [4]), ("1.bias", [1], [5]),
         ("1.running_mean", [1], [6]), ("1.running_var", [1], [7])]
STATE = [("optimizer.steps.0.weight", [], [2]), ("optimizer.mean.0.weight", [1, 2], [0, 1]),
         ("optimizer.square.0.weight", [1, 2], [0, 1])]
RATE = {"optimizer.learning_rate": "0.001", "epoch": "3"}
TYPES = [(kind.lower(), [2], range(2 * size), kind) for kind, size in [
    ("BF16", 2), ("F16", 2), ("F64", 8), ("F8_E4M3", 1), ("F8_E5M2", 1), ("I8", 1), ("I16", 2), ("I32", 4), ("I64", 8), ("U8", 1),
    ("U16", 2), ("U32", 4), ("U64", 8), ("BOOL", 1)]]
IMAGES, LABELS = idx(8, [2, 2, 2], bytes(range(8))), idx(8, [2], bytes([1, 0]))


def pair(images, labels):
    return struct.pack("<H", len(images)) + images + labels


SEEDS = {
    "csv": [b"\0" + b"1,2,3\n4,5,6\n", b"\0\xef\xbb\xbf1e3,-.5,+7\r\n", b"\x06a,b,c\n1,2,3\n", b"\x08" + b"1;2;3\n",
            b"\x30" + b"1,2,3\n", b"\0" + gzip.compress(b"1,2\n3,4\n", mtime=0), b"\x01", b"\x40" + gzip.compress(b"1," * 600, mtime=0)],
    "idx": [pair(IMAGES, LABELS), pair(gzip.compress(IMAGES, mtime=0), LABELS), pair(idx(8, [0, 2, 2], b""), idx(8, [0], b"")),
            pair(idx(13, [1, 1], bytes(4)), LABELS)],
    "npy": [npy("(2,)", struct.pack("<2f", 1, 2)), npy("()", bytes(8), "<f8"), npy("(2, 1)", bytes(8), order="True"),
            npy("(1,)", bytes(4), version=2), npy("(0, 3)", b"")] + [
                npy("(2,)", bytes(range(2 * int(kind[2]))), kind) for kind in
                ["<f2", ">f2", ">f4", ">f8", "|i1", "|u1", "|b1", "<i2", ">i4", "<i8", "<u2", ">u4", "<u8"]],
    "safetensors": [
        safetensors([("a", [2], [1, 2]), ("b", [], [3])]), safetensors([], {"k": "v"}), safetensors(MODEL, RATE, own=True),
        *[safetensors([array]) for array in TYPES], safetensors(TYPES[:3] + [("none", [0, 2], b"", "I64")] + TYPES[9:])],
    "checkpoint": [safetensors(MODEL), safetensors(MODEL + STATE, RATE), safetensors(MODEL + STATE, RATE, own=True),
                   safetensors([("m.0.weight", [1, 2], range(4), "BF16"), ("1.bias", [1], range(2), "F16"),
                                ("n", [], range(8), "I64")])],
    "shapes": [bytes([2, 2, 3, 2, 2, 3, 1, 3, k, 1, 2, 0, 1, 1, 1, 1]) for k in range(30)],
}

for target, files in SEEDS.items():
    folder = os.path.join(sys.argv[1], target)
    os.makedirs(folder, exist_ok=True)
    for i, content in enumerate(files):
        with open(os.path.join(folder, f"seed_{i:02}"), "wb") as file:
            file.write(content)
