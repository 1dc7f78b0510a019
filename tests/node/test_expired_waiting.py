"""A certificate that ends while its transaction waits: the sender is told, and the chain goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from inside import node_inside

from changan.client.requests import Signer, make_payload, sign_request
from changan.crypto.keys import SigningKey
from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import Member, MemberType
from changan.node.pki.layout import read_crypto_config


@pytest.mark.parametrize("who", ["sender", "payer"])
async def test_a_certificate_ends_between_the_door_and_the_block(tmp_path, who):
    async with node_inside(tmp_path / "home") as inside:
        organisation = read_crypto_config(inside.root).organisations[0]
        begun = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=60)
        issued = organisation.authority().issue("brief", "client", "sign", begun, days=1)
        member = Member(org_id=organisation.org_id, member_type=MemberType.CERT, member_info=issued.certificate_pem)
        brief = Signer(member, SigningKey(issued.key_pem))
        payload = make_payload("chain1", "T", "P", {"k": "a", "v": "b"})
        request = sign_request(payload, brief if who == "sender" else inside.client)
        if who == "payer":
            request.payer.CopyFrom(brief.endorse(payload))
        chain = inside.chain
        await chain.submit(request, request.ByteSize())
        clock = chain._now_us
        chain._now_us = lambda: clock() + 120_000_000  # before the chain had its turn
        with pytest.raises(RefusedError, match="authentication failed"):
            await chain.result(payload.tx_id)
        assert chain.fault is None
        assert (await inside.put()).code == 0
