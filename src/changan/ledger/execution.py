"""One transaction runs: a system contract's method, or a Python contract's. It has an outcome, or it leaves nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.instance import Call, Code
from changan.contract.records import rows_of
from changan.ledger.alike import find_alike
from changan.ledger.bundle import MESSAGE, PARAMETER, BundleError, bundled_method, decode_bundle, open_bundle
from changan.ledger.bundle_run import RanBundle, run_bundle, run_views
from changan.ledger.called import Called
from changan.ledger.contracts import Calls, Emitters, find_standing, stopped
from changan.ledger.delta import Delta, run_together
from changan.ledger.distilled import decode_distilled
from changan.ledger.gas import (
    ACCOUNTS,
    CONTRACT_GAS_MAX,
    LIMIT_CODE,
    Fare,
    Unpaid,
    balance_row,
    fare,
    limit_words,
)
from changan.ledger.native.call import LimitPassedError, NativeCall, NativeError
from changan.ledger.native.directory import native_method
from changan.ledger.outcomes import failure_text
from changan.ledger.state import Overlay, Write
from changan.ledger.system import LANE, OWN, SETTLE, SystemContract
from changan.ledger.wire.messages import TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext, Outcome
    from changan.contract.program import Program
    from changan.ledger.admission import Admitted
    from changan.ledger.alike import Alike
    from changan.ledger.contracts import Standing
    from changan.ledger.members import Identity
    from changan.ledger.state import Rows
    from changan.ledger.wire.messages import BundleRows, Payload, TxRequest
    from changan.ledger.world import World

PARAMETERS_MAX = 50
PARAMETER_KEY_CHARACTERS_MAX = 1024
_SYSTEM = frozenset({*SystemContract, LANE})
_KEY = re.compile(r"[a-zA-Z0-9._-]+")  # the hyphen is missing in the words of the refusal, not in the rule
_MIB = 1024 * 1024
_UNBOUNDED = 2**63 - 1
_PASSED = -1
"""Between functions here: the call used more gas than its sender pays for."""


class Executed(NamedTuple):
    """How one transaction ended, and the rows it wrote (those of a contract only when it ended well).

    What the wire says of a bundle comes with `finished`.
    """

    code: int
    result: Called
    writes: list[Write]
    message: str = ""
    bundle: RanBundle | None = None
    deltas: Sequence[Delta] = ()
    """The rows of Python contracts among them, as records; those of a bundle stand here alone."""

    def finished(self) -> Executed:
        """Return it with what the wire says of a bundle: its result, and of every contract one write, the root over its rows."""
        if self.bundle is None:
            return self
        result, roots, deltas = self.bundle.finish()
        listed = [Write(delta.contract, PARAMETER, root) for delta, root in zip(deltas, roots, strict=True)]
        called = self.result._replace(result=result.SerializeToString())
        return self._replace(result=called, writes=[*listed, *self.writes], deltas=deltas)


class Execution:
    """Runs transactions one after another inside one block, or one query beside it."""

    def __init__(self, world: World, block: BlockContext) -> None:
        self._world = world
        self._block = block
        self._emitters = Emitters(world.instances, world.rows)

    def invoke(self, request: TxRequest, verdict: Admitted) -> Executed:
        """Run a transaction; what it wrote is part of the state when it ended well, and what it cost in any case."""
        world = self._world
        payer = verdict.payer or verdict.sender
        charged = fare(world.config, world.rows, request.payload, payer.address)
        if charged is None:
            return self._run(request, verdict, _UNBOUNDED, keep=True)
        if isinstance(charged, Unpaid):
            return _failed(charged.code, charged.message)._replace(message=charged.message)
        return self._settle(charged, self._within(request, verdict, charged))

    def invoke_all(self, requests: Sequence[TxRequest], verdicts: Sequence[Admitted]) -> Iterator[Executed]:
        """Run a block's transactions in order, each as `invoke` would; those that may run together do."""
        at = 0
        while at < len(requests):
            alike = find_alike(self._world, requests, verdicts, at)
            if alike is None:
                yield self.invoke(requests[at], verdicts[at])
                at += 1
            else:
                together = requests[at : at + len(alike.calls)]
                yield from self._together(alike, [request.payload.tx_id for request in together])
                at += len(together)

    def query(self, request: TxRequest, verdict: Admitted) -> Executed:
        """Run a request on the state as it is; nothing of it stays, whatever it wrote, and it costs nothing."""
        return self._run(request, verdict, _UNBOUNDED, keep=False)

    def query_many(self, contract: str, method: str, data: bytes, caller: bytes) -> BundleRows:
        """Ask a view once for each row of a bundle's columns, on the state as it is. Raises BundleError."""
        standing = find_standing(self._world.rows, contract)
        refusal = _refusal(standing)
        if refusal is not None:
            raise BundleError(refusal.result.message)
        assert standing is not None
        instance = self._world.instances[standing.name]
        signature, rows = open_bundle(instance.program, method, data, "view")
        return run_views(instance, signature, rows, caller, self._block)

    def _within(self, request: TxRequest, verdict: Admitted, charged: Fare) -> Executed:
        """Run a transaction within what its sender pays for. Gas of the result is everything that is charged."""
        if charged.allowance < 0:
            return _passed(charged.limit, charged.base)
        executed = self._run(request, verdict, charged.allowance, keep=True)
        if executed.code == _PASSED:
            return _passed(
                charged.limit, charged.limit + 1
            )  # it was stopped there: how much more it wants is not known
        return executed._replace(result=executed.result._replace(gas=executed.result.gas + charged.base))

    def _settle(self, charged: Fare, executed: Executed) -> Executed:
        left = str(charged.balance - executed.result.gas).encode()
        write = Write(ACCOUNTS, balance_row(charged.account), left)
        self._world.commit(write)
        return executed._replace(writes=[*executed.writes, write])

    def _run(self, request: TxRequest, verdict: Admitted, gas_max: int, *, keep: bool) -> Executed:
        payload = request.payload
        given = [(parameter.key, parameter.value) for parameter in payload.parameters]
        problem = _parameter_problem(given, self._world.config.block.tx_parameter_size)
        if problem is not None:
            text = f"parse tx[{payload.tx_id}] contract[{payload.contract_name}] parameters error:{problem}"
            return _failed(TxStatusCode.INVALID_PARAMETER, text)
        name, parameters = payload.contract_name, dict(given)
        if name == OWN and payload.method == SETTLE:
            return _bring_up_to_date(verdict.sender)
        if name in _SYSTEM:
            return self._native(request, parameters, verdict.sender, gas_max, keep=keep)
        return self._python(payload, parameters, verdict, gas_max, keep=keep)

    def _native(
        self, request: TxRequest, parameters: dict[str, bytes], sender: Identity, gas_max: int, *, keep: bool
    ) -> Executed:
        world, payload = self._world, request.payload
        ended = disabled(world.rows, payload.contract_name)
        if ended is not None:
            return _failed(*ended)
        overlay = Overlay(world.rows)
        call = NativeCall(
            world,
            overlay,
            payload,
            parameters,
            sender,
            request.sender.signer,
            self._block,
            keep,
            request.endorsers,
            min(CONTRACT_GAS_MAX, gas_max),
        )
        try:
            result = native_method(payload.contract_name, payload.method)(call)
        except LimitPassedError as error:
            return _failed(_PASSED, str(error))
        except NativeError as error:
            return _failed(error.code or TxStatusCode.CONTRACT_FAIL, str(error), call.gas)
        writes = overlay.writes()
        if keep:
            world.instances.update(call.installs)
            self._emitters.forget()
            for write in writes:
                world.commit(write)
        return Executed(
            TxStatusCode.SUCCESS,
            Called(0, result, call.message, call.gas, tuple(event.SerializeToString() for event in call.events)),
            writes,
        )

    def _python(
        self, payload: Payload, parameters: dict[str, bytes], verdict: Admitted, gas_max: int, *, keep: bool
    ) -> Executed:
        standing = find_standing(self._world.rows, payload.contract_name)
        refusal = _refusal(standing)
        if standing is None or refusal is not None:
            return refusal or _failed(TxStatusCode.INTERNAL_ERROR, "")
        if parameters.keys() == {PARAMETER}:
            return self._bundle(payload, standing.name, verdict, gas_max, keep=keep)
        name, program = payload.method, self._world.instances[standing.name].program
        method = program.method(name)
        if method is None or method.kind not in {"call", "view"}:
            text = (
                f"contract invoke failed, find method [{name}] failed, err = the contract has no such method, "
                f"tx: {payload.tx_id}"
            )
            return _failed(TxStatusCode.CONTRACT_FAIL, text)
        try:
            arguments = program.decode_arguments(name, parameters)
        except BadArgumentError as error:
            return _failed(TxStatusCode.CONTRACT_FAIL, f"bad argument: {error}")
        call = Call(verdict.sender.address, arguments, min(CONTRACT_GAS_MAX, gas_max))
        return self._call(standing.name, name, payload.tx_id, call, keep=keep)

    def _bundle(self, payload: Payload, name: str, verdict: Admitted, gas_max: int, *, keep: bool) -> Executed:
        instance, data = self._world.instances[name], payload.parameters[0].value
        try:
            if not keep:
                raise BundleError("a bundle is invoked, not asked")
            signature = bundled_method(instance.program, payload.method, rules=self._world.rules)
            if verdict.opened is not None and verdict.opened.signature == signature:
                bundle = verdict.opened.bundle
            elif verdict.callers is None:
                bundle = decode_bundle(data, signature)
            else:
                bundle = decode_distilled(data, signature).called_by(verdict.callers.addresses)
        except BundleError as error:
            return _failed(TxStatusCode.INVALID_PARAMETER, f"bundle refused: {error}")
        if not gas_max:
            return _failed(_PASSED, "")
        if gas_max < _UNBOUNDED:
            bundle = bundle._replace(budget=min(bundle.budget or gas_max, gas_max))
        sender = verdict.sender.address
        host = self._host(name)
        ran = run_bundle(instance, name, signature, bundle, sender, self._block, self._world.roots, host)
        return Executed(TxStatusCode.SUCCESS, Called(message=MESSAGE, gas=ran.gas), [], bundle=ran)

    def _host(self, name: str) -> Calls | None:
        """Return what lets a contract call others; None for one that calls none."""
        instances = self._world.instances
        calls = instances[name].program.tree.interfaces
        return Calls(instances, self._world.rows, self._block, name) if calls else None

    def _call(self, name: str, method: str, tx_id: str, call: Call, *, keep: bool) -> Executed:
        instance = self._world.instances[name]
        program = instance.program
        host = self._host(name)
        if keep:
            outcome = instance.run(method, [call], self._block, host)[0]
        else:
            outcome = instance.enter(method, call, self._block, host)
            instance.settle(keep=False)
            if host is not None:
                host.settle(keep=False)
        if outcome.code == Code.OUT_OF_GAS and call.gas_limit < CONTRACT_GAS_MAX:
            return _failed(_PASSED, "")
        entered = {name: instance} if host is None else {name: instance, **host.entered}
        changed = [(other, each, each.collect_delta()) for other, each in entered.items()] if keep else []
        return self._ended(program, method, outcome, tx_id, changed)

    def _together(self, alike: Alike, tx_ids: Sequence[str]) -> list[Executed]:
        name, method, calls = alike
        instance = self._world.instances[name]
        program = instance.program
        ran = run_together(instance, method, calls, self._block, CONTRACT_GAS_MAX)
        return [
            self._ended(program, method, outcome, tx_id, [(name, instance, records)])
            for (outcome, records), tx_id in zip(ran, tx_ids, strict=True)
        ]

    def _ended(
        self,
        program: Program,
        method: str,
        outcome: Outcome,
        tx_id: str,
        changed: Sequence[tuple[str, AnyInstance, bytes]],
    ) -> Executed:
        """Return how a call ended, with the rows that it changed (as records) in each contract that it entered."""
        if outcome.code != Code.OK:
            return _failed(TxStatusCode.CONTRACT_FAIL, failure_text(program, outcome), outcome.gas)
        events = self._emitters.encode(outcome.events, tx_id)
        result = Called(0, program.encode_result(method, outcome.result), "", outcome.gas, events)
        writes: list[Write] = []
        deltas: list[Delta] = []
        for name, instance, records in changed:
            if records:
                names, before = instance.program.field_names, len(writes)
                writes += [Write(name, key, value) for key, value in rows_of(names, records)]
                deltas.append(Delta(name, names, records, len(writes) - before))
        return Executed(TxStatusCode.SUCCESS, result, writes, deltas=deltas)


def _bring_up_to_date(sender: Identity) -> Executed:
    """Let the state tree catch up in this block: nothing is written, and the block carries the root of its own height."""
    if sender.role not in {"CONSENSUS", "COMMON"}:
        return _failed(TxStatusCode.NO_PERMISSION, "only a node asks for the state root")
    return Executed(TxStatusCode.SUCCESS, Called(message="OK"), [])


def disabled(rows: Rows | Overlay, contract: str) -> tuple[int, str] | None:
    """Return code and words with which a call of a disabled system contract ends; None for one that answers."""
    standing = find_standing(rows, contract)
    return None if standing is None else stopped(standing)


def _refusal(standing: Standing | None) -> Executed | None:
    if standing is None or standing.is_native:
        return _failed(TxStatusCode.INVALID_CONTRACT_PARAMETER_CONTRACT_NAME, "contractName not found")
    ended = stopped(standing)
    return None if ended is None else _failed(*ended)


def _parameter_problem(given: Sequence[tuple[str, bytes]], size_mib: int) -> str | None:
    if len(given) > PARAMETERS_MAX:
        return f"expect parameters length less than {PARAMETERS_MAX}, but got {len(given)}"
    limit = (size_mib or 10) * _MIB
    for key, value in given:
        problem = _key_problem(key)
        if problem is not None:
            return problem
        if len(value) >= limit:
            return f"expect value length less than {limit}, but got {len(value)}"
    return None


def _key_problem(key: str) -> str | None:
    if len(key) > PARAMETER_KEY_CHARACTERS_MAX:
        return f"expect key length less than {PARAMETER_KEY_CHARACTERS_MAX}, but got {len(key)}"
    if _KEY.fullmatch(key) is None:
        return f"expect key no special characters, but got key:[{key}]. letter, number, dot and underline are allowed"
    return None


def _passed(limit: int, used: int) -> Executed:
    """Return the end of a transaction whose gas passed its sender's limit: it counts as done, and everything is charged."""
    result = Called(LIMIT_CODE, message=limit_words(limit, used), gas=limit)
    return Executed(TxStatusCode.SUCCESS, result, [])


def _failed(code: int, message: str, gas: int = 0) -> Executed:
    return Executed(code, Called(1, message=message, gas=gas), [])
