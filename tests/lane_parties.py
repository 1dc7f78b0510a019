"""Clients of the distilled lane over a ledger without a node: they register, sign together, and are sent by a broker."""

from __future__ import annotations

import copy
from typing import NamedTuple

import pytest

from changan.client.requests import Signer, sign_request
from changan.crypto.bls import BlsSigningKey, join_shares
from changan.ledger.admission import RefusedError, admit
from changan.ledger.bundle import HEAD_BYTES, PARAMETER, Bundle, columns_of
from changan.ledger.clients import find_client, possession
from changan.ledger.distilled import SIGNATURE_BYTES, encode_distilled, rows_root, signed_message
from changan.ledger.roots import Roots
from changan.ledger.system import LANE
from changan.ledger.transition import InvalidBlockError
from consortium import Consortium, Ledger

TO = bytes([7]) * 20
GOOD = {0: (TO, 5), 1: (TO, 6), 3: (TO, 7)}
"""Rows of a token's transfers, by their clients' numbers."""
SIGNED = HEAD_BYTES + SIGNATURE_BYTES
"""Where the numbers of a distilled bundle's clients begin."""


class Party(NamedTuple):
    signer: Signer
    key: BlsSigningKey


def party(consortium: Consortium, number: int, *, org: int = 1, role: str = "client", **options) -> Party:
    signer = consortium.signer(org, f"lane{number}", role, **options)
    return Party(signer, BlsSigningKey.from_seed(number.to_bytes(32, "big")))


class Lane:
    """A ledger whose lane is open, with parties that registered: their places here are their numbers there."""

    def __init__(self, consortium: Consortium, count: int = 4, **options) -> None:
        self.ledger = Ledger(consortium, **{"distilled": True, **options})
        self.parties: list[Party] = []
        for number in range(count):
            self.join(party(consortium, number))

    def address(self, who: Party | Signer) -> bytes:
        signer = who.signer if isinstance(who, Party) else who
        return self.ledger.world.members.identify(signer.member, self.ledger.time_us // 1_000_000).address

    def registration(self, who: Party, **changes):
        """A request to register; `changes` are parameters in the place of the right ones."""
        statement = possession(self.ledger.config.chain_id, self.address(who))
        given = {"key": who.key.public.data, "proof": who.key.prove_possession(statement), **changes}
        return self.ledger.request(LANE, "REGISTER", given, sender=who.signer)

    def join(self, who: Party) -> int:
        result = self.ledger.seal(self.registration(who)).block.txs[0].result
        assert result.code == 0, result.contract_result.message
        self.parties.append(who)
        return int(result.contract_result.result)

    def revoke(self, number: int, sender: Signer | None = None):
        return self.ledger.call(
            LANE, "REVOKE", {"number": str(number)}, sender=sender or self.parties[number].signer
        ).contract_result

    def client(self, number: int):
        return find_client(self.ledger.world.rows, number)

    def draft(self, contract: str, method: str, rows: dict[int, tuple], *, budget: int = 0, **options) -> Draft:
        """A bundle that nobody signed yet: a row a client's number."""
        signature = self.ledger.world.instances[contract].program.method(method)
        request = self.ledger.request(contract, method, {PARAMETER: b""}, **options)
        columns = columns_of(signature, list(rows.values()))
        callers = b"".join(self.client(number).address for number in rows)
        return Draft(self, request.payload, signature, list(rows), Bundle(len(rows), budget, columns, callers))

    def bundle(self, contract: str, method: str, rows: dict[int, tuple], **options):
        """A bundle that all its clients signed, and the broker."""
        return self.draft(contract, method, rows, **options).request()


def fund(lane: Lane, amount: int = 100) -> Lane:
    """Install the token, and give every party some."""
    admin = lane.ledger.consortium.admin()
    assert lane.ledger.install("token", supply="1000000").code == 0
    for who in lane.parties:
        given = {"to": lane.address(who).hex(), "amount": str(amount)}
        assert lane.ledger.call("token", "transfer", given, sender=admin).code == 0
    return lane


def refused(lane, request) -> str:
    """What the door says; no block may hold such a request either, and nothing is changed."""
    world, before = lane.ledger.world, lane.ledger.world.block_hash
    with pytest.raises(RefusedError) as said:
        admit(request, world, lane.ledger.time_us // 1_000_000)
    with pytest.raises(InvalidBlockError):
        lane.ledger.seal(request)
    assert world.block_hash == before
    return said.value.message


def balance(lane, who: bytes) -> int:
    return int.from_bytes(lane.ledger.world.row("token", f"balances.{who.hex()}") or b"", "big")


class Draft(NamedTuple):
    lane: Lane
    payload: object
    signature: object
    numbers: list[int]
    bundle: Bundle

    def message(self) -> bytes:
        digest = self.lane.ledger.world.digest
        root = rows_root(self.signature, self.bundle, Roots(digest))
        return signed_message(self.payload, self.bundle.budget, self.bundle.rows, root, digest)

    def joined(self, signers: list[int] | None = None) -> bytes:
        keys = [self.lane.parties[number].key for number in self.numbers]
        public = [key.public for key in keys]
        chosen = keys if signers is None else [self.lane.parties[number].key for number in signers]
        return join_shares([key.sign_together(public, self.message()) for key in chosen])

    def data(self, joined: bytes | None = None, numbers: list[int] | None = None) -> bytes:
        bundle = self.bundle
        return encode_distilled(
            self.signature, bundle.columns, numbers or self.numbers, bundle.budget, joined or self.joined()
        )

    def request(self, data: bytes | None = None, sender: Signer | None = None, **changes):
        """The request with a parameter, signed by the broker; `changes` are made to the payload before."""
        payload = copy.deepcopy(self.payload)
        payload.parameters[0].value = self.data() if data is None else data
        for name, value in changes.items():
            setattr(payload, name, value)
        return sign_request(payload, sender or self.lane.ledger.consortium.signer())
