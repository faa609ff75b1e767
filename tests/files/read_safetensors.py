"""A reader of safetensors files by the published format alone, to check what the library writes."""
import json
import struct
import zlib

TYPES = {"F32": "f", "F64": "d"}


def read(path):
    """The notes, and for each array its type, shape and bytes. Fails where the file is not as the format says."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack_from("<Q", content)
    text, data = content[8:8 + length], content[8 + length:]
    assert len(text) == length and text.startswith(b"{")
    header = json.loads(text)
    notes = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in notes.values())
    digits = notes.pop("xtape.crc32")
    without = text.replace(f'"xtape.crc32":"{digits}"'.encode(), b'"xtape.crc32":"00000000"')
    assert int(digits, 16) == zlib.crc32(without + data), "its checksum is not that of its bytes"
    assert notes.pop("xtape.version")
    if notes.pop("xtape.format", None):  # else the format is the caller's note
        assert notes.pop("format") == "pt", "transformers asks for it"
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        size = struct.calcsize(TYPES[entry["dtype"]])
        for dimension in entry["shape"]:
            size *= dimension
        assert first == end and last - first == size, name
        arrays[name], end = (entry["dtype"], entry["shape"], data[first:last]), last
    assert end == len(data)
    return notes, arrays


def numbers(array):
    """The elements of an array, in order."""
    kind, _, data = array
    return struct.unpack(f"<{len(data) // struct.calcsize(TYPES[kind])}{TYPES[kind]}", data)
