"""CHAIN_CONFIG: what the chain agreed on, as it is and as it was, the policies in force, and how both are changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.config_edits import EDITS
from changan.ledger.config_parameters import ConfigError, EditError
from changan.ledger.config_rules import check_config
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.rule_sets import check_rules
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ChainConfig, ContractEvent, ResourcePolicy

if TYPE_CHECKING:
    from changan.ledger.config_parameters import Edit
    from changan.ledger.native.call import Method
    from changan.ledger.state import Overlay, Rows

NAME = SystemContract.CHAIN_CONFIG.value
_CHANGED = "16"
"""The topic of the event, ChainMaker's number of it (msgbus.ChainConfig)."""
_SILENT = frozenset({"MULTI_SIGN_ENABLE_MANUAL_RUN"})
"""Changes that ChainMaker announces with no event."""


def read_config(rows: Rows | Overlay) -> ChainConfig:
    """Return the configuration in force."""
    found = rows.get(NAME, NAME)
    assert found is not None
    return ChainConfig.FromString(found)


def change_config(call: NativeCall, edit: Edit) -> ChainConfig:
    """Put a changed configuration in the place of the one in force. Raises NativeError; then nothing changed."""
    before = read_config(call.overlay)
    after = ChainConfig.FromString(before.SerializeToString())
    try:
        edit(after, call.parameters)
        check_config(before, after, call.block.time)
        check_rules(before, after, call.block.height)
    except (EditError, ConfigError) as error:
        raise NativeError(str(error)) from error
    after.sequence += 1
    call.overlay.put(NAME, NAME, after.SerializeToString())
    return after


def _changing(name: str, edit: Edit) -> Method:
    def method(call: NativeCall) -> bytes:
        after = change_config(call, edit)
        data = after.SerializeToString()
        if name not in _SILENT:
            event = ContractEvent(
                topic=_CHANGED,
                tx_id=call.payload.tx_id,
                contract_name=NAME,
                contract_version=after.version,
                event_data=[data.hex()],
            )
            call.events.append(event)
        return data

    return method


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


METHODS: dict[str, Method] = {
    "GET_CHAIN_CONFIG": _get,
    "PERMISSION_LIST": _permissions,
    "GET_CHAIN_CONFIG_AT": _elsewhere,
    **{name: _changing(name, edit) for name, edit in EDITS.items()},
}
