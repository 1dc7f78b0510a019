"""Types of the messages in messages.py. Made by tools/compile_protos.py from the .proto texts; do not edit."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

from google.protobuf.internal.containers import (
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
    ScalarMap,
)
from google.protobuf.message import Message

class MemberType:
    CERT: ClassVar[int]
    CERT_HASH: ClassVar[int]
    PUBLIC_KEY: ClassVar[int]
    DID: ClassVar[int]
    ALIAS: ClassVar[int]
    ADDR: ClassVar[int]

class TxType:
    INVOKE_CONTRACT: ClassVar[int]
    QUERY_CONTRACT: ClassVar[int]
    SUBSCRIBE: ClassVar[int]
    ARCHIVE: ClassVar[int]
    HOT_COLD_DATA_SEPARATION: ClassVar[int]
    SNAPSHOT: ClassVar[int]
    ETH_TX: ClassVar[int]

class TxStatusCode:
    SUCCESS: ClassVar[int]
    TIMEOUT: ClassVar[int]
    INVALID_PARAMETER: ClassVar[int]
    NO_PERMISSION: ClassVar[int]
    CONTRACT_FAIL: ClassVar[int]
    INTERNAL_ERROR: ClassVar[int]
    INVALID_CONTRACT_TRANSACTION_TYPE: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_CONTRACT_NAME: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_METHOD: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_INIT_METHOD: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_UPGRADE_METHOD: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_BYTE_CODE: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_RUNTIME_TYPE: ClassVar[int]
    INVALID_CONTRACT_PARAMETER_VERSION: ClassVar[int]
    GET_FROM_TX_CONTEXT_FAILED: ClassVar[int]
    PUT_INTO_TX_CONTEXT_FAILED: ClassVar[int]
    CONTRACT_VERSION_EXIST_FAILED: ClassVar[int]
    CONTRACT_VERSION_NOT_EXIST_FAILED: ClassVar[int]
    CONTRACT_BYTE_CODE_NOT_EXIST_FAILED: ClassVar[int]
    MARSHAL_SENDER_FAILED: ClassVar[int]
    INVOKE_INIT_METHOD_FAILED: ClassVar[int]
    INVOKE_UPGRADE_METHOD_FAILED: ClassVar[int]
    CREATE_RUNTIME_INSTANCE_FAILED: ClassVar[int]
    UNMARSHAL_CREATOR_FAILED: ClassVar[int]
    UNMARSHAL_SENDER_FAILED: ClassVar[int]
    GET_SENDER_PK_FAILED: ClassVar[int]
    GET_CREATOR_PK_FAILED: ClassVar[int]
    GET_CREATOR_FAILED: ClassVar[int]
    GET_CREATOR_CERT_FAILED: ClassVar[int]
    GET_SENDER_CERT_FAILED: ClassVar[int]
    CONTRACT_FREEZE_FAILED: ClassVar[int]
    CONTRACT_TOO_DEEP_FAILED: ClassVar[int]
    CONTRACT_REVOKE_FAILED: ClassVar[int]
    CONTRACT_INVOKE_METHOD_FAILED: ClassVar[int]
    ARCHIVED_TX: ClassVar[int]
    ARCHIVED_BLOCK: ClassVar[int]
    GAS_BALANCE_NOT_ENOUGH_FAILED: ClassVar[int]
    GAS_LIMIT_NOT_SET: ClassVar[int]
    GAS_LIMIT_TOO_SMALL: ClassVar[int]
    GET_ACCOUNT_BALANCE_FAILED: ClassVar[int]
    PARSE_ACCOUNT_BALANCE_FAILED: ClassVar[int]
    GET_ACCOUNT_STATUS_FAILED: ClassVar[int]
    ACCOUNT_STATUS_FROZEN: ClassVar[int]
    MAKE_SNAPSHOT_STATUS_FINISH: ClassVar[int]
    MAKE_SNAPSHOT_STATUS_UNFINISHED: ClassVar[int]

class BlockType:
    NORMAL_BLOCK: ClassVar[int]
    CONFIG_BLOCK: ClassVar[int]
    CONTRACT_MGR_BLOCK: ClassVar[int]
    HAS_COINBASE: ClassVar[int]

class RuntimeType:
    INVALID: ClassVar[int]
    NATIVE: ClassVar[int]
    WASMER: ClassVar[int]
    WXVM: ClassVar[int]
    GASM: ClassVar[int]
    EVM: ClassVar[int]
    DOCKER_GO: ClassVar[int]
    DOCKER_JAVA: ClassVar[int]
    GO: ClassVar[int]

class ContractStatus:
    NORMAL: ClassVar[int]
    FROZEN: ClassVar[int]
    REVOKED: ClassVar[int]

class AddrType:
    CHAINMAKER: ClassVar[int]
    ZXL: ClassVar[int]
    ETHEREUM: ClassVar[int]

class ConsensusType:
    SOLO: ClassVar[int]
    TBFT: ClassVar[int]
    MBFT: ClassVar[int]
    MAXBFT: ClassVar[int]
    RAFT: ClassVar[int]
    DPOS: ClassVar[int]
    ABFT: ClassVar[int]
    POW: ClassVar[int]

class StoreType:
    RawDB: ClassVar[int]
    BFDB: ClassVar[int]

class ArchiveProcess:
    Normal: ClassVar[int]
    Archiving: ClassVar[int]
    Restoring: ClassVar[int]

class VoteStatus:
    AGREE: ClassVar[int]
    REJECT: ClassVar[int]

class MultiSignStatus:
    PROCESSING: ClassVar[int]
    ADOPTED: ClassVar[int]
    REFUSED: ClassVar[int]
    FAILED: ClassVar[int]
    PASSED: ClassVar[int]

class PoolTxType:
    UNKNOWN_TYPE: ClassVar[int]
    CONFIG_TX: ClassVar[int]
    COMMON_TX: ClassVar[int]
    ALL_TYPE: ClassVar[int]

class TxStage:
    UNKNOWN_STAGE: ClassVar[int]
    IN_QUEUE: ClassVar[int]
    IN_PENDING: ClassVar[int]
    ALL_STAGE: ClassVar[int]

class TxStatus:
    UNKNOWN_STATUS: ClassVar[int]
    UNPACKAGED: ClassVar[int]
    PACKAGED: ClassVar[int]
    COMMITTED: ClassVar[int]
    TIMEOUT_REMOVED: ClassVar[int]
    DOUBLE_SPEND_REMOVED: ClassVar[int]
    EVIL_REMOVED: ClassVar[int]

class Member(Message):
    org_id: str
    member_type: int
    member_info: bytes
    def __init__(self, *, org_id: str | None = ..., member_type: int | None = ..., member_info: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class MemberFull(Message):
    org_id: str
    member_type: int
    member_info: bytes
    member_id: str
    role: str
    uid: str
    def __init__(self, *, org_id: str | None = ..., member_type: int | None = ..., member_info: bytes | None = ..., member_id: str | None = ..., role: str | None = ..., uid: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Policy(Message):
    rule: str
    org_list: RepeatedScalarFieldContainer[str]
    role_list: RepeatedScalarFieldContainer[str]
    def __init__(self, *, rule: str | None = ..., org_list: Iterable[str] | None = ..., role_list: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class PKInfo(Message):
    pk_bytes: bytes
    role: str
    org_id: str
    def __init__(self, *, pk_bytes: bytes | None = ..., role: str | None = ..., org_id: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ConsensusArgs(Message):
    version: int
    block_time_us: int
    outcome_root: bytes
    delta_root: bytes
    state_root: bytes
    state_height: int
    engine_height: int
    misbehaviour: RepeatedCompositeFieldContainer[Misbehaviour]
    def __init__(self, *, version: int | None = ..., block_time_us: int | None = ..., outcome_root: bytes | None = ..., delta_root: bytes | None = ..., state_root: bytes | None = ..., state_height: int | None = ..., engine_height: int | None = ..., misbehaviour: Iterable[Misbehaviour] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Misbehaviour(Message):
    org_id: str
    node_id: str
    kind: int
    engine_height: int
    def __init__(self, *, org_id: str | None = ..., node_id: str | None = ..., kind: int | None = ..., engine_height: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Seal(Message):
    org_id: str
    signature: bytes
    def __init__(self, *, org_id: str | None = ..., signature: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class SealedBlock(Message):
    block_hash: bytes
    seals: RepeatedCompositeFieldContainer[Seal]
    def __init__(self, *, block_hash: bytes | None = ..., seals: Iterable[Seal] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class SealedBlocks(Message):
    blocks: RepeatedCompositeFieldContainer[SealedBlock]
    def __init__(self, *, blocks: Iterable[SealedBlock] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Certificate(Message):
    seals: RepeatedCompositeFieldContainer[EndorsementEntry]
    def __init__(self, *, seals: Iterable[EndorsementEntry] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BundleResult(Message):
    rows: int
    succeeded: int
    gas: int
    outcome_root: bytes
    event_root: bytes
    caller: bytes
    contract: str
    method: str
    emitters: RepeatedScalarFieldContainer[str]
    def __init__(self, *, rows: int | None = ..., succeeded: int | None = ..., gas: int | None = ..., outcome_root: bytes | None = ..., event_root: bytes | None = ..., caller: bytes | None = ..., contract: str | None = ..., method: str | None = ..., emitters: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BundleRows(Message):
    position: int
    outcomes: bytes
    gas: bytes
    results: bytes
    result_ends: bytes
    events: bytes
    delta: bytes
    others: RepeatedCompositeFieldContainer[ContractDelta]
    def __init__(self, *, position: int | None = ..., outcomes: bytes | None = ..., gas: bytes | None = ..., results: bytes | None = ..., result_ends: bytes | None = ..., events: bytes | None = ..., delta: bytes | None = ..., others: Iterable[ContractDelta] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContractDelta(Message):
    contract: str
    delta: bytes
    def __init__(self, *, contract: str | None = ..., delta: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BlsClient(Message):
    number: int
    key: bytes
    address: bytes
    member: Member
    revoked: bool
    def __init__(self, *, number: int | None = ..., key: bytes | None = ..., address: bytes | None = ..., member: Member | None = ..., revoked: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BlsClients(Message):
    clients: RepeatedCompositeFieldContainer[BlsClient]
    def __init__(self, *, clients: Iterable[BlsClient] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class PackedRequests(Message):
    requests: RepeatedScalarFieldContainer[bytes]
    wait: bool
    def __init__(self, *, requests: Iterable[bytes] | None = ..., wait: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class PackedResponses(Message):
    responses: RepeatedCompositeFieldContainer[TxResponse]
    def __init__(self, *, responses: Iterable[TxResponse] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class KeyValuePair(Message):
    key: str
    value: bytes
    def __init__(self, *, key: str | None = ..., value: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Limit(Message):
    gas_limit: int
    gas_price: int
    def __init__(self, *, gas_limit: int | None = ..., gas_price: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Payload(Message):
    chain_id: str
    tx_type: int
    tx_id: str
    timestamp: int
    expiration_time: int
    contract_name: str
    method: str
    parameters: RepeatedCompositeFieldContainer[KeyValuePair]
    sequence: int
    limit: Limit
    def __init__(self, *, chain_id: str | None = ..., tx_type: int | None = ..., tx_id: str | None = ..., timestamp: int | None = ..., expiration_time: int | None = ..., contract_name: str | None = ..., method: str | None = ..., parameters: Iterable[KeyValuePair] | None = ..., sequence: int | None = ..., limit: Limit | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class EndorsementEntry(Message):
    signer: Member
    signature: bytes
    def __init__(self, *, signer: Member | None = ..., signature: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TxRequest(Message):
    payload: Payload
    sender: EndorsementEntry
    endorsers: RepeatedCompositeFieldContainer[EndorsementEntry]
    payer: EndorsementEntry
    def __init__(self, *, payload: Payload | None = ..., sender: EndorsementEntry | None = ..., endorsers: Iterable[EndorsementEntry] | None = ..., payer: EndorsementEntry | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RawTxRequest(Message):
    rawTx: bytes
    def __init__(self, *, rawTx: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContractEvent(Message):
    topic: str
    tx_id: str
    contract_name: str
    contract_version: str
    event_data: RepeatedScalarFieldContainer[str]
    index_count: int
    def __init__(self, *, topic: str | None = ..., tx_id: str | None = ..., contract_name: str | None = ..., contract_version: str | None = ..., event_data: Iterable[str] | None = ..., index_count: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContractResult(Message):
    code: int
    result: bytes
    message: str
    gas_used: int
    contract_event: RepeatedCompositeFieldContainer[ContractEvent]
    def __init__(self, *, code: int | None = ..., result: bytes | None = ..., message: str | None = ..., gas_used: int | None = ..., contract_event: Iterable[ContractEvent] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Result(Message):
    code: int
    contract_result: ContractResult
    rw_set_hash: bytes
    message: str
    def __init__(self, *, code: int | None = ..., contract_result: ContractResult | None = ..., rw_set_hash: bytes | None = ..., message: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TxResponse(Message):
    code: int
    message: str
    contract_result: ContractResult
    tx_id: str
    tx_timestamp: int
    tx_block_height: int
    def __init__(self, *, code: int | None = ..., message: str | None = ..., contract_result: ContractResult | None = ..., tx_id: str | None = ..., tx_timestamp: int | None = ..., tx_block_height: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class SubscribeResult(Message):
    data: bytes
    def __init__(self, *, data: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Transaction(Message):
    payload: Payload
    sender: EndorsementEntry
    endorsers: RepeatedCompositeFieldContainer[EndorsementEntry]
    result: Result
    payer: EndorsementEntry
    def __init__(self, *, payload: Payload | None = ..., sender: EndorsementEntry | None = ..., endorsers: Iterable[EndorsementEntry] | None = ..., result: Result | None = ..., payer: EndorsementEntry | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class KeyVersion(Message):
    ref_tx_id: str
    ref_offset: int
    def __init__(self, *, ref_tx_id: str | None = ..., ref_offset: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TxRead(Message):
    key: bytes
    value: bytes
    contract_name: str
    version: KeyVersion
    def __init__(self, *, key: bytes | None = ..., value: bytes | None = ..., contract_name: str | None = ..., version: KeyVersion | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TxWrite(Message):
    key: bytes
    value: bytes
    contract_name: str
    def __init__(self, *, key: bytes | None = ..., value: bytes | None = ..., contract_name: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TxRWSet(Message):
    tx_id: str
    tx_reads: RepeatedCompositeFieldContainer[TxRead]
    tx_writes: RepeatedCompositeFieldContainer[TxWrite]
    def __init__(self, *, tx_id: str | None = ..., tx_reads: Iterable[TxRead] | None = ..., tx_writes: Iterable[TxWrite] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TransactionInfo(Message):
    transaction: Transaction
    block_height: int
    block_hash: bytes
    tx_index: int
    block_timestamp: int
    def __init__(self, *, transaction: Transaction | None = ..., block_height: int | None = ..., block_hash: bytes | None = ..., tx_index: int | None = ..., block_timestamp: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TransactionInfoWithRWSet(Message):
    transaction: Transaction
    block_height: int
    block_hash: bytes
    tx_index: int
    block_timestamp: int
    rw_set: TxRWSet
    def __init__(self, *, transaction: Transaction | None = ..., block_height: int | None = ..., block_hash: bytes | None = ..., tx_index: int | None = ..., block_timestamp: int | None = ..., rw_set: TxRWSet | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BlockHeader(Message):
    block_version: int
    block_type: int
    chain_id: str
    block_height: int
    block_hash: bytes
    pre_block_hash: bytes
    pre_conf_height: int
    tx_count: int
    tx_root: bytes
    dag_hash: bytes
    rw_set_root: bytes
    block_timestamp: int
    consensus_args: bytes
    proposer: Member
    signature: bytes
    def __init__(self, *, block_version: int | None = ..., block_type: int | None = ..., chain_id: str | None = ..., block_height: int | None = ..., block_hash: bytes | None = ..., pre_block_hash: bytes | None = ..., pre_conf_height: int | None = ..., tx_count: int | None = ..., tx_root: bytes | None = ..., dag_hash: bytes | None = ..., rw_set_root: bytes | None = ..., block_timestamp: int | None = ..., consensus_args: bytes | None = ..., proposer: Member | None = ..., signature: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Neighbor(Message):
    neighbors: RepeatedScalarFieldContainer[int]
    def __init__(self, *, neighbors: Iterable[int] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class DAG(Message):
    vertexes: RepeatedCompositeFieldContainer[Neighbor]
    def __init__(self, *, vertexes: Iterable[Neighbor] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class AdditionalData(Message):
    extra_data: ScalarMap[str, bytes]
    def __init__(self, *, extra_data: Mapping[str, bytes] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Block(Message):
    header: BlockHeader
    dag: DAG
    txs: RepeatedCompositeFieldContainer[Transaction]
    additional_data: AdditionalData
    def __init__(self, *, header: BlockHeader | None = ..., dag: DAG | None = ..., txs: Iterable[Transaction] | None = ..., additional_data: AdditionalData | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BlockInfo(Message):
    block: Block
    rwset_list: RepeatedCompositeFieldContainer[TxRWSet]
    def __init__(self, *, block: Block | None = ..., rwset_list: Iterable[TxRWSet] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Contract(Message):
    name: str
    version: str
    runtime_type: int
    status: int
    creator: MemberFull
    address: str
    def __init__(self, *, name: str | None = ..., version: str | None = ..., runtime_type: int | None = ..., status: int | None = ..., creator: MemberFull | None = ..., address: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContractEventInfo(Message):
    block_height: int
    chain_id: str
    topic: str
    tx_id: str
    event_index: int
    contract_name: str
    contract_version: str
    event_data: RepeatedScalarFieldContainer[str]
    def __init__(self, *, block_height: int | None = ..., chain_id: str | None = ..., topic: str | None = ..., tx_id: str | None = ..., event_index: int | None = ..., contract_name: str | None = ..., contract_version: str | None = ..., event_data: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContractEventInfoList(Message):
    contract_events: RepeatedCompositeFieldContainer[ContractEventInfo]
    def __init__(self, *, contract_events: Iterable[ContractEventInfo] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CertInfo(Message):
    hash: str
    cert: bytes
    def __init__(self, *, hash: str | None = ..., cert: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CertInfos(Message):
    cert_infos: RepeatedCompositeFieldContainer[CertInfo]
    def __init__(self, *, cert_infos: Iterable[CertInfo] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class AliasCertInfo(Message):
    hash: str
    cert: bytes
    block_height: int
    def __init__(self, *, hash: str | None = ..., cert: bytes | None = ..., block_height: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class AliasInfo(Message):
    alias: str
    now_cert: AliasCertInfo
    his_certs: RepeatedCompositeFieldContainer[AliasCertInfo]
    def __init__(self, *, alias: str | None = ..., now_cert: AliasCertInfo | None = ..., his_certs: Iterable[AliasCertInfo] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class AliasInfos(Message):
    alias_infos: RepeatedCompositeFieldContainer[AliasInfo]
    def __init__(self, *, alias_infos: Iterable[AliasInfo] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ConfigKeyValue(Message):
    key: str
    value: str
    def __init__(self, *, key: str | None = ..., value: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CryptoConfig(Message):
    hash: str
    def __init__(self, *, hash: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BlockConfig(Message):
    tx_timestamp_verify: bool
    tx_timeout: int
    block_tx_capacity: int
    block_size: int
    block_interval: int
    tx_parameter_size: int
    block_timestamp_verify: bool
    block_timeout: int
    def __init__(self, *, tx_timestamp_verify: bool | None = ..., tx_timeout: int | None = ..., block_tx_capacity: int | None = ..., block_size: int | None = ..., block_interval: int | None = ..., tx_parameter_size: int | None = ..., block_timestamp_verify: bool | None = ..., block_timeout: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ConsensusTurboConfig(Message):
    consensus_message_turbo: bool
    retry_time: int
    retry_interval: int
    def __init__(self, *, consensus_message_turbo: bool | None = ..., retry_time: int | None = ..., retry_interval: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CoreConfig(Message):
    tx_scheduler_timeout: int
    tx_scheduler_validate_timeout: int
    consensus_turbo_config: ConsensusTurboConfig
    enable_sender_group: bool
    enable_conflicts_bit_window: bool
    enable_optimize_charge_gas: bool
    def __init__(self, *, tx_scheduler_timeout: int | None = ..., tx_scheduler_validate_timeout: int | None = ..., consensus_turbo_config: ConsensusTurboConfig | None = ..., enable_sender_group: bool | None = ..., enable_conflicts_bit_window: bool | None = ..., enable_optimize_charge_gas: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class OrgConfig(Message):
    org_id: str
    address: RepeatedScalarFieldContainer[str]
    node_id: RepeatedScalarFieldContainer[str]
    def __init__(self, *, org_id: str | None = ..., address: Iterable[str] | None = ..., node_id: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ConsensusConfig(Message):
    type: int
    nodes: RepeatedCompositeFieldContainer[OrgConfig]
    ext_config: RepeatedCompositeFieldContainer[ConfigKeyValue]
    dpos_config: RepeatedCompositeFieldContainer[ConfigKeyValue]
    def __init__(self, *, type: int | None = ..., nodes: Iterable[OrgConfig] | None = ..., ext_config: Iterable[ConfigKeyValue] | None = ..., dpos_config: Iterable[ConfigKeyValue] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TrustRootConfig(Message):
    org_id: str
    root: RepeatedScalarFieldContainer[str]
    def __init__(self, *, org_id: str | None = ..., root: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TrustMemberConfig(Message):
    member_info: str
    org_id: str
    role: str
    node_id: str
    def __init__(self, *, member_info: str | None = ..., org_id: str | None = ..., role: str | None = ..., node_id: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ResourcePolicy(Message):
    resource_name: str
    policy: Policy
    def __init__(self, *, resource_name: str | None = ..., policy: Policy | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContractConfig(Message):
    enable_sql_support: bool
    disabled_native_contract: RepeatedScalarFieldContainer[str]
    only_creator_can_upgrade: bool
    def __init__(self, *, enable_sql_support: bool | None = ..., disabled_native_contract: Iterable[str] | None = ..., only_creator_can_upgrade: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class SnapshotConfig(Message):
    enable_evidence: bool
    def __init__(self, *, enable_evidence: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class SchedulerConfig(Message):
    enable_evidence: bool
    def __init__(self, *, enable_evidence: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ContextConfig(Message):
    enable_evidence: bool
    def __init__(self, *, enable_evidence: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GasAccountConfig(Message):
    gas_admin_address: str
    gas_count: int
    enable_gas: bool
    default_gas: int
    default_gas_price: float
    install_base_gas: int
    install_gas_price: float
    def __init__(self, *, gas_admin_address: str | None = ..., gas_count: int | None = ..., enable_gas: bool | None = ..., default_gas: int | None = ..., default_gas_price: float | None = ..., install_base_gas: int | None = ..., install_gas_price: float | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class MultiSign(Message):
    enable_manual_run: bool
    def __init__(self, *, enable_manual_run: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class VmNative(Message):
    multisign: MultiSign
    def __init__(self, *, multisign: MultiSign | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Vm(Message):
    support_list: RepeatedScalarFieldContainer[str]
    addr_type: int
    native: VmNative
    def __init__(self, *, support_list: Iterable[str] | None = ..., addr_type: int | None = ..., native: VmNative | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class EthConfig(Message):
    enable: bool
    admin_address: str
    enable_gas: bool
    enable_register: bool
    def __init__(self, *, enable: bool | None = ..., admin_address: str | None = ..., enable_gas: bool | None = ..., enable_register: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ChainConfig(Message):
    chain_id: str
    version: str
    auth_type: str
    sequence: int
    crypto: CryptoConfig
    block: BlockConfig
    core: CoreConfig
    consensus: ConsensusConfig
    trust_roots: RepeatedCompositeFieldContainer[TrustRootConfig]
    trust_members: RepeatedCompositeFieldContainer[TrustMemberConfig]
    resource_policies: RepeatedCompositeFieldContainer[ResourcePolicy]
    contract: ContractConfig
    snapshot: SnapshotConfig
    scheduler: SchedulerConfig
    context: ContextConfig
    disabled_native_contract: RepeatedScalarFieldContainer[str]
    account_config: GasAccountConfig
    vm: Vm
    eth_config: EthConfig
    def __init__(self, *, chain_id: str | None = ..., version: str | None = ..., auth_type: str | None = ..., sequence: int | None = ..., crypto: CryptoConfig | None = ..., block: BlockConfig | None = ..., core: CoreConfig | None = ..., consensus: ConsensusConfig | None = ..., trust_roots: Iterable[TrustRootConfig] | None = ..., trust_members: Iterable[TrustMemberConfig] | None = ..., resource_policies: Iterable[ResourcePolicy] | None = ..., contract: ContractConfig | None = ..., snapshot: SnapshotConfig | None = ..., scheduler: SchedulerConfig | None = ..., context: ContextConfig | None = ..., disabled_native_contract: Iterable[str] | None = ..., account_config: GasAccountConfig | None = ..., vm: Vm | None = ..., eth_config: EthConfig | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ChainMakerVersionRequest(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ChainMakerVersionResponse(Message):
    code: int
    message: str
    version: str
    def __init__(self, *, code: int | None = ..., message: str | None = ..., version: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class LogLevelsRequest(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class LogLevelsResponse(Message):
    code: int
    message: str
    def __init__(self, *, code: int | None = ..., message: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class DebugConfigRequest(Message):
    pairs: RepeatedCompositeFieldContainer[ConfigKeyValue]
    def __init__(self, *, pairs: Iterable[ConfigKeyValue] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class DebugConfigResponse(Message):
    code: int
    message: str
    def __init__(self, *, code: int | None = ..., message: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CheckNewBlockChainConfigRequest(Message):
    def __init__(self) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class CheckNewBlockChainConfigResponse(Message):
    code: int
    message: str
    def __init__(self, *, code: int | None = ..., message: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetConsensusStatusRequest(Message):
    chain_id: str
    def __init__(self, *, chain_id: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Validators(Message):
    nodes: RepeatedScalarFieldContainer[str]
    def __init__(self, *, nodes: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class UInt64Value(Message):
    value: int
    def __init__(self, *, value: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BytesValue(Message):
    value: bytes
    def __init__(self, *, value: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class Node(Message):
    node_id: str
    node_address: str
    node_tls_cert: bytes
    def __init__(self, *, node_id: str | None = ..., node_address: str | None = ..., node_tls_cert: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ChainInfo(Message):
    block_height: int
    node_list: RepeatedCompositeFieldContainer[Node]
    def __init__(self, *, block_height: int | None = ..., node_list: Iterable[Node] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ChainList(Message):
    chain_id_list: RepeatedScalarFieldContainer[str]
    def __init__(self, *, chain_id_list: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class BlockWithRWSet(Message):
    block: Block
    txRWSets: RepeatedCompositeFieldContainer[TxRWSet]
    contract_events: RepeatedCompositeFieldContainer[ContractEvent]
    bundle_rows: RepeatedCompositeFieldContainer[BundleRows]
    own_writes: RepeatedCompositeFieldContainer[TxWrite]
    def __init__(self, *, block: Block | None = ..., txRWSets: Iterable[TxRWSet] | None = ..., contract_events: Iterable[ContractEvent] | None = ..., bundle_rows: Iterable[BundleRows] | None = ..., own_writes: Iterable[TxWrite] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class FileRange(Message):
    file_name: str
    Start: int
    End: int
    def __init__(self, *, file_name: str | None = ..., Start: int | None = ..., End: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class ArchiveStatus(Message):
    type: int
    file_ranges: RepeatedCompositeFieldContainer[FileRange]
    archive_pivot: int
    max_allow_archive_height: int
    process: int
    def __init__(self, *, type: int | None = ..., file_ranges: Iterable[FileRange] | None = ..., archive_pivot: int | None = ..., max_allow_archive_height: int | None = ..., process: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetSyncStateRequest(Message):
    chain_id: str
    with_peers: bool
    def __init__(self, *, chain_id: str | None = ..., with_peers: bool | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class SyncState(Message):
    height: int
    archived_height: int
    blocks_has_synced: int
    blocks_in_cache: int
    others: RepeatedCompositeFieldContainer[NodeState]
    config_show: str
    timestamp: int
    def __init__(self, *, height: int | None = ..., archived_height: int | None = ..., blocks_has_synced: int | None = ..., blocks_in_cache: int | None = ..., others: Iterable[NodeState] | None = ..., config_show: str | None = ..., timestamp: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class NodeState(Message):
    node_id: str
    height: int
    archived_height: int
    receive_time: int
    def __init__(self, *, node_id: str | None = ..., height: int | None = ..., archived_height: int | None = ..., receive_time: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class MultiSignVoteInfo(Message):
    vote: int
    endorsement: EndorsementEntry
    def __init__(self, *, vote: int | None = ..., endorsement: EndorsementEntry | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class MultiSignInfo(Message):
    payload: Payload
    contract_name: str
    method: str
    status: int
    vote_infos: RepeatedCompositeFieldContainer[MultiSignVoteInfo]
    message: str
    result: bytes
    def __init__(self, *, payload: Payload | None = ..., contract_name: str | None = ..., method: str | None = ..., status: int | None = ..., vote_infos: Iterable[MultiSignVoteInfo] | None = ..., message: str | None = ..., result: bytes | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RechargeGas(Message):
    address: str
    gas_amount: int
    def __init__(self, *, address: str | None = ..., gas_amount: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class RechargeGasReq(Message):
    batch_recharge_gas: RepeatedCompositeFieldContainer[RechargeGas]
    def __init__(self, *, batch_recharge_gas: Iterable[RechargeGas] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class TxPoolStatus(Message):
    config_tx_pool_size: int
    common_tx_pool_size: int
    config_tx_num_in_queue: int
    config_tx_num_in_pending: int
    common_tx_num_in_queue: int
    common_tx_num_in_pending: int
    def __init__(self, *, config_tx_pool_size: int | None = ..., common_tx_pool_size: int | None = ..., config_tx_num_in_queue: int | None = ..., config_tx_num_in_pending: int | None = ..., common_tx_num_in_queue: int | None = ..., common_tx_num_in_pending: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetPoolStatusRequest(Message):
    chain_id: str
    def __init__(self, *, chain_id: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetTxIdsByTypeAndStageRequest(Message):
    chain_id: str
    tx_type: int
    tx_stage: int
    def __init__(self, *, chain_id: str | None = ..., tx_type: int | None = ..., tx_stage: int | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetTxIdsByTypeAndStageResponse(Message):
    tx_ids: RepeatedScalarFieldContainer[str]
    def __init__(self, *, tx_ids: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetTxsInPoolByTxIdsRequest(Message):
    chain_id: str
    tx_ids: RepeatedScalarFieldContainer[str]
    def __init__(self, *, chain_id: str | None = ..., tx_ids: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetTxsInPoolByTxIdsResponse(Message):
    txs: RepeatedCompositeFieldContainer[Transaction]
    tx_ids: RepeatedScalarFieldContainer[str]
    def __init__(self, *, txs: Iterable[Transaction] | None = ..., tx_ids: Iterable[str] | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetTxStatusRequest(Message):
    chain_id: str
    tx_id: str
    def __init__(self, *, chain_id: str | None = ..., tx_id: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...

class GetTxStatusResponse(Message):
    tx_status: int
    tx_id: str
    def __init__(self, *, tx_status: int | None = ..., tx_id: str | None = ...) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...
