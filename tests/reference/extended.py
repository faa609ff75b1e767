"""Numbers of the extended line with signed zeros, exact to far more digits than a type has, and their rounding."""
import mpmath as mp

mp.mp.prec = 2400  # so that 1 + the square of the least number of double is not 1


class Type:
    def __init__(self, name, digits, least_exponent, greatest_exponent):
        self.name, self.digits = name, digits
        self.denorm = mp.ldexp(1, least_exponent)
        self.min = mp.ldexp(1, least_exponent + digits - 1)
        self.max = mp.ldexp(2**digits - 1, greatest_exponent - digits)

    def round(self, x):
        """x as the nearest number of the type, ties to even, infinite beyond the largest."""
        if x == 0 or not mp.isfinite(x):
            return x
        quantum = max(mp.ldexp(1, mp.frexp(x)[1] - self.digits), self.denorm)
        y = mp.nint(x / quantum) * quantum
        return y if abs(y) <= self.max else mp.sign(x) * mp.inf

    def text(self, x):
        """The shortest decimal that names the number, or the name of a limit."""
        if mp.isnan(x):
            return 'nan'
        names = {'inf': mp.inf, 'max': self.max, 'min': self.min, 'min/2': self.min / 2, 'denorm': self.denorm}
        for name, value in names.items():
            if abs(x) == value:
                return name if x > 0 else '-' + name
        for n in range(1, 18):
            digits = mp.nstr(x, n, min_fixed=-5, max_fixed=9, strip_zeros=True)
            digits = digits[:-2] if digits.endswith('.0') else digits.replace('.0e', 'e')
            if self.round(mp.mpf(digits)) == x:
                return digits
        raise ValueError(x)


TYPES = [Type('float', 24, -149, 128), Type('double', 53, -1074, 1024)]


class E:
    """An extended number: arithmetic as IEEE 754 has it for zeros, infinities and NaN, without rounding."""

    def __init__(self, value, negative=None):
        self.v = mp.mpf(value)
        self.negative = self.v < 0 if negative is None else negative  # the sign bit, also of zero

    @staticmethod
    def of(x):
        return x if isinstance(x, E) else E(x)

    def __neg__(self):
        return E(-self.v, not self.negative)

    def __abs__(self):
        return E(abs(self.v), False)

    def __add__(self, other):
        other = E.of(other)
        v = self.v + other.v
        if v == 0 and self.v == 0:
            return E(0, self.negative and other.negative)
        return E(v)

    def __sub__(self, other):
        return self + -E.of(other)

    def __mul__(self, other):
        other = E.of(other)
        return E(self.v * other.v, self.negative != other.negative)

    def __truediv__(self, other):
        other = E.of(other)
        negative = self.negative != other.negative
        if other.v == 0:
            v = mp.nan if self.v == 0 or mp.isnan(self.v) else mp.inf
            return E(-v if negative else v, negative)
        if mp.isinf(other.v):
            return E(0, negative) if mp.isfinite(self.v) else E(mp.nan)
        return E(self.v / other.v, negative)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return E.of(other) - self

    def __rtruediv__(self, other):
        return E.of(other) / self

    @property
    def nan(self):
        return mp.isnan(self.v)


NAN, INF = E(mp.nan), E(mp.inf)


def total(terms):
    """Σ, beginning with the first term, so that a sum of −0 is −0."""
    result, *rest = terms
    for x in rest:
        result = result + x
    return result


def log(x):
    if x.nan or x.v < 0:
        return NAN
    return -INF if x.v == 0 else E(mp.log(x.v) if mp.isfinite(x.v) else mp.inf)


def exp(x):
    """Arguments beyond a million are as good as infinite: the result is beyond both types."""
    if x.nan:
        return x
    return E(0) if x.v < -1e6 else INF if x.v > 1e6 else E(mp.exp(x.v))


def sqrt(x):
    return x if x.v == 0 else NAN if x.nan or x.v < 0 else E(mp.sqrt(x.v))


def pow(a, b):
    """C's: any⁰ = 1ᵇ = 1, infinite exponents and large numbers are even, the sign of 0 counts for odd exponents."""
    if b.v == 0 or (a.v == 1 and not a.negative):
        return E(1)
    if a.nan or b.nan:
        return NAN
    whole = mp.isinf(b.v) or mp.isint(b.v)
    negative = a.negative and mp.isfinite(b.v) and whole and int(b.v) % 2 == 1
    size = abs(a)
    if a.negative and not whole and a.v != 0 and mp.isfinite(a.v):
        return NAN
    if size.v == 1:
        result = E(1)
    else:
        result = exp(b * log(size))
    return -result if negative else result
