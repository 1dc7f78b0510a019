"""Contracts of a chain: their records on the ledger, their instances in memory, and calls from one to another."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.instance import Code, InnerFailure, Outcome
from changan.crypto.addresses import ZXL_PREFIX, contract_address
from changan.ledger.called import event_bytes, event_head, event_middle
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import Contract, ContractStatus, RuntimeType, TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext, Call, Event
    from changan.contract.program import Program
    from changan.ledger.state import Overlay, Rows
    from changan.ledger.wire.messages import Payload

OWNER = SystemContract.CONTRACT_MANAGE.value
CALL_DEPTH_MAX = 5


def record_key(name_or_address: str) -> str:
    """Return the row key of a contract's record."""
    return f"Contract:{name_or_address}"


def code_key(name: str) -> str:
    """Return the row key of a contract's code."""
    return f"ContractByteCode:{name}"


class Standing(NamedTuple):
    """What a call needs to know of a contract."""

    name: str
    version: str
    is_native: bool
    status: int


def find_standing(rows: Rows | Overlay, name_or_address: str) -> Standing | None:
    """Return how a contract stands, found by its name or its address, or None."""
    found = rows.get(OWNER, record_key(name_or_address)) if name_or_address else None
    return None if found is None else _standing(found)


def resource_of(rows: Rows, payload: Payload) -> str:
    """Return the name under which policies judge a call: by the contract's name, also where it is called by its address."""
    found = find_standing(rows, payload.contract_name)
    return f"{payload.contract_name if found is None else found.name}-{payload.method}"


@lru_cache(maxsize=1024)
def _standing(data: bytes) -> Standing:
    record = Contract.FromString(data)
    return Standing(record.name, record.version, record.runtime_type == RuntimeType.NATIVE, record.status)


def find_record(rows: Rows | Overlay, name_or_address: str) -> Contract | None:
    """Return the record of a contract by its name or its address, or None."""
    if not name_or_address:
        return None
    found = rows.get(OWNER, record_key(name_or_address))
    return None if found is None else Contract.FromString(found)


def standing_at(rows: Rows | Overlay, address: bytes) -> Standing | None:
    """Return how the contract at an address stands, or None. A chain writes every address in one of the two forms."""
    text = address.hex()
    return find_standing(rows, text) or find_standing(rows, ZXL_PREFIX + text)


def record_json(record: Contract) -> dict[str, object]:
    """Return a contract as the JSON object the official SDK can take: only keys it knows, no zero values."""
    creator = record.creator
    shown_creator = {
        "org_id": creator.org_id,
        "member_type": creator.member_type,
        "member_info": base64.b64encode(creator.member_info).decode(),
        "member_id": creator.member_id,
        "role": creator.role,
        "uid": creator.uid,
    }
    shown: dict[str, object] = {
        "name": record.name,
        "version": record.version,
        "runtime_type": record.runtime_type,
        "status": record.status,
        "creator": {key: value for key, value in shown_creator.items() if value},
        "address": record.address,
    }
    return {key: value for key, value in shown.items() if value}


def record_json_bytes(record: Contract) -> bytes:
    """Return `record_json` as compact JSON."""
    return json.dumps(record_json(record), separators=(",", ":")).encode()


def system_record(name: str, address_type: int, *, disabled: bool = False) -> Contract:
    """Return the record that genesis writes of a system contract."""
    return Contract(
        name=name,
        version="v1",
        runtime_type=RuntimeType.NATIVE,
        status=ContractStatus.FROZEN if disabled else ContractStatus.NORMAL,
        address=contract_address(name, address_type),
    )


def find_instance(rows: Rows, instances: Mapping[str, AnyInstance], contract: str) -> AnyInstance | None:
    """Return what runs a Python contract, called by name or address; None where there is no such contract."""
    found = find_standing(rows, contract)
    return None if found is None else instances.get(found.name)


def stopped(record: Standing) -> tuple[int, str] | None:
    """Return code and words with which a call of a frozen or revoked contract ends; None for one that runs."""
    if record.status == ContractStatus.FROZEN:
        return TxStatusCode.CONTRACT_FREEZE_FAILED, f"failed to run user contract, {record.name} has been frozen."
    if record.status == ContractStatus.REVOKED:
        return TxStatusCode.CONTRACT_REVOKE_FAILED, f"failed to run user contract, {record.name} has been revoked."
    return None


class Calls:
    """The calls between contracts inside one outermost call: who is on the stack, and who was entered."""

    def __init__(self, instances: dict[str, AnyInstance], rows: Rows, block: BlockContext, outermost: str) -> None:
        """`outermost` is the contract that the outermost call enters."""
        self._instances = instances
        self._rows = rows
        self._block = block
        self._stack = [outermost]
        self._open: list[AnyInstance] = []
        self.entered: dict[str, AnyInstance] = {}
        """Every contract that was entered, in order: their rows belong to the call."""

    def call(self, target: bytes, method: str, call: Call, *, reads_only: bool) -> Outcome:
        """Enter another contract, if it may be entered. Source: contract-language, decision 5."""
        record = standing_at(self._rows, target)
        instance = None if record is None else self._instances.get(record.name)
        if record is None or instance is None or record.status != ContractStatus.NORMAL:
            return _refused(InnerFailure.UNKNOWN_CONTRACT)
        if record.name in self._stack:
            return _refused(InnerFailure.REENTERED)
        if len(self._stack) >= CALL_DEPTH_MAX:
            return _refused(InnerFailure.TOO_DEEP)
        found = instance.program.method(method)
        kinds = {"view"} if reads_only else {"call", "view"}
        if found is None or found.kind not in kinds or not instance.program.fits(method, call.arguments):
            return _refused(InnerFailure.UNKNOWN_METHOD)
        self._stack.append(record.name)
        self._open.append(instance)
        self.entered.setdefault(record.name, instance)
        outcome = instance.enter(method, call, self._block, self)
        self._stack.pop()
        return outcome

    def settle(self, *, keep: bool) -> None:
        """End what the calls of this outermost call left open in other contracts."""
        for instance in reversed(self._open):
            instance.settle(keep=keep)
        self._open.clear()


class Emitters:
    """Events as they travel: the topic is the class name, the data its fields as text. Who emits them is looked up once."""

    def __init__(self, instances: Mapping[str, AnyInstance], rows: Rows | Overlay) -> None:
        self._instances = instances
        self._rows = rows
        self._known: dict[tuple[bytes, str], tuple[Program, bytes, bytes]] = {}

    def forget(self) -> None:
        """Look everything up anew: contracts have changed."""
        self._known.clear()

    def encode(self, events: Iterable[Event], tx_id: str) -> tuple[bytes, ...]:
        """Return each event of a transaction as the bytes of a `ContractEvent`."""
        named = tx_id.encode()
        found = []
        for event in events:
            at = (event.emitter, event.name)
            program, head, middle = self._known.get(at) or self._look_up(at)
            found.append(event_bytes(head, named, middle, program.event_data(event)))
        return tuple(found)

    def _look_up(self, at: tuple[bytes, str]) -> tuple[Program, bytes, bytes]:
        emitter, topic = at
        record = standing_at(self._rows, emitter)
        assert record is not None
        program = self._instances[record.name].program
        found = self._known[at] = (program, event_head(topic), event_middle(record.name, record.version))
        return found


def _refused(why: InnerFailure) -> Outcome:
    return Outcome(Code.INNER_CALL, why, 0, 0, None, ())
