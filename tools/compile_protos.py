"""Compile the .proto texts into the descriptor sets and the type stubs that changan ships.

Run after editing a .proto: `python tools/compile_protos.py`. A test compares the result with what is checked in.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent / "src" / "changan"
WIRE = _PACKAGE / "ledger" / "wire"
ABCI = _PACKAGE / "node" / "comet" / "abci"
SCALARS = {
    "string": "str",
    "bytes": "bytes",
    "bool": "bool",
    "float": "float",
    "uint32": "int",
    "uint64": "int",
    "int32": "int",
    "int64": "int",
}
HEADER = '''"""Types of the messages in messages.py. Made by tools/compile_protos.py from the .proto texts; do not edit."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

from google.protobuf.internal.containers import (
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
    ScalarMap,
)
from google.protobuf.message import Message

'''


def descriptor_set(home: Path = WIRE) -> bytes:
    """Return the serialized FileDescriptorSet of all .proto texts, in dependency order."""
    names = sorted(path.name for path in (home / "protos").glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{home / 'protos'}", f"--descriptor_set_out={out}"]
        subprocess.run([*command, *names], check=True)
        return out.read_bytes()


def stub(home: Path = WIRE) -> str:
    """Return the text of messages.pyi."""
    enums: list[str] = []
    messages: list[str] = []
    for path in sorted((home / "protos").glob("*.proto")):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        if path.name == "txpool.proto":  # its TxType would hide common's; messages.py calls it PoolTxType
            text = text.replace("TxType", "PoolTxType")
        enums += [_enum(name, body) for name, body in re.findall(r"\benum (\w+) \{([^}]*)\}", text)]
        messages += _messages(re.sub(r"\benum \w+ \{[^}]*\}", "", text))
    return HEADER + "\n".join(enums + messages)


def _enum(name: str, body: str) -> str:
    values = re.findall(r"(\w+) = (\d+)", body)
    return f"class {name}:\n" + "".join(f"    {value}: ClassVar[int]\n" for value, _ in values)


def _messages(text: str) -> list[str]:
    text = re.sub(r"message DAG \{\s*message (Neighbor \{[^}]*\})", r"message \1\nmessage DAG {", text)
    return [_message(name, body) for name, body in re.findall(r"\bmessage (\w+) \{([^}]*)\}", text)]


def _message(name: str, body: str) -> str:
    fields: list[tuple[str, str, str]] = []
    for repeated, kind, field in re.findall(r"(repeated )?(map<string, bytes>|[\w.]+) (\w+) = \d+;", body):
        short = kind.split(".")[-1]
        if kind.startswith("map<"):
            fields.append((field, "ScalarMap[str, bytes]", "Mapping[str, bytes]"))
        elif repeated and kind in SCALARS:
            fields.append((field, f"RepeatedScalarFieldContainer[{SCALARS[kind]}]", f"Iterable[{SCALARS[kind]}]"))
        elif repeated:
            fields.append((field, f"RepeatedCompositeFieldContainer[{short}]", f"Iterable[{short}]"))
        elif kind in SCALARS:
            fields.append((field, SCALARS[kind], SCALARS[kind]))
        elif short in _enum_names():
            fields.append((field, "int", "int"))
        else:
            fields.append((field, short, short))
    lines = [f"class {name}(Message):"]
    for field, held, _ in fields:
        lines.append(f"    {field}: {held}")
    arguments = "".join(f", {field}: {given} | None = ..." for field, _, given in fields)
    star = ", *" if fields else ""
    lines.append(f"    def __init__(self{star}{arguments}) -> None: ...")
    lines.append("    @classmethod")
    lines.append("    def FromString(cls, s: bytes) -> Self: ...")
    return "\n".join(lines) + "\n"


def _enum_names() -> set[str]:
    names: set[str] = set()
    for path in (WIRE / "protos").glob("*.proto"):
        names |= set(re.findall(r"\benum (\w+) \{", path.read_text(encoding="utf-8")))
    return names | {"PoolTxType"}


if __name__ == "__main__":
    for place, name in ((WIRE, "changan"), (ABCI, "abci")):
        (place / f"{name}.desc").write_bytes(descriptor_set(place))
        (place / "messages.pyi").write_text(stub(place), encoding="utf-8")
