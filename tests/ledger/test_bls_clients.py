"""Who takes part in the distilled lane: a key, proved to be held, for each address; out again for good."""

from __future__ import annotations

import sys

import pytest

from changan.client.requests import install_parameters
from changan.contract.instance import BlockContext
from changan.crypto import bls
from changan.crypto.suite import Suite
from changan.ledger.admission import admit
from changan.ledger.chain_config import ADMITS, DISTILLED, default_config, is_distilled
from changan.ledger.clients import client_row, possession
from changan.ledger.config_parameters import ConfigError
from changan.ledger.config_rules import check_suites
from changan.ledger.execution import Execution
from changan.ledger.native import bls_clients
from changan.ledger.snapshot import dump, load
from changan.ledger.system import LANE
from changan.ledger.transition import Decided, InvalidBlockError, apply_block, apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet, BlsClient, BlsClients
from changan.node.audit import AuditError, Auditor
from changan.node.storage import record_of, replay_block
from consortium import EXAMPLES, Consortium, Ledger, SealedLog
from lane_parties import Lane, Party, party, refused

chia_rs = pytest.importorskip("chia_rs")
INFINITY = b"\xc0" + bytes(47)
OFF_THE_CURVE = bytes.fromhex("80" + "00" * 46 + "01")  # compressed, x = 1: no point has it


@pytest.fixture
def lane(consortium):
    return Lane(consortium, 2)


def failure(result) -> str:
    assert result.code
    return result.message


def test_numbers_are_given_in_order_and_the_row_says_whose_they_are(lane, consortium):
    assert lane.join(party(consortium, 2)) == 2
    for number, who in enumerate(lane.parties):
        client = lane.client(number)
        assert (client.number, client.key, client.revoked) == (number, who.key.public.data, False)
        assert client.address == lane.address(who)
        assert client.member == who.signer.member
    answer = lane.ledger.request(LANE, "FIND", {"numbers": "2,0"})
    found = BlsClients.FromString(query(lane, answer))
    assert [client.number for client in found.clients] == [2, 0]


def query(lane, request) -> bytes:
    world = lane.ledger.world
    verdict = admit(request, world, lane.ledger.time_us // 1_000_000)
    executed = Execution(world, BlockContext(world.height + 1, lane.ledger.time_us // 1_000_000)).query(
        request, verdict
    )
    assert not executed.code, executed.result.message
    return executed.result.result


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ("7", "no client is registered under the number '7'"),
        ("0,x", "no client is registered under the number 'x'"),
        ("-1", "number '-1'"),
        ("٣", "no client"),  # a digit, and not of ASCII
        ("9" * 30, "no client"),
        ("", "param"),
        (",".join(["0"] * 4097), "4097 numbers at once, at most 4096"),
    ],
)
def test_what_is_not_found(lane, numbers, says):
    assert says in failure(lane.ledger.call(LANE, "FIND", {"numbers": numbers}).contract_result)


def proof_for(lane, who: Party, chain_id: str = "chain1", address: bytes | None = None) -> bytes:
    return who.key.prove_possession(possession(chain_id, address or lane.address(who)))


def bad_registrations(lane, consortium):
    new = party(consortium, 50)
    yield {"key": b""}, "48 bytes, not 0"
    yield {"key": new.key.public.data[:-1]}, "48 bytes, not 47"
    yield {"key": new.key.public.data + b"\0"}, "48 bytes, not 49"
    yield {"key": INFINITY}, "point at infinity"
    yield {"key": OFF_THE_CURVE}, "no point of the group"
    yield {"key": bytes(48)}, "no point of the group"
    yield {"key": bytes([new.key.public.data[0] ^ 0x20]) + new.key.public.data[1:]}, "does not show"
    yield {"key": party(consortium, 51).key.public.data}, "does not show"
    yield {"key": lane.parties[0].key.public.data}, "does not show"
    yield {"proof": b""}, "does not show"
    yield {"proof": b"\xc0" + bytes(95)}, "does not show"
    yield {"proof": proof_for(lane, new)[:-1]}, "does not show"
    yield {"proof": proof_for(lane, new, "chain2")}, "does not show"
    yield {"proof": proof_for(lane, new, address=lane.address(lane.parties[0]))}, "does not show"
    yield {"proof": proof_for(lane, lane.parties[0])}, "does not show"
    # a share of a multi-signature is no proof, whatever was signed together
    statement = possession("chain1", lane.address(new))
    yield {"proof": new.key.sign_together([new.key.public], statement)}, "does not show"


def test_what_is_no_registration_is_refused_at_the_door_and_in_a_block(lane, consortium):
    new = party(consortium, 50)
    for changes, says in bad_registrations(lane, consortium):
        said = refused(lane, lane.registration(new, **changes))
        assert said.startswith("registration refused: ")
        assert says in said, changes
    assert lane.client(2) is None
    assert lane.join(new) == 2  # nothing of it was kept


def test_the_rogue_key_is_not_registered(lane, consortium):
    """Whose key is "mine minus the victim's" signs for both alone, but cannot prove to hold it."""
    victim, new = lane.parties[0], party(consortium, 52)
    rogue = bytes(
        chia_rs.G1Element.from_bytes(new.key.public.data)
        + chia_rs.G1Element.from_bytes(bytes([victim.key.public.data[0] ^ 0x20]) + victim.key.public.data[1:])
    )
    assert "does not show" in refused(lane, lane.registration(new, key=rogue))


def test_one_live_key_an_address_and_no_key_twice(lane, consortium):
    again = Party(lane.parties[0].signer, party(consortium, 60).key)
    held = lane.ledger.seal(lane.registration(again)).block.txs[0].result.contract_result
    assert "holds a BLS key already, as client 0: revoke that one first" in failure(held)
    borrowed = Party(party(consortium, 61).signer, lane.parties[0].key)  # its holder proves it for the other
    taken = lane.ledger.seal(lane.registration(borrowed)).block.txs[0].result.contract_result
    assert "registered before: make a new one" in failure(taken)
    assert lane.revoke(0).code == 0
    taken = lane.ledger.seal(lane.registration(lane.parties[0])).block.txs[0].result.contract_result
    assert "registered before" in failure(taken)
    assert lane.join(again) == 2
    assert lane.client(0).revoked
    assert not lane.client(2).revoked


def test_who_revokes(lane, consortium):
    assert "by whom it is, or by an administrator" in failure(lane.revoke(0, lane.parties[1].signer))
    assert "no client is registered" in failure(lane.revoke(9, lane.parties[1].signer))
    assert "param" in failure(lane.ledger.call(LANE, "REVOKE", {}).contract_result)
    assert lane.revoke(0, consortium.admin(2)).code == 0
    assert "was revoked before" in failure(lane.revoke(0))
    assert lane.revoke(1).code == 0


def test_revocation_is_alone_in_its_block_and_registration_is_not(lane, consortium):
    ledger = lane.ledger
    new = [lane.registration(party(consortium, 70 + n)) for n in range(3)]
    epoch = ledger.world.epoch
    results = [tx.result.contract_result.result for tx in ledger.seal(*new).block.txs]
    assert results == [b"2", b"3", b"4"]
    assert ledger.world.epoch == epoch
    revoke = ledger.request(LANE, "REVOKE", {"number": "0"}, sender=lane.parties[0].signer)
    with pytest.raises(InvalidBlockError, match="must be alone"):
        ledger.seal(revoke, ledger.request("T", "N"))
    ledger.seal(revoke)
    assert ledger.world.epoch == epoch + 1


def test_the_lane_is_closed_unless_the_chain_was_made_with_it(consortium):
    lane = Lane(consortium, 0, distilled=False)
    said = refused(lane, lane.registration(party(consortium, 1)))
    assert "registration refused: this chain was made without the distilled lane: make one with `changan up" in said
    for method, given in (("REVOKE", {"number": "0"}), ("FIND", {"numbers": "0"})):
        assert "without the distilled lane" in failure(lane.ledger.call(LANE, method, given).contract_result)


def test_no_administrator_opens_or_closes_it_later(lane, consortium):
    closed = Ledger(consortium)
    said = closed.configure("CONSENSUS_EXT_ADD", {DISTILLED: "1"}).contract_result
    assert "changan.distilled is settled when a chain is made" in failure(said)
    said = lane.ledger.configure("CONSENSUS_EXT_DELETE", {DISTILLED: ""}).contract_result
    assert "is settled when a chain is made" in failure(said)
    assert is_distilled(lane.ledger.world.config)
    assert lane.ledger.configure("CONSENSUS_EXT_ADD", {ADMITS: "gm"}).code == 0


def test_the_national_suite_has_no_such_lane():
    national = Consortium(1, suite=Suite.NATIONAL)
    with pytest.raises(ConfigError, match="national suite has no BLS signatures: leave distilled out"):
        check_suites(national.config(distilled=True))
    check_suites(national.config())
    assert not is_distilled(default_config("c", [], [], suite=Suite.NATIONAL))


def test_no_contract_has_its_name(lane):
    said = lane.ledger.install("evidence").contract_result
    assert said.code == 0
    code = (EXAMPLES / "evidence.py").read_bytes()
    admin = lane.ledger.consortium.admin()
    said = lane.ledger.call("CONTRACT_MANAGE", "INIT_CONTRACT", install_parameters(LANE, "1", code, {}), sender=admin)
    assert "invalid contract name" in said.contract_result.message


def test_without_the_library_such_a_chain_is_not_opened(lane, sealed, monkeypatch):
    sections = {name: list(items) for name, items in dump(lane.ledger.world)}
    monkeypatch.setitem(sys.modules, "chia_rs", None)
    with pytest.raises(bls.BlsMissingError, match=r"pip install 'changan\[distilled\]'"):
        load(sections.__getitem__)
    with pytest.raises(bls.BlsMissingError):
        apply_genesis(lane.ledger.config)
    with pytest.raises(bls.BlsMissingError):
        list(Auditor(sealed.log()).blocks())
    Ledger(lane.ledger.consortium)  # one whose lane is closed needs none


def test_a_picture_of_the_state_goes_on_with_the_same_clients(lane, consortium):
    resumed = load({name: list(items) for name, items in dump(lane.ledger.world)}.__getitem__)
    new = lane.ledger.seal(lane.registration(party(consortium, 80)))
    replay_block(resumed, BlockWithRWSet.FromString(record_of(new)))
    assert resumed.block_hash == lane.ledger.world.block_hash


@pytest.fixture(scope="module")
def sealed(consortium):
    lane = Lane(consortium, 3, sealer=consortium.signer(1, "consensus1", "consensus"))
    lane.revoke(1)
    return lane.ledger


def test_the_audit_looks_at_each_proof_again(sealed):
    auditor = Auditor(sealed.log())
    assert len(list(auditor.blocks())) == len(sealed.blocks)
    senders_and_proposers = 2 * (len(sealed.blocks) - 1)
    assert auditor.signatures == senders_and_proposers + 3


def test_a_forged_registration_is_found(sealed, consortium):
    """A proposer who lets in a key that nobody proved: everything is signed and hashed anew, and the audit says it."""
    member = consortium.signer(1, "consensus1", "consensus")
    lane = Lane(consortium, 0, sealer=member)
    forged = lane.ledger
    who = party(consortium, 90)
    request = lane.registration(who, proof=proof_for(lane, party(consortium, 91)))
    admitted = admit(lane.registration(who), forged.world, forged.time_us // 1_000_000)
    forged.time_us += 1_000_000
    decided = Decided(1, forged.time_us, member.member, [request], [admitted._replace(signed=b"")])
    applied = apply_block(forged.world, decided)
    applied.block.header.signature = member.key.sign(applied.block.header.block_hash, member.hash_name)
    log = SealedLog([record_of(forged.genesis), record_of(applied)])
    with pytest.raises(AuditError, match=r"block 1: .* did not prove to hold its BLS key"):
        list(Auditor(log).blocks())


@pytest.mark.parametrize("changed", ["key", "member", "address", "nothing"])
def test_a_row_that_is_not_its_senders_is_found(consortium, monkeypatch, changed):
    """An executor that lets somebody else be written, or nobody."""
    other, honest = party(consortium, 95), bls_clients.METHODS["REGISTER"]

    def lying(call):
        result = honest(call)
        row = client_row(int(result))
        client = BlsClient.FromString(call.overlay.get(LANE, row))
        if changed == "key":
            client.key = other.key.public.data
        elif changed == "member":
            client.member.CopyFrom(other.signer.member)
        elif changed == "address":
            client.address = bytes(20)
        call.overlay.put(LANE, row, None if changed == "nothing" else client.SerializeToString())
        return result

    monkeypatch.setitem(bls_clients.METHODS, "REGISTER", lying)
    lane = Lane(consortium, 1, sealer=consortium.signer(1, "consensus1", "consensus"))
    with pytest.raises(AuditError, match=r"block 1: .* did not prove to hold its BLS key"):
        list(Auditor(lane.ledger.log()).blocks())


def test_replay_gives_the_same_chain(sealed):
    world, _ = apply_genesis(sealed.config)
    for applied in sealed.blocks[1:]:
        replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    assert world.block_hash == sealed.world.block_hash
