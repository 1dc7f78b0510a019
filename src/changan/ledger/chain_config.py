"""What a chain's configuration means: its block version, its digest, its text form in genesis, and a default to start from."""

from __future__ import annotations

import re
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Any

from changan.crypto.digest import Digest, digest_named
from changan.crypto.suite import Suite, algorithms, suite_name, suite_named, suite_of_digest
from changan.errors import MalformedError
from changan.ledger.rule_sets import KEY, from_the_start
from changan.ledger.wire.messages import (
    BlockConfig,
    ChainConfig,
    ConfigKeyValue,
    ConsensusConfig,
    ConsensusTurboConfig,
    ConsensusType,
    ContractConfig,
    CoreConfig,
    CryptoConfig,
    GasAccountConfig,
    MultiSign,
    OrgConfig,
    Policy,
    ResourcePolicy,
    TrustRootConfig,
    Vm,
    VmNative,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message

PROTOCOL_VERSION = "2030700"


@unique
class Mode(StrEnum):
    """How the members of a chain are known; the values are ChainMaker's."""

    CERTIFICATES = "permissionedWithCert"
    KEYS = "permissionedWithKey"
    PUBLIC = "public"


PUBLIC_ORGANISATION = "public"
"""In public mode there are no organisations; the administrators' keys and the nodes stand under this name."""

ADMITS = "changan.admits"
"""The entry of `consensus.ext_config` that names, comma-joined, the suites a chain admits beside its own: `gm` or `intl`."""

DISTILLED = "changan.distilled"
"""The entry of `consensus.ext_config` that opens the distilled lane, at genesis and for ever."""

_TEMPLATE = (
    ("CHAIN_CONFIG-NODE_ID_UPDATE", "SELF", ("ADMIN",)),
    ("CHAIN_CONFIG-TRUST_ROOT_ADD", "MAJORITY", ("ADMIN",)),
    ("CHAIN_CONFIG-CERTS_FREEZE", "ANY", ("ADMIN",)),
    ("CONTRACT_MANAGE-INIT_CONTRACT", "ANY", ()),
)
"""The policies that ChainMaker's template of a configuration sets, where organisations exist."""

_NAMED = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}
_ESCAPED = [_NAMED.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\{b:03o}") for b in range(256)]  # noqa: PLR2004  # ASCII
_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)")


def chain_digest(config: ChainConfig) -> Digest:
    """Return the digest that the chain is built with."""
    return digest_named(config.crypto.hash)


def chain_suite(config: ChainConfig) -> Suite:
    """Return the suite that a chain is built with, which is fixed at genesis."""
    return suite_of_digest(config.crypto.hash)


def admitted_suites(config: ChainConfig) -> frozenset[Suite]:
    """Return the suites whose keys may sign: the chain's own, and what its configuration adds. Raises MalformedError."""
    added = _extension(config, ADMITS) or ""
    return frozenset({chain_suite(config), *(suite_named(name.strip()) for name in added.split(",") if name.strip())})


def is_distilled(config: ChainConfig) -> bool:
    """Return whether the chain takes bundles of many clients under one multi-signature."""
    return _extension(config, DISTILLED) is not None


def _extension(config: ChainConfig, name: str) -> str | None:
    return next((entry.value for entry in config.consensus.ext_config if entry.key == name), None)


def mode_of(config: ChainConfig) -> Mode:
    """Return how the members of a chain are known. Raises MalformedError for a mode that is none of ours."""
    wanted = config.auth_type.lower()
    if wanted in {"", "identity"}:
        return Mode.CERTIFICATES
    for mode in Mode:
        if mode.lower() == wanted:
            return mode
    raise MalformedError(f"the authentication type {config.auth_type!r} is none of {', '.join(Mode)}")


def block_version(version: str) -> int:
    """Return the number that block headers carry for a chain's `version`, e.g. 2030700.

    Source: ChainMaker 2.3.7, utils/v2/block.go.
    Raises MalformedError when the version is neither a number nor of the form v2.3.0.
    """
    if version.isascii() and version.isdigit():
        return int(version)
    found = _VERSION.fullmatch(version)
    if found is None:
        raise MalformedError(f"chain version {version!r} is neither a number such as 2030700 nor of the form v2.3.7")
    major, minor, patch = map(int, found.groups())
    if (major, minor, patch) < (2, 2, 1):
        return {(2, 2, 0): 2201}.get((major, minor, patch), 20)
    if (major, minor, patch) < (2, 3, 1):
        return major * 1000 + minor * 100 + patch * 10 + 1
    return major * 1_000_000 + minor * 10_000 + patch * 100 + (1 if patch == 0 else 0)


def text_form(message: Message) -> str:
    """Return the one-line text form that the genesis transaction carries its configuration in (as gogo/protobuf prints)."""
    parts: list[str] = []
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            parts += [f"{field.name}:{_value_text(field, item)} " for item in value]
        elif field.message_type is not None:
            if message.HasField(field.name):
                parts.append(f"{field.name}:{_value_text(field, value)} ")
        elif value:
            parts.append(f"{field.name}:{_value_text(field, value)} ")
    return "".join(parts)


def _value_text(field: Any, value: object) -> str:
    if field.message_type is not None:
        return f"<{text_form(value)}>"  # type: ignore[arg-type]  # a message field holds a message
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, int):
        return str(value)
    data = value if isinstance(value, bytes) else str(value).encode()
    return '"' + "".join(map(_ESCAPED.__getitem__, data)) + '"'


def default_config(
    chain_id: str,
    trust_roots: Sequence[tuple[str, str]],
    nodes: Iterable[tuple[str, str]],
    *,
    mode: Mode = Mode.CERTIFICATES,
    suite: Suite = Suite.INTERNATIONAL,
    admits: Iterable[Suite] = (),
    distilled: bool = False,
    rules: int = 1,
    block_tx_capacity: int = 1000,
    block_interval_ms: int = 10,
    tx_timeout_s: int = 600,
) -> ChainConfig:
    """Return the configuration a new chain starts with: the suite's digest, ChainMaker's template of policies for this mode.

    `trust_roots` are (organisation, root certificate or administrator's key in PEM), `nodes` are (organisation, node id),
    `admits` the suites beside `suite` whose keys may sign; `distilled` opens the lane of many clients under one signature;
    blocks are executed by `rules`.
    """
    roots: dict[str, list[str]] = {}
    for org, root in trust_roots:
        roots.setdefault(org, []).append(root)
    members: dict[str, list[str]] = {}
    for org, node_id in nodes:
        members.setdefault(org, []).append(node_id)
    added = ",".join(suite_name(one) for one in sorted(set(admits) - {suite}))
    extensions = {ADMITS: added, DISTILLED: "1" if distilled else "", KEY: from_the_start(rules) if rules > 1 else ""}
    return ChainConfig(
        chain_id=chain_id,
        version=PROTOCOL_VERSION,
        auth_type=mode.value,
        crypto=CryptoConfig(hash=algorithms(suite).digest_name),
        block=BlockConfig(
            tx_timestamp_verify=True,
            tx_timeout=tx_timeout_s,
            block_tx_capacity=block_tx_capacity,
            block_size=10,
            block_interval=block_interval_ms,
            tx_parameter_size=10,
        ),
        core=CoreConfig(
            tx_scheduler_timeout=10,
            tx_scheduler_validate_timeout=10,
            consensus_turbo_config=ConsensusTurboConfig(),
        ),
        consensus=ConsensusConfig(
            type=ConsensusType.SOLO,
            nodes=[OrgConfig(org_id=org, node_id=ids) for org, ids in members.items()],
            ext_config=[ConfigKeyValue(key=name, value=value) for name, value in extensions.items() if value],
        ),
        trust_roots=[TrustRootConfig(org_id=org, root=pems) for org, pems in roots.items()],
        resource_policies=[
            ResourcePolicy(resource_name=name, policy=Policy(rule=rule, role_list=list(roles)))
            for name, rule, roles in (() if mode is Mode.PUBLIC else _TEMPLATE)
        ],
        contract=ContractConfig(),
        account_config=GasAccountConfig(
            default_gas=100, default_gas_price=0.1, install_base_gas=10000, install_gas_price=0.001
        ),
        vm=Vm(
            support_list=["python"],
            addr_type=algorithms(suite).address_type,
            native=VmNative(multisign=MultiSign(enable_manual_run=True)),
        ),
    )
