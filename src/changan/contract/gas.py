"""What every step costs, in gas: on the typed tree, so that all back ends charge the same.

A run is the statements up to and including the next one that branches or leaves. Entering a run charges all of its nodes,
evaluated or not; a loop charges its test, or 1, at every turn. What depends on data (a new row, bytes of text) is charged
where the length is known, before the effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.types import U128, BytesType, TextType, words

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL = 30
LOOP_TURN = 1
NEW_ROW = 100
TEXT_BYTE = 1
REMOTE_CALL = 500
GAS_LIMIT_MAX = 1_000_000
EVENT_BYTES_MAX = 64 * 1024

_ACCESS = 80
_ROW_DELETE = 120
_HELPER_CALL = 5
_SCALAR_READ = 2
_SCALAR_WRITE = 5
_EMIT = 40
_PER_WORD = 2
_RECORD = 2
_SIMPLE = 1
_WIDE = 2
_MULTIPLY = 2
_WIDE_MULTIPLY = 6
_DIVIDE = 5
_WIDE_DIVIDE = 500
_BYTES_COMPARE = 2
_DIGEST = {"sha256": 500, "sm3": 600}
DIGEST_PER_BYTE = {"sha256": 6, "sm3": 7}

_ENDS_RUN = (t.If, t.While, t.For, t.Return, t.Decline, t.Break, t.Continue)


def runs(body: Sequence[t.Statement]) -> dict[int, int]:
    """Return, for each position in `body` where a run begins, what entering it costs."""
    costs: dict[int, int] = {}
    start = 0
    for position, statement in enumerate(body):
        costs[start] = costs.get(start, 0) + statement_cost(statement)
        if isinstance(statement, _ENDS_RUN):
            start = position + 1
    return {position: cost for position, cost in costs.items() if cost}


def statement_cost(statement: t.Statement) -> int:  # noqa: PLR0911  # one line a kind of statement
    """Return what a statement costs itself, without the bodies it holds and without what depends on data."""
    match statement:
        case t.SetLocal():
            return cost(statement.value)
        case t.SetScalar():
            return _SCALAR_WRITE + cost(statement.value)
        case t.SetMap():
            return _ACCESS + _PER_WORD * words(statement.value.type) + cost(statement.key) + cost(statement.value)
        case t.SetMapField():
            return _ACCESS + _PER_WORD * words(statement.value.type) + cost(statement.key) + cost(statement.value)
        case t.SetList():
            return _ACCESS + _PER_WORD * words(statement.value.type) + cost(statement.index) + cost(statement.value)
        case t.Append():
            return _ACCESS + _PER_WORD * words(statement.value.type) + cost(statement.value)
        case t.DeleteKey():
            return _ROW_DELETE + cost(statement.key)
        case t.Evaluate():
            call = _HELPER_CALL if statement.target is None else REMOTE_CALL + cost(statement.target)
            return call + _all(statement.arguments)
        case t.Emit():
            return _EMIT + sum(words(item.type) for item in statement.fields) + _all(statement.fields)
        case t.Require():
            return _SIMPLE + cost(statement.test)
        case t.Return():
            return 0 if statement.value is None else cost(statement.value)
        case t.If():
            return cost(statement.test)
        case t.For():
            return cost(statement.start) + cost(statement.stop)
        case _:  # a while charges its test at every turn; the rest costs nothing
            return 0


def cost(expression: t.Expression) -> int:  # noqa: C901, PLR0911, PLR0912  # one line a kind of expression
    """Return what an expression costs, both sides of every choice included."""
    match expression:
        case t.Constant() | t.Local() | t.Context():
            return 0
        case t.Arithmetic():
            return _operator_cost(expression) + cost(expression.left) + cost(expression.right)
        case t.Comparison():
            kind = expression.left.type
            own = _BYTES_COMPARE if isinstance(kind, BytesType | TextType) else _WIDE if kind == U128 else _SIMPLE
            return own + cost(expression.left) + cost(expression.right)
        case t.Logic():
            return _SIMPLE * (len(expression.operands) - 1) + _all(expression.operands)
        case t.Negation() | t.Not() | t.Conversion() | t.TextSize():
            return _SIMPLE + cost(expression.operand)
        case t.Choice():
            return _SIMPLE + cost(expression.test) + cost(expression.then) + cost(expression.otherwise)
        case t.TupleValue():
            return _all(expression.items)
        case t.RecordValue():
            return _RECORD + _all(expression.items)
        case t.FieldOf():
            return cost(expression.record)
        case t.ScalarRead():
            return _SCALAR_READ
        case t.MapRead() | t.MapHas():
            return _ACCESS + cost(expression.key)
        case t.MapGet():
            return _ACCESS + cost(expression.key) + cost(expression.otherwise)
        case t.ListRead():
            return _ACCESS + cost(expression.index)
        case t.ListLength():
            return _SCALAR_READ
        case t.DigestOf():
            kind = expression.operand.type
            fixed = kind.length * DIGEST_PER_BYTE[expression.algorithm] if isinstance(kind, BytesType) else 0
            return _DIGEST[expression.algorithm] + fixed + cost(expression.operand)
        case t.HelperCall():
            return _HELPER_CALL + _all(expression.arguments)
        case t.RemoteCall():
            return REMOTE_CALL + cost(expression.target) + _all(expression.arguments)
    raise AssertionError(f"no cost for {type(expression).__name__}")


def _operator_cost(node: t.Arithmetic) -> int:
    wide = node.type == U128
    if node.operator == "*":
        return _WIDE_MULTIPLY if wide else _MULTIPLY
    if node.operator in {"//", "%"}:
        return _WIDE_DIVIDE if wide else _DIVIDE
    return _WIDE if wide else _SIMPLE


def _all(expressions: Sequence[t.Expression]) -> int:
    return sum(cost(expression) for expression in expressions)
