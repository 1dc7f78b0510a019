"""What a node believes of an engine that it has not met: votes of those to whom the genesis leads, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import struct
from hashlib import sha256

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from membership_running import calls, join
from model import node_of

from changan.errors import MalformedError, UnverifiedError
from changan.ledger.roster import Roster
from changan.node.comet.light import committed, voters_of
from changan.node.comet.light_door import REQUEST_BYTES_MAX, LightDoor

CHAIN = "chain1"
TIMES = ["2026-11-27T08:00:00Z", "2026-11-27T08:00:00.5Z", "1970-01-01T00:00:00Z", "2026-11-27T08:00:00.123456789Z"]
STAMPS = [(1795766400, 0), (1795766400, 500_000_000), (0, 0), (1795766400, 123_456_789)]


def key(n: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(b"%d" % n).digest())


@pytest.fixture(scope="module")
def roster(five) -> Roster:
    return Roster(node_of(five, n, validator=key(n).public_key().public_bytes_raw()).voter for n in range(1, 5))


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def _number(number: int, value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return bytes([number << 3]) + out + bytes([value])


def commit_of(
    roster: Roster, height: int = 9, round_: int = 0, votes=(1, 2, 3, 4), chain: str = CHAIN, key=key
) -> dict:
    """A commit as the engine's RPC shows it. What is signed is CometBFT's CanonicalVote, put together here by hand."""
    block, parts = sha256(b"block").digest(), sha256(b"parts").digest()
    block_id = _field(1, block) + _field(2, _number(1, 3) + _field(2, parts))
    signatures = []
    for n, voter in enumerate(roster.voters, 1):
        seconds, nanos = STAMPS[n - 1]
        stamp = (_number(1, seconds) if seconds else b"") + (_number(2, nanos) if nanos else b"")
        body = b"\x08\x02\x11" + struct.pack("<q", height) + (b"\x19" + struct.pack("<q", round_) if round_ else b"")
        body += _field(4, block_id) + _field(5, stamp) + _field(6, chain.encode())
        signature = key(n).sign(bytes([len(body)]) + body)
        signatures.append(
            {
                "block_id_flag": 2 if n in votes else 1,
                "validator_address": voter.address.hex().upper() if n in votes else "",
                "timestamp": TIMES[n - 1],
                "signature": base64.b64encode(signature).decode() if n in votes else None,
            }
        )
    block_id_shown = {"hash": block.hex().upper(), "parts": {"total": 3, "hash": parts.hex().upper()}}
    commit = {"height": str(height), "round": round_, "block_id": block_id_shown, "signatures": signatures}
    return {"signed_header": {"header": {}, "commit": commit}, "canonical": True}


@pytest.mark.parametrize("round_", [0, 1, 300])
@pytest.mark.parametrize("votes", [(1, 2, 3, 4), (1, 2, 3), (2, 3, 4)])
def test_a_block_for_which_enough_voted_is_believed(roster, round_, votes):
    answer = commit_of(roster, round_=round_, votes=votes)
    assert committed(roster, CHAIN, 9, answer) == sha256(b"block").digest()


@pytest.mark.parametrize("votes", [(), (1,), (1, 2)])
def test_one_for_which_too_few_voted_is_not(roster, votes):
    with pytest.raises(UnverifiedError, match=f"{len(votes)} of 4 voted for the engine's block 9: that is no quorum"):
        committed(roster, CHAIN, 9, commit_of(roster, votes=votes))


def lies():
    """Changes of a commit of three votes, none of which may count."""

    def vote(at: int, name: str, value):
        return lambda commit: commit["signatures"][at].__setitem__(name, value)

    def same_voter_in_other_letters(commit) -> None:
        again = copy.deepcopy(commit["signatures"][0])
        again["validator_address"] = again["validator_address"].lower()
        commit["signatures"] = [commit["signatures"][0], again, commit["signatures"][1]]

    return {
        "another block": lambda commit: commit["block_id"].__setitem__("hash", "00" * 32),
        "other parts": lambda commit: commit["block_id"]["parts"].__setitem__("hash", "00" * 32),
        "more parts": lambda commit: commit["block_id"]["parts"].__setitem__("total", 4),
        "another round": lambda commit: commit.__setitem__("round", 7),
        "another height": lambda commit: commit.__setitem__("height", "10"),
        "another time": vote(0, "timestamp", TIMES[1]),
        "a time that is none": vote(0, "timestamp", "yesterday"),
        "a time beyond all times": vote(0, "timestamp", "9999-99-99T00:00:00Z"),
        "another's signature": vote(0, "signature", "A" * 86 + "=="),
        "a signature that is none": vote(0, "signature", "%"),
        "no signature": vote(0, "signature", None),
        "a stranger": vote(0, "validator_address", "00" * 20),
        "a vote for nothing": vote(0, "block_id_flag", 3),
        "one voter twice": lambda commit: commit["signatures"].__setitem__(2, commit["signatures"][0]),
        "one voter twice, in other letters": same_voter_in_other_letters,
        "no votes": lambda commit: commit.__setitem__("signatures", []),
        "votes that are no list": lambda commit: commit.__setitem__("signatures", 5),
        "votes that are no votes": lambda commit: commit.__setitem__("signatures", [1, 2, 3]),
        "a height that is no number": lambda commit: commit.__setitem__("height", "nine"),
        "a round beyond all rounds": lambda commit: commit.__setitem__("round", 2**70),
        "a hash that is no text": lambda commit: commit["block_id"].__setitem__("hash", 7),
        "parts below none": lambda commit: commit["block_id"]["parts"].__setitem__("total", -1),
        "no block": lambda commit: commit.pop("block_id"),
    }


@pytest.mark.parametrize("name", lies())
def test_a_lie_about_votes_is_not_believed(roster, name):
    answer = commit_of(roster, votes=(1, 2, 3))
    lies()[name](answer["signed_header"]["commit"])
    with pytest.raises((UnverifiedError, MalformedError)):
        committed(roster, CHAIN, 9, answer)


def test_votes_of_another_chain_or_height_do_not_count(roster):
    for height, chain in ((9, "chain2"), (10, CHAIN)):
        with pytest.raises((UnverifiedError, MalformedError)):
            committed(roster, CHAIN, 9, commit_of(roster, height, chain=chain))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(place=st.integers(0, 30), value=json_values)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_door_answers_has_a_clear_end(roster, place, value):
    answer = commit_of(roster, votes=(1, 2, 3))
    places: list[tuple[dict | list, str | int]] = []

    def walk(node) -> None:
        for at in node if isinstance(node, dict) else range(len(node)):
            places.append((node, at))
            if isinstance(node[at], dict | list):
                walk(node[at])

    walk(answer)
    node, at = places[place % len(places)]
    before = node[at]
    node[at] = value
    try:
        assert committed(roster, CHAIN, 9, answer) == sha256(b"block").digest()
    except (UnverifiedError, MalformedError):
        assert value != before


async def test_the_changes_lead_from_the_genesis_to_those_who_vote(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 4)
    reader = model.peers[0].chain.reader
    [changed] = model.peers[0].rosters.changes_before(10**9)
    links = [dict(link) for link in reader.membership(reader.height + 1)]
    roster = voters_of(model.config, links, reader.height)
    assert roster.voters == model.peers[0].rosters.newest.roster.voters
    assert voters_of(model.config, [], changed - 1).voters == model.voters  # before the change
    for wrong in ([{**links[0], "certificate": ""}], [links[0], links[0]], "links", [1], None):
        with pytest.raises((UnverifiedError, MalformedError)):
            voters_of(model.config, wrong, reader.height)
    with pytest.raises(UnverifiedError, match="not those of the chain before the block"):
        voters_of(model.config, links, changed - 1)


# The socket at which the engine asks


class Member:
    """A member's HTTP door, or what pretends to be one."""

    def __init__(self, answers) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def client_async(self) -> httpx2.AsyncClient:
        def answer(request: httpx2.Request) -> httpx2.Response:
            self.asked.append(str(request.url))
            return self.answers(request)

        return httpx2.AsyncClient(base_url="http://member", transport=httpx2.MockTransport(answer))


async def ask(path, *calls_: bytes) -> list[dict | None]:
    reader, writer = await asyncio.open_unix_connection(path)
    found: list[dict | None] = []
    for body in calls_:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head = await reader.read(4096)
        found.append(json.loads(head.partition(b"\r\n\r\n")[2]) if head else None)
    writer.close()
    return found


def call(method: str, **parameters: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 3, "method": method, "params": parameters}).encode()


def at_height(request: httpx2.Request) -> httpx2.Response:
    height = request.url.params["height"]
    if int(height) > 20:
        return httpx2.Response(404, json={"detail": "height 21 must be less than or equal to the current one"})
    names = ("commit", "validators", "consensus_params")
    return httpx2.Response(200, json={name: {"of": name, "height": height} for name in names})


async def test_the_engine_hears_what_the_first_member_says_that_answers(model, tmp_path):
    away = Member(lambda _: httpx2.Response(503, json={"detail": "no"}))
    there = Member(at_height)
    async with LightDoor([away, there], model.config).listen(tmp_path / "light"):
        found = await ask(
            tmp_path / "light",
            call("commit", height="7"),
            call("validators", height="7", page="1", per_page="100"),
            call("consensus_params", height="8"),
            call("commit", height="21"),
            call("broadcast_tx_sync", tx=""),
            call("commit", height="seven"),
            call("commit"),
        )
    assert [one["result"] for one in found[:3]] == [
        {"of": "commit", "height": "7"},
        {"of": "validators", "height": "7"},
        {"of": "consensus_params", "height": "8"},
    ]
    assert all(one["id"] == 3 for one in found)
    assert "height 21 must be less than" in found[3]["error"]["data"]  # by these words the light client knows
    assert "this socket answers commit" in found[4]["error"]["data"]
    assert all("error" in one for one in found[5:])
    assert len(there.asked) == 3  # a block is asked for once
    assert all("chain=chain1" in url for url in there.asked)


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, content=b"\xff\xfe"),
        httpx2.Response(200, json=[1]),
        httpx2.Response(200, json={}),
        httpx2.Response(200, content=b"[" * 100_000),
        httpx2.Response(200, content=b" " * (17 << 20)),
        httpx2.Response(302, headers={"location": "http://elsewhere"}, json={}),
    ],
    ids=["noise", "a list", "nothing in it", "deep", "long", "elsewhere"],
)
async def test_a_member_that_answers_nonsense_is_told_of(model, tmp_path, answer):
    async with LightDoor([Member(lambda _: answer)], model.config).listen(tmp_path / "light"):
        [found] = await ask(tmp_path / "light", call("commit", height="7"))
    assert "error" in found


@pytest.mark.parametrize("data", [b"\xff", b"[]", b"5", b"", b"{" * 70_000])
async def test_an_engine_that_speaks_nonsense_is_hung_up_on(model, tmp_path, data):
    async with LightDoor([Member(at_height)], model.config).listen(tmp_path / "light"):
        [found] = await ask(tmp_path / "light", data)
        assert found is None
        assert len(data) < 64 or len(data) > REQUEST_BYTES_MAX
        [again] = await ask(tmp_path / "light", call("commit", height="7"))
        assert "result" in again
