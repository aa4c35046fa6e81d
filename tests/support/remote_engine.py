"""A container engine that is reached as one on another machine: over TLS, or through a real sshd on loopback."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.engines.docker import DockerEngine
from app.engines.docker.tunnel import Tunnel
from tests.support.engine_harness import utc_now
from tests.support.private_engine import NO_FILTER, PrivateEngine, private_engine
from tests.support.ssh_server import SshServer, ssh_server


class Authority:
    """Signs certificates for 127.0.0.1, as files called as the docker CLI calls them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, f"Authority {uuid4().hex} for tests")]
        )
        self._own = self._signed(self._name, self._key, is_authority=True, days=1)

    def write(self, folder: Path, *, days: int = 1) -> Path:
        """Make a directory with ca.pem, cert.pem and key.pem; negative `days` make a certificate that has expired."""
        folder.mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        certificate = self._signed(name, key, is_authority=False, days=days)
        pem = serialization.Encoding.PEM
        (folder / "ca.pem").write_bytes(self._own.public_bytes(pem))
        (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
        plain = serialization.NoEncryption()
        (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return folder

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool, days: int
    ) -> x509.Certificate:
        until = datetime.now(UTC) + timedelta(days=days)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=30))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )


@dataclass(frozen=True)
class TlsEngine:
    private: PrivateEngine
    url: str
    certificates: Path

    @property
    def settings(self) -> dict[str, str]:
        """What a server is told of it."""
        return {"docker_host": self.url, "docker_cert_path": str(self.certificates)}

    def connect(self, installation: str, epoch: str = "", certificates: Path | None = None) -> DockerEngine:
        return DockerEngine(
            url=self.url,
            certificates=certificates or self.certificates,
            installation=installation,
            clock=utc_now,
            epoch=epoch,
        )


@contextmanager
def tls_engine(folder: Path, *, days: int = 1) -> Iterator[TlsEngine]:
    """Yield an engine that wants a certificate, and has one for so many days itself."""
    authority = Authority()
    its_own, ours = authority.write(folder / "engine", days=days), authority.write(folder / "ours")
    flags = ["--tlsverify", f"--tlscacert={its_own}/ca.pem", f"--tlscert={its_own}/cert.pem"]
    flags += [f"--tlskey={its_own}/key.pem", "--host=fd://", *NO_FILTER]
    (folder / "root").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        with private_engine(folder / "root", live_restore=False, flags=flags, listening=listening) as private:
            yield TlsEngine(private, url, ours)


@dataclass(frozen=True)
class SshEngine:
    private: PrivateEngine
    server: SshServer
    key: Path
    host_key: str

    @property
    def url(self) -> str:
        return self.server.url(Path(self.private.url.removeprefix("unix://")))

    @property
    def settings(self) -> dict[str, str]:
        """What a server is told of it."""
        own = {"docker_ssh_key": str(self.key), "docker_ssh_host_key": self.host_key}
        return {"docker_host": self.url, **own}

    def tunnel(self) -> Tunnel:
        return Tunnel(self.url, self.key, self.host_key)

    def connect(self, installation: str, epoch: str = "", tunnel: Tunnel | None = None) -> DockerEngine:
        return DockerEngine(
            url=self.url,
            tunnel=tunnel or self.tunnel(),
            installation=installation,
            clock=utc_now,
            epoch=epoch,
        )


@contextmanager
def ssh_engine(folder: Path) -> Iterator[SshEngine]:
    """Yield an engine whose socket is on a machine that lets one key in, and that is known by its host key."""
    (folder / "root").mkdir(parents=True)
    with (
        ssh_server(folder / "sshd") as server,
        private_engine(folder / "root", live_restore=False) as private,
    ):
        key = folder / "key"
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
        subprocess.run(made, check=True)
        server.let_in(key.with_suffix(".pub").read_text().strip(), options="restrict,port-forwarding")
        yield SshEngine(private, server, key, server.take_host_key("first"))
