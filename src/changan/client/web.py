"""A node's HTTP door as a member sees it: requests that carry a token, obtained by a signature and renewed by themselves."""

from __future__ import annotations

import base64
import secrets
import ssl
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from changan.client.doors import READ_METHOD, SERVER_NAME, SIGNED, TOKEN_METHOD, trusted
from changan.client.passwords import ask_password
from changan.client.requests import make_payload, sign_request
from changan.ledger.system import OWN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from changan.client.passwords import Ask
    from changan.client.requests import Signer

TIMEOUT_S = 60.0
_UNKNOWN = 401
_HANGS_UP = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


class MemberAuth(httpx2.Auth):
    """Shows a member's token. The first refusal obtains one, and so does every one after a token is over."""

    def __init__(self, signer: Signer, chain_id: str) -> None:
        self._signer = signer
        self._chain_id = chain_id
        self._token = ""

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request; where it is not known who asks, obtain a token and send it again."""
        response = yield self._shown(request)
        if response.status_code == _UNKNOWN:
            answer = yield self._question(request)
            answer.read()
            if self._take(answer):
                yield self._shown(request)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """As `sync_auth_flow`, on an event loop."""
        response = yield self._shown(request)
        if response.status_code == _UNKNOWN:
            answer = yield self._question(request)
            await answer.aread()
            if self._take(answer):
                yield self._shown(request)

    def _shown(self, request: httpx2.Request) -> httpx2.Request:
        # A node's certificate has this name wherever the node answers; the gRPC door is asked for it, too.
        request.extensions = {**request.extensions, "sni_hostname": SERVER_NAME}
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _question(self, request: httpx2.Request) -> httpx2.Request:
        url = request.url.copy_with(path="/v1/tokens", query=None)
        asked = sign_request(make_payload(self._chain_id, OWN, TOKEN_METHOD, {}, query=True), self._signer)
        return httpx2.Request("POST", url, content=asked.SerializeToString(), extensions=request.extensions)

    def _take(self, answer: httpx2.Response) -> bool:
        """Keep the token of an answer; without one the answer says why, and is what the caller gets."""
        if not answer.is_success:
            return False
        self._token = str(answer.json()["token"])
        return True


def signed_header(signer: Signer, chain_id: str, target: str) -> dict[str, str]:
    """Return the header of one read that is signed by itself; `target` is its path with its query, as it is sent."""
    payload = make_payload(chain_id, OWN, READ_METHOD, {"target": target}, query=True)
    return {"Authorization": f"{SIGNED} {base64.b64encode(sign_request(payload, signer).SerializeToString()).decode()}"}


def why_silent(address: str, error: Exception) -> str:
    """Say why a door gave no answer, as far as this side can tell, and what to do about it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"{address} shows a TLS certificate that is not trusted here ({cause.verify_message}): bring its organisation's "
            "folder of crypto-config, without keys, into the one here, and start again"
        )
    hung_up = isinstance(error, _HANGS_UP)
    if (hung_up and address.startswith("https:")) or (cause is not None and "ALERT" in (cause.reason or "")):
        return (
            f"{address} ends the connection: at mutual TLS it does so where it does not trust the certificate of this side. "
            "Bring this organisation's folder of crypto-config, without keys, into the one there, and start that node again"
        )
    if cause is not None:
        return f"{address} does not speak TLS ({cause.reason}): if it is a node's HTTP door without TLS, name it with http://"
    if hung_up:
        return f"{address} ends the connection: if that door speaks TLS, name it with https://"
    return f"{address} does not answer as a member: {error!r}"


class Web(NamedTuple):
    """What it takes to read a node's HTTP door as a member; `pair` is what it shows over TLS, as `user_pair` says."""

    address: str
    auth: MemberAuth
    crypto_config: Path
    pair: Path
    password: Ask = ask_password

    def client(self) -> httpx2.Client:
        """Return a client whose paths are below the door's address. Raises OSError."""
        return httpx2.Client(**self._options())

    def client_async(self) -> httpx2.AsyncClient:
        """Return the same for an event loop. Raises OSError."""
        return httpx2.AsyncClient(**self._options())

    def _options(self) -> dict[str, Any]:
        return {"base_url": self.address, "auth": self.auth, "verify": self._context(), "timeout": TIMEOUT_S}

    def _context(self) -> ssl.SSLContext:
        # Without any root nobody is trusted, least of all the machine's own list.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not self.address.startswith("https:"):
            return context  # nothing is read, and no password asked for
        files = trusted(self.crypto_config, self.pair, self.password)
        if files.roots:
            context.load_verify_locations(cadata=files.roots.decode("ascii"))
        if files.key is not None and files.certificate is not None:
            _show(context, files.certificate, files.key)
        return context


def _show(context: ssl.SSLContext, certificate: Path, key_pem: bytes) -> None:
    """Let a context show a pair. It reads files only, so a key that lay sealed lies there under a password of its own."""
    once = secrets.token_hex(32)
    sealing = BestAvailableEncryption(once.encode())
    sealed = load_pem_private_key(key_pem, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
    with tempfile.NamedTemporaryFile() as file:  # 0600
        file.write(sealed)
        file.flush()
        context.load_cert_chain(certificate, file.name, once)
