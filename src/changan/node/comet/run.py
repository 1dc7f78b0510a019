"""A node of a cluster: a node whose chains are ordered by the engine, with one door more to see how that goes."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from changan.errors import ChanganError
from changan.ledger.wire.messages import Node as NodeInfo
from changan.node.chain import Chain
from changan.node.comet.cluster import engine_home, genesis_of_cluster, read_node_file
from changan.node.comet.engine import EngineError
from changan.node.comet.ordering import Comet
from changan.node.founding import proposer_of
from changan.node.genesis_file import genesis_path, read_genesis, write_genesis
from changan.node.pki.layout import CryptoConfig, read_crypto_config
from changan.node.run import RunningNode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from changan.ledger.wire.messages import ChainConfig
    from changan.node.home import Home
    from changan.node.run import Doors
    from changan.node.settings import ChainSettings, Settings


CLOCK_VARIABLE = "CHANGAN_CLOCK_OFFSET_S"
"""`ORG=SECONDS`, for fault tests only."""


class CometNode(RunningNode):
    """One organisation's node."""

    def __init__(self, home: Home, settings: Settings, doors: Doors, binary: Path) -> None:
        super().__init__(home, settings, doors, demo=False)
        self._root = home.root
        self._binary = binary
        self._file = read_node_file(home.root)
        self._orderings: dict[str, Comet] = {}
        self._reads["/v1/ordering"] = self._ordering

    def _find_organisations(self) -> CryptoConfig:
        """Return the organisations, this node's own first."""
        crypto = read_crypto_config(self._root)
        own = [org for org in crypto.organisations if org.org_id == self._file.org_id]
        if not own:
            raise ChanganError(f"{crypto.directory} lacks {self._file.org_id}, whose node this is")
        return CryptoConfig(crypto.directory, (*own, *(org for org in crypto.organisations if org not in own)))

    async def _open_chain(
        self, settings: ChainSettings, crypto: CryptoConfig, crash_point: Callable[[str], None]
    ) -> None:
        chain_id = settings.chain_id
        genesis = self._genesis(settings)
        storage = self._storage(chain_id, crash_point)
        world = await asyncio.to_thread(storage.open_world, genesis, self._kernels.serve)
        own = crypto.organisations[0]
        nodes = [NodeInfo(node_id=org.node_id) for org in crypto.organisations]
        self._here.append(nodes[0])
        chain = Chain(world, storage, nodes, lambda: list(self.chains), _clock(self._file.org_id))
        engine = engine_home(self._root, chain_id)
        engine.configure(self._file.listen, self._file.peers)
        dialled = [peer.partition("@")[0] for peer in self._file.peers]
        ordering = self._orderings[chain_id] = Comet(chain, proposer_of(crypto, own), self._binary, engine, dialled)
        self._order(chain, ordering.run())

    def _genesis(self, settings: ChainSettings) -> ChainConfig:
        """Return the configuration that a chain begins with: kept since the first start, for members come and go later."""
        path = genesis_path(self._root, settings.chain_id)
        if not path.exists():
            crypto = read_crypto_config(self._root)
            write_genesis(path, genesis_of_cluster(crypto, settings, self._file.voters, self._settings.suite))
        return read_genesis(path)

    async def _ordering(self) -> dict[str, Any]:
        """How the ordering between organisations goes"""
        return {chain_id: await self._state(ordering) for chain_id, ordering in self._orderings.items()}

    async def _state(self, ordering: Comet) -> dict[str, Any]:
        application, newest = ordering.application, ordering.rosters.newest
        roster = newest.roster
        state: dict[str, Any] = {
            "type": "TBFT",
            "organisation": self._file.org_id,
            "voters": [voter.org_id for voter in roster.voters],
            "votes_from": max(newest.votes_from, 1),  # the engine's height from which on they vote
            "followers": [{"organisation": node.org_id, "node_id": node.node_id} for node in roster.followers],
            "engine_height": application.height,
            "engine_starts": ordering.engine.starts,
            "voted": application.voted,
            "faults": application.faults,
            "verified": ordering.verified,
        }
        try:
            peers = (await ordering.engine.door.ask("net_info"))["peers"]
            ids = [one["node_info"]["id"] for one in peers]
            state["peers"] = sorted(roster.peers[one].org_id if one in roster.peers else "unknown" for one in ids)
        except (EngineError, KeyError, TypeError) as error:
            state["peers"], state["engine"] = [], str(error)
        return state


def _clock(org_id: str) -> Callable[[], int]:
    """Return this node's clock, microseconds; a fault test may set it wrong."""
    whose, _, seconds = os.environ.get(CLOCK_VARIABLE, "").partition("=")
    offset = int(float(seconds) * 1_000_000) if whose == org_id else 0
    return lambda: time.time_ns() // 1000 + offset
