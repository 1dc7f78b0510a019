"""The names that authors of contracts import. They make a contract file check under mypy and Pyright, and importable.

What runs is not these classes but the checked tree of the file (`changan.contract.program`), under the same file name and
line numbers, so that breakpoints and tracebacks show the author's lines.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_K = TypeVar("_K")
_V = TypeVar("_V")
_F = TypeVar("_F", bound="Callable[..., Any]")

Bool = bool
Text = str
Bytes = bytes


class U64(int):
    """A whole number from 0 to 2**64 - 1. What leaves this range ends the call."""

    if TYPE_CHECKING:  # operands are int, so that literals need no wrapping; the checker of contracts is stricter

        def __add__(self, other: int, /) -> U64: ...

        def __sub__(self, other: int, /) -> U64: ...

        def __mul__(self, other: int, /) -> U64: ...

        def __floordiv__(self, other: int, /) -> U64: ...

        def __mod__(self, other: int, /) -> U64: ...

        def __and__(self, other: int, /) -> U64: ...

        def __or__(self, other: int, /) -> U64: ...

        def __xor__(self, other: int, /) -> U64: ...

        def __lshift__(self, other: int, /) -> U64: ...

        def __rshift__(self, other: int, /) -> U64: ...

        def __radd__(self, other: int, /) -> U64: ...

        def __rsub__(self, other: int, /) -> U64: ...

        def __rmul__(self, other: int, /) -> U64: ...

        def __rfloordiv__(self, other: int, /) -> U64: ...

        def __rmod__(self, other: int, /) -> U64: ...

        def __rand__(self, other: int, /) -> U64: ...

        def __ror__(self, other: int, /) -> U64: ...

        def __rxor__(self, other: int, /) -> U64: ...


class I64(int):
    """A whole number from -2**63 to 2**63 - 1. What leaves this range ends the call."""

    if TYPE_CHECKING:  # operands are int, so that literals need no wrapping; the checker of contracts is stricter

        def __add__(self, other: int, /) -> I64: ...

        def __sub__(self, other: int, /) -> I64: ...

        def __mul__(self, other: int, /) -> I64: ...

        def __floordiv__(self, other: int, /) -> I64: ...

        def __mod__(self, other: int, /) -> I64: ...

        def __and__(self, other: int, /) -> I64: ...

        def __or__(self, other: int, /) -> I64: ...

        def __xor__(self, other: int, /) -> I64: ...

        def __lshift__(self, other: int, /) -> I64: ...

        def __rshift__(self, other: int, /) -> I64: ...

        def __radd__(self, other: int, /) -> I64: ...

        def __rsub__(self, other: int, /) -> I64: ...

        def __rmul__(self, other: int, /) -> I64: ...

        def __rfloordiv__(self, other: int, /) -> I64: ...

        def __rmod__(self, other: int, /) -> I64: ...

        def __rand__(self, other: int, /) -> I64: ...

        def __ror__(self, other: int, /) -> I64: ...

        def __rxor__(self, other: int, /) -> I64: ...

        def __neg__(self) -> I64: ...


class U128(int):
    """A whole number from 0 to 2**128 - 1, wide enough for amounts of money. What leaves this range ends the call."""

    if TYPE_CHECKING:  # operands are int, so that literals need no wrapping; the checker of contracts is stricter

        def __add__(self, other: int, /) -> U128: ...

        def __sub__(self, other: int, /) -> U128: ...

        def __mul__(self, other: int, /) -> U128: ...

        def __floordiv__(self, other: int, /) -> U128: ...

        def __mod__(self, other: int, /) -> U128: ...

        def __and__(self, other: int, /) -> U128: ...

        def __or__(self, other: int, /) -> U128: ...

        def __xor__(self, other: int, /) -> U128: ...

        def __lshift__(self, other: int, /) -> U128: ...

        def __rshift__(self, other: int, /) -> U128: ...

        def __radd__(self, other: int, /) -> U128: ...

        def __rsub__(self, other: int, /) -> U128: ...

        def __rmul__(self, other: int, /) -> U128: ...

        def __rfloordiv__(self, other: int, /) -> U128: ...

        def __rmod__(self, other: int, /) -> U128: ...

        def __rand__(self, other: int, /) -> U128: ...

        def __ror__(self, other: int, /) -> U128: ...

        def __rxor__(self, other: int, /) -> U128: ...


class Address(bytes):
    """Twenty bytes that name a user or a contract. `Address()` is twenty zero bytes."""

    def __new__(cls, value: bytes = bytes(20)) -> Self:
        """Return the address with these bytes."""
        return super().__new__(cls, value)


class Digest(bytes):
    """Thirty-two bytes of a digest. `Digest()` is thirty-two zero bytes."""

    def __new__(cls, value: bytes = bytes(32)) -> Self:
        """Return the digest with these bytes."""
        return super().__new__(cls, value)


Bytes32 = Digest


class Map(Generic[_K, _V]):
    """Persistent values by key, without order. With `default=`, an absent key reads as that value."""

    def __init__(self, *, default: _V | None = None) -> None:
        self.default = default

    if TYPE_CHECKING:

        def __getitem__(self, key: _K) -> _V: ...

        def __setitem__(self, key: _K, value: _V) -> None: ...

        def __delitem__(self, key: _K) -> None: ...

        def __contains__(self, key: object) -> bool: ...

        def get(self, key: _K, otherwise: _V) -> _V: ...


class List(Generic[_V]):
    """Persistent values in order of arrival."""

    if TYPE_CHECKING:

        def __getitem__(self, index: int) -> _V: ...

        def __setitem__(self, index: int, value: _V) -> None: ...

        def __len__(self) -> int: ...

        def append(self, value: _V) -> None: ...


@dataclass_transform(kw_only_default=True)
class _Fields:
    """A base whose annotated fields are given by name."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


class Record(_Fields):
    """A value with named fields."""


class Event(_Fields):
    """Something that others can subscribe to; the class name is its topic."""


class Interface:
    """Another contract, as its callers see it: methods marked @call or @view whose body is `raise NotImplementedError`."""

    def __init__(self, address: Address) -> None:
        self.address = address


class Contract:
    """The base of a contract: annotated fields persist, methods marked @call, @view, @init or @migrate are its doors."""

    if TYPE_CHECKING:
        caller: Address
        """Who calls: the user's address, or that of the contract that called this one."""
        height: U64
        """The height of the block that is being made."""
        time: U64
        """The time of that block, in seconds since 1970."""


def call(method: _F) -> _F:
    """Mark a method that anyone may call, and that may change state."""
    return method


def view(method: _F) -> _F:
    """Mark a method that only reads."""
    return method


def init(method: _F) -> _F:
    """Mark the method that runs once, when the contract is installed."""
    return method


@overload
def migrate(method: _F, /) -> _F: ...


@overload
def migrate(*, drops: Sequence[str]) -> Callable[[_F], _F]: ...


def migrate(method: _F | None = None, /, *, drops: Sequence[str] = ()) -> _F | Callable[[_F], _F]:
    """Mark the method that runs once, when an older version is upgraded to this one; `drops` names fields to give up."""
    del drops  # the checker reads it from the source
    return (lambda marked: marked) if method is None else method


def decline(reason: str) -> NoReturn:
    """End the call. It leaves no trace but its gas; the caller is told the reason."""
    raise NotImplementedError(reason)


def require(condition: object, reason: str) -> None:
    """End the call with this reason unless the condition holds."""
    raise NotImplementedError(reason)


def emit(event: Event) -> None:
    """Emit an event."""
    raise NotImplementedError(event)


def size(text: str) -> U64:
    """Return how many bytes a text takes in UTF-8."""
    return U64(len(text.encode()))


def sha256(data: bytes | str) -> Digest:
    """Return the SHA-256 digest of bytes, or of a text in UTF-8."""
    raise NotImplementedError(data)


def sm3(data: bytes | str) -> Digest:
    """Return the SM3 digest of bytes, or of a text in UTF-8."""
    raise NotImplementedError(data)


__all__ = [
    "I64",
    "U64",
    "U128",
    "Address",
    "Bool",
    "Bytes",
    "Bytes32",
    "Contract",
    "Digest",
    "Enum",
    "Event",
    "Interface",
    "List",
    "Map",
    "Record",
    "Text",
    "call",
    "decline",
    "emit",
    "init",
    "migrate",
    "require",
    "sha256",
    "size",
    "sm3",
    "view",
]
