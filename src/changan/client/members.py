"""The members whose keys lie in a home, in any of ChainMaker's file layouts: certificates, registered keys, public."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from changan.client.passwords import ask_password
from changan.client.requests import Signer

if TYPE_CHECKING:
    from pathlib import Path

    from changan.client.passwords import Ask

_PUBLIC = "node1"


def crypto_config_of(home: Path) -> Path:
    """Return where the organisations of a home lie: in its crypto-config, or in itself where it is one."""
    is_one = not (home / "crypto-config").exists() and any(home.glob("*/ca/ca.crt"))
    return home if is_one else home / "crypto-config"


def organisations(root: Path) -> list[str]:
    """Return the names of the directories of a crypto-config, sorted. Raises OSError."""
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def find_member(root: Path, org_id: str, user: str, ask: Ask = ask_password) -> Signer:
    """Return a user of an organisation. Raises MalformedError, PasswordError, OSError."""
    home = root / org_id
    stem = home / "user" / user / f"{user}.sign"
    certificate, key = stem.with_suffix(".sign.crt"), stem.with_suffix(".sign.key")
    if certificate.exists():
        return Signer.from_files(org_id, certificate, key, ask)
    if (home / "admin").is_dir():  # members are keys
        public = (home / f"{_PUBLIC}.key").exists()
        places = (
            home / "user" / user / f"{user}.key",
            home / "admin" / user / f"{user}.key",
            home / "admin" / "admin.key",
        )
        wanted = places if user.startswith("admin") else places[:1]
        found = next((place for place in wanted if place.exists()), places[0])
        return Signer.from_key("" if public else org_id, found, ask=ask)
    return Signer.from_files(org_id, certificate, key, ask)


def find_administrators(root: Path, ask: Ask = ask_password) -> list[Signer]:
    """Return the administrators whose keys are there. Raises MalformedError, PasswordError, OSError."""
    found = []
    for org_id in organisations(root):
        many = root / org_id / "admin"
        names = [path.name for path in many.iterdir() if path.is_dir()] if many.is_dir() else []
        names.sort(key=lambda name: re.sub("[0-9]+", lambda digits: digits[0].zfill(9), name))
        if names or (many / "admin.key").exists() or (root / org_id / "user" / "admin1").is_dir():
            found += [find_member(root, org_id, name, ask) for name in names or ["admin1"]]
    return found
