"""Message classes of ABCI and of our batches, from the shipped descriptor set in a descriptor pool of their own."""

from __future__ import annotations

from importlib import resources

from google.protobuf import message_factory

from changan.ledger.wire.pool import pool_of

_pool = pool_of(resources.files(__package__).joinpath("abci.desc").read_bytes())
for _package in ("abci", "batch"):
    for _name, _descriptor in _pool.FindFileByName(f"{_package}.proto").message_types_by_name.items():
        globals()[_name] = message_factory.GetMessageClass(_descriptor)
