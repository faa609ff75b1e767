#!/usr/bin/env python3
"""SciPy on the test functions of `minimisers`, which computes them: minimisers_scipy.py build/bench/minimisers

Iterations, evaluations and error as that program prints them, of L-BFGS-B, Newton-CG and Levenberg-Marquardt (MINPACK's) with
their defaults, but ten pairs, a gradient below 1e-8, and as many iterations as they take.
"""
import json
import subprocess
import sys

import numpy as np
from scipy.optimize import least_squares, minimize


class Problem:
    """One function, f(x) = r(x)ᵀ r(x), whose residuals and Jacobian the other program gives."""

    def __init__(self, server, index, about):
        self.server, self.index = server, index
        self.name, self.number = about["name"], about["number"]
        self.start, self.minima = np.array(about["start"]), about["minima"]
        self.at, self.known = None, None

    def both(self, x):
        if self.at is None or not np.array_equal(x, self.at):
            print(json.dumps({"problem": self.index, "x": list(x)}), file=self.server.stdin, flush=True)
            found = json.loads(self.server.stdout.readline())  # JSON has no infinity: such numbers are null
            r, jacobian = (np.array(found[k], dtype=float) for k in "rJ")
            self.at, self.known = np.array(x), (r, jacobian.reshape(len(r), len(x)))
        return self.known

    def residuals(self, x):
        return self.both(x)[0]

    def jacobian(self, x):
        return self.both(x)[1]

    def f(self, x):
        return float(np.sum(self.residuals(x) ** 2))

    def gradient(self, x):
        return 2 * self.jacobian(x).T @ self.residuals(x)

    def distance(self, value):
        return min(abs(value - m) / (m or 1e-3) for m in self.minima)


def main():
    server = subprocess.Popen([sys.argv[1], "--evaluate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    problems = [Problem(server, i, about) for i, about in enumerate(json.loads(server.stdout.readline()))]
    print(f"{'':35} | {'L-BFGS-B':>24} | {'Newton-CG':>24} | {'Levenberg-Marquardt':>24}")
    many = 5000
    for p in problems:
        cells = []
        for method, options in (("L-BFGS-B", {"gtol": 1e-8, "ftol": 0, "maxcor": 10, "maxiter": many, "maxfun": many}),
                                ("Newton-CG", {"xtol": 1e-12, "maxiter": many})):
            found = minimize(p.f, p.start, jac=p.gradient, method=method, options=options)
            cells.append((found.nit, found.nfev, p.distance(found.fun)))
        rows = p.residuals(p.start).size
        if rows >= p.start.size:
            found = least_squares(p.residuals, p.start, p.jacobian, method="lm", gtol=1e-8, ftol=1e-15, xtol=1e-15, max_nfev=many)
            cells.append((found.njev or 0, found.nfev, p.distance(2 * found.cost)))
        print(f"{p.number:2} {p.name:32}" + "".join(f" | {n:6} {e:7} {d:9.1e}" for n, e, d in cells), flush=True)
    server.stdin.close()


main()
