"""Rows: what a client knows of itself and signs, without asking the node."""

from __future__ import annotations

from pathlib import Path

import record
from chainmaker import ChainClientWithEndorsers
from chainmaker.keys import AuthType, HashType, MemberType
from chainmaker.node import Node
from chainmaker.protos.common.request_pb2 import EndorsementEntry
from chainmaker.sdk_config import Pkcs11Config
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from members import CERTIFICATES
from row import DEFECT, WORKS, Row, broken, holds, works
from world import World


def certificate_hash(world: World) -> bytes:
    return world.certificate.fingerprint(world.digest)


def same_public(world: World, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether a key that the SDK hands over is the client's."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form) == world.public_pem


def same_key(world: World, key: ec.EllipticCurvePrivateKey) -> bool:
    return same_public(world, key.public_key())


def from_conf(world: World) -> ChainClientWithEndorsers:
    """Make a client from a file, and one from a dictionary; return the second."""
    for config in (str(world.config), Path(world.config), world.settings()):
        client = world.cc.from_conf(config)
        client.get_chain_info()
        client.stop()
    return client


def silenced(world: World) -> bool:
    world.real._logger.disabled = False
    try:
        world.cc.disable_log()
        return world.real._logger.disabled
    finally:
        world.real._logger.disabled = True


def stopped(world: World) -> bool:
    """Stop a client; whether it can no longer ask."""
    client = world.member("stopped")
    client._client.get_chain_info()
    client.stop()
    try:
        client._client.get_chain_info()
    except ValueError as error:
        return "closed" in str(error)
    return False


def signs(method: str) -> Row:
    return works(
        method,
        EndorsementEntry,
        lambda world, entry: world.signed(entry, b"bytes"),
        lambda world: getattr(world.cc, method)(b"bytes"),
    )


ROWS = [
    works("from_conf", ChainClientWithEndorsers, lambda world, made: made.chain_id == world.real.chain_id, from_conf),
    works("disable_log", bool, lambda _, silent: silent, silenced),
    works("stop", bool, lambda _, ended: ended, stopped),
    holds("chain_id", str, lambda world, name: name == world.config_now().chain_id),
    holds("org_id", (str, type(None)), lambda world, name: name == world.organisation()),
    holds("auth_type", AuthType, lambda world, kind: kind.name.lower() == world.mode.lower()),
    works("get_auth_type", AuthType, lambda world, kind: kind.name.lower() == world.mode.lower()),
    holds("hash_type", HashType, lambda world, kind: kind.name == world.config_now().crypto.hash),
    works("get_hash_type", HashType, lambda world, kind: kind.name == world.config_now().crypto.hash),
    holds(
        "member_type",
        MemberType,
        lambda world, kind: kind.name == ("CERT" if world.mode == CERTIFICATES else "PUBLIC_KEY"),
    ),
    holds("alias", type(None), lambda _, name: name is None),
    works("get_local_cert_alias", type(None), lambda _, name: name is None),
    holds("enabled_alias", type(None), lambda _, enabled: not enabled),
    holds("enabled_cert_hash", bool, lambda _, enabled: not enabled),
    holds("enabled_crt_hash", bool, lambda _, enabled: not enabled),
    works("get_enabled_crt_hash", bool, lambda _, enabled: not enabled),
    holds("is_archive_center_query_first", bool, lambda _, first: not first),
    holds("cert", x509.Certificate, lambda world, found: found == world.certificate),
    works("get_cert_pem", bytes, lambda world, pem: x509.load_pem_x509_certificate(pem) == world.certificate),
    holds("cert_hash", str, lambda world, text: text == certificate_hash(world).hex()),
    holds("cert_hash_bytes", bytes, lambda world, found: found == certificate_hash(world)),
    holds("user_cert_hash", bytes, lambda world, found: found == certificate_hash(world)),
    works("get_user_cert_hash", bytes, lambda world, found: found == certificate_hash(world)),
    works("get_cert_hash_bytes", bytes, lambda world, found: found == certificate_hash(world)),
    works("get_cert_hash", str, lambda world, text: text == certificate_hash(world).hex()),
    holds("private_key", ec.EllipticCurvePrivateKey, same_key),
    works("get_private_key", ec.EllipticCurvePrivateKey, same_key),
    holds("public_key", ec.EllipticCurvePublicKey, same_public),
    works("get_public_key", ec.EllipticCurvePublicKey, same_public),
    holds("public_bytes", bytes, lambda world, pem: pem == world.public_pem),
    holds("node", Node, lambda world, node: node.node_addr == world.node_address()),
    Row("node_index", WORKS, lambda world: world.cc.node_index, (int, type(None)), lambda _, at: not at),
    works("get_pkcs11_config", Pkcs11Config, lambda _, config: config.enabled is False),
    works("disable_alias", type(None), lambda world, _: world.real.enabled_alias is False),
    works("disable_cert_hash", type(None), lambda world, _: world.real.enabled_cert_hash is False),
    signs("sign"),
    signs("sign_cert_manage_payload"),
    signs("sign_delete_alias_payload"),
    signs("sign_update_cert_by_alias_payload"),
    works(
        "create_endorsers",
        list,
        lambda world, entries: (
            len(entries) == 4
            and {entry.signer.org_id for entry in entries} - {""}
            == {root.org_id for root in world.config_now().trust_roots} - {"public"}
        ),
        lambda world: world.cc.create_endorsers(
            world.real.create_contract_freeze_payload("any"), world.endorsers_config
        ),
    ),
    broken(
        "sign_contract_manage_payload",
        lambda world: world.cc.sign_contract_manage_payload(world.real.create_contract_freeze_payload("any")),
        "TypeError.*Payload|AttributeError: hex",
    ),
    Row(
        "sync_canonical_tx_result",
        DEFECT,
        lambda world: world.cc.sync_canonical_tx_result(world.tx_id),
        check=lambda _, answer: answer is None,
        note=record.FOUND_HERE["sync_canonical_tx_result"],
    ),
]
