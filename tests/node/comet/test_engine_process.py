"""The application under the real engine, one voter in this process: the order of calls, kills, and the engine's files."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from grammar import Grammar, Recorder

from changan.client.requests import Signer, make_payload, sign_request
from changan.crypto.suite import Suite
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.rule_sets import UnknownRulesError
from changan.node.chain import Chain
from changan.node.comet import snapshots
from changan.node.comet.binary import BinaryError, check_sources, find_engine, find_go, installed_path, version_of
from changan.node.comet.cluster import genesis_of_cluster
from changan.node.comet.engine import EngineError, end_leftover, socket_folder
from changan.node.comet.engine_home import EngineHome, EngineKeys
from changan.node.comet.light import committed
from changan.node.comet.link import Link
from changan.node.comet.ordering import Comet
from changan.node.founding import install_examples, proposer_of
from changan.node.pki.layout import make_crypto_config
from changan.node.settings import ChainSettings, numbered_organisations
from changan.node.storage import ChainStorage


class Single:
    """A chain of one organisation under a real engine."""

    def __init__(self, directory, engine) -> None:
        self.directory = directory
        self.crypto = make_crypto_config(directory, numbered_organisations(1), datetime.now(UTC))
        org = self.crypto.organisations[0]
        keys = EngineKeys.make()
        voters = (keys.voter(org.node_id, org.org_id, org.node().sign_certificate.read_bytes()),)
        self.config = genesis_of_cluster(self.crypto, ChainSettings(), voters, Suite.INTERNATIONAL)
        self.home = EngineHome(directory / "engine")
        self.home.make(keys, "chain1", voters)
        self.home.configure("127.0.0.1:0", [])
        self.engine = engine
        self.kept_blocks = 0
        self.grammar = Grammar()
        credential = org.user("client1", tls=False)
        self.signer = Signer.from_files(org.org_id, credential.sign_certificate, credential.sign_key)

    async def start(self) -> None:
        storage = ChainStorage(self.directory / "chain")
        self.chain = Chain(storage.open_world(self.config), storage, [], list)
        self.ordering = Comet(
            self.chain,
            storage.directory,
            proposer_of(self.crypto, self.crypto.organisations[0]),
            Link(self.engine, self.home),
            kept_blocks=self.kept_blocks,
        )
        self.ordering.served = Recorder(self.ordering.application, self.grammar)
        self.task = asyncio.create_task(self.ordering.run())

    async def stop(self) -> None:
        await self.chain.stop()
        await asyncio.wait_for(asyncio.wait([self.task]), 30)
        await self.chain.close()
        self.task.result()

    async def call(self, n: int):
        payload = make_payload("chain1", "token", "transfer", {"to": "11" * 20, "amount": str(n)})
        request = sign_request(payload, self.signer)
        answer = await asyncio.wait_for(self.chain.submit_and_wait(request, request.ByteSize()), 40)
        assert answer.code == 0, answer.message
        return answer


@pytest.fixture
async def single(tmp_path, engine):
    made = Single(tmp_path, engine)
    await made.start()
    await install_examples(made.chain, made.crypto)
    yield made
    if not made.task.done():
        await made.stop()


async def test_the_engines_blocks_carry_the_rules_from_the_height_that_the_configuration_names(single):
    single.chain.world.rules_known = 4  # as if this were the release after it
    admin = single.crypto.organisations[0].administrators()[0]
    signer = Signer.from_files(single.signer.member.org_id, admin.sign_certificate, admin.sign_key)
    at = single.chain.world.height + 3
    payload = make_payload("chain1", "CHAIN_CONFIG", "CONSENSUS_EXT_UPDATE", {"changan.rules": f"4@{at}"})
    payload.sequence = single.chain.world.config.sequence + 1
    request = sign_request(payload, signer, [signer])
    answer = await asyncio.wait_for(single.chain.submit_and_wait(request, request.ByteSize()), 40)
    assert answer.code == 0, answer.contract_result.message
    for n in range(1, 5):
        await single.call(n)
    door, heights = single.ordering.engine.door, single.ordering.application._heights
    versions = {}
    for height in range(1, single.chain.reader.height + 1):
        block = await door.ask("block", {"height": str(heights.of(height))})
        versions[height] = int(block["block"]["header"]["version"]["app"])
    assert versions == {height: 4 if height >= at else 3 for height in versions}
    assert set(versions.values()) == {3, 4}
    await single.stop()  # the release of before is put back: it stops at the first block that it does not know
    for path in (single.directory / "chain" / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UnknownRulesError, match=f"block {at} is executed by rules 4"):
        await single.start()


async def test_blocks_of_the_engine_go_that_no_newcomer_needs(single, monkeypatch):
    monkeypatch.setattr(snapshots, "WORK_MIN", 5)
    await single.stop()
    single.kept_blocks = 4
    await single.start()
    for n in range(1, 13):
        await single.call(n)
    status = (await single.ordering.engine.door.ask("status"))["sync_info"]
    earliest, latest = int(status["earliest_block_height"]), int(status["latest_block_height"])
    offered = await single.ordering.snapshots.offered(latest)
    assert 1 < earliest <= min(latest - 3, *(held.engine_height for held in offered))
    await single.stop()
    await single.start()  # the engine goes on from what it has
    await single.call(99)


async def test_all_blocks_of_the_engine_stay_unless_it_is_said(single, monkeypatch):
    monkeypatch.setattr(snapshots, "WORK_MIN", 5)
    for n in range(1, 13):
        await single.call(n)
    status = (await single.ordering.engine.door.ask("status"))["sync_info"]
    assert status["earliest_block_height"] == "1"


async def test_the_engines_own_commits_are_believed_and_no_others(single):
    for n in range(1, 4):
        await single.call(n)
    door, roster = single.ordering.engine.door, single.ordering.rosters.newest.roster
    for height in (1, 2, 3):
        answer = await door.ask("commit", {"height": str(height)})
        block = await door.ask("block", {"height": str(height)})
        assert committed(roster, "chain1", height, answer).hex().upper() == block["block_id"]["hash"]
        for chain_id, at in (("chain2", height), ("chain1", height + 1)):
            with pytest.raises((UnverifiedError, MalformedError)):
                committed(roster, chain_id, at, answer)


async def test_calls_come_in_the_published_order_through_kills_and_starts(single):
    for n in range(1, 6):
        await single.call(n)
    for n in range(6, 9):
        waiting = asyncio.create_task(single.call(n))
        await asyncio.sleep(0.005 * (n - 6))
        starts = single.ordering.engine.starts
        os.kill(single.ordering.engine.pid, signal.SIGKILL)
        await waiting
        for _ in range(1000):  # the call may have rested before the kill
            if single.ordering.engine.starts > starts:
                break
            await asyncio.sleep(0.01)
        await single.call(n)
    height = single.chain.reader.height
    await single.stop()
    await single.start()
    assert single.chain.reader.height == height
    await single.call(9)
    seen = single.grammar.seen
    assert {
        "info",
        "init_chain",
        "prepare_proposal",
        "process_proposal",
        "extend_vote",
        "finalize_block",
        "commit",
    } <= set(seen)
    assert seen.count("info") >= 5
    assert single.chain.reader.height == height + 1


async def test_an_engine_whose_blocks_are_gone_is_not_trusted_with_another_past(single):
    await single.call(1)
    await single.stop()
    for path in sorted((single.home.root / "data").rglob("*"), reverse=True):
        if path.name != "priv_validator_state.json":
            path.rmdir() if path.is_dir() else path.unlink()
    assert single.home.is_new
    await single.start()
    await asyncio.sleep(2)
    # Alone it cannot get the blocks back, and its key has signed them: it waits, and our ledger stays as it is.
    assert single.chain.reader.height >= 3
    assert single.chain.fault is None


async def test_a_leftover_engine_is_ended(single):
    pid = single.ordering.engine.pid
    assert pid is not None
    starts = single.ordering.engine.starts
    await asyncio.to_thread(end_leftover, single.home)
    for _ in range(100):
        if single.ordering.engine.starts > starts:
            break
        await asyncio.sleep(0.05)
    assert single.ordering.engine.starts > starts
    await single.call(3)


async def test_the_door_says_what_is_wrong(single, tmp_path):
    door = single.ordering.engine.door
    assert (await door.ask("status"))["node_info"]["network"] == "chain1"
    with pytest.raises(EngineError, match="nosuch"):
        await door.ask("nosuch")
    assert (await door.ask("status"))["node_info"]["network"] == "chain1"


def test_sockets_lie_where_nobody_else_comes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = socket_folder(tmp_path / ("long" * 40))
    assert folder == socket_folder(tmp_path / ("long" * 40)) != socket_folder(tmp_path / "other")
    assert len(str(folder / "app")) - len(str(tmp_path)) < 40
    folder.chmod(0o755)
    with pytest.raises(EngineError, match="open to others"):
        socket_folder(tmp_path / ("long" * 40))
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(EngineError, match="open to others"):
        socket_folder(tmp_path / ("long" * 40))


def test_programs_that_are_no_engine_are_refused(tmp_path, engine, monkeypatch):
    assert version_of(engine).startswith("0.38.")
    assert find_engine(engine) == engine
    with pytest.raises(BinaryError, match="no engine that runs"):
        find_engine(tmp_path / "nothing")
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 0.34.1\n")
    other.chmod(0o755)
    with pytest.raises(BinaryError, match=r"0\.34\.1"):
        find_engine(other)
    other.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(BinaryError, match="does not say its version"):
        find_engine(other)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHANGAN_ENGINE_BINARY", raising=False)
    with pytest.raises(BinaryError, match="changan engine install"):
        find_engine()


def test_a_program_of_other_sources_is_refused(engine):
    go = find_go()
    if go is None:
        pytest.skip("the engine was brought along, and there is no Go to ask")
    if installed_path().exists():
        check_sources(go, installed_path())
    with pytest.raises(BinaryError, match="not built from the sources"):
        check_sources(go, go)  # a program of Go's, and no engine
    with pytest.raises(BinaryError, match="does not say"):
        check_sources(go, Path(__file__))


def test_the_grammar_refuses_what_may_not_come():
    for calls in (
        ["commit"],
        ["info", "commit"],
        ["info", "init_chain", "finalize_block", "finalize_block"],
        ["info", "finalize_block", "commit", "init_chain"],
        ["info", "init_chain", "extend_vote"],
        ["info", "init_chain", "finalize_block", "prepare_proposal"],
    ):
        with pytest.raises(AssertionError):
            _follow(calls)


def _follow(calls) -> None:
    grammar = Grammar()
    for height, name in enumerate(calls):
        grammar.call(name, height)
