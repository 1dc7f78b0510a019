"""Rows: DPOS_ERC20, DPOS_STAKE, DPOS_DISTRIBUTION, DPOS_SLASHING and PRIVATE_COMPUTE. All of them are exotic."""

from __future__ import annotations

import record
from row import DEFECT, NOT_BUILT, Call, Row, broken, makes, sent_as, unbuilt

ADDRESS = "22" * 20
OTHER = "33" * 20


def only_in_version_3(method: str, call: Call) -> Row:
    """A method of DPOS_DISTRIBUTION or DPOS_SLASHING: contracts of ChainMaker 3, which this node's model, 2.3.7, lacks."""
    return Row(method, NOT_BUILT, call, says="contractName not found", note="ChainMaker 2.3 has no such contract")


ROWS = [
    # DPOS_ERC20: all of it is sent as queries, even what would write
    unbuilt("owner", lambda world: world.cc.owner(), "DPOS_ERC20"),
    unbuilt("decimals", lambda world: world.cc.decimals(), "DPOS_ERC20"),
    unbuilt("total", lambda world: world.cc.total(), "DPOS_ERC20"),
    unbuilt("balance_of", lambda world: world.cc.balance_of(ADDRESS), "DPOS_ERC20"),
    unbuilt("transfer", lambda world: world.cc.transfer(ADDRESS, 1), "DPOS_ERC20"),
    unbuilt("transfer_from", lambda world: world.cc.transfer_from(OTHER, ADDRESS, 1), "DPOS_ERC20"),
    unbuilt("approve", lambda world: world.cc.approve(OTHER, ADDRESS, 1), "DPOS_ERC20"),
    unbuilt("burn", lambda world: world.cc.burn(ADDRESS, 1), "DPOS_ERC20"),
    unbuilt("mint", lambda world: world.cc.mint(ADDRESS, 1), "DPOS_ERC20"),
    unbuilt("transfer_ownership", lambda world: world.cc.transfer_ownership(ADDRESS), "DPOS_ERC20"),
    makes("create_transfer_payload", (ADDRESS, 1), "Q DPOS_ERC20-TRANSFER", to=ADDRESS, value=1),
    makes(
        "create_transfer_from_payload",
        (OTHER, ADDRESS, 1),
        "Q DPOS_ERC20-TRANSFER_FROM",
        _from=OTHER,
        to=ADDRESS,
        value=1,
    ),
    makes("create_approve_payload", (OTHER, ADDRESS, 1), "Q DPOS_ERC20-APPROVE", _from=OTHER, to=ADDRESS, value=1),
    makes("create_burn_payload", (ADDRESS, 1), "Q DPOS_ERC20-BURN", to=ADDRESS, value=1),
    makes("create_mint_payload", (ADDRESS, 1), "Q DPOS_ERC20-MINT", to=ADDRESS, value=1),
    makes("create_transfer_ownership_payload", (ADDRESS,), "Q DPOS_ERC20-TRANSFER_OWNERSHIP", to=ADDRESS),
    # DPOS_STAKE
    unbuilt("get_all_candidates", lambda world: world.cc.get_all_candidates(), "DPOS_STAKE"),
    unbuilt("get_validator_by_address", lambda world: world.cc.get_validator_by_address(ADDRESS), "DPOS_STAKE"),
    unbuilt("get_delegations_by_address", lambda world: world.cc.get_delegations_by_address(ADDRESS), "DPOS_STAKE"),
    unbuilt(
        "get_user_delegation_by_validator",
        lambda world: world.cc.get_user_delegation_by_validator(ADDRESS, OTHER),
        "DPOS_STAKE",
    ),
    unbuilt("get_epoch_by_id", lambda world: world.cc.get_epoch_by_id("1"), "DPOS_STAKE"),
    unbuilt("get_last_epoch", lambda world: world.cc.get_last_epoch(), "DPOS_STAKE"),
    unbuilt("get_node_id", lambda world: world.cc.get_node_id(ADDRESS), "DPOS_STAKE"),
    unbuilt("set_node_id", lambda world: world.cc.set_node_id("Qm9"), "DPOS_STAKE"),
    unbuilt(
        "get_min_self_delegation",
        lambda world: world.cc.get_min_self_delegation(),
        "DPOS_STAKE",
        note=record.WRONG_METHOD,
    ),
    unbuilt("set_min_self_delegation", lambda world: world.cc.set_min_self_delegation(1), "DPOS_STAKE"),
    unbuilt("get_epoch_validator_number", lambda world: world.cc.get_epoch_validator_number(), "DPOS_STAKE"),
    unbuilt(
        "set_epoch_validator_number",
        lambda world: world.cc.set_epoch_validator_number(1),
        "DPOS_STAKE",
        note=record.WRONG_METHOD,
    ),
    unbuilt("get_epoch_block_number", lambda world: world.cc.get_epoch_block_number(), "DPOS_STAKE"),
    unbuilt("set_epoch_block_number", lambda world: world.cc.set_epoch_block_number(1), "DPOS_STAKE"),
    unbuilt(
        "set_epoch_validator_number_and_epoch_block_number",
        lambda world: world.cc.set_epoch_validator_number_and_epoch_block_number(1, 2),
        "DPOS_STAKE",
    ),
    unbuilt(
        "get_unbounding_interval_epoch_number",
        lambda world: world.cc.get_unbounding_interval_epoch_number(),
        "DPOS_STAKE",
    ),
    unbuilt("get_stake_contract_address", lambda world: world.cc.get_stake_contract_address(), "DPOS_STAKE"),
    # delegate and undelegate do not wait: the refusal is how the transaction ended
    unbuilt("delegate", lambda world: world.sent_last(world.cc.delegate(ADDRESS, 1)), "DPOS_STAKE"),
    unbuilt("undelegate", lambda world: world.sent_last(world.cc.undelegate(ADDRESS, 1)), "DPOS_STAKE"),
    makes(
        "create_update_min_self_delegation_payload",
        (1,),
        "Q DPOS_STAKE-UPDATE_MIN_SELF_DELEGATION",
        min_self_delegation=1,
    ),
    Row(
        "create_update_epoch_validator_number_payload",
        DEFECT,
        lambda world: world.cc.create_update_epoch_validator_number_payload(1),
        check=lambda _, made: sent_as(made, "Q DPOS_STAKE-UPDATE_EPOCH_BLOCK_NUMBER", {"epoch_validator_number": 1}),
        note=record.WRONG_METHOD,
    ),
    makes(
        "create_update_epoch_block_number_payload",
        (1,),
        "I DPOS_STAKE-UPDATE_EPOCH_BLOCK_NUMBER",
        epoch_block_number=1,
    ),
    makes(
        "create_update_epoch_validator_number_and_epoch_block_number_payload",
        (1, 2),
        "I DPOS_STAKE-UPDATE_EPOCH_VALIDATOR_NUMBER_AND_EPOCH_BLOCK_NUMBER",
        epoch_block_number=1,
        epoch_validator_number=2,
    ),
    makes("create_create_epoch_payload", (), "I DPOS_STAKE-CREATE_EPOCH"),
    # DPOS_DISTRIBUTION and DPOS_SLASHING
    makes("create_reward_payload", (), "I DPOS_DISTRIBUTION-REWARD"),
    only_in_version_3("get_distribution_by_epoch_id", lambda world: world.cc.get_distribution_by_epoch_id("1")),
    only_in_version_3("get_distribution_per_block", lambda world: world.cc.get_distribution_per_block()),
    only_in_version_3("set_distribution_per_block", lambda world: world.cc.set_distribution_per_block(1)),
    only_in_version_3("get_gas_exchange_rage", lambda world: world.cc.get_gas_exchange_rage()),
    makes(
        "create_set_distribution_per_block_payload",
        (1,),
        "I DPOS_DISTRIBUTION-SET_DISTRIBUTION_PER_BLOCK",
        distribution_per_block=1,
    ),
    makes(
        "create_set_gas_exchange_rate_payload",
        (1,),
        "I DPOS_DISTRIBUTION-SET_GAS_EXCHANGE_RATE",
        gas_exchange_rate=1,
    ),
    broken(
        "set_distribution_from_slashing",
        lambda world: world.cc.set_distribution_from_slashing(1),
        "AttributeError.*create_set_distribution_for_slashing_payload",
    ),
    broken(
        "set_gas_exchange_rate",
        lambda world: world.cc.set_gas_exchange_rate(1),
        "AttributeError.*create_set_gas_exchange_rage_payload",
    ),
    only_in_version_3("get_slashing_per_block", lambda world: world.cc.get_slashing_per_block()),
    only_in_version_3("set_slashing_per_block", lambda world: world.cc.set_slashing_per_block(1)),
    only_in_version_3("get_slashing_balance", lambda world: world.cc.get_slashing_balance()),
    only_in_version_3("get_slashing_address", lambda world: world.cc.get_slashing_address()),
    only_in_version_3("get_slashing_by_epoch_id", lambda world: world.cc.get_slashing_by_epoch_id("1")),
    makes(
        "create_set_slashing_per_block_payload",
        (1,),
        "I DPOS_SLASHING-SET_SLASHING_PER_BLOCK",
        slashing_per_block=1,
    ),
    # PRIVATE_COMPUTE
    unbuilt("get_contract", lambda world: world.cc.get_contract("sealed", b"\1"), "PRIVATE_COMPUTE"),
    unbuilt("get_data", lambda world: world.cc.get_data("sealed", "key"), "PRIVATE_COMPUTE"),
    unbuilt("get_dir", lambda world: world.cc.get_dir("order"), "PRIVATE_COMPUTE"),
    unbuilt("get_enclave_ca_cert", lambda world: world.cc.get_enclave_ca_cert(), "PRIVATE_COMPUTE"),
    *(
        unbuilt(name, lambda world, name=name: getattr(world.cc, name)("enclave"), "PRIVATE_COMPUTE")
        for name in (
            "get_enclave_challenge",
            "get_enclave_encrypt_pubkey",
            "get_enclave_proof",
            "get_enclave_report",
            "get_enclave_signature",
            "get_enclave_verification_pubkey",
        )
    ),
    unbuilt("save_dir", lambda world: world.cc.save_dir("order", ["part"]), "PRIVATE_COMPUTE"),
    unbuilt("save_enclave_ca_cert", lambda world: world.cc.save_enclave_ca_cert("PEM"), "PRIVATE_COMPUTE"),
    unbuilt("save_enclave_report", lambda world: world.cc.save_enclave_report("enclave", "report"), "PRIVATE_COMPUTE"),
    unbuilt(
        "save_remote_attestation_proof",
        lambda world: world.cc.save_remote_attestation_proof("proof"),
        "PRIVATE_COMPUTE",
    ),
    unbuilt(
        "send_multi_signing_request",
        lambda world: world.cc.send_multi_signing_request(world.real.create_save_enclave_ca_cert_payload("PEM")),
        "PRIVATE_COMPUTE",
    ),
    makes("create_save_enclave_ca_cert_payload", ("PEM",), "I PRIVATE_COMPUTE-SAVE_CA_CERT", ca_cert="PEM"),
    makes(
        "create_save_enclave_report_payload",
        ("enclave", "report"),
        "I PRIVATE_COMPUTE-SAVE_ENCLAVE_REPORT",
        enclave_id="enclave",
        report="report",
    ),
    broken(
        "check_caller_cert_auth",
        lambda world: world.cc.check_caller_cert_auth("text", [world.org], {}),
        "AttributeError.*order_ids",
    ),
    broken(
        "save_data",
        lambda world: world.cc.save_data("sealed", "1", True, b"", b"", {}, b"", {}, b"", [], b""),
        "AttributeError.*events",
    ),
]
