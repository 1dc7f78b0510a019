"""A world as named sections of bytes, and back: what a checkpoint file holds, so that only later blocks need replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from changan.contract.engines import plain
from changan.contract.package import recognise
from changan.contract.program import compile_source
from changan.errors import MalformedError
from changan.ledger.commitment import Pending, delta_record
from changan.ledger.contracts import OWNER, code_key, find_record
from changan.ledger.delta import Delta, dump_records, restore_records
from changan.ledger.native.chain_config import NAME as CHAIN_CONFIG
from changan.ledger.state import Write
from changan.ledger.waiting import Waiting
from changan.ledger.wire.messages import ChainConfig, Contract, RuntimeType
from changan.ledger.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from changan.contract.engines import AnyInstance, Engine

Section = tuple[str, "Iterable[bytes]"]


def dump(world: World) -> list[Section]:
    """Return the sections of a checkpoint. They stay as they are while later blocks run, so a thread may write them."""
    pending = world.commitment.pending()
    head = {
        "height": world.height,
        "block_hash": world.block_hash.hex(),
        "block_time_us": world.block_time_us,
        "config_height": world.config_height,
        "epoch": world.epoch,
        "aside_height": pending.aside_height,
        "work": pending.work,
        "blocks": pending.blocks,
    }
    sections: list[Section] = [
        ("head", [json.dumps(head).encode()]),
        ("rows", (delta_record(write) for write in world.rows.items())),
        ("waiting", _waiting_items(pending.waiting)),
        ("aside", _waiting_items(pending.aside)),
        ("remembered", list(world.remembered.dump())),
        ("tree", world.commitment.tree.leaves()),
    ]
    for name, instance in world.instances.items():
        sections.append((f"contract.{name}", dump_records(instance)))
    return sections


def _waiting_items(waiting: Waiting) -> Iterator[bytes]:
    """Yield the rows that wait in one item, then each group: a line of JSON with contract and names, and its deltas."""
    yield b"".join(delta_record(Write(*key, value)) for key, value in waiting.rows.items())
    for group in waiting.groups:
        yield json.dumps([group.contract, group.names]).encode() + b"\n" + b"".join(group.deltas)


def load(read: Callable[[str], Iterable[bytes]], engine: Engine = plain) -> World:
    """Return the world that `dump` gave; `read` yields the items of a section. Raises MalformedError."""
    head = json.loads(next(iter(read("head"))))
    writes = [write for item in read("rows") for write in _records(item)]
    config = next((w.value for w in writes if (w.contract, w.key) == (CHAIN_CONFIG, CHAIN_CONFIG)), None)
    if config is None:
        raise MalformedError("the checkpoint holds no chain configuration")
    world = World(ChainConfig.FromString(config), engine)
    for write in writes:
        world.rows.put(write)
    world.begin_epoch()
    _load_contracts(world, read)
    world.remembered.load(read("remembered"))
    world.commitment.tree.load(read("tree"))
    waiting, aside = (_waiting(read(name)) for name in ("waiting", "aside"))
    world.commitment.resume(Pending(waiting, aside, head["aside_height"], head["work"], head["blocks"]))
    world.height, world.block_hash = head["height"], bytes.fromhex(head["block_hash"])
    world.block_time_us, world.config_height, world.epoch = (
        head["block_time_us"],
        head["config_height"],
        head["epoch"],
    )
    return world


def _waiting(items: Iterable[bytes]) -> Waiting:
    waiting = Waiting()
    rows, *groups = items
    waiting.add(_records(rows))
    for item in groups:
        head, _, deltas = item.partition(b"\n")
        contract, names = json.loads(head)
        waiting.add([Delta(contract, tuple(names), deltas, 0)])
    return waiting


def _load_contracts(world: World, read: Callable[[str], Iterable[bytes]]) -> None:
    prefix = code_key("")
    for key, code in list(world.rows.under(OWNER, prefix)):
        record = find_record(world.rows, key.removeprefix(prefix))
        assert record is not None
        instance = open_instance(record, code, world.engine)
        restore_records(instance, read(f"contract.{record.name}"))
        world.instances[record.name] = instance


def open_instance(record: Contract, code: bytes, engine: Engine) -> AnyInstance:
    """Return an empty instance of an installed contract."""
    assert record.runtime_type != RuntimeType.NATIVE
    source = recognise(code)
    if source is None:
        raise MalformedError(f"the code of contract {record.name} is not a Python contract")
    return engine(compile_source(source), bytes.fromhex(record.address.removeprefix("ZX")))


def _records(item: bytes) -> Iterator[Write]:
    at = 0
    while at < len(item):
        try:
            contract, at = _text(item, at)
            key, at = _text(item, at)
            gone = item[at] == 0
            length = 0 if gone else int.from_bytes(item[at + 1 : at + 5], "big")
            at += 1 if gone else 5
        except (IndexError, UnicodeDecodeError) as error:
            raise MalformedError("a record of the checkpoint does not decode") from error
        if at + length > len(item):
            raise MalformedError("a record of the checkpoint is cut short")
        yield Write(contract, key, None if gone else item[at : at + length])
        at += length


def _text(item: bytes, at: int) -> tuple[str, int]:
    length = int.from_bytes(item[at : at + 2], "big")
    return item[at + 2 : at + 2 + length].decode(), at + 2 + length
