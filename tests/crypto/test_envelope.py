"""Secrets at rest: what is sealed opens with its password only, and no byte of it can be changed."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from changan.crypto import envelope
from changan.crypto.envelope import is_sealed, seal, unseal
from changan.crypto.keys import SigningKey
from changan.crypto.sm2 import Sm2PrivateKey
from changan.crypto.suite import Suite
from changan.errors import ChanganError, MalformedError, UnverifiedError


@pytest.fixture
def quick(monkeypatch):
    # The cost is not what is tried here.
    monkeypatch.setattr(envelope, "_COST", {Suite.INTERNATIONAL: 1 << 10, Suite.NATIONAL: 1000})
    monkeypatch.setattr(envelope, "_COSTS", dict.fromkeys(Suite, range(2, 1 << 15)))


def body(sealed: bytes) -> bytes:
    return b64decode(b"".join(sealed.splitlines()[1:-1]))


def wrapped(data: bytes) -> bytes:
    return b"-----BEGIN CHANGAN SEALED SECRET-----\n" + b64encode(data) + b"\n-----END CHANGAN SEALED SECRET-----\n"


@pytest.mark.parametrize("suite", Suite)
def test_a_key_rests_under_a_password(suite):
    pem = Sm2PrivateKey.generate().private_pem()
    sealed = seal(pem, b"secret", suite, secrets.token_bytes)
    assert is_sealed(sealed)
    assert not is_sealed(pem)
    assert unseal(sealed, b"secret") == pem
    assert SigningKey(unseal(sealed, b"secret")).public == SigningKey(pem).public
    assert seal(pem, b"secret", suite, secrets.token_bytes) != sealed
    with pytest.raises(UnverifiedError, match="password is wrong"):
        unseal(sealed, b"Secret")


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.usefixtures("quick")
def test_no_byte_can_be_changed(suite):
    data = body(seal(b"s", b"p", suite, secrets.token_bytes))
    assert data[:2] == bytes((1, suite))
    for at in range(len(data)):
        with pytest.raises(ChanganError):
            unseal(wrapped(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]), b"p")
    assert unseal(wrapped(data), b"p") == b"s"
    assert unseal(seal(b"", b"p", suite, secrets.token_bytes), b"p") == b""


def test_what_is_no_sealed_secret_is_said_so():
    good = body(seal(b"s", b"p", Suite.NATIONAL, secrets.token_bytes))
    far = good[:2] + (1 << 31).to_bytes(4, "big") + good[6:]
    for broken in (b"", b"x", wrapped(b""), wrapped(good[:40]), wrapped(b"\2" + good[1:]), wrapped(far)):
        with pytest.raises(MalformedError):
            unseal(broken, b"p")
    with pytest.raises(MalformedError, match="base64"):
        unseal(wrapped(good).replace(b"\n", b"\n!!!!", 1), b"p")
    with pytest.raises(MalformedError, match="suite 9"):
        unseal(wrapped(good[:1] + b"\x09" + good[2:]), b"p")
    with pytest.raises(MalformedError, match="empty password"):
        seal(b"s", b"", Suite.NATIONAL, secrets.token_bytes)
    with pytest.raises(MalformedError, match="at most"):
        seal(bytes(2 << 20), b"p", Suite.NATIONAL, secrets.token_bytes)


def test_sm4_in_gcm_is_the_published_one():
    """RFC 8998, A.1: the cipher that is used here, on a published example."""
    key, nonce = bytes.fromhex("0123456789abcdeffedcba9876543210"), bytes.fromhex("00001234567800000000abcd")
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    text = b"".join(bytes([byte]) * 8 for byte in (0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA))
    sealer = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
    sealer.authenticate_additional_data(aad)
    sealed = sealer.update(text) + sealer.finalize()
    assert sealed.hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    )
    assert sealer.tag.hex() == "83de3541e4c2b58177e065a9bf7b62ec"
