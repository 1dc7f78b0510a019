"""Whose TLS certificate opens a door: one that no list took back. TLS itself looks only at who issued it, and until when."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from starlette.responses import JSONResponse

from changan.errors import UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from changan.ledger.members import Members
    from changan.node.chain import Chain

PEER = "tls_peer"
"""Where the state of an HTTP request holds the certificate (DER) of a peer that showed one, else None."""
KNOWN_MAX = 1000


class _Verdict(NamedTuple):
    members: list[Members]  # of the chains, when this was found; a change of certificates makes new ones
    refusal: str | None


class TlsPeers:
    """The TLS certificates that the chains of a node froze or revoked. One chain that did not keeps the doors open to it."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        self._chains = chains
        self._known: OrderedDict[bytes, _Verdict] = OrderedDict()

    def refusal(self, certificate: bytes) -> str | None:
        """Return what the holder of a certificate (DER) is told whose connection is worth nothing any more, or None."""
        members = [chain.world.members for chain in self._chains.values()]
        known = self._known.get(certificate)
        if known is None or known.members != members:
            known = self._known[certificate] = _Verdict(members, _refusal(certificate, members))
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return known.refusal


def _refusal(certificate: bytes, chains: list[Members]) -> str | None:
    shown = x509.load_der_x509_certificate(certificate)
    words = ""
    for members in chains:
        try:
            members.require_standing(shown)
        except UnverifiedError as error:
            words = str(error)
        else:
            return None
    return f"TLS: {words} on every chain of this node: connect with another one"


class StandingPeersApp:
    """An HTTP application for peers whose TLS certificates stand."""

    def __init__(self, app: ASGIApp, peers: TlsPeers) -> None:
        self._app = app
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        certificate = scope.get("state", {}).get(PEER)
        refusal = self._peers.refusal(certificate) if certificate is not None else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"detail": refusal}, 403, {"connection": "close"})(scope, receive, send)
