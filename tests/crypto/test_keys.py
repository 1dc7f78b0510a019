"""Keys: what verifies, what must not, and that a private key keeps to itself."""

from __future__ import annotations

import copy

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.addresses import contract_address, keccak256, user_address
from changan.crypto.digest import digest_named, sha256, tagged
from changan.crypto.keys import PublicKey, SigningKey
from changan.crypto.suite import Suite, algorithms, require_admitted, require_built, suite_named
from changan.errors import MalformedError, UnverifiedError

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = ec.derive_private_key(7, ec.SECP256R1())


def pem(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public(key) -> PublicKey:
    return PublicKey.from_der(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1()])
def test_every_admitted_curve_signs_and_verifies(curve):
    key = SigningKey(pem(ec.generate_private_key(curve)))
    signature = key.sign(b"message", "SHA256")
    key.public.verify(b"message", signature, "SHA256")
    for message, seal, name in [
        (b"massage", signature, "SHA256"),
        (b"message", signature, "SHA384"),
        (b"message", b"", "SHA256"),
    ]:
        with pytest.raises(UnverifiedError):
            key.public.verify(message, seal, name)
    with pytest.raises(UnverifiedError, match="digest"):
        key.public.verify(b"message", signature, "MD5")


def test_rsa_signs_and_small_rsa_is_refused():
    key = SigningKey(pem(rsa.generate_private_key(65537, 2048)))
    key.public.verify(b"message", key.sign(b"message", "SHA256"), "SHA256")
    with pytest.raises(UnverifiedError, match="1024"):
        PublicKey(rsa.generate_private_key(65537, 1024).public_key())


def test_ed25519_signs_whatever_digest_the_chain_names():
    key = SigningKey(pem(ed25519.Ed25519PrivateKey.generate()))
    signature = key.sign(b"message", "SHA256")
    assert len(signature) == 64
    assert len(key.public.point) == 32
    assert PublicKey.from_der(key.public.der) == key.public
    key.public.verify(b"message", signature, "SM3")
    for seal in (signature[:-1], signature + b"\0", bytes(64)):
        with pytest.raises(UnverifiedError):
            key.public.verify(b"message", seal, "SHA256")
    assert user_address(key.public, 2, sha256) == keccak256(key.public.point)[12:]


def test_other_keys_sign_on_a_chain_that_digests_with_sm3():
    for private in (KEY, rsa.generate_private_key(65537, 2048)):
        key = SigningKey(pem(private))
        signature = key.sign(b"message", "SM3")
        key.public.verify(b"message", signature, "SM3")
        with pytest.raises(UnverifiedError):
            key.public.verify(b"massage", signature, "SM3")
    # SM3 has no number in PKCS#1: ChainMaker signs with SHA-256 instead.
    key.public.verify(b"message", signature, "SHA256")


def test_malformed_signatures_do_not_verify():
    signature = KEY.sign(b"m", ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(signature)
    bad = [
        signature + b"\x00",
        signature[:-1],
        encode_dss_signature(0, s),
        encode_dss_signature(r, 0),
        encode_dss_signature(P256_ORDER, s),
        encode_dss_signature(r, s + P256_ORDER),
        encode_dss_signature(r, P256_ORDER - s)[:-1],
        b"\x30\x81" + signature[1:],  # a long form of the length
        b"\x30" + bytes([signature[1] + 1]) + b"\x02" + bytes([signature[3] + 1]) + b"\x00" + signature[4:],  # padded r
        b"\x00" * 70,
        b"\x30\x00",
        bytes(5000),
    ]
    for seal in bad:
        with pytest.raises(UnverifiedError):
            public(KEY).verify(b"m", seal, "SHA256")


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_in_words(data):
    with pytest.raises(UnverifiedError):
        public(KEY).verify(b"m", data, "SHA256")
    with pytest.raises(UnverifiedError):
        PublicKey.from_der(data)


def test_other_kinds_of_keys_are_refused():
    with pytest.raises(UnverifiedError):
        public(ed448.Ed448PrivateKey.generate())
    with pytest.raises(UnverifiedError):
        PublicKey(ec.generate_private_key(ec.BrainpoolP256R1()).public_key())
    with pytest.raises(MalformedError):
        SigningKey(pem(ed448.Ed448PrivateKey.generate()))
    with pytest.raises(MalformedError):
        SigningKey(b"nothing")


def test_a_signing_key_keeps_to_itself():
    key = SigningKey(pem(KEY))
    assert repr(key) == str(key) == "SigningKey(hidden)"
    for leak in (copy.copy, copy.deepcopy, lambda secret: secret.__reduce__()):
        with pytest.raises(TypeError):
            leak(key)


def test_addresses_of_a_known_key_and_known_contracts():
    one = ec.derive_private_key(1, ec.SECP256K1())
    assert user_address(public(one), 2, sha256).hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"  # Ethereum's key 1
    assert contract_address("EVM_ERC202", 2) == "ea9c7f588e2bce761ae33ac5bf31092abefb1aae"
    assert contract_address("CHAIN_CONFIG", 2) == "01d852a94fc19d5351e178cd6e87a78e482d5758"
    assert contract_address("token", 1).startswith("ZX")
    assert len(user_address(public(one), 1, sha256)) == len(user_address(public(one), 0, sha256)) == 20
    assert user_address(public(one), 0, sha256) == keccak256(sha256(public(one).point))[12:]
    with pytest.raises(MalformedError):
        user_address(public(one), 3, sha256)


def test_digests_by_name():
    assert digest_named("SHA256")(b"abc").hex().startswith("ba7816bf")
    assert digest_named("SHA3_256")(b"abc").hex().startswith("3a985da7")
    assert digest_named("SM3")(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    with pytest.raises(MalformedError):
        digest_named("MD5")
    assert tagged(b"t", b"ab", b"c") != tagged(b"t", b"a", b"bc")


def test_suites():
    assert [require_built(number) for number in (1, 2)] == [suite_named("intl"), suite_named("gm")]
    for number in (0, 3):
        with pytest.raises(UnverifiedError):
            require_built(number)
    with pytest.raises(MalformedError, match="intl, gm"):
        suite_named("fips")
    for suite in Suite:
        found = algorithms(suite)
        assert found.suite is suite
        assert found.digest is digest_named(found.digest_name)
        assert found.scheme in found.schemes
    require_admitted(public(KEY), {Suite.INTERNATIONAL})
    with pytest.raises(UnverifiedError, match="P-256"):
        require_admitted(public(KEY), {Suite.NATIONAL})
