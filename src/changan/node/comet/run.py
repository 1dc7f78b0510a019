"""A node of a cluster: a node whose chains are ordered by the engine, with one door more to see how that goes."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query

from changan.client.web import MemberAuth, Web
from changan.errors import ChanganError
from changan.ledger.rule_sets import upgrade_of
from changan.ledger.wire.messages import Node as NodeInfo
from changan.node.chain import Chain
from changan.node.comet.cluster import engine_home, genesis_of_cluster, read_node_file
from changan.node.comet.engine import EngineError
from changan.node.comet.light_door import LightDoor
from changan.node.comet.link import Link
from changan.node.comet.ordering import Comet
from changan.node.comet.state_sync import StateSync, SyncError, begin_sync
from changan.node.founding import proposer_of, signer_of
from changan.node.genesis_file import genesis_path, read_genesis, write_genesis
from changan.node.http import ChainId  # noqa: TC001  # FastAPI reads the annotations
from changan.node.pki.layout import CryptoConfig, read_crypto_config
from changan.node.reads import ReadError
from changan.node.run import RunningNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from changan.ledger.wire.messages import ChainConfig
    from changan.node.home import Home
    from changan.node.run import Doors
    from changan.node.settings import ChainSettings, Settings


CLOCK_VARIABLE = "CHANGAN_CLOCK_OFFSET_S"
"""`ORG=SECONDS`, for fault tests only."""


class CometNode(RunningNode):
    """One organisation's node."""

    def __init__(
        self, home: Home, settings: Settings, doors: Doors, binary: Path, sync_from: Sequence[str] = ()
    ) -> None:
        """`sync_from` are members' HTTP doors: a chain that is not here yet begins with the state of its peers."""
        super().__init__(home, settings, doors, demo=False)
        self._sync_from = sync_from
        self._root = home.root
        self._binary = binary
        self._file = read_node_file(home.root)
        self._orderings: dict[str, Comet] = {}
        self._reads["/v1/ordering"] = self._ordering
        self._reads["/v1/ordering/snapshot"] = self._snapshot
        self._reads["/v1/ordering/light"] = self._light

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
        own = crypto.organisations[0]
        nodes = [NodeInfo(node_id=org.node_id) for org in crypto.organisations]
        self._here.append(nodes[0])
        directory = self._home.chain_directory(chain_id)
        link = Link(self._binary, engine_home(self._root, chain_id))
        dialled = [peer.partition("@")[0] for peer in self._file.peers]
        link.home.configure(self._file.listen, self._file.peers)
        sync = None
        if link.home.syncing.exists() and not self._sync_from:
            raise SyncError(
                "a state was being taken from peers and is not whole: start the node with --sync-from again, or the whole "
                "folder's with `changan cluster up --sync`"
            )
        if self._sync_from and (not directory.exists() or link.home.syncing.exists()):
            sync = StateSync(link.home, directory, genesis, dialled)
            await self._sync(link, sync, genesis, crypto)
        storage = self._storage(chain_id, crash_point)
        world = await asyncio.to_thread(storage.open_world, genesis, self._kernels.serve)
        chain = Chain(world, storage, nodes, lambda: list(self.chains), _clock(self._file.org_id))
        ordering = self._orderings[chain_id] = Comet(
            chain, directory, proposer_of(crypto, own), link, dialled, self._settings.engine_blocks
        )
        if sync is not None:
            sync.give_way(ordering.application)
        self._order(chain, ordering.run())

    async def _sync(self, link: Link, sync: StateSync, genesis: ChainConfig, crypto: CryptoConfig) -> None:
        """Make a chain's folder of a snapshot of the peers; the engine goes on running. Raises ChanganError."""
        begin_sync(link.home, self._home.chain_directory(genesis.chain_id))
        link.serve(sync)
        try:
            async with self._light_door(genesis, crypto).listen(link.sockets / "light") as door:
                link.home.configure(self._file.listen, self._file.peers, await door.trusted())
                running, restored = link.run(), asyncio.create_task(sync.restored())
                await asyncio.wait({running, restored}, return_when=asyncio.FIRST_COMPLETED)
                restored.cancel()
                if running.done():
                    running.result()
        except BaseException:  # a stop of the node too: the engine must not outlive it
            await link.stop()
            raise
        link.home.configure(self._file.listen, self._file.peers)

    def _light_door(self, genesis: ChainConfig, crypto: CryptoConfig) -> LightDoor:
        """Return the socket behind which the members' doors are; over TLS this node shows them its own pair."""
        own = crypto.organisations[0]
        files = own.node()
        auth = MemberAuth(signer_of(crypto, own, files), genesis.chain_id)
        pair = files.tls_certificate.with_suffix("")
        return LightDoor([Web(address, auth, crypto.directory, pair) for address in self._sync_from], genesis)

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

    async def _snapshot(self, chain: ChainId = "") -> dict[str, Any]:
        """What proves who votes at the height of this node's oldest snapshot, for a node that begins with one"""
        ordering = self._orderings[chain or next(iter(self._orderings))]
        held = await ordering.snapshots.offered(ordering.application.height)
        if not held:
            raise ReadError("this node has no snapshot that its engine can prove yet: ask again after the next calls")
        height = held[0].manifest.height
        links = ordering.links(height + 1)
        return {"height": height, "engine_height": held[0].engine_height, "membership": links}

    async def _light(self, height: Annotated[int, Query(ge=1, le=2**62)], chain: ChainId = "") -> dict[str, Any]:
        """What the engine says of one of its blocks, for another engine's light client"""
        door = self._orderings[chain or next(iter(self._orderings))].engine.door
        at = {"height": str(height)}
        try:
            return {
                "commit": await door.ask("commit", at),
                "validators": await door.ask("validators", {**at, "per_page": "100"}),
                "consensus_params": await door.ask("consensus_params", at),
            }
        except EngineError as error:
            raise ReadError(str(error)) from error

    async def _state(self, ordering: Comet) -> dict[str, Any]:
        application, newest, world = ordering.application, ordering.rosters.newest, ordering.world
        upgrade = upgrade_of(world.config)
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
            "rules": world.rules,
            "rules_known": world.rules_known,
            "upgrade": None if upgrade is None else {"rules": upgrade.rules, "height": upgrade.height},
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
