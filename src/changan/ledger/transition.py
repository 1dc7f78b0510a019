"""One decided block in, one executed block out: the heart of the ledger, a function of the state and the block alone."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.engines import plain
from changan.contract.instance import BlockContext
from changan.crypto.merkle import chainmaker_root, tree_root
from changan.errors import ChanganError
from changan.ledger.admission import RefusedError, admit, check_form
from changan.ledger.commitment import delta_root
from changan.ledger.delta import StateChanges
from changan.ledger.done import Done, done_at_genesis, done_of
from changan.ledger.execution import Execution
from changan.ledger.genesis import GENESIS_TIME, genesis_transaction
from changan.ledger.hashing import block_hash, dag_hash, ordered_dag
from changan.ledger.rule_sets import require_known
from changan.ledger.state import Write
from changan.ledger.system import OWN, SystemContract, is_alone
from changan.ledger.wire.messages import (
    Block,
    BlockHeader,
    BlockType,
    ConsensusArgs,
    Transaction,
    TxRWSet,
)
from changan.ledger.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from changan.contract.engines import Engine
    from changan.crypto.digest import Digest
    from changan.ledger.admission import Admitted
    from changan.ledger.bundle_rows import BundleColumns
    from changan.ledger.commitment import StateRoot
    from changan.ledger.delta import Delta
    from changan.ledger.execution import Executed
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


class AppliedBlock:
    """An executed block, with what came of it."""

    def __init__(
        self,
        head: Block,
        done: Sequence[Done],
        writes: list[Write],
        state_root: StateRoot | None,
        bundles: Mapping[int, BundleColumns],
        changes: Sequence[Write | Delta],
    ) -> None:
        self.head = head
        """The block, for its header and what else stands beside the transactions."""
        self.done = done
        self.writes = writes
        """The rows that its delta root covers, where a bundle is one of them."""
        self.state_root = state_root
        self.bundles = bundles
        """What came of the rows of bundles, by the transaction's position."""
        self.changes = changes
        """Everything that it changed of the state, in order."""

    @property
    def header(self) -> BlockHeader:
        """The block's header."""
        return self.head.header

    @cached_property
    def block(self) -> Block:
        """The block, its transactions built only now: those who need no more than bytes do not wait for that."""
        self.head.txs.extend(Transaction.FromString(done.data) for done in self.done)
        return self.head

    @cached_property
    def rw_sets(self) -> list[TxRWSet]:
        """What each transaction read and wrote."""
        return [TxRWSet.FromString(done.rw_set) for done in self.done]

    @property
    def work(self) -> int:
        """How long it takes to execute it again, in transactions."""
        bundles = self.bundles.values()
        together = sum(columns.rows for columns in bundles if not columns.one_by_one)
        return (
            len(self.done)
            + sum(columns.rows for columns in bundles if columns.one_by_one)
            + together // ROWS_A_TRANSACTION
        )


def apply_genesis(config: ChainConfig, engine: Engine = plain) -> tuple[World, AppliedBlock]:
    """Return the state of a new chain, and its block 0."""
    world = World(config, engine)
    transaction, rw_set, writes = genesis_transaction(config)
    for write in writes:
        world.commit(write)
    world.begin_epoch()
    done = done_at_genesis(transaction, rw_set, writes, world.digest)
    decided = Decided(0, GENESIS_TIME * _MICROSECONDS, None, (), ())
    world.height, world.block_time_us = decided.height, decided.time_us
    return world, _seal(world, decided, [done], writes, writes, {}, BlockType.CONFIG_BLOCK)


class RanBlock(NamedTuple):
    """A block whose transactions ran and were not put together yet."""

    decided: Decided
    rules: int
    ends: Sequence[Callable[[], tuple[Executed, Done]]]
    """What each transaction leaves."""
    begun: Sequence[Callable[[], object]]
    """Those of `ends` that were begun already, for they take long. Any thread may wait for them."""


def apply_block(world: World, decided: Decided) -> AppliedBlock:
    """Execute a decided block on `world`. Raises InvalidBlockError, before anything changed, when it cannot be one.

    Raises UnknownRulesError where this release does not know by which rules to execute it.
    """
    return seal_block(world, run_block(world, decided))


def run_block(world: World, decided: Decided) -> RanBlock:
    """Run the transactions of a decided block: the first half of `apply_block`, which raises the same.

    From here on `world` is at that height, though its hash is not known before `seal_block`; no other block may run between.
    """
    rules = world.rules
    require_known(rules, world.rules_known, world.height + 1)
    verdicts = _judge(world, decided)
    # Past this line every transaction has an outcome; nothing can refuse the block any more.
    execution = Execution(world, BlockContext(decided.height, decided.time_us // _MICROSECONDS))
    ends: list[Callable[[], tuple[Executed, Done]]] = []
    begun: list[Callable[[], object]] = []
    ran = execution.invoke_all(decided.requests, verdicts)
    for request, verdict, executed in zip(decided.requests, verdicts, ran, strict=True):
        end: Callable[[], tuple[Executed, Done]] = partial(_end, request, verdict.signed, executed, world.digest)
        if executed.bundle is not None:  # before the next one runs
            end = world.roots.begin(end)
            begun.append(end)
        ends.append(end)
    world.height, world.block_time_us = decided.height, decided.time_us
    return RanBlock(decided, rules, ends, begun)


def _end(request: TxRequest, signed: bytes, executed: Executed, digest: Digest) -> tuple[Executed, Done]:
    finished = executed.finished()
    return finished, done_of(request, signed, finished, digest)


def seal_block(world: World, ran: RanBlock) -> AppliedBlock:
    """Put a block together whose transactions ran: the second half of `apply_block`."""
    decided = ran.decided
    state = StateChanges(world.instances)
    done: list[Done] = []
    writes: list[Write] = []
    bundles: dict[int, BundleColumns] = {}
    for end in ran.ends:
        executed, made = end()
        if executed.bundle is not None:
            bundles[len(done)] = executed.bundle.columns
        state.add(made.writes, executed.deltas)
        writes += made.writes
        done.append(made)
    kind = _block_type(decided.requests, writes)
    remembered = _remember(world, done, decided.time_us // _MICROSECONDS)
    writes += remembered
    state.add(remembered)
    if must_be_alone(decided.requests[0]):
        world.begin_epoch()
    return _seal(world, decided, done, writes, state.all(), bundles, kind, ran.rules)


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
    time, remembered, timeout = decided.time_us // _MICROSECONDS, world.remembered, world.tx_timeout
    seen: set[str] = set()
    verdicts: list[Admitted] = []
    for request, verdict in zip(decided.requests, decided.verdicts, strict=True):
        payload = request.payload
        tx_id = payload.tx_id
        if tx_id in seen or remembered.holds(tx_id):
            raise InvalidBlockError(f"block {decided.height} repeats transaction {tx_id}")
        if not remembered.in_time(payload.timestamp, time, timeout):
            raise InvalidBlockError(f"block {decided.height} holds transaction {tx_id} out of its time")
        seen.add(tx_id)
        verdicts.append(_verdict(world, request, verdict, time))
    return verdicts


def _verdict(world: World, request: TxRequest, verdict: Admitted | None, time: int) -> Admitted:
    if verdict is not None and verdict.epoch == world.epoch and verdict.holds_at(time):
        return verdict
    try:
        check_form(request)
        return admit(request, world, time)
    except RefusedError as error:
        raise InvalidBlockError(f"transaction {request.payload.tx_id}: {error}") from error


def _remember(world: World, done: Sequence[Done], time: int) -> list[Write]:
    """Remember the block's ids, forget those that can no longer come, and return the rows that this changed."""
    changed: dict[str, bytes | None] = {}
    for each in done:
        key, value = world.remembered.add(each.tx_id, each.timestamp)
        changed[key] = value
    changed.update(world.remembered.forget(time, world.tx_timeout))
    return [Write(OWN, key, value) for key, value in changed.items()]


def _block_type(requests: Sequence[TxRequest], writes: Sequence[Write]) -> int:
    """A block of configuration holds a transaction to CHAIN_CONFIG that changed it; a multi-sign's change is in a normal one."""
    name = SystemContract.CHAIN_CONFIG  # alone in its block
    asked = requests[0].payload.contract_name == name
    changed = asked and any(write.contract == name for write in writes)
    return BlockType.CONFIG_BLOCK if changed else BlockType.NORMAL_BLOCK


def _seal(  # noqa: PLR0917  # everything that a block is made of
    world: World,
    decided: Decided,
    done: Sequence[Done],
    writes: list[Write],
    state: Sequence[Write | Delta],
    bundles: Mapping[int, BundleColumns],
    kind: int,
    rules: int = 1,
) -> AppliedBlock:
    digest = world.digest
    settles = any(each.settles for each in done)
    due = world.commitment.close_block(decided.height, state, settle=settles, rules=rules)
    arguments = ConsensusArgs(
        version=CONSENSUS_ARGS_VERSION,
        block_time_us=decided.time_us,
        outcome_root=tree_root([each.leaf for each in done], digest),
        delta_root=delta_root(writes, digest),
        engine_height=decided.engine_height,
        misbehaviour=decided.misbehaviour,
    )
    if due is not None:
        arguments.state_root, arguments.state_height = due.root, due.height
    dag = ordered_dag(len(done))
    header = BlockHeader(
        block_version=world.block_version,
        block_type=kind,
        chain_id=world.config.chain_id,
        block_height=decided.height,
        pre_block_hash=world.block_hash,
        pre_conf_height=world.config_height,
        tx_count=len(done),
        tx_root=chainmaker_root([each.digest for each in done], digest),
        dag_hash=dag_hash(dag, digest),
        rw_set_root=chainmaker_root([each.rw_digest for each in done], digest),
        block_timestamp=decided.time_us // _MICROSECONDS,
        consensus_args=arguments.SerializeToString(),
    )
    if decided.proposer is not None:
        header.proposer.CopyFrom(decided.proposer)
    header.block_hash = block_hash(header, digest)
    world.block_hash = header.block_hash
    if kind == BlockType.CONFIG_BLOCK:
        world.config_height = decided.height
    return AppliedBlock(Block(header=header, dag=dag), done, writes, due, bundles, state)
