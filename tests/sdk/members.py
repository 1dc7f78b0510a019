"""Who speaks to the chain: the clients of a configuration, and members that are made for the run."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

from certificates import P256, SM2, holds, issue, make_authority, public_pem
from chainmaker import ChainClientWithEndorsers
from chainmaker.protos.common.request_pb2 import EndorsementEntry
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.user import User
from chainmaker.utils import file_utils
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

SYNC_S = 10  # the SDK asks for a transaction's result in a busy loop; so long at most
CERTIFICATES, KEYS, PUBLIC = "permissionedWithCert", "permissionedWithKey", "public"
"""The identity modes, as the SDK's configuration names them."""
STRANGERS = "wx-org9.chainmaker.org"
"""An organisation that is not of the chain, unless a row takes it in."""


class Traced:
    """A client that notes which of its methods a row of the table really called."""

    def __init__(self, client: ChainClientWithEndorsers, called: set[str]) -> None:
        self.__dict__.update(_client=client, _called=called)

    def __getattr__(self, name: str):
        self._called.add(name)
        return getattr(self._client, name)

    def __setattr__(self, name: str, value) -> None:
        setattr(self._client, name, value)


def done(answer: TxResponse) -> TxResponse:
    """Return the answer to a request that succeeded."""
    assert (answer.code, answer.contract_result.code) == (0, 0), answer
    return answer


class Members:
    """The client of the configuration, and whoever else a row needs."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.called: set[str] = set()
        self._settings = file_utils.load_yaml(config)
        self._user = user = self._settings["chain_client"]
        self.mode = user.get("auth_type", CERTIFICATES)
        self.national = user.get("crypto", {}).get("hash") == "SM3"
        self.algorithm = SM2 if self.national else P256
        self._scratch = tempfile.TemporaryDirectory(prefix="sdk-conformance-")
        self._members: dict[str, Traced] = {}
        self.real = self._client(self.settings())
        assert self.real.addr_type.name == ("ZXL" if self.national else "ETHEREUM")  # asked first, `address` is right
        self.cc = Traced(self.real, self.called)
        self.endorsers_config = self._settings["chain_client"]["endorsers"]
        self.lonely = self._lonely()
        self.ca_cert, self.ca_key = self._authority()

    def close(self) -> None:
        self.real.stop()
        self.lonely.stop()
        for member in self._members.values():
            member._client.stop()
        self._scratch.cleanup()

    def settings(self) -> dict:
        """Return the configuration as a dictionary of its own, for the SDK takes keys out of what it is given."""
        return copy.deepcopy(self._settings)

    def _client(self, settings: dict) -> ChainClientWithEndorsers:
        client = ChainClientWithEndorsers.from_conf(settings)
        client.disable_log()
        client._retry_timeout = SYNC_S
        return client

    @property
    def certificate(self) -> x509.Certificate:
        """The client's certificate, on a chain of certificates."""
        return x509.load_pem_x509_certificate(Path(self._user["user_sign_crt_file_path"]).read_bytes())

    @property
    def public_pem(self) -> bytes:
        """The public half of the client's key, read by OpenSSL and not by the SDK."""
        return public_pem(Path(self._user["user_sign_key_file_path"]))

    @property
    def org(self) -> str:
        """The client's organisation, empty on a public chain."""
        return self._user.get("org_id", "")

    def organisation(self) -> str | None:
        """Return what the client has to say of its organisation: what its certificate says, where it has one."""
        if self.mode != CERTIFICATES:
            return self.org or None
        return self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value

    def member(self, name: str, *, registered: bool = True) -> Traced:
        """Return a client with a key of its own, made for this run, that may speak on the chain once it is registered."""
        if name not in self._members:
            settings = self.settings()
            certificate, key = self.issue(name)
            settings["chain_client"]["user_sign_key_file_path"] = str(key)
            if self.mode == CERTIFICATES:
                settings["chain_client"]["user_sign_crt_file_path"] = str(certificate)
            self._members[name] = Traced(self._client(settings), self.called)
            if self.mode == KEYS and registered:
                done(self.real.add_pubkey(self._members[name]._client.public_bytes.decode(), self.org, "CLIENT"))
        return self._members[name]

    def admin(self) -> Traced:
        """Return a client that is the first administrator, who may send what client1 may not."""
        if "admin" not in self._members:
            settings = self.settings()
            settings["chain_client"].update(settings["chain_client"]["endorsers"][0])
            self._members["admin"] = Traced(self._client(settings), self.called)
        return self._members["admin"]

    def authority(self) -> str:
        """Return the trust root of STRANGERS (PEM), made for this run: an authority's certificate, or the stranger's key."""
        if self.mode == KEYS:
            return self.stranger()._client.public_bytes.decode()
        return self.strangers_authority()[0].read_text()

    def stranger(self) -> Traced:
        """Return a member of STRANGERS."""
        if "stranger" not in self._members:
            settings = self.settings()
            client = settings["chain_client"]
            certificate, key = self.strangers_files()
            client.update(org_id=STRANGERS, user_sign_key_file_path=str(key))
            if self.mode == CERTIFICATES:
                client.update(user_sign_crt_file_path=str(certificate))
            self._members["stranger"] = Traced(self._client(settings), self.called)
        return self._members["stranger"]

    def strangers_files(self) -> tuple[Path, Path]:
        """Return the files of the stranger's certificate and key."""
        made_at = Path(self._scratch.name) / "stranger"
        return issue(made_at, "stranger", STRANGERS, self.strangers_authority(), self.algorithm)

    def strangers_authority(self) -> tuple[Path, Path]:
        """Return the files of the certificate and key of the authority of STRANGERS."""
        return make_authority(Path(self._scratch.name) / "strangers-ca", STRANGERS, self.algorithm)

    def _lonely(self) -> ChainClientWithEndorsers:
        settings = self.settings()
        del settings["chain_client"]["endorsers"]
        return self._client(settings)

    def _authority(self) -> tuple[Path, Path]:
        """Return the files of the client's authority; where members are keys, of one whose certificates nobody looks at."""
        if self.mode != CERTIFICATES:
            return self.strangers_authority()
        of_tls = Path(self._user["nodes"][0]["trust_root_paths"][0])
        return of_tls.with_name("ca") / "ca.crt", of_tls.with_name("ca") / "ca.key"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new client certificate and its key."""
        authority = (self.ca_cert, self.ca_key)
        return issue(Path(self._scratch.name) / name, name, self.org, authority, self.algorithm)

    def fingerprint(self, name: str) -> str:
        """Return the digest under which the chain knows a member's certificate, computed here and not by the SDK."""
        return x509.load_pem_x509_certificate(self.pem(name).encode()).fingerprint(self.digest).hex()

    @property
    def digest(self) -> hashes.HashAlgorithm:
        return hashes.SM3() if self.national else hashes.SHA256()

    def pem(self, name: str) -> str:
        return self.issue(name)[0].read_text()

    def accepted(self, member: Traced) -> bool:
        """Whether the node lets this member ask; not when its certificate is frozen or revoked."""
        try:
            member._client.get_chain_info()
        except Exception as error:
            if "authentication failed" in str(error):
                return False
            raise
        return True

    def trust_root(self) -> str:
        """Return the trust root of the client's organisation (PEM): its authority's certificate, or its administrator's key."""
        return self.ca_cert.read_text() if self.mode == CERTIFICATES else self.administrator(1).public_bytes.decode()

    def administrator(self, number: int) -> User:
        """Return the administrator of the organisation with this number, from 1 on."""
        return self.real.endorsers[number - 1]

    def signed(self, entry: EndorsementEntry, message: bytes) -> bool:
        """Whether the client of the configuration signed these bytes."""
        key, scratch = Path(self._user["user_sign_key_file_path"]), Path(self._scratch.name)
        return entry.signer.org_id == self.org and holds(key, message, entry.signature, self.algorithm, scratch)
