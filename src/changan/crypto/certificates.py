"""Certificates and revocation lists of either suite: their keys, and whether an issuer signed them.

`cryptography` reads certificates with SM2 keys and SM2-with-SM3 signatures, but neither the key nor the signature.
Sources: RFC 5280, 4.1 and 5.1; GM/T 0015-2012.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from changan.crypto import der
from changan.crypto.keys import PublicKey, Scheme
from changan.crypto.sm2 import SIGNATURE_OID
from changan.errors import MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE_ALGORITHM = der.write(der.SEQUENCE, SIGNATURE_OID)
"""The encoded AlgorithmIdentifier of SM2 with SM3."""
SIGNATURE_ALGORITHM_WITH_NULL = der.write(der.SEQUENCE, SIGNATURE_OID, b"\x05\x00")
"""The same with parameters of NULL, as some issuers write it."""
NATIONAL_HASH = "SM3"

_SM2_WITH_SM3 = x509.ObjectIdentifier("1.2.156.10197.1.501")
_KEY_AFTER_VERSION = 5  # serial number, signature algorithm, issuer, validity, subject, key
# Three of its errors are no ValueError.
_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_LIST_SIGNERS = (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)


def read_pem(pem: bytes) -> x509.Certificate:
    """Return the certificate in a PEM text, read to its last field. Raises MalformedError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        # These are only decoded when they are asked for, and would fail then, wherever that is.
        _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.serial_number
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except _UNREADABLE as error:
        raise MalformedError(f"not a PEM certificate: {error}") from error
    return certificate


def public_key(certificate: x509.Certificate) -> PublicKey:
    """Return the key that a certificate is about. Raises UnverifiedError for one that is not admitted."""
    try:
        parts = tbs_parts(certificate.tbs_certificate_bytes)
        return PublicKey.from_der(parts[_KEY_AFTER_VERSION].encoded)
    except (MalformedError, IndexError) as error:
        raise UnverifiedError("the certificate's key does not decode") from error


def signature_hash(certificate: x509.Certificate) -> str:
    """Return the name of the digest in a certificate's signature, with which its holder signs. Raises UnverifiedError."""
    if certificate.signature_algorithm_oid == _SM2_WITH_SM3:
        return NATIONAL_HASH
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise UnverifiedError("the certificate's signature algorithm is not admitted") from error
    if algorithm is None:
        raise UnverifiedError("the certificate's signature algorithm names no digest")
    return algorithm.name.upper().replace("-", "_").replace("SHA_", "SHA")


def require_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Check that `issuer` is named in a certificate and signed it. Raises UnverifiedError.

    Whether the issuer may sign, and whether either is in time, is for whoever trusts it to say.
    """
    if certificate.issuer != issuer.subject:
        raise UnverifiedError("the certificate names another issuer")
    if certificate.signature_algorithm_oid == _SM2_WITH_SM3:
        encoded = certificate.public_bytes(Encoding.DER)
        _require_national(encoded, certificate.tbs_certificate_bytes, certificate.signature, issuer)
        return
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise UnverifiedError("the issuer's signature on the certificate does not hold") from error


def require_issued_list(revocations: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    """Check that `issuer` is named in a revocation list and signed it. Raises UnverifiedError."""
    if revocations.issuer != issuer.subject:
        raise UnverifiedError("the revocation list names another issuer")
    if revocations.signature_algorithm_oid == _SM2_WITH_SM3:
        encoded = revocations.public_bytes(Encoding.DER)
        _require_national(encoded, revocations.tbs_certlist_bytes, revocations.signature, issuer)
        return
    problem = "the issuer's signature on the revocation list does not hold"
    try:
        key = issuer.public_key()
        if isinstance(key, _LIST_SIGNERS) and revocations.is_signature_valid(key):
            return
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnverifiedError(problem) from error
    raise UnverifiedError(problem)


def tbs_parts(tbs: bytes) -> Sequence[der.Element]:
    """Return the fields of a certificate's signed part from the serial number on. Raises MalformedError."""
    parts = der.elements(der.read(tbs, der.SEQUENCE).content)
    return parts[1:] if parts and parts[0].tag == der.CONTEXT_0 else parts


def _require_national(encoded: bytes, tbs: bytes, signature: bytes, issuer: x509.Certificate) -> None:
    key = public_key(issuer)
    if key.scheme is not Scheme.SM2:
        raise UnverifiedError(f"the issuer's key is of {key.scheme.value} and cannot have signed with SM2")
    try:
        outer = der.elements(der.read(encoded, der.SEQUENCE).content)
    except MalformedError as error:
        raise UnverifiedError("the signed document is not canonical DER") from error
    # The algorithm stands inside and outside of what is signed, and must be one (RFC 5280, 4.1.1.2).
    algorithm = outer[1].encoded
    if algorithm not in {SIGNATURE_ALGORITHM, SIGNATURE_ALGORITHM_WITH_NULL} or algorithm not in _algorithms(tbs):
        raise UnverifiedError("the signature algorithm inside the signed part is another than outside")
    key.verify(tbs, signature, NATIONAL_HASH)


def _algorithms(tbs: bytes) -> list[bytes]:
    """Return the signature algorithm of a signed part: it follows the version and, in a certificate, the serial number."""
    parts = der.elements(der.read(tbs, der.SEQUENCE).content)
    return [part.encoded for part in parts[:3] if part.tag == der.SEQUENCE][:1]
