#!/usr/bin/env python3
"""Writes beside itself two checkpoints as transformers and torchvision lay them out, made small, and what PyTorch computes
from them: bert.safetensors, resnet.safetensors, expected.json. Needs Debian's python3-torch; the tests only read the results.
"""
import json
import math
import os
import struct

import torch
from torch.nn import functional as F

FOLDER = os.path.dirname(os.path.abspath(__file__))
# As the safetensors package orders them: the largest first, and those of one type by name.
TYPES = {torch.int64: "I64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


def save_file(tensors, path):
    """The bytes that safetensors.torch.save_file(tensors, path, {"format": "pt"}) writes."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, x in sorted(tensors.items(), key=lambda item: (list(TYPES).index(item[1].dtype), item[0])):
        integers = x.view(torch.int16).numpy() if x.dtype == torch.bfloat16 else x.numpy()
        header[name] = {"dtype": TYPES[x.dtype], "shape": list(x.shape), "data_offsets": [len(data), len(data) + integers.nbytes]}
        data += integers.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(FOLDER, path), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def array(x):
    return {"shape": list(x.shape), "data": x.reshape(-1).tolist()}


def doubles(tensors, prefix=""):
    return {name[len(prefix):]: x.double() for name, x in tensors.items() if name.startswith(prefix)}


# ---- BERT: of bert-base-uncased the names, with the old ones of LayerNorm; position_ids as earlier transformers saved them
WIDTH, HEADS, INNER = 6, 2, 8


def bert():
    torch.manual_seed(1)
    tensors = {"bert.embeddings.position_ids": torch.arange(9)[None]}

    def weight(name, *shape):
        tensors[name] = torch.randn(shape)

    def dense(name, rows, columns):
        weight(name + ".weight", rows, columns)
        weight(name + ".bias", rows)

    def norm(name):
        weight(name + ".gamma", WIDTH)
        weight(name + ".beta", WIDTH)

    weight("bert.embeddings.word_embeddings.weight", 11, WIDTH)
    weight("bert.embeddings.position_embeddings.weight", 9, WIDTH)
    weight("bert.embeddings.token_type_embeddings.weight", 2, WIDTH)
    norm("bert.embeddings.LayerNorm")
    layer = "bert.encoder.layer.0."
    for part in ["query", "key", "value"]:
        dense(layer + "attention.self." + part, WIDTH, WIDTH)
    dense(layer + "attention.output.dense", WIDTH, WIDTH)
    norm(layer + "attention.output.LayerNorm")
    dense(layer + "intermediate.dense", INNER, WIDTH)
    dense(layer + "output.dense", WIDTH, INNER)
    norm(layer + "output.LayerNorm")
    dense("bert.pooler.dense", WIDTH, WIDTH)
    weight("cls.predictions.bias", 11)
    dense("cls.seq_relationship", 2, WIDTH)
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = tensors[name].bfloat16()
    save_file(tensors, "bert.safetensors")

    p = doubles(tensors, "bert.")

    def linear(x, name):
        return F.linear(x, p[name + ".weight"], p[name + ".bias"])

    def layer_norm(x, name):
        return F.layer_norm(x, (WIDTH,), p[name + ".LayerNorm.gamma"], p[name + ".LayerNorm.beta"], 1e-12)

    ids, types = torch.tensor([2, 7, 7, 0, 10]), torch.tensor([0, 0, 0, 1, 1])
    x = (p["embeddings.word_embeddings.weight"][ids] + p["embeddings.position_embeddings.weight"][:len(ids)] +
         p["embeddings.token_type_embeddings.weight"][types])
    x = layer_norm(x, "embeddings")
    q, k, v = [linear(x, "encoder.layer.0.attention.self." + part).view(len(ids), HEADS, -1).transpose(0, 1)
               for part in ["query", "key", "value"]]
    attended = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(WIDTH / HEADS), -1) @ v
    attended = attended.transpose(0, 1).reshape(len(ids), WIDTH)
    x = layer_norm(linear(attended, "encoder.layer.0.attention.output.dense") + x, "encoder.layer.0.attention.output")
    inner = F.gelu(linear(x, "encoder.layer.0.intermediate.dense"))
    x = layer_norm(linear(inner, "encoder.layer.0.output.dense") + x, "encoder.layer.0.output")
    return {"ids": ids.tolist(), "types": types.tolist(), "attended": array(attended), "hidden": array(x),
            "pooled": array(torch.tanh(linear(x[0], "pooler.dense")))}


# ---- ResNet: of torchvision the names, after model.half()
def resnet():
    torch.manual_seed(2)
    tensors = {}

    def convolution(name, out, channels, size):
        tensors[name + ".weight"] = torch.randn(out, channels, size, size) / math.sqrt(channels * size * size)

    def norm(name, features):
        tensors.update({name + ".weight": torch.rand(features) + 0.5, name + ".bias": torch.randn(features),
                        name + ".running_mean": torch.randn(features), name + ".running_var": torch.rand(features) + 0.5,
                        name + ".num_batches_tracked": torch.tensor(5004)})

    convolution("conv1", 4, 3, 7)
    norm("bn1", 4)
    convolution("layer1.0.conv1", 6, 4, 3)
    norm("layer1.0.bn1", 6)
    convolution("layer1.0.conv2", 6, 6, 3)
    norm("layer1.0.bn2", 6)
    convolution("layer1.0.downsample.0", 6, 4, 1)
    norm("layer1.0.downsample.1", 6)
    tensors["fc.weight"], tensors["fc.bias"] = torch.randn(5, 6), torch.randn(5)
    tensors = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    save_file(tensors, "resnet.safetensors")

    p = doubles(tensors)

    def batch_norm(x, name):
        return F.batch_norm(x, p[name + ".running_mean"], p[name + ".running_var"], p[name + ".weight"], p[name + ".bias"])

    image = torch.randn(2, 3, 12, 12).double()
    x = F.relu(batch_norm(F.conv2d(image, p["conv1.weight"], stride=2, padding=3), "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    y = F.relu(batch_norm(F.conv2d(x, p["layer1.0.conv1.weight"], stride=2, padding=1), "layer1.0.bn1"))
    y = batch_norm(F.conv2d(y, p["layer1.0.conv2.weight"], padding=1), "layer1.0.bn2")
    x = batch_norm(F.conv2d(x, p["layer1.0.downsample.0.weight"], stride=2), "layer1.0.downsample.1")
    x = F.relu(x + y).mean((2, 3))
    return {"image": array(image), "logits": array(F.linear(x, p["fc.weight"], p["fc.bias"]))}


# ---- float to F16 and BF16: the bits, around ties, subnormal and largest numbers; and of some 300 numbers of all sizes
def rounding():
    torch.manual_seed(3)
    numbers = [0.0, 1.0, 1 / 3, math.pi, math.inf, math.nan, 65504, 65519.996, 65520, 65536, 3.3895313892515355e38, 3.4e38,
               2.0**-14, 2.0**-24, 2.0**-25, 2.0**-25 * 1.0001, 2.0**-24 * 1.5, 2.0**-14 - 2.0**-25, 2.0**-126, 2.0**-133,
               2.0**-134, 2.0**-134 * 1.5, 2.0**-149, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-11 + 2.0**-23, 1 + 2.0**-8,
               1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-23, 2 - 2.0**-23]
    x = torch.tensor(numbers)
    bits = torch.cat([torch.cat([x, -x]).view(torch.int32), torch.randint(-2**31, 2**31, (300,)).int()])
    x = bits.view(torch.float32)
    bits, half, brain = [y.tolist() for y in (bits, x.half().view(torch.int16), x.bfloat16().view(torch.int16))]
    return {"float": [b & 0xffffffff for b in bits], "F16": [b & 0xffff for b in half], "BF16": [b & 0xffff for b in brain]}


def main():
    with open(os.path.join(FOLDER, "expected.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps({"bert": bert(), "resnet": resnet(), "rounding": rounding()}) + "\n")


main()
