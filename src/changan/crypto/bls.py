"""BLS12-381 multi-signatures: many keys sign one message, and one check holds for exactly those keys.

Public keys are 48 bytes in G1, signatures 96 bytes in G2, both compressed; the ciphersuite is
BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_ (draft-irtf-cfrg-bls-signature, 3.2), used so that all sign one message: what is
put before it is the sum of the signers' keys, so a multi-signature is an ordinary signature by that sum. Sums are safe from
rogue keys only among keys whose possession was proved (section 3.3): a proof is a signature by the key itself over a tagged
statement of whose the key is. The tags keep proofs and multi-signatures apart. None of this is of the national suite.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from changan.errors import ChanganError, MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET_BYTES = 32
KEY_BYTES = 48
_POSSESSION = b"changan.bls.possession.1\x00"
_TOGETHER = b"changan.bls.together.1\x00"


class BlsMissingError(ChanganError):
    """The library for BLS12-381 is not installed; the message says how to install it."""


def _library() -> Any:
    try:
        return importlib.import_module("chia_rs")
    except ImportError as error:
        raise BlsMissingError("BLS signatures need a library: pip install 'changan[distilled]'") from error


def require_library() -> None:
    """Raise BlsMissingError where the library is not installed."""
    _library()


class BlsKey:
    """A public key that was checked: a point of the prime-order group, and not the one at infinity."""

    def __init__(self, data: bytes) -> None:
        """Take 48 bytes. Raises MalformedError for what is no such point, BlsMissingError."""
        library = _library()
        if len(data) != KEY_BYTES:
            raise MalformedError(f"a BLS public key has {KEY_BYTES} bytes, not {len(data)}")
        try:
            point = library.G1Element.from_bytes(data)
        except ValueError as error:
            raise MalformedError("the BLS public key is no point of the group") from error
        if point == library.G1Element():
            raise MalformedError("the BLS public key is the point at infinity, which everybody could sign for")
        self.data = data
        self._point = point

    def require_possession(self, statement: bytes, proof: bytes) -> None:
        """Raise UnverifiedError unless `proof` is this key's over a statement of whose it is; BlsMissingError."""
        if not _holds(self._point, _POSSESSION + statement, proof):
            raise UnverifiedError("the proof does not show that the sender holds the BLS key: sign it again")

    @staticmethod
    def sum_of(keys: Iterable[BlsKey]) -> Any:
        """Return the sum of keys as the library has it: what their multi-signature is checked against."""
        return sum((key._point for key in keys), _library().G1Element())  # noqa: SLF001  # a key among its own kind


def sum_key(keys: Iterable[BlsKey]) -> BlsKey:
    """Return the sum of keys as a key. Raises MalformedError where it is the point at infinity."""
    return BlsKey(bytes(BlsKey.sum_of(keys)))


class BlsSigningKey:
    """A private key, which is never shown."""

    def __init__(self, secret: bytes) -> None:
        """Take 32 bytes, big-endian, from 1 to below the group's order. Raises MalformedError, BlsMissingError."""
        library = _library()
        try:
            self._key = library.PrivateKey.from_bytes(secret)
            self.public = BlsKey(bytes(self._key.get_g1()))
        except (ValueError, MalformedError) as error:
            text = f"a BLS private key is {SECRET_BYTES} bytes, a number from 1 to below the order of the group"
            raise MalformedError(text) from error

    @classmethod
    def from_seed(cls, seed: bytes) -> BlsSigningKey:
        """Derive a key from at least 32 secret bytes (KeyGen, section 2.3). Raises MalformedError, BlsMissingError."""
        if len(seed) < SECRET_BYTES:
            raise MalformedError(f"the seed of a BLS key has at least {SECRET_BYTES} bytes")
        return cls(bytes(_library().AugSchemeMPL.key_gen(seed)))

    def prove_possession(self, statement: bytes) -> bytes:
        """Return the proof that whoever `statement` names holds this key, 96 bytes."""
        return bytes(_library().AugSchemeMPL.sign(self._key, _POSSESSION + statement))

    def sign_together(self, keys: Iterable[BlsKey], message: bytes) -> bytes:
        """Return this key's share, 96 bytes, of the multi-signature of all `keys`, its own among them, over `message`.

        Their sum alone, as one key, gives the same share.
        """
        return bytes(_library().AugSchemeMPL.sign(self._key, _TOGETHER + message, BlsKey.sum_of(keys)))


def join_shares(shares: Iterable[bytes]) -> bytes:
    """Return the multi-signature that shares make, 96 bytes. Raises MalformedError for a share that is no signature."""
    library = _library()
    try:
        points = [library.G2Element.from_bytes(share) for share in shares]
    except ValueError as error:
        raise MalformedError("a share of the multi-signature is no BLS signature") from error
    return bytes(library.AugSchemeMPL.aggregate(points))


def require_together(keys: Iterable[BlsKey], message: bytes, signature: bytes) -> None:
    """Raise UnverifiedError unless `signature` is the multi-signature of exactly `keys` over `message`; BlsMissingError.

    Every key's possession must have been proved before, and each counts as often as it is given.
    """
    if not _holds(BlsKey.sum_of(keys), _TOGETHER + message, signature):
        raise UnverifiedError("the multi-signature is not that of exactly these BLS keys over this message")


def require_share(key: BlsKey, keys: Iterable[BlsKey], message: bytes, share: bytes) -> None:
    """Raise UnverifiedError unless `share` is what `key` gives when `keys` sign `message` together; BlsMissingError."""
    library = _library()
    try:
        found = library.G2Element.from_bytes(share)
    except ValueError as error:
        raise UnverifiedError("the share is no BLS signature") from error
    signed = library.AugSchemeMPL.g2_from_message(bytes(BlsKey.sum_of(keys)) + _TOGETHER + message)
    if library.G1Element.generator().pair(found) != key._point.pair(signed):  # noqa: SLF001  # a key is read by its own module
        raise UnverifiedError("the share is not that of this key for exactly these BLS keys over this message")


def _holds(point: Any, message: bytes, signature: bytes) -> bool:
    library = _library()
    try:
        found = library.G2Element.from_bytes(signature)
    except ValueError:
        return False
    # A sum of keys at infinity never holds: the library refuses it, as KeyValidate (section 2.5) says.
    return bool(library.AugSchemeMPL.verify(point, message, found))
