"""Certificates whose serial numbers are none."""

from __future__ import annotations

import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from changan.crypto import der
from changan.crypto.keys import SigningKey
from changan.errors import UnverifiedError
from changan.ledger.wire.messages import Member
from consortium import NOW, START, Ledger, org_name


@pytest.mark.parametrize(("number", "holds"), [(b"\x07", True), (b"\x00", False), (b"\x87", False)])
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_serial_numbers_are_positive(consortium, number, holds):
    """Of 0 and of negative ones libraries think differently, and organisations must not."""
    ledger = Ledger(consortium)
    authority = consortium.authorities[org_name(1)]
    made = authority.issue("client7", "client", "sign", NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem)
    fields = [part.encoded for part in der.elements(der.read(certificate.tbs_certificate_bytes, der.SEQUENCE).content)]
    fields[1] = der.write(der.INTEGER, number)
    outer = der.elements(der.read(certificate.public_bytes(Encoding.DER), der.SEQUENCE).content)
    signed = der.write(der.SEQUENCE, *fields)
    seal = SigningKey(authority.key_pem).sign(signed, "SHA256")
    pem = ssl.DER_cert_to_PEM_cert(
        der.write(der.SEQUENCE, signed, outer[1].encoded, der.write(der.BIT_STRING, b"\0", seal))
    )
    member = Member(org_id=org_name(1), member_info=pem.encode())
    if holds:
        assert ledger.world.members.identify(member, START).role == "CLIENT"
    else:
        with pytest.raises(UnverifiedError, match="serial number"):
            ledger.world.members.identify(member, START)
