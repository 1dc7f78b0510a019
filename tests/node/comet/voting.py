"""Five organisations in memory of which four vote, and changes of that."""

from __future__ import annotations

from model import config_of, node_of, voters_of

from changan.ledger.roster import Roster, Voter, roster_of
from consortium import Consortium, Ledger


class Voting(Consortium):
    """Organisations of which the first four vote."""

    def config(self, chain_id: str = "chain1", **options):
        whole = Consortium.config(self, chain_id, **options)
        made = config_of(_Bare(self), voters_of(self), **options)
        del made.trust_roots[:]
        made.trust_roots.extend(whole.trust_roots)
        return made


class _Bare:
    def __init__(self, consortium: Consortium) -> None:
        self._consortium = consortium

    def config(self, **options):
        return Consortium.config(self._consortium, **options)


def entry(voter: Voter) -> dict[str, str]:
    made = voter.entry()
    return {made.key: made.value}


def known(five, org: int = 5, name: str = "consensus1", role: str = "consensus", **changes) -> dict[str, str]:
    return entry(node_of(five, org, name, role, **changes).voter)


def refused(ledger: Ledger, method: str, parameters, **options) -> str:
    """Send a change that is refused; the configuration stays byte for byte."""
    before = ledger.world.rows.get("CHAIN_CONFIG", "CHAIN_CONFIG")
    result = ledger.configure(method, parameters, **options)
    assert result.code
    assert ledger.world.rows.get("CHAIN_CONFIG", "CHAIN_CONFIG") == before
    return result.contract_result.message


def changed(ledger: Ledger, method: str, parameters, **options) -> Roster:
    result = ledger.configure(method, parameters, **options)
    assert result.code == 0, result.contract_result.message
    return roster_of(ledger.world.config)
