"""What a contract answers to a call: values until somebody wants the message, and its bytes put together once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.wire.fields import bytes_field, number_field, unless_empty
from changan.ledger.wire.messages import ContractResult

if TYPE_CHECKING:
    from collections.abc import Sequence

_CODE, _RESULT, _MESSAGE, _GAS, _EVENT = range(1, 6)  # fields of ContractResult
_TOPIC, _TX_ID, _CONTRACT, _VERSION, _DATA = range(1, 6)  # and of ContractEvent


class Called(NamedTuple):
    """A `ContractResult`: code (0 good), result, words, gas, and each event as the bytes of a `ContractEvent`."""

    code: int = 0
    result: bytes = b""
    message: str = ""
    gas: int = 0
    events: tuple[bytes, ...] = ()

    def encoded(self) -> tuple[bytes, bytes]:
        """Return it as bytes, and without its gas: ChainMaker's digest of a transaction leaves that out."""
        before = number_field(_CODE, self.code) + unless_empty(_RESULT, self.result)
        before += unless_empty(_MESSAGE, self.message.encode())
        after = b"".join([bytes_field(_EVENT, event) for event in self.events])
        return before + number_field(_GAS, self.gas) + after, before + after

    @property
    def wire(self) -> ContractResult:
        """The message."""
        return ContractResult.FromString(self.encoded()[0])


def called_of(result: ContractResult) -> Called:
    """Return a message as values."""
    events = tuple(event.SerializeToString() for event in result.contract_event)
    return Called(result.code, result.result, result.message, result.gas_used, events)


def event_head(topic: str) -> bytes:
    """Return the part of a `ContractEvent` before its transaction's id, for `event_bytes`."""
    return bytes_field(_TOPIC, topic.encode())


def event_middle(contract: str, version: str) -> bytes:
    """Return the part between the transaction's id and the data."""
    return unless_empty(_CONTRACT, contract.encode()) + unless_empty(_VERSION, version.encode())


def event_bytes(head: bytes, tx_id: bytes, middle: bytes, data: Sequence[str]) -> bytes:
    """Return a `ContractEvent` put together from its parts."""
    return b"".join([head, unless_empty(_TX_ID, tx_id), middle, *[bytes_field(_DATA, text.encode()) for text in data]])
