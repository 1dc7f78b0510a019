"""The HTTP door as a member sees it: a token is obtained when it is asked for, renewed when it is over, and no more than that."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from changan.client.doors import SERVER_NAME, user_pair
from changan.client.web import MemberAuth, Web, signed_header
from changan.crypto.envelope import seal
from changan.crypto.suite import Suite
from changan.ledger.wire.messages import TxRequest, TxType
from changan.node.pki.layout import make_crypto_config
from consortium import org_name


class Door:
    """An HTTP door that knows tokens t1, t2, ...; `over` makes the newest one void."""

    def __init__(self, *, tokens: bool = True) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.questions: list[TxRequest] = []
        self.names: list[str] = []
        self._given = tokens
        self._valid = ""

    def over(self) -> None:
        self._valid = ""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        shown = request.headers.get("Authorization", "")
        self.seen.append((request.method, request.url.raw_path.decode(), shown))
        self.names.append(request.extensions["sni_hostname"])
        if request.url.path == "/v1/tokens":
            self.questions.append(TxRequest.FromString(request.content))
            if not self._given:
                return httpx2.Response(403, json={"message": "no tokens for you"})
            self._valid = f"t{len(self.questions)}"
            return httpx2.Response(200, json={"token": self._valid})
        known = bool(self._valid) and shown == f"Bearer {self._valid}"
        return httpx2.Response(200 if known else 401, json={"path": request.url.path})


@pytest.fixture(params=["threads", "event loop"])
def get(request, consortium):
    """Read paths one after another as one client; between them `after` is called. Gives the status of each."""

    def read(door: Door, *paths: str, after=lambda: None) -> list[int]:
        options = {"base_url": "http://node:8080", "auth": MemberAuth(consortium.signer(), "chain1")}
        transport = httpx2.MockTransport(door)
        found = []
        if request.param == "threads":
            with httpx2.Client(transport=transport, **options) as client:
                for path in paths:
                    found.append(client.get(path).status_code)
                    after()
            return found

        async def session() -> None:
            async with httpx2.AsyncClient(transport=transport, **options) as client:
                for path in paths:
                    found.append((await client.get(path)).status_code)
                    after()

        asyncio.run(session())
        return found

    return read


def test_the_first_refusal_obtains_a_token_and_the_rest_show_it(get, consortium):
    door = Door()
    assert get(door, "/v1/blocks/1?full=1", "/v1/status") == [200, 200]
    assert door.seen == [
        ("GET", "/v1/blocks/1?full=1", ""),
        ("POST", "/v1/tokens", ""),
        ("GET", "/v1/blocks/1?full=1", "Bearer t1"),
        ("GET", "/v1/status", "Bearer t1"),
    ]
    assert set(door.names) == {SERVER_NAME}
    [question] = door.questions
    payload = question.payload
    assert (payload.chain_id, payload.contract_name, payload.method) == ("chain1", "CHANGAN", "TOKEN")
    assert payload.tx_type == TxType.QUERY_CONTRACT
    signer = consortium.signer()
    assert question.sender.signer == signer.member
    signer.key.public.verify(payload.SerializeToString(), question.sender.signature, "SHA256")


def test_a_token_that_is_over_is_renewed_once(get):
    door = Door()
    assert get(door, "/a", "/b", "/c", after=door.over) == [200, 200, 200]
    assert [shown for method, _, shown in door.seen if method == "GET"] == [
        "", "Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3",
    ]  # fmt: skip
    assert len({question.payload.tx_id for question in door.questions}) == 3, "no question is asked twice"


def test_a_refused_token_is_the_answer_and_no_loop(get):
    door = Door(tokens=False)
    assert get(door, "/a") == [403]
    assert [(method, path) for method, path, _ in door.seen] == [("GET", "/a"), ("POST", "/v1/tokens")]


def test_other_refusals_ask_for_nothing(get):
    class Closed(Door):
        def __call__(self, request):
            super().__call__(request)
            return httpx2.Response(404)

    door = Closed()
    assert get(door, "/nothing") == [404]
    assert len(door.seen) == 1


def test_one_read_signed_by_itself(consortium):
    signer = consortium.signer()
    header = signed_header(signer, "chain7", "/v1/blocks?from=1")
    scheme, _, text = header["Authorization"].partition(" ")
    assert (list(header), scheme) == (["Authorization"], "Signed")
    request = TxRequest.FromString(base64.b64decode(text, validate=True))
    assert {pair.key: pair.value for pair in request.payload.parameters} == {"target": b"/v1/blocks?from=1"}
    assert (request.payload.chain_id, request.payload.method) == ("chain7", "READ")
    signer.key.public.verify(request.payload.SerializeToString(), request.sender.signature, "SHA256")
    assert signed_header(signer, "chain7", "/v1/blocks?from=1") != header


# Over TLS


@pytest.fixture
def home(tmp_path):
    make_crypto_config(tmp_path, [org_name(1)], datetime.now(UTC))
    return tmp_path / "crypto-config"


def web(home, consortium, address="https://127.0.0.1:1", user="client1", ask=None) -> Web:
    def nobody(what: str) -> bytes:
        raise AssertionError(f"nobody is asked for {what}")

    return Web(
        address, MemberAuth(consortium.signer(), "chain1"), home, user_pair(home, org_name(1), user), ask or nobody
    )


def test_without_tls_nothing_is_read_and_nobody_asked(home, consortium, tmp_path):
    missing = web(tmp_path / "nowhere", consortium, "http://127.0.0.1:1")
    with missing.client() as client:
        assert str(client.base_url) == "http://127.0.0.1:1"
    assert not missing._context().get_ca_certs()


def test_only_the_organisations_are_trusted(home, consortium):
    [root] = web(home, consortium)._context().get_ca_certs()
    names = {part: value for ((part, value),) in root["subject"]}
    assert names["organizationName"] == org_name(1)
    assert not web(home.parent / "nowhere", consortium)._context().get_ca_certs(), "not the machine's own list"


def test_a_sealed_key_is_never_on_disk_in_the_clear(home, consortium, monkeypatch):
    key = home / org_name(1) / "user" / "client1" / "client1.tls.key"
    plain = key.read_bytes()
    key.write_bytes(seal(plain, b"correct horse battery", Suite.INTERNATIONAL, os.urandom))
    seen = []
    real = tempfile.NamedTemporaryFile

    def watched(*arguments, **options):
        file = real(*arguments, **options)
        original = file.flush

        def flush():
            original()
            with Path(file.name).open("rb") as again:
                seen.append((stat.S_IMODE(os.fstat(again.fileno()).st_mode), again.read()))

        file.flush = flush
        return file

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", watched)
    asked = []
    web(home, consortium, ask=lambda what: asked.append(what) or b"correct horse battery")._context()
    assert asked == [str(key)]
    [(mode, data)] = seen
    assert mode == 0o600
    assert data.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert plain not in data


def test_a_user_without_a_pair_shows_nothing(home, consortium):
    assert web(home, consortium, user="nobody")._context().get_ca_certs()
