"""Python values as bytes of columns, and back: little-endian, one after another; a text inside a value after its length.

Fixed width: integers at their width, Bool and enum members one byte, fixed bytes as they are, records their fields in order.
A text alone is its UTF-8 (the column has its end); inside a record, an event or a call it follows its length in four bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from changan.contract.compiled.layout import parts
from changan.contract.types import BoolType, BytesType, EnumType, IntType, TextType, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from changan.contract.instance import Value

_LENGTH = struct.Struct("<I")


def write(kind: ValueType, value: Value) -> bytes:
    """Return the bytes of a value inside another."""
    match kind:
        case IntType():
            assert isinstance(value, int)
            return value.to_bytes(kind.width, "little", signed=kind.low < 0)
        case BoolType() | EnumType():
            assert isinstance(value, int)
            return bytes([value])
        case BytesType():
            assert isinstance(value, bytes)
            return value
        case TextType():
            assert isinstance(value, str)
            data = value.encode()
            return _LENGTH.pack(len(data)) + data
    assert isinstance(value, tuple)
    return b"".join(write(part, item) for part, item in zip(parts(kind), value, strict=True))  # type: ignore[arg-type]  # parts are values


def write_alone(kind: ValueType, value: Value) -> bytes:
    """Return the bytes of a value that has a column to itself."""
    if isinstance(kind, TextType):
        assert isinstance(value, str)
        return value.encode()
    return write(kind, value)


def read(kind: ValueType, data: Buffer, at: int) -> tuple[Value, int]:
    """Return the value at a place inside of others, and where the next one begins."""
    view = memoryview(data)
    match kind:
        case IntType():
            end = at + kind.width
            return int.from_bytes(view[at:end], "little", signed=kind.low < 0), end
        case BoolType():
            return view[at] == 1, at + 1
        case EnumType():
            return view[at], at + 1
        case BytesType():
            return bytes(view[at : at + kind.length]), at + kind.length
        case TextType():
            start = at + _LENGTH.size
            end = start + _LENGTH.unpack_from(view, at)[0]
            return str(view[start:end], "utf-8"), end
    values = []
    for part in parts(kind):
        value, at = read(part, view, at)
        values.append(value)
    return tuple(values), at


def read_alone(kind: ValueType, data: Buffer) -> Value:
    """Return the value of a column of one."""
    if isinstance(kind, TextType):
        return str(memoryview(data), "utf-8")
    return read(kind, data, 0)[0]


def simple_format(kind: ValueType) -> str | None:
    """Return how `struct` writes a value of this type by itself, or None where it does not."""
    match kind:
        case IntType():
            return {8: "Q" if kind.low == 0 else "q"}.get(kind.width)
        case BoolType():
            return "?"
        case EnumType():
            return "B"
        case BytesType():
            return f"{kind.length}s"
    return None


def _simple_struct(kinds: tuple[ValueType, ...]) -> struct.Struct | None:
    """Return what writes and reads such values at once, None where one of them is not simple."""
    simple = [simple_format(kind) for kind in kinds]
    return None if None in simple else struct.Struct("<" + "".join(form or "" for form in simple))


def writer(kinds: tuple[ValueType, ...]) -> Callable[[tuple[Value, ...]], bytes]:
    """Return what writes several values, one after another."""
    simple = _simple_struct(kinds)
    if simple is not None:
        pack = simple.pack
        return lambda values: pack(*values)
    return lambda values: b"".join([write(kind, value) for kind, value in zip(kinds, values, strict=True)])


def reader(kinds: tuple[ValueType, ...]) -> Callable[[Buffer, int], tuple[Value, ...]]:
    """Return what reads several values, one after another, from a place on."""
    simple = _simple_struct(kinds)
    if simple is not None:
        return simple.unpack_from

    def read_all(data: Buffer, at: int) -> tuple[Value, ...]:
        values = []
        for kind in kinds:
            value, at = read(kind, data, at)
            values.append(value)
        return tuple(values)

    return read_all
