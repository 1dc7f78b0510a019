"""The fuzz targets over their seeds and a few hundred seeded mutations each: what `make fuzz` does for hours, in seconds."""

from __future__ import annotations

import base64
import random
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from changan.ledger.native import cert_manage
from changan.ledger.wire.messages import Payload
from consortium import NOW, Consortium, Ledger, org_name
from targets import TARGETS

FUZZ = Path(__file__).parent.parent / "fuzz"
MUTATIONS = 400
ANSWER_S_MAX = 1.0


def seeds(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((FUZZ / "corpus" / target).iterdir())]


def mutated(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 1, 2, 4, 16])):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << dice.randrange(8)
            case 1 if at < len(changed):
                changed[at] = dice.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 2:
                del changed[at : at + dice.randrange(1, 16)]
            case 3:
                changed[at:at] = dice.randbytes(dice.randrange(1, 16))
            case 4:
                other = dice.choice(others)
                start = dice.randrange(len(other) + 1)
                changed[at:at] = other[start : start + dice.randrange(64)]
            case _:
                changed[at:] = b""
    return bytes(changed)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_ends_only_as_its_decoder_promises(target):
    run, dice, known = TARGETS[target], random.Random(target), seeds(target)
    assert known
    run(b"")
    for data in [*known, *(mutated(dice.choice(known), dice, known) for _ in range(MUTATIONS))]:
        started = time.process_time()
        try:
            run(data)
        except Exception as error:
            raise AssertionError(f"{target}: {data.hex()}") from error
        assert time.process_time() - started < ANSWER_S_MAX, data.hex()


# What fuzzing found, as a member could have sent it


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger(Consortium())


@pytest.mark.parametrize("seed", ["issuer0", "issuer1"])
def test_a_revocation_list_whose_issuer_is_no_text_is_refused_in_words(ledger, seed):
    der = (FUZZ / "corpus" / "revocations" / seed).read_bytes()[1:]
    pem = b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(der) + b"-----END X509 CRL-----\n"
    result = ledger.call("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": pem}, endorsers=ledger.consortium.admins())
    assert result.contract_result.message == "params is error, [cert_crl] is not a certificate revocation list in PEM"


@pytest.mark.parametrize("method", ["TRUST_ROOT_ADD", "TRUST_ROOT_UPDATE", "TRUST_MEMBER_ADD"])
def test_a_certificate_with_an_extension_twice_is_refused_in_words_as_root_and_as_member(ledger, method):
    found = Payload.FromString((FUZZ / "corpus" / "config" / "duplicate_extension").read_bytes())
    pem = next(pair.value for pair in found.parameters if pair.key == "root")
    parameters = {
        "TRUST_ROOT_ADD": {"org_id": "another", "root": pem},
        "TRUST_ROOT_UPDATE": {"org_id": org_name(2), "root": pem},
        "TRUST_MEMBER_ADD": {"org_id": "abroad", "node_id": "n", "role": "client", "member_info": pem},
    }[method]
    before = ledger.world.config.SerializeToString()
    result = ledger.configure(
        method, parameters, sender=ledger.consortium.admin(2), endorsers=ledger.consortium.admins()
    )
    words = "trust member is empty" if "MEMBER" in method else "invalid PEM string for certificate"
    assert result.contract_result.message == words
    assert ledger.world.config.SerializeToString() == before


def test_a_root_whose_key_could_check_nothing_is_refused(ledger):
    key = ec.generate_private_key(ec.BrainpoolP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "strange")])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1).public_key(key.public_key())
    )
    builder = builder.not_valid_before(NOW).not_valid_after(NOW.replace(year=2030))
    made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, SHA256())
    parameters = {"org_id": "another", "root": made.public_bytes(Encoding.PEM)}
    result = ledger.configure("TRUST_ROOT_ADD", parameters, endorsers=ledger.consortium.admins())
    assert result.contract_result.message == "invalid PEM string for certificate"
    revoking = {"cert_crl": ledger.consortium.authorities[org_name(1)].revocation_list([7], NOW)}
    assert ledger.call("CERT_MANAGE", "CERTS_REVOKE", revoking, endorsers=ledger.consortium.admins()).code == 0


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("CERTS_FREEZE", "aliases"),
        ("CERTS_FREEZE", "certs"),
        ("CERTS_UNFREEZE", "cert_hashes"),
        ("CERTS_QUERY", "cert_hashes"),
    ],
)
def test_millions_of_names_are_refused_before_they_are_looked_at(ledger, method, parameter):
    ledger.call("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": "a"})
    started = time.process_time()
    endorsers = ledger.consortium.admins()
    result = ledger.call("CERT_MANAGE", method, {parameter: b"a," * 5_000_000}, endorsers=endorsers)
    assert result.contract_result.message == "params is error, 5000001 names at once, at most 1000 are allowed"
    assert time.process_time() - started < ANSWER_S_MAX


def test_the_longest_revocation_list_takes_less_than_a_second_and_a_longer_one_is_refused(ledger):
    authority, most = ledger.consortium.authorities[org_name(1)], cert_manage.REVOKED_AT_ONCE_MAX
    for count, expected in ((most + 1, f"the list holds {most + 1} entries, {most} are allowed"), (most, "OK")):
        revoked = authority.revocation_list(range(1, count + 1), NOW)
        endorsers = ledger.consortium.admins()
        request = ledger.request("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": revoked}, endorsers=endorsers)
        started = time.process_time()
        result = ledger.seal(request).block.txs[0].result
        assert time.process_time() - started < ANSWER_S_MAX
        assert expected in result.contract_result.message
