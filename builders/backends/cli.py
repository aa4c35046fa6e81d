"""Which program on this machine can build with BuildKit, and how it is called."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from builders.backends.base import BackendUnavailable

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLUGIN_PATH = ":".join(
    f"{each}/docker/cli-plugins"
    for each in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)
LAST_WITH_BUILDKIT_INSIDE = 22
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Cli:
    """A client that can build: `argv` begins a build, `is_buildx` tells the two dialects apart."""

    argv: tuple[str, ...]
    is_buildx: bool


@lru_cache
def find_cli(search_path: str = SEARCH_PATH, plugin_path: str = PLUGIN_PATH) -> Cli:
    """Return the plugin buildx itself, else the first `docker` of `search_path` that has it, else the first up to
    release 22.

    Later releases lost BuildKit to the plugin, so the first `docker` found may well be of no use; and the plugin needs
    none. Raises BackendUnavailable. Asks no engine.
    """
    for program in _files(plugin_path, "docker-buildx"):
        if _answer(program, "version") is not None:
            return Cli((program, "build", "--load"), is_buildx=True)
    docker = _files(search_path, "docker")
    for program in docker:
        if _answer(program, "buildx", "version") is not None:
            return Cli((program, "buildx", "build", "--load"), is_buildx=True)
    for program in docker:
        version = re.search(r"version (\d+)\.", _answer(program, "--version") or "")
        if version and int(version[1]) <= LAST_WITH_BUILDKIT_INSIDE:
            return Cli((program, "build"), is_buildx=False)
    raise BackendUnavailable(
        "No docker CLI here can build with BuildKit. Install its plugin buildx, or Debian's docker.io."
        if docker
        else "Nothing here can build with BuildKit. Install Docker's plugin buildx, or Debian's docker.io."
    )


def _files(directories: str, name: str) -> list[str]:
    return [str(path) for each in directories.split(":") if (path := Path(each, name)).is_file()]


def _answer(program: str, *arguments: str) -> str | None:
    environment: Mapping[str, str] = {"PATH": SEARCH_PATH, "HOME": "/nonexistent"}
    try:
        done = subprocess.run(
            (program, *arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
