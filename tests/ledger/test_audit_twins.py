"""What the audit writes a second time comes to the same as what the executor has: trees, leaves, keys, ids; and one refuses what the other does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto import node_ids
from changan.crypto.digest import digest_named
from changan.crypto.key_forms import public_key_pem, read_public_key
from changan.crypto.keys import PublicKey, SigningKey
from changan.crypto.merkle import chainmaker_root, tree_root
from changan.crypto.sm2 import Sm2PrivateKey
from changan.crypto.state_tree import StateTree
from changan.errors import UnverifiedError
from changan.ledger.commitment import delta_root, outcome_leaf, state_key, value_hash
from changan.ledger.hashing import transaction_hash
from changan.ledger.state import Write
from changan.ledger.wire.messages import ContractEvent, ContractResult, Payload, Result, Transaction
from changan.node.audit_hashes import DIGESTS, AuditHashes
from changan.node.audit_keys import AuditKey, MemberError, base58
from changan.node.audit_tree import AuditTree

names = st.sampled_from(sorted(DIGESTS))
octets = st.binary(max_size=40)


@given(names, octets)
def test_digests_by_their_names(name, data):
    assert DIGESTS[name](data) == digest_named(name)(data)


@given(names, st.lists(octets, max_size=40))
def test_trees_over_lists(name, leaves):
    twin, digest = AuditHashes(DIGESTS[name]), digest_named(name)
    assert twin.prefixed_root(leaves) == tree_root(leaves, digest)
    hashed = [digest(leaf) for leaf in leaves]
    if hashed:
        assert twin.doubling_root(hashed) == chainmaker_root(hashed, digest)


writes = st.lists(st.tuples(st.text(max_size=6), st.text(max_size=9), st.none() | octets), max_size=70)


@given(names, writes)
def test_roots_over_changed_rows(name, changed):
    assert AuditHashes(DIGESTS[name]).delta(changed) == delta_root([Write(*one) for one in changed], digest_named(name))


@given(names, st.text(max_size=9), st.text(max_size=9), octets)
def test_places_and_values_of_rows(name, contract, key, value):
    twin, digest = AuditHashes(DIGESTS[name]), digest_named(name)
    assert twin.tagged(b"changan.key", contract.encode(), key.encode()) == state_key(contract, key, digest)
    assert twin.tagged(b"changan.value", value) == value_hash(value, digest)


@given(names, st.lists(st.tuples(octets, octets), min_size=2, max_size=2, unique=True))
def test_a_place_is_bound_to_its_parts(name, pairs):
    """What is one contract's row is no other's, wherever the name ends and the key begins."""
    twin = AuditHashes(DIGESTS[name])
    assert twin.tagged(b"changan.key", *pairs[0]) != twin.tagged(b"changan.key", *pairs[1])


transactions = st.builds(
    lambda tx_id, code, failed, gas, result, message, events: Transaction(
        payload=Payload(tx_id=tx_id),
        result=Result(
            code=code,
            contract_result=ContractResult(
                code=failed,
                gas_used=gas,
                result=result,
                message=message,
                contract_event=[ContractEvent(topic=topic, event_data=[topic, ""]) for topic in events],
            ),
        ),
    ),
    st.text("0123456789abcdef", max_size=8),
    st.integers(0, 5),
    st.integers(0, 1),
    st.integers(0, 2**64 - 1),
    octets,
    st.text(max_size=9),
    st.lists(st.text(max_size=4), max_size=3),
)


@given(names, transactions)
def test_hashes_of_transactions_and_leaves_of_outcomes(name, transaction):
    twin, digest = AuditHashes(DIGESTS[name]), digest_named(name)
    before = transaction.SerializeToString()
    assert twin.without_gas(transaction) == transaction_hash(transaction, digest)
    assert twin.outcome(transaction) == outcome_leaf(transaction, digest)
    assert transaction.SerializeToString() == before, "the gas stands there again"


@given(names, transactions, st.integers(1, 2**63))
def test_gas_counts_in_the_outcome_and_nowhere_else(name, transaction, more):
    digest = digest_named(name)
    other = Transaction.FromString(transaction.SerializeToString())
    result = other.result.contract_result
    result.gas_used = (result.gas_used + more) % 2**64
    assert transaction_hash(other, digest) == transaction_hash(transaction, digest)
    assert outcome_leaf(other, digest) != outcome_leaf(transaction, digest)


keys = st.integers(0, 40).map(lambda number: digest_named("SHA256")(bytes([number % 41])))
near = st.builds(
    lambda at, bit: bytes(at) + bytes([bit]) + bytes(31 - at), st.integers(0, 31), st.sampled_from([0, 1, 2, 128])
)
changes = st.lists(
    st.lists(st.tuples(keys | near, st.none() | octets.map(digest_named("SHA256"))), max_size=12), max_size=8
)


@given(names, changes)
def test_the_state_tree_after_every_block(name, blocks):
    """In batches there, one by one here; deletions, rows that come back, and keys that share almost all their bits."""
    tree, twin = StateTree(digest_named(name)), AuditTree(DIGESTS[name])
    rows: dict[bytes, bytes] = {}
    for block in blocks:
        tree.update(dict(block).items())
        for key, value in block:
            twin.set(key, value)
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
        assert tree.root == twin.root()
        assert tree.rows == twin.rows == len(rows)
    fresh = AuditTree(DIGESTS[name])
    for key in sorted(rows):
        fresh.set(key, rows[key])
    assert fresh.root() == twin.root(), "a state has one root, whatever came before it"


# Keys


def pem(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


SIGNERS = {
    "P-256": SigningKey(pem(ec.generate_private_key(ec.SECP256R1()))),
    "P-384": SigningKey(pem(ec.generate_private_key(ec.SECP384R1()))),
    "secp256k1": SigningKey(pem(ec.generate_private_key(ec.SECP256K1()))),
    "Ed25519": SigningKey(pem(ed25519.Ed25519PrivateKey.generate())),
    "RSA": SigningKey(pem(rsa.generate_private_key(65537, 2048))),
    "SM2": SigningKey(Sm2PrivateKey.generate().private_pem()),
}
ALGORITHMS = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SM3": hashes.SM3()}


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_both_take_the_same_signatures(signer, name):
    twin = AuditKey(signer.public.der)
    signature = signer.sign(b"message", name)
    changed = bytearray(signature)
    changed[-1] ^= 1
    others = [
        one.sign(b"message", name)
        for one in SIGNERS.values()
        if one is not signer and one.public.scheme.value != "P-256"
    ]
    for message, given_signature in [
        (b"message", signature),
        (b"massage", signature),
        (b"message", bytes(changed)),
        *((b"message", other) for other in others),
    ]:
        try:
            signer.public.verify(message, given_signature, name)
            holds = True
        except UnverifiedError:
            holds = False
        assert twin.signed(message, given_signature, ALGORITHMS[name]) == holds
        assert holds == ((message, given_signature) == (b"message", signature))


@pytest.mark.parametrize("wrong", [b"", b"\x30\x00", bytes(64), b"\x30\x06\x02\x01\x01\x02\x01\x01", bytes(1000)])
@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
def test_what_is_no_signature_is_none_to_either(signer, wrong):
    assert not AuditKey(signer.public.der).signed(b"message", wrong, hashes.SHA256())
    with pytest.raises(UnverifiedError):
        signer.public.verify(b"message", wrong, "SHA256")


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
def test_one_key_in_every_form(signer):
    key = signer.public
    text = public_key_pem(key)
    forms = [text, text.replace(b"\n", b"\r\n"), key.der.hex().encode(), key.der.hex().upper().encode()]
    for form in forms:
        assert AuditKey.of_text(form).spki == key.der
    for form in forms[:1] + forms[2:]:
        assert read_public_key(form) == key
    kind = node_ids.RSA if key.scheme.value == "RSA" else node_ids.ECDSA
    assert AuditKey(key.der).node_id == node_ids.node_id(key.der, kind)


def test_an_rsa_key_as_go_writes_it():
    key = rsa.generate_private_key(65537, 2048).public_key()
    twin = AuditKey(key.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    assert twin.spki == PublicKey(key).der


@pytest.mark.parametrize(
    "text", [b"", b"zz", b"0", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", b"\xff", b"00"]
)
def test_what_is_no_key(text):
    with pytest.raises(MemberError, match=r"^a public key does not decode$"):
        AuditKey.of_text(text)
    with pytest.raises(UnverifiedError):
        read_public_key(text)


def test_a_kind_of_key_that_nobody_admits_signs_nothing():
    key = ed448.Ed448PrivateKey.generate()
    twin = AuditKey(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert not twin.signed(b"message", key.sign(b"message"), hashes.SHA256())


@given(st.binary(max_size=50))
def test_base58_twice(data):
    assert base58(data) == node_ids.base58(data)
