"""Changes of who belongs to a chain: trust roots, single certificates of foreign authorities, and consensus nodes.

One function a method of CHAIN_CONFIG; each changes the configuration it is given, or raises EditError (vm-native 2.3.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.chain_config import Mode, mode_of
from changan.ledger.config_parameters import EditError, blank, listed, text_of
from changan.ledger.wire.messages import OrgConfig, TrustMemberConfig, TrustRootConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.internal.containers import RepeatedScalarFieldContainer

    from changan.ledger.config_parameters import Edit, Parameters
    from changan.ledger.wire.messages import ChainConfig

# Trust roots and members


def trust_root_add(config: ChainConfig, parameters: Parameters) -> None:
    """TRUST_ROOT_ADD: a new organisation, or a further root of one."""
    org, roots = text_of(parameters, "org_id"), text_of(parameters, "root")
    if blank(org, roots):
        raise EditError("params is error, add trust root cert require param [org_id, root] not found")
    found = next((root for root in config.trust_roots if root.org_id == org), None)
    if found is None:
        config.trust_roots.append(TrustRootConfig(org_id=org, root=roots.split(",")))
    else:
        found.root.extend(roots.split(","))


def trust_root_update(config: ChainConfig, parameters: Parameters) -> None:
    """TRUST_ROOT_UPDATE: other roots in the place of an organisation's."""
    org, roots = text_of(parameters, "org_id"), text_of(parameters, "root")
    if blank(org, roots):
        raise EditError("params is error, add trust root cert require param [org_id, root]  not found")
    if _has_nodes(config, org):
        raise EditError(
            "update trust root cert failed,you must delete all consensus nodes under the organization first"
        )
    for root in config.trust_roots:
        if root.org_id == org:
            root.root[:] = roots.split(",")
            return
    raise EditError(f"params is error can not found orgId[{org}]")


def trust_root_delete(config: ChainConfig, parameters: Parameters) -> None:
    """TRUST_ROOT_DELETE: an organisation leaves; in public mode an administrator."""
    org = text_of(parameters, "org_id")
    if blank(org):
        raise EditError("delete trust root cert failed, require param [org_id], but not found")
    at = next((at for at, root in enumerate(config.trust_roots) if root.org_id == org), None)
    if at is None:
        raise EditError(f"delete trust root cert failed, param [{org}] not found from TrustRoot")
    if mode_of(config) is Mode.PUBLIC:
        _delete_administrator(config.trust_roots[at], text_of(parameters, "root"))
        return
    if _has_nodes(config, org):
        raise EditError(
            "delete trust root cert failed, you must delete all consensus nodes under the organization first"
        )
    del config.trust_roots[at]


def _delete_administrator(administrators: TrustRootConfig, pem: str) -> None:
    if blank(pem):
        raise EditError("delete trust root failed, require param [root], but not found")
    if pem not in administrators.root:
        raise EditError(f"delete trust root failed, root not found, root: {pem}")
    administrators.root.remove(pem)
    if not administrators.root:
        raise EditError("delete trust root failed, can't delete all TrustRoot")


def _has_nodes(config: ChainConfig, org: str) -> bool:
    return mode_of(config) is not Mode.PUBLIC and any(node.org_id == org for node in config.consensus.nodes)


def trust_member_add(config: ChainConfig, parameters: Parameters) -> None:
    """TRUST_MEMBER_ADD: a certificate of a foreign authority, with its organisation and role."""
    config.trust_members.append(_trust_member(config, parameters, known=False))


def trust_member_update(config: ChainConfig, parameters: Parameters) -> None:
    """TRUST_MEMBER_UPDATE: another organisation, role or node of such a certificate."""
    member = _trust_member(config, parameters, known=True)
    next(known for known in config.trust_members if known.member_info == member.member_info).CopyFrom(member)


def _trust_member(config: ChainConfig, parameters: Parameters, *, known: bool) -> TrustMemberConfig:
    names = ("org_id", "member_info", "role", "node_id")
    org, info, role, node = (text_of(parameters, name) for name in names)
    if blank(org, info, role, node):
        raise EditError("params is error, add trust member require param [org_id, member_info,role,node_id] not found")
    if any(member.member_info == info for member in config.trust_members) != known:
        if known:
            raise EditError(f"update trust member failed, param [{info}] not found from TrustMembers")
        raise EditError(
            f"params is error, add trsut member failed, the memberinfo[{info}] already exist in chainconfig"
        )
    return TrustMemberConfig(member_info=info, org_id=org, role=role, node_id=node)


def trust_member_delete(config: ChainConfig, parameters: Parameters) -> None:
    """TRUST_MEMBER_DELETE."""
    info = text_of(parameters, "member_info")
    if blank(info):
        raise EditError("delete trust member failed, require param [node_id], but not found")
    at = next((at for at, member in enumerate(config.trust_members) if member.member_info == info), None)
    if at is None:
        raise EditError(f"delete trust member failed, param [{info}] not found from TrustMembers")
    del config.trust_members[at]


# Consensus nodes


def node_id_add(config: ChainConfig, parameters: Parameters) -> None:
    """NODE_ID_ADD."""
    org, ids = _stripped(parameters, "org_id", "node_ids")
    if blank(org, ids):
        raise EditError("add node id failed, require param [org_id, node_ids], but not found")
    node = _node(config, org)
    if node is None:
        raise EditError(f"add node id failed, param [{org}] not found from nodes")
    node.node_id.extend(part.strip() for part in ids.split(","))


def node_id_update(config: ChainConfig, parameters: Parameters) -> None:
    """NODE_ID_UPDATE."""
    org, old, new = _stripped(parameters, "org_id", "node_id", "new_node_id")
    if blank(org, old, new):
        raise EditError("update node id failed, require param [org_id, node_id, new_node_id], but not found")
    ids = _node_ids(config, org, old, "update")
    ids[list(ids).index(old)] = new


def node_id_delete(config: ChainConfig, parameters: Parameters) -> None:
    """NODE_ID_DELETE."""
    org, old = _stripped(parameters, "org_id", "node_id")
    if blank(org, old):
        raise EditError("delete node id failed, require param [org_id, node_id], but not found")
    _node_ids(config, org, old, "delete").remove(old)


def _stripped(parameters: Parameters, *names: str) -> list[str]:
    """Return what names organisations and nodes: blanks around it are no part of it."""
    return [text_of(parameters, name).strip() for name in names]


def _node(config: ChainConfig, org: str) -> OrgConfig | None:
    return next((node for node in config.consensus.nodes if node.org_id == org), None)


def _node_ids(config: ChainConfig, org: str, node_id: str, doing: str) -> RepeatedScalarFieldContainer[str]:
    node = _node(config, org)
    if node is None:
        raise EditError(f"{doing} node id failed, param orgId[{org}] not found from nodes")
    if node_id not in node.node_id:
        raise EditError(f"{doing} node id failed, param orgId[{org}] addr[{node_id}] not found from nodes")
    return node.node_id


def node_org_add(config: ChainConfig, parameters: Parameters) -> None:
    """NODE_ORG_ADD."""
    org, ids = _stripped(parameters, "org_id", "node_ids")
    if blank(org, ids):
        raise EditError("add node org failed, require param [org_id, node_ids], but not found")
    if _node(config, org) is not None:
        raise EditError("org_id is exist")
    if not listed(ids):
        raise EditError("params is error")
    config.consensus.nodes.append(OrgConfig(org_id=org, node_id=listed(ids)))


def node_org_update(config: ChainConfig, parameters: Parameters) -> None:
    """NODE_ORG_UPDATE."""
    org, ids = _stripped(parameters, "org_id", "node_ids")
    if blank(org, ids):
        raise EditError("update node org failed, require param [org_id, node_ids], but not found")
    node = _node(config, org)
    if node is None:
        raise EditError(f"update node org failed, param orgId[{org}] not found from nodes")
    if not listed(ids):
        raise EditError("params is error")
    node.node_id[:] = listed(ids)


def node_org_delete(config: ChainConfig, parameters: Parameters) -> None:
    """NODE_ORG_DELETE."""
    [org] = _stripped(parameters, "org_id")
    if blank(org):
        raise EditError("delete node org failed, require param [org_id], but not found")
    if len(config.consensus.nodes) == 1:
        raise EditError("there is at least one org")
    at = next((at for at, node in enumerate(config.consensus.nodes) if node.org_id == org), None)
    if at is None:
        raise EditError(f"delete node org failed, param orgId[{org}] not found from nodes")
    del config.consensus.nodes[at]


EDITS: Mapping[str, Edit] = {
    "TRUST_ROOT_ADD": trust_root_add,
    "TRUST_ROOT_UPDATE": trust_root_update,
    "TRUST_ROOT_DELETE": trust_root_delete,
    "TRUST_MEMBER_ADD": trust_member_add,
    "TRUST_MEMBER_UPDATE": trust_member_update,
    "TRUST_MEMBER_DELETE": trust_member_delete,
    "NODE_ID_ADD": node_id_add,
    "NODE_ID_UPDATE": node_id_update,
    "NODE_ID_DELETE": node_id_delete,
    "NODE_ORG_ADD": node_org_add,
    "NODE_ORG_UPDATE": node_org_update,
    "NODE_ORG_DELETE": node_org_delete,
}
