"""A world as named sections of bytes, and back: what a checkpoint file holds, and a snapshot that goes to another node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from changan.contract.engines import plain
from changan.contract.package import recognise
from changan.contract.program import compile_source
from changan.errors import MalformedError
from changan.ledger.commitment import ROOT_DELAY_BLOCKS, Pending, delta_record
from changan.ledger.contracts import OWNER, code_key, find_record
from changan.ledger.delta import Delta, dump_records, restore_records
from changan.ledger.native.chain_config import NAME as CHAIN_CONFIG
from changan.ledger.state import Write
from changan.ledger.system import OWN
from changan.ledger.waiting import Waiting
from changan.ledger.wire.messages import BlockType, ChainConfig, ConsensusArgs, Contract, RuntimeType
from changan.ledger.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from changan.contract.engines import AnyInstance, Engine
    from changan.ledger.roots import Roots
    from changan.ledger.wire.messages import BlockHeader

_DELTAS_AN_ITEM = 64
Section = tuple[str, "Iterable[bytes]"]
_CACHES = frozenset({"head", "waiting", "aside", "tree"})
"""Sections that only the node itself believes: they can be made from the block and the rows."""


def dump(world: World, without: Container[str] = ()) -> list[Section]:
    """Return the sections of a checkpoint, but those of some contracts, by name.

    They stay as they are while later blocks run, so a thread may write them.
    """
    pending = world.commitment.pending()
    head = {
        "height": world.height,
        "block_hash": world.block_hash.hex(),
        "block_time_us": world.block_time_us,
        "config_height": world.config_height,
        "epoch": world.epoch,
        "aside_height": pending.aside_height,
        "due_height": pending.due_height,
        "work": pending.work,
        "blocks": pending.blocks,
    }
    sections: list[Section] = [
        ("head", [json.dumps(head).encode()]),
        ("rows", (delta_record(write) for write in world.rows.items())),
        ("waiting", _waiting_items(pending.waiting, world.roots)),
        ("aside", _waiting_items(pending.aside, world.roots)),
        ("remembered", world.remembered.dump()),
        ("tree", world.commitment.tree.leaves()),
    ]
    for name, instance in world.instances.items():
        if name not in without:
            sections.append((section_of(name), dump_records(instance)))
    return sections


def section_of(contract: str) -> str:
    """Return the name of the section that holds a contract's rows."""
    return f"contract.{contract}"


def _waiting_items(waiting: Waiting, roots: Roots) -> Iterator[bytes]:
    """Yield the rows that wait in one item, then deltas of each group: a line of JSON with contract and names before them.

    Rows that were written again and again are there once: else a checkpoint would be many times as large as the state.
    """
    yield b"".join(delta_record(Write(*key, value)) for key, value in waiting.rows.items())
    roots.compact(waiting)
    for group in waiting.groups:
        head = json.dumps([group.contract, group.names]).encode() + b"\n"
        for start in range(0, len(group.deltas), _DELTAS_AN_ITEM):
            yield head + b"".join(group.deltas[start : start + _DELTAS_AN_ITEM])


def dump_state(world: World) -> list[Section]:
    """Return the sections of a snapshot: what the root over the state binds, and nothing else. They stay as `dump`'s do."""
    return [(name, items) for name, items in dump(world) if name not in _CACHES]


def load(read: Callable[[str], Iterable[bytes]], engine: Engine = plain) -> World:
    """Return the world that `dump` gave; `read` yields the items of a section. Raises MalformedError."""
    head = json.loads(next(iter(read("head"))))
    world = _load_state(read, engine)
    world.commitment.tree.load(read("tree"))
    waiting, aside = (_waiting(read(name)) for name in ("waiting", "aside"))
    due = head.get("due_height")
    if due is None and head["aside_height"] is not None:  # of a release that knew no rules by which it would be another
        due = head["aside_height"] + ROOT_DELAY_BLOCKS
    world.commitment.resume(Pending(waiting, aside, head["aside_height"], due, head["work"], head["blocks"]))
    world.height, world.block_hash = head["height"], bytes.fromhex(head["block_hash"])
    world.block_time_us, world.config_height, world.epoch = (
        head["block_time_us"],
        head["config_height"],
        head["epoch"],
    )
    return world


def load_state(read: Callable[[str], Iterable[bytes]], header: BlockHeader, engine: Engine = plain) -> World:
    """Return the world of which `dump_state` gave the sections, at the end of the block with this header.

    Raises MalformedError where the header does not hold the root over these rows.
    """
    world = _load_state(read, engine)
    arguments = ConsensusArgs.FromString(header.consensus_args)
    if (arguments.state_height, arguments.state_root) != (header.block_height, world.commitment.begin(_rows(world))):
        raise MalformedError(f"the rows are not those under the state root of block {header.block_height}")
    world.height, world.block_hash = header.block_height, header.block_hash
    world.block_time_us = arguments.block_time_us
    is_config = header.block_type == BlockType.CONFIG_BLOCK
    world.config_height = header.block_height if is_config else header.pre_conf_height
    return world


def _rows(world: World) -> Iterator[Write | Delta]:
    yield from world.rows.items()
    yield from (Write(OWN, key, value) for key, value in world.remembered.rows())
    for name, instance in world.instances.items():
        names = tuple(instance.program.field_places)
        yield from (Delta(name, names, piece, 0) for piece in dump_records(instance))


def _load_state(read: Callable[[str], Iterable[bytes]], engine: Engine) -> World:
    writes = [write for item in read("rows") for write in records_in(item)]
    config = next((w.value for w in writes if (w.contract, w.key) == (CHAIN_CONFIG, CHAIN_CONFIG)), None)
    if config is None:
        raise MalformedError("the checkpoint holds no chain configuration")
    world = World(ChainConfig.FromString(config), engine)
    for write in writes:
        world.rows.put(write)
    world.begin_epoch()
    _load_contracts(world, read)
    world.remembered.load(read("remembered"))
    return world


def _waiting(items: Iterable[bytes]) -> Waiting:
    waiting = Waiting()
    rows, *groups = items
    waiting.add(records_in(rows))
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
        restore_records(instance, read(section_of(record.name)))
        world.instances[record.name] = instance


def open_instance(record: Contract, code: bytes, engine: Engine) -> AnyInstance:
    """Return an empty instance of an installed contract."""
    assert record.runtime_type != RuntimeType.NATIVE
    source = recognise(code)
    if source is None:
        raise MalformedError(f"the code of contract {record.name} is not a Python contract")
    return engine(compile_source(source), bytes.fromhex(record.address.removeprefix("ZX")))


def records_in(item: bytes) -> Iterator[Write]:
    """Return the rows that an item of the section `rows` holds. Raises MalformedError."""
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
