"""A chain's checkpoint of a large contract is taken while its blocks go on, and a start from it comes to the same state."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from changan.client.requests import install_parameters
from changan.contract.engines import compiled
from changan.ledger import picture
from changan.ledger.transition import Decided
from changan.node import checkpoints
from changan.node.chain import Chain
from changan.node.storage import ChainStorage
from changan.node.store import checkpoint
from consortium import EXAMPLES, Consortium, Ledger

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = compiled(b"a secret of 32 bytes for a test.")
TOKEN = EXAMPLES / "token.py"


@pytest.fixture(autouse=True)
def often(monkeypatch):
    for module, name, value in (
        (checkpoints, "TRANSACTIONS", 4),
        (checkpoints, "PACE", 0.01),
        (picture, "BITWISE_BYTES", 500),
        (picture, "TAKEN_BYTES_MIN", 80),
    ):
        monkeypatch.setattr(module, name, value)


class Busy:
    """A chain of a token whose every block pays somebody new."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = Ledger(Consortium())
        self.storage = ChainStorage(directory, engine=ENGINE)
        self.chain = Chain(self.storage.open_world(self.ledger.config), self.storage, [], list)

    async def seal(self, request, height: int) -> None:
        await self.chain.execute(Decided(height, self.ledger.time_us, None, [request], [None]), lambda _: b"")

    async def go(self, blocks: int, *, exchanged_at: int = 0) -> None:
        ledger, admin = self.ledger, self.ledger.consortium.admin()
        for _ in range(blocks):
            ledger.time_us += 1_000_000
            height = self.chain.world.height + 1
            if height in {1, exchanged_at}:
                method = "INIT_CONTRACT" if height == 1 else "UPGRADE_CONTRACT"
                code = TOKEN.read_bytes() + b"\n# newer\n" * (height > 1)
                given = install_parameters("token", f"{height}.0", code, {"supply": "9000"} if height == 1 else {})
                request = ledger.request(
                    "CONTRACT_MANAGE", method, given, sender=admin, endorsers=self.ledger.consortium.admins()
                )
            else:
                request = ledger.request("token", "transfer", {"to": f"{height:040x}", "amount": "3"}, sender=admin)
            await self.seal(request, height)
        await self.chain.settled()

    def die(self) -> None:
        """Close what the system closes: no last checkpoint, and what was being written stays."""
        if self.under_way is not None:
            self.under_way.file._file.close()
        self.storage.close()

    @property
    def under_way(self):
        return self.chain.rest.checkpoints._under_way

    @property
    def checkpoints(self) -> list[int]:
        return sorted(int(path.stem) for path in (self.directory / "checkpoints").glob("*.ckpt"))


async def test_blocks_go_on_while_a_checkpoint_is_taken(tmp_path):
    busy = Busy(tmp_path)
    begun = []
    while not begun or busy.under_way is not None:
        await busy.go(1)
        if busy.under_way is not None:
            begun.append(busy.chain.world.height)
    assert len(begun) > 1  # it took more than one block
    await busy.chain.rest.checkpoints._finishing
    assert busy.checkpoints[-1] == begun[-1] + 1
    await busy.go(2)
    state = busy.chain.world.block_hash, dict(busy.chain.world.instances["token"].rows())
    busy.die()
    storage = ChainStorage(tmp_path, engine=ENGINE)
    world = storage.open_world(busy.ledger.config)
    assert storage.replayed == 2
    assert (world.block_hash, dict(world.instances["token"].rows())) == state
    storage.close()


@pytest.mark.parametrize("waits", [3, 100])
async def test_a_checkpoint_waits_for_a_root_in_the_making_but_not_for_ever(tmp_path, monkeypatch, waits):
    monkeypatch.setattr(checkpoints, "BLOCKS_WAITED_MAX", waits)
    busy = Busy(tmp_path)
    monkeypatch.setattr(type(busy.chain.world.commitment), "is_folding", True)
    while busy.under_way is None or not busy.under_way.picture.is_ready:
        await busy.go(1)
    ready = busy.chain.world.height
    await busy.go(min(10, waits))
    assert (busy.under_way is None) == (waits < 10)
    if waits > 10:
        monkeypatch.setattr(type(busy.chain.world.commitment), "is_folding", False)
        await busy.go(1)
    await busy.chain.rest.checkpoints._finishing
    assert busy.checkpoints[-1] == ready + min(waits, 10) + (waits > 10)
    await busy.chain.close()


async def test_an_upgrade_in_between_spoils_it_and_the_next_one_comes(tmp_path):
    busy = Busy(tmp_path)
    while busy.under_way is None:
        await busy.go(1)
    spoilt = busy.under_way
    await busy.go(1, exchanged_at=busy.chain.world.height + 1)
    assert busy.under_way is not spoilt
    spoilt_at = busy.chain.world.height
    while max(busy.checkpoints) < spoilt_at:
        await busy.go(1)
    await busy.chain.close()
    storage = ChainStorage(tmp_path, engine=ENGINE)
    world = storage.open_world(busy.ledger.config)
    assert world.block_hash == busy.chain.world.block_hash
    assert world.instances["token"].program.source.endswith("# newer\n")
    storage.close()


async def test_a_stop_in_between_writes_the_last_checkpoint_all_the_same(tmp_path):
    busy = Busy(tmp_path)
    while busy.under_way is None:
        await busy.go(1)
    height = busy.chain.world.height
    assert busy.chain.rest.checkpoints._since == 0
    await busy.chain.close()
    assert busy.checkpoints[-1] == height


async def test_a_part_that_finds_no_room_ends_this_checkpoint_and_the_next_one_comes(tmp_path, monkeypatch):
    busy = Busy(tmp_path)
    while busy.under_way is None:
        await busy.go(1)
    before = busy.checkpoints

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write_items", full)
        while busy.under_way is not None:
            await busy.go(1)
        await busy.chain.rest.checkpoints._finishing
    assert busy.checkpoints == before
    while busy.checkpoints == before:
        await busy.go(1)
    await busy.chain.close()
    assert not list(tmp_path.rglob("*.new"))
