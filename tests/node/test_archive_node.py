"""Archiving on a running node: by the official SDK, with every door telling, and the audit still going through all."""

from __future__ import annotations

import httpx2
import pytest
from recorded_desk import Desk
from test_sdk_transport import run_sdk

from changan.ledger.wire.messages import ArchiveStatus, BlockHeader, BlockInfo, ChainConfig, TxResponse, TxType
from node_process import NodeProcess, changan

SDK = """
import sys
from chainmaker import ChainClient
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
client = ChainClient.from_conf(sys.argv[1])
height = int(sys.argv[2])
blocks = [client.get_full_block_by_height(at) for at in range(height + 1)]
archive = client.create_archive_block_payload(height)
assert client.send_archive_block_request(archive).code == 0
assert client.get_archived_block_height() == height
for at in range(height, -1, -1):
    restore = client.create_restore_block_payload(blocks[at].SerializeToString())
    assert client.send_restore_block_request(restore).code == 0
assert client.get_archived_block_height() == 0
assert client.get_block_by_height(height).block.header.block_height == height
"""


class Archivist:
    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.desk = Desk(node)
        self.ids = []
        for number in range(6):
            self.desk.sync("T", "P", {"k": "a", "v": str(number)})
            self.ids.append(self.desk.last.payload.tx_id)
        self.heights = [int(self.ask("GET_BLOCK_HEIGHT_BY_TX_ID", txId=tx_id)) for tx_id in self.ids]

    def send(self, method: str, parameters: dict[str, bytes], *, sender=None) -> TxResponse:
        request = self.desk.request(
            "ARCHIVE_MANAGE", method, parameters, sender=sender or self.desk.admins[0], tx_type=TxType.ARCHIVE
        )
        return self.desk.raw("SendRequest", request.SerializeToString())

    def archive(self, height: int) -> TxResponse:
        return self.send("ARCHIVE_BLOCK", {"BLOCK_HEIGHT": height.to_bytes(8, "little")})

    def restore(self, block: bytes) -> TxResponse:
        return self.send("RESTORE_BLOCK", {"FULL_BLOCK": block})

    def answer(self, method: str, **parameters: str) -> TxResponse:
        request = self.desk.request("CHAIN_QUERY", method, parameters, kind="query")
        return self.desk.raw("SendRequest", request.SerializeToString())

    def ask(self, method: str, **parameters: str) -> bytes:
        answer = self.answer(method, **parameters)
        assert answer.code == 0, answer.message
        return answer.contract_result.result

    def get(self, path: str) -> httpx2.Response:
        with self.node.connect() as client:
            return client.web.get(path)

    def verified(self) -> str:
        done = changan("verify", "--replay", "--home", str(self.node.home))
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def archivist(tmp_path):
    made = Archivist(NodeProcess(tmp_path / "home"))
    yield made
    made.desk.close()
    made.node.stop()


def test_the_life_of_an_archive(archivist):
    last, tx_id = archivist.heights[2], archivist.ids[2]
    block = archivist.ask("GET_FULL_BLOCK_BY_HEIGHT", blockHeight=str(last))
    assert archivist.archive(last).code == 0
    assert int(archivist.ask("GET_ARCHIVED_BLOCK_HEIGHT")) == last
    status = ArchiveStatus.FromString(archivist.ask("GET_ARCHIVE_STATUS"))
    assert (status.archive_pivot, status.max_allow_archive_height) == (last, archivist.desk.tip() - 1)
    for method, parameters in [
        ("GET_BLOCK_BY_HEIGHT", {"blockHeight": str(last)}),
        ("GET_FULL_BLOCK_BY_HEIGHT", {"blockHeight": str(last)}),
        ("GET_BLOCK_BY_TX_ID", {"txId": tx_id}),
        ("GET_TX_BY_TX_ID", {"txId": tx_id}),
    ]:
        answer = archivist.answer(method, **parameters)
        assert (answer.code, answer.contract_result.message) == (4, f"block {last} is archived, chainId:chain1")
    header = BlockHeader.FromString(archivist.ask("GET_BLOCK_HEADER_BY_HEIGHT", blockHeight=str(last)))
    assert header.block_height == last
    assert int(archivist.ask("GET_BLOCK_HEIGHT_BY_TX_ID", txId=tx_id)) == last
    archivist.ask("GET_BLOCK_BY_HEIGHT", blockHeight="0")  # configurations stay
    for path in (
        f"/v1/blocks/{last}",
        f"/v1/transactions/{tx_id}",
        f"/v1/receipts/{tx_id}",
        f"/v1/events?start={last}",
    ):
        assert archivist.get(path).status_code == 410, path
    ended = archivist.desk.listen(archivist.desk.subscription("SUBSCRIBE_BLOCK", last, archivist.desk.tip()))
    assert ended == ([], f"gRPC NOT_FOUND `block {last} is archived: have it restored, or start above`")
    archivist.verified()

    # A transaction that was archived does not run again.
    archivist.desk.sync("T", "P", {"k": "a", "v": "b"}, tx_id=tx_id)
    assert archivist.desk.tip() == archivist.heights[-1]
    refused = archivist.restore(b"\x0a\x02\x08\x01")
    assert "this is not block 0" in refused.message
    assert archivist.restore(block).code == 0
    assert int(archivist.ask("GET_ARCHIVED_BLOCK_HEIGHT")) == 0
    assert archivist.ask("GET_FULL_BLOCK_BY_HEIGHT", blockHeight=str(last)) == block
    archivist.verified()


def test_configurations_stay_readable(archivist):
    assert archivist.desk.configure("BLOCK_UPDATE", {"block_tx_capacity": "77"})[1].startswith("0 SUCCESS")
    changed = archivist.desk.tip()
    for _ in range(2):
        archivist.desk.sync("T", "P", {"k": "a", "v": "b"})
    assert archivist.archive(changed + 1).code == 0
    for method, parameters in [("GET_BLOCK_BY_HEIGHT", {"blockHeight": str(changed)}), ("GET_LAST_CONFIG_BLOCK", {})]:
        found = BlockInfo.FromString(archivist.ask(method, **parameters))
        assert found.block.header.block_height == changed
    assert archivist.answer("GET_BLOCK_BY_HEIGHT", blockHeight=str(changed + 1)).code == 4
    asked = archivist.desk.request("CHAIN_CONFIG", "GET_CHAIN_CONFIG_AT", {"block_height": str(changed)}, kind="query")
    answer = archivist.desk.raw("SendRequest", asked.SerializeToString())
    assert ChainConfig.FromString(answer.contract_result.result).block.block_tx_capacity == 77


def test_a_node_goes_on_without_its_archive(archivist):
    node = archivist.node
    last = archivist.heights[3]
    assert archivist.archive(last).code == 0
    archivist.desk.sync("T", "P", {"k": "a", "v": "after"})
    assert node.stop() == 0
    archive = node.home / "chains" / "chain1" / "log" / "archive"
    archive.rename(node.home / "tape")
    again = NodeProcess(node.home)
    try:
        with again.connect() as client:
            client.invoke("T", "P", {"k": "a", "v": "again"})
        told = httpx2.get(f"{again.http}/v1/blocks/{last}", timeout=10)
        assert told.status_code == 410
        assert "its file is not in" in told.json()["detail"]
    finally:
        assert again.stop() == 0
    failed = changan("verify", "--home", str(node.home))
    assert failed.returncode == 1
    assert "block 0 is archived, and its file is not in" in failed.stderr
    (node.home / "tape").rename(archive)
    archivist.verified()


def test_what_is_refused(archivist):
    tip = archivist.desk.tip()
    assert archivist.archive(1).code == 0
    missing = "check {0} block payload params failed, invalid key, must be {1}"
    for answer, says in [
        (archivist.send("ARCHIVE_BLOCK", {}), missing.format("archive", "BLOCK_HEIGHT")),
        (archivist.send("RESTORE_BLOCK", {}), missing.format("restore", "FULL_BLOCK")),
        (archivist.send("ARCHIVE_BLOCK", {"BLOCK_HEIGHT": b"1"}), "is 8 bytes, little-endian"),
        (archivist.send("RESTORE_BLOCK", {"FULL_BLOCK": b"\xff"}), "FULL_BLOCK is no block"),
        (archivist.send("MOVE", {}), "unsupport archive method"),
        (archivist.archive(1), "blocks up to 1 are archived already"),
        (archivist.archive(tip), f"blocks up to {tip - 1} can be archived now, not {tip}"),
        (archivist.archive(2**64 - 1), "can be archived now"),
        (
            archivist.send("ARCHIVE_BLOCK", {"BLOCK_HEIGHT": bytes(8)}, sender=archivist.desk.client),
            "signers do not meet the requirement (ARCHIVE)",
        ),
    ]:
        assert answer.code == 5
        assert says in answer.message


def test_the_sdk_archives_and_restores(archivist):
    config = (archivist.node.home / "sdk_config.yml").read_text().replace("client1", "admin1")
    (archivist.node.home / "sdk_config_admin.yml").write_text(config)
    run_sdk(SDK, str(archivist.node.home / "sdk_config_admin.yml"), str(archivist.heights[3]))
