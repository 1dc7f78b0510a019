"""Private keys at rest: sealed under a password, or plain where a program that can ask nobody has to read them."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from changan.client.passwords import ask_password
from changan.crypto.envelope import seal
from changan.crypto.keys import Scheme, SigningKey
from changan.crypto.suite import Suite
from changan.node.pki.layout import KEY_MODE, LayoutError, read_file, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from changan.client.passwords import Ask
    from changan.node.pki.layout import Organisation


def at_rest(key_pem: bytes, password: bytes | None) -> bytes:
    """Return what a key's file holds: the PEM itself, or under a password the sealed form of the key's suite."""
    if password is None:
        return key_pem
    national = SigningKey(key_pem).public.scheme is Scheme.SM2
    return seal(key_pem, password, Suite.NATIONAL if national else Suite.INTERNATIONAL, secrets.token_bytes)


def seal_authority(organisation: Organisation, choose: Callable[[], bytes], ask: Ask = ask_password) -> None:
    """Encrypt the keys of an organisation's authorities; those sealed already are opened, and get the password chosen.

    Raises LayoutError, PasswordError.
    """
    authorities = organisation.authorities(ask)  # what is no key of theirs stays as it is
    opened = {organisation.authority_key: authorities.sign, organisation.tls_authority_key: authorities.tls}
    password = choose()
    for path, authority in opened.items():
        replace_file(path, at_rest(authority.key_pem, password), KEY_MODE)


def seal_authorities(organisations: Iterable[Organisation], password: bytes) -> None:
    """Encrypt the keys of the authorities of organisations that were just made. Raises LayoutError."""
    for organisation in organisations:
        if organisation.authority_key.exists():  # of another organisation's only what is public is here
            seal_authority(organisation, lambda: password, lambda _: password)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Put a file in the place of another at once; it rests when this returns. Raises LayoutError."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise LayoutError(f"cannot write {path}: {error.strerror}") from error


def is_plain(path: Path) -> bool:
    """Whether a key lies unencrypted. Raises LayoutError."""
    return b" PRIVATE KEY-----" in read_file(path, "a private key, PEM")
