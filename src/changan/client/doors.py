"""Where a home's node answers, and what a user of that home shows at its doors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import grpc

from changan.client.passwords import ask_password, open_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changan.client.passwords import Ask

FILE = "doors.json"
SERVER_NAME = "chainmaker.org"
MESSAGE_BYTES_MAX = 100 * 1024 * 1024
CHANNEL_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
TLS_OPTIONS = [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", SERVER_NAME)]
TOKEN_METHOD = "TOKEN"  # noqa: S105  # the name of a method
READ_METHOD = "READ"
"""OWN's methods that are signed for the HTTP door: one obtains a token, one stands for a single read of its `target`."""
REQUEST_HEADER = "Changan-Request"
"""HTTP's header that holds a signed request where the body holds the columns of its bundle."""
SIGNED = "Signed"
"""The scheme of a signed request in HTTP's Authorization header."""


class KnownDoors(NamedTuple):
    """Where a node last answered; `tls` is none, server (one-way) or mutual."""

    rpc: str = "127.0.0.1:12301"
    http: str = "http://127.0.0.1:8080"
    tls: str = "none"


def write_doors(home: Path, doors: KnownDoors) -> None:
    """Note where the node of a home answers, so that commands and clients on this machine need only the home."""
    (home / FILE).write_text(json.dumps(doors._asdict()) + "\n", encoding="utf-8")


def read_doors(home: Path) -> KnownDoors:
    """Return where the node of a home last answered, or the usual places where nothing is noted."""
    try:
        noted = json.loads((home / FILE).read_text(encoding="utf-8"))
        return KnownDoors(str(noted["rpc"]), str(noted["http"]), str(noted["tls"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return KnownDoors()


def _tls_roots(crypto_config: Path) -> Iterator[Path]:
    for own in crypto_config.glob("*/ca/ca.crt"):
        apart = own.parent.with_name("tls-ca") / own.name  # where members' certificates are of SM2
        yield apart if apart.exists() else own


def user_pair(crypto_config: Path, org_id: str, user: str) -> Path:
    """Return where a user's key and certificate for TLS lie: the path that both have, without `.key` and `.crt`."""
    return crypto_config / org_id / "user" / user / f"{user}.tls"


class TlsFiles(NamedTuple):
    """What a member of a home shows and trusts at a TLS door; one without a pair of its own shows nothing."""

    roots: bytes  # PEM, of all organisations
    key: bytes | None  # PEM
    certificate: Path | None


def trusted(crypto_config: Path, pair: Path, ask: Ask = ask_password) -> TlsFiles:
    """Return the organisations' roots for TLS, and a pair where there is one at the path. Raises PasswordError, OSError."""
    roots = b"\n".join(path.read_bytes() for path in sorted(_tls_roots(crypto_config)))
    key, certificate = pair.with_name(f"{pair.name}.key"), pair.with_name(f"{pair.name}.crt")
    return TlsFiles(roots, open_key(key, ask), certificate) if key.exists() else TlsFiles(roots, None, None)


def credentials(crypto_config: Path, pair: Path, ask: Ask = ask_password) -> grpc.ChannelCredentials:
    """Return what a member shows and trusts at the gRPC door. Raises PasswordError, OSError."""
    files = trusted(crypto_config, pair, ask)
    if files.key is None or files.certificate is None:
        return grpc.ssl_channel_credentials(files.roots)
    return grpc.ssl_channel_credentials(files.roots, files.key, files.certificate.read_bytes())
