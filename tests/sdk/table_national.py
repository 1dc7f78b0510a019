"""Rows of chains of SM2 and SM3: the table of the identity mode, but for what the SDK does otherwise with such keys and certificates."""

from __future__ import annotations

import record
from certificates import revocation_list
from chainmaker.keys import AddrType
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.utils.gm import SM2PrivateKey, SM2PublicKey
from row import DEFECT, REFUSED, WORKS, Row, holds, works
from table_client import same_key, same_public
from world import World

_LISTED = "listed by OpenSSL"


def _fresh_address(world: World) -> str:
    """Ask a member that asked for nothing before."""
    return world.member("fresh").address


def _is_ethereums(world: World, address: object) -> bool:
    """Whether it is Ethereum's form, which is left once the type was asked for."""
    client = world.member("fresh")._client
    forms = [client.user.get_address(form) for form in (AddrType.ETHEREUM, AddrType.ZXL)]
    return client.addr_type is AddrType.ZXL and [address, client.address] == forms


def _revokes(world: World) -> TxResponse:
    """Send a list that OpenSSL signed, for the SDK cannot."""
    certificate = world.issue(_LISTED)[0]
    assert world.accepted(world.member(_LISTED))
    listed = revocation_list(certificate, (world.ca_cert, world.ca_key), world.algorithm)
    payload = world.real.create_cert_revoke_payload(listed)
    return world.cc.send_cert_manage_request(payload, world.endorsed(payload))


_OTHERWISE = [
    holds("private_key", SM2PrivateKey, same_key),
    works("get_private_key", SM2PrivateKey, same_key),
    holds("public_key", SM2PublicKey, same_public),
    works("get_public_key", SM2PublicKey, same_public),
    Row("address", DEFECT, _fresh_address, check=_is_ethereums, note=record.ON_SM2["address"]),
    works("send_cert_manage_request", TxResponse, lambda world, _: not world.accepted(world.member(_LISTED)), _revokes),
]
_RAISES = {
    record.CERTIFICATE_DIGEST: r"UnsupportedAlgorithm: .*1\.2\.156\.10197\.1\.501",
    record.SIGNS_LISTS: "TypeError: Key must be an ",
    record.ON_SM2["sender_address"]: "PyAsn1Error: <TagSet ",
}


def on_sm2(rows: list[Row]) -> list[Row]:
    """Return the rows of a chain of SM2 and SM3, made of those of an international one."""
    otherwise = {row.method: row for row in _OTHERWISE}
    return [_broken(row) or (otherwise.get(row.method, row) if row.expect == WORKS else row) for row in rows]


def _broken(row: Row) -> Row | None:
    """Return the row of a method in which the SDK raises; what is refused is refused before, but for lists, which are signed first."""
    note = record.ON_SM2.get(row.method, "")
    raises = note in _RAISES and (row.expect != REFUSED or note == record.SIGNS_LISTS)
    return Row(row.method, DEFECT, row.call, says=_RAISES[note], note=note) if raises else None
