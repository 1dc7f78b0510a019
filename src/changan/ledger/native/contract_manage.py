"""CONTRACT_MANAGE: contracts are installed, upgraded, frozen, revoked and listed. What is installed is Python, by its bytes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from changan.contract.check import CheckError
from changan.contract.codec import BadArgumentError
from changan.contract.instance import Call, Code
from changan.contract.package import recognise
from changan.contract.program import compile_source
from changan.contract.upgrade import UpgradeError, plan_upgrade
from changan.crypto.addresses import contract_address
from changan.errors import MalformedError
from changan.ledger.contracts import OWNER, Calls, code_key, find_record, record_json, record_json_bytes, record_key
from changan.ledger.gas import CONTRACT_GAS_MAX
from changan.ledger.native.call import LimitPassedError, NativeCall, NativeError
from changan.ledger.outcomes import failure_text
from changan.ledger.system import OWN, SystemContract
from changan.ledger.wire.messages import Contract, ContractStatus, RuntimeType

if TYPE_CHECKING:
    from changan.contract.engines import AnyInstance
    from changan.contract.program import Program
    from changan.ledger.native.call import Method

_FORM = re.compile(r"[a-zA-Z0-9_]{1,128}")
_VERSION_FORM = re.compile(r"[a-zA-Z0-9._-]{1,64}")
_ADDRESS_FORM = re.compile(r"(?:ZX)?[0-9a-f]{40}")
_OURS = ("CONTRACT_NAME", "CONTRACT_VERSION", "CONTRACT_RUNTIME_TYPE", "CONTRACT_BYTECODE")
_RUNTIMES = {
    "WASMER": RuntimeType.WASMER,
    "WXVM": RuntimeType.WXVM,
    "GASM": RuntimeType.GASM,
    "EVM": RuntimeType.EVM,
    "DOCKER_GO": RuntimeType.DOCKER_GO,
    "DOCKER_JAVA": RuntimeType.DOCKER_JAVA,
    "GO": RuntimeType.DOCKER_GO,  # the official Python SDK knows Go contracts only by this number
}


def _installation(call: NativeCall) -> tuple[str, str, int, str, dict[str, bytes]]:
    """Return name, version, runtime type, source and the author's own parameters of an installation or upgrade."""
    if any(not call.parameters.get(name) for name in _OURS):
        raise NativeError("params contractName/version/byteCode/runtimeType cannot be empty")
    name, version = call.text("CONTRACT_NAME"), call.text("CONTRACT_VERSION")
    if _FORM.fullmatch(name) is None or _ADDRESS_FORM.fullmatch(name) or name == OWN:
        raise NativeError("invalid contract name")
    if _VERSION_FORM.fullmatch(version) is None:
        raise NativeError("invalid contract version")
    runtime = _RUNTIMES.get(call.text("CONTRACT_RUNTIME_TYPE"))
    if runtime is None:
        raise NativeError(f"runtime type {call.text('CONTRACT_RUNTIME_TYPE')!r} is none of {', '.join(_RUNTIMES)}")
    try:
        source = recognise(call.parameters["CONTRACT_BYTECODE"])
    except MalformedError as error:
        raise NativeError(f"contract initial fail, {error}") from error
    if source is None:
        raise NativeError(
            "contract initial fail, the bytes are not a Python contract: this node runs contracts written in Python "
            "(see `changan contract check FILE`)"
        )
    if "python" not in call.world.config.vm.support_list:
        raise NativeError(
            "contract initial fail, this chain runs no contracts in Python: its vm.support_list lacks python"
        )
    arguments = {key: value for key, value in call.parameters.items() if key not in _OURS}
    return name, version, runtime, source, arguments


def _compile(source: str) -> Program:
    try:
        return compile_source(source)
    except CheckError as error:
        raise NativeError(f"contract initial fail, {error}"[:4000]) from error


def _install(call: NativeCall) -> bytes:
    name, version, runtime, source, arguments = _installation(call)
    if find_record(call.overlay, name) is not None:
        raise NativeError("contract exist")
    program = _compile(source)
    address = contract_address(name, call.world.config.vm.addr_type)
    record = Contract(
        name=name,
        version=version,
        runtime_type=runtime,
        creator=call.sender.full_member(call.member),
        address=address,
    )
    instance = call.world.engine(program, bytes.fromhex(address.removeprefix("ZX")))
    _write_record(call, record)
    call.installs[name] = instance
    _run_once(call, instance, program.init_method, arguments, name)
    call.overlay.put(OWNER, code_key(name), call.parameters["CONTRACT_BYTECODE"])
    _write_rows(call, name, instance)
    call.message = ""
    return record.SerializeToString()


def _upgrade(call: NativeCall) -> bytes:
    name, version, runtime, source, arguments = _installation(call)
    record = find_record(call.overlay, name)
    old = call.world.instances.get(name)
    if record is None or old is None:
        raise NativeError("contract not exist")
    if record.status == ContractStatus.REVOKED:
        raise NativeError(f"contract status invalid, contract[{name}] expect status:NORMAL,actual status:REVOKED")
    if record.version == version:
        raise NativeError("contract version exist")
    if call.world.config.contract.only_creator_can_upgrade and call.sender.uid != record.creator.uid:
        raise NativeError("only creators are allowed to upgrade contract")
    program = _compile(source)
    try:
        migration = plan_upgrade(old.program, program)
    except UpgradeError as error:
        raise NativeError(f"contract upgrade fail, {error}"[:4000]) from error
    before = {row.key: row.value for row in old.rows()}
    instance = call.world.engine(program, bytes.fromhex(record.address.removeprefix("ZX")))
    instance.restore(migration.apply(old.rows()))
    record.version, record.runtime_type = version, runtime
    _write_record(call, record)
    call.installs[name] = instance
    _run_once(call, instance, program.migrate_method, arguments, name)
    instance.collect()
    call.overlay.put(OWNER, code_key(name), call.parameters["CONTRACT_BYTECODE"])
    after = {row.key: row.value for row in instance.rows()}
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            call.overlay.put(name, key, after.get(key))
    call.message = ""
    return record.SerializeToString()


def _run_once(
    call: NativeCall, instance: AnyInstance, method: str | None, arguments: dict[str, bytes], name: str
) -> None:
    """Run the contract's @init or @migrate method, if it has one."""
    if method is None:
        if arguments:
            raise NativeError(f"contract initial fail, the contract takes no parameters, got {sorted(arguments)}")
        return
    try:
        values = instance.program.decode_arguments(method, arguments)
    except BadArgumentError as error:
        raise NativeError(f"contract initial fail, {error}") from error
    host = Calls(call.world.instances, call.world.rows, call.block)
    host.outermost(name)
    made = Call(call.sender.address, values, max(0, call.gas_max - call.gas))
    if call.keep:
        outcome = instance.run(method, [made], call.block, host)[0]
    else:
        outcome = instance.enter(method, made, call.block, host)
        host.settle(keep=False)
    call.gas += outcome.gas
    if outcome.code == Code.OUT_OF_GAS and call.gas_max < CONTRACT_GAS_MAX:
        raise LimitPassedError("contract initial fail, gas limit is not enough")
    if outcome.code != Code.OK:
        raise NativeError(f"contract initial fail, {failure_text(instance.program, outcome)}")
    for other, entered in host.entered.items():
        for row in entered.collect():
            call.overlay.put(other, row.key, row.value)
    call.emit(outcome.events)


def _write_rows(call: NativeCall, name: str, instance: AnyInstance) -> None:
    for row in instance.collect():
        call.overlay.put(name, row.key, row.value)


def _write_record(call: NativeCall, record: Contract) -> None:
    for key in (record.name, record.address):
        call.overlay.put(OWNER, record_key(key), record.SerializeToString())


def _known(call: NativeCall) -> Contract:
    record = find_record(call.overlay, call.text("CONTRACT_NAME"))
    if record is None or record.runtime_type == RuntimeType.NATIVE:
        raise NativeError("contract not exist")
    return record


def _status(call: NativeCall, expected: int, new: int) -> bytes:
    return _set_status(call, _known(call), expected, new)


def _set_status(call: NativeCall, record: Contract, expected: int, new: int) -> bytes:
    names = {ContractStatus.NORMAL: "NORMAL", ContractStatus.FROZEN: "FROZEN", ContractStatus.REVOKED: "REVOKED"}
    if record.status != expected:
        raise NativeError(
            f"contract status invalid, contract[{record.name}] expect status:{names[expected]},"
            f"actual status:{names[record.status]}"
        )
    record.status = new
    _write_record(call, record)
    return record_json_bytes(record)


def _freeze(call: NativeCall) -> bytes:
    return _status(call, ContractStatus.NORMAL, ContractStatus.FROZEN)


def _unfreeze(call: NativeCall) -> bytes:
    return _status(call, ContractStatus.FROZEN, ContractStatus.NORMAL)


def _revoke(call: NativeCall) -> bytes:
    record = _known(call)
    if record.status == ContractStatus.REVOKED:
        raise NativeError("contract status invalid")
    record.status = ContractStatus.REVOKED
    _write_record(call, record)
    return record_json_bytes(record)


def _info(call: NativeCall) -> bytes:
    if not call.parameters.get("CONTRACT_NAME"):
        raise NativeError("params is error, param[contract_name] of get contract not found")
    record = find_record(call.overlay, call.text("CONTRACT_NAME"))
    if record is None:
        raise NativeError("contract not exist")
    return record_json_bytes(record)


def _code(call: NativeCall) -> bytes:
    return call.overlay.get(OWNER, code_key(_known(call).name)) or b""


def _list(call: NativeCall) -> bytes:
    records = [
        Contract.FromString(value)
        for key, value in call.overlay.under(OWNER, record_key(""))
        if _ADDRESS_FORM.fullmatch(key.removeprefix(record_key(""))) is None
    ]
    order = {name.value: at for at, name in enumerate(SystemContract)}
    records.sort(key=lambda record: (order.get(record.name, len(order)), record.name))
    return json.dumps([record_json(record) for record in records], separators=(",", ":")).encode()


def _disabled(call: NativeCall) -> bytes:
    return json.dumps(_disabled_names(call) or None, separators=(",", ":")).encode()


def _disabled_names(call: NativeCall) -> list[str]:
    records = ((name.value, find_record(call.overlay, name.value)) for name in SystemContract)
    return [name for name, record in records if record is not None and record.status == ContractStatus.FROZEN]


def _access_names(call: NativeCall) -> list[str]:
    """Return the system contracts that a change of access names. Raises NativeError."""
    try:
        names = json.loads(call.text("NATIVE_CONTRACT_NAME") or "null")
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise NativeError("params is error, [NATIVE_CONTRACT_NAME] is a JSON list of names of system contracts")
    return names


def _access(doing: str, expected: int, new: int) -> Method:
    def method(call: NativeCall) -> bytes:
        for name in _access_names(call):
            if name == OWNER:
                raise NativeError(f"can't {doing} contract_manage")
            record = find_record(call.overlay, name)
            if record is None or record.runtime_type != RuntimeType.NATIVE:
                raise NativeError("contract not exist")
            _set_status(call, record, expected, new)
        return b""

    return method


def _verify_access(call: NativeCall) -> bytes:
    asked = call.text("NATIVE_CONTRACT_NAME")
    names = _access_names(call) if asked.lstrip().startswith("[") else [asked or call.payload.contract_name]
    if set(names) & set(_disabled_names(call)):
        raise NativeError("the contract is in the disabled contract list")
    return b"true"


METHODS: dict[str, Method] = {
    "INIT_CONTRACT": _install,
    "UPGRADE_CONTRACT": _upgrade,
    "FREEZE_CONTRACT": _freeze,
    "UNFREEZE_CONTRACT": _unfreeze,
    "REVOKE_CONTRACT": _revoke,
    "GRANT_CONTRACT_ACCESS": _access("grant", ContractStatus.FROZEN, ContractStatus.NORMAL),
    "REVOKE_CONTRACT_ACCESS": _access("revoke", ContractStatus.NORMAL, ContractStatus.FROZEN),
    "VERIFY_CONTRACT_ACCESS": _verify_access,
    "GET_CONTRACT_INFO": _info,
    "GET_CONTRACT_BYTECODE": _code,
    "GET_CONTRACT_LIST": _list,
    "GET_DISABLED_CONTRACT_LIST": _disabled,
}
READS = frozenset({"GET_CONTRACT_INFO", "GET_CONTRACT_BYTECODE", "GET_CONTRACT_LIST", "GET_DISABLED_CONTRACT_LIST"})
