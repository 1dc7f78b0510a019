"""Who may do what on a chain during one identity epoch, in ChainMaker's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from changan.errors import ChanganError
from changan.ledger.chain_config import Mode, mode_of
from changan.ledger.default_policies import DEFAULTS, TX_TYPE_NAMES, TX_TYPE_RULES
from changan.ledger.rules import Rule, rule_from_wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changan.ledger.members import Identity
    from changan.ledger.wire.messages import ChainConfig

_FRACTION = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_WHOLE = re.compile(r"[0-9]{1,9}")


class DeniedError(ChanganError):
    """The signers may not do this; the text is the one that ChainMaker gives."""


class Policies:
    """The policies of a chain during one identity epoch: the defaults of its mode, and over them what its configuration says."""

    def __init__(self, config: ChainConfig, voters: Iterable[str]) -> None:
        """Take the policies of `config`; `voters` are those who count one each: organisations, or administrators' keys."""
        self._mode = mode_of(config)
        self._voters = frozenset(voters)
        self.rules: dict[str, Rule] = dict(DEFAULTS[self._mode])
        for entry in config.resource_policies:
            self.rules[entry.resource_name] = rule_from_wire(entry.policy)

    def check_sender(self, tx_type: int, sender: Identity) -> None:
        """Raise DeniedError unless `sender` may send requests of this type at all."""
        rule = TX_TYPE_RULES[self._mode][tx_type]
        if not rule.admits(sender):
            raise self._nobody(rule, TX_TYPE_NAMES[tx_type])

    def check_forbidden(self, resource: str) -> None:
        """Raise DeniedError when nobody may do this."""
        rule = self.rules.get(resource)
        if rule is not None and rule.rule == "FORBIDDEN":
            kind = "public " if self._mode is Mode.PUBLIC else ""
            raise DeniedError(f"{kind}authentication fail: [{resource}] is forbidden to access")

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
                raise self._nobody(rule, resource)
            return
        if rule.rule == "SELF":
            _check_self(valid.values(), target_organisation)
            return
        received, required = self.count(rule, valid.values()), self.required(rule)
        if received < required:
            raise DeniedError(
                "authentication fail: not enough participants support this action: "
                f"{required} valid endorsements required, {received} valid endorsements received"
            )

    def count(self, rule: Rule, signers: Iterable[Identity]) -> int:
        """Return how many of those that must agree these signers are."""
        found = [signer for signer in signers if rule.admits(signer)]
        if _WHOLE.fullmatch(rule.rule) or rule.rule == "ANY" or self._mode is Mode.PUBLIC:
            return len({signer.certificate_hash for signer in found})
        return len({signer.org_id for signer in found})

    def required(self, rule: Rule) -> int:
        """Return how many must agree. Raises DeniedError for a rule that nothing can satisfy."""
        voters = self.electorate(rule)
        if rule.rule == "ANY":
            return 1
        if rule.rule == "MAJORITY":
            return voters // 2 + 1
        if rule.rule == "ALL":
            return voters
        fraction = _FRACTION.fullmatch(rule.rule)
        if fraction is not None and int(fraction[2]):
            numerator, denominator = int(fraction[1]), int(fraction[2])
            return -(-voters * numerator // denominator)
        if _WHOLE.fullmatch(rule.rule):
            return int(rule.rule)
        raise DeniedError(f"authentication fail: bad configuration: unsupported rule [{rule.rule}]")

    def electorate(self, rule: Rule) -> int:
        """Return how many there are to agree."""
        return len(rule.organisations) or len(self._voters)

    def _nobody(self, rule: Rule, name: str) -> DeniedError:
        if self._mode is Mode.PUBLIC:
            roles = " ".join(rule.roles)
            return DeniedError(f"authentication fail for any rule, policy: rule: [{rule.rule}],roleList: [[{roles}]]")
        return DeniedError(f"authentication fail: signers do not meet the requirement ({name})")


def _check_self(signers: Iterable[Identity], target: str | None) -> None:
    if not target:
        raise DeniedError("verification rule is [SELF], but org_id is not set in the parameter")
    if not any(signer.org_id == target for signer in signers):
        raise DeniedError(f"authentication fail: target [{target}] does not belong to the signer")
