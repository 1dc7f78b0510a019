"""One decided block in, one executed block out: the heart of the ledger, a function of the state and the block alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.engines import plain
from changan.contract.instance import BlockContext
from changan.crypto.merkle import chainmaker_root
from changan.errors import ChanganError
from changan.ledger.admission import RefusedError, authenticate, check_form
from changan.ledger.bundle import PARAMETER
from changan.ledger.commitment import delta_root, outcome_root
from changan.ledger.delta import StateChanges
from changan.ledger.execution import Executed, Execution
from changan.ledger.genesis import GENESIS_TIME, genesis_transaction
from changan.ledger.hashing import (
    Sealed,
    block_hash,
    dag_hash,
    ordered_dag,
    rw_set_hash,
    seal_transaction,
    transaction_hash,
)
from changan.ledger.rule_sets import require_known
from changan.ledger.state import Write
from changan.ledger.system import OWN, SystemContract, is_alone
from changan.ledger.wire.messages import (
    Block,
    BlockHeader,
    BlockType,
    ConsensusArgs,
    Result,
    Transaction,
    TxRWSet,
    TxStatusCode,
    TxWrite,
)
from changan.ledger.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from changan.contract.engines import Engine
    from changan.crypto.digest import Digest
    from changan.ledger.admission import Admitted
    from changan.ledger.bundle_rows import BundleColumns
    from changan.ledger.commitment import StateRoot
    from changan.ledger.delta import Delta
    from changan.ledger.wire.messages import ChainConfig, Member, Misbehaviour, TxRequest

CONSENSUS_ARGS_VERSION = 1
ROWS_A_TRANSACTION = 64
"""So many rows of bundles run in the time of a transaction of its own."""
_MICROSECONDS = 1_000_000


class InvalidBlockError(ChanganError):
    """A decided block that no honest proposer could have made."""


class Decided(NamedTuple):
    """A block as ordering gives it: its place, its time, who proposed it, and what is in it."""

    height: int
    time_us: int
    proposer: Member | None
    requests: Sequence[TxRequest]
    verdicts: Sequence[Admitted | None]
    """What this node already found of each request. One of an older identity epoch, or None, is judged again."""
    engine_height: int = 0
    """The height of the ordering engine's own block, 0 where no engine orders."""
    misbehaviour: Sequence[Misbehaviour] = ()
    """Voting nodes against which the ordering engine found evidence since the block before."""


class AppliedBlock(NamedTuple):
    """An executed block, with what came of it."""

    block: Block
    rw_sets: list[TxRWSet]
    writes: list[Write]
    state_root: StateRoot | None
    bundles: Mapping[int, BundleColumns]
    """What came of the rows of bundles, by the transaction's position."""
    transactions: Sequence[bytes]
    """The block's transactions as bytes."""

    @property
    def work(self) -> int:
        """How long it takes to execute it again, in transactions."""
        rows = sum(len(columns.outcomes) // 4 for columns in self.bundles.values())
        return len(self.transactions) + rows // ROWS_A_TRANSACTION


class Made:
    """What the transactions of a block come to."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.sealed: list[Sealed] = []
        self.rw_sets: list[TxRWSet] = []
        self.writes: list[Write] = []  # as the block's delta lists them, where a bundle is one write
        self.bundles: dict[int, BundleColumns] = {}

    def add(
        self, request: TxRequest, verdict: Admitted, executed: Executed, writes: list[Write], digest: Digest
    ) -> None:
        """Take in a transaction that ran, with what it wrote in the order of read-write sets."""
        rw_set = _rw_set(request.payload.tx_id, writes)
        rest = _without_payload(request, executed, rw_set_hash(rw_set, digest))
        signed = verdict.signed or request.payload.SerializeToString()
        self.sealed.append(seal_transaction(rest, signed, digest))
        rest.payload.CopyFrom(request.payload)
        self.transactions.append(rest)
        self.rw_sets.append(rw_set)
        self.writes += writes


def apply_genesis(config: ChainConfig, engine: Engine = plain) -> tuple[World, AppliedBlock]:
    """Return the state of a new chain, and its block 0."""
    world = World(config, engine)
    transaction, rw_set, writes = genesis_transaction(config)
    for write in writes:
        world.commit(write)
    world.begin_epoch()
    made = Made()
    made.transactions, made.rw_sets, made.writes = [transaction], [rw_set], writes
    made.sealed.append(Sealed(transaction.SerializeToString(), transaction_hash(transaction, world.digest)))
    decided = Decided(0, GENESIS_TIME * _MICROSECONDS, None, (), ())
    applied = _seal(world, decided, made, writes, BlockType.CONFIG_BLOCK)
    return world, applied


def apply_block(world: World, decided: Decided) -> AppliedBlock:
    """Execute a decided block on `world`. Raises InvalidBlockError, before anything changed, when it cannot be one.

    Raises UnknownRulesError where this release does not know by which rules to execute it.
    """
    require_known(world.rules, world.rules_known, world.height + 1)
    verdicts = _judge(world, decided)
    # Past this line every transaction has an outcome; nothing can refuse the block any more.
    context = BlockContext(decided.height, decided.time_us // _MICROSECONDS)
    execution = Execution(world, context)
    ran = [execution.invoke(request, verdict) for request, verdict in zip(decided.requests, verdicts, strict=True)]
    made, state = Made(), StateChanges(world.instances)
    for request, verdict, running in zip(decided.requests, verdicts, ran, strict=True):
        executed = running.finished()
        ordered = _ordered(executed.writes)
        state.add(write for write in ordered if write.key != PARAMETER)  # a bundle's one write stands for its rows
        if executed.bundle is not None:
            made.bundles[len(made.transactions)] = executed.bundle.columns
        if executed.delta is not None:
            state.add_delta(executed.delta)
        made.add(request, verdict, executed, ordered, world.digest)
    kind = _block_type(decided.requests, made.writes)
    remembered = _remember(world, decided, context.time)
    made.writes += remembered
    state.add(remembered)
    if any(must_be_alone(request) for request in decided.requests):
        world.begin_epoch()
    return _seal(world, decided, made, state.all(), kind)


def must_be_alone(request: TxRequest) -> bool:
    """Whether this request must be the only one in its block."""
    return is_alone(request.payload.contract_name, request.payload.method)


def _judge(world: World, decided: Decided) -> list[Admitted]:
    if decided.height != world.height + 1:
        raise InvalidBlockError(f"block {decided.height} does not follow block {world.height}")
    if decided.time_us <= world.block_time_us:
        raise InvalidBlockError(f"block {decided.height} is not later than the block before it")
    if not decided.requests:
        raise InvalidBlockError(f"block {decided.height} is empty")
    if len(decided.requests) > 1 and any(must_be_alone(request) for request in decided.requests):
        raise InvalidBlockError(f"block {decided.height} holds more beside a transaction that must be alone")
    time = decided.time_us // _MICROSECONDS
    seen: set[str] = set()
    verdicts: list[Admitted] = []
    for request, verdict in zip(decided.requests, decided.verdicts, strict=True):
        payload = request.payload
        if payload.tx_id in seen or world.remembered.holds(payload.tx_id):
            raise InvalidBlockError(f"block {decided.height} repeats transaction {payload.tx_id}")
        if not world.remembered.in_time(payload.timestamp, time, world.tx_timeout):
            raise InvalidBlockError(f"block {decided.height} holds transaction {payload.tx_id} out of its time")
        seen.add(payload.tx_id)
        verdicts.append(_verdict(world, request, verdict, time))
    return verdicts


def _verdict(world: World, request: TxRequest, verdict: Admitted | None, time: int) -> Admitted:
    if verdict is not None and verdict.epoch == world.epoch and verdict.holds_at(time):
        return verdict
    try:
        check_form(request)
        return authenticate(request, world.members, world.policies, time, world.epoch)
    except RefusedError as error:
        raise InvalidBlockError(f"transaction {request.payload.tx_id}: {error}") from error


def _remember(world: World, decided: Decided, time: int) -> list[Write]:
    """Remember the block's ids, forget those that can no longer come, and return the rows that this changed."""
    changed: dict[str, bytes | None] = {}
    for request in decided.requests:
        key, value = world.remembered.add(request.payload.tx_id, request.payload.timestamp)
        changed[key] = value
    changed.update(world.remembered.forget(time, world.tx_timeout))
    return [Write(OWN, key, value) for key, value in changed.items()]


def _without_payload(request: TxRequest, executed: Executed, rw_set_digest: bytes) -> Transaction:
    transaction = Transaction(
        sender=request.sender,
        endorsers=request.endorsers,
        result=Result(
            code=executed.code,
            contract_result=executed.result,
            rw_set_hash=rw_set_digest,
            message=executed.message,
        ),
    )
    if request.HasField("payer"):
        transaction.payer.CopyFrom(request.payer)
    return transaction


def _ordered(writes: Iterable[Write]) -> list[Write]:
    """Return the last write of each row, in the order in which read-write sets list them."""
    last = {(write.contract, write.key): write for write in writes}
    return sorted(last.values(), key=lambda write: f"{write.contract}#{write.key}")


def _rw_set(tx_id: str, writes: Sequence[Write]) -> TxRWSet:
    # On the wire an empty value says that the row is gone; no row of ours is empty.
    assert all(write.value != b"" for write in writes)
    return TxRWSet(
        tx_id=tx_id,
        tx_writes=[TxWrite(key=w.key.encode(), value=w.value or b"", contract_name=w.contract) for w in writes],
    )


def settles(transactions: Sequence[Transaction]) -> bool:
    """Whether a block brings the state tree up to date: a node asked for it."""
    return any(tx.payload.contract_name == OWN and tx.result.code == TxStatusCode.SUCCESS for tx in transactions)


def _block_type(requests: Sequence[TxRequest], writes: Sequence[Write]) -> int:
    """A block of configuration holds a transaction to CHAIN_CONFIG that changed it; a multi-sign's change is in a normal one."""
    name = SystemContract.CHAIN_CONFIG
    asked = any(request.payload.contract_name == name for request in requests)
    changed = any(write.contract == name for write in writes)
    return BlockType.CONFIG_BLOCK if asked and changed else BlockType.NORMAL_BLOCK


def _seal(
    world: World,
    decided: Decided,
    made: Made,
    state: Sequence[Write | Delta],
    kind: int,
) -> AppliedBlock:
    digest, transactions = world.digest, made.transactions
    due = world.commitment.close_block(decided.height, state, settle=settles(transactions))
    arguments = ConsensusArgs(
        version=CONSENSUS_ARGS_VERSION,
        block_time_us=decided.time_us,
        outcome_root=outcome_root(transactions, digest),
        delta_root=delta_root(made.writes, digest),
        engine_height=decided.engine_height,
        misbehaviour=decided.misbehaviour,
    )
    if due is not None:
        arguments.state_root, arguments.state_height = due.root, due.height
    dag = ordered_dag(len(transactions))
    header = BlockHeader(
        block_version=world.block_version,
        block_type=kind,
        chain_id=world.config.chain_id,
        block_height=decided.height,
        pre_block_hash=world.block_hash,
        pre_conf_height=world.config_height,
        tx_count=len(transactions),
        tx_root=chainmaker_root([sealed.digest for sealed in made.sealed], digest),
        dag_hash=dag_hash(dag, digest),
        rw_set_root=chainmaker_root([tx.result.rw_set_hash for tx in transactions], digest),
        block_timestamp=decided.time_us // _MICROSECONDS,
        consensus_args=arguments.SerializeToString(),
    )
    if decided.proposer is not None:
        header.proposer.CopyFrom(decided.proposer)
    header.block_hash = block_hash(header, digest)
    world.height, world.block_hash, world.block_time_us = decided.height, header.block_hash, decided.time_us
    if kind == BlockType.CONFIG_BLOCK:
        world.config_height = decided.height
    block = Block(header=header, dag=dag, txs=transactions)
    data = [sealed.data for sealed in made.sealed]
    return AppliedBlock(block, made.rw_sets, made.writes, due, made.bundles, data)
