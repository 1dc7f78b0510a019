"""The distilled lane through the doors: clients register, a broker gathers, all sign, and the node takes it or says why not."""

from __future__ import annotations

import asyncio
import os
import sys

import httpx2
import pytest

from changan import connect_async
from changan.client.connect import CallError, OfferError, ShareError, TableError
from changan.client.requests import sign_request
from changan.crypto.bls import BlsSigningKey
from changan.ledger.wire.messages import PackedRequests, PackedResponses
from node_process import NodeProcess, changan

pytest.importorskip("chia_rs")
ORGANISATIONS = [f"wx-org{n}.chainmaker.org" for n in range(1, 5)]
NOBODY = "22" * 20


def key(number: int) -> BlsSigningKey:
    return BlsSigningKey.from_seed(bytes([number]) * 32)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    running = NodeProcess(tmp_path_factory.mktemp("lane") / "home", "--distilled")
    yield running
    assert running.stop() == 0, running.errors.read_text()[-2000:]


@pytest.fixture(scope="module")
def clients(node):
    """One client of each organisation, by its number: connection and key."""
    found = {}
    for place, org_id in enumerate(ORGANISATIONS):
        connection = node.connect(org_id=org_id)
        found[connection.register_bls(key(place))] = (connection, key(place))
    assert sorted(found) == list(range(4))
    with node.connect() as first:
        for connection, _ in found.values():
            first.invoke("token", "transfer", {"to": address_of(node, connection), "amount": 50})
    yield found
    for connection, _ in found.values():
        connection.close()


def address_of(node, connection) -> str:
    from changan.client.lane import own_address

    return own_address(connection.signer, connection._drive(connection._calls.config())).hex()


def shares_of(clients, gathering, calls, numbers=None):
    for number, offer in gathering.offers().items():
        if numbers is None or number in numbers:
            gathering.take(number, calls[number].sign(offer, clients[number][1]))


def wanted(clients, amounts: dict[int, int]):
    """The calls that clients want, and what each signs with."""
    rows = {number: {"to": NOBODY, "amount": amount} for number, amount in amounts.items()}
    return rows, {number: clients[number][0].own_call("token", "transfer", row) for number, row in rows.items()}


def balance(client, who: str) -> int:
    return int(client.query("token", "balance_of", {"who": who}).text)


def test_all_sign_and_each_is_the_caller_of_its_row(node, clients, tmp_path):
    rows, calls = wanted(clients, {0: 3, 1: 1000, 3: 5})
    with node.connect("admin1") as broker:
        before = balance(broker, NOBODY)
        gathering = broker.gather("token", "transfer", rows)
        shares_of(clients, gathering, calls)
        sent = broker.send_gathered(gathering)
        assert [row.succeeded for row in sent.rows] == [True, False, True]
        assert balance(broker, NOBODY) - before == 8
        address = address_of(node, clients[3][0])
        file = tmp_path / "row.json"
        done = changan("receipt", f"{sent.answer.tx_id}.2", "-o", str(file), "--home", str(node.home))
        assert done.returncode == 0, done.stderr
        checked = changan("verify-receipt", str(file), "--trust", str(node.home / "crypto-config"))
        assert checked.returncode == 0, checked.stderr
        assert f"token.transfer  by {address}" in checked.stdout
        assert f"arguments: {NOBODY}{(5).to_bytes(8, 'little').hex()}" in checked.stdout


def test_who_does_not_sign_is_left_out_and_the_others_sign_anew(node, clients):
    rows, calls = wanted(clients, {0: 1, 1: 1, 2: 1})
    with node.connect("admin1") as broker:
        gathering = broker.gather("token", "transfer", rows)
        shares_of(clients, gathering, calls, {0, 2})
        with pytest.raises(ShareError, match="1 clients have not signed") as said:
            broker.send_gathered(gathering)
        assert said.value.numbers == gathering.missing == [1]
        old = gathering.offers()
        gathering.leave_out(said.value.numbers)
        assert gathering.missing == [0, 2]
        assert {offer.tx_id for offer in [*old.values(), *gathering.offers().values()]} == {old[0].tx_id}
        gathering.take(0, calls[0].sign(old[0], clients[0][1]))  # over the rows of before
        gathering.take(2, b"\xff" * 96)
        with pytest.raises(ShareError, match="2 shares are not over what was offered") as said:
            broker.send_gathered(gathering)
        assert said.value.numbers == [0, 2]
        shares_of(clients, gathering, calls)
        gathering.take(2, calls[2].sign(gathering.offers()[2], key(9)))  # with a key that is not the client's
        with pytest.raises(ShareError) as said:
            broker.send_gathered(gathering)
        assert said.value.numbers == [2]
        shares_of(clients, gathering, calls)
        sent = broker.send_gathered(gathering)
        assert [row.succeeded for row in sent.rows] == [True, True]
        with pytest.raises(TableError, match="nobody is left"):
            gathering.leave_out([0, 2])


def test_a_client_signs_nothing_but_its_own_call(node, clients):
    rows, calls = wanted(clients, {0: 1, 1: 2, 2: 3})
    call, mine = calls[0], clients[0][1]
    with node.connect("admin1") as broker:
        offers = broker.gather("token", "transfer", rows).offers()
        raised = broker.gather("token", "transfer", {**rows, 0: {"to": NOBODY, "amount": 9}}).offers()[0]
        for offer, says in [
            (raised, "the call is not in the bundle as it was asked for"),
            (offers[1], "the call is not in the bundle"),  # another's place
            (offers[0]._replace(row=1), "the call is not in the bundle"),
            (offers[0]._replace(row=-1), "the call is not in the bundle"),
            (offers[0]._replace(rows=70_000), "the call is not in the bundle"),
            (offers[0]._replace(path=offers[0].path[:-1]), "the call is not in the bundle"),
            (offers[0]._replace(root=bytes(32)), "the call is not in the bundle"),
            (offers[0]._replace(method="approve"), "token.approve on chain1, not what was asked for"),
            (offers[0]._replace(contract="evidence"), "evidence.transfer on chain1, not what was asked for"),
            (offers[0]._replace(chain_id="chain2"), "token.transfer on chain2, not what was asked for"),
            (offers[0]._replace(timestamp=offers[0].timestamp + 700), "more than 600 s from this clock"),
            (offers[0]._replace(timestamp=offers[0].timestamp - 700), "more than 600 s from this clock"),
            (offers[0]._replace(tx_id=""), "id or gas budget is none"),
            (offers[0]._replace(tx_id="a b"), "id or gas budget is none"),
            (offers[0]._replace(budget=-1), "id or gas budget is none"),
            (offers[0]._replace(signers=b"\xc0" + bytes(47)), "the sum of the signers' keys"),
        ]:
            with pytest.raises(OfferError, match=says):
                call.sign(offer, mine)
        call.sign(offers[0], mine)
        again = broker.gather("token", "transfer", rows).offers()[0]
        with pytest.raises(OfferError, match=f"signed for transaction {offers[0].tx_id} before"):
            call.sign(again, mine)


def test_what_the_node_refuses_changes_nothing(node, clients):
    rows, calls = wanted(clients, {0: 1, 1: 1})
    with node.connect("admin1") as broker:
        before, height = balance(broker, NOBODY), node.get("/v1/health")["heights"]["chain1"]
        gathering = broker.gather("token", "transfer", rows)
        shares_of(clients, gathering, calls)
        payload = gathering.payload()
        payload.timestamp += 1
        altered = sign_request(payload, broker.signer)
        with pytest.raises(CallError, match="bundle refused: the multi-signature is not that of exactly these") as said:
            broker._drive(broker._calls.send_bundle(payload))
        assert said.value.code
        posted = httpx2.post(f"{node.http}/v1/bundles", content=altered.SerializeToString(), timeout=20)
        assert posted.status_code == 422
        assert "multi-signature" in posted.json()["detail"]
        packed = PackedRequests(requests=[altered.SerializeToString()], wait=True).SerializeToString()
        send = broker._channel.unary_unary("/changan.Node/SendPacked", response_deserializer=PackedResponses.FromString)
        assert "multi-signature" in send(packed).responses[0].message
        with pytest.raises(CallError, match="holds a BLS key already, as client 2"):
            clients[2][0].register_bls(key(40))
        with pytest.raises(CallError, match="no client is registered under the number '77'"):
            broker.gather("token", "transfer", {77: {"to": NOBODY, "amount": 1}})
        with pytest.raises(TableError, match="row 0: U64 wanted"):
            broker.gather("token", "transfer", {0: {"to": NOBODY, "amount": -1}})
        with pytest.raises(TableError, match="1 to 65536 rows, not 0"):
            broker.gather("token", "transfer", {})
        assert balance(broker, NOBODY) == before
        blocks = node.get("/v1/health")["heights"]["chain1"] - height
        assert blocks == 1  # the registration that was declined


def test_over_http_and_on_an_event_loop(node, clients):
    rows, calls = wanted(clients, {1: 2, 2: 2})
    with node.connect("admin1") as broker:
        gathering = broker.gather("token", "transfer", rows, budget=100_000)
        shares_of(clients, gathering, calls)
        request = sign_request(gathering.payload(), broker.signer)
        answer = httpx2.post(f"{node.http}/v1/bundles", content=request.SerializeToString(), timeout=20)
        assert (answer.json()["rows"], answer.json()["succeeded"]) == (2, 2)

    async def session() -> None:
        async with connect_async(home=node.home, user="admin1") as broker:
            rows, calls = wanted(clients, {0: 1})
            gathering = await broker.gather("token", "transfer", rows)
            shares_of(clients, gathering, calls)
            sent = await broker.send_gathered(gathering)
            assert sent.rows[0].succeeded
            with pytest.raises(CallError, match="registered before: make a new one"):
                await broker.register_bls(key(0))
            own = await broker.own_call("token", "transfer", {"to": NOBODY, "amount": 1})
            with pytest.raises(OfferError):
                own.sign(gathering.offers()[0], key(0))

    asyncio.run(session())


def test_a_chain_with_such_bundles_restarts_and_verifies(tmp_path):
    home = tmp_path / "home"
    node = NodeProcess(home, "--distilled", "--orgs", "2")
    found = {}
    for place, org_id in enumerate(ORGANISATIONS[:2]):
        connection = node.connect(org_id=org_id)
        found[connection.register_bls(key(place))] = (connection, key(place))
    table = {number: {"digest": bytes([number]) * 32, "note": "甲乙"} for number in found}
    calls = {number: each.own_call("evidence", "put", table[number]) for number, (each, _) in found.items()}
    with node.connect() as broker:
        gathering = broker.gather("evidence", "put", table)
        shares_of(found, gathering, calls)
        sent = broker.send_gathered(gathering)
        assert all(row.succeeded for row in sent.rows)
        broker.invoke("CHANGAN.BLS", "REVOKE", {"number": "0"})
        with pytest.raises(TableError, match="client 0: its BLS key was revoked"):
            broker.gather("evidence", "put", table)
    node.kill()
    node = NodeProcess(home)
    with node.connect() as broker:
        assert broker.query("evidence", "total").text == "2"
        proof = broker.web.get(f"/v1/receipts/{sent.answer.tx_id}.0").json()  # though its client was revoked since
        assert proof["format"] == "row-1"
    for connection, _ in found.values():
        connection.close()
    assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home))
    assert verified.returncode == 0, verified.stderr
    # without the library nobody guesses: neither the audit, nor the replay, nor a start
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "chia_rs.py").write_text("raise ImportError\n")
    without = {"PYTHONPATH": os.pathsep.join([str(hidden), *sys.path])}
    for arguments in (["verify"], ["verify", "--replay"], ["up", "--rpc-port", "0", "--http-port", "0"]):
        done = changan(*arguments, "--home", str(home), env=without)
        assert done.returncode == 1, arguments
        assert "pip install 'changan[distilled]'" in done.stderr


def test_what_cannot_be_opened_is_said_before_anything_is_made(tmp_path):
    home = tmp_path / "gm"
    done = changan("up", "--home", str(home), "--distilled", "--suite", "gm")
    assert done.returncode == 1
    assert "the national suite has no BLS signatures: leave distilled out, or take suite intl" in done.stderr
    assert not (home / "changan.toml").exists()
    assert not (home / "crypto-config").exists()
    closed = tmp_path / "closed"
    node = NodeProcess(closed)
    with node.connect() as client, pytest.raises(CallError, match="made without the distilled lane: make one with"):
        client.register_bls(key(1))
    assert node.stop() == 0
    done = changan("up", "--home", str(closed), "--distilled", "--rpc-port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert "says distilled = 'false'" in done.stderr
