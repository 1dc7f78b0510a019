"""The distilled load of the ledger bench: clients that register, and bundles that they signed together beforehand."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

from changan.bench.single import BenchError
from changan.client.requests import make_payload, sign_request
from changan.crypto.batch.kernels import warm
from changan.crypto.bls import SECRET_BYTES, BlsSigningKey
from changan.crypto.digest import sha256
from changan.ledger.bundle import PARAMETER, Bundle
from changan.ledger.clients import possession
from changan.ledger.distilled import encode_distilled, rows_root, signed_message
from changan.ledger.roots import KernelRoots
from changan.ledger.system import LANE
from changan.ledger.wire.messages import PackedRequests
from changan.node.kernels import kernels_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.bench.workloads import Part, Workload
    from changan.client.requests import Signer
    from changan.contract.types import Signature

_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001  # of the groups of BLS12-381
REGISTERED_AT_ONCE = 500


class Send(Protocol):
    """What sends messages: `changan.bench.ledger_worker.Sender`."""

    failed: list[str]
    declined: int

    def send(self, message: bytes, due: float | None = None) -> None: ...
    def finish(self) -> None: ...


class Crowd:
    """Clients whose numbers are their places here, on a chain where nobody registered before."""

    def __init__(self, signers: Sequence[Signer], addresses: Sequence[bytes], chain_id: str) -> None:
        self._chain_id = chain_id
        self._signers, self._addresses = signers, addresses
        self._secrets = [1 + secrets.randbelow(_ORDER - 1) for _ in signers]

    def registrations(self) -> list[bytes]:
        """Return signed requests to register everybody, in order, many a message."""
        requests = []
        for signer, address, secret in zip(self._signers, self._addresses, self._secrets, strict=True):
            key = _key(secret)
            proof = key.prove_possession(possession(self._chain_id, address))
            payload = make_payload(self._chain_id, LANE, "REGISTER", {"key": key.public.data, "proof": proof})
            requests.append(sign_request(payload, signer).SerializeToString())
        starts = range(0, len(requests), REGISTERED_AT_ONCE)
        return [
            PackedRequests(requests=requests[at : at + REGISTERED_AT_ONCE], wait=True).SerializeToString()
            for at in starts
        ]

    def register(self, messages: Sequence[bytes], sender: Send) -> None:
        """Send registrations one message after another, so that numbers are places. Raises BenchError."""
        for message in messages:
            sender.send(message)
            sender.finish()
        if sender.failed or sender.declined:
            raise BenchError(f"not everybody could register: {[*sender.failed, 'some were declined'][0]}")

    def bundles(self, what: Workload, parts: Iterator[Part], broker: Signer) -> Iterator[bytes]:
        """Yield a bundle for each part, signed by all its clients: their secret keys are summed, as their signatures would be."""
        directory = kernels_directory()
        assert directory is not None  # the node that is loaded has kernels
        roots = KernelRoots(sha256, warm(directory).forest(sha256, 1))
        known: dict[str, Signature] = {}
        for part in parts:
            signature = known.setdefault(part.method, what.signature(part.method))
            numbers = [int(number) for number in part.signers]
            callers = b"".join([self._addresses[number] for number in numbers])
            payload = make_payload(self._chain_id, what.contract, part.method, {PARAMETER: b""})
            root = rows_root(signature, Bundle(part.rows, 0, part.columns, callers), roots)
            key = _key(sum(self._secrets[number] for number in numbers) % _ORDER)
            joined = key.sign_together([key.public], signed_message(payload, 0, part.rows, root, sha256))
            payload.parameters[0].value = encode_distilled(signature, part.columns, numbers, 0, joined)
            yield sign_request(payload, broker).SerializeToString()


def _key(secret: int) -> BlsSigningKey:
    return BlsSigningKey(secret.to_bytes(SECRET_BYTES, "big"))
