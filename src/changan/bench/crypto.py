"""`changan bench crypto`: how many signatures a core verifies, the batch kernels next to OpenSSL on the same messages."""

from __future__ import annotations

import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from changan.bench.single import start_node, stop_node
from changan.crypto import libcrypto
from changan.crypto.batch.kernels import TABLE_BYTES, warm
from changan.crypto.batch.verifier import CHUNK, TABLE_BYTES_MAX, BatchVerifier, Signed
from changan.crypto.keys import PublicKey, Scheme
from changan.crypto.sm2 import Sm2PrivateKey
from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from changan.crypto.batch.kernels import Kernels

FEW, MANY = 64, 10_000
MESSAGE_BYTES = 300
ROUNDS = 5
LOAD = "import pathlib, sys; from changan.crypto.batch.kernels import load; load(pathlib.Path(sys.argv[1]))"
_SCHEMES = (Scheme.SM2, Scheme.P256)


class Figure(NamedTuple):
    """What was measured once a round."""

    work: str
    peer: str
    unit: str
    values: list[float]
    note: str


def run(seconds: float, directory: Path, *, node: bool = True) -> list[dict[str, Any]]:
    """Measure everything and return the rows of the table.

    `directory` keeps the compiled kernels; `node` says whether to start nodes, to see what compiling does to them.
    Raises KernelsError where numba is missing, LibcryptoError where SM2 is.
    """
    figures = _making(node=node)
    kernels = warm(directory)
    for scheme in _SCHEMES:
        many = _signed(scheme, MANY)
        few = _resigned(scheme, FEW)
        figures += _rates(scheme, few, many, kernels, seconds)
        figures += _tables(scheme, many, kernels)
    return [_row(figure) for figure in figures]


def version_of_openssl() -> str:
    """Return the version of the system's libcrypto as people write it."""
    number: int = libcrypto.load().OpenSSL_version_num()
    return f"OpenSSL {number >> 28}.{number >> 20 & 0xFF}.{number >> 4 & 0xFFFF}"


def _rates(scheme: Scheme, few: list[Signed], many: list[Signed], kernels: Kernels, seconds: float) -> list[Figure]:
    """Verify by both lanes, round by round in turn, so that both see the same machine."""
    name = scheme.value
    peer = version_of_openssl() if scheme is Scheme.SM2 else "OpenSSL in cryptography"
    lane = BatchVerifier()
    lane.use(kernels)
    alone, batch, single, batch_many, alone_many, cold, two = ([] for _ in range(7))
    for _ in range(ROUNDS):
        alone.append(_rate(_one_at_a_time, few, seconds))
        assert all(lane.verify(few))
        batch.append(_rate(lane.verify, few, seconds))
        single.append(_rate(lambda chunk: [lane.verify([item])[0] for item in chunk], few, seconds / 2))
        alone_many.append(_rate(_one_at_a_time, many, seconds))
        cold.append(_cold(kernels, many))
        assert all(lane.verify(many) + lane.verify(many))
        batch_many.append(_rate(lane.verify, many, seconds))
        two.append(_two_threads(lane, few, seconds))
    batches = f"batches of {CHUNK}, {MESSAGE_BYTES}-byte messages, per CPU-second of one thread"
    first = "no table yet: each is built for one signature"
    if scheme is not Scheme.SM2:
        first = "no table yet: a key's first signature is left to OpenSSL"
    note = f"{MESSAGE_BYTES}-byte messages, one at a time, per CPU-second of one thread"
    rate = "verify/s/core"
    return [
        Figure(f"{name} verify, {FEW} keys", peer, rate, alone, note),
        Figure(f"{name} verify, {FEW} keys, warm", "changan", rate, batch, batches),
        Figure(f"{name} verify, {FEW} keys, warm, ratio", "changan", "x OpenSSL", _ratios(batch, alone), batches),
        Figure(f"{name} verify, {FEW} keys, warm, single", "changan", rate, single, "batches of 1"),
        Figure(
            f"{name} verify, {FEW} keys, warm, 2 threads",
            "changan",
            "verify/s",
            two,
            "wall time, both threads together",
        ),
        Figure(f"{name} verify, {MANY} keys", peer, rate, alone_many, note),
        Figure(f"{name} verify, {MANY} keys, warm", "changan", rate, batch_many, batches),
        Figure(
            f"{name} verify, {MANY} keys, warm, ratio", "changan", "x OpenSSL", _ratios(batch_many, alone_many), batches
        ),
        Figure(f"{name} verify, {MANY} keys, cold", "changan", rate, cold, first),
    ]


def _tables(scheme: Scheme, many: list[Signed], kernels: Kernels) -> list[Figure]:
    points = [item.key.point for item in many]
    times = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        kernels.tables(scheme, points[:FEW])
        times.append((time.thread_time() - began) * 1e6 / FEW)
    lane = BatchVerifier(table_bytes_max=MANY * TABLE_BYTES)
    lane.use(kernels)
    lane.verify(many[:1])
    tracemalloc.start()
    try:
        for _ in range(2):  # a P-256 key gets a table when it comes again
            lane.verify(many)
        size = tracemalloc.get_traced_memory()[0] / 1024 / MANY
    finally:
        tracemalloc.stop()
    bound = f"tables are {TABLE_BYTES} bytes; a verifier keeps {TABLE_BYTES_MAX >> 20} MiB unless told otherwise"
    return [
        Figure(f"{scheme.value} key's table, build", "changan", "us/key", times, f"{FEW} at once"),
        Figure(f"{scheme.value} key's table, memory", "changan", "KiB/key", [size], f"allocated, {MANY} keys; {bound}"),
    ]


def _making(*, node: bool) -> list[Figure]:
    """Compile and load in processes of their own, as a node does, and start nodes with and without that beside them."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        compiled = [_cpu(_compiler(Path(name) / "0"))]
        note = "in a process of its own, once a machine and release; OpenSSL serves until then"
        figures.append(Figure("kernels, compile", "changan", "CPU-s", compiled, note))
        loaded = [_cpu([sys.executable, "-c", LOAD, str(Path(name) / "0")]) for _ in range(ROUNDS)]
        figures.append(Figure("kernels, load from the cache", "changan", "CPU-s", loaded, "start of Python included"))
        if node:
            alone, beside = [], []
            for at in range(ROUNDS):
                alone.append(_node_seconds())
                compiler = subprocess.Popen(_compiler(Path(name) / f"beside{at}"))  # noqa: S603 - our own program
                try:
                    beside.append(_node_seconds())
                finally:
                    compiler.terminate()
                    compiler.wait(30)
            figures.append(Figure("changan up until ready", "changan", "s", alone, "nothing compiles"))
            note = "the kernels are compiled in another process meanwhile"
            figures.append(Figure("changan up until ready, compiling", "changan", "s", beside, note))
    return figures


def _compiler(directory: Path) -> list[str]:
    directory.mkdir(mode=0o700, exist_ok=True)
    return ["nice", "-n", "10", sys.executable, "-m", "changan.crypto.batch.compile", str(directory)]


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=False, capture_output=True, timeout=1200)  # noqa: S603 - our own program
    if done.returncode != 0:
        raise ChanganError(f"the kernels were not compiled: {done.stderr.decode(errors='replace')[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _node_seconds() -> float:
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        node = start_node(Path(name))
        taken = time.perf_counter() - began
        stop_node(node)
        return taken


def _signed(scheme: Scheme, keys: int) -> list[Signed]:
    """Return one signed message of each of so many new keys."""
    return [signed_once(scheme, secrets.token_bytes(MESSAGE_BYTES)) for _ in range(keys)]


def signed_once(scheme: Scheme, message: bytes) -> Signed:
    """Return a message with the signature of a new key."""
    return _one(*_pair(scheme), message)


def _resigned(scheme: Scheme, keys: int) -> list[Signed]:
    """Return 32 signed messages of each of so many new keys, in turn."""
    pairs = [_pair(scheme) for _ in range(keys)]
    return [_one(*pair, secrets.token_bytes(MESSAGE_BYTES)) for _ in range(32) for pair in pairs]


def _pair(scheme: Scheme) -> tuple[PublicKey, Callable[[bytes], bytes]]:
    if scheme is Scheme.SM2:
        private = Sm2PrivateKey.generate()
        return PublicKey(private.public), private.sign
    if scheme is Scheme.ED25519:
        edwards = Ed25519PrivateKey.generate()
        return PublicKey(edwards.public_key()), edwards.sign
    nist = ec.generate_private_key(ec.SECP256R1())
    return PublicKey(nist.public_key()), lambda message: nist.sign(message, ec.ECDSA(hashes.SHA256()))


def _one(key: PublicKey, sign: Callable[[bytes], bytes], message: bytes) -> Signed:
    return Signed(key, message, sign(message), "SHA256")


def _one_at_a_time(items: Sequence[Signed]) -> list[bool]:
    for item in items:
        item.key.verify(item.message, item.signature, item.hash_name)
    return [True] * len(items)


def _rate(verify: Callable[[list[Signed]], list[bool]], items: list[Signed], seconds: float) -> float:
    """Return signatures a CPU-second of this thread; the items are taken in turn, a batch at a time."""
    source, count = cycle(items), 0
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        batch = list(islice(source, min(CHUNK, len(items))))
        if not all(verify(batch)):
            raise ChanganError("a good signature was refused")
        count += len(batch)
    return count / (time.thread_time() - began)


def _cold(kernels: Kernels, items: list[Signed]) -> float:
    lane = BatchVerifier()
    lane.use(kernels)
    began = time.thread_time()
    if not all(lane.verify(items)):
        raise ChanganError("a good signature was refused")
    return len(items) / (time.thread_time() - began)


def _two_threads(lane: BatchVerifier, items: list[Signed], seconds: float) -> float:
    counts = [0, 0]
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            counts[number] += sum(lane.verify(items[:CHUNK]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def _row(figure: Figure) -> dict[str, Any]:
    return {
        "work": figure.work,
        "peer": figure.peer,
        "unit": figure.unit,
        "median": round(statistics.median(figure.values), 3),
        "min": round(min(figure.values), 3),
        "max": round(max(figure.values), 3),
        "n": len(figure.values),
        "note": figure.note,
    }
