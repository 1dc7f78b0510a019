"""A receipt has one text: no letter of it can be changed so that it still holds, whatever kind of receipt it is."""

from __future__ import annotations

import base64
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.errors import MalformedError, UnverifiedError
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle, open_bundle
from changan.ledger.commitment import state_key
from changan.ledger.receipt import make_receipt, verify_receipt
from changan.ledger.receipt_text import decoded
from changan.ledger.row_proof import make_delta_proof, make_state_proof, verify_row_proof
from changan.ledger.row_receipt import make_row_receipt, verify_row_receipt
from changan.ledger.state import Write
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.storage import record_of
from consortium import Ledger

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.fixture(scope="module")
def receipts(consortium):
    """One receipt of each kind, with what verifies it."""
    ledger = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))
    ledger.install("token", supply="1000")
    program, world = ledger.world.instances["token"].program, ledger.world
    signature = program.method("transfer")
    rows = [(bytes([n]) * 20, n + 1) for n in range(5)]
    data = encode_bundle(signature, columns_of(signature, rows), len(rows), 0)
    applied = ledger.seal(
        ledger.request("token", "transfer", {"to": "11" * 20, "amount": "5"}, sender=consortium.admin()),
        ledger.request("token", "transfer", {PARAMETER: data}, sender=consortium.admin()),
    )
    stored = BlockWithRWSet.FromString(record_of(applied))
    key = next(write.key for write in applied.writes if write.key.startswith("balances."))
    proof = {name: world.commitment.tree.prove(state_key("token", name, world.digest)) for name in (key, "none")}
    bundle = open_bundle(program, "transfer", data)[1]
    return {
        "transaction": (verify_receipt, make_receipt(stored, 0)),
        "row of a bundle": (verify_row_receipt, make_row_receipt(stored, 1, signature, bundle, 2)),
        "row": (verify_row_proof, make_state_proof(stored, Write("token", key, world.row("token", key)), proof[key])),
        "absence": (verify_row_proof, make_state_proof(stored, Write("token", "none", None), proof["none"])),
        "write": (verify_row_proof, make_delta_proof(stored, applied.writes, 0)),
    }, world.members


KINDS = ["transaction", "row of a bundle", "row", "absence", "write"]


def texts_of(receipt: dict) -> list[tuple[str, int | None]]:
    """Where there is base64 in a receipt: its parts, and their places in lists."""
    names = [(name, None) for name, part in receipt.items() if isinstance(part, str)]
    listed = [(name, at) for name, part in receipt.items() if isinstance(part, list) for at in range(len(part))]
    named = {"format", "tx_id", "contract", "key"}
    return [(name, at) for name, at in names + listed if name not in named]


def with_text(receipt: dict, place: tuple[str, int | None], text: str) -> dict:
    made, (name, at) = deepcopy(receipt), place
    if at is None:
        made[name] = text
    else:
        made[name][at] = text
    return made


def text_at(receipt: dict, place: tuple[str, int | None]) -> str:
    name, at = place
    return receipt[name] if at is None else receipt[name][at]


def refused(receipts, kind: str, made: dict) -> None:
    found, members = receipts
    with pytest.raises((UnverifiedError, MalformedError)):
        found[kind][0](made, members)


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_as_it_is(receipts, kind):
    found, members = receipts
    verify, receipt = found[kind]
    assert verify(receipt, members).header.block_height == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_the_last_letter_that_stand_for_nothing_are_nought(receipts, kind):
    receipt = receipts[0][kind][1]
    tried = 0
    for place in texts_of(receipt):
        text = text_at(receipt, place)
        bare = text.rstrip("=")
        if bare == text:
            continue
        last = DIGITS[DIGITS.index(bare[-1]) ^ 1]
        other = bare[:-1] + last + text[len(bare) :]
        assert base64.b64decode(other) == base64.b64decode(text), "the same bytes"
        refused(receipts, kind, with_text(receipt, place, other))
        tried += 1
    assert tried


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=120)
@given(data=st.data())
def test_no_letter_can_be_changed_added_or_left_out(receipts, kind, data):
    receipt = receipts[0][kind][1]
    place = data.draw(st.sampled_from(texts_of(receipt)))
    text = text_at(receipt, place)
    at = data.draw(st.integers(0, max(0, len(text) - 1)))
    letter = data.draw(st.sampled_from([*DIGITS, "=", "-", "_", "\n", " ", "é", ""]))
    how = data.draw(st.sampled_from(["change", "add"]))
    other = text[:at] + letter + text[at + (how == "change") :]
    if other != text:
        refused(receipts, kind, with_text(receipt, place, other))


@pytest.mark.parametrize(
    "text", ["AA", "AB==", "AA=", "AAA", "AA==\n", " AA==", "AA==AA==", "A\nA==", "AA-_", "é", "====", "AAB="]
)
def test_other_forms_of_base64(text):
    with pytest.raises(MalformedError, match="part is"):
        decoded({"part": text}, "part")


@given(st.binary(max_size=40))
def test_the_one_form_is_read(data):
    assert decoded({"part": base64.b64encode(data).decode()}, "part") == data
