"""The recorded chain of a real node on SM2 and SM3: every hash and signature comes out the same here, by more than one way."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from test_vectors import VECTORS, check_block
from test_vectors_in_full import check_noted, noted

from changan.client.requests import Signer, make_payload, sign_request
from changan.crypto import certificates
from changan.crypto.batch import plain
from changan.crypto.curves import SM2_CURVE, multiply, write_point
from changan.crypto.digest import sha256, sm3
from changan.crypto.keys import Scheme
from changan.crypto.sm2 import Sm2PrivateKey, z_value
from changan.crypto.suite import Suite
from changan.errors import UnverifiedError
from changan.ledger.admission import RefusedError, authenticate, check_form, request_of
from changan.ledger.chain_config import admitted_suites, chain_suite, text_form
from changan.ledger.hashing import block_hash, suite_of_block
from changan.ledger.members import NO_RECORDS, CertificateRecords, Members
from changan.ledger.policy import Policies
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockHeader, BlockInfo, BlockWithRWSet, ChainConfig, Contract, TxRequest
from consortium import Consortium

LIVE = VECTORS / "live" / "gm"
FULL = sorted(LIVE.glob("*.full.bin"))
SEALED = [path for path in FULL if "genesis" not in path.name]
REQUESTS = sorted(LIVE.glob("*.txrequest.bin"))
NOTED = (LIVE / "README.md").read_text(encoding="utf-8")
UNKNOWN = "authentication failed, [refine endorsements failed, all endorsers have failed verification]"


def named(path):
    return path.name


def stored(path) -> BlockWithRWSet:
    return BlockWithRWSet.FromString(path.read_bytes())


def config() -> ChainConfig:
    return ChainConfig.FromString((LIVE / "chainconfig.genesis.bin").read_bytes())


def members(records: CertificateRecords | None = None) -> Members:
    return Members(config(), records or NO_RECORDS, sm3)


def signatures(block):
    """Every member that signed something of a block: who, what, signature."""
    yield block.header.proposer, block.header.block_hash, block.header.signature
    for tx in block.txs:
        for entry in [tx.sender, *tx.endorsers]:
            yield entry.signer, tx.payload.SerializeToString(), entry.signature


def test_the_recorded_chain_is_one_of_the_national_suite():
    assert (config().crypto.hash, chain_suite(config())) == ("SM3", Suite.NATIONAL)
    assert admitted_suites(config()) == {Suite.NATIONAL}
    assert {path.name.partition(".")[0] for path in FULL} == {
        "config_update",
        "evm_install",
        "genesis",
        "multi",
        "native",
        "wasm_save",
    }


@pytest.mark.parametrize("path", FULL, ids=named)
def test_blocks_decode_re_encode_and_re_hash(path):
    block = stored(path)
    assert block.SerializeToString() == path.read_bytes()
    check_block(block.block, block.txRWSets, sm3)
    check_noted(noted(path.name.removesuffix(".full.bin"), NOTED), block, sm3)
    assert suite_of_block(block.block.header) is Suite.NATIONAL
    with pytest.raises(AssertionError):
        check_block(block.block, block.txRWSets, sha256)


@pytest.mark.parametrize("name", ["genesis", "multi"])
def test_blocks_as_block_info(name):
    data = (LIVE / f"{name}.blockinfo.bin").read_bytes()
    info = BlockInfo.FromString(data)
    assert info.SerializeToString() == data
    check_block(info.block, info.rwset_list, sm3)


@pytest.mark.parametrize("path", SEALED, ids=named)
def test_the_header_hashes_to_the_recorded_hash_by_another_sm3(path):
    """hashlib's SM3 is the system OpenSSL's; ours is the one in `cryptography`."""
    header = BlockHeader.FromString(stored(path).block.header.SerializeToString())
    wanted, header.block_hash, header.signature = header.block_hash, b"", b""
    assert hashlib.new("sm3", header.SerializeToString()).digest() == wanted


@pytest.mark.parametrize("path", SEALED, ids=named)
def test_senders_endorsers_and_proposers_verify_and_any_change_does_not(path):
    block, known = stored(path).block, members()
    time = block.header.block_timestamp
    assert known.identify(block.header.proposer, time).role == "CONSENSUS"
    for signer, message, signature in signatures(block):
        identity = known.identify(signer, time)
        assert (identity.org_id, identity.key.scheme, identity.signature_hash) == (signer.org_id, Scheme.SM2, "SM3")
        identity.key.verify(message, signature, identity.signature_hash)
        for wrong in (message + b"\0", message[:-1], sm3(message)):
            with pytest.raises(UnverifiedError):
                identity.key.verify(wrong, signature, identity.signature_hash)


@pytest.mark.parametrize("path", SEALED, ids=named)
def test_the_signatures_hold_in_plain_integers_too(path):
    block, known = stored(path).block, members()
    for signer, message, signature in signatures(block):
        point = known.identify(signer, block.header.block_timestamp).key.point
        assert plain.holds(SM2_CURVE, point, sm3(z_value(point) + message), signature)
        assert not plain.holds(SM2_CURVE, point, sm3(message), signature)  # without Z


def test_openssl_verifies_a_recorded_transaction(tmp_path):
    request = TxRequest.FromString((LIVE / "native.txrequest.bin").read_bytes())
    (tmp_path / "certificate.pem").write_bytes(request.sender.signer.member_info)
    (tmp_path / "payload").write_bytes(request.payload.SerializeToString())
    (tmp_path / "signature").write_bytes(request.sender.signature)
    key = subprocess.run(
        ["openssl", "x509", "-noout", "-pubkey", "-in", tmp_path / "certificate.pem"],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    (tmp_path / "key.pem").write_bytes(key)

    def verified(identifier: str) -> bool:
        command = [
            "openssl",
            "pkeyutl",
            "-verify",
            "-rawin",
            "-digest",
            "sm3",
            "-pubin",
            "-inkey",
            tmp_path / "key.pem",
        ]
        command += ["-pkeyopt", f"distid:{identifier}", "-in", tmp_path / "payload", "-sigfile", tmp_path / "signature"]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    assert verified("1234567812345678")
    assert not verified("8765432187654321")


@pytest.mark.parametrize("path", REQUESTS, ids=named)
def test_requests_are_admitted_and_stand_in_their_blocks_as_sent(path):
    request = TxRequest.FromString(path.read_bytes())
    assert request.SerializeToString() == path.read_bytes()
    known = members()
    check_form(request)
    time = request.payload.timestamp
    admitted = authenticate(request, known, Policies(config(), known.voters), time, 0)
    assert admitted.sender.org_id == request.sender.signer.org_id
    block = stored(path.with_name(path.name.replace(".txrequest.", ".full."))).block
    assert [request_of(tx).SerializeToString() for tx in block.txs] == [path.read_bytes()]
    with pytest.raises(UnverifiedError, match="expired"):
        known.authenticate(request.sender, request.payload.SerializeToString(), time + 30 * 365 * 86400)


def test_genesis_is_the_recorded_block_but_for_what_is_our_own():
    recorded = stored(LIVE / "genesis.full.bin")
    _, ours = apply_genesis(config())
    assert recorded.block.txs[0] == ours.block.txs[0]
    assert recorded.block.txs[0].payload.parameters[0].value.decode() == text_form(config())
    assert list(recorded.txRWSets) == ours.rw_sets
    header = BlockHeader.FromString(ours.block.header.SerializeToString())
    header.ClearField("consensus_args")
    header.block_hash = block_hash(header, sm3)
    assert header == recorded.block.header


@pytest.mark.parametrize("name", ["genesis", "after_update"])
def test_configurations_re_encode_to_the_same_bytes(name):
    data = (LIVE / f"chainconfig.{name}.bin").read_bytes()
    assert ChainConfig.FromString(data).SerializeToString() == data


def test_default_policies_are_the_recorded_ones():
    recorded = ChainConfig.FromString((LIVE / "permission_list.bin").read_bytes())
    ours = Policies(config(), members().voters).rules
    theirs = {entry.resource_name: entry.policy for entry in recorded.resource_policies}
    assert ours.keys() - theirs.keys() == {"CHAIN_CONFIG-CONSENSUS_SWITCH"}
    for name, policy in theirs.items():
        assert ours[name].to_wire() == policy, name


def test_an_installed_contract_is_recorded_as_we_would():
    tx = stored(LIVE / "evm_install.full.bin").block.txs[0]
    record = Contract.FromString(tx.result.contract_result.result)
    sender = members().identify(tx.sender.signer, tx.payload.timestamp)
    assert record.creator == sender.full_member(tx.sender.signer)
    assert (sender.uid, len(sender.uid)) == (record.creator.uid, 64)


def test_a_member_is_known_by_the_sm3_of_its_certificate():
    """F8, F9: CERT_ADD answers SM3 of the DER, and that names the member from then on."""
    request = TxRequest.FromString((LIVE / "native.txrequest.bin").read_bytes())
    pem, time = request.sender.signer.member_info, request.payload.timestamp
    encoded = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    identity = members().identify(request.sender.signer, time)
    assert identity.certificate_hash == hashlib.new("sm3", encoded).hexdigest()
    request.sender.signer.member_type, request.sender.signer.member_info = 1, sm3(encoded)
    known = members(CertificateRecords({sm3(encoded).hex(): pem}, {}, frozenset(), frozenset()))
    assert known.identify(request.sender.signer, time) == identity
    request.sender.signer.member_info = sha256(encoded)
    with pytest.raises(UnverifiedError, match="no certificate under this hash"):
        known.identify(request.sender.signer, time)


# The rows of the record


def recorded_key() -> tuple[int, Sm2PrivateKey]:
    """The recorded key of client 1, as a number and as a key."""
    numbers = json.loads((LIVE / "client1.key.json").read_text(encoding="utf-8"))
    number = int(numbers["private_key_hex"], 16)
    key = Sm2PrivateKey.from_number(number)
    assert key.public.point == write_point(int(numbers["public_x"], 16), int(numbers["public_y"], 16))
    return number, key


def request_of_client() -> TxRequest:
    return TxRequest.FromString((LIVE / "native.txrequest.bin").read_bytes())


def without_z(message: bytes) -> bytes:
    """SM2 over SM3 of the message alone (GM/T 0003.2, 6.1, with another e)."""
    number, n, nonce = recorded_key()[0], SM2_CURVE.n, 0x1234567
    x, _ = multiply(SM2_CURVE, nonce, SM2_CURVE.base)
    r = (int.from_bytes(sm3(message)) + x) % n
    return encode_dss_signature(r, pow(1 + number, -1, n) * (nonce - r * number) % n)


def as_two_numbers(message: bytes) -> bytes:
    return b"".join(number.to_bytes(32) for number in decode_dss_signature(recorded_key()[1].sign(message)))


# How the sender signs, and whether the request passes: rows F1 to F6. The fifth was left out of the record.
SIGNED = {
    "F1": (recorded_key()[1].sign, True),
    "F2": (as_two_numbers, False),
    "F3": (lambda message: recorded_key()[1].sign(message, b""), False),
    "F4": (lambda message: recorded_key()[1].sign(message, b"8765432187654321"), False),
    "hashed before": (lambda message: recorded_key()[1].sign(sm3(message)), False),
    "F6": (without_z, False),
    "with a byte behind": (lambda message: recorded_key()[1].sign(message) + b"\0", False),
    "nothing": (lambda _: b"", False),
}


def answer(request: TxRequest) -> str:
    """What the door answers: nothing where the request passes."""
    known = members()
    try:
        authenticate(request, known, Policies(config(), known.voters), request.payload.timestamp, 0)
    except RefusedError as error:
        assert error.code == 5
        return error.message
    return ""


@pytest.mark.parametrize("row", SIGNED)
def test_every_way_to_sign_is_answered_as_recorded(row):
    request, (sign, passes) = request_of_client(), SIGNED[row]
    request.sender.signature = sign(request.payload.SerializeToString())
    said = answer(request)
    if passes:
        assert said == ""
        return
    tx_id, pem = request.payload.tx_id, request.sender.signer.member_info.decode()
    assert said == (
        f"tx verify failed, verify tx authentation failed, [verifyTxTypePrincipal]authentication error: {UNKNOWN}, "
        f"txId:{tx_id}, sender:{pem}, endorsers-len:0,\nendorsers:\n"
    )


def test_f7_a_certificate_of_another_chain():
    request = request_of_client()
    stranger = Consortium().signer()
    request.sender.CopyFrom(stranger.endorse(request.payload))
    assert f"[verifyTxTypePrincipal]authentication error: {UNKNOWN}" in answer(request)


def test_our_own_requests_of_the_recorded_client_pass(tmp_path):
    """Its key written as a file, read again, and a request signed with it."""
    number, key = recorded_key()
    pem = request_of_client().sender.signer.member_info
    (tmp_path / "sign.crt").write_bytes(pem)
    (tmp_path / "sign.key").write_bytes(key.private_pem())
    assert certificates.public_key(x509.load_pem_x509_certificate(pem)).point == key.public.point
    signer = Signer.from_files("wx-org1.chainmaker.org", tmp_path / "sign.crt", tmp_path / "sign.key")
    payload = make_payload("chain1", "T", "P", {"k": "a"})
    payload.timestamp = request_of_client().payload.timestamp
    assert answer(sign_request(payload, signer)) == ""
    assert f"{number:x}" not in repr(signer)
