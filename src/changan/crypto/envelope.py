"""Secrets at rest: sealed under a password with the suite's cipher, in a form that says how and cannot be changed unseen.

National: PBKDF2 over HMAC-SM3 and SM4-GCM (GB/T 32907, GB/T 15852.2). International: scrypt and AES-256-GCM.
Layout, version 1: version, suite, cost (4 bytes), salt (16), nonce (12), ciphertext, tag (16), as PEM. All before the
ciphertext is authenticated with it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from changan.crypto.suite import Suite
from changan.errors import MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION: Final = 1
SECRET_BYTES_MAX: Final = 1024 * 1024
_HEAD: Final = b"-----BEGIN CHANGAN SEALED SECRET-----"
_TAIL: Final = b"-----END CHANGAN SEALED SECRET-----"
_COST_BYTES, _SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 4, 16, 12, 16
_FIXED_BYTES: Final = 2 + _COST_BYTES + _SALT_BYTES + _NONCE_BYTES
_KEY_BYTES: Final = {Suite.INTERNATIONAL: 32, Suite.NATIONAL: 16}
_COST: Final = {Suite.INTERNATIONAL: 1 << 15, Suite.NATIONAL: 400_000}
"""Scrypt's n (r = 8, p = 1: 32 MiB), and rounds of PBKDF2; either takes some tenths of a second."""
# A file may ask for so much and no more: opening one must not stop a node.
_COSTS: Final = {Suite.INTERNATIONAL: range(1 << 14, (1 << 20) + 1), Suite.NATIONAL: range(100_000, 10_000_001)}


def seal(secret: bytes, password: bytes, suite: Suite, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return the secret under a password, PEM. `random_bytes` gives as many bytes as asked (`secrets.token_bytes`).

    Raises MalformedError for an empty password or a secret that is too long.
    """
    if not password:
        raise MalformedError("an empty password protects nothing")
    if len(secret) > SECRET_BYTES_MAX:
        raise MalformedError(f"the secret is {len(secret)} bytes, at most {SECRET_BYTES_MAX} can be sealed")
    salt, nonce = random_bytes(_SALT_BYTES), random_bytes(_NONCE_BYTES)
    fixed = bytes((VERSION, suite)) + _COST[suite].to_bytes(_COST_BYTES) + salt + nonce
    sealer = Cipher(_cipher(suite, _key(password, suite, _COST[suite], salt)), modes.GCM(nonce)).encryptor()
    sealer.authenticate_additional_data(fixed)
    text = b64encode(fixed + sealer.update(secret) + sealer.finalize() + sealer.tag)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join((_HEAD, *lines, _TAIL, b""))


def is_sealed(data: bytes) -> bool:
    """Whether this claims to be a sealed secret."""
    return data.lstrip().startswith(_HEAD)


def unseal(sealed: bytes, password: bytes) -> bytes:
    """Return the secret.

    Raises MalformedError for what is no sealed secret of this release, UnverifiedError where the password is wrong or a
    byte was changed; the two cannot be told apart.
    """
    data = _body(sealed)
    suite, cost = _suite(data[1]), int.from_bytes(data[2 : 2 + _COST_BYTES])
    if data[0] != VERSION or cost not in _COSTS[suite] or (suite is Suite.INTERNATIONAL and cost & (cost - 1)):
        raise MalformedError("the secret was sealed in a way that this release does not know")
    fixed, rest = data[:_FIXED_BYTES], data[_FIXED_BYTES:]
    salt, nonce = fixed[-_SALT_BYTES - _NONCE_BYTES : -_NONCE_BYTES], fixed[-_NONCE_BYTES:]
    mode = modes.GCM(nonce, rest[-_TAG_BYTES:])
    opener = Cipher(_cipher(suite, _key(password, suite, cost, salt)), mode).decryptor()
    opener.authenticate_additional_data(fixed)
    try:
        return opener.update(rest[:-_TAG_BYTES]) + opener.finalize()
    except InvalidTag as error:
        raise UnverifiedError("the password is wrong, or the sealed secret was changed") from error


def _body(sealed: bytes) -> bytes:
    lines = sealed.strip().splitlines()
    if len(sealed) > 2 * SECRET_BYTES_MAX or len(lines) < 3 or (lines[0], lines[-1]) != (_HEAD, _TAIL):  # noqa: PLR2004
        raise MalformedError("this is no sealed secret")
    try:
        data = b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error as error:
        raise MalformedError("the sealed secret is not base64") from error
    if len(data) < _FIXED_BYTES + _TAG_BYTES:
        raise MalformedError("the sealed secret is cut off")
    return data


def _suite(number: int) -> Suite:
    try:
        return Suite(number)
    except ValueError as error:
        raise MalformedError(f"suite {number} is unknown to this release") from error


def _key(password: bytes, suite: Suite, cost: int, salt: bytes) -> bytes:
    if suite is Suite.NATIONAL:
        return PBKDF2HMAC(SM3(), _KEY_BYTES[suite], salt, cost).derive(password)
    return Scrypt(salt, _KEY_BYTES[suite], cost, 8, 1).derive(password)


def _cipher(suite: Suite, key: bytes) -> algorithms.SM4 | algorithms.AES:
    return algorithms.SM4(key) if suite is Suite.NATIONAL else algorithms.AES(key)
