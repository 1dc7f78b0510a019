"""What a subscription gets to see of one block, as the bytes that travel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.wire.messages import BlockInfo, ContractEventInfo, ContractEventInfoList, MemberType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from changan.ledger.members import Identity
    from changan.ledger.wire.messages import Block, BlockWithRWSet, ContractEvent, Transaction

EVENT_BYTES_MAX = 16 * 1024 * 1024
"""The events of one block travel in one message until they are this large; then in several. Clients take 100 MiB."""


class Item(NamedTuple):
    """One message, and the transaction and event of the block that it starts with."""

    data: bytes
    transaction: int = 0
    event: int = 0


@dataclass(slots=True)
class Wanted:
    """What one reader asked for, and what it may see."""

    reader: Identity
    only_header: bool = False
    with_rw_set: bool = False
    contract: str = ""
    topic: str = ""
    prefix_kind: str = ""  # PRE_ALIAS, PRE_TX_ID or PRE_ORG_ID
    prefix: str = ""
    ids: frozenset[str] = frozenset()
    left: set[str] = field(default_factory=set)  # of the ids: those that did not come yet

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, bytes], reader: Identity) -> Wanted:
        """Read the parameters of a subscription."""

        def text(name: str) -> str:
            return parameters.get(name, b"").decode("utf-8", "replace")

        prefixes = [(kind, text(kind)) for kind in ("PRE_ALIAS", "PRE_TX_ID", "PRE_ORG_ID") if parameters.get(kind)]
        ids = frozenset(part for part in text("TX_IDS").split(",") if part)
        kind, prefix = prefixes[0] if prefixes else ("", "")
        return cls(
            reader,
            only_header=text("ONLY_HEADER").lower() == "true",
            with_rw_set=text("WITH_RWSET").lower() == "true",
            contract=text("CONTRACT_NAME"),
            topic=text("TOPIC"),
            prefix_kind=kind,
            prefix=prefix,
            ids=ids,
            left=set(ids),
        )

    @property
    def complete(self) -> bool:
        """Whether transactions were asked for by name, and all of them came."""
        return bool(self.ids) and not self.left

    def may_see(self, tx: Transaction) -> bool:
        """Whether the reader's role lets it see this transaction: a light member sees those of its own organisation."""
        return self.reader.role != "LIGHT" or (tx.HasField("sender") and tx.sender.signer.org_id == self.reader.org_id)

    def asks_for(self, tx: Transaction) -> bool:
        """Whether a transaction is among those asked for."""
        if self.prefix_kind:
            signer = tx.sender.signer
            alias = signer.member_info.decode("utf-8", "replace") if signer.member_type == MemberType.ALIAS else ""
            value = {"PRE_ALIAS": alias, "PRE_TX_ID": tx.payload.tx_id, "PRE_ORG_ID": signer.org_id}[self.prefix_kind]
            return value.startswith(self.prefix)
        return self.contract in {"", tx.payload.contract_name} and (not self.ids or tx.payload.tx_id in self.left)


def render_block(stored: BlockWithRWSet, wanted: Wanted) -> Iterator[Item]:
    """Give a block as one message: its header, or all of it that the reader may see."""
    if wanted.only_header:
        yield Item(stored.block.header.SerializeToString())
        return
    info = BlockInfo(block=stored.block)
    if wanted.with_rw_set:
        info.rwset_list.extend(stored.txRWSets)
    if wanted.reader.role == "LIGHT":
        _keep_own(info.block, wanted)
        del info.rwset_list[:]  # they would tell what the other transactions wrote
    yield Item(info.SerializeToString())


def _keep_own(block: Block, wanted: Wanted) -> None:
    """A light member sees whole headers, and of the transactions only those of its own organisation."""
    kept = [type(tx).FromString(tx.SerializeToString()) for tx in block.txs if wanted.may_see(tx)]
    del block.txs[:]
    block.txs.extend(kept)


def render_transactions(stored: BlockWithRWSet, wanted: Wanted) -> Iterator[Item]:
    """Give each transaction that was asked for as a message."""
    for at, tx in enumerate(stored.block.txs):
        if wanted.asks_for(tx):
            wanted.left.discard(tx.payload.tx_id)
            if wanted.may_see(tx):
                yield Item(tx.SerializeToString(), at)


def render_events(stored: BlockWithRWSet, wanted: Wanted) -> Iterator[Item]:
    """Give the events of a block as one message, or several when they are large.

    A block without any gives one that holds nothing but its height, as the real node does since 2.3.6, so that the reader
    knows how far it is.
    """
    header = stored.block.header
    found = ContractEventInfoList()
    first, size = (0, 0), 0
    for at, tx in enumerate(stored.block.txs):
        for number, event in enumerate(tx.result.contract_result.contract_event):
            if header.block_height == 0 or not _asked(event, wanted):
                continue
            info = ContractEventInfo(
                block_height=header.block_height,
                chain_id=header.chain_id,
                topic=event.topic,
                tx_id=event.tx_id,
                event_index=number,
                contract_name=event.contract_name,
                contract_version=event.contract_version,
                event_data=event.event_data,
            )
            if found.contract_events and size + info.ByteSize() > EVENT_BYTES_MAX:
                yield Item(found.SerializeToString(), *first)
                found, size = ContractEventInfoList(), 0
            if not found.contract_events:
                first = (at, number)
            found.contract_events.append(info)
            size += info.ByteSize()
    if not found.contract_events:
        found.contract_events.add(block_height=header.block_height, chain_id=header.chain_id)
    yield Item(found.SerializeToString(), *first)


def _asked(event: ContractEvent, wanted: Wanted) -> bool:
    return wanted.contract in {"", event.contract_name} and wanted.topic in {"", event.topic}
