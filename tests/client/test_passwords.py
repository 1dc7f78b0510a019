"""Passwords of sealed keys: where they come from, which are refused, and that nothing else opens a key."""

from __future__ import annotations

import os
import pty
import secrets
import signal
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from changan.client import passwords
from changan.client.passwords import (
    PasswordError,
    ask_password,
    choose_password,
    normal,
    open_key,
    password_if_given,
    password_in,
    require_strong,
)
from changan.client.requests import Signer
from changan.crypto.envelope import seal
from changan.crypto.keys import SigningKey
from changan.crypto.suite import Suite
from changan.errors import MalformedError
from changan.node.pki.authority import Authority
from consortium import NOW

GOOD = "correct horse battery"
KEY = Authority.create("org", NOW).issue("a", "client", "sign", NOW)


@pytest.fixture(autouse=True)
def no_password_in_the_environment(monkeypatch):
    monkeypatch.delenv("CHANGAN_PASSWORD", raising=False)


def written(path, data: bytes, mode: int = 0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return path


def sealed(path, password: str = GOOD, suite: Suite = Suite.INTERNATIONAL):
    return written(path, seal(KEY.key_pem, normal(password), suite, secrets.token_bytes))


@pytest.mark.parametrize(
    "weak",
    [
        "a",
        "elevenchars",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "passwordpassword",
        "Password1234",
        "changanchangan",
        "qwerty-qwerty",
        "长安长安长安长安长安长安",
        "            ",
    ],
)
def test_weak_passwords_are_refused_with_what_to_do(weak):
    with pytest.raises(PasswordError, match="the password is weak"):
        require_strong(normal(weak))


@pytest.mark.parametrize("strong", [GOOD, "Tr0ub4dor&3xyz", "春眠不觉晓处处闻啼鸟夜来", "administration of the well"])
def test_strong_ones_are_taken_as_they_are(strong):
    assert require_strong(normal(strong)) == strong.encode()


@given(st.text(min_size=1, max_size=300))
def test_what_is_typed_in_another_form_is_the_same_password(text):
    assume("\x00" not in text and not any(0xD800 <= ord(c) < 0xE000 for c in text))
    assert normal(unicodedata.normalize("NFD", text)) == normal(unicodedata.normalize("NFC", text)) == normal(text)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "empty"), ("a" * 1025, "longer than 1024"), ("\ud800" * 12, "not UTF-8")]
)
def test_what_is_no_password_at_all(text, problem):
    with pytest.raises(PasswordError, match=problem):
        normal(text)


# Files


@pytest.mark.parametrize(
    "data", [GOOD.encode(), f"{GOOD}\n".encode(), f"{GOOD}\r\n".encode(), f"{GOOD}\nsecond line\n".encode()]
)
def test_a_file_gives_its_first_line(tmp_path, data):
    assert password_in(written(tmp_path / "p", data)) == GOOD.encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    path = written(tmp_path / "p", GOOD.encode(), mode)
    with pytest.raises(PasswordError, match=f"chmod 600 {path}"):
        password_in(path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"", "empty"), (b"\n", "empty"), (b"\xff\xfe" * 8, "not UTF-8"), (b"x" * 2_000_000, "longer than 1024 bytes")],
)
def test_files_of_no_use(tmp_path, data, problem):
    with pytest.raises(PasswordError, match=problem):
        password_in(written(tmp_path / "p", data))


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(PasswordError, match="cannot read the password in"):
            password_in(path)


def test_a_pipe_is_a_file_too(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, f"{GOOD}\n".encode())
    os.close(writing)
    try:
        assert password_in(Path(f"/dev/fd/{reading}")) == GOOD.encode()
    finally:
        os.close(reading)


# The environment, and nobody there


def test_the_environment_is_asked_before_people(monkeypatch, tmp_path):
    assert password_if_given(None) is None
    monkeypatch.setenv("CHANGAN_PASSWORD", GOOD)
    assert ask_password("a key") == choose_password("a key") == password_if_given(None) == GOOD.encode()
    other = written(tmp_path / "p", b"another one of these")
    assert password_if_given(other) == b"another one of these"
    monkeypatch.setenv("CHANGAN_PASSWORD", "short")
    assert ask_password("a key") == b"short"  # it opens what it was once sealed with, and seals nothing new
    for choosing in (lambda: choose_password("a key"), lambda: password_if_given(None)):
        with pytest.raises(PasswordError, match="weak"):
            choosing()
    monkeypatch.setenv("CHANGAN_PASSWORD", "")
    for asking in (lambda: ask_password("a key"), lambda: password_if_given(None)):
        with pytest.raises(PasswordError, match="empty"):
            asking()


def test_where_nobody_can_be_asked_it_says_what_to_do(monkeypatch):
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        for asking in (ask_password, choose_password):
            with pytest.raises(
                PasswordError, match=r"/k/a\.key needs a password: give --password-file FILE, set CHANGAN_PASSWORD"
            ):
                asking("/k/a.key")


def at_a_terminal(program: str, *lines: str) -> tuple[int, str]:
    """Run Python with a terminal of its own; type each line at the next prompt. Return the status and what was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("CHANGAN_PASSWORD", None)
        os.execv(sys.executable, [sys.executable, "-W", "ignore", "-c", program])
    shown, waiting, end = "", list(lines), time.monotonic() + 60
    while time.monotonic() < end:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        shown += data.decode()
        if shown.endswith(": ") and waiting:
            os.write(terminal, f"{waiting.pop(0)}\n".encode())
    else:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


CHOOSE = "from changan.client.passwords import choose_password as c; print(len(c('the key')), 'bytes')"


def test_a_new_password_is_typed_twice_and_not_shown():
    status, shown = at_a_terminal(CHOOSE, GOOD, GOOD)
    assert (status, "21 bytes" in shown) == (0, True)
    assert "new password for the key: " in shown
    assert "the same again: " in shown
    assert GOOD not in shown


def test_a_slip_and_a_weak_one_change_nothing():
    status, shown = at_a_terminal(CHOOSE, GOOD, f"{GOOD}!")
    assert (status, "the two passwords differ" in shown, "bytes" in shown) == (1, True, False)
    status, shown = at_a_terminal(CHOOSE, "short")
    assert (status, "the password is weak" in shown, "the same again" in shown) == (1, True, False)


def test_the_clients_signer_asks_at_the_terminal(tmp_path):
    path = sealed(tmp_path / "a.key")
    (tmp_path / "a.crt").write_bytes(KEY.certificate_pem)
    program = (
        "from pathlib import Path; from changan.client.requests import Signer; "
        f"s = Signer.from_files('org', Path({str(tmp_path / 'a.crt')!r}), Path({str(path)!r})); print(s.key)"
    )
    status, shown = at_a_terminal(program, GOOD)
    assert (status, "SigningKey(hidden)" in shown, GOOD in shown) == (0, True, False)
    assert f"password of {path}: " in shown
    status, shown = at_a_terminal(program, f"{GOOD}?")
    assert (status, f"{path} does not open: the password is wrong" in shown) == (1, True)


# Opening


@pytest.mark.parametrize("suite", Suite)
def test_a_sealed_key_signs_as_the_plain_one(tmp_path, suite):
    path = sealed(tmp_path / "a.key", suite=suite)
    (tmp_path / "a.crt").write_bytes(KEY.certificate_pem)
    told = []
    signer = Signer.from_files("org", tmp_path / "a.crt", path, lambda what: told.append(what) or GOOD.encode())
    assert told == [str(path)]
    SigningKey(KEY.key_pem).public.verify(b"m", signer.key.sign(b"m", "SHA256"), "SHA256")
    assert Signer.from_key("org", path, ask=lambda _: GOOD.encode()).key.public == signer.key.public


def test_for_a_plain_key_nobody_is_asked(tmp_path):
    path = written(tmp_path / "a.key", KEY.key_pem)
    assert open_key(path, lambda _: pytest.fail("asked")) == KEY.key_pem


@settings(max_examples=8)
@given(st.binary(min_size=1, max_size=40))
def test_no_other_password_opens_it(tmp_path_factory, other):
    assume(other != GOOD.encode())
    path = sealed(tmp_path_factory.mktemp("k") / "a.key")
    with pytest.raises(PasswordError, match="the password is wrong, or the sealed secret was changed") as refused:
        open_key(path, lambda _: other)
    assert str(path) in str(refused.value)
    assert GOOD not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda text: text[:-60], MalformedError),
        (lambda text: text.replace(b"CHANGAN SEALED SECRET", b"CHANGAN SEALED SECRET", 1)[:40], MalformedError),
        (lambda text: text[:60] + b"!" + text[61:], MalformedError),
        (lambda text: text[:120] + (b"A" if text[120:121] != b"A" else b"B") + text[121:], PasswordError),
    ],
)
def test_a_file_that_was_cut_or_changed_is_named(tmp_path, change, kind):
    path = sealed(tmp_path / "a.key")
    written(path, change(path.read_bytes()))
    with pytest.raises(kind, match=str(path)):
        open_key(path, lambda _: GOOD.encode())


def test_bounds_are_those_that_the_text_says():
    assert (passwords.CHARACTERS_MIN, passwords.DIFFERENT_MIN, passwords.BYTES_MAX) == (12, 6, 1024)
