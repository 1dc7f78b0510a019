"""The settings file of a home: the first organisations, the chains with their first policies, and the limits of the doors."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from changan.crypto.suite import SUITE_NAMES, Suite, suite_name
from changan.errors import ChanganError
from changan.ledger.chain_config import Mode
from changan.ledger.rules import RULE_FORM, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ORGANISATIONS_MAX = 100
ENGINES = ("plain", "compiled")
_CHAIN_ID = re.compile(r"[a-zA-Z0-9_]{1,30}")
ORGANISATION_FORM = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")
_RESOURCE = re.compile(r"[A-Z0-9_]+-[A-Z0-9_]+")
_POLICY_KEYS = ("rule", "organisations", "roles")


ENGINE_BLOCKS_MIN = 1000


class SettingsError(ChanganError):
    """A settings file that cannot be meant; the message names the line's key and what it may be."""


def numbered_organisations(count: int) -> tuple[str, ...]:
    """Return the names that ChainMaker's tools give to so many organisations."""
    return tuple(f"wx-org{number}.chainmaker.org" for number in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """What the settings file says of one chain. It counts when the chain is made; later the chain's own word counts."""

    chain_id: str = "chain1"
    block_tx_capacity: int = 1000
    block_size_mib: int = 10
    block_interval_ms: int = 10
    tx_timeout_s: int = 600
    tx_timestamp_verify: bool = True
    admits: tuple[Suite, ...] = ()  # suites whose keys may sign, beside the home's own
    distilled: bool = False  # bundles of many clients under one BLS multi-signature
    policies: Mapping[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings file says."""

    organisations: tuple[str, ...] = numbered_organisations(4)
    chains: tuple[ChainSettings, ...] = (ChainSettings(),)
    demo: bool = True
    rate_limit: int = 20_000  # requests a second that one peer may send
    auth: Mode = Mode.CERTIFICATES
    suite: Suite = Suite.INTERNATIONAL  # of the members' keys, and of the chains' digests and addresses
    engine: str = "plain"  # of contracts; nodes with different ones agree
    engine_blocks: int = 0  # how many blocks the ordering engine keeps; 0: all

    def __post_init__(self) -> None:
        """Raise SettingsError where two settings cannot go together."""
        if self.suite is Suite.NATIONAL and any(chain.distilled for chain in self.chains):
            raise SettingsError("the national suite has no BLS signatures: leave distilled out, or take suite intl")


AUTH_NAMES = {"cert": Mode.CERTIFICATES, "key": Mode.KEYS, "public": Mode.PUBLIC}
"""How the modes are called where people write them."""


def auth_name(mode: Mode) -> str:
    """Return what people call a mode."""
    return next(name for name, known in AUTH_NAMES.items() if known is mode)


_NUMBERS = {  # key: lowest, highest
    "block_tx_capacity": (1, 100_000),
    "block_size_mib": (1, 100),
    "block_interval_ms": (10, 10_000),
    "tx_timeout_s": (10, 86_400),
}


def add_chain(path: Path, chain_id: str) -> None:
    """Add a chain to a settings file. Raises SettingsError."""
    settings = read_settings(path)
    if _CHAIN_ID.fullmatch(chain_id) is None:
        raise SettingsError(f"{chain_id!r}: the id of a chain is 1 to 30 letters, digits and _")
    if any(chain.chain_id == chain_id for chain in settings.chains):
        raise SettingsError(f"{path} has chain {chain_id} already")
    entry = f'\n[[chains]]\nid = "{chain_id}"\n'
    try:
        tomllib.loads(path.read_text(encoding="utf-8") + entry)
    except tomllib.TOMLDecodeError as error:  # chains = [...] takes no further one
        raise SettingsError(f"{path} holds its chains in one line: write each below a line [[chains]] first") from error
    with path.open("a", encoding="utf-8") as file:
        file.write(entry)


def read_settings(path: Path) -> Settings:
    """Read a settings file. Unknown keys are refused. Raises SettingsError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    try:
        return _settings(data)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _settings(data: dict[str, Any]) -> Settings:
    found: dict[str, Any] = {}
    for key, value in data.items():
        match key, value:
            case "organisations", int() if not isinstance(value, bool) and 1 <= value <= ORGANISATIONS_MAX:
                found[key] = numbered_organisations(value)
            case "organisations", list() if 1 <= len(value) <= ORGANISATIONS_MAX and len(set(map(str, value))) == len(
                value
            ):
                found[key] = tuple(_text("organisations", item, ORGANISATION_FORM) for item in value)
            case "engine", str() if value in ENGINES:
                found[key] = value
            case "auth", str() if value in AUTH_NAMES:
                found[key] = AUTH_NAMES[value]
            case "suite", str() if value in SUITE_NAMES:
                found[key] = SUITE_NAMES[value]
            case "demo", bool():
                found[key] = value
            case "rate_limit", int() if not isinstance(value, bool) and value > 0:
                found[key] = value
            case "engine_blocks", int() if not isinstance(value, bool) and (value == 0 or value >= ENGINE_BLOCKS_MIN):
                found[key] = value
            case "chains", list() if value:
                found[key] = tuple(_chain(entry) for entry in value)
            case _:
                raise SettingsError(
                    f"{key} = {value!r}: known are organisations (a number up to {ORGANISATIONS_MAX}, or names), "
                    "auth (cert, key or public), suite (intl or gm), engine (plain or compiled), demo (true or false), "
                    f"rate_limit (a number), engine_blocks (0, or {ENGINE_BLOCKS_MIN} and more) and [[chains]]"
                )
    ids = [chain.chain_id for chain in found.get("chains", ())]
    if len(set(ids)) != len(ids):
        raise SettingsError("two chains have one id")
    return Settings(**found)


def _chain(entry: object) -> ChainSettings:
    if not isinstance(entry, dict):
        raise SettingsError("chains are written as [[chains]]")
    found: dict[str, Any] = {}
    for key, value in entry.items():
        match key, value:
            case "id", _:
                found["chain_id"] = _text("chains.id", value, _CHAIN_ID)
            case "tx_timestamp_verify" | "distilled", bool():
                found[key] = value
            case "admits", list() if all(isinstance(name, str) and name in SUITE_NAMES for name in value):
                found[key] = tuple(SUITE_NAMES[name] for name in value)
            case "policies", dict():
                found[key] = {name: _policy(name, policy) for name, policy in value.items()}
            case _ if key in _NUMBERS:
                low, high = _NUMBERS[key]
                if type(value) is not int or not low <= value <= high:
                    raise SettingsError(f"chains.{key} is a number from {low} to {high}")
                found[key] = value
            case _:
                known = ", ".join(["id", "tx_timestamp_verify", "distilled", "admits (a list of intl, gm)", *_NUMBERS])
                raise SettingsError(f"chains.{key} = {value!r}: known are {known} and [chains.policies]")
    return ChainSettings(**found)


def _policy(name: str, value: object) -> Rule:
    if _RESOURCE.fullmatch(name) is None:
        raise SettingsError(f"policies.{name}: a policy is for CONTRACT-METHOD, e.g. CONTRACT_MANAGE-INIT_CONTRACT")
    if not isinstance(value, dict) or not {"rule"} <= value.keys() <= set(_POLICY_KEYS):
        raise SettingsError(
            f'policies.{name}: written as {{ rule = "MAJORITY", roles = ["ADMIN"], organisations = [] }}'
        )
    rule = _text(f"policies.{name}.rule", value["rule"], RULE_FORM)
    lists = [value.get(key, []) for key in _POLICY_KEYS[1:]]
    if not all(isinstance(items, list) and all(isinstance(item, str) for item in items) for items in lists):
        raise SettingsError(f"policies.{name}: organisations and roles are lists of names")
    return Rule(rule, tuple(lists[0]), tuple(lists[1]))


def _text(name: str, value: object, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise SettingsError(f"{name} = {value!r} is not of the form {form.pattern}")
    return value


def settings_text(settings: Settings) -> str:
    """Return the settings as the file holds them."""
    names = settings.organisations
    organisations = len(names) if names == numbered_organisations(len(names)) else list(names)
    lines = [
        "# Settings of this node. Those of a chain count when the chain is made; a later edit is shown as a",
        "# difference when the node starts, and never applied by starting over.",
        "# 本节点的设置。链的设置在建链时生效；之后的修改会在启动时作为差异显示，不会通过重建来生效。",
        f"organisations = {organisations}".replace("'", '"'),
        f'engine = "{settings.engine}"  # of contracts: plain, or compiled to WebAssembly',
        f'auth = "{auth_name(settings.auth)}"  # how members are known: cert, key or public',
        f'suite = "{suite_name(settings.suite)}"  # of algorithms: intl, or gm (SM2, SM3)',
        f"demo = {str(settings.demo).lower()}",
        f"rate_limit = {settings.rate_limit}  # requests a second that one peer may send",
        f"engine_blocks = {settings.engine_blocks}  # in a cluster: so many the ordering engine keeps; 0 for all",
    ]
    for chain in settings.chains:
        lines += [
            "",
            "[[chains]]",
            f'id = "{chain.chain_id}"',
            f"block_tx_capacity = {chain.block_tx_capacity}",
            f"block_size_mib = {chain.block_size_mib}",
            f"block_interval_ms = {chain.block_interval_ms}",
            f"tx_timeout_s = {chain.tx_timeout_s}",
            f"tx_timestamp_verify = {str(chain.tx_timestamp_verify).lower()}",
            f"admits = {json.dumps([suite_name(suite) for suite in chain.admits])}  # suites of keys beside the home's own",
            f"distilled = {str(chain.distilled).lower()}  # bundles of many clients under one BLS signature; suite intl only",
            "# [chains.policies]",
            '# CONTRACT_MANAGE-INIT_CONTRACT = { rule = "MAJORITY", roles = ["ADMIN"] }',
        ]
    return "\n".join(lines) + "\n"
