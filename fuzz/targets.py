"""What is fuzzed: each target takes bytes, and may end only with the errors that its decoder promises."""

from __future__ import annotations

import base64
import hashlib
import json
import tomllib
import zlib
from typing import TYPE_CHECKING, Any

from cryptography import x509
from google.protobuf.message import DecodeError

from changan.contract.check import CheckError, check
from changan.contract.instance import BlockContext
from changan.contract.package import MAGIC, build_package, recognise
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source
from changan.crypto.digest import sha256
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.admission import Admitted, RefusedError, authenticate, check_form
from changan.ledger.bundle import BundleError, decode_bundle, encode_bundle
from changan.ledger.config_edits import EDITS
from changan.ledger.config_parameters import ConfigError, EditError
from changan.ledger.config_rules import check_config
from changan.ledger.distilled import MAGIC as JOINT
from changan.ledger.distilled import decode_distilled, encode_distilled
from changan.ledger.execution import Execution
from changan.ledger.hashing import block_hash
from changan.ledger.members import IdentityCache, Members
from changan.ledger.policy import DeniedError, Policies
from changan.ledger.receipt import verify_receipt
from changan.ledger.remembered import RememberedIds
from changan.ledger.row_proof import verify_row_proof
from changan.ledger.transition import Decided, InvalidBlockError, apply_block
from changan.ledger.wire.messages import (
    BlockHeader,
    BlockWithRWSet,
    ChainConfig,
    ConsensusArgs,
    KeyValuePair,
    Member,
    MemberType,
    PackedRequests,
    Payload,
    TxRequest,
    TxType,
)
from changan.node import audit
from changan.node.settings import SettingsError, _settings
from changan.node.storage import ReplayError, replay_block
from changan.node.store.blocklog import CorruptLogError
from ledgers import RECORDS, STORED, identities, new_world, senders
from mending import Lenient, Records, mend, mended_receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.ledger.world import World

KEPT_WORLD_USES = 500
"""How many inputs that wrote something one ledger serves, before it is made anew so that a finding can be repeated."""


class Fixture:
    """The ledger under the inputs, and who acts on it."""

    def __init__(self) -> None:
        self._fresh()

    def _fresh(self) -> None:
        self.world: World = new_world()
        self.identities = identities(self.world)
        self.entries = senders()
        self.uses = 0

    @property
    def time(self) -> int:
        """Seconds of the next block."""
        return self.world.block_time_us // 1_000_000 + 1

    def apply(self, request: TxRequest, verdict: Admitted | None) -> None:
        """Make a block of one request. Raises InvalidBlockError."""
        world = self.world
        before = world.epoch
        time_us = world.block_time_us + 1
        applied = apply_block(world, Decided(world.height + 1, time_us, None, [request], [verdict]))
        wrote = bool(applied.rw_sets[0].tx_writes)
        if wrote:
            self.uses += 1
        if wrote and (self.uses >= KEPT_WORLD_USES or world.epoch != before):
            self._fresh()
        self.world.remembered = RememberedIds(self.world.digest)


_fixture: list[Fixture] = []


def fixture() -> Fixture:
    """Return the one fixture, made when it is first needed."""
    if not _fixture:
        _fixture.append(Fixture())
    return _fixture[0]


# Requests


def request(data: bytes) -> None:
    """A request from the wire: decoded, admitted as at the door, and executed in a block of its own."""
    used = fixture()
    try:
        found = TxRequest.FromString(data)
    except DecodeError:
        return
    world = used.world
    try:
        check_form(found)
        verdict = authenticate(found, world.members, world.policies, used.time, world.epoch)
    except RefusedError as error:
        error.message.encode()  # it is sent to whoever asked
        return
    try:
        used.apply(found, verdict)
    except InvalidBlockError as error:
        str(error).encode()


def payload(data: bytes) -> None:
    """A payload whose signatures are taken as good: what an authentic but hostile member can send."""
    used = fixture()
    if not data:
        return
    try:
        found = Payload.FromString(data[1:])
    except DecodeError:
        return
    who = data[0] % 2
    request = TxRequest(payload=found, sender=used.entries[who])
    request.payload.tx_type = TxType.INVOKE_CONTRACT
    request.payload.timestamp = used.time
    try:
        check_form(request)
        used.apply(request, Admitted(used.identities[who], used.world.epoch))
    except (RefusedError, InvalidBlockError) as error:
        str(error).encode()


def packed(data: bytes) -> None:
    """Many requests in one message, decoded."""
    try:
        for item in PackedRequests.FromString(data).requests:
            request(item)
    except DecodeError:
        return


# Members, certificates, revocation lists


class _Trusting(Members):
    """Members that take every certificate as issued and every list as signed, so that inputs come further."""

    world: World | None = None
    """Of which ledger they are: reading its roots anew for each input would take longer than the input."""

    def _check_issued(self, certificate: x509.Certificate, org_id: str) -> None:
        del certificate, org_id

    def issued_list(self, revocations: x509.CertificateRevocationList) -> bool:
        return bool(revocations.issuer.rfc4514_string() or True)


_made: list[_Trusting] = []


def _trusting(world: World) -> _Trusting:
    if not _made or _made[0].world is not world:
        _made[:] = [_Trusting(world.config, world.members._records, world.digest)]
        _made[0].world = world
    return _made[0]


def member(data: bytes) -> None:
    """A member of the wire becomes an identity."""
    used = fixture()
    try:
        found = Member.FromString(data)
    except DecodeError:
        return
    _identify(used, found)


def certificate(data: bytes) -> None:
    """A certificate's DER, armoured as PEM, becomes an identity; once with its issuer checked and once without."""
    used = fixture()
    pem = _armour(b"CERTIFICATE", data)
    for org_id in ("wx-org1.chainmaker.org", "another"):
        _identify(used, Member(org_id=org_id, member_type=MemberType.CERT, member_info=pem))


def _identify(used: Fixture, found: Member) -> None:
    for members in (used.world.members, _trusting(used.world)):
        try:
            identity = members.identify(found, used.time)
            identity.full_member(found).SerializeToString()
            identity.key.verify(b"message", found.member_info[:80], identity.signature_hash)
        except UnverifiedError as error:
            str(error).encode()
        members._cache = IdentityCache()


def revocations(data: bytes) -> None:
    """A revocation list, as CERT_MANAGE takes it; the first byte says whether it is DER to be armoured."""
    used = fixture()
    pem = _armour(b"X509 CRL", data[1:]) if data[:1] == b"d" else data[1:]
    world, kept = used.world, used.world.members
    for members in (kept, _trusting(world)):
        world.members = members
        try:
            _manage(used, "CERTS_REVOKE", {"cert_crl": pem})
        finally:
            world.members = kept


def certificates(data: bytes) -> None:
    """The other parameters of CERT_MANAGE: method, then names and certificates, NUL between them."""
    method, _, rest = data.partition(b"\x00")
    names = ("cert_hashes", "certs", "aliases", "alias", "cert", "cert_crl")
    parts = rest.split(b"\x00")
    _manage(fixture(), method.decode("utf-8", "replace"), dict(zip(names, parts, strict=False)))


def _manage(used: Fixture, method: str, parameters: dict[str, bytes]) -> None:
    call = Payload(tx_type=TxType.INVOKE_CONTRACT, tx_id="fuzz", contract_name="CERT_MANAGE", method=method)
    call.parameters.extend(KeyValuePair(key=key, value=value) for key, value in parameters.items())
    execution = Execution(used.world, BlockContext(used.world.height + 1, used.time))
    request = TxRequest(payload=call, sender=used.entries[0])
    done = execution.query(request, Admitted(used.identities[0], used.world.epoch))
    done.result.encoded()


def _armour(label: bytes, der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, text, label)


# Policies and the chain's configuration


def policy(data: bytes) -> None:
    """A policy of the wire under a name (NUL between): set in a configuration, and where it may stand, judged."""
    used = fixture()
    name, _, encoded = data.partition(b"\x00")
    after = _edited(used.world, "PERMISSION_ADD", {name.decode("utf-8", "replace"): encoded})
    if after is None:
        return
    policies = Policies(after, used.world.members.voters)
    for resource in (after.resource_policies[-1].resource_name, "CHAIN_CONFIG-BLOCK_UPDATE"):
        for target in (None, used.identities[0].org_id):
            try:
                policies.check_forbidden(resource)
                policies.check_signers(resource, used.identities, target)
            except DeniedError as error:
                str(error).encode()


def config(data: bytes) -> None:
    """A change of the configuration as CHAIN_CONFIG takes it: a payload's method and parameters."""
    try:
        found = Payload.FromString(data)
    except DecodeError:
        return
    if found.method in EDITS:
        _edited(fixture().world, found.method, {pair.key: pair.value for pair in found.parameters})


def _edited(world: World, method: str, parameters: dict[str, bytes]) -> ChainConfig | None:
    """Return the configuration after a change, or None where it is refused in words."""
    after = ChainConfig.FromString(world.config.SerializeToString())
    try:
        EDITS[method](after, parameters)
        check_config(world.config, after, world.block_time_us // 1_000_000)
    except (EditError, ConfigError) as error:
        str(error).encode()
        return None
    return ChainConfig.FromString(after.SerializeToString())


# Contracts


def contract(data: bytes) -> None:
    """A contract's source: the checker gives messages, or the contract compiles, builds and opens again."""
    try:
        source = data.decode()
    except UnicodeDecodeError:
        return
    if check(source):
        return
    program = compile_source(source)
    PlainInstance(program, bytes(20))
    package = build_package(program)
    assert recognise(package) == source


def package(data: bytes) -> None:
    """A built package: as it is, and as the body of a package whose digest and compression hold."""
    body = MAGIC + hashlib.sha256(data).digest() + zlib.compress(data, 1)
    for given in (data, body):
        try:
            source = recognise(given)
        except MalformedError:
            continue
        if source is not None:
            try:
                compile_source(source)
            except CheckError as error:
                str(error)


# Bundles, receipts, blocks, settings


def bundle(data: bytes) -> None:
    """A bundle decodes to columns that encode to the same bytes, or is refused; then it is sent as a parameter. So does one
    of many clients."""
    for name, method in (("token", "transfer"), ("evidence", "put")):
        signature = fixture().world.instances[name].program.method(method)
        assert signature is not None
        try:
            found = decode_bundle(data, signature)
        except BundleError as error:
            str(error)
            continue
        assert encode_bundle(signature, found.columns, found.rows, found.budget) == data
    joint = JOINT + data[len(JOINT) :]
    signature = fixture().world.instances["evidence"].program.method("put")
    assert signature is not None
    try:
        sent = decode_distilled(joint, signature)
    except BundleError as error:
        str(error)
    else:
        columns, budget = sent.bundle.columns, sent.bundle.budget
        assert encode_distilled(signature, columns, sent.clients, budget, sent.signature) == joint
    call = Payload(contract_name="token", method="transfer", tx_id="fuzz")
    call.parameters.append(KeyValuePair(key="__bundle__", value=data))
    payload(b"\x00" + call.SerializeToString())


def receipt(data: bytes) -> None:
    """The JSON of a receipt or of a row's proof; and, from protobuf parts, a receipt whose hashes were mended."""
    used = fixture()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        _verify(used, document)
    try:
        stored = BlockWithRWSet.FromString(data)
    except DecodeError:
        return
    for position in range(min(2, len(stored.block.txs), len(stored.txRWSets))):
        _verify(used, mended_receipt(stored, position))


def _verify(used: Fixture, document: dict[str, Any]) -> None:
    for verify in (verify_receipt, verify_row_proof):
        try:
            verify(document, used.world.members)
        except (MalformedError, UnverifiedError) as error:
            str(error).encode("utf-8", "replace")


def block(data: bytes) -> None:
    """A block's record, audited as the first and as a later block, as it is and with its hashes mended; then replayed."""
    try:
        stored = BlockWithRWSet.FromString(data)
    except DecodeError:
        _audit(audit.Auditor, [data])
        return
    mended = BlockWithRWSet()
    mended.CopyFrom(stored)
    if mended.block.txs:
        mend(mended)
    record = mended.SerializeToString()
    _audit(audit.Auditor, [data])
    _audit(audit.Auditor, [record])
    _audit(audit.Auditor, [RECORDS[0], data])
    mended.block.header.pre_block_hash = STORED[0].block.header.block_hash
    mended.block.header.chain_id = STORED[0].block.header.chain_id
    mended.block.header.block_height = 1
    mended.block.header.block_hash = block_hash(mended.block.header, sha256)
    _audit(Lenient, [RECORDS[0], mended.SerializeToString()])
    _replay(stored)


def _audit(kind: type[audit.Auditor], records: list[bytes]) -> None:
    try:
        for _ in kind(Records(records)).blocks():  # type: ignore[arg-type]  # what it reads of a log
            pass
    except (audit.AuditError, CorruptLogError) as error:
        assert "block " in str(error)  # it names the height


def _replay(stored: BlockWithRWSet) -> None:
    used = fixture()
    try:
        replay_block(used.world, stored)
    except (ReplayError, InvalidBlockError):
        pass
    else:
        used._fresh()
        return
    if used.world.height != len(STORED) - 1 or used.world.block_hash != STORED[-1].block.header.block_hash:
        used._fresh()


def header(data: bytes) -> None:
    """A block header and what it binds."""
    try:
        found = BlockHeader.FromString(data)
        ConsensusArgs.FromString(found.consensus_args)
    except DecodeError:
        return
    block_hash(found, sha256)


def settings(data: bytes) -> None:
    """A settings file."""
    try:
        _settings(tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, SettingsError):
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    "request": request,
    "payload": payload,
    "packed": packed,
    "member": member,
    "certificate": certificate,
    "certificates": certificates,
    "revocations": revocations,
    "policy": policy,
    "config": config,
    "contract": contract,
    "package": package,
    "bundle": bundle,
    "receipt": receipt,
    "block": block,
    "header": header,
    "settings": settings,
}
