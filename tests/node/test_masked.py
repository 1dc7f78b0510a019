"""Transactions on the black list: every door shows that they are there, and none shows what is in them."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
import pytest
from recorded_desk import Desk

from changan.client.connect import CallError, connect
from changan.crypto.addresses import AddressType, user_address
from changan.crypto.digest import sha256
from changan.ledger.wire.messages import BlockInfo, BlockWithRWSet, Transaction, TransactionInfoWithRWSet
from changan.node.hidden import VIOLATION
from node_process import NodeProcess, changan

SECRET = b"what-nobody-should-read"
OPEN = b"what-everybody-may-read"


@dataclass
class Case:
    node: NodeProcess
    desk: Desk
    secret: str  # the masked transaction
    shown: str  # its neighbour
    height: int

    def ask(self, method: str, **parameters: str) -> bytes:
        request = self.desk.request("CHAIN_QUERY", method, parameters, kind="query")
        return self.desk.raw("SendRequest", request.SerializeToString()).contract_result.result

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.node.http}{path}", timeout=10)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    node = NodeProcess(tmp_path_factory.mktemp("masked") / "home")
    desk = Desk(node)
    ids = []
    for text in (SECRET, OPEN):
        assert desk.sync("T", "P", {"k": text.decode(), "v": text.decode()})[0].startswith("0 SUCCESS")
        ids.append(desk.last.payload.tx_id)
    made = Case(node, desk, ids[0], ids[1], 0)
    assert SECRET in made.ask("GET_TX_BY_TX_ID", txId=ids[0], withRWSet="true")
    found = TransactionInfoWithRWSet.FromString(made.ask("GET_TX_BY_TX_ID", txId=ids[0], withRWSet="true"))
    made.height = found.block_height
    admin = desk.admins[0]
    address = user_address(admin.key.public, AddressType.ETHEREUM, sha256).hex()
    assert desk.configure("SET_ACCOUNT_MANAGER_ADMIN", {"address_key": address})[1].startswith("0 SUCCESS")
    black = desk.send("TRANSACTION_MANAGER", "ADD_BLACKLIST_TX_IDS", {"txIds": ids[0]}, sender=admin)
    assert black[1].startswith("0 SUCCESS")
    yield made
    desk.close()
    assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(node.home))
    assert verified.returncode == 0, verified.stderr


def test_questions_about_the_transaction(case):
    answer = case.ask("GET_TX_BY_TX_ID", txId=case.secret, withRWSet="true")
    assert SECRET not in answer
    found = TransactionInfoWithRWSet.FromString(answer)
    assert found.transaction.payload.tx_id == case.secret
    assert found.transaction.payload.method == found.transaction.result.contract_result.message == VIOLATION
    assert not found.rw_set.tx_writes
    assert OPEN in case.ask("GET_TX_BY_TX_ID", txId=case.shown, withRWSet="true")


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("GET_BLOCK_BY_HEIGHT", "blockHeight"),
        ("GET_FULL_BLOCK_BY_HEIGHT", "blockHeight"),
        ("GET_BLOCK_BY_TX_ID", "txId"),
    ],
)
def test_questions_about_the_block(case, method, parameter):
    asked = {parameter: str(case.height) if parameter == "blockHeight" else case.secret, "withRWSet": "true"}
    answer = case.ask(method, **asked)
    assert SECRET not in answer
    kind = BlockWithRWSet if method.startswith("GET_FULL") else BlockInfo
    assert case.secret in [tx.payload.tx_id for tx in kind.FromString(answer).block.txs]


def test_streams(case):
    for method in ("SUBSCRIBE_BLOCK", "SUBSCRIBE_TX", "SUBSCRIBE_CONTRACT_EVENT"):
        parameters = {"WITH_RWSET": "true"} if method == "SUBSCRIBE_BLOCK" else {}
        request = case.desk.subscription(method, 0, case.desk.tip(), parameters=parameters)
        found, _ = case.desk.listen(request)
        assert not any(SECRET in item for item in found)
        if method == "SUBSCRIBE_TX":
            assert case.secret in [Transaction.FromString(item).payload.tx_id for item in found]


def test_http(case):
    for path in (f"/v1/blocks/{case.height}", f"/v1/transactions/{case.secret}"):
        answer = case.get(path)
        assert answer.status_code == 200
        assert "d2hhdC1ub2JvZHkt" not in answer.text  # the secret in base64
        assert SECRET.decode() not in answer.text
    receipt = case.get(f"/v1/receipts/{case.secret}")
    assert receipt.status_code == 404
    assert "is masked" in receipt.text
    assert case.get(f"/v1/receipts/{case.shown}").status_code == 200


def test_proofs_of_what_a_block_wrote(case):
    """Neighbours stand in one group of the delta, so none of the block's rows is shown."""
    written = TransactionInfoWithRWSet.FromString(case.ask("GET_TX_BY_TX_ID", txId=case.shown, withRWSet="true"))
    key = written.rw_set.tx_writes[0].key.decode()
    assert case.get(f"/v1/contracts/T/fields/{key}/proof?block={written.block_height}").status_code == 200
    secret = key.replace(OPEN.decode(), SECRET.decode())
    refused = case.get(f"/v1/contracts/T/fields/{secret}/proof?block={case.height}")
    assert refused.status_code == 404
    assert "is masked" in refused.json()["detail"]


def test_the_rows_of_a_bundle(case):
    with connect(home=case.node.home) as client:
        (sent,) = client.invoke_many("evidence", "put", {"digest": [bytes(32)], "note": [SECRET.decode()]})
        tx_id = sent.answer.tx_id
        asked = [("BUNDLE", {"tx_id": tx_id}), ("ROW_RECEIPT", {"tx_id": tx_id, "row": "0"})]
        for method, arguments in asked:
            assert client.query("CHANGAN", method, arguments).result
        black = case.desk.send(
            "TRANSACTION_MANAGER", "ADD_BLACKLIST_TX_IDS", {"txIds": tx_id}, sender=case.desk.admins[0]
        )
        assert black[1].startswith("0 SUCCESS")
        for method, arguments in asked:
            with pytest.raises(CallError, match="masked"):
                client.query("CHANGAN", method, arguments)
    receipts = f"/v1/receipts/{tx_id}"
    for path in (receipts, f"{receipts}?row=0"):
        answer = case.get(path)
        assert answer.status_code != 200
        assert SECRET not in answer.content
