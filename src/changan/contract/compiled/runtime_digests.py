"""SHA-256 and SM3 in WebAssembly. Sources: FIPS 180-4; GM/T 0004-2012."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto.round_constants import SHA256_ROUNDS, SHA256_START, SM3_ROUNDS, SM3_START

if TYPE_CHECKING:
    from changan.contract.compiled.layout import Static

# Both take 64-byte blocks and pad alike: a one bit, zeros, and the length in bits.
_OUTER = """
(func ${name} (param $at i32) (param $n i32) (param $to i32)
  (local $left i32) (local $i i32)
  (memory.copy (i32.const {state}) (i32.const {start}) (i32.const 32))
  local.get $n local.set $left
  block $tail
    loop $blocks
      (i32.lt_u (local.get $left) (i32.const 64)) br_if $tail
      (call ${name}_block (local.get $at))
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (local.set $left (i32.sub (local.get $left) (i32.const 64)))
      br $blocks
    end
  end
  (memory.fill (i32.const {last}) (i32.const 0) (i32.const 128))
  (memory.copy (i32.const {last}) (local.get $at) (local.get $left))
  (i32.store8 (i32.add (i32.const {last}) (local.get $left)) (i32.const 0x80))
  (local.set $i (select (i32.const 64) (i32.const 0) (i32.ge_u (local.get $left) (i32.const 56))))
  (i64.store offset=56 (i32.add (i32.const {last}) (local.get $i))
    (call $swap (i64.shl (i64.extend_i32_u (local.get $n)) (i64.const 3))))
  (call ${name}_block (i32.const {last}))
  local.get $i if (call ${name}_block (i32.add (i32.const {last}) (i32.const 64))) end
  (local.set $i (i32.const 0))
  loop $words
    (i32.store (i32.add (local.get $to) (local.get $i))
      (call $swap32 (i32.load (i32.add (i32.const {state}) (local.get $i)))))
    (local.tee $i (i32.add (local.get $i) (i32.const 4)))
    i32.const 32 i32.lt_u br_if $words
  end)
"""

_LOCALS = " ".join(f"(local ${name} i32)" for name in "abcdefghitu")


def _load_state() -> str:
    return "".join(
        f"(local.set ${name} (i32.load offset={{state+{4 * i}}} (i32.const 0)))\n" for i, name in enumerate("abcdefgh")
    )


def _words(count: int) -> str:
    return f"""
  (local.set $i (i32.const 0))
  loop $load
    (i32.store (i32.add (i32.const {{w}}) (local.get $i)) (call $swap32 (i32.load (i32.add (local.get $at) (local.get $i)))))
    (local.tee $i (i32.add (local.get $i) (i32.const 4)))
    i32.const 64 i32.lt_u br_if $load
  end
  loop $expand
    {{expand}}
    (local.tee $i (i32.add (local.get $i) (i32.const 4)))
    i32.const {4 * count} i32.lt_u br_if $expand
  end
"""


def _w(back: int) -> str:
    return f"(i32.load (i32.add (i32.const {{w-{4 * back}}}) (local.get $i)))"


def _xor(*items: str) -> str:
    text = items[0]
    for item in items[1:]:
        text = f"(i32.xor {text} {item})"
    return text


def _add(*items: str) -> str:
    text = items[0]
    for item in items[1:]:
        text = f"(i32.add {text} {item})"
    return text


def _rotated(item: str, *counts: int) -> str:
    """Return the exclusive or of a word turned left by several counts."""
    return _xor(*(f"(i32.rotl {item} (i32.const {count}))" for count in counts))


def _get(name: str) -> str:
    return f"(local.get ${name})"


def _set(name: str, value: str) -> str:
    return f"(local.set ${name} {value})\n"


_SHA_EXPAND = (
    _set("t", _w(15))
    + _set("u", _w(2))
    + "(i32.store (i32.add (i32.const {w}) (local.get $i)) "
    + _add(
        _w(16),
        _xor(_rotated(_get("t"), 25, 14), "(i32.shr_u (local.get $t) (i32.const 3))"),
        _w(7),
        _xor(_rotated(_get("u"), 15, 13), "(i32.shr_u (local.get $u) (i32.const 10))"),
    )
    + ")"
)
_SHA_ROUND = (
    _set(
        "t",
        _add(
            _get("h"),
            _rotated(_get("e"), 26, 21, 7),
            _xor(_get("g"), f"(i32.and (local.get $e) {_xor(_get('f'), _get('g'))})"),
            "(i32.load (i32.add (i32.const {k}) (local.get $i)))",
            "(i32.load (i32.add (i32.const {w}) (local.get $i)))",
        ),
    )
    + _set(
        "u",
        _add(
            _rotated(_get("a"), 30, 19, 10),
            "(i32.or (i32.and (local.get $a) (local.get $b)) (i32.and (local.get $c) (i32.or (local.get $a) (local.get $b))))",
        ),
    )
    + _set("h", _get("g"))
    + _set("g", _get("f"))
    + _set("f", _get("e"))
    + _set("e", _add(_get("d"), _get("t")))
    + _set("d", _get("c"))
    + _set("c", _get("b"))
    + _set("b", _get("a"))
    + _set("a", _add(_get("t"), _get("u")))
)

_SM3_EXPAND = (
    _set("t", _xor(_w(16), _w(9), f"(i32.rotl {_w(3)} (i32.const 15))"))
    + "(i32.store (i32.add (i32.const {w}) (local.get $i)) "
    + _xor(
        _get("t"),
        _rotated(_get("t"), 15, 23),
        f"(i32.rotl {_w(13)} (i32.const 7))",
        _w(6),
    )
    + ")"
)
_EARLY = "(i32.lt_u (local.get $i) (i32.const 64))"
_SM3_ROUND = (
    _set(
        "u",
        "(i32.rotl "
        + _add(
            "(i32.rotl (local.get $a) (i32.const 12))",
            _get("e"),
            "(i32.load (i32.add (i32.const {k}) (local.get $i)))",
        )
        + " (i32.const 7))",
    )
    + _set(
        "t",
        _add(
            f"(select {_xor(_get('a'), _get('b'), _get('c'))} "
            "(i32.or (i32.and (local.get $a) (local.get $b)) (i32.and (local.get $c) (i32.or (local.get $a) (local.get $b)))) "
            f"{_EARLY})",
            _get("d"),
            _xor(_get("u"), "(i32.rotl (local.get $a) (i32.const 12))"),
            _xor(
                "(i32.load (i32.add (i32.const {w}) (local.get $i)))",
                "(i32.load offset=16 (i32.add (i32.const {w}) (local.get $i)))",
            ),
        ),
    )
    + _set(
        "u",
        _add(
            f"(select {_xor(_get('e'), _get('f'), _get('g'))} "
            + _xor(_get("g"), "(i32.and (local.get $e) " + _xor(_get("f"), _get("g")) + ")")
            + f" {_EARLY})",
            _get("h"),
            _get("u"),
            "(i32.load (i32.add (i32.const {w}) (local.get $i)))",
        ),
    )
    + _set("d", _get("c"))
    + _set("c", "(i32.rotl (local.get $b) (i32.const 9))")
    + _set("b", _get("a"))
    + _set("a", _get("t"))
    + _set("h", _get("g"))
    + _set("g", "(i32.rotl (local.get $f) (i32.const 19))")
    + _set("f", _get("e"))
    + _set("e", _rotated(_get("u"), 0, 9, 17))
)


def digest_text(algorithm: str, static: Static) -> str:
    """Return the text of a digest: `$sha256` or `$sm3`, taking where the data is, its length, and where the digest goes."""
    sha = algorithm == "sha256"
    start, rounds = (SHA256_START, SHA256_ROUNDS) if sha else (SM3_START, SM3_ROUNDS)
    count = 64 if sha else 68
    places = {
        "start": static.constant(b"".join(word.to_bytes(4, "little") for word in start)),
        "k": static.constant(b"".join(word.to_bytes(4, "little") for word in rounds)),
        "state": static.reserve(32),
        "last": static.reserve(128),
        "w": static.reserve(4 * count),
    }
    finish = "".join(
        f"(i32.store offset={{state+{4 * i}}} (i32.const 0) "
        + ("(i32.add " if sha else "(i32.xor ")
        + f"(i32.load offset={{state+{4 * i}}} (i32.const 0)) (local.get ${name})))\n"
        for i, name in enumerate("abcdefgh")
    )
    block = (
        f"(func ${algorithm}_block (param $at i32) {_LOCALS}\n"
        + _words(count).replace("{expand}", _SHA_EXPAND if sha else _SM3_EXPAND)
        + _load_state()
        + "(local.set $i (i32.const 0))\nloop $rounds\n"
        + (_SHA_ROUND if sha else _SM3_ROUND)
        + "(local.tee $i (i32.add (local.get $i) (i32.const 4)))\ni32.const 256 i32.lt_u br_if $rounds\nend\n"
        + finish
        + ")\n"
    )
    return _placed(block + _OUTER.replace("{name}", algorithm), places)


def _placed(text: str, places: dict[str, int]) -> str:
    for name, place in places.items():
        text = text.replace("{" + name + "}", str(place))
        for delta in range(0, 68, 4):
            text = text.replace(f"{{{name}+{delta}}}", str(place + delta)).replace(
                f"{{{name}-{delta}}}", str(place - delta)
            )
    return text
