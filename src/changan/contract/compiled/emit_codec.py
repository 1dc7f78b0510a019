"""Values to bytes and back, as WebAssembly: columns are little-endian, rows are as `changan.contract.codec` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled.layout import components, fixed_size, is_flat, parts
from changan.contract.compiled.writer import Flat, Memory, address
from changan.contract.types import (
    WORD_BYTES,
    BoolType,
    BytesType,
    EnumType,
    IntType,
    RecordType,
    TextType,
    TupleType,
    holds_text,
    words,
)

if TYPE_CHECKING:
    from changan.contract.compiled.writer import Placed, Writer
    from changan.contract.types import ValueType

TEXT_LENGTH_BYTES = 4


def least_size(kind: ValueType) -> int:
    """Return how many bytes a value takes without what its texts hold."""
    if isinstance(kind, TextType):
        return TEXT_LENGTH_BYTES
    found = fixed_size(kind)
    return sum(least_size(item) for item in parts(kind)) if found is None else found


class Encoder:
    """Writes the bytes of values one after another, at a local that moves only behind texts."""

    def __init__(self, writer: Writer, cursor: str, *, big: bool) -> None:
        self._w = writer
        self._cursor = cursor
        self.is_big = big
        self._at = 0

    def value(self, kind: ValueType, value: Placed) -> None:
        """Write a value."""
        if isinstance(kind, RecordType | TupleType):
            self._parts(kind, value)
        elif isinstance(kind, TextType):
            self._text(value)
        else:
            self._plain(kind, value)

    def _parts(self, kind: RecordType | TupleType, value: Placed) -> None:
        at = 0
        for item in parts(kind):
            count = len(components(item)) if is_flat(item) else words(item)
            if isinstance(value, Flat):
                self.value(item, Flat(value.atoms[at : at + count]))
            else:
                mark = self._w.mark()
                self.value(item, self._w.load(item, value.pointer, value.offset + WORD_BYTES * at))
                self._w.release(mark)
            at += words(item)

    def _text(self, value: Placed) -> None:
        assert isinstance(value, Flat)
        self.flush()
        self._w.put(f"local.get {self._cursor}", value.atoms[0], f"call $put_text_{'big' if self.is_big else 'little'}")
        self._w.put(f"local.set {self._cursor}")

    def bare_text(self, value: Placed) -> None:
        """Write a text without its length."""
        assert isinstance(value, Flat)
        self.flush()
        self._w.put(f"local.get {self._cursor}", value.atoms[0], "call $put_bytes", f"local.set {self._cursor}")

    def _plain(self, kind: ValueType, value: Placed) -> None:
        assert isinstance(value, Flat)
        cursor = f"local.get {self._cursor}"
        match kind:
            case IntType():
                atoms = reversed(value.atoms) if self.is_big else value.atoms
                for atom in atoms:
                    swap = ["call $swap"] if self.is_big else []
                    self._w.put(cursor, atom, *swap, f"i64.store offset={self._at}")
                    self._at += WORD_BYTES
            case BoolType() | EnumType():
                self._w.put(cursor, value.atoms[0], f"i32.store8 offset={self._at}")
                self._at += 1
            case BytesType():
                left = kind.length
                for atom in value.atoms:
                    if left >= WORD_BYTES:
                        self._w.put(cursor, atom, f"i64.store offset={self._at}")
                    else:
                        self._tail(atom, left)
                    self._at += min(left, WORD_BYTES)
                    left -= WORD_BYTES

    def _tail(self, atom: str, left: int) -> None:
        done = 0
        for size, instruction in ((4, "i64.store32"), (2, "i64.store16"), (1, "i64.store8")):
            if left - done >= size:
                shift = [f"i64.const {8 * done}", "i64.shr_u"] if done else []
                self._w.put(f"local.get {self._cursor}", atom, *shift, f"{instruction} offset={self._at + done}")
                done += size

    def flush(self) -> None:
        """Move the cursor behind what was written."""
        if self._at:
            self._w.put(f"local.get {self._cursor}", f"i32.const {self._at}", "i32.add", f"local.set {self._cursor}")
            self._at = 0


class Decoder:
    """Reads values that are known to be well-formed, at a local that moves only behind texts."""

    def __init__(self, writer: Writer, cursor: str, *, big: bool) -> None:
        self._w = writer
        self._cursor = cursor
        self._big = big
        self._at = 0

    def flat(self, kind: ValueType) -> Flat:
        """Read a flat value into temporaries."""
        if isinstance(kind, RecordType | TupleType):
            return Flat(tuple(atom for item in parts(kind) for atom in self.flat(item).atoms))
        return Flat(tuple(self._w.keep(part, *code) for part, code in self._plain(kind)))

    def into(self, kind: ValueType, target: Memory) -> None:
        """Read a value into memory, word after word; texts stay where they are."""
        offset = target.offset
        for item in parts(kind):
            if isinstance(item, RecordType | TupleType):
                self.into(item, Memory(target.pointer, offset))
            else:
                for position, (part, code) in enumerate(self._plain(item)):
                    extend = ["i64.extend_i32_u"] if part == "i32" else []
                    self._w.put(target.pointer, *code, *extend, f"i64.store offset={offset + WORD_BYTES * position}")
                if isinstance(item, TextType):
                    self._w.put(f"local.get {self._cursor}", *self._length(), "i32.add")
                    self._w.put(f"i32.const {TEXT_LENGTH_BYTES}", "i32.add", f"local.set {self._cursor}")
            offset += WORD_BYTES * words(item)

    def _length(self) -> list[str]:
        swap = ["call $swap32"] if self._big else []
        return [f"local.get {self._cursor}", "i32.load", *swap]

    def _plain(self, kind: ValueType) -> list[tuple[str, list[str]]]:
        """Return, for each component, its type and what reads it."""
        cursor = f"local.get {self._cursor}"
        match kind:
            case IntType():
                at, self._at = self._at, self._at + kind.width
                swap = ["call $swap"] if self._big else []
                found = [("i64", [cursor, f"i64.load offset={at + WORD_BYTES * i}", *swap]) for i in range(words(kind))]
                return found[::-1] if self._big else found
            case BoolType() | EnumType():
                self._at += 1
                return [("i32", [cursor, f"i32.load8_u offset={self._at - 1}"])]
            case BytesType():
                at, self._at = self._at, self._at + kind.length
                return [
                    ("i64", self._word(at + WORD_BYTES * i, kind.length - WORD_BYTES * i)) for i in range(words(kind))
                ]
        assert isinstance(kind, TextType)
        self.flush()
        start = [f"local.get {self._cursor}", f"i32.const {TEXT_LENGTH_BYTES}", "i32.add", "i64.extend_i32_u"]
        length = [*self._length(), "i64.extend_i32_u", "i64.const 32", "i64.shl"]
        return [("i64", [*start, *length, "i64.or"])]

    def _word(self, at: int, left: int) -> list[str]:
        cursor = f"local.get {self._cursor}"
        if left >= WORD_BYTES:
            return [cursor, f"i64.load offset={at}"]
        code: list[str] = []
        done = 0
        for size, instruction in ((4, "i64.load32_u"), (2, "i64.load16_u"), (1, "i64.load8_u")):
            if left - done >= size:
                code += [cursor, f"{instruction} offset={at + done}"]
                code += [f"i64.const {8 * done}", "i64.shl", "i64.or"] if done else []
                done += size
        return code

    def flush(self) -> None:
        """Move the cursor behind what was read."""
        if self._at:
            self._w.put(f"local.get {self._cursor}", f"i32.const {self._at}", "i32.add", f"local.set {self._cursor}")
            self._at = 0


PUT_TEXTS = """
(func $put_bytes (param $at i32) (param $t i64) (result i32)
  (memory.copy (local.get $at) (i32.wrap_i64 (local.get $t)) (i32.wrap_i64 (i64.shr_u (local.get $t) (i64.const 32))))
  (i32.add (local.get $at) (i32.wrap_i64 (i64.shr_u (local.get $t) (i64.const 32)))))
(func $put_text_big (param $at i32) (param $t i64) (result i32)
  (i32.store (local.get $at) (call $swap32 (i32.wrap_i64 (i64.shr_u (local.get $t) (i64.const 32)))))
  (call $put_bytes (i32.add (local.get $at) (i32.const 4)) (local.get $t)))
(func $put_text_little (param $at i32) (param $t i64) (result i32)
  (i32.store (local.get $at) (i32.wrap_i64 (i64.shr_u (local.get $t) (i64.const 32))))
  (call $put_bytes (i32.add (local.get $at) (i32.const 4)) (local.get $t)))
"""


def text_words(kind: ValueType, offset: int = 0) -> list[int]:
    """Return where in a value's words its texts stand, in bytes."""
    if isinstance(kind, TextType):
        return [offset]
    found: list[int] = []
    if holds_text(kind):
        for item in parts(kind):
            found += text_words(item, offset)
            offset += WORD_BYTES * words(item)
    return found


def sum_of_texts(writer: Writer, kind: ValueType, value: Placed, *, classes: bool = False) -> str | None:
    """Put the bytes that a value's texts hold (or count, by size class) in a temporary; None where it can hold none."""
    places = text_words(kind)
    if not places:
        return None
    for number, place in enumerate(places):
        if isinstance(value, Flat):
            writer.put(value.atoms[0])
        else:
            writer.put(*address(value), f"i64.load offset={place}")
        writer.put(*(["call $text_class"] if classes else ["i64.const 32", "i64.shr_u"]))
        if number:
            writer.put("i64.add")
    return writer.keep("i64")
