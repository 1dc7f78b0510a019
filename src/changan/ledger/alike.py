"""Single calls of one method that follow one another in a block: nothing comes between them, so they may run together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.ledger.contracts import find_standing, stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.instance import Value
    from changan.contract.program import Program
    from changan.ledger.admission import Admitted
    from changan.ledger.wire.messages import TxRequest
    from changan.ledger.world import World

ALIKE_MIN = 4
"""Fewer calls than these are sooner run one by one."""


class Alike(NamedTuple):
    """Calls of one method: the contract's name, the method's, and of each its caller (20 bytes) and its arguments."""

    contract: str
    method: str
    calls: list[tuple[bytes, tuple[Value, ...]]]


def find_alike(world: World, requests: Sequence[TxRequest], verdicts: Sequence[Admitted], start: int) -> Alike | None:
    """Return the calls from `start` on that may run together; None where they are not to.

    They are calls of a Python contract that runs and calls no others, with arguments that are good (and so shorter than any
    bound on parameters), and cost nobody anything: whatever is said of another call is said where it runs alone.
    """
    payload = requests[start].payload
    asked, method = payload.contract_name, payload.method
    found = _callable(world, asked, method)
    if found is None:
        return None
    contract, program, count = found
    calls = []
    for at in range(start, len(requests)):
        payload = requests[at].payload
        if payload.contract_name != asked or payload.method != method or len(payload.parameters) != count:
            break
        try:
            arguments = program.decode_arguments(method, {given.key: given.value for given in payload.parameters})
        except BadArgumentError:
            break
        calls.append((verdicts[at].sender.address, arguments))
    return Alike(contract, method, calls) if len(calls) >= ALIKE_MIN else None


def _callable(world: World, asked: str, method: str) -> tuple[str, Program, int] | None:
    """Return a contract's name, its program and how many parameters a method has, where its calls may run together."""
    standing = find_standing(world.rows, asked)
    if standing is None or standing.is_native or stopped(standing) or world.config.account_config.enable_gas:
        return None
    program = world.instances[standing.name].program
    signature = program.method(method)
    if signature is None or signature.kind not in {"call", "view"} or program.tree.interfaces:
        return None
    return standing.name, program, len(signature.parameters)
