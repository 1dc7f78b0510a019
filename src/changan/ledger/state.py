"""The rows of the system contracts, and a page of changes laid over them while one transaction runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Write(NamedTuple):
    """One row that a transaction wrote; the value is None where the row is gone."""

    contract: str
    key: str
    value: bytes | None


class Rows:
    """Committed rows by (contract, key)."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], bytes] = {}
        self._counts: dict[str, int] = {}

    def count(self, contract: str) -> int:
        """Return how many rows a contract has."""
        return self._counts.get(contract, 0)

    def get(self, contract: str, key: str) -> bytes | None:
        """Return the row's value, or None."""
        return self._rows.get((contract, key))

    def put(self, write: Write) -> None:
        """Make a write part of the committed state."""
        at = (write.contract, write.key)
        change = (write.value is not None) - (at in self._rows)
        if write.value is not None:
            self._rows[at] = write.value
        elif change:
            del self._rows[at]
        self._counts[write.contract] = self._counts.get(write.contract, 0) + change

    def items(self) -> Iterator[Write]:
        """Return all rows as they are now; later writes do not show."""
        now = list(self._rows.items())  # taken here, not when somebody begins to read
        return (Write(contract, key, value) for (contract, key), value in now)

    def under(self, contract: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Return the rows of `contract` whose key starts with `prefix`, in order of the key."""
        found = [
            (key, value) for (owner, key), value in self._rows.items() if owner == contract and key.startswith(prefix)
        ]
        yield from sorted(found)


class Overlay:
    """What one transaction reads and writes; nothing of it is committed until the transaction ended well."""

    def __init__(self, rows: Rows | Overlay) -> None:
        self._rows = rows
        self._written: dict[tuple[str, str], bytes | None] = {}

    def get(self, contract: str, key: str) -> bytes | None:
        """Return the row's value as this transaction sees it, or None."""
        at = (contract, key)
        return self._written[at] if at in self._written else self._rows.get(contract, key)

    def put(self, contract: str, key: str, value: bytes | None) -> None:
        """Write a row, or with None delete it."""
        self._written[contract, key] = value

    def under(self, contract: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Return the rows of `contract` whose key starts with `prefix` as this transaction sees them."""
        merged = dict(self._rows.under(contract, prefix))
        for (owner, key), value in self._written.items():
            if owner != contract or not key.startswith(prefix):
                continue
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        yield from sorted(merged.items())

    def writes(self) -> list[Write]:
        """Return what was written, in order of the first write."""
        return [Write(contract, key, value) for (contract, key), value in self._written.items()]
