"""Every method of api.RpcNode that ChainMaker's documentation and its SDKs know: what it says, and of a chain it does not know."""

from __future__ import annotations

import json
import time

import grpc
import pytest
from inside import node_inside

from changan.client.requests import sign_request
from changan.ledger.wire import messages
from changan.ledger.wire.messages import (
    BytesValue,
    ChainMakerVersionRequest,
    ChainMakerVersionResponse,
    CheckNewBlockChainConfigRequest,
    CheckNewBlockChainConfigResponse,
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
    SyncState,
    TxPoolStatus,
    TxRequest,
    TxStage,
    TxStatus,
    TxType,
    UInt64Value,
    Validators,
)
from changan.node.pki.layout import read_crypto_config

UNARY = {
    "SendRequest": (TxRequest, messages.TxResponse),
    "SendRequestSync": (TxRequest, messages.TxResponse),
    "GetChainMakerVersion": (ChainMakerVersionRequest, ChainMakerVersionResponse),
    "RefreshLogLevelsConfig": (LogLevelsRequest, LogLevelsResponse),
    "UpdateDebugConfig": (DebugConfigRequest, DebugConfigResponse),
    "CheckNewBlockChainConfig": (CheckNewBlockChainConfigRequest, CheckNewBlockChainConfigResponse),
    "GetPoolStatus": (GetPoolStatusRequest, TxPoolStatus),
    "GetTxIdsByTypeAndStage": (GetTxIdsByTypeAndStageRequest, GetTxIdsByTypeAndStageResponse),
    "GetTxsInPoolByTxIds": (GetTxsInPoolByTxIdsRequest, GetTxsInPoolByTxIdsResponse),
    "GetTxStatus": (GetTxStatusRequest, GetTxStatusResponse),
    "GetConsensusStateJSON": (GetConsensusStatusRequest, BytesValue),
    "GetConsensusValidators": (GetConsensusStatusRequest, Validators),
    "GetConsensusHeight": (GetConsensusStatusRequest, UInt64Value),
    "GetSyncState": (GetSyncStateRequest, SyncState),
}
STREAMS = ("Subscribe", "SubscribeWS")
OF_A_CHAIN = [name for name, (kind, _) in UNARY.items() if "chain_id" in kind.DESCRIPTOR.fields_by_name]


@pytest.fixture(scope="module")
def channel(node):
    with grpc.insecure_channel(node.rpc) as opened:
        yield opened


def ask(channel, method: str, **fields):
    kind, answer = UNARY[method]
    call = channel.unary_unary(f"/api.RpcNode/{method}", response_deserializer=answer.FromString)
    return call(kind(**fields).SerializeToString(), timeout=10)


def test_the_service_text_and_the_door_know_the_same_methods(channel):
    service = messages._pool.FindServiceByName("api.RpcNode")
    assert {method.name for method in service.methods} == {*UNARY, *STREAMS}
    for method in service.methods:
        if method.name in UNARY:
            assert (method.input_type.name, method.output_type.name) == tuple(
                kind.DESCRIPTOR.name for kind in UNARY[method.name]
            )
        with pytest.raises(grpc.RpcError) as refused:
            list(channel.unary_stream(f"/api.RpcNode/{method.name}")(b"\xff", timeout=10))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "the message is not a" in refused.value.details()
    with pytest.raises(grpc.RpcError) as unknown:
        channel.unary_unary("/api.RpcNode/Nope")(b"", timeout=10)
    assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", OF_A_CHAIN)
def test_an_unknown_chain_is_named(channel, method):
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, method, chain_id="chain9")
    assert (refused.value.code(), refused.value.details()) == (
        grpc.StatusCode.UNKNOWN,
        "chain id chain9 not found",
    )


def test_an_unknown_chain_is_named_where_requests_are_sent(channel):
    request = {"payload": {"chain_id": "chain9"}}
    for method in ("SendRequest", "SendRequestSync"):
        answer = ask(channel, method, **request)
        assert (answer.code, answer.message) == (5, "get chain conf failed, chain id chain9 not found")
    data = TxRequest(**request).SerializeToString()
    for method, sent in (("Subscribe", data), ("SubscribeWS", messages.RawTxRequest(rawTx=data).SerializeToString())):
        with pytest.raises(grpc.RpcError) as refused:
            list(channel.unary_stream(f"/api.RpcNode/{method}")(sent, timeout=10))
        assert (refused.value.code(), refused.value.details()) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "get chain conf failed, chain id chain9 not found",
        )


def test_the_node_of_itself(channel):
    assert ask(channel, "GetChainMakerVersion").version == "v2.3.7"
    assert ask(channel, "CheckNewBlockChainConfig") == CheckNewBlockChainConfigResponse()
    for method in ("RefreshLogLevelsConfig", "UpdateDebugConfig"):
        answer = ask(channel, method)
        assert answer.code == 1
        assert answer.message


def test_a_node_alone_is_always_in_sync(node, channel):
    height = node.get("/v1/chains")[0]["height"]
    for with_peers in (False, True):
        state = ask(channel, "GetSyncState", chain_id="chain1", with_peers=with_peers)
        assert (state.height, state.blocks_has_synced, state.blocks_in_cache) == (height, height, 0)
        assert (state.archived_height, list(state.others)) == (0, [])
        assert abs(state.timestamp - time.time()) < 60


def test_agreement(node, channel):
    height = node.get("/v1/chains")[0]["height"]
    assert ask(channel, "GetConsensusHeight", chain_id="chain1").value == height
    state = json.loads(ask(channel, "GetConsensusStateJSON", chain_id="chain1").value)
    assert state == {"type": "SOLO", "height": height}
    nodes = ask(channel, "GetConsensusValidators", chain_id="chain1").nodes
    assert list(nodes) == [read_crypto_config(node.home).organisations[0].node_id]


def test_an_empty_pool(node, channel):
    status = ask(channel, "GetPoolStatus", chain_id="chain1")
    assert (status.common_tx_pool_size, status.common_tx_num_in_queue) == (50_000, 0)
    everything = {"tx_type": PoolTxType.ALL_TYPE, "tx_stage": TxStage.ALL_STAGE}
    assert not ask(channel, "GetTxIdsByTypeAndStage", chain_id="chain1", **everything).tx_ids
    with node.connect() as client:
        sent = client.invoke("T", "P", {"k": "a", "v": "b"})
    for tx_id, status in ((sent.tx_id, TxStatus.COMMITTED), ("0" * 64, TxStatus.UNKNOWN_STATUS)):
        answer = ask(channel, "GetTxStatus", chain_id="chain1", tx_id=tx_id)
        assert (answer.tx_status, answer.tx_id) == (status, tx_id)
    with pytest.raises(grpc.RpcError, match="at most 10000"):
        ask(channel, "GetTxsInPoolByTxIds", chain_id="chain1", tx_ids=["0"] * 10_001)


async def test_requests_that_wait_are_shown_by_the_pools_methods(tmp_path):
    async with node_inside(tmp_path / "home") as inside:
        inside.node._tasks["chain1"].cancel()  # blocks are made no more
        request = inside.request("T", "P", {"k": "a", "v": "b"})
        tx_id = request.payload.tx_id
        assert (await inside.send(request)).message == "OK"
        assert (await inside.send(request)).message == "OK"  # a retry of what waits: it runs once

        async def pool(method: str, **fields):
            kind, answer = UNARY[method]
            call = inside.channel.unary_unary(f"/api.RpcNode/{method}", response_deserializer=answer.FromString)
            return await call(kind(chain_id="chain1", **fields).SerializeToString(), timeout=10)

        assert (await pool("GetPoolStatus")).common_tx_num_in_queue == 1
        for tx_type, stage, found in [
            (PoolTxType.COMMON_TX, TxStage.IN_QUEUE, [tx_id]),
            (PoolTxType.ALL_TYPE, TxStage.ALL_STAGE, [tx_id]),
            (PoolTxType.CONFIG_TX, TxStage.IN_QUEUE, []),
            (PoolTxType.COMMON_TX, TxStage.IN_PENDING, []),
        ]:
            assert list((await pool("GetTxIdsByTypeAndStage", tx_type=tx_type, tx_stage=stage)).tx_ids) == found
        answer = await pool("GetTxsInPoolByTxIds", tx_ids=[tx_id, "0" * 64])
        assert [tx.payload for tx in answer.txs] == [request.payload]
        assert list(answer.tx_ids) == ["0" * 64]
        assert (await pool("GetTxStatus", tx_id=tx_id)).tx_status == TxStatus.UNPACKAGED


async def test_a_full_block_is_the_same_from_memory_and_from_disk(tmp_path):
    """The real node leaves the list of events beside the block empty; they stand in its transactions."""
    async with node_inside(tmp_path / "home") as inside:
        request = inside.request("CERT_MANAGE", "CERTS_UNFREEZE", {"certs": inside.client.member.member_info})
        admin = inside.signer("admin1")
        request = sign_request(request.payload, admin)
        height = (await inside.chain.submit_and_wait(request, request.ByteSize())).tx_block_height
        question = inside.request(
            "CHAIN_QUERY", "GET_FULL_BLOCK_BY_HEIGHT", {"blockHeight": str(height)}, tx_type=TxType.QUERY_CONTRACT
        )
        warm = await inside.send(question)
        inside.chain.reader._cache.clear()
        cold = await inside.send(question)
        assert warm.contract_result == cold.contract_result
        block = messages.BlockWithRWSet.FromString(cold.contract_result.result)
        assert len(block.block.txs[0].result.contract_result.contract_event) == 1
        assert not block.contract_events
