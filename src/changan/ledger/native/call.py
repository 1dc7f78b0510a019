"""What a method of a system contract is given, and the two ways in which it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from changan.errors import ChanganError
from changan.ledger.contracts import Emitters
from changan.ledger.gas import CONTRACT_GAS_MAX
from changan.ledger.wire.messages import ContractEvent

if TYPE_CHECKING:
    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext, Event
    from changan.ledger.members import Identity
    from changan.ledger.state import Overlay
    from changan.ledger.wire.messages import EndorsementEntry, Member, Payload
    from changan.ledger.world import World


class NativeError(ChanganError):
    """A method of a system contract that failed; nothing of it is kept."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class LimitPassedError(NativeError):
    """A contract that was entered used more gas than the sender pays for."""


@dataclass(slots=True)
class NativeCall:
    """One call of a system contract's method."""

    world: World
    overlay: Overlay
    payload: Payload
    parameters: Mapping[str, bytes]
    sender: Identity
    member: Member
    block: BlockContext
    keep: bool  # whether what it writes may stay; not in a query
    endorsers: Sequence[EndorsementEntry] = ()
    gas_max: int = CONTRACT_GAS_MAX  # what a contract that is entered may use
    events: list[ContractEvent] = field(default_factory=list)
    installs: dict[str, AnyInstance] = field(default_factory=dict)  # instances that are new once the call ended well
    message: str = "OK"
    gas: int = 0

    def text(self, name: str) -> str:
        """Return a parameter as text, empty where it is missing. Raises NativeError when it is no UTF-8."""
        try:
            return self.parameters.get(name, b"").decode()
        except UnicodeDecodeError as error:
            raise NativeError(f"params is error, param[{name}] is not UTF-8") from error

    def emit(self, events: Iterable[Event]) -> None:
        """Add the events of a Python contract."""
        instances = {**self.world.instances, **self.installs}
        encoded = Emitters(instances, self.overlay).encode(events, self.payload.tx_id)
        self.events += map(ContractEvent.FromString, encoded)

    def require(self, contract_doing: str, names: Iterable[str]) -> None:
        """Raise NativeError when one of the parameters is missing."""
        wanted = list(names)
        if any(not self.parameters.get(name) for name in wanted):
            raise NativeError(f"params is error, {contract_doing} require param [{', '.join(wanted)}] not found")


Method = Callable[[NativeCall], bytes]
