"""The one byte that names the algorithms a record was made with, and what those algorithms are."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TYPE_CHECKING, Final, NamedTuple

from changan.crypto.addresses import AddressType
from changan.crypto.digest import sha256, sm3
from changan.crypto.keys import Scheme
from changan.errors import MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from changan.crypto.digest import Digest
    from changan.crypto.keys import PublicKey


class UnadmittedError(UnverifiedError):
    """A key of a suite that is not admitted here."""


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
    address_type: AddressType
    cipher: str  # of secrets at rest


_ALGORITHMS: Final[Mapping[Suite, Algorithms]] = {
    Suite.INTERNATIONAL: Algorithms(
        suite=Suite.INTERNATIONAL,
        digest_name="SHA256",
        digest=sha256,
        scheme=Scheme.P256,
        schemes=frozenset(Scheme) - {Scheme.SM2},
        address_type=AddressType.ETHEREUM,
        cipher="AES-256-GCM",
    ),
    Suite.NATIONAL: Algorithms(
        suite=Suite.NATIONAL,
        digest_name="SM3",
        digest=sm3,
        scheme=Scheme.SM2,
        schemes=frozenset({Scheme.SM2}),
        address_type=AddressType.ZXL,
        cipher="SM4-GCM",
    ),
}
SUITE_NAMES: Final[Mapping[str, Suite]] = {"intl": Suite.INTERNATIONAL, "gm": Suite.NATIONAL}
"""How the suites are called where people write them."""


def algorithms(suite: Suite) -> Algorithms:
    """Return what a suite consists of."""
    return _ALGORITHMS[suite]


def suite_named(name: str) -> Suite:
    """Return the suite that `--suite` names: `intl` or `gm`. Raises MalformedError."""
    found = SUITE_NAMES.get(name)
    if found is None:
        raise MalformedError(f"suite {name[:64]!r} is none of {', '.join(SUITE_NAMES)}")
    return found


def suite_name(suite: Suite) -> str:
    """Return what people call a suite."""
    return next(name for name, known in SUITE_NAMES.items() if known is suite)


def suite_of_digest(name: str) -> Suite:
    """Return the suite of a chain whose configuration names this digest (`crypto.hash`)."""
    return Suite.NATIONAL if name == _ALGORITHMS[Suite.NATIONAL].digest_name else Suite.INTERNATIONAL


def suite_of_key(key: PublicKey) -> Suite:
    """Return the suite that a key belongs to."""
    return next(suite for suite, known in _ALGORITHMS.items() if key.scheme in known.schemes)


def require_admitted(key: PublicKey, suites: Collection[Suite]) -> None:
    """Raise UnadmittedError for a key that is of none of these suites; the text says which are, and what to do."""
    if suite_of_key(key) not in suites:
        names = " and ".join(suite_name(suite) for suite in sorted(suites))
        raise UnadmittedError(
            f"a key of {key.scheme.value} is of the suite {suite_name(suite_of_key(key))}, and this chain admits {names}: "
            f"take a key of {names}, or let the administrators admit the other suite"
        )


def require_built(number: int) -> Suite:
    """Return the suite a record names. Raises UnverifiedError for one that is unknown."""
    try:
        return Suite(number)
    except ValueError as error:
        raise UnverifiedError(f"suite {number} is unknown to this release") from error
