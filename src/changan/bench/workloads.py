"""What the ledger bench calls: contracts, how their state is made, and columns of calls that differ from bundle to bundle."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from changan.bench.generated import FILL, ID_KEYS, generated_source
from changan.contract.compiled.columns import ColumnData
from changan.contract.program import compile_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from changan.contract.types import Signature

ACCOUNT_BYTES = 20
BALANCE = 1_000_000_000
GENERATED = "generated"
_NOTE = b"changan ledger bench: one hundred bytes of text, as a certificate number and a title would take them."[:100]


class Part(NamedTuple):
    """Calls of one method as columns."""

    method: str
    rows: int
    columns: list[ColumnData]
    signers: Any = 0  # the number of the signer, or of each row's, growing


class Shape(NamedTuple):
    """How large the state is, who holds it, and how skewed the calls are."""

    accounts: int
    signers: Sequence[bytes]  # addresses, 20 bytes each
    rows: int  # of a bundle
    zipf: float  # 0: uniform


class Workload(NamedTuple):
    """A contract with a load: parts that make the state, sent by the first signer, and parts without end."""

    contract: str
    source: str
    prepare: Callable[[Any, Shape], Iterator[Part]]
    parts: Callable[[Any, Shape, int | None], Iterator[Part]]
    """Of numpy, the shape, and the number of the signer; None: each row has another."""

    def signature(self, method: str) -> Signature:
        """Return a method's signature."""
        found = compile_source(self.source).method(method)
        assert found is not None
        return found


def workload(name: str) -> Workload:
    """Return the load on a shipped contract, or on the generated one of a number: `generated:7`."""
    contract, _, seed = name.partition(":")
    if contract == GENERATED:
        source = generated_source(int(seed))
        return Workload(GENERATED, source, _filled, partial(_generated, source))
    prepare, parts = LOADS[name]
    source = files("changan.examples").joinpath(f"{name}.py").read_text(encoding="utf-8")
    return Workload(name, source, prepare, parts)


@lru_cache(maxsize=1)
def _identifiers(numpy: Any, accounts: int) -> Any:
    """Return the accounts' ids, 20 bytes a row: the same for whoever asks, and once for all signers."""
    return numpy.random.default_rng(7).integers(0, 256, (accounts, ACCOUNT_BYTES), numpy.uint8)


def _column(array: Any) -> ColumnData:
    return ColumnData(array.tobytes())


def _chosen(random: Any, count: int, rows: int, zipf: float) -> Any:
    """Return `rows` numbers below `count`: uniform, or with the weights of Zipf's law."""
    if not zipf:
        return random.integers(0, count, rows)
    # The inverse of the continuous law's distribution: close enough for a load, and without a table.
    spread = random.random(rows)
    if zipf == 1:
        return (count**spread).astype("int64") - 1
    return ((1 + spread * (count ** (1 - zipf) - 1)) ** (1 / (1 - zipf))).astype("int64").clip(1, count) - 1


def _random(numpy: Any, salt: int, signer: int | None) -> Any:
    return numpy.random.default_rng([salt] if signer is None else [salt, signer])


def _who(random: Any, shape: Shape, signer: int | None) -> Any:
    """Return who signs a part: one for all rows, or for each row another, in growing order."""
    if signer is not None:
        return signer
    found = random.choice(len(shape.signers), shape.rows, replace=False)
    found.sort()
    return found


def _accounts_held(numpy: Any, shape: Shape) -> Iterator[Part]:
    ids = _identifiers(numpy, shape.accounts)
    holders = numpy.frombuffer(b"".join(shape.signers), numpy.uint8).reshape(-1, ACCOUNT_BYTES)
    for start in range(0, shape.accounts, shape.rows):
        numbers = numpy.arange(start, min(start + shape.rows, shape.accounts))
        balances = numpy.full(len(numbers), BALANCE, "<u8")
        columns = [ids[numbers], holders[numbers % len(shape.signers)], balances]
        yield Part("open", len(numbers), [_column(column) for column in columns])


def _payments(numpy: Any, shape: Shape, signer: int | None) -> Iterator[Part]:
    random = _random(numpy, 11, signer)
    ids = _identifiers(numpy, shape.accounts)
    holders = len(shape.signers)
    while True:
        who = _who(random, shape, signer)
        own = (shape.accounts - who + holders - 1) // holders  # accounts who, who + holders, ...
        sources = who + holders * _chosen(random, own, shape.rows, shape.zipf)
        to = _chosen(random, shape.accounts, shape.rows, shape.zipf)
        amounts = random.integers(1, 100, shape.rows).astype("<u8")
        references = random.integers(0, 1 << 62, shape.rows).astype("<u8")
        columns = [ids[sources], ids[to], amounts, references]
        yield Part("pay", shape.rows, [_column(column) for column in columns], who)


def _no_state(_numpy: Any, _shape: Shape) -> Iterator[Part]:
    return iter(())


def _evidence(numpy: Any, shape: Shape, signer: int | None) -> Iterator[Part]:
    random = _random(numpy, 13, signer)
    while True:
        digests = random.integers(0, 256, (shape.rows, 32), numpy.uint8)
        ends = (numpy.arange(1, shape.rows + 1) * len(_NOTE)).astype("<u4")
        columns = [_column(digests), ColumnData(_NOTE * shape.rows, ends.tobytes())]
        yield Part("put", shape.rows, columns, _who(random, shape, signer))


def _bank_accounts(numpy: Any, shape: Shape) -> Iterator[Part]:
    for start in range(0, shape.accounts, shape.rows):
        numbers = numpy.arange(start, min(start + shape.rows, shape.accounts), dtype="<u8")
        money = numpy.full(len(numbers), BALANCE, "<i8")
        yield Part("create", len(numbers), [_column(numbers), _column(money), _column(money)])


def _smallbank(numpy: Any, shape: Shape, signer: int | None) -> Iterator[Part]:
    random = _random(numpy, 17, signer)
    methods = ("deposit_checking", "transact_savings", "send_payment", "write_check", "amalgamate")
    while True:
        for method in methods:
            one, two = (_chosen(random, shape.accounts, shape.rows, shape.zipf).astype("<u8") for _ in range(2))
            amounts = random.integers(1, 100, shape.rows).astype("<i8")
            columns = {
                "deposit_checking": [one, amounts],
                "transact_savings": [one, amounts],
                "send_payment": [one, two, amounts],
                "write_check": [one, amounts],
                "amalgamate": [one, two],
            }[method]
            who = _who(random, shape, signer)
            yield Part(method, shape.rows, [_column(column) for column in columns], who)


def _token_supply(numpy: Any, shape: Shape) -> Iterator[Part]:
    """Hand of the first signer's supply, who installed the contract, to every account, and to every signer what it will send."""
    signers = numpy.frombuffer(b"".join(shape.signers), numpy.uint8).reshape(-1, ACCOUNT_BYTES)
    for holders, amount in ((_identifiers(numpy, shape.accounts), 1), (signers, BALANCE)):
        for start in range(0, len(holders), shape.rows):
            piece = holders[start : start + shape.rows]
            yield Part("transfer", len(piece), [_column(piece), _column(numpy.full(len(piece), amount, "<u8"))])


def _token(numpy: Any, shape: Shape, signer: int | None) -> Iterator[Part]:
    random = _random(numpy, 19, signer)
    ids = _identifiers(numpy, shape.accounts)
    while True:
        to = ids[_chosen(random, shape.accounts, shape.rows, shape.zipf)]
        columns = [_column(to), _column(numpy.ones(shape.rows, "<u8"))]
        yield Part("transfer", shape.rows, columns, _who(random, shape, signer))


def _filled(numpy: Any, shape: Shape) -> Iterator[Part]:
    ids = _identifiers(numpy, shape.accounts)
    for start in range(0, shape.accounts, shape.rows):
        numbers = numpy.arange(start, min(start + shape.rows, shape.accounts), dtype="<u8")
        columns = [numbers, ids[numbers], numpy.full(len(numbers), BALANCE, "<u8")]
        yield Part(FILL, len(numbers), [_column(column) for column in columns])


def _generated(source: str, numpy: Any, shape: Shape, signer: int | None) -> Iterator[Part]:
    random = _random(numpy, 23, signer)
    ids = _identifiers(numpy, shape.accounts)
    doors = [door for door in compile_source(source).doors if door.name != FILL]
    while True:
        for door in doors:
            columns = []
            for name, _ in door.parameters:
                if name == "amount":
                    columns.append(random.integers(1, 100, shape.rows).astype("<u8"))
                    continue
                chosen = _chosen(random, shape.accounts, shape.rows, shape.zipf)
                columns.append(ids[chosen] if name in ID_KEYS else chosen.astype("<u8"))
            who = _who(random, shape, signer)
            yield Part(door.name, shape.rows, [_column(column) for column in columns], who)


LOADS: dict[str, tuple[Callable[[Any, Shape], Iterator[Part]], Callable[[Any, Shape, int | None], Iterator[Part]]]] = {
    "payments": (_accounts_held, _payments),
    "evidence": (_no_state, _evidence),
    "smallbank": (_bank_accounts, _smallbank),
    "token": (_token_supply, _token),
}
"""What makes the state, and what is called then; by the contract's name."""
