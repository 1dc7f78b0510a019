"""Built packages: what they hold, and that a damaged one is never taken for another."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.package import MAGIC, build_package, recognise
from changan.contract.program import compile_source
from changan.errors import MalformedError

EXAMPLES = Path(__file__).parents[2] / "src" / "changan" / "examples"
SOURCE = (EXAMPLES / "evidence.py").read_text()
PACKAGE = build_package(compile_source(SOURCE))


def made(body: object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return MAGIC + sha256(data).digest() + zlib.compress(data)


def test_a_package_gives_its_source_back():
    assert PACKAGE.startswith(MAGIC)
    assert recognise(PACKAGE) == SOURCE
    assert build_package(compile_source(SOURCE)) == PACKAGE
    assert len(PACKAGE) < len(SOURCE)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_examples_can_be_packed(path):
    source = path.read_text()
    assert recognise(build_package(compile_source(source))) == source
    assert recognise(source.encode()) == source


def test_each_flipped_byte_is_refused_or_says_the_same():
    for place in range(len(PACKAGE)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(PACKAGE)
            damaged[place] ^= flip
            try:
                found = recognise(bytes(damaged))
            except MalformedError:
                continue
            assert found == SOURCE or (found is None and place < len(MAGIC))


def test_a_cut_or_longer_package_is_refused():
    for end in range(len(MAGIC), len(PACKAGE)):
        with pytest.raises(MalformedError):
            recognise(PACKAGE[:end])
    for tail in (b"\0", b"more", PACKAGE):
        with pytest.raises(MalformedError):
            recognise(PACKAGE + tail)


BODIES = [
    b"", b"{}", b"[]", b"null", b"5", b'"text"', b"\xff", b"[" * 100_000,
    {"language": 1}, {"source": SOURCE}, {"language": 2, "source": SOURCE},
    {"language": "1", "source": SOURCE}, {"language": 1, "source": 5}, {"language": 1, "source": None},
    {"language": 1, "source": [SOURCE]},
    b" " * (2 << 20),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=[str(body)[:30] for body in BODIES])
def test_a_package_of_something_else_is_refused(body):
    with pytest.raises(MalformedError):
        recognise(made(body))


def test_a_package_that_is_too_large_is_refused():
    with pytest.raises(MalformedError, match="at most 262144 are allowed"):
        recognise(MAGIC + bytes(256 * 1024))
    bomb = zlib.compress(b"x" * (64 << 20), 9)
    with pytest.raises(MalformedError):
        recognise(MAGIC + bytes(32) + bomb)


def test_the_language_is_named_where_it_is_another():
    with pytest.raises(MalformedError, match="language version 2, this node runs 1"):
        recognise(made({"language": 2, "source": SOURCE}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0asm\1\0\0\0",
        b"\x7fELF",
        b"60806040",
        b"print('hello')",
        b"\xff\xfe",
        b"# changan.contract\xff",
        b"# changan.contract\0",
    ],
)
def test_what_is_no_python_contract(data):
    assert recognise(data) is None


def test_a_source_that_is_too_long_is_none():
    assert recognise(b"# changan.contract" + b" " * 65536) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_packages(data):
    with pytest.raises(MalformedError):
        recognise(MAGIC + data)
    assert data.startswith(MAGIC) or recognise(data) is None or b"changan.contract" in data
