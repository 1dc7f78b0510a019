"""A node's home on disk: its settings, its version, its chains' folders, and the lock that keeps a second process out."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from changan.errors import ChanganError

if TYPE_CHECKING:
    from pathlib import Path

HOME_FORMAT = 1
_VERSION_FILE = "VERSION"
_CHAIN_ID = re.compile(r"[a-zA-Z0-9_-]{1,30}")
_SETTINGS_FILE = "changan.toml"


class HomeError(ChanganError):
    """A home that this release cannot use, with what to do about it."""


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """What the settings file says of one chain. It counts when the chain is made; later the chain's own word counts."""

    chain_id: str = "chain1"
    block_tx_capacity: int = 1000
    block_interval_ms: int = 10
    tx_timeout_s: int = 600


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings file says."""

    organisations: int = 4
    chains: tuple[ChainSettings, ...] = (ChainSettings(),)
    demo: bool = True
    rate_limit: int = 20_000  # requests a second that one peer may send


_CHAIN_KEYS = {
    "id": ("chain_id", str),
    "block_tx_capacity": ("block_tx_capacity", int),
    "block_interval_ms": ("block_interval_ms", int),
    "tx_timeout_s": ("tx_timeout_s", int),
}
_NODE_KEYS = {"organisations": int, "demo": bool, "rate_limit": int}


class Home:
    """The folder that `changan up` works in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def is_new(self) -> bool:
        """Whether nothing was made here yet."""
        return not (self.root / _VERSION_FILE).exists()

    def chain_directory(self, chain_id: str) -> Path:
        """Return the folder of one chain's files."""
        return self.root / "chains" / chain_id

    def prepare(self) -> None:
        """Make the folder, or check that its format is ours. Raises HomeError."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker = self.root / _VERSION_FILE
        if not marker.exists():
            return
        text = marker.read_text(encoding="utf-8").strip()
        if text != str(HOME_FORMAT):
            raise HomeError(
                f"{self.root} has format {text[:20]!r}, this release reads format {HOME_FORMAT}: "
                f"run `changan migrate --home {self.root}` with the newer of the two releases"
            )

    def mark_made(self) -> None:
        """Note that everything a first start makes is there."""
        temporary = self.root / f"{_VERSION_FILE}.new"
        temporary.write_text(f"{HOME_FORMAT}\n", encoding="utf-8")
        temporary.replace(self.root / _VERSION_FILE)

    def settings(self, organisations: int | None = None) -> Settings:
        """Return the settings; where there is no file, write one that says what counts. Raises HomeError."""
        path = self.root / _SETTINGS_FILE
        if not path.exists():
            settings = Settings(organisations=organisations or 4)
            path.write_text(_settings_text(settings), encoding="utf-8")
            return settings
        return read_settings(path)


def add_chain(home: Home, chain_id: str) -> None:
    """Add a chain to the settings of a home. Raises HomeError."""
    if _CHAIN_ID.fullmatch(chain_id) is None:
        raise HomeError(f"{chain_id!r}: the id of a chain is 1 to 30 letters, digits, _ and -")
    settings = home.settings()
    if any(chain.chain_id == chain_id for chain in settings.chains):
        raise HomeError(f"{home.root} has chain {chain_id} already")
    with (home.root / _SETTINGS_FILE).open("a", encoding="utf-8") as file:
        file.write(f'\n[[chains]]\nid = "{chain_id}"\n')


def read_settings(path: Path) -> Settings:
    """Read a settings file. Unknown keys are refused. Raises HomeError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HomeError(f"{path}: {error}") from error
    node = {key: value for key, value in data.items() if key != "chains"}
    for key, value in node.items():
        if type(value) is not _NODE_KEYS.get(key):
            raise HomeError(
                f"{path}: {key} is not a setting of this kind; known are {', '.join(_NODE_KEYS)} and [[chains]]"
            )
    chains = tuple(_chain_settings(path, entry) for entry in data.get("chains", [{}]))
    if len({chain.chain_id for chain in chains}) != len(chains):
        raise HomeError(f"{path}: two chains have one id")
    return Settings(chains=chains, **node)


def _chain_settings(path: Path, entry: dict[str, Any]) -> ChainSettings:
    values: dict[str, Any] = {}
    for key, value in entry.items():
        known = _CHAIN_KEYS.get(key)
        if known is None or type(value) is not known[1]:
            raise HomeError(f"{path}: chains.{key} is not a setting of this kind; known are {', '.join(_CHAIN_KEYS)}")
        values[known[0]] = value
    return ChainSettings(**values)


def _settings_text(settings: Settings) -> str:
    lines = [
        "# Settings of this node. Those of a chain count when the chain is made; a later edit is shown as a",
        "# difference when the node starts, and never applied by starting over.",
        f"organisations = {settings.organisations}",
        f"demo = {str(settings.demo).lower()}",
        f"rate_limit = {settings.rate_limit}  # requests a second that one peer may send",
    ]
    for chain in settings.chains:
        lines += [
            "",
            "[[chains]]",
            f'id = "{chain.chain_id}"',
            f"block_tx_capacity = {chain.block_tx_capacity}",
            f"block_interval_ms = {chain.block_interval_ms}",
            f"tx_timeout_s = {chain.tx_timeout_s}",
        ]
    return "\n".join(lines) + "\n"
