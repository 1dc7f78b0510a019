"""A broker of the distilled lane: rows of many clients become one bundle, which they sign together and the broker sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.client.lane import Offer
from changan.client.requests import make_payload
from changan.client.tables import Method, Sent, TableError
from changan.crypto.bls import BlsKey, join_shares, require_share, require_together, sum_key
from changan.crypto.merkle import tree_paths
from changan.errors import ChanganError, MalformedError, UnverifiedError
from changan.ledger.bundle import PARAMETER, ROWS_MAX, Bundle, columns_of
from changan.ledger.chain_config import chain_digest
from changan.ledger.distilled import encode_distilled, rows_root, signed_message, unrun_rows
from changan.ledger.roots import Roots
from changan.ledger.system import LANE
from changan.ledger.wire.messages import BlsClients

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changan.client.calls import Calls, Steps
    from changan.contract.instance import Value
    from changan.crypto.digest import Digest
    from changan.ledger.wire.messages import Payload

FOUND_AT_ONCE = 4096


class ShareError(ChanganError):
    """Shares that are missing or do not hold; `numbers` are the clients whose they are."""

    def __init__(self, message: str, numbers: list[int]) -> None:
        super().__init__(message)
        self.numbers = numbers


class Row(NamedTuple):
    """One client's row: its key, its address, and the values of its call."""

    key: BlsKey
    address: bytes
    values: tuple[Value, ...]


class Gathering:
    """One bundle while its clients sign it: a round of offers and shares, and a new one whenever somebody is left out.

    The transaction id stays, so of all rounds one at most is executed. `rows` are by the clients' numbers.
    """

    def __init__(self, payload: Payload, method: Method, rows: Mapping[int, Row], budget: int, digest: Digest) -> None:
        self._payload = payload
        self.method = method
        self._rows = dict(sorted(rows.items()))
        self._budget = budget
        self._digest = digest
        self._begin()

    def _begin(self) -> None:
        """Begin a round: the root and the sum of keys are those of who is left."""
        rows = list(self._rows.values())
        columns = columns_of(self.method.signature, [row.values for row in rows])
        self._bundle = Bundle(len(rows), self._budget, columns, b"".join(row.address for row in rows))
        self._root = rows_root(self.method.signature, self._bundle, Roots(self._digest))
        self._message = signed_message(self._payload, self._budget, len(rows), self._root, self._digest)
        self._signers = sum_key(row.key for row in rows)
        self._shares: dict[int, bytes] = {}

    def offers(self) -> dict[int, Offer]:
        """Return what each client is shown before it signs in this round."""
        payload = self._payload
        leaves = [row.leaf for row in unrun_rows(self.method.signature, self._bundle)]
        paths = tree_paths(leaves, self._digest)
        return {
            number: Offer(
                chain_id=payload.chain_id,
                contract=payload.contract_name,
                method=payload.method,
                tx_id=payload.tx_id,
                timestamp=payload.timestamp,
                budget=self._budget,
                rows=len(leaves),
                root=self._root,
                signers=self._signers.data,
                row=row,
                path=paths[row],
            )
            for row, number in enumerate(self._rows)
        }

    def take(self, number: int, share: bytes) -> None:
        """Take a client's share of this round. It is checked with all others, when the bundle is sent. Raises KeyError."""
        self._rows[number]
        self._shares[number] = share

    @property
    def missing(self) -> list[int]:
        """The clients who have not signed in this round."""
        return [number for number in self._rows if number not in self._shares]

    def leave_out(self, numbers: Iterable[int]) -> None:
        """Go on without some clients: the others sign anew. Raises TableError where nobody is left; then nothing changed."""
        left = set(numbers)
        rows = {number: row for number, row in self._rows.items() if number not in left}
        if not rows:
            raise TableError("nobody is left to sign: gather other rows")
        self._rows = rows
        self._begin()

    def payload(self) -> Payload:
        """Return what is to be sent. Raises ShareError, naming whose shares are missing or do not hold."""
        if self.missing:
            raise ShareError(f"{len(self.missing)} clients have not signed: leave them out, or wait", self.missing)
        keys = [row.key for row in self._rows.values()]
        shares = [self._shares[number] for number in self._rows]
        try:
            joined = join_shares(shares)
            require_together([self._signers], self._message, joined)
        except (MalformedError, UnverifiedError) as error:
            bad = [number for number in self._rows if not self._holds(number, keys)]
            text = f"{len(bad)} shares are not over what was offered: leave these clients out"
            raise ShareError(text, bad) from error
        columns, numbers = self._bundle.columns, list(self._rows)
        data = encode_distilled(self.method.signature, columns, numbers, self._budget, joined)
        self._payload.parameters[0].value = data
        return self._payload

    def _holds(self, number: int, keys: list[BlsKey]) -> bool:
        try:
            require_share(self._rows[number].key, keys, self._message, self._shares[number])
        except UnverifiedError:
            return False
        return True


def gather(
    calls: Calls, contract: str, method: str, rows: Mapping[int, Mapping[str, object]], budget: int
) -> Steps[Gathering]:
    """Return a bundle that its clients are to sign; `rows` are arguments by the clients' numbers.

    Raises TableError before anything is asked, CallError for a number that nobody has.
    """
    if not 1 <= len(rows) <= ROWS_MAX:
        raise TableError(f"a bundle has 1 to {ROWS_MAX} rows, not {len(rows)}")
    described = Method((yield from calls.describe(contract)), method)
    values = {number: described.row(arguments) for number, arguments in rows.items()}
    digest = chain_digest((yield from calls.config()))
    found: dict[int, Row] = {}
    numbers = sorted(values)
    for start in range(0, len(numbers), FOUND_AT_ONCE):
        asked = ",".join(map(str, numbers[start : start + FOUND_AT_ONCE]))
        answer = BlsClients.FromString((yield from calls.query(LANE, "FIND", {"numbers": asked})).result)
        for client in answer.clients:
            if client.revoked:
                raise TableError(f"client {client.number}: its BLS key was revoked")
            found[client.number] = Row(BlsKey(client.key), client.address, values[client.number])
    payload = make_payload(calls.chain_id, contract, method, {PARAMETER: b""})
    return Gathering(payload, described, found, budget, digest)


def send_gathered(calls: Calls, gathering: Gathering) -> Steps[Sent]:
    """Send what all signed, and ask what came of the rows, in the order of the clients' numbers. Raises ShareError, CallError."""
    answer, side = yield from calls.send_bundle(gathering.payload())
    return Sent(answer, gathering.method.outcomes(side))
