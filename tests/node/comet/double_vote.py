"""Evidence of a double vote as the engine takes it: two votes of one validator for one height, signed with its key."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from changan.node.comet.engine import EngineDoor, socket_folder

_PREVOTE = 1


async def accuse(engine_home: Path, key: dict, height: int) -> None:
    """Hand evidence that a key's owner (priv_validator_key.json) voted twice to the engine of some node. Raises EngineError."""
    door = EngineDoor(socket_folder(engine_home) / "rpc")
    try:
        block = (await door.ask("block", {"height": str(height)}))["block"]
        validators = (await door.ask("validators", {"height": str(height)}))["validators"]
        signer = Ed25519PrivateKey.from_private_bytes(base64.b64decode(key["priv_key"]["value"])[:32])
        index = next(at for at, one in enumerate(validators) if one["address"] == key["address"])
        chain_id, time = block["header"]["chain_id"], block["header"]["time"]
        who = {"validator_address": key["address"], "validator_index": index}
        votes = [{**_vote(signer, chain_id, height, sha256(name).digest()), **who} for name in (b"one", b"other")]
        votes.sort(key=lambda vote: base64.b16decode(vote["block_id"]["hash"]))
        evidence = {
            "type": "tendermint/DuplicateVoteEvidence",
            "value": {
                "vote_a": votes[0],
                "vote_b": votes[1],
                "TotalVotingPower": str(len(validators)),
                "ValidatorPower": "1",
                "Timestamp": time,
            },
        }
        await door.ask("broadcast_evidence", {"evidence": evidence})
    finally:
        door.close()


def _vote(signer: Ed25519PrivateKey, chain_id: str, height: int, block: bytes) -> dict:
    parts = sha256(block).digest()
    part_set = b"\x08\x01" + _bytes(2, parts)
    block_id = _bytes(1, block) + _bytes(2, part_set)
    # CanonicalVote: type, height and round (fixed, little-endian; 0 is left out), block id, timestamp, chain id.
    signed = b"\x08" + bytes([_PREVOTE]) + b"\x11" + height.to_bytes(8, "little")
    signed += _bytes(4, block_id) + _bytes(5, b"") + _bytes(6, chain_id.encode())
    signature = signer.sign(_varint(len(signed)) + signed)
    return {
        "type": _PREVOTE,
        "height": str(height),
        "round": 0,
        "block_id": {"hash": _hex(block), "parts": {"total": 1, "hash": _hex(parts)}},
        "timestamp": "1970-01-01T00:00:00Z",
        "signature": base64.b64encode(signature).decode(),
        "extension": "",
        "extension_signature": "",
    }


def _hex(data: bytes) -> str:
    return base64.b16encode(data).decode()


def _bytes(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))
