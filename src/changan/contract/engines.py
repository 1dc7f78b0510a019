"""The engines of contracts: which instance a program gets. All give the same outcomes, gas, events and rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from changan.contract.compiled import CompiledInstance, open_instance
from changan.contract.plain import PlainInstance

if TYPE_CHECKING:
    from changan.contract.program import Program

AnyInstance = PlainInstance | CompiledInstance
Engine = Callable[["Program", bytes], AnyInstance]
"""From a program and the contract's address (20 bytes) to an empty instance."""


def plain(program: Program, address: bytes) -> AnyInstance:
    """Return an instance run by CPython: the reference, for development and audit."""
    return PlainInstance(program, address)


def compiled(seed: bytes) -> Engine:
    """Return the engine that compiles contracts. `seed` is 32 bytes of this node's secret; nothing visible depends on it."""
    return lambda program, address: open_instance(program, address, seed)
