"""Values as bytes in rows and keys, and as text in arguments, results and events.

Rows: integers big-endian at their width (signed ones in two's complement), Bool and enum members one byte, fixed bytes as
they are, a text as its length in four bytes and its UTF-8, records and tuples as their parts one after another.
Text: contract-language, decision 7.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from changan.contract.types import (
    ADDRESS,
    BoolType,
    BytesType,
    EnumType,
    IntType,
    RecordType,
    TextType,
    TupleType,
)
from changan.errors import ChanganError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.contract.instance import Value
    from changan.contract.types import Signature, ValueType

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,38})")
_HEX = re.compile(r"[0-9a-fA-F]*")
_TEXT_LENGTH_BYTES = 4
_JSON_BYTES_MAX = 64 * 1024


class BadArgumentError(ChanganError):
    """An argument that is missing, unknown or malformed; the message names it."""


def pack(kind: ValueType, value: Value) -> bytes:
    """Return the bytes of a value."""
    return packer(kind)(value)


@cache
def packer(kind: ValueType) -> Callable[[Any], bytes]:
    """Return what does `pack` for one type."""
    match kind:
        case IntType():
            width, signed = kind.width, kind.low < 0
            return lambda value: value.to_bytes(width, "big", signed=signed)
        case BoolType() | EnumType():
            return lambda value: bytes((value,))
        case BytesType():
            return _as_it_is
        case TextType():
            return _pack_text
        case RecordType() | TupleType():
            packers = tuple(packer(part) for part in _parts(kind))
            return lambda value: b"".join([pack(item) for pack, item in zip(packers, value, strict=True)])


def _as_it_is(value: bytes) -> bytes:
    return value


def _pack_text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(_TEXT_LENGTH_BYTES, "big") + data


def unpack(kind: ValueType, data: bytes) -> Value:
    """Return the value that `pack` turned into these bytes. Raises MalformedError for any other bytes."""
    try:
        value, at = _reader(kind)(data, 0)
    except (IndexError, UnicodeDecodeError):
        value, at = None, -1
    if at != len(data):
        raise MalformedError(f"these bytes are no {kind.name}")
    return value


_Reader = Callable[[bytes, int], "tuple[Value, int]"]


@cache
def _reader(kind: ValueType) -> _Reader:
    """Return what reads values of a type: bytes and a place to a value and the place behind it.

    It is made once a type, because a start reads millions of values. It raises IndexError for bytes that are no such value;
    a place beyond the end shows in the end.
    """
    match kind:
        case IntType():
            return _integer_reader(kind)
        case BoolType():
            return lambda data, at: (_FLAGS[data[at]], at + 1)
        case EnumType():
            members = tuple(range(len(kind.members)))
            return lambda data, at: (members[data[at]], at + 1)
        case BytesType():
            length = kind.length
            return lambda data, at: (data[at : at + length], at + length)
        case TextType():
            return _text_reader(kind)
        case RecordType() | TupleType():
            return _record_reader(kind)


_FLAGS = (False, True)


def _integer_reader(kind: IntType) -> _Reader:
    width, low, high, signed = kind.width, kind.low, kind.high, kind.low < 0

    def read(data: bytes, at: int) -> tuple[Value, int]:
        value = int.from_bytes(data[at : at + width], "big", signed=signed)
        if not low <= value <= high:
            raise IndexError
        return value, at + width

    return read


def _text_reader(kind: TextType) -> _Reader:
    limit = kind.limit

    def read(data: bytes, at: int) -> tuple[Value, int]:
        start = at + _TEXT_LENGTH_BYTES
        length = int.from_bytes(data[at:start], "big")
        if length > limit:
            raise IndexError
        return data[start : start + length].decode(), start + length

    return read


def _record_reader(kind: RecordType | TupleType) -> _Reader:
    readers = tuple(_reader(part) for part in _parts(kind))

    def read(data: bytes, at: int) -> tuple[Value, int]:
        values = []
        for reader in readers:
            value, at = reader(data, at)
            values.append(value)
        return tuple(values), at

    return read


def _parts(kind: RecordType | TupleType) -> tuple[ValueType, ...]:
    return kind.items if isinstance(kind, TupleType) else tuple(part for _, part in kind.fields)


# Text


def arguments_reader(signature: Signature) -> Callable[[Mapping[str, bytes]], tuple[Value, ...]]:
    """Return what reads a method's arguments from bytes by name: values in the order of the parameters.

    It raises BadArgumentError naming the first bad one.
    """
    readers = [(name, text_reader(kind)) for name, kind in signature.parameters]
    names = frozenset(name for name, _ in readers)

    def read(given: Mapping[str, bytes]) -> tuple[Value, ...]:
        unknown = given.keys() - names
        if unknown:
            known = ", ".join(name for name, _ in readers) or "none"
            raise BadArgumentError(f"{signature.name} has no parameter {min(unknown)!r}; its parameters are {known}")
        values = []
        for name, reader in readers:
            data = given.get(name)
            if data is None:
                raise BadArgumentError(f"{name} is missing: {signature.name} takes {_form(signature)}")
            try:
                values.append(reader(data))
            except MalformedError as error:
                raise BadArgumentError(f"{name}: {error}") from error
        return tuple(values)

    return read


def _form(signature: Signature) -> str:
    return ", ".join(f"{name}: {kind.name}" for name, kind in signature.parameters)


def from_text(kind: ValueType, data: bytes) -> Value:
    """Return the value that an argument's bytes stand for. Raises MalformedError."""
    return text_reader(kind)(data)


@cache
def text_reader(kind: ValueType) -> Callable[[bytes], Value]:
    """Return what does `from_text` for one type. It is made once a type: every argument of every call goes through it."""
    if isinstance(kind, RecordType | TupleType):
        return lambda data: _from_json_text(kind, data)
    plain, length = _plain_reader(kind), kind.length if isinstance(kind, BytesType) else -1

    def read(data: bytes) -> Value:
        return data if len(data) == length else plain(_utf8(data))

    return read


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("this is not UTF-8") from error


def _from_json_text(kind: RecordType | TupleType, data: bytes) -> Value:
    text = _utf8(data)
    if len(data) > _JSON_BYTES_MAX:
        raise MalformedError(f"JSON of at most {_JSON_BYTES_MAX} bytes is read")
    form = "object of its fields" if isinstance(kind, RecordType) else "list of its parts"
    try:
        return _from_json(kind, json.loads(text, object_pairs_hook=_unique))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{kind.name} is given as a JSON {form}") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise MalformedError("a name stands twice in the JSON object")
    return dict(pairs)


@cache
def _plain_reader(kind: ValueType) -> Callable[[str], Value]:
    match kind:
        case IntType():
            return _decimal_reader(kind)
        case BoolType() | EnumType():
            return lambda text: _named(kind, text)
        case BytesType():
            return _hex_reader(kind)
        case TextType():
            return lambda text: _bounded(kind, text)
    raise MalformedError(f"{kind.name} is not given as text")


def _decimal_reader(kind: IntType) -> Callable[[str], Value]:
    low, high, decimal = kind.low, kind.high, _DECIMAL.fullmatch

    def read(text: str) -> Value:
        if decimal(text) and text != "-0" and low <= (value := int(text)) <= high:
            return value
        raise MalformedError(f"{text[:50]!r} is no {kind.name}: a decimal number from {low} to {high}")

    return read


def _named(kind: BoolType | EnumType, text: str) -> Value:
    if isinstance(kind, BoolType):
        if text in {"true", "false"}:
            return text == "true"
        raise MalformedError(f"{text[:50]!r} is neither true nor false")
    if text in kind.members:
        return kind.members.index(text)
    raise MalformedError(f"{text[:50]!r} is none of {', '.join(kind.members)}")


def _hex_reader(kind: BytesType) -> Callable[[str], Value]:
    digits, prefix = 2 * kind.length, "ZX" if kind == ADDRESS else ""  # as a chain of the national suite shows it

    def read(text: str) -> Value:
        found = text.removeprefix(prefix)
        if len(found) == digits and _HEX.fullmatch(found):
            return bytes.fromhex(found)
        raise MalformedError(f"this is no {kind.name}: {digits} hex digits or {kind.length} raw bytes")

    return read


def _bounded(kind: TextType, text: str) -> Value:
    if len(text.encode()) <= kind.limit:
        return text
    raise MalformedError(f"the text has {len(text.encode())} bytes, at most {kind.limit} are allowed")


def _from_json(kind: ValueType, value: object) -> Value:
    if isinstance(kind, RecordType):
        names = [name for name, _ in kind.fields]
        if not isinstance(value, dict) or sorted(value) != sorted(names):
            raise MalformedError(f"{kind.name} is a JSON object with {', '.join(names)}")
        return tuple(_from_json(part, value[name]) for name, part in kind.fields)
    if isinstance(kind, TupleType):
        if not isinstance(value, list) or len(value) != len(kind.items):
            raise MalformedError(f"{kind.name} is a JSON list of {len(kind.items)} parts")
        return tuple(map(_from_json, kind.items, value))
    if isinstance(kind, BoolType) and isinstance(value, bool):
        return value
    if isinstance(kind, IntType) and type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        raise MalformedError(f"{kind.name} is given as a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("a text holds a lone surrogate") from error
    return _plain_reader(kind)(value)


def to_text(kind: ValueType | None, value: Value) -> str:
    """Return a value as text, the way `from_text` takes it; nothing for None."""
    return "" if kind is None else text_writer(kind)(value)


@cache
def text_writer(kind: ValueType) -> Callable[[Any], str]:
    """Return what does `to_text` for one type. It is made once a type, as `text_reader` is."""
    match kind:
        case IntType():
            return str
        case BytesType():
            return bytes.hex
        case EnumType():
            return kind.members.__getitem__
        case TextType():
            return lambda text: text
    return lambda value: json.dumps(to_json(kind, value), ensure_ascii=False, separators=(",", ":"))


def to_json(kind: ValueType, value: Value) -> object:
    """Return a value as JSON has it: integers as decimal text, so that no reader rounds them."""
    match kind:
        case IntType():
            return str(value)
        case BoolType():
            return bool(value)
        case EnumType():
            assert isinstance(value, int)
            return kind.members[value]
        case BytesType():
            assert isinstance(value, bytes)
            return value.hex()
        case TextType():
            return value
        case RecordType():
            assert isinstance(value, tuple)
            return {
                name: to_json(part, item)  # type: ignore[arg-type]  # parts of a record are values
                for (name, part), item in zip(kind.fields, value, strict=True)
            }
        case TupleType():
            assert isinstance(value, tuple)
            return [to_json(part, item) for part, item in zip(kind.items, value, strict=True)]  # type: ignore[arg-type]  # as above
