"""What the tests of contracts share: how a test contract is spelled, compiled and called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract import names
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


def contract(members: str, above: str = "") -> str:
    """Return a file with one contract `C` whose class holds these members (written without indentation)."""
    inner = "\n".join(f"    {line}" if line else "" for line in members.strip("\n").splitlines())
    return f"{IMPORTS}{above}\nclass C(Contract):\n{inner}\n"


class Runner:
    """A program with an instance of it, called by name with typed values."""

    def __init__(self, source: str | Program, address: bytes = HOME, quota: int = QUOTA_BYTES) -> None:
        self.program = compile_source(source) if isinstance(source, str) else source
        self.instance = PlainInstance(self.program, address, quota)

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
