"""The whole module of a contract, as WebAssembly text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_codec import PUT_TEXTS
from changan.contract.compiled.emit_doors import DESCRIPTOR_HEAD_BYTES, Door
from changan.contract.compiled.emit_methods import emit_method
from changan.contract.compiled.emit_records import record_functions
from changan.contract.compiled.emit_restore import restore_functions
from changan.contract.compiled.emit_rows import row_functions
from changan.contract.compiled.runtime_digests import digest_text
from changan.contract.compiled.runtime_index import index_text
from changan.contract.compiled.runtime_memory import GLOBALS, memory_text
from changan.contract.compiled.runtime_numbers import numbers_text
from changan.contract.compiled.shared import Shared

if TYPE_CHECKING:
    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.tree import Tree

PAGE_BYTES = 65536
COLUMNS_MAX = 17  # the caller's and sixteen parameters'


@dataclass(frozen=True)
class ModuleText:
    """A module, and what its host must know of it."""

    text: str
    fields: list[FieldLayout]
    columns: int  # where a single call's columns are described
    remote: bool  # whether it calls other contracts


def emit_module(tree: Tree) -> ModuleText:
    """Return the module of a contract."""
    shared = Shared(tree)
    columns = shared.static.reserve(DESCRIPTOR_HEAD_BYTES + l.COLUMN_BYTES * COLUMNS_MAX)
    bodies = []
    for method in tree.methods:
        body = emit_method(shared, method)
        bodies.append(body.w.text())
        if method.signature.kind != "helper":
            bodies.append(Door(shared, method.signature, body).text())
    rows = row_functions(shared) + record_functions(shared) + restore_functions(shared)
    digests = "".join(digest_text(name, shared.static) for name in sorted(shared.digests))
    remote = any(interface.methods for interface in tree.interfaces)
    imports = '(import "host" "call" (func $host (param i32 i32 i32 i64) (result i32 i64)))\n' if remote else ""
    shared.static.data.append((l.NIL_ROW, (l.DEAD | l.FREE).to_bytes(4, "little")))
    pages = -(-(shared.static.top + PAGE_BYTES) // PAGE_BYTES)
    text = (
        "(module\n"
        + imports
        + f'(memory (export "memory") {pages} 65535)\n'
        + GLOBALS.format(heap=shared.static.top, no_hints=l.NO_HINTS)
        + memory_text()
        + index_text()
        + numbers_text()
        + PUT_TEXTS
        + digests
        + rows
        + "".join(shared.functions)
        + "".join(bodies)
        + "".join(f'(data (i32.const {at}) "{_quoted(data)}")\n' for at, data in shared.static.data)
        + ")\n"
    )
    return ModuleText(text, shared.fields, columns, remote)


def _quoted(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)
