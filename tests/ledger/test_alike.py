"""Calls that run together leave the block that they leave one by one: with every engine, whatever lies between them."""

from __future__ import annotations

import random

import pytest

from changan.client.requests import install_parameters, sign_request
from changan.contract.engines import compiled, plain
from changan.ledger import alike
from changan.ledger.transition import Decided, apply_block, apply_genesis
from consortium import EXAMPLES, Consortium, Ledger

ENGINES = {"plain": plain, "compiled": compiled(b"a secret of 32 bytes for a test.")}
OTHER = b"""
from changan.contract import Contract, Map, Text, U64, U128, call, view
from typing import Annotated
from annotated_types import MaxLen


class Notes(Contract):
    rows: Map[U64, Annotated[Text, MaxLen(20)]]
    last: U128

    @call
    def note(self, at: U64, text: Annotated[Text, MaxLen(20)], big: U128) -> U128:
        if at == 3:
            del self.rows[at]
        self.rows[at] = text
        self.last += big
        return self.last

    @call
    def forget(self, at: U64) -> None:
        del self.rows[at]

    @view
    def told(self, at: U64) -> Annotated[Text, MaxLen(20)]:
        return self.rows[at]
"""


def requests(ledger: Ledger, dice: random.Random, address: str):
    """Return what a block may hold: runs of calls alike, good and bad, and others between them."""
    people = [ledger.consortium.admin(), ledger.consortium.signer(), ledger.consortium.signer(2)]
    made = []
    for _ in range(dice.randrange(1, 9)):
        kind = dice.randrange(7)
        for _ in range(dice.choice([1, 2, 4, 7, 20])):
            sender = dice.choice(people)
            amount = str(dice.choice([0, 1, 5, 10**9, "x", -1]))
            to = dice.choice(["ab" * 20, "cd" * 20, "ef" * 20, b"\x01" * 20, "zz"])
            at = str(dice.randrange(5))
            if kind < 3:
                name = (dice.choice(["token", "token", "second"]), "token", address)[kind]
                given = {"to": to, "amount": amount} | ({"more": "1"} if dice.random() < 0.05 else {})
                made.append(ledger.request(name, "transfer", given, sender=sender))
            elif kind == 3:
                given = {
                    "at": at,
                    "text": dice.choice(["", "word", "字" * 6, "x" * 21]),
                    "big": str(1 << dice.randrange(128)),
                }
                made.append(ledger.request("notes", "note", given, sender=sender))
            elif kind == 4:
                made.append(ledger.request("notes", dice.choice(["told", "told", "forget"]), {"at": at}, sender=sender))
                if dice.random() < 0.1:  # more parameters than any transaction may have, all of them the same
                    payload = made[-1].payload
                    payload.parameters.extend([payload.parameters[0]] * 50)
                    made[-1] = sign_request(payload, sender)
            elif kind == 5:
                made.append(ledger.request("token", dice.choice(["balance", "none"]), {"of": "ab" * 20}, sender=sender))
            else:
                made.append(ledger.request("nothing", "there", {}, sender=sender))
    return made


@pytest.mark.parametrize("engine", ENGINES)
def test_together_as_one_by_one(monkeypatch, engine):
    ledger = Ledger(Consortium())
    admin, admins = ledger.consortium.admin(), ledger.consortium.admins()
    worlds = {least: apply_genesis(ledger.config, ENGINES[engine])[0] for least in (1, 4, 10**9)}
    together = 0
    inner = alike.Alike.__new__

    def counted(cls, *parts):
        nonlocal together
        together += 1
        return inner(cls, *parts)

    monkeypatch.setattr(alike.Alike, "__new__", counted)

    def seal(made):
        nonlocal ledger
        ledger.time_us += 1_000_000
        blocks = {}
        for least, world in worlds.items():
            monkeypatch.setattr(alike, "ALIKE_MIN", least)
            decided = Decided(world.height + 1, ledger.time_us, None, made, [None] * len(made))
            applied = apply_block(world, decided)
            blocks[least] = applied.header.block_hash, [done.data for done in applied.done], applied.rw_sets
        assert blocks[1] == blocks[4] == blocks[10**9]
        return applied

    token = (EXAMPLES / "token.py").read_bytes(), {"supply": "1000"}
    for name, code, given in (("token", *token), ("second", *token), ("notes", OTHER, {})):
        installed = install_parameters(name, "1.0", code, given)
        seal([ledger.request("CONTRACT_MANAGE", "INIT_CONTRACT", installed, sender=admin, endorsers=admins)])
    address = worlds[1].instances["token"].address.hex()
    for seed in range(60):
        seal(requests(ledger, random.Random(seed), address))
    assert together > 50
    assert len({world.block_hash for world in worlds.values()}) == 1
    states = [{name: dict(one.rows()) for name, one in world.instances.items()} for world in worlds.values()]
    assert states[0] == states[1] == states[2]
    assert states[0]["notes"]
