"""The audit of distilled bundles: a proposer who seals what the clients did not sign is found by whoever reads the log."""

from __future__ import annotations

import struct

import pytest

from changan.ledger.admission import admit
from changan.ledger.bundle_run import run_bundle
from changan.ledger.clients import Callers
from changan.ledger.transition import Decided, apply_block
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.audit import AuditError, Auditor
from changan.node.audit_keys import MemberError
from changan.node.audit_lane import AuditLane, columns_start, is_distilled
from changan.node.storage import record_of
from consortium import SealedLog
from lane_parties import GOOD, SIGNED, TO, Lane, fund, party

pytest.importorskip("chia_rs")


@pytest.fixture
def lane(consortium):
    return fund(Lane(consortium, 5, sealer=consortium.signer(1, "consensus1", "consensus")))


def audited(lane, records=None) -> Auditor:
    auditor = Auditor(lane.ledger.log() if records is None else SealedLog(records))
    list(auditor.blocks())
    return auditor


def forge(lane, request, callers: bytes) -> None:
    """Seal a block with a bundle that no honest node would take, as if its signatures held."""
    ledger = lane.ledger
    member = ledger.consortium.signer(1, "consensus1", "consensus")
    honest = admit(ledger.request("T", "N"), ledger.world, ledger.time_us // 1_000_000)
    verdict = honest._replace(signed=b"", callers=Callers(callers, 0, 2**62))
    ledger.time_us += 1_000_000
    decided = Decided(ledger.world.height + 1, ledger.time_us, member.member, [request], [verdict])
    applied = apply_block(ledger.world, decided)
    applied.block.header.signature = member.key.sign(applied.block.header.block_hash, member.hash_name)
    ledger.blocks.append(applied)


def addresses(lane, numbers) -> bytes:
    return b"".join(lane.client(number).address for number in numbers)


def test_an_honest_log_is_in_order_and_each_multi_signature_counts(lane):
    before = audited(lane).signatures
    for turn in range(3):
        lane.ledger.seal(
            lane.bundle("token", "transfer", GOOD),
            lane.bundle("token", "transfer", {4: (TO, 500 + turn)}),
            lane.ledger.request("token", "transfer", {"to": TO.hex(), "amount": "1"}, sender=lane.parties[0].signer),
        )
    lane.revoke(4)
    lane.ledger.seal(lane.bundle("token", "transfer", GOOD))
    after = audited(lane)
    blocks = 5  # each with its proposer's signature, the transactions with their senders', and 7 of many
    assert after.signatures - before == blocks + 3 * 3 + 1 + 1 + 7
    assert after.state_roots


def forgeries(lane):
    good = lane.draft("token", "transfer", GOOD)
    yield good.request(good.data(good.joined([0, 1]))), GOOD, "multi-signature is not that of its clients"
    yield good.request(good.data(b"\xff" * 96)), GOOD, "multi-signature is not that of its clients"
    yield good.request(good.data(good.joined(), [0, 1, 4])), [0, 1, 4], "multi-signature is not that of its clients"
    yield good.request(tx_id="c" * 64), GOOD, "multi-signature is not that of its clients"
    other = lane.draft("token", "transfer", GOOD)
    data = other.data()
    yield other.request(data[:SIGNED] + struct.pack("<3I", 0, 1, 9) + data[SIGNED + 12 :]), GOOD, "client 9 of a bundle"
    # all of it as they signed it, but run as another's calls
    yield other.request(data), [0, 1, 4], "outcome root is wrong|multi-signature is not that of its clients"


@pytest.mark.parametrize("which", range(6))
def test_what_a_dishonest_proposer_seals_is_found(lane, which):
    request, callers, says = list(forgeries(lane))[which]
    forge(lane, request, addresses(lane, callers))
    with pytest.raises(AuditError, match=rf"block {lane.ledger.world.height}: {request.payload.tx_id}: .*({says})"):
        audited(lane)


def test_a_bundle_of_a_revoked_client_is_found(lane):
    late = lane.draft("token", "transfer", {0: (TO, 1), 2: (TO, 1)})
    request = late.request()
    lane.revoke(2)
    forge(lane, request, addresses(lane, [0, 2]))
    with pytest.raises(AuditError, match="client 2 of a bundle is not registered, or was revoked"):
        audited(lane)


def test_a_certificate_out_of_its_time_is_found(consortium):
    lane = fund(Lane(consortium, 1, sealer=consortium.signer(1, "consensus1", "consensus")))
    number = lane.join(party(consortium, 300, days=1))
    lane.ledger.time_us += 3 * 86_400 * 1_000_000
    request = lane.bundle("token", "transfer", {number: (TO, 0)})
    forge(lane, request, addresses(lane, [number]))
    with pytest.raises(AuditError, match="a certificate was out of its time"):
        audited(lane)


@pytest.mark.parametrize("name", ["outcomes", "gas", "events", "delta"])
def test_columns_beside_it_that_were_changed_are_found(lane, name):
    lane.ledger.seal(lane.bundle("token", "transfer", GOOD))
    *before, last = lane.ledger.blocks
    stored = BlockWithRWSet.FromString(record_of(last))
    data = bytearray(getattr(stored.bundle_rows[0], name))
    data[-1] ^= 1
    setattr(stored.bundle_rows[0], name, bytes(data))
    with pytest.raises(AuditError, match=f"block {lane.ledger.world.height}: "):
        audited(lane, [*map(record_of, before), stored.SerializeToString()])


def test_who_names_one_caller_for_all_rows_is_found(lane, monkeypatch):
    def lying(*given):
        ran = run_bundle(*given)

        def finish():
            done = ran.finish()
            done.result.caller = lane.client(0).address
            return done

        return ran._replace(finish=finish)

    monkeypatch.setattr("changan.ledger.execution.run_bundle", lying)
    lane.ledger.seal(lane.bundle("token", "transfer", GOOD))
    with pytest.raises(AuditError, match="names one caller for rows that have their own"):
        audited(lane)


@pytest.mark.parametrize("numbers", [(1, 1, 3), (3, 1, 0), (0, 3, 1)])
def test_the_audit_takes_no_client_twice(lane, numbers):
    data = lane.draft("token", "transfer", GOOD).data()
    rows = {("CHANGAN.BLS", f"client.{number}"): lane.client(number).SerializeToString() for number in range(5)}
    reader = AuditLane(rows, Anybody(), None, None)
    assert [client.number for client in reader.clients(data, 0)] == list(GOOD)
    with pytest.raises(MemberError, match="out of order"):
        reader.clients(data[:SIGNED] + struct.pack("<3I", *numbers) + data[SIGNED + 12 :], 0)


class Anybody:
    def require(self, member, time) -> None:
        """Everybody is a member."""


def test_where_columns_begin(lane):
    draft = lane.draft("token", "transfer", GOOD)
    data = draft.data()
    assert is_distilled(data)
    assert columns_start(data) == len(data) - 3 * 28
    assert not is_distilled(b"CGB\x01")
