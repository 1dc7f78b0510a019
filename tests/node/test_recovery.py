"""Recovery: kill -9, full disks, flipped bytes, moved chains."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from changan.client.connect import CallError, UnreachableError
from changan.node.store.blocklog import BlockLog
from node_process import NodeProcess, changan

POINTS = [
    "log.append.before",
    "log.append.partial",
    "log.append.after",
    "log.sync.before",
    "log.sync.after",
    "log.note.after",
    "index.before",
    "index.after",
]


def balance(node: NodeProcess, who: str) -> int:
    with node.connect() as client:
        return int(client.query("token", "balance_of", {"who": who}).text)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A client that soon gives up a node that is gone."""
    monkeypatch.setattr("changan.client.calls.RETRY_PAUSE_S", 0.01)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """A home after its first start."""
    home = tmp_path_factory.mktemp("fresh") / "home"
    assert NodeProcess(home).stop() == 0
    return home


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_inside_the_commit_path_loses_and_doubles_nothing(fresh, tmp_path, point):
    home = tmp_path / "home"
    shutil.copytree(fresh, home)
    node = NodeProcess(home, env={"CHANGAN_CRASH_POINT": f"{point}:4"})
    acknowledged, unknown = [], None
    with node.connect() as client:
        for n in range(10):
            tx_id = f"{n:064x}"
            try:
                acknowledged.append(
                    client.invoke("token", "transfer", {"to": "77" * 20, "amount": 1}, tx_id=tx_id).tx_id
                )
            except UnreachableError:
                unknown = tx_id
                break
    assert unknown is not None
    node.process.wait(10)
    node = NodeProcess(home)
    try:
        with node.connect() as client:
            try:
                client.invoke("token", "transfer", {"to": "77" * 20, "amount": 1}, tx_id=unknown)
            except CallError as error:
                assert "TxId exist in DB" in str(error)
        assert balance(node, "77" * 20) == len(acknowledged) + 1
    finally:
        assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home))
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("point", ["checkpoint.partial", "checkpoint.before_rename"])
def test_a_crash_while_a_checkpoint_is_written_costs_only_the_checkpoint(fresh, tmp_path, point):
    home = tmp_path / "home"
    shutil.copytree(fresh, home)
    before = sorted((home / "chains/chain1/checkpoints").iterdir())
    node = NodeProcess(home, env={"CHANGAN_CRASH_POINT": f"{point}:1"})
    with node.connect() as client:
        client.invoke("token", "transfer", {"to": "77" * 20, "amount": 1})
    assert node.stop() == -9  # the last checkpoint is written as it stops
    left = sorted((home / "chains/chain1/checkpoints").iterdir())
    assert [path for path in left if path.suffix == ".ckpt"] == before
    assert len(left) == len(before) + 1
    node = NodeProcess(home)
    assert balance(node, "77" * 20) == 1
    assert node.stop() == 0
    assert not list((home / "chains/chain1/checkpoints").glob("*.new"))
    assert changan("verify", "--replay", "--home", str(home)).returncode == 0


def test_what_a_start_replays_brings_the_next_checkpoint_nearer(tmp_path, monkeypatch):
    """Else a node that dies again and again before its next checkpoint would replay ever more."""
    import asyncio

    from changan.ledger.transition import Decided, apply_block
    from changan.node import checkpoints, rest
    from changan.node.storage import ChainStorage, record_parts
    from consortium import Consortium, Ledger

    monkeypatch.setattr(checkpoints, "TRANSACTIONS", 5)
    ledger = Ledger(Consortium())
    config = ledger.config
    storage = ChainStorage(tmp_path)
    world = storage.open_world(config)

    def block(height: int):
        ledger.time_us += 1_000_000
        request = ledger.request("CERT_MANAGE", "CERT_ADD", tx_id=f"{height}")
        return apply_block(world, Decided(height, ledger.time_us, None, [request], [None]))

    for height in range(1, 5):
        storage.append(record_parts(block(height)), height)
    storage.close()
    storage = ChainStorage(tmp_path)
    world = storage.open_world(config)
    assert storage.replayed == 4

    async def one_more() -> None:
        resting = rest.Rest(world, storage)
        applied = block(5)
        resting.checkpoints.executed(applied)
        await resting.bring(applied)
        await resting.notify()
        begun.append(resting.checkpoints._finishing)
        await resting.close()

    begun: list[object] = []
    asyncio.run(one_more())
    assert begun[0] is not None
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"{5:020d}.ckpt"]


def test_kill_at_random_moments_under_load(tmp_path):
    home, dice = tmp_path / "home", random.Random(7)
    acknowledged = 0
    for _ in range(3):
        node = NodeProcess(home)
        stop = threading.Event()
        counts = [0, 0]

        def load(place: int, node=node, stop=stop, counts=counts) -> None:
            with node.connect() as client:
                while not stop.is_set():
                    try:
                        client.invoke("token", "transfer", {"to": "88" * 20, "amount": 1})
                    except (UnreachableError, CallError):
                        return
                    counts[place] += 1

        workers = [threading.Thread(target=load, args=(place,)) for place in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(dice.uniform(0.3, 0.8))
        node.kill()
        stop.set()
        for worker in workers:
            worker.join(60)
        acknowledged += sum(counts)
    node = NodeProcess(home)
    found = balance(node, "88" * 20)
    assert node.stop() == 0
    assert acknowledged <= found <= acknowledged + 6  # at most one call of each worker was sealed and not answered
    assert changan("verify", "--replay", "--home", str(home)).returncode == 0


@pytest.fixture(scope="module")
def rested(tmp_path_factory) -> Path:
    """A home with a few blocks, at rest."""
    home = tmp_path_factory.mktemp("rested") / "home"
    node = NodeProcess(home)
    with node.connect() as client:
        for n in range(6):
            client.invoke("evidence", "put", {"digest": f"{n:02x}" * 32, "note": "n"})
    assert node.stop() == 0
    return home


def test_a_flipped_byte_anywhere_is_found_with_its_height(rested, tmp_path):
    home = tmp_path / "home"
    (log,) = (rested / "chains/chain1/log").glob("*.log")
    whole = log.read_bytes()
    reader = BlockLog(rested / "chains/chain1/log", read_only=True)
    starts = list(reader._offsets)
    reader.close()
    dice = random.Random(3)
    (home / "chains/chain1/log").mkdir(parents=True)
    shutil.copy(log.with_name("durable"), home / "chains/chain1/log/durable")
    for offset in [*dice.sample(range(16, len(whole)), 12), starts[2], starts[2] + 9, len(whole) - 1]:
        broken = bytearray(whole)
        broken[offset] ^= 1 << dice.randrange(8)
        (home / "chains/chain1/log" / log.name).write_bytes(broken)
        height = max(n for n, start in enumerate(starts) if start <= offset)
        done = changan("verify", "--home", str(home))
        assert done.returncode == 1, offset
        assert f"block {height} " in done.stderr, (offset, done.stderr)


def test_a_log_whose_checksums_were_mended_is_still_found_out(rested, tmp_path):
    """Somebody who can write the file can also write checksums; hashes and signatures are what counts."""
    from changan.ledger.wire.messages import BlockWithRWSet

    source = BlockLog(rested / "chains/chain1/log", read_only=True)

    def forge_result(stored):
        stored.block.txs[0].result.contract_result.gas_used += 1

    def forge_write(stored):
        stored.txRWSets[0].tx_writes[0].value += b"x"

    def forge_seal(stored):
        signature = bytearray(stored.block.header.signature)
        signature[-1] ^= 1
        stored.block.header.signature = bytes(signature)

    def forge_sender(stored):
        stored.block.txs[0].sender.signature = stored.block.header.signature

    def forge_time(stored):
        stored.block.header.block_timestamp += 1

    for number, forge in enumerate([forge_result, forge_write, forge_seal, forge_sender, forge_time]):
        directory = tmp_path / str(number) / "chains/chain1/log"
        forged = BlockLog(directory)
        for height in range(source.durable_height + 1):
            record = source.read(height)
            if height == 4:
                stored = BlockWithRWSet.FromString(record)
                forge(stored)
                record = stored.SerializeToString()
            forged.append(height, record)
        forged.sync()
        forged.close()
        done = changan("verify", "--home", str(tmp_path / str(number)))
        assert done.returncode == 1, forge.__name__
        assert "block 4: " in done.stderr
    source.close()


def test_a_damaged_cache_is_made_again(rested, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(rested, home)
    for path in [*(home / "chains/chain1/checkpoints").iterdir(), home / "chains/chain1/index/data.mdb"]:
        path.write_bytes(b"garbage" * 100)
    node = NodeProcess(home)
    with node.connect() as client:
        assert client.query("evidence", "total").text == "6"
        assert client.invoke("evidence", "put", {"digest": "aa" * 32, "note": "n"}).height == 9
    assert node.stop() == 0


def test_a_chain_moves_to_another_home_and_goes_on(rested, tmp_path):
    file, home = tmp_path / "chain.changan", tmp_path / "moved"
    assert changan("export", "--home", str(rested), "-o", str(file)).returncode == 0
    assert changan("export", "--home", str(rested), "-o", str(file)).returncode == 1  # it exists
    assert changan("import", "--home", str(home), str(file)).returncode == 0
    assert changan("import", "--home", str(home), str(file)).returncode == 1  # it is there
    assert changan("verify", "--replay", "--home", str(home)).returncode == 0
    shutil.copytree(rested / "crypto-config", home / "crypto-config")
    node = NodeProcess(home, "--no-demo")
    with node.connect() as client:
        assert client.query("evidence", "total").text == "6"
        assert client.invoke("evidence", "put", {"digest": "bb" * 32, "note": "n"}).height == 9
    assert node.stop() == 0
    data = bytearray(file.read_bytes())
    for offset in (3, 20, len(data) // 2, len(data) - 3):
        broken = bytearray(data)
        broken[offset] ^= 0x10
        file.write_bytes(broken)
        done = changan("import", "--home", str(tmp_path / f"broken{offset}"), str(file))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_a_full_disk_refuses_loses_nothing_and_goes_on(tmp_path):
    """The node's home lies on a small file system of its own."""
    home = tmp_path / "small"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(home)], check=True)
    try:
        _fill_and_recover(home)
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def _fill_and_recover(home: Path) -> None:
    node = NodeProcess(home / "home", "--no-demo")
    source = Path(__file__).parent.parent.parent / "src/changan/examples/evidence.py"
    with node.connect() as client:
        client.deploy("evidence", "1", source.read_bytes())
        ballast = home / "ballast"
        free = os.statvfs(home)
        ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - 200_000)))
        stored = 0
        waiting = threading.Thread(target=lambda: None)
        for n in range(2000):
            answered = threading.Event()

            def put(n=n, answered=answered) -> None:
                client.invoke("evidence", "put", {"digest": f"{n:064x}", "note": "x" * 500})
                answered.set()

            waiting = threading.Thread(target=put)
            waiting.start()
            if not answered.wait(3):
                break
            stored += 1
        assert 0 < stored < 2000
        assert not node_is_well(node)
        with pytest.raises(CallError, match="the disk is full"):
            client.invoke("evidence", "put", {"digest": "ff" * 32, "note": "x"})
        with pytest.raises(CallError, match="the disk is full"):  # the state is that of a block which does not rest
            client.query("evidence", "total")
        assert node.get("/v1/blocks/1")["header"]["block_height"] == "1"  # what rests is still read
        ballast.unlink()
        waiting.join(20)
        assert client.query("evidence", "total").text == str(stored + 1)
        assert node_is_well(node)
    assert node.stop() == 0
    assert changan("verify", "--replay", "--home", str(home / "home")).returncode == 0


def node_is_well(node: NodeProcess) -> bool:
    import httpx2

    return httpx2.get(f"{node.http}/v1/health", timeout=10).status_code == 200
