"""The distilled lane from a client's side: a BLS key is registered, and signs bundles that hold the client's own call."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from changan.client.tables import Method
from changan.crypto.addresses import user_address
from changan.crypto.bls import BlsKey
from changan.crypto.merkle import Place, tree_verify
from changan.errors import ChanganError, MalformedError
from changan.ledger.bundle import ROWS_MAX, Bundle, columns_of
from changan.ledger.bundle_rows import BundleRow
from changan.ledger.chain_config import chain_digest
from changan.ledger.clients import possession
from changan.ledger.distilled import signed_message, unrun_rows
from changan.ledger.system import LANE
from changan.ledger.wire.messages import Payload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changan.client.calls import Calls, Steps
    from changan.client.requests import Signer
    from changan.crypto.bls import BlsSigningKey
    from changan.crypto.digest import Digest
    from changan.ledger.wire.messages import ChainConfig

OFFER_S_MAX = 600
"""How far the time of a bundle that is signed may lie from the client's clock: one that lies later could be sent much later."""
_TX_ID = re.compile(r"[0-9a-zA-Z_]{1,64}")


class OfferError(ChanganError):
    """An offer that a client does not sign; the message says what is wrong with it."""


class Offer(NamedTuple):
    """What a broker shows to one client of a bundle before it signs: its place under the root, and what else is signed."""

    chain_id: str
    contract: str
    method: str
    tx_id: str
    timestamp: int
    budget: int
    rows: int
    root: bytes
    signers: bytes  # the sum of all signers' keys, 48 bytes
    row: int
    path: Sequence[bytes]  # from the row's leaf up to the root

    @property
    def payload(self) -> Payload:
        """What of the transaction is signed beside the root."""
        return Payload(
            chain_id=self.chain_id,
            contract_name=self.contract,
            method=self.method,
            tx_id=self.tx_id,
            timestamp=self.timestamp,
        )


class OwnCall:
    """One call that a client wants made. It signs only bundles that hold this call as its own, all under one transaction id:
    so the call is made once at most, whatever a broker does with what was signed."""

    def __init__(self, chain_id: str, digest: Digest, contract: str, method: str, arguments: bytes) -> None:
        """`arguments` are the client's address and the arguments, as the row's leaf has them."""
        self._wanted = (chain_id, contract, method)
        self._digest = digest
        self._arguments = arguments
        self._tx_id = ""

    def sign(self, offer: Offer, key: BlsSigningKey) -> bytes:
        """Return this client's share of the multi-signature, 96 bytes. Raises OfferError for an offer that is not in order."""
        problem = self._problem(offer)
        if problem is not None:
            raise OfferError(f"not signed: {problem}")
        try:
            signers = BlsKey(offer.signers)
        except MalformedError as error:
            raise OfferError(f"not signed: the sum of the signers' keys: {error}") from error
        self._tx_id = offer.tx_id
        message = signed_message(offer.payload, offer.budget, offer.rows, offer.root, self._digest)
        return key.sign_together([signers], message)

    def _problem(self, offer: Offer) -> str | None:
        if (offer.chain_id, offer.contract, offer.method) != self._wanted:
            return f"the bundle calls {offer.contract}.{offer.method} on {offer.chain_id}, not what was asked for"
        if _TX_ID.fullmatch(offer.tx_id) is None or not 0 <= offer.budget < 1 << 64:
            return "the bundle's id or gas budget is none"
        if self._tx_id not in {"", offer.tx_id}:
            return f"this call was signed for transaction {self._tx_id} before: under another id it could be made twice"
        if abs(time.time() - offer.timestamp) > OFFER_S_MAX:
            return f"the bundle's time lies more than {OFFER_S_MAX} s from this clock"
        leaf = BundleRow(offer.row, self._arguments, 0, 0, b"", b"").leaf if 0 <= offer.row < ROWS_MAX else b""
        place = Place(offer.row, offer.rows)
        if not 1 <= offer.rows <= ROWS_MAX or not tree_verify(leaf, place, offer.path, offer.root, self._digest):
            return "the call is not in the bundle as it was asked for"
        return None


def own_address(signer: Signer, config: ChainConfig) -> bytes:
    """Return the address, 20 bytes, that a user has on a chain."""
    return user_address(signer.key.public, config.vm.addr_type, chain_digest(config))


def register_bls(calls: Calls, key: BlsSigningKey) -> Steps[int]:
    """Register a key as this user's; return its number. Raises CallError."""
    config = yield from calls.config()
    proof = key.prove_possession(possession(config.chain_id, own_address(calls.signer, config)))
    answer = yield from calls.invoke(LANE, "REGISTER", {"key": key.public.data, "proof": proof})
    return int(answer.text)


def own_call(calls: Calls, contract: str, method: str, arguments: Mapping[str, object]) -> Steps[OwnCall]:
    """Return what signs bundles that hold this call of this user. Raises TableError, CallError."""
    config = yield from calls.config()
    described = Method((yield from calls.describe(contract)), method)
    address = own_address(calls.signer, config)
    columns = columns_of(described.signature, [described.row(arguments)])
    [row] = unrun_rows(described.signature, Bundle(1, 0, columns, address))
    return OwnCall(config.chain_id, chain_digest(config), contract, method, row.arguments)
