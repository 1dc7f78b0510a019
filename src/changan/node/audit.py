"""The audit: every hash, signature and tree of a log derived again, by code that shares only the codec with the executor."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from changan.errors import ChanganError
from changan.ledger.wire.messages import (
    BlockHeader,
    BlockWithRWSet,
    ChainConfig,
    ConsensusArgs,
    Contract,
)
from changan.node.audit_agreement import Agreement
from changan.node.audit_base import read_state
from changan.node.audit_bundle import BundleAudit, Installed, State
from changan.node.audit_hashes import DIGESTS, AuditHashes
from changan.node.audit_keys import MemberError
from changan.node.audit_lane import AuditLane, is_distilled, is_registration, proves_possession
from changan.node.audit_members import AuditMembers
from changan.node.audit_tree import AuditTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from changan.ledger.wire.messages import Block, BundleRows, Member, Transaction
    from changan.node.beginning import Base
    from changan.node.store.blocklog import BlockLog

_AT_ONCE, _WORK, _BLOCKS = 256, 8, 256
_DELAY, _WORK_A_BLOCK, _LATER = 16, 32_768, 3
_CONFIG = ("CHAIN_CONFIG", "CHAIN_CONFIG")
_RULES = 3
_WHO = frozenset({"CHAIN_CONFIG", "CERT_MANAGE", "PUBKEY_MANAGE"})
"""Contracts whose rows say who a member is."""


class _Aside(NamedTuple):
    """Rows that were set aside at a height, and where the root over them is due."""

    height: int
    due: int
    rows: dict[tuple[str, str], bytes | None]


class AuditError(ChanganError):
    """Something in the log is not what it says; the message names the height."""


class Audited(NamedTuple):
    """What an audit went through."""

    blocks: int
    transactions: int
    signatures: int
    state_roots: int


class Auditor:
    """Walks a log from genesis, or from its base; `blocks` yields after each block, so that progress can be shown."""

    def __init__(self, log: BlockLog, sample: int = 0, base: Base | None = None) -> None:
        """With `sample` the rows of bundles are derived again in so many blocks, evenly spread, and no state tree is built:
        whoever asks for that replays the blocks as well, which compares every root. `base` is the state that a log was
        begun with whose older blocks are away.
        """
        self._log = log
        self._base = base
        self._step = max(1, (log.durable_height + 1) // sample) if sample else 0
        self._rows: dict[tuple[str, str], bytes] = {}
        self._previous: BlockHeader | None = None
        self._config_height = 0
        self._hashes = AuditHashes(_digest_of(log))
        self._tree = AuditTree(self._hashes.of)
        self._waiting: dict[tuple[str, str], bytes | None] = {}
        self._aside: _Aside | None = None
        self._work = self._since = 0
        self._ids: dict[int, bytes] = {}
        self._forgotten: int | None = None
        self._seen: set[bytes] = set()
        self._members = AuditMembers(self._rows)
        lane = AuditLane(self._rows, self._members, self._hashes.prefixed_root, self._hashes.of)
        self._bundles = BundleAudit(self._hashes.prefixed_root, self._hashes.of, lane)
        self._agreement = Agreement(self._members)
        self._walked = self.transactions = self.signatures = self.state_roots = 0

    def blocks(self) -> Iterator[int]:
        """Check block after block; yield each height. Raises AuditError, CorruptLogError."""
        start = 0
        if self._base is not None:
            start = self._base.height + 1
            yield from self._begin(self._base)
        for height in range(start, self._log.durable_height + 1):
            with _decoding(height):
                self._block(height, BlockWithRWSet.FromString(self._log.read(height)))
            yield height

    def _begin(self, base: Base) -> Iterator[int]:
        """Check the blocks that came with a base, and go on with its rows: those under the root that its last block holds."""
        for height in range(base.height + 1):
            if not self._log.holds(height):
                self._previous = None
                continue
            with _decoding(height):
                self._came_along(height, BlockWithRWSet.FromString(self._log.read(height)))
            yield height
        header = self._previous
        assert header is not None
        need = _Need(base.height)
        state = read_state(base, self._hashes)
        self._rows.update(state.rows)
        self._ids, self._forgotten, self._seen = state.running, state.forgotten, state.ids
        for (contract, name), value in state.rows.items():
            self._set(contract, name, value)
        arguments = ConsensusArgs.FromString(header.consensus_args)
        root = arguments.state_height, arguments.state_root
        need(root == (base.height, self._tree.root()), "does not hold the root over the rows of the base")
        self.state_roots += 1
        self._agreement.begin(need, header, self._rows)

    def _came_along(self, height: int, stored: BlockWithRWSet) -> None:
        """Check a block at or below a base, as far as it can be without the state before it."""
        need, block = _Need(height), stored.block
        self._form(need, block)
        self._roots(need, stored)
        outcomes = self._hashes.prefixed_root([self._hashes.outcome(tx) for tx in block.txs])
        arguments = ConsensusArgs.FromString(block.header.consensus_args)
        need(outcomes == arguments.outcome_root, "outcome_root is wrong")
        need(not stored.bundle_rows, "came with rows of a bundle, which nothing here binds")
        writes = [write for rw_set in stored.txRWSets for write in rw_set.tx_writes]
        listed = [(one.contract_name, one.key.decode(), one.value or None) for one in (*writes, *stored.own_writes)]
        need(self._hashes.delta(listed) == arguments.delta_root, "delta_root is wrong")
        linked = height == self._log.durable_height or self._log.holds(height + 1)
        self.signatures += self._agreement.came_along(need, stored, self._rows, linked=linked)
        self.transactions += len(block.txs)
        self._walked += 1
        self._config_height = height if block.header.block_type & 1 else block.header.pre_conf_height
        self._previous = block.header

    @property
    def config(self) -> ChainConfig:
        """The configuration at the end of the last block that was gone through."""
        return ChainConfig.FromString(self._rows[_CONFIG])

    @property
    def result(self) -> Audited:
        """What was gone through so far."""
        return Audited(self._walked, self.transactions, self.signatures, self.state_roots)

    def _form(self, need: _Need, block: Block) -> None:
        header, previous = block.header, self._previous
        need(header.block_height == need.height, "says another height")
        if previous is not None:
            need(header.pre_block_hash == previous.block_hash, "does not follow the block before it")
            need(header.chain_id == previous.chain_id, "is of another chain")

    def _block(self, height: int, stored: BlockWithRWSet) -> None:
        block, header = stored.block, stored.block.header
        need = _Need(height)
        self._form(need, block)
        if height:
            need(
                _rules(self.config, height) <= _RULES,
                f"goes by rules beyond {_RULES}, the newest that this release knows",
            )
        need(header.pre_conf_height == self._config_height, "names another configuration block")
        self._roots(need, stored)
        self._signatures(need, stored)
        self._arguments(need, stored)
        for tx in block.txs:
            key = self._hashes.of(tx.payload.tx_id.encode())
            need(key not in self._seen, f"repeats transaction {tx.payload.tx_id}")
            self._seen.add(key)
        self.transactions += len(block.txs)
        self._walked += 1
        if header.block_type & 1:
            self._config_height = height
        self._previous = header

    def _roots(self, need: _Need, stored: BlockWithRWSet) -> None:
        block, header = stored.block, stored.block.header
        need(header.tx_count == len(block.txs) == len(stored.txRWSets) > 0, "counts its transactions wrongly")
        for tx, rw_set in zip(block.txs, stored.txRWSets, strict=True):
            need(rw_set.tx_id == tx.payload.tx_id, "holds a read-write set of another transaction")
            need(
                self._hashes.of(rw_set.SerializeToString()) == tx.result.rw_set_hash,
                f"{tx.payload.tx_id}: rw_set_hash is wrong",
            )
        need(
            self._hashes.doubling_root([tx.result.rw_set_hash for tx in block.txs]) == header.rw_set_root,
            "rw_set_root is wrong",
        )
        need(
            self._hashes.doubling_root([self._hashes.without_gas(tx) for tx in block.txs]) == header.tx_root,
            "tx_root is wrong",
        )
        order = [list(vertex.neighbors) for vertex in block.dag.vertexes]
        need(order == [[at - 1] if at else [] for at in range(len(block.txs))], "orders its transactions oddly")
        need(self._hashes.of(block.dag.SerializeToString()) == header.dag_hash, "dag_hash is wrong")
        bare = BlockHeader.FromString(header.SerializeToString())
        bare.block_hash = bare.signature = b""
        need(self._hashes.of(bare.SerializeToString()) == header.block_hash, "block_hash is wrong")

    # Signatures

    def _signatures(self, need: _Need, stored: BlockWithRWSet) -> None:
        block, header = stored.block, stored.block.header
        if header.block_height == 0:
            return
        if self._agreement.ordered_by_vote(self._rows):
            self.signatures += self._agreement.block(need, block, self._rows)
        else:
            self._signed(
                need, header.proposer, header.block_hash, header.signature, header.block_timestamp, "the proposer's"
            )
        for tx, rw_set in zip(block.txs, stored.txRWSets, strict=True):
            signed = tx.payload.SerializeToString()
            for who, entry in (("sender", tx.sender), ("payer", tx.payer)):
                if who == "sender" or tx.HasField("payer"):
                    whose = f"{tx.payload.tx_id}: the {who}'s"
                    self._signed(need, entry.signer, signed, entry.signature, header.block_timestamp, whose)
            if is_registration(tx):
                need(proves_possession(tx, rw_set), f"{tx.payload.tx_id}: a client did not prove to hold its BLS key")
                self.signatures += 1

    def _signed(self, need: _Need, member: Member, message: bytes, signature: bytes, time: int, whose: str) -> None:
        try:
            holds = self._members.verifies(member, message, signature, time)
        except MemberError as error:
            raise need.error(str(error)) from None
        need(holds, f"{whose} signature does not hold")
        self.signatures += 1

    # What consensus_args binds

    def _arguments(self, need: _Need, stored: BlockWithRWSet) -> None:
        header = stored.block.header
        arguments = ConsensusArgs.FromString(header.consensus_args)
        need(arguments.block_time_us // 1_000_000 == header.block_timestamp, "its two times differ")
        if self._previous is not None:
            before = ConsensusArgs.FromString(self._previous.consensus_args)
            need(arguments.block_time_us > before.block_time_us, "is not later than the block before it")
        need(
            self._hashes.prefixed_root([self._hashes.outcome(tx) for tx in stored.block.txs]) == arguments.outcome_root,
            "outcome_root is wrong",
        )
        listed: State = []
        changed: State = []
        sides = {side.position: side for side in stored.bundle_rows}
        for position, (tx, rw_set) in enumerate(zip(stored.block.txs, stored.txRWSets, strict=True)):
            writes = [(write.contract_name, write.key.decode(), write.value or None) for write in rw_set.tx_writes]
            listed += writes
            if _is_bundle(tx):
                writes = self._bundle(need, tx, sides.pop(position, None), writes, header.block_timestamp)
            changed += writes
        need(not sides, "carries rows of a bundle that it does not hold")
        if header.block_height:
            ids = self._id_rows(stored.block)
            own = [(write.contract_name, write.key.decode(), write.value or None) for write in stored.own_writes]
            need(not own or own == ids, "own_writes are not the rows of its ids")
            listed, changed = listed + ids, changed + ids
        need(self._hashes.delta(listed) == arguments.delta_root, "delta_root is wrong")
        if any(contract in _WHO for contract, _, _ in changed):
            self._members.forget()  # what was found of them held until this block
        for contract, name, value in changed:
            self._waiting[contract, name] = value
            if value is None:
                self._rows.pop((contract, name), None)
            else:
                self._rows[contract, name] = value
        if self._step:
            self._waiting.clear()
            return
        settled = any(tx.payload.contract_name == "CHANGAN" and not tx.result.code for tx in stored.block.txs)
        due = self._due_root(header.block_height, len(changed), settled=settled)
        given = (arguments.state_height, arguments.state_root) if arguments.state_root else None
        need(given == due, "state_root is wrong, or not where it is due")
        self.state_roots += due is not None

    def _bundle(self, need: _Need, tx: Transaction, side: BundleRows | None, writes: State, time: int) -> State:
        """Return the rows of state that a bundle changed, once they were found to be those under its roots."""
        record = self._rows.get(("CONTRACT_MANAGE", f"Contract:{tx.payload.contract_name}"))
        name = "" if record is None else Contract.FromString(record).name
        roots = {contract: value or b"" for contract, key, value in writes if key == "__bundle__"}
        codes = {contract: self._rows.get(("CONTRACT_MANAGE", f"ContractByteCode:{contract}")) for contract in roots}
        code = codes.pop(name, None)
        if side is None or code is None:
            raise need.error(f"{tx.payload.tx_id}: a bundle without its rows")
        if self._step and need.height % self._step:
            return [write for write in writes if write[1] != "__bundle__"]
        try:
            others = {contract: code for contract, code in codes.items() if code is not None}
            problem, state = self._bundles.check(tx, side, Installed(name, code), others, roots, time)
        except MemberError as error:
            raise need.error(f"{tx.payload.tx_id}: {error}") from None
        need(problem is None, f"{tx.payload.tx_id}: {problem}")
        self.signatures += is_distilled(tx.payload.parameters[0].value)
        return [write for write in writes if write[1] != "__bundle__"] + state

    def _id_rows(self, block: Block) -> list[tuple[str, str, bytes | None]]:
        """Derive the rows of remembered transaction ids, which no read-write set lists."""
        config = ChainConfig.FromString(self._rows[_CONFIG]).block
        changed: dict[str, bytes | None] = {}
        for tx in block.txs:
            second = tx.payload.timestamp
            running = self._hashes.tagged(
                b"changan.ids", self._ids.get(second, b""), self._hashes.of(tx.payload.tx_id.encode())
            )
            self._ids[second] = changed[f"ids.{second}"] = running
        if config.tx_timestamp_verify:
            stale = sorted(s for s in self._ids if s < block.header.block_timestamp - config.tx_timeout)
            for second in stale:
                del self._ids[second]
                changed[f"ids.{second}"] = None
            if stale:
                self._forgotten = max(stale[-1], self._forgotten if self._forgotten is not None else stale[-1])
                changed["ids-forgotten"] = str(self._forgotten).encode()
        return [("CHANGAN", key, value) for key, value in changed.items()]

    def _due_root(self, height: int, written: int, *, settled: bool) -> tuple[int, bytes] | None:
        self._work += written
        self._since += 1
        if settled or (self._aside is None and self._work <= _AT_ONCE):
            if self._aside is not None:
                self._fold(self._aside.rows)
            self._fold(self._waiting)
            self._aside, self._waiting, self._work, self._since = None, {}, 0, 0
            return height, self._tree.root()
        due = None
        if self._aside is not None and height >= self._aside.due:
            self._fold(self._aside.rows)
            due = (self._aside.height, self._tree.root())
            self._aside = None
        enough = self._work >= _WORK * max(self._tree.rows, _AT_ONCE) or self._since >= _BLOCKS
        if self._aside is None and self._work > _AT_ONCE and enough:
            longer = self._work // _WORK_A_BLOCK if _rules(self.config, height) >= _LATER else 0
            self._aside = _Aside(height, height + _DELAY + longer, self._waiting)
            self._waiting, self._work, self._since = {}, 0, 0
        return due

    def _fold(self, rows: dict[tuple[str, str], bytes | None]) -> None:
        for (contract, name), value in rows.items():
            self._set(contract, name, value)

    def _set(self, contract: str, name: str, value: bytes | None) -> None:
        place = self._hashes.tagged(b"changan.key", contract.encode(), name.encode())
        self._tree.set(place, None if value is None else self._hashes.tagged(b"changan.value", value))


@contextlib.contextmanager
def _decoding(height: int) -> Iterator[None]:
    try:
        yield
    except (DecodeError, UnicodeDecodeError) as error:
        raise AuditError(f"block {height} does not decode") from error


def _digest_of(log: BlockLog) -> Callable[[bytes], bytes]:
    """Return the digest that a chain was made with, as block 0 names it. Raises AuditError, CorruptLogError."""
    try:
        result = BlockWithRWSet.FromString(log.read(0)).block.txs[0].result.contract_result.result
        name = ChainConfig.FromString(result).crypto.hash
    except (DecodeError, IndexError) as error:
        raise AuditError("block 0 does not decode") from error
    if name not in DIGESTS:
        raise AuditError(f"block 0: the audit does not know the digest {name[:64]!r}")
    return DIGESTS[name]


class _Need:
    """Asks for what must hold of one block."""

    def __init__(self, height: int) -> None:
        self.height = height

    def __call__(self, holds: object, otherwise: str) -> None:
        if not holds:
            raise self.error(otherwise)

    def error(self, text: str) -> AuditError:
        return AuditError(f"block {self.height}: {text}")


def _rules(config: ChainConfig, height: int) -> int:
    """Return by which rules a block is executed: those before the @ from the height behind it on, by one less before."""
    named = {entry.key: entry.value for entry in config.consensus.ext_config}.get("changan.rules", "1@0")
    rules, _, since = named.partition("@")
    return int(rules) - (height < int(since)) if rules.isdigit() and since.isdigit() else _RULES + 1


def _is_bundle(tx: Transaction) -> bool:
    keys = [parameter.key for parameter in tx.payload.parameters]
    return not tx.result.code and tx.result.contract_result.message == "BUNDLE" and keys == ["__bundle__"]
