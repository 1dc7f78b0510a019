"""`changan identity` as it is run in tests: in this process, without a terminal, and never showing a secret."""

from __future__ import annotations

import re

from click.testing import CliRunner
from cryptography import x509

from changan.cli.main import main

ORG, OTHER = "wx-org1.chainmaker.org", "wx-org2.chainmaker.org"
PASSWORD, NEXT = "correct horse battery", "staple in the evening"


def written(path, text):
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


def run(home, *arguments, env=None):
    done = CliRunner().invoke(main, ["identity", *map(str, arguments), "--home", str(home)], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    lines = {line for path in home.rglob("*.key") for line in path.read_text().splitlines() if "-----" not in line}
    assert not [line for line in lines if line in done.output], "a key is never shown, sealed or not"
    assert PASSWORD not in done.output
    return done


def ok(home, *arguments, **options) -> str:
    done = run(home, *arguments, **options)
    assert done.exit_code == 0, done.output
    return done.output


def refused(home, *arguments, **options) -> str:
    before = snapshot(home)
    done = run(home, *arguments, **options)
    assert done.exit_code != 0
    assert snapshot(home) == before, "a refusal changes nothing"
    return done.output


def snapshot(home):
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} | {
        path: None for path in home.rglob("*") if path.is_dir()
    }


def files(home, *parts):
    return home.joinpath("crypto-config", *parts)


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def value(output: str, title: str) -> str:
    return re.search(rf"^{title}  +(.+)$", output, re.MULTILINE)[1]
