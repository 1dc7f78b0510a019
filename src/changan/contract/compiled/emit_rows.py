"""The functions of each map: the hash of its keys, looking them up, and making and unmaking rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_body import differs, key_parameters, key_store
from changan.contract.compiled.writer import Flat, Writer
from changan.contract.gas import NEW_ROW
from changan.contract.instance import Code
from changan.contract.types import WORD_BYTES, MapType

if TYPE_CHECKING:
    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.compiled.shared import Shared

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
"""


def row_functions(shared: Shared) -> str:
    """Return the functions of all fields."""
    text = [COMMON]
    for field in shared.fields:
        if isinstance(field.kind, MapType):
            text += [
                _hash(shared, field),
                _find(shared, field),
                _raw(shared, field),
                _make(field),
                _row_hash(shared, field),
            ]
    return "".join([*text, _unmake(shared), _setup(shared)])


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
    w.put(*row_key(field, "local.get $row").atoms, f"call $hash_{field.place}")
    return w.text()


def row_key(field: FieldLayout, row: str) -> Flat:
    """Return the key that lies in a row."""
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


def _setup(shared: Shared) -> str:
    calls = "".join(
        f"(call $index_grow (i32.const {field.header}))\n" for field in shared.fields if isinstance(field.kind, MapType)
    )
    return f'(func (export "setup") {calls})\n'
