"""Which container CLI on this machine can build with BuildKit, and how it is called."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from builders.backends.base import BackendUnavailable

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LAST_WITH_BUILDKIT_INSIDE = 22
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Cli:
    """A client that can build: `argv` begins a build, `is_buildx` tells the two dialects apart."""

    argv: tuple[str, ...]
    is_buildx: bool


@lru_cache
def find_cli(search_path: str = SEARCH_PATH) -> Cli:
    """Return the first `docker` of `search_path` with a working buildx, else the first up to release 22.

    Later releases lost BuildKit to the buildx plugin, so the first `docker` found may well be of no use. Raises
    BackendUnavailable. Asks no engine.
    """
    docker = [
        str(path) for directory in search_path.split(":") if (path := Path(directory, "docker")).is_file()
    ]
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
        else "There is no docker CLI here. Install docker.io, or Docker with its buildx plugin."
    )


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
