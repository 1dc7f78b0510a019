"""Four nodes in one process: the real application, pool, batches and storage, and the engine's contract modelled, seeded.

One step is one height of the engine. Clocks, the network and the disk are the model's.
"""

from __future__ import annotations

import random
from pathlib import Path

from changan.client.requests import make_payload, sign_request
from changan.ledger.roster import Voter, entries
from changan.ledger.wire.messages import ConsensusType, Member, MemberType, OrgConfig
from changan.node.chain import Chain
from changan.node.comet.abci.application import ACCEPT
from changan.node.comet.abci.messages import (
    CommitInfo,
    ExtendedCommitInfo,
    ExtendedVoteInfo,
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
from changan.node.comet.seals import Seals
from changan.node.comet.submission import Submission
from changan.node.solo import Proposer
from changan.node.storage import ChainStorage
from consortium import START, Consortium, org_name

MIB = 1 << 20


def voters_of(consortium: Consortium, count: int = 4) -> tuple[Voter, ...]:
    found = []
    for n in range(1, count + 1):
        certificate = consortium.signer(n, "consensus1", "consensus").member.member_info
        found.append(Voter(org_name(n), bytes([n]) * 32, f"{n:040x}", certificate))
    return tuple(found)


def config_of(consortium: Consortium, voters: tuple[Voter, ...], **options):
    config = consortium.config(**options)
    config.consensus.type = ConsensusType.TBFT
    del config.consensus.nodes[:]
    config.consensus.nodes.extend(OrgConfig(org_id=voter.org_id, node_id=["Qm"]) for voter in voters)
    config.consensus.ext_config.extend(entries(voters))
    return config


class Decision:
    """What the engine decided at one height."""

    def __init__(self, height: int, txs: list[bytes], proposer: bytes, voted: list[int], block_hash: bytes) -> None:
        self.height, self.txs, self.proposer, self.voted, self.hash = height, txs, proposer, voted, block_hash


class Peer:
    """One node."""

    def __init__(self, model: Model, number: int) -> None:
        self.model, self.number = model, number
        self.up = True
        self.skew_us = 0
        self.mempool: dict[bytes, None] = {}
        self.open()

    def open(self) -> None:
        model = self.model
        self.storage = ChainStorage(model.directory / str(self.number))
        world = self.storage.open_world(model.config)
        self.chain = Chain(world, self.storage, [], list, lambda: model.time_us + self.skew_us)
        signer = model.consortium.signer(self.number + 1, "consensus1", "consensus")
        member = Member(
            org_id=org_name(self.number + 1), member_type=MemberType.CERT, member_info=signer.member.member_info
        )
        self.cache = BatchCache()
        self.submission = Submission(self.chain, self.cache, self)
        from changan.ledger.roster import roster_of

        self.seals = Seals(self.chain.reader, roster_of(world.config), Proposer(member, signer.key, signer.hash_name))
        self.chain.reader.complete = self.seals.complete
        self.app = LedgerApplication(self.chain, self.cache, self.submission, self.seals)

    async def broadcast(self, data: bytes) -> None:
        await self.model.gossip(self, data)

    async def crash(self) -> None:
        """Lose all that is not on disk, and start again."""
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
        votes = [
            VoteInfo(validator=Validator(address=voter.address, power=1), block_id_flag=2 if n in decision.voted else 1)
            for n, voter in enumerate(self.model.voters)
        ]
        answer = await self.app.finalize_block(
            RequestFinalizeBlock(
                txs=decision.txs,
                decided_last_commit=CommitInfo(votes=votes),
                hash=decision.hash,
                height=decision.height,
                proposer_address=decision.proposer,
            )
        )
        assert len(answer.tx_results) == len(decision.txs)
        hashes = self.model.app_hashes
        assert hashes.setdefault(decision.height, answer.app_hash) == answer.app_hash, "the ledgers differ"
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
        self.extensions: dict[int, bytes] = {}
        self.cut: set[int] = set()  # nodes that hear nobody's gossip
        self.lie = lambda txs: txs  # what a lying proposer makes of its proposal
        self.rejections = 0
        self.peers = [Peer(self, number) for number in range(4)]

    async def begin(self) -> None:
        for peer in self.peers:
            await peer.handshake()

    def close(self) -> None:
        for peer in self.peers:
            peer.storage.close()

    # Clients

    def request(self, contract: str, method: str, parameters, *, sender=None, endorsers=(), **changes):
        payload = make_payload(self.config.chain_id, contract, method, parameters, tx_id=self.dice.randbytes(32).hex())
        payload.timestamp = self.time_us // 1_000_000
        for name, value in changes.items():
            setattr(payload, name, value)
        return sign_request(payload, sender or self.consortium.signer(), endorsers)

    def submit(self, number: int, request) -> None:
        """Hand a request to a node's door. Raises RefusedError."""
        self.peers[number].chain._admit(request, request.ByteSize(), None)

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
        up = [peer for peer in self.peers if peer.up]
        if not one.up or 3 * len(up) <= 2 * len(self.peers):
            return None
        address = self.voters[proposer].address
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
        if 3 * len(accepted) <= 2 * len(self.peers):
            return None
        await self._vote(up, height)
        decision = Decision(height, txs, address, [peer.number for peer in accepted], b"%d" % height)
        self.decided.append(decision)
        for peer in up:
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
                    validator=Validator(address=voter.address, power=1),
                    vote_extension=self.extensions.get(n, b""),
                    block_id_flag=2 if n in self.extensions else 1,
                )
                for n, voter in enumerate(self.voters)
            ]
        )

    async def _vote(self, up: list[Peer], height: int) -> None:
        self.extensions = {}
        for peer in up:
            self.extensions[peer.number] = (await peer.app.extend_vote(RequestExtendVote(height=height))).vote_extension
        for peer in up:
            for number, extension in self.extensions.items():
                if number != peer.number and self.dice.random() < 0.9:
                    answer = await peer.app.verify_vote_extension(
                        RequestVerifyVoteExtension(
                            validator_address=self.voters[number].address, height=height, vote_extension=extension
                        )
                    )
                    assert answer.status == ACCEPT

    async def wake(self, number: int) -> None:
        """A node that was down starts again."""
        self.peers[number].up = True
        await self.peers[number].crash()

    def heights(self) -> list[int]:
        return [peer.chain.reader.height for peer in self.peers]
