"""Proofs of rows: they show what is and nothing else, to us and to a reader that knows only the definition."""

from __future__ import annotations

import base64
import copy
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.digest import sha256
from changan.errors import ChanganError, MalformedError, UnverifiedError
from changan.ledger.commitment import DELTA_GROUP_ROWS, state_key
from changan.ledger.hashing import block_hash
from changan.ledger.row_proof import make_delta_proof, make_state_proof, verify_row_proof
from changan.ledger.state import Write
from changan.ledger.wire.messages import BlockHeader, BlockWithRWSet, ConsensusArgs
from changan.node.storage import record_of
from consortium import Consortium, Ledger

KEYS = [f"k{number}" for number in range(40)]


@pytest.fixture(scope="module")
def ledger(consortium) -> Ledger:
    """Forty rows of T, of which every fifth was taken out again."""
    made = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))
    made.seal(*(made.request("T", "P", {"k": key, "v": f"value of {key}"}) for key in KEYS))
    made.seal(*(made.request("T", "D", {"k": key}) for key in KEYS[::5]))
    return made


def state_proof(ledger: Ledger, key: str, contract: str = "T") -> dict:
    place = state_key(contract, key, sha256)
    value = ledger.world.row(contract, key)
    return make_state_proof(
        BlockWithRWSet.FromString(record_of(ledger.blocks[-1])),
        Write(contract, key, value),
        ledger.world.commitment.tree.prove(place),
    )


def delta_proof(ledger: Ledger, height: int, at: int) -> dict:
    return make_delta_proof(
        BlockWithRWSet.FromString(record_of(ledger.blocks[height])), ledger.blocks[height].writes, at
    )


def row_key(ledger: Ledger, number: int) -> str:
    return next(write.key for write in ledger.blocks[1].writes if write.key.endswith(KEYS[number]))


def test_every_row_is_proved_to_be_or_not_to_be(ledger):
    members = ledger.world.members
    for number in range(len(KEYS)):
        key = row_key(ledger, number)
        proven = verify_row_proof(json.loads(json.dumps(state_proof(ledger, key))), members)
        assert (proven.contract, proven.key, proven.height) == ("T", key, 2)
        assert proven.value == (None if number % 5 == 0 else f"value of {KEYS[number]}".encode())
        assert proven.proposer == "consensus1.sign.wx-org1.chainmaker.org"
    config = verify_row_proof(state_proof(ledger, "CHAIN_CONFIG", "CHAIN_CONFIG"), members)
    assert config.value == ledger.world.row("CHAIN_CONFIG", "CHAIN_CONFIG")
    assert verify_row_proof(state_proof(ledger, "nothing", "nobody")).value is None


def test_every_write_of_a_block_is_proved(ledger):
    for height in (1, 2):
        writes = ledger.blocks[height].writes
        assert writes[-1].contract == "CHANGAN"  # what the ledger itself wrote
        for at, write in enumerate(writes):
            proven = verify_row_proof(delta_proof(ledger, height, at), ledger.world.members)
            assert Write(proven.contract, proven.key, proven.value) == write
            assert proven.height == height
    assert len(ledger.blocks[1].writes) > 2 * DELTA_GROUP_ROWS


# What is not so cannot be shown


def test_a_row_that_is_there_cannot_be_denied(ledger):
    """With any path and any neighbour that the tree has to offer."""
    present = state_proof(ledger, row_key(ledger, 1))
    others = [state_proof(ledger, row_key(ledger, number)) for number in range(len(KEYS))]
    for other in others:
        for found in (None, present["found"], other["found"]):
            for siblings in (present["siblings"], other["siblings"], present["siblings"][:-1], []):
                lie = {**present, "value": None, "found": found, "siblings": siblings}
                with pytest.raises(UnverifiedError):
                    verify_row_proof(lie)


def test_a_row_that_is_not_there_cannot_be_claimed(ledger):
    absent = state_proof(ledger, row_key(ledger, 0))
    claimed = base64.b64encode(b"value of k0").decode()
    place = base64.b64encode(state_key("T", row_key(ledger, 0), sha256)).decode()
    for number in range(len(KEYS)):
        other = state_proof(ledger, row_key(ledger, number))
        for found in (other["found"], [place, (other["found"] or [place, place])[1]]):
            lie = {**absent, "value": claimed, "found": found, "siblings": other["siblings"]}
            with pytest.raises(UnverifiedError):
                verify_row_proof(lie)


def test_another_value_or_another_row(ledger):
    good = state_proof(ledger, row_key(ledger, 1))
    other = state_proof(ledger, row_key(ledger, 2))
    for lie in (
        {**good, "value": other["value"]},
        {**good, "value": ""},
        {**good, "key": other["key"]},
        {**good, "contract": "U"},
        {**good, "contract": "", "key": "T" + good["key"]},
        {**good, "header": other["header"], "siblings": other["siblings"]},
    ):
        with pytest.raises(UnverifiedError):
            verify_row_proof(lie)
    write = delta_proof(ledger, 1, 0)
    for lie in (
        {**write, "value": None},
        {**write, "value": delta_proof(ledger, 1, 20)["value"]},
        {**write, "key": delta_proof(ledger, 1, 20)["key"]},
        {**write, "header": delta_proof(ledger, 2, 0)["header"]},
        {**write, "format": "state-1", "found": None, "siblings": []},
        {**good, "format": "delta-1", "group": good["value"], "group_path": [], "group_index": 0, "groups": 1},
    ):
        with pytest.raises(UnverifiedError):
            verify_row_proof(lie)


def test_a_block_without_a_root_over_the_state_proves_no_state(ledger):
    good = state_proof(ledger, row_key(ledger, 1))
    header = BlockHeader.FromString(base64.b64decode(good["header"]))
    arguments = ConsensusArgs.FromString(header.consensus_args)
    arguments.ClearField("state_root")
    header.consensus_args = arguments.SerializeToString()
    header.block_hash = block_hash(header, sha256)
    with pytest.raises(UnverifiedError, match="carries no root"):
        verify_row_proof({**good, "header": base64.b64encode(header.SerializeToString()).decode()})


def test_a_header_of_ones_own_making_is_nobodys(ledger):
    """Hashes can be made to fit; the seal of a trusted node cannot."""
    mallory = Consortium()
    forged = Ledger(mallory, sealer=mallory.signer(1, "consensus1", "consensus"))
    forged.call("T", "P", {"k": "k1", "v": "a lie"})
    key = forged.blocks[1].writes[0].key
    lie = state_proof(forged, key)
    assert verify_row_proof(lie).value == b"a lie"  # it fits, and nobody said who made it
    with pytest.raises(UnverifiedError):
        verify_row_proof(lie, ledger.world.members)
    user = Ledger(ledger.consortium, sealer=ledger.consortium.signer())
    user.call("T", "P", {"k": "k1", "v": "a lie"})
    with pytest.raises(UnverifiedError, match="no node"):
        verify_row_proof(state_proof(user, key), ledger.world.members)


# No byte of a proof can change


def parts(document: dict) -> list[tuple]:
    """The places of everything in a proof that is bytes."""
    found = []
    for name, value in document.items():
        if name in {"contract", "key", "format"}:
            continue
        if isinstance(value, str):
            found.append((name,))
        elif isinstance(value, list):
            found += [(name, at) for at in range(len(value))]
    return found


@pytest.mark.parametrize("form", ["present", "absent", "delta"])
def test_no_byte_of_a_proof_can_change(ledger, form):
    made = {
        "present": lambda: state_proof(ledger, row_key(ledger, 1)),
        "absent": lambda: state_proof(ledger, row_key(ledger, 5)),
    }
    good = made.get(form, lambda: delta_proof(ledger, 1, 3))()
    members = ledger.world.members
    assert verify_row_proof(good, members)
    tried = 0
    for place in parts(good):
        data = good[place[0]] if len(place) == 1 else good[place[0]][place[1]]
        data = base64.b64decode(data)
        for at in range(len(data)):
            changed = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
            lie = copy.deepcopy(good)
            text = base64.b64encode(changed).decode()
            if len(place) == 1:
                lie[place[0]] = text
            else:
                lie[place[0]][place[1]] = text
            with pytest.raises(ChanganError):
                verify_row_proof(lie, members)
            tried += 1
    assert tried > 1000
    for name in ("contract", "key"):
        for at in range(len(good[name])):
            with pytest.raises(UnverifiedError):
                verify_row_proof({**good, name: good[name][:at] + "~" + good[name][at + 1 :]}, members)
    for name in good:
        with pytest.raises(ChanganError):
            verify_row_proof({key: value for key, value in good.items() if key not in {name, "certificate"}}, members)


def test_no_step_of_a_path_can_go_or_come(ledger):
    good = state_proof(ledger, row_key(ledger, 1))
    zero = base64.b64encode(bytes(32)).decode()
    for at in range(len(good["siblings"])):
        shorter = good["siblings"][:at] + good["siblings"][at + 1 :]
        longer = [*good["siblings"][:at], zero, *good["siblings"][at:]]
        swapped = [*good["siblings"]]
        swapped[at], swapped[at - 1] = swapped[at - 1], swapped[at]
        for siblings in (shorter, longer, *([swapped] if swapped != good["siblings"] else [])):
            with pytest.raises(UnverifiedError):
                verify_row_proof({**good, "siblings": siblings})


# What is no proof


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["present", "delta"]), st.data())
def test_anything_else_is_refused_in_words(ledger, form, data):
    good = state_proof(ledger, row_key(ledger, 1)) if form == "present" else delta_proof(ledger, 1, 3)
    for name in data.draw(st.lists(st.sampled_from(sorted(good)), min_size=1, max_size=3, unique=True)):
        good[name] = data.draw(JUNK)
    try:
        proven = verify_row_proof(good, ledger.world.members)
    except (MalformedError, UnverifiedError) as error:
        assert str(error)
    else:  # numbers of groups that read the same path
        assert (proven.contract, proven.header.block_height) == ("T", 2 if form == "present" else 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 1}, "no proof of a row"),
        ({"format": ["state-1"]}, "no proof of a row"),
        ({"suite": 9}, "unknown to this release"),
        ({"suite": True}, "unknown to this release"),
        ({"suite": 2}, "not that of its header"),
        ({"siblings": [""] * 257}, "longer than any"),
        ({"siblings": ["!"]}, "not base64"),
        ({"found": []}, "found is the hash"),
        ({"found": ["AAAA"] * 3}, "longer than any"),
        ({"key": "\ud800"}, "no text"),
        ({"key": "k" * 20_000}, "longer than any"),
        ({"value": 7}, "has no value"),
        ({"header": "AAAA"}, "not decode|not that of its header"),
        ({"certificate": "AA=="}, "does not decode|no quorum"),
    ],
)
def test_junk_is_told_from_lies(ledger, change, says):
    with pytest.raises(ChanganError, match=says):
        verify_row_proof({**state_proof(ledger, row_key(ledger, 1)), **change}, ledger.world.members)


@given(st.binary(max_size=80))
def test_a_group_that_is_no_rows(data):
    """A header of one's own making may bind any group."""
    root = hashlib.sha256(b"\x00" + data).digest()
    header = BlockHeader(chain_id="c", consensus_args=ConsensusArgs(delta_root=root).SerializeToString())
    header.block_hash = block_hash(header, sha256)
    text = base64.b64encode(data).decode()
    lie = {"format": "delta-1", "suite": 1, "contract": "c", "key": "k", "value": None, "group": text, "group_index": 0}
    lie |= {"groups": 1, "group_path": [], "header": base64.b64encode(header.SerializeToString()).decode()}
    with pytest.raises(UnverifiedError, match="row"):
        verify_row_proof(lie)


# A second opinion, from the definition alone


def literally(document: dict) -> bytes:
    """The root to which a state proof leads, by hashlib."""

    def tagged(tag: bytes, *pieces: bytes) -> bytes:
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in (tag, *pieces))).digest()

    place = tagged(b"changan.key", document["contract"].encode(), document["key"].encode())
    bits = bin(int.from_bytes(place, "big") | 1 << 256)[3:]
    node = bytes(32)
    if document["found"] is not None:
        key_hash, value_hash = (base64.b64decode(item) for item in document["found"])
        if document["value"] is not None:
            assert (key_hash, value_hash) == (place, tagged(b"changan.value", base64.b64decode(document["value"])))
        node = hashlib.sha256(b"\x00" + key_hash + value_hash).digest()
    siblings = [base64.b64decode(item) for item in document["siblings"]]
    for bit, sibling in reversed(list(zip(bits, siblings, strict=False))):
        node = hashlib.sha256(b"\x01" + (sibling + node if bit == "1" else node + sibling)).digest()
    return node


def test_the_definition_leads_to_the_same_root(ledger):
    header = ledger.blocks[-1].block.header
    root = ConsensusArgs.FromString(header.consensus_args).state_root
    for number in range(len(KEYS)):
        assert literally(state_proof(ledger, row_key(ledger, number))) == root
