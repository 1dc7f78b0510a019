"""DER as far as keys, signatures and certificates need it: one reading of any bytes, or none (X.690, 8 and 10)."""

from __future__ import annotations

from typing import NamedTuple

from changan.errors import MalformedError

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
SEQUENCE = 0x30
CONTEXT_0 = 0xA0
_LONG = 0x80
_LENGTH_BYTES_MAX = 4


class Element(NamedTuple):
    """One element of an encoding: its tag, its content, and all its bytes."""

    tag: int
    content: bytes
    encoded: bytes


def write(tag: int, *contents: bytes) -> bytes:
    """Return an element with this tag around the contents."""
    content = b"".join(contents)
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, _LONG | len(length))) + length + content


def read(data: bytes, tag: int) -> Element:
    """Return the one element that `data` holds and nothing after it. Raises MalformedError."""
    element = _first(data)
    if len(element.encoded) != len(data):
        raise MalformedError("there are bytes after the end of the encoding")
    if element.tag != tag:
        raise MalformedError(f"the encoding has tag {element.tag:#04x} where {tag:#04x} is due")
    return element


def elements(content: bytes) -> list[Element]:
    """Return the elements that follow one another in `content`. Raises MalformedError."""
    found = []
    while content:
        element = _first(content)
        found.append(element)
        content = content[len(element.encoded) :]
    return found


def _first(data: bytes) -> Element:
    if len(data) < 2:  # noqa: PLR2004 - a tag and a length
        raise MalformedError("the encoding ends in the middle of an element")
    start, size = 2, data[1]
    if size >= _LONG:
        count = size - _LONG
        if not 1 <= count <= _LENGTH_BYTES_MAX:
            raise MalformedError("an element has no length, or one beyond any bound")
        start = 2 + count
        size = int.from_bytes(data[2:start])
        if len(data) < start or size < _LONG or size < 1 << 8 * (count - 1):
            raise MalformedError("the length of an element is not written in its shortest form")
    if len(data) < start + size:
        raise MalformedError("the encoding ends in the middle of an element")
    return Element(data[0], data[start : start + size], data[: start + size])
