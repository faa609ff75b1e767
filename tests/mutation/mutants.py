"""Finds the derivatives in a C++ source, and rewrites every operator in them to a choice of mutants; see mutate.py.

It reads no more of C++ than these sources use, and leans on their format: a binary operator has spaces around it, a pointer's
star and a template's bracket do not. Mutated are values: the arithmetic of indices in subscripts, loops and the sizes of
buffers is left alone, where a mistake is one of memory.
"""
import dataclasses
import re

# What counts as a derivative: functions of these names, wherever they are defined.
FUNCTION = re.compile(
    r"^ *(?:static )?(?:auto|void|Tensor<T>|std::vector<Tensor<T>>) (?:\w+<T>::)*(derivative|derivative_from_output|tangents?|along|slope|moved|of_deviation|"
    r"\w*gradients?|backward|sum_to_shape|add_same_shape|add_recorded|add_columns|accumulate_in\w+|symmetric_part|triangle_of|half_lower|over_gaps|"
    r"with_rule|with_times|(?:bdf_)?adjoint|begin_backward|write_derivative)\(", re.M)
STRUCT = re.compile(r"^struct (\w+)|^class (\w+)|^}(?:  //.*)?;?$", re.M)

FUNCTIONS = set("abs cos cosh erf exp expm1 log log1p reciprocal sigmoid sign sin sinh sqrt square tan tanh".split())
SIZES = set("zeros uninitialized element_count get data PoolVector row_major_strides broadcast_strides Dims full".split())
RAW_ARGUMENTS = {"load": 3, "set": 2, "store": 2, "fill_n": 2, "for_blocks": 2, "add_columns": 2}
TOKEN = re.compile(r"""(?P<space>\s+|//[^\n]*\n?|/\*.*?\*/)|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\d[\w.]*(?:e-\d+)?|\.\.\.|[\w:]*\w|->|"""
                   r"\+\+|--|&&|\|\||[-+*/|&<>=!]=|<<|>>|::|.", re.S | re.X)
CLOSING = {"(": ")", "[": "]", "{": "}"}
ASSIGNMENTS = {"=", "+=", "-=", "*=", "/=", "|="}
LEVELS = [{"||"}, {"&&"}, {"|"}, {"&"}, {"==", "!="}, {"<", ">", "<=", ">="}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"}]
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclasses.dataclass
class Mutant:
    number: int
    file: str
    line: int
    function: str
    original: str
    mutated: str

    def key(self):
        return self.file, self.function, f"{self.original} → {self.mutated}"

    def __str__(self):
        return f"{self.file}:{self.line} {self.function}: {self.original} → {self.mutated}"


@dataclasses.dataclass
class Item:
    """A token, or with `inside` a bracket and what it holds."""
    text: str
    before: bool  # whether there is a space before it, and after it
    after: bool
    place: int
    inside: list = None
    brackets: str = ""

    def binary(self):
        return self.inside is None and self.before and self.after


def tokens_of(text, place):
    items, space = [], False
    for match in TOKEN.finditer(text):
        if match["space"]:
            space = True
            if items:
                items[-1].after = True
            continue
        if items and not space:
            items[-1].after = False
        items.append(Item(match[0], space, True, place + match.start()))
        space = False
    return items


def grouped(tokens):
    """Brackets with what they hold as one item, template arguments joined to the name before them."""
    root = []
    stack = [(root, None)]
    i = 0
    while i < len(tokens):
        t = tokens[i]
        here = stack[-1][0]
        is_template = t.text == "<" and here and (not t.before or here[-1].text == "template")
        if is_template:
            depth, parts = 0, []
            while True:
                parts.append((" " if tokens[i].before else "") + tokens[i].text)
                depth += {"<": 1, ">": -1, ">>": -2}.get(tokens[i].text, 0)
                if depth == 0:
                    break
                i += 1
            if here[-1].inside is None:
                here[-1].text += "".join(parts)
                here[-1].after = tokens[i].after
            else:  # of a lambda
                here.append(Item("".join(parts), False, tokens[i].after, t.place))
        elif t.text in CLOSING:
            t.inside, t.brackets = [], t.text + CLOSING[t.text]
            here.append(t)
            stack.append((t.inside, t))
        elif t.text in CLOSING.values():
            stack[-1][1].after = t.after
            stack.pop()
        else:
            here.append(t)
        i += 1
    return root


class Rewriter:
    """Rewrites the derivatives of one file; appends what it found to `mutants`."""

    def __init__(self, file, source, mutants):
        self.file, self.source, self.mutants = file, source, mutants
        self.function, self.is_rule = "", False

    # ---- text as it is

    def raw(self, items):
        text = ""
        for item in items:
            if text and item.before:
                text += " "
            text += item.text if item.inside is None else item.brackets[0] + self.raw(item.inside) + item.brackets[1]
            if item.text in {"return", "const", "auto", "else", "constexpr", "case"} and item.after:
                text += " "
        return re.sub(r"  +", " ", text)

    def mutant(self, items, original, *mutated):
        """The number of the first of the mutants that these texts describe."""
        line = self.source.count("\n", 0, items[0].place) + 1
        first = len(self.mutants) + 1
        for text in mutated:
            known = sum((m.file, m.function, m.original, m.mutated.split(" [")[0]) == (self.file, self.function, original, text)
                        for m in self.mutants)
            text += f" [{known + 1}]" * (known > 0)  # the same once more in this function
            self.mutants.append(Mutant(len(self.mutants) + 1, self.file, line, self.function, original, text))
        return first

    # ---- statements

    def block(self, items):
        out, start = "", 0
        i = 0
        while i < len(items):
            item = items[i]
            statement = items[start:i + 1]
            if item.text == ";" and item.inside is None:
                out += self.statement(statement[:-1]) + ";\n"
                start = i + 1
            elif item.brackets == "{}" and self.is_block(statement):
                out += self.statement(statement) + "\n"
                start = i + 1
            i += 1
        return out + self.statement(items[start:])

    @staticmethod
    def is_block(statement):
        return len(statement) == 1 or statement[0].text in {"if", "for", "else", "while", "try", "catch", "switch"} and (
            statement[-2].brackets == "()" or statement[-2].text in {"else", "try"}) and not any(
                s.text in ASSIGNMENTS or s.brackets == "[]" for s in statement[:-1])

    def statement(self, items):
        if not items:
            return ""
        first = items[0]
        if first.brackets == "{}" and len(items) == 1:
            return "{" + self.block(first.inside) + "}"
        if first.text == "for":
            return "for (" + self.raw(items[1].inside) + ") " + self.statement(items[2:])
        if first.text == "switch":
            return f"switch ({self.raw(items[1].inside)}) {self.statement(items[2:])}"
        if first.text == "case":
            colon = next(i for i, item in enumerate(items) if item.text == ":")
            return self.raw(items[:colon + 1]) + " " + self.statement(items[colon + 1:])
        if first.text == "if" and items[1].text == "constexpr":
            return "if constexpr (" + self.raw(items[2].inside) + ") " + self.statement(items[3:])
        if first.text == "if":
            if items[1].inside[0].text in {"const", "auto"} or any(s.text == ";" for s in items[1].inside):
                return "if (" + self.raw(items[1].inside) + ") " + self.statement(items[2:])
            return "if (" + self.expression(items[1].inside) + ") " + self.statement(items[2:])
        if first.text in {"else", "try"}:
            return f"{first.text} {self.statement(items[1:])}"
        if first.text in {"constexpr", "static", "using", "template", "throw", "catch"}:
            return self.raw(items)
        if first.text == "return":
            if len(items) == 1:
                return "return"
            return "return " + (self.branch(items[1:]) if self.is_rule else self.returned(items[1:]))
        for i, item in enumerate(items):
            if item.inside is None and item.text in ASSIGNMENTS:
                return self.assignment(items[:i], item, items[i + 1:])
        return self.returned(items)

    def assignment(self, left, op, right):
        target = self.raw(left)
        value = self.expression(right)
        if op.text in {"+=", "-="}:
            n = self.mutant(left, f"{target} {op.text} {self.raw(right)}", f"{target} {'-+'[op.text == '-=']}= {self.raw(right)}")
            value = f"mutant::sign({n}, {value})"
        elif op.text in {"*=", "/="}:
            n = self.mutant(left, f"{target} {op.text} {self.raw(right)}", target)
            value = f"mutant::is({n}) ? {target} : {target} {op.text[0]} ({value})"
            return f"{target} = {value}"
        return f"{target} {op.text} {value}"

    def returned(self, items):
        """A value that is returned, or a contribution to a gradient."""
        text = self.raw(items)
        if re.match(r"(d\.add|d\.add_last|d\.accumulate|t\.add|t\.replay|replay_through<T>|add_in_place|add_gradient<\d>)\(", text):
            short = re.sub(r"\[&.*\}", "…", text, flags=re.S)
            n = self.mutant(items, short, "nothing")
            return f"mutant::is({n}) ? void() : {self.expression(items)}"
        value = self.expression(items)
        if self.is_rule and items[0].text != "-":
            n = self.mutant(items, text, f"-({text})")
            return f"mutant::sign({n}, {value})"
        return value

    def branch(self, items):
        """What a rule returns for one of its inputs; mutants return what belongs to the input before it or behind it."""
        value, k = self.returned(items), self.branch_number
        self.branch_number += 1
        for n, first, second in self.swaps:
            if k in (first, second):
                value = f"mutant::is({n}) ? {self.raw(self.branches[first + second - k])} : {value}"
        return value

    # ---- expressions

    def expression(self, items):
        if not items:
            return ""
        parts = self.split(items, ",")
        if len(parts) > 1:
            return ", ".join(self.expression(p) for p in parts)
        for i, item in enumerate(items):
            if item.text == "=" and item.inside is None:
                return f"{self.raw(items[:i])} = {self.expression(items[i + 1:])}"
        for i, item in enumerate(items):
            if item.text == "?" and item.inside is None:
                colon = next(k for k in range(i, len(items)) if items[k].text == ":" and
                             sum((t.text == "?") - (t.text == ":") for t in items[i:k + 1]) == 0)
                return (f"{self.expression(items[:i])} ? {self.expression(items[i + 1:colon])} : "
                        f"{self.expression(items[colon + 1:])}")
        for level in LEVELS:
            for i in range(len(items) - 2, 0, -1):
                if items[i].text in level and items[i].binary():
                    return self.binary(items[:i], items[i].text, items[i + 1:], items)
        return self.unary(items)

    def binary(self, left, op, right, items):
        a, b = self.raw(left), self.raw(right)
        text = f"{a} {op} {b}"
        x, y = self.expression(left), self.expression(right)
        if op == "+":
            mutated = f"{a} - {b}" if self.is_rule else f"{a} - {b}, of offsets {a}"
            return f"mutant::plus({self.mutant(items, text, mutated)}, {x}, {y})"
        if op == "-":
            return f"mutant::minus({self.mutant(items, text, f'{a} + {b}', f'{b} - ({a})')}, {x}, {y})"
        if op == "*":
            return f"mutant::times({self.mutant(items, text, a, b)}, {x}, {y})"
        if op == "/":
            return f"mutant::over({self.mutant(items, text, a, f'{b} / ({a})')}, {x}, {y})"
        if op in MIRRORED:
            n = self.mutant(items, text, f"{a} {MIRRORED[op]} {b}")
            return f"(mutant::is({n}) ? {x} {MIRRORED[op]} {y} : {x} {op} {y})"
        return f"{x} {op} {y}"

    def unary(self, items):
        text = self.raw(items)
        if items[0].text == "-" and len(items) > 1:
            n = self.mutant(items, text, self.raw(items[1:]))
            return f"mutant::negative({n}, {self.expression(items[1:])})"
        if items[0].text == "!" and len(items) > 1:
            n = self.mutant(items, text, self.raw(items[1:]))
            return f"mutant::flip({n}, !{self.expression(items[1:])})"
        if text in {"true", "false"} and not self.is_rule:
            return f"mutant::flip({self.mutant(items, text, 'false' if text == 'true' else 'true')}, {text})"
        if text == "d.adjoint":
            return f"mutant::sign({self.mutant(items, text, '-' + text)}, {text})"
        return self.call(items, text)

    def call(self, items, text):
        name = items[0].text
        arguments = items[1].inside if len(items) == 2 and items[1].brackets == "()" else None
        parts = self.split(arguments, ",") if arguments else []
        texts = [self.raw(p) for p in parts]
        if name == "T" and len(parts) == 1 and re.fullmatch(r"-?[\d.e-]+", texts[0]):
            to = {"0": "1", "1": "2"}.get(texts[0], "1")
            return f"mutant::pick({self.mutant(items, text, f'T({to})')}, {text}, T({to}))"
        whole = self.plain(items)
        short = name.rsplit(":", 1)[-1]
        if short == "transpose" and len(parts) == 1:
            return f"(mutant::is({self.mutant(items, text, texts[0])}) ? {texts[0]} : {whole})"
        if len(parts) == 1 and short in FUNCTIONS:
            return f"mutant::pick({self.mutant(items, text, texts[0])}, {whole}, {texts[0]})"
        if short == "where" and len(parts) == 3:
            c, a, b = texts
            return f"mutant::pick({self.mutant(items, text, f'where({c}, {b}, {a})')}, {whole}, {name}({c}, {b}, {a}))"
        if short in {"maximum", "minimum"} and len(parts) == 2:
            a, b = texts
            first = f"mutant::pick({self.mutant(items, text, a, b)}, {whole}, {a})"
            return f"mutant::pick({len(self.mutants)}, {first}, {b})"
        if short == "pow" and len(parts) == 2:
            return f"mutant::pick({self.mutant(items, text, texts[0])}, {whole}, {texts[0]})"
        if short == "matmul" and len(parts) == 2:
            a, b = texts
            return f"(mutant::is({self.mutant(items, text, f'matmul({b}, {a})')}) ? matmul({b}, {a}) : {whole})"
        return whole

    def plain(self, items):
        """A name, calls and subscripts, with what is within them rewritten."""
        out = ""
        for i, item in enumerate(items):
            if item.before and out and not out.endswith(" "):
                out += " "
            if item.inside is None:
                out += item.text + (" " if item.text in {"const", "auto"} else "")
                continue
            before = items[i - 1].text if i else ""
            name = re.sub(r"<.*", "", before).rsplit(":", 1)[-1]
            if item.brackets == "[]" or before in {"decltype", "requires", "move"} or self.opens_lambda(items, i):
                inside = self.raw(item.inside)
            elif item.brackets == "{}" and self.is_body(items, i):
                inside = self.block(item.inside)
            elif name in SIZES:
                inside = self.raw(item.inside)
            elif self.raw(items[max(0, i - 3):i]).endswith("d.add") and len(self.split(item.inside, ",")) == 4 \
                    and not self.raw(item.inside).endswith("..."):
                inside = self.swapped_arguments(item)
            else:
                parts = self.split(item.inside, ",")
                first = RAW_ARGUMENTS.get(name, 0)
                inside = ", ".join(self.raw(p) if k < first else self.expression(p) for k, p in enumerate(parts))
            out += item.brackets[0] + inside + item.brackets[1]
        return out

    def swapped_arguments(self, item):
        """d.add(i, op, a, b)"""
        parts = self.split(item.inside, ",")
        a, b = (self.raw(p) for p in parts[2:])
        n = self.mutant(item.inside, f"{self.raw(parts[1])}({a}, {b})", f"{self.raw(parts[1])}({b}, {a})")
        return ", ".join([self.raw(parts[0]), self.expression(parts[1]), f"mutant::pick({n}, {self.expression(parts[2])}, {b})",
                          f"mutant::pick({n}, {self.expression(parts[3])}, {a})"])

    @staticmethod
    def is_body(items, i):
        return i > 0 and any(s.brackets == "[]" for s in items[:i]) and (
            items[i - 1].brackets == "()" or items[i - 1].text in {"mutable", "noexcept"} or any(
                s.text == "->" for s in items[:i]) or items[i - 1].brackets == "[]")

    @staticmethod
    def opens_lambda(items, i):
        return items[i].brackets == "()" and i > 0 and (
            items[i - 1].brackets == "[]" and items[0].brackets == "[]" or items[i - 1].text.startswith("<"))

    @staticmethod
    def split(items, separator):
        parts = [[]]
        for item in items or []:
            if item.text == separator and item.inside is None:
                parts.append([])
            else:
                parts[-1].append(item)
        return parts if parts != [[]] else []

    # ---- the file

    def rewrite(self):
        """The new text, and the names of the functions in which nothing is to be mutated."""
        out, end, barren = "", 0, []
        for match in FUNCTION.finditer(self.source):
            opening = self.body(match.end())
            if opening is None:
                continue
            closing = matching(self.source, opening)
            owner = ""
            for s in STRUCT.finditer(self.source, 0, match.start()):
                owner = s[1] or s[2] or ""
            self.function = f"{owner}::{match[1]}" if owner else match[1]
            self.is_rule = self.file.endswith("_rules.hpp") and match[1] != "backward"
            before = len(self.mutants)
            items = grouped(tokens_of(self.source[opening + 1:closing], opening + 1))
            self.branches, self.branch_number = self.returns(items), 0
            self.swaps = []
            for k in range(len(self.branches) - 1 if self.is_rule else 0):
                one, other = self.branches[k], self.branches[k + 1]
                n = self.mutant(one, f"gradient<{k}> {self.raw(one)}", f"gradient<{k + 1}> {self.raw(other)}")
                self.swaps.append((n, k, k + 1))
            body = self.block(items)
            if len(self.mutants) == before:
                barren.append((self.file, self.function))
            out += self.source[end:opening + 1] + body
            end = closing
        return out + self.source[end:], barren

    @staticmethod
    def returns(items):
        """What the branches of `if constexpr` return."""
        found, start = [], None
        for i, item in enumerate(items):
            if item.text == "return":
                start = i + 1
            elif item.text == ";" and start is not None:
                found.append(items[start:i])
                start = None
        return found

    def body(self, place):
        """Where the body of the function whose arguments begin at `place` opens; None for a declaration."""
        end = matching(self.source, place - 1)
        match = re.compile(r"\)(?: const)? (\{)").match(self.source, end)
        return match.start(1) if match else None


def matching(source, opening):
    depth = 0
    for match in re.compile(r"//[^\n]*|\"(?:\\.|[^\"\\])*\"|[(){}\[\]]").finditer(source, opening):
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise ValueError(f"no bracket closes the one at {opening}")
