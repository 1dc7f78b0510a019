"""What is left of the SDK 3.0.7, whose invoke_contract and its like always raise: requests made and sent by hand, as 3.0.6 can too.

python tests/sdk/by_hand.py CONFIG CONTRACT    how each step ended, as JSON: "" where it went well
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from chainmaker import ChainClientWithEndorsers
from chainmaker.utils import file_utils

TO = "17" * 20
TRANSFER = ("by_hand", "transfer", {"to": TO, "amount": "1"})


class Hand:
    """A client, and the transactions that it sent."""

    def __init__(self, config: str, contract: str) -> None:
        self._code = Path(contract).read_bytes()
        self._endorsers = file_utils.load_yaml(config)["chain_client"]["endorsers"]
        self.client = ChainClientWithEndorsers.from_conf(config)
        self.client.disable_log()
        self._last = ""

    def installs(self) -> bool:
        make = self.client.create_contract_create_payload
        payload = make("by_hand", "1.0", self._code, "DOCKER_GO", {"supply": "1000"})
        endorsed = self.client.create_endorsers(payload, self._endorsers)
        return self._done(self.client.send_contract_manage_request(payload, endorsed, with_sync_result=True))

    def calls_by_a_request(self) -> bool:
        request = self.client.get_tx_request(*TRANSFER)
        self._last = request.payload.tx_id
        return self._succeeded(self.client.send_tx_request(request, with_sync_result=True))

    def calls_by_a_payload(self) -> bool:
        payload = self.client._payload_builder.create_invoke_payload(*TRANSFER)
        return self._done(self.client.send_request_with_sync_result(payload, with_sync_result=True))

    def asks(self) -> bool:
        return self.client.query_contract("by_hand", "balance_of", {"who": TO}).contract_result.result == b"2"

    def reads(self) -> bool:
        found = self.client.get_tx_by_tx_id(self._last)
        block = self.client.get_block_by_height(found.block_height).block
        return found.transaction.payload.method == "transfer" and block.header.block_hash == found.block_hash

    def configures(self) -> bool:
        self.client.chain_config_block_update(block_interval=20)
        return self.client.get_chain_config().block.block_interval == 20

    def manages_certificates(self) -> bool:
        return bool(self.client.add_cert()) and self.client.enable_cert_hash() and self.calls_by_a_request()

    def subscribes(self) -> bool:
        seen: list = []
        self.client.subscribe_block(0, 1, callback=seen.append)
        return [info.block.header.block_height for info in seen] == [0, 1]

    def _done(self, answer) -> bool:
        self._last = answer.tx_id
        return self._succeeded(answer)

    @staticmethod
    def _succeeded(answer) -> bool:
        return (answer.code, answer.contract_result.code) == (0, 0)


STEPS: tuple[Callable[[Hand], bool], ...] = (
    Hand.installs,
    Hand.calls_by_a_request,
    Hand.calls_by_a_payload,
    Hand.asks,
    Hand.reads,
    Hand.configures,
    Hand.manages_certificates,
    Hand.subscribes,
)


def ended(step: Callable[[], object]) -> str:
    try:
        return "" if step() else "is wrong"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        hand = Hand(*sys.argv[1:])
        steps = {step.__name__: ended(lambda step=step: step(hand)) for step in STEPS}
        invoked = ended(lambda: hand.client.invoke_contract(*TRANSFER, with_sync_result=True))
        hand.client.stop()
    print(json.dumps({"version": version("chainmaker"), "steps": steps, "invoke_contract": invoked}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
