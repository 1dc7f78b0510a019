"""The ledger as an application of the engine: it proposes and judges by one rule, executes what is decided, and lets it rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from changan import __version__
from changan.errors import MalformedError
from changan.ledger.transition import Decided
from changan.ledger.wire.messages import Misbehaviour
from changan.node.comet.abci.application import ACCEPT, REFUSED, REJECT, Application
from changan.node.comet.abci.messages import (
    ExecTxResult,
    Head,
    ResponseCheckTx,
    ResponseCommit,
    ResponseExtendVote,
    ResponseFinalizeBlock,
    ResponseInfo,
    ResponseInitChain,
    ResponseListSnapshots,
    ResponseLoadSnapshotChunk,
    ResponsePrepareProposal,
    ResponseProcessProposal,
    ResponseQuery,
    ResponseVerifyVoteExtension,
)
from changan.node.comet.batches import BATCH, HEAD_VERSION, encode_head
from changan.node.comet.evidence import shown
from changan.node.comet.heights import Heights, OrderingError, rules_update
from changan.node.comet.proposal import Selection, UnfitError, select, take_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from changan.ledger.transition import AppliedBlock
    from changan.node.chain import Chain
    from changan.node.comet.abci.messages import (
        RequestCheckTx,
        RequestCommit,
        RequestExtendVote,
        RequestFinalizeBlock,
        RequestInfo,
        RequestInitChain,
        RequestListSnapshots,
        RequestLoadSnapshotChunk,
        RequestPrepareProposal,
        RequestProcessProposal,
        RequestQuery,
        RequestVerifyVoteExtension,
    )
    from changan.node.comet.batches import BatchCache
    from changan.node.comet.rosters import Rosters
    from changan.node.comet.seals import Seals
    from changan.node.comet.snapshots import Snapshots

_log = structlog.get_logger()
CLOCK_US_MAX = 10_000_000
"""How far a proposed block's time may lie from this node's clock."""
_OVERHEAD_BYTES = 16  # of one transaction in the engine's block
_COMMITTED = 2  # the flag of a vote for the decided block
FAULTS_SHOWN = 100
_PEER_FILTER = "/p2p/filter/id/"


class OwnBatches(Protocol):
    """This node's own requests, as the application asks for them."""

    def propose(self, height: int, count_max: int, bytes_max: int) -> tuple[bytes, Sequence[object]] | None:
        """Return a batch of requests that wait here, for a proposal at a height of the engine; None where none waits."""

    def decided(self, height: int) -> None:
        """Take note that the engine's block at a height was executed."""


class _Pending(NamedTuple):
    """A block of the engine that was executed and does not rest yet."""

    height: int
    block_hash: bytes  # the engine's
    applied: AppliedBlock | None
    response: ResponseFinalizeBlock


class LedgerApplication(Application):
    """One chain of this node under the engine. All of it runs on the event loop."""

    def __init__(  # an application is given all that it may touch
        self,
        chain: Chain,
        cache: BatchCache,
        own: OwnBatches,
        seals: Seals,
        rosters: Rosters,
        snapshots: Snapshots,
        *,
        first_height: int = 1,
        dialled: Collection[str] = (),
    ) -> None:
        """Take a chain; `dialled` are the ids of the peers that this node was told of when it was made."""
        self._chain = chain
        self._cache = cache
        self._own = own
        self._seals = seals
        self._rosters = rosters
        self._snapshots = snapshots
        self._heights = Heights(chain.reader)
        self._dialled = frozenset(dialled)
        self._pending: _Pending | None = None
        self._told: _Pending | None = None  # what an engine that lost its blocks was told again
        self._broken: Exception | None = None
        self._engine_waits: str | None = None
        self.engine_is_new = False
        """Whether the engine knows no block yet, though the chain may have some: then it starts from the beginning."""
        self.first_height = first_height
        """Where the engine's own blocks begin; more than 1 where its stores were begun anew on an older chain."""
        self.height = max(first_height - 1, self._heights.of(chain.reader.height))
        """The last height of the engine whose outcome rests here."""
        self.at_next_commit: Callable[[], None] | None = None
        """Is called once, when a block that the engine decided rests here."""
        self.voted: list[str] = []  # organisations whose votes decided the engine's last block
        self._unrecorded: list[Misbehaviour] = []  # what the engine proved since the last ledger block
        self._sealed_by_votes = self._heights.header(chain.reader.height).pre_block_hash
        """What the votes for the engine's last block sealed: the last ledger block before it."""

    def engine_starts(self, *, is_new: bool) -> None:
        """Hear whether the engine begins without blocks: then it is told again what came of them.

        Raises what kept a decided block from being executed: the engine would say it again and again.
        """
        if self._broken is not None:
            raise self._broken
        self.engine_is_new = is_new

    def engine_waits(self, reason: str | None) -> None:
        """Take no transactions while the engine stands still."""
        rest = self._chain.rest
        if rest.fault in {None, self._engine_waits}:
            rest.fault = reason
        self._engine_waits = reason

    # Query connection

    async def info(self, _: RequestInfo) -> ResponseInfo:
        """Say how far the chain rests; to an engine that lost its blocks: not at all, it will hear what it was told before."""
        world, begun = self._chain.world, self.first_height - 1
        rules = self._heights.rules_behind(begun) if self.engine_is_new else world.rules
        answer = ResponseInfo(data=self._chain.chain_id, version=__version__, app_version=rules)
        height = 0 if self.engine_is_new else self.height
        if height:
            answer.last_block_height = height
            answer.last_block_app_hash = self._heights.hash_at(height)
        return answer

    async def query(self, request: RequestQuery) -> ResponseQuery:
        """Say whether a peer belongs to the chain; all other questions have better doors."""
        path = request.path
        if path.startswith(_PEER_FILTER):
            peer = path.removeprefix(_PEER_FILTER)
            known = self._rosters.admits(peer)
            if known is None:  # while this node catches up, its peers may be of organisations that it has not met yet
                known = peer in self._dialled
            return ResponseQuery(code=0 if known else REFUSED, log="" if known else "no organisation's node")
        if path.startswith("/p2p/filter/"):
            return ResponseQuery()
        return ResponseQuery(code=REFUSED, log="ask at the node's own doors")

    # Mempool connection

    async def check_tx(self, request: RequestCheckTx) -> ResponseCheckTx:
        """Let batches be gossiped whose requests are all authentic, while something in them is still to come."""
        data, world = request.tx, self._chain.world
        try:
            judged = self._cache.judge(data, world, self._chain.time())
        except MalformedError as error:
            return ResponseCheckTx(code=REFUSED, log=str(error))
        refusal = judged.refusal
        if refusal is not None:
            return ResponseCheckTx(code=REFUSED, log=refusal.message[:500])
        if all(world.remembered.holds(one.payload.tx_id) for one in judged.requests):
            return ResponseCheckTx(code=REFUSED, log="all of it was executed")
        await asyncio.sleep(0)  # others get their turn between two large batches
        return ResponseCheckTx()

    # Consensus connection

    async def init_chain(self, request: RequestInitChain) -> ResponseInitChain:
        """Begin behind the genesis block, or where the engine's stores were begun anew behind a later one."""
        chain = self._chain
        if request.chain_id != chain.chain_id:
            raise OrderingError(f"the engine orders chain {request.chain_id!r}, this is {chain.chain_id!r}")
        named = {update.pub_key.ed25519 for update in request.validators}
        if named != {voter.validator for voter in self._rosters.voting(self.first_height).voters}:
            raise OrderingError("the engine's genesis names other voters than the chain's configuration")
        if request.initial_height != self.first_height:
            raise OrderingError(f"the engine begins at {request.initial_height}, this node knows {self.first_height}")
        return ResponseInitChain(app_hash=self._heights.hash_at(self.first_height - 1))

    async def prepare_proposal(self, request: RequestPrepareProposal) -> ResponsePrepareProposal:
        """Propose what others sent, and what waits here, as far as there is room."""
        chain = self._chain
        selection = Selection(chain.world, chain.next_time_us())
        roster = self._rosters.voting(request.height - 1)
        for vote in request.local_last_commit.votes:
            voter = roster.by_address.get(vote.validator.address)
            if voter is not None and vote.block_id_flag == _COMMITTED:
                self._seals.take(roster, voter, self._sealed_by_votes, vote.vote_extension)
        head = Head(version=HEAD_VERSION, time_us=selection.time_us, sealed=self._seals.to_carry())
        room = request.max_tx_bytes - head.ByteSize() - _OVERHEAD_BYTES
        batches: list[bytes] = []
        for data in request.txs:
            size = len(data) + _OVERHEAD_BYTES
            if data[:1] == BATCH and size <= room and self._fits(selection, data):
                batches.append(data)
                room -= size
        capacity = max(1, chain.world.config.block.block_tx_capacity)
        own = self._own.propose(request.height, capacity - len(selection.requests), room - _OVERHEAD_BYTES)
        if own is not None and self._fits(selection, own[0]):
            batches.append(own[0])
        heads = [encode_head(head)] if batches or head.sealed else []
        return ResponsePrepareProposal(txs=[*heads, *batches])

    def _fits(self, selection: Selection, data: bytes) -> bool:
        try:
            judged = self._cache.judge(data, self._chain.world, selection.time_us // 1_000_000)
            return selection.add(judged) > 0
        except (UnfitError, MalformedError):
            return False

    async def process_proposal(self, request: RequestProcessProposal) -> ResponseProcessProposal:
        """Accept what an honest proposer could have made by this node's state and clock."""
        chain = self._chain
        try:
            parts = take_apart(request.txs)
            if parts.head is not None:
                self._check_head(parts.head)
            select(chain.world, self._cache, parts)
        except (UnfitError, MalformedError) as error:
            who = self._name(request.proposer_address, request.height)
            _log.warning("proposal.rejected", height=request.height, proposer=who, reason=str(error)[:300])
            return ResponseProcessProposal(status=REJECT)
        return ResponseProcessProposal(status=ACCEPT)

    def _check_head(self, head: Head) -> None:
        if abs(head.time_us - self._chain.next_time_us()) > CLOCK_US_MAX:
            raise UnfitError("the block's time lies too far from this node's clock")
        problem = self._seals.problem(head)
        if problem is not None:
            raise UnfitError(problem)

    async def extend_vote(self, _: RequestExtendVote) -> ResponseExtendVote:
        """Seal the last ledger block with this vote."""
        return ResponseExtendVote(vote_extension=self._seals.own(self._chain.world.block_hash))

    async def verify_vote_extension(self, request: RequestVerifyVoteExtension) -> ResponseVerifyVoteExtension:
        """Check another organisation's seal of the last ledger block, and keep it."""
        roster = self._rosters.voting(request.height)
        voter = roster.by_address.get(request.validator_address)
        if request.height != self.height + 1 or voter is None:
            return ResponseVerifyVoteExtension(status=ACCEPT)  # of a height that cannot be judged here
        good = self._seals.take(roster, voter, self._chain.world.block_hash, request.vote_extension)
        return ResponseVerifyVoteExtension(status=ACCEPT if good else REJECT)

    async def finalize_block(self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock:
        """Execute a decided block; what no honest node would have accepted is no ledger block."""
        try:
            return self._finalize(request)
        except Exception as error:
            self._broken = error
            await self._chain.fail(f"the chain stopped at the engine's height {request.height}: {error!r}")
            raise

    def _finalize(self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock:
        pending, height = self._pending, request.height
        results = [ExecTxResult() for _ in request.txs]
        self._told = None
        if pending is not None and pending.height == height:
            if pending.block_hash != request.hash:
                raise OrderingError(f"two blocks were decided at the engine's height {height}")
            return pending.response  # the engine stopped before it could note the answer
        if height <= self.height:  # it lost its blocks, and is told again what came of them
            told = ResponseFinalizeBlock(
                app_hash=self._heights.hash_at(height),
                tx_results=results,
                validator_updates=self._rosters.updates(height),
                consensus_param_updates=self._heights.told_rules(height),
            )
            self._told = _Pending(height, request.hash, None, told)
            return told
        if pending is not None and pending.applied is not None:
            raise OrderingError(f"the engine's height {pending.height} was executed and never committed")
        if self.height and height != self.height + 1:
            raise OrderingError(f"the engine's height {height} does not follow {self.height}")
        self._note_votes(request)
        before = self._chain.world.block_hash
        applied = self._execute(request)
        self._sealed_by_votes = before
        answer = ResponseFinalizeBlock(
            app_hash=self._chain.world.block_hash,
            tx_results=results,
            validator_updates=self._rosters.updates(height),
            consensus_param_updates=b""
            if applied is None
            else rules_update(self._chain.world.config, self._chain.world.height),
        )
        self._pending = _Pending(height, request.hash, applied, answer)
        return answer

    def _execute(self, request: RequestFinalizeBlock) -> AppliedBlock | None:
        chain = self._chain
        voter = self._rosters.voting(request.height).by_address.get(request.proposer_address)
        try:
            parts = take_apart(request.txs)
            if parts.head is not None:
                self._seals.decided(parts.head)
            selection = select(chain.world, self._cache, parts)
        except (UnfitError, MalformedError) as error:
            _log.error("block.void", height=request.height, reason=str(error)[:300])
            return None
        if selection is None or not selection.requests or voter is None:
            return None
        decided = Decided(
            chain.world.height + 1,
            selection.time_us,
            voter.member,
            selection.requests,
            selection.verdicts,
            request.height,
            self._unrecorded,
        )
        applied = chain.apply(decided)
        self._cache.forget(parts.batches)
        self._unrecorded = []
        self._seals.rest_in(applied.head)
        self._seals.begin(applied.header)
        self._rosters.follow(request.height)
        return applied

    def _note_votes(self, request: RequestFinalizeBlock) -> None:
        """Keep who voted for the block before, and name who is proven to have voted twice."""
        votes = request.decided_last_commit.votes
        last = request.height - 1
        self.voted = [self._name(one.validator.address, last) for one in votes if one.block_id_flag == _COMMITTED]
        for fault in request.misbehavior:
            who = self._rosters.voting(fault.height).by_address.get(fault.validator.address)
            if who is not None:
                found = Misbehaviour(
                    org_id=who.org_id, node_id=who.node_id, kind=fault.type, engine_height=fault.height
                )
                self._unrecorded.append(found)
                _log.error("organisation.misbehaved", **shown(found, None))

    @property
    def faults(self) -> list[dict[str, object]]:
        """Who broke the rules of agreement, newest first: as blocks record it, and what the next block will."""
        recorded = self._chain.reader.misbehaviour(FAULTS_SHOWN)
        fresh = [shown(one, None) for one in reversed(self._unrecorded)]
        return [*fresh, *(shown(one, height) for height, one in recorded)][:FAULTS_SHOWN]

    def _name(self, address: bytes, height: int) -> str:
        who = self._rosters.voting(height).by_address.get(address)
        return address.hex() if who is None else who.org_id

    async def commit(self, _: RequestCommit) -> ResponseCommit:
        """Bring the executed block to rest; only then are those who wait answered."""
        if self._told is not None:
            self._told = None
            return ResponseCommit()
        pending = self._pending
        if pending is None:
            raise OrderingError("nothing was executed that could be committed")
        if pending.applied is not None:
            await self._chain.settle(pending.applied)
            self._snapshots.take(pending.applied, pending.height)
        self._pending = None
        self.engine_is_new = False
        self.height = max(self.height, pending.height)
        self._own.decided(pending.height)
        if self.at_next_commit is not None:
            self.at_next_commit()
            self.at_next_commit = None
        return ResponseCommit(retain_height=self._snapshots.retained_from(self.height))

    # Snapshot connection

    async def list_snapshots(self, _: RequestListSnapshots) -> ResponseListSnapshots:
        """Offer the snapshots that lie here and that the engine can prove."""
        return ResponseListSnapshots(snapshots=[held.offer() for held in await self._snapshots.offered(self.height)])

    async def load_snapshot_chunk(self, request: RequestLoadSnapshotChunk) -> ResponseLoadSnapshotChunk:
        """Hand out a chunk."""
        return ResponseLoadSnapshotChunk(
            chunk=await self._snapshots.chunk(request.height, request.format, request.chunk)
        )
