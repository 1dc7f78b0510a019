"""Streams of blocks, transactions and events: where they start and end, what a light member sees, and readers that stop reading."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc
import httpx2
import pytest
from inside import node_inside
from recorded_cases import FACT, HASH
from recorded_desk import ENDLESS_S, Desk

from changan.crypto.digest import sha256
from changan.ledger.hashing import block_hash
from changan.ledger.wire.messages import (
    BlockInfo,
    BlockWithRWSet,
    ContractEventInfoList,
    Member,
    MemberType,
    RawTxRequest,
    SubscribeResult,
    Transaction,
)
from changan.node import subscribe, subscribe_render
from changan.node.metrics import METRICS

EVENTS = "SUBSCRIBE_CONTRACT_EVENT"


@pytest.fixture(scope="module")
def desk(node):
    made = Desk(node)
    made.install("fact1", FACT)
    for org in range(3):
        made.send("T", "P", {"k": "a", "v": str(org)}, sender=made.clients[org])
        made.send("fact1", "save", {"file_hash": HASH, "file_name": "n", "time": "1"}, sender=made.clients[org])
    yield made
    made.close()


def events_of(data: list[bytes]) -> list[list[tuple[int, str]]]:
    return [
        [(event.block_height, event.topic) for event in ContractEventInfoList.FromString(item).contract_events]
        for item in data
    ]


class Following:
    """A stream that is read while something happens."""

    def __init__(self, desk: Desk, request, timeout: float = 10) -> None:
        call = desk.channel.unary_stream("/api.RpcNode/Subscribe", response_deserializer=SubscribeResult.FromString)
        self.call = call(request.SerializeToString(), timeout=timeout)

    def next(self) -> bytes:
        return next(self.call).data


@pytest.mark.parametrize(
    ("method", "start", "end"),
    [("SUBSCRIBE_BLOCK", -1, -1), ("SUBSCRIBE_TX", -1, -1), (EVENTS, -1, -1), (EVENTS, 0, 0)],
)
def test_from_now_on(desk, method, start, end):
    assert desk.listen(desk.subscription(method, start, end), ENDLESS_S) == ([], "gRPC DEADLINE_EXCEEDED")
    following = Following(desk, desk.subscription(method, start, end))
    await_open(desk)
    tip = desk.tip()
    for above in (1, 2):
        desk.sync("T", "P", {"k": "a", "v": "b"})
        data = following.next()
        if method == "SUBSCRIBE_BLOCK":
            assert BlockInfo.FromString(data).block.header.block_height == tip + above
        elif method == EVENTS:
            assert events_of([data]) == [[(tip + above, "")]]
        else:
            assert Transaction.FromString(data).payload.tx_id == desk.last.payload.tx_id
    following.call.cancel()


def await_open(desk: Desk) -> None:
    """Wait until the node has the one stream that is followed."""
    deadline = time.monotonic() + 10
    while "changan_subscriptions 1.0" not in httpx2.get(f"{desk.http}/metrics", timeout=10).text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("method", "count"), [("SUBSCRIBE_BLOCK", 1), ("SUBSCRIBE_TX", 1)])
def test_nought_to_nought_is_genesis_for_blocks_and_transactions(desk, method, count):
    found, ended = desk.listen(desk.subscription(method, 0, 0))
    assert (len(found), ended) == (count, "stream ended OK")


def test_a_bounded_stream_waits_for_its_last_block_and_ends_with_it(desk):
    tip = desk.tip()
    following = Following(desk, desk.subscription("SUBSCRIBE_BLOCK", tip, tip + 2))
    for above in range(3):
        assert BlockInfo.FromString(following.next()).block.header.block_height == tip + above
        if above < 2:
            desk.sync("T", "P", {"k": "a", "v": "b"})
    with pytest.raises(StopIteration):
        following.next()


def test_a_start_beyond_the_tip_is_the_tip(desk):
    tip = desk.tip()
    for method in ("SUBSCRIBE_BLOCK", "SUBSCRIBE_TX", EVENTS):
        found, ended = desk.listen(desk.subscription(method, tip + 5, -1), ENDLESS_S)
        assert (len(found), ended) == (1, "gRPC DEADLINE_EXCEEDED")


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        ("SUBSCRIBE_BLOCK", "check subscribe block payload failed"),
        ("SUBSCRIBE_TX", "check subscribe tx payload params failed"),
        (EVENTS, "check subscribe contract event payload params failed"),
    ],
)
def test_ranges_that_are_none(desk, method, complaint):
    for start, end, says in [
        (5, 3, "invalid start block height or end block height"),
        (-2, 3, "invalid start block height or end block height"),
        (0, -2, "invalid start block height or end block height"),
        (bytes(4), 3, "unexpected EOF"),
        (b"", 3, "EOF"),
    ]:
        found, ended = desk.listen(desk.subscription(method, start, end))
        assert (found, ended) == ([], f"gRPC INVALID_ARGUMENT `{complaint}, {says}`")
    found, ended = desk.listen(desk.subscription(method, 0, 3, parameters={"CURSOR": "7"}))
    assert "CURSOR is not of the form height.transaction.event" in ended


def test_who_may_not_subscribe_is_told(desk):
    organisation = desk.crypto.organisations[0]
    files = organisation.node()
    node = type(desk.client).from_files(organisation.org_id, files.sign_certificate, files.sign_key)
    _, ended = desk.listen(desk.subscription("SUBSCRIBE_BLOCK", 0, 0, sender=node))
    assert "UNAUTHENTICATED" in ended
    assert "authentication fail: signers do not meet the requirement (SUBSCRIBE)" in ended
    _, ended = desk.listen(desk.subscription("SUBSCRIBE_BLOCK", 0, 0, sender=desk.stranger("wx-org1.chainmaker.org")))
    assert "UNAUTHENTICATED" in ended
    assert "all endorsers have failed verification" in ended


def test_a_member_that_is_frozen_meanwhile_reads_no_further(desk):
    following = Following(desk, desk.subscription("SUBSCRIBE_BLOCK", desk.tip(), -1, sender=desk.light))
    assert following.next()
    certificate = {"certs": desk.light.member.member_info}
    desk.send("CERT_MANAGE", "CERTS_FREEZE", certificate, sender=desk.admins[0])
    with pytest.raises(grpc.RpcError) as refused:
        following.next()
    desk.send("CERT_MANAGE", "CERTS_UNFREEZE", certificate, sender=desk.admins[0])
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "all endorsers have failed verification" in refused.value.details()


def test_a_light_member_sees_whole_headers_and_the_transactions_of_its_organisation(desk):
    tip = desk.tip()
    own = desk.light.member.org_id
    whole, _ = desk.listen(desk.subscription("SUBSCRIBE_BLOCK", 0, tip))
    seen, _ = desk.listen(
        desk.subscription("SUBSCRIBE_BLOCK", 0, tip, sender=desk.light, parameters={"WITH_RWSET": "true"})
    )
    kept = 0
    for all_of_it, part in zip(map(BlockInfo.FromString, whole), map(BlockInfo.FromString, seen), strict=True):
        assert part.block.header == all_of_it.block.header
        assert block_hash(part.block.header, sha256) == part.block.header.block_hash
        expected = [tx for tx in all_of_it.block.txs if tx.sender.signer.org_id == own]
        assert list(part.block.txs) == expected
        assert not part.rwset_list
        kept += len(expected)
    assert not BlockInfo.FromString(seen[0]).block.txs
    assert 0 < kept < sum(len(BlockInfo.FromString(data).block.txs) for data in whole)
    transactions, _ = desk.listen(desk.subscription("SUBSCRIBE_TX", 0, tip, sender=desk.light))
    assert len(transactions) == kept


def test_transactions_by_contract_by_id_and_by_prefix(desk):
    tip = desk.tip()

    def transactions(end: int = tip, **parameters) -> list[Transaction]:
        request = desk.subscription("SUBSCRIBE_TX", 0, end, parameters=parameters)
        found, ended = desk.listen(request)
        assert ended == "stream ended OK"
        return [Transaction.FromString(data) for data in found]

    everything = transactions()
    assert {tx.payload.contract_name for tx in transactions(CONTRACT_NAME="fact1")} == {"fact1"}
    wanted = {tx.payload.tx_id for tx in everything[2:4]}
    found = transactions(-1, TX_IDS=",".join(wanted))  # an open stream ends when all that were named have come
    assert {tx.payload.tx_id for tx in found} == wanted
    one = everything[3]
    assert transactions(PRE_TX_ID=one.payload.tx_id[:20]) == [one]
    second = [tx for tx in everything if tx.sender.signer.org_id == "wx-org2.chainmaker.org"]
    assert transactions(PRE_ORG_ID="wx-org2") == second
    assert second
    assert transactions(PRE_ALIAS="nobody") == []


def test_transactions_by_the_senders_alias(desk):
    desk.send("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": "lab.one"})
    member = Member(org_id=desk.client.member.org_id, member_type=MemberType.ALIAS, member_info=b"lab.one")
    reply, in_block = desk.send("T", "P", {"k": "a", "v": "b"}, sender=type(desk.client)(member, desk.client.key))
    assert reply == "0 SUCCESS `OK`"
    assert in_block.startswith("0 SUCCESS")
    request = desk.subscription("SUBSCRIBE_TX", 0, desk.tip(), parameters={"PRE_ALIAS": "lab."})
    found, _ = desk.listen(request)
    assert [Transaction.FromString(data).payload.tx_id for data in found] == [desk.last.payload.tx_id]


def test_events_tell_every_height_and_filter_by_contract_and_topic(desk):
    tip = desk.tip()

    def heights(**parameters) -> list[list[tuple[int, str]]]:
        found, ended = desk.listen(desk.subscription(EVENTS, 0, tip, parameters=parameters))
        assert ended == "stream ended OK"
        return events_of(found)

    saved = heights(CONTRACT_NAME="fact1")
    assert [block[0][0] for block in saved] == list(range(tip + 1))
    assert sum(event[1] == "Saved" for block in saved for event in block) == 3
    assert heights(CONTRACT_NAME="fact1", TOPIC="Saved") == saved
    assert heights(CONTRACT_NAME="fact1", TOPIC="Other") == [[(height, "")] for height in range(tip + 1)]
    everything = heights()
    assert {topic for block in everything for _, topic in block} >= {"", "Saved"}


def test_the_same_over_the_web_sockets_method(desk):
    request = desk.subscription("SUBSCRIBE_BLOCK", 0, 3)
    call = desk.channel.unary_stream("/api.RpcNode/SubscribeWS", response_deserializer=SubscribeResult.FromString)
    raw = RawTxRequest(rawTx=request.SerializeToString())
    found = [message.data for message in call(raw.SerializeToString(), timeout=10)]
    assert found == desk.listen(request)[0]
    assert len(found) == 4


# Inside the node: readers that stop reading, large messages, a node that stops


def open_streams() -> float:
    return METRICS.registry.get_sample_value("changan_subscriptions")


def resident_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def collect(stream, found: list[bytes]) -> None:
    async for data in stream:
        found.append(data)  # noqa: PERF401  # what came before the stream breaks off must stay


async def until(condition, seconds: float = 15) -> None:
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came to that")


async def test_readers_that_never_read_cost_little_and_are_cut_off_with_a_cursor(tmp_path, monkeypatch):
    monkeypatch.setattr(subscribe, "PATIENCE_S", 2.0)
    async with node_inside(tmp_path / "home") as inside:
        for _ in range(150):
            await inside.put(200_000)
        tip = inside.chain.reader.height
        before = resident_mib()
        streams = [inside.subscribe("SUBSCRIBE_BLOCK", 0, tip) for _ in range(20)]
        await until(lambda: open_streams() == len(streams))
        await until(lambda: open_streams() == 0)
        assert resident_mib() - before < 150, "20 readers of 30 MB each"
        for stream in streams[1:]:
            stream.cancel()
        found: list[bytes] = []
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await collect(streams[0], found)
        assert cut.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        cursor = dict(cut.value.trailing_metadata())[subscribe.CURSOR_KEY]
        assert cursor in cut.value.details()
        assert 0 < len(found) < tip
        height = int(cursor.split(".")[0])
        assert len(found) - 1 <= height <= len(found)  # the message that was being sent may have come
        rest = [data async for data in inside.subscribe("SUBSCRIBE_BLOCK", 0, tip, CURSOR=cursor)]
        assert len(rest) == tip + 1 - height
        assert found[:height] + rest == [data async for data in inside.subscribe("SUBSCRIBE_BLOCK", 0, tip)]


async def test_a_cursor_goes_on_inside_a_block(tmp_path):
    async with node_inside(tmp_path / "home") as inside:
        requests = [inside.request("T", "P", {"k": "a", "v": "b"}) for _ in range(5)]
        await asyncio.gather(*(inside.chain.submit_and_wait(request, 100) for request in requests))
        assert len(inside.chain.reader.block(1).block.txs) == 5
        everything = [data async for data in inside.subscribe("SUBSCRIBE_TX", 0, 1)]
        assert len(everything) == 6
        for at in range(5):
            cursor = f"1.{at}.0"
            assert [data async for data in inside.subscribe("SUBSCRIBE_TX", 0, 1, CURSOR=cursor)] == everything[
                at + 1 :
            ]


async def test_a_node_that_stops_says_where_to_go_on(tmp_path):
    async with node_inside(tmp_path / "home") as inside:
        await inside.put()
        stream = inside.subscribe("SUBSCRIBE_BLOCK", 0, -1)
        assert await stream.read()
        assert await stream.read()
        await inside.chain.stop()
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await stream.read()
        assert cut.value.code() == grpc.StatusCode.UNAVAILABLE
        assert dict(cut.value.trailing_metadata())[subscribe.CURSOR_KEY] == "2.0.0"


async def test_a_reader_that_goes_away_leaves_nothing_behind(tmp_path):
    async with node_inside(tmp_path / "home") as inside:
        streams = [inside.subscribe("SUBSCRIBE_BLOCK", -1, -1) for _ in range(10)]
        await until(lambda: open_streams() == 10)
        for stream in streams:
            stream.cancel()
        await until(lambda: open_streams() == 0)


def test_large_events_of_one_block_travel_in_several_messages(monkeypatch):
    stored = BlockWithRWSet()
    stored.block.header.block_height = 7
    for tx in range(4):
        result = stored.block.txs.add().result.contract_result
        for number in range(3):
            result.contract_event.add(topic=f"{tx}.{number}", contract_name="c", event_data=["x" * 1000])
    wanted = subscribe_render.Wanted(reader=None)
    assert len(list(subscribe_render.render_events(stored, wanted))) == 1
    monkeypatch.setattr(subscribe_render, "EVENT_BYTES_MAX", 2500)
    items = list(subscribe_render.render_events(stored, wanted))
    assert len(items) == 6
    topics = [event.topic for item in items for event in ContractEventInfoList.FromString(item.data).contract_events]
    assert topics == [f"{tx}.{number}" for tx in range(4) for number in range(3)]
    assert [(item.transaction, item.event) for item in items] == [
        tuple(map(int, topic.split("."))) for topic in topics[::2]
    ]
