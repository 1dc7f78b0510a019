"""What an application answers, method by method, with the answer that is always safe as the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.node.comet.abci.messages import (
    ResponseApplySnapshotChunk,
    ResponseCheckTx,
    ResponseCommit,
    ResponseEcho,
    ResponseExtendVote,
    ResponseFinalizeBlock,
    ResponseFlush,
    ResponseInfo,
    ResponseInitChain,
    ResponseListSnapshots,
    ResponseLoadSnapshotChunk,
    ResponseOfferSnapshot,
    ResponsePrepareProposal,
    ResponseProcessProposal,
    ResponseQuery,
    ResponseVerifyVoteExtension,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from changan.node.comet.abci.messages import (
        RequestApplySnapshotChunk,
        RequestCheckTx,
        RequestCommit,
        RequestEcho,
        RequestExtendVote,
        RequestFinalizeBlock,
        RequestFlush,
        RequestInfo,
        RequestInitChain,
        RequestListSnapshots,
        RequestLoadSnapshotChunk,
        RequestOfferSnapshot,
        RequestPrepareProposal,
        RequestProcessProposal,
        RequestQuery,
        RequestVerifyVoteExtension,
    )

ACCEPT, REJECT = 1, 2
"""Of ProcessProposal and VerifyVoteExtension."""
ABORT, REJECT_OFFER, REJECT_SNAPSHOT = 2, 3, 5
"""Of OfferSnapshot and ApplySnapshotChunk: take no snapshot at all; not this one, which is offered; or which was put together."""
REFUSED = 1
"""The code of a CheckTx or Query that found nothing good."""


class Application:
    """Answers everything with the safe default; an application overrides what it means to do.

    The methods stand by the connection that calls them. One connection's calls come one after another; between
    connections they interleave wherever a method awaits.
    """

    def engine_starts(self, *, is_new: bool) -> None:
        """Hear that the engine is about to start, and whether it begins without blocks."""

    def engine_waits(self, reason: str | None) -> None:
        """Hear why the engine stands still, in words; None: it does not."""

    # Any connection

    async def echo(self, request: RequestEcho) -> ResponseEcho:
        """Say it again."""
        return ResponseEcho(message=request.message)

    async def flush(self, _: RequestFlush) -> ResponseFlush:
        """All answers before this one were sent."""
        return ResponseFlush()

    # Query

    async def info(self, _: RequestInfo) -> ResponseInfo:
        """Say how far the state is."""
        return ResponseInfo()

    async def query(self, _: RequestQuery) -> ResponseQuery:
        """Answer a question about the state."""
        return ResponseQuery(code=REFUSED, log="this application answers no such query")

    # Mempool

    async def check_tx(self, _: RequestCheckTx) -> ResponseCheckTx:
        """Say whether a transaction may be gossiped, or with type 1 whether it may stay."""
        return ResponseCheckTx(code=REFUSED)

    # Consensus

    async def init_chain(self, _: RequestInitChain) -> ResponseInitChain:
        """Begin."""
        return ResponseInitChain()

    async def prepare_proposal(self, _: RequestPrepareProposal) -> ResponsePrepareProposal:
        """Say what this node proposes: by default nothing."""
        return ResponsePrepareProposal()

    async def process_proposal(self, _: RequestProcessProposal) -> ResponseProcessProposal:
        """Judge what another proposes."""
        return ResponseProcessProposal(status=REJECT)

    async def extend_vote(self, _: RequestExtendVote) -> ResponseExtendVote:
        """Say something with this node's vote."""
        return ResponseExtendVote()

    async def verify_vote_extension(self, _: RequestVerifyVoteExtension) -> ResponseVerifyVoteExtension:
        """Judge what another said with its vote."""
        return ResponseVerifyVoteExtension(status=REJECT)

    async def finalize_block(self, _: RequestFinalizeBlock) -> ResponseFinalizeBlock:
        """Execute what was decided. There is no safe default."""
        raise NotImplementedError

    async def commit(self, _: RequestCommit) -> ResponseCommit:
        """Bring what was executed to rest. There is no safe default."""
        raise NotImplementedError

    # Snapshots

    async def list_snapshots(self, _: RequestListSnapshots) -> ResponseListSnapshots:
        """Say what snapshots this node can hand out."""
        return ResponseListSnapshots()

    async def offer_snapshot(self, _: RequestOfferSnapshot) -> ResponseOfferSnapshot:
        """Say whether a snapshot is wanted."""
        return ResponseOfferSnapshot(result=ABORT)

    async def load_snapshot_chunk(self, _: RequestLoadSnapshotChunk) -> ResponseLoadSnapshotChunk:
        """Hand out a chunk."""
        return ResponseLoadSnapshotChunk()

    async def apply_snapshot_chunk(self, _: RequestApplySnapshotChunk) -> ResponseApplySnapshotChunk:
        """Take a chunk in."""
        return ResponseApplySnapshotChunk(result=ABORT)


SAFE: dict[str, Message] = {
    "query": ResponseQuery(code=REFUSED, log="the question could not be answered"),
    "check_tx": ResponseCheckTx(code=REFUSED, log="the transaction could not be judged"),
    "prepare_proposal": ResponsePrepareProposal(),
    "process_proposal": ResponseProcessProposal(status=REJECT),
    "extend_vote": ResponseExtendVote(),
    "verify_vote_extension": ResponseVerifyVoteExtension(status=REJECT),
    "list_snapshots": ResponseListSnapshots(),
    "offer_snapshot": ResponseOfferSnapshot(result=REJECT_OFFER),
    "load_snapshot_chunk": ResponseLoadSnapshotChunk(),
    "apply_snapshot_chunk": ResponseApplySnapshotChunk(result=REJECT_SNAPSHOT),
}
"""What is answered where a handler failed. For the other methods a made-up answer would be worse than none."""
