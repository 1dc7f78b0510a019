"""The audit: every hash, signature and tree of a log derived again, by code that shares only the codec with the executor."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from google.protobuf.message import DecodeError

from changan.errors import ChanganError
from changan.ledger.wire.messages import (
    AliasInfo,
    BlockHeader,
    BlockWithRWSet,
    ChainConfig,
    ConsensusArgs,
    MemberType,
    Transaction,
)
from changan.node.audit_agreement import Agreement
from changan.node.audit_tree import AuditTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.ledger.wire.messages import Block, EndorsementEntry, Member
    from changan.node.store.blocklog import BlockLog

_GROUP = 16
_AT_ONCE = 256
_DELAY = 16
_CONFIG = ("CHAIN_CONFIG", "CHAIN_CONFIG")


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
        self._ids: dict[int, bytes] = {}
        self._forgotten: int | None = None
        self._seen: set[bytes] = set()
        self._certificates: dict[tuple[str, int, bytes], x509.Certificate] = {}
        self._agreement = Agreement(_verifies)
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
        sealer = self._certificate(need, header.proposer, header.block_timestamp)
        if self._agreement.ordered_by_vote(self._rows):
            self.signatures += self._agreement.block(need, block, self._rows)
        else:
            need(_verifies(sealer, header.block_hash, header.signature), "the proposer's signature does not hold")
            self.signatures += 1
        for tx in block.txs:
            self._sender(need, tx.sender, tx.payload.SerializeToString(), header.block_timestamp, tx.payload.tx_id)

    def _sender(self, need: _Need, entry: EndorsementEntry, signed: bytes, time: int, tx_id: str) -> None:
        certificate = self._certificate(need, entry.signer, time)
        need(_verifies(certificate, signed, entry.signature), f"{tx_id}: the sender's signature does not hold")
        self.signatures += 1

    def _certificate(self, need: _Need, member: Member, time: int) -> x509.Certificate:
        key = (member.org_id, member.member_type, member.member_info)
        found = self._certificates.get(key)
        if found is None:
            found = self._read_certificate(need, member)
            if member.member_type != MemberType.ALIAS:  # an alias may come to stand for another certificate
                self._certificates[key] = found
        within = found.not_valid_before_utc.timestamp() <= time <= found.not_valid_after_utc.timestamp()
        need(within, "a certificate was out of its time")
        return found

    def _read_certificate(self, need: _Need, member: Member) -> x509.Certificate:
        pem: bytes | None = member.member_info
        if member.member_type == MemberType.CERT_HASH:
            pem = self._rows.get(("CERT_MANAGE", member.member_info.hex()))
        elif member.member_type == MemberType.ALIAS:
            pem = self._alias(member.member_info.decode())
        need(pem is not None, "a member names a certificate that the chain does not know")
        assert pem is not None
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError:
            raise need.error("a certificate does not decode") from None
        config = ChainConfig.FromString(self._rows[_CONFIG])
        roots = [pem for trusted in config.trust_roots if trusted.org_id == member.org_id for pem in trusted.root]
        for root in roots:
            try:
                certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root.encode()))
            except (ValueError, TypeError, InvalidSignature):
                continue
            return certificate
        raise need.error(f"no trust root of {member.org_id} issued a certificate that signed")

    def _alias(self, alias: str) -> bytes | None:
        row = self._rows.get(("CERT_MANAGE", f"alias.{alias}"))
        return None if row is None else AliasInfo.FromString(row).now_cert.cert

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
        writes = [
            (write.contract_name, write.key.decode(), write.value or None)
            for rw_set in stored.txRWSets
            for write in rw_set.tx_writes
        ]
        if header.block_height:
            writes += self._id_rows(stored.block)
        need(_prefixed_root(_groups(writes)) == arguments.delta_root, "delta_root is wrong")
        for contract, name, value in writes:
            self._waiting[contract, name] = value
            if value is None:
                self._rows.pop((contract, name), None)
            else:
                self._rows[contract, name] = value
        due = self._due_root(header.block_height)
        given = (arguments.state_height, arguments.state_root) if arguments.state_root else None
        need(given == due, "state_root is wrong, or not where it is due")
        self.state_roots += due is not None

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

    def _due_root(self, height: int) -> tuple[int, bytes] | None:
        if self._aside is not None:
            since, rows = self._aside
            if height < since + _DELAY:
                return None
            self._fold(rows)
            self._aside = None
            due = (since, self._tree.root())
            if len(self._waiting) > _AT_ONCE:
                self._aside, self._waiting = (height, self._waiting), {}
            return due
        if len(self._waiting) > _AT_ONCE:
            self._aside, self._waiting = (height, self._waiting), {}
            return None
        self._fold(self._waiting)
        self._waiting = {}
        return height, self._tree.root()

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


def _verifies(certificate: x509.Certificate, message: bytes, signature: bytes) -> bool:
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    if algorithm is None:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), algorithm)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
