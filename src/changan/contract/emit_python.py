"""The typed tree as Python functions that keep the author's file name and lines, with every step metered."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.gas import LOOP_TURN, cost, runs
from changan.contract.types import IntType, TextType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from changan.contract.types import Signature, ValueType

_INDENT = "    "


def emit_module(tree: t.Tree, filename: str) -> CodeType:
    """Return code that defines a function `m_<name>(M, ...)` for every method; M is the machine that runs it."""
    writer = _Writer()
    for method in tree.methods:
        writer.method(method)
    module = ast.parse("\n".join(writer.text))
    for node in ast.walk(module):
        if isinstance(node, ast.expr | ast.stmt | ast.arg):
            node.lineno = node.end_lineno = writer.lines[node.lineno - 1]
    return compile(module, filename, "exec")


class _Writer:
    """Writes statements, each on a line of its own that remembers the author's."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.lines: list[int] = []
        self._depth = 0

    def _put(self, line: int, text: str) -> None:
        self.text.append(_INDENT * self._depth + text)
        self.lines.append(max(1, line))

    def _charge(self, amount: int, line: int) -> None:
        """Write what `Machine.charge` does, in place: half of a call's steps are these."""
        self._put(line, f"M.gas += {amount}")
        self._put(line, f"if M.gas > M.limit: M.stop({line})")

    def method(self, method: t.Method) -> None:
        """Write one method."""
        signature = method.signature
        parameters = "".join(f", v_{name}" for name, _ in signature.parameters)
        self._put(signature.line, f"def m_{signature.name}(M{parameters}):")
        self._block(method.body, signature.line)

    def _block(self, body: Sequence[t.Statement], line: int) -> None:
        self._depth += 1
        charges = runs(body)
        for position, statement in enumerate(body):
            if position in charges:
                self._charge(charges[position], statement.line)
            self._statement(statement)
        if not body:
            self._put(line, "pass")
        self._depth -= 1

    def _statement(self, s: t.Statement) -> None:  # noqa: C901, PLR0912  # one case a kind of statement
        match s:
            case t.SetLocal():
                self._put(s.line, f"v_{s.name} = {expression(s.value)}")
            case t.SetScalar():
                self._put(s.line, f"M.scalar_set({s.field}, {expression(s.value)}, {s.line})")
            case t.SetMap():
                self._put(s.line, f"M.map_set({s.field}, {expression(s.value)}, {expression(s.key)}, {s.line})")
            case t.SetMapField():
                values = f"{s.position}, {expression(s.value)}, {expression(s.key)}"
                self._put(s.line, f"M.map_set_part({s.field}, {values}, {s.line})")
            case t.SetList():
                self._put(s.line, f"M.list_set({s.field}, {expression(s.value)}, {expression(s.index)}, {s.line})")
            case t.Append():
                self._put(s.line, f"M.list_append({s.field}, {expression(s.value)}, {s.line})")
            case t.DeleteKey():
                self._put(s.line, f"M.map_delete({s.field}, {expression(s.key)}, {s.line})")
            case t.Evaluate():
                self._put(s.line, _call(s.line, s.target, s.method, s.arguments))
            case t.Emit():
                self._put(s.line, f"M.emit({s.event}, {_tuple(s.fields)}, {s.line})")
            case t.Decline():
                self._put(s.line, f"decline({s.reason}, {s.line})")
            case t.Require():
                self._put(s.line, f"if not {expression(s.test)}: decline({s.reason}, {s.line})")
            case t.Return():
                self._put(s.line, "return" if s.value is None else f"return {expression(s.value)}")
            case t.If():
                self._put(s.line, f"if {expression(s.test)}:")
                self._block(s.then, s.line)
                if s.otherwise:
                    self._put(s.line, "else:")
                    self._block(s.otherwise, s.line)
            case t.While():
                self._put(s.line, f"while M.turn({LOOP_TURN + cost(s.test)}, {s.line}) and {expression(s.test)}:")
                self._block(s.body, s.line)
            case t.For():
                self._put(s.line, f"for v_{s.name} in range({expression(s.start)}, {expression(s.stop)}):")
                self._depth += 1
                self._charge(LOOP_TURN, s.line)
                self._depth -= 1
                self._block(s.body, s.line)
            case t.Break():
                self._put(s.line, "break")
            case t.Continue():
                self._put(s.line, "continue")


def _tuple(items: Sequence[t.Expression]) -> str:
    return "(" + "".join(f"{expression(item)}, " for item in items) + ")"


def _call(line: int, target: t.Expression | None, method: Signature, arguments: Sequence[t.Expression]) -> str:
    if target is None:
        return f"m_{method.name}(M{''.join(', ' + expression(item) for item in arguments)})"
    return f"M.remote({expression(target)}, {method.number}, {_tuple(arguments)}, {line})"


def expression(e: t.Expression) -> str:  # noqa: C901, PLR0911, PLR0912  # one case a kind of expression
    """Return a Python expression with the value of `e`."""
    match e:
        case t.Constant():
            return repr(e.value)
        case t.Local():
            return f"v_{e.name}"
        case t.Context():
            return f"M.{e.name}"
        case t.Arithmetic():
            return _arithmetic(e)
        case t.Negation():
            return _checked(e.type, f"-{expression(e.operand)}", e.line)
        case t.Comparison():
            return _comparison(e)
        case t.Logic():
            return "(" + f" {e.operator} ".join(expression(operand) for operand in e.operands) + ")"
        case t.Not():
            return f"(not {expression(e.operand)})"
        case t.Choice():
            return f"({expression(e.then)} if {expression(e.test)} else {expression(e.otherwise)})"
        case t.Conversion():
            return _checked(e.type, expression(e.operand), e.line)
        case t.TupleValue() | t.RecordValue():
            return _tuple(e.items)
        case t.FieldOf():
            return f"{expression(e.record)}[{e.position}]"
        case t.ScalarRead():
            return f"M.scalar_read({e.field})"
        case t.MapRead():
            return f"M.map_read({e.field}, {expression(e.key)}, {e.line})"
        case t.MapGet():
            return f"M.map_get({e.field}, {expression(e.otherwise)}, {expression(e.key)})"
        case t.MapHas():
            return f"M.map_has({e.field}, {expression(e.key)})"
        case t.ListRead():
            return f"M.list_read({e.field}, {expression(e.index)}, {e.line})"
        case t.ListLength():
            return f"M.list_length({e.field})"
        case t.TextSize():
            return f"len({expression(e.operand)}.encode())"
        case t.DigestOf():
            dynamic = isinstance(e.operand.type, TextType)
            return f"M.{'text' if dynamic else 'bytes'}_digest({e.algorithm!r}, {expression(e.operand)}, {e.line})"
        case t.HelperCall():
            return f"m_{e.name}(M{''.join(', ' + expression(item) for item in e.arguments)})"
        case t.RemoteCall():
            return _call(e.line, e.target, e.method, e.arguments)
    raise AssertionError(f"no Python for {type(e).__name__}")


def _checked(kind: ValueType, text: str, line: int) -> str:
    """Return an expression that fails where the value of `text` leaves the integer type."""
    assert isinstance(kind, IntType)
    return f"(_t if {kind.low} <= (_t := {text}) <= {kind.high} else overflow({line}))"


def _arithmetic(e: t.Arithmetic) -> str:
    kind = e.type
    assert isinstance(kind, IntType)
    left, right = expression(e.left), expression(e.right)
    match e.operator:
        case "+" | "-" | "*":
            return _checked(kind, f"{left} {e.operator} {right}", e.line)
        case "//":
            return _checked(kind, f"divide({left}, {right}, {e.line})", e.line)
        case "%":
            return f"modulo({left}, {right}, {e.line})"
        case "<<":
            return _checked(kind, f"shift_left({left}, {right}, {kind.width * 8}, {e.line})", e.line)
        case ">>":
            return f"shift_right({left}, {right})"
        case _:
            return f"({left} {e.operator} {right})"


def _comparison(e: t.Comparison) -> str:
    left, right = expression(e.left), expression(e.right)
    if isinstance(e.left.type, TextType):
        return f"M.text_{'equal' if e.operator == '==' else 'differs'}({left}, {right}, {e.line})"
    return f"({left} {e.operator} {right})"
