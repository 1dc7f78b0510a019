"""The audit: every hash, signature and tree of a log derived again, by code that shares only the codec with the executor."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from changan.errors import ChanganError
from changan.ledger.wire.messages import (
    BlockHeader,
    BlockWithRWSet,
    ChainConfig,
    ConsensusArgs,
    Contract,
    Transaction,
)
from changan.node.audit_agreement import Agreement
from changan.node.audit_bundle import BundleAudit, Installed, State
from changan.node.audit_members import AuditMembers, MemberError
from changan.node.audit_tree import AuditTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.ledger.wire.messages import Block, BundleRows, Member
    from changan.node.store.blocklog import BlockLog

_GROUP = 16
_AT_ONCE = 256
_DELAY = 16
_WORK = 8
_BLOCKS = 256
_CONFIG = ("CHAIN_CONFIG", "CHAIN_CONFIG")
_WHO = frozenset({"CHAIN_CONFIG", "CERT_MANAGE", "PUBKEY_MANAGE"})
"""Contracts whose rows say who a member is."""


class AuditError(ChanganError):
    """Something in the log is not what it says; the message names the height."""


class Audited(NamedTuple):
    """What an audit went through."""

    blocks: int
    transactions: int
    signatures: int
    state_roots: int


def _h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _tagged(tag: bytes, *parts: bytes) -> bytes:
    state = hashlib.sha256()
    for part in (tag, *parts):
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()


class Auditor:
    """Walks a log from genesis; `blocks` yields after each block, so that progress can be shown."""

    def __init__(self, log: BlockLog) -> None:
        self._log = log
        self._rows: dict[tuple[str, str], bytes] = {}
        self._previous: BlockHeader | None = None
        self._config_height = 0
        self._tree = AuditTree()
        self._waiting: dict[tuple[str, str], bytes | None] = {}
        self._aside: tuple[int, dict[tuple[str, str], bytes | None]] | None = None
        self._work = self._since = 0
        self._ids: dict[int, bytes] = {}
        self._forgotten: int | None = None
        self._seen: set[bytes] = set()
        self._bundles = BundleAudit(_prefixed_root, _h)
        self._members = AuditMembers(self._rows)
        self._agreement = Agreement(self._members)
        self.transactions = self.signatures = self.state_roots = 0

    def blocks(self) -> Iterator[int]:
        """Check block after block; yield each height. Raises AuditError, CorruptLogError."""
        for height in range(self._log.durable_height + 1):
            try:
                stored = BlockWithRWSet.FromString(self._log.read(height))
                self._block(height, stored)
            except DecodeError as error:
                raise AuditError(f"block {height} does not decode") from error
            yield height

    @property
    def result(self) -> Audited:
        """What was gone through so far."""
        return Audited(self._log.durable_height + 1, self.transactions, self.signatures, self.state_roots)

    def _block(self, height: int, stored: BlockWithRWSet) -> None:
        block, header = stored.block, stored.block.header
        need = _Need(height)
        need(header.block_height == height, "says another height")
        need(header.tx_count == len(block.txs) == len(stored.txRWSets) > 0, "counts its transactions wrongly")
        previous = self._previous
        if previous is not None:
            need(header.pre_block_hash == previous.block_hash, "does not follow the block before it")
            need(header.chain_id == previous.chain_id, "is of another chain")
        need(header.pre_conf_height == self._config_height, "names another configuration block")
        self._hashes(need, stored)
        self._signatures(need, block)
        self._arguments(need, stored)
        for tx in block.txs:
            key = _h(tx.payload.tx_id.encode())
            need(key not in self._seen, f"repeats transaction {tx.payload.tx_id}")
            self._seen.add(key)
        self.transactions += len(block.txs)
        if header.block_type & 1:
            self._config_height = height
        self._previous = header

    def _hashes(self, need: _Need, stored: BlockWithRWSet) -> None:
        block, header = stored.block, stored.block.header
        for tx, rw_set in zip(block.txs, stored.txRWSets, strict=True):
            need(rw_set.tx_id == tx.payload.tx_id, "holds a read-write set of another transaction")
            need(_h(rw_set.SerializeToString()) == tx.result.rw_set_hash, f"{tx.payload.tx_id}: rw_set_hash is wrong")
        need(_doubling_root([tx.result.rw_set_hash for tx in block.txs]) == header.rw_set_root, "rw_set_root is wrong")
        need(_doubling_root([_without_gas(tx) for tx in block.txs]) == header.tx_root, "tx_root is wrong")
        order = [list(vertex.neighbors) for vertex in block.dag.vertexes]
        need(order == [[at - 1] if at else [] for at in range(len(block.txs))], "orders its transactions oddly")
        need(_h(block.dag.SerializeToString()) == header.dag_hash, "dag_hash is wrong")
        bare = BlockHeader.FromString(header.SerializeToString())
        bare.block_hash = bare.signature = b""
        need(_h(bare.SerializeToString()) == header.block_hash, "block_hash is wrong")

    # Signatures

    def _signatures(self, need: _Need, block: Block) -> None:
        header = block.header
        if header.block_height == 0:
            return
        if self._agreement.ordered_by_vote(self._rows):
            self.signatures += self._agreement.block(need, block, self._rows)
        else:
            self._signed(
                need, header.proposer, header.block_hash, header.signature, header.block_timestamp, "the proposer's"
            )
        for tx in block.txs:
            signed = tx.payload.SerializeToString()
            for who, entry in (("sender", tx.sender), ("payer", tx.payer)):
                if who == "sender" or tx.HasField("payer"):
                    whose = f"{tx.payload.tx_id}: the {who}'s"
                    self._signed(need, entry.signer, signed, entry.signature, header.block_timestamp, whose)

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
            _prefixed_root([_outcome(tx) for tx in stored.block.txs]) == arguments.outcome_root, "outcome_root is wrong"
        )
        listed: State = []
        changed: State = []
        sides = {side.position: side for side in stored.bundle_rows}
        for position, (tx, rw_set) in enumerate(zip(stored.block.txs, stored.txRWSets, strict=True)):
            writes = [(write.contract_name, write.key.decode(), write.value or None) for write in rw_set.tx_writes]
            listed += writes
            changed += self._bundle(need, tx, sides.pop(position, None), writes) if _is_bundle(tx) else writes
        need(not sides, "carries rows of a bundle that it does not hold")
        if header.block_height:
            ids = self._id_rows(stored.block)
            own = [(write.contract_name, write.key.decode(), write.value or None) for write in stored.own_writes]
            need(not own or own == ids, "own_writes are not the rows of its ids")
            listed, changed = listed + ids, changed + ids
        need(_prefixed_root(_groups(listed)) == arguments.delta_root, "delta_root is wrong")
        if any(contract in _WHO for contract, _, _ in changed):
            self._members.forget()  # what was found of them held until this block
        for contract, name, value in changed:
            self._waiting[contract, name] = value
            if value is None:
                self._rows.pop((contract, name), None)
            else:
                self._rows[contract, name] = value
        settled = any(tx.payload.contract_name == "CHANGAN" and not tx.result.code for tx in stored.block.txs)
        due = self._due_root(header.block_height, len(changed), settled=settled)
        given = (arguments.state_height, arguments.state_root) if arguments.state_root else None
        need(given == due, "state_root is wrong, or not where it is due")
        self.state_roots += due is not None

    def _bundle(self, need: _Need, tx: Transaction, side: BundleRows | None, writes: State) -> State:
        """Return the rows of state that a bundle changed, once they were found to be those under its roots."""
        record = self._rows.get(("CONTRACT_MANAGE", f"Contract:{tx.payload.contract_name}"))
        name = "" if record is None else Contract.FromString(record).name
        code = self._rows.get(("CONTRACT_MANAGE", f"ContractByteCode:{name}"))
        if side is None or code is None or len(writes) != 1 or writes[0][1] != "__bundle__":
            raise need.error(f"{tx.payload.tx_id}: a bundle without its rows")
        problem, state = self._bundles.check(tx, side, Installed(name, code), writes[0][2] or b"")
        need(problem is None, f"{tx.payload.tx_id}: {problem}")
        return state

    def _id_rows(self, block: Block) -> list[tuple[str, str, bytes | None]]:
        """Derive the rows of remembered transaction ids, which no read-write set lists."""
        config = ChainConfig.FromString(self._rows[_CONFIG]).block
        changed: dict[str, bytes | None] = {}
        for tx in block.txs:
            second = tx.payload.timestamp
            running = _tagged(b"changan.ids", self._ids.get(second, b""), _h(tx.payload.tx_id.encode()))
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
        if settled or (self._aside is None and len(self._waiting) <= _AT_ONCE):
            if self._aside is not None:
                self._fold(self._aside[1])
            self._fold(self._waiting)
            self._aside, self._waiting, self._work, self._since = None, {}, 0, 0
            return height, self._tree.root()
        due = None
        if self._aside is not None and height >= self._aside[0] + _DELAY:
            self._fold(self._aside[1])
            due = (self._aside[0], self._tree.root())
            self._aside = None
        enough = self._work >= _WORK * len(self._waiting) or self._since >= _BLOCKS
        if self._aside is None and len(self._waiting) > _AT_ONCE and enough:
            self._aside, self._waiting, self._work, self._since = (height, self._waiting), {}, 0, 0
        return due

    def _fold(self, rows: dict[tuple[str, str], bytes | None]) -> None:
        for (contract, name), value in rows.items():
            place = _tagged(b"changan.key", contract.encode(), name.encode())
            self._tree.set(place, None if value is None else _tagged(b"changan.value", value))


class _Need:
    """Asks for what must hold of one block."""

    def __init__(self, height: int) -> None:
        self._height = height

    def __call__(self, holds: object, otherwise: str) -> None:
        if not holds:
            raise self.error(otherwise)

    def error(self, text: str) -> AuditError:
        return AuditError(f"block {self._height}: {text}")


def _is_bundle(tx: Transaction) -> bool:
    keys = [parameter.key for parameter in tx.payload.parameters]
    return not tx.result.code and tx.result.contract_result.message == "BUNDLE" and keys == ["__bundle__"]


def _without_gas(tx: Transaction) -> bytes:
    copy = Transaction.FromString(tx.SerializeToString())
    copy.result.contract_result.gas_used = 0
    return _h(copy.SerializeToString())


def _doubling_root(leaves: Sequence[bytes]) -> bytes:
    """ChainMaker's tree: the last of an odd row stands beside itself."""
    row = list(leaves)
    while len(row) > 1:
        row += row[-1:] * (len(row) % 2)
        row = [_h(left + right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def _prefixed_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162's tree by its recursive definition: split at the largest power of two below the length."""
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return _h(b"\x00" + leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return _h(b"\x01" + _prefixed_root(leaves[:split]) + _prefixed_root(leaves[split:]))


def _outcome(tx: Transaction) -> bytes:
    result = tx.result.contract_result
    numbers = b"".join(number.to_bytes(8, "big") for number in (tx.result.code, result.code, result.gas_used))
    events = _tagged(b"changan.events", *(event.SerializeToString() for event in result.contract_event))
    return _tagged(
        b"changan.outcome", tx.payload.tx_id.encode(), numbers, result.result, result.message.encode(), events
    )


def _groups(writes: Sequence[tuple[str, str, bytes | None]]) -> list[bytes]:
    records = []
    for contract, name, value in writes:
        owner, key = contract.encode(), name.encode()
        record = len(owner).to_bytes(2, "big") + owner + len(key).to_bytes(2, "big") + key
        records.append(record + (b"\x00" if value is None else b"\x01" + len(value).to_bytes(4, "big") + value))
    return [b"".join(records[at : at + _GROUP]) for at in range(0, len(records), _GROUP)]
