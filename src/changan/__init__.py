"""changan (长安): a trusted-data platform for organisations that do not trust one another enough to share a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from changan.client.aio import connect_async as connect_async
    from changan.client.connect import connect as connect

__version__ = "0.1.0"
__all__ = ["__version__", "connect", "connect_async"]


def __getattr__(name: str) -> object:
    if name == "connect":  # loaded when it is asked for: authors of contracts need no gRPC
        from changan.client.connect import connect  # noqa: PLC0415

        return connect
    if name == "connect_async":
        from changan.client.aio import connect_async  # noqa: PLC0415

        return connect_async
    raise AttributeError(f"module 'changan' has no attribute {name!r}")
