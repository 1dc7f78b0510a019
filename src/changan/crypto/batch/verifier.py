"""Many signatures, each with its own key: by the kernels where they are loaded, one at a time where not. The rule is the same."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from changan.crypto.batch.kernels import TABLE_BYTES, Kernels
from changan.crypto.curves import FIELD_BYTES
from changan.crypto.digest import SIGNED_DIGESTS
from changan.crypto.keys import PublicKey, Scheme
from changan.crypto.sm2 import DEFAULT_IDENTIFIER, require_identifier, z_value
from changan.errors import UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TABLE_BYTES_MAX = 128 * 1024 * 1024
CHUNK = 1024
"""So many go to a kernel at once: what more gains is nothing, and their tables are held beyond the bound."""
CHUNK_BYTES = 8 * 1024 * 1024
_SEEN_MAX = 65_536


class Signed(NamedTuple):
    """A message with its signature, the key that is said to have made it, and the digest's name (ECDSA and RSA)."""

    key: PublicKey
    message: bytes
    signature: bytes
    hash_name: str


class _Table(NamedTuple):
    words: Any  # keeps the memory behind the address
    address: int
    z: bytes


class BatchVerifier:
    """Checks signatures. Any number of threads may use one.

    Tables of keys are kept, the least recently used are dropped beyond `table_bytes_max` bytes.
    """

    def __init__(self, *, identifier: bytes = DEFAULT_IDENTIFIER, table_bytes_max: int = TABLE_BYTES_MAX) -> None:
        """Take SM2's distinguishing identifier. Raises MalformedError for one that is too long."""
        self._identifier = require_identifier(identifier)
        self._tables_max = max(1, table_bytes_max // TABLE_BYTES)
        self._tables: OrderedDict[bytes, _Table] = OrderedDict()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._kernels: Kernels | None = None

    @property
    def is_warm(self) -> bool:
        """Whether kernels serve."""
        return self._kernels is not None

    @property
    def keys(self) -> int:
        """For how many keys there is a table."""
        return len(self._tables)

    def use(self, kernels: Kernels) -> None:
        """Let these kernels serve from now on."""
        self._kernels = kernels

    def verify(self, items: Sequence[Signed]) -> list[bool]:
        """Return for each whether `item.key.verify` would accept it. Raises LibcryptoError where a call to it fails."""
        kernels = self._kernels
        if kernels is None:
            return [self._holds(item) for item in items]
        verdicts = [False] * len(items)
        chosen: dict[Scheme, list[int]] = {Scheme.SM2: [], Scheme.P256: []}
        for at, item in enumerate(items):
            numbers = chosen.get(item.key.scheme)
            if numbers is None:
                verdicts[at] = self._holds(item)
            elif self._is_due(item):
                numbers.append(at)
            else:
                verdicts[at] = self._holds(item)
        for scheme, numbers in chosen.items():
            for chunk in _chunks(items, numbers):
                for at, held in zip(chunk, self._chunk(kernels, scheme, [items[at] for at in chunk]), strict=True):
                    verdicts[at] = held
        return verdicts

    def _is_due(self, item: Signed) -> bool:
        """Whether the kernels are to check this one. It changes who checks, never the verdict."""
        if item.key.scheme is Scheme.SM2:
            return True
        if item.hash_name not in SIGNED_DIGESTS:
            return False
        # For one signature of P-256, making a table takes longer than OpenSSL does: a key earns it by coming again.
        name = item.key.der
        if name in self._tables or name in self._seen:
            return True
        self._seen[name] = None
        with suppress(KeyError):
            while len(self._seen) > _SEEN_MAX:
                self._seen.popitem(last=False)
        return False

    def _chunk(self, kernels: Kernels, scheme: Scheme, items: list[Signed]) -> list[bool]:
        tables = self._tables_of(kernels, scheme, items)
        if scheme is Scheme.SM2:
            digests = kernels.digests([table.z for table in tables], [item.message for item in items])
        else:
            # ECDSA takes the leftmost 256 bits of a longer digest.
            digests = kernels.rows([SIGNED_DIGESTS[item.hash_name](item.message)[:FIELD_BYTES] for item in items])
        addresses = [table.address for table in tables]
        return kernels.verify(scheme, addresses, digests, [item.signature for item in items])

    def _tables_of(self, kernels: Kernels, scheme: Scheme, items: list[Signed]) -> list[_Table]:
        """Return the items' tables, made where there is none. Whoever holds one may go on when it is dropped here."""
        kept = self._tables
        found: dict[bytes, _Table] = {}
        fresh: dict[bytes, PublicKey] = {}
        for item in items:
            name = item.key.der
            if name in found or name in fresh:
                continue
            table = kept.get(name)
            if table is None:
                fresh[name] = item.key
            else:
                found[name] = table
        if fresh:
            points = [key.point for key in fresh.values()]
            for name, point, words in zip(fresh, points, kernels.tables(scheme, points), strict=True):
                z = z_value(point, self._identifier) if scheme is Scheme.SM2 else b""
                found[name] = _Table(words, words.ctypes.data, z)
        for name, table in found.items():
            kept.pop(name, None)
            kept[name] = table
        # Each step is whole under the interpreter's lock; between them another thread may have dropped the last.
        with suppress(KeyError):
            while len(kept) > self._tables_max:
                kept.popitem(last=False)
        return [found[item.key.der] for item in items]

    def _holds(self, item: Signed) -> bool:
        try:
            item.key.verify(item.message, item.signature, item.hash_name, identifier=self._identifier)
        except UnverifiedError:
            return False
        return True


def _chunks(items: Sequence[Signed], numbers: list[int]) -> Iterator[list[int]]:
    chunk: list[int] = []
    size = 0
    for at in numbers:
        chunk.append(at)
        size += len(items[at].message)
        if len(chunk) == CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
