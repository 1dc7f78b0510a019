"""Types of the messages in messages.py. Made by tools/compile_protos.py from the .proto texts; do not edit."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

from google.protobuf.internal.containers import (
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
    ScalarMap,
)
from google.protobuf.message import Message

class Request(Message):
    echo: RequestEcho
    flush: RequestFlush
    info: RequestInfo
    init_chain: RequestInitChain
    query: RequestQuery
    check_tx: RequestCheckTx
    commit: RequestCommit
    list_snapshots: RequestListSnapshots
    offer_snapshot: RequestOfferSnapshot
    load_snapshot_chunk: RequestLoadSnapshotChunk
    apply_snapshot_chunk: RequestApplySnapshotChunk
    prepare_proposal: RequestPrepareProposal
    process_proposal: RequestProcessProposal
    extend_vote: RequestExtendVote
    verify_vote_extension: RequestVerifyVoteExtension
    finalize_block: RequestFinalizeBlock
    def __init__(self, *, echo: RequestEcho | None = ..., flush: RequestFlush | None = ..., info: RequestInfo | None = ..., init_chain: RequestInitChain | None = ..., query: RequestQuery | None = ..., check_tx: RequestCheckTx | None = ..., commit: RequestCommit | None = ..., list_snapshots: RequestListSnapshots | None = ..., offer_snapshot: RequestOfferSnapshot | None = ..., load_snapshot_chunk: RequestLoadSnapshotChunk | None = ..., apply_snapshot_chunk: RequestApplySnapshotChunk | None = ..., prepare_proposal: RequestPrepareProposal | None = ..., process_proposal: RequestProcessProposal | None = ..., extend_vote: RequestExtendVote | None = ..., verify_vote_extension: RequestVerifyVoteExtension | None = ..., finalize_block: RequestFinalizeBlock | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Response(Message):
    exception: ResponseException
    echo: ResponseEcho
    flush: ResponseFlush
    info: ResponseInfo
    init_chain: ResponseInitChain
    query: ResponseQuery
    check_tx: ResponseCheckTx
    commit: ResponseCommit
    list_snapshots: ResponseListSnapshots
    offer_snapshot: ResponseOfferSnapshot
    load_snapshot_chunk: ResponseLoadSnapshotChunk
    apply_snapshot_chunk: ResponseApplySnapshotChunk
    prepare_proposal: ResponsePrepareProposal
    process_proposal: ResponseProcessProposal
    extend_vote: ResponseExtendVote
    verify_vote_extension: ResponseVerifyVoteExtension
    finalize_block: ResponseFinalizeBlock
    def __init__(self, *, exception: ResponseException | None = ..., echo: ResponseEcho | None = ..., flush: ResponseFlush | None = ..., info: ResponseInfo | None = ..., init_chain: ResponseInitChain | None = ..., query: ResponseQuery | None = ..., check_tx: ResponseCheckTx | None = ..., commit: ResponseCommit | None = ..., list_snapshots: ResponseListSnapshots | None = ..., offer_snapshot: ResponseOfferSnapshot | None = ..., load_snapshot_chunk: ResponseLoadSnapshotChunk | None = ..., apply_snapshot_chunk: ResponseApplySnapshotChunk | None = ..., prepare_proposal: ResponsePrepareProposal | None = ..., process_proposal: ResponseProcessProposal | None = ..., extend_vote: ResponseExtendVote | None = ..., verify_vote_extension: ResponseVerifyVoteExtension | None = ..., finalize_block: ResponseFinalizeBlock | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Time(Message):
    seconds: int
    nanos: int
    def __init__(self, *, seconds: int | None = ..., nanos: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestEcho(Message):
    message: str
    def __init__(self, *, message: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestFlush(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestInfo(Message):
    version: str
    block_version: int
    p2p_version: int
    abci_version: str
    def __init__(self, *, version: str | None = ..., block_version: int | None = ..., p2p_version: int | None = ..., abci_version: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestInitChain(Message):
    time: Time
    chain_id: str
    consensus_params: bytes
    validators: RepeatedCompositeFieldContainer[ValidatorUpdate]
    app_state_bytes: bytes
    initial_height: int
    def __init__(self, *, time: Time | None = ..., chain_id: str | None = ..., consensus_params: bytes | None = ..., validators: Iterable[ValidatorUpdate] | None = ..., app_state_bytes: bytes | None = ..., initial_height: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestQuery(Message):
    data: bytes
    path: str
    height: int
    prove: bool
    def __init__(self, *, data: bytes | None = ..., path: str | None = ..., height: int | None = ..., prove: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestCheckTx(Message):
    tx: bytes
    type: int
    def __init__(self, *, tx: bytes | None = ..., type: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestCommit(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestListSnapshots(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestOfferSnapshot(Message):
    snapshot: Snapshot
    app_hash: bytes
    def __init__(self, *, snapshot: Snapshot | None = ..., app_hash: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestLoadSnapshotChunk(Message):
    height: int
    format: int
    chunk: int
    def __init__(self, *, height: int | None = ..., format: int | None = ..., chunk: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestApplySnapshotChunk(Message):
    index: int
    chunk: bytes
    sender: str
    def __init__(self, *, index: int | None = ..., chunk: bytes | None = ..., sender: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestPrepareProposal(Message):
    max_tx_bytes: int
    txs: RepeatedScalarFieldContainer[bytes]
    local_last_commit: ExtendedCommitInfo
    misbehavior: RepeatedCompositeFieldContainer[Misbehavior]
    height: int
    time: Time
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(self, *, max_tx_bytes: int | None = ..., txs: Iterable[bytes] | None = ..., local_last_commit: ExtendedCommitInfo | None = ..., misbehavior: Iterable[Misbehavior] | None = ..., height: int | None = ..., time: Time | None = ..., next_validators_hash: bytes | None = ..., proposer_address: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestProcessProposal(Message):
    txs: RepeatedScalarFieldContainer[bytes]
    proposed_last_commit: CommitInfo
    misbehavior: RepeatedCompositeFieldContainer[Misbehavior]
    hash: bytes
    height: int
    time: Time
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(self, *, txs: Iterable[bytes] | None = ..., proposed_last_commit: CommitInfo | None = ..., misbehavior: Iterable[Misbehavior] | None = ..., hash: bytes | None = ..., height: int | None = ..., time: Time | None = ..., next_validators_hash: bytes | None = ..., proposer_address: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestExtendVote(Message):
    hash: bytes
    height: int
    time: Time
    txs: RepeatedScalarFieldContainer[bytes]
    proposed_last_commit: CommitInfo
    misbehavior: RepeatedCompositeFieldContainer[Misbehavior]
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(self, *, hash: bytes | None = ..., height: int | None = ..., time: Time | None = ..., txs: Iterable[bytes] | None = ..., proposed_last_commit: CommitInfo | None = ..., misbehavior: Iterable[Misbehavior] | None = ..., next_validators_hash: bytes | None = ..., proposer_address: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestVerifyVoteExtension(Message):
    hash: bytes
    validator_address: bytes
    height: int
    vote_extension: bytes
    def __init__(self, *, hash: bytes | None = ..., validator_address: bytes | None = ..., height: int | None = ..., vote_extension: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RequestFinalizeBlock(Message):
    txs: RepeatedScalarFieldContainer[bytes]
    decided_last_commit: CommitInfo
    misbehavior: RepeatedCompositeFieldContainer[Misbehavior]
    hash: bytes
    height: int
    time: Time
    next_validators_hash: bytes
    proposer_address: bytes
    def __init__(self, *, txs: Iterable[bytes] | None = ..., decided_last_commit: CommitInfo | None = ..., misbehavior: Iterable[Misbehavior] | None = ..., hash: bytes | None = ..., height: int | None = ..., time: Time | None = ..., next_validators_hash: bytes | None = ..., proposer_address: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseException(Message):
    error: str
    def __init__(self, *, error: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseEcho(Message):
    message: str
    def __init__(self, *, message: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseFlush(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseInfo(Message):
    data: str
    version: str
    app_version: int
    last_block_height: int
    last_block_app_hash: bytes
    def __init__(self, *, data: str | None = ..., version: str | None = ..., app_version: int | None = ..., last_block_height: int | None = ..., last_block_app_hash: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseInitChain(Message):
    consensus_params: bytes
    validators: RepeatedCompositeFieldContainer[ValidatorUpdate]
    app_hash: bytes
    def __init__(self, *, consensus_params: bytes | None = ..., validators: Iterable[ValidatorUpdate] | None = ..., app_hash: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseQuery(Message):
    code: int
    log: str
    info: str
    index: int
    key: bytes
    value: bytes
    height: int
    codespace: str
    def __init__(self, *, code: int | None = ..., log: str | None = ..., info: str | None = ..., index: int | None = ..., key: bytes | None = ..., value: bytes | None = ..., height: int | None = ..., codespace: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseCheckTx(Message):
    code: int
    data: bytes
    log: str
    info: str
    gas_wanted: int
    gas_used: int
    codespace: str
    def __init__(self, *, code: int | None = ..., data: bytes | None = ..., log: str | None = ..., info: str | None = ..., gas_wanted: int | None = ..., gas_used: int | None = ..., codespace: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseCommit(Message):
    retain_height: int
    def __init__(self, *, retain_height: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseListSnapshots(Message):
    snapshots: RepeatedCompositeFieldContainer[Snapshot]
    def __init__(self, *, snapshots: Iterable[Snapshot] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseOfferSnapshot(Message):
    result: int
    def __init__(self, *, result: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseLoadSnapshotChunk(Message):
    chunk: bytes
    def __init__(self, *, chunk: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseApplySnapshotChunk(Message):
    result: int
    refetch_chunks: RepeatedScalarFieldContainer[int]
    reject_senders: RepeatedScalarFieldContainer[str]
    def __init__(self, *, result: int | None = ..., refetch_chunks: Iterable[int] | None = ..., reject_senders: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponsePrepareProposal(Message):
    txs: RepeatedScalarFieldContainer[bytes]
    def __init__(self, *, txs: Iterable[bytes] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseProcessProposal(Message):
    status: int
    def __init__(self, *, status: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseExtendVote(Message):
    vote_extension: bytes
    def __init__(self, *, vote_extension: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseVerifyVoteExtension(Message):
    status: int
    def __init__(self, *, status: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResponseFinalizeBlock(Message):
    tx_results: RepeatedCompositeFieldContainer[ExecTxResult]
    validator_updates: RepeatedCompositeFieldContainer[ValidatorUpdate]
    consensus_param_updates: bytes
    app_hash: bytes
    def __init__(self, *, tx_results: Iterable[ExecTxResult] | None = ..., validator_updates: Iterable[ValidatorUpdate] | None = ..., consensus_param_updates: bytes | None = ..., app_hash: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CommitInfo(Message):
    round: int
    votes: RepeatedCompositeFieldContainer[VoteInfo]
    def __init__(self, *, round: int | None = ..., votes: Iterable[VoteInfo] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ExtendedCommitInfo(Message):
    round: int
    votes: RepeatedCompositeFieldContainer[ExtendedVoteInfo]
    def __init__(self, *, round: int | None = ..., votes: Iterable[ExtendedVoteInfo] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ExecTxResult(Message):
    code: int
    data: bytes
    log: str
    info: str
    gas_wanted: int
    gas_used: int
    codespace: str
    def __init__(self, *, code: int | None = ..., data: bytes | None = ..., log: str | None = ..., info: str | None = ..., gas_wanted: int | None = ..., gas_used: int | None = ..., codespace: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Validator(Message):
    address: bytes
    power: int
    def __init__(self, *, address: bytes | None = ..., power: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ValidatorKey(Message):
    ed25519: bytes
    def __init__(self, *, ed25519: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ValidatorUpdate(Message):
    pub_key: ValidatorKey
    power: int
    def __init__(self, *, pub_key: ValidatorKey | None = ..., power: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class VoteInfo(Message):
    validator: Validator
    block_id_flag: int
    def __init__(self, *, validator: Validator | None = ..., block_id_flag: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ExtendedVoteInfo(Message):
    validator: Validator
    vote_extension: bytes
    extension_signature: bytes
    block_id_flag: int
    def __init__(self, *, validator: Validator | None = ..., vote_extension: bytes | None = ..., extension_signature: bytes | None = ..., block_id_flag: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Misbehavior(Message):
    type: int
    validator: Validator
    height: int
    time: Time
    total_voting_power: int
    def __init__(self, *, type: int | None = ..., validator: Validator | None = ..., height: int | None = ..., time: Time | None = ..., total_voting_power: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Snapshot(Message):
    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes
    def __init__(self, *, height: int | None = ..., format: int | None = ..., chunks: int | None = ..., hash: bytes | None = ..., metadata: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Batch(Message):
    nonce: int
    members: RepeatedScalarFieldContainer[bytes]
    requests: RepeatedCompositeFieldContainer[Packed]
    def __init__(self, *, nonce: int | None = ..., members: Iterable[bytes] | None = ..., requests: Iterable[Packed] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Packed(Message):
    payload: bytes
    member: int
    signature: bytes
    rest: bytes
    def __init__(self, *, payload: bytes | None = ..., member: int | None = ..., signature: bytes | None = ..., rest: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Head(Message):
    version: int
    time_us: int
    sealed: bytes
    def __init__(self, *, version: int | None = ..., time_us: int | None = ..., sealed: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...
