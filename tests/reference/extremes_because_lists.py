"""Where operations on several elements differ from the mathematics at the ends of the types, and why."""
from extended import INF, NAN, E, exp, mp, sqrt, total

ZEROS = 'A product of matrices also multiplies by the zeros of the adjoint: 0 · ∞.'
SUM = 'The sum leaves the range.'
SQUARES = 'The squares leave the range.'


def has(x, test):
    return any(test(abs(y).v) for y in x)


def ends(type):
    return lambda size: size in [type.max, type.denorm]


def mean(type, x, value, d):
    if mp.isinf(type.round(total(x).v)) and mp.isfinite(value.v):
        return E(mp.inf), d, SUM


def average(type, x, value, d):
    other = mean(type, sum(x[0][0], []), value[0][0][0][0], d)
    return other and ([[[[other[0]]]]], *other[1:])


def spread(root):
    """var or std, each step rounded."""

    def rule(type, x, value, d):
        if not has(x, ends(type)):
            return None

        def rounded(y):
            return E(type.round(y.v))

        n = len(x)
        sums = rounded(total(x))
        deviations = [rounded(y - rounded(sums / n)) for y in x]
        result = rounded(total(rounded(y * y) for y in deviations) / n)
        slopes = [y * 2 / n for y in deviations]
        if mp.isinf(sums.v):
            result, slopes = NAN, [NAN] * n
        if root:
            result = sqrt(result)
            slopes = [E(0) if result.v == 0 else y * rounded(0.5 / result) for y in slopes]
        return result, [slopes], SUM if mp.isinf(sums.v) else SQUARES

    return rule


def norm(type, x, value, d):
    length = E(type.round(value.v))
    slopes = [E(0) if length.v == 0 else y / length for y in x]
    if has(x, mp.isinf):
        return value, [slopes], '∞ / ∞ in the formula x / ‖x‖.'
    if has(x, ends(type)):
        return value, [slopes], 'The derivative is of the rounded length.'


def logsumexp(type, x, value, d):
    y = E(type.round(value.v))
    if y.v == -mp.inf:
        return value, [[0] * len(x)], 'Where all are −∞, no small step changes that: 0 by convention.'
    if y.v != value.v:
        return value, [[exp(a - y) for a in x]], 'The derivative eˣ⁻ʸ is of the rounded y.'


def product(a, b):
    return [[total(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(row) for row in zip(*a)]


def adjoint(value):
    """1 for the first element of a matrix."""
    return [[E(i == j == 0) for j in range(len(row))] for i, row in enumerate(value)]


def matmul(type, a, b, value, d):
    g = adjoint(value)
    return value, [product(g, transposed(b)), product(transposed(a), g)], ZEROS


def linear(type, x, w, b, value, d):
    g = adjoint(value)
    return value, [product(g, w), product(transposed(g), x), d[2]], ZEROS


def outer(type, a, b, value, d):
    g = adjoint(value)
    return value, [[row[0] for row in product(g, [[y] for y in b])], product([a], g)[0]], ZEROS


def normalized(type, x, gamma, beta, value, d):
    row = x[0] if len(x) == 1 else [y[0] for y in x]
    if has(row, lambda size: size == type.max):
        zeros = [[E(0) for _ in y] for y in value]
        return zeros, [zeros, [0] * len(gamma), d[2]], SQUARES
    if len(x) == 1 and not has(row, mp.isfinite) or has(row, lambda size: not mp.isfinite(size)):
        return value, [d[0], [E(mp.nan)] * len(gamma), d[2]], ZEROS.replace('A product of matrices', 'The sum over a batch')


def cumprod(type, x, value, d):
    return value, [[x[1] * 0 + 1, x[0] * 0]], ZEROS.replace('A product of matrices', 'The recurrence of its derivative')


LISTS = {
    'cumprod': cumprod,
    'mean': mean,
    'avg_pool2d': average,
    'var': spread(False),
    'std': spread(True),
    'norm': norm,
    'logsumexp': logsumexp,
    'matmul': matmul,
    'linear': linear,
    'outer': outer,
    'layer_norm': normalized,
    'batch_norm': normalized,
}
