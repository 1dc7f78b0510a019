"""Message classes, made from the shipped descriptor set in a descriptor pool of our own.

The official SDK registers the same names in protobuf's default pool. Ours stay out of it, so both live in one process,
whichever is imported first. `descriptor_pb2` is not imported either, because the SDK carries a copy that clashes with it.
"""

from __future__ import annotations

from importlib import resources

from google.protobuf import message_factory

from changan.ledger.wire.pool import pool_of


class _Enum:
    """The numbers of one wire enum as attributes."""

    def __init__(self, values: dict[str, int]) -> None:
        self.__dict__.update(values)


_PACKAGES = (
    "accesscontrol",
    "common",
    "consensus",
    "config",
    "discovery",
    "store",
    "sync",
    "syscontract",
    "txpool",
    "changan",
)
_pool = pool_of(resources.files(__package__).joinpath("changan.desc").read_bytes())

for _package in _PACKAGES:
    _file = _pool.FindFileByName(f"{_package}.proto")
    for _name, _descriptor in _file.message_types_by_name.items():
        globals()[_name] = message_factory.GetMessageClass(_descriptor)
        for _nested in _descriptor.nested_types:
            if not _nested.GetOptions().map_entry:
                globals()[_nested.name] = message_factory.GetMessageClass(_nested)
    for _name, _enum in _file.enum_types_by_name.items():
        # The pool's own TxType would hide that of transactions.
        globals()["PoolTxType" if _enum.full_name == "txpool.TxType" else _name] = _Enum(
            {value.name: value.number for value in _enum.values}
        )
