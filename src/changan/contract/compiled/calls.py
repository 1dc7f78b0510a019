"""How single calls reach a module: arguments packed into fixed places of its memory, and results read back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled import marshal
from changan.contract.compiled.emit_doors import DESCRIPTOR_HEAD_BYTES
from changan.contract.compiled.layout import fixed_size
from changan.contract.types import BoolType, BytesType, IntType

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.contract.compiled.entry import Machine
    from changan.contract.compiled.module import ModuleText
    from changan.contract.instance import Call, Value
    from changan.contract.program import Program
    from changan.contract.types import ValueType

_GAS_MAX = 2**63 - 1


class Doorway:
    """One method: its columns of one row, how its arguments are put in them, and how its result is read."""

    def __init__(self, machine: Machine, text: ModuleText, program: Program, method: str) -> None:
        signature = program.method(method)
        assert signature is not None
        self.signature = signature
        self.run = machine.entry(f"run_{method}")
        self.kinds = [kind for _, kind in signature.parameters]
        self._memory = machine.memory
        self._columns = text.columns
        self._variable = [number for number, kind in enumerate(self.kinds) if fixed_size(kind) is None]
        self._descriptors = self._describe()
        simple = [marshal.simple_format(kind) for kind in self.kinds]
        self._simple = (
            struct.Struct("<Q20s4x" + "".join(found or "" for found in simple)) if None not in simple else None
        )
        self._head = struct.Struct("<Q20s4x")
        self.read = None if signature.result is None else _reader(signature.result)

    def _describe(self) -> bytes:
        heads = struct.pack("<5I", l.ONE_OUTCOME, l.ONE_GAS, l.ONE_RESULT, l.ONE_END, 0)
        columns = [struct.pack("<4I", l.ONE_CALLER, 0, 0, 0)]
        at = l.ONE_ARGUMENTS
        for kind in self.kinds:
            columns.append(struct.pack("<4I", at, 0, 0, 0))
            at += fixed_size(kind) or 0
        return heads + b"".join(columns)

    def describe(self) -> None:
        """Describe this method's columns to the module."""
        self._memory[self._columns : self._columns + len(self._descriptors)] = self._descriptors

    def put(self, call: Call, room: Callable[[int], int]) -> None:
        """Put a call where the module reads it; `room` gives space for what has no fixed size."""
        gas = min(call.gas_limit, _GAS_MAX)
        if self._simple is not None:
            self._simple.pack_into(self._memory, l.GAS_LIMIT, gas, call.caller, *call.arguments)
            return
        self._head.pack_into(self._memory, l.GAS_LIMIT, gas, call.caller)
        at = l.ONE_ARGUMENTS
        for kind, value in zip(self.kinds, call.arguments, strict=True):
            if fixed_size(kind) is not None:
                data = marshal.write(kind, value)
                self._memory[at : at + len(data)] = data
                at += len(data)
        if self._variable:
            self._put_variable(call, room)

    def _put_variable(self, call: Call, room: Callable[[int], int]) -> None:
        """Put arguments of no fixed size: for each its end, then its bytes."""
        found = [marshal.write_alone(self.kinds[number], call.arguments[number]) for number in self._variable]
        at = room(sum(8 + len(data) for data in found) + 8)
        for number, data in zip(self._variable, found, strict=True):
            struct.pack_into("<II", self._memory, at, len(data), 0)
            start = at + 8
            self._memory[start : start + len(data)] = data
            where = self._columns + DESCRIPTOR_HEAD_BYTES + l.COLUMN_BYTES * (1 + number)
            struct.pack_into("<3I", self._memory, where, start, 0, at)
            at = start + len(data)


def _reader(kind: ValueType) -> Callable[[memoryview, int], Value]:
    """Return what reads a result: from its fixed place, or from where what has no fixed size begins."""
    if fixed_size(kind) is None:

        def read_variable(memory: memoryview, out: int) -> Value:
            size = int.from_bytes(memory[l.ONE_END : l.ONE_END + 4], "little")
            return marshal.read_alone(kind, bytes(memory[out : out + size]))

        return read_variable
    form = marshal.simple_format(kind)
    if form is not None and isinstance(kind, IntType | BoolType | BytesType):
        unpack = struct.Struct("<" + form).unpack_from
        return lambda memory, _: unpack(memory, l.ONE_RESULT)[0]
    return lambda memory, _: marshal.read(kind, memory, l.ONE_RESULT)[0]
