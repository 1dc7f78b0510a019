"""SHA-256 and SM3 of sixteen messages side by side, one in each lane of a vector, as instructions for numba.

The compiler makes of a vector what the processor has: one register with AVX-512, two with AVX2, four elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llvmlite import binding, ir
from numba import cfunc, types
from numba.extending import intrinsic

from changan.crypto.batch.rounds import constant, sha256_rounds, sm3_rounds
from changan.crypto.round_constants import SHA256_START, SM3_START

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES: Final = 16
STATE_BYTES: Final = 64 * 8
"""A word of the state after the other, each of all lanes."""
SHA256_IN_LANES: Final = bool(binding.get_host_cpu_features().get("avx512bw"))
"""Whether lanes beat libcrypto, which has the processor's own SHA-256. For SM3 they always do: nobody has more than words."""
_WORD: Final = ir.IntType(32)
_ADDRESS: Final = ir.IntType(64)
_LANES: Final = ir.VectorType(_WORD, LANES)
_DIGEST: Final = ir.VectorType(_WORD, 8)
_OCTETS: Final = ir.VectorType(ir.IntType(8), 4 * LANES)


def _chosen(builder: Any, one: Any, other: Any, places: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_WORD, len(places)), [ir.Constant(_WORD, place) for place in places])
    return builder.shuffle_vector(one, other, mask)


def _behind(builder: Any, address: Any, offset: int, kind: Any = _LANES) -> Any:
    return builder.inttoptr(builder.add(address, ir.Constant(_ADDRESS, offset)), kind.as_pointer())


def _swapped(builder: Any, words: Any) -> Any:
    octets = builder.bitcast(words, _OCTETS)
    octets = _chosen(builder, octets, octets, [at ^ 3 for at in range(4 * LANES)])
    return builder.bitcast(octets, _LANES)


def _turned(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Return the columns of a square of words."""
    quarters = range(0, LANES, 4)

    def interleaved(one: Any, other: Any, order: Sequence[int]) -> Any:
        return _chosen(builder, one, other, [quarter + place for quarter in quarters for place in order])

    def joined(one: Any, other: Any, order: Sequence[int]) -> Any:
        return _chosen(builder, one, other, [4 * quarter + at for quarter in order for at in range(4)])

    pairs = [
        interleaved(rows[at], rows[at + 1], order)
        for at in range(0, LANES, 2)
        for order in ((0, 16, 1, 17), (2, 18, 3, 19))
    ]
    fours = [
        interleaved(pairs[at + half], pairs[at + half + 2], order)
        for at in quarters
        for half in range(2)
        for order in ((0, 1, 16, 17), (2, 3, 18, 19))
    ]  # fours[4 g + c] holds in its quarter q column 4 q + c of the rows 4 g to 4 g + 3
    columns: list[Any] = [None] * LANES
    for place in range(4):
        one, two, three, four = fours[place::4]
        for first, order in ((0, (0, 1, 4, 5)), (8, (2, 3, 6, 7))):
            left, right = joined(one, two, order), joined(three, four, order)
            columns[first + place] = joined(left, right, (0, 2, 4, 6))
            columns[first + 4 + place] = joined(left, right, (1, 3, 5, 7))
    return columns


def _start(words: Sequence[int]) -> Any:
    def typed(_context: Any, state: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            for at, word in enumerate(words):
                builder.store(constant(_LANES, word), _behind(builder, arguments[0], 64 * at), align=1)
            return ir.IntType(8)(0)

        return types.uint8(types.int64), generate

    typed.__doc__ = "Put the state before the first block behind an address."
    return intrinsic(typed)


def _absorb(rounds: Callable[[Any, list[Any], list[Any]], list[Any]]) -> Any:
    def typed(_context: Any, state: Any, blocks: Any, stride: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            base, block, stride = arguments
            rows = []
            for _ in range(LANES):
                rows.append(_swapped(builder, builder.load(_behind(builder, block, 0), align=1)))
                block = builder.add(block, stride)
            before = [builder.load(_behind(builder, base, 64 * at), align=1) for at in range(8)]
            for at, words in enumerate(rounds(builder, before, _turned(builder, rows))):
                builder.store(words, _behind(builder, base, 64 * at), align=1)
            return ir.IntType(8)(0)

        return types.uint8(types.int64, types.int64, types.int64), generate

    typed.__doc__ = "Take a block of 64 octets of each lane into the state, `stride` apart."
    return intrinsic(typed)


@intrinsic
def _finish(_context: Any, state: Any, out: Any) -> Any:
    """Write the digests of all lanes, 32 octets each, one after another."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        words = [_swapped(builder, builder.load(_behind(builder, arguments[0], 64 * at), align=1)) for at in range(8)]
        for lane, row in enumerate(_turned(builder, words * 2)):
            digest = _chosen(builder, row, row, range(8))
            builder.store(digest, _behind(builder, arguments[1], 32 * lane, _DIGEST), align=1)
        return ir.IntType(8)(0)

    return types.uint8(types.int64, types.int64), generate


_sha256_start, _sha256_absorb = _start(SHA256_START), _absorb(sha256_rounds)
_sm3_start, _sm3_absorb = _start(SM3_START), _absorb(sm3_rounds)
# C functions, whose addresses are handed to whoever digests: the rounds are compiled once, not for each of those.
_FUNCTION: Final = types.int32(types.int64, types.int64, types.int64)


@cfunc(_FUNCTION, cache=True)
def sha256_lanes(room: Any, first: Any, blocks: Any) -> Any:
    """Write the digests of padded messages behind the state in a room; each has so many blocks, one message after the other."""
    _sha256_start(room)
    for at in range(blocks):
        _sha256_absorb(room, first + 64 * at, 64 * blocks)
    _finish(room, room + STATE_BYTES)
    return 0


@cfunc(_FUNCTION, cache=True)
def sm3_lanes(room: Any, first: Any, blocks: Any) -> Any:
    """Write the digests of padded messages behind the state in a room; each has so many blocks, one message after the other."""
    _sm3_start(room)
    for at in range(blocks):
        _sm3_absorb(room, first + 64 * at, 64 * blocks)
    _finish(room, room + STATE_BYTES)
    return 0
