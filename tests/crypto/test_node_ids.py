"""Ids of nodes: base 58 against a second reading of it, ids against libp2p's own examples, and every text that is none."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.node_ids import RSA, base58, is_node_id, node_id, unbase58
from changan.crypto.varints import varint

BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Of the specification's examples, https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
EXAMPLES = [
    "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
    "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
]


def digits_by_hand(data: bytes) -> str:
    """Base 58 by long division on a list of octets, as one would do it on paper."""
    number, digits = list(data), ""
    while any(number):
        rest, quotient = 0, []
        for octet in number:
            rest = rest * 256 + octet
            quotient.append(rest // 58)
            rest %= 58
        digits, number = BITCOIN[rest] + digits, quotient
    leading = next((place for place, octet in enumerate(data) if octet), len(data))
    return "1" * leading + digits


@given(st.binary(max_size=64))
def test_base58_is_long_division(data):
    assert base58(data) == digits_by_hand(data)
    assert unbase58(base58(data)) == data


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\0", "1"),
        (b"\0\0\0", "111"),
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
        (bytes.fromhex("00010966776006953d5567439e5e39f86a0d273beed61967f6"), "16UwLL9Risc3QfPqBUvKofHmBQ7wMtjvM"),
    ],
)
def test_known_texts(data, text):
    assert base58(data) == text
    assert unbase58(text) == data


@pytest.mark.parametrize("digit", ["0", "O", "I", "l", "+", " ", "é", "１"])
def test_a_digit_that_base58_does_not_have(digit):
    assert unbase58(f"Qm{digit}x") is None
    assert not is_node_id(EXAMPLES[0][:10] + digit + EXAMPLES[0][11:])


def test_a_text_is_read_up_to_a_length():
    assert unbase58("z" * 128) is not None
    assert unbase58("z" * 129) is None


@given(st.integers(0, 2**70))
def test_a_varint_comes_back(number):
    data = varint(number)
    assert sum((octet & 0x7F) << 7 * place for place, octet in enumerate(data)) == number
    assert [octet >> 7 for octet in data] == [1] * (len(data) - 1) + [0]
    assert len(data) == max(1, -(-number.bit_length() // 7))


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_specification(text):
    assert is_node_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "Qm",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",  # a digit less
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5Nz",  # a digit more
        "1QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",  # a leading zero octet
        base58(b"\x12\x20" + bytes(31)),
        base58(b"\x12\x20" + bytes(33)),
        base58(b"\x12\x1f" + bytes(31)),
        base58(b"\x13\x20" + bytes(32)),  # another multihash
        base58(b"\x00\x24" + bytes(35)),
        base58(b"\x00\x24" + bytes(37)),
        base58(b"\x00\x00"),  # the identity of nothing
        base58(b"\x00"),
        "wx-org1.chainmaker.org",
        "x" * 10_000,
    ],
    ids=lambda text: text[:30],
)
def test_texts_that_are_no_ids(text):
    assert not is_node_id(text)


def spki(key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("make", "kind", "number"),
    [(lambda: ec.generate_private_key(ec.SECP256R1()), {}, 3), (lambda: rsa.generate_private_key(65537, 2048), {"kind": RSA}, 0)],
    ids=["P-256", "RSA"],
)  # fmt: skip
def test_an_id_is_the_digest_of_libp2ps_public_key(make, kind, number):
    """The message read back by protobuf's rules: field 1 is the kind, field 2 the key, and nothing follows."""
    der = spki(make())
    name = node_id(der, **kind)
    assert is_node_id(name)
    assert name.startswith("Qm")
    size = bytes([len(der)]) if len(der) < 128 else bytes([len(der) % 128 + 128, len(der) // 128])
    message = bytes([1 << 3, number, 2 << 3 | 2]) + size + der
    assert unbase58(name) == b"\x12\x20" + hashlib.sha256(message).digest()
    load_der_public_key(der)


def test_keys_of_one_form_have_ids_of_their_own():
    made = {node_id(spki(ec.generate_private_key(ec.SECP256R1()))) for _ in range(20)}
    assert len(made) == 20
    assert all(len(name) == 46 for name in made)


def test_the_identity_of_a_short_key_is_an_id_too():
    """libp2p writes keys of at most 42 octets into the id as they are: Ed25519."""
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    message = b"\x08\x01\x12\x20" + raw
    text = base58(b"\x00" + bytes([len(message)]) + message)
    assert text.startswith("12D3KooW")
    assert is_node_id(text)
