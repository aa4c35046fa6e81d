"""Runs `git` with fixed arguments, an environment of our own, and an end.

GitPython drives the process, but only its lowest call: `Git.execute` with an argument list. What it does
beyond that is not used, because it merges our whole environment into every child, expands `$VARIABLES` in
URLs, and its time limit looks for children with `ps`. So `env --unset` takes away every inherited name, URLs
are passed as they were checked, and the process leads a group of its own that is killed as one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.checkout.credential import Access
from app.domain.errors import GitUnavailable

_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LANGUAGE": "C",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TEMPLATE_DIR": "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.fileMode": "true",
    "core.symlinks": "true",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "transfer.fsckObjects": "true",
    "transfer.bundleURI": "false",
    # Three faults that old tools left in many honest histories; no harm can be done with them.
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "protocol.version": "2",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "credential.helper": "",
    "init.defaultBranch": "main",
    "gc.auto": "0",
    "maintenance.auto": "false",
}

_GRACE_SECONDS = 5.0
_KEPT_BYTES = 8192
_LOOKED_EVERY_SECONDS = 0.2  # for a request to stop


class _Process(Protocol):
    """A command of GitPython's, which knows the methods of a `Popen` by handing them on."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[bytes, bytes]: ...


def _git(folder: Path) -> Any:
    """Return GitPython's access to a folder; imported here, as a server without sources never needs it."""
    # GitPython looks for `git` when it is imported, and raises without one: who needs it says so, `find_git`.
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"  # noqa: TID251 - how that is told
    from git.cmd import Git

    return Git(str(folder))


def find_git() -> str:
    """Return the path of the `git` on this machine's PATH. Raises GitUnavailable."""
    program = shutil.which("git")
    if program is None:
        raise GitUnavailable("There is no git on the PATH of this machine: install the package git.")
    return program


class StopSignal(Protocol):
    """A signal that is set when nobody wants the outcome any more; a `threading.Event` is one."""

    def is_set(self) -> bool: ...


class GitStopped(GitUnavailable):
    """The command was ended, as nobody wants its outcome any more."""

    def __init__(self) -> None:
        super().__init__("Git was stopped.")


class TimeLimitPassed(GitUnavailable):
    """The command ran for longer than its limit and is gone, with all its children."""


@dataclass(frozen=True, slots=True)
class Output:
    status: int
    stdout: bytes
    stderr: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def line(self) -> str:
        return self.stdout.decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class GitCommand:
    """Starts every `git` that this program runs.

    `folder` is where it runs, a place no repository is found from. `max_file_bytes` bounds any one file it writes
    (a pack, a checked-out file). `stall_seconds` is how long an HTTP server may be slower than `lowSpeedLimit`.
    """

    folder: Path
    time_limit_seconds: float
    max_file_bytes: int
    stall_seconds: int = 30
    should_stop: StopSignal | None = None

    def __call__(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        transport: str = "none",
        access: Access | None = None,
        held: Sequence[int] = (),
        is_bounded: bool = True,
    ) -> Output:
        """Run `git *arguments` to its end.

        `transport` is the only protocol it may speak. `held` are lock descriptors the process inherits:
        should we be killed, the lock lasts until the orphan has ended too. What only reads needs not be bounded.
        Raises `TimeLimitPassed`,
        `GitStopped`, and `GitUnavailable` if there is no git.
        """
        access = access or Access()
        ours = _ENVIRONMENT | {
            "GIT_ALLOW_PROTOCOL": transport,
            "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
            **({"GIT_DIR": str(git_dir)} if git_dir else {}),
            **_config(*_SETTINGS.items(), ("http.lowSpeedTime", str(self.stall_seconds)), *access.config),
            **dict(access.environment),
            **(environment or {}),
        }
        process: _Process = _git(self.folder).execute(
            [*_unset_all_but(ours), *(self._bounds() if is_bounded else ()), find_git(), *arguments],
            env=ours,
            as_process=True,
            start_new_session=True,
            restore_signals=False,  # SIGXFSZ stays ignored: git then says "File too large" instead of dying
            pass_fds=tuple(held),
            umask=0o022,  # the modes of a work tree end up in images, whatever the server's own umask is
        )
        try:
            stdout, stderr = self._communicate(process)
        except BaseException as error:  # whatever ends the wait, the command doesn't outlive it
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                limit = f"{self.time_limit_seconds:g}"
                raise TimeLimitPassed(f"Git did not finish within {limit} seconds.") from None
            raise
        return Output(process.returncode, stdout, _ends_of(stderr).decode(errors="replace"))

    def is_stopped(self) -> bool:
        return self.should_stop is not None and self.should_stop.is_set()

    def _communicate(self, process: _Process) -> tuple[bytes, bytes]:
        """Return the command's output when it has ended. Raises TimeoutExpired or GitStopped."""
        if self.should_stop is None:
            return process.communicate(timeout=self.time_limit_seconds)
        gives_up_at = time.monotonic() + self.time_limit_seconds
        while True:
            try:
                return process.communicate(timeout=_LOOKED_EVERY_SECONDS)
            except subprocess.TimeoutExpired:
                if self.is_stopped():
                    raise GitStopped from None
                if time.monotonic() >= gives_up_at:
                    raise

    @property
    def orphan_limit_seconds(self) -> float:
        """The seconds after which `timeout` ends the command of a server that was killed; a living one ends it
        before.
        """
        return self.time_limit_seconds + _GRACE_SECONDS

    def _bounds(self) -> list[str]:
        limit = f"{self.orphan_limit_seconds:g}"
        return ["prlimit", f"--fsize={self.max_file_bytes}", "timeout", "--signal=KILL", limit]


def _ends_of(said: bytes) -> bytes:
    """Return the beginning and the end of what was said, which a Git server may make as long as it likes."""
    return said if len(said) <= 2 * _KEPT_BYTES else said[:_KEPT_BYTES] + b"\n" + said[-_KEPT_BYTES:]


def _config(*settings: tuple[str, str]) -> dict[str, str]:
    """Return settings as environment variables, which win over every file and are not in the list of processes."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _unset_all_but(ours: Mapping[str, str]) -> list[str]:
    inherited = os.environ  # noqa: TID251 - only the names, in order to take them away
    return ["env", *(f"--unset={name}" for name in inherited if name not in ours)]
