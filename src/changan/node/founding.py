"""A first start: organisations, certificates, genesis, the files that clients need, and the example contracts."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict

from changan.client.requests import Signer, install_parameters, make_payload, sign_request
from changan.ledger.chain_config import Mode, default_config
from changan.ledger.config_rules import check_suites
from changan.ledger.rule_sets import KEY, RULES
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ChainConfig, ResourcePolicy, TxStatusCode
from changan.node.pki.key_layout import REGISTERED_ROLES, make_key_config, read_key_config
from changan.node.pki.layout import make_crypto_config, read_crypto_config
from changan.node.pki.sdk_config import sdk_config_text
from changan.node.solo import Proposer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from changan.crypto.suite import Suite
    from changan.node.chain import Chain
    from changan.node.home import Home
    from changan.node.pki.layout import Credential, CryptoConfig, Organisation
    from changan.node.settings import ChainSettings, Settings

EXAMPLES: dict[str, dict[str, str]] = {
    "evidence": {},
    "token": {"supply": "1000000"},
}
"""Contracts that a first start installs, with the arguments of their @init."""
_SHOWN_CHARACTERS = 80
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # names no certificate can be made for


def found_organisations(home: Home, settings: Settings, host: str) -> CryptoConfig:
    """Return the organisations of a home: those that were brought along or made before, or new ones.

    `host` is where the node listens: its TLS certificate is made for that name too.
    """
    mode, suite, there = settings.auth, settings.suite, (home.root / "crypto-config").exists()
    if there:
        return read_crypto_config(home.root) if mode is Mode.CERTIFICATES else read_key_config(home.root, mode)
    hosts = [] if host in _EVERYWHERE else [host]
    if mode is Mode.CERTIFICATES:
        return make_crypto_config(home.root, settings.organisations, datetime.now(UTC), hosts, suite)
    return make_key_config(home.root, mode, settings.organisations, datetime.now(UTC), hosts, suite)


def genesis_of(crypto: CryptoConfig, chain: ChainSettings, suite: Suite) -> ChainConfig:
    """Return the configuration that a new chain starts with. Raises ConfigError for members of a suite it does not admit."""
    first = crypto.organisations[0]
    config = default_config(
        chain.chain_id,
        list(_trust_roots(crypto)),
        [(first.org_id, first.node_id)],
        mode=crypto.mode,
        suite=suite,
        admits=chain.admits,
        distilled=chain.distilled,
        rules=RULES,
        block_tx_capacity=chain.block_tx_capacity,
        block_interval_ms=chain.block_interval_ms,
        tx_timeout_s=chain.tx_timeout_s,
    )
    config.block.block_size = chain.block_size_mib
    config.block.tx_timestamp_verify = chain.tx_timestamp_verify
    kept = [policy for policy in config.resource_policies if policy.resource_name not in chain.policies]
    del config.resource_policies[:]
    config.resource_policies.extend(kept)
    for name, rule in sorted(chain.policies.items()):
        config.resource_policies.append(ResourcePolicy(resource_name=name, policy=rule.to_wire()))
    check_suites(config)
    return config


def _trust_roots(crypto: CryptoConfig) -> Iterator[tuple[str, str]]:
    for organisation in crypto.organisations:
        if crypto.mode is Mode.CERTIFICATES:
            yield organisation.org_id, organisation.root_certificate_pem.decode()
        else:
            for administrator in organisation.administrators():
                yield organisation.org_id, administrator.sign_certificate.read_text(encoding="ascii")


def differences(made: ChainConfig, wanted: ChainConfig) -> list[str]:
    """Return where the settings and certificates of a home contradict the genesis of a chain that exists, in words."""
    before, now = (dict(_leaves("", MessageToDict(_without_rules(config)))) for config in (made, wanted))
    return [
        f"{made.chain_id}: {place} was {before.get(place, 'not there')} when the chain was made, and is now "
        f"{now.get(place, 'not there')}; the chain goes on as it was made"
        for place in sorted(before.keys() | now.keys())
        if before.get(place) != now.get(place)
    ]


def _without_rules(config: ChainConfig) -> ChainConfig:
    """Return a configuration without the rules that it begins by: these are the release's, not the settings'."""
    found = ChainConfig()
    found.CopyFrom(config)
    kept = [entry for entry in found.consensus.ext_config if entry.key != KEY]
    del found.consensus.ext_config[:]
    found.consensus.ext_config.extend(kept)
    return found


def _leaves(place: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(f"{place}.{name}" if place else name, part)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _leaves(f"{place}[{position}]", part)
    else:
        text = str(value)
        yield place, text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS // 2]}…{text[-8:].strip()}"


def signer_of(crypto: CryptoConfig, organisation: Organisation, credential: Credential) -> Signer:
    """Return the member whose files these are."""
    if crypto.mode is Mode.CERTIFICATES:
        return Signer.from_files(organisation.org_id, credential.sign_certificate, credential.sign_key)
    return Signer.from_key("" if crypto.mode is Mode.PUBLIC else organisation.org_id, credential.sign_key)


def proposer_of(crypto: CryptoConfig, organisation: Organisation) -> Proposer:
    """Return this node as the proposer of blocks."""
    signer = signer_of(crypto, organisation, organisation.node())
    return Proposer(signer.member, signer.key, signer.hash_name)


def write_sdk_configs(home: Home, crypto: CryptoConfig, settings: Settings, address: str, *, tls: bool) -> None:
    """Write the files that the official SDK reads; they follow the address that the node really has."""
    chain_id = settings.chains[0].chain_id
    text = sdk_config_text(crypto, chain_id=chain_id, node_address=address, tls=tls, suite=settings.suite)
    _write(home.root / "sdk_config.yml", text)
    if tls:
        _write(home.root / "sdk_config_tls.yml", text)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def example_source(name: str) -> str:
    """Return the source text of an example contract."""
    return resources.files("changan.examples").joinpath(f"{name}.py").read_text(encoding="utf-8")


async def register_users(chain: Chain, crypto: CryptoConfig) -> None:
    """Register the users of a new home whose keys the chain does not know yet, each sent by its own administrator."""
    if crypto.mode is not Mode.KEYS:
        return
    for organisation in crypto.organisations:
        administrator = signer_of(crypto, organisation, organisation.administrators()[0])
        for name, role in REGISTERED_ROLES.items():
            pem = organisation.user(name, tls=False).sign_certificate.read_text(encoding="ascii")
            parameters = {"pubkey": pem, "org_id": organisation.org_id, "role": role}
            await _run(chain, administrator, SystemContract.PUBKEY_MANAGE, "PUBKEY_ADD", parameters)


async def install_examples(chain: Chain, crypto: CryptoConfig) -> list[str]:
    """Install the example contracts that a chain does not have yet, as the user that the SDK configuration names."""
    first = crypto.organisations[0]
    # On a public chain only administrators install; the tokens go to the user all the same.
    installer = "admin1" if crypto.mode is Mode.PUBLIC else "client1"
    client = signer_of(crypto, first, first.user(installer, tls=False))
    installed = []
    for name, arguments in EXAMPLES.items():
        if name in chain.world.instances:
            continue
        installation = install_parameters(name, "1.0", example_source(name).encode(), arguments)
        await _run(chain, client, SystemContract.CONTRACT_MANAGE, "INIT_CONTRACT", installation)
        installed.append(name)
    if crypto.mode is Mode.PUBLIC and "token" in installed:
        user = chain.world.members.identify(
            signer_of(crypto, first, first.user("client1", tls=False)).member, chain.time()
        )
        parameters = {"to": user.address.hex(), "amount": EXAMPLES["token"]["supply"]}
        await _run(chain, client, "token", "transfer", parameters)
    return installed


async def _run(chain: Chain, sender: Signer, contract: str, method: str, parameters: Mapping[str, bytes | str]) -> None:
    request = sign_request(make_payload(chain.chain_id, str(contract), method, parameters), sender)
    response = await chain.submit_and_wait(request, request.ByteSize())
    assert response.code == TxStatusCode.SUCCESS, response.contract_result.message
