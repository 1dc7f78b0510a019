"""What becomes of each field of a contract in its next version."""

from __future__ import annotations

import pytest
from contract_running import ALICE, Runner, contract

from changan.contract.check import check
from changan.contract.instance import Code, Row
from changan.contract.upgrade import UpgradeError, plan_upgrade

OLD_ABOVE = """\
Note = Annotated[Text, MaxLen(10)]
class Color(Enum):
    RED = 0
    GREEN = 1
class Inner(Record):
    a: U64
    t: Note
class Entry(Record):
    n: U64
    inner: Inner
"""
OLD_FIELDS = {
    "u": "U64", "t": "Note", "who": "Address", "c": "Color", "m": "Map[U64, U64]", "texts": "Map[U64, Note]",
    "entries": "Map[tuple[Address, U64], Entry]", "l": "List[U64]", "records": "List[Entry]",
}  # fmt: skip
FILL = """\
@call
def fill(self) -> None:
    self.u = 5
    self.t = "存证"
    self.who = self.caller
    self.c = Color.GREEN
    self.m[1] = 10
    self.m[2] = 2**64 - 1
    self.texts[1] = "text"
    entry = Entry(n=3, inner=Inner(a=4, t="in"))
    self.entries[self.caller, 1] = entry
    self.l.append(8)
    self.l.append(9)
    self.records.append(entry)
"""


def version(changes=None, extra="", above=OLD_ABOVE, fill=""):
    fields = {**OLD_FIELDS, **(changes or {})}
    members = "\n".join(f"{name}: {kind}" for name, kind in fields.items() if kind is not None)
    return contract(f"{members}\n{extra}{fill}" if extra or fill else members, above)


OLD = Runner(version(fill=FILL))
OLD("fill")
DROP = "@migrate(drops=({},))\ndef move(self) -> None:\n    pass\n"


def upgraded(source):
    new = Runner(source)
    new.instance.restore(plan_upgrade(OLD.program, new.program).apply(OLD.instance.rows()))
    return new


def test_the_same_fields_keep_their_rows():
    for source in (version(), version(fill=FILL), version({"m": "Map[U64, U64] = Map(default=7)"})):
        new = upgraded(source)
        assert new.state() == OLD.state()
        assert new.instance.logical_bytes == OLD.instance.logical_bytes
        assert new.instance.collect() == []


def test_the_order_of_fields_does_not_matter():
    members = "\n".join(f"{name}: {kind}" for name, kind in reversed(OLD_FIELDS.items()))
    assert upgraded(contract(members, OLD_ABOVE)).state() == OLD.state()


def test_a_new_field_starts_empty():
    new = upgraded(version({"x": "U64", "y": "Map[U64, U64]"}, "@view\ndef f(self) -> U64:\n    return self.x"))
    assert new("f").result == 0
    assert new.state() == OLD.state()


def test_a_field_that_is_gone_must_be_named():
    with pytest.raises(UpgradeError) as error:
        plan_upgrade(OLD.program, Runner(version({"m": None})).program)
    assert str(error.value) == 'field m is gone: name it in @migrate(drops=("m",)), or keep it'
    new = upgraded(version({"m": None, "l": None}, DROP.format('"m", "l"')))
    assert new.state() == {key: value for key, value in OLD.state().items() if key.partition(".")[0] not in {"m", "l"}}
    assert new.instance.logical_bytes == OLD.instance.logical_bytes - 4 * 40


def test_drops_must_name_fields_of_the_old_version():
    with pytest.raises(UpgradeError, match="drops names zz, which the old version has not"):
        plan_upgrade(OLD.program, Runner(version(extra=DROP.format('"zz"'))).program)
    found = check(version(extra=DROP.format('"m"')))
    assert [message.text for message in found] == ["drops names m, which this version still declares"]


def test_every_problem_is_told():
    with pytest.raises(UpgradeError) as error:
        plan_upgrade(OLD.program, Runner(version({"m": None, "u": "I64", "l": None})).program)
    assert str(error.value).count(";") == 2
    assert "field u was U64 and cannot become I64: give the new field another name" in str(error.value)


REFUSED = [
    ("u", "I64"), ("u", "Bool"), ("u", "Address"), ("u", "Note"), ("u", "Map[U64, U64]"), ("u", "List[U64]"),
    ("t", "Annotated[Text, MaxLen(9)]"), ("t", "U64"), ("who", "Digest"), ("who", "Annotated[Bytes, Len(20, 20)]"),
    ("c", "U64"),
    ("m", "Map[U128, U64]"), ("m", "Map[I64, U64]"), ("m", "Map[U64, I64]"), ("m", "U64"), ("m", "List[U64]"),
    ("m", "Map[U64, Note]"),
    ("texts", "Map[U64, Annotated[Text, MaxLen(9)]]"), ("entries", "Map[tuple[U64, Address], Entry]"),
    ("entries", "Map[Address, Entry]"),
    ("entries", "Map[tuple[Address, U64], Inner]"), ("l", "List[I64]"), ("l", "Map[U64, U64]"), ("l", "U64"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "kind"), REFUSED)
def test_other_types_are_refused(field, kind):
    with pytest.raises(UpgradeError, match=f"field {field} was .* and cannot become"):
        plan_upgrade(OLD.program, Runner(version({field: kind})).program)


RECORDS_REFUSED = [
    ("    n: U64\n", "    n: I64\n"),
    ("    n: U64\n", ""),
    ("    n: U64\n    inner: Inner\n", "    inner: Inner\n    n: U64\n"),
    ("    n: U64\n", "    m: U64\n"),
    ("    n: U64\n", "    n: U64\n    between: U64\n"),
    ("    t: Note\n", ""),
    ("    a: U64\n", "    a: Bool\n"),
    ("MaxLen(10)", "MaxLen(9)"),
    ("    GREEN = 1\n", "    BLUE = 1\n"),
    ("    GREEN = 1\n", "    GREEN = 1\n    BLUE = 2\n"),
]


@pytest.mark.parametrize(("old", "new"), RECORDS_REFUSED)
def test_other_declarations_are_refused(old, new):
    with pytest.raises(UpgradeError):
        plan_upgrade(OLD.program, Runner(version(above=OLD_ABOVE.replace(old, new))).program)


def test_types_that_grow():
    above = OLD_ABOVE.replace("MaxLen(10)", "MaxLen(30)").replace("    a: U64\n", "    a: U128\n")
    above = above.replace("    t: Note\n", "    t: Note\n    more: I64\n    color: Color\n")
    above = above.replace("    inner: Inner\n", "    inner: Inner\n    last: Note\n    who: Address\n")
    extra = (
        "@view\ndef entry(self) -> Entry:\n    return self.entries[self.caller, 1]\n"
        "@view\ndef record(self) -> Entry:\n    return self.records[0]\n"
        "@view\ndef wide(self) -> U128:\n    return self.u + self.m[2] + self.l[1]\n"
        "@call\ndef longer(self) -> Note:\n    self.texts[1] = 'x' * 1\n    return self.t\n"
    ).replace("'x' * 1", "'xxxxxxxxxxxxxxxxxxxxxxxxx'")
    new = upgraded(version({"u": "U128", "m": "Map[U64, U128]", "l": "List[U128]"}, extra, above))
    grown = (3, (4, "in", 0, 0), "", bytes(20))
    assert new("entry").result == grown
    assert new("record").result == grown
    assert new("wide").result == 5 + 2**64 - 1 + 9
    assert new("longer").result == "存证"
    assert set(new.state()) == set(OLD.state())
    assert new.state()["l"] == OLD.state()["l"]
    assert new.instance.logical_bytes > OLD.instance.logical_bytes


def test_records_may_change_their_name():
    above = (
        OLD_ABOVE.replace("class Entry(", "class Renamed(")
        .replace("class Inner(", "class Within(")
        .replace(": Inner", ": Within")
    )
    source = version({"entries": "Map[tuple[Address, U64], Renamed]", "records": "List[Renamed]"}, above=above)
    assert upgraded(source).state() == OLD.state()


def test_the_migrate_method_runs_on_what_was_taken_over():
    extra = "@migrate(drops=('u',))\ndef move(self, by: U64) -> None:\n    self.m[1] *= by\n    self.m[3] = self.l[0]\n"
    new = upgraded(version({"u": None}, extra))
    assert new.program.migrate_method == "move"
    assert new.program.tree.drops == ("u",)
    assert new("move", 4).code == Code.OK
    assert [row.key for row in new.instance.collect()] == [f"m.{1:016x}", f"m.{3:016x}"]
    assert new.state()[f"m.{1:016x}"] == (40).to_bytes(8, "big")
    assert new("move", 2**63).code == Code.OVERFLOW


def test_rows_that_are_gone_stay_gone():
    migration = plan_upgrade(OLD.program, Runner(version()).program)
    row = Row(f"m.{1:016x}", bytes(8))
    assert list(migration.apply([Row(f"m.{5:016x}", None), row, Row("other", b"")])) == [row]
    assert ALICE.hex() in next(key for key in OLD.state() if key.startswith("entries."))
