"""What runs containers, and where it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from app.config.group import Group
from app.domain.errors import UserError
from app.domain.host_keys import read_key

_HOST = re.compile(r"unix:///.+|tcp://[^/@]+:[0-9]+/?|ssh://[^/:]+(?::[0-9]+)?(?:/.+)?")
_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")


def _docker_host(value: str | None) -> str | None:
    if value and not (_HOST.fullmatch(value) and _has_machine(value)):
        raise ValueError(
            "must be unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, which may end with :PORT and /PATH"
        )
    return value or None


def _has_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "unix" or bool(parts.hostname and parts.port != 0)
    except ValueError:
        return False


def _certificates(value: Path | None) -> Path | None:
    missing = [name for name in _CERTIFICATES if value and not (value / name).is_file()]
    if missing:
        raise ValueError(
            f"must be a directory with {', '.join(_CERTIFICATES)}; it has no {' and no '.join(missing)}"
        )
    return value


def _key_file(value: Path | None) -> Path | None:
    if value and not value.is_file():
        raise ValueError("must be the file of a private key; there is no such file")
    return value


def _host_key(value: str) -> str:
    return str(read_key(value)) if value else ""


class EngineSettings(Group):
    engine: Literal["docker", "process", "swarm", "kubernetes"] = Field(
        default="docker",
        description="docker; swarm, its nodes; kubernetes, a cluster; process, without isolation, for trying out and"
        " trusted code",
    )
    docker_host: Annotated[str | None, AfterValidator(_docker_host)] = Field(
        default=None,
        description="where the engine, or a manager of the Swarm, is: unix:///var/run/docker.sock, tcp://HOST:2376 or ssh://USER@HOST",
    )
    docker_cert_path: Annotated[Path | None, AfterValidator(_certificates)] = Field(
        default=None,
        description="a directory with ca.pem, cert.pem and key.pem, for an engine at tcp:// over TLS",
    )
    docker_ssh_key: Annotated[Path | None, AfterValidator(_key_file)] = Field(
        default=None, description="the private key for an engine at ssh://; else those that ssh finds"
    )
    docker_ssh_host_key: Annotated[str, AfterValidator(_host_key)] = Field(
        default="",
        description="the host key of an engine's machine at ssh://, e.g. ssh-ed25519 AAAA…; else that of known_hosts",
    )

    def require_one_way(self) -> None:
        """Raise UserError for what is set for another kind of address than the engine's."""
        given = self.docker_host or ""
        for name, prefix in (
            ("docker_cert_path", "tcp://"),
            ("docker_ssh_key", "ssh://"),
            ("docker_ssh_host_key", "ssh://"),
        ):
            if getattr(self, name) and not given.startswith(prefix):
                raise UserError(
                    f"JOBYARD_{name.upper()} is for a JOBYARD_DOCKER_HOST that begins with {prefix}."
                )

    @property
    def docker_options(self) -> tuple[str, ...]:
        """Return what tells the docker CLI where the engine is."""
        host = ("--host", self.docker_host) if self.docker_host else ()
        if self.docker_cert_path is None:
            return host
        files = zip(("--tlscacert", "--tlscert", "--tlskey"), _CERTIFICATES, strict=True)
        return (*host, "--tlsverify", *(f"{option}={self.docker_cert_path / name}" for option, name in files))

    @property
    def is_engine_in_the_clear(self) -> bool:
        return (
            self.engine in ("docker", "swarm")
            and (self.docker_host or "").startswith("tcp:")
            and not self.docker_cert_path
        )

    kubernetes_namespace: str = Field(
        default="jobyard-runs",
        description="where the engine kubernetes runs jobs; nothing else should be in it",
    )

    @property
    def has_local_engine(self) -> bool:
        """Whether the engine is on this machine, as far as its address says."""
        return self.docker_host is None or self.docker_host.startswith("unix:")
