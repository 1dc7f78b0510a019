"""SM2 with SM3: the standard's vectors, the identifier, the forms of its keys, and OpenSSL's command line as a judge."""

from __future__ import annotations

import copy
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto import der, libcrypto
from changan.crypto.addresses import keccak256, user_address
from changan.crypto.batch import plain
from changan.crypto.curves import P256_CURVE, SM2_CURVE, add, multiply, read_point, write_point
from changan.crypto.digest import sha256, sm3
from changan.crypto.keys import PublicKey, Scheme, SigningKey
from changan.crypto.sm2 import Sm2PrivateKey, Sm2PublicKey, z_value
from changan.errors import MalformedError, UnverifiedError

# GM/T 0003.5-2012, A.2: the signature example on the recommended curve.
NUMBER = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
POINT = bytes.fromhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
Z = "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
E = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
SIGNATURE = encode_dss_signature(
    0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
    0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
)
MESSAGE = b"message digest"


def openssl(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["openssl", *arguments], capture_output=True, timeout=60, check=False, **options)


def test_the_standards_example():
    key = Sm2PrivateKey.from_number(NUMBER)
    assert key.public.point == POINT
    assert multiply(SM2_CURVE, NUMBER, SM2_CURVE.base) == read_point(SM2_CURVE, POINT)
    assert z_value(POINT).hex() == Z
    assert sm3(z_value(POINT) + MESSAGE).hex() == E
    assert key.public.holds(MESSAGE, SIGNATURE)
    assert plain.holds(SM2_CURVE, POINT, bytes.fromhex(E), SIGNATURE)
    PublicKey(key.public).verify(MESSAGE, SIGNATURE, "SM3")


def test_the_curves_are_what_they_say():
    for curve in (SM2_CURVE, P256_CURVE):
        assert curve.holds(*curve.base)
        assert multiply(curve, curve.n, curve.base) is None
        minus = (curve.gx, curve.p - curve.gy)
        assert add(curve, curve.base, minus) is None
        assert multiply(curve, curve.n - 1, curve.base) == minus
        assert multiply(curve, 0, curve.base) is None


def test_the_identifier_is_part_of_what_is_signed():
    key = Sm2PrivateKey.from_number(NUMBER)
    for own in (b"1234567812345678", b"", b"ALICE123@YAHOO.COM", bytes(8190)):
        signature = key.sign(MESSAGE, own)
        for other in (b"1234567812345678", b"", b"ALICE123@YAHOO.COM"):
            assert key.public.holds(MESSAGE, signature, other) is (own == other)
        digest = sm3(z_value(POINT, own) + MESSAGE)
        assert plain.holds(SM2_CURVE, POINT, digest, signature)
    for use in (key.sign, lambda message, identifier: key.public.holds(message, SIGNATURE, identifier)):
        with pytest.raises(MalformedError, match="8190"):
            use(MESSAGE, bytes(8191))


def test_a_signing_key_of_sm2_is_like_any_other(tmp_path):
    key = SigningKey(Sm2PrivateKey.generate().private_pem())
    public = key.public
    assert public.scheme is Scheme.SM2
    assert PublicKey.from_der(public.der) == public
    # The digest that a chain names for others does not matter: SM2 signs with SM3.
    signature = key.sign(b"message", "SHA256")
    public.verify(b"message", signature, "SM3")
    for message, seal in ((b"massage", signature), (b"message", signature + b"\0"), (b"message", bytes(2000))):
        with pytest.raises(UnverifiedError):
            public.verify(message, seal, "SM3")
    with pytest.raises(UnverifiedError):
        public.verify(b"message", signature, "SM3", identifier=b"someone")
    assert repr(key) == "SigningKey(hidden)"
    for leak in (key, Sm2PrivateKey.generate()):
        with pytest.raises(TypeError):
            copy.deepcopy(leak)
    again = copy.deepcopy(public)
    assert again == public
    again.verify(b"message", signature, "SM3")
    assert user_address(public, 2, sha256) == keccak256(public.point[1:])[12:]
    assert user_address(public, 1, sm3) == sm3(public.point)[:20]
    # OpenSSL checks what we sign, and we check what OpenSSL signs.
    (tmp_path / "message").write_bytes(b"message")
    (tmp_path / "seal").write_bytes(signature)
    (tmp_path / "public.pem").write_bytes(
        openssl("pkey", "-pubin", "-inform", "DER", input=public.der).stdout,
    )
    check = ["-verify", "-pubin", "-inkey", tmp_path / "public.pem", "-sigfile", tmp_path / "seal"]
    common = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-in", tmp_path / "message"]
    assert openssl("pkeyutl", *check, *common).returncode == 0
    other = Sm2PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(other.private_pem())
    made = openssl("pkeyutl", "-sign", "-inkey", tmp_path / "key.pem", *common)
    assert other.public.holds(b"message", made.stdout)


def test_private_keys_have_the_form_that_the_official_sdk_signs_with():
    pem = Sm2PrivateKey.from_number(NUMBER).private_pem()
    whole = der.elements(der.read(_body(pem), der.SEQUENCE).content)
    inner = der.elements(der.read(whole[2].content, der.SEQUENCE).content)
    assert inner[1].content == NUMBER.to_bytes(32)
    assert inner[2].tag == 0xA0  # curve
    assert inner[2].content.hex() == "06082a811ccf5501822d"
    assert inner[3].content.endswith(POINT)
    assert b"ASN1 OID: SM2" in openssl("pkey", "-noout", "-text", input=pem).stdout


def test_private_keys_are_read_in_every_form_that_openssl_writes():
    pem = Sm2PrivateKey.generate().private_pem()
    public = Sm2PrivateKey.from_pem(pem).public
    for cipher in ("aes-256-cbc", "sm4-cbc"):
        sealed = openssl("pkcs8", "-topk8", "-v2", cipher, "-passout", "pass:secret", input=pem).stdout
        assert SigningKey(sealed, b"secret").public == PublicKey(public)
        for wrong in (b"other", None, b"sec\0ret"):
            with pytest.raises(MalformedError):
                SigningKey(sealed, wrong)
    written = openssl("genpkey", "-algorithm", "SM2").stdout
    assert SigningKey(written).public.scheme is Scheme.SM2
    for broken in (b"", b"nothing", pem[:-40], pem.replace(b"MIGT", b"MIGU")):
        with pytest.raises(MalformedError):
            SigningKey(broken)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(MalformedError, match="none of SM2"):
        Sm2PrivateKey.from_pem(other)
    for number in (0, SM2_CURVE.n - 1, SM2_CURVE.n, -1):
        with pytest.raises(MalformedError):
            Sm2PrivateKey.from_number(number)


def test_public_keys_that_are_none_are_refused():
    good = Sm2PublicKey(POINT).der
    off = POINT[:-1] + bytes([POINT[-1] ^ 1])
    x = int.from_bytes(POINT[1:33])
    unreduced = write_point(x, 0)[:33] + POINT[33:]
    assert unreduced == POINT
    bad_points = [
        off,
        bytes([2]) + POINT[1:33],  # compressed: another form of a good point
        bytes([6]) + POINT[1:],  # hybrid
        b"\0",  # infinity
        bytes(65),
        b"\4" + bytes(64),
        write_point(*P256_CURVE.base),
        POINT + b"\0",
        b"\4" + SM2_CURVE.p.to_bytes(32) + bytes(32),
    ]
    for point in bad_points:
        with pytest.raises(MalformedError):
            Sm2PublicKey(point)
    for encoded in (good[:-65] + off, good + b"\0", good[:-1], good[:-65] + write_point(*P256_CURVE.base), b""):
        with pytest.raises(UnverifiedError):
            PublicKey.from_der(encoded)
    # SM2's base point under the name of P-256 is no point there.
    with pytest.raises(UnverifiedError):
        PublicKey.from_der(good.replace(bytes.fromhex("06082a811ccf5501822d"), bytes.fromhex("06082a8648ce3d030107")))


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_any_bytes_are_refused_and_any_message_signs(noise, message):
    key = Sm2PrivateKey.from_number(NUMBER)
    with pytest.raises(UnverifiedError):
        PublicKey(key.public).verify(message, noise, "SM3")
    assert key.public.holds(message, key.sign(message))


@given(st.lists(st.tuples(st.sampled_from([2, 4, 0x30, 0xA0]), st.binary(max_size=300)), max_size=4))
def test_der_reads_what_it_writes(parts):
    content = b"".join(der.write(tag, body) for tag, body in parts)
    assert [(part.tag, part.content) for part in der.elements(content)] == parts
    whole = der.write(der.SEQUENCE, content)
    assert der.read(whole, der.SEQUENCE).content == content
    for broken in (whole + b"\0", whole[:-1], b"\x30\x80" + content + b"\0\0", b"\x30\x82\0" + whole[1:]):
        with pytest.raises(MalformedError):
            der.read(broken, der.SEQUENCE)
    with pytest.raises(MalformedError, match="tag"):
        der.read(whole, der.INTEGER)


def test_a_system_without_sm2_is_told_what_to_install(monkeypatch):
    libcrypto.load.cache_clear()
    monkeypatch.setattr(libcrypto, "_NAMES", ("libcrypto-that-is-not-there.so",))
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libc.so.6")
    try:
        with pytest.raises(libcrypto.LibcryptoError, match=r"libc\.so\.6 is older than 3\.0.*apt install libssl3"):
            libcrypto.load()
    finally:
        libcrypto.load.cache_clear()


def _body(pem: bytes) -> bytes:
    from base64 import b64decode

    return b64decode(b"".join(pem.splitlines()[1:-1]))
