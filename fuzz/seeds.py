"""Makes the ledger and the seeds of the fuzz targets anew: `python fuzz/seeds.py`. Keys are made and forgotten."""

from __future__ import annotations

import base64
import json
import shutil
import sys
import zlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from changan.client.requests import install_parameters, make_payload, sign_request
from changan.contract.package import build_package
from changan.contract.program import compile_source
from changan.ledger.bundle import columns_of, encode_bundle
from changan.ledger.commitment import state_key
from changan.ledger.receipt import make_receipt
from changan.ledger.row_proof import make_delta_proof, make_state_proof
from changan.ledger.wire.messages import (
    EndorsementEntry,
    Member,
    MemberType,
    PackedRequests,
    Policy,
    TxRequest,
)
from changan.node.pki.authority import node_id
from changan.node.settings import Settings, settings_text
from changan.node.storage import stored_block
from consortium import EXAMPLES, NOW, Consortium, Ledger, org_name
from ledgers import CORPUS, write_blocks

CONTRACTS = {"evidence": {}, "token": {"supply": "1000000"}, "aliasing": {}}


def main() -> None:
    """Write everything."""
    consortium = Consortium(2)
    ledger = Ledger(consortium)
    for name, arguments in CONTRACTS.items():
        code = (EXAMPLES / f"{name}.py").read_bytes()
        parameters = install_parameters(name, "1.0", code, arguments)
        ledger.call("CONTRACT_MANAGE", "INIT_CONTRACT", parameters, endorsers=consortium.admins())
    ledger.call("CERT_MANAGE", "CERT_ADD")
    ledger.call("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": "one"})
    transfer = ("token", "transfer", {"to": "11" * 20, "amount": "1"})
    ledger.seal(ledger.request(*transfer), ledger.request("evidence", "put", {"digest": "aa" * 32, "note": "文"}))
    write_blocks(stored_block(applied).SerializeToString() for applied in ledger.blocks)
    shutil.rmtree(CORPUS, ignore_errors=True)
    requests = _requests(ledger, transfer)
    for number, made in enumerate(requests):
        _seed("request", str(number), made.SerializeToString())
        _seed("payload", str(number), bytes([number % 2]) + made.payload.SerializeToString())
    _seed("packed", "two", PackedRequests(requests=[r.SerializeToString() for r in requests[:2]]).SerializeToString())
    _identities(consortium)
    _configurations(consortium)
    _contracts()
    _blocks(ledger)


def _seed(target: str, name: str, data: bytes) -> None:
    directory = CORPUS / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def _requests(ledger: Ledger, transfer: tuple[str, str, dict[str, str]]) -> list[TxRequest]:
    made = [
        ledger.request(*transfer),
        ledger.request("evidence", "put", {"digest": "cc" * 32, "note": "a note"}),
        ledger.request("evidence", "get", {"digest": "aa" * 32}),
        ledger.request("aliasing", "twice", {"a": "1", "b": "2"}),
        ledger.request("aliasing", "loop", {"start": "1", "count": "9"}),
        ledger.request("CHAIN_CONFIG", "GET_CHAIN_CONFIG"),
        ledger.request("CONTRACT_MANAGE", "GET_CONTRACT_INFO", {"CONTRACT_NAME": "token"}),
        ledger.request(
            "CONTRACT_MANAGE", "FREEZE_CONTRACT", {"CONTRACT_NAME": "token"}, endorsers=ledger.consortium.admins()
        ),
        ledger.request("CERT_MANAGE", "CERTS_ALIAS_QUERY", {"aliases": "one"}),
        ledger.request(
            "CONTRACT_MANAGE",
            "INIT_CONTRACT",
            install_parameters("small", "1", SMALL.encode(), {"start": "5"}),
            endorsers=ledger.consortium.admins(),
        ),
    ]
    signer = ledger.consortium.signer()
    der = x509.load_pem_x509_certificate(signer.member.member_info)
    digest = ledger.world.digest(der.public_bytes(Encoding.DER))
    for kind, info in ((MemberType.CERT_HASH, digest), (MemberType.ALIAS, b"one")):
        payload = make_payload("chain1", *transfer)
        payload.timestamp = ledger.time_us // 1_000_000
        request = sign_request(payload, signer)
        request.sender.CopyFrom(
            EndorsementEntry(
                signer=Member(org_id=org_name(1), member_type=kind, member_info=info),
                signature=request.sender.signature,
            )
        )
        made.append(request)
    return made


def _identities(consortium: Consortium) -> None:
    authority = consortium.authorities[org_name(1)]
    pems = {
        "client": consortium.signer().member.member_info,
        "admin": consortium.admin().member.member_info,
        "secp256k1": consortium.signer(name="k1", curve="secp256k1").member.member_info,
        "authority": authority.certificate_pem,
        "tls": authority.issue("t", "client", "tls", NOW).certificate_pem,
    }
    for name, pem in pems.items():
        _seed("certificate", name, x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
        member = Member(org_id=org_name(1), member_type=MemberType.CERT, member_info=pem)
        _seed("member", name, member.SerializeToString())
    _seed(
        "member",
        "alias",
        Member(org_id=org_name(1), member_type=MemberType.ALIAS, member_info=b"one").SerializeToString(),
    )
    revoked = authority.revocation_list([1, 2**100], NOW)
    _seed("revocations", "pem", b"p" + revoked)
    _seed("revocations", "der", b"d" + x509.load_pem_x509_crl(revoked).public_bytes(Encoding.DER))
    for name, made in (("certificate", pems["client"]), ("revocations", revoked)):
        load = x509.load_pem_x509_certificate if name == "certificate" else x509.load_pem_x509_crl
        der = load(made).public_bytes(Encoding.DER)
        for number, broken in enumerate(
            (b"\x03\x16wx", b"\x0c\x16\xffx")
        ):  # an issuer that is no text, found by fuzzing
            data = der.replace(b"\x0c\x16wx", broken, 1)
            _seed(name, f"issuer{number}", data if name == "certificate" else b"d" + data)
    client = pems["client"]
    for method, parts in {
        "CERTS_FREEZE": [b"", client + b"," + client],
        "CERTS_UNFREEZE": [b"ab" * 32 + b"," + b"cd" * 32],
        "CERTS_QUERY": [b"ab" * 32],
        "CERTS_DELETE": [b"ab" * 32],
        "CERT_ALIAS_ADD": [b"", b"", b"", b"two"],
        "CERT_ALIAS_UPDATE": [b"", b"", b"", b"one", client],
        "CERTS_ALIAS_QUERY": [b"", b"", b"one,two"],
        "CERTS_ALIAS_DELETE": [b"", b"", b"one"],
    }.items():
        _seed("certificates", method, b"\x00".join([method.encode(), *parts]))


def _configurations(consortium: Consortium) -> None:
    for number, made in enumerate(
        (
            Policy(rule="ANY", role_list=["CLIENT", "ADMIN"]),
            Policy(rule="MAJORITY", role_list=["ADMIN"]),
            Policy(rule="SELF", role_list=["ADMIN"]),
            Policy(rule="2/3", org_list=[org_name(1), org_name(2)]),
            Policy(rule="2", role_list=["ADMIN"]),
            Policy(rule="FORBIDDEN"),
        )
    ):
        name = b"CHAIN_CONFIG-NODE_ID_UPDATE" if made.rule == "SELF" else b"T-P"
        _seed("policy", str(number), name + b"\x00" + made.SerializeToString())
    root = Consortium(1).authorities[org_name(1)].certificate_pem
    policy = Policy(rule="ANY", role_list=["ADMIN"]).SerializeToString()
    member = {
        "org_id": "abroad",
        "node_id": "n",
        "role": "client",
        "member_info": consortium.signer().member.member_info,
    }
    changes: dict[str, dict[str, bytes | str]] = {
        "CORE_UPDATE": {"tx_scheduler_timeout": "10"},
        "BLOCK_UPDATE": {"tx_timeout": "700", "block_interval": "20"},
        "TRUST_ROOT_ADD": {"org_id": "another", "root": root},
        "TRUST_ROOT_UPDATE": {"org_id": org_name(2), "root": root},
        "TRUST_ROOT_DELETE": {"org_id": org_name(2)},
        "TRUST_MEMBER_ADD": member,
        "NODE_ID_ADD": {"org_id": org_name(1), "node_ids": node_id(root)},
        "NODE_ORG_ADD": {"org_id": org_name(2), "node_ids": node_id(root)},
        "CONSENSUS_EXT_ADD": {"a": "b"},
        "CONSENSUS_SWITCH": {"from": "1", "to": "4"},
        "PERMISSION_ADD": {"T-P": policy},
        "ENABLE_OR_DISABLE_GAS": {},
        "SET_ACCOUNT_MANAGER_ADMIN": {"address_key": "11" * 20},
        "UPDATE_VERSION": {"block_version": "2030700"},
        "VM_SUPPORT_LIST_ADD": {"vm_type": "evm"},
    }
    for method, parameters in changes.items():
        made = make_payload("chain1", "CHAIN_CONFIG", method, parameters)
        _seed("config", method, made.SerializeToString())
    # An extension twice, found by fuzzing: the key usage (2.5.29.15) says that it is the alternative names (2.5.29.17).
    twice = x509.load_pem_x509_certificate(root).public_bytes(Encoding.DER).replace(b"\x55\x1d\x0f", b"\x55\x1d\x11", 1)
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(twice) + b"-----END CERTIFICATE-----\n"
    made = make_payload("chain1", "CHAIN_CONFIG", "TRUST_ROOT_ADD", {"org_id": "another", "root": pem})
    _seed("config", "duplicate_extension", made.SerializeToString())


SMALL = '''"""Small."""

from typing import Annotated

from annotated_types import MaxLen

from changan.contract import U64, Contract, Event, Map, Text, call, emit, init, require, view

Word = Annotated[Text, MaxLen(16)]


class Said(Event):
    """Said."""

    what: Word


class Small(Contract):
    """Small."""

    rows: Map[U64, U64] = Map(default=U64(0))
    start: U64

    @init
    def create(self, start: U64) -> None:
        """Begin."""
        self.start = start

    @call
    def add(self, key: U64, text: Word) -> U64:
        """Add."""
        require(key < 100, "too large")
        for i in range(3):
            self.rows[key] += U64(i) if key % 2 == 0 else self.start
        emit(Said(what=text))
        return self.rows[key]

    @view
    def get(self, key: U64) -> U64:
        """Get."""
        return self.rows[key]
'''


def _contracts() -> None:
    _seed("contract", "small", SMALL.encode())
    _seed("contract", "aliasing", (EXAMPLES / "aliasing.py").read_bytes())
    _seed("contract", "voting", (EXAMPLES / "voting.py").read_bytes())
    built = build_package(compile_source(SMALL))
    _seed("package", "built", built)
    _seed("package", "body", zlib.decompress(built[len(b"CHANGAN-CONTRACT\x01") + 32 :]))
    for name, method, rows in (
        ("token", "transfer", [(b"\x11" * 20, 5)] * 2),
        ("evidence", "put", [(b"\x22" * 32, "note")] * 3),
    ):
        signature = compile_source((EXAMPLES / f"{name}.py").read_text(encoding="utf-8")).method(method)
        assert signature is not None
        _seed("bundle", name, encode_bundle(signature, columns_of(signature, rows), len(rows), 0))
    _seed("settings", "default", settings_text(Settings()).encode())
    policy = '[[chains]]\nid = "c"\n[chains.policies]\nCERT_MANAGE-CERTS_FREEZE = { rule = "2", roles = ["ADMIN"] }\n'
    _seed("settings", "policy", policy.encode())


def _blocks(ledger: Ledger) -> None:
    last = stored_block(ledger.blocks[-1])
    _seed("receipt", "json", json.dumps(make_receipt(last, 1)).encode())
    _seed("receipt", "block", last.SerializeToString())
    written = ledger.blocks[-1].writes
    proof = ledger.world.commitment.tree.prove(state_key(written[0].contract, written[0].key, ledger.world.digest))
    _seed("receipt", "state", json.dumps(make_state_proof(last, written[0], proof)).encode())
    _seed("receipt", "delta", json.dumps(make_delta_proof(last, written, 0)).encode())
    _seed("block", "genesis", stored_block(ledger.blocks[0]).SerializeToString())
    _seed("block", "last", last.SerializeToString())
    following = ledger.call("evidence", "put", {"digest": "bb" * 32, "note": "next"})
    assert following.code == 0
    after = stored_block(ledger.blocks[-1])
    _seed("block", "next", after.SerializeToString())
    after.txRWSets[0].tx_writes[0].key = b"\xbc"  # no text, found by fuzzing
    _seed("block", "key_no_text", after.SerializeToString())
    _seed("header", "last", last.block.header.SerializeToString())


if __name__ == "__main__":
    main()
