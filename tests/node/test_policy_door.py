"""Every default policy at the door of a running node: mode by resource by role, alone and with others, word for word.

What is expected comes from `policy_table`. Who may, is told OK; what then comes of a call without its parameters does not
matter here.
"""

from __future__ import annotations

import contextlib
import functools
from typing import NamedTuple

import grpc
import pytest

from changan.client.members import find_administrators, find_member, organisations
from changan.client.requests import Signer, make_payload, sign_request
from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import ChainConfig, TxRequest, TxResponse, TxType
from consortium import org_name
from node_process import NodeProcess, changan
from policy_table import CANNOT_INVOKE, CANNOT_SUBSCRIBE, DEFAULTS, ROLES, expected, listed, text_of

AUTH = {Mode.CERTIFICATES: "cert", Mode.KEYS: "key", Mode.PUBLIC: "public"}
COLUMN = {mode: at for at, mode in enumerate(Mode)}
CASES = [(mode, name) for mode in Mode for name in sorted(listed(mode)) if "-" in name]
BY_MODE = pytest.mark.parametrize("door", Mode, indirect=True, ids=AUTH.get)
SELF_RULED = ("SELF ADMIN",)


class Door(NamedTuple):
    mode: Mode
    node: NodeProcess
    channel: grpc.Channel
    members: dict[str, Signer]  # by role, of the first organisation
    admins: list[Signer]

    def said(self, resource: str, sender: Signer, endorsers=(), *, org: str | None = None) -> TxResponse:
        """Send a call to a resource. It names an organisation only where one is given."""
        contract, _, method = resource.partition("-")
        payload = make_payload("chain1", contract, method, {} if org is None else {"org_id": org})
        return self.sent(sign_request(payload, sender, endorsers))

    def sent(self, request: TxRequest) -> TxResponse:
        send = self.channel.unary_unary("/api.RpcNode/SendRequest", response_deserializer=TxResponse.FromString)
        answer = send(request.SerializeToString(), timeout=30)
        assert answer.tx_id in {"", request.payload.tx_id}
        return answer

    def query(self, contract: str, method: str, sender: Signer) -> TxResponse:
        payload = make_payload("chain1", contract, method, {}, query=True)
        return self.sent(sign_request(payload, sender))


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    """A node for each mode, started when a test first asks for it."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def opened(mode: Mode) -> Door:
            home = tmp_path_factory.mktemp("door") / "home"
            node = NodeProcess(home, "--auth", AUTH[mode], "--no-demo")
            stack.callback(stopped, node)
            channel = stack.enter_context(grpc.insecure_channel(node.rpc))
            return Door(mode, node, channel, members_of(mode, node), find_administrators(home / "crypto-config"))

        yield opened


def stopped(node: NodeProcess) -> None:
    assert node.stop() == 0, node.errors.read_text()[-2000:]


@pytest.fixture
def door(request, doors):
    return doors(request.param)


def members_of(mode: Mode, node: NodeProcess) -> dict[str, Signer]:
    root = node.home / "crypto-config"
    org = organisations(root)[0]
    found = {name: find_member(root, org, f"{name}1") for name in ("client", "admin")}
    if mode is Mode.PUBLIC:
        return found | {"consensus": Signer.from_key("", root / org / "node1.key")}
    found["light"] = find_member(root, org, "light1")
    options = ["--role", "common", "--plain", "--home", str(node.home), *(["--send"] if mode is Mode.KEYS else [])]
    issued = changan("identity", "issue", "common1", *options)
    assert issued.returncode == 0, issued.stderr
    folder = root / org / "node"
    if mode is Mode.KEYS:
        consensus = Signer.from_key(org, folder / "consensus1" / "consensus1.key")
        return found | {"consensus": consensus, "common": find_member(root, org, "common1")}
    for role, name in (("consensus", "consensus1"), ("common", "common1")):
        stem = folder / name
        found[role] = Signer.from_files(org, stem / f"{name}.sign.crt", stem / f"{name}.sign.key")
    return found


def refusal(wanted: str, answer: TxResponse, sender: Signer, endorsers=()) -> str:
    """The whole text of a refusal."""
    shown = "".join(f"{endorser.member.member_info.decode()} " for endorser in endorsers)
    return (
        f"tx verify failed, verify tx authentation failed, {wanted}, txId:{answer.tx_id}, "
        f"sender:{sender.member.member_info.decode()}, endorsers-len:{len(endorsers)},\nendorsers:\n{shown}"
    )


@pytest.mark.parametrize("mode", Mode)
def test_the_recordings_and_the_table_of_the_sources_are_one(mode):
    table = {name: row[COLUMN[mode]] for name, row in DEFAULTS.items() if row[COLUMN[mode]]}
    assert {name: text_of(policy) for name, policy in listed(mode).items()} == table


@BY_MODE
def test_the_node_lists_the_recorded_policies(door):
    answer = door.query("CHAIN_CONFIG", "PERMISSION_LIST", door.members["client"])
    given = {
        entry.resource_name: text_of(entry.policy)
        for entry in ChainConfig.FromString(answer.contract_result.result).resource_policies
    }
    assert given == {name: text_of(policy) for name, policy in listed(door.mode).items()}


@pytest.mark.parametrize(("door", "resource"), CASES, indirect=["door"], ids=lambda given: AUTH.get(given, given))
def test_each_role_alone(door, resource):
    policy = listed(door.mode)[resource]
    assert set(door.members) == set(ROLES[door.mode])
    org = org_name(1) if text_of(policy) in SELF_RULED else None
    for role, member in door.members.items():
        answer = door.said(resource, member, org=org)
        wanted = expected(door.mode, resource, policy, role)
        if wanted:
            assert (answer.code, answer.message) == (5, refusal(wanted, answer, member)), role
        else:
            assert (answer.code, answer.message) == (0, "OK"), role


@pytest.mark.parametrize(("door", "resource"), CASES, indirect=["door"], ids=lambda given: AUTH.get(given, given))
def test_with_others(door, resource):
    policy = listed(door.mode)[resource]
    client, admins = door.members["client"], door.admins
    assert len(admins) == 4

    def told(sender, endorsers, **options) -> str:
        answer = door.said(resource, sender, endorsers, **options)
        assert answer.code in {0, 5}
        if answer.code == 0:
            return answer.message
        head, tail = "tx verify failed, verify tx authentation failed, ", f", txId:{answer.tx_id}, sender:"
        assert answer.message.startswith(head)
        inner = answer.message.removeprefix(head).partition(tail)[0]
        assert answer.message == refusal(inner, answer, sender, endorsers)
        return inner

    head = f"[verifyEndorsementsPrincipal]authentication error for {resource}: authentication fail: "
    if policy.rule == "FORBIDDEN":
        public = "public " if door.mode is Mode.PUBLIC else ""
        words = f"[verifySenderPrincipal]authentication error: {public}authentication fail: [{resource}] is forbidden to access"
        assert told(client, admins) == told(admins[0], admins) == words
    elif policy.rule == "MAJORITY":
        short = f"{head}not enough participants support this action: 3 valid endorsements required, {{}} valid endorsements received"
        assert told(client, admins[1:]) == "OK"
        assert told(admins[0], admins[1:3]) == "OK"  # who sends counts too
        assert told(client, admins[:2]) == told(admins[0], admins[1:2]) == short.format(2)
        assert told(client, [admins[0]] * 4) == told(admins[0], [admins[0]] * 2) == short.format(1)
        assert told(client, [client, door.members["consensus"]]) == short.format(0)
    elif policy.rule == "SELF":
        assert told(client, [admins[0]], org=org_name(1)) == "OK"
        wrong = f"{head}target [{org_name(2)}] does not belong to the signer"
        assert told(client, [admins[0]], org=org_name(2)) == wrong
        assert told(admins[0], [admins[2]], org=org_name(2)) == wrong
        missing = (
            head.removesuffix("authentication fail: ")
            + "verification rule is [SELF], but org_id is not set in the parameter"
        )
        assert told(client, admins) == missing
    elif "ADMIN" in policy.role_list:
        assert told(client, [admins[2]]) == told(admins[3], []) == "OK"


@BY_MODE
def test_who_may_send_requests_of_a_kind(door):
    """Invoke, query, subscribe and archive, by role; CERTS_QUERY is listed as forbidden to keys, and queries are answered all the same."""
    for role, member in door.members.items():
        written = door.said("T-P", member)
        assert (written.code == 5) == (role in CANNOT_INVOKE[door.mode]), role
        assert written.message == "OK" or "[verifyTxTypePrincipal]" in written.message
        for contract, method in (("CHAIN_CONFIG", "GET_CHAIN_CONFIG"), ("CHAIN_QUERY", "GET_CHAIN_INFO")):
            assert door.query(contract, method, member).message == "SUCCESS", role
        assert "is forbidden" not in door.query("CERT_MANAGE", "CERTS_QUERY", member).message
        assert (subscribed(door, member) == "") == (role not in CANNOT_SUBSCRIBE[door.mode]), role
        archive = make_payload("chain1", "ARCHIVE_MANAGE", "ARCHIVE_BLOCK", {})
        archive.tx_type = TxType.ARCHIVE
        answer = door.sent(sign_request(archive, member))
        words = {
            True: "check archive block payload params failed",  # it gets as far as what it says
            False: "[verifyTxTypePrincipal]authentication error",
        }[role == "admin"]
        assert (answer.code, words in answer.message) == (5, True), (role, answer.message)


def subscribed(door: Door, member: Signer) -> str:
    """Ask for the first block as a stream; return how that is refused."""
    zero = (0).to_bytes(8, "little", signed=True)
    payload = make_payload("chain1", "SUBSCRIBE_MANAGE", "SUBSCRIBE_BLOCK", {"START_BLOCK": zero, "END_BLOCK": zero})
    payload.tx_type = TxType.SUBSCRIBE
    stream = door.channel.unary_stream("/api.RpcNode/Subscribe")(
        sign_request(payload, member).SerializeToString(), timeout=30
    )
    try:
        assert len(list(stream)) == 1
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        return error.details()
    return ""


@BY_MODE
def test_a_stranger_is_nobody_whatever_the_policy(door, tmp_path):
    """A member of another chain of the same mode, with the same names."""
    elsewhere = NodeProcess(tmp_path / "home", "--auth", AUTH[door.mode], "--no-demo")
    assert elsewhere.stop() == 0
    stranger = find_member(
        elsewhere.home / "crypto-config", organisations(elsewhere.home / "crypto-config")[0], "admin1"
    )
    short = "3 valid endorsements required, 0 valid endorsements received"
    assert short in door.said("CHAIN_CONFIG-BLOCK_UPDATE", door.members["client"], [stranger] * 3).message
    if door.mode is Mode.PUBLIC:
        assert short in door.said("CHAIN_CONFIG-BLOCK_UPDATE", stranger).message
        assert door.said("T-P", stranger).message == "OK"  # anybody may call there
    else:
        assert "all endorsers have failed verification" in door.said("T-P", stranger).message


@BY_MODE
def test_the_chain_goes_on_after_all_that(door):
    with door.node.connect() as client:
        assert client.invoke("T", "P", {"k": "a", "v": "b"}).height > 1
