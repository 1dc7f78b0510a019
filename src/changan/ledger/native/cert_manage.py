"""CERT_MANAGE: short hashes and aliases of certificates, freezing, and revocation by lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from changan.errors import UnverifiedError
from changan.ledger.members import CertificateRecords, read_certificate
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import AliasCertInfo, AliasInfo, AliasInfos, CertInfo, CertInfos, ContractEvent

if TYPE_CHECKING:
    from changan.ledger.state import Rows

_NAME = SystemContract.CERT_MANAGE.value
_FROZEN = "frozen."
_ALIAS = "alias."
_REVOKED = "revoked."
_ALIAS_FORM = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_HASH_FORM = re.compile(r"[0-9a-f]{64}")
NAMES_AT_ONCE_MAX = 1000
REVOKED_AT_ONCE_MAX = 20_000
"""Entries of one revocation list: so many take a third of a second, and a block must not take longer than one."""


def read_records(rows: Rows) -> CertificateRecords:
    """Return what the chain knows of certificates, from the committed rows."""
    by_hash: dict[str, bytes] = {}
    by_alias: dict[str, bytes] = {}
    frozen: set[str] = set()
    revoked: set[tuple[str, int]] = set()
    for key, value in rows.under(_NAME, ""):
        if key.startswith(_FROZEN):
            frozen.add(key.removeprefix(_FROZEN))
        elif key.startswith(_ALIAS):
            info = AliasInfo.FromString(value)
            if info.HasField("now_cert"):
                by_alias[info.alias] = info.now_cert.cert
        elif key.startswith(_REVOKED):
            issuer, _, serial = value.decode().rpartition("\n")
            revoked.add((issuer, int(serial)))
        else:
            by_hash[key] = value
    return CertificateRecords(by_hash, by_alias, frozenset(frozen), frozenset(revoked))


def _add(call: NativeCall) -> bytes:
    digest = call.sender.certificate_hash
    call.overlay.put(_NAME, digest, call.sender.certificate)
    return digest.encode()


def _hashes(call: NativeCall, doing: str) -> list[str]:
    if not call.parameters.get("cert_hashes"):
        raise NativeError(f"params is error, {doing} require param [cert_hashes] not found")
    return _names(call, "cert_hashes")


def _names(call: NativeCall, parameter: str) -> list[str]:
    """Return the names in a comma-joined parameter; too many are refused before they are looked at."""
    text = call.text(parameter)
    if text.count(",") >= NAMES_AT_ONCE_MAX:
        count = text.count(",") + 1
        raise NativeError(f"params is error, {count} names at once, at most {NAMES_AT_ONCE_MAX} are allowed")
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _query(call: NativeCall) -> bytes:
    infos = [
        CertInfo(hash=name, cert=(call.overlay.get(_NAME, name) if _HASH_FORM.fullmatch(name) else None) or b"")
        for name in _hashes(call, "query cert")
    ]
    return CertInfos(cert_infos=infos).SerializeToString()


def _delete(call: NativeCall) -> bytes:
    for name in _hashes(call, "delete cert"):
        if _HASH_FORM.fullmatch(name) is None or call.overlay.get(_NAME, name) is None:
            raise NativeError(f"certManage delete the certHash failed, certHash[{name}], err: certHash is not exist")
        call.overlay.put(_NAME, name, None)
    return b"Success"


def _targets(call: NativeCall) -> list[str]:
    """Return the hashes that a freeze or unfreeze names, by certificate, hash or alias."""
    found = [_hash_of(call, pem.encode()) for pem in _names(call, "certs")]
    for name in _names(call, "cert_hashes"):
        if _HASH_FORM.fullmatch(name) is None:
            raise NativeError(f"params is error, {name!r} is not the hash of a certificate")
        found.append(name)
    for alias in _names(call, "aliases"):
        info = _alias(call, alias)
        if info is None or not info.HasField("now_cert"):
            raise NativeError(f"alias[{alias}] not exist")
        found.append(info.now_cert.hash)
    if not found:
        raise NativeError("params is error, require param [certs] not found")
    return found


def _hash_of(call: NativeCall, pem: bytes) -> str:
    try:
        return call.world.digest(read_certificate(pem).public_bytes(Encoding.DER)).hex()
    except UnverifiedError as error:
        raise NativeError("params is error, [certs] holds something that is not a certificate in PEM") from error


def _freeze(call: NativeCall) -> bytes:
    targets = _targets(call)
    for target in targets:
        call.overlay.put(_NAME, _FROZEN + target, b"1")
    _announce(call, "CERT_MANAGE_CERTS_FREEZE", targets)
    return ",".join(targets).encode()


def _unfreeze(call: NativeCall) -> bytes:
    targets = _targets(call)
    for target in targets:
        call.overlay.put(_NAME, _FROZEN + target, None)
    _announce(call, "CERT_MANAGE_CERTS_UNFREEZE", targets)
    return b"Success"


def _revoke(call: NativeCall) -> bytes:
    call.require("revoke cert", ["cert_crl"])
    try:
        crl = x509.load_pem_x509_crl(call.parameters["cert_crl"])
        issuer = crl.issuer.rfc4514_string()  # decoded only now, as are the entries
        count = len(crl)
        entries = list(crl) if count <= REVOKED_AT_ONCE_MAX else []
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise NativeError("params is error, [cert_crl] is not a certificate revocation list in PEM") from error
    if count > REVOKED_AT_ONCE_MAX:
        raise NativeError(f"params is error, the list holds {count} entries, {REVOKED_AT_ONCE_MAX} are allowed")
    if not call.world.members.issued_list(crl):
        raise NativeError("validate crl failed, no trust root issued this list")
    keys: list[str] = []
    for entry in entries:
        value = f"{issuer}\n{entry.serial_number}".encode()
        key = call.world.digest(value).hex()
        call.overlay.put(_NAME, _REVOKED + key, value)
        keys.append(key)
    _announce(call, "CERT_MANAGE_CERTS_REVOKE", keys[:16])
    return ",".join(keys).encode()


def _announce(call: NativeCall, topic: str, names: list[str]) -> None:
    call.events.append(
        ContractEvent(
            topic=topic,
            tx_id=call.payload.tx_id,
            contract_name=_NAME,
            contract_version="v1",
            event_data=[",".join(names)[:65_535]],
        )
    )


def _alias(call: NativeCall, name: str) -> AliasInfo | None:
    if _ALIAS_FORM.fullmatch(name) is None:
        raise NativeError(f"params is error, alias {name!r} is not of the form {_ALIAS_FORM.pattern}")
    found = call.overlay.get(_NAME, _ALIAS + name)
    return None if found is None else AliasInfo.FromString(found)


def _alias_add(call: NativeCall) -> bytes:
    call.require("add alias", ["alias"])
    name = call.text("alias")
    if _alias(call, name) is not None:
        raise NativeError(f"alias[{name}] is exist")
    _put_alias(call, AliasInfo(alias=name), call.sender.certificate, call.sender.certificate_hash)
    return b"ok"


def _alias_update(call: NativeCall) -> bytes:
    call.require("update alias", ["alias", "cert"])
    name = call.text("alias")
    info = _alias(call, name)
    if info is None:
        raise NativeError(f"alias[{name}] not exist")
    pem = call.parameters["cert"]
    _put_alias(call, info, pem, _hash_of(call, pem))
    return b"ok"


def _put_alias(call: NativeCall, info: AliasInfo, pem: bytes, digest: str) -> None:
    if info.HasField("now_cert"):
        info.his_certs.append(info.now_cert)
    info.now_cert.CopyFrom(AliasCertInfo(hash=digest, cert=pem, block_height=call.block.height))
    call.overlay.put(_NAME, _ALIAS + info.alias, info.SerializeToString())


def _alias_delete(call: NativeCall) -> bytes:
    call.require("delete alias", ["aliases"])
    for name in _names(call, "aliases"):
        if _alias(call, name) is None:
            raise NativeError(f"alias[{name}] not exist")
        call.overlay.put(_NAME, _ALIAS + name, None)
    return b"ok"


def _alias_query(call: NativeCall) -> bytes:
    call.require("query alias", ["aliases"])
    infos: list[AliasInfo] = []
    for name in _names(call, "aliases"):
        info = _alias(call, name)
        if info is None:
            raise NativeError(f"query alias failed, not found alias[{name}], you should add alias first")
        infos.append(info)
    return AliasInfos(alias_infos=infos).SerializeToString()


METHODS = {
    "CERT_ADD": _add,
    "CERTS_QUERY": _query,
    "CERTS_DELETE": _delete,
    "CERTS_FREEZE": _freeze,
    "CERTS_UNFREEZE": _unfreeze,
    "CERTS_REVOKE": _revoke,
    "CERT_ALIAS_ADD": _alias_add,
    "CERT_ALIAS_UPDATE": _alias_update,
    "CERTS_ALIAS_DELETE": _alias_delete,
    "CERTS_ALIAS_QUERY": _alias_query,
}
