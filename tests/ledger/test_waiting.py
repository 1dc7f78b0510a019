"""What waits for a root: however it and its snapshots are compacted, each row's newest value comes last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from changan.contract.instance import Row
from changan.contract.records import record_of, records, rows_of
from changan.ledger.delta import Delta
from changan.ledger.waiting import Waiting

NAMES = ("rows",)
PLACES = {"rows": 0}
CONTRACTS = ("a", "b")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(CONTRACTS), st.integers(0, 5), st.integers(1, 255)),
        st.tuples(st.just("snapshot")),
        st.tuples(st.just("compact"), st.integers(0, 9)),
        st.tuples(st.just("compact_itself")),
    ),
    min_size=20,
    max_size=60,
)


def newest(deltas: list[bytes]) -> list[bytes]:
    last: dict[str, bytes] = {}
    for delta in deltas:
        for record in records(delta):
            [row] = rows_of(NAMES, record)
            last.pop(row.key, None)
            last[row.key] = record
    return list(last.values())


def told(waiting: Waiting) -> dict[tuple[str, str], bytes | None]:
    return {(write.contract, write.key): write.value for write in waiting.writes()}


@given(STEPS)
def test_nothing_is_lost_by_compacting(steps):
    waiting, model = Waiting(), {}
    snapshots: list[tuple[Waiting, dict]] = []
    for kind, *given_ in steps:
        if kind == "add":
            contract, number, value = given_
            row = Row(f"rows.{number:016x}", bytes([value]))
            waiting.add([Delta(contract, NAMES, record_of(PLACES, row), 1)])
            model[contract, row.key] = row.value
        elif kind == "snapshot":
            snapshots.append((waiting.snapshot(), dict(model)))
        elif kind == "compact_itself":
            waiting.compact(newest)
        elif snapshots:
            snapshot, before = snapshots[given_[0] % len(snapshots)]
            snapshot.compact(newest)
            assert told(snapshot) == before
        assert told(waiting) == model


def test_what_a_snapshot_found_serves_its_origin():
    waiting = Waiting()
    for value in b"1234":
        waiting.add([Delta("a", NAMES, record_of(PLACES, Row("rows.00", bytes([value]))), 1)])
    snapshot = waiting.snapshot()
    waiting.add([Delta("a", NAMES, record_of(PLACES, Row("rows.00", b"5")), 1)])
    snapshot.compact(newest)
    assert [len(group.deltas) for group in waiting.groups] == [2]
    assert told(waiting) == {("a", "rows.00"): b"5"}


def test_a_snapshot_that_goes_on_is_one_no_more():
    waiting = Waiting()
    waiting.add([Delta("a", NAMES, record_of(PLACES, Row("rows.00", b"1")), 1)])
    snapshot = waiting.snapshot()
    snapshot.add([Delta("b", NAMES, record_of(PLACES, Row("rows.00", b"2")), 1)])
    snapshot.compact(newest)
    assert told(waiting) == {("a", "rows.00"): b"1"}
    assert told(snapshot) == {("a", "rows.00"): b"1", ("b", "rows.00"): b"2"}
