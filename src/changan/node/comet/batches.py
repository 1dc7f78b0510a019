"""What travels through the engine: batches of signed requests, and the head of a proposal."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from changan.errors import MalformedError
from changan.ledger.admission import Proven, RefusedError, admit, ask, check_form, prove
from changan.ledger.system import SystemContract
from changan.ledger.wire.fields import prefixed
from changan.ledger.wire.messages import Member, TxRequest, TxStatusCode, TxType
from changan.node.comet.abci.messages import Batch, Head, Packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from changan.ledger.admission import Admitted
    from changan.ledger.world import World

BATCH, HEAD = b"\x01", b"\x02"
"""The first byte of an engine transaction says what it is."""
HEAD_VERSION = 1
CACHED_BYTES_MAX = 128 * 1024 * 1024
NAME_BYTES = 32
"""So much of a batch's beginning, which holds the nonce of whoever made it, finds it in the cache."""
READ_BYTES = 3 * 1024
"""What a request takes beside the bytes of its batch, once it is read: its certificate stands in each, not once in all."""
_PAYLOAD, _SENDER = b"\x0a", b"\x12"  # TxRequest: fields 1 and 2
_SIGNER, _SIGNATURE = b"\x0a", b"\x12"  # EndorsementEntry: fields 1 and 2


class Judged(NamedTuple):
    """The requests of a batch, and what this node found of each: who sent it, or why it is refused."""

    requests: Sequence[TxRequest]
    verdicts: Sequence[Admitted | RefusedError]
    epoch: int
    data: bytes  # the batch

    @property
    def memory(self) -> int:
        """How many bytes it takes here."""
        return 2 * len(self.data) + READ_BYTES * len(self.requests)

    @property
    def refusal(self) -> RefusedError | None:
        """The first refusal, if there is one."""
        return next((verdict for verdict in self.verdicts if isinstance(verdict, RefusedError)), None)


def encode_batch(requests: Iterable[TxRequest], nonce: int) -> bytes:
    """Return a batch; each sender's certificate stands in it once."""
    members: dict[bytes, int] = {}
    packed = []
    for request in requests:
        sender = request.sender
        member = members.setdefault(sender.signer.SerializeToString(), len(members))
        rest = b""
        if request.endorsers or request.HasField("payer"):
            other = TxRequest(endorsers=request.endorsers)
            if request.HasField("payer"):
                other.payer.CopyFrom(request.payer)
            rest = other.SerializeToString()
        payload = request.payload.SerializeToString()
        packed.append(Packed(payload=payload, member=member, signature=sender.signature, rest=rest))
    return BATCH + Batch(nonce=nonce, members=list(members), requests=packed).SerializeToString()


def decode_batch(data: bytes) -> list[TxRequest]:
    """Return the requests of a batch. Raises MalformedError."""
    if data[:1] != BATCH:
        raise MalformedError("this is no batch")
    try:
        batch = Batch.FromString(data[1:])
        signers = [_SIGNER + prefixed(member) for member in batch.members]
        for member in batch.members:
            Member.FromString(member)
        if not batch.requests:
            raise MalformedError("a batch without requests")
        return [_unpack(packed, signers) for packed in batch.requests]
    except (DecodeError, IndexError) as error:
        raise MalformedError("a batch that does not decode") from error


def _unpack(packed: Packed, signers: Sequence[bytes]) -> TxRequest:
    payload, signature = packed.payload, packed.signature
    sender = signers[packed.member] + _SIGNATURE + prefixed(signature)
    head = _PAYLOAD + prefixed(payload) + _SENDER + prefixed(sender)
    return TxRequest.FromString(head + packed.rest)


def encode_head(head: Head) -> bytes:
    """Return the first transaction of a proposal."""
    return HEAD + head.SerializeToString()


def decode_head(data: bytes) -> Head:
    """Return the head of a proposal. Raises MalformedError."""
    if data[:1] != HEAD:
        raise MalformedError("a proposal with batches begins with its head")
    try:
        head = Head.FromString(data[1:])
    except DecodeError as error:
        raise MalformedError("the head does not decode") from error
    if head.version != HEAD_VERSION:
        raise MalformedError(f"a head of version {head.version}, this release knows {HEAD_VERSION}")
    return head


def judge_requests(world: World, requests: Sequence[TxRequest], time: int) -> list[Admitted | RefusedError]:
    """Check the requests of a batch at a block's time, by the state at the end of the block before."""
    proven = prove(ask(requests, world, time), world.signatures)
    return [_judge(world, request, time, found) for request, found in zip(requests, proven, strict=True)]


def _judge(world: World, request: TxRequest, time: int, proven: Proven) -> Admitted | RefusedError:
    payload = request.payload
    try:
        check_form(request)
        if payload.chain_id != world.config.chain_id or payload.tx_type != TxType.INVOKE_CONTRACT:
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"not a transaction of this chain, txId:{payload.tx_id}")
        if payload.contract_name == SystemContract.CHAIN_QUERY:
            raise RefusedError(TxStatusCode.CONTRACT_FAIL, f"CHAIN_QUERY reads the past, txId:{payload.tx_id}")
        return admit(request, world, time, proven)
    except RefusedError as error:
        return error


class BatchCache:
    """Batches that were judged and not executed yet: each signature is checked once while its identity epoch lasts.

    A batch is looked up by its beginning and then compared whole: two that begin alike differ all the same, and comparing
    costs a tenth of a digest.
    """

    def __init__(self) -> None:
        self._judged: OrderedDict[bytes, Judged] = OrderedDict()
        self._bytes = 0
        self.verified = 0  # signatures checked, for those who count

    def keep(self, data: bytes, requests: Sequence[TxRequest], verdicts: Sequence[Admitted], epoch: int) -> None:
        """Keep a batch of this node's own requests, which were judged at the door."""
        self._keep(Judged(requests, verdicts, epoch, data))

    def judge(self, data: bytes, world: World, time: int) -> Judged:
        """Return what is found of a batch in the world's identity epoch. Raises MalformedError."""
        name = data[:NAME_BYTES]
        found = self._judged.get(name)
        if found is not None and found.data != data:
            found = None
        if found is not None and found.epoch == world.epoch:
            self._judged.move_to_end(name)
            return found
        requests = decode_batch(data) if found is None else found.requests
        self.verified += len(requests)
        verdicts = judge_requests(world, requests, time)
        judged = Judged(requests, verdicts, world.epoch, data)
        self._keep(judged)
        return judged

    def forget(self, batches: Iterable[bytes]) -> None:
        """Let go of batches that were executed."""
        for data in batches:
            self._take_out(data[:NAME_BYTES])

    def _keep(self, judged: Judged) -> None:
        name = judged.data[:NAME_BYTES]
        self._take_out(name)
        self._judged[name] = judged
        self._bytes += judged.memory
        while self._bytes > CACHED_BYTES_MAX and len(self._judged) > 1:
            self._take_out(next(iter(self._judged)))

    def _take_out(self, name: bytes) -> None:
        judged = self._judged.pop(name, None)
        if judged is not None:
            self._bytes -= judged.memory
