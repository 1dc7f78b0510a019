"""Where the password of a sealed key comes from, and what opens one: a file, the environment, or a prompt without echo."""

from __future__ import annotations

import getpass
import os
import stat
import sys
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from changan.crypto.envelope import is_sealed, unseal
from changan.errors import ChanganError, MalformedError, UnverifiedError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "CHANGAN_PASSWORD"
CHARACTERS_MIN = 12
DIFFERENT_MIN = 6
BYTES_MAX = 1024
_GUESSED_FIRST = ("password", "passw0rd", "changan", "chainmaker", "qwerty", "letmein", "changeme", "abc123", "admin")

Ask = Callable[[str], bytes]
"""Gives the password of what it is told (the path of a key), UTF-8. Raises PasswordError."""


class PasswordError(ChanganError):
    """A password that is missing or of no use; the text says what to do."""


def ask_password(what: str) -> bytes:
    """Return the password of `what`: that of CHANGAN_PASSWORD, or what is typed at the terminal. Raises PasswordError."""
    given = os.environ.get(VARIABLE)
    return normal(given) if given is not None else _typed(f"password of {what}: ", what)


def choose_password(what: str) -> bytes:
    """Return a new password for `what`, typed twice or that of CHANGAN_PASSWORD. Raises PasswordError, also for a weak one."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return require_strong(normal(given))
    chosen = require_strong(_typed(f"new password for {what}: ", what))
    if _typed("the same again: ", what) != chosen:
        raise PasswordError("the two passwords differ: nothing was changed, start again")
    return chosen


def password_if_given(path: Path | None) -> bytes | None:
    """Return a new password from a file or CHANGAN_PASSWORD, or None where neither is there; nobody is asked.

    Raises PasswordError.
    """
    given = os.environ.get(VARIABLE)
    if path is None and given is None:
        return None
    return require_strong(password_in(path) if path is not None else normal(given or ""))


def password_in(path: Path) -> bytes:
    """Return the first line of a file that only its owner may read. Raises PasswordError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(BYTES_MAX + 2)  # with its line end
    except OSError as error:
        raise PasswordError(f"cannot read the password in {path}: {error.strerror}") from error
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PasswordError(f"others may read {path}: take that away first (chmod 600 {path})")
    try:
        return normal(data.partition(b"\n")[0].removesuffix(b"\r").decode())
    except UnicodeDecodeError as error:
        raise PasswordError(f"the password in {path} is not UTF-8") from error


def normal(password: str) -> bytes:
    """Return a password as it is used: the same letters give the same bytes however they were typed (Unicode, NFC).

    Raises PasswordError for one that is empty or longer than 1024 bytes.
    """
    try:
        data = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError as error:
        raise PasswordError("the password is not UTF-8") from error
    if not data:
        raise PasswordError("an empty password protects nothing")
    if len(data) > BYTES_MAX:
        raise PasswordError(f"the password is longer than {BYTES_MAX} bytes")
    return data


def require_strong(password: bytes) -> bytes:
    """Return a new password, or raise PasswordError where it would be guessed by whoever has the file."""
    text = password.decode()
    if len(text) < CHARACTERS_MIN or len(set(text)) < DIFFERENT_MIN:
        raise PasswordError(
            f"the password is weak: take {CHARACTERS_MIN} characters or more, at least {DIFFERENT_MIN} of them different"
        )
    folded = text.casefold()
    if any(len(folded.replace(word, "")) < CHARACTERS_MIN // 2 for word in _GUESSED_FIRST):
        raise PasswordError("the password is weak: it is little more than a word that is guessed first")
    return password


def open_key(path: Path, ask: Ask = ask_password) -> bytes:
    """Return the PEM of a private key; `ask` gives the password of a sealed one.

    Raises PasswordError, MalformedError, OSError.
    """
    data = path.read_bytes()
    if not is_sealed(data):
        return data
    try:
        return unseal(data, ask(str(path)))
    except UnverifiedError as error:
        raise PasswordError(f"{path} does not open: {error}") from error
    except MalformedError as error:
        raise MalformedError(f"{path}: {error}") from error


def _typed(prompt: str, what: str) -> bytes:
    if not sys.stdin.isatty():
        raise PasswordError(
            f"{what} needs a password: give --password-file FILE, set {VARIABLE}, or run this in a terminal"
        )
    return normal(getpass.getpass(prompt))
