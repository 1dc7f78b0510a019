"""Names in sight inside one method, and what the method does to the state."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from changan.contract.refusal import refuse

if TYPE_CHECKING:
    from changan.contract.declared import Declarations
    from changan.contract.types import FieldType, Signature, ValueType


class Scope:
    """What an expression may refer to, and what it does: names in sight, and the effects of the method so far."""

    def __init__(self, declared: Declarations, signature: Signature) -> None:
        self.declared = declared
        self.signature = signature
        self.blocks: list[dict[str, ValueType]] = [dict(signature.parameters)]
        self.ever: dict[str, ValueType] = dict(signature.parameters)
        self.mutates_at: int | None = None  # the first line that changes state or emits
        self.helpers: dict[str, int] = {}  # helpers called, with a line

    def look_up(self, name: str) -> ValueType | None:
        """Return the type of a name in sight, or None."""
        return next((block[name] for block in self.blocks if name in block), None)

    def field(self, name: str) -> tuple[int, FieldType] | None:
        """Return a field of the contract and its place, or None."""
        for place, entry in enumerate(self.declared.fields):
            if entry.name == name:
                return place, entry.type
        return None

    def mutates(self, node: ast.AST) -> None:
        """Note that the method changes state. Raises Refusal in a view."""
        line = getattr(node, "lineno", 1)
        self.mutates_at = self.mutates_at or line
        if self.signature.kind == "view":
            refuse(node, "view", "a @view cannot change state or emit")


def own_attribute(node: ast.expr) -> str | None:
    """Return x of `self.x`, or None."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None
