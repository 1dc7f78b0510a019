"""When certificates end: shown in metrics and by HTTP, and warned of in the log while there is time to renew them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from cryptography import x509

from changan.node.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from changan.node.chain import Chain

_log = structlog.get_logger()
DAY_S = 86_400
WARNED_S = 30 * DAY_S
"""How long before its end a certificate is warned of, once a day."""
_LOOK_S = 3600.0


class Ending(NamedTuple):
    """A certificate and the second (Unix) after which it is refused."""

    name: str
    not_after: int


class Expiry:
    """The certificates that a node works with: the files of its crypto-config, and the trust roots of its chains."""

    def __init__(self, directory: Path, chains: Mapping[str, Chain], clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._chains = chains
        self._clock = clock
        self._warned: dict[str, int] = {}  # name: the days that were left when it was last warned of

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look now and every hour while the context lasts."""
        task = asyncio.create_task(self._watch(), name="certificates")
        try:
            yield
        finally:
            task.cancel()

    async def listed(self) -> list[dict[str, Any]]:
        """When the certificates end that this node works with, the first to end first"""
        found = await asyncio.to_thread(self.look)
        return [
            {
                "certificate": ending.name,
                "not_after": ending.not_after,
                "days_left": int((ending.not_after - self._clock()) // DAY_S),
            }
            for ending in found
        ]

    async def _watch(self) -> None:
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_LOOK_S)

    def look(self) -> list[Ending]:
        """Read every certificate, set the metrics, warn of those that end soon; return all, the first to end first."""
        found = sorted(self._certificates(), key=lambda ending: (ending.not_after, ending.name))
        now = self._clock()
        for ending in found:
            METRICS.certificates.labels(ending.name).set(ending.not_after)
            left = ending.not_after - now
            days = int(left // DAY_S)
            if left <= WARNED_S and self._warned.get(ending.name) != days:
                self._warned[ending.name] = days
                _log.warning("certificate.expires", certificate=ending.name, days_left=days)
        return found

    def _certificates(self) -> Iterator[Ending]:
        for path in sorted(self._directory.rglob("*.crt")):
            with contextlib.suppress(OSError):  # taken away meanwhile, or not ours to read
                yield from _read(str(path.relative_to(self._directory)), path.read_bytes())
        for chain_id, chain in self._chains.items():
            for root in chain.world.config.trust_roots:
                for number, pem in enumerate(root.root, 1):
                    yield from _read(f"{chain_id}: trust root {number} of {root.org_id}", pem.encode())


def _read(name: str, pem: bytes) -> Iterator[Ending]:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:  # a key, where members are known by keys
        return
    yield Ending(name, int(certificate.not_valid_after_utc.timestamp()))
