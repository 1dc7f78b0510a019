"""Annotations: from what an author writes after a colon to a type of the language."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from changan.contract.constants import FIXED, INTEGERS, fold, plain_int
from changan.contract.refusal import refuse
from changan.contract.types import BOOL, FIXED_BYTES_MAX, TEXT_BYTES_MAX, TextType, TupleType, fixed_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from changan.contract.types import ValueType

KEY_PARTS_MAX = 8
PYTHON_TYPES = {
    "int": "int has no fixed size; use U64, I64 or U128",
    "float": "floats are refused",
    "complex": "floats are refused",
    "str": "use Annotated[Text, MaxLen(n)]: a text has a bound",
    "bytes": "use Annotated[Bytes, Len(n, n)], Digest or Address: bytes have a length",
    "bool": "use Bool",
    "dict": "use Map[K, V] as a field of the contract",
    "list": "use List[V] as a field of the contract",
}
_BOUNDS = "bounds are Annotated[Text, MaxLen(n)] and Annotated[Bytes, Len(n, n)], all imported"


class Annotations:
    """Reads types, given what the file imports and has declared so far."""

    def __init__(self, imported: set[str], constants: Mapping[str, Any], known: Mapping[str, ValueType]) -> None:
        self._imported = imported
        self._constants = constants
        self._known = known

    def read(self, node: ast.expr) -> ValueType:
        """Return the type that an annotation names. Raises Refusal."""
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Subscript(value=ast.Name(id="tuple"), slice=slice_):
                items = slice_.elts if isinstance(slice_, ast.Tuple) else [slice_]
                kinds = tuple(self.value(item) for item in items)
                if not 1 <= len(kinds) <= KEY_PARTS_MAX:
                    refuse(node, "type", f"a key has 1 to {KEY_PARTS_MAX} parts")
                return TupleType(kinds)
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[ast.Name(id=base), bound])):
                return self._bounded(node, base, bound)
            case ast.Subscript(value=ast.Name(id="Map" | "List" as container)):
                refuse(node, "type", f"a {container} is a field of the contract, and cannot be nested or passed")
            case _:
                refuse(node, "type", "this is no type of the language")

    def value(self, node: ast.expr) -> ValueType:
        """Return the type of something that is stored or passed: all but a tuple. Raises Refusal."""
        kind = self.read(node)
        if isinstance(kind, TupleType):
            refuse(node, "type", "a tuple is only a key; use a Record")
        return kind

    def _name(self, node: ast.Name) -> ValueType:
        name = node.id
        if name in self._known:
            return self._known[name]
        if name in PYTHON_TYPES:
            refuse(node, "type", PYTHON_TYPES[name])
        if name in {"Text", "Bytes"}:
            bound = "MaxLen(n)" if name == "Text" else "Len(n, n)"
            refuse(node, "type", f"{name} has a bound: Annotated[{name}, {bound}]")
        built_in: dict[str, ValueType] = {**INTEGERS, **FIXED, "Bool": BOOL}
        if name not in built_in:
            refuse(node, "type", f"there is no type {name}")
        if name not in self._imported:
            refuse(node, "import", f"import {name} from changan.contract")
        return built_in[name]

    def _bounded(self, node: ast.expr, base: str, bound: ast.expr) -> ValueType:
        needed = {"Text": "MaxLen", "Bytes": "Len"}.get(base)
        if needed is None or not {"Annotated", base, needed} <= self._imported:
            refuse(node, "type", _BOUNDS)
        match bound:
            case ast.Call(func=ast.Name(id=called), args=args, keywords=[]) if called == needed:
                numbers = [plain_int(fold(arg, self._constants)) for arg in args]
            case _:
                refuse(node, "type", _BOUNDS)
        if base == "Text":
            if len(numbers) != 1 or numbers[0] is None or not 1 <= numbers[0] <= TEXT_BYTES_MAX:
                refuse(node, "type", f"a text has 1 to {TEXT_BYTES_MAX} bytes")
            return TextType(numbers[0])
        same = len(numbers) == 2 and numbers[0] == numbers[1]  # noqa: PLR2004  # Len(n, n)
        if not same or numbers[0] is None or not 1 <= numbers[0] <= FIXED_BYTES_MAX:
            refuse(node, "type", f"bytes have a fixed length of 1 to {FIXED_BYTES_MAX}: Len(n, n)")
        return fixed_bytes(numbers[0])
