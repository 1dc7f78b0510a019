"""One row of the table: a public method of the SDK, the call that is made, and how it has to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import record
from chainmaker.protos.common.request_pb2 import Payload, TxType
from chainmaker.protos.config.chain_config_pb2 import ChainConfig

if TYPE_CHECKING:
    from world import World

WORKS = "works"
DEFECT = "defect of the SDK"
REFUSED = "refused as on the real node"
NOT_BUILT = "not built"
FAIL = "FAIL"
DEFECTS = record.DEFECTS | record.FOUND_HERE

Call = Callable[["World"], object]
Check = Callable[["World", object], object]
Undo = Callable[["World", ChainConfig], object]


class Row(NamedTuple):
    """A call, what it has to return, and what has to be true afterwards.

    WORKS: the answer is of the type `returns` and `check` holds; then `undo`, which is given the configuration as it was,
    puts back what the call changed. REFUSED, NOT_BUILT: the answer is an error that `says` matches. DEFECT: the SDK raises
    what `says` matches or, without `says`, hands over something wrong of which `check` is true.
    """

    method: str
    expect: str
    call: Call
    returns: type | tuple[type, ...] = object
    check: Check = lambda _, __: True
    says: str = ""
    note: str = ""
    undo: Undo = lambda _, __: None

    @property
    def kind(self) -> str:
        """The class that the record gives to this method."""
        return record.kind_of(self.method)


def works(method: str, returns: type | tuple[type, ...], check: Check, call: Call | None = None) -> Row:
    """A method that works; called without arguments unless a call is given."""
    return Row(method, WORKS, call or (lambda world: getattr(world.cc, method)()), returns, check)


def holds(method: str, returns: type | tuple[type, ...], check: Check) -> Row:
    """A property that is right."""
    return Row(method, WORKS, lambda world: getattr(world.cc, method), returns, check)


def unbuilt(method: str, call: Call, contract: str, note: str = "") -> Row:
    """A method of a system contract that this node is without."""
    return Row(method, NOT_BUILT, call, says=rf"this node is one without .*: {contract}-\w+ changed nothing", note=note)


def refused(method: str, call: Call, says: str, note: str) -> Row:
    """A method that the real node refuses too, in the words `says`."""
    return Row(method, REFUSED, call, says=says, note=note)


def forbidden(method: str, call: Call, resource: str) -> Row:
    """A method that the policies of the chain's identity mode forbid to everybody, as the real node's do."""
    return refused(
        method, call, rf"\[{resource}\] is forbidden to access", "forbidden to everybody in this identity mode"
    )


def broken(method: str, call: Call, says: str) -> Row:
    """A method in which the SDK itself raises."""
    return Row(method, DEFECT, call, says=says, note=DEFECTS[method])


_TYPES = {"I": TxType.INVOKE_CONTRACT, "Q": TxType.QUERY_CONTRACT, "A": TxType.ARCHIVE}


def sent_as(payload: Payload, sent: str, parameters: Mapping[str, object]) -> bool:
    """Whether a payload is what the record says: `I CONTRACT-METHOD` (Q a query, A an archive request), parameters."""
    letter, _, resource = sent.partition(" ")
    found = {parameter.key: parameter.value for parameter in payload.parameters}
    wanted = {
        name: value if isinstance(value, bytes) else str(value).encode()
        for name, value in parameters.items()
        if value is not ...
    }
    names_match = found.keys() == set(parameters)
    return (
        payload.tx_type == _TYPES[letter]
        and f"{payload.contract_name}-{payload.method}" == resource
        and names_match
        and all(found[name] == value for name, value in wanted.items())
    )


def makes(method: str, arguments: tuple, sent: str, **parameters: object) -> Row:
    """A method that makes a payload; `sent` and the parameters are as the record has them (... stands for any value)."""

    def check(world: World, payload: Payload) -> bool:
        if payload.contract_name == "CHAIN_CONFIG" and payload.sequence != world.config_now().sequence + 1:
            return False
        return sent_as(payload, sent, {name.removeprefix("p_"): value for name, value in parameters.items()})

    return Row(method, WORKS, lambda world: getattr(world.cc, method)(*arguments), Payload, check)
