"""What each role may do in each mode and what it is told otherwise, worked out from recordings of real nodes.

Nothing here comes from the code under test: the policies are the recorded PERMISSION_LISTs, the texts those of the record, and
`DEFAULTS` is the table of ChainMaker 2.3.7's sources (module/accesscontrol/policies.go), written down by hand.
"""

from __future__ import annotations

from pathlib import Path

from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import ChainConfig, Policy
from consortium import org_name

VECTORS = Path(__file__).parent / "vectors" / "chainmaker"
FOLDERS = {Mode.CERTIFICATES: "cert", Mode.KEYS: "pwk", Mode.PUBLIC: "pk"}
ROLES = {
    Mode.CERTIFICATES: ("client", "admin", "light", "consensus", "common"),
    Mode.KEYS: ("client", "admin", "light", "consensus", "common"),
    Mode.PUBLIC: ("client", "admin", "consensus"),
}
CANNOT_INVOKE = {Mode.CERTIFICATES: (), Mode.KEYS: ("light", "common"), Mode.PUBLIC: ()}
CANNOT_SUBSCRIBE = {
    Mode.CERTIFICATES: ("consensus", "common"),
    Mode.KEYS: ("consensus", "common"),
    Mode.PUBLIC: (),
}
CLOSED = Policy(rule="MAJORITY", role_list=["ADMIN"])
"""TRUST_ROOT_UPDATE in public mode, CONSENSUS_SWITCH in all: no policy on the real node, so that anybody may; here as its neighbours."""


def listed(mode: Mode) -> dict[str, Policy]:
    data = (VECTORS / "live" / FOLDERS[mode] / "permission_list.bin").read_bytes()
    found = {entry.resource_name: entry.policy for entry in ChainConfig.FromString(data).resource_policies}
    found["CHAIN_CONFIG-CONSENSUS_SWITCH"] = CLOSED
    if mode is Mode.PUBLIC:
        found["CHAIN_CONFIG-TRUST_ROOT_UPDATE"] = CLOSED
    return found


_MAJORITY, _SELF, _ANY_ADMIN, _FORBIDDEN, _OPEN = "MAJORITY ADMIN", "SELF ADMIN", "ANY ADMIN", "FORBIDDEN", "ANY"
_WRITERS = "ANY ADMIN,CLIENT,CONSENSUS"

DEFAULTS: dict[str, tuple[str | None, str | None, str | None]] = {
    # resource: certificates, registered keys, public; None where the mode has no such policy
    **dict.fromkeys(
        [
            f"CHAIN_CONFIG-{method}"
            for method in [
                "CORE_UPDATE",
                "BLOCK_UPDATE",
                "CONSENSUS_EXT_ADD",
                "CONSENSUS_EXT_UPDATE",
                "CONSENSUS_EXT_DELETE",
                "CONSENSUS_SWITCH",
                "PERMISSION_ADD",
                "PERMISSION_UPDATE",
                "PERMISSION_DELETE",
                "UPDATE_VERSION",
                "ENABLE_OR_DISABLE_GAS",
                "SET_INVOKE_BASE_GAS",
                "SET_INVOKE_GAS_PRICE",
                "SET_INSTALL_BASE_GAS",
                "SET_INSTALL_GAS_PRICE",
                "SET_ACCOUNT_MANAGER_ADMIN",
                "VM_SUPPORT_LIST_ADD",
                "VM_SUPPORT_LIST_DEL",
                "MULTI_SIGN_ENABLE_MANUAL_RUN",
                "ENABLE_ONLY_CREATOR_UPGRADE",
                "DISABLE_ONLY_CREATOR_UPGRADE",
                "NODE_ID_ADD",
                "NODE_ID_DELETE",
                "NODE_ORG_UPDATE",
            ]
        ],
        (_MAJORITY, _MAJORITY, _MAJORITY),
    ),
    **dict.fromkeys(
        [
            f"CHAIN_CONFIG-{method}"
            for method in ("TRUST_ROOT_ADD", "TRUST_ROOT_DELETE", "NODE_ORG_ADD", "NODE_ORG_DELETE")
        ],
        (_MAJORITY, _MAJORITY, _FORBIDDEN),
    ),
    "CHAIN_CONFIG-TRUST_ROOT_UPDATE": (_SELF, _SELF, _MAJORITY),
    "CHAIN_CONFIG-NODE_ID_UPDATE": (_SELF, _SELF, _MAJORITY),
    **dict.fromkeys(
        [f"CHAIN_CONFIG-TRUST_MEMBER_{doing}" for doing in ("ADD", "UPDATE", "DELETE")],
        (_MAJORITY, _FORBIDDEN, _FORBIDDEN),
    ),
    "CHAIN_CONFIG-ALTER_ADDR_TYPE": (_FORBIDDEN, _FORBIDDEN, _FORBIDDEN),
    "CHAIN_CONFIG-CERTS_FREEZE": (_ANY_ADMIN, _ANY_ADMIN, None),  # of the template, and no method
    "CONTRACT_MANAGE-INIT_CONTRACT": (_OPEN, _OPEN, _ANY_ADMIN),  # the template opens it where organisations exist
    **dict.fromkeys(
        [f"CONTRACT_MANAGE-{doing}_CONTRACT" for doing in ("UPGRADE", "FREEZE", "UNFREEZE", "REVOKE")],
        (_MAJORITY, _MAJORITY, _ANY_ADMIN),
    ),
    **dict.fromkeys(
        [f"CONTRACT_MANAGE-{doing}_CONTRACT_ACCESS" for doing in ("GRANT", "REVOKE", "VERIFY")],
        (_MAJORITY, _MAJORITY, _FORBIDDEN),
    ),
    "CONTRACT_MANAGE-RESTORE_BLOCK": (_SELF, _SELF, _ANY_ADMIN),
    "ARCHIVE_MANAGE-ARCHIVE_BLOCK": (_SELF, _SELF, _ANY_ADMIN),
    **dict.fromkeys(
        ["CERT_MANAGE-CERT_ADD", "CERT_MANAGE-CERT_ALIAS_ADD"], ("ANY ADMIN,CLIENT,LIGHT", _FORBIDDEN, _FORBIDDEN)
    ),
    **dict.fromkeys(
        [
            f"CERT_MANAGE-{method}"
            for method in [
                "CERTS_FREEZE",
                "CERTS_UNFREEZE",
                "CERTS_DELETE",
                "CERTS_REVOKE",
                "CERT_ALIAS_UPDATE",
                "CERTS_ALIAS_DELETE",
            ]
        ],
        (_ANY_ADMIN, _FORBIDDEN, _FORBIDDEN),
    ),
    **dict.fromkeys(["CERT_MANAGE-CERTS_QUERY", "CERT_MANAGE-CERTS_ALIAS_QUERY"], (None, _FORBIDDEN, _FORBIDDEN)),
    **dict.fromkeys(["PUBKEY_MANAGE-PUBKEY_ADD", "PUBKEY_MANAGE-PUBKEY_DELETE"], (_FORBIDDEN, _SELF, _FORBIDDEN)),
    "ACCOUNT_MANAGER-SET_ADMIN": (_MAJORITY, _MAJORITY, _MAJORITY),
    "ACCOUNT_MANAGER-CHARGE_GAS_FOR_MULTI_ACCOUNT": ("ANY CONSENSUS",) * 3,
    "ACCOUNT_MANAGER-SET_CONTRACT_METHOD_PAYER": (_WRITERS,) * 3,
    "PRIVATE_COMPUTE": (_WRITERS, _WRITERS, _FORBIDDEN),
    **dict.fromkeys(
        ["PRIVATE_COMPUTE-SAVE_CA_CERT", "PRIVATE_COMPUTE-SAVE_ENCLAVE_REPORT"], (_MAJORITY, _MAJORITY, _FORBIDDEN)
    ),
    **dict.fromkeys(["RELAY_CROSS-SET_CROSS_ADMIN", "RELAY_CROSS-DELETE_CROSS_ADEMIN"], (_ANY_ADMIN,) * 3),
}
"""The default policies that ChainMaker's template of a configuration leaves in force: rule, then roles."""


def text_of(policy: Policy) -> str:
    """A policy as `DEFAULTS` writes it."""
    assert not policy.org_list
    return f"{policy.rule} {','.join(sorted(policy.role_list))}".strip()


def expected(mode: Mode, resource: str, policy: Policy, role: str) -> str:
    """What a member of this role, alone, is told."""
    if role in CANNOT_INVOKE[mode]:
        text = "[verifyTxTypePrincipal]authentication error: authentication fail: signers do not meet the requirement"
        return f"{text} (INVOKE_CONTRACT)"
    public = mode is Mode.PUBLIC
    if policy.rule == "FORBIDDEN":
        kind = "public authentication fail" if public else "authentication fail"
        return f"[verifySenderPrincipal]authentication error: {kind}: [{resource}] is forbidden to access"
    counts = not policy.role_list or role.upper() in policy.role_list
    head = f"[verifyEndorsementsPrincipal]authentication error for {resource}: authentication fail"
    if policy.rule == "ANY":
        if counts:
            return ""
        roles = " ".join(policy.role_list)
        if public:
            return f"{head} for any rule, policy: rule: [ANY],roleList: [[{roles}]]"
        return f"{head}: signers do not meet the requirement ({resource})"
    if policy.rule == "SELF":
        return "" if counts else f"{head}: target [{org_name(1)}] does not belong to the signer"
    assert policy.rule == "MAJORITY"
    return (
        f"{head}: not enough participants support this action: 3 valid endorsements required, "
        f"{int(counts)} valid endorsements received"
    )
