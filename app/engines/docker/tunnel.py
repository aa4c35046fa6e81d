"""The socket of an engine on another machine, brought here by ssh.

One `ssh` forwards it to a socket in a private directory, where everything that speaks to an engine finds it as it
would find its own machine's: the SDK, the CLI, shells. What ssh looks up for itself (the user's configuration, agent,
keys and `known_hosts`) counts, but for what the settings say.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from app.domain.errors import EngineUnavailable
from builders.private import private_directory

REMOTE_SOCKET = "/var/run/docker.sock"
CONNECT_SECONDS, READY_SECONDS = 5, 20.0
PAUSE_SECONDS = 1.0  # after a connection that failed, in which nobody tries again
_NOTICED_AFTER = ("ServerAliveInterval=5", "ServerAliveCountMax=3")  # 15 s without any sign of the machine
CLOSED = "The connection to the container engine is closed."
_ALIAS = "engine"  # what a pinned host key is found by
_TOLD = {
    "Host key verification failed": "its host key is not the known one. Compare it, and put it into known_hosts or"
    " JOBYARD_DOCKER_SSH_HOST_KEY",
    "Permission denied": "it takes no key of ours. Add our public key to authorized_keys there, or name another one by"
    " JOBYARD_DOCKER_SSH_KEY",
}


class Tunnel:
    """Opens when it is first needed, and again when it broke. `address` stays the same.

    `key` is the file of a private key to log in with, `host_key` the one key that the machine is known by, as in
    `known_hosts`; without them ssh's own are asked.
    """

    def __init__(self, url: str, key: Path | None = None, host_key: str = "") -> None:
        self.url = url
        self._key = key
        self._lock = threading.Lock()
        self._closing = contextlib.ExitStack()
        self._directory = self._closing.enter_context(private_directory())
        self._socket = self._directory / "docker.sock"
        self._said = self._directory / "ssh.log"
        self._known = self._directory / "known_hosts"
        self._known.write_text(f"{_ALIAS} {host_key}\n" if host_key else "")
        self._process: subprocess.Popen[bytes] | None = None
        self._failed_at = -PAUSE_SECONDS
        self._failure = ""

    @property
    def address(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The process of ssh, while there is one."""
        return self._process.pid if self._is_open() and self._process else None

    def open(self) -> None:
        """See that the socket is there. Raises EngineUnavailable."""
        if self._is_open():
            return
        with self._lock:
            if self._is_open():
                return
            if not self._directory.exists():
                raise EngineUnavailable(CLOSED)
            if time.monotonic() - self._failed_at >= PAUSE_SECONDS:
                self._failure = self._connect()
                self._failed_at = time.monotonic()
            if self._failure:
                raise EngineUnavailable(self._failure)

    def refused(self) -> str:
        """Return why the machine opened no connection to its engine's socket, in ssh's words, if it did not."""
        with self._lock:
            lines = [line for line in self._lines() if "open failed" in line] if self._is_open() else []
        return lines[-1].rpartition("open failed: ")[2] if lines else ""

    def close(self) -> None:
        with self._lock:
            self._end()
            self._closing.close()

    def _is_open(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _connect(self) -> str:
        """Return a sentence about what went wrong, or nothing."""
        self._end()
        with self._said.open("wb") as said:
            try:
                self._process = subprocess.Popen(
                    self._argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said
                )
            except OSError as error:
                return f"The container engine at {self.url} can't be reached: ssh can't be run ({error.strerror})."
        echo = _echo(self._process, READY_SECONDS)
        if echo:
            return ""
        self._end()
        why = f"no answer within {READY_SECONDS:.0f} s" if echo is None else self._why()
        return f"The machine of the container engine at {self.url} can't be reached by ssh: {why}."

    def _why(self) -> str:
        lines = self._lines() or ["ssh said nothing"]
        return next((told for words, told in _TOLD.items() if words in lines[-1]), lines[-1].rstrip("."))

    def _lines(self) -> list[str]:
        lines = self._said.read_text(errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def _argv(self) -> list[str]:
        """Return ssh's command line. Its command there echoes what it is sent, and so ends with this process."""
        parts = urlsplit(self.url)
        options = [
            "BatchMode=yes",
            f"ConnectTimeout={CONNECT_SECONDS}",
            "ControlMaster=no",
            "ControlPath=none",
            "ExitOnForwardFailure=yes",
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "StreamLocalBindUnlink=yes",
            "StrictHostKeyChecking=yes",
            *_NOTICED_AFTER,
            *self._own_identity(),
        ]
        return [
            "ssh",
            "-T",
            *(word for option in options for word in ("-o", option)),
            "-L",
            f"{self._socket}:{parts.path or REMOTE_SOCKET}",
            *_destination(parts),
            "cat",
        ]

    def _own_identity(self) -> list[str]:
        own = [f"IdentityFile={self._key}", "IdentitiesOnly=yes"] if self._key else []
        if self._known.stat().st_size:
            own += [
                f"HostKeyAlias={_ALIAS}",
                f"UserKnownHostsFile={self._known}",
                "GlobalKnownHostsFile=/dev/null",
            ]
        return own

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout)):
            with contextlib.suppress(OSError):
                pipe.close()


def _destination(parts: SplitResult) -> list[str]:
    user = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    return [*user, *port, "--", parts.hostname or ""]


def _echo(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Return what comes back of a line: then the socket is forwarded, and the machine has let us in. Nothing comes
    from a process that ends, and None if there is no answer in time.
    """
    told, heard = process.stdin, process.stdout
    assert told
    assert heard
    with contextlib.suppress(BrokenPipeError):
        told.write(b"\n")
        told.flush()
    poll = select.poll()
    poll.register(heard, select.POLLIN)
    return heard.read(1) if poll.poll(seconds * 1000) else None
