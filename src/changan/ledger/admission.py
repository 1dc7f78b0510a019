"""What a request must pass before it is ordered, in ChainMaker's order and with its words: form, identity, policy, time, id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.crypto.batch.verifier import Signed
from changan.crypto.suite import UnadmittedError
from changan.errors import ChanganError, UnverifiedError
from changan.ledger.contracts import resource_of
from changan.ledger.default_policies import TX_TYPE_NAMES
from changan.ledger.key_members import UnusedFormError
from changan.ledger.lane import LaneError, look_at, recognise_callers
from changan.ledger.members import UndecodableMemberError
from changan.ledger.policy import DeniedError
from changan.ledger.wire.messages import EndorsementEntry, TxRequest, TxStatusCode, TxType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.crypto.batch.verifier import BatchVerifier
    from changan.ledger.bundle import OpenedBundle
    from changan.ledger.clients import Callers
    from changan.ledger.lane import Look
    from changan.ledger.members import Identity, Members
    from changan.ledger.policy import Policies
    from changan.ledger.wire.messages import Member, Payload, Transaction
    from changan.ledger.world import World

TX_ID_CHARACTERS_MAX = 64
ENDORSERS_MAX = 1000
"""More endorsers than any policy could ask for; a request with more is refused before a signature is looked at."""

_TX_ID = re.compile(r"\S+")
_UNKNOWN = "authentication failed, [refine endorsements failed, all endorsers have failed verification]"


class RefusedError(ChanganError):
    """A request that is not ordered: the code and the words of the answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Admitted(NamedTuple):
    """A request that passed: who sent it, the identity epoch in which that was found, and who pays if not the sender."""

    sender: Identity
    epoch: int
    payer: Identity | None = None
    signed: bytes = b""
    """The payload as it was signed; empty where it was not looked at."""
    callers: Callers | None = None
    """Who calls the rows, where each has a caller of its own."""
    opened: OpenedBundle | None = None
    """The bundle that the request is, where it was taken apart already."""

    def holds_at(self, time: int) -> bool:
        """Whether the certificates of all who act are within their time at `time`, seconds of block time."""
        sender, payer, callers = self.sender, self.payer or self.sender, self.callers
        return (
            sender.not_before <= time <= sender.not_after
            and payer.not_before <= time <= payer.not_after
            and (callers is None or callers.since <= time <= callers.until)
        )


def check_form(request: TxRequest) -> None:
    """Refuse a request whose header is malformed. Raises RefusedError."""
    payload = request.payload
    if not request.HasField("payload"):
        raise RefusedError(TxStatusCode.INTERNAL_ERROR, "tx verify failed, the request has no payload")
    if not request.HasField("sender") or not request.sender.HasField("signer"):
        raise RefusedError(TxStatusCode.INTERNAL_ERROR, "tx verify failed, the request has no sender")
    if len(request.endorsers) > ENDORSERS_MAX:
        text = f"verify tx header failed, {len(request.endorsers)} endorsers, at most {ENDORSERS_MAX} are allowed"
        raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"tx verify failed, {text}, txId:{payload.tx_id}")
    problem = _header_problem(payload)
    if problem is not None:
        raise _verify_failed(request, f"verify tx header failed, {problem}")


def _header_problem(payload: Payload) -> str | None:
    if payload.tx_type == TxType.INVOKE_CONTRACT:
        if len(payload.tx_id) > TX_ID_CHARACTERS_MAX:
            return f"tx id length is incorrect, wanted {TX_ID_CHARACTERS_MAX}"
        if _TX_ID.fullmatch(payload.tx_id) is None:
            return f"check tx id failed, only [a-zA-Z0-9_] are allowed, your TxId is:{payload.tx_id}"
    elif len(payload.tx_id) > TX_ID_CHARACTERS_MAX * 4:
        return f"tx id length is incorrect, wanted {TX_ID_CHARACTERS_MAX}"
    expiry = payload.expiration_time
    if expiry and expiry <= payload.timestamp:
        return f"tx timestamp {payload.timestamp} should be before expiration time {expiry}"
    return None


class Asked(NamedTuple):
    """What is to be looked at of a request: its sender's signature, and what it carries beside."""

    signed: Signed | bytes  # where a sender is not known what is said to be signed
    sender: Identity | None
    look: Look | None
    epoch: int


class Proven(NamedTuple):
    """A sender's signature that was looked at together with others: what was signed, by whom, and whether it holds."""

    signed: bytes
    sender: Identity | None  # None: who sent it is not known
    holds: bool
    lane: Callers | LaneError | None  # what came of the BLS signatures beside it; not looked at where it does not hold
    epoch: int


def ask(requests: Sequence[TxRequest], world: World, time: int) -> list[Asked]:
    """Return what is to be looked at of several requests."""
    found = []
    for request in requests:
        signed = request.payload.SerializeToString()
        try:
            sender = world.members.identify(request.sender.signer, time)
        except UnverifiedError:
            found.append(Asked(signed, None, None, world.epoch))
        else:
            asked = Signed(sender.key, signed, request.sender.signature, sender.signature_hash)
            found.append(Asked(asked, sender, look_at(request.payload, sender, world, time), world.epoch))
    return found


def prove(asked: Sequence[Asked], verifier: BatchVerifier) -> list[Proven]:
    """Look at many signatures together. It may run in a thread: it touches nothing but them."""
    verdicts = iter(verifier.verify([one.signed for one in asked if isinstance(one.signed, Signed)]))
    return [
        Proven(one.signed, None, False, None, one.epoch)  # noqa: FBT003  # it does not hold
        if isinstance(one.signed, bytes)
        else _proven(one.signed, one, holds=next(verdicts))
        for one in asked
    ]


def _proven(signed: Signed, asked: Asked, *, holds: bool) -> Proven:
    return Proven(signed.message, asked.sender, holds, _looked(asked.look) if holds else None, asked.epoch)


def _looked(look: Look | None) -> Callers | LaneError | None:
    try:
        return None if look is None else look()
    except LaneError as error:
        return error


def admit(request: TxRequest, world: World, time: int, proven: Proven | None = None) -> Admitted:
    """Return who sent `request` to a chain and who calls its rows, if every signature holds. Raises RefusedError."""
    resource = resource_of(world.rows, request.payload)
    admitted = authenticate(request, world.members, world.policies, time, world.epoch, proven, resource=resource)
    if proven is not None and proven.holds and proven.epoch == world.epoch:
        found = proven.lane
    else:
        found = _looked(look_at(request.payload, admitted.sender, world, time))
    if isinstance(found, LaneError):
        raise RefusedError(TxStatusCode.INVALID_PARAMETER, f"{found}, txId:{request.payload.tx_id}") from found
    return admitted if found is None else admitted._replace(callers=found)


def authenticate(  # everything that decides, and nothing else
    request: TxRequest,
    members: Members,
    policies: Policies,
    time: int,
    epoch: int,
    proven: Proven | None = None,
    *,
    resource: str = "",
) -> Admitted:
    """Return who sent `request`, if the signatures hold and the policies allow it. Raises RefusedError.

    `proven` is what was found of the sender's signature already; one that does not hold is looked at again for the words.
    `resource` is what policies call the method, where the request may call the contract otherwise.
    """
    payload = request.payload
    signed = payload.SerializeToString() if proven is None else proven.signed
    if payload.tx_type not in TX_TYPE_NAMES:
        text = f"look up access policy failed, did not configure access policy for resource {payload.tx_type}"
        raise _not_authentic(request, "verifyTxTypePrincipal", f": authentication failed, [{text}]")
    sender = _sender(request, members, time, epoch, proven) or _identified(
        request, request.sender, signed, members, time
    )
    try:
        policies.check_sender(payload.tx_type, sender)
    except DeniedError as error:
        raise _not_authentic(request, "verifyTxTypePrincipal", f": {error}") from error
    if payload.tx_type != TxType.INVOKE_CONTRACT:
        return Admitted(sender, epoch)
    resource = resource or f"{payload.contract_name}-{payload.method}"
    _authorise(request, resource, signed, sender, members, policies, time)
    payer = _identified(request, request.payer, signed, members, time) if request.HasField("payer") else None
    return Admitted(sender, epoch, payer, signed)


def _sender(request: TxRequest, members: Members, time: int, epoch: int, proven: Proven | None) -> Identity | None:
    """Return the sender if its signature was found to hold, by the key that is the sender's now."""
    if proven is None or not proven.holds or proven.sender is None:
        return None
    known = proven.sender
    if proven.epoch == epoch and known.not_before <= time <= known.not_after:
        return known
    try:
        found = members.identify(request.sender.signer, time)
    except UnverifiedError:
        return None
    return found if found.key == known.key else None


def recognise(request: TxRequest, world: World, time: int) -> Admitted:
    """Return who acts in a request of a block that was sealed: its signatures were looked at then. Raises UnverifiedError."""
    members = world.members
    payer = members.identify(request.payer.signer, time) if request.HasField("payer") else None
    callers = recognise_callers(request.payload, world, time)
    return Admitted(members.identify(request.sender.signer, time), world.epoch, payer, callers=callers)


def _identified(request: TxRequest, entry: EndorsementEntry, signed: bytes, members: Members, time: int) -> Identity:
    try:
        return members.authenticate(entry, signed, time)
    except (UnusedFormError, UnadmittedError) as error:
        raise _not_authentic(request, "verifySenderPrincipal", f": authentication failed, [{error}]") from error
    except UndecodableMemberError as error:
        raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"tx verify failed, {error}") from error
    except UnverifiedError as error:
        raise _not_authentic(request, "verifyTxTypePrincipal", f": {_UNKNOWN}") from error


def _authorise(  # noqa: PLR0917  # who asks for what, and who says whether
    request: TxRequest,
    resource: str,
    signed: bytes,
    sender: Identity,
    members: Members,
    policies: Policies,
    time: int,
) -> None:
    try:
        policies.check_forbidden(resource)
    except DeniedError as error:
        raise _not_authentic(request, "verifySenderPrincipal", f": {error}") from error
    if not policies.needs_signers(resource):
        return
    signers = [sender, *_endorsers(request.endorsers, signed, members, time)]
    target = next((p.value.decode("utf-8", "replace") for p in request.payload.parameters if p.key == "org_id"), None)
    try:
        policies.check_signers(resource, signers, target)
    except DeniedError as error:
        raise _not_authentic(request, "verifyEndorsementsPrincipal", f" for {resource}: {error}") from error


def _endorsers(entries: Sequence[EndorsementEntry], signed: bytes, members: Members, time: int) -> list[Identity]:
    """Return those endorsers whose signatures hold; one that does not is as if it were absent, as on the real node."""
    found: dict[str, Identity] = {}
    for entry in entries:
        try:
            identity = members.identify(entry.signer, time)
            if identity.certificate_hash not in found:
                found[identity.certificate_hash] = members.authenticate(entry, signed, time)
        except UnverifiedError:
            continue
    return list(found.values())


def request_of(transaction: Transaction) -> TxRequest:
    """Return the request that a transaction of a block was sent as."""
    request = TxRequest(payload=transaction.payload, sender=transaction.sender, endorsers=transaction.endorsers)
    if transaction.HasField("payer"):
        request.payer.CopyFrom(transaction.payer)
    return request


def _not_authentic(request: TxRequest, stage: str, text: str) -> RefusedError:
    return _verify_failed(request, f"verify tx authentation failed, [{stage}]authentication error{text}")


def _verify_failed(request: TxRequest, text: str) -> RefusedError:
    endorsers = "".join(f"{_shown(entry.signer)} " for entry in request.endorsers)
    return RefusedError(
        TxStatusCode.INTERNAL_ERROR,
        f"tx verify failed, {text}, txId:{request.payload.tx_id}, sender:{_shown(request.sender.signer)}, "
        f"endorsers-len:{len(request.endorsers)},\nendorsers:\n{endorsers}",
    )


def _shown(member: Member) -> str:
    """Return member_info as text; what is no text is shown in hex, so that the answer stays valid UTF-8."""
    info = member.member_info[:4096]
    try:
        return info.decode()
    except UnicodeDecodeError:
        return info.hex()
