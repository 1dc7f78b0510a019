"""Upgrades: what becomes of each field of a contract when a new version takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.codec import pack, unpack
from changan.contract.instance import Row
from changan.contract.types import U64, U128, ListType, MapType, RecordType, TextType, zero
from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from changan.contract.instance import Value
    from changan.contract.program import Program
    from changan.contract.types import FieldType, ValueType


class UpgradeError(ChanganError):
    """A new version that cannot take over the old one's state; the message names every field and the remedy."""


class Migration:
    """How the rows of an old version become those of a new one."""

    def __init__(self, kept: Mapping[str, tuple[FieldType, FieldType]]) -> None:
        self._kept = kept

    def apply(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Return the rows of the new version."""
        for row in rows:
            name, dot, _ = row.key.partition(".")
            if name not in self._kept or row.value is None:
                continue
            old, new = self._kept[name]
            if old == new or (isinstance(old, ListType) and not dot):
                yield row
            else:
                before, after = _element(old), _element(new)
                yield Row(row.key, pack(after, _widened(before, after, unpack(before, row.value))))


def plan_upgrade(old: Program, new: Program) -> Migration:
    """Return how the state of `old` moves to `new`, field by field.

    A field of the same name and type is kept, a new one starts empty, one that is gone must be named in
    @migrate(drops=...), and a type may only grow: U64 to U128, a text to a larger one, a record with fields appended.
    Raises UpgradeError.
    """
    kept: dict[str, tuple[FieldType, FieldType]] = {}
    problems: list[str] = []
    for name, kind in old.fields.items():
        if name not in new.fields:
            if name not in new.tree.drops:
                problems.append(f'field {name} is gone: name it in @migrate(drops=("{name}",)), or keep it')
        elif _may_become(kind, new.fields[name]):
            kept[name] = (kind, new.fields[name])
        else:
            problems.append(
                f"field {name} was {kind.name} and cannot become {new.fields[name].name}: "
                "give the new field another name and move the values in @migrate"
            )
    problems += [
        f"drops names {name}, which the old version has not" for name in new.tree.drops if name not in old.fields
    ]
    if problems:
        raise UpgradeError("; ".join(problems))
    return Migration(kept)


def _element(kind: FieldType) -> ValueType:
    return kind.value if isinstance(kind, MapType | ListType) else kind


def _may_become(old: FieldType, new: FieldType) -> bool:
    if isinstance(old, MapType) and isinstance(new, MapType):
        return old.key == new.key and _may_grow(old.value, new.value)
    if isinstance(old, ListType) and isinstance(new, ListType):
        return _may_grow(old.value, new.value)
    if isinstance(old, MapType | ListType) or isinstance(new, MapType | ListType):
        return False
    return _may_grow(old, new)


def _may_grow(old: ValueType, new: ValueType) -> bool:
    if old == new or (old == U64 and new == U128):
        return True
    if isinstance(old, TextType) and isinstance(new, TextType):
        return new.limit >= old.limit
    if isinstance(old, RecordType) and isinstance(new, RecordType):
        shared = zip(old.fields, new.fields, strict=False)
        return len(new.fields) >= len(old.fields) and all(
            was == now and _may_grow(before, after) for (was, before), (now, after) in shared
        )
    return False


def _widened(old: ValueType, new: ValueType, value: Value) -> Value:
    if isinstance(old, RecordType) and isinstance(new, RecordType):
        assert isinstance(value, tuple)
        parts = [
            _widened(before, after, part)  # type: ignore[arg-type]  # parts of a record are values
            for (_, before), (_, after), part in zip(old.fields, new.fields, value, strict=False)
        ]
        return (*parts, *(zero(kind) for _, kind in new.fields[len(old.fields) :]))
    return value
