"""Who sends the recorded requests: the members of a node's home, and the ways in which a request leaves their desk."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
from recorded import told_error, told_message, told_response, told_transaction

from changan.client.requests import Signer, install_parameters, make_payload, sign_request
from changan.crypto.keys import SigningKey
from changan.crypto.suite import Suite
from changan.ledger.wire.messages import (
    BlockHeader,
    BlockInfo,
    Member,
    MemberType,
    SubscribeResult,
    TransactionInfo,
    TxResponse,
    TxStatusCode,
    TxType,
)
from changan.node.pki.authority import Authority
from changan.node.pki.layout import read_crypto_config
from changan.node.settings import read_settings

if TYPE_CHECKING:
    from node_process import NodeProcess

ENDLESS_S = 0.7  # how long a stream is listened to that has no end
WAIT_S = 6.0


class Desk:
    """Sends requests to one running node and tells what came back."""

    def __init__(self, node: NodeProcess) -> None:
        self._home = node.home
        self.crypto = read_crypto_config(node.home)
        self.channel = grpc.insecure_channel(node.rpc, options=[("grpc.max_receive_message_length", 100 * 1024 * 1024)])
        self.http = node.http
        self.client = self.member("client1")
        self.light = self.member("light1")
        self.admins = [self.member("admin1", org) for org in range(4)]
        self.clients = [self.member("client1", org) for org in range(4)]
        self.last = None  # the last request that was sent

    def close(self) -> None:
        self.channel.close()

    # Members

    def member(self, name: str, org: int = 0, *, tls: bool = False) -> Signer:
        organisation = self.crypto.organisations[org]
        files = organisation.user(name)
        pair = (files.tls_certificate, files.tls_key) if tls else (files.sign_certificate, files.sign_key)
        return Signer.from_files(organisation.org_id, *pair)

    def as_member(self, signer: Signer, **changes) -> Signer:
        """The same key under another name."""
        member = Member.FromString(signer.member.SerializeToString())
        for name, value in changes.items():
            setattr(member, name, value)
        return Signer(member, signer.key)

    def stranger(self, org_id: str, claimed: str | None = None) -> Signer:
        """A client whose certificate comes from an authority that the chain does not know."""
        now = datetime.now(UTC)
        issued = Authority.create(org_id, now).issue("client1", "client", "sign", now)
        member = Member(org_id=claimed or org_id, member_type=MemberType.CERT, member_info=issued.certificate_pem)
        return Signer(member, SigningKey(issued.key_pem))

    # Requests

    def request(self, contract: str, method: str, parameters=None, *, sender=None, endorsers=(), kind=None, **changes):
        payload = make_payload("chain1", contract, method, parameters or {}, query=kind == "query")
        for name, value in changes.items():
            setattr(payload, name, value)
        return sign_request(payload, sender or self.client, endorsers)

    def raw(self, method: str, data: bytes) -> TxResponse:
        call = self.channel.unary_unary(f"/api.RpcNode/{method}", response_deserializer=TxResponse.FromString)
        return call(data, timeout=WAIT_S)

    def deliver(self, request, method: str = "SendRequest") -> tuple[str, str]:
        """Send a request, and read the outcome in its block when it was accepted without one."""
        self.last = request
        try:
            response = self.raw(method, request.SerializeToString())
        except grpc.RpcError as error:
            return told_error(error), ""
        accepted = response.code == TxStatusCode.SUCCESS and not response.HasField("contract_result")
        return told_response(response), self.outcome(request.payload.tx_id) if accepted else ""

    def send(self, contract: str, method: str, parameters=None, **options) -> tuple[str, str]:
        return self.deliver(self.request(contract, method, parameters, **options))

    def sync(self, contract: str, method: str, parameters=None, **options) -> tuple[str, str]:
        return self.deliver(self.request(contract, method, parameters, **options), "SendRequestSync")

    def query(self, contract: str, method: str, parameters=None, **options) -> tuple[str, str]:
        return self.deliver(self.request(contract, method, parameters, kind="query", **options))

    def again(self, method: str = "SendRequest") -> tuple[str, str]:
        return self.deliver(self.last, method)

    def manage(self, method: str, parameters, endorsers=None) -> tuple[str, str]:
        return self.send(
            "CONTRACT_MANAGE", method, parameters, endorsers=self.admins if endorsers is None else endorsers
        )

    def address(self, digits: str) -> str:
        """The address as this chain writes it."""
        national = read_settings(self._home / "changan.toml").suite is Suite.NATIONAL
        return f"ZX{digits}" if national else digits

    def configure(self, method: str, parameters=None, endorsers=None, *, sync: bool = False) -> tuple[str, str]:
        endorsers = self.admins if endorsers is None else endorsers
        return (self.sync if sync else self.send)("CHAIN_CONFIG", method, parameters, endorsers=endorsers)

    def changed(self, change, contract: str = "T", method: str = "P", **options) -> tuple[str, str]:
        """Send a request that was changed after it was signed."""
        request = self.request(contract, method, {"k": "a", "v": "b"}, **options)
        change(request)
        return self.deliver(request)

    def twice_at_once(self) -> tuple[str, str]:
        """The answer to a request whose twin still waits; the pool is quick, so it may take a few tries."""
        call = self.channel.unary_unary("/api.RpcNode/SendRequest", response_deserializer=TxResponse.FromString)
        for _ in range(20):
            data = self.request("T", "P", {"k": "a", "v": "b"}).SerializeToString()
            twins = [call.future(data, timeout=WAIT_S) for _ in range(2)]
            told = [told_response(twin.result()) for twin in twins]
            if told[0] == told[1]:
                break
        return told[1], ""

    def outcome(self, tx_id: str) -> str:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            question = self.request("CHAIN_QUERY", "GET_TX_BY_TX_ID", {"txId": tx_id}, kind="query")
            answer = self.raw("SendRequest", question.SerializeToString())
            if answer.code == TxStatusCode.SUCCESS:
                return told_transaction(TransactionInfo.FromString(answer.contract_result.result).transaction)
            time.sleep(0.02)
        return f"not in a block after {WAIT_S:g}s"

    # The chain

    def block(self, height: int | str):
        question = self.request("CHAIN_QUERY", "GET_BLOCK_BY_HEIGHT", {"blockHeight": str(height)}, kind="query")
        return BlockInfo.FromString(self.raw("SendRequest", question.SerializeToString()).contract_result.result).block

    def tip(self) -> int:
        return self.block(-1).header.block_height

    def install(
        self, name: str, code: str, version: str = "1.0", *, method: str = "INIT_CONTRACT", leave_out="", **options
    ):
        parameters = install_parameters(name, version, code.encode(), {})
        parameters.pop(leave_out, None)
        return self.send("CONTRACT_MANAGE", method, parameters, **options)

    # Subscriptions and the node's own methods

    def listen(self, request, timeout: float = WAIT_S) -> tuple[list[bytes], str]:
        """The messages of a stream, and how it ended."""
        call = self.channel.unary_stream("/api.RpcNode/Subscribe", response_deserializer=SubscribeResult.FromString)
        found: list[bytes] = []
        try:
            found.extend(message.data for message in call(request.SerializeToString(), timeout=timeout))
        except grpc.RpcError as error:
            return found, told_error(error)
        return found, "stream ended OK"

    def subscription(self, method: str, start=None, end=None, **options):
        parameters = {
            name: height if isinstance(height, bytes) else height.to_bytes(8, "little", signed=True)
            for name, height in (("START_BLOCK", start), ("END_BLOCK", end))
            if height is not None
        }
        parameters |= options.pop("parameters", {})
        return self.request(
            "SUBSCRIBE_MANAGE", method, parameters, tx_type=options.pop("tx_type", TxType.SUBSCRIBE), **options
        )

    def blocks(
        self, start=None, end=None, *, timeout: float = WAIT_S, below: int = 0, only_header: bool = False, **options
    ):
        """Subscribe to blocks and tell their heights, less `below`."""
        parameters = {"ONLY_HEADER": "true"} if only_header else {}
        request = self.subscription("SUBSCRIBE_BLOCK", start, end, parameters=parameters, **options)
        found, ended = self.listen(request, timeout)
        headers = [
            BlockHeader.FromString(data) if only_header else BlockInfo.FromString(data).block.header for data in found
        ]
        heights = f" {[header.block_height - below for header in headers]}" if headers else ""
        return f"{len(found)} messages{heights}, then {ended}", ""

    def stream(self, method: str, start=None, end=None, *, everything: int | None = None, **options):
        """Subscribe and count; `everything` is how many messages there are to get."""
        found, ended = self.listen(self.subscription(method, start, end, **options))
        count = "all" if len(found) == everything else len(found)
        return f"{count} messages, then {ended}", ""

    def ask(self, method: str, request, kind) -> tuple[str, str]:
        call = self.channel.unary_unary(f"/api.RpcNode/{method}", response_deserializer=kind.FromString)
        try:
            return told_message(call(request.SerializeToString(), timeout=WAIT_S)), ""
        except grpc.RpcError as error:
            return told_error(error), ""
