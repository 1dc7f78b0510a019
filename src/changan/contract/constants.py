"""Values known before a contract runs: literals and arithmetic over them, folded exactly and within bounds."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from changan.contract.refusal import not_in_language, refuse
from changan.contract.types import ADDRESS, BOOL, DIGEST, I64, U64, U128, BytesType, IntType, TextType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_BITS_MAX = 256
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
INTEGERS = {"U64": U64, "I64": I64, "U128": U128}
FIXED = {"Address": ADDRESS, "Digest": DIGEST, "Bytes32": DIGEST}


def fold(node: ast.expr, known: Mapping[str, Any]) -> object | None:
    """Return the value of a constant expression, or None where it is none. `known` holds the module's constants.

    A value is a plain int, bool, str or bytes, or a (type, value) pair where the author named the type.
    Raises Refusal for a constant that is none in the language.
    """
    match node:
        case ast.Constant(kind=None):
            if isinstance(node.value, float | complex):
                refuse(node, "float", "floats are refused")
            if node.value is None or node.value is Ellipsis:
                not_in_language(node)
            return _bounded(node, node.value) if type(node.value) is int else node.value
        case ast.Constant():
            refuse(node, "syntax", 'write "..." without u before it')
        case ast.Name():
            return known.get(node.id)
        case ast.UnaryOp(op=ast.USub()):
            return _fold_minus(node, fold(node.operand, known))
        case ast.BinOp():
            return _fold_operator(node, known)
        case ast.Call():
            return _fold_conversion(node, known)
    return None


def plain_int(value: object) -> int | None:
    """Return the number behind a folded constant, or None where it is none."""
    if isinstance(value, tuple):
        value = value[1]
    return value if type(value) is int else None


def _bounded(node: ast.AST, value: int) -> int:
    if abs(value).bit_length() > _BITS_MAX:
        refuse(node, "constant", f"the constant has more than {_BITS_MAX} bits")
    return value


def _fold_minus(node: ast.UnaryOp, operand: object) -> object | None:
    number = plain_int(operand)
    if number is None or not isinstance(operand, tuple):
        return None if number is None else -number
    if operand[0] != I64:
        refuse(node, "type", f"only I64 has a sign, this is {operand[0].name}")
    return typed(node, I64, -number)


def _fold_operator(node: ast.BinOp, known: Mapping[str, Any]) -> object | None:
    left, right = fold(node.left, known), fold(node.right, known)
    a, b = plain_int(left), plain_int(right)
    sign = _OPERATORS.get(type(node.op))
    if a is None or b is None or sign is None:
        return None
    value = _bounded(node, _calculate(node, sign, a, b))
    kind = left[0] if isinstance(left, tuple) else None
    if isinstance(right, tuple):
        counts = sign in {"<<", ">>", "**"}
        wanted = U64 if counts else kind or right[0]
        if right[0] != wanted:
            refuse(node, "type", f"{wanted.name} wanted, this is {right[0].name}")
        kind = kind if counts else wanted
    return value if kind is None else typed(node, kind, value)


def _calculate(node: ast.BinOp, sign: str, a: int, b: int) -> int:  # noqa: PLR0911  # one line an operator
    if sign in {"//", "%"} and b == 0:
        refuse(node, "constant", "division by zero")
    if sign in {"**", "<<", ">>"} and not 0 <= b <= _BITS_MAX:
        refuse(node, "constant", f"an exponent or shift is 0 to {_BITS_MAX}")
    match sign:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "//":
            return a // b
        case "%":
            return a % b
        case "**":
            return int(a**b)
        case "<<":
            return a << b
        case ">>":
            return a >> b
        case "&":
            return a & b
        case "|":
            return a | b
        case _:
            return a ^ b


def _fold_conversion(node: ast.Call, known: Mapping[str, Any]) -> object | None:
    """Fold U64(8) and its kin, and Address(b"...") or Digest(), which take constants only."""
    if not isinstance(node.func, ast.Name) or node.keywords:
        return None
    name = node.func.id
    if name in FIXED:
        kind = FIXED[name]
        value = fold(node.args[0], known) if len(node.args) == 1 else bytes(kind.length)
        if len(node.args) > 1 or not isinstance(value, bytes) or len(value) != kind.length:
            refuse(node, "constant", f"{name}() takes nothing, or {kind.length} constant bytes")
        return (kind, value)
    if name in INTEGERS and len(node.args) == 1:
        number = plain_int(fold(node.args[0], known))
        return None if number is None else typed(node, INTEGERS[name], number)
    return None


def typed(node: ast.AST, kind: IntType, value: int) -> tuple[IntType, int]:
    """Return a number with its type. Raises Refusal when it does not fit."""
    if not kind.low <= value <= kind.high:
        refuse(node, "constant", f"{value} does not fit in {kind.name}")
    return kind, value


def type_of(node: ast.AST, value: object, wanted: object) -> tuple[Any, Any]:
    """Return (type, value) of a folded constant; one without a type takes `wanted`, alone U64, negative I64."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, bool):
        return BOOL, value
    if isinstance(value, int):
        kind = wanted if isinstance(wanted, IntType) else I64 if value < 0 else U64
        return typed(node, kind, value)
    if isinstance(value, str):
        try:
            return TextType(len(value.encode())), value
        except UnicodeEncodeError:
            refuse(node, "constant", "the text holds a lone surrogate, which is not UTF-8")
    assert isinstance(value, bytes)
    if isinstance(wanted, BytesType) and wanted.name != "Address" and wanted.length == len(value):
        return wanted, value
    return BytesType(f"Bytes[{len(value)}]", len(value)), value
