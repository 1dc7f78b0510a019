"""The law of numbers: every operator, comparison and conversion gives the same on both engines, and what whole numbers give.

CHANGAN_LAW_CASES=N tries N random cases instead of the few of an ordinary run.
"""

from __future__ import annotations

import operator
import os
from random import Random

import pytest
from contract_running import ALICE, BLOCK, GAS, HOME, contract

from changan.contract.compiled import marshal, plain_columns
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import Code
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source
from changan.contract.types import I64, U64, U128

CASES = int(os.environ.get("CHANGAN_LAW_CASES", "0")) or 20_000
KINDS = {kind.name: kind for kind in (U64, I64, U128)}
BATCH_ROWS = 1000
ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": lambda a, b: a << min(b, 200),
    ">>": lambda a, b: a >> min(b, 200),
}
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
SHIFTS = {"<<", ">>"}


def operations():
    """Return every operation as (name of its method, types of its operands, type of its result, expression, its meaning)."""
    found = []
    for kind in KINDS:
        for sign, meaning in ARITHMETIC.items():
            right = "U64" if sign in SHIFTS else kind
            found.append(([kind, right], kind, f"a {sign} b", meaning))
        found += [([kind, kind], "Bool", f"a {sign} b", meaning) for sign, meaning in COMPARISONS.items()]
        found += [([other], kind, f"{kind}(a)", int) for other in KINDS]
    found.append((["I64"], "I64", "-a", operator.neg))
    return [(f"f{number}", *rest) for number, rest in enumerate(found)]


OPERATIONS = operations()
PROGRAM = compile_source(
    contract(
        "\n".join(
            f"@view\ndef {name}(self, {', '.join(f'{label}: {kind}' for label, kind in zip('ab', kinds, strict=False))})"
            f" -> {result}:\n    return {expression}"
            for name, kinds, result, expression, _ in OPERATIONS
        )
    )
)


def number(random, kind):
    """Return a number of any length, or one beside a power of two or a bound of a type."""
    way = random.random()
    if way < 0.5:
        found = random.getrandbits(random.randint(0, 8 * kind.width))
    elif way < 0.8:
        found = (1 << random.randint(0, 8 * kind.width)) + random.randint(-2, 2)
    else:
        found = random.choice([0, 1, 2, 63, 64, 65, 127, 128, I64.high, U64.high, U128.high]) + random.randint(-1, 1)
    return within(kind, -found if random.random() < 0.5 and kind.low < 0 else found)


def within(kind, value):
    return max(kind.low, min(kind.high, value))


def operands(random, kinds, expression):
    """Return operands; a third of the time such that what is exact lies beside a bound of the type, or of a multiple."""
    one = KINDS[kinds[0]]
    a = number(random, one)
    if len(kinds) == 1:
        return (a,)
    other, sign = KINDS[kinds[1]], expression.split()[1]
    b = number(random, other)
    if random.random() < 0.33:
        bound, near = random.choice([one.low, one.high]), random.randint(-2, 2)
        if sign == "+":
            b = bound - a + near
        elif sign == "-":
            b = a - bound + near
        elif sign == "*":
            b = bound // (a or 1) + near
        elif sign in {"//", "%"}:
            a = b * number(random, one) + near
        elif sign in SHIFTS:
            b = random.randint(0, 130)
        else:
            b = a + near
    return within(one, a), within(other, b)


def meant(meaning, values, result):
    """Return the outcome's code and result that whole numbers give."""
    try:
        found = meaning(*values)
    except ZeroDivisionError:
        return Code.DIVISION_BY_ZERO, None
    if result == "Bool" or KINDS[result].low <= found <= KINDS[result].high:
        return Code.OK, found
    return Code.OVERFLOW, None


@pytest.fixture(scope="module")
def engines():
    return PlainInstance(PROGRAM, HOME), CompiledInstance(PROGRAM, HOME)


@pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda found: f"{found[2]}:{found[3]}:{found[1][0]}".replace(" ", "")
)
def test_numbers(engines, operation):
    plain, compiled = engines
    name, kinds, result, expression, meaning = operation
    signature = PROGRAM.method(name)
    random = Random(name)
    left = -(-CASES // len(OPERATIONS))
    while left > 0:
        rows = [operands(random, kinds, expression) for _ in range(min(left, BATCH_ROWS))]
        left -= len(rows)
        columns = [
            ColumnData(b"".join(marshal.write(KINDS[kind], row[place]) for row in rows))
            for place, kind in enumerate(kinds)
        ]
        batch = compiled.run_columns(name, ALICE, columns, BLOCK, GAS)
        assert batch == plain_columns.run_columns(plain, name, ALICE, columns, BLOCK, gas_limit=GAS)
        width = len(batch.results) // len(rows)
        for place, row in enumerate(rows):
            code, value = meant(meaning, row, result)
            assert batch.outcomes[place] & 255 == code, row
            if value is not None:
                found = marshal.read_alone(signature.result, batch.results[place * width : (place + 1) * width])
                assert found == value, row
