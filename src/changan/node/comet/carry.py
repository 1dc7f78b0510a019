"""Folders to carry to other machines: each with its own organisation's keys only, a compose file and a systemd unit."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from changan import __version__
from changan.node.pki.layout import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

    from changan.node.comet.cluster import Place

UNIT_FILE = "changan-node.service"
COMPOSE_FILE = "compose.yml"
_PUBLIC = shutil.ignore_patterns("*.key", "user")


def copy_certificates(source: Path, target: Path, own: str = "", without: str = "") -> None:
    """Copy an organisation's own files whole, and of the others what is public; of `without` nothing."""
    for organisation in sorted(path for path in source.iterdir() if path.is_dir() and path.name != without):
        ignore = None if organisation.name == own else _PUBLIC
        shutil.copytree(organisation, target / DIRECTORY / organisation.name, ignore=ignore)


def write_service_files(home: Path, place: Place) -> None:
    """Write what starts a node on its machine."""
    (home / UNIT_FILE).write_text(_unit(place), encoding="utf-8")
    (home / COMPOSE_FILE).write_text(_compose(place), encoding="utf-8")


def _command(place: Place, home: str) -> str:
    ports = f"--rpc-port {place.rpc_port} --http-port {place.http_port}"
    return f"changan cluster node --home {home} --host 0.0.0.0 {ports} --tls"


def _unit(place: Place) -> str:
    return f"""\
# The node of {place.org_id}. This folder goes to /var/lib/changan, `changan` and its engine on the PATH of user changan:
#   systemctl enable --now /var/lib/changan/{UNIT_FILE}
[Unit]
Description=changan node of {place.org_id}
After=network-online.target
Wants=network-online.target

[Service]
User=changan
ExecStart=/usr/bin/env {_command(place, "/var/lib/changan")}
Restart=always
RestartSec=1
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=30
LimitNOFILE=65536
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def _compose(place: Place) -> str:
    command = ", ".join(f'"{word}"' for word in _command(place, "/home/changan").split())
    return f"""\
# The node of {place.org_id}. The image needs `pip install changan=={__version__}` and `changan engine install`.
services:
  node:
    image: "${{CHANGAN_IMAGE:-changan:{__version__}}}"
    command: [{command}]
    volumes:
      - ".:/home/changan"
    ports:
      - "{place.rpc_port}:{place.rpc_port}"
      - "127.0.0.1:{place.http_port}:{place.http_port}"
      - "{place.p2p_port}:{place.p2p_port}"
    stop_grace_period: 30s
    restart: always
"""
