"""golden.json: values, gradients and second derivatives of every operation, and loss curves, computed by PyTorch in double.

The names are those of the rows in tests/ops/op_table.cpp. Elementwise operations are read from tests/ops/elementwise.inc.
"""
import json
import math
import zlib
from types import SimpleNamespace

import torch
from torch.nn import functional as F

import table

torch.set_default_dtype(torch.float64)

ANY = [[()], [(1,)], [(3,)], [(2, 3)], [(2, 1, 2, 2)]]
PAIR = [[(), (3,)], [(2, 3), (3,)], [(2, 1), (1, 3)], [(2, 1, 2, 1), (3, 1, 2)]]
MATRIX = [[(2, 3)], [(3, 3)], [(3, 2)]]
WIDE = (-2, 2)
# Whose second derivative PyTorch gives to fewer digits, and why.
NO_SECOND = {
    "lgamma": "its trigamma is right to 1e-9", "lgamma/negative": "its trigamma is right to 1e-9",
    "nn/bce": "its gradient divides by p (1 - p) + 1e-12",
}
cases = []


def draw(shapes, ranges, guard):
    """Inputs; elements are drawn again where the guard, which broadcasts as the operation does, is not above a margin."""
    inputs = [torch.zeros(shape) for shape in shapes]
    again = [torch.ones(shape) for shape in shapes]
    whole = torch.broadcast_shapes(*shapes) if guard else ()
    while any(mask.any() for mask in again):
        for x, mask, (low, high) in zip(inputs, again, ranges):
            x[mask > 0] = low + (high - low) * torch.rand(int((mask > 0).sum()))
        fails = (guard(*inputs) < 0.02).double().broadcast_to(whole) if guard else torch.zeros(())
        again = [fails.sum_to_size(shape if guard else ()) for shape in shapes]
    return [x.requires_grad_() for x in inputs]


def case(name, f, shapes, *ranges, guard=None):
    """Adds a row; ranges: one for each input or one for all. Its random numbers depend on its name alone."""
    torch.manual_seed(zlib.crc32(name.encode()))
    ranges = ranges or (WIDE,)
    for group in shapes:
        inputs = draw(group, ranges if len(ranges) > 1 else ranges * len(group), guard)
        y = f(*inputs)
        seed = torch.rand(y.shape) + 0.5
        grads = gradients(y, inputs, seed)
        cases.append({
            "op": name,
            "inputs": [tensor(x) for x in inputs],
            "seed": tensor(seed),
            "output": tensor(y),
            "gradients": [tensor(g) for g in grads],
            **({} if name in NO_SECOND else {"second": [tensor(g) for g in gradients(weighted(grads), inputs)]}),
        })


def gradients(y, inputs, seed=None):
    """Zeros for what y does not depend on."""
    grads = torch.autograd.grad(y, inputs, seed, create_graph=True, allow_unused=True) if y.requires_grad else [None] * len(inputs)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(grads, inputs)]


def weighted(grads):
    """A number that each element of the gradients is part of, differently."""
    return sum((g.reshape(-1) * torch.arange(g.numel()).mul(3.0).cos()).sum() for g in grads)


def tensor(t):
    return {"shape": list(t.shape), "data": t.detach().clone().reshape(-1).tolist()}


# ---- elementwise: the lines of the table, whose expressions call what C++ has in the namespace torch, and maps
NAMES = {
    "torch": SimpleNamespace(**{**vars(torch._C._nn), **vars(torch)}),
    "minimum": torch.minimum, "maximum": torch.maximum, "sin": torch.sin, "cos": torch.cos, "nothing": torch.ones(()),
}


def function(expression):
    return eval("lambda a, b=None: " + expression, NAMES)  # pylint: disable=eval-used


for line in table.lines():
    case(line.name, function(line.torch), ANY if line.operands == 1 else PAIR, (-4, 4), guard=function(line.guard))
MASK = torch.tensor([[True, False, True], [False, False, True]])
case("where/expression", lambda x: torch.where(MASK, x * x, torch.tensor(1.5)), [[(2, 3)], [(3,)], [()]])
case("map", lambda a: torch.exp(a) * torch.sin(a) + a * a, ANY)
case("map/two", lambda p, q: torch.where(p > q, p * torch.tanh(q), 2 * q - p / 3) * torch.sigmoid(p), PAIR)

# ---- reductions
AXIS1, LAST, AXES = [[(2, 3)], [(2, 3, 2)]], [[(3,)], [(2, 1, 3)]], [[(2, 3, 2)], [(2, 2, 2, 2)]]


def prod_axes(x, axes, keep):
    for a in sorted(a % x.dim() for a in axes):
        x = x.prod(a, keepdim=True)
    return x if keep else x.reshape([s for i, s in enumerate(x.shape) if i not in [a % x.dim() for a in axes]])


for name, f in [
    ("sum", lambda x, a, k: x.sum(a, keepdim=k)), ("mean", lambda x, a, k: x.mean(a, keepdim=k)),
    ("prod", prod_axes), ("max", lambda x, a, k: x.amax(a, keepdim=k)), ("min", lambda x, a, k: x.amin(a, keepdim=k)),
    ("logsumexp", lambda x, a, k: torch.logsumexp(x, a, keepdim=k)),
    ("norm", lambda x, a, k: torch.linalg.vector_norm(x, dim=a, keepdim=k)),
]:
    case(name, lambda x, f=f: f(x.reshape(-1), (0,), False).reshape(()), ANY)
    case(name + "/axis", lambda x, f=f: f(x, (1,), False), AXIS1)
    case(name + "/negative axis", lambda x, f=f: f(x, (-1,), False), LAST)
    case(name + "/axes", lambda x, f=f: f(x, (0, 2), True) * x, AXES)
case("var", lambda x: x.var(unbiased=False), [[(3,)], [(2, 3)]])
case("var/axes", lambda x: x.var((0, 1), unbiased=True, keepdim=True) * x, [[(2, 3)], [(2, 3, 2)]])
case("std", lambda x: x.std(unbiased=False), [[(3,)], [(2, 3)]])
case("std/axes", lambda x: x.std(-1, unbiased=True), [[(2, 3)], [(4,)]])
case("softmax", lambda x: x.softmax(-1) * x, [[(4,)], [(2, 3)], [(2, 1, 3)]])
case("softmax/axis", lambda x: x.softmax(0) * x, [[(4,)], [(2, 3)], [(2, 1, 3)]])
case("log_softmax", lambda x: x.log_softmax(-1), [[(4,)], [(2, 3)]])
case("log_softmax/axis", lambda x: x.log_softmax(0), [[(4,)], [(2, 3)]])
case("cumsum", lambda x: x.reshape(-1).cumsum(0) ** 2, ANY)
case("cumsum/axis", lambda x: x.cumsum(0) * x, [[(4,)], [(2, 3)], [(3, 1, 2)]])

# ---- products
case("matmul", torch.matmul, [[(3,), (3,)], [(2, 3), (3,)], [(3,), (3, 2)], [(2, 3), (3, 4)], [(2, 1, 2, 3), (3, 3, 1)],
                              [(9, 8), (8, 7)]])
case("dot", lambda a, b: torch.tensordot(a, b, ([a.dim() - 1], [max(b.dim() - 2, 0)])),
     [[(3,), (3,)], [(2, 3), (3, 2)], [(2, 3), (2, 3, 2)]])
case("outer", lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)), [[(3,), (2,)], [(2, 2), (3,)]])
case("linear", F.linear, [[(2, 3), (4, 3), (4,)], [(3,), (2, 3), (2,)], [(2, 2, 3), (1, 3), (1,)], [(6, 9), (8, 9), (8,)]])
case("linear/no bias", F.linear, [[(2, 3), (4, 3)], [(3,), (2, 3)]])

# ---- linear algebra: matrices that are regular, and of what is free to choose (signs of vectors) the squares
MATRICES = [[(1, 1)], [(2, 2)], [(3, 3)], [(4, 4)], [(2, 3, 3)], [(2, 1, 2, 2)]]
SYSTEMS = [[(1, 1), (1, 1)], [(3, 3), (3, 2)], [(2, 3, 3), (3, 1)], [(2, 2), (3, 2, 1)]]
TALL, WIDE_ONES = [[(1, 1)], [(3, 3)], [(4, 2)], [(2, 3, 2)]], [[(2, 3)], [(1, 3)], [(2, 2, 4)]]
LA = torch.linalg


def positive(a):
    return a @ a.mT + torch.eye(a.shape[-1])


def full(a):
    """Of full rank, with singular values apart; of a square matrix, far from singular."""
    return 0.2 * a + torch.diag(torch.arange(2.0, 2 + max(a.shape[-2:])))[:a.shape[-2], :a.shape[-1]]


def symmetric(a):
    return full(a) + full(a).mT


def triangular(a, b, upper, **options):
    return LA.solve_triangular(a, b, upper=upper, **options)


def lstsq(a, b):
    columns = b.unsqueeze(-1) if b.dim() == 1 else b
    batch = torch.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    return LA.lstsq(full(a).expand(*batch, -1, -1), columns.expand(*batch, -1, -1)).solution.reshape(
        *batch, a.shape[-1], *b.shape[1:] if b.dim() == 1 else columns.shape[-1:])


case("cholesky", lambda a: LA.cholesky(positive(a)), MATRICES)
case("solve_triangular", lambda a, b: triangular(full(a), b, False), SYSTEMS)
case("solve_triangular/upper", lambda a, b: triangular(full(a), b, True), SYSTEMS)
case("solve_triangular/transpose", lambda a, b: triangular(full(a).mT, b, True), SYSTEMS)
case("solve_triangular/unit", lambda a, b: triangular(0.3 * a.mT, b, False, unitriangular=True), SYSTEMS)
case("solve_triangular/unit lower", lambda a, b: triangular(0.3 * a, b, False, unitriangular=True), SYSTEMS)
case("cho_solve", lambda a, b: torch.cholesky_solve(b, LA.cholesky(positive(a))), SYSTEMS)
case("solve", lambda a, b: LA.solve(full(a), b), SYSTEMS)
case("solve/vector", lambda a, b: LA.solve(full(a), b), [[(3, 3), (3,)], [(2, 2, 2), (2,)]])
case("inv", lambda a: LA.inv(full(a)), MATRICES)
case("det", lambda a: LA.det(a + 0.1), MATRICES)
case("slogdet", lambda a: torch.mul(*LA.slogdet(full(a))), MATRICES)
case("matrix_power", lambda a: LA.matrix_power(a, 5), MATRICES)
case("matrix_power/negative", lambda a: LA.matrix_power(full(a), -2), MATRICES)
case("matrix_power/0", lambda a: LA.matrix_power(a, 0) * a, MATRICES)
case("expm", lambda a: torch.matrix_exp(0.5 * a), MATRICES)
case("expm/large", lambda a: torch.matrix_exp(3 * a) / 100, [[(3, 3)]])
for kind, shapes in (" tall", TALL), (" wide", WIDE_ONES):
    kind = kind.replace(" tall", "")
    case("qr/Q" + kind, lambda a: LA.qr(full(a)).Q ** 2, shapes)
    case("qr/R" + kind, lambda a: LA.qr(full(a)).R ** 2, shapes)
    case("svd/U" + kind, lambda a: LA.svd(full(a), full_matrices=False).U ** 2, shapes)
    case("svd/s and Vh" + kind, lambda a: (lambda U, s, Vh: s.unsqueeze(-1) * Vh ** 2)(*LA.svd(full(a), full_matrices=False)), shapes)
    case("svdvals" + kind.replace(" ", "/"), lambda a: LA.svdvals(full(a)), shapes)
    case("pinv" + kind.replace(" ", "/"), lambda a: LA.pinv(full(a)), shapes)
case("eigh", lambda a: LA.eigh(symmetric(a)).eigenvectors ** 2, MATRICES)
case("eigh/both", lambda a: (lambda w, V: w.unsqueeze(-2) * V ** 2)(*LA.eigh(symmetric(a))), MATRICES)
case("eigvalsh", lambda a: LA.eigvalsh(symmetric(a)), MATRICES)
case("lstsq", lstsq, [[(4, 2), (4, 1)], [(3, 3), (3, 2)], [(2, 3, 2), (3, 2)], [(4, 2), (4,)]])
case("lstsq/wide", lstsq, [[(2, 4), (2, 1)], [(2, 3), (2, 2, 1)]])
for subscripts, shapes in [
    ("bij,bjk->bik", [[(2, 2, 3), (2, 3, 2)], [(1, 1, 2), (1, 2, 1)]]),
    ("bji,kbj->ikb", [[(2, 2, 3), (2, 2, 2)]]),
    ("ii->i", [[(3, 3)]]),
    ("ijii->j", [[(2, 3, 2, 2)]]),
    ("ij,ij->i", [[(2, 3), (2, 3)]]),
    ("i,j", [[(2,), (3,)]]),
    ("ij,jk,kl->il", [[(2, 3), (3, 4), (4, 2)]]),
    ("...ij,...jk->...ik", [[(2, 1, 2, 3), (3, 3, 2)], [(2, 3), (2, 3, 1)]]),
    ("ij,kj", [[(2, 3), (2, 3)], [(2, 1), (2, 3)]]),
]:
    case("einsum/" + subscripts, lambda *x, s=subscripts: torch.einsum(s, *x), shapes)

# ---- normalisation
case("batch_norm", lambda x, g, b: F.batch_norm(x, None, None, g, b, True) ** 2,
     [[(4, 3), (3,), (3,)], [(7, 1), (1,), (1,)], [(5, 21), (21,), (21,)]])
case("layer_norm", lambda x, g, b: F.layer_norm(x, x.shape[-1:], g, b) ** 2,
     [[(4, 3), (3,), (3,)], [(5,), (5,), (5,)], [(2, 2, 4), (4,), (4,)], [(2, 21), (21,), (21,)]])

# ---- attention; F.scaled_dot_product_attention came later than the PyTorch that computes these
def attention(q, k, v, causal=False, seen=None, bias=None, heads=0, scale=None):
    split = (lambda t: t.unflatten(-1, (heads, t.shape[-1] // heads)).transpose(-3, -2)) if heads else lambda t: t
    q, k, v = split(q), split(k), split(v)
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5) + (0 if bias is None else bias)
    if seen is not None:
        scores = scores.masked_fill(seen == 0, -math.inf)
    if causal:
        L, S = scores.shape[-2:]
        scores = scores.masked_fill(torch.ones(L, S).triu(S - L + 1) > 0, -math.inf)
    y = scores.softmax(-1) @ v
    return y.transpose(-3, -2).flatten(-2) if heads else y


def rotary(x, first=0, heads=1, base=10000):
    D = x.shape[-1] // heads
    low, high = x.unflatten(-1, (heads, 2, D // 2)).unbind(-2)
    angle = (first + torch.arange(x.shape[-2])).unsqueeze(1) * base ** (-torch.arange(D // 2) * 2 / D)
    c, s = angle.cos().unsqueeze(1), angle.sin().unsqueeze(1)
    return torch.stack([low * c - high * s, high * c + low * s], -2).flatten(-3)


case("attention", attention, [[(2, 3), (4, 3), (4, 2)], [(2, 1, 3, 2), (3, 5, 2), (1, 1, 5, 3)]])
case("attention/causal", lambda q, k, v: attention(q, k, v, causal=True, scale=0.7),
     [[(3, 2), (3, 2), (3, 2)], [(1, 2), (4, 2), (4, 3)], [(2, 2, 3), (2, 5, 3), (2, 5, 2)]])
case("attention/bias", lambda q, k, v, b: attention(q, k, v, seen=torch.tensor([[1, 0, 1, 1]]), bias=b),
     [[(2, 3), (4, 3), (4, 2), (2, 4)], [(2, 1, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2), (2, 1, 1, 4)]])
case("attention/heads", lambda q, k, v, b: attention(q, k, v, causal=True, bias=b, heads=2),
     [[(3, 4), (3, 4), (3, 2), (2, 3, 3)], [(2, 2, 2), (2, 4, 2), (2, 4, 4), (2, 2, 1, 4)]])
case("rotary_embedding", lambda x: rotary(x) ** 2, [[(3, 2)], [(2, 4, 6)]])
case("rotary_embedding/heads", lambda x: rotary(x, 5, 2, 100) ** 2, [[(2, 4)], [(2, 3, 8)]])

# ---- layout
case("reshape", lambda x: x.reshape(-1, 2) ** 2, [[(4,)], [(2, 3)]])
case("flatten", lambda x: x.reshape(-1) ** 2, ANY)
case("flatten/axes", lambda x: x.flatten(-2, -1) ** 2, [[(2, 3)], [(2, 2, 3)]])
case("squeeze", lambda x: x.squeeze() ** 2, ANY)
case("squeeze/axis", lambda x: x.squeeze(-2) ** 2, [[(2, 1, 3)]])
case("unsqueeze", lambda x: x.unsqueeze(-1) ** 2, ANY)
case("transpose", lambda x: x.permute(tuple(reversed(range(x.dim())))) ** 2, ANY)
case("transpose/permutation", lambda x: x.permute(1, 2, 0) ** 2, [[(2, 3, 2)], [(2, 1, 3)]])
case("broadcast_to", lambda x: x.broadcast_to(2, 3, 2) ** 2, [[()], [(2,)], [(3, 1)], [(2, 1, 2)]])
case("concatenate", lambda a, b: torch.cat([a, b, a], -1) ** 2, [[(2,), (3,)], [(2, 3), (2, 1)]])
case("stack", lambda a, b: torch.stack([a, b], 1) ** 2, [[(2,), (2,)], [(2, 3), (2, 3)]])
case("split", lambda x: torch.mul(*x.tensor_split(2, 0)), [[(4,)], [(2, 3)]])
case("split/known", lambda x: torch.mul(*x.chunk(2, -1)), [[(4,)], [(3, 2)]])
case("unbind", lambda x: torch.mul(*x.unbind(-1)), [[(2,)], [(3, 2)]])


def split_indices(x):
    a, b, c = x.tensor_split([1, 3], -1)
    return a.sum() * b.sum() + (c ** 2).sum()


case("split/indices", split_indices, [[(4,)], [(2, 1, 5)]])
case("slice", lambda x: x[0:2, None, -1] ** 2, [[(2, 3)], [(2, 2, 3)]])
case("slice/steps", lambda x: x.flip(-1)[..., ::2] ** 2, [[(5,)], [(2, 4)]])
case("flip", lambda x: x.flip(tuple(range(x.dim()))) * x if x.dim() else x * x, ANY)
case("flip/axis", lambda x: x.flip(0) * x, [[(3,)], [(2, 3)]])
case("tril", lambda x: x.tril() ** 2, MATRIX)
case("triu", lambda x: x.triu(1) ** 2, MATRIX)
case("triu/batch", lambda x: x.triu(-1) ** 2, [[(2, 3, 3)]])
case("diag", lambda x: x.diag() ** 2, [[(3,)], [(2, 3)], [(3, 2)]])
case("diag/off", lambda x: x.diag(-1) ** 2, [[(3,)], [(2, 3)], [(3, 2)]])
case("trace", lambda x: x.diag(1).sum() ** 2, [[(2, 3)], [(3, 3)]])

# ---- indexing
case("take", lambda x: x[:, torch.tensor([[0, -1], [1, 1]])] ** 2, [[(2, 3)], [(2, 2, 3)]])
case("take/flat", lambda x: x.reshape(-1)[torch.tensor([2, 0, 2])] ** 2, [[(3,)], [(2, 3)]])
case("gather", lambda x: x.gather(1, torch.tensor([[0, 2], [1, 1]])) ** 2, [[(2, 3)], [(2, 4)]])
case("gather/axis 0", lambda x: x.gather(0, torch.tensor([[0, x.shape[0] - 1]])) ** 2, [[(2, 2)], [(3, 2)]])
case("gather/ranks", lambda x: x.gather(-1, torch.ones(*x.shape[:-1], 2, dtype=torch.long)) ** 2 * x.sum(),
     [[(3,)], [(2, 2, 2)], [(2, 1, 2, 3)]])
case("scatter_add/ranks", lambda x, u: x.scatter_add(0, torch.ones(u.shape, dtype=torch.long), u) ** 2,
     [[(3,), (2,)], [(2, 2, 2), (3, 2, 2)]])
case("scatter_add", lambda x, u: x.scatter_add(1, torch.tensor([[0, 2], [1, 1]]), u) ** 2, [[(2, 3), (2, 2)], [(2, 4), (2, 2)]])

# ---- losses of nn
YES = torch.tensor([1.0, 0.0, 0.3])
LABELS = torch.tensor([2, 0])
case("nn/mse", lambda a, y: F.mse_loss(a, y), [[(3,), (3,)], [(2, 3), (2, 3)]])
case("nn/half_squared_error", lambda a, y: 0.5 * ((a - y) ** 2).sum(), [[(3,), (3,)], [(2, 3), (2, 3)]])
case("nn/bce", lambda p: F.binary_cross_entropy(p, YES), [[(3,)]], (0.05, 0.95))
case("nn/bce_with_logits", lambda z: F.binary_cross_entropy_with_logits(z, YES, reduction="sum"), [[(3,)]], (-6, 6))
case("nn/cross_entropy", lambda z: F.cross_entropy(z, LABELS), [[(2, 3)]], (-6, 6))
case("nn/cross_entropy_soft", lambda z: F.cross_entropy(z, torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), reduction="none"),
     [[(2, 3)]], (-6, 6))


# ---- convolution and pooling; random numbers have no ties
IMAGES = [[(2, 2, 4, 6)], [(1, 1, 5, 5)], [(3, 1, 3, 4)]]
case("unfold", lambda x: F.unfold(x, 2) ** 2, IMAGES)
case("unfold/steps", lambda x: F.unfold(x, (2, 3), stride=(2, 1), padding=(0, 2)) ** 2, IMAGES)
case("fold", lambda c: F.fold(c, (3, 4), 2) ** 2, [[(2, 8, 6)], [(1, 4, 6)]])
case("fold/steps", lambda c: F.fold(c, (5, 4), (2, 3), stride=(2, 1), padding=(0, 2)) ** 2, [[(2, 6, 12)]])
case("conv2d", lambda x, w, b: F.conv2d(x, w, b) ** 2,
     [[(2, 3, 5, 4), (2, 3, 3, 2), (2,)], [(1, 1, 1, 1), (1, 1, 1, 1), (1,)],
     [(3, 2, 4, 5), (3, 2, 1, 1), (3,)], [(2, 2, 3, 4), (2, 2, 3, 4), (2,)], [(2, 3, 7, 6), (4, 3, 3, 3), (4,)]])
case("conv2d/no bias", lambda x, w: F.conv2d(x, w, stride=2, padding=(1, 2)) ** 2,
     [[(2, 2, 5, 4), (3, 2, 3, 3)], [(1, 1, 1, 1), (1, 1, 3, 5)], [(2, 1, 6, 7), (2, 1, 3, 2)]])
case("unfold/dilation", lambda x: F.unfold(x, (2, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 2)) ** 2, IMAGES)
case("fold/dilation", lambda c: F.fold(c, (5, 4), (2, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 2)) ** 2, [[(2, 6, 8)]])
case("conv2d/dilation", lambda x, w, b: F.conv2d(x, w, b, stride=(1, 2), padding=(1, 2), dilation=(2, 3)) ** 2,
     [[(2, 2, 5, 6), (3, 2, 2, 3), (3,)], [(1, 1, 1, 3), (1, 1, 2, 1), (1,)], [(1, 3, 7, 8), (2, 3, 3, 3), (2,)]])
case("conv2d/groups", lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=1, dilation=(1, 2), groups=2) ** 2,
     [[(2, 4, 5, 4), (6, 2, 2, 3), (6,)], [(1, 2, 3, 3), (2, 1, 1, 2), (2,)], [(1, 6, 5, 6), (4, 3, 3, 2), (4,)]])
case("conv2d/depthwise", lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=3) ** 2,
     [[(2, 3, 4, 5), (3, 1, 3, 3)], [(1, 3, 4, 3), (6, 1, 2, 3)]])
case("max_pool2d", lambda x: F.max_pool2d(x, 2) ** 2, IMAGES)
case("max_pool2d/overlapping", lambda x: F.max_pool2d(x, (3, 2), (1, 2), 1) ** 2, IMAGES)
case("avg_pool2d", lambda x: F.avg_pool2d(x, 2) ** 2, IMAGES)
case("avg_pool2d/overlapping", lambda x: F.avg_pool2d(x, (3, 2), (1, 2), 1) ** 2, IMAGES)

case("squared_norm", lambda x: x.square().sum(), ANY)
case("squared_norm/axis", lambda x: x.square().sum(1), AXIS1)
case("squared_norm/negative axis", lambda x: x.square().sum(-1), LAST)
case("squared_norm/axes", lambda x: x.square().sum((0, 2), keepdim=True) * x, AXES)
case("var/axes apart", lambda x: x.var((0, 2), unbiased=False, keepdim=True) * x, [[(2, 3, 2)], [(3, 1, 2)]])

# ---- sorting, masks and arranging, by functions of the same names where PyTorch has them
ROWS, SQUARES = [[(4,)], [(2, 3)], [(2, 1, 3)]], [[(2, 3)], [(3, 2)], [(2, 1, 2, 2)]]
PAIRS = [[(), (3,)], [(2, 3), (2, 3)], [(2, 1), (3,)]]
case("cumprod", lambda x: x.reshape(-1).cumprod(0), ANY)
case("cumprod/axis", lambda x: x.cumprod(0) * x, ROWS)
case("any", lambda x: (x > 1).any() * x * x, ANY)
case("any/axes", lambda x: (x > 1).any(-1, keepdim=True) * x ** 2, ROWS)
case("all", lambda x: x ** 2 + (x > -3).all() * x, ANY)
case("all/axes", lambda x: (x > -1).all(0, keepdim=True) * x ** 2, ROWS)
case("sort", lambda x: x.sort(-1).values * x, ROWS)
case("sort/descending", lambda x: x.sort(0, descending=True).values * x, ROWS)
case("argsort", lambda x: x.gather(-1, x.argsort(-1)) ** 2, ROWS)
case("argsort/descending", lambda x: x.gather(0, x.argsort(0, descending=True)) ** 2, ROWS)
case("topk", lambda x: x.topk(2).values * (x * x).gather(-1, x.topk(2).indices), [[(3,)], [(2, 4)], [(2, 2, 2)]])
case("topk/smallest", lambda x: x.topk(1, 0, largest=False).values ** 2, [[(3,)], [(2, 4)], [(2, 2, 2)]])
case("argmax", lambda x: x.reshape(-1)[x.argmax()] * x, ROWS)
case("argmax/axis", lambda x: x.gather(0, x.argmax(0, keepdim=True)) ** 2, ROWS)
case("argmin", lambda x: x.reshape(-1)[x.argmin()] * x, ROWS)
case("argmin/axis", lambda x: x.index_select(-1, x.argmin(-1).reshape(-1)).reshape(x.shape[:-1] + x.shape[:-1]) * x.sum(), ROWS)
case("cummax", lambda x: x.cummax(-1).values * x, ROWS)
case("cummin", lambda x: x.cummin(0).values * x, ROWS)
case("one_hot", lambda x: F.one_hot(torch.tensor([[2, 0], [1, 1]]), 3) * x ** 2, [[()], [(3,)], [(2, 2, 3)]])
case("one_hot/argmax", lambda x: F.one_hot(x.argmax(-1), x.shape[-1]) * x * x, ROWS)
case("tril_indices", lambda x: x[tuple(torch.tril_indices(2, 2))] ** 2, [[(2, 2)]])
case("triu_indices", lambda x: x[tuple(torch.triu_indices(2, 3, 1))] ** 2, [[(2, 3)]])
case("isnan", lambda x: x * x * (1 + x.isnan().double()), ANY)
case("isfinite", lambda x: x * x * x.isfinite(), ANY)
for name in "logical_not", "operator!":
    sign = 1 if name == "operator!" else 0
    case(name, lambda x, s=sign: x * x * (1 - s) * (x > 0).logical_not() + s * (x * x + (x > 0).logical_not()), ANY)
for name, f in [("and", torch.logical_and), ("or", torch.logical_or)]:
    for op in "logical_" + name, "operator" + {"and": "&&", "or": "||"}[name]:
        case(op, lambda a, b, f=f: (a + b) ** 2 * (2 + f(a > 0, b > -1).double()), PAIRS)
case("masked_fill", lambda a, b: torch.where(b > 0, torch.tensor(1.5), a) ** 2 + b, PAIRS)


def padded(x, before, after, mode):
    """Along each axis, by places in a line that is reflected or repeated."""
    for axis, n in enumerate(x.shape):
        places = range(-before, n + after)
        place = {"edge": lambda p, n=n: min(max(p, 0), n - 1), "wrap": lambda p, n=n: p % n,
                 "reflect": lambda p, n=n: min(p % (2 * n - 2), (-p) % (2 * n - 2)),
                 "symmetric": lambda p, n=n: min(p % (2 * n), (-1 - p) % (2 * n))}[mode]
        x = x.index_select(axis, torch.tensor([place(p) for p in places]))
    return x


case("pad", lambda x: (F.pad(x, (1, 1) * x.dim()) if x.dim() else x) ** 2, ANY)
case("pad/pairs", lambda x: F.pad(x, (0, 2, 1, 0), value=0.5) ** 2, [[(2, 3)], [(1, 1)]])
for mode in "edge", "reflect", "symmetric", "wrap":
    case("pad/" + mode, lambda x, mode=mode: padded(x, 1, 2, mode) ** 2, [[(3,)], [(3, 4)]])
case("repeat", lambda x: x.repeat_interleave(2) ** 2, ANY)
case("repeat/axis", lambda x: x.repeat_interleave(3, -1) ** 2, ROWS)
case("repeat/counts", lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), 0) ** 2, [[(3,)], [(3, 2)]])
case("tile", lambda x: x.tile(2) ** 2, ANY)
case("tile/axes", lambda x: x.tile(2, 1, 3) ** 2, ANY)
case("roll", lambda x: x.roll(1) * x if x.dim() else x * x, ANY)
case("roll/axis", lambda x: x.roll(-1, 0) * x, ROWS)
case("roll/axes", lambda x: x.roll((1, -2), (0, -1)) * x, SQUARES)
case("expand_dims", lambda x: x.unsqueeze(-1) ** 2, ANY)
case("swapaxes", lambda x: x.swapaxes(0, -1) ** 2, SQUARES)
case("moveaxis", lambda x: x.moveaxis(0, -1) ** 2, SQUARES)
case("moveaxis/axes", lambda x: x.moveaxis((0, 2), (-1, 0)) ** 2, [[(2, 1, 3)], [(2, 1, 2, 2)]])
case("vstack", lambda a, b: torch.vstack([a, b, a]) ** 2, [[(), (1,)], [(3,), (2, 3)], [(1, 2), (2, 2)], [(2, 1, 2), (1, 1, 2)]])
case("hstack", lambda a, b: torch.hstack([a, b, a]) ** 2, [[(), (1,)], [(3,), (2,)], [(2, 1), (2, 2)], [(2, 1, 2), (2, 2, 2)]])
case("meshgrid", lambda a, b: math.prod(m ** (k + 1) for k, m in enumerate(torch.meshgrid(a, b, indexing="xy"))),
     [[(2,), (3,)], [(), (2,)]])


def grid_of_three(a, b):
    x, y, z = torch.meshgrid(a, b, a, indexing="ij")
    return x * y ** 2 + z


case("meshgrid/ij", grid_of_three, [[(2,), (3,)], [(1,), (2,)]])

# ---- 20 steps of a 2-layer network, for each optimiser
def curve(make_optimizer):
    torch.manual_seed(7)
    x, y = torch.randn(8, 3), torch.rand(8, 2)
    W1, b1 = torch.randn(5, 3) * 0.5, torch.randn(5) * 0.1
    W2, b2 = torch.randn(2, 5) * 0.5, torch.randn(2) * 0.1
    start = {"x": x, "y": y, "W1": W1, "b1": b1, "W2": W2, "b2": b2}
    result = {name: tensor(t) for name, t in start.items()}
    p = [t.clone().requires_grad_() for t in (W1, b1, W2, b2)]
    optimizer = make_optimizer(p)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.mse_loss(torch.sigmoid(F.linear(torch.tanh(F.linear(x, p[0], p[1])), p[2], p[3])), y)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    result["losses"] = losses
    result["final"] = [tensor(t) for t in p]
    return result


curves = {
    "sgd": curve(lambda p: torch.optim.SGD(p, lr=0.5)),
    "momentum": curve(lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9, weight_decay=0.01)),
    "nesterov": curve(lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9, nesterov=True)),
    "adam": curve(lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.01)),
}


# ---- four steps of recurrent layers: outputs, last state, and the gradients of everything
def recurrent(make, states):
    torch.manual_seed(11)
    layer = make(3, 4)
    x = torch.randn(4, 2, 3, requires_grad=True)
    start = [torch.randn(1, 2, 4, requires_grad=True) for _ in range(states)]
    y, last = layer(x, start[0] if states == 1 else tuple(start))
    last = [last] if states == 1 else list(last)
    seeds = [torch.rand(t.shape) + 0.5 for t in [y] + last]
    weights = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]
    inputs = [x] + start + weights
    grads = torch.autograd.grad([y] + last, inputs, seeds)
    return {name: [tensor(t) for t in group]
            for name, group in {"inputs": inputs, "outputs": [y] + last, "seeds": seeds, "gradients": grads}.items()}


layers = {"lstm": recurrent(torch.nn.LSTM, 2), "gru": recurrent(torch.nn.GRU, 1)}

assert math.isfinite(sum(curves["sgd"]["losses"]))


def text():
    """A case on each line."""
    rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    rest = json.dumps({"curves": curves, "recurrent": layers}, separators=(",", ":"))
    return f'{{"torch":"{torch.__version__}","cases":[\n{rows}\n],\n{rest[1:]}\n'
