"""What a contract file declares, as its bodies refer to it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from changan.contract.annotations import Annotations
from changan.contract.constants import fold
from changan.contract.refusal import refuse

if TYPE_CHECKING:
    from changan.contract.tree import Field
    from changan.contract.types import EnumType, EventType, InterfaceType, RecordType, Signature, ValueType

NAME_CHARACTERS_MAX = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Declarations:
    """Everything that bodies may refer to."""

    imported: set[str] = field(default_factory=set)
    constants: dict[str, Any] = field(default_factory=dict)
    aliases: dict[str, ValueType] = field(default_factory=dict)
    enums: dict[str, EnumType] = field(default_factory=dict)
    records: dict[str, RecordType] = field(default_factory=dict)
    events: dict[str, EventType] = field(default_factory=dict)
    interfaces: dict[str, InterfaceType] = field(default_factory=dict)
    contract: str = ""
    doc: str = ""
    fields: list[Field] = field(default_factory=list)
    bodies: list[tuple[Signature, ast.FunctionDef]] = field(default_factory=list)
    drops: tuple[str, ...] = ()

    @property
    def types(self) -> Annotations:
        """How annotations of this file read."""
        return Annotations(self.imported, self.constants, {**self.aliases, **self.enums, **self.records})

    def fold(self, node: ast.expr) -> object | None:
        """Return the value of a constant expression, or None where it is none. Raises Refusal."""
        value = fold(node, self.constants)
        if value is not None:
            for part in ast.walk(node):
                if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
                    self.need_import(part, part.func.id)
        return value

    def need_import(self, node: ast.AST, name: str) -> None:
        """Refuse a name of the language that the file does not import."""
        if name not in self.imported:
            refuse(node, "import", f"import {name} from changan.contract")

    def signature(self, name: str) -> Signature | None:
        """Return the signature of the contract's own method, or None."""
        return next((signature for signature, _ in self.bodies if signature.name == name), None)

    def taken(self, name: str) -> bool:
        """Whether the file already gives this name a meaning."""
        groups = (self.constants, self.aliases, self.enums, self.records, self.events, self.interfaces, self.imported)
        return any(name in group for group in groups) or name == self.contract


def named(node: ast.AST, name: str) -> str:
    """Return an author's name, if it is one that may be given."""
    if _NAME.fullmatch(name) is None or len(name) > NAME_CHARACTERS_MAX:
        refuse(node, "name", f"names are ASCII letters, digits and _, at most {NAME_CHARACTERS_MAX}")
    if name.startswith("__"):
        refuse(node, "name", "names do not start with two underscores")
    return name
