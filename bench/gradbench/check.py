#!/usr/bin/env python3
"""Checks the programs of this folder without GradBench: check.py PROGRAMS

Each is run on a tiny input. Its value is compared with the formula, written here anew, and its gradient with
differences of its values.
"""
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

rng = random.Random(1)


def numbers(*shape):
    return [numbers(*shape[1:]) for _ in range(shape[0])] if shape else rng.uniform(-1, 1)


def logsumexp(v):
    return math.log(sum(map(math.exp, v)))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def gmm(i):
    d, gamma, degrees = i["d"], i["gamma"], i["d"] + i["m"] + 1
    value = -i["n"] * (d / 2 * math.log(2 * math.pi) + logsumexp(i["alpha"]))
    ln_gamma = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((degrees - j) / 2) for j in range(d))
    value += i["k"] * (degrees * d * math.log(gamma / math.sqrt(2)) - ln_gamma)
    factors = []
    for q, l in zip(i["q"], i["l"]):
        below = iter(l)
        columns = [[0] * j + [math.exp(q[j])] + [next(below) for _ in range(j + 1, d)] for j in range(d)]
        factors.append(columns)
        value += i["m"] * sum(q) - gamma ** 2 / 2 * sum(x * x for column in columns for x in column)
    for x in i["x"]:
        beta = []
        for alpha, mu, q, columns in zip(i["alpha"], i["mu"], i["q"], factors):
            z = [sum(columns[j][row] * (x[j] - mu[j]) for j in range(d)) for row in range(d)]
            beta.append(alpha + sum(q) - sum(y * y for y in z) / 2)
        value += logsumexp(beta)
    return value


def llsq(i):
    value = 0
    for k in range(i["n"]):
        t = -1 + 2 * k / (i["n"] - 1)
        value += ((t > 0) - (t < 0) - sum(x * t ** j for j, x in enumerate(i["x"]))) ** 2 / 2
    return value


def lstm(i):
    b, state, loss = len(i["sequence"][0]), [list(row) for row in i["state"]], 0
    for now, after in zip(i["sequence"], i["sequence"][1:]):
        data = [x * w for x, w in zip(now, i["extra_params"][0])]
        for layer in range(0, len(state), 2):
            hidden, cell = state[layer], state[layer + 1]
            for j in range(b):
                def gate(number, of):
                    return i["main_params"][layer][number * b + j] * of + i["main_params"][layer + 1][number * b + j]
                change = sigmoid(gate(1, hidden[j])) * math.tanh(gate(3, hidden[j]))
                cell[j] = cell[j] * sigmoid(gate(0, data[j])) + change
                hidden[j] = sigmoid(gate(2, data[j])) * math.tanh(cell[j])
            data = hidden
        y = [x * w + bias for x, w, bias in zip(data, *i["extra_params"][1:])]
        normaliser = math.log(2 + sum(map(math.exp, y)))
        loss -= sum(a * (x - normaliser) for a, x in zip(after, y))
    return loss / ((len(i["sequence"]) - 1) * b)


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def ba(i):
    r, at, (f, u, v, k1, k2) = i["cam"][:3], i["cam"][3:6], i["cam"][6:]
    p, angle = [x - c for x, c in zip(i["x"], at)], math.hypot(*r)
    if angle > 0:
        axis = [x / angle for x in r]
        along, side = sum(a * x for a, x in zip(axis, p)), cross(axis, p)
        x, y, z = (c * math.cos(angle) + s * math.sin(angle) + a * along * (1 - math.cos(angle))
                   for c, s, a in zip(p, side, axis))
    else:
        x, y, z = p
    x, y = x / z, y / z
    square = x * x + y * y
    scale = f * (1 + k1 * square + k2 * square ** 2)
    w, (seen_x, seen_y) = i["w"], i["feat"]
    return {"reproj_error": {"elements": [w * (scale * x + u - seen_x), w * (scale * y + v - seen_y)],
                             "repeated": i["p"]},
            "w_err": {"element": 1 - w * w, "repeated": i["p"]}}


def ba_input(turned):
    camera = (numbers(3) if turned else [0, 0, 0]) + numbers(8)
    return {"n": 2, "m": 3, "p": 12, "cam": camera, "x": [0.3, -0.2, 3], "w": 0.7, "feat": [0.1, 0.2]}


# Of each eval the formula, the names of its functions, inputs, and what the gradient is taken by.
EVALS = {
    "gmm": (gmm, "objective", "jacobian", ["alpha", "mu", "q", "l"],
            [{"d": 3, "k": 2, "n": n, "m": m, "gamma": gamma, "x": numbers(n, 3), "alpha": numbers(2),
              "mu": numbers(2, 3), "q": numbers(2, 3), "l": numbers(2, 3)}
             for n, m, gamma in [(5, 0, 1.0), (5, 2, 0.5), (401, 0, 1.0)]]),
    "lse": (lambda i: logsumexp(i["x"]), "primal", "gradient", ["x"], [{"x": numbers(7)}]),
    "llsq": (llsq, "primal", "gradient", ["x"], [{"n": n, "x": numbers(m)} for n, m in [(8, 5), (9, 4), (3, 1)]]),
    "lstm": (lstm, "objective", "jacobian", ["main_params", "extra_params"],
             [{"main_params": numbers(2 * l, 12), "extra_params": numbers(3, 3), "state": numbers(2 * l, 3),
               "sequence": [[float(x > 0) for x in numbers(3)] for _ in range(c)]} for l, c in [(2, 6), (1, 2)]]),
    "ba": (ba, "objective", "jacobian", None, [ba_input(True), ba_input(False)]),
}


def run(program, function, value):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({**value, "min_runs": 3}, file)
        file.flush()
        out = subprocess.run([program, file.name, function], stdout=subprocess.PIPE, check=True, text=True).stdout
    result, *times = map(json.loads, out.splitlines())
    assert [line["name"] for line in times] == ["prepare"] + 3 * ["evaluate"], times
    assert all(line["nanoseconds"] >= 0 for line in times)
    return result


def flat(x):
    if isinstance(x, dict):
        return [y for key in sorted(x) for y in flat(x[key])]
    return [y for item in x for y in flat(item)] if isinstance(x, list) else [x]


def close(a, b, tolerance, what):
    a, b = flat(a), flat(b)
    assert len(a) == len(b), f"{what}: {len(a)} and {len(b)} numbers"
    for x, y in zip(a, b):
        assert abs(x - y) <= tolerance * max(1, abs(x), abs(y)), f"{what}: {x} and {y}"


def differences(f, value, name):
    """The derivatives of all that f gives, by each number in value[name]; [number][result]."""
    def places(x, path):
        return [p for k, item in enumerate(x) for p in places(item, path + [k])] if isinstance(x, list) else [path]

    def moved(path, by):
        copy = json.loads(json.dumps(value))
        x = copy
        for key in path[:-1]:
            x = x[key]
        x[path[-1]] += by
        return flat(f(copy))
    step = 1e-4
    all_places = places(value[name], [name])
    return [[(-b + 8 * a - 8 * c + d) / (12 * step) for a, b, c, d in
             zip(*(moved(path, by * step) for by in (1, 2, -1, -2)))] for path in all_places]


def expected_jacobian(i):
    """Of ba: the rows of the first observation, in both directions, and the last number, of the last weight."""
    by = [g for name in ("cam", "x", "w") for g in differences(ba, i, name)]
    return [g[0] for g in by] + [g[1] for g in by] + [by[-1][3]]  # flat: two elements, their count, w_err, its count


def check(programs, name):
    formula, primal, gradient, by, inputs = EVALS[name]
    for i in inputs:
        close(run(programs / name, primal, i), formula(i), 1e-12, f"{name} {primal}")
        result = run(programs / name, gradient, i)
        if name == "ba":
            close(result["vals"], expected_jacobian(i), 1e-8, "ba values")
            camera, point, weight = list(range(11)), [22, 23, 24], [22 + 9]
            assert result["cols"] == 2 * (camera + point + weight) + [22 + 9 + 11], result["cols"]
            assert result["rows"] == [15 * k for k in range(25)] + [361, 362, 363, 364, 365, 372], result["rows"]
            continue
        if isinstance(result, dict):
            assert set(result) == set(by), result.keys()
            result = [result[key] for key in by]
        close(result, [g for key in by for g in differences(formula, i, key)], 1e-8, f"{name} {gradient}")


if __name__ == "__main__":
    for eval_name in EVALS:
        check(pathlib.Path(sys.argv[1]), eval_name)
    print(f"{len(EVALS)} programs agree with the formulas and their differences")
