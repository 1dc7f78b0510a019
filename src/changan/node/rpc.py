"""The gRPC door: ChainMaker's service api.RpcNode, method by method, on the official SDKs' own path."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from changan.crypto.suite import Suite, suite_of_digest
from changan.ledger.admission import RefusedError
from changan.ledger.lane import carries_bls
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import (
    BytesValue,
    ChainMakerVersionRequest,
    ChainMakerVersionResponse,
    CheckNewBlockChainConfigRequest,
    CheckNewBlockChainConfigResponse,
    ConsensusType,
    DebugConfigRequest,
    DebugConfigResponse,
    GetConsensusStatusRequest,
    GetPoolStatusRequest,
    GetSyncStateRequest,
    GetTxIdsByTypeAndStageRequest,
    GetTxIdsByTypeAndStageResponse,
    GetTxsInPoolByTxIdsRequest,
    GetTxsInPoolByTxIdsResponse,
    GetTxStatusRequest,
    GetTxStatusResponse,
    LogLevelsRequest,
    LogLevelsResponse,
    PoolTxType,
    RawTxRequest,
    SyncState,
    Transaction,
    TxPoolStatus,
    TxRequest,
    TxResponse,
    TxStage,
    TxStatus,
    TxStatusCode,
    TxType,
    UInt64Value,
    Validators,
)
from changan.node.limits import RateLimits, address_of
from changan.node.metrics import METRICS
from changan.node.packed_door import PACKED_MAX, PackedDoor
from changan.node.rest import StoppedError
from changan.node.subscribe import Subscriptions
from changan.node.tls_peers import TlsPeers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from google.protobuf.message import Message

    from changan.ledger.admission import Proven
    from changan.ledger.wire.messages import Payload
    from changan.node.chain import Chain

_log = structlog.get_logger()
CHAINMAKER_VERSION = "v2.3.7"
MESSAGE_BYTES_MAX = 100 * 1024 * 1024
REQUEST_BYTES_MAX = 12 * 1024 * 1024
"""One transaction: ChainMaker's 10 MiB a parameter and its envelope."""
LARGE_BYTES = {Suite.INTERNATIONAL: 1024 * 1024, Suite.NATIONAL: 64 * 1024}
"""From here on a request's signature is looked at in a thread, on a chain of a suite: digesting it takes longer than going
there and back, half a millisecond. So is what carries BLS signatures."""
_SYSTEM_CHAIN = "system_chain"
_SDK_CANNOT_BEAR = frozenset({TxStatusCode.ARCHIVED_TX, TxStatusCode.ARCHIVED_BLOCK})

Context = grpc.aio.ServicerContext[Any, Any]


class RpcNode:
    """The methods of api.RpcNode over the chains of this node."""

    def __init__(self, chains: Mapping[str, Chain], limits: RateLimits) -> None:
        self.chains = chains
        self._limits = limits
        self._peers = TlsPeers(chains)
        self._subscriptions = Subscriptions(chains, limits.streams)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the handlers to add to a server."""
        unary: dict[str, tuple[type[Message], Callable[[Any, Context], Awaitable[Message]]]] = {
            "GetChainMakerVersion": (ChainMakerVersionRequest, self._version),
            "RefreshLogLevelsConfig": (LogLevelsRequest, self._log_levels),
            "UpdateDebugConfig": (DebugConfigRequest, self._debug_config),
            "CheckNewBlockChainConfig": (CheckNewBlockChainConfigRequest, self._check_config),
            "GetPoolStatus": (GetPoolStatusRequest, self._pool_status),
            "GetTxIdsByTypeAndStage": (GetTxIdsByTypeAndStageRequest, self._pool_ids),
            "GetTxsInPoolByTxIds": (GetTxsInPoolByTxIdsRequest, self._pool_transactions),
            "GetTxStatus": (GetTxStatusRequest, self._tx_status),
            "GetConsensusStateJSON": (GetConsensusStatusRequest, self._consensus_state),
            "GetConsensusValidators": (GetConsensusStatusRequest, self._validators),
            "GetConsensusHeight": (GetConsensusStatusRequest, self._consensus_height),
            "GetSyncState": (GetSyncStateRequest, self._sync_state),
        }
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: self._unary(_decoding(kind, method)) for name, (kind, method) in unary.items()
        }
        methods["SendRequest"] = self._unary(self._send)
        methods["SendRequestSync"] = self._unary(self._send_sync)
        methods["Subscribe"] = grpc.unary_stream_rpc_method_handler(self._subscribe, response_serializer=_encode)
        methods["SubscribeWS"] = grpc.unary_stream_rpc_method_handler(self._subscribe_raw, response_serializer=_encode)
        return grpc.method_handlers_generic_handler("api.RpcNode", methods)

    def own_handlers(self) -> grpc.GenericRpcHandler:
        """Return the handlers of our own service, changan.Node: many requests in one message."""
        return grpc.method_handlers_generic_handler(
            "changan.Node",
            {"SendPacked": self._unary(PackedDoor(self).send)},
        )

    def _unary(self, method: Callable[[bytes, Context], Awaitable[Message | bytes]]) -> grpc.RpcMethodHandler[Any, Any]:
        async def limited(data: bytes, context: Context) -> Message | bytes:
            await self.admit(context, 1)
            return await method(data, context)

        return grpc.unary_unary_rpc_method_handler(limited, response_serializer=_encode)

    async def admit(self, context: Context, count: int) -> None:
        """Refuse a peer that sends too much; the message says so, and the official SDK tries again. And one taken back."""
        peer = address_of(context.peer())
        if not self._limits.admit(peer, count):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._limits.refusal(peer))
        for pem in context.auth_context().get("x509_pem_cert", ()):  # one, under mutual TLS
            refusal = self._peers.refusal(ssl.PEM_cert_to_DER_cert(pem.decode()))
            if refusal is not None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)
        await self.turn(context)

    async def turn(self, context: Context) -> None:
        """Wait until those who asked before, and those who asked less, have been looked at."""
        await self._limits.turns.take(address_of(context.peer()), context.peer())

    # Transactions and queries

    async def _send(self, data: bytes, context: Context) -> TxResponse:
        return await self._answer(data, context, wait=False)

    async def _send_sync(self, data: bytes, context: Context) -> TxResponse:
        return await self._answer(data, context, wait=True)

    async def _answer(self, data: bytes, context: Context, *, wait: bool) -> TxResponse:
        try:
            request = _decode_request(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is not a TxRequest")
            raise
        try:
            proven, chain = None, self.chains.get(request.payload.chain_id)
            if len(data) <= REQUEST_BYTES_MAX and chain is not None and takes_long_to_prove(chain, request, len(data)):
                [proven] = await self.prove([request])
            return await self.dispatch(request, len(data), wait=wait, proven=proven)
        except StoppedError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{error}: ask again by transaction id")
            raise

    async def prove(self, requests: list[TxRequest]) -> Sequence[Proven | None]:
        """Look at the senders' signatures together where all are invocations of one chain."""
        chain = self.chains.get(requests[0].payload.chain_id) if requests else None
        kinds = {(request.payload.chain_id, request.payload.tx_type) for request in requests}
        if chain is None or kinds != {(chain.chain_id, TxType.INVOKE_CONTRACT)}:
            return [None] * len(requests)
        return await chain.prove(requests)

    async def dispatch(self, request: TxRequest, size: int, *, wait: bool, proven: Proven | None = None) -> TxResponse:
        """Answer a request of any kind; with `wait`, an invocation once it rests. Raises StoppedError."""
        payload = request.payload
        try:
            if size > REQUEST_BYTES_MAX:
                text = f"the request is {size} bytes, at most {REQUEST_BYTES_MAX} are allowed"
                raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"tx verify failed, {text}")
            chain = self._chain(payload)
            METRICS.requests.labels(_TYPE_NAMES.get(payload.tx_type, "other")).inc()
            if payload.tx_type == TxType.QUERY_CONTRACT or _reads_at_the_door(request):
                response = await chain.query(request)
            elif payload.tx_type == TxType.INVOKE_CONTRACT:
                response = await (chain.submit_and_wait if wait else chain.submit)(request, size, proven)
                if wait:
                    response.message = ""
            elif payload.tx_type == TxType.ARCHIVE:
                response = await chain.archive(request)
            else:
                chain.authenticate(request)
                raise RefusedError(TxStatusCode.INTERNAL_ERROR, "unsupport tx_type")
        except RefusedError as error:
            response = self.refused(error, payload.tx_id)
        if response.code in _SDK_CANNOT_BEAR:
            response.code = TxStatusCode.CONTRACT_FAIL
        return response

    def _chain(self, payload: Payload) -> Chain:
        found = self.chains.get(payload.chain_id)
        if found is None:
            # The real node looks for the store of its system_chain before it finds that there is none.
            asked = payload.chain_id == _SYSTEM_CHAIN and payload.tx_type == TxType.QUERY_CONTRACT
            text = f"get {'store' if asked else 'chain conf'} failed, chain id {payload.chain_id[:256]} not found"
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, text)
        return found

    def submit_all(
        self, requests: Sequence[tuple[TxRequest, int]], proofs: Sequence[Proven]
    ) -> list[TxResponse | None]:
        """Take calls of one chain, each with its size, for the next block; return what to answer where one is not taken."""
        METRICS.requests.labels(_TYPE_NAMES[TxType.INVOKE_CONTRACT]).inc(len(requests))
        ends = self._chain(requests[0][0].payload).submit_all(requests, proofs)
        return [
            None if error is None else self.refused(error, request.payload.tx_id)
            for (request, _), error in zip(requests, ends, strict=True)
        ]

    @staticmethod
    def refused(error: RefusedError, tx_id: str) -> TxResponse:
        """Return the answer to a request that is not taken."""
        METRICS.refused.labels(str(error.code)).inc()
        return TxResponse(code=error.code, message=error.message, tx_id=tx_id)

    @staticmethod
    def is_special(request: TxRequest, size: int) -> bool:
        """Whether an invocation is not simply taken for the next block."""
        return size > REQUEST_BYTES_MAX or _reads_at_the_door(request)

    # Subscriptions

    async def _subscribe(self, data: bytes, context: Context) -> None:
        await self.admit(context, 1)
        try:
            request = _decode_request(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is not a TxRequest")
            raise
        await self._subscriptions.serve(request, context)

    async def _subscribe_raw(self, data: bytes, context: Context) -> None:
        try:
            raw = RawTxRequest.FromString(data).rawTx
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is not a RawTxRequest")
            raise
        await self._subscribe(raw, context)

    # The node itself

    async def _version(self, _: ChainMakerVersionRequest, __: Context) -> ChainMakerVersionResponse:
        return ChainMakerVersionResponse(version=CHAINMAKER_VERSION)

    async def _log_levels(self, _: LogLevelsRequest, __: Context) -> LogLevelsResponse:
        return LogLevelsResponse(code=1, message="log levels are set when the node starts: changan up --log-level")

    async def _debug_config(self, _: DebugConfigRequest, __: Context) -> DebugConfigResponse:
        return DebugConfigResponse(code=1, message="this node has no debug configuration")

    async def _check_config(self, _: CheckNewBlockChainConfigRequest, __: Context) -> CheckNewBlockChainConfigResponse:
        return CheckNewBlockChainConfigResponse()

    async def _pool_status(self, request: GetPoolStatusRequest, context: Context) -> TxPoolStatus:
        chain = await self._known(request.chain_id, context)
        count = len(chain.pool)
        return TxPoolStatus(config_tx_pool_size=0, common_tx_pool_size=50_000, common_tx_num_in_queue=count)

    async def _pool_ids(
        self, request: GetTxIdsByTypeAndStageRequest, context: Context
    ) -> GetTxIdsByTypeAndStageResponse:
        chain = await self._known(request.chain_id, context)
        if request.tx_stage == TxStage.IN_PENDING or request.tx_type == PoolTxType.CONFIG_TX:
            return GetTxIdsByTypeAndStageResponse()
        return GetTxIdsByTypeAndStageResponse(tx_ids=chain.pool.ids())

    async def _pool_transactions(
        self, request: GetTxsInPoolByTxIdsRequest, context: Context
    ) -> GetTxsInPoolByTxIdsResponse:
        chain = await self._known(request.chain_id, context)
        if len(request.tx_ids) > PACKED_MAX:
            text = f"{len(request.tx_ids)} transaction ids in one message, at most {PACKED_MAX} are allowed"
            await context.abort(grpc.StatusCode.UNKNOWN, text)
        response = GetTxsInPoolByTxIdsResponse()
        for tx_id in request.tx_ids:
            waiting = chain.pool.get(tx_id)
            if waiting is None:
                response.tx_ids.append(tx_id)
            else:
                sent = waiting.request
                response.txs.append(Transaction(payload=sent.payload, sender=sent.sender, endorsers=sent.endorsers))
        return response

    async def _tx_status(self, request: GetTxStatusRequest, context: Context) -> GetTxStatusResponse:
        chain = await self._known(request.chain_id, context)
        if chain.is_pending(request.tx_id):
            status = TxStatus.UNPACKAGED
        elif chain.reader.height_of_transaction(request.tx_id) is not None:
            status = TxStatus.COMMITTED
        else:
            status = TxStatus.UNKNOWN_STATUS
        return GetTxStatusResponse(tx_status=status, tx_id=request.tx_id)

    async def _consensus_state(self, request: GetConsensusStatusRequest, context: Context) -> BytesValue:
        chain = await self._known(request.chain_id, context)
        kind = _CONSENSUS_NAMES.get(chain.world.config.consensus.type, "unknown")
        return BytesValue(value=f'{{"type":"{kind}","height":{chain.reader.height}}}'.encode())

    async def _validators(self, request: GetConsensusStatusRequest, context: Context) -> Validators:
        chain = await self._known(request.chain_id, context)
        return Validators(nodes=[node for org in chain.world.config.consensus.nodes for node in org.node_id])

    async def _consensus_height(self, request: GetConsensusStatusRequest, context: Context) -> UInt64Value:
        chain = await self._known(request.chain_id, context)
        return UInt64Value(value=chain.reader.height)

    async def _sync_state(self, request: GetSyncStateRequest, context: Context) -> SyncState:
        chain = await self._known(request.chain_id, context)
        height = chain.reader.height
        # Alone, a node orders what it has: there is nothing to fetch and nobody who could be ahead.
        return SyncState(
            height=height, blocks_has_synced=height, config_show="solo: always in sync", timestamp=int(time.time())
        )

    async def _known(self, chain_id: str, context: Context) -> Chain:
        found = self.chains.get(chain_id)
        if found is None:
            await context.abort(grpc.StatusCode.UNKNOWN, f"chain id {chain_id[:256]} not found")
            raise AssertionError("abort raises")
        return found


_TYPE_NAMES = {
    TxType.INVOKE_CONTRACT: "invoke",
    TxType.QUERY_CONTRACT: "query",
    TxType.SUBSCRIBE: "subscribe",
    TxType.ARCHIVE: "archive",
}

_CONSENSUS_NAMES = {ConsensusType.SOLO: "SOLO", ConsensusType.TBFT: "TBFT"}


def _reads_at_the_door(request: TxRequest) -> bool:
    """The SDK sends this one question as an invocation and expects its answer at once."""
    payload = request.payload
    return payload.contract_name == SystemContract.CHAIN_CONFIG and payload.method == "GET_CHAIN_CONFIG_AT"


def takes_long_to_prove(chain: Chain, request: TxRequest, size: int) -> bool:
    """Whether a request's signatures are looked at in a thread."""
    suite = suite_of_digest(chain.world.config.crypto.hash)
    return size >= LARGE_BYTES[suite] or carries_bls(request.payload)


def _decode_request(data: bytes) -> TxRequest:
    return TxRequest.FromString(data)


def _encode(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def _decoding(
    kind: type[Message], method: Callable[[Any, Context], Awaitable[Message]]
) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def decoded(data: bytes, context: Context) -> Message:
        try:
            request = kind.FromString(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is not a {kind.__name__}")
            raise
        return await method(request, context)

    return decoded
