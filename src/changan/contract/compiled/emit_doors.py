"""The doors: for each method a function that runs rows of columns, with the look-ups of 64 rows made together before them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_codec import Decoder, Encoder
from changan.contract.compiled.emit_rows import hash_code
from changan.contract.compiled.layout import components, fixed_size, is_flat
from changan.contract.compiled.writer import Flat, Memory, Writer, address
from changan.contract.gas import CALL
from changan.contract.instance import Code
from changan.contract.types import WORD_BYTES, TextType, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.contract.compiled.emit_methods import MethodBody
    from changan.contract.compiled.shared import Shared
    from changan.contract.compiled.writer import Placed
    from changan.contract.types import Signature, ValueType

SETTLE, BATCH, EACH = 1, 2, 4  # bits of a door's mode
DESCRIPTOR_HEAD_BYTES = 20  # where outcomes, gas, results and their ends go, and the ends of each row's records
STOP_DIRTY_BYTES = 32 << 20
STOP_OUT_BYTES = 64 << 20


class Door:
    """Writes the door of one method."""

    def __init__(self, shared: Shared, signature: Signature, body: MethodBody) -> None:
        self._shared = shared
        self._signature = signature
        self._hints = body.hints
        self._w = Writer(f"$run_{signature.name}", shared.static)
        self._hashes = shared.static.reserve(4 * l.GROUP * l.HINTS_MAX) if body.hints else 0
        self._found = shared.static.reserve(4 * l.GROUP * l.HINTS_MAX) if body.hints else l.NO_HINTS
        self._places: dict[str, Memory] = {}

    def text(self) -> str:
        """Return the function: it runs rows from `from` to `to` and returns how far it came."""
        w = self._w
        w.parameters = [f'(export "run_{self._signature.name}")']
        w.parameters += [f"(param ${name} i32)" for name in ("cols", "from", "to", "mode")]
        w.results = ["i32"]
        for name in ("i", "at", "sink", "base", "mask", "shift", "group"):
            w.named(f"${name}", "i32")
        w.named("$limit", "i64")
        w.named("$entry", "i64")
        for name, kind in self._signature.parameters:
            self._declare(name, kind)
        w.put("global.get $out_base", "global.set $out", "global.get $ev_base", "global.set $ev")
        w.put("local.get $from", "local.set $group")
        w.put("block $done", "loop $rows", "local.get $from", "local.get $to", "i32.ge_u", "br_if $done")
        if self._hints:
            self._prefetch()
        self._row()
        w.put("local.get $from", "i32.const 1", "i32.add", "local.set $from")
        w.put("global.get $dirty global.get $dirty_base i32.sub", f"i32.const {STOP_DIRTY_BYTES}", "i32.ge_u")
        for name in ("out", "ev"):
            w.put(
                f"global.get ${name} global.get ${name}_base i32.sub",
                f"i32.const {STOP_OUT_BYTES}",
                "i32.ge_u",
                "i32.or",
            )
        w.put("global.get $heap", f"i32.const 0 i32.load offset={l.HEAP_STOP}", "i32.gt_u", "i32.or")
        w.put("br_if $done", "br $rows", "end", "end", f"i32.const {l.NO_HINTS}", "global.set $hint", "call $publish")
        w.put("local.get $from")
        return w.text()

    def _declare(self, name: str, kind: ValueType) -> None:
        if is_flat(kind):
            for number, part in enumerate(components(kind)):
                self._w.named(f"$p_{name}_{number}", part)
        else:
            self._places[name] = Memory(f"i32.const {self._shared.static.reserve(WORD_BYTES * words(kind))}")

    # Columns

    def _column(self, number: int, row: str) -> None:
        """Set $at to where a value of a column is; the caller's is column 0."""
        head = DESCRIPTOR_HEAD_BYTES + l.COLUMN_BYTES * number
        self._w.put("local.get $cols", f"i32.load offset={head}")
        self._w.put("local.get $cols", f"i32.load offset={head + 4}", row, "i32.mul", "i32.add", "local.set $at")

    def _text_span(self, number: int, row: str) -> tuple[str, str]:
        """Put where a value of variable width begins and ends in temporaries."""
        head = DESCRIPTOR_HEAD_BYTES + l.COLUMN_BYTES * number
        w = self._w
        ends = w.keep("i32", "local.get $cols", f"i32.load offset={head + 8}", row, "i32.const 2", "i32.shl", "i32.add")
        base = ["local.get $cols", f"i32.load offset={head}"]
        w.put(row, "if (result i32)", ends, "i32.const 4", "i32.sub", "i32.load", "else", "i32.const 0", "end")
        start = w.keep("i32", *base, "i32.add")
        return start, w.keep("i32", ends, "i32.load", *base, "i32.add")

    def _load_caller(self, row: str) -> None:
        self._column(0, row)
        for at, load, store in (
            (0, "i64.load", "i64.store"),
            (8, "i64.load", "i64.store"),
            (16, "i32.load", "i32.store"),
        ):
            self._w.put(f"i32.const {l.CALLER}", f"local.get $at {load} offset={at}", f"{store} offset={at}")

    def _load(self, number: int, name: str, kind: ValueType, row: str) -> None:
        """Load a parameter."""
        w = self._w
        mark = w.mark()
        if isinstance(kind, TextType):
            start, end = self._text_span(number, row)
            w.put(
                end,
                start,
                "i32.sub",
                "i64.extend_i32_u",
                "i64.const 32",
                "i64.shl",
                start,
                "i64.extend_i32_u",
                "i64.or",
            )
            w.put(f"local.set $p_{name}_0")
        else:
            if fixed_size(kind) is None:
                start, _ = self._text_span(number, row)
                w.put(start, "local.set $at")
            else:
                self._column(number, row)
            if is_flat(kind):
                value = Decoder(w, "$at", big=False).flat(kind)
                w.assign(kind, self._parameter(name, kind), value)
            else:
                place = self._places[name]
                w.put(place.pointer, "local.get $at", f"call {self._shared.function('decode', kind)}", "drop")
        w.release(mark)

    def _parameter(self, name: str, kind: ValueType) -> Placed:
        if not is_flat(kind):
            return self._places[name]
        return Flat(tuple(f"local.get $p_{name}_{number}" for number in range(len(components(kind)))))

    # One row

    def _row(self) -> None:
        w = self._w
        signature = self._signature
        w.put("local.get $from", "global.set $row", "i32.const 0", "global.set $fail")
        w.put("global.get $ev", "global.set $ev_mark", "i64.const 0", "global.set $ev_used")
        w.put(f"i32.const 0 i64.load offset={l.GAS_LIMIT}", "local.tee $limit", "global.set $gas")
        w.put("block $over", "local.get $mode", f"i32.const {BATCH}", "i32.and", "if")
        self._budget()
        w.put("end")
        self._load_caller("local.get $from")
        for number, (name, kind) in enumerate(signature.parameters, 1):
            self._load(number, name, kind, "local.get $from")
        w.put("block $exit", f"global.get $gas i64.const {CALL} i64.sub global.set $gas")
        w.put(
            "global.get $gas i64.const 0 i64.lt_s",
            "if",
            f"i32.const {Code.OUT_OF_GAS}",
            "global.set $fail",
            "br $exit",
            "end",
        )
        for name, kind in signature.parameters:
            value = self._parameter(name, kind)
            w.put(*(value.atoms if isinstance(value, Flat) else address(value)))
        w.put(f"call $m_{signature.name}")
        self._result()
        w.put("end", "global.get $fail", "if", "global.get $ev_mark", "global.set $ev")
        w.put(f"global.get $fail i32.const 255 i32.and i32.const {Code.OUT_OF_GAS} i32.eq")
        w.put("if", "i64.const 0", "global.set $gas", "end", "end")
        w.put("local.get $mode", f"i32.const {SETTLE}", "i32.and", "if")
        w.put("global.get $fail", "if", "call $rollback", "else", "call $commit", "end", "end")
        w.put("global.get $arena_block", "if", "call $arena_clear", "end", "end")
        self._outcome()
        self._records()

    def _budget(self) -> None:
        """Give the row no more than the bundle has left; one that gets nothing does not run."""
        w = self._w
        w.put(f"i32.const 0 i64.load offset={l.BUDGET} local.get $limit i64.lt_u")
        w.put("if", f"i32.const 0 i64.load offset={l.BUDGET}", "local.tee $limit", "global.set $gas", "end")
        w.put("local.get $limit i64.eqz", "if", f"i32.const {Code.OUT_OF_GAS}", "global.set $fail", "br $over", "end")

    def _outcome(self) -> None:
        w = self._w
        used = ["local.get $limit", "global.get $gas", "i64.sub"]
        w.put(
            "local.get $cols i32.load", "local.get $from i32.const 2 i32.shl i32.add", "global.get $fail", "i32.store"
        )
        w.put("local.get $cols i32.load offset=4", "local.get $from i32.const 3 i32.shl i32.add", *used, "i64.store")
        w.put("local.get $mode", f"i32.const {BATCH}", "i32.and", "if", "i32.const 0")
        w.put(f"i32.const 0 i64.load offset={l.BUDGET}", *used, "i64.sub", f"i64.store offset={l.BUDGET}", "end")
        result = self._signature.result
        if result is None:
            return
        size = fixed_size(result)
        if size is None:
            w.put("local.get $cols i32.load offset=12", "local.get $from i32.const 2 i32.shl i32.add")
            w.put("global.get $out global.get $out_base i32.sub", "i32.store")
        else:
            w.put(
                "global.get $fail",
                "if",
                "local.get $cols i32.load offset=8",
                f"local.get $from i32.const {size} i32.mul",
            )
            w.put("i32.add", "i32.const 0", f"i32.const {size}", "memory.fill", "end")

    def _records(self) -> None:
        """Where the rows that each call changed are wanted, write them behind its result, and say where they end."""
        w = self._w
        w.put("local.get $mode", f"i32.const {EACH}", "i32.and", "if")
        w.put("global.get $dirty_base", "global.set $cursor", "i32.const -1", "call $emit_changed", "drop")
        w.put("local.get $cols i32.load offset=16", "local.get $from i32.const 2 i32.shl i32.add")
        w.put("global.get $out global.get $out_base i32.sub", "i32.store", "end")

    def _result(self) -> None:
        """Write the result that the method left on the stack, before anything it may lie in is given back."""
        w = self._w
        result = self._signature.result
        if result is None:
            return
        mark = w.mark()
        value: Placed
        if is_flat(result):
            value = Flat(tuple(f"local.get {w.temp(part)}" for part in components(result)))
            w.pop_into(value)
        else:
            value = Memory(f"local.get {w.temp('i32')}")
            w.put(value.pointer.replace("get", "set", 1))
        w.put("global.get $fail", "br_if $exit")
        size = fixed_size(result)
        if size is None:
            if isinstance(value, Flat):
                w.put(value.atoms[0], "i64.const 32", "i64.shr_u", "i32.wrap_i64")
            else:
                w.put(self._shared.room(w, [(result, value)]))
            w.put("call $out_room", "global.get $out", "local.set $at")
        else:
            w.put(
                "local.get $cols i32.load offset=8",
                f"local.get $from i32.const {size} i32.mul i32.add",
                "local.set $at",
            )
        encoder = Encoder(w, "$at", big=False)
        if isinstance(result, TextType):
            encoder.bare_text(value)
        else:
            self._shared.encode(w, result, value, "$at", encoder)
        encoder.flush()
        if size is None:
            w.put("local.get $at", "global.set $out")
        w.release(mark)

    # Look-ups before the calls: each pass is a tight loop over 64 rows, so that many cache misses are under way at once.

    def _prefetch(self) -> None:
        w = self._w
        w.put("local.get $mode", f"i32.const {BATCH}", "i32.and", "if")
        w.put("local.get $from", "local.get $group", "i32.eq", "if")
        w.put("local.get $from", f"i32.const {l.GROUP}", "i32.add", "local.tee $group")
        w.put(
            "local.get $to",
            "local.get $group",
            "local.get $to",
            "i32.lt_u",
            "select",
            "local.get $from",
            "i32.sub",
            "local.set $mask",
        )
        count = w.temp("i32")
        w.put("local.get $mask", f"local.set {count}")
        self._loop(count, self._hash_keys)
        for number, (field, _) in enumerate(self._hints):
            self._index_of(field)
            self._loop(count, partial(self._touch_index, number))
        for number, (field, _) in enumerate(self._hints):
            self._index_of(field)
            self._loop(count, partial(self._find_row, number))
        for number, (field, _) in enumerate(self._hints):
            stride = self._shared.fields[field].stride
            self._loop(count, partial(self._touch_row, number, stride))
        w.put("i32.const 0", "local.get $sink", f"i32.store offset={l.SINK}")
        w.put("end")
        w.put(
            f"i32.const {self._found}",
            "local.get $from local.get $group i32.const 64 i32.sub i32.sub i32.const 2 i32.shl i32.add",
        )
        w.put("global.set $hint", "end")

    def _loop(self, count: str, body: Callable[[], None]) -> None:
        w = self._w
        top = w.label("pass")
        w.put("i32.const 0", "local.set $i", f"loop {top}")
        body()
        w.put("local.get $i i32.const 1 i32.add local.tee $i", f"local.get {count}", "i32.lt_u", f"br_if {top}", "end")

    def _index_of(self, field: int) -> None:
        header = f"i32.const {self._shared.fields[field].header}"
        self._w.put(header, "i32.load", "local.set $base", header, f"i32.load offset={l.SHIFT}", "local.set $shift")
        self._w.put("i32.const -1", "local.get $shift", "i32.shr_u", "local.set $mask")

    def _slot(self, base: int, number: int) -> list[str]:
        return ["local.get $i", "i32.const 2", "i32.shl", f"i32.const {base + 4 * l.GROUP * number}", "i32.add"]

    def _hash_keys(self) -> None:
        atoms = " ".join(atom for _, key in self._hints for atom in key)
        row = self._w.keep("i32", "local.get $from", "local.get $i", "i32.add")
        if f"i32.const {l.CALLER} " in atoms:
            self._load_caller(row)
        for number, (name, kind) in enumerate(self._signature.parameters, 1):
            if re.search(rf"\$p_{name}_\d+\b", atoms):
                self._load(number, name, kind, row)
        for number, (field, key) in enumerate(self._hints):
            self._w.put(*self._slot(self._hashes, number), *hash_code(self._shared.fields[field], key), "i32.store")

    def _touch_index(self, number: int) -> None:
        w = self._w
        w.put("local.get $base", *self._slot(self._hashes, number), "i32.load", "local.get $shift", "i32.shr_u")
        w.put("i32.const 3 i32.shl i32.add i32.load", "local.get $sink i32.xor local.set $sink")

    def _find_row(self, number: int) -> None:
        """Find a candidate by its hash, without a branch, among the four entries where it most likely is."""
        w = self._w
        tag = w.keep("i32", *self._slot(self._hashes, number), "i32.load")
        at = w.keep("i32", tag, "local.get $shift", "i32.shr_u")
        w.put(*self._slot(self._found, number), "i32.const 0")
        mark = w.mark()
        for step in (3, 2, 1, 0):
            entry = [
                "local.get $base",
                at,
                f"i32.const {step}",
                "i32.add",
                "local.get $mask",
                "i32.and",
                "i32.const 3 i32.shl i32.add",
            ]
            found = w.keep("i32")  # what the entries after it gave
            w.put(*entry, "i64.load", "local.tee $entry", "i32.wrap_i64", found)
            w.put("local.get $entry i64.const 32 i64.shr_u i32.wrap_i64", tag, "i32.eq", "select")
            w.release(mark)
        w.put("i32.store")

    def _touch_row(self, number: int, stride: int) -> None:
        w = self._w
        row = w.keep("i32", *self._slot(self._found, number), "i32.load")
        for line in range(0, min(stride, 128), 64):
            w.put(row, f"i32.load offset={line}", "local.get $sink i32.xor local.set $sink")
