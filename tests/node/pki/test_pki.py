"""Authorities, their certificates, the crypto-config layout, and the official SDK's configuration."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from changan.node.pki.authority import Authority, AuthorityError, node_id
from changan.node.pki.layout import LayoutError, make_crypto_config, read_crypto_config
from changan.node.pki.sdk_config import sdk_config_text
from changan.node.settings import numbered_organisations

NOW = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
ORG = "wx-org1.chainmaker.org"

# The TLS key of a node whose certificate and id ChainMaker's own cryptogen made (chainmaker-go, config-sql, wx-org7).
REAL_POINT = (
    "04b67332993d3382ebbb98516084c5263b9b1dab013ae6fe6fb16a4023b4c4d1eb"
    "88e63b5b79f26436f006d239ace178b0b5a8910d49ca9a5f77843774ab598053"
)
REAL_SKI = "ecd0872029a7e644cf7340c39a64efcc37437886f848697180f114db1399f0d9"
REAL_NODE_ID = "QmVGSXfz6vgXBjWiZh5rV8T5nutevvunHAfEoe6Sh5Xcyx"


@pytest.fixture(scope="module")
def authority():
    return Authority.create(ORG, NOW)


@pytest.fixture
def config(tmp_path):
    return make_crypto_config(tmp_path, numbered_organisations(2), NOW, ["node.example.org", "10.1.2.3"])


def certificate_of(pem):
    return x509.load_pem_x509_certificate(pem)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def subject_of(certificate):
    return [attribute.rfc4514_string() for attribute in certificate.subject]


def purposes(certificate):
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    return set(re.findall(r"(\w+)=True", repr(usage.value)))


def alternative_names(certificate):
    names = extension(certificate, x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName), names.get_values_for_type(x509.IPAddress)


def openssl(*arguments: object):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


def certificate_on(public_key):
    builder = x509.CertificateBuilder(x509.Name([]), x509.Name([]), public_key, 1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(1))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


class TestAuthority:
    def test_root_certificate_has_cryptogens_fields(self, authority):
        root = certificate_of(authority.certificate_pem)
        assert subject_of(root) == ["C=CN", "ST=Beijing", "L=Beijing", f"O={ORG}", "OU=root-cert", f"CN=ca.{ORG}"]
        assert root.issuer == root.subject
        assert extension(root, x509.BasicConstraints).critical
        assert extension(root, x509.BasicConstraints).value.ca
        assert purposes(root) == {"digital_signature", "key_cert_sign", "crl_sign"}
        assert alternative_names(root) == (["chainmaker.org", "localhost", f"ca.{ORG}"], [ip_address("127.0.0.1")])
        assert root.not_valid_before_utc == datetime(2026, 3, 4, 4, 6, 7, tzinfo=UTC)
        assert root.not_valid_after_utc == datetime(2036, 3, 1, 5, 6, 7, tzinfo=UTC)
        assert root.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
        root.verify_directly_issued_by(root)

    def test_key_identifier_is_sha256_of_the_point(self, authority):
        root = certificate_of(authority.certificate_pem)
        point = root.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert extension(root, x509.SubjectKeyIdentifier).value.digest == hashlib.sha256(point).digest()
        assert hashlib.sha256(bytes.fromhex(REAL_POINT)).hexdigest() == REAL_SKI  # cryptogen's own

    def test_loads_what_it_wrote_and_issues_on(self, authority):
        again = Authority.load(authority.certificate_pem, authority.key_pem)
        assert (again.org_id, again.key_pem) == (ORG, authority.key_pem)
        assert again.key_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
        issued = again.issue("client1", "client", "sign", NOW, curve="secp256k1")
        certificate_of(issued.certificate_pem).verify_directly_issued_by(certificate_of(authority.certificate_pem))
        assert isinstance(load_pem_private_key(issued.key_pem, None).curve, ec.SECP256K1)

    def test_load_refuses_what_is_no_authority(self, authority):
        other = Authority.create("wx-org2.chainmaker.org", NOW)
        user = authority.issue("client1", "client", "sign", NOW)
        for certificate_pem, key_pem, words in (
            (authority.certificate_pem, other.key_pem, "does not belong"),
            (b"nothing", authority.key_pem, "not a PEM certificate"),
            (authority.certificate_pem, b"nothing", "not an unencrypted PEM private key"),
            (user.certificate_pem, user.key_pem, "basicConstraints"),
        ):
            with pytest.raises(AuthorityError, match=words):
                Authority.load(certificate_pem, key_pem)

    @pytest.mark.parametrize("role", ["client", "admin", "light", "consensus", "common"])
    @pytest.mark.parametrize("usage", ["sign", "tls"])
    def test_issued_certificate(self, authority, role, usage):
        root = certificate_of(authority.certificate_pem)
        issued = authority.issue("some1", role, usage, NOW)
        certificate = certificate_of(issued.certificate_pem)
        key = load_pem_private_key(issued.key_pem, None)
        certificate.verify_directly_issued_by(root)
        assert key.public_key() == certificate.public_key()
        assert isinstance(key.curve, ec.SECP256R1)
        assert subject_of(certificate)[3:] == [f"O={ORG}", f"OU={role}", f"CN=some1.{usage}.{ORG}"]
        assert certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
        issuer = extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier
        assert issuer == extension(root, x509.SubjectKeyIdentifier).value.digest
        assert len(extension(certificate, x509.SubjectKeyIdentifier).value.digest) == 32
        kinds = {type(each.value) for each in certificate.extensions}
        if usage == "sign":
            assert purposes(certificate) == {"digital_signature", "content_commitment"}
            assert x509.ExtendedKeyUsage not in kinds
        else:
            assert purposes(certificate) == {"digital_signature", "key_encipherment", "data_encipherment"}
            both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            assert list(extension(certificate, x509.ExtendedKeyUsage).value) == both
        assert (x509.SubjectAlternativeName in kinds) == (usage == "tls" and role in {"consensus", "common"})

    def test_hosts_and_days(self, authority):
        hosts = ["n1.example.org", "::1", "localhost"]
        certificate = certificate_of(authority.issue("n1", "common", "tls", NOW, hosts, days=1).certificate_pem)
        names = ["chainmaker.org", "localhost", f"n1.tls.{ORG}", "n1.example.org"]
        assert alternative_names(certificate) == (names, [ip_address("127.0.0.1"), ip_address("::1")])
        assert certificate.not_valid_after_utc == datetime(2026, 3, 5, 5, 6, 7, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"role": "king"}, "role 'king' is not known"),
            ({"curve": "P-384"}, "curve 'P-384' is not known"),
            ({"curve": "secp256k1"}, "use P-256 for TLS"),
            ({"role": "client", "hosts": ["a"]}, "TLS certificate of a node"),
            ({"hosts": ["https://a:1"]}, "no port, no scheme"),
            ({"hosts": ["长安.cn"]}, "neither an address nor a DNS name"),
            ({"days": 0}, "at least 1"),
            ({"days": 10**7}, "no certificate can be valid"),
            ({"now": NOW.replace(tzinfo=None)}, "no time zone"),
            ({"name": "x" * 99}, "no certificate can carry the name"),
        ],
    )
    def test_issue_refuses(self, authority, change, words):
        asked = {"name": "consensus1", "role": "consensus", "usage": "tls", "now": NOW, **change}
        with pytest.raises(AuthorityError, match=words):
            authority.issue(**asked)

    def test_revocation_list(self, authority, tmp_path):
        user_pem = authority.issue("client1", "client", "sign", NOW).certificate_pem
        serial = certificate_of(user_pem).serial_number
        pem = authority.revocation_list([serial, 7, 7], NOW)
        listed = x509.load_pem_x509_crl(pem)
        root = certificate_of(authority.certificate_pem)
        assert listed.is_signature_valid(root.public_key())
        assert listed.issuer == root.subject
        assert {entry.serial_number for entry in listed} == {serial, 7}
        assert listed.last_update_utc == NOW.replace(microsecond=0)
        with pytest.raises(AuthorityError, match="no serial number"):
            authority.revocation_list([-1], NOW)
        for name, content in (("ca", authority.certificate_pem), ("crl", pem), ("user", user_pem)):
            (tmp_path / name).write_bytes(content)
        files = ("-CAfile", tmp_path / "ca", "-CRLfile", tmp_path / "crl", "-crl_check", tmp_path / "user")
        refused = openssl("verify", "-attime", int(NOW.timestamp()), *files)
        assert "certificate revoked" in refused.stderr

    def test_node_id(self, authority):
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(REAL_POINT))
        assert node_id(certificate_on(point)) == REAL_NODE_ID
        made = node_id(authority.issue("consensus1", "consensus", "tls", NOW).certificate_pem)
        assert re.fullmatch("Qm[1-9A-HJ-NP-Za-km-z]{44}", made)
        with pytest.raises(AuthorityError, match="not a PEM certificate"):
            node_id(b"")


class TestLayout:
    def test_organisations_sort_by_number(self, tmp_path):
        made = make_crypto_config(tmp_path, numbered_organisations(10), NOW).organisations
        assert [each.org_id for each in made] == [f"wx-org{number}.chainmaker.org" for number in range(1, 11)]

    def test_files_and_modes(self, config, tmp_path):
        home = tmp_path / "crypto-config" / ORG
        pairs = [f"user/{name}/{name}" for name in ("admin1", "client1", "light1")] + ["node/consensus1/consensus1"]
        ends = ("sign.crt", "sign.key", "tls.crt", "tls.key")
        expected = {f"{pair}.{end}" for pair in pairs for end in ends} | {
            "ca/ca.crt",
            "ca/ca.key",
            "node/consensus1/consensus1.nodeid",
        }
        assert {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()} == expected
        assert [path.name for path in tmp_path.iterdir()] == ["crypto-config"]  # nothing left aside
        for path in (tmp_path / "crypto-config", *config.directory.rglob("*")):
            mode = path.stat().st_mode & 0o777
            assert path.suffix != ".key" or mode == 0o600
            assert not path.is_dir() or mode == 0o700

    def test_openssl_accepts_every_certificate(self, config):
        for organisation in config.organisations:
            certificates = list(organisation.directory.glob("*/*/*.crt"))
            assert len(certificates) == 8
            strict = ("-x509_strict", "-attime", int(NOW.timestamp()))
            answer = openssl("verify", *strict, "-CAfile", organisation.root_certificate, *certificates)
            assert answer.returncode == 0, answer.stderr
        foreign = openssl("verify", *strict, "-CAfile", config.organisations[0].root_certificate, certificates[0])
        assert foreign.returncode != 0

    def test_reads_back_what_it_made(self, config, tmp_path):
        assert read_crypto_config(tmp_path) == config
        assert read_crypto_config(tmp_path / "crypto-config") == config
        assert [each.org_id for each in config.organisations] == [ORG, "wx-org2.chainmaker.org"]
        first = config.organisations[0]
        assert first.root_certificate_pem == first.root_certificate.read_bytes()
        node = first.node()
        assert first.node_id == node.tls_certificate.with_name("consensus1.nodeid").read_text()
        names, addresses = alternative_names(certificate_of(node.tls_certificate.read_bytes()))
        assert (names[-1], addresses[-1]) == ("node.example.org", ip_address("10.1.2.3"))
        for name in ("admin1", "client1", "light1"):
            certificate = certificate_of(first.user(name).sign_certificate.read_bytes())
            assert f"OU={name[:-1]}" in subject_of(certificate)
        assert first.authority().certificate_pem == first.root_certificate_pem

    def test_never_overwrites(self, config, tmp_path):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
        with pytest.raises(LayoutError, match="exists, and its keys may be in use"):
            make_crypto_config(tmp_path, numbered_organisations(1), NOW)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before

    def test_failing_leaves_nothing(self, tmp_path):
        with pytest.raises(AuthorityError):
            make_crypto_config(tmp_path, numbered_organisations(1), NOW, ["no host"])
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "file").touch()
        for count, words in ((0, "at least one"), (1, "cannot write")):
            with pytest.raises(LayoutError, match=words):
                make_crypto_config(tmp_path / "file", numbered_organisations(count), NOW)

    def test_one_brought_along_may_lack_files_until_asked(self, config, tmp_path):
        home = config.directory / ORG
        for path in (home / "ca" / "ca.key", home / "user" / "client1" / "client1.tls.key"):
            path.unlink()
        shutil.rmtree(home / "user" / "light1")
        shutil.rmtree(home / "node")
        first = read_crypto_config(tmp_path).organisations[0]
        assert first.user("client1", tls=False).sign_key.exists()
        for ask, words in (
            (lambda: first.user("client1"), "client1.tls.key: No such file.*expected the TLS key of client1, PEM"),
            (lambda: first.user("light1"), "light1.sign.crt"),
            (first.node, "consensus1.sign.crt"),
            (first.authority, "ca.key.*private key, PEM"),
            (lambda: first.node_id, "consensus1.tls.crt"),
        ):
            with pytest.raises(LayoutError, match=words):
                ask()

    def test_what_cannot_be_read_is_named(self, config, tmp_path):
        root = config.organisations[0].root_certificate
        root.write_text("nonsense")
        with pytest.raises(LayoutError, match=r"ca\.crt: not a PEM certificate"):
            read_crypto_config(tmp_path)
        root.unlink()
        with pytest.raises(LayoutError, match=rf"{ORG}/ca/ca\.crt: No such file.*expected the root certificate"):
            read_crypto_config(tmp_path)
        with pytest.raises(LayoutError, match="expected a directory with one directory per organisation"):
            read_crypto_config(tmp_path / "nowhere")
        with pytest.raises(LayoutError, match="holds no organisation"):
            read_crypto_config(config.directory / ORG / "user" / "client1")

    def test_disagreeing_files_are_refused(self, config):
        first, second = config.organisations
        certificate = first.node().tls_certificate
        certificate.with_name("consensus1.nodeid").write_text(REAL_NODE_ID)
        with pytest.raises(LayoutError, match=f"says '{REAL_NODE_ID}', but"):
            _ = first.node_id
        certificate.write_text("nonsense")
        with pytest.raises(LayoutError, match="not a PEM certificate"):
            _ = first.node_id
        shutil.copy(second.directory / "ca" / "ca.key", first.directory / "ca" / "ca.key")
        with pytest.raises(LayoutError, match="does not belong"):
            first.authority()

    def test_client_and_node_meet_over_mutual_tls(self, tmp_path):
        made = make_crypto_config(tmp_path, numbered_organisations(2), datetime.now(UTC)).organisations
        node, user = made[0].node(), made[1].user("client1")
        roots = "".join(each.root_certificate_pem.decode() for each in made)
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=roots)
        server_side.verify_mode = ssl.CERT_REQUIRED
        server_side.load_cert_chain(node.tls_certificate, node.tls_key)
        client_side = ssl.create_default_context(cadata=roots)
        client_side.verify_flags |= ssl.VERIFY_X509_STRICT
        client_side.load_cert_chain(user.tls_certificate, user.tls_key)
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_side.wrap_bio(up, down, server_side=True)
        client = client_side.wrap_bio(down, up, server_hostname="chainmaker.org")
        for end in (server, client) * 4:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
        assert (("commonName", f"consensus1.tls.{ORG}"),) in client.getpeercert()["subject"]
        assert (("organizationalUnitName", "client"),) in server.getpeercert()["subject"]


READ_BY_SDK = """
import json, sys
from chainmaker import ChainClient
from chainmaker.protos.common.request_pb2 import Payload

client = ChainClient.from_conf(sys.argv[1])
endorsements = client._create_endorsers(Payload(chain_id=client.chain_id))
node, user, rpc, tls = client.node, client.user, client._rpc_client_config, client.user.tls_cert
print(json.dumps({
    "chain_id": client.chain_id,
    "user": [user.org_id, user.member_id, user.role, tls and tls.subject.rfc4514_string()[3:].split(",")[0]],
    "node": [node.node_addr, node.enable_tls, node.tls_host_name, node.trust_roots.decode()],
    "endorsers": [[user.org_id, user.member_id, user.role] for user in client.endorsers],
    "endorsements": [each.signer.org_id for each in endorsements if each.signature],
    "rest": [client.get_pkcs11_config().enabled, rpc.send_tx_timeout, rpc.get_tx_timeout, client._retry_limit],
}))
client.stop()
"""


class TestSdkConfig:
    def read_by_sdk(self, text, tmp_path):
        path = tmp_path / "sdk_config.yml"
        path.write_text(text, encoding="utf-8")
        command = [sys.executable, "-c", READ_BY_SDK, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @pytest.mark.parametrize("tls", [True, False])
    def test_official_sdk_accepts_it(self, config, tmp_path, tls):
        text = sdk_config_text(config, chain_id="chain1", node_address="127.0.0.1:12301", tls=tls)
        assert "official ChainMaker SDK for this chain" in text
        assert "长安链官方 SDK" in text
        seen = self.read_by_sdk(text, tmp_path)
        organisations = [each.org_id for each in config.organisations]
        roots = "".join(each.root_certificate_pem.decode() for each in config.organisations)
        assert seen == {
            "chain_id": "chain1",
            "user": [ORG, f"client1.sign.{ORG}", "CLIENT", f"client1.tls.{ORG}"],
            "node": ["127.0.0.1:12301", tls, "chainmaker.org", roots],
            "endorsers": [[org_id, f"admin1.sign.{org_id}", "ADMIN"] for org_id in organisations],
            "endorsements": organisations,
            "rest": [False, 60, 60, 90],
        }

    def test_paths_are_absolute_whatever_they_look_like(self, tmp_path, monkeypatch):
        odd = tmp_path / '长安 ${HOME} "q": # x'
        make_crypto_config(odd, numbered_organisations(1), NOW)
        monkeypatch.chdir(odd)
        config = read_crypto_config(Path())
        text = sdk_config_text(config, chain_id="1e5", node_address="[::1]:12301", tls=True, user="admin1")
        client = yaml.safe_load(text)["chain_client"]
        assert client["user_sign_key_file_path"] == str(odd / "crypto-config" / ORG / "user/admin1/admin1.sign.key")
        seen = self.read_by_sdk(text, tmp_path)
        assert (seen["chain_id"], seen["node"][0]) == ("1e5", "[::1]:12301")
        assert seen["user"][2] == "ADMIN"

    def test_keys_of_others_may_be_elsewhere(self, config, tmp_path):
        first, second = config.organisations
        shutil.rmtree(second.directory / "user")
        for path in first.directory.glob("user/*/*.tls.crt"):
            path.unlink()
        text = sdk_config_text(config, chain_id="c", node_address="a:1", tls=False)
        seen = self.read_by_sdk(text, tmp_path)
        assert [org_id for org_id, *_ in seen["endorsers"]] == [ORG]
        assert seen["user"][3] is None
        with pytest.raises(LayoutError, match=r"client1\.tls\.crt"):
            sdk_config_text(config, chain_id="c", node_address="a:1", tls=True)
        shutil.rmtree(first.directory / "user" / "admin1")
        with pytest.raises(LayoutError, match="one must endorse"):
            sdk_config_text(config, chain_id="c", node_address="a:1", tls=False)
