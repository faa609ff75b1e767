"""Where xtape differs from the mathematics at the ends of the types: by what it computes instead, and why."""
from extended import INF, NAN, E, log, mp, pow
from extremes_because_lists import LISTS

COMPARISON = 'A comparison with NaN is false. The value is NaN, which is enough to be seen.'
OUTSIDE = "Outside of the domain the value is NaN; the derivative is that of the formula, without a test for each element."
SIGN = 'The formula takes the sign of −0: the side on which there is no value.'


def logarithm(base):
    def rule(type, x, value, d):
        if x.v < 0:
            return value, [1 / (x * base)], OUTSIDE
        return (value, [-INF], SIGN) if x.v == 0 and x.negative else None

    return rule


def at_nan(*derivatives):
    return lambda type, *args: (NAN, list(derivatives), COMPARISON) if any(x.nan for x in args[:-2]) else None


def half(type, x, value, d):
    if x.v == type.denorm:
        return E(0), d, 'x / 2 is half-way between two numbers, and rounds to the even one.'


def power_of_minus_infinity(type, x, value, d):
    if x.v == -mp.inf:
        return value, [0], "C's pow takes −∞ to a fraction for +∞ or 0; the derivative is of that."


def power(type, a, b, value, derivatives):
    """b aᵇ⁻¹, or 0 where b = 0, and aᵇ ln a, or 0 where a = 0, in the numbers of the type."""

    def rounded(x):
        return E(type.round(x.v), x.negative)

    def differs(i, d):
        return type.round(d.v) != type.round(E.of(derivatives[i]).v) and not (d.nan and E.of(derivatives[i]).nan)

    less = rounded(b - 1)
    da = E(0) if b.v == 0 else b * rounded(pow(a, less))
    db = E(0) if a.v == 0 else (rounded(value) if type.round(value.v) == 0 else value) * log(a)
    because = []
    if differs(0, da):
        if value.nan:
            because.append(OUTSIDE)
        elif da.nan:
            because.append('∞ · 0 in the formula, which has no test for infinite exponents.')
        else:
            because.append('The exponent b − 1 is rounded.' if mp.isfinite(b.v) else
                           '∞ is an even number to pow, and so is ∞ − 1.')
    if differs(1, db):
        because.append('The derivative with respect to the exponent is 0 where the base is 0, by convention.' if a.v == 0 else
                       '0 · ∞ in the formula, which has no test for infinite bases.')
    return value, [da, db], ' '.join(because)


def length(type, a, b, value, derivatives):
    """a / y and b / y of the rounded y."""
    y = E(type.round(value.v))
    slopes = [E(0) if y.v == 0 else x / y for x in [a, b]]
    if mp.isinf(value.v):
        return value, slopes, '∞ / ∞ in the formula a / y.'
    if y.v in [mp.inf, type.denorm]:
        return value, slopes, 'The derivative is of the rounded length.'


def entropy(type, p, y, value, d):
    """Logarithms end at −100, the denominator at 1e-12."""

    def bounded(x):
        x = log(x)
        return E(-100) if x.v < -100 else x

    def not_below(x, least):
        return E(least) if x.v < least else x

    value = -(y * bounded(p) + (1 - y) * bounded(1 - p))
    dp = (p - y) / not_below(p * (1 - p), mp.mpf('1e-12'))
    because = 'Logarithms end at −100 and the denominator at 1e-12, as those of PyTorch.'
    if not p.nan and (p.v < 0 or p.v > 1):
        because = OUTSIDE + ' The denominator ends at 1e-12.'
    return value, [dp, bounded(1 - p) - bounded(p)], because


def log_of_sum(type, a, b, value, derivatives):
    if a.v == b.v == -mp.inf:
        return value, [0, 0], 'Where both are −∞, no small step changes that: 0 by convention.'


def remainder(type, a, b, value, d):
    return (value, [1, NAN], OUTSIDE) if value.nan else None


RULES = {
    'atanh': lambda type, x, value, d: (value, [1 / ((1 - x) * (1 + x))], OUTSIDE) if abs(x.v) > 1 else None,
    'fmod': remainder,
    'logaddexp': log_of_sum,
    'log': logarithm(1),
    'log2': logarithm(mp.log(2)),
    'log10': logarithm(mp.log(10)),
    'log1p': lambda type, x, value, d: (value, [1 / (1 + x)], OUTSIDE) if x.v < -1 else None,
    'sqrt': lambda type, x, value, d: (value, [-INF], SIGN) if x.v == 0 and x.negative else None,
    'relu': at_nan(0),
    'leaky_relu(0.25)': at_nan(0.25),
    'clamp(-1 1)': at_nan(1),
    'maximum': at_nan(0, 0),
    'minimum': at_nan(0, 0),
    'pow(0.5)': power_of_minus_infinity,
    'pow(-0.5)': power_of_minus_infinity,
    'gelu': half,
    'silu': half,
    'pow': power,
    'hypot': length,
    'binary_cross_entropy': entropy,
    **LISTS,
}


def differences(type, op, inputs, value, derivatives):
    """What xtape gives as (value, derivatives, reason), or None; a tuple of derivatives: by the fused rule, and recorded."""
    rule = RULES.get(op)
    return rule(type, *inputs, value, derivatives) if rule else None
