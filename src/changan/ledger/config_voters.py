"""What the nodes of a chain that is ordered by vote must satisfy before a configuration may name them.

One vote an organisation; no key twice; and what a node seals must count for its organisation. Whether enough of those who
vote are up is for the organisations to see to: nobody on the ledger can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto.node_ids import is_node_id
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.chain_config import Mode, chain_digest, mode_of
from changan.ledger.config_parameters import ConfigError
from changan.ledger.members import NO_RECORDS, Members
from changan.ledger.roster import PREFIX, roster_of
from changan.ledger.wire.messages import ConsensusType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changan.ledger.roster import Roster, Voter
    from changan.ledger.wire.messages import ChainConfig

NODES_MAX = 400
NODE_ROLES = ("CONSENSUS", "COMMON")


def check_voters(before: ChainConfig, after: ChainConfig, time: int) -> None:
    """Raise ConfigError unless the nodes of `after` may follow those of `before` in a block of `time` (seconds)."""
    if after.consensus.type != ConsensusType.TBFT:
        return
    if mode_of(after) is not Mode.CERTIFICATES:
        raise ConfigError("a chain that is ordered by vote knows its members by certificates")
    try:
        known, roster = roster_of(before), roster_of(after)
    except MalformedError as error:
        raise ConfigError(str(error)) from error
    if len(roster.nodes) > NODES_MAX:
        raise ConfigError(f"{len(roster.nodes)} nodes, at most {NODES_MAX} are known to a chain: take one out first")
    _check_once("key of votes", (node.validator for node in roster.nodes))
    _check_once("peer", (node.peer for node in roster.nodes))
    _check_once("key of seals", (roster.seal_key(node).der for node in roster.nodes))
    _check_sealers(known, roster, before, after, time)


def _check_once(what: str, values: Iterable[object]) -> None:
    found = list(values)
    if len(set(found)) != len(found):
        raise ConfigError(f"a {what} is used by another node already: every node has keys of its own")


def _check_sealers(known: Roster, roster: Roster, before: ChainConfig, after: ChainConfig, time: int) -> None:
    """Check those nodes of whom anything changed: a certificate that ends later keeps nobody from other changes."""
    had, has = _roots(before), _roots(after)
    settled = {*((node, True) for node in known.voters), *((node, False) for node in known.followers)}
    changed = []
    for node, votes in [*((node, True) for node in roster.voters), *((node, False) for node in roster.followers)]:
        if node.org_id not in has:
            raise ConfigError(
                f"node {node.node_id} is of {node.org_id}, which would be no organisation of this chain: take it out first, "
                f"with CONSENSUS_EXT_DELETE {PREFIX}{node.node_id}"
            )
        if (node, votes) not in settled or had.get(node.org_id) != has[node.org_id]:
            changed.append(node)
    if changed:
        members = Members(after, NO_RECORDS, chain_digest(after))
        for node in changed:
            _check_sealer(node, members, time)


def _check_sealer(node: Voter, members: Members, time: int) -> None:
    if not is_node_id(node.node_id):
        raise ConfigError(f"{PREFIX}{node.node_id[:128]} is no entry of a node: a node's id follows the dot")
    try:
        sealer = members.identify(node.member, time)
    except UnverifiedError as error:
        raise ConfigError(f"what node {node.node_id} seals would count for nobody: {error}") from error
    if sealer.role not in NODE_ROLES:
        text = f"the certificate of node {node.node_id} is one of role {sealer.role}, not of {' or '.join(NODE_ROLES)}"
        raise ConfigError(text)


def _roots(config: ChainConfig) -> dict[str, tuple[str, ...]]:
    return {root.org_id: tuple(root.root) for root in config.trust_roots}
