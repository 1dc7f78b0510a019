"""BLS multi-signatures: exactly the keys, exactly the message; and the same by other implementations."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.crypto import bls
from changan.errors import MalformedError, UnverifiedError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/bls/together.json").read_text())
ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
INFINITY_KEY = b"\xc0" + bytes(47)
INFINITY_SIGNATURE = b"\xc0" + bytes(95)
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("chia_rs") is None, reason="pip install 'changan[distilled]'"
)


@pytest.fixture(scope="module")
def secrets():
    pytest.importorskip("chia_rs")
    return [bls.BlsSigningKey.from_seed(bytes([n]) * 32) for n in range(6)]


def keys_of(secrets):
    return [secret.public for secret in secrets]


def negative(key: bytes) -> bytes:
    """Return the point across the axis: one bit of a compressed point says which of the two it is."""
    return bytes([key[0] ^ 0x20]) + key[1:]


def joined(secrets, message):
    return bls.join_shares([secret.sign_together(keys_of(secrets), message) for secret in secrets])


@settings(max_examples=25, deadline=None)
@given(chosen=st.sets(st.integers(0, 5), min_size=1), message=st.binary(max_size=100), order=st.randoms())
def test_it_holds_for_its_keys_in_any_order(secrets, chosen, message, order):
    some = [secrets[n] for n in sorted(chosen)]
    signature = joined(some, message)
    order.shuffle(some)
    bls.require_together(keys_of(some), message, signature)


@settings(max_examples=25, deadline=None)
@given(
    chosen=st.sets(st.integers(0, 5), min_size=1),
    others=st.lists(st.integers(0, 5), max_size=6),
    message=st.binary(max_size=40),
    other=st.binary(max_size=40),
)
def test_it_holds_for_no_other_keys_and_no_other_message(secrets, chosen, others, message, other):
    signature = joined([secrets[n] for n in sorted(chosen)], message)
    if sorted(others) != sorted(chosen):
        with pytest.raises(UnverifiedError, match="exactly these"):
            bls.require_together([secrets[n].public for n in others], message, signature)
    if other != message:
        with pytest.raises(UnverifiedError, match="this message"):
            bls.require_together([secrets[n].public for n in chosen], other, signature)


def test_shares_of_a_subset_are_not_the_whole(secrets):
    shares = [secret.sign_together(keys_of(secrets), b"m") for secret in secrets]
    for missing in range(len(shares)):
        part = bls.join_shares(shares[:missing] + shares[missing + 1 :])
        with pytest.raises(UnverifiedError):
            bls.require_together(keys_of(secrets), b"m", part)
        # nor do they serve for those who did sign: each signed for all together
        rest = keys_of(secrets[:missing] + secrets[missing + 1 :])
        with pytest.raises(UnverifiedError):
            bls.require_together(rest, b"m", part)


def test_a_share_cannot_pass_for_a_proof_nor_a_proof_for_a_share(secrets):
    one = secrets[0]
    share, proof = one.sign_together([one.public], b"m"), one.prove_possession(b"m")
    with pytest.raises(UnverifiedError):
        one.public.require_possession(b"m", share)
    with pytest.raises(UnverifiedError):
        bls.require_together([one.public], b"m", proof)


def test_a_proof_is_of_one_key_and_one_statement(secrets):
    proof = secrets[0].prove_possession(b"whose")
    secrets[0].public.require_possession(b"whose", proof)
    for key, statement, tried in [
        (secrets[1].public, b"whose", proof),
        (secrets[0].public, b"another's", proof),
        (secrets[0].public, b"whose", proof[:-1]),
        (secrets[0].public, b"whose", proof + b"\0"),
        (secrets[0].public, b"whose", bytes(96)),
        (secrets[0].public, b"whose", INFINITY_SIGNATURE),
    ]:
        with pytest.raises(UnverifiedError, match="sign it again"):
            key.require_possession(statement, tried)


def test_keys_that_cancel_out_sign_nothing(secrets):
    pair = [secrets[0].public, bls.BlsKey(negative(secrets[0].public.data))]
    for keys in (pair, []):
        with pytest.raises(UnverifiedError):
            bls.require_together(keys, b"m", INFINITY_SIGNATURE)


def test_a_rogue_key_would_sign_for_a_victim_but_has_no_proof(secrets):
    """Why possession is proved: key = own - victim makes the sum the attacker's own."""
    chia = pytest.importorskip("chia_rs")
    victim, attacker = secrets[0], secrets[1]
    points = [chia.G1Element.from_bytes(data) for data in (attacker.public.data, negative(victim.public.data))]
    rogue = bls.BlsKey(bytes(points[0] + points[1]))
    forged = attacker.sign_together([attacker.public], b"pay me")
    bls.require_together([victim.public, rogue], b"pay me", forged)  # the attack works where nothing is proved
    for proof in (attacker.prove_possession(b"mine"), forged, INFINITY_SIGNATURE):
        with pytest.raises(UnverifiedError):
            rogue.require_possession(b"mine", proof)


@needs_library
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "48 bytes, not 0"),
        (bytes(47), "48 bytes"),
        (bytes(49), "48 bytes"),
        (bytes(48), "no point"),
        (b"\xff" * 48, "no point"),
        (INFINITY_KEY, "infinity"),
        (b"\xc0" + bytes(46) + b"\1", "no point"),
        (bytes.fromhex(VECTORS["outside_the_subgroup"]), "no point"),
    ],
)
def test_what_is_no_key(data, words):
    with pytest.raises(MalformedError, match=words):
        bls.BlsKey(data)


@needs_library
@pytest.mark.parametrize(
    "secret", [b"", bytes(31), bytes(30) + b"\1", bytes(32) + b"\1", bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32]
)
def test_what_is_no_private_key(secret):
    with pytest.raises(MalformedError, match="32 bytes, a number from 1"):
        bls.BlsSigningKey(secret)


@needs_library
def test_a_short_seed_and_a_bad_share_are_refused():
    with pytest.raises(MalformedError, match="at least 32"):
        bls.BlsSigningKey.from_seed(bytes(31))
    with pytest.raises(MalformedError, match="no BLS signature"):
        bls.join_shares([bytes(96)])


def test_a_private_key_is_never_shown(secrets):
    assert "BlsSigningKey object" in repr(secrets[0])


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "chia_rs", None)
    for attempt in (
        lambda: bls.BlsKey(INFINITY_KEY),
        lambda: bls.BlsSigningKey(bytes(31) + b"\1"),
        lambda: bls.join_shares([]),
        lambda: bls.require_together([], b"", INFINITY_SIGNATURE),
    ):
        with pytest.raises(bls.BlsMissingError, match=r"pip install 'changan\[distilled\]'"):
            attempt()


@needs_library
@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["what"])
def test_golden_vectors_by_another_implementation(case):
    keys = [bls.BlsKey(bytes.fromhex(key)) for key in case["keys"]]
    message, signature = bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])
    if case["holds"]:
        bls.require_together(keys, message, signature)
    else:
        with pytest.raises(UnverifiedError):
            bls.require_together(keys, message, signature)


@needs_library
@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["what"])
def test_plain_pairings_agree(case):
    other = importlib.import_module("py_arkworks_bls12381")
    total = other.G1Point.identity()
    for key in case["keys"]:
        total += other.G1Point.from_compressed_bytes(bytes.fromhex(key))
    message = bytes(total.to_compressed_bytes()) + b"changan.bls.together.1\x00" + bytes.fromhex(case["message"])
    point = other.G2Point.hash_to_curve(message, b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_")
    signature = other.G2Point.from_compressed_bytes(bytes.fromhex(case["signature"]))
    left, right = other.GT.pairing(total, point), other.GT.pairing(other.G1Point(), signature)
    assert (left == right and total != other.G1Point.identity()) == case["holds"]


@settings(max_examples=15, deadline=None)
@given(chosen=st.sets(st.integers(0, 5), min_size=2), message=st.binary(max_size=40))
def test_whose_share_does_not_hold_is_found(secrets, chosen, message):
    some = [secrets[n] for n in sorted(chosen)]
    keys = keys_of(some)
    whole = bls.sum_key(keys)
    for secret in some:
        share = secret.sign_together(keys, message)
        assert secret.sign_together([whole], message) == share  # the sum stands for all of them
        bls.require_share(secret.public, keys, message, share)
        bls.require_share(secret.public, [whole], message, share)
        others = keys[1:] if len(keys) > 2 else [keys[0], keys[0]]
        for wrong in (
            (some[0].public if secret is not some[0] else some[1].public, keys, message, share),
            (secret.public, others, message, share),
            (secret.public, keys, message + b"x", share),
            (secret.public, keys, message, secret.prove_possession(message)),
            (secret.public, keys, message, INFINITY_SIGNATURE),
        ):
            with pytest.raises(UnverifiedError, match="not that of this key"):
                bls.require_share(*wrong)
    for nothing in (b"", b"\xff" * 96, share[:-1]):
        with pytest.raises(UnverifiedError, match="no BLS signature"):
            bls.require_share(some[0].public, keys, message, nothing)


def test_a_sum_at_infinity_is_no_key(secrets):
    opposite = bls.BlsKey(negative(secrets[0].public.data))
    with pytest.raises(MalformedError, match="infinity"):
        bls.sum_key([secrets[0].public, opposite])
