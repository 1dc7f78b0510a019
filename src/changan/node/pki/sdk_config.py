"""The configuration with which the official ChainMaker Python SDK (3.0.6) connects to a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from changan.crypto.suite import Suite, algorithms
from changan.ledger.chain_config import Mode
from changan.node.pki.authority import SERVER_NAME
from changan.node.pki.layout import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changan.node.pki.layout import Credential, CryptoConfig, Organisation

ENDORSER = "admin1"

_HEADER = """\
# Configuration of the official ChainMaker SDK for this chain: ChainClient.from_conf("<this file>").
# 本文件是长安链官方 SDK 连接本链所用的配置：ChainClient.from_conf("<本文件路径>")。
# It names private keys: whoever can read them can act as these users.
# 文件中列出了私钥路径：能读取这些私钥者即可冒用这些用户的身份，请妥善保管。
"""

# The SDK waits for ever on a request where the two timeouts are missing, and refuses a pkcs11 part that is incomplete.
_FOOTER = """\
  retry_limit: 90
  retry_interval: 500  # ms / 毫秒
  retry_timeout: 90  # s / 秒
  rpc_client:
    max_receive_message_size: 100  # MB
    max_send_message_size: 100  # MB
    send_tx_timeout: 60  # s / 秒
    get_tx_timeout: 60  # s / 秒
  pkcs11:
    enabled: false
    library: ""
    label: ""
    password: ""
    session_cache_size: 10
    hash: {hash}
"""


def sdk_config_text(  # what the SDK must know of the chain
    config: CryptoConfig,
    *,
    chain_id: str,
    node_address: str,
    tls: bool,
    suite: Suite = Suite.INTERNATIONAL,
    user: str = "client1",
) -> str:
    """Return the YAML text of sdk_config.yml for `user` of the first organisation; all paths in it are absolute.

    `node_address` is `host:port` of the node's RPC service, `suite` is the chain's. With `tls` the user's TLS files are
    named and must be there. As endorsers it names admin1 of every organisation whose admin1 files are there: of a
    consortium brought along, the keys of others usually are not.

    Raises LayoutError when a file of the user, or every admin1, is missing.
    """
    first, digest = config.organisations[0], _quoted(algorithms(suite).digest_name)
    lines = [
        "chain_client:",
        f"  chain_id: {_quoted(chain_id)}",
        *_user(config.mode, first, first.user(user, tls=tls), digest, "  "),
        "  nodes:",
        f"    - node_addr: {_quoted(node_address)}",
        "      conn_cnt: 10",
        f"      enable_tls: {json.dumps(tls)}",
        "      trust_root_paths:  # directories / 目录",
        *(f"        - {_quoted(str(one.tls_root.parent))}" for one in config.organisations),
        f"      tls_host_name: {_quoted(SERVER_NAME)}",
        "  endorsers:",
    ]
    endorsers = [line for one in config.organisations for line in _endorsers(config.mode, one, digest)]
    if not endorsers:
        raise LayoutError(f"{config.directory}: no organisation has the signing files of {ENDORSER}; one must endorse")
    return _HEADER + "\n".join((*lines, *endorsers, _FOOTER.format(hash=digest)))


def _endorsers(mode: Mode, organisation: Organisation, digest: str) -> Iterator[str]:
    if mode is Mode.CERTIFICATES and not (organisation.directory / "user" / ENDORSER).exists():
        return
    # An endorser signs and never connects, so its TLS files may be missing.
    for credential in organisation.administrators():
        first, *others = _user(mode, organisation, credential, digest, "      ")
        yield f"    - {first.lstrip()}"
        yield from others


def _user(mode: Mode, organisation: Organisation, credential: Credential, digest: str, indent: str) -> Iterator[str]:
    if mode is not Mode.PUBLIC:
        yield f"{indent}org_id: {_quoted(organisation.org_id)}"
    yield f"{indent}auth_type: {_quoted(mode.value)}"
    yield f"{indent}crypto: {{hash: {digest}}}"
    if mode is Mode.CERTIFICATES:
        yield f"{indent}user_sign_crt_file_path: {_quoted(str(credential.sign_certificate))}"
    yield f"{indent}user_sign_key_file_path: {_quoted(str(credential.sign_key))}"
    if credential.tls_certificate.exists() and credential.tls_key.exists():
        yield f"{indent}user_crt_file_path: {_quoted(str(credential.tls_certificate))}"
        yield f"{indent}user_key_file_path: {_quoted(str(credential.tls_key))}"


def _quoted(text: str) -> str:
    # A JSON string is a YAML string; unquoted, the SDK would replace ${...} in a path by environment variables.
    return json.dumps(text, ensure_ascii=False)
