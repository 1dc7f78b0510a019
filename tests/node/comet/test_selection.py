"""What was found good at one time is looked at again where somebody's certificate ends before the block's."""

from __future__ import annotations

import pytest

from changan.ledger.admission import admit
from changan.node.comet.batches import Judged
from changan.node.comet.proposal import Selection, UnfitError
from consortium import Ledger
from lane_parties import TO, Lane, fund, party


def select(ledger: Ledger, request, verdict, time: int) -> int:
    selection = Selection(ledger.world, time * 1_000_000)
    return selection.add(Judged([request], [verdict], ledger.world.epoch, bytes(100)))


def brief(consortium, number: int):
    return consortium.signer(1, f"brief{number}", "client", days=1)


def near_the_end(ledger: Ledger, signer) -> int:
    """Let it be shortly before a certificate ends; return when."""
    end = ledger.world.members.identify(signer.member, ledger.time_us // 1_000_000).not_after
    ledger.time_us = (end - 5) * 1_000_000
    return end


@pytest.mark.parametrize("who", ["sender", "payer"])
def test_a_certificate_that_ends_before_the_block_is_not_taken(consortium, who):
    ledger = Ledger(consortium)
    signer = brief(consortium, 1)
    end = near_the_end(ledger, signer)
    request = ledger.request("T", "N", sender=signer if who == "sender" else consortium.signer())
    if who == "payer":
        request.payer.CopyFrom(signer.endorse(request.payload))
    verdict = admit(request, ledger.world, end)
    assert select(ledger, request, verdict, end) == 1
    with pytest.raises(UnfitError, match="authentication failed"):
        select(ledger, request, verdict, end + 1)


def test_nor_is_a_bundle_whose_client_is_out_of_its_time(consortium):
    pytest.importorskip("chia_rs")
    lane = fund(Lane(consortium, 1))
    number = lane.join(party(consortium, 300, days=1))
    end = near_the_end(lane.ledger, lane.parties[number].signer)
    request = lane.bundle("token", "transfer", {0: (TO, 1), number: (TO, 0)})
    verdict = admit(request, lane.ledger.world, end)
    assert select(lane.ledger, request, verdict, end) == 1
    with pytest.raises(UnfitError, match=f"client {number}: its certificate is expired"):
        select(lane.ledger, request, verdict, end + 1)
