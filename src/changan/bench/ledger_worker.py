"""The load of `changan bench ledger`, in a process of its own: everything is made and signed before, then sent from memory."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import chain, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from changan.bench.crowd import Crowd
from changan.bench.workloads import Shape, Workload, workload
from changan.client.connect import Connection, connect
from changan.client.doors import CHANNEL_OPTIONS
from changan.client.requests import Signer, make_payload, new_tx_id, sign_request
from changan.crypto.addresses import user_address
from changan.crypto.digest import digest_named
from changan.crypto.keys import SigningKey
from changan.ledger.bundle import PARAMETER, Bundle, encode_bundle
from changan.ledger.wire.messages import (
    BlockInfo,
    BundleResult,
    ChainConfig,
    ConsensusArgs,
    Member,
    MemberType,
    PackedRequests,
    PackedResponses,
    TxRequest,
    TxResponse,
    TxStatusCode,
)
from changan.node.pki.layout import read_crypto_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from changan.bench.workloads import Part
    from changan.contract.types import Signature
    from changan.node.pki.issuing import Curve


BUNDLES = ("bundle", "distilled")
"""The lanes whose messages are bundles; others carry calls that are signed one by one."""
TOLD_S = 0.25
PREPARED_ROWS = 4096
ROOT_WAIT_S = 120.0


class Load(NamedTuple):
    """What is to be sent, as the command line says it."""

    home: str
    contract: str
    lane: str  # bundle, distilled, packed or single
    seconds: float
    accounts: int
    signers: int
    rows: int  # a bundle or a pack
    zipf: float
    inflight: int
    messages: int  # made and signed beforehand, at most
    rate: float  # calls a second that are offered; 0: as fast as answers come
    curve: Curve | None  # of the clients' keys; None: the suite's own

    @classmethod
    def read(cls, text: str) -> Load:
        """Return what a JSON text says."""
        return cls(**json.loads(text))


class Sender:
    """Sends messages, so many at once, and notes for each when it was answered."""

    def __init__(self, channel: grpc.Channel, lane: str, inflight: int) -> None:
        self._bundles, self._packed = lane in BUNDLES, lane == "packed"
        method = "/changan.Node/SendPacked" if self._packed else "/api.RpcNode/SendRequestSync"
        read: Any = PackedResponses.FromString if self._packed else TxResponse.FromString
        self._call: grpc.UnaryUnaryMultiCallable[bytes, Any] = channel.unary_unary(
            method, request_serializer=None, response_deserializer=read
        )
        self._room = threading.Semaphore(inflight)
        self._inflight = inflight
        self._lock = threading.Lock()
        self.latencies: list[float] = []
        self.sent = 0  # bytes
        self.calls = 0
        self.declined = 0
        self.failed: list[str] = []

    def send(self, message: bytes, due: float | None = None) -> None:
        """Send one message as soon as there is room; `due` is when it was meant to go."""
        self._room.acquire()
        begun = time.perf_counter() if due is None else due
        self.sent += len(message)
        future = self._call.future(message, timeout=120)
        future.add_done_callback(lambda done: self._took(done, begun))

    def _took(self, done: Any, begun: float) -> None:
        now = time.perf_counter()
        try:
            response = done.result()
            counts = [_counted(each, bundle=self._bundles) for each in _answers(response, packed=self._packed)]
        except (grpc.RpcError, RuntimeError) as error:
            with self._lock:
                self.failed.append(str(error)[:300])
            return
        finally:
            self._room.release()
        with self._lock:
            self.latencies.append(now - begun)
            self.calls += sum(calls for calls, _ in counts)
            self.declined += sum(declined for _, declined in counts)

    def finish(self) -> None:
        """Return when everything was answered."""
        for _ in range(self._inflight):
            self._room.acquire()
        for _ in range(self._inflight):
            self._room.release()


def _answers(response: Any, *, packed: bool) -> list[TxResponse]:
    return list(response.responses) if packed else [response]


def _counted(response: TxResponse, *, bundle: bool) -> tuple[int, int]:
    """Return how many calls an answer stands for, and how many of them the contract declined.

    Raises RuntimeError for an answer that refuses all of them.
    """
    if not bundle and response.code == TxStatusCode.CONTRACT_FAIL:
        return 1, 1
    if response.code or response.contract_result.code:
        raise RuntimeError(response.message or response.contract_result.message)
    if not bundle:
        return 1, 0
    found = BundleResult.FromString(response.contract_result.result)
    return int(found.rows), int(found.rows - found.succeeded)


def main() -> None:
    """Make the state, sign what is to be sent, say `go`, wait for a line, send, and tell what came of it as JSON."""
    load = Load.read(sys.argv[1])
    numpy = importlib.import_module("numpy")
    what = workload(load.contract)
    with connect(home=load.home) as connection:
        config = ChainConfig.FromString(connection.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
        signers = make_signers(load.home, load.signers, connection.signer, load.curve)
        addresses = [
            user_address(signer.key.public, config.vm.addr_type, digest_named(config.crypto.hash)) for signer in signers
        ]
        shape = Shape(load.accounts, addresses, load.rows if load.lane in BUNDLES else PREPARED_ROWS, load.zipf)
        make_state(connection, what, shape, numpy, load.home)
        chain_id = connection.chain_id
        address = json.loads((Path(load.home) / "doors.json").read_text(encoding="utf-8"))["rpc"]
        with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            crowd: dict[str, float] = {}
            if load.lane == "distilled":
                clients = Crowd(signers, addresses, chain_id)
                parts = what.parts(numpy, shape, None)
                made, crowd = _distilled(load, channel, parts, clients, connection.signer)
            else:
                made = _messages(load, what, shape, signers, numpy, chain_id)
            await_root(connection)
            unending = chain(made, again(made, signers)) if load.lane == "bundle" else made
            found = _measured(load, unending, Sender(channel, load.lane, load.inflight))
        print(json.dumps(found | crowd))


def _distilled(
    load: Load, channel: grpc.Channel, parts: Iterator[Part], crowd: Crowd, broker: Signer
) -> tuple[list[bytes], dict[str, float]]:
    """Register the clients, and send the first bundle of this identity epoch, in which each certificate is read. Return
    the bundles after it, and how fast that was."""
    registrations = crowd.registrations()
    started = time.perf_counter()
    crowd.register(registrations, Sender(channel, "packed", 1))
    registered = time.perf_counter() - started
    first, *made = crowd.bundles(workload(load.contract), islice(parts, load.messages + 1), broker)
    sender = Sender(channel, "distilled", 1)
    started = time.perf_counter()
    sender.send(first)
    sender.finish()
    if sender.failed:
        raise SystemExit(f"the first bundle failed: {sender.failed[0]}")
    return made, {"registered": load.signers / registered, "first_s": time.perf_counter() - started}


def again(made: list[bytes], signers: list[Signer]) -> Iterator[bytes]:
    """Yield the bundles that signers made in turn without end, each under an id, a time and a signature of its own."""
    for at in cycle(range(len(made))):
        payload = TxRequest.FromString(made[at]).payload
        payload.tx_id, payload.timestamp = new_tx_id(), int(time.time())
        yield sign_request(payload, signers[at % len(signers)]).SerializeToString()


def _measured(load: Load, made: Iterable[bytes], sender: Sender) -> dict[str, Any]:
    print("go", flush=True)
    sys.stdin.readline()
    cpu, started = time.process_time(), time.perf_counter()
    ended = threading.Event()
    threading.Thread(target=_tell, args=(sender, started, ended), daemon=True).start()
    for number, message in enumerate(made):
        due = None
        if load.rate:
            due = started + number * load.rows / load.rate
            time.sleep(max(0.0, due - time.perf_counter()))
        if time.perf_counter() - started >= load.seconds:
            break
        sender.send(message, due)
    sender.finish()
    elapsed = time.perf_counter() - started
    ended.set()
    if sender.failed:
        raise SystemExit(f"{len(sender.failed)} messages failed: {sender.failed[0]}")
    return {
        "calls": sender.calls,
        "declined": sender.declined,
        "sent": sender.sent,
        "seconds": elapsed,
        "cpu": time.process_time() - cpu,
        "latencies": sender.latencies,
    }


def _tell(sender: Sender, started: float, ended: threading.Event) -> None:
    """Say every moment how far it is."""
    while not ended.wait(TOLD_S):
        print(json.dumps([sender.calls, time.perf_counter() - started]), flush=True)


def make_signers(home: str, count: int, first: Signer, curve: Curve | None = None) -> list[Signer]:
    """Return members of the first organisation: fresh ones, and before them the one that connects unless keys are on a curve."""
    organisation = read_crypto_config(Path(home)).organisations[0]
    authority, now = organisation.authority(), datetime.now(UTC)
    found = [] if curve else [first]
    for number in range(len(found), count):
        issued = authority.issue(f"load{number}", "client", "sign", now, curve=curve)
        member = Member(org_id=organisation.org_id, member_type=MemberType.CERT, member_info=issued.certificate_pem)
        found.append(Signer(member, SigningKey(issued.key_pem), first.hash_name))
    return found


def make_state(connection: Connection, what: Workload, shape: Shape, numpy: Any, home: str) -> None:
    """Install the contract and make the rows that its load needs. Raises SystemExit."""
    arguments: dict[str, object] = {"supply": 1 << 60} if what.contract == "token" else {}
    connection.deploy(what.contract, "1.0", what.source.encode(), arguments)
    address = json.loads((Path(home) / "doors.json").read_text(encoding="utf-8"))["rpc"]
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        sender = Sender(channel, "bundle", 4)
        for part in what.prepare(numpy, shape._replace(rows=max(shape.rows, PREPARED_ROWS))):
            sender.send(_bundle(what, part, connection.signer, connection.chain_id, {}))
        sender.finish()
    if sender.failed or sender.declined:
        raise SystemExit(f"the accounts could not be made: {[*sender.failed, 'rows were declined'][0]}")


def await_root(connection: Connection) -> None:
    """Return once the newest block proves its whole state, so that nothing of what was made before is measured.

    Raises SystemExit.
    """
    deadline = time.monotonic() + ROOT_WAIT_S
    while time.monotonic() < deadline:
        header = BlockInfo.FromString(connection.query("CHAIN_QUERY", "GET_LAST_BLOCK").result).block.header
        if ConsensusArgs.FromString(header.consensus_args).state_height == header.block_height:
            return
        time.sleep(0.5)
    raise SystemExit(f"no root over the state came within {ROOT_WAIT_S:g} s")


def _bundle(what: Workload, part: Part, signer: Signer, chain_id: str, known: dict[str, Signature]) -> bytes:
    signature = known.get(part.method)
    if signature is None:
        signature = known[part.method] = what.signature(part.method)
    data = encode_bundle(signature, part.columns, part.rows, 0)
    payload = make_payload(chain_id, what.contract, part.method, {PARAMETER: data})
    return sign_request(payload, signer).SerializeToString()


def _messages(
    load: Load, what: Workload, shape: Shape, signers: list[Signer], numpy: Any, chain_id: str
) -> list[bytes]:
    """Return what is sent: bundles of one signer after another, single calls, or packs of single calls of all of them."""
    known: dict[str, Signature] = {}
    sources = [what.parts(numpy, shape, number) for number in range(len(signers))]
    if load.lane == "bundle":
        return [
            _bundle(what, next(sources[at % len(signers)]), signers[at % len(signers)], chain_id, known)
            for at in range(load.messages)
        ]
    calls = [_calls(what, source, signer, chain_id) for source, signer in zip(sources, signers, strict=True)]
    if load.lane == "single":
        return [next(calls[at % len(signers)]) for at in range(load.messages)]
    return [
        PackedRequests(
            requests=[next(calls[(at + number) % len(signers)]) for number in range(load.rows)], wait=True
        ).SerializeToString()
        for at in range(load.messages)
    ]


def _calls(what: Workload, parts: Iterator[Part], signer: Signer, chain_id: str) -> Iterator[bytes]:
    """Yield single signed calls without end: the rows of one part after another."""
    known: dict[str, Signature] = {}
    for part in parts:
        signature = known.setdefault(part.method, what.signature(part.method))
        bundle = Bundle(part.rows, 0, part.columns)
        for row in range(part.rows):
            values = bundle.arguments(signature, row)
            arguments = {
                name: as_argument(value) for (name, _), value in zip(signature.parameters, values, strict=True)
            }
            payload = make_payload(chain_id, what.contract, part.method, arguments)
            yield sign_request(payload, signer).SerializeToString()


def as_argument(value: object) -> str:
    """Return a value as a single call carries it."""
    return value.hex() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    main()
