"""The distilled lane on admission: the BLS signatures that a request carries beside its sender's, and whether they hold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from changan.crypto.bls import BlsKey, require_together
from changan.errors import ChanganError, MalformedError, UnverifiedError
from changan.ledger.bundle import BundleError, bundled_method
from changan.ledger.clients import LANE_CLOSED, Callers, Clients, possession
from changan.ledger.contracts import find_instance, resource_of
from changan.ledger.distilled import decode_distilled, distilled_parameter, read_clients, rows_root, signed_message
from changan.ledger.system import LANE
from changan.ledger.wire.messages import TxType

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.contract.program import Program
    from changan.ledger.members import Identity
    from changan.ledger.roots import Roots
    from changan.ledger.wire.messages import Payload
    from changan.ledger.world import World


_REGISTER = (LANE, "REGISTER")


class LaneError(ChanganError):
    """A request whose BLS signatures do not hold, or are of nobody who may sign here; the message says why."""


Look: TypeAlias = "Callable[[], Callers | None]"
"""Looks at the BLS signatures of a request, and returns who calls its rows where it is a bundle. Raises LaneError.

It may run in a thread.
"""


class _Joint(NamedTuple):
    """A distilled bundle as it came, and what it is held against."""

    payload: Payload
    data: bytes
    program: Program | None  # None: there is no such contract
    clients: Clients | None  # None: the lane is closed
    roots: Roots
    judged: bool  # whether a policy asks who signs calls of the method
    time: int
    rules: int

    def look(self) -> Callers:
        if self.clients is None:
            raise LaneError(f"bundle refused: {LANE_CLOSED}")
        try:
            return self._callers(self.clients)
        except (BundleError, MalformedError, UnverifiedError) as error:
            raise LaneError(f"bundle refused: {error}") from error

    def _callers(self, clients: Clients) -> Callers:
        payload = self.payload
        if self.program is None:
            raise BundleError(f"there is no Python contract {payload.contract_name[:128]!r}")
        if self.judged:
            raise BundleError(
                f"a policy says who may call {payload.contract_name}-{payload.method}: its calls go one by one"
            )
        signature = bundled_method(self.program, payload.method, rules=self.rules)
        sent = decode_distilled(self.data, signature)
        callers = clients.callers(sent.clients, self.time)
        bundle = sent.called_by(callers.addresses)
        root = rows_root(signature, bundle, self.roots)
        message = signed_message(payload, bundle.budget, bundle.rows, root, self.roots.digest)
        require_together(clients.keys(sent.clients), message, sent.signature)
        return callers


def carries_bls(payload: Payload) -> bool:
    """Whether a request carries BLS signatures, which take about a millisecond and more to look at."""
    if payload.tx_type != TxType.INVOKE_CONTRACT:
        return False
    return (payload.contract_name, payload.method) == _REGISTER or distilled_parameter(payload) is not None


def look_at(payload: Payload, sender: Identity, world: World, time: int) -> Look | None:
    """Return what looks at the BLS signatures of a request, as the chain stands now; None where it carries none."""
    if not carries_bls(payload):
        return None
    data = distilled_parameter(payload)
    if data is None:
        given = {parameter.key: parameter.value for parameter in payload.parameters}
        statement = possession(world.config.chain_id, sender.address)
        return partial(_require_possession, given.get("key", b""), statement, given.get("proof", b""), world.clients)
    instance = find_instance(world.rows, world.instances, payload.contract_name)
    program = None if instance is None else instance.program
    judged = world.policies.needs_signers(resource_of(world.rows, payload))
    return _Joint(payload, data, program, world.clients, world.roots, judged, time, world.rules).look


def _require_possession(key: bytes, statement: bytes, proof: bytes, clients: Clients | None) -> None:
    if clients is None:
        raise LaneError(f"registration refused: {LANE_CLOSED}")
    try:
        BlsKey(key).require_possession(statement, proof)
    except (MalformedError, UnverifiedError) as error:
        raise LaneError(f"registration refused: {error}") from error


def recognise_callers(payload: Payload, world: World, time: int) -> Callers | None:
    """Return who calls the rows of a bundle in a sealed block, whose signatures were looked at then. Raises UnverifiedError."""
    data = distilled_parameter(payload)
    if data is None:
        return None
    if world.clients is None:
        raise UnverifiedError(LANE_CLOSED)
    try:
        return world.clients.callers(read_clients(data), time)
    except BundleError as error:
        raise UnverifiedError(str(error)) from error
