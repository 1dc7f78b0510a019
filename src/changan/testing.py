"""A chain in memory for tests of contracts: named users, no node, no keys, the engine and rules of a real one.

A test reads like this::

    chain = Chain()
    alice, bob = chain.user("alice"), chain.user("bob")
    token = chain.deploy("token", Path("token.py"), sender=alice, supply=1000)
    token.transfer(to=bob, amount=5, sender=alice)
    assert token.balance_of(who=bob) == 5
    with pytest.raises(Declined, match="balance is short"):
        token.transfer(to=bob, amount=5000, sender=alice)
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changan.contract.gas import GAS_LIMIT_MAX
from changan.contract.instance import BlockContext, Call, Code
from changan.contract.plain import PlainInstance
from changan.contract.program import Program, compile_source
from changan.contract.types import BytesType, EnumType, RecordType, is_value
from changan.contract.upgrade import plan_upgrade
from changan.crypto.addresses import AddressType, contract_address
from changan.errors import ChanganError
from changan.ledger.contracts import OWNER, Calls, record_key
from changan.ledger.outcomes import failure_text
from changan.ledger.state import Rows, Write
from changan.ledger.wire.messages import Contract as ContractRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from changan.contract.engines import AnyInstance
    from changan.contract.instance import Event, Outcome, Value
    from changan.contract.names import Contract
    from changan.contract.types import Signature, ValueType

START_TIME = 1_700_000_000
_SECONDS_A_BLOCK = 1


class CallFailed(ChanganError):  # noqa: N818  # it reads as what happened
    """A call that left no trace: its code, the line of the contract, the gas it used."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.code = outcome.code
        self.line = outcome.line
        self.gas = outcome.gas


class Declined(CallFailed):
    """A call that the contract declined with a reason."""


@dataclass(frozen=True, slots=True)
class User:
    """A named user. Where a contract wants an address, the user itself may be given."""

    name: str
    address: bytes


class Chain:
    """Contracts in memory. Every call is a block of its own, a second after the one before."""

    def __init__(self) -> None:
        self.height = 0
        self.time = START_TIME
        self._rows = Rows()
        self._instances: dict[str, AnyInstance] = {}

    def user(self, name: str) -> User:
        """Return the user of this name; the same name is always the same address."""
        return User(name, sha256(b"user " + name.encode()).digest()[-20:])

    def deploy(
        self, name: str, source: str | Path | type[Contract], *, sender: User | None = None, **arguments: object
    ) -> Deployed:
        """Install a contract given as source text, a file, or an imported class; arguments go to its @init.

        Raises CheckError, CallFailed.
        """
        program = _program(source)
        address = contract_address(name, AddressType.ETHEREUM)
        instance = PlainInstance(program, bytes.fromhex(address))
        record = ContractRecord(name=name, version="1", address=address).SerializeToString()
        self._instances[name] = instance
        for key in (name, address):
            self._rows.put(Write(OWNER, record_key(key), record))
        deployed = Deployed(self, name)
        if program.init_method is not None:
            try:
                deployed._run(program.init_method, sender or self.user("owner"), arguments)  # noqa: SLF001  # our own
            except CallFailed:
                del self._instances[name]
                raise
        return deployed

    def upgrade(
        self, name: str, source: str | Path | type[Contract], *, sender: User | None = None, **arguments: object
    ) -> Deployed:
        """Put a new version in a contract's place; its state moves along. Raises CheckError, UpgradeError, CallFailed."""
        old = self._instances[name]
        program = _program(source)
        migration = plan_upgrade(old.program, program)
        instance = PlainInstance(program, bytes.fromhex(contract_address(name, AddressType.ETHEREUM)))
        instance.restore(migration.apply(old.rows()))
        self._instances[name] = instance
        deployed = Deployed(self, name)
        if program.migrate_method is not None:
            try:
                deployed._run(program.migrate_method, sender or self.user("owner"), arguments)  # noqa: SLF001  # our own
            except CallFailed:
                self._instances[name] = old
                raise
        return deployed

    def pass_time(self, seconds: int) -> None:
        """Let time pass before the next block."""
        assert seconds >= 0
        self.time += seconds

    def _execute(self, name: str, method: str, call: Call) -> Outcome:
        self.height += 1
        self.time += _SECONDS_A_BLOCK
        block = BlockContext(self.height, self.time)
        host = Calls(self._instances, self._rows, block, name)
        return self._instances[name].run(method, [call], block, host)[0]


class Deployed:
    """A contract of a chain in memory: its methods are called with names, as `token.transfer(to=bob, amount=5, sender=alice)`."""

    def __init__(self, chain: Chain, name: str) -> None:
        self._chain = chain
        self._name = name
        self.address = bytes.fromhex(contract_address(name, AddressType.ETHEREUM))
        self.events: list[tuple[str, dict[str, Any]]] = []
        """What the last call emitted: names and fields."""
        self.gas = 0
        """What the last call cost."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        signature = self._instance.program.method(method)
        if signature is None or signature.kind not in {"call", "view"}:
            doors = ", ".join(door.name for door in self._instance.program.doors)
            raise AttributeError(f"{self._name} has no method {method}; it has {doors}")

        def door(*, sender: User | None = None, gas: int = GAS_LIMIT_MAX, **arguments: object) -> Any:
            return self._run(method, sender or self._chain.user("anybody"), arguments, gas)

        return door

    @property
    def _instance(self) -> AnyInstance:
        return self._chain._instances[self._name]  # noqa: SLF001  # our own

    def _run(self, method: str, sender: User, arguments: Mapping[str, object], gas: int = GAS_LIMIT_MAX) -> Any:
        program = self._instance.program
        signature = program.method(method)
        assert signature is not None
        values = _arguments(signature, arguments)
        outcome = self._chain._execute(self._name, method, Call(sender.address, values, gas))  # noqa: SLF001  # our own
        self.gas = outcome.gas
        if outcome.code != Code.OK:
            kind = Declined if outcome.code == Code.DECLINED else CallFailed
            raise kind(failure_text(program, outcome), outcome)
        self.events = [self._shown(event) for event in outcome.events]
        return None if signature.result is None else _to_python(signature.result, outcome.result)

    def _shown(self, event: Event) -> tuple[str, dict[str, Any]]:
        emitter = next(
            instance.program
            for name, instance in self._chain._instances.items()  # noqa: SLF001  # our own
            if contract_address(name, AddressType.ETHEREUM) == event.emitter.hex()
        )
        kind = next(kind for kind in emitter.tree.events if kind.name == event.name)
        fields = zip(kind.fields, event.fields, strict=True)
        return event.name, {name: _to_python(part, value) for (name, part), value in fields}


def _program(source: str | Path | type[Contract]) -> Program:
    if isinstance(source, type):
        found = inspect.getsourcefile(source)
        assert found is not None, f"{source} has no source file"
        source = Path(found)
    if isinstance(source, Path):
        return compile_source(source.read_text(encoding="utf-8"), str(source))
    return compile_source(source)


def _arguments(signature: Signature, given: Mapping[str, object]) -> tuple[Value, ...]:
    names = [name for name, _ in signature.parameters]
    if sorted(names) != sorted(given):
        raise TypeError(
            f"{signature.name} takes {', '.join(names) or 'nothing'}; given were {', '.join(given) or 'none'}"
        )
    return tuple(_from_python(name, kind, given[name]) for name, kind in signature.parameters)


def _from_python(name: str, kind: ValueType, value: object) -> Value:
    converted: Any = value
    match kind:
        case BytesType():
            if isinstance(value, User | Deployed):
                converted = value.address
            elif isinstance(value, bytes):
                converted = bytes(value)
        case EnumType():
            if isinstance(value, str) and value in kind.members:
                converted = kind.members.index(value)
        case RecordType():
            if isinstance(value, dict) and list(value) == [field for field, _ in kind.fields]:
                converted = tuple(_from_python(field, part, value[field]) for field, part in kind.fields)
        case _:
            if isinstance(value, int) and not isinstance(value, bool):
                converted = int(value)
    if not is_value(kind, converted):
        raise TypeError(f"{name}: {kind.name} wanted, this is {value!r}")
    result: Value = converted
    return result


def _to_python(kind: ValueType, value: Value) -> Any:
    match kind:
        case EnumType():
            assert isinstance(value, int)
            return kind.members[value]
        case RecordType():
            assert isinstance(value, tuple)
            fields = zip(kind.fields, value, strict=True)
            return {name: _to_python(part, item) for (name, part), item in fields}  # type: ignore[arg-type]  # parts are values
    return value
