"""The lines of tests/ops/elementwise.inc: what an operation is called, how PyTorch computes it, and where it is smooth."""
import os
import re
from typing import NamedTuple

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../ops/elementwise.inc')


class Line(NamedTuple):
    name: str
    operands: int
    guard: str
    torch: str  # of a and b, in Python

    def is_variant(self):
        return '/' in self.name.removeprefix('operator/')


def columns(text):
    """The parts between commas that are in no parentheses and no braces."""
    parts, depth = [''], 0
    for c in text:
        depth += (c in '({') - (c in ')}')
        if c == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += c
    return [p.strip() for p in parts]


def lines():
    with open(TABLE, encoding='utf-8') as file:
        for text in re.findall(r'^(?:ELEMENTWISE|VARIANT)\((.*)\)$', file.read(), re.MULTILINE):
            name, form, guard, *_, torch = columns(text)
            yield Line(name.strip('"'), {'unary': 1, 'binary': 2}[form], guard, torch.replace('::', '.'))
