"""The memory of the runtime: blocks, texts, the undo log, the list of changed rows, and how a call ends."""

from __future__ import annotations

from changan.contract.compiled import layout as l

GLOBALS = """
(global $gas (mut i64) (i64.const 0))
(global $fail (mut i32) (i32.const 0))
(global $heap (mut i32) (i32.const {heap}))
(global $undo (mut i32) (i32.const 0))
(global $undo_base (mut i32) (i32.const 0))
(global $undo_end (mut i32) (i32.const 0))
(global $dirty (mut i32) (i32.const 0))
(global $dirty_base (mut i32) (i32.const 0))
(global $dirty_end (mut i32) (i32.const 0))
(global $dirty_mark (mut i32) (i32.const 0))
(global $old (mut i32) (i32.const 0))
(global $old_base (mut i32) (i32.const 0))
(global $old_end (mut i32) (i32.const 0))
(global $new (mut i32) (i32.const 0))
(global $new_base (mut i32) (i32.const 0))
(global $new_end (mut i32) (i32.const 0))
(global $ev (mut i32) (i32.const 0))
(global $ev_base (mut i32) (i32.const 0))
(global $ev_end (mut i32) (i32.const 0))
(global $ev_mark (mut i32) (i32.const 0))
(global $ev_used (mut i64) (i64.const 0))
(global $out (mut i32) (i32.const 0))
(global $out_base (mut i32) (i32.const 0))
(global $out_end (mut i32) (i32.const 0))
(global $in_base (mut i32) (i32.const 0))
(global $in_end (mut i32) (i32.const 0))
(global $arena (mut i32) (i32.const 0))
(global $arena_end (mut i32) (i32.const 0))
(global $arena_block (mut i32) (i32.const 0))
(global $text_top (mut i32) (i32.const 0))
(global $text_end (mut i32) (i32.const 0))
(global $row (mut i32) (i32.const 0))
(global $hint (mut i32) (i32.const {no_hints}))
(global $chunk (mut i32) (i32.const 0))
(global $cursor (mut i32) (i32.const 0))
"""

# Blocks come in powers of two; one that is given back serves whatever asks next, cut in halves where it is too large.
BLOCKS = """
(func $log2 (param $n i32) (result i32)
  local.get $n i32.const 2 i32.lt_u if i32.const 0 return end
  i32.const 32 local.get $n i32.const 1 i32.sub i32.clz i32.sub)
(func $bump (param $n i32) (result i32)
  (local $p i32) (local $top i64) (local $have i64)
  (local.set $p (i32.and (i32.add (global.get $heap) (i32.const 63)) (i32.const -64)))
  (local.set $top (i64.add (i64.extend_i32_u (local.get $p)) (i64.extend_i32_u (local.get $n))))
  (local.set $have (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
  local.get $top local.get $have i64.gt_u
  if
    (i32.wrap_i64 (i64.add (i64.shr_u (i64.sub (local.get $top) (local.get $have)) (i64.const 16)) (i64.const 64)))
    memory.grow
    i32.const -1 i32.eq
    if
      (i32.wrap_i64 (i64.add (i64.shr_u (i64.sub (local.get $top) (local.get $have)) (i64.const 16)) (i64.const 1)))
      memory.grow
      i32.const -1 i32.eq
      if unreachable end
    end
  end
  (global.set $heap (i32.wrap_i64 (local.get $top)))
  (i32.store offset={HEAP_TOP} (i32.const 0) (global.get $heap))
  local.get $p)
(func $block (param $k i32) (result i32)
  (local $j i32) (local $p i32)
  local.get $k local.set $j
  block $found
    loop $look
      (local.tee $p (i32.load offset={FREE_BLOCKS} (i32.shl (local.get $j) (i32.const 2))))
      br_if $found
      (local.tee $j (i32.add (local.get $j) (i32.const 1)))
      i32.const 32 i32.lt_u br_if $look
    end
    (call $bump (i32.shl (i32.const 1) (local.get $k)))
    return
  end
  (i32.store offset={FREE_BLOCKS} (i32.shl (local.get $j) (i32.const 2)) (i32.load (local.get $p)))
  block $fits
    loop $halve
      local.get $j local.get $k i32.le_u br_if $fits
      (local.set $j (i32.sub (local.get $j) (i32.const 1)))
      (call $give (i32.add (local.get $p) (i32.shl (i32.const 1) (local.get $j))) (local.get $j))
      br $halve
    end
  end
  local.get $p)
(func $give (param $p i32) (param $k i32)
  local.get $p i32.eqz if return end
  (i32.store (local.get $p) (i32.load offset={FREE_BLOCKS} (i32.shl (local.get $k) (i32.const 2))))
  (i32.store offset={FREE_BLOCKS} (i32.shl (local.get $k) (i32.const 2)) (local.get $p)))
"""

# An array that grows: four globals each (its base, its end, and where it is filled up to).
_GROW = """
(func $grow_{name} (param $n i32)
  (local $p i32) (local $used i32) (local $k i32) (local $had i32)
  (local.set $used (i32.sub (global.get ${name}) (global.get ${name}_base)))
  (local.set $had (i32.sub (global.get ${name}_end) (global.get ${name}_base)))
  (local.set $k (call $log2 (i32.add (i32.add (local.get $had) (local.get $used)) (local.get $n))))
  local.get $k i32.const 14 i32.lt_u if i32.const 14 local.set $k end
  (local.set $p (call $block (local.get $k)))
  (memory.copy (local.get $p) (global.get ${name}_base) (local.get $used))
  (call $give (global.get ${name}_base) (call $log2 (local.get $had)))
  (global.set ${name}_base (local.get $p))
  (global.set ${name} (i32.add (local.get $p) (local.get $used)))
  (global.set ${name}_end (i32.add (local.get $p) (i32.shl (i32.const 1) (local.get $k)))){after})
"""
ARRAYS = "".join(
    _GROW.replace("{name}", name).replace("{after}", after)
    for name, after in (
        ("undo", ""),
        (
            "dirty",
            "",
        ),
        ("old", ""),
        ("new", ""),
        ("ev", ""),
        ("out", ""),
    )
)

UNDO = """
(func $undo_words (param $at i32) (param $n i32)
  (local $u i32)
  (i32.gt_u (i32.shl (local.get $n) (i32.const 4)) (i32.sub (global.get $undo_end) (global.get $undo)))
  if (call $grow_undo (i32.shl (local.get $n) (i32.const 4))) end
  global.get $undo local.set $u
  block $done
    loop $next
      local.get $n i32.eqz br_if $done
      (i64.store (local.get $u) (i64.extend_i32_u (local.get $at)))
      (i64.store offset=8 (local.get $u) (i64.load (local.get $at)))
      (local.set $u (i32.add (local.get $u) (i32.const 16)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      br $next
    end
  end
  (global.set $undo (local.get $u)))
(func $undo_made (param $row i32) (param $field i32)
  (i32.gt_u (i32.const 16) (i32.sub (global.get $undo_end) (global.get $undo)))
  if (call $grow_undo (i32.const 16)) end
  (i32.store (global.get $undo) (local.get $row))
  (i32.store offset=4 (global.get $undo) (i32.add (local.get $field) (i32.const 1)))
  (global.set $undo (i32.add (global.get $undo) (i32.const 16))))
(func $note (param $row i32) (param $field i32)
  (i32.gt_u (i32.const 8) (i32.sub (global.get $dirty_end) (global.get $dirty)))
  if
    (local.set $field (local.get $field))
    (call $grow_dirty_marked)
  end
  (i32.store (global.get $dirty) (local.get $row))
  (i32.store offset=4 (global.get $dirty) (local.get $field))
  (global.set $dirty (i32.add (global.get $dirty) (i32.const 8))))
(func $grow_dirty_marked
  (local $at i32)
  (local.set $at (i32.sub (global.get $dirty_mark) (global.get $dirty_base)))
  (call $grow_dirty (i32.const 8))
  (global.set $dirty_mark (i32.add (global.get $dirty_base) (local.get $at))))
(func $touch (param $row i32) (param $field i32)
  (call $undo_words (local.get $row) (i32.const 1))
  (i32.store (local.get $row) (i32.or (i32.load (local.get $row)) (i32.const 1)))
  (call $note (local.get $row) (local.get $field)))
(func (export "recover")
  (call $rollback)
  (call $arena_clear)
  (global.set $fail (i32.const 0))
  (global.set $hint (i32.const {NO_HINTS})))
(func $settle (export "settle") (param $keep i32)
  local.get $keep
  if (call $commit) else (call $rollback) end)
(func $commit
  (global.set $undo (global.get $undo_base))
  (global.set $dirty_mark (global.get $dirty))
  (i64.store offset={LOGICAL_BEFORE} (i32.const 0) (i64.load offset={LOGICAL} (i32.const 0)))
  (global.set $new (global.get $new_base))
  (i32.ne (global.get $old) (global.get $old_base))
  if
    (call $free_texts (global.get $old_base) (global.get $old))
    (global.set $old (global.get $old_base))
  end)
(func $rollback
  (local $u i32) (local $tag i32)
  global.get $undo local.set $u
  block $done
    loop $next
      (i32.le_u (local.get $u) (global.get $undo_base))
      br_if $done
      (local.set $u (i32.sub (local.get $u) (i32.const 16)))
      (local.tee $tag (i32.load offset=4 (local.get $u)))
      if
        (call $unmake (i32.load (local.get $u)) (i32.sub (local.get $tag) (i32.const 1)))
      else
        (i64.store (i32.load (local.get $u)) (i64.load offset=8 (local.get $u)))
      end
      br $next
    end
  end
  (global.set $undo (global.get $undo_base))
  (global.set $dirty (global.get $dirty_mark))
  (i64.store offset={LOGICAL} (i32.const 0) (i64.load offset={LOGICAL_BEFORE} (i32.const 0)))
  (i32.ne (global.get $new) (global.get $new_base))
  if
    (call $free_texts (global.get $new_base) (global.get $new))
    (global.set $new (global.get $new_base))
  end
  (global.set $old (global.get $old_base)))
"""

TEXTS = """
(func $text_class (param $t i64) (result i64)
  (i64.and (i64.add (i64.shr_u (local.get $t) (i64.const 32)) (i64.const 15)) (i64.const -16)))
(func $text_block (param $c i32) (result i32)
  (local $p i32) (local $j i32)
  (local.tee $p (i32.load offset={FREE_TEXTS} (i32.shl (local.get $c) (i32.const 2))))
  if
    (i32.store offset={FREE_TEXTS} (i32.shl (local.get $c) (i32.const 2)) (i32.load (local.get $p)))
    local.get $p return
  end
  (i32.lt_u (i32.sub (global.get $text_end) (global.get $text_top)) (i32.shl (local.get $c) (i32.const 4)))
  if
    local.get $c local.set $j
    loop $larger
      (local.set $j (i32.add (local.get $j) (i32.const 1)))
      (i32.le_u (local.get $j) (i32.const 256))
      if
        (local.tee $p (i32.load offset={FREE_TEXTS} (i32.shl (local.get $j) (i32.const 2))))
        i32.eqz br_if $larger
        (i32.store offset={FREE_TEXTS} (i32.shl (local.get $j) (i32.const 2)) (i32.load (local.get $p)))
        (call $text_give
          (i32.add (local.get $p) (i32.shl (local.get $c) (i32.const 4))) (i32.sub (local.get $j) (local.get $c)))
        local.get $p return
      end
    end
    (i32.shr_u (i32.sub (global.get $text_end) (global.get $text_top)) (i32.const 4))
    local.tee $j
    if (call $text_give (global.get $text_top) (local.get $j)) end
    (global.set $text_top (call $block (i32.const 16)))
    (global.set $text_end (i32.add (global.get $text_top) (i32.const 65536)))
  end
  global.get $text_top local.set $p
  (global.set $text_top (i32.add (global.get $text_top) (i32.shl (local.get $c) (i32.const 4))))
  local.get $p)
(func $text_give (param $p i32) (param $c i32)
  (i32.store (local.get $p) (i32.load offset={FREE_TEXTS} (i32.shl (local.get $c) (i32.const 2))))
  (i32.store offset={FREE_TEXTS} (i32.shl (local.get $c) (i32.const 2)) (local.get $p)))
(func $free_texts (param $at i32) (param $end i32)
  (local $t i64)
  block $done
    loop $next
      (i32.ge_u (local.get $at) (local.get $end)) br_if $done
      (local.set $t (i64.load (local.get $at)))
      (call $text_give (i32.wrap_i64 (local.get $t))
        (i32.wrap_i64 (i64.shr_u (call $text_class (local.get $t)) (i64.const 4))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      br $next
    end
  end)
(func $keep_text (param $t i64) (result i64)
  (local $n i32) (local $p i32)
  (local.tee $n (i32.wrap_i64 (i64.shr_u (local.get $t) (i64.const 32))))
  i32.eqz if i64.const 0 return end
  (local.set $p (call $text_block (i32.shr_u (i32.add (local.get $n) (i32.const 15)) (i32.const 4))))
  (memory.copy (local.get $p) (i32.wrap_i64 (local.get $t)) (local.get $n))
  (local.set $t (i64.or (i64.shl (i64.extend_i32_u (local.get $n)) (i64.const 32)) (i64.extend_i32_u (local.get $p))))
  (i32.gt_u (i32.const 8) (i32.sub (global.get $new_end) (global.get $new)))
  if (call $grow_new (i32.const 8)) end
  (i64.store (global.get $new) (local.get $t))
  (global.set $new (i32.add (global.get $new) (i32.const 8)))
  local.get $t)
(func $drop_text (param $t i64)
  local.get $t i64.eqz if return end
  (i32.gt_u (i32.const 8) (i32.sub (global.get $old_end) (global.get $old)))
  if (call $grow_old (i32.const 8)) end
  (i64.store (global.get $old) (local.get $t))
  (global.set $old (i32.add (global.get $old) (i32.const 8))))
(func $same_text (param $a i64) (param $b i64) (result i32)
  (local $p i32) (local $q i32) (local $n i32)
  (i64.ne (i64.shr_u (local.get $a) (i64.const 32)) (i64.shr_u (local.get $b) (i64.const 32)))
  if i32.const 0 return end
  (local.set $p (i32.wrap_i64 (local.get $a)))
  (local.set $q (i32.wrap_i64 (local.get $b)))
  (local.set $n (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))))
  block $tail
    loop $words
      (i32.lt_u (local.get $n) (i32.const 8)) br_if $tail
      (i64.ne (i64.load (local.get $p)) (i64.load (local.get $q)))
      if i32.const 0 return end
      (local.set $p (i32.add (local.get $p) (i32.const 8)))
      (local.set $q (i32.add (local.get $q) (i32.const 8)))
      (local.set $n (i32.sub (local.get $n) (i32.const 8)))
      br $words
    end
  end
  block $done
    loop $bytes
      local.get $n i32.eqz br_if $done
      (i32.ne (i32.load8_u (local.get $p)) (i32.load8_u (local.get $q)))
      if i32.const 0 return end
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (local.set $q (i32.add (local.get $q) (i32.const 1)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      br $bytes
    end
  end
  i32.const 1)
"""

# Where the host reads and writes: what comes in, what goes out, and texts that live as long as the call.
DOORS = """
(func $out_room (param $n i32)
  (i32.gt_u (local.get $n) (i32.sub (global.get $out_end) (global.get $out)))
  if (call $grow_out (local.get $n)) end)
(func $ev_room (param $n i32)
  (local $at i32)
  (i32.gt_u (local.get $n) (i32.sub (global.get $ev_end) (global.get $ev)))
  if
    (local.set $at (i32.sub (global.get $ev_mark) (global.get $ev_base)))
    (call $grow_ev (local.get $n))
    (global.set $ev_mark (i32.add (global.get $ev_base) (local.get $at)))
  end)
(func (export "input") (param $n i32) (result i32)
  (i32.gt_u (local.get $n) (i32.sub (global.get $in_end) (global.get $in_base)))
  if
    (call $give (global.get $in_base) (call $log2 (i32.sub (global.get $in_end) (global.get $in_base))))
    (global.set $in_base (call $block (call $log2 (local.get $n))))
    (global.set $in_end (i32.add (global.get $in_base) (i32.shl (i32.const 1) (call $log2 (local.get $n)))))
  end
  global.get $in_base)
(func (export "take_block") (param $k i32) (result i32) (call $block (local.get $k)))
(func (export "give_block") (param $p i32) (param $k i32) (call $give (local.get $p) (local.get $k)))
(func $publish
  (i32.store offset={EVENTS_BASE} (i32.const 0) (global.get $ev_base))
  (i32.store offset={EVENTS_END} (i32.const 0) (global.get $ev))
  (i32.store offset={OUT_BASE} (i32.const 0) (global.get $out_base))
  (i32.store offset={OUT_END} (i32.const 0) (global.get $out)))
(func $arena_room (param $n i32)
  (local $k i32) (local $p i32)
  (i32.gt_u (local.get $n) (i32.sub (global.get $arena_end) (global.get $arena)))
  if
    (local.set $k (call $log2 (i32.add (local.get $n) (i32.const 65536))))
    (local.set $p (call $block (local.get $k)))
    (i32.store (local.get $p) (global.get $arena_block))
    (i32.store offset=4 (local.get $p) (local.get $k))
    (global.set $arena_block (local.get $p))
    (global.set $arena (i32.add (local.get $p) (i32.const 16)))
    (global.set $arena_end (i32.add (local.get $p) (i32.shl (i32.const 1) (local.get $k))))
  end)
(func $arena_clear
  (local $p i32) (local $next i32)
  global.get $arena_block local.set $p
  block $done
    loop $each
      local.get $p i32.eqz br_if $done
      (local.set $next (i32.load (local.get $p)))
      (call $give (local.get $p) (i32.load offset=4 (local.get $p)))
      local.get $next local.set $p
      br $each
    end
  end
  (global.set $arena_block (i32.const 0))
  (global.set $arena (i32.const 0))
  (global.set $arena_end (i32.const 0)))
"""


def memory_text() -> str:
    """Return the text of all of this, with the addresses of the layout in it."""
    text = BLOCKS + ARRAYS + UNDO + TEXTS + DOORS
    for name in ("LOGICAL_BEFORE", "LOGICAL", "HEAP_TOP", "FREE_BLOCKS", "FREE_TEXTS", "NO_HINTS"):
        text = text.replace("{" + name + "}", str(getattr(l, name)))
    for name in ("EVENTS_BASE", "EVENTS_END", "OUT_BASE", "OUT_END"):
        text = text.replace("{" + name + "}", str(getattr(l, name)))
    return text
