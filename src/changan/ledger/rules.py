"""One policy as it is judged: ChainMaker's rules over organisations and roles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.wire.messages import Policy

if TYPE_CHECKING:
    from changan.ledger.members import Identity

RULE_FORM = re.compile(r"ANY|MAJORITY|ALL|SELF|FORBIDDEN|[0-9]{1,9}|[0-9]{1,9}/[1-9][0-9]{0,8}")
"""How a rule is written where people write it. Digits are ASCII: which others there are differs between releases of Python."""


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


def rule_from_wire(policy: Policy) -> Rule:
    """Return the rule of a policy as it travels; letters count alike in either case."""
    return Rule(
        policy.rule.strip().upper(), tuple(policy.org_list), tuple(role.strip().upper() for role in policy.role_list)
    )
