"""The one byte that names the algorithms a record was made with, and what those algorithms are."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TYPE_CHECKING, Final, NamedTuple

from changan.crypto.digest import sha256, sm3
from changan.crypto.keys import Scheme
from changan.errors import MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.crypto.digest import Digest
    from changan.crypto.keys import PublicKey


@unique
class Suite(IntEnum):
    """Suites of algorithms. Numbers are written into records: append, never reuse."""

    INTERNATIONAL = 1  # SHA-256 with ECDSA on P-256 and its kin
    NATIONAL = 2  # SM3 with SM2; SM4 for secrets at rest


class Algorithms(NamedTuple):
    """What a suite consists of."""

    suite: Suite
    digest_name: str  # as a chain's configuration has it (`crypto.hash`)
    digest: Digest
    scheme: Scheme  # of the keys that are made for it
    schemes: frozenset[Scheme]  # of the keys that belong to it
    cipher: str  # of secrets at rest

    def require_key(self, key: PublicKey) -> None:
        """Raise UnverifiedError for a key that is not of this suite."""
        if key.scheme not in self.schemes:
            raise UnverifiedError(
                f"a key of {key.scheme.value} is not of the {self.suite.name.lower()} suite "
                f"({', '.join(sorted(scheme.value for scheme in self.schemes))})"
            )


_ALGORITHMS: Final[Mapping[Suite, Algorithms]] = {
    Suite.INTERNATIONAL: Algorithms(
        suite=Suite.INTERNATIONAL,
        digest_name="SHA256",
        digest=sha256,
        scheme=Scheme.P256,
        schemes=frozenset(Scheme) - {Scheme.SM2},
        cipher="AES-256-GCM",
    ),
    Suite.NATIONAL: Algorithms(
        suite=Suite.NATIONAL,
        digest_name="SM3",
        digest=sm3,
        scheme=Scheme.SM2,
        schemes=frozenset({Scheme.SM2}),
        cipher="SM4-GCM",
    ),
}
_BY_NAME: Final[Mapping[str, Suite]] = {"intl": Suite.INTERNATIONAL, "gm": Suite.NATIONAL}


def algorithms(suite: Suite) -> Algorithms:
    """Return what a suite consists of."""
    return _ALGORITHMS[suite]


def suite_named(name: str) -> Suite:
    """Return the suite that `--suite` names: `intl` or `gm`. Raises MalformedError."""
    found = _BY_NAME.get(name)
    if found is None:
        raise MalformedError(f"suite {name!r} is none of {', '.join(_BY_NAME)}")
    return found


def require_built(number: int) -> Suite:
    """Return the suite a record names. Raises UnverifiedError for one that is unknown."""
    try:
        return Suite(number)
    except ValueError as error:
        raise UnverifiedError(f"suite {number} is unknown to this release") from error
