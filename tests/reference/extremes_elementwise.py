"""Elementwise operations at the ends of a type: value and derivatives as exact functions, with their limits by hand."""
import itertools

import table
from extended import INF, NAN, E, log, mp, pow, sqrt

PI, LN2 = mp.pi, mp.log(2)


def clip(x):
    return max(min(x, mp.mpf(10)**6), -mp.mpf(10)**6)


def e(x):
    """eˣ, where beyond a million the result is beyond both types."""
    return mp.exp(clip(x))


def sigmoid(x):
    return 1 / (1 + e(-x)) if x > 0 else e(x) / (1 + e(x))


def softplus(x):
    return max(x, 0) + mp.log1p(e(-abs(x)))


def cdf(x):
    return mp.erfc(-max(min(x, 9000), -9000) / mp.sqrt(2)) / 2


def density(x):
    return e(-x * x / 2) / mp.sqrt(2 * PI)


def inside(f, low, high):
    """f in the open interval, else NaN."""
    return lambda x: f(x) if low < x < high else mp.nan


def real_pow(p):
    whole = p == int(p)
    return lambda x: mp.nan if x < 0 and not whole else x**int(p) if whole else x**mp.mpf(p)


def derivative_of_pow(p):
    return (lambda x: mp.mpf(0)) if p == 0 else (lambda x: p * real_pow(p - 1)(x))


def whole(f):
    """A rounding, with the sign of x where it gives 0."""
    return lambda x: E(f(x), x < 0)


def poles(type, value, derivative):
    """Where the gamma function has poles, among the numbers of the line."""
    return {-x: (value, derivative) for x in [1, 1000, type.max]}


nan, inf = 'nan', 'inf'
# What mpmath has no function of this name for: another function, or, where the limits need thought, value and derivative at
# finite x ≠ 0, then (value, derivative) at −∞, −0, 0, ∞ and other places.
UNARY = {
    'negative': (lambda x: -x, lambda x: -1, (inf, -1), (0, -1), ('-0', -1), ('-inf', -1), {nan: (nan, -1)}),
    'reciprocal': (lambda x: 1 / x, lambda x: -1 / x**2, ('-0', 0), ('-inf', '-inf'), (inf, '-inf'), (0, 0)),
    'square': (lambda x: x**2, lambda x: 2 * x, (inf, '-inf'), (0, 0), (0, 0), (inf, inf)),
    'sqrt': (inside(mp.sqrt, 0, mp.inf), inside(lambda x: 1 / (2 * mp.sqrt(x)), 0, mp.inf), (nan, nan), ('-0', inf),
             (0, inf), (inf, 0)),
    'cbrt': (lambda x: mp.sign(x) * mp.cbrt(abs(x)), lambda x: 1 / (3 * mp.cbrt(abs(x))**2), ('-inf', 0), ('-0', inf),
             (0, inf), (inf, 0)),
    'log2': lambda x: mp.log(x) / LN2,
    'sigmoid': (sigmoid, lambda x: sigmoid(x) * sigmoid(-x), (0, 0), (0.5, 0.25), (0.5, 0.25), (1, 0)),
    'log_sigmoid': (lambda x: -softplus(-x), lambda x: sigmoid(-x), ('-inf', 1), (-LN2, 0.5), (-LN2, 0.5), ('-0', 0)),
    'softplus': (softplus, sigmoid, (0, 0), (LN2, 0.5), (LN2, 0.5), (inf, 1)),
    'relu': (lambda x: max(x, 0), lambda x: int(x > 0), (0, 0), ('±0', 0), (0, 0), (inf, 1)),
    'leaky_relu(0.25)': (lambda x: max(x, x / 4), lambda x: 1 if x > 0 else 0.25, ('-inf', 0.25), ('-0', 0.25),
                         (0, 0.25), (inf, 1)),
    'elu(2)': (lambda x: x if x > 0 else 2 * mp.expm1(clip(x)), lambda x: 1 if x > 0 else 2 * e(x), (-2, 0), ('-0', 2),
               (0, 2), (inf, 1)),
    'floor': (whole(mp.floor), lambda x: 0, ('-inf', 0), ('-0', 0), (0, 0), (inf, 0), {nan: (nan, 0)}),
    'ceil': (whole(mp.ceil), lambda x: 0, ('-inf', 0), ('-0', 0), (0, 0), (inf, 0), {nan: (nan, 0)}),
    'round': (whole(mp.nint), lambda x: 0, ('-inf', 0), ('-0', 0), (0, 0), (inf, 0), {nan: (nan, 0)}),
    'erfc': (lambda x: mp.erfc(max(min(x, 9000), -9000)), lambda x: -2 / mp.sqrt(PI) * e(-x * x), (2, 0),
             (1, -2 / mp.sqrt(PI)), (1, -2 / mp.sqrt(PI)), (0, 0)),
    'erfinv': (mp.erfinv, lambda x: mp.sqrt(PI) / 2 * mp.exp(mp.erfinv(x)**2), (nan, nan), ('-0', mp.sqrt(PI) / 2),
               (0, mp.sqrt(PI) / 2), (nan, nan), {1: (inf, inf), -1: ('-inf', inf)}),
    # At poles the derivative is the limit, where both sides have the same.
    'lgamma': (lambda x: mp.re(mp.loggamma(x)), mp.digamma, (inf, nan), (inf, inf), (inf, '-inf'), (inf, inf)),
    'polygamma(0)': (mp.digamma, lambda x: mp.psi(1, x), (nan, nan), (inf, inf), ('-inf', inf), (inf, 0)),
    'polygamma(1)': (lambda x: mp.psi(1, x), lambda x: mp.psi(2, x), (nan, nan), (inf, inf), (inf, '-inf'), (0, 0)),
    'polygamma(2)': (lambda x: mp.psi(2, x), lambda x: mp.psi(3, x), (nan, nan), (inf, inf), ('-inf', inf), ('-0', 0)),
    'gelu': (lambda x: x * cdf(x), lambda x: cdf(x) + x * density(x), ('-0', 0), ('-0', 0.5), (0, 0.5), (inf, 1)),
    'silu': (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), ('-0', 0), ('-0', 0.5), (0, 0.5),
             (inf, 1)),
    'abs': (abs, mp.sign, (inf, -1), (0, 0), (0, 0), (inf, 1)),
    'sign': (mp.sign, lambda x: 0, (-1, 0), ('-0', 0), (0, 0), (1, 0), {nan: (nan, 0)}),
    'clamp(-1 1)': (lambda x: max(min(x, 1), -1), lambda x: int(abs(x) <= 1), (-1, 0), ('-0', 1), (0, 1), (1, 0)),
    'pow(0)': (real_pow(0), derivative_of_pow(0), (1, 0), (1, 0), (1, 0), (1, 0), {nan: (1, 0)}),
    'pow(0.5)': (real_pow(0.5), derivative_of_pow(0.5), (inf, nan), (0, inf), (0, inf), (inf, 0)),
    'pow(1)': (real_pow(1), derivative_of_pow(1), ('-inf', 1), ('-0', 1), (0, 1), (inf, 1), {nan: (nan, 1)}),
    'pow(2)': (real_pow(2), derivative_of_pow(2), (inf, '-inf'), (0, 0), (0, 0), (inf, inf)),
    'pow(3)': (real_pow(3), derivative_of_pow(3), ('-inf', inf), ('-0', 0), (0, 0), (inf, inf)),
    'pow(-1)': (real_pow(-1), derivative_of_pow(-1), ('-0', 0), ('-inf', '-inf'), (inf, '-inf'), (0, 0)),
    'pow(-0.5)': (real_pow(-0.5), derivative_of_pow(-0.5), (0, nan), (inf, '-inf'), (inf, '-inf'), (0, 0)),
}


def number(x):
    if isinstance(x, str):
        return E(mp.nan if x == nan else x.replace('±', ''), x[0] == '-')
    return E(x)


NEAR, FAR = mp.mpf(10)**-700, mp.mpf(10)**700  # beyond both types by so much that roots of them are, too


def real(f, x):
    """f(x), NaN where that is no real number."""
    try:
        y = f(x)
    except (ValueError, ZeroDivisionError):
        return mp.nan
    return mp.re(y) if mp.im(y) == 0 else mp.nan


def slope(type, f, x):
    """The limit of the derivative at x, where the mathematics has one, from the side with numbers; one below −0, where it can."""
    if mp.isinf(x.v):
        first, second = (real(lambda y: mp.diff(f, y), mp.sign(x.v) * far) for far in (FAR, 3 * FAR))
        return first if type.round(first) == type.round(second) else mp.nan
    sides = [-NEAR, NEAR] if x.negative and x.v == 0 else [NEAR, -NEAR]
    for place in [x.v] * (x.v != 0) + [x.v + side for side in sides]:
        if all(mp.isfinite(real(f, place + step)) for step in [-NEAR / 2, 0, NEAR / 2]):
            return real(lambda y: mp.diff(f, y), place)
    return mp.nan


def derived(type, f, x):
    """Value and derivative of a function that is given alone."""
    value = real(f, x.v)
    d = mp.nan if mp.isnan(value) else slope(type, f, x)
    below = value == 0 and x.v == 0 and real(f, -NEAR if x.negative else NEAR) < 0
    return E(value, below) if value == 0 else E(value), E(d)


def functions():
    """Those of UNARY, and those that mpmath has for other lines of the table."""
    yield from UNARY.items()
    known = {name.split('(')[0] for name in UNARY} | {'digamma'}  # is polygamma(0)
    for line in table.lines():
        if line.operands == 1 and line.name not in known and not line.is_variant() and hasattr(mp, line.name):
            yield line.name, getattr(mp, line.name)


def unary(type):
    sizes = [type.max, mp.mpf(1000), mp.mpf(1), type.min, type.min / 2, type.denorm]
    line = [-mp.inf, *[-s for s in sizes], '-0', mp.mpf(0), *reversed(sizes), mp.inf]
    for name, rule in functions():
        if callable(rule):
            for x in map(number, line):
                value, d = derived(type, rule, x)
                yield name, [x], value, [d], False
            yield name, [NAN], NAN, [NAN], False
            continue
        f, derivative, *limits = rule
        places = dict(zip([-mp.inf, '-0', mp.mpf(0), mp.inf], limits))
        places |= {nan: (nan, nan)} | (limits[4] if len(limits) > 4 else {})
        if name == 'erfinv':
            places |= {sign * x: (nan, nan) for x in [1000, type.max] for sign in [1, -1]}
        if name == 'lgamma' or name.startswith('polygamma'):
            places |= poles(type, *((inf, nan) if name in ['lgamma', 'polygamma(1)'] else (nan, inf)))
        for x in [*line, nan]:
            if x in places:
                value, d = places[x]
                yield name, [number(x)], number(value), [number(d)], value == '±0'
            else:
                yield name, [E(x)], E.of(f(x)), [E(derivative(x))], False


def choice(better):
    """maximum or minimum: equal operands share the derivative; NaN comes through, and has no derivative."""

    def rule(a, b):
        if a.nan or b.nan:
            return NAN, [NAN, NAN]
        if a.v == b.v:
            return a, [0.5, 0.5]
        return (a, [1, 0]) if better(a.v, b.v) else (b, [0, 1])

    return rule


def power(a, b):
    """b aᵇ⁻¹ and aᵇ ln a, with their limits where one factor is 0 and another infinite."""

    def product(x, y, limit):
        return limit if (x.v == 0 and mp.isinf(y.v)) or (y.v == 0 and mp.isinf(x.v)) else x * y

    da = E(0) if b.v == 0 else product(b, pow(a, b - 1), E(0))
    db = product(pow(a, b), log(abs(a) if a.v == 0 else a), E(0))
    return pow(a, b), [da, db]


def remainder(a, b):
    """a − n b; the sign of a is that of the remainder, and n has no sign of its own where it is 0."""
    if a.nan or b.nan or mp.isinf(a.v) or b.v == 0:
        return NAN, [NAN, NAN]
    n = mp.mpf(0) if mp.isinf(b.v) else mp.sign(a.v / b.v) * mp.floor(abs(a.v / b.v))
    return E(a.v if n == 0 else a.v - n * b.v, a.negative), [1, -n]


def angle(a, b):
    if a.nan or b.nan:
        return NAN, [NAN, NAN]
    if a.v == 0:
        value = E(PI if b.negative else 0, a.negative)
    elif mp.isinf(a.v) and mp.isinf(b.v):
        value = E(mp.sign(a.v) * PI * (0.75 if b.v < 0 else 0.25))
    elif mp.isinf(b.v):
        value = E(PI if b.v < 0 else 0, a.negative)
    else:
        value = E(mp.sign(a.v) * PI / 2 if mp.isinf(a.v) else mp.atan2(a.v, b.v), a.negative)
    if a.negative and value.v > 0:
        value = -value
    if mp.isinf(a.v) or mp.isinf(b.v):
        return value, [0, 0]
    return value, [b / (a * a + b * b), -(a / (a * a + b * b))]


def length(a, b):
    """The slope of a length is the cosine of the angle; with two infinite numbers that is unknown."""
    if mp.isinf(a.v) or mp.isinf(b.v):
        known = mp.isfinite(a.v) or mp.isfinite(b.v)
        return INF, [mp.sign(x.v) * mp.isinf(x.v) if known else NAN for x in [a, b]]
    if a.nan or b.nan:
        return NAN, [NAN, NAN]
    y = sqrt(a * a + b * b)
    return y, [0, 0] if y.v == 0 else [a / y, b / y]


def log_of_sum(a, b):
    """The slopes are the shares of eᵃ and eᵇ in their sum; of two equal infinities those are unknown."""
    if a.nan or b.nan:
        return NAN, [NAN, NAN]
    if mp.isinf(a.v) and a.v == b.v:
        return a, [NAN, NAN]
    if mp.isinf(a.v) or mp.isinf(b.v):
        return E(max(a.v, b.v)), [int(a.v > b.v), int(b.v > a.v)]
    return E(max(a.v, b.v) + mp.log1p(e(-abs(a.v - b.v)))), [sigmoid(a.v - b.v), sigmoid(b.v - a.v)]


def entropy_with_logits(z, y):
    if z.nan or y.nan:
        return NAN, [NAN, NAN if z.nan else -z]
    if mp.isinf(z.v):
        certain = E(z.v > 0)
        away = 1 - y if z.v > 0 else y
        return (E(0) if away.v == 0 else away * INF), [certain - y, -z]
    # ln(1 + eᶻ) − z y, with z (1 − y) in its place where z is large
    rest = mp.log1p(e(-abs(z.v)))
    return E((z.v * (1 - y.v) if z.v > 0 else -z.v * y.v) + rest), [E(sigmoid(z.v)) - y, -z]


def entropy(p, y):
    if p.nan or y.nan or p.v < 0 or p.v > 1:
        return NAN, [NAN, NAN if p.nan or p.v < 0 or p.v > 1 else log(1 - p) - log(p)]

    def times(x, logarithm):
        return E(0) if x.v == 0 else x * logarithm

    value = -(times(y, log(p)) + times(1 - y, log(1 - p)))
    dp = (1 / (1 - p)) if y.v == 0 else -(1 / abs(p)) if y.v == 1 else (p - y) / (abs(p) * (1 - p))
    return value, [dp, log(1 - p) - log(p)]


BINARY = {
    'add': lambda a, b: (a + b, [1, 1]),
    'subtract': lambda a, b: (a - b, [1, -1]),
    'multiply': lambda a, b: (a * b, [b, a]),
    'divide': lambda a, b: (a / b, [1 / b, -(a / (b * b))]),
    'squared_difference': lambda a, b: ((a - b) * (a - b), [2 * (a - b), 2 * (b - a)]),
    'pow': power,
    'fmod': remainder,
    'atan2': angle,
    'hypot': length,
    'logaddexp': log_of_sum,
    'maximum': choice(lambda a, b: a > b),
    'minimum': choice(lambda a, b: a < b),
    'greater': lambda a, b: (E(a.v > b.v), [0, 0]),
    'greater_equal': lambda a, b: (E(a.v >= b.v), [0, 0]),
    'equal': lambda a, b: (E(a.v == b.v), [0, 0]),
}


def elementwise(type):
    yield from unary(type)
    sizes = [mp.inf, type.max, 1000, 1, type.denorm]
    line = [*[E(-s) for s in sizes], E(0, True), E(0), *[E(s) for s in reversed(sizes)], NAN]
    for name, f in BINARY.items():
        for a, b in itertools.product(line, line):
            free_zero = name in ['maximum', 'minimum'] and a.v == b.v == 0
            yield name, [a, b], *f(a, b), free_zero
    for z, y in itertools.product(line, [E(0), E(0.5), E(1), NAN]):
        yield 'binary_cross_entropy_with_logits', [z, y], *entropy_with_logits(z, y), False
    for p, y in itertools.product([E(-1), *line[5:], E(0.5)], [E(0), E(0.5), E(1), NAN]):
        yield 'binary_cross_entropy', [p, y], *entropy(p, y), True
    for m, a, b in itertools.product([E(0, True), E(0), E(1), E(type.denorm), INF, NAN], [E(1), INF, NAN], [E(2), -INF, NAN]):
        yield 'where', [m, a, b], (b if m.v == 0 else a), [0, int(m.v != 0), int(m.v == 0)], False
