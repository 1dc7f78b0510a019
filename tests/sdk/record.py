"""What the record of the SDK's surface says: which class each public method belongs to, and what is broken in the SDK itself.

C1 must work. C2 is nice to have and C3 exotic: those of them that are not built answer with an error in words.
LOCAL methods ask the node nothing, or (`create_endorsers`, `sign_…`) only prepare what another method sends.
"""

from __future__ import annotations

PUBLIC_NAMES = 367
"""Public methods and properties of 3.0.6; 364 in the record, which leaves out from_conf, disable_log and stop."""

_C1 = """
get_chainmaker_server_version get_chain_config chain_config version addr_type enabled_gas default_gas gas_count
sender_address address consensus_type consensus_node_cnt enable_sql_support
chain_config_check_multi_sign_manual_run chain_config_consensus_ext_check chain_config_consensus_node_id_check
chain_config_consensus_node_org_check chain_config_permission_check chain_config_trust_member_check
chain_config_trust_root_check get_chain_config_by_block_height get_permission_list get_chain_config_permission_list
get_chain_info get_node_chain_list get_last_block get_current_block_height get_last_block_hash get_last_block_tx_ids
get_any_tx_id get_any_block_height get_any_block_hash get_tx_count get_block_by_height get_block_hash_by_height
get_block_by_hash get_block_by_tx_id get_last_config_block get_block_header_by_height get_block_timestamp_by_height
get_tx_statistic_data get_block_height_by_tx_id get_block_height get_block_height_by_hash get_tx_by_tx_id
get_sync_result get_tx_with_rwset_by_tx_id get_block_with_txrwsets_by_height get_block_with_txrwsets_by_hash
get_full_block_by_height get_merkle_path_by_tx_id get_archived_block_height
create_contract create_contract_create_payload upgrade_contract create_contract_upgrade_payload freeze_contract
create_contract_freeze_payload unfreeze_contract create_contract_unfreeze_payload revoke_contract
create_contract_revoke_payload get_contract_info check_contract get_contract_list get_disabled_native_contract_list
invoke_contract invoke_contract_with_limit send_txs send_tx_request get_tx_request send_request
send_request_with_sync_result send_manage_request send_contract_manage_request query_contract invoke_system_contract
query_system_contract
add_cert query_cert query_certs enable_cert_hash delete_certs create_cert_delete_payload freeze_certs
create_cert_freeze_payload unfreeze_certs create_cert_unfreeze_payload revoke_cert create_cert_revoke_payload
create_cert_crl send_cert_manage_request enable_alias add_alias add_cert_alias check_alias query_cert_alias
update_cert_by_alias create_update_cert_by_alias_payload delete_cert_aliases create_delete_cert_alias_payload
subscribe subscribe_block subscribe_tx subscribe_contract_event
"""

_C2 = """
chain_config_core_update create_chain_config_core_update_payload chain_config_optimize_charge_gas
create_chain_config_optimize_charge_gas_payload chain_config_block_update create_chain_config_block_update_payload
chain_config_trust_root_add chain_config_trust_root_update chain_config_trust_root_delete
create_chain_config_trust_root_add_payload create_chain_config_trust_root_update_payload
create_chain_config_trust_root_delete_payload chain_config_trust_member_add chain_config_trust_member_update
chain_config_trust_member_delete create_chain_config_trust_member_add_payload
create_chain_config_trust_member_update_payload create_chain_config_trust_member_delete_payload
chain_config_consensus_node_org_add chain_config_consensus_node_org_update chain_config_consensus_node_org_delete
create_chain_config_consensus_node_org_add_payload create_chain_config_consensus_node_org_update_payload
create_chain_config_consensus_node_org_delete_payload chain_config_consensus_node_id_add
chain_config_consensus_node_id_update chain_config_consensus_node_id_delete
create_chain_config_consensus_node_id_add_payload create_chain_config_consensus_node_id_update_payload
create_chain_config_consensus_node_id_delete_payload chain_config_consensus_node_addr_add
chain_config_consensus_node_addr_update chain_config_consensus_node_addr_delete
create_chain_config_node_addr_add_payload create_chain_config_node_addr_update_payload
create_chain_config_node_addr_delete_payload chain_config_consensus_ext_add chain_config_consensus_ext_update
chain_config_consensus_ext_delete create_chain_config_consensus_ext_add_payload
create_chain_config_consensus_ext_update_payload create_chain_config_consensus_ext_delete_payload
chain_config_permission_add chain_config_permission_update chain_config_permission_delete
create_chain_config_permission_add_payload create_chain_config_permission_update_payload
create_chain_config_permission_delete_payload create_policy chain_config_alter_addr_type
create_chain_config_alter_addr_type_payload chain_config_enable_or_disable_gas
create_chain_config_enable_or_disable_gas_payload chain_config_set_invoke_base_gas
create_chain_config_set_invoke_base_gas_payload create_set_invoke_base_gas_payload
chain_config_set_account_manager_admin create_chain_config_set_account_manager_admin_payload
create_set_invoke_gas_price_payload create_set_install_base_gas_payload create_set_install_gas_price_payload
enable_disable_only_creator_update create_chain_config_enable_only_creator_update_payload
create_chain_config_disable_only_creator_update_payload chain_config_enable_multi_sign_manual_run
create_chain_config_enable_multi_sign_manual_run_payload tbft_to_raft raft_to_tbft create_tbft_to_raft_payload
create_raft_to_tbft_payload create_chain_config_consensus_switch_payload create_chain_config_update_version_payload
send_chain_config_update_request sign_chain_config_payload
add_pubkey delete_pubkey query_pubkey create_pubkey_add_payload create_pubkey_delete_payload send_pubkey_manage_request
multi_sign_req create_multi_sign_req_payload multi_sign_vote multi_sign_vote_by_tx_id multi_sign_query multi_sign_trig
get_gas_admin check_gas_admin set_gas_admin create_set_gas_admin_payload recharge_gas create_recharge_gas_payload
charge_gas create_charge_gas_payload refund_gas create_refund_gas_payload refund_gas_vm create_refund_gas_vm_payload
freeze_gas_account create_frozen_gas_account_payload unfreeze_gas_account create_unfrozen_gas_account_payload
get_gas_balance get_gas_account_status send_gas_manage_request attach_gas_limit estimate_gas
charge_gas_for_multi_account create_charge_gas_for_multi_account_payload
grant_native_contract_access revoke_native_contract_access verify_native_contract_access
create_native_contract_access_grant_payload create_native_contract_access_revoke_payload
create_native_contract_access_verify_payload create_init_new_native_contract_payload init_new_native_contract
get_pool_status get_tx_ids_by_type_and_stage get_txs_in_pool_by_tx_ids get_tx_status
get_consensus_height get_consensus_validators get_consensus_state_json
"""

_C3 = """
archive_block archive_blocks restore_block restore_blocks create_archive_block_payload create_restore_block_payload
sign_archive_payload send_archive_block_request send_restore_block_request get_archive_status archive_service
get_archived_full_block_by_height get_archived_block_by_height get_archived_block_by_hash get_archived_block_by_tx_id
get_archived_tx_by_tx_id get_archived_block_from_mysql get_from_archive_store
owner decimals total balance_of transfer create_transfer_payload transfer_from create_transfer_from_payload approve
create_approve_payload burn create_burn_payload mint create_mint_payload transfer_ownership
create_transfer_ownership_payload
get_all_candidates get_validator_by_address delegate undelegate get_delegations_by_address
get_user_delegation_by_validator get_epoch_by_id get_last_epoch set_node_id get_node_id get_min_self_delegation
set_min_self_delegation create_update_min_self_delegation_payload get_epoch_validator_number
set_epoch_validator_number create_update_epoch_validator_number_payload get_epoch_block_number set_epoch_block_number
create_update_epoch_block_number_payload set_epoch_validator_number_and_epoch_block_number
create_update_epoch_validator_number_and_epoch_block_number_payload get_unbounding_interval_epoch_number
get_stake_contract_address create_create_epoch_payload
create_reward_payload get_distribution_by_epoch_id get_distribution_per_block set_distribution_per_block
create_set_distribution_per_block_payload set_distribution_from_slashing get_gas_exchange_rage set_gas_exchange_rate
create_set_gas_exchange_rate_payload get_slashing_per_block set_slashing_per_block
create_set_slashing_per_block_payload get_slashing_balance get_slashing_address get_slashing_by_epoch_id
get_contract get_data get_dir get_enclave_ca_cert get_enclave_challenge get_enclave_encrypt_pubkey get_enclave_proof
get_enclave_report get_enclave_signature get_enclave_verification_pubkey save_data save_dir save_enclave_ca_cert
create_save_enclave_ca_cert_payload save_enclave_report create_save_enclave_report_payload
save_remote_attestation_proof check_caller_cert_auth send_multi_signing_request
chain_config_dpos_node_id_update create_chain_config_dpos_node_id_update_payload
get_governance_contract get_contract_byte_code
"""

_LOCAL = """
alias auth_type cert cert_hash cert_hash_bytes chain_id create_endorsers disable_alias disable_cert_hash disable_log
enabled_alias enabled_cert_hash enabled_crt_hash from_conf get_auth_type get_cert_hash get_cert_hash_bytes get_cert_pem
get_enabled_crt_hash get_hash_type get_local_cert_alias get_pkcs11_config get_private_key get_public_key
get_user_cert_hash hash_type is_archive_center_query_first member_type node node_index org_id private_key public_bytes
public_key sign sign_cert_manage_payload sign_contract_manage_payload sign_delete_alias_payload
sign_update_cert_by_alias_payload stop sync_canonical_tx_result user_cert_hash
"""

CLASSES = {
    "C1": frozenset(_C1.split()),
    "C2": frozenset(_C2.split()),
    "C3": frozenset(_C3.split()),
    "local": frozenset(_LOCAL.split()),
}

ALIASED = "the SDK's enumeration makes this name an alias: it sends GET_CHAIN_CONFIG_AT"
NEEDS_ARCHIVE = "fails in the SDK's own code unless an archive service is configured"
WRONG_METHOD = "the SDK sends the wrong method name"

DEFECTS = {
    "create_set_invoke_gas_price_payload": ALIASED,
    "create_set_install_base_gas_payload": ALIASED,
    "enable_disable_only_creator_update": ALIASED,
    "create_chain_config_enable_only_creator_update_payload": ALIASED,
    "create_chain_config_disable_only_creator_update_payload": ALIASED,
    "create_set_install_gas_price_payload": "raises TypeError: gives an enumeration where its name belongs",
    "get_contract_byte_code": "not implemented in the SDK",
    "get_governance_contract": "not implemented in the SDK",
    "init_new_native_contract": "not implemented in the SDK",
    "estimate_gas": "assigns and reads fields that Payload lacks",
    "charge_gas_for_multi_account": "calls its own payload maker without an argument",
    "check_caller_cert_auth": "reads a parameter key that the SDK lacks",
    "save_data": "reads a parameter key that the SDK lacks",
    "set_distribution_from_slashing": "calls a method that the SDK lacks",
    "set_gas_exchange_rate": "calls a method that the SDK lacks",
    "chain_config_consensus_ext_check": "reads an attribute that the client lacks",
    "sign_contract_manage_payload": "signs the message instead of its bytes",
    "archive_service": NEEDS_ARCHIVE,
    "archive_blocks": NEEDS_ARCHIVE,
    "restore_blocks": NEEDS_ARCHIVE,
    "get_archived_full_block_by_height": NEEDS_ARCHIVE,
    "get_archived_block_by_height": NEEDS_ARCHIVE,
    "get_archived_block_by_hash": NEEDS_ARCHIVE,
    "get_archived_block_by_tx_id": NEEDS_ARCHIVE,
    "get_archived_tx_by_tx_id": NEEDS_ARCHIVE,
    "get_archived_block_from_mysql": NEEDS_ARCHIVE,
    "get_from_archive_store": NEEDS_ARCHIVE,
    "create_update_epoch_validator_number_payload": WRONG_METHOD,
}
"""The SDK's own defects that the record lists."""

OTHER_PARAMETERS = "sends the parameters of RECHARGE_GAS: CHARGE_GAS takes a public key and an amount"
WRONG_REFUND = "sends REFUND_GAS, which takes gas from an account, instead of REFUND_GAS_VM, which gives it back"

FOUND_HERE = {
    "sender_address": "the SDK compares a number with an enumeration: ChainMaker's form, whatever the chain says",
    "sync_canonical_tx_result": "has no body: returns None",
    "charge_gas": OTHER_PARAMETERS,
    "create_charge_gas_payload": OTHER_PARAMETERS,
    "create_charge_gas_for_multi_account_payload": "sends one address and one amount under fixed names, not accounts with amounts",
    "refund_gas_vm": WRONG_REFUND,
    "create_refund_gas_vm_payload": WRONG_REFUND,
}
"""Defects of the SDK that the record does not list; this test found them, and no node can mend them."""

CERTIFICATE_DIGEST = "asks `cryptography` for the digest of a certificate's signature, and that knows none of SM2"
SIGNS_LISTS = "signs the list by `cryptography`, which takes no key of SM2"

ON_SM2 = {
    "address": "takes Ethereum's form for its own, whatever the chain says, until `addr_type` was asked for",
    "sender_address": "wants ChainMaker's form of the address, for which its reader of SM2 keys fails",
    "add_cert": CERTIFICATE_DIGEST,
    "enable_cert_hash": CERTIFICATE_DIGEST,
    "cert_hash": CERTIFICATE_DIGEST,
    "cert_hash_bytes": CERTIFICATE_DIGEST,
    "user_cert_hash": CERTIFICATE_DIGEST,
    "get_user_cert_hash": CERTIFICATE_DIGEST,
    "get_cert_hash_bytes": CERTIFICATE_DIGEST,
    "get_cert_hash": CERTIFICATE_DIGEST,
    "create_cert_crl": SIGNS_LISTS,
    "revoke_cert": SIGNS_LISTS,
}
"""What the SDK cannot do, or does otherwise, on a chain of SM2 and SM3 alone."""


def kind_of(method: str) -> str:
    """Return the class of a method: C1, C2, C3 or local. Raises KeyError for one that the record does not know."""
    found = [kind for kind, names in CLASSES.items() if method in names]
    if len(found) != 1:
        raise KeyError(f"{method} is in the classes {found}")
    return found[0]
