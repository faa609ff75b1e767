"""Operations on several elements at the ends of a type. The derivatives are those of the first element of the value."""
from extended import INF, NAN, E, exp, log, mp, sqrt, total


def product(terms):
    result = E(1)
    for x in terms:
        result = result * x
    return result


def zeros(x):
    return [zeros(y) for y in x] if isinstance(x, list) else E(0)


def first(x, d=1):
    """d in the place of the first element, 0 elsewhere."""
    return [first(x[0], d), *zeros(x[1:])] if isinstance(x, list) else E.of(d)


def reductions(x):
    """Of a list: name, value and derivatives, as the mathematics has them, with limits where they exist."""
    n, any_nan = len(x), any(y.nan for y in x)
    infinite = any(mp.isinf(y.v) for y in x)
    yield 'sum', total(x), [1] * n
    yield 'mean', total(x) / n, [E(1) / n] * n
    yield 'prod', product(x), [product(x[:i] + x[i + 1:]) for i in range(n)]
    for name, pick in ('max', max), ('min', min):
        if any_nan:
            yield name, NAN, [NAN] * n
        else:
            best = pick(y.v for y in x)
            ties = sum(y.v == best for y in x)
            yield name, E(best), [E(1) / ties if y.v == best else E(0) for y in x]
    # Of deviations from the mean. An infinite element is infinitely far from a mean of finite ones, which is no number.
    mean = NAN if infinite else total(x) / n
    var = total((y - mean) * (y - mean) for y in x) / n
    yield 'var', var, [(y - mean) * 2 / n for y in x]
    std = sqrt(var)
    yield 'std', std, [E(0) if std.v == 0 else (y - mean) / (std * n) for y in x]
    norm = NAN if any_nan else INF if infinite else sqrt(total(y * y for y in x))
    one = sum(mp.isinf(y.v) for y in x) == 1
    if infinite and not any_nan:  # as all but the infinite elements vanish beside them
        yield 'norm', norm, [(E(mp.sign(y.v)) if mp.isinf(y.v) else E(0)) if one else NAN if mp.isinf(y.v) else E(0) for y in x]
    else:
        yield 'norm', norm, [E(0) if norm.v == 0 else y / norm for y in x]
    yield 'squared_norm', total(y * y for y in x), [y * 2 for y in x]
    yield 'logsumexp', *logsumexp(x)


def softmax(x):
    """eˣ / Σ eˣ; a single +∞ takes it all; no answer for several, nor where all are −∞."""
    top = max(y.v for y in x) if not any(y.nan for y in x) else mp.nan
    if mp.isnan(top) or top == -mp.inf or (top == mp.inf and sum(y.v == top for y in x) > 1):
        return [NAN] * len(x)
    if top == mp.inf:
        return [E(y.v == top) for y in x]
    powers = [exp(y - E(top)) for y in x]
    return [p / total(powers) for p in powers]


def logsumexp(x):
    if any(y.nan for y in x):
        return NAN, [NAN] * len(x)
    top = E(max(y.v for y in x))
    value = top if mp.isinf(top.v) else top + log(total(exp(y - top) for y in x))
    return value, softmax(x)


def matmul(a, b):
    value = [[total(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]
    da = [[b[k][0] if i == 0 else E(0) for k in range(len(b))] for i in range(len(a))]
    db = [[a[0][k] if j == 0 else E(0) for j in range(len(b[0]))] for k in range(len(b))]
    return value, [da, db]


def normalized(x, epsilon=1e-5):
    """(x − mean) / √(variance + ε), and the derivatives of the first one by x, gamma and beta."""
    n = len(x)
    mean = total(x) / n
    var = total((y - mean) * (y - mean) for y in x) / n
    s = sqrt(var + epsilon)
    z = [(y - mean) / s for y in x]
    dx = [(E(i == 0) - E(1) / n - z[0] * z[i] / n) / s for i in range(n)]
    return z, dx


def rearrangements(type):
    """What only moves elements keeps every bit of them."""
    a, b, c, d = -INF, E(0, True), NAN, E(type.denorm)
    flat, square = [a, b, c, d], [[a, b], [c, d]]

    def moved(op, x, y, at=0):
        """The first element of y is the element of x at the place `at` of all."""
        d = zeros(x)
        (d[at // len(d[0])] if isinstance(d[0], list) else d)[at % len(d[0]) if isinstance(d[0], list) else at] = E(1)
        return op, [x], y, [d], False

    yield moved('reshape', flat, square)
    yield moved('flatten', square, flat)
    yield moved('squeeze', [flat], flat)
    yield moved('unsqueeze', flat, [flat])
    yield moved('transpose', square, [[a, c], [b, d]])
    yield moved('broadcast_to', flat, [flat, flat])
    yield moved('slice', flat, [b, c, d], 1)
    yield moved('flip', flat, [d, c, b, a], 3)
    yield moved('split', flat, [a, b])
    yield moved('unbind', square, [a, b])
    yield moved('tril', square, [[a, E(0)], [c, d]])
    yield moved('triu', square, [[a, b], [E(0), d]])
    yield moved('diag', square, [a, d])
    yield moved('take', flat, [d, b, b], 3)
    yield moved('gather', flat, [d, b, b], 3)
    yield moved('sort', flat, [a, b, d, c])
    yield moved('argsort', flat, [c, d, b, a], 2)  # descending, gathered
    yield moved('topk', flat, [c, d], 2)
    yield moved('argmax', flat, c, 2)  # gathered
    yield moved('argmin', flat, c, 2)
    yield moved('cummax', flat, [a, b, c, c])
    yield moved('cummin', flat, [a, a, c, c])
    yield moved('tril_indices', square, [a, c, d])  # gathered
    yield moved('triu_indices', square, [a, b, d])
    yield moved('masked_fill', flat, [a, b, E(7), d])
    yield moved('repeat', flat, [a, a, b, b, c, c, d, d])
    yield moved('tile', flat, [a, b, c, d] * 2)
    yield moved('roll', flat, [d, a, b, c], 3)
    yield moved('expand_dims', flat, [flat])
    yield moved('swapaxes', square, [[a, c], [b, d]])
    yield moved('moveaxis', square, [[a, c], [b, d]])
    yield 'vstack', [[a, b], [c, d]], square, [first([a, b]), zeros([c, d])], False
    yield 'hstack', [[a, b], [c, d]], flat, [first([a, b]), zeros([c, d])], False
    yield 'meshgrid', [[a, b], [c, d]], [[a, b], [a, b]], [first([a, b]), zeros([c, d])], False
    one, none = E(1), E(0)
    for name, value in (  # whose first element has no slope
            ('pad', [none, *flat, none]), ('one_hot', [none, none, none, d]), ('clip', [-one, b, c, d]),
            ('isnan', [none, none, one, none]), ('isfinite', [none, one, none, one]), ('logical_not', [none, one, none, none]),
            ('logical_and', [one, none, one, one]), ('logical_or', [one, none, one, one])):
        yield name, [flat], value, [zeros(flat)], False
    yield 'concatenate', [[a, b], [c, d]], flat, [first([a, b]), zeros([c, d])], False
    yield 'stack', [[a, b], [c, d]], square, [first([a, b]), zeros([c, d])], False
    yield 'trace', [[[INF, c], [c, E(1)]]], INF, [[[E(1), E(0)], [E(0), E(1)]]], False
    # 1 is added at the place 0 and −∞ twice at the place 1
    yield ('scatter_add', [[E(type.max), INF], [E(type.max), -INF, E(1)]], [INF, NAN],
           [[E(1), E(0)], [E(1), E(0), E(0)]], False)


def lists(type):
    M, one, d = E(type.max), E(1), E(type.denorm)
    big = E(1000)
    for x in ([INF, one], [INF, INF], [INF, -INF], [-INF, -INF], [-INF, one], [NAN, one], [E(0, True), E(0, True)], [E(0), E(0)],
              [d, d], [d, -d], [big, -big], [big, big], [M, -M], [M, M], [M, one], [E(0), INF], [E(0), M]):
        for name, value, derivatives in reductions(x):
            yield name, [x], value, [derivatives], True
        y = softmax(x)
        yield 'softmax', [x], y, [[y[0] * (E(i == 0) - p) for i, p in enumerate(y)]], True
        # Of the query 1 on the keys x with the values 1 and 0.
        zero, slope = E(0), y[0] * (1 - y[0])
        yield ('attention', [[[E(1)]], [[s] for s in x], [[E(1)], [zero]]], [[y[0] * 1 + y[1] * zero]],
               [[[slope * x[0] - slope * x[1]]], [[slope], [-slope]], [[p] for p in y]], True)
        whole = logsumexp(x)[0]
        z = [y if mp.isinf(y.v) and y.v < 0 and mp.isfinite(whole.v) else y - whole for y in x]
        if mp.isinf(whole.v) and not any(p.nan for p in y):
            z = [E(0) if p.v == 1 else -INF for p in y]
        yield 'log_softmax', [x], z, [[E(i == 0) - p for i, p in enumerate(y)]], True
        loss = -z[0]
        yield 'cross_entropy', [[x]], loss, [[[p - E(i == 0) for i, p in enumerate(y)]]], True
        yield 'cumsum', [x], [x[0], x[0] + x[1]], [[1, 0]], True
        yield 'cumprod', [x], [x[0], x[0] * x[1]], [[1, 0]], True
        for name, holds in ('any', any), ('all', all):
            yield name, [x], E(holds(y.nan or y.v != 0 for y in x)), [zeros(x)], True
    for a, b in (([[INF, one], [one, E(0)]], [[one, E(0)], [E(0), one]]), ([[one, M], [NAN, one]], [[M, d], [one, one]])):
        yield 'matmul', [a, b], *matmul(a, b), True
        # y = x Wᵀ + b
        value, (dx, dw) = matmul(a, [list(r) for r in zip(*b)])
        yield 'linear', [a, b, [E(0), E(0)]], value, [dx, [list(r) for r in zip(*dw)], [E(1), E(0)]], True
    for a, b in (([INF, one], [E(0), one]), ([INF, one], [one, E(0)]), ([M, M], [one, -one]), ([d, NAN], [d, E(0)])):
        yield 'dot', [a, b], total(x * y for x, y in zip(a, b)), [b, a], True
        yield 'outer', [a, b], [[x * y for y in b] for x in a], [first(a, b[0]), first(b, a[0])], True
    zero = E(0)
    for x in ([big, zero, -big], [zero, zero, zero], [INF, one, zero], [M, zero, -M], [NAN, one, zero], [d, d, d]):
        z, dx = normalized(x)
        ones, none = [one] * 3, [zero] * 3
        yield 'layer_norm', [[x], ones, none], [z], [[dx], first(ones, z[0]), first(none)], True
        yield 'batch_norm', [[[y] for y in x], [one], [zero]], [[y] for y in z], [[[y] for y in dx], [z[0]], [one]], True
    yield 'rotary_embedding', [[[M, d]]], [[M, d]], [[[one, zero]]], True  # position 0 is not turned
    low = -INF
    image = [[[[low, low], [low, INF]]]]
    for x, y, dx in (
            ([[[[low, low], [low, low]]]], low, [[[[.25, .25], [.25, .25]]]]),
            (image, INF, [[[[0, 0], [0, 1]]]]),
            ([[[[NAN, one], [one, one]]]], NAN, [[[[NAN, NAN], [NAN, NAN]]]])):
        yield 'max_pool2d', [x], [[[[y]]]], [dx], True
    # With a padding of 1 and a stride of 2: four windows, of which the first holds three places of the padding.
    yield 'max_pool2d(1)', [[[[[low, low], [low, low]]]]], [[[[low, low], [low, low]]]], [[[[[1, 0], [0, 0]]]]], True
    yield 'max_pool2d(1)', [image], [[[[low, low], [low, INF]]]], [[[[[1, 0], [0, 0]]]]], True
    yield 'avg_pool2d', [[[[[M, M], [M, M]]]]], [[[[M]]]], [[[[[.25, .25], [.25, .25]]]]], True
    yield 'avg_pool2d', [image], [[[[NAN]]]], [[[[[.25, .25], [.25, .25]]]]], True
    kernel = [[[[one, E(0)], [E(0), -one]]]]
    for x in ([[[[big, INF], [one, big]]]], [[[[big, M], [one, -M]]]], [[[[INF, one], [one, INF]]]]):
        p, w = sum(x[0][0], []), sum(kernel[0][0], [])
        yield 'conv2d', [x, kernel], [[[[total(s * t for s, t in zip(p, w))]]]], [kernel, x], True
        yield 'unfold', [x], [[[s] for s in p]], [first(x)], True
        yield 'fold', [[[[s] for s in p]]], x, [first([[[s] for s in p]])], True
    yield from rearrangements(type)
