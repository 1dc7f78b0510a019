"""A root over the state that takes its time keeps the block waiting that must hold it, and nobody else."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from test_settling import SOURCE

from changan.client.requests import install_parameters
from changan.ledger.commitment import ROOT_DELAY_BLOCKS
from changan.ledger.rule_sets import KEY
from changan.ledger.snapshot import dump, load
from changan.ledger.transition import Decided, apply_genesis
from changan.ledger.wire.messages import ConsensusArgs
from changan.node.audit import AuditError, Auditor
from changan.node.chain import Chain
from changan.node.storage import ChainStorage
from consortium import Consortium, Ledger


async def test_the_loop_goes_on_while_a_root_is_made(tmp_path):
    ledger, storage = Ledger(Consortium()), ChainStorage(tmp_path)
    admin = ledger.consortium.admin()
    world = storage.open_world(ledger.config)
    chain = Chain(world, storage, [], list)
    done, threads = Event(), ThreadPoolExecutor(1)
    world.commitment._roots.begin_aside = lambda work: threads.submit(lambda: (done.wait(60), work())[1]).result

    async def block(contract: str, method: str, arguments) -> None:
        ledger.time_us += 1_000_000
        request = ledger.request(
            contract, method, arguments, sender=admin, endorsers=ledger.consortium.admins() * (method[0] == "I")
        )
        decided = Decided(world.height + 1, ledger.time_us, None, [request], [None])
        await chain.execute(decided, lambda _: b"")

    await block("CONTRACT_MANAGE", "INIT_CONTRACT", install_parameters("many", "1.0", SOURCE, {}))
    start = 0
    while world.commitment._aside_height is None:
        await block("many", "fill", {"start": str(start), "count": "1000"})
        start += 1000
    aside = world.height
    for _ in range(ROOT_DELAY_BLOCKS - 1):
        await block("many", "fill", {"start": "0", "count": "1"})
    late = asyncio.create_task(block("many", "fill", {"start": "0", "count": "1"}))
    await asyncio.sleep(0.2)
    assert not late.done()
    assert world.height == aside + ROOT_DELAY_BLOCKS - 1
    done.set()
    await late
    await chain.settled()
    arguments = ConsensusArgs.FromString(chain.reader.stored(world.height).block.header.consensus_args)
    assert (arguments.state_height, len(arguments.state_root)) == (aside, 32)
    await chain.close()
    threads.shutdown()


def test_by_rules_3_a_root_over_much_is_due_later_also_after_a_restart(monkeypatch):
    for place in ("ledger.commitment.WORK_A_BLOCK", "node.audit._WORK_A_BLOCK"):
        monkeypatch.setattr(f"changan.{place}", 500)
    consortium = Consortium()
    ledger = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"), rules=3)
    assert ledger.install("many", SOURCE).code == 0
    for start in range(0, 3000, 1000):
        ledger.call("many", "fill", {"start": str(start), "count": "1000"})
    pending = ledger.world.commitment.pending()
    assert (
        pending.due_height == pending.aside_height + ROOT_DELAY_BLOCKS + 6
    )  # 3,000 rows were written until then, and some of the ledger's own
    kept = {name: list(items) for name, items in dump(ledger.world)}
    ledger.world = load(kept.__getitem__)
    while ledger.world.height < pending.due_height:
        ledger.call("many", "fill", {"start": "0", "count": "1"})
    told = [ConsensusArgs.FromString(applied.header.consensus_args).state_height for applied in ledger.blocks]
    assert told[pending.aside_height :] == [0] * (pending.due_height - pending.aside_height) + [pending.aside_height]
    assert len(list(Auditor(ledger.log()).blocks())) == len(ledger.blocks)
    monkeypatch.setattr("changan.node.audit._WORK_A_BLOCK", 1000)
    with pytest.raises(AuditError, match="state"):
        list(Auditor(ledger.log()).blocks())


def test_a_checkpoint_of_before_is_due_as_it_was():
    consortium = Consortium()
    ledger = Ledger(consortium)
    assert ledger.install("many", SOURCE).code == 0
    for start in range(0, 3000, 1000):
        ledger.call("many", "fill", {"start": str(start), "count": "1000"})
    kept = {name: list(items) for name, items in dump(ledger.world)}
    head = json.loads(kept["head"][0])
    del head["due_height"]
    kept["head"] = [json.dumps(head).encode()]
    assert load(kept.__getitem__).commitment.pending().due_height == head["aside_height"] + ROOT_DELAY_BLOCKS


@pytest.mark.parametrize("later", [0, 1])
def test_the_block_before_rules_change_goes_by_the_old_ones(monkeypatch, later):
    """Rows are set aside at height 4: by rules 3 where they count from then on, by rules 2 where from the next block on."""
    monkeypatch.setattr("changan.ledger.commitment.WORK_A_BLOCK", 500)
    ledger = Ledger(Consortium(), rules=3)
    for entry in ledger.config.consensus.ext_config:
        if entry.key == KEY:
            entry.value = f"3@{4 + later}"
    ledger.world, _ = apply_genesis(ledger.config)
    assert ledger.install("many", SOURCE).code == 0
    for start in range(0, 3000, 1000):
        ledger.call("many", "fill", {"start": str(start), "count": "1000"})
    pending = ledger.world.commitment.pending()
    assert (pending.aside_height, pending.due_height) == (4, 4 + ROOT_DELAY_BLOCKS + 6 * (1 - later))
