"""Which transaction ids may not come again: those whose time is still near, and never one that was once forgotten."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING

from changan.crypto.digest import tagged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from changan.crypto.digest import Digest

_KEYS_MAX = 16_384
_NEVER = -(2**62)
_SECOND = re.compile(r"ids\.(-?[0-9]{1,19})")


class RememberedIds:
    """Ids of transactions within block time ± timeout, by digest. What is forgotten is refused by its time for ever."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._key = lru_cache(_KEYS_MAX)(
            lambda tx_id: digest(tx_id.encode())
        )  # asked for at the door, judged, remembered
        self._timestamp_of: dict[bytes, int] = {}
        self._by_second: dict[int, list[bytes]] = {}
        self._chain: dict[int, bytes] = {}  # second -> running digest over its ids in the order they came
        self.forgotten_until = _NEVER  # the latest timestamp ever forgotten

    def __len__(self) -> int:
        return len(self._timestamp_of)

    def holds(self, tx_id: str) -> bool:
        """Whether a transaction with this id was accepted and is still remembered."""
        return self._key(tx_id) in self._timestamp_of

    def in_time(self, timestamp: int, time: int, timeout: int | None) -> bool:
        """Whether a transaction of this time (seconds) may come at block time `time`; None: times are not checked."""
        if timestamp <= self.forgotten_until:
            return False
        return timeout is None or abs(time - timestamp) <= timeout

    def add(self, tx_id: str, timestamp: int) -> tuple[str, bytes]:
        """Remember an id. Return the state row (key, value) that this changed."""
        key = self._key(tx_id)
        assert key not in self._timestamp_of
        self._timestamp_of[key] = timestamp
        self._by_second.setdefault(timestamp, []).append(key)
        running = tagged(b"changan.ids", self._chain.get(timestamp, b""), key, digest=self._digest)
        self._chain[timestamp] = running
        return f"ids.{timestamp}", running

    def forget(self, time: int, timeout: int | None) -> list[tuple[str, bytes | None]]:
        """Drop ids that can no longer come in time. Return the state rows that this changed."""
        if timeout is None:
            return []
        stale = sorted(second for second in self._by_second if second < time - timeout)
        if not stale:
            return []
        for second in stale:
            for key in self._by_second.pop(second):
                del self._timestamp_of[key]
            del self._chain[second]
        self.forgotten_until = max(self.forgotten_until, stale[-1])
        rows: list[tuple[str, bytes | None]] = [(f"ids.{second}", None) for second in stale]
        return [*rows, ("ids-forgotten", str(self.forgotten_until).encode())]

    def row(self, key: str) -> bytes | None:
        """Return the value of one state row of ours, or None."""
        if key == "ids-forgotten":
            return str(self.forgotten_until).encode() if self.forgotten_until != _NEVER else None
        found = _SECOND.fullmatch(key)
        return self._chain.get(int(found[1])) if found is not None else None

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Return all state rows (key, value) of ours."""
        yield from ((f"ids.{second}", running) for second, running in self._chain.items())
        if self.forgotten_until != _NEVER:
            yield "ids-forgotten", str(self.forgotten_until).encode()

    def dump(self) -> Iterator[bytes]:
        """Return what a checkpoint holds: the forgotten time, then every second with its running digest and its ids.

        It stays as it is while ids are added and forgotten: lists of ids only grow, and are dropped whole.
        """
        now = [(second, self._chain[second], ids, len(ids)) for second, ids in sorted(self._by_second.items())]
        head = self.forgotten_until.to_bytes(8, "big", signed=True)
        return chain(
            [head],
            (
                second.to_bytes(8, "big", signed=True) + running + b"".join(islice(ids, count))
                for second, running, ids, count in now
            ),
        )

    def load(self, items: Iterable[bytes]) -> None:
        """Take in what `dump` gave."""
        source = iter(items)
        self.forgotten_until = int.from_bytes(next(source), "big", signed=True)
        for item in source:
            second = int.from_bytes(item[:8], "big", signed=True)
            self._chain[second] = item[8:40]
            keys = self._by_second[second] = [item[at : at + 32] for at in range(40, len(item), 32)]
            self._timestamp_of.update(dict.fromkeys(keys, second))
