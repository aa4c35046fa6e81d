"""Where the container engine is, as the CLI and a connection of our own are told."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_URL = "unix:///var/run/docker.sock"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class DockerHost:
    """`url` as the CLI takes it; None is its default. `certificates` is the directory with `ca.pem`, `cert.pem` and
    `key.pem` for an engine that is spoken to over TLS.
    """

    url: str | None = None
    certificates: Path | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the CLI's variables for it."""
        host = {"DOCKER_HOST": self.url} if self.url else {}
        if self.certificates is None:
            return host
        return {**host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(self.certificates)}

    @property
    def can_be_asked(self) -> bool:
        return urlsplit(self.url or DEFAULT_URL).scheme in ("unix", "tcp")

    def connection(self, seconds: float | None) -> http.client.HTTPConnection:
        """Return a connection that is not open yet, and waits so long for an answer; None is for ever.

        Raises OSError for certificates that can't be read.
        """
        parts = urlsplit(self.url or DEFAULT_URL)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, seconds)
        host = parts.hostname or ""
        if self.certificates is None:
            return http.client.HTTPConnection(host, parts.port or 2375, timeout=seconds)
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        context.load_cert_chain(self.certificates / "cert.pem", self.certificates / "key.pem")
        return http.client.HTTPSConnection(host, parts.port or 2376, timeout=seconds, context=context)
