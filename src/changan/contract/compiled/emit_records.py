"""Rows as records of bytes: the delta, dumps, and look-ups by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_codec import Decoder, Encoder, least_size
from changan.contract.compiled.emit_rows import OF_LENGTH, row_key
from changan.contract.compiled.layout import is_flat
from changan.contract.compiled.writer import Flat, Memory, Writer
from changan.contract.records import GONE, HEADER_BYTES
from changan.contract.types import WORD_BYTES, ListType, MapType, holds_text, words

if TYPE_CHECKING:
    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.compiled.shared import Shared
    from changan.contract.compiled.writer import Placed

HEADER = f"""
(func $header (param $field i32) (param $key i32) (param $value i32)
  (i32.store16 (global.get $out) (local.get $field))
  (i32.store16 offset=2 (global.get $out) (local.get $key))
  (i32.store offset=4 (global.get $out) (local.get $value))
  (global.set $out (i32.add (global.get $out) (i32.const {HEADER_BYTES}))))
"""


def record_functions(shared: Shared) -> str:
    """Return the functions of all fields."""
    text = [HEADER]
    for field in shared.fields:
        text += [_emit(shared, field), _dump(field), _look(shared, field) if field.key is not None else ""]
    return "".join([*text, _emit_noted(shared), _dump_any(shared), _look_any(shared)])


def _emit(shared: Shared, field: FieldLayout) -> str:
    """Write a row's record: header, key, value; without a value where it is gone."""
    w = Writer(f"$emit_{field.place}", shared.static)
    w.parameters = ["(param $row i32)"]
    w.named("$to", "i32")
    row = "local.get $row"
    key_size = 0 if field.key is None else least_size(field.key)
    key_size = WORD_BYTES if isinstance(field.kind, ListType) else key_size
    value = _row_value(shared, w, field)
    size = shared.room(w, [(field.value, value)])
    w.put(size, f"i32.const {HEADER_BYTES + key_size}", "i32.add", "call $out_room")
    w.put(f"i32.const {field.place}", f"i32.const {key_size}", f"i32.const {GONE}", size)
    w.put(row, "i32.load", f"i32.const {l.DEAD}", "i32.and", "select", "call $header")
    w.put("global.get $out", "local.set $to")
    encoder = Encoder(w, "$to", big=True)
    if field.key is not None:
        encoder.value(field.key, row_key(field, row))
    elif isinstance(field.kind, ListType):
        w.put("local.get $to", row, "i32.load offset=4", "i64.extend_i32_u", "call $swap", "i64.store")
        w.put(f"local.get $to i32.const {WORD_BYTES} i32.add local.set $to")
    encoder.flush()
    w.put(row, "i32.load", f"i32.const {l.DEAD}", "i32.and", "i32.eqz", "if")
    shared.encode(w, field.value, value, "$to", encoder)
    encoder.flush()
    w.put("end", "local.get $to", "global.set $out")
    return w.text()


def _row_value(shared: Shared, w: Writer, field: FieldLayout) -> Placed:
    """Return a row's value; a dead one's texts are empty, for they are somebody else's by now."""
    place = Memory("local.get $row", field.value_offset)
    if not holds_text(field.value):
        return w.load(field.value, place.pointer, place.offset) if is_flat(field.value) else place
    row = "local.get $row"
    dead = [row, "i32.load", f"i32.const {l.DEAD}", "i32.and"]
    if is_flat(field.value):
        return Flat((w.keep("i64", "i64.const 0", row, f"i64.load offset={place.offset}", *dead, "select"),))
    pointer = w.temp("i32")
    nothing = shared.static.reserve(WORD_BYTES * words(field.value))
    w.put(f"i32.const {nothing}", row, f"i32.const {place.offset}", "i32.add", *dead, "select", f"local.set {pointer}")
    return Memory(f"local.get {pointer}")


def _emit_noted(shared: Shared) -> str:
    """Write the records of rows that changed, until there is enough for one answer; say whether more follow."""
    cases = ""
    for field in shared.fields:
        end = (
            f"""
      (i32.and (i32.load (local.get $row)) (i32.const {l.DEAD}))
      if
        (call $unmake (local.get $row) (i32.const {field.place}))
      else
        (i32.store (local.get $row) (i32.const 0))
      end"""
            if isinstance(field.kind, MapType)
            else "(i32.store (local.get $row) (i32.and (i32.load (local.get $row)) (i32.const -2)))"
        )
        cases += f"""
      (i32.eq (local.get $note) (i32.const {field.place}))
      if (call $emit_{field.place} (local.get $row)) {end} br $next end"""
    return f"""
(func (export "collect") (param $limit i32) (result i32)
  (local $more i32)
  (global.set $out (global.get $out_base))
  (local.set $more (call $emit_changed (local.get $limit)))
  call $publish
  local.get $more)
(func $emit_changed (param $limit i32) (result i32)
  (local $row i32) (local $note i32) (local $ahead i32) (local $at i32) (local $sink i32)
  global.get $cursor local.set $ahead
  block $done
    loop $next
      (i32.ge_u (global.get $cursor) (global.get $dirty)) br_if $done
      (i32.eq (global.get $cursor) (local.get $ahead))
      if
        ;; touch the next rows together, so that many cache misses are under way at once
        (local.set $ahead (i32.add (global.get $cursor) (i32.const {8 * l.GROUP})))
        (i32.gt_u (local.get $ahead) (global.get $dirty))
        if global.get $dirty local.set $ahead end
        global.get $cursor local.set $at
        loop $touch
          (local.set $sink (i32.xor (local.get $sink) (i32.load (i32.load (local.get $at)))))
          (local.tee $at (i32.add (local.get $at) (i32.const 8)))
          local.get $ahead i32.lt_u br_if $touch
        end
        (i32.store offset={l.SINK} (i32.const 0) (local.get $sink))
      end
      (i32.ge_u (i32.sub (global.get $out) (global.get $out_base)) (local.get $limit))
      if i32.const 1 return end
      (local.set $row (i32.load (global.get $cursor)))
      (local.set $note (i32.load offset=4 (global.get $cursor)))
      (global.set $cursor (i32.add (global.get $cursor) (i32.const 8)))
      (i32.and (local.get $note) (i32.const {OF_LENGTH}))
      if
        (i32.store (local.get $row) (i32.const 0))
        (call $emit_length (i32.and (local.get $note) (i32.const {OF_LENGTH - 1})) (local.get $row))
        br $next
      end{cases}
      unreachable
    end
  end
  (global.set $dirty (global.get $dirty_base))
  (global.set $dirty_mark (global.get $dirty_base))
  i32.const 0)
(func (export "collect_start") (global.set $cursor (global.get $dirty_base)))
(func $emit_length (param $field i32) (param $f i32)
  (call $out_room (i32.const {HEADER_BYTES + WORD_BYTES}))
  (call $header (local.get $field) (i32.const 0) (i32.const {WORD_BYTES}))
  (i64.store (global.get $out) (call $swap (i64.load offset={l.LENGTH} (local.get $f))))
  (global.set $out (i32.add (global.get $out) (i32.const {WORD_BYTES}))))
"""


def _dump(field: FieldLayout) -> str:
    """Write all rows of a field from the cursor on, until there is enough; say whether more follow."""
    place, header = field.place, field.header
    full = """(i32.ge_u (i32.sub (global.get $out) (global.get $out_base)) (local.get $limit))
      if i32.const 1 return end"""
    if isinstance(field.kind, MapType):
        return f"""
(func $dump_{place} (param $limit i32) (result i32)
  (local $end i32)
  global.get $chunk i32.eqz
  if
    (global.set $chunk (i32.load offset={l.FIRST_CHUNK} (i32.const {header})))
    (global.set $cursor (i32.add (global.get $chunk) (i32.const {l.CHUNK_HEADER_BYTES})))
    global.get $chunk i32.eqz if i32.const 0 return end
  end
  loop $next
    (local.set $end (i32.load offset=4 (global.get $chunk)))
    (i32.eq (global.get $chunk) (i32.load offset={l.LAST_CHUNK} (i32.const {header})))
    if (local.set $end (i32.load offset={l.ROW_TOP} (i32.const {header}))) end
    (i32.ge_u (global.get $cursor) (local.get $end))
    if
      (global.set $chunk (i32.load (global.get $chunk)))
      global.get $chunk i32.eqz if i32.const 0 return end
      (global.set $cursor (i32.add (global.get $chunk) (i32.const {l.CHUNK_HEADER_BYTES})))
    else
      {full}
      (i32.and (i32.load (global.get $cursor)) (i32.const {l.DEAD | l.FREE}))
      i32.eqz if (call $emit_{place} (global.get $cursor)) end
      (global.set $cursor (i32.add (global.get $cursor) (i32.const {field.stride})))
    end
    br $next
  end
  unreachable)
"""
    if isinstance(field.kind, ListType):
        return f"""
(func $dump_{place} (param $limit i32) (result i32)
  (i64.eqz (i64.load offset={l.LENGTH} (i32.const {header}))) if i32.const 0 return end
  global.get $cursor i32.eqz if (call $emit_length (i32.const {place}) (i32.const {header})) end
  loop $next
    (i64.ge_u (i64.extend_i32_u (global.get $cursor)) (i64.load offset={l.LENGTH} (i32.const {header})))
    if i32.const 0 return end
    (call $emit_{place} (call $element
      (i32.const {header}) (i64.extend_i32_u (global.get $cursor)) (i32.const {field.stride})))
    (global.set $cursor (i32.add (global.get $cursor) (i32.const 1)))
    {full}
    br $next
  end
  unreachable)
"""
    return f"""
(func $dump_{place} (param $limit i32) (result i32)
  (i32.and (i32.load (i32.const {header})) (i32.const {l.DEAD}))
  i32.eqz if (call $emit_{place} (i32.const {header})) end
  i32.const 0)
"""


def _dump_any(shared: Shared) -> str:
    cases = "".join(
        f"(i32.eq (local.get $field) (i32.const {field.place}))\n"
        f"if (local.set $more (call $dump_{field.place} (local.get $limit))) end\n"
        for field in shared.fields
    )
    return f"""
(func (export "dump") (param $field i32) (param $limit i32) (param $from i32) (param $at i32) (result i32)
  (local $more i32)
  (global.set $chunk (local.get $from))
  (global.set $cursor (local.get $at))
  (global.set $out (global.get $out_base))
  {cases}call $publish
  (i32.store offset={l.DUMP_CHUNK} (i32.const 0) (global.get $chunk))
  (i32.store offset={l.DUMP_CURSOR} (i32.const 0) (global.get $cursor))
  local.get $more)
"""


def _look_any(shared: Shared) -> str:
    """Write the record of one row, if it is there: of a map by its key, of a list by its index."""
    looks = "".join(
        f"""(i32.eq (local.get $field) (i32.const {field.place}))
  if
    (local.set $row (call $look_{field.place} (i32.add (local.get $at) (i32.const {HEADER_BYTES}))))
    (i32.and (i32.load (local.get $row)) (i32.const {l.DEAD}))
    i32.eqz if (call $emit_{field.place} (local.get $row)) end
    call $publish
    return
  end
  """
        for field in shared.fields
        if isinstance(field.kind, MapType)
    )
    elements = "".join(
        f"""(i32.eq (local.get $field) (i32.const {field.place}))
  if
    (call $emit_{field.place} (call $element
      (i32.const {field.header}) (i64.extend_i32_u (local.get $index)) (i32.const {field.stride})))
    call $publish
    return
  end
  """
        for field in shared.fields
        if isinstance(field.kind, ListType)
    )
    return f"""
(func (export "element") (param $field i32) (param $index i32)
  (global.set $out (global.get $out_base))
  {elements}unreachable)
(func (export "look") (param $at i32)
  (local $field i32) (local $row i32)
  (global.set $out (global.get $out_base))
  (local.set $field (i32.load16_u (local.get $at)))
  {looks}unreachable)
"""


def _look(shared: Shared, field: FieldLayout) -> str:
    w = Writer(f"$look_{field.place}", shared.static)
    w.parameters, w.results = ["(param $at i32)"], ["i32"]
    assert field.key is not None
    decoder = Decoder(w, "$at", big=True)
    w.put(*decoder.flat(field.key).atoms, f"call $find_{field.place}")
    return w.text()
