"""Arithmetic that WebAssembly has no instruction for: 128 bits, floors, and turning bytes around."""

from __future__ import annotations

SWAP = """
(func $swap (param $x i64) (result i64)
  (local.set $x (i64.or
    (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
    (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
  (local.set $x (i64.or
    (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
    (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
  (i64.rotl (local.get $x) (i64.const 32)))
(func $swap32 (param $x i32) (result i32)
  (i32.wrap_i64 (i64.shr_u (call $swap (i64.extend_i32_u (local.get $x))) (i64.const 32))))
"""

# Each returns low word, high word, and whether the result is out of range.
WIDE = """
(func $add_wide (param $a i64) (param $b i64) (param $c i64) (param $d i64) (result i64 i64 i32)
  (local $x i64) (local $y i64)
  local.get $a local.get $b local.get $c local.get $d i64.add128 local.set $y local.set $x
  local.get $x local.get $y
  (i32.or (i64.lt_u (local.get $y) (local.get $b))
    (i32.and (i64.eq (local.get $y) (local.get $b)) (i64.lt_u (local.get $x) (local.get $a)))))
(func $less_wide (param $a i64) (param $b i64) (param $c i64) (param $d i64) (result i32)
  (i32.or (i64.lt_u (local.get $b) (local.get $d))
    (i32.and (i64.eq (local.get $b) (local.get $d)) (i64.lt_u (local.get $a) (local.get $c)))))
(func $sub_wide (param $a i64) (param $b i64) (param $c i64) (param $d i64) (result i64 i64 i32)
  local.get $a local.get $b local.get $c local.get $d i64.sub128
  (call $less_wide (local.get $a) (local.get $b) (local.get $c) (local.get $d)))
(func $mul_wide (param $a i64) (param $b i64) (param $c i64) (param $d i64) (result i64 i64 i32)
  (local $x i64) (local $y i64) (local $u i64) (local $v i64) (local $bad i32)
  local.get $a local.get $c i64.mul_wide_u local.set $y local.set $x
  (local.set $bad (i32.and (i64.ne (local.get $b) (i64.const 0)) (i64.ne (local.get $d) (i64.const 0))))
  ;; one of the two high words is zero, or it is too large anyway
  local.get $b local.get $c i64.mul_wide_u local.set $v local.set $u
  (local.set $bad (i32.or (local.get $bad) (i64.ne (local.get $v) (i64.const 0))))
  (local.set $y (i64.add (local.get $y) (local.get $u)))
  (local.set $bad (i32.or (local.get $bad) (i64.lt_u (local.get $y) (local.get $u))))
  local.get $a local.get $d i64.mul_wide_u local.set $v local.set $u
  (local.set $bad (i32.or (local.get $bad) (i64.ne (local.get $v) (i64.const 0))))
  (local.set $y (i64.add (local.get $y) (local.get $u)))
  (local.set $bad (i32.or (local.get $bad) (i64.lt_u (local.get $y) (local.get $u))))
  local.get $x local.get $y local.get $bad)
(func $shl_bits (param $a i64) (param $b i64) (param $n i64) (result i64 i64)
  (i64.ge_u (local.get $n) (i64.const 64))
  if
    i64.const 0
    (i64.shl (local.get $a) (i64.sub (local.get $n) (i64.const 64)))
    return
  end
  local.get $n i64.eqz if local.get $a local.get $b return end
  (i64.shl (local.get $a) (local.get $n))
  (i64.or (i64.shl (local.get $b) (local.get $n)) (i64.shr_u (local.get $a) (i64.sub (i64.const 64) (local.get $n)))))
(func $shr_wide (param $a i64) (param $b i64) (param $n i64) (result i64 i64)
  (i64.ge_u (local.get $n) (i64.const 128)) if i64.const 0 i64.const 0 return end
  (i64.ge_u (local.get $n) (i64.const 64))
  if
    (i64.shr_u (local.get $b) (i64.sub (local.get $n) (i64.const 64)))
    i64.const 0
    return
  end
  local.get $n i64.eqz if local.get $a local.get $b return end
  (i64.or (i64.shr_u (local.get $a) (local.get $n)) (i64.shl (local.get $b) (i64.sub (i64.const 64) (local.get $n))))
  (i64.shr_u (local.get $b) (local.get $n)))
(func $shl_wide (param $a i64) (param $b i64) (param $n i64) (result i64 i64 i32)
  (local $x i64) (local $y i64) (local $u i64) (local $v i64)
  (i64.eqz (i64.or (local.get $a) (local.get $b))) if i64.const 0 i64.const 0 i32.const 0 return end
  (i64.ge_u (local.get $n) (i64.const 128)) if i64.const 0 i64.const 0 i32.const 1 return end
  (call $shl_bits (local.get $a) (local.get $b) (local.get $n)) local.set $y local.set $x
  (call $shr_wide (local.get $x) (local.get $y) (local.get $n)) local.set $v local.set $u
  local.get $x local.get $y
  (i64.ne (i64.or (i64.xor (local.get $u) (local.get $a)) (i64.xor (local.get $v) (local.get $b))) (i64.const 0)))
(func $divide_wide (param $a i64) (param $b i64) (param $c i64) (param $d i64) (result i64 i64 i64 i64)
  ;; quotient, then remainder; the divisor is not zero
  (local $q i64) (local $p i64) (local $r i64) (local $s i64) (local $n i64)
  (i64.eqz (i64.or (local.get $b) (local.get $d)))
  if
    (i64.div_u (local.get $a) (local.get $c)) i64.const 0
    (i64.rem_u (local.get $a) (local.get $c)) i64.const 0
    return
  end
  (local.set $n (i64.const 128))
  local.get $b i64.eqz
  if
    ;; 64 steps are left where the high word is zero
    (local.set $b (local.get $a))
    (local.set $a (i64.const 0))
    (local.set $n (i64.const 64))
  end
  loop $bits
    (local.set $s (i64.or (i64.shl (local.get $s) (i64.const 1)) (i64.shr_u (local.get $r) (i64.const 63))))
    ;; after k steps the remainder is below 2**k, so it never leaves its 128 bits
    (local.set $r (i64.or (i64.shl (local.get $r) (i64.const 1)) (i64.shr_u (local.get $b) (i64.const 63))))
    (local.set $b (i64.or (i64.shl (local.get $b) (i64.const 1)) (i64.shr_u (local.get $a) (i64.const 63))))
    (local.set $a (i64.shl (local.get $a) (i64.const 1)))
    (local.set $p (i64.or (i64.shl (local.get $p) (i64.const 1)) (i64.shr_u (local.get $q) (i64.const 63))))
    (local.set $q (i64.shl (local.get $q) (i64.const 1)))
    (i32.eqz (call $less_wide (local.get $r) (local.get $s) (local.get $c) (local.get $d)))
    if
      local.get $r local.get $s local.get $c local.get $d i64.sub128 local.set $s local.set $r
      (local.set $q (i64.or (local.get $q) (i64.const 1)))
    end
    (local.tee $n (i64.sub (local.get $n) (i64.const 1)))
    i64.const 0 i64.ne br_if $bits
  end
  local.get $q local.get $p local.get $r local.get $s)
"""

NARROW = """
(func $floor_div (param $a i64) (param $b i64) (result i64)
  (local $q i64)
  (local.set $q (i64.div_s (local.get $a) (local.get $b)))
  (i32.and (i64.lt_s (i64.xor (local.get $a) (local.get $b)) (i64.const 0))
    (i64.ne (i64.mul (local.get $q) (local.get $b)) (local.get $a)))
  if (local.set $q (i64.sub (local.get $q) (i64.const 1))) end
  local.get $q)
(func $floor_rem (param $a i64) (param $b i64) (result i64)
  (local $r i64)
  (local.set $r (i64.rem_s (local.get $a) (local.get $b)))
  (i32.and (i64.ne (local.get $r) (i64.const 0)) (i64.lt_s (i64.xor (local.get $r) (local.get $b)) (i64.const 0)))
  if (local.set $r (i64.add (local.get $r) (local.get $b))) end
  local.get $r)
(func $shl_unsigned (param $a i64) (param $n i64) (result i64 i32)
  (local $x i64)
  local.get $a i64.eqz if i64.const 0 i32.const 0 return end
  (i64.ge_u (local.get $n) (i64.const 64)) if i64.const 0 i32.const 1 return end
  (local.tee $x (i64.shl (local.get $a) (local.get $n)))
  (i64.ne (i64.shr_u (local.get $x) (local.get $n)) (local.get $a)))
(func $shl_signed (param $a i64) (param $n i64) (result i64 i32)
  (local $x i64)
  local.get $a i64.eqz if i64.const 0 i32.const 0 return end
  (i64.ge_u (local.get $n) (i64.const 64)) if i64.const 0 i32.const 1 return end
  (local.tee $x (i64.shl (local.get $a) (local.get $n)))
  (i64.ne (i64.shr_s (local.get $x) (local.get $n)) (local.get $a)))
"""


def numbers_text() -> str:
    """Return the text of all of this."""
    return SWAP + WIDE + NARROW
