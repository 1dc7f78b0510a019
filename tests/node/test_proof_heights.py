"""A proof tells what the row held at the height of its root, whatever was written since, in which way, and by which node."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle
from changan.ledger.row_proof import verify_row_proof
from changan.node.proofs import Proofs, UnprovableError
from changan.node.reader import Reader
from consortium import Ledger

SOURCE = b"""
from changan.contract import Contract, Map, U64, call


class Shelf(Contract):
    numbers: Map[U64, U64]

    @call
    def put(self, key: U64, value: U64) -> None:
        self.numbers[key] = value

    @call
    def fill(self, start: U64, count: U64, value: U64) -> None:
        for n in range(start, start + count):
            self.numbers[U64(n)] = value

    @call
    def drop(self, key: U64) -> None:
        del self.numbers[key]
"""


def row(number: int) -> str:
    return f"numbers.{number.to_bytes(8, 'big').hex()}"


def value(number: int) -> bytes:
    return number.to_bytes(8, "big")


class Index:
    """The history of rows, from the blocks themselves."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def key_history(self, contract, key, *, limit):
        found = [
            (height, position)
            for height, applied in enumerate(self._ledger.blocks)
            for position, rw_set in enumerate(applied.rw_sets)
            if any((w.contract_name, w.key.decode()) == (contract, key) for w in rw_set.tx_writes)
        ]
        return found[::-1][:limit]


class Past:
    """Proofs over a ledger without a node, and what each row held at each height."""

    def __init__(self, consortium) -> None:
        self.ledger = Ledger(consortium)
        self.world = self.ledger.world
        self.keys: set[str] = set()
        self.held: list[dict[str, bytes | None]] = [{}]
        self.ledger.install("shelf", SOURCE)
        self._note()
        self.start_again()

    def _note(self) -> None:
        self.held.append({key: self.world.row("shelf", key) for key in self.keys})
        assert len(self.held) == self.world.height + 1

    def start_again(self) -> None:
        """A node that starts knows of its roots only what the blocks say."""
        self._rest = SimpleNamespace(reader=None, reaches=self._reaches)
        self.proofs = Proofs(self.world, self._rest)

    async def _reaches(self, height: int) -> None:
        assert height == self.world.height

    def call(self, method: str, **arguments: int) -> None:
        numbers = range(arguments.get("start", 0), arguments.get("start", 0) + arguments.get("count", 0))
        self.keys |= {row(number) for number in [*numbers, *([arguments["key"]] if "key" in arguments else [])]}
        result = self.ledger.call("shelf", method, {name: str(number) for name, number in arguments.items()})
        assert result.code == 0, result
        self._note()

    def bundle(self, rows: list[tuple[int, int]]) -> None:
        self.keys |= {row(key) for key, _ in rows}
        signature = self.world.instances["shelf"].program.method("put")
        data = encode_bundle(signature, columns_of(signature, rows), len(rows), 0)
        assert self.ledger.call("shelf", "put", {PARAMETER: data}).code == 0
        self._note()

    def settle(self) -> None:
        node = self.ledger.consortium.signer(1, "consensus1", "consensus")
        assert self.ledger.call("CHANGAN", "SETTLE", sender=node).code == 0
        self._note()

    def prove(self, number: int):
        """What is proved, once it was found to be what the row held then."""
        self._rest.reader = Reader(self.ledger.log(), Index(self.ledger))
        proven = verify_row_proof(asyncio.run(self.proofs.of_state("shelf", row(number))))
        assert proven.value == self.held[proven.height].get(row(number))
        assert proven.height <= proven.header.block_height <= self.world.height
        return proven


@pytest.fixture
def past(consortium) -> Past:
    return Past(consortium)


def test_while_the_tree_is_behind_a_row_is_proved_as_it_was(past):
    past.call("fill", start=0, count=200, value=1)
    past.call("fill", start=0, count=1000, value=2)
    assert past.world.commitment.behind
    assert past.prove(0).value == value(1)
    assert past.prove(200).value is None, "it came later"
    assert past.prove(5000).value is None
    past.call("drop", key=3)
    assert past.prove(3).value == value(1), "it went later"


def test_a_root_that_follows_later_is_proved_by_the_header_that_binds_it(past):
    for number in range(1, 14):
        past.call("fill", start=0, count=1000, value=number)
        past.prove(7)
    for number in range(20):
        past.call("put", key=0, value=100 + number)
        past.prove(0)
        past.prove(7)
    proven = past.prove(0)
    assert proven.header.block_height == proven.height + 16
    assert proven.value != past.world.row("shelf", row(0))


def test_what_a_bundle_wrote_is_proved_until_it_is_written_again(past):
    past.bundle([(1, 10), (2, 20)])
    assert past.prove(2).value == value(20)
    past.call("fill", start=0, count=1000, value=2)
    assert past.prove(3).value is None
    with pytest.raises(UnprovableError):
        past.prove(1)
    past.settle()
    assert past.prove(1).height == past.world.height


@settings(max_examples=30)
@given(
    actions=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 9)),
            st.tuples(st.just("drop"), st.integers(0, 5), st.just(0)),
            st.tuples(st.just("fill"), st.sampled_from([0, 4]), st.sampled_from([3, 300, 900])),
            st.tuples(st.sampled_from(["settle", "restart"]), st.just(0), st.just(0)),
        ),
        max_size=14,
    )
)
def test_whatever_was_done_a_proof_tells_the_value_at_its_height(consortium, actions):
    past = Past(consortium)
    for name, one, two in actions:
        if name == "put":
            past.call("put", key=one, value=two)
        elif name == "drop" and past.world.row("shelf", row(one)) is not None:
            past.call("drop", key=one)
        elif name == "fill":
            past.call("fill", start=one, count=two, value=two)
        elif name == "settle":
            past.settle()
        elif name == "restart":
            past.start_again()
        for number in (0, 4, 5, 950):
            past.prove(number)
