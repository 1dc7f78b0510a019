"""CHAIN_CONFIG: what the chain agreed on, as it is and as it was, and the policies in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ChainConfig, ResourcePolicy

if TYPE_CHECKING:
    from changan.ledger.state import Rows

NAME = SystemContract.CHAIN_CONFIG.value


def read_config(rows: Rows) -> ChainConfig:
    """Return the configuration in force, from the committed rows."""
    found = rows.get(NAME, NAME)
    assert found is not None
    return ChainConfig.FromString(found)


def _get(call: NativeCall) -> bytes:
    return call.overlay.get(NAME, NAME) or b""


def _permissions(call: NativeCall) -> bytes:
    policies = [
        ResourcePolicy(resource_name=name, policy=rule.to_wire())
        for name, rule in sorted(call.world.policies.rules.items())
    ]
    return ChainConfig(resource_policies=policies).SerializeToString()


def _elsewhere(call: NativeCall) -> bytes:
    raise NativeError(f"{call.payload.method} reads the chain's past: it is answered at the door, never in a block")


METHODS = {"GET_CHAIN_CONFIG": _get, "PERMISSION_LIST": _permissions, "GET_CHAIN_CONFIG_AT": _elsewhere}
