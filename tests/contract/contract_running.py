"""What the tests of contracts share: how a test contract is spelled, compiled and called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changan.contract import names
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import BlockContext, Call
from changan.contract.plain import QUOTA_BYTES, PlainInstance
from changan.contract.program import compile_source

if TYPE_CHECKING:
    from changan.contract.instance import Outcome, Value
    from changan.contract.program import Program

IMPORTS = (
    "from typing import Annotated, Final\nfrom annotated_types import Len, MaxLen\n"
    f"from changan.contract import {', '.join(names.__all__)}\n"
)
HOME = b"c" * 20
ALICE = b"a" * 20
BOB = b"b" * 20
CAROL = b"d" * 20
BLOCK = BlockContext(7, 1_700_000_000)
GAS = 1_000_000


class Engine:
    """The back end that tests run against: plain, unless the suite's fixture says otherwise."""

    name = "plain"

    def open(self, program: Program, address: bytes, quota: int = QUOTA_BYTES) -> Any:
        """Return a new instance."""
        return (PlainInstance if self.name == "plain" else CompiledInstance)(program, address, quota)


engine = Engine()


def contract(members: str, above: str = "") -> str:
    """Return a file with one contract `C` whose class holds these members (written without indentation)."""
    inner = "\n".join(f"    {line}" if line else "" for line in members.strip("\n").splitlines())
    return f"{IMPORTS}{above}\nclass C(Contract):\n{inner}\n"


class Runner:
    """A program with an instance of it, called by name with typed values."""

    def __init__(self, source: str | Program, address: bytes = HOME, quota: int = QUOTA_BYTES) -> None:
        self.program = compile_source(source) if isinstance(source, str) else source
        self._address, self._quota = address, quota
        self._instances: dict[str, Any] = {}

    @property
    def instance(self) -> Any:
        """The instance of the back end that is being tried; each has its own state."""
        name = engine.name
        if name not in self._instances:
            self._instances[name] = engine.open(self.program, self._address, self._quota)
        return self._instances[name]

    def __call__(self, method: str, *arguments: Value, gas: int = GAS, caller: bytes = ALICE) -> Outcome:
        """Run one call; the arguments must be values of the method's parameters."""
        assert self.program.fits(method, arguments), (method, arguments)
        [outcome] = self.instance.run(method, [Call(caller, arguments, gas)], BLOCK)
        return outcome

    def state(self) -> dict[str, bytes | None]:
        """Return all rows."""
        return dict(self.instance.rows())

    def fresh(self) -> Runner:
        """Return a new instance of the same program, empty."""
        return Runner(self.program)


def line_of(source: str, text: str) -> int:
    """Return the number of the first line that holds a text."""
    return next(number for number, line in enumerate(source.splitlines(), 1) if text in line)
