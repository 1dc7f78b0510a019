"""Three lanes, one rule: the compiled kernels, OpenSSL one at a time, and plain integers agree on good and bad signatures.

`CHANGAN_SIGNATURES=100000 python -m pytest tests/crypto/test_batch.py -k every_lane -s` compares that many a scheme.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from sm2_cases import cases, signer

from changan.crypto.batch import kernels as kernels_module
from changan.crypto.batch import plain
from changan.crypto.batch.kernels import KernelsError, load, warm
from changan.crypto.batch.known import KNOWN
from changan.crypto.batch.verifier import CHUNK, BatchVerifier, Signed
from changan.crypto.curves import P256_CURVE, SM2_CURVE, multiply, read_point, write_point
from changan.crypto.digest import SIGNED_DIGESTS, sha256, sm3
from changan.crypto.keys import _HASHES, PublicKey, Scheme
from changan.crypto.sm2 import z_value
from changan.errors import MalformedError

# Whoever comes first waits for the kernels to compile, at low priority.
pytestmark = pytest.mark.timeout(1200)
COUNT = int(os.environ.get("CHANGAN_SIGNATURES", "3000"))
CURVES = {Scheme.SM2: SM2_CURVE, Scheme.P256: P256_CURVE}
# Keys that make a table meet itself: small multiples of the base point, and teeth of either comb.
NUMBERS = (1, 2, 3, 1 << 20, (1 << 20) + 1, 1 << 32, (1 << 32) - 1, (1 << 240) + 5, 1 << 128)


@pytest.fixture
def verifier(kernels):
    made = BatchVerifier()
    made.use(kernels)
    return made


def digest_of(item: Signed) -> bytes:
    if item.key.scheme is Scheme.SM2:
        return sm3(z_value(item.key.point) + item.message)
    return SIGNED_DIGESTS[item.hash_name](item.message)[:32]


def plainly(item: Signed) -> bool:
    return plain.holds(CURVES[item.key.scheme], item.key.point, digest_of(item), item.signature)


@pytest.mark.parametrize("scheme", CURVES)
def test_every_lane_gives_the_same_verdict(verifier, scheme):
    rng = random.Random(20261125)
    signers = [signer(scheme) for _ in range(24)] + [signer(scheme, number) for number in NUMBERS]
    signers += [signer(scheme, CURVES[scheme].n - number) for number in (2, 3)]
    found = cases(signers, COUNT, rng)
    items = [case.signed for case in found]
    fast = verifier.verify(items)
    slow = BatchVerifier().verify(items)
    for case, one, other in zip(found, fast, slow, strict=True):
        assert one == other, case
        assert case.must in (None, one), case
    for at in rng.sample(range(len(items)), min(150, len(items))):
        assert plainly(items[at]) == fast[at], found[at]
    kinds = Counter(case.kind for case in found)
    assert len(kinds) >= 34
    print(f"\n{scheme.value}: {len(items)} signatures, {sum(fast)} hold, {len(kinds)} kinds, every verdict the same")


def reckoned(scheme: Scheme, points: list[bytes], digests: list[bytes], signatures: list[bytes], kernels) -> list[bool]:
    tables = kernels.tables(scheme, points)
    addresses = [table.ctypes.data for table in tables]
    return kernels.verify(scheme, addresses, kernels.rows(digests), signatures)


BESIDE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from changan.crypto.batch.kernels import warm
from changan.crypto.curves import P256_CURVE, multiply, write_point
from changan.crypto.keys import Scheme

kernels = warm(Path(sys.argv[1]))
points = [write_point(*multiply(P256_CURVE, number, P256_CURVE.base)) for number in range(2, 34)]
right = [bytes(table) for table in kernels.tables(Scheme.P256, points)]
over = threading.Event()

def others():
    while not over.is_set():
        kept = [b"\\xff" * (900 + number) for number in range(300)]

threading.Thread(target=others).start()
with ThreadPoolExecutor(4) as pool:
    made = list(pool.map(lambda _: [bytes(table) for table in kernels.tables(Scheme.P256, points)], range(100)))
over.set()
print(sum(table != known for tables in made for table, known in zip(tables, right, strict=True)))
"""


@pytest.mark.usefixtures("kernels")
def test_tables_are_right_beside_threads_that_take_memory(pytestconfig):
    """With one pool of memory for all threads, whatever a kernel gave back too early is somebody else's at once."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", BESIDE, str(pytestconfig.cache.mkdir("kernels"))]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0"


@pytest.mark.parametrize("scheme", CURVES)
def test_scalars_at_the_edges(kernels, scheme):
    """Digests are chosen freely here, so that every factor, sum and point at an edge occurs; plain integers judge."""
    curve, rng = CURVES[scheme], random.Random(7)
    edges = [1, 2, 3, curve.n - 1, curve.n - 2, 1 << 255, (1 << 255) - 1, 1 << 20, 1 << 240, curve.n >> 1]
    edges += [rng.randrange(1, curve.n) for _ in range(4)]
    digests = [0, 1, curve.n - 1, curve.n, curve.n + 1, (1 << 256) - 1, rng.randrange(curve.n)]
    points, given, signatures = [], [], []
    for _ in range(160):
        d, r, s = rng.choice(edges), rng.choice(edges), rng.choice(edges)
        points.append(write_point(*multiply(curve, d, curve.base)))
        given.append(rng.choice(digests).to_bytes(32))
        if rng.random() < 0.5:  # make it hold: take the r that belongs to this nonce
            x, _ = multiply(curve, r, curve.base)
            e, nonce = int.from_bytes(given[-1]), r
            if scheme is Scheme.SM2:
                r = (e + x) % curve.n
                s = (pow(1 + d, -1, curve.n) * (nonce - r * d)) % curve.n if (1 + d) % curve.n else 0
            else:
                r = x % curve.n
                s = pow(nonce, -1, curve.n) * (e + r * d) % curve.n
        signatures.append(encode_dss_signature(r, s))
    expected = [plain.holds(curve, *each) for each in zip(points, given, signatures, strict=True)]
    assert reckoned(scheme, points, given, signatures, kernels) == expected
    assert 40 < sum(expected) < 120


def last_entry(curve, scalar: int, teeth: int, spacing: int) -> int:
    """What a comb adds in its last column, as a multiple of its point: each digit is +1 or -1."""
    sign, odd = (1, scalar) if scalar & 1 else (-1, curve.n - scalar)
    digits = odd >> 1 | 1 << (teeth * spacing - 1)
    return sign * sum((1 if digits >> spacing * tooth & 1 else -1) << spacing * tooth for tooth in range(teeth))


@pytest.mark.parametrize("scheme", CURVES)
@pytest.mark.parametrize("which", ["base", "key"])
def test_a_sum_that_meets_its_next_summand_is_doubled(kernels, scheme, which):
    """No chance leads there; a signer who chooses key and signature does."""
    curve, rng = CURVES[scheme], random.Random(11)
    for _ in range(6):
        u1, u2 = rng.randrange(1, curve.n), rng.randrange(1, curve.n)
        if which == "base":  # before the last addition of the base point the sum is that summand
            d = rng.randrange(1, curve.n)
            u2 = (2 * last_entry(curve, u1, 13, 20) - u1) * pow(d, -1, curve.n) % curve.n
        else:
            rest = u1 - last_entry(curve, u1, 13, 20)
            d = rest * pow(2 * last_entry(curve, u2, 8, 32) - u2, -1, curve.n) % curve.n
        point = write_point(*multiply(curve, d, curve.base))
        x = multiply(curve, (u1 + u2 * d) % curve.n, curve.base)[0] % curve.n
        if scheme is Scheme.SM2:
            r, s = (u2 - u1) % curve.n, u1
            e = (r - x) % curve.n
        else:
            r = x
            s = r * pow(u2, -1, curve.n) % curve.n
            e = u1 * s % curve.n
        seal = encode_dss_signature(r, s)
        assert plain.holds(curve, point, e.to_bytes(32), seal)
        assert reckoned(scheme, [point], [e.to_bytes(32)], [seal], kernels) == [True]


@pytest.mark.parametrize("scheme", CURVES)
def test_a_sum_that_is_infinity_is_refused(kernels, scheme):
    curve, d = CURVES[scheme], 12345
    point = write_point(*multiply(curve, d, curve.base))
    s = 67890
    if scheme is Scheme.SM2:  # s + (r + s) d = 0, and a digest for which x = 0 would do
        r = -s * (1 + d) * pow(d, -1, curve.n) % curve.n
        digest = r
    else:  # e + r d = 0
        r = 424242
        digest = -r * d % curve.n
    seal = encode_dss_signature(r, s)
    assert not plain.holds(curve, point, digest.to_bytes(32), seal)
    assert reckoned(scheme, [point], [digest.to_bytes(32)], [seal], kernels) == [False]


def test_a_signature_that_leaves_the_key_out_is_refused(kernels):
    """SM2 with r + s = n: the equation holds for every key, so the standard refuses it by name."""
    curve, s = SM2_CURVE, 67890
    r = curve.n - s
    digest = (r - multiply(curve, s, curve.base)[0]) % curve.n
    point, seal = write_point(*multiply(curve, 12345, curve.base)), encode_dss_signature(r, s)
    assert not plain.holds(curve, point, digest.to_bytes(32), seal)
    assert reckoned(Scheme.SM2, [point], [digest.to_bytes(32)], [seal], kernels) == [False]


@pytest.mark.parametrize("scheme", CURVES)
def test_an_abscissa_above_the_order_counts_modulo_it(kernels, scheme):
    """Nobody meets such a point by chance; it is found on purpose, and a key made that leads to it."""
    curve = CURVES[scheme]
    x = curve.n
    while True:
        x += 1
        right = (x * x * x - 3 * x + curve.b) % curve.p
        y = pow(right, (curve.p + 1) // 4, curve.p)
        if y * y % curve.p == right and x > curve.n:
            break
    assert curve.holds(x, y)
    digest, s = sha256(b"message"), 1000003
    e = int.from_bytes(digest)
    if scheme is Scheme.SM2:
        r = (e + x) % curve.n
        factor, other = pow(r + s, -1, curve.n), -s
    else:
        r = x - curve.n
        factor, other = pow(r, -1, curve.n) * s, -e * pow(s, -1, curve.n)
    total = multiply(curve, other % curve.n, curve.base)
    from changan.crypto.curves import add

    key = multiply(curve, factor % curve.n, add(curve, (x, y), total))
    point, seal = write_point(*key), encode_dss_signature(r, s)
    assert plain.holds(curve, point, digest, seal)
    assert reckoned(scheme, [point], [digest], [seal], kernels) == [True]
    if scheme is Scheme.P256:
        numbers = ec.EllipticCurvePublicNumbers(*key, ec.SECP256R1())
        PublicKey(numbers.public_key()).verify(b"message", seal, "SHA256")
    wrong = encode_dss_signature(r + 1, s)
    assert reckoned(scheme, [point], [digest], [wrong], kernels) == [False]


def test_sm3_of_every_length(kernels):
    rng = random.Random(3)
    prefixes = [rng.randbytes(32) for _ in range(300)]
    messages = [rng.randbytes(size) for size in range(300)]
    found = kernels.digests(prefixes, messages)
    assert [bytes(row) for row in found] == [sm3(z + message) for z, message in zip(prefixes, messages, strict=True)]
    assert [bytes(row) for row in kernels.digests([prefixes[0]], [b""])] == [sm3(prefixes[0])]


def test_a_batch_mixes_all_kinds_of_keys(verifier):
    edward = ed25519.Ed25519PrivateKey.generate()
    koblitz = ec.generate_private_key(ec.SECP256K1())
    sm, nist = signer(Scheme.SM2), signer(Scheme.P256)
    rows = [
        (sm.public, sm.sign(b"m"), "SM3"),
        (PublicKey(edward.public_key()), edward.sign(b"m"), "SHA256"),
        (PublicKey(koblitz.public_key()), koblitz.sign(b"m", ec.ECDSA(hashes.SHA256())), "SHA256"),
        *((nist.public, nist.private.sign(b"m", ec.ECDSA(algorithm)), name) for name, algorithm in _HASHES.items()),
    ]
    items = [Signed(key, b"m", seal, name) for key, seal, name in rows]
    bad = [item._replace(message=b"n") for item in items]
    unknown = [items[-1]._replace(hash_name="MD5"), items[0]._replace(hash_name="MD5")]
    for lane in (verifier, BatchVerifier()):
        assert lane.verify([*items, *bad, *unknown]) == [True] * len(items) + [False] * len(bad) + [False, True]
        assert lane.verify([]) == []
    assert set(_HASHES) == set(SIGNED_DIGESTS)
    assert [verifier.is_warm, BatchVerifier().is_warm] == [True, False]


def test_the_identifier_is_the_verifiers(kernels):
    sm = signer(Scheme.SM2)
    seal = sm.sign(b"m", b"ALICE123@YAHOO.COM")
    for identifier, held in ((b"ALICE123@YAHOO.COM", True), (b"1234567812345678", False), (b"", False)):
        lane = BatchVerifier(identifier=identifier)
        assert lane.verify([Signed(sm.public, b"m", seal, "SM3")]) == [held]
        lane.use(kernels)
        assert lane.verify([Signed(sm.public, b"m", seal, "SM3")]) == [held]
    with pytest.raises(MalformedError):
        BatchVerifier(identifier=bytes(9000))


def test_tables_stay_within_their_bound_while_threads_share_a_verifier(kernels):
    lane = BatchVerifier(table_bytes_max=5 * 8192)
    lane.use(kernels)
    signers = [signer(scheme, number) for number in range(2, 14) for scheme in CURVES]
    items = [Signed(one.public, b"m%d" % at, one.sign(b"m%d" % at), "SHA256") for at, one in enumerate(signers)]
    items += [item._replace(message=b"x") for item in items]
    expected = [True] * len(signers) + [False] * len(signers)
    wrong: list[str] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            order = rng.sample(range(len(items)), rng.randrange(1, len(items)))
            if lane.verify([items[at] for at in order]) != [expected[at] for at in order]:
                wrong.append("a verdict differs")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
    assert lane.keys <= 5
    many = items * (CHUNK // len(items) + 2)
    assert lane.verify(many) == expected * (CHUNK // len(items) + 2)


def test_a_batch_leaves_the_interpreter_to_others(verifier):
    sm = signer(Scheme.SM2)
    item = Signed(sm.public, bytes(300), sm.sign(bytes(300)), "SM3")
    verifier.verify([item])
    done = threading.Event()

    def work() -> None:
        for _ in range(20):
            assert all(verifier.verify([item] * CHUNK))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    turns = 0
    while not done.is_set():
        turns += 1
        time.sleep(0.0005)
    thread.join()
    # 20 calls of 15 ms: with the lock held throughout there would be a turn or two a call.
    assert turns > 100


def test_where_kernels_lie_must_be_ours(tmp_path, monkeypatch):
    place = tmp_path / "kernels"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(KernelsError, match="chmod 700"):
        warm(place)
    (tmp_path / "file").touch()
    with pytest.raises(KernelsError, match="cannot keep"):
        warm(tmp_path / "file")
    place.chmod(0o700)
    monkeypatch.setattr(kernels_module.sys, "executable", "/bin/false")
    with pytest.raises(KernelsError, match="not compiled"):
        warm(place)
    assert not list(place.glob("*/complete"))
    assert stat.S_IMODE(next(place.iterdir()).stat().st_mode) == 0o700
    monkeypatch.setattr(kernels_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(KernelsError, match=r"pip install 'changan\[speed\]'"):
        warm(place)


def test_kernels_that_judge_wrongly_do_not_serve(kernels, tmp_path, monkeypatch):
    for known in KNOWN:
        assert plain.holds(CURVES[known.scheme], known.point, known.digest, known.signature)
        for name, wrong in (
            ("verify", lambda *_: [True] * 3),
            ("verify", lambda *_: [False] * 3),
            ("digests", lambda *_: [bytes(32)]),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(kernels_module.Kernels, name, wrong)
                with pytest.raises(KernelsError, match="published"):
                    load(tmp_path)


def test_loading_again_gives_kernels_that_work(kernels, tmp_path):
    again = load(tmp_path)
    curve = SM2_CURVE
    point = write_point(*curve.base)
    assert read_point(curve, point) == curve.base
    seal = encode_dss_signature(5, 6)
    digest = hashlib.sha256(b"").digest()
    assert reckoned(Scheme.SM2, [point], [digest], [seal], again) == [plain.holds(curve, point, digest, seal)]


def test_kernels_compiled_of_other_sources_are_not_taken(tmp_path, monkeypatch):
    """Numba compiles anew, in the node itself, where its source lies elsewhere or has another time: these are other kernels."""
    named = {kernels_module._version()}
    for place in ("one", "other"):
        folder = tmp_path / place / "changan/crypto"
        shutil.copytree(Path(kernels_module.__file__).parent, folder / "batch")
        for source in ("curves.py", "round_constants.py"):
            shutil.copy(Path(kernels_module.__file__).parent.parent / source, folder)
        monkeypatch.setattr(kernels_module, "__file__", str(folder / "batch/kernels.py"))
        named.add(kernels_module._version())
    os.utime(folder / "batch/states.py", ns=(1, 1))
    named.add(kernels_module._version())
    (folder / "curves.py").write_text("", encoding="utf-8")
    named.add(kernels_module._version())
    assert len(named) == 5
    assert kernels_module._version() in named
