"""What an authority took back, and what it issued before: its revocation list and the certificates that newer ones replaced.

`ORG/ca/revoked.crl` lists every serial number that was ever revoked; `ORG/ca/superseded/NAME/SERIAL.pem` are certificates
that a renewal replaced and that hold until they end or are revoked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from cryptography import x509

from changan.crypto.certificates import require_issued_list
from changan.errors import UnverifiedError
from changan.node.pki.at_rest import replace_file
from changan.node.pki.authority import AuthorityError, read_certificate
from changan.node.pki.layout import CERTIFICATE_MODE, LayoutError, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from changan.node.pki.authority import Authority
    from changan.node.pki.layout import Organisation


def list_path(organisation: Organisation) -> Path:
    """Return where an organisation's revocation list lies, once something was revoked."""
    return organisation.root_certificate.with_name("revoked.crl")


def revoked(organisation: Organisation) -> frozenset[int]:
    """Return the serial numbers on an organisation's list. Raises LayoutError for a list that its authority did not sign."""
    path = list_path(organisation)
    if not path.exists():
        return frozenset()
    try:
        found = x509.load_pem_x509_crl(read_file(path, "the organisation's revocation list, PEM"))
        require_issued_list(found, read_certificate(organisation.root_certificate_pem))
        return frozenset(entry.serial_number for entry in found)
    except (ValueError, TypeError, x509.InvalidVersion, UnverifiedError) as error:
        raise LayoutError(f"{path} is not the list of {organisation.org_id}: {error}; move it away") from error


def revoke(organisation: Organisation, authority: Authority, serials: Iterable[int], now: datetime) -> Path:
    """Put certificates on the organisation's list, and return where it lies. What was revoked before stays revoked.

    Raises LayoutError, AuthorityError for a number that no certificate has.
    """
    path = list_path(organisation)
    with _alone(path.parent):
        pem = authority.revocation_list(revoked(organisation) | set(serials), now)
        replace_file(path, pem, CERTIFICATE_MODE)
    return path


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep a second command of this machine from losing what the first one adds to the list."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def keep_superseded(organisation: Organisation, name: str, certificates: Iterable[bytes]) -> None:
    """Keep the PEM certificates of `name` that are about to be replaced. Raises LayoutError."""
    directory = _superseded(organisation, name)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LayoutError(f"cannot make {directory}: {error.strerror}") from error
    for pem in certificates:
        serial = read_certificate(pem).serial_number
        replace_file(directory / f"{serial:x}.pem", pem, CERTIFICATE_MODE)


def superseded(organisation: Organisation, name: str) -> list[x509.Certificate]:
    """Return the certificates of `name` that newer ones replaced. Raises LayoutError."""
    found = []
    for path in sorted(_superseded(organisation, name).glob("*.pem")):
        try:
            found.append(read_certificate(read_file(path, f"a certificate of {name}, PEM")))
        except AuthorityError as error:
            raise LayoutError(f"{path}: {error}") from error
    return found


def _superseded(organisation: Organisation, name: str) -> Path:
    return organisation.root_certificate.with_name("superseded") / name
