"""What all functions of one module share: layouts, constants, and a function for each type that needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled.emit_codec import Decoder, Encoder, least_size, sum_of_texts, text_words
from changan.contract.compiled.layout import Static, components, field_layouts, is_flat
from changan.contract.compiled.writer import Flat, Memory, Writer
from changan.contract.types import WORD_BYTES, BytesType, IntType, TextType, words

if TYPE_CHECKING:
    from changan.contract.compiled.writer import Placed
    from changan.contract.instance import Value
    from changan.contract.tree import Method, Tree
    from changan.contract.types import ValueType


class Shared:
    """A module in the making."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.static = Static()
        self.fields = field_layouts(tree, self.static)
        self.methods: dict[str, Method] = {method.signature.name: method for method in tree.methods}
        self.functions: list[str] = []
        self.digests: set[str] = set()
        self.inlined = 0  # nodes of helpers written in place, in all methods together
        self._known: dict[tuple[str, ValueType], str] = {}

    def constant(self, kind: ValueType, value: Value) -> Flat:
        """Return a flat constant."""
        match kind:
            case IntType():
                assert isinstance(value, int)
                data = value.to_bytes(kind.width, "little", signed=kind.low < 0)
            case BytesType():
                assert isinstance(value, bytes)
                data = value.ljust(WORD_BYTES * words(kind), b"\0")
            case TextType():
                assert isinstance(value, str)
                text = value.encode()
                return Flat((f"i64.const {len(text) << 32 | self.static.constant(text) if text else 0}",), stable=True)
            case _:
                assert isinstance(value, int)
                return Flat((f"i32.const {int(value)}",), stable=True)
        found = [int.from_bytes(data[at : at + WORD_BYTES], "little") for at in range(0, len(data), WORD_BYTES)]
        return Flat(tuple(f"i64.const {word}" for word in found), stable=True)

    def function(self, purpose: str, kind: ValueType) -> str:
        """Return the name of a type's function, written when it is first asked for."""
        name = self._known.get((purpose, kind))
        if name is None:
            name = f"${purpose}_{len(self._known)}"
            self._known[purpose, kind] = name
            writer = Writer(name, self.static)
            getattr(self, f"_{purpose}")(writer, kind)
            self.functions.append(writer.text())
        return name

    def _sum(self, w: Writer, kind: ValueType, *, classes: bool = False) -> None:
        w.parameters, w.results = ["(param $at i32)"], ["i64"]
        w.put(sum_of_texts(w, kind, Memory("local.get $at"), classes=classes) or "i64.const 0")

    def _class(self, w: Writer, kind: ValueType) -> None:
        self._sum(w, kind, classes=True)

    def _drop(self, w: Writer, kind: ValueType) -> None:
        w.parameters = ["(param $at i32)"]
        for place in text_words(kind):
            w.put("local.get $at", f"i64.load offset={place}", "call $drop_text")

    def _fill(self, w: Writer, kind: ValueType) -> None:
        """Copy a record's words, its texts to places of their own."""
        w.parameters = ["(param $to i32)", "(param $from i32)"]
        w.put("local.get $to", "local.get $from", f"i32.const {WORD_BYTES * words(kind)}", "memory.copy")
        for place in text_words(kind):
            w.put("local.get $to", "local.get $from", f"i64.load offset={place}", "call $keep_text")
            w.put(f"i64.store offset={place}")

    def _encode(self, w: Writer, kind: ValueType, *, big: bool = False) -> None:
        w.parameters, w.results = ["(param $to i32)", "(param $from i32)"], ["i32"]
        encoder = Encoder(w, "$to", big=big)
        encoder.value(kind, Memory("local.get $from"))
        encoder.flush()
        w.put("local.get $to")

    def _encode_big(self, w: Writer, kind: ValueType) -> None:
        self._encode(w, kind, big=True)

    def _decode(self, w: Writer, kind: ValueType, *, big: bool = False) -> None:
        w.parameters, w.results = ["(param $to i32)", "(param $from i32)"], ["i32"]
        decoder = Decoder(w, "$from", big=big)
        decoder.into(kind, Memory("local.get $to"))
        decoder.flush()
        w.put("local.get $from")

    def _decode_big(self, w: Writer, kind: ValueType) -> None:
        self._decode(w, kind, big=True)

    # What callers of those functions write

    def text_sum(self, w: Writer, kind: ValueType, value: Placed, *, classes: bool = False) -> str | None:
        """Put how many bytes a value's texts hold, or count, in a temporary; None where it can hold none."""
        if isinstance(value, Flat):
            return sum_of_texts(w, kind, value, classes=classes)
        if not text_words(kind):
            return None
        return w.keep("i64", *_address(value), f"call {self.function('class' if classes else 'sum', kind)}")

    def encode(self, w: Writer, kind: ValueType, value: Placed, cursor: str, encoder: Encoder) -> None:
        """Write a value's bytes at a cursor."""
        if isinstance(value, Flat):
            encoder.value(kind, value)
            return
        encoder.flush()
        purpose = "encode_big" if encoder.is_big else "encode"
        w.put(f"local.get {cursor}", *_address(value), f"call {self.function(purpose, kind)}", f"local.set {cursor}")

    def room(self, w: Writer, values: list[tuple[ValueType, Placed]], extra: int = 0) -> str:
        """Put how many bytes values take, one after another, in a temporary i32."""
        least = extra + sum(least_size(kind) for kind, _ in values)
        sums = [found for kind, value in values if (found := self.text_sum(w, kind, value)) is not None]
        w.put(f"i32.const {least}")
        for found in sums:
            w.put(found, "i32.wrap_i64", "i32.add")
        return w.keep("i32")

    def decode(self, w: Writer, kind: ValueType, cursor: str) -> Placed:
        """Read a little-endian value at a cursor, which moves behind it."""
        if is_flat(kind):
            decoder = Decoder(w, cursor, big=False)
            found = decoder.flat(kind)
            decoder.flush()
            if isinstance(kind, TextType):
                w.put(f"local.get {cursor}", found.atoms[0], "i64.const 32", "i64.shr_u", "i32.wrap_i64", "i32.add")
                w.put("i32.const 4", "i32.add", f"local.set {cursor}")
            return found
        place = Memory(f"i32.const {w.space(WORD_BYTES * words(kind))}")
        w.put(place.pointer, f"local.get {cursor}", f"call {self.function('decode', kind)}", f"local.set {cursor}")
        return place


def _address(value: Memory) -> list[str]:
    return [value.pointer] if not value.offset else [value.pointer, f"i32.const {value.offset}", "i32.add"]


def zeros(kinds: list[str]) -> list[str]:
    """Return what pushes a zero of each WebAssembly type."""
    return [f"{kind}.const 0" for kind in kinds]


def result_components(kind: ValueType | None) -> list[str]:
    """Return what a function whose result has this type leaves on the stack."""
    if kind is None:
        return []
    return components(kind) if is_flat(kind) else ["i32"]
