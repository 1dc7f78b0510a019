"""One transaction runs: a system contract's method, or a Python contract's. It has an outcome, or it leaves nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.instance import Call, Code
from changan.ledger.bundle import MESSAGE, PARAMETER, Bundle, BundleError, decode_bundle
from changan.ledger.bundle_run import RanBundle, run_bundle
from changan.ledger.contracts import Calls, contract_events, find_record
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.native.contract_manage import GAS_MAX
from changan.ledger.native.directory import native_method
from changan.ledger.outcomes import failure_text
from changan.ledger.state import Overlay, Write
from changan.ledger.system import OWN, SETTLE, SystemContract
from changan.ledger.wire.messages import ContractResult, ContractStatus, RuntimeType, TxStatusCode

if TYPE_CHECKING:
    from changan.contract.instance import BlockContext
    from changan.contract.plain import PlainInstance
    from changan.contract.program import Program
    from changan.contract.types import Signature
    from changan.ledger.members import Identity
    from changan.ledger.wire.messages import Contract, Member, Payload
    from changan.ledger.world import World

PARAMETERS_MAX = 50
PARAMETER_KEY_CHARACTERS_MAX = 1024
_SYSTEM = frozenset(name.value for name in SystemContract)
_KEY = re.compile(r"[a-zA-Z0-9._-]+")  # the hyphen is missing in the words of the refusal, not in the rule
_MIB = 1024 * 1024


class Executed(NamedTuple):
    """How one transaction ended, and the rows it wrote (none unless it ended well).

    A bundle's rows of state stand apart: its read-write set holds one write, the root over them.
    """

    code: int
    result: ContractResult
    writes: list[Write]
    bundle: RanBundle | None = None


class Execution:
    """Runs transactions one after another inside one block, or one query beside it."""

    def __init__(self, world: World, block: BlockContext) -> None:
        self._world = world
        self._block = block

    def invoke(self, payload: Payload, sender: Identity, member: Member) -> Executed:
        """Run a transaction; what it wrote is part of the state when it ended well."""
        return self._run(payload, sender, member, keep=True)

    def query(self, payload: Payload, sender: Identity, member: Member) -> Executed:
        """Run a request on the state as it is; nothing of it stays, whatever it wrote."""
        return self._run(payload, sender, member, keep=False)

    def _run(self, payload: Payload, sender: Identity, member: Member, *, keep: bool) -> Executed:
        problem = _parameter_problem(payload, self._world.config.block.tx_parameter_size)
        if problem is not None:
            text = f"parse tx[{payload.tx_id}] contract[{payload.contract_name}] parameters error:{problem}"
            return _failed(TxStatusCode.INVALID_PARAMETER, text)
        parameters = {parameter.key: parameter.value for parameter in payload.parameters}
        if payload.contract_name == OWN and payload.method == SETTLE:
            return _settle(sender)
        if payload.contract_name in _SYSTEM:
            return self._native(payload, parameters, sender, member, keep=keep)
        return self._python(payload, parameters, sender, keep=keep)

    def _native(
        self, payload: Payload, parameters: dict[str, bytes], sender: Identity, member: Member, *, keep: bool
    ) -> Executed:
        world = self._world
        overlay = Overlay(world.rows)
        call = NativeCall(world, overlay, payload, parameters, sender, member, self._block, keep)
        try:
            result = native_method(payload.contract_name, payload.method)(call)
        except NativeError as error:
            return _failed(error.code or TxStatusCode.CONTRACT_FAIL, str(error), call.gas)
        writes = overlay.writes()
        if keep:
            world.instances.update(call.installs)
            for write in writes:
                world.commit(write)
        return Executed(
            TxStatusCode.SUCCESS,
            ContractResult(result=result, message=call.message, gas_used=call.gas, contract_event=call.events),
            writes,
        )

    def _python(self, payload: Payload, parameters: dict[str, bytes], sender: Identity, *, keep: bool) -> Executed:
        record = find_record(self._world.rows, payload.contract_name)
        refusal = _refusal(record)
        if record is None or refusal is not None:
            return refusal or _failed(TxStatusCode.INTERNAL_ERROR, "")
        instance = self._world.instances[record.name]
        program = instance.program
        method = program.method(payload.method)
        if parameters.keys() == {PARAMETER}:
            return self._bundle(payload, record, instance, parameters[PARAMETER], sender, keep=keep)
        if method is None or method.kind not in {"call", "view"}:
            text = (
                f"contract invoke failed, find method [{payload.method}] failed, err = the contract has no such method, "
                f"tx: {payload.tx_id}"
            )
            return _failed(TxStatusCode.CONTRACT_FAIL, text)
        try:
            arguments = program.decode_arguments(payload.method, parameters)
        except BadArgumentError as error:
            return _failed(TxStatusCode.CONTRACT_FAIL, f"bad argument: {error}")
        return self._call(payload, record, instance, Call(sender.address, arguments, GAS_MAX), keep=keep)

    def _bundle(
        self, payload: Payload, record: Contract, instance: PlainInstance, data: bytes, sender: Identity, *, keep: bool
    ) -> Executed:
        try:
            signature, bundle = open_bundle(instance.program, payload.method, data)
            if not keep:
                raise BundleError("a bundle is invoked, not asked")
        except BundleError as error:
            return _failed(TxStatusCode.INVALID_PARAMETER, f"bundle refused: {error}")
        ran = run_bundle(instance, record.name, signature, bundle, sender.address, self._block, self._world.digest)
        result = ContractResult(result=ran.result.SerializeToString(), message=MESSAGE, gas_used=ran.result.gas)
        return Executed(TxStatusCode.SUCCESS, result, [Write(record.name, PARAMETER, ran.delta_root)], ran)

    def _call(self, payload: Payload, record: Contract, instance: PlainInstance, call: Call, *, keep: bool) -> Executed:
        host = Calls(self._world.instances, self._world.rows, self._block)
        host.outermost(record.name)
        if keep:
            outcome = instance.run(payload.method, [call], self._block, host)[0]
        else:
            outcome = instance.enter(payload.method, call, self._block, host)
            instance.settle(keep=False)
            host.settle(keep=False)
        if outcome.code != Code.OK:
            return _failed(TxStatusCode.CONTRACT_FAIL, failure_text(instance.program, outcome), outcome.gas)
        result = ContractResult(
            result=instance.program.encode_result(payload.method, outcome.result),
            gas_used=outcome.gas,
            contract_event=contract_events(self._world.instances, self._world.rows, outcome.events, payload.tx_id),
        )
        return Executed(TxStatusCode.SUCCESS, result, self._collect(record.name, instance, host) if keep else [])

    def _collect(self, name: str, instance: PlainInstance, host: Calls) -> list[Write]:
        writes = [Write(name, row.key, row.value) for row in instance.collect()]
        for other_name, other in host.entered.items():
            writes += [Write(other_name, row.key, row.value) for row in other.collect()]
        return writes


def _settle(sender: Identity) -> Executed:
    """Let the state tree catch up in this block: nothing is written, and the block carries the root of its own height."""
    if sender.role not in {"CONSENSUS", "COMMON"}:
        return _failed(TxStatusCode.NO_PERMISSION, "only a node asks for the state root")
    return Executed(TxStatusCode.SUCCESS, ContractResult(message="OK"), [])


def open_bundle(program: Program, method: str, data: bytes) -> tuple[Signature, Bundle]:
    """Return the bundle in a parameter, and the method it is for. Raises BundleError."""
    signature = program.method(method)
    if signature is None or signature.kind != "call":
        raise BundleError(f"the contract has no @call {method[:128]!r}")
    if program.tree.interfaces:
        raise BundleError("the contract calls other contracts: its calls go one by one")
    return signature, decode_bundle(data, signature)


def _refusal(record: Contract | None) -> Executed | None:
    if record is None or record.runtime_type == RuntimeType.NATIVE:
        return _failed(TxStatusCode.INVALID_CONTRACT_PARAMETER_CONTRACT_NAME, "contractName not found")
    if record.status == ContractStatus.FROZEN:
        text = f"failed to run user contract, {record.name} has been frozen."
        return _failed(TxStatusCode.CONTRACT_FREEZE_FAILED, text)
    if record.status == ContractStatus.REVOKED:
        text = f"failed to run user contract, {record.name} has been revoked."
        return _failed(TxStatusCode.CONTRACT_REVOKE_FAILED, text)
    return None


def _parameter_problem(payload: Payload, size_mib: int) -> str | None:
    if len(payload.parameters) > PARAMETERS_MAX:
        return f"expect parameters length less than {PARAMETERS_MAX}, but got {len(payload.parameters)}"
    limit = (size_mib or 10) * _MIB
    for parameter in payload.parameters:
        if len(parameter.key) > PARAMETER_KEY_CHARACTERS_MAX:
            return f"expect key length less than {PARAMETER_KEY_CHARACTERS_MAX}, but got {len(parameter.key)}"
        if _KEY.fullmatch(parameter.key) is None:
            return (
                f"expect key no special characters, but got key:[{parameter.key}]. "
                "letter, number, dot and underline are allowed"
            )
        if len(parameter.value) >= limit:
            return f"expect value length less than {limit}, but got {len(parameter.value)}"
    return None


def _failed(code: int, message: str, gas: int = 0) -> Executed:
    return Executed(code, ContractResult(code=1, message=message, gas_used=gas), [])
