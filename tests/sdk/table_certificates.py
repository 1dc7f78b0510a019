"""Rows: short hashes and aliases of certificates, freezing, and revocation. Each row has a member of its own to try it on."""

from __future__ import annotations

from chainmaker.protos.common.result_pb2 import AliasInfos, CertInfos, TxResponse
from cryptography import x509
from members import done
from row import Row, makes, works
from world import World


def on_chain(world: World, name: str) -> bool:
    """Whether a member's certificate is known by its hash."""
    return bool(world.real.query_cert([world.fingerprint(name)]).cert_infos[0].cert)


def add(world: World, name: str) -> str:
    """Return the hash of a member's certificate, by which the chain knows it."""
    client = world.member(name)._client
    sent = ("CERT_MANAGE", "CERT_ADD", {})
    world.keep(f"added {name}", lambda: done(client.invoke_system_contract(*sent, with_sync_result=True)))
    assert on_chain(world, name)
    return world.fingerprint(name)


def alias(world: World, name: str) -> str:
    """Return an alias that is on the chain."""
    world.keep(f"alias {name}", lambda: world.member(name)._client.add_alias(name))
    return name


def certificate_of(world: World, name: str) -> str:
    """Return the certificate that an alias stands for, empty where there is none."""
    found = world.real.query_cert_alias([name])
    return found.alias_infos[0].now_cert.cert.decode() if found else ""


def adds_alias(method: str) -> Row:
    name = f"by_{method}"
    return works(
        method,
        TxResponse,
        lambda world, _: certificate_of(world, name) == world.pem(name),
        lambda world: getattr(world.member(name), method)(name),
    )


def enables_alias(world: World):
    """Enable an alias, and send a transaction under it; return the sender that the chain recorded."""
    member = world.member("under_alias")
    member.enable_alias("under_alias")
    return world.sender_of_a_call(member)


def enables_hash(world: World):
    member = world.member("under_hash")
    assert member.enable_cert_hash() is True
    return world.sender_of_a_call(member)


def freezes(world: World) -> TxResponse:
    assert world.accepted(world.member("frozen"))
    return world.cc.freeze_certs([world.pem("frozen")])


def unfreezes(world: World) -> TxResponse:
    assert world.real.freeze_certs([world.pem("thawed")]).code == 0
    assert not world.accepted(world.member("thawed"))
    return world.cc.unfreeze_certs([world.pem("thawed")])


def revokes(world: World) -> TxResponse:
    assert world.accepted(world.member("revoked"))
    return world.cc.revoke_cert(world.pem("revoked").encode(), world.ca_key.read_bytes(), world.ca_cert.read_bytes())


def sends(world: World) -> TxResponse:
    payload = world.real.create_cert_freeze_payload([world.pem("sent")])
    return world.cc.send_cert_manage_request(payload, world.endorsed(payload))


def deletes(world: World) -> TxResponse:
    return world.cc.delete_certs([add(world, "deleted")])


def updates(world: World) -> TxResponse:
    return world.cc.update_cert_by_alias(alias(world, "renewed"), world.pem("renewal"))


def deletes_alias(world: World) -> TxResponse:
    return world.cc.delete_cert_aliases([alias(world, "dropped")])


def queries(method: str) -> Row:
    """A query for two certificates at once: one that is known and one that is not."""

    def ask(world: World) -> CertInfos:
        hashes = [add(world, "known"), world.fingerprint("unknown")]
        return getattr(world.cc, method)(hashes)

    return works(
        method,
        CertInfos,
        lambda world, found: [info.cert.decode() for info in found.cert_infos] == [world.pem("known"), ""],
        ask,
    )


def sends_pems(method: str, sent: str) -> Row:
    return makes(method, (["A", "B"],), f"I CERT_MANAGE-{sent}", certs="A,B")


def right_list(world: World, text: str) -> bool:
    crl = x509.load_pem_x509_crl(text.encode())
    authority = x509.load_pem_x509_certificate(world.ca_cert.read_bytes())
    serial = x509.load_pem_x509_certificate(world.pem("listed").encode()).serial_number
    return crl.is_signature_valid(authority.public_key()) and [entry.serial_number for entry in crl] == [serial]


CERT_HASH, ALIAS = 1, 4

ROWS = [
    works(
        "add_cert",
        TxResponse,
        lambda world, answer: (
            on_chain(world, "added") and answer.contract_result.result.decode() == world.fingerprint("added")
        ),
        lambda world: world.member("added").add_cert(),
    ),
    queries("query_cert"),
    queries("query_certs"),
    works("delete_certs", TxResponse, lambda world, _: not on_chain(world, "deleted"), deletes),
    works(
        "enable_cert_hash",
        tuple,
        lambda world, sender: sender == (CERT_HASH, bytes.fromhex(world.fingerprint("under_hash"))),
        enables_hash,
    ),
    works("freeze_certs", TxResponse, lambda world, _: not world.accepted(world.member("frozen")), freezes),
    works("unfreeze_certs", TxResponse, lambda world, _: world.accepted(world.member("thawed")), unfreezes),
    works("revoke_cert", TxResponse, lambda world, _: not world.accepted(world.member("revoked")), revokes),
    works("send_cert_manage_request", TxResponse, lambda world, _: not world.accepted(world.member("sent")), sends),
    works(
        "create_cert_crl",
        str,
        right_list,
        lambda world: world.cc.create_cert_crl(
            world.pem("listed").encode(), world.ca_key.read_bytes(), world.ca_cert.read_bytes()
        ),
    ),
    makes("create_cert_delete_payload", (["ab", "cd"],), "I CERT_MANAGE-CERTS_DELETE", cert_hashes="ab,cd"),
    sends_pems("create_cert_freeze_payload", "CERTS_FREEZE"),
    sends_pems("create_cert_unfreeze_payload", "CERTS_UNFREEZE"),
    makes("create_cert_revoke_payload", ("CRL",), "I CERT_MANAGE-CERTS_REVOKE", cert_crl="CRL"),
    # Aliases
    adds_alias("add_alias"),
    adds_alias("add_cert_alias"),
    works("enable_alias", tuple, lambda _, sender: sender == (ALIAS, b"under_alias"), enables_alias),
    works(
        "check_alias",
        bool,
        lambda world, known: known and not world.real.check_alias("nobody"),
        lambda world: world.cc.check_alias(alias(world, "checked")),
    ),
    works(
        "query_cert_alias",
        AliasInfos,
        lambda world, found: (
            [(info.alias, info.now_cert.cert.decode()) for info in found.alias_infos]
            == [("asked", world.pem("asked")), ("checked", world.pem("checked"))]
        ),
        lambda world: world.cc.query_cert_alias([alias(world, "asked"), alias(world, "checked")]),
    ),
    works(
        "update_cert_by_alias",
        TxResponse,
        lambda world, _: certificate_of(world, "renewed") == world.pem("renewal"),
        updates,
    ),
    works("delete_cert_aliases", TxResponse, lambda world, _: not certificate_of(world, "dropped"), deletes_alias),
    makes(
        "create_update_cert_by_alias_payload",
        ("name", "PEM"),
        "I CERT_MANAGE-CERT_ALIAS_UPDATE",
        alias="name",
        cert="PEM",
    ),
    makes("create_delete_cert_alias_payload", (["a", "b"],), "I CERT_MANAGE-CERTS_ALIAS_DELETE", aliases="a,b"),
]
