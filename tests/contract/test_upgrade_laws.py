"""Upgrades as laws: what may become what is an order, and a state that moves in two steps arrives where one step takes it."""

from __future__ import annotations

import pytest
from contract_running import contract
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from changan.contract.codec import pack, unpack
from changan.contract.instance import Row
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source
from changan.contract.types import (
    ADDRESS,
    BOOL,
    I64,
    U64,
    U128,
    EnumType,
    ListType,
    MapType,
    RecordType,
    TextType,
    zero,
)
from changan.contract.upgrade import UpgradeError, plan_upgrade

COLOR = EnumType("Color", ("RED", "GREEN"))
LEAVES = {
    "U64": U64,
    "I64": I64,
    "U128": U128,
    "Bool": BOOL,
    "Address": ADDRESS,
    "Color": COLOR,
    "Annotated[Text, MaxLen(4)]": TextType(4),
    "Annotated[Text, MaxLen(9)]": TextType(9),
}
ABOVE = "class Color(Enum):\n    RED = 0\n    GREEN = 1\n"
leaf = st.sampled_from(list(LEAVES))
records = st.lists(leaf, min_size=1, max_size=4).map(tuple)
values = st.one_of(leaf, records)


def shaped(value, wrap: str) -> str:
    """Return a contract with one field `f` of this value, alone or in a map or list; records are kept in those only."""
    if isinstance(value, tuple) and not wrap:
        reject()
    above, name = ABOVE, value
    if isinstance(value, tuple):
        fields = "".join(f"    p{number}: {kind}\n" for number, kind in enumerate(value))
        above, name = f"{ABOVE}\nclass Entry(Record):\n{fields}", "Entry"
    return contract({"": f"f: {name}", "map": f"f: Map[U64, {name}]", "list": f"f: List[{name}]"}[wrap], above)


def kind_of(value):
    if isinstance(value, tuple):
        return RecordType("Entry", tuple((f"p{number}", LEAVES[kind]) for number, kind in enumerate(value)))
    return LEAVES[value]


def grows(old, new) -> bool:
    """The rule as the documentation says it: U64 to U128, a text to a larger one, a record with fields appended."""
    if isinstance(old, tuple) or isinstance(new, tuple):
        if not (isinstance(old, tuple) and isinstance(new, tuple)):
            return False
        return len(old) <= len(new) and all(grows(before, after) for before, after in zip(old, new, strict=False))
    if old.startswith("Annotated") and new.startswith("Annotated"):
        return LEAVES[old].limit <= LEAVES[new].limit
    return old == new or (old, new) == ("U64", "U128")


def plan(old: str, new: str):
    try:
        return plan_upgrade(compile_source(old), compile_source(new))
    except UpgradeError:
        return None


wraps = st.sampled_from(["", "map", "list"])


def larger(value):
    """A value that this one may become, drawn beside it so that most pairs are of interest."""
    if isinstance(value, tuple):
        return st.tuples(st.tuples(*map(larger, value)), st.lists(leaf, max_size=2).map(tuple)).map(
            lambda two: two[0] + two[1]
        )
    wider = [other for other in LEAVES if grows(value, other)]
    return st.sampled_from(wider)


pairs = values.flatmap(lambda value: st.tuples(st.just(value), st.one_of(larger(value), values)))


@given(pairs, wraps)
def test_what_may_become_what_is_what_the_documentation_says(pair, wrap):
    old, new = pair
    assert (plan(shaped(old, wrap), shaped(new, wrap)) is not None) == grows(old, new)


@given(values, wraps, wraps)
def test_a_field_stays_what_it_is_one_value_a_map_or_a_list(value, was, now):
    assert (plan(shaped(value, was), shaped(value, now)) is not None) == (was == now)


def any_value(kind):
    match kind:
        case RecordType():
            return st.tuples(*(any_value(part) for _, part in kind.fields))
        case TextType():
            return st.text("ab", max_size=kind.limit)
        case EnumType():
            return st.integers(0, 1)
        case _ if kind is BOOL:
            return st.booleans()
        case _ if kind == ADDRESS:
            return st.binary(min_size=20, max_size=20)
    return st.integers(kind.low, kind.high)


def state(data, value, wrap: str) -> list[Row]:
    kind = kind_of(value)
    found = data.draw(st.lists(any_value(kind), min_size=1, max_size=3))
    packed = [pack(kind, one) for one in found]
    if wrap == "":
        return [Row("f", packed[0])]
    rows = [Row(f"f.{number:016x}", one) for number, one in enumerate(packed)]
    return rows + ([Row("f", len(rows).to_bytes(8, "big"))] if wrap == "list" else [])


@given(
    values.flatmap(lambda one: larger(one).flatmap(lambda two: st.tuples(st.just(one), st.just(two), larger(two)))),
    wraps,
    st.data(),
)
def test_two_steps_arrive_where_one_does(chain, wrap, data):
    first, second, third = (shaped(value, wrap) for value in chain)
    rows = state(data, chain[0], wrap)
    direct = list(plan(first, third).apply(rows))
    assert list(plan(second, third).apply(plan(first, second).apply(rows))) == direct
    instance = PlainInstance(compile_source(third), b"c" * 20)
    instance.restore(sorted(direct))  # what arrives is a state of the new version
    assert sorted(instance.rows()) == sorted(direct)


@given(pairs, wraps, st.data())
def test_nothing_that_was_stored_is_lost(pair, wrap, data):
    old, new = pair
    assume(grows(old, new))
    rows = state(data, old, wrap)
    moved = dict(plan(shaped(old, wrap), shaped(new, wrap)).apply(rows))
    assert moved.keys() == {row.key for row in rows}
    for row in rows:
        if wrap == "list" and row.key == "f":
            assert moved["f"] == row.value
            continue
        before, after = unpack(kind_of(old), row.value), unpack(kind_of(new), moved[row.key])
        if isinstance(old, tuple):
            appended = tuple(zero(LEAVES[kind]) for kind in new[len(old) :])
            assert after == (*before, *appended)
        else:
            assert after == before


def test_the_laws_look_at_the_types_that_contracts_have():
    assert isinstance(compile_source(shaped("U64", "map")).fields["f"], MapType)
    assert isinstance(compile_source(shaped(("U64", "Bool"), "list")).fields["f"], ListType)
    with pytest.raises(UpgradeError, match="field f was U128 and cannot become U64"):
        plan_upgrade(compile_source(shaped("U128", "")), compile_source(shaped("U64", "")))
