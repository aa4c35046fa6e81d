"""Health checks as a job defines them: what is asked, by which protocol, and how often."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from app.domain.job.commands import Command, argv


class CheckType(enum.StrEnum):
    STARTUP = "startup"  # until it has passed, the container is starting and liveness is not asked
    LIVENESS = "liveness"  # for as long as the container runs


class Protocol(enum.StrEnum):
    HTTP = "http"  # a GET answered by 200 to 399; redirects are answers, not followed
    TCP = "tcp"  # a connection that is accepted
    CMD = "cmd"  # a command in the container that exits 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTimes:
    """How often a check is asked, and how many answers in a row count; all times are in seconds."""

    initial_delay_seconds: int = 10
    period_seconds: int = 10
    timeout_seconds: int = 5
    failure_threshold: int = 3
    success_threshold: int = 1


@dataclass(frozen=True, slots=True)
class HttpCheck(CheckTimes):
    """A GET of `path` at `port`."""

    protocol: ClassVar = Protocol.HTTP

    type: CheckType
    path: str
    port: int

    @property
    def words(self) -> str:
        """Return what is asked, for people."""
        return f"GET {self.path} at port {self.port}"


@dataclass(frozen=True, slots=True)
class TcpCheck(CheckTimes):
    """A connection to `port`."""

    protocol: ClassVar = Protocol.TCP

    type: CheckType
    port: int

    @property
    def words(self) -> str:
        """Return what is asked, for people."""
        return f"a connection to port {self.port}"


@dataclass(frozen=True, slots=True)
class CommandCheck(CheckTimes):
    """A command in the container."""

    protocol: ClassVar = Protocol.CMD

    type: CheckType
    cmd: Command

    @property
    def argv(self) -> tuple[str, ...]:
        return argv(self.cmd)

    @property
    def words(self) -> str:
        """Return what is asked, for people."""
        return f"the command {' '.join(self.argv)!r}"


Check = HttpCheck | TcpCheck | CommandCheck
