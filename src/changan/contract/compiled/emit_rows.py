"""The functions of each field: hash and look-up of its keys, making and unmaking rows, and rows as bytes both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_body import differs, key_parameters, key_store
from changan.contract.compiled.emit_codec import Decoder, Encoder, least_size
from changan.contract.compiled.layout import components, is_flat
from changan.contract.compiled.writer import Flat, Memory, Writer
from changan.contract.gas import NEW_ROW
from changan.contract.instance import Code
from changan.contract.types import WORD_BYTES, ListType, MapType, TextType, holds_text, words

if TYPE_CHECKING:
    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.compiled.shared import Shared
    from changan.contract.compiled.writer import Placed

RECORD_HEADER_BYTES = 8  # field u16, length of the key u16, length of the value u32
GONE = 0xFFFFFFFF  # the length of a value that is no more
OF_LENGTH = 0x8000  # marks the length of a list among the rows that changed

COMMON = f"""
(func $admit (param $grows i64) (param $line i32)
  (global.set $gas (i64.sub (global.get $gas) (i64.const {NEW_ROW})))
  (i64.lt_s (global.get $gas) (i64.const 0))
  if (global.set $fail (i32.or (local.get $line) (i32.const {Code.OUT_OF_GAS}))) return end
  (local.set $grows (i64.add (local.get $grows) (i64.load offset={l.LOGICAL} (i32.const 0))))
  (i64.gt_s (local.get $grows) (i64.load offset={l.QUOTA} (i32.const 0)))
  if (global.set $fail (i32.or (local.get $line) (i32.const {Code.STORAGE_QUOTA}))) return end
  (i64.store offset={l.LOGICAL} (i32.const 0) (local.get $grows)))
(func $flag (param $row i32) (param $flags i32) (param $note i32)
  (local $before i32)
  (local.set $before (i32.load (local.get $row)))
  (call $undo_words (local.get $row) (i32.const 1))
  (i32.store (local.get $row) (local.get $flags))
  (i32.and (local.get $before) (i32.const {l.DIRTY}))
  i32.eqz if (call $note (local.get $row) (local.get $note)) end)
(func $revive (param $row i32) (param $grows i64) (param $line i32) (param $note i32)
  (call $admit (local.get $grows) (local.get $line))
  global.get $fail if return end
  (call $flag (local.get $row) (i32.const {l.DIRTY}) (local.get $note)))
(func $append (param $f i32) (param $stride i32) (param $grows i64) (param $line i32) (param $note i32) (result i32)
  (local $row i32)
  (call $admit (local.get $grows) (local.get $line))
  global.get $fail if i32.const 0 return end
  (local.set $row (call $element_new (local.get $f) (local.get $stride)))
  (i32.store (local.get $row) (i32.const {l.DIRTY}))
  (call $note (local.get $row) (local.get $note))
  (call $undo_words (i32.add (local.get $f) (i32.const {l.LENGTH})) (i32.const 1))
  (i64.store offset={l.LENGTH} (local.get $f) (i64.add (i64.load offset={l.LENGTH} (local.get $f)) (i64.const 1)))
  (i32.and (i32.load (local.get $f)) (i32.const {l.DIRTY}))
  i32.eqz if (call $touch (local.get $f) (i32.or (local.get $note) (i32.const {OF_LENGTH}))) end
  local.get $row)
(func $kill (param $row i32) (param $weight i64) (param $note i32) (param $f i32)
  (call $flag (local.get $row) (i32.const {l.DIRTY | l.DEAD}) (local.get $note))
  (i64.store offset={l.LOGICAL} (i32.const 0)
    (i64.sub (i64.load offset={l.LOGICAL} (i32.const 0)) (local.get $weight)))
  (call $count (local.get $f) (i64.const -1)))
(func $fold (param $a i64) (param $b i64) (result i64)
  local.get $a local.get $b i64.mul_wide_u i64.xor)
(func $header (param $field i32) (param $key i32) (param $value i32)
  (i32.store16 (global.get $out) (local.get $field))
  (i32.store16 offset=2 (global.get $out) (local.get $key))
  (i32.store offset=4 (global.get $out) (local.get $value))
  (global.set $out (i32.add (global.get $out) (i32.const {RECORD_HEADER_BYTES}))))
"""


def row_functions(shared: Shared) -> str:
    """Return the functions of all fields."""
    text = [COMMON]
    for field in shared.fields:
        if isinstance(field.kind, MapType):
            text += [_hash(shared, field), _find(shared, field), _raw(shared, field), _make(field), _row_hash(shared, field)]
        text += [_emit(shared, field), _restore(shared, field), _dump(field)]
    text += [_unmake(shared), _emit_noted(shared), _choose(shared, "dump"), _choose(shared, "restore"), _setup(shared)]
    return "".join(text)


# Keys


def hash_code(field: FieldLayout, atoms: tuple[str, ...]) -> list[str]:
    """Return what pushes the 32 bits of hash that the index keeps of a key."""
    seed = [f"i32.const {l.SEEDS} i64.load offset={8 * i}" for i in range(4)]
    wide = [
        [atom, *(["i64.extend_i32_u"] if part.type == "i32" else [])]
        for part, atom in zip(field.key_parts, atoms, strict=True)
    ]
    code = [seed[0]]
    for at in range(0, len(wide), 2):
        second = [*wide[at + 1], seed[2], "i64.xor"] if at + 1 < len(wide) else [seed[3]]
        code += [*wide[at], "i64.xor", *second, "i64.mul_wide_u", "i64.xor"]
    if len(wide) == 1:
        code += [seed[1], "i64.mul_wide_u", "i64.xor"]
    return [*code, "i64.const 32", "i64.shr_u", "i32.wrap_i64"]


def _key_atoms(field: FieldLayout) -> tuple[str, ...]:
    return tuple(f"local.get $k{number}" for number in range(len(field.key_parts)))


def _hash(shared: Shared, field: FieldLayout) -> str:
    w = Writer(f"$hash_{field.place}", shared.static)
    w.parameters, w.results = key_parameters(field), ["i32"]
    w.put(*hash_code(field, _key_atoms(field)))
    return w.text()


def _row_hash(shared: Shared, field: FieldLayout) -> str:
    w = Writer(f"$row_hash_{field.place}", shared.static)
    w.parameters, w.results = ["(param $row i32)"], ["i32"]
    w.put(*_row_key(field, "local.get $row").atoms, f"call $hash_{field.place}")
    return w.text()


def _row_key(field: FieldLayout, row: str) -> Flat:
    atoms = []
    for part in field.key_parts:
        load = "i32.load" if part.type == "i32" else "i64.load" if part.size == WORD_BYTES else "i64.load32_u"
        atoms.append(f"{row} {load} offset={part.offset}")
    return Flat(tuple(atoms))


def _find(shared: Shared, field: FieldLayout) -> str:
    w = Writer(f"$find_{field.place}", shared.static)
    w.parameters, w.results = key_parameters(field), ["i32"]
    for name in ("tag", "at", "base", "mask", "row"):
        w.named(f"${name}", "i32")
    w.named("$entry", "i64")
    header = f"i32.const {field.header}"
    w.put(*_key_atoms(field), f"call $hash_{field.place}", "local.set $tag")
    w.put(header, "i32.load", "local.set $base")
    w.put("i32.const -1", header, f"i32.load offset={l.SHIFT}", "i32.shr_u", "local.set $mask")
    w.put("local.get $tag", header, f"i32.load offset={l.SHIFT}", "i32.shr_u", "local.set $at")
    w.put("loop $look", "local.get $base local.get $at i32.const 3 i32.shl i32.add i64.load local.tee $entry i64.eqz")
    w.put("if", "i32.const 0", "return", "end")
    w.put("local.get $entry i64.const 32 i64.shr_u i32.wrap_i64 local.get $tag i32.eq", "if")
    w.put("local.get $entry i32.wrap_i64 local.set $row")
    for number, (part, atom) in enumerate(zip(field.key_parts, _key_atoms(field), strict=True)):
        w.put(*differs(part, "local.get $row", atom), *(["i32.or"] if number else []))
    w.put("i32.eqz", "if", "local.get $row", "return", "end", "end")
    w.put("local.get $at i32.const 1 i32.add local.get $mask i32.and local.set $at", "br $look", "end", "unreachable")
    return w.text()


# Rows made and unmade


def _raw(shared: Shared, field: FieldLayout) -> str:
    """Make a row that holds no value yet, and put it in the index."""
    w = Writer(f"$raw_{field.place}", shared.static)
    w.parameters, w.results = key_parameters(field), ["i32"]
    w.named("$row", "i32")
    w.put(f"i32.const {field.header}", f"i32.const {field.stride}", "call $row_new", "local.set $row")
    w.put("local.get $row", f"i32.const {l.DEAD}", "i32.store")
    for part, atom in zip(field.key_parts, _key_atoms(field), strict=True):
        w.put(*key_store(part, "local.get $row", atom))
    w.put(f"i32.const {field.header}", *_key_atoms(field), f"call $hash_{field.place}", "local.get $row")
    w.put("call $index_put", "local.get $row")
    return w.text()


def _make(field: FieldLayout) -> str:
    parameters = " ".join(key_parameters(field))
    atoms = " ".join(_key_atoms(field))
    place, header = field.place, field.header
    return f"""
(func $make_{place} {parameters} (param $row i32) (param $grows i64) (param $line i32) (result i32)
  (call $admit (local.get $grows) (local.get $line))
  global.get $fail if local.get $row return end
  local.get $row
  if
    (call $flag (local.get $row) (i32.const {l.DIRTY}) (i32.const {place}))
  else
    {atoms} call $raw_{place} local.set $row
    (call $undo_made (local.get $row) (i32.const {place}))
    (i32.store (local.get $row) (i32.const {l.DIRTY}))
    (call $note (local.get $row) (i32.const {place}))
  end
  (call $count (i32.const {header}) (i64.const 1))
  local.get $row)
"""


def _unmake(shared: Shared) -> str:
    """Take a row out of the index, and give its place back."""
    cases = "".join(
        f"""
  (i32.eq (local.get $field) (i32.const {field.place}))
  if
    (call $index_take (i32.const {field.header}) (call $row_hash_{field.place} (local.get $row)) (local.get $row))
    (call $row_free (i32.const {field.header}) (local.get $row))
    return
  end"""
        for field in shared.fields
        if isinstance(field.kind, MapType)
    )
    return f"(func $unmake (param $row i32) (param $field i32){cases})\n"


# Rows as bytes


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
    w.put(size, f"i32.const {RECORD_HEADER_BYTES + key_size}", "i32.add", "call $out_room")
    w.put(f"i32.const {field.place}", f"i32.const {key_size}", f"i32.const {GONE}", size)
    w.put(row, "i32.load", f"i32.const {l.DEAD}", "i32.and", "select", "call $header")
    w.put("global.get $out", "local.set $to")
    encoder = Encoder(w, "$to", big=True)
    if field.key is not None:
        encoder.value(field.key, _row_key(field, row))
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
  (local $row i32) (local $note i32)
  (global.set $out (global.get $out_base))
  block $done
    loop $next
      (i32.ge_u (global.get $cursor) (global.get $dirty)) br_if $done
      (i32.ge_u (i32.sub (global.get $out) (global.get $out_base)) (local.get $limit))
      if call $publish i32.const 1 return end
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
  call $publish
  i32.const 0)
(func (export "collect_start") (global.set $cursor (global.get $dirty_base)))
(func $emit_length (param $field i32) (param $f i32)
  (call $out_room (i32.const {RECORD_HEADER_BYTES + WORD_BYTES}))
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


def _choose(shared: Shared, purpose: str) -> str:
    """Choose a field's function by its number."""
    if purpose == "dump":
        cases = "".join(
            f"(i32.eq (local.get $field) (i32.const {field.place}))\n"
            f"if (call $dump_{field.place} (local.get $limit)) call $publish return end\n"
            for field in shared.fields
        )
        return f"""
(func (export "dump_start") (global.set $chunk (i32.const 0)) (global.set $cursor (i32.const 0)))
(func (export "dump") (param $field i32) (param $limit i32) (result i32)
  (global.set $out (global.get $out_base))
  {cases} unreachable)
"""
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
    looks = "".join(
        f"""(i32.eq (local.get $field) (i32.const {field.place}))
  if
    (local.set $row (call $look_{field.place} (i32.add (local.get $at) (i32.const {RECORD_HEADER_BYTES}))))
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
(func (export "restore") (param $at i32) (param $end i32)
  (local $field i32) (local $gone i32) (local $key i32)
  block $done
    loop $next
      (i32.ge_u (local.get $at) (local.get $end)) br_if $done
      (local.set $field (i32.load16_u (local.get $at)))
      (local.set $gone (i32.eq (i32.load offset=4 (local.get $at)) (i32.const {GONE})))
      (local.set $key (i32.load16_u offset=2 (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const {RECORD_HEADER_BYTES})))
      {cases}unreachable
    end
  end
  (global.set $new (global.get $new_base))
  (global.set $undo (global.get $undo_base))
  (call $free_texts (global.get $old_base) (global.get $old))
  (global.set $old (global.get $old_base))
  (i64.store offset={l.LOGICAL_BEFORE} (i32.const 0) (i64.load offset={l.LOGICAL} (i32.const 0))))
(func (export "element") (param $field i32) (param $index i32)
  (global.set $out (global.get $out_base))
  {elements}unreachable)
(func (export "look") (param $at i32)
  (local $field i32) (local $row i32)
  (global.set $out (global.get $out_base))
  (local.set $field (i32.load16_u (local.get $at)))
  {looks}unreachable)
"""


def _restore(shared: Shared, field: FieldLayout) -> str:
    """Put one row in, or take it out, without gas and marks; return where the next record begins."""
    w = Writer(f"$restore_{field.place}", shared.static)
    w.parameters, w.results = ["(param $at i32)", "(param $gone i32)"], ["i32"]
    w.named("$row", "i32")
    decoder = Decoder(w, "$at", big=True)
    extra = ""
    if field.key is not None:
        key = decoder.flat(field.key)
        decoder.flush()
        w.put(*key.atoms, f"call $find_{field.place}", "local.set $row")
        extra = _look(shared, field)
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
        w.put(f"i32.const {field.header}", f"i32.const {field.header}", f"i64.load offset={l.LENGTH}", "i64.const 1 i64.add")
        w.put(f"i64.store offset={l.LENGTH}", "end")
    else:
        w.put(f"i32.const {field.header}", "local.set $row")
        w.put(*_dead("local.get $row"), "i32.eqz", "if")
        _drop_value(shared, w, field)
        w.put("end")
    _put_in(shared, w, field)
    w.put("local.get $at")
    return w.text() + extra


def _look(shared: Shared, field: FieldLayout) -> str:
    w = Writer(f"$look_{field.place}", shared.static)
    w.parameters, w.results = ["(param $at i32)"], ["i32"]
    assert field.key is not None
    decoder = Decoder(w, "$at", big=True)
    w.put(*decoder.flat(field.key).atoms, f"call $find_{field.place}")
    return w.text()


def _dead(row: str) -> list[str]:
    return [row, "i32.load", f"i32.const {l.DEAD}", "i32.and"]


def _count(w: Writer, field: FieldLayout, by: int) -> None:
    header = f"i32.const {field.header}"
    w.put(header, header, f"i64.load offset={l.LIVE}", f"i64.const {by}", "i64.add", f"i64.store offset={l.LIVE}")


def _add_logical(w: Writer, amount: list[str], operator: str) -> None:
    w.put("i32.const 0", f"i32.const 0 i64.load offset={l.LOGICAL}", *amount, f"i64.{operator}", f"i64.store offset={l.LOGICAL}")


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
        w.put("local.get $row", f"i32.const {field.value_offset}", "i32.add", f"call {shared.function('drop', field.value)}")


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
        w.put("local.get $at", text.atoms[0], "i64.const 32", "i64.shr_u", "i32.wrap_i64", "i32.add", "i32.const 4", "i32.add")
        w.put("local.set $at")
    elif holds_text(field.value):
        scratch = shared.static.reserve(WORD_BYTES * words(field.value))
        w.put(f"i32.const {scratch}", "local.get $at", f"call {shared.function('decode_big', field.value)}", "local.set $at")
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


def _setup(shared: Shared) -> str:
    calls = "".join(
        f"(call $index_grow (i32.const {field.header}))\n" for field in shared.fields if isinstance(field.kind, MapType)
    )
    return f'(func (export "setup") {calls})\n'


__all__ = ["components", "hash_code", "row_functions"]
