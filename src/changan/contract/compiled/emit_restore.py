"""Records put back into rows, or rows taken out: without gas, and without marking them as changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_codec import Decoder
from changan.contract.compiled.layout import is_flat
from changan.contract.compiled.writer import Flat, Memory, Writer
from changan.contract.records import GONE, HEADER_BYTES
from changan.contract.types import WORD_BYTES, ListType, TextType, holds_text, words

if TYPE_CHECKING:
    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.compiled.shared import Shared
    from changan.contract.compiled.writer import Placed


def restore_functions(shared: Shared) -> str:
    """Return the functions of all fields."""
    return "".join([*(_restore(shared, field) for field in shared.fields), _restore_any(shared)])


def _restore_any(shared: Shared) -> str:
    """Put records in."""
    # A list's length follows from its elements.
    skip = f"""
        local.get $key i32.eqz if (local.set $at (i32.add (local.get $at) (i32.const {WORD_BYTES}))) br $next end"""
    cases = "".join(
        f"""(i32.eq (local.get $field) (i32.const {field.place}))
      if{skip if isinstance(field.kind, ListType) else ""}
        (local.set $at (call $restore_{field.place} (local.get $at) (local.get $gone)))
        br $next
      end
      """
        for field in shared.fields
    )
    return f"""
(func (export "restore") (param $at i32) (param $end i32)
  (local $field i32) (local $gone i32) (local $key i32)
  block $done
    loop $next
      (i32.ge_u (local.get $at) (local.get $end)) br_if $done
      (local.set $field (i32.load16_u (local.get $at)))
      (local.set $gone (i32.eq (i32.load offset=4 (local.get $at)) (i32.const {GONE})))
      (local.set $key (i32.load16_u offset=2 (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const {HEADER_BYTES})))
      {cases}unreachable
    end
  end
  (global.set $new (global.get $new_base))
  (global.set $undo (global.get $undo_base))
  (call $free_texts (global.get $old_base) (global.get $old))
  (global.set $old (global.get $old_base))
  (i64.store offset={l.LOGICAL_BEFORE} (i32.const 0) (i64.load offset={l.LOGICAL} (i32.const 0))))
"""


def _restore(shared: Shared, field: FieldLayout) -> str:
    """Put one row in, or take it out, without gas and marks; return where the next record begins."""
    w = Writer(f"$restore_{field.place}", shared.static)
    w.parameters, w.results = ["(param $at i32)", "(param $gone i32)"], ["i32"]
    w.named("$row", "i32")
    decoder = Decoder(w, "$at", big=True)
    if field.key is not None:
        key = decoder.flat(field.key)
        decoder.flush()
        w.put(*key.atoms, f"call $find_{field.place}", "local.set $row")
        _take_out(shared, w, field)
        w.put("local.get $row", "i32.eqz", "if", *key.atoms, f"call $raw_{field.place}", "local.set $row", "end")
        _count(w, field, 1)
    elif isinstance(field.kind, ListType):
        w.put("local.get $at i64.load call $swap i32.wrap_i64 local.set $row")
        w.put(f"local.get $at i32.const {WORD_BYTES} i32.add local.set $at")
        w.put("local.get $row i64.extend_i32_u", f"i32.const {field.header}", f"i64.load offset={l.LENGTH}", "i64.lt_u")
        w.put("if", f"i32.const {field.header}", "local.get $row i64.extend_i32_u", f"i32.const {field.stride}")
        w.put("call $element", "local.set $row")
        _drop_value(shared, w, field)
        w.put("else", f"i32.const {field.header}", f"i32.const {field.stride}", "call $element_new", "local.set $row")
        w.put(
            f"i32.const {field.header}",
            f"i32.const {field.header}",
            f"i64.load offset={l.LENGTH}",
            "i64.const 1 i64.add",
        )
        w.put(f"i64.store offset={l.LENGTH}", "end")
    else:
        w.put(f"i32.const {field.header}", "local.set $row")
        w.put(*_dead("local.get $row"), "i32.eqz", "if")
        _drop_value(shared, w, field)
        w.put("end")
    _put_in(shared, w, field)
    w.put("local.get $at")
    return w.text()


def _dead(row: str) -> list[str]:
    return [row, "i32.load", f"i32.const {l.DEAD}", "i32.and"]


def _count(w: Writer, field: FieldLayout, by: int) -> None:
    header = f"i32.const {field.header}"
    w.put(header, header, f"i64.load offset={l.LIVE}", f"i64.const {by}", "i64.add", f"i64.store offset={l.LIVE}")


def _add_logical(w: Writer, amount: list[str], operator: str) -> None:
    w.put(
        "i32.const 0",
        f"i32.const 0 i64.load offset={l.LOGICAL}",
        *amount,
        f"i64.{operator}",
        f"i64.store offset={l.LOGICAL}",
    )


def _weight(shared: Shared, w: Writer, field: FieldLayout) -> list[str]:
    value: Placed = Memory("local.get $row", field.value_offset)
    if is_flat(field.value):
        value = w.load(field.value, "local.get $row", field.value_offset) if holds_text(field.value) else Flat(())
    counted = shared.text_sum(w, field.value, value, classes=True) if holds_text(field.value) else None
    return [f"i64.const {field.row_bytes}", *([counted, "i64.add"] if counted else [])]


def _drop_value(shared: Shared, w: Writer, field: FieldLayout) -> None:
    """Take a row's weight off, and let go of its texts."""
    _add_logical(w, _weight(shared, w, field), "sub")
    if isinstance(field.value, TextType):
        w.put("local.get $row", f"i64.load offset={field.value_offset}", "call $drop_text")
    elif holds_text(field.value):
        w.put(
            "local.get $row",
            f"i32.const {field.value_offset}",
            "i32.add",
            f"call {shared.function('drop', field.value)}",
        )


def _take_out(shared: Shared, w: Writer, field: FieldLayout) -> None:
    """Take out a row that is there; end where it is to be gone. One that is noted for the delta stays as a dead one."""
    w.put(*_dead("local.get $row"), "i32.eqz", "if")
    _drop_value(shared, w, field)
    _count(w, field, -1)
    w.put("local.get $row", "local.get $row", "i32.load", f"i32.const {l.DEAD}", "i32.or", "i32.store")
    w.put("local.get $gone", "local.get $row", "i32.load", f"i32.const {l.DIRTY}", "i32.and", "i32.eqz", "i32.and")
    w.put("if", "local.get $row", f"i32.const {field.place}", "call $unmake", "end", "end")
    w.put("local.get $gone", "if", "local.get $at", "return", "end")


def _put_in(shared: Shared, w: Writer, field: FieldLayout) -> None:
    place = Memory("local.get $row", field.value_offset)
    w.put("local.get $row", "local.get $row", "i32.load", f"i32.const {l.DIRTY}", "i32.and", "i32.store")
    decoder = Decoder(w, "$at", big=True)
    if isinstance(field.value, TextType):
        text = decoder.flat(field.value)
        w.put("local.get $row", text.atoms[0], "call $keep_text", f"i64.store offset={field.value_offset}")
        w.put(
            "local.get $at",
            text.atoms[0],
            "i64.const 32",
            "i64.shr_u",
            "i32.wrap_i64",
            "i32.add",
            "i32.const 4",
            "i32.add",
        )
        w.put("local.set $at")
    elif holds_text(field.value):
        scratch = shared.static.reserve(WORD_BYTES * words(field.value))
        w.put(
            f"i32.const {scratch}",
            "local.get $at",
            f"call {shared.function('decode_big', field.value)}",
            "local.set $at",
        )
        w.put("local.get $row", f"i32.const {field.value_offset}", "i32.add", f"i32.const {scratch}")
        w.put(f"call {shared.function('fill', field.value)}")
    elif is_flat(field.value):
        value = decoder.flat(field.value)
        decoder.flush()
        w.store(field.value, value, place.pointer, place.offset)
    else:
        decoder.into(field.value, place)
        decoder.flush()
    _add_logical(w, _weight(shared, w, field), "add")
