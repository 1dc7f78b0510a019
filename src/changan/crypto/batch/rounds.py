"""The rounds of SHA-256 and SM3, generated over words or over vectors of words. Sources: FIPS 180-4, GB/T 32905-2016."""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils

from changan.crypto.round_constants import SHA256_ROUNDS, SM3_ROUNDS

_WORD: Final = ir.IntType(32)
_ROUNDS: Final = 64
_WORDS: Final = 16


def constant(kind: Any, number: int) -> Any:
    """Return a word, or a vector of it."""
    word = ir.Constant(_WORD, number)
    return word if kind == _WORD else ir.Constant(kind, [word] * kind.count)


def _rotated(builder: Any, words: Any, by: int) -> Any:
    kind = words.type
    name = "i32" if kind == _WORD else f"v{kind.count}i32"
    funnel = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fshl.{name}")
    return builder.call(funnel, [words, words, constant(kind, by % 32)])


def _xor(builder: Any, *words: Any) -> Any:
    total = words[0]
    for word in words[1:]:
        total = builder.xor(total, word)
    return total


def _sum(builder: Any, *words: Any) -> Any:
    total = words[0]
    for word in words[1:]:
        total = builder.add(total, word)
    return total


def _majority(builder: Any, one: Any, two: Any, three: Any) -> Any:
    return builder.or_(builder.and_(one, two), builder.and_(three, builder.or_(one, two)))


def _choice(builder: Any, which: Any, one: Any, other: Any) -> Any:
    return builder.xor(other, builder.and_(which, builder.xor(one, other)))


def sha256_rounds(builder: Any, state: list[Any], words: list[Any]) -> list[Any]:
    """Return the state after a block of sixteen words; `words` grows."""
    a, b, c, d, e, f, g, h = state
    for at in range(_ROUNDS):
        if at >= _WORDS:
            near, far = words[at - 15], words[at - 2]
            shifted = [builder.lshr(near, constant(a.type, 3)), builder.lshr(far, constant(a.type, 10))]
            mixed = _xor(builder, _rotated(builder, near, 25), _rotated(builder, near, 14), shifted[0])
            spread = _xor(builder, _rotated(builder, far, 15), _rotated(builder, far, 13), shifted[1])
            words.append(_sum(builder, words[at - 16], mixed, words[at - 7], spread))
        turned = _xor(builder, _rotated(builder, e, 26), _rotated(builder, e, 21), _rotated(builder, e, 7))
        known = builder.add(words[at], constant(a.type, SHA256_ROUNDS[at]))
        first = _sum(builder, known, h, turned, _choice(builder, e, f, g))
        turned = _xor(builder, _rotated(builder, a, 30), _rotated(builder, a, 19), _rotated(builder, a, 10))
        second = _sum(builder, first, turned, _majority(builder, a, b, c))
        a, b, c, d, e, f, g, h = second, a, b, c, builder.add(d, first), e, f, g
    return [builder.add(old, new) for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


def sm3_rounds(builder: Any, state: list[Any], words: list[Any]) -> list[Any]:
    """Return the state after a block of sixteen words; `words` grows."""
    a, b, c, d, e, f, g, h = state
    for at in range(_ROUNDS):
        if at + 4 >= _WORDS:
            mixed = _xor(builder, words[at - 12], words[at - 5], _rotated(builder, words[at + 1], 15))
            spread = _xor(builder, mixed, _rotated(builder, mixed, 15), _rotated(builder, mixed, 23))
            words.append(_xor(builder, spread, _rotated(builder, words[at - 9], 7), words[at - 2]))
        early = at < _WORDS
        turned = _rotated(builder, a, 12)
        ss1 = _rotated(builder, _sum(builder, turned, e, constant(a.type, SM3_ROUNDS[at])), 7)
        ff = _xor(builder, a, b, c) if early else _majority(builder, a, b, c)
        gg = _xor(builder, e, f, g) if early else _choice(builder, e, f, g)
        tt1 = _sum(builder, ff, d, builder.xor(ss1, turned), builder.xor(words[at], words[at + 4]))
        tt2 = _sum(builder, gg, h, ss1, words[at])
        e, f, g, h = (
            _xor(builder, tt2, _rotated(builder, tt2, 9), _rotated(builder, tt2, 17)),
            e,
            _rotated(builder, f, 19),
            g,
        )
        a, b, c, d = tt1, a, _rotated(builder, b, 9), c
    return [builder.xor(old, new) for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
