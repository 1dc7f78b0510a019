"""The legal order of calls (CometBFT 0.38, "Valid method call sequences"), as a machine that refuses what may not come."""

from __future__ import annotations

from changan.node.comet.abci.application import Application

FREE = {"echo", "flush", "query", "check_tx", "list_snapshots", "load_snapshot_chunk"}


class Grammar:
    """Follows one application's calls over all starts of its engine."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._height: int | None = None  # the last that was finalized
        self.restart()

    def restart(self) -> None:
        """The engine starts again: first it asks for the state, then it may replay."""
        self._begun = False  # Info was asked
        self._consensus = False  # past InitChain, if there is one
        self._finalized = False
        self._processed = self._extended = self._prepared = False

    def call(self, name: str, height: int = 0) -> None:
        self.seen.append(name)
        if name in FREE:
            return
        if name == "info":
            self._begun = True
            return
        assert self._begun, f"{name} before Info"
        getattr(self, f"_{name}")(height)

    def _init_chain(self, _) -> None:
        assert not self._consensus, "InitChain in the midst"
        self._consensus = True
        self._height = None  # whoever begins is told everything again

    def _within(self, name: str) -> None:
        assert not self._finalized, f"{name} between FinalizeBlock and Commit"
        self._consensus = True

    def _prepare_proposal(self, _) -> None:
        self._within("PrepareProposal")
        self._prepared, self._processed = True, False

    def _process_proposal(self, _) -> None:
        self._within("ProcessProposal")
        self._processed = True

    def _extend_vote(self, _) -> None:
        self._within("ExtendVote")
        assert self._processed, "ExtendVote without ProcessProposal"
        self._processed = False

    def _verify_vote_extension(self, _) -> None:
        self._within("VerifyVoteExtension")

    def _finalize_block(self, height) -> None:
        self._within("FinalizeBlock")
        assert self._height is None or height <= self._height + 1, "FinalizeBlock skips a height"
        self._height, self._finalized = height, True

    def _commit(self, _) -> None:
        assert self._finalized, "Commit without FinalizeBlock"
        self._finalized = self._processed = False


class Recorder(Application):
    """Hands every call through to an application, past a grammar."""

    def __init__(self, inner: Application, grammar: Grammar) -> None:
        self.inner = inner
        self.grammar = grammar

    def __getattribute__(self, name):
        if name in {"inner", "grammar"} or name.startswith("__"):
            return object.__getattribute__(self, name)
        inner, grammar = self.inner, self.grammar
        method = getattr(inner, name)
        if not hasattr(Application, name):
            return method
        if name in {"engine_starts", "engine_waits"}:
            if name == "engine_starts":
                grammar.restart()
            return method

        async def call(request):
            grammar.call(name, getattr(request, "height", 0))
            return await method(request)

        return call
