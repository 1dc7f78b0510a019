"""Certificates that end soon: warned of once a day, in time, and shown at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import httpx2
import pytest
import structlog
from cryptography import x509

from changan.ledger.wire.messages import ChainConfig, TrustRootConfig
from changan.node.expiry import DAY_S, Expiry
from changan.node.pki.layout import make_crypto_config
from changan.node.settings import numbered_organisations

NODE = "wx-org1.chainmaker.org/node/consensus1/consensus1.sign.crt"


@pytest.fixture
def crypto(tmp_path):
    return make_crypto_config(tmp_path, numbered_organisations(1), datetime.now(UTC))


def end_of(crypto, name):
    certificate = x509.load_pem_x509_certificate((crypto.directory / name).read_bytes())
    return int(certificate.not_valid_after_utc.timestamp())


def warnings(expiry):
    with structlog.testing.capture_logs() as logs:
        expiry.look()
    return {log["certificate"]: log["days_left"] for log in logs if log["event"] == "certificate.expires"}


def test_a_certificate_is_warned_of_from_thirty_days_before_its_end_once_a_day(crypto):
    end = end_of(crypto, NODE)
    now = [end - 30 * DAY_S - 1.0]
    expiry = Expiry(crypto.directory, {}, lambda: now[0])
    assert NODE not in warnings(expiry)
    now[0] += 1
    assert warnings(expiry)[NODE] == 30
    now[0] += 3600
    assert warnings(expiry)[NODE] == 29
    now[0] += 3600
    assert NODE not in warnings(expiry)
    now[0] = end - DAY_S
    assert warnings(expiry)[NODE] == 1
    now[0] = end + 1
    assert warnings(expiry)[NODE] == -1


def test_trust_roots_of_a_chain_count_and_what_is_no_certificate_does_not(crypto):
    pem = crypto.organisations[0].root_certificate_pem.decode()
    config = ChainConfig(trust_roots=[TrustRootConfig(org_id="far", root=["a key", pem])])
    chains = {"chain7": SimpleNamespace(world=SimpleNamespace(config=config))}
    (crypto.directory / "broken.crt").write_text("no certificate")
    (crypto.directory / "away.crt").symlink_to("nowhere")
    names = [ending.name for ending in Expiry(crypto.directory, chains).look()]
    assert "chain7: trust root 2 of far" in names
    assert "chain7: trust root 1 of far" not in names
    assert not {"broken.crt", "away.crt"} & set(names)


def test_the_first_to_end_stands_first(crypto):
    ends = [ending.not_after for ending in Expiry(crypto.directory, {}).look()]
    assert ends == sorted(ends)
    assert len(ends) > 5


def test_at_the_door(node):
    listed = httpx2.get(f"{node.http}/v1/certificates").json()
    assert {"certificate", "not_after", "days_left"} == set(listed[0])
    name = "wx-org1.chainmaker.org/user/client1/client1.sign.crt"
    assert [entry["days_left"] > 30 for entry in listed if entry["certificate"] == name] == [True]
    metrics = httpx2.get(f"{node.http}/metrics").text
    assert f'changan_certificate_not_after_seconds{{certificate="{name}"}}' in metrics
