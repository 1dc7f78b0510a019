"""The system's libcrypto (OpenSSL 3.0 or newer), bound for what `cryptography` lacks: SM2 keys and signatures.

Calls release the interpreter's lock. Private keys are used inside the library only, where signing is constant-time.
Source: the manual pages EVP_DigestSign(3), EVP_PKEY_CTX_set1_id(3), PEM_read_bio_PrivateKey(3), d2i_PUBKEY(3).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import weakref
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p, create_string_buffer
from functools import cache
from typing import Final, Never

from changan.errors import ChanganError, MalformedError

_NAMES: Final = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib", "libcrypto-3-x64.dll", "libcrypto.so")
_OLDEST: Final = 0x30000000
_SIGNATURE_BYTES_MAX: Final = 72
_POINTERS: Final = POINTER(c_void_p)

_Signature = tuple[type[object] | None, tuple[type[object], ...]]
_FUNCTIONS: Final[dict[str, _Signature]] = {
    "OpenSSL_version_num": (c_ulong, ()),
    "ERR_clear_error": (None, ()),
    "EVP_sm3": (c_void_p, ()),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, (c_void_p, c_char_p, c_char_p)),
    "EVP_PKEY_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_keygen_init": (c_int, (c_void_p,)),
    "EVP_PKEY_generate": (c_int, (c_void_p, _POINTERS)),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "EVP_PKEY_is_a": (c_int, (c_void_p, c_char_p)),
    "EVP_MD_CTX_new": (c_void_p, ()),
    "EVP_MD_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_CTX_set1_id": (c_int, (c_void_p, c_char_p, c_int)),
    "EVP_DigestSignInit": (c_int, (c_void_p, _POINTERS, c_void_p, c_void_p, c_void_p)),
    "EVP_DigestSign": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_DigestVerifyInit": (c_int, (c_void_p, _POINTERS, c_void_p, c_void_p, c_void_p)),
    "EVP_DigestVerify": (c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
    "d2i_PUBKEY": (c_void_p, (c_void_p, POINTER(c_char_p), c_long)),
    "i2d_PUBKEY": (c_int, (c_void_p, _POINTERS)),
    "i2d_PrivateKey": (c_int, (c_void_p, _POINTERS)),
    "BIO_new_mem_buf": (c_void_p, (c_char_p, c_int)),
    "BIO_free": (c_int, (c_void_p,)),
    "PEM_read_bio_PrivateKey": (c_void_p, (c_void_p, c_void_p, c_void_p, c_char_p)),
}


class LibcryptoError(ChanganError):
    """The system has no libcrypto that does SM2, or a call that cannot fail failed."""


class Sm2Pair:
    """An SM2 key inside the library: the public half, or both."""

    __slots__ = ("__weakref__", "handle")

    def __init__(self, handle: int) -> None:
        self.handle = handle
        weakref.finalize(self, load().EVP_PKEY_free, handle)

    def __reduce__(self) -> Never:
        # A copy would name memory that the original frees.
        raise TypeError("a key inside the library is not copied or serialised")


@cache
def load() -> ctypes.CDLL:
    """Return the library with the functions that are used here. Raises LibcryptoError where the system has none."""
    seen = []
    for name in (*_NAMES, ctypes.util.find_library("crypto")):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is None:
            continue
        lack = _lack_of(library)
        if lack is None:
            return library
        seen.append(f"{name} {lack}")
    found = f"found: {'; '.join(seen)}" if seen else "none was found"
    raise LibcryptoError(
        f"SM2 needs the system's libcrypto (OpenSSL) 3.0 or newer, with SM2 and SM3, and {found}. "
        "Debian and Ubuntu: apt install libssl3; RHEL: dnf install openssl-libs; macOS: brew install openssl@3"
    )


def generate_sm2() -> Sm2Pair:
    """Make an SM2 key pair with the library's own generator of random numbers. Raises LibcryptoError."""
    library = load()
    context = library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
    handle = c_void_p()
    try:
        _require(library.EVP_PKEY_keygen_init(context) == 1, "a key generator")
        _require(library.EVP_PKEY_generate(context, byref(handle)) == 1, "a key")
    finally:
        library.EVP_PKEY_CTX_free(context)
    assert handle.value is not None
    return Sm2Pair(handle.value)


def public_from_der(der: bytes) -> Sm2Pair:
    """Read the SubjectPublicKeyInfo of an SM2 key. Raises MalformedError."""
    library = load()
    handle = library.d2i_PUBKEY(None, byref(c_char_p(der)), len(der))
    return _sm2(handle, "public key")


def pair_from_pem(pem: bytes, password: bytes | None = None) -> Sm2Pair:
    """Read a private SM2 key in PEM: PKCS#8, encrypted PKCS#8, or an ECPrivateKey. Raises MalformedError."""
    if b"\0" in (password or b""):
        raise MalformedError("a password for a key file cannot hold a zero byte")
    library = load()
    bio = library.BIO_new_mem_buf(pem, len(pem))
    _require(bool(bio), "a buffer")
    try:
        # Without a password the library would ask for one on the terminal; an empty one only fails.
        handle = library.PEM_read_bio_PrivateKey(bio, None, None, password or b"")
    finally:
        library.BIO_free(bio)
    return _sm2(handle, "private key")


def public_der(pair: Sm2Pair) -> bytes:
    """Return the SubjectPublicKeyInfo."""
    return _encoded("i2d_PUBKEY", pair)


def private_der(pair: Sm2Pair) -> bytes:
    """Return the ECPrivateKey (RFC 5915). Secret."""
    return _encoded("i2d_PrivateKey", pair)


def sign_sm2(pair: Sm2Pair, message: bytes, identifier: bytes) -> bytes:
    """Return SM2-with-SM3 over `message`, DER. Raises LibcryptoError."""
    library = load()
    context = library.EVP_MD_CTX_new()
    signature = create_string_buffer(_SIGNATURE_BYTES_MAX)
    size = c_size_t(_SIGNATURE_BYTES_MAX)
    key_context = c_void_p()
    try:
        begun = library.EVP_DigestSignInit(context, byref(key_context), library.EVP_sm3(), None, pair.handle) == 1
        named = begun and library.EVP_PKEY_CTX_set1_id(key_context, identifier, len(identifier)) == 1
        _require(named, "a signature")
        signed = library.EVP_DigestSign(context, signature, byref(size), message, len(message))
        _require(signed == 1, "a signature")
    finally:
        library.EVP_MD_CTX_free(context)
    return signature.raw[: size.value]


def sm2_holds(pair: Sm2Pair, message: bytes, signature: bytes, identifier: bytes) -> bool:
    """Whether SM2-with-SM3 over `message` holds. The library itself refuses what is not canonical DER."""
    library = load()
    context = library.EVP_MD_CTX_new()
    key_context = c_void_p()
    try:
        begun = library.EVP_DigestVerifyInit(context, byref(key_context), library.EVP_sm3(), None, pair.handle) == 1
        named = begun and library.EVP_PKEY_CTX_set1_id(key_context, identifier, len(identifier)) == 1
        _require(named, "a check of a signature")
        if library.EVP_DigestVerify(context, signature, len(signature), message, len(message)) == 1:
            return True
        library.ERR_clear_error()
        return False
    finally:
        library.EVP_MD_CTX_free(context)


def _lack_of(library: ctypes.CDLL) -> str | None:
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except AttributeError:
        return "is older than 3.0"
    if library.OpenSSL_version_num() < _OLDEST:
        return "is older than 3.0"
    context = library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
    if not context or not library.EVP_sm3():
        library.ERR_clear_error()
        return "is built without SM2"
    library.EVP_PKEY_CTX_free(context)
    return None


def _sm2(handle: int | None, kind: str) -> Sm2Pair:
    library = load()
    if not handle:
        library.ERR_clear_error()
        raise MalformedError(f"the {kind} does not decode")
    pair = Sm2Pair(handle)
    if library.EVP_PKEY_is_a(handle, b"SM2") != 1:
        raise MalformedError(f"the {kind} is none of SM2")
    return pair


def _encoded(function: str, pair: Sm2Pair) -> bytes:
    encode = getattr(load(), function)
    size = encode(pair.handle, None)
    _require(size > 0, "an encoding")
    buffer = create_string_buffer(size)
    # The function moves the pointer that it is given, so it gets one of its own.
    _require(encode(pair.handle, byref(c_void_p(ctypes.addressof(buffer)))) == size, "an encoding")
    return buffer.raw


def _require(held: bool, what: str) -> None:  # noqa: FBT001 - the one condition
    if not held:
        load().ERR_clear_error()
        raise LibcryptoError(f"libcrypto did not make {what}")
