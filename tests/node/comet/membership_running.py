"""Changes of the voters of a model, and what is asked of them afterwards."""

from __future__ import annotations

from model import Model, Node
from test_application import transfer

from changan.ledger.agreement import Electorate
from changan.ledger.wire.messages import TxStatusCode
from changan.node.audit import Auditor
from changan.node.beginning import open_base
from consortium import org_name


async def change(model: Model, method: str, parameters, *, org: int = 1, alone: bool = False, by: int = 0) -> str:
    """Send a change of the configuration, endorsed by all who are members now; return what came of it."""
    world = model.peers[by].chain.world
    names = {root.org_id for root in world.config.trust_roots}
    admins = [model.consortium.admin(n) for n in range(1, 6) if org_name(n) in names]
    request = model.request(
        "CHAIN_CONFIG",
        method,
        parameters,
        sender=model.consortium.admin(org),
        endorsers=[] if alone else admins,
        sequence=world.config.sequence + 1,
    )
    model.submit(by, request)
    await model.send()
    height = world.height
    assert await model.step(by)
    assert world.height == height + 1
    [tx] = model.peers[by].chain.reader.block(world.height).block.txs
    assert (tx.result.code == TxStatusCode.SUCCESS) == (tx.result.contract_result.code == 0)
    return tx.result.contract_result.message if tx.result.code else ""


async def calls(model: Model, count: int, by: int = 0) -> None:
    """Make so many blocks of one call."""
    for _ in range(count):
        model.submit(by, transfer(model))
        await model.send()
        proposer = next(peer.number for peer in model.peers if peer.up and model.votes(peer, len(model.decided) + 1))
        assert await model.step(proposer)


def entry(node: Node) -> dict[str, str]:
    made = node.voter.entry()
    return {made.key: made.value}


async def join(model: Model, node: Node):
    """A new organisation: its root, its node, a node that catches up, its vote."""
    org = node.voter.org_id
    pem = model.consortium.authorities[org].certificate_pem.decode()
    assert not await change(model, "TRUST_ROOT_ADD", {"org_id": org, "root": pem})
    assert not await change(model, "CONSENSUS_EXT_ADD", entry(node))
    peer = model.add(node)
    await peer.handshake()
    assert peer.chain.world.block_hash == model.peers[0].chain.world.block_hash
    assert not await change(model, "NODE_ORG_ADD", {"org_id": org, "node_ids": node.voter.node_id})
    return peer


def genesis(model: Model) -> Electorate:
    return Electorate.of(model.config)


def receipts(model: Model, number: int = 0) -> list[dict]:
    """The receipt of every transaction whose block has its certificate."""
    chain = model.peers[number].chain
    found = []
    for height in range(max(1, chain.reader.held_from), chain.reader.height + 1):
        for tx in chain.reader.block(height).block.txs:
            receipt = chain.reads.receipt(tx.payload.tx_id)
            if "certificate" in receipt:
                found.append(receipt)
    return found


def audited(model: Model, number: int) -> None:
    storage = model.peers[number].storage
    auditor = Auditor(storage.log, base=open_base(storage.directory))
    for _ in auditor.blocks():
        pass
    assert auditor._agreement.certificates


def organisations(roster) -> list[str]:
    return [voter.org_id for voter in roster.voters]
