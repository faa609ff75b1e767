"""extremes.csv: what the mathematics says of every operation at the ends of both types.

Nothing here is computed by xtape. Each row has an
operation, with its numbers in parentheses; a type, or both; inputs; the value; the derivatives of the value (of its first
element) with respect to each input. Where xtape gives something else, that follows, and why; see extremes_because.py.
There a / b is what the fused rule and the recorded one give, and "column" stands before what only a reduction along the
first axis of a matrix gives.
Conventions: autodiff/numbers.md.
"""
import csv
import io

from extended import TYPES, E
from extremes_because import differences
from extremes_elementwise import elementwise
from extremes_lists import lists


def cell(x, type, zero):
    """Rounded; zero: how 0 is written, or None for its sign."""
    if isinstance(x, str):
        return x
    if isinstance(x, list):
        return '[' + ' '.join(cell(y, type, zero) for y in x) + ']'
    x = E.of(x)
    v = type.round(x.v)
    if v == 0:
        return zero or ('-0' if x.negative else '0')
    return type.text(v)


def row(type, op, inputs, value, derivatives, free_zero):
    def write(value, derivatives):
        # A derivative of 0 has no sign, and the value of some operations neither.
        return [cell(value, type, '±0' if free_zero else None), ' '.join(cell(d, type, '0') for d in derivatives)]

    expected = write(value, derivatives)
    other = differences(type, op, inputs, value, derivatives)
    actual = expected
    if other and isinstance(other[1], tuple):
        fused, recorded = (write(other[0], d) for d in other[1])
        actual = [fused[0], f'{fused[1]} / {recorded[1]}']
    elif other:
        actual = write(*other[:2])
    cells = [actual[i] if actual[i] != expected[i] else '' for i in range(2)]
    if other and not any(cells):
        other = None
    return [op, ' '.join(cell(x, type, None) for x in inputs), *expected, *cells, other[2] if other else '']


def text():
    rows = {}
    for type in TYPES:
        for case in [*elementwise(type), *lists(type)]:
            cells = row(type, *case)
            rows.setdefault((cells[0], cells[1]), {})[type.name] = cells[2:]
    file = io.StringIO()
    out = csv.writer(file, lineterminator='\n')
    out.writerow(['operation', 'type', 'inputs', 'value', 'derivatives', "xtape's value", "xtape's derivatives", 'because'])
    for (op, inputs), by_type in rows.items():
        if len(by_type) == 2 and by_type['float'] == by_type['double']:
            by_type = {'both': by_type['float']}
        for name, cells in by_type.items():
            out.writerow([op, name, inputs, *cells])
    return file.getvalue()
