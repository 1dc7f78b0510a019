"""What a chain's configuration must satisfy before it replaces the one in force: a chain that nobody could use is refused.

The bounds and the words are those of ChainMaker 2.3.7 (chainconf/v2); what it lets through and would end a chain is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from changan.crypto import certificates
from changan.crypto.key_forms import read_public_key
from changan.crypto.node_ids import is_node_id
from changan.crypto.suite import SUITE_NAMES, Suite, require_admitted
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.chain_config import (
    ADMITS,
    DISTILLED,
    PUBLIC_ORGANISATION,
    Mode,
    admitted_suites,
    chain_suite,
    is_distilled,
    mode_of,
)
from changan.ledger.config_parameters import ConfigError
from changan.ledger.config_voters import check_voters
from changan.ledger.members import ROLES, read_certificate
from changan.ledger.rules import RULE_FORM, rule_from_wire
from changan.ledger.wire.messages import ConsensusType

if TYPE_CHECKING:
    from changan.crypto.keys import PublicKey
    from changan.ledger.wire.messages import BlockConfig, ChainConfig, ResourcePolicy, TrustRootConfig

TX_TIMEOUT_S = (600, 86_400)
BLOCK_TX_CAPACITY = (1, 100_000)
BLOCK_SIZE_MIB = (1, 100)
BLOCK_INTERVAL_MS = (10, 10_000)
BLOCK_TIMEOUT_S_MIN = 10
TX_PARAMETER_SIZE_MIB_MAX = 100
POLICIES_MAX = 1000
TX_TYPES = frozenset({"QUERY_CONTRACT", "INVOKE_CONTRACT", "SUBSCRIBE", "ARCHIVE", "ALL_TEST", "P2P", "CONSENSUS_NODE"})
"""What no policy may change: whether members may speak at all."""
_WAYS_BACK = frozenset({"CHAIN_CONFIG-PERMISSION_UPDATE", "CHAIN_CONFIG-PERMISSION_DELETE"})
"""While these can be done, every other policy can be put right again."""
_SELF_RULED = frozenset({"CHAIN_CONFIG-NODE_ID_UPDATE", "CHAIN_CONFIG-TRUST_ROOT_UPDATE"})


def check_config(before: ChainConfig, after: ChainConfig, time: int) -> None:
    """Raise ConfigError unless `after` may follow `before`, by a block of `time` (seconds)."""
    mode = mode_of(after)
    if mode is Mode.PUBLIC and [root.org_id for root in after.trust_roots] != [PUBLIC_ORGANISATION]:
        raise ConfigError("check the trust root failed: illegal trust roots configuration in public authType")
    organisations: set[str] = set()
    for root in after.trust_roots:
        if root.org_id in organisations:
            raise ConfigError(f"check root certificate failed, org id [{root.org_id}] already exists")
        organisations.add(root.org_id)
        _check_root(root, mode)
    _check_trust_members(after)
    check_suites(after)
    if is_distilled(before) != is_distilled(after):
        raise ConfigError(f"{DISTILLED} is settled when a chain is made: make a new one with `changan up --distilled`")
    _check_nodes(before, after, organisations)
    check_voters(before, after, time)
    _check_policies(after, organisations, mode)
    _check_block(before.block, after.block)


def _check_root(trusted: TrustRootConfig, mode: Mode) -> None:
    if not trusted.root:
        raise ConfigError(f"the organisation {trusted.org_id} would have no trust root left")
    if len(set(trusted.root)) != len(trusted.root):
        if mode is Mode.PUBLIC:
            raise ConfigError("check the trust root failed: the root public key already exist")
        raise ConfigError(f"check root certificate failed,trust root already exists in orgId[{trusted.org_id}]")
    for pem in trusted.root:
        try:
            if mode is Mode.CERTIFICATES:
                _check_authority(certificates.read_pem(pem.encode()))
            else:
                read_public_key(pem.encode())
        except (MalformedError, UnverifiedError) as error:
            text = "invalid PEM string for certificate" if mode is Mode.CERTIFICATES else str(error)
            raise ConfigError(text) from error


def _check_authority(certificate: x509.Certificate) -> None:
    certificates.public_key(certificate)  # what it is to check is checked with this key
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return
    except x509.ExtensionNotFound:
        pass
    raise ConfigError("check root certificate failed, the certificate is not that of an authority (CA is not true)")


def check_suites(config: ChainConfig) -> None:
    """Raise ConfigError unless every key that a configuration trusts is of a suite that it admits.

    Nor are there BLS signatures on a chain of the national suite, which has none.
    """
    if is_distilled(config) and chain_suite(config) is Suite.NATIONAL:
        raise ConfigError(
            "the national suite has no BLS signatures: leave distilled out, or make the chain with suite intl"
        )
    try:
        admitted = admitted_suites(config)
    except MalformedError as error:
        raise ConfigError(f"{ADMITS} names suites, comma-joined, of {', '.join(SUITE_NAMES)}: {error}") from error
    trusted = [(root.org_id, pem) for root in config.trust_roots for pem in root.root]
    trusted += [(member.org_id, member.member_info) for member in config.trust_members]
    for org_id, pem in trusted:
        try:
            require_admitted(_trusted_key(pem.encode(), mode_of(config)), admitted)
        except UnverifiedError as error:
            raise ConfigError(f"check trust root failed, {org_id}: {error}") from error


def _trusted_key(pem: bytes, mode: Mode) -> PublicKey:
    return certificates.public_key(read_certificate(pem)) if mode is Mode.CERTIFICATES else read_public_key(pem)


def _check_trust_members(config: ChainConfig) -> None:
    seen: set[str] = set()
    for member in config.trust_members:
        if member.member_info in seen:
            raise ConfigError(
                f"check trust members failed, trust members already exists in orgId[{member.org_id}] role[{member.role}]"
            )
        seen.add(member.member_info)
        try:
            certificates.read_pem(member.member_info.encode())
        except MalformedError as error:
            raise ConfigError("trust member is empty") from error
        if member.role.upper() not in ROLES:
            raise ConfigError(f"check trust members failed, role [{member.role}] is none of {', '.join(ROLES)}")


def _check_nodes(before: ChainConfig, after: ChainConfig, organisations: set[str]) -> None:
    if not after.consensus.nodes:
        raise ConfigError("there is at least one consensus node")
    seen_organisations: set[str] = set()
    seen: set[str] = set()
    for node in after.consensus.nodes:
        if node.org_id in seen_organisations:
            raise ConfigError(f"org id({node.org_id}) existed")
        if node.org_id not in organisations:
            raise ConfigError(f"org id({node.org_id}) not in trust roots config")
        seen_organisations.add(node.org_id)
        for node_id in node.node_id:
            if not is_node_id(node_id):
                raise ConfigError("wrong node id set")
            if node_id in seen:
                raise ConfigError("node id existed")
            seen.add(node_id)
    if not seen:
        raise ConfigError("nodeIds len less than 1, nodeIds len is 0")
    alone = "" if before.consensus.type != ConsensusType.SOLO else before.consensus.nodes[0].node_id[0]
    if alone and list(after.consensus.nodes[0].node_id[:1]) != [alone]:
        raise ConfigError(f"node {alone} alone orders this chain: without it there would be no further block")


def _check_policies(config: ChainConfig, organisations: set[str], mode: Mode) -> None:
    if len({entry.resource_name for entry in config.resource_policies}) != len(config.resource_policies):
        raise ConfigError("resource name duplicate")
    if len(config.resource_policies) > POLICIES_MAX:
        raise ConfigError(f"{len(config.resource_policies)} policies, at most {POLICIES_MAX} are allowed")
    for entry in config.resource_policies:
        if entry.resource_name in TX_TYPES:
            raise ConfigError(f"the policy of {entry.resource_name} is fixed: members must be able to speak")
        _check_policy(entry, organisations, mode)
    # A public chain has no organisations: each administrator counts for itself.
    voters = len(config.trust_roots[0].root) if mode is Mode.PUBLIC else len(organisations)
    for entry in config.resource_policies:
        rule = rule_from_wire(entry.policy).rule
        if entry.resource_name in _WAYS_BACK and rule.isdigit() and int(rule) > voters:
            raise ConfigError(f"{entry.resource_name} asks for {rule} signatures, and there are {voters} to give them")


def _check_policy(entry: ResourcePolicy, organisations: set[str], mode: Mode) -> None:
    name, rule = entry.resource_name, rule_from_wire(entry.policy)
    if RULE_FORM.fullmatch(rule.rule) is None:
        raise ConfigError(f"bad configuration: unsupported rule [{entry.policy.rule}] for {name}")
    if rule.rule == "SELF" and name not in _SELF_RULED:
        raise ConfigError("self rule can only be used by NODE_ID_UPDATE or TRUST_ROOT_UPDATE")
    if rule.rule == "MAJORITY" and any(role and role != "ADMIN" for role in rule.roles):
        raise ConfigError("config rule[MAJORITY], role can only be admin or null")
    if rule.rule == "MAJORITY" and rule.organisations:
        raise ConfigError("config rule[MAJORITY], org_list param not allowed")
    unknown = sorted(set(rule.roles) - set(ROLES) - {""})
    if unknown:
        raise ConfigError(f"the policy of {name} names roles that no member has: {', '.join(unknown)}")
    strangers = sorted(set(rule.organisations) - organisations)
    if strangers:
        raise ConfigError(
            f"the policy of {name} names organisations that are not of this chain: {', '.join(strangers)}"
        )
    if rule.rule == "SELF" and mode is Mode.PUBLIC:
        raise ConfigError(f"the policy of {name} cannot be SELF: a public chain has no organisations")
    fraction = rule.rule.partition("/")
    if fraction[1] and int(fraction[0]) > int(fraction[2]):
        raise ConfigError(f"the policy of {name} asks for more than everybody: {rule.rule}")
    if name in _WAYS_BACK and (rule.rule == "FORBIDDEN" or (rule.roles and "ADMIN" not in rule.roles)):
        raise ConfigError(f"{name} is what every other policy is put right with: administrators must be able to do it")


def _check_block(before: BlockConfig, after: BlockConfig) -> None:
    """Check what changed: a chain may have been made with a bound of its own, and keeps it."""
    for field, name, (low, high) in (
        ("tx_timeout", "txTimeout", TX_TIMEOUT_S),
        ("block_tx_capacity", "blockTxCapacity", BLOCK_TX_CAPACITY),
        ("block_size", "blockSize", BLOCK_SIZE_MIB),
    ):
        value = getattr(after, field)
        if value != getattr(before, field) and not low <= value <= high:
            side, bound = ("less", low) if value < low else ("more", high)
            raise ConfigError(f"{name} {side} than {bound}, {name} is {value}")
    low, high = BLOCK_INTERVAL_MS
    if after.block_interval != before.block_interval and not low <= after.block_interval <= high:
        raise ConfigError(
            f"blockInterval should be within the range of [{low},{high}], blockInterval is {after.block_interval}"
        )
    if after.block_timestamp_verify and after.block_timeout < BLOCK_TIMEOUT_S_MIN:
        raise ConfigError("chain config error")
    if after.tx_parameter_size > TX_PARAMETER_SIZE_MIB_MAX:
        raise ConfigError(
            f"txParameterSize should be [0,{TX_PARAMETER_SIZE_MIB_MAX}] MB, txParameterSize is {after.tx_parameter_size}"
        )
