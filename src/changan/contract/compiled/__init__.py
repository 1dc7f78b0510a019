"""The compiled back end: a contract's typed tree as WebAssembly, run by wasmtime, with the state in linear memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled.instance import CompiledInstance
from changan.contract.plain import QUOTA_BYTES

if TYPE_CHECKING:
    from changan.contract.instance import Instance
    from changan.contract.program import Program

    IMPLEMENTS: type[Instance] = CompiledInstance


def open_instance(program: Program, address: bytes, seed: bytes, quota: int = QUOTA_BYTES) -> CompiledInstance:
    """Return an instance of a contract, empty; `seed` is 32 bytes of this node's secret."""
    return CompiledInstance(program, address, quota, seed)


__all__ = ["CompiledInstance", "open_instance"]
