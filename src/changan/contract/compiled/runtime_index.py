"""The keyed-hash index of a map, the rows it points at, and the elements of a list. Its order is never visible."""

from __future__ import annotations

# An entry is 8 bytes: 32 bits of hash over the row's address; none is zero but an empty one. Its home is the hash's top bits,
# so that doubling reads the old array once and no row. Deletion shifts back: there are no marks of what was.
INDEX = """
(func $index_put (param $f i32) (param $tag i32) (param $row i32)
  (local $base i32) (local $mask i32) (local $at i32)
  (i32.ge_u (i32.load offset=8 (local.get $f)) (i32.load offset=12 (local.get $f)))
  if (call $index_grow (local.get $f)) end
  (i32.store offset=8 (local.get $f) (i32.add (i32.load offset=8 (local.get $f)) (i32.const 1)))
  (call $entry_put (i32.load (local.get $f)) (i32.load offset=4 (local.get $f))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $tag)) (i64.const 32)) (i64.extend_i32_u (local.get $row)))))
(func $entry_put (param $base i32) (param $shift i32) (param $entry i64)
  (local $at i32) (local $mask i32)
  (local.set $mask (i32.sub (i32.shl (i32.const 1) (i32.sub (i32.const 32) (local.get $shift))) (i32.const 1)))
  (local.set $at (i32.shr_u (i32.wrap_i64 (i64.shr_u (local.get $entry) (i64.const 32))) (local.get $shift)))
  block $empty
    loop $look
      (i64.eqz (i64.load (i32.add (local.get $base) (i32.shl (local.get $at) (i32.const 3)))))
      br_if $empty
      (local.set $at (i32.and (i32.add (local.get $at) (i32.const 1)) (local.get $mask)))
      br $look
    end
  end
  (i64.store (i32.add (local.get $base) (i32.shl (local.get $at) (i32.const 3))) (local.get $entry)))
(func $index_grow (param $f i32)
  (local $from i32) (local $end i32) (local $bits i32) (local $base i32) (local $entry i64)
  (local.set $from (i32.load (local.get $f)))
  local.get $from
  if (result i32) (i32.sub (i32.const 33) (i32.load offset=4 (local.get $f))) else i32.const 4 end
  local.set $bits
  (local.set $base (call $block (i32.add (local.get $bits) (i32.const 3))))
  (memory.fill (local.get $base) (i32.const 0) (i32.shl (i32.const 8) (local.get $bits)))
  (i32.store (local.get $f) (local.get $base))
  (i32.store offset=12 (local.get $f) (i32.mul (i32.shr_u (i32.shl (i32.const 1) (local.get $bits)) (i32.const 2)) (i32.const 3)))
  local.get $from
  if
    (local.set $end (i32.add (local.get $from)
      (i32.shl (i32.const 8) (i32.sub (i32.const 32) (i32.load offset=4 (local.get $f))))))
    block $done
      loop $next
        (i32.eq (local.get $from) (local.get $end)) br_if $done
        (local.tee $entry (i64.load (local.get $from)))
        i64.const 0 i64.ne
        if (call $entry_put (local.get $base) (i32.sub (i32.const 32) (local.get $bits)) (local.get $entry)) end
        (local.set $from (i32.add (local.get $from) (i32.const 8)))
        br $next
      end
    end
    (call $give (i32.sub (local.get $end)
      (i32.shl (i32.const 8) (i32.sub (local.get $bits) (i32.const 1)))) (i32.add (local.get $bits) (i32.const 2)))
  end
  (i32.store offset=4 (local.get $f) (i32.sub (i32.const 32) (local.get $bits))))
(func $index_take (param $f i32) (param $tag i32) (param $row i32)
  (local $base i32) (local $mask i32) (local $shift i32) (local $i i32) (local $j i32) (local $entry i64) (local $wanted i64)
  (local.set $base (i32.load (local.get $f)))
  (local.set $shift (i32.load offset=4 (local.get $f)))
  (local.set $mask (i32.sub (i32.shl (i32.const 1) (i32.sub (i32.const 32) (local.get $shift))) (i32.const 1)))
  (local.set $i (i32.shr_u (local.get $tag) (local.get $shift)))
  (local.set $wanted
    (i64.or (i64.shl (i64.extend_i32_u (local.get $tag)) (i64.const 32)) (i64.extend_i32_u (local.get $row))))
  block $found
    loop $look
      (local.set $entry (i64.load (i32.add (local.get $base) (i32.shl (local.get $i) (i32.const 3)))))
      (i64.eq (local.get $entry) (local.get $wanted)) br_if $found
      local.get $entry i64.eqz if unreachable end
      (local.set $i (i32.and (i32.add (local.get $i) (i32.const 1)) (local.get $mask)))
      br $look
    end
  end
  local.get $i local.set $j
  block $done
    loop $shift_back
      (local.set $j (i32.and (i32.add (local.get $j) (i32.const 1)) (local.get $mask)))
      (local.tee $entry (i64.load (i32.add (local.get $base) (i32.shl (local.get $j) (i32.const 3)))))
      i64.eqz br_if $done
      ;; how far the entry is from its home, against how far from the hole
      (i32.ge_u
        (i32.and (i32.sub (local.get $j)
          (i32.shr_u (i32.wrap_i64 (i64.shr_u (local.get $entry) (i64.const 32))) (local.get $shift))) (local.get $mask))
        (i32.and (i32.sub (local.get $j) (local.get $i)) (local.get $mask)))
      if
        (i64.store (i32.add (local.get $base) (i32.shl (local.get $i) (i32.const 3))) (local.get $entry))
        local.get $j local.set $i
      end
      br $shift_back
    end
  end
  (i64.store (i32.add (local.get $base) (i32.shl (local.get $i) (i32.const 3))) (i64.const 0))
  (i32.store offset=8 (local.get $f) (i32.sub (i32.load offset=8 (local.get $f)) (i32.const 1))))
"""

ROWS = """
(func $row_new (param $f i32) (param $stride i32) (result i32)
  (local $p i32) (local $k i32)
  (local.tee $p (i32.load offset=16 (local.get $f)))
  if
    (i32.store offset=16 (local.get $f) (i32.load offset=4 (local.get $p)))
    local.get $p return
  end
  (i32.lt_u (i32.sub (i32.load offset=24 (local.get $f)) (i32.load offset=20 (local.get $f))) (local.get $stride))
  if (call $chunk_new (local.get $f) (local.get $stride)) end
  (local.set $p (i32.load offset=20 (local.get $f)))
  (i32.store offset=20 (local.get $f) (i32.add (local.get $p) (local.get $stride)))
  local.get $p)
(func $chunk_new (param $f i32) (param $stride i32)
  (local $p i32) (local $k i32)
  ;; as large as sixteen rows at first, then with the map, up to 256 KiB
  (local.set $k (call $log2 (i32.add (i32.const 64)
    (i32.mul (local.get $stride) (i32.add (i32.const 16) (i32.load offset=8 (local.get $f)))))))
  local.get $k i32.const 18 i32.gt_u if i32.const 18 local.set $k end
  (local.set $p (call $block (local.get $k)))
  (i32.store (local.get $p) (i32.const 0))
  i32.const 64 (i32.shl (i32.const 1) (local.get $k)) i32.ge_u if unreachable end
  (i32.load offset=32 (local.get $f))
  if
    (i32.store (i32.load offset=32 (local.get $f)) (local.get $p))
    (i32.store offset=4 (i32.load offset=32 (local.get $f)) (i32.load offset=20 (local.get $f)))
  else
    (i32.store offset=28 (local.get $f) (local.get $p))
  end
  (i32.store offset=32 (local.get $f) (local.get $p))
  (i32.store offset=20 (local.get $f) (i32.add (local.get $p) (i32.const 64)))
  (i32.store offset=24 (local.get $f) (i32.add (local.get $p) (i32.shl (i32.const 1) (local.get $k)))))
(func $row_free (param $f i32) (param $row i32)
  (i32.store (local.get $row) (i32.const 6))
  (i32.store offset=4 (local.get $row) (i32.load offset=16 (local.get $f)))
  (i32.store offset=16 (local.get $f) (local.get $row)))
(func $count (param $f i32) (param $by i64)
  (call $undo_words (i32.add (local.get $f) (i32.const 40)) (i32.const 1))
  (i64.store offset=40 (local.get $f) (i64.add (i64.load offset=40 (local.get $f)) (local.get $by))))
"""

LISTS = """
(func $element (param $f i32) (param $i i64) (param $stride i32) (result i32)
  (i32.add
    (i32.load (i32.add (i32.load offset=16 (local.get $f))
      (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $i) (i64.const 6))) (i32.const 2))))
    (i32.mul (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63)) (local.get $stride))))
(func $element_new (param $f i32) (param $stride i32) (result i32)
  (local $n i32) (local $chunk i32) (local $p i32) (local $k i32)
  (local.set $n (i32.wrap_i64 (i64.load offset=8 (local.get $f))))
  (local.tee $chunk (i32.shr_u (local.get $n) (i32.const 6)))
  (i32.load offset=24 (local.get $f))
  i32.ge_u
  if
    (i32.ge_u (local.get $chunk) (i32.load offset=20 (local.get $f)))
    if
      (local.set $k (call $log2 (i32.add (i32.const 64) (i32.shl (local.get $chunk) (i32.const 3)))))
      (local.set $p (call $block (local.get $k)))
      (memory.copy (local.get $p) (i32.load offset=16 (local.get $f)) (i32.shl (local.get $chunk) (i32.const 2)))
      (call $give (i32.load offset=16 (local.get $f)) (call $log2 (i32.shl (i32.load offset=20 (local.get $f)) (i32.const 2))))
      (i32.store offset=16 (local.get $f) (local.get $p))
      (i32.store offset=20 (local.get $f) (i32.shl (i32.const 1) (i32.sub (local.get $k) (i32.const 2))))
    end
    (i32.store (i32.add (i32.load offset=16 (local.get $f)) (i32.shl (local.get $chunk) (i32.const 2)))
      (call $bump (i32.shl (local.get $stride) (i32.const 6))))
    (i32.store offset=24 (local.get $f) (i32.add (local.get $chunk) (i32.const 1)))
  end
  (local.set $p (call $element (local.get $f) (i64.extend_i32_u (local.get $n)) (local.get $stride)))
  (i32.store (local.get $p) (i32.const 0))
  (i32.store offset=4 (local.get $p) (local.get $n))
  local.get $p)
"""


def index_text() -> str:
    """Return the text of all of this."""
    return INDEX + ROWS + LISTS
