"""By which set of rules a block is executed: numbered, and from a height on that the chain's configuration names.

The entry `changan.rules` of `consensus.ext_config` says `N@HEIGHT`: by rules N from the block at HEIGHT on, by N - 1 before.
A chain without it goes by rules 1; one that is made now begins by the newest. A release knows the rules up to RULES,
executes every older set as before, and executes nothing by one that it does not know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.errors import ChanganError, MalformedError
from changan.ledger.config_parameters import ConfigError

if TYPE_CHECKING:
    from changan.ledger.wire.messages import ChainConfig

KEY = "changan.rules"
RULES = 3
"""The newest rules that this release knows."""
BUNDLES_THAT_CALL = 2
"""From these on, contracts that call others take bundles; before, a bundle to one is refused whole."""
ROOTS_OF_MUCH_ARE_LATER = 3
"""From these on, a root over many rows is due later than one over few."""
_FORM = re.compile(r"([1-9][0-9]{0,8})@([1-9][0-9]{0,17})")


class UnknownRulesError(ChanganError):
    """A block that this release cannot execute. Whoever tried would part from the others."""


class Upgrade(NamedTuple):
    """Rules, and the height of the first block that is executed by them."""

    rules: int
    height: int


def upgrade_of(config: ChainConfig) -> Upgrade | None:
    """Return the last change of the rules that a configuration names, which may lie ahead. Raises MalformedError."""
    text = next((entry.value for entry in config.consensus.ext_config if entry.key == KEY), None)
    if text is None:
        return None
    found = _FORM.fullmatch(text)
    if found is None:
        raise MalformedError(f"{KEY} is N@HEIGHT, such as 2@5000, not {text[:64]!r}")
    return Upgrade(int(found[1]), int(found[2]))


def from_the_start(rules: int) -> str:
    """Return what the entry of a new chain says that goes by these rules."""
    return f"{rules}@1"


def rules_at(config: ChainConfig, height: int) -> int:
    """Return by which rules the block at a height is executed, if the configuration stays as it is. Raises MalformedError."""
    upgrade = upgrade_of(config)
    if upgrade is None:
        return 1
    return upgrade.rules if height >= upgrade.height else upgrade.rules - 1


def check_rules(before: ChainConfig, after: ChainConfig, height: int) -> None:
    """Raise ConfigError unless `after` may follow `before` by the block at a height: what counts there cannot change any more."""
    try:
        now, then = rules_at(before, height), rules_at(after, height)
    except MalformedError as error:
        raise ConfigError(str(error)) from error
    if now != then:
        raise ConfigError(
            f"block {height} goes by rules {now}: {KEY} may say {now + 1}@HEIGHT with a height above it, and not what would "
            f"make it {then}"
        )


def require_known(rules: int, known: int, height: int) -> None:
    """Raise UnknownRulesError where a block is to be executed by rules beyond those that are known."""
    if rules > known:
        raise UnknownRulesError(
            f"block {height} is executed by rules {rules}, and this release knows rules up to {known}: install a release that "
            "knows them, and start the node again"
        )
