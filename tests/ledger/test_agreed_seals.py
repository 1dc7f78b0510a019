"""Receipts with a certificate of agreement: who sealed counts once, as a voting node, over this block and no other."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.errors import MalformedError, UnverifiedError
from changan.ledger.receipt import make_receipt, verify_receipt
from changan.ledger.roster import is_quorum
from changan.ledger.wire.messages import BlockWithRWSet, Certificate, EndorsementEntry
from changan.node.storage import record_of
from consortium import Consortium, Ledger, org_name

FRIENDS = Consortium()
NODES = [FRIENDS.signer(number, f"consensus{number}", "consensus") for number in range(1, 5)]
LEDGER = Ledger(FRIENDS, sealer=NODES[0])
LEDGER.install("token", supply="1000")
BLOCK = LEDGER.seal(LEDGER.request("token", "transfer", {"to": "11" * 20, "amount": "5"}, sender=FRIENDS.admin()))
HASH = BLOCK.block.header.block_hash
RECEIPT = make_receipt(BlockWithRWSet.FromString(record_of(BLOCK)), 0)


def seal(signer, message: bytes = HASH) -> EndorsementEntry:
    return EndorsementEntry(signer=signer.member, signature=signer.key.sign(message, signer.hash_name))


SEALS = [seal(node) for node in NODES]


def agreed(*seals: EndorsementEntry) -> tuple[str, ...]:
    return checked(Certificate(seals=seals).SerializeToString())


def checked(data: bytes) -> tuple[str, ...]:
    receipt = RECEIPT | {"certificate": base64.b64encode(data).decode()}
    return verify_receipt(receipt, LEDGER.world.members).agreed


def refused(words: str, *seals: EndorsementEntry) -> None:
    with pytest.raises(UnverifiedError, match=f"^{re.escape(words)}$"):
        agreed(*seals)


@given(st.lists(st.integers(0, 3), max_size=4))
def test_more_than_two_thirds_of_the_organisations_agree_or_nobody_does(places):
    seals = [SEALS[place] for place in places]
    organisations = {org_name(place + 1) for place in places}
    if len(organisations) >= 3:
        assert agreed(*seals) == tuple(sorted(organisations))
    else:
        refused(f"{len(organisations)} of 4 organisations sealed the block: that is no quorum", *seals)


def test_a_second_node_of_an_organisation_has_no_second_voice():
    second = FRIENDS.signer(1, "consensus9", "consensus")
    refused("2 of 4 organisations sealed the block: that is no quorum", SEALS[0], seal(second), SEALS[1])


def test_seals_beyond_the_number_of_organisations_are_not_looked_at():
    refused("the certificate has more seals than there are organisations", *SEALS, SEALS[0])


@pytest.mark.parametrize("role", ["common", "client", "admin", "light"])
def test_only_voting_nodes_seal(role):
    """Whatever else the organisation's authority certified: an administrator does not vote on blocks."""
    other = FRIENDS.signer(3, f"{role}8", role)
    words = f"the block was sealed by {role}8.sign.{org_name(3)}, who is no voting node"
    refused(words, SEALS[0], SEALS[1], seal(other))


@pytest.mark.parametrize(
    "message",
    [b"", HASH[:-1], HASH + b"\0", bytes(32), HASH[::-1]],
    ids=["empty", "shorter", "longer", "zeros", "backwards"],  # the hash is another one in each process
)
def test_a_seal_of_another_block_is_none_of_this_one(message):
    with pytest.raises(UnverifiedError, match="signature"):
        agreed(SEALS[0], SEALS[1], seal(NODES[2], message))


def test_a_seal_under_another_name():
    borrowed = EndorsementEntry(signer=NODES[2].member, signature=SEALS[3].signature)
    with pytest.raises(UnverifiedError, match="signature"):
        agreed(SEALS[0], SEALS[1], borrowed)
    stranger = Consortium().signer(3, "consensus3", "consensus")
    with pytest.raises(UnverifiedError, match="no trust root"):
        agreed(SEALS[0], SEALS[1], seal(stranger))


@given(st.integers(0, 3), st.data())
def test_no_bit_of_a_seal_can_be_changed(place, data):
    seals = [EndorsementEntry.FromString(one.SerializeToString()) for one in SEALS[:3]]
    at = data.draw(st.integers(0, len(seals[place % 3].signature) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    changed = bytearray(seals[place % 3].signature)
    changed[at] ^= bit
    seals[place % 3].signature = bytes(changed)
    with pytest.raises(UnverifiedError):
        agreed(*seals)


@pytest.mark.parametrize("data", [b"\xff", b"\x0a", b"\x0a\x05abc"])
def test_a_certificate_that_does_not_decode(data):
    with pytest.raises(MalformedError, match=r"^the certificate does not decode$"):
        checked(data)


def test_an_empty_certificate_does_not_fall_back_on_the_proposer():
    """The proposer's own signature holds; who shows a certificate is judged by it."""
    assert verify_receipt(RECEIPT, LEDGER.world.members).agreed == ()
    refused("0 of 4 organisations sealed the block: that is no quorum")


def test_without_members_nobody_is_named():
    receipt = RECEIPT | {"certificate": base64.b64encode(b"anything").decode()}
    proven = verify_receipt(receipt)
    assert (proven.proposer, proven.agreed) == (None, ())


@given(st.integers(1, 100), st.integers(0, 100))
def test_two_quorums_share_more_than_a_third(voters, count):
    """Why more than two thirds: with less than a third that lie, two quorums have an honest one in common."""
    quorum = next(number for number in range(voters + 1) if is_quorum(number, voters))
    assert is_quorum(count, voters) == (count >= quorum)
    assert 3 * (2 * quorum - voters) > voters
    assert quorum <= voters
