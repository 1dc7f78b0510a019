"""The audit of a chain on SM2 and SM3: nothing forged, changed or certified by others passes; and certificates come and go there."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from changan.client.requests import Signer
from changan.crypto.digest import sha256, sm3
from changan.crypto.keys import SigningKey
from changan.crypto.suite import Suite
from changan.ledger.admission import RefusedError, authenticate
from changan.ledger.chain_config import Mode
from changan.ledger.commitment import state_key, value_hash
from changan.ledger.snapshot import dump, load
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs, Member, MemberType, TxStatusCode
from changan.node.audit import AuditError, Auditor
from changan.node.pki.authority import Authority
from changan.node.storage import replay_block
from consortium import NOW, Consortium, Ledger, SealedLog, org_name
from key_consortium import key_ledger, key_signer

ORG = org_name(1)


@pytest.fixture(scope="module")
def consortium():
    return Consortium(suite=Suite.NATIONAL)


@pytest.fixture
def ledger(consortium):
    made = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))
    made.call("T", "P", {"k": "a"})
    return made


def records(ledger: Ledger) -> list[bytes]:
    return ledger.log()._records


def audited(log: list[bytes]) -> int:
    return len(list(Auditor(SealedLog(log)).blocks()))


def forged(ledger: Ledger, change) -> list[bytes]:
    """The log with its last block changed."""
    log = list(records(ledger))
    stored = BlockWithRWSet.FromString(log[-1])
    change(stored)
    log[-1] = stored.SerializeToString()
    return log


def resealed(ledger: Ledger, stored: BlockWithRWSet) -> None:
    """Make the header's own hash and signature true again."""
    header = stored.block.header
    header.block_hash = header.signature = b""
    header.block_hash = sm3(header.SerializeToString())
    header.signature = ledger.consortium.signer(1, "consensus1", "consensus").key.sign(header.block_hash, "SM3")


def rehashed(ledger: Ledger, stored: BlockWithRWSet) -> None:
    """Make everything of a block of one transaction true again but what the transaction's sender signed."""
    header, (tx,) = stored.block.header, stored.block.txs
    gas = tx.result.contract_result.gas_used
    tx.result.contract_result.gas_used = 0
    header.tx_root = sm3(tx.SerializeToString())
    tx.result.contract_result.gas_used = gas
    resealed(ledger, stored)


def test_an_untouched_log_passes(ledger):
    auditor = Auditor(ledger.log())
    assert list(auditor.blocks()) == [0, 1]
    assert auditor.signatures == 2


def flip(data: bytes, at: int = -1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_a_changed_signature_of_the_proposer_or_the_sender(ledger):
    def of_proposer(stored):
        stored.block.header.signature = flip(stored.block.header.signature)

    def of_sender(stored):
        tx = stored.block.txs[0]
        tx.sender.signature = flip(tx.sender.signature)
        rehashed(ledger, stored)

    for change, whose in (of_proposer, "the proposer's"), (of_sender, "the sender's"):
        with pytest.raises(AuditError, match=f"block 1: .*{whose} signature does not hold"):
            audited(forged(ledger, change))


@pytest.mark.parametrize("wrong", [b"", b"\x30\x00", bytes(64), b"\x30\x06\x02\x01\x01\x02\x01\x01"])
def test_what_is_no_signature(ledger, wrong):
    def change(stored):
        stored.block.txs[0].sender.signature = wrong
        rehashed(ledger, stored)

    with pytest.raises(AuditError, match="the sender's signature does not hold"):
        audited(forged(ledger, change))


def test_a_signature_under_another_identifier_or_without_z(ledger):
    key = ledger.consortium.signer().key
    for made in (lambda m: key.sign(m, "SM3", identifier=b"another"), lambda m: key.sign(sm3(m), "SM3")):

        def change(stored, made=made):
            tx = stored.block.txs[0]
            tx.sender.signature = made(tx.payload.SerializeToString())
            rehashed(ledger, stored)

        with pytest.raises(AuditError, match="the sender's signature does not hold"):
            audited(forged(ledger, change))


def test_a_certificate_that_others_issued_under_the_same_names(ledger):
    for suite in Suite:
        issued = Authority.create(ORG, NOW, suite).issue("client1", "client", "sign", NOW)
        impostor = Signer(
            Member(org_id=ORG, member_type=MemberType.CERT, member_info=issued.certificate_pem),
            SigningKey(issued.key_pem),
            "SM3" if suite is Suite.NATIONAL else "SHA256",
        )

        def change(stored, impostor=impostor):
            tx = stored.block.txs[0]
            tx.sender.CopyFrom(impostor.endorse(tx.payload))
            rehashed(ledger, stored)

        with pytest.raises(AuditError, match=f"no trust root of {ORG} issued"):
            audited(forged(ledger, change))


def test_a_certificate_with_a_broken_signature_of_its_authority(ledger):
    signer = ledger.consortium.signer()
    encoded = x509.load_pem_x509_certificate(signer.member.member_info).public_bytes(Encoding.DER)
    broken = x509.load_der_x509_certificate(flip(encoded)).public_bytes(Encoding.PEM)

    def change(stored):
        tx = stored.block.txs[0]
        member = Member(org_id=ORG, member_type=MemberType.CERT, member_info=broken)
        tx.sender.CopyFrom(Signer(member, signer.key).endorse(tx.payload))
        rehashed(ledger, stored)

    with pytest.raises(AuditError, match="no trust root of"):
        audited(forged(ledger, change))


@pytest.mark.parametrize("field", ["tx_root", "rw_set_root", "dag_hash", "block_hash"])
def test_hashes_of_the_other_digest(ledger, field):
    def change(stored):
        header, (tx,) = stored.block.header, stored.block.txs
        parts = {"tx_root": tx, "rw_set_root": stored.txRWSets[0], "dag_hash": stored.block.dag, "block_hash": header}
        setattr(header, field, sha256(parts[field].SerializeToString()))
        if field != "block_hash":
            resealed(ledger, stored)

    with pytest.raises(AuditError, match=f"block 1: {field} is wrong"):
        audited(forged(ledger, change))


@pytest.mark.parametrize("root", ["outcome_root", "delta_root", "state_root"])
def test_roots_that_the_consensus_arguments_bind(ledger, root):
    def change(stored):
        header = stored.block.header
        arguments = ConsensusArgs.FromString(header.consensus_args)
        setattr(arguments, root, flip(getattr(arguments, root)))
        header.consensus_args = arguments.SerializeToString()
        resealed(ledger, stored)

    with pytest.raises(AuditError, match=f"block 1: {root} is wrong"):
        audited(forged(ledger, change))


def test_a_digest_that_nobody_knows(ledger):
    log = list(records(ledger))
    genesis = BlockWithRWSet.FromString(log[0])
    result = genesis.block.txs[0].result.contract_result
    result.result = result.result.replace(b"SM3", b"MD5")
    log[0] = genesis.SerializeToString()
    with pytest.raises(AuditError, match="block 0: the audit does not know the digest 'MD5'"):
        audited(log)
    with pytest.raises(AuditError, match="block 0 does not decode"):
        audited([b"\xff"])


def test_a_row_is_proved_under_the_state_root_over_sm3(ledger):
    tree = ledger.world.commitment.tree
    place = state_key("CHAIN_CONFIG", "CHAIN_CONFIG", sm3)
    proof = tree.prove(place)
    assert proof.value_hash == value_hash(ledger.config.SerializeToString(), sm3)
    assert tree.prove(state_key("CHAIN_CONFIG", "CHAIN_CONFIG", sha256)).key_hash != proof.key_hash


def test_a_checkpoint_and_a_replay_come_to_the_same_state(ledger):
    ledger.install("token", supply="1000")
    ledger.call("token", "transfer", {"to": "11" * 20, "amount": "1"}, sender=ledger.consortium.admin())
    sections = {name: list(items) for name, items in dump(ledger.world)}
    loaded = load(sections.__getitem__)
    again, _ = apply_genesis(ledger.config)
    for record in records(ledger)[1:]:
        replay_block(again, BlockWithRWSet.FromString(record))
    roots = {world.commitment.tree.root for world in (ledger.world, loaded, again)}
    assert len(roots) == 1
    assert again.remembered.row(f"ids.{ledger.time_us // 1_000_000}") == loaded.remembered.row(
        f"ids.{ledger.time_us // 1_000_000}"
    )


# Certificates come and go


def admitted(ledger: Ledger, sender: Signer) -> bool:
    request, world = ledger.request("T", "P", {}, sender=sender), ledger.world
    try:
        authenticate(request, world.members, world.policies, ledger.time_us // 1_000_000, world.epoch)
    except RefusedError:
        return False
    return True


def test_hash_alias_freeze_and_a_revocation_list_signed_with_sm2(ledger):
    consortium, admin = ledger.consortium, ledger.consortium.admin()
    person = consortium.signer(1, "client7", "client")
    certificate = x509.load_pem_x509_certificate(person.member.member_info)
    digest = sm3(certificate.public_bytes(Encoding.DER))
    assert ledger.call("CERT_MANAGE", "CERT_ADD", sender=person).contract_result.result == digest.hex().encode()
    assert ledger.call("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": "seven"}, sender=person).code == TxStatusCode.SUCCESS
    forms = [
        person,
        Signer(Member(org_id=ORG, member_type=MemberType.CERT_HASH, member_info=digest), person.key),
        Signer(Member(org_id=ORG, member_type=MemberType.ALIAS, member_info=b"seven"), person.key),
    ]
    for form in forms:
        assert ledger.call("T", "P", {"k": "a"}, sender=form).code == TxStatusCode.SUCCESS
    ledger.call("CERT_MANAGE", "CERTS_FREEZE", {"cert_hashes": digest.hex()}, sender=admin)
    assert not any(admitted(ledger, form) for form in forms)
    ledger.call("CERT_MANAGE", "CERTS_UNFREEZE", {"cert_hashes": digest.hex()}, sender=admin)
    assert all(admitted(ledger, form) for form in forms)
    serial = certificate.serial_number
    for authority in (Authority.create(ORG, NOW, suite) for suite in Suite):
        refused = ledger.call(
            "CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": authority.revocation_list([serial], NOW)}, sender=admin
        )
        assert "no trust root issued this list" in refused.contract_result.message
    assert all(admitted(ledger, form) for form in forms)
    listed = consortium.authorities[ORG].revocation_list([serial], NOW)
    assert ledger.call("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": listed}, sender=admin).code == TxStatusCode.SUCCESS
    assert not any(admitted(ledger, form) for form in forms)
    assert audited(records(ledger)) == len(ledger.blocks)


def test_a_user_certifies_nobody(ledger):
    """Only an authority's certificate is one, whatever key it has."""
    person = ledger.consortium.signer(1, "client7", "client")
    forger = Authority.create(ORG, NOW, Suite.NATIONAL)
    issued = forger.issue("client8", "client", "sign", NOW)
    assert not admitted(
        ledger, Signer(Member(org_id=ORG, member_info=issued.certificate_pem), SigningKey(issued.key_pem))
    )
    assert admitted(ledger, person)
    assert not admitted(ledger, Signer(Member(org_id=org_name(2), member_info=person.member.member_info), person.key))


@pytest.mark.parametrize("suite", Suite)
def test_the_audit_checks_ed25519_senders_too(suite):
    ledger = key_ledger(Mode.PUBLIC, suite, admits=Suite)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ledger.call("T", "P", {"k": "a"}, sender=key_signer(SigningKey(pem)))
    assert audited(records(ledger)) == 2

    def change(stored):
        tx = stored.block.txs[0]
        tx.sender.signature = flip(tx.sender.signature)
        header = stored.block.header
        digest = sm3 if suite is Suite.NATIONAL else sha256
        gas = tx.result.contract_result.gas_used
        tx.result.contract_result.gas_used = 0
        header.tx_root = digest(tx.SerializeToString())
        tx.result.contract_result.gas_used = gas
        header.block_hash = header.signature = b""
        header.block_hash = digest(header.SerializeToString())
        node = ledger.consortium.node()
        header.signature = node.key.sign(header.block_hash, node.hash_name)

    with pytest.raises(AuditError, match="the sender's signature does not hold"):
        audited(forged(ledger, change))
