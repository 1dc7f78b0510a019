"""Four nodes and more in one process: the real application, pool, batches and storage, and the engine's contract modelled, seeded.

One step is one height of the engine. Clocks, the network and the disk are the model's. Who votes at a height is what the
engine would make of the answers to FinalizeBlock: a change at height H counts from H+2 on.
"""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from changan.client.requests import Signer, make_payload, sign_request
from changan.crypto.node_ids import node_id
from changan.ledger.roster import Voter, address_of, entries
from changan.ledger.wire.messages import ConsensusType, OrgConfig
from changan.node.chain import Chain
from changan.node.comet.abci.application import ACCEPT
from changan.node.comet.abci.messages import (
    CommitInfo,
    ExtendedCommitInfo,
    ExtendedVoteInfo,
    Misbehavior,
    RequestCheckTx,
    RequestCommit,
    RequestExtendVote,
    RequestFinalizeBlock,
    RequestInfo,
    RequestInitChain,
    RequestPrepareProposal,
    RequestProcessProposal,
    RequestVerifyVoteExtension,
    Validator,
    ValidatorKey,
    ValidatorUpdate,
    VoteInfo,
)
from changan.node.comet.application import LedgerApplication
from changan.node.comet.batches import BatchCache
from changan.node.comet.membership import Membership
from changan.node.comet.rosters import Rosters
from changan.node.comet.seals import Seals
from changan.node.comet.snapshots import Snapshots
from changan.node.comet.submission import Submission
from changan.node.solo import Proposer
from changan.node.storage import ChainStorage
from consortium import START, Consortium, org_name

MIB = 1 << 20


class Node(NamedTuple):
    """A node with its keys: what the chain may know of it, and who seals its blocks."""

    voter: Voter
    signer: Signer


def node_of(consortium: Consortium, org: int, name: str = "consensus1", role: str = "consensus", **changes) -> Node:
    signer = consortium.signer(org, name, role)
    seed = sha256(f"{org} {name}".encode()).digest()
    voter = Voter(node_id(seed), org_name(org), seed, seed[:20].hex(), signer.member.member_info)
    return Node(voter._replace(**changes), signer)


def voters_of(consortium: Consortium, count: int = 4) -> tuple[Voter, ...]:
    return tuple(node_of(consortium, n).voter for n in range(1, count + 1))


def config_of(consortium: Consortium, voters: tuple[Voter, ...], **options):
    config = consortium.config(**options)
    config.consensus.type = ConsensusType.TBFT
    del config.consensus.nodes[:]
    config.consensus.nodes.extend(OrgConfig(org_id=voter.org_id, node_id=[voter.node_id]) for voter in voters)
    names = {voter.org_id for voter in voters}
    kept = [root for root in config.trust_roots if root.org_id in names]  # others are still to join
    del config.trust_roots[:]
    config.trust_roots.extend(kept)
    config.consensus.ext_config.extend(entries(voters))
    return config


class Decision:
    """What the engine decided at one height."""

    def __init__(self, height: int, txs: list[bytes], proposer: bytes, voted: list[bytes], misbehavior=()) -> None:
        self.height, self.txs, self.proposer, self.voted = height, txs, proposer, voted
        self.misbehavior = list(misbehavior)
        self.hash = b"%d" % height


class Peer:
    """One node."""

    def __init__(self, model: Model, number: int, node: Node) -> None:
        self.model, self.number = model, number
        self.voter, self.signer = node
        self.up = True
        self.skew_us = 0
        self.mempool: dict[bytes, None] = {}
        self.open()

    def open(self) -> None:
        model = self.model
        self.storage = ChainStorage(model.directory / str(self.number))
        world = self.storage.open_world(model.config)
        self.chain = Chain(world, self.storage, [], list, lambda: model.time_us + self.skew_us)
        signer = self.signer
        self.cache = BatchCache()
        self.submission = Submission(self.chain, self.cache, self)
        self.rosters = Rosters(world, self.chain.reader)
        self.seals = Seals(self.chain.reader, self.rosters, Proposer(signer.member, signer.key, signer.hash_name))
        self.chain.reader.complete = self.seals.complete
        self.chain.reader.membership = Membership(self.rosters, self.chain.reader, world.digest).links
        dialled = [peer.voter.peer for peer in model.peers]
        self.snapshots = Snapshots(self.chain, self.rosters, self.storage.directory / "snapshots")
        self.app = LedgerApplication(
            self.chain, self.cache, self.submission, self.seals, self.rosters, self.snapshots, dialled=dialled
        )

    async def broadcast(self, data: bytes) -> None:
        await self.model.gossip(self, data)

    async def crash(self) -> None:
        """Lose all that is not on disk, and start again."""
        await self.snapshots.close()
        self.storage.close()
        self.mempool.clear()
        self.open()
        await self.handshake()

    async def handshake(self, *, engine_lost: bool = False) -> None:
        """The engine starts, asks how far the application is, and tells it what it missed."""
        self.app.engine_is_new = engine_lost
        info = await self.app.info(RequestInfo())
        if info.last_block_height == 0:
            validators = [
                ValidatorUpdate(pub_key=ValidatorKey(ed25519=voter.validator), power=1) for voter in self.model.voters
            ]
            answer = await self.app.init_chain(
                RequestInitChain(chain_id=self.chain.chain_id, validators=validators, initial_height=1)
            )
            assert answer.app_hash == self.chain.reader.stored(0).block.header.block_hash
        else:
            assert info.last_block_app_hash == self.model.app_hashes[info.last_block_height]
        for decision in self.model.decided[info.last_block_height :]:
            await self.finalize(decision)
            await self.commit()

    async def finalize(self, decision: Decision) -> bytes:
        before = self.model.decided[decision.height - 2].voted if decision.height > 1 else []
        votes = [
            VoteInfo(validator=Validator(address=address_of(key), power=1), block_id_flag=2 if key in before else 1)
            for key in self.model.validators(decision.height - 1)
        ]
        answer = await self.app.finalize_block(
            RequestFinalizeBlock(
                txs=decision.txs,
                decided_last_commit=CommitInfo(votes=votes),
                hash=decision.hash,
                height=decision.height,
                proposer_address=decision.proposer,
                misbehavior=decision.misbehavior,
            )
        )
        assert len(answer.tx_results) == len(decision.txs)
        hashes = self.model.app_hashes
        assert hashes.setdefault(decision.height, answer.app_hash) == answer.app_hash, "the ledgers differ"
        updates = [(update.pub_key.ed25519, update.power) for update in answer.validator_updates]
        assert self.model.updates.setdefault(decision.height, updates) == updates, "the voters differ"
        return answer.app_hash

    async def commit(self) -> None:
        await self.app.commit(RequestCommit())

    async def settle_mempool(self, decision: Decision) -> None:
        for data in decision.txs:
            self.mempool.pop(data, None)
        for data in list(self.mempool):
            if (await self.app.check_tx(RequestCheckTx(tx=data, type=1))).code:
                del self.mempool[data]


class Model:
    def __init__(self, consortium: Consortium, directory: Path, seed: int, **options) -> None:
        self.consortium = consortium
        self.directory = directory
        self.dice = random.Random(seed)
        self.time_us = START * 1_000_000
        self.voters = voters_of(consortium)
        self.config = config_of(consortium, self.voters, **options)
        self.decided: list[Decision] = []
        self.app_hashes: dict[int, bytes] = {}
        self.updates: dict[int, list[tuple[bytes, int]]] = {}  # by height, as every node answered
        self.extensions: dict[bytes, bytes] = {}  # of the votes for the last height, by the voter's key
        self.misbehavior: list[Misbehavior] = []  # what the next block has evidence of
        self.cut: set[int] = set()  # nodes that hear nobody's gossip
        self.lie = lambda txs: txs  # what a lying proposer makes of its proposal
        self.rejections = 0
        self.peers: list[Peer] = []
        for number in range(4):
            self.add(node_of(consortium, number + 1))

    async def begin(self) -> None:
        for peer in self.peers:
            await peer.handshake()

    def add(self, node: Node) -> Peer:
        """Make a node, from nothing."""
        self.peers.append(Peer(self, len(self.peers), node))
        return self.peers[-1]

    def close(self) -> None:
        for peer in self.peers:
            peer.storage.close()

    def validators(self, height: int) -> list[bytes]:
        """The keys that vote at a height of the engine."""
        keys = [voter.validator for voter in self.voters]
        for changed in range(1, height - 1):
            for key, power in self.updates.get(changed, []):
                if power:
                    assert key not in keys, "a voter comes who is there"
                    keys.append(key)
                else:
                    keys.remove(key)
        assert keys, "nobody votes"
        return keys

    def votes(self, peer: Peer, height: int) -> bool:
        return peer.voter.validator in self.validators(height)

    # Clients

    def request(self, contract: str, method: str, parameters, *, sender=None, endorsers=(), **changes):
        payload = make_payload(self.config.chain_id, contract, method, parameters, tx_id=self.dice.randbytes(32).hex())
        payload.timestamp = self.time_us // 1_000_000
        for name, value in changes.items():
            setattr(payload, name, value)
        return sign_request(payload, sender or self.consortium.signer(), endorsers)

    def submit(self, number: int, request) -> None:
        """Hand a request to a node's door. Raises RefusedError."""
        self.peers[number].chain._take(request, request.ByteSize(), None)

    async def gossip(self, source: Peer, data: bytes) -> None:
        for peer in self.peers:
            heard = peer.up and (peer is source or not {peer.number, source.number} & self.cut)
            if heard and not (await peer.app.check_tx(RequestCheckTx(tx=data))).code:
                peer.mempool[data] = None

    async def send(self) -> None:
        """Every node gossips what waits in its pool."""
        for peer in self.peers:
            while peer.up and (taken := peer.submission._take(500, 512 * 1024)):
                await peer.submission._gossip(taken)

    # The engine

    async def step(self, proposer: int, *, crash_between: int | None = None) -> Decision | None:
        """Run one round of the next height; return what was decided, None where too few accepted."""
        self.time_us += self.dice.randrange(1000, 2_000_000)
        height = len(self.decided) + 1
        one = self.peers[proposer]
        everybody = [peer for peer in self.peers if peer.up]
        voters = self.validators(height)
        up = [peer for peer in everybody if peer.voter.validator in voters]
        if one not in up or 3 * len(up) <= 2 * len(voters):
            return None
        address = one.voter.address
        prepared = await one.app.prepare_proposal(
            RequestPrepareProposal(
                max_tx_bytes=4 * MIB,
                txs=list(one.mempool),
                local_last_commit=self.last_commit(),
                height=height,
                proposer_address=address,
            )
        )
        txs = self.lie(list(prepared.txs))
        accepted = []
        for peer in up:
            answer = await peer.app.process_proposal(
                RequestProcessProposal(txs=txs, height=height, proposer_address=address, hash=b"%d" % height)
            )
            if answer.status == ACCEPT:
                accepted.append(peer)
        self.rejections += len(up) - len(accepted)
        if 3 * len(accepted) <= 2 * len(voters):
            return None
        await self._vote(up, height)
        voted = [peer.voter.validator for peer in accepted]
        decision = Decision(height, txs, address, voted, self.misbehavior)
        self.misbehavior = []
        self.decided.append(decision)
        for peer in everybody:
            await peer.finalize(decision)
            if peer.number == crash_between:
                await peer.crash()
            else:
                await peer.commit()
            await peer.settle_mempool(decision)
        return decision

    def last_commit(self) -> ExtendedCommitInfo:
        """The votes for the last height, as a proposer is told of them."""
        return ExtendedCommitInfo(
            votes=[
                ExtendedVoteInfo(
                    validator=Validator(address=address_of(key), power=1),
                    vote_extension=self.extensions.get(key, b""),
                    block_id_flag=2 if key in self.extensions else 1,
                )
                for key in self.validators(len(self.decided))
            ]
        )

    async def _vote(self, up: list[Peer], height: int) -> None:
        self.extensions = {}
        for peer in up:
            answer = await peer.app.extend_vote(RequestExtendVote(height=height))
            self.extensions[peer.voter.validator] = answer.vote_extension
        for peer in up:
            for key, extension in self.extensions.items():
                if key != peer.voter.validator and self.dice.random() < 0.9:
                    answer = await peer.app.verify_vote_extension(
                        RequestVerifyVoteExtension(
                            validator_address=address_of(key), height=height, vote_extension=extension
                        )
                    )
                    assert answer.status == ACCEPT

    async def wake(self, number: int) -> None:
        """A node that was down starts again."""
        self.peers[number].up = True
        await self.peers[number].crash()

    def heights(self) -> list[int]:
        return [peer.chain.reader.height for peer in self.peers]
