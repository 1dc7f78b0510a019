"""Who may do what: ChainMaker's rules over organisations and roles, with the default table of a chain of certificates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.errors import ChanganError
from changan.ledger.wire.messages import Policy, TxType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changan.ledger.members import Identity
    from changan.ledger.wire.messages import ChainConfig

_FRACTION = re.compile(r"(\d{1,9})/(\d{1,9})")
_WHOLE = re.compile(r"\d{1,9}")
RULE_FORM = re.compile(r"ANY|MAJORITY|ALL|SELF|FORBIDDEN|\d{1,9}|\d{1,9}/[1-9]\d{0,8}")
"""How a rule is written where people write it."""


class DeniedError(ChanganError):
    """The signers may not do this; the text is the one that ChainMaker gives."""


class Rule(NamedTuple):
    """A policy as it is judged: a rule, and the organisations and roles that count (none named: all count)."""

    rule: str
    organisations: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def admits(self, identity: Identity) -> bool:
        """Whether this member counts at all."""
        return (not self.organisations or identity.org_id in self.organisations) and (
            not self.roles or identity.role in self.roles
        )

    def to_wire(self) -> Policy:
        """Return the policy as it travels."""
        return Policy(rule=self.rule, org_list=self.organisations, role_list=self.roles)


_MAJORITY = Rule("MAJORITY", roles=("ADMIN",))
_SELF = Rule("SELF", roles=("ADMIN",))
_ANY_ADMIN = Rule("ANY", roles=("ADMIN",))
_FORBIDDEN = Rule("FORBIDDEN")
_USERS = Rule("ANY", roles=("CLIENT", "ADMIN", "LIGHT"))
_WRITERS = Rule("ANY", roles=("CLIENT", "ADMIN", "CONSENSUS"))

TX_TYPE_RULES: Mapping[int, tuple[str, Rule]] = {
    TxType.INVOKE_CONTRACT: ("INVOKE_CONTRACT", Rule("ANY", roles=("CONSENSUS", "COMMON", "CLIENT", "ADMIN", "LIGHT"))),
    TxType.QUERY_CONTRACT: ("QUERY_CONTRACT", Rule("ANY", roles=("CONSENSUS", "COMMON", "CLIENT", "ADMIN", "LIGHT"))),
    TxType.SUBSCRIBE: ("SUBSCRIBE", Rule("ANY", roles=("LIGHT", "CLIENT", "ADMIN"))),
    TxType.ARCHIVE: ("ARCHIVE", _ANY_ADMIN),
}

_CONFIG_BY_MAJORITY = (
    "CORE_UPDATE BLOCK_UPDATE TRUST_ROOT_ADD TRUST_ROOT_DELETE TRUST_MEMBER_ADD TRUST_MEMBER_UPDATE TRUST_MEMBER_DELETE "
    "NODE_ID_ADD NODE_ID_DELETE NODE_ORG_ADD NODE_ORG_UPDATE NODE_ORG_DELETE CONSENSUS_EXT_ADD CONSENSUS_EXT_UPDATE "
    "CONSENSUS_EXT_DELETE CONSENSUS_SWITCH PERMISSION_ADD PERMISSION_UPDATE PERMISSION_DELETE ENABLE_OR_DISABLE_GAS "
    "SET_INVOKE_BASE_GAS SET_INVOKE_GAS_PRICE SET_INSTALL_BASE_GAS SET_INSTALL_GAS_PRICE SET_ACCOUNT_MANAGER_ADMIN "
    "UPDATE_VERSION MULTI_SIGN_ENABLE_MANUAL_RUN ENABLE_ONLY_CREATOR_UPGRADE DISABLE_ONLY_CREATOR_UPGRADE "
    "VM_SUPPORT_LIST_ADD VM_SUPPORT_LIST_DEL"
)
_CONTRACT_BY_MAJORITY = (
    "UPGRADE_CONTRACT FREEZE_CONTRACT UNFREEZE_CONTRACT REVOKE_CONTRACT GRANT_CONTRACT_ACCESS REVOKE_CONTRACT_ACCESS "
    "VERIFY_CONTRACT_ACCESS"
)

CERTIFICATE_DEFAULTS: Mapping[str, Rule] = {
    **{f"CHAIN_CONFIG-{method}": _MAJORITY for method in _CONFIG_BY_MAJORITY.split()},
    "CHAIN_CONFIG-TRUST_ROOT_UPDATE": _SELF,
    "CHAIN_CONFIG-NODE_ID_UPDATE": _SELF,
    "CHAIN_CONFIG-ALTER_ADDR_TYPE": _FORBIDDEN,
    "CONTRACT_MANAGE-INIT_CONTRACT": _ANY_ADMIN,
    **{f"CONTRACT_MANAGE-{method}": _MAJORITY for method in _CONTRACT_BY_MAJORITY.split()},
    "CONTRACT_MANAGE-RESTORE_BLOCK": _SELF,
    "CERT_MANAGE-CERT_ADD": _USERS,
    "CERT_MANAGE-CERT_ALIAS_ADD": _USERS,
    "CERT_MANAGE-CERT_ALIAS_UPDATE": _ANY_ADMIN,
    "CERT_MANAGE-CERTS_ALIAS_DELETE": _ANY_ADMIN,
    "CERT_MANAGE-CERTS_DELETE": _ANY_ADMIN,
    "CERT_MANAGE-CERTS_FREEZE": _ANY_ADMIN,
    "CERT_MANAGE-CERTS_UNFREEZE": _ANY_ADMIN,
    "CERT_MANAGE-CERTS_REVOKE": _ANY_ADMIN,
    "PUBKEY_MANAGE-PUBKEY_ADD": _FORBIDDEN,
    "PUBKEY_MANAGE-PUBKEY_DELETE": _FORBIDDEN,
    "ACCOUNT_MANAGER-SET_ADMIN": _MAJORITY,
    "ACCOUNT_MANAGER-CHARGE_GAS_FOR_MULTI_ACCOUNT": Rule("ANY", roles=("CONSENSUS",)),
    "ACCOUNT_MANAGER-SET_CONTRACT_METHOD_PAYER": _WRITERS,
    "ARCHIVE_MANAGE-ARCHIVE_BLOCK": _SELF,
    "PRIVATE_COMPUTE": _WRITERS,
    "PRIVATE_COMPUTE-SAVE_CA_CERT": _MAJORITY,
    "PRIVATE_COMPUTE-SAVE_ENCLAVE_REPORT": _MAJORITY,
    "RELAY_CROSS-SET_CROSS_ADMIN": _ANY_ADMIN,
    "RELAY_CROSS-DELETE_CROSS_ADEMIN": _ANY_ADMIN,
}
"""What PERMISSION_LIST of a real node shows, with the template's overrides taken out (those stand in the configuration)."""


class Policies:
    """The policies of a chain during one identity epoch: the defaults, and over them what the configuration says."""

    def __init__(self, config: ChainConfig, organisations: Iterable[str]) -> None:
        self._organisations = frozenset(organisations)
        self.rules: dict[str, Rule] = dict(CERTIFICATE_DEFAULTS)
        for entry in config.resource_policies:
            self.rules[entry.resource_name] = rule_from_wire(entry.policy)

    def check_sender(self, tx_type: int, sender: Identity) -> None:
        """Raise DeniedError unless `sender` may send requests of this type at all."""
        name, rule = TX_TYPE_RULES[tx_type]
        if not rule.admits(sender):
            raise DeniedError(f"authentication fail: signers do not meet the requirement ({name})")

    def check_forbidden(self, resource: str) -> None:
        """Raise DeniedError when nobody may do this."""
        rule = self.rules.get(resource)
        if rule is not None and rule.rule == "FORBIDDEN":
            raise DeniedError(f"authentication fail: [{resource}] is forbidden to access")

    def needs_signers(self, resource: str) -> bool:
        """Whether anybody's signature beside the sender's could matter."""
        return resource in self.rules

    def check_signers(self, resource: str, signers: Iterable[Identity], target_organisation: str | None) -> None:
        """Raise DeniedError unless `signers` (the sender among them) together may do this."""
        rule = self.rules.get(resource)
        if rule is None:
            return
        valid = {signer.certificate_hash: signer for signer in signers if rule.admits(signer)}
        if rule.rule == "ANY":
            if not valid:
                raise DeniedError(f"authentication fail: signers do not meet the requirement ({resource})")
            return
        if rule.rule == "SELF":
            _check_self(valid.values(), target_organisation)
            return
        received = len({signer.org_id for signer in valid.values()})
        required = self._required(rule)
        if rule.rule.isdigit():
            received = len(valid)
        if received < required:
            raise DeniedError(
                "authentication fail: not enough participants support this action: "
                f"{required} valid endorsements required, {received} valid endorsements received"
            )

    def _required(self, rule: Rule) -> int:
        organisations = len(rule.organisations) or len(self._organisations)
        if rule.rule == "MAJORITY":
            return organisations // 2 + 1
        if rule.rule == "ALL":
            return organisations
        fraction = _FRACTION.fullmatch(rule.rule)
        if fraction is not None and int(fraction[2]):
            numerator, denominator = int(fraction[1]), int(fraction[2])
            return -(-organisations * numerator // denominator)
        if _WHOLE.fullmatch(rule.rule):
            return int(rule.rule)
        raise DeniedError(f"authentication fail: bad configuration: unsupported rule [{rule.rule}]")


def rule_from_wire(policy: Policy) -> Rule:
    """Return the rule of a policy as it travels; letters count alike in either case."""
    return Rule(
        policy.rule.strip().upper(), tuple(policy.org_list), tuple(role.strip().upper() for role in policy.role_list)
    )


def _check_self(signers: Iterable[Identity], target: str | None) -> None:
    if not target:
        raise DeniedError("authentication fail: verification rule is [SELF], but org_id is not set in the parameter")
    if not any(signer.org_id == target for signer in signers):
        raise DeniedError(f"authentication fail: target [{target}] does not belong to the signer")
