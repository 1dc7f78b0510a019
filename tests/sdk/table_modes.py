"""Rows of chains whose members are public keys: the table of a chain of certificates, but for what is told otherwise here."""

from __future__ import annotations

from chainmaker.protos.common.result_pb2 import TxResponse
from members import CERTIFICATES, KEYS, PUBLIC, STRANGERS, done
from row import WORKS, Row, forbidden, works
from table_config import NODE, OTHER, change, nodes_are, roots
from world import World

_OF_A_CERTIFICATE = (
    "cert get_cert_pem cert_hash cert_hash_bytes user_cert_hash get_user_cert_hash get_cert_hash_bytes get_cert_hash"
)
_FORBIDDEN_QUERIES = "query_cert query_certs query_cert_alias check_alias enable_alias enable_cert_hash"
LEFT_OUT = frozenset(f"{_OF_A_CERTIFICATE} {_FORBIDDEN_QUERIES}".split())
"""Methods that only a member with a certificate has a use for."""


# What is forbidden where there are no certificates


def _revokes(world: World) -> object:
    return world.cc.revoke_cert(world.pem("revoked").encode(), world.ca_key.read_bytes(), world.ca_cert.read_bytes())


def _sends(world: World) -> object:
    payload = world.real.create_cert_freeze_payload(["PEM"])
    return world.cc.send_cert_manage_request(payload, world.endorsed(payload))


def _forbidden(method: str, resource: str, *arguments: object) -> Row:
    return forbidden(method, lambda world: getattr(world.cc, method)(*arguments), resource)


_NO_CERTIFICATES = [
    _forbidden("add_cert", "CERT_MANAGE-CERT_ADD"),
    _forbidden("delete_certs", "CERT_MANAGE-CERTS_DELETE", ["ab"]),
    _forbidden("freeze_certs", "CERT_MANAGE-CERTS_FREEZE", ["PEM"]),
    _forbidden("unfreeze_certs", "CERT_MANAGE-CERTS_UNFREEZE", ["PEM"]),
    forbidden("revoke_cert", _revokes, "CERT_MANAGE-CERTS_REVOKE"),
    forbidden("send_cert_manage_request", _sends, "CERT_MANAGE-CERTS_FREEZE"),
    _forbidden("add_alias", "CERT_MANAGE-CERT_ALIAS_ADD", "name"),
    _forbidden("add_cert_alias", "CERT_MANAGE-CERT_ALIAS_ADD", "name"),
    _forbidden("update_cert_by_alias", "CERT_MANAGE-CERT_ALIAS_UPDATE", "name", "PEM"),
    _forbidden("delete_cert_aliases", "CERT_MANAGE-CERTS_ALIAS_DELETE", ["name"]),
    *(
        _forbidden(
            f"chain_config_trust_member_{name}",
            f"CHAIN_CONFIG-TRUST_MEMBER_{name.upper()}",
            *(("PEM",) if name == "delete" else (STRANGERS, NODE, "PEM", "CLIENT")),
        )
        for name in ("add", "update", "delete")
    ),
]


# A chain on which keys are registered


def _pem(world: World) -> str:
    return world.member("keyed", registered=False)._client.public_bytes.decode()


def _is_known(world: World, _: object = None) -> bool:
    return world.accepted(world.member("keyed", registered=False))


def _registers(world: World) -> TxResponse:
    assert not _is_known(world)
    return world.cc.add_pubkey(_pem(world), world.org, "CLIENT")


def _register(world: World) -> None:
    done(world.real.add_pubkey(_pem(world), world.org, "CLIENT"))
    assert _is_known(world)


def _strike(world: World, _: object) -> None:
    done(world.real.delete_pubkey(_pem(world), world.org))
    assert not _is_known(world)


def _strikes(world: World) -> TxResponse:
    _register(world)
    return world.cc.delete_pubkey(_pem(world), world.org)


def _sends_strike(world: World) -> TxResponse:
    _register(world)
    payload = world.real.create_pubkey_delete_payload(_pem(world), world.org)
    return world.cc.send_pubkey_manage_request(payload, world.endorsed(payload), with_sync_result=True)


def _asks(world: World) -> TxResponse:
    _register(world)
    return world.cc.query_pubkey(_pem(world))


_KEYS = [
    works("add_pubkey", TxResponse, _is_known, _registers)._replace(undo=_strike),
    works("delete_pubkey", TxResponse, lambda world, _: not _is_known(world), _strikes),
    works("send_pubkey_manage_request", TxResponse, lambda world, _: not _is_known(world), _sends_strike),
    works(
        "query_pubkey",
        TxResponse,
        lambda world, answer: all(part in answer.contract_result.result for part in (b"CLIENT", world.org.encode())),
        _asks,
    )._replace(undo=_strike),
]


# A public chain, which has no organisations: the SDK says "public" wherever one belongs


def _administrators(world: World) -> tuple:
    """Return the administrators of a public chain, and one more."""
    more = world.member("fifth")._client.public_bytes.decode()
    return "public", [*roots(world.config_now())["public"], more]


def _five(world: World, config) -> bool:
    return roots(config)["public"][4:] == [world.member("fifth")._client.public_bytes.decode()]


def _sends_private(world: World) -> object:
    return world.cc.send_multi_signing_request(world.real.create_save_enclave_ca_cert_payload("PEM"))


_PUBLIC = [
    _forbidden("chain_config_trust_root_add", "CHAIN_CONFIG-TRUST_ROOT_ADD", "public", ["PEM"]),
    _forbidden("chain_config_trust_root_delete", "CHAIN_CONFIG-TRUST_ROOT_DELETE", "public"),
    change(
        "chain_config_trust_root_update",
        _administrators,
        _five,
        lambda world, before: done(world.real.chain_config_trust_root_update("public", roots(before)["public"])),
    ),
    _forbidden("chain_config_consensus_node_org_add", "CHAIN_CONFIG-NODE_ORG_ADD", OTHER, [NODE]),
    _forbidden("chain_config_consensus_node_org_delete", "CHAIN_CONFIG-NODE_ORG_DELETE", OTHER),
    change(
        "chain_config_consensus_node_org_update",
        lambda world: (OTHER, [world.node_id(), NODE]),
        nodes_are(first=[NODE]),
        lambda world, _: done(world.real.chain_config_consensus_node_org_update(OTHER, [world.node_id()])),
    ),
    *(
        _forbidden(f"{name}_native_contract_access", f"CONTRACT_MANAGE-{name.upper()}_CONTRACT_ACCESS", ["T"])
        for name in ("grant", "revoke", "verify")
    ),
    _forbidden("save_enclave_ca_cert", "PRIVATE_COMPUTE-SAVE_CA_CERT", "PEM"),
    _forbidden("save_enclave_report", "PRIVATE_COMPUTE-SAVE_ENCLAVE_REPORT", "enclave", "report"),
    forbidden("send_multi_signing_request", _sends_private, "PRIVATE_COMPUTE-SAVE_CA_CERT"),
    Row(
        "chain_config_consensus_node_org_check",
        WORKS,
        lambda world: world.cc.chain_config_consensus_node_org_check("whatever"),
        bool,
        lambda _, known: known,
    ),
]

_OTHERWISE = {KEYS: [*_NO_CERTIFICATES, *_KEYS], PUBLIC: [*_NO_CERTIFICATES, *_PUBLIC]}


def of_mode(mode: str, rows: list[Row]) -> list[Row]:
    """Return the rows of an identity mode, made of those of a chain of certificates."""
    if mode == CERTIFICATES:
        return rows
    otherwise = {row.method: row for row in _OTHERWISE[mode]}
    return [otherwise.get(row.method, row) for row in rows if row.method not in LEFT_OUT]
