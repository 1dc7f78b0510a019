"""The compiled kernels beside a running node: loaded in the background, then used by every chain and by the doors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import structlog

from changan.crypto.batch.kernels import KernelsError, are_compiled, warm
from changan.crypto.batch.verifier import BatchVerifier
from changan.crypto.libcrypto import LibcryptoError
from changan.errors import MalformedError
from changan.ledger.roots import KernelRoots
from changan.node.metrics import stage
from changan.node.process import give_way
from changan.node.threads import InThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from changan.crypto.batch.kernels import Kernels
    from changan.ledger.world import World
    from changan.node.chain import Chain

_log = structlog.get_logger()
VARIABLE = "CHANGAN_KERNELS"
"""Where compiled kernels are kept; empty: there are none."""
SEED_BITS = 64
THREADS = 2
"""For hash trees of bundles; one more brings what was set aside into the tree over the state, and gives way to them."""
_T = TypeVar("_T")


def kernels_directory() -> Path | None:
    """Return where compiled kernels are kept, None where none are wanted."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "changan" / "kernels"


class _CountedRoots(KernelRoots):
    """Roots made by kernels; what brings rows into the tree over the state counts as a stage of its own."""

    fold = stage("state root")(KernelRoots.fold)
    compact = stage("state root")(KernelRoots.compact)


class NodeKernels:
    """What a node does by kernels: hash trees of its chains, and signatures of many at once."""

    def __init__(self) -> None:
        self.verifier = BatchVerifier()
        self._kernels: Kernels | None = None
        self._directory = kernels_directory()
        self._threads = ThreadPoolExecutor(THREADS, "roots")
        self._aside = ThreadPoolExecutor(1, "fold", initializer=give_way)

    def load_if_compiled(self) -> None:
        """Load kernels that an earlier start compiled: a chain that replays many bundles wants them from the beginning."""
        if self._directory is not None and are_compiled(self._directory):
            self._load(self._directory)

    def _load(self, directory: Path) -> None:
        try:
            self._kernels = warm(directory)
        except KernelsError as error:
            _log.warning("kernels.none", reason=str(error))
            self._directory = None
        else:
            self.verifier.use(self._kernels)
            _log.info("kernels.ready")

    def serve(self, world: World) -> None:
        """Let a chain's signatures be looked at, and its roots be made, by kernels, where there are any for its digest."""
        world.signatures = self.verifier
        if self._kernels is None:
            return
        with contextlib.suppress(MalformedError, LibcryptoError):
            forest = self._kernels.forest(world.digest, secrets.randbits(SEED_BITS))
            world.use(_CountedRoots(world.digest, forest, self._begin, self._begin_aside))

    def _begin(self, work: Callable[[], _T]) -> Callable[[], _T]:
        return InThread(self._threads, stage("roots")(work))

    def _begin_aside(self, work: Callable[[], _T]) -> Callable[[], _T]:
        return InThread(self._aside, work)

    @contextlib.asynccontextmanager
    async def warmed(self, chains: Mapping[str, Chain]) -> AsyncIterator[None]:
        """Compile or load the kernels while the context lasts, and let the chains use them as soon as they are there."""
        loop, directory = asyncio.get_running_loop(), self._directory

        def load(place: Path) -> None:
            self._load(place)
            with contextlib.suppress(RuntimeError):  # the node has stopped meanwhile
                loop.call_soon_threadsafe(self._serve_all, chains)

        if directory is not None and self._kernels is None:
            Thread(target=load, args=(directory,), name="kernels", daemon=True).start()  # a stop does not wait for it
        yield

    def _serve_all(self, chains: Mapping[str, Chain]) -> None:
        for chain in chains.values():
            self.serve(chain.world)

    def close(self) -> None:
        """Give back the threads."""
        self._threads.shutdown()
        self._aside.shutdown()
