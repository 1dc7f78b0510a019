"""A node's home on disk: its format, its settings, and its chains' folders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from changan.crypto.suite import Suite, suite_name
from changan.errors import ChanganError
from changan.ledger.chain_config import Mode
from changan.node.settings import ChainSettings, Settings, SettingsError, auth_name, read_settings, settings_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOME_FORMAT = 1
_VERSION_FILE = "VERSION"
_SETTINGS_FILE = "changan.toml"


class HomeError(ChanganError):
    """A home that this release cannot use, with what to do about it."""


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
                f"{self.root} has format {text[:20]!r}, this release reads format {HOME_FORMAT}: a newer release made it. "
                "Install that one (pip install --upgrade changan), or bring its chains here (`changan export`, `changan import`)"
            )

    def mark_made(self) -> None:
        """Note that everything a first start makes is there."""
        temporary = self.root / f"{_VERSION_FILE}.new"
        temporary.write_text(f"{HOME_FORMAT}\n", encoding="utf-8")
        temporary.replace(self.root / _VERSION_FILE)

    @property
    def settings_file(self) -> Path:
        """Where the settings stand."""
        return self.root / _SETTINGS_FILE

    def settings(
        self,
        organisations: Sequence[str] | None = None,
        auth: Mode | None = None,
        suite: Suite | None = None,
        *,
        distilled: bool = False,
    ) -> Settings:
        """Return the settings; where there is no file, write one that says what counts.

        Raises SettingsError, also where the file has another way to know members than `auth`, another suite, or a first
        chain without the distilled lane that is asked for.
        """
        if not self.settings_file.exists():
            settings = Settings(
                chains=(ChainSettings(distilled=distilled),),
                auth=auth or Mode.CERTIFICATES,
                suite=suite or Suite.INTERNATIONAL,
            )
            if organisations is not None:
                settings = replace(settings, organisations=tuple(organisations))
            self.settings_file.write_text(settings_text(settings), encoding="utf-8")
            return settings
        settings = read_settings(self.settings_file)
        if auth not in {None, settings.auth}:
            raise self._kept("auth", auth_name(settings.auth))
        if suite not in {None, settings.suite}:
            raise self._kept("suite", suite_name(settings.suite))
        if distilled and not settings.chains[0].distilled:
            raise self._kept("distilled", "false")
        return settings

    def _kept(self, name: str, value: str) -> SettingsError:
        if self.is_new:
            return SettingsError(
                f"{self.settings_file} says {name} = {value!r}: leave --{name} out, or change it there"
            )
        return SettingsError(
            f"{self.settings_file} says {name} = {value!r}, and the chains of a home keep that for ever: "
            f"leave --{name} out, or choose another --home"
        )
