"""What the machine itself has to build and run a language with."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builders.backends.base import BuildFailed
from builders.backends.cli import SEARCH_PATH
from builders.plan import BuildPlan

ANSWER_SECONDS = 20
TRUSTED_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Toolchain:
    """A language's programs. `names` is what they are called in commands, whatever they are here; `env` is for
    building.
    """

    title: str
    programs: tuple[str, ...]
    version: tuple[str, ...]
    names: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


TOOLCHAINS = {
    "python": Toolchain(
        "Python", ("python{wanted}", "python3"), ("--version",), ("python", "python3"), {"PIP_NO_INPUT": "1"}
    ),
    "node": Toolchain("Node.js", ("node",), ("--version",)),
    # The module cache can be removed by whoever made it.
    "go": Toolchain("Go", ("go",), ("version",), env={"GOFLAGS": "-modcacherw"}),
}


@dataclass(frozen=True)
class Found:
    """A toolchain of this machine; `note` says what a reader of the log should know about its version."""

    program: Path
    version: str
    names: tuple[str, ...]
    env: Mapping[str, str]
    note: str


def find_toolchain(plan: BuildPlan, search_path: str = SEARCH_PATH) -> Found | None:
    """Return what the plan's language needs; None if it needs nothing of its own. Raises BuildFailed."""
    wanted = TOOLCHAINS.get(plan.runtime)
    if wanted is None:
        return None
    program = next(
        (found for name in wanted.programs if (found := _which(name, plan, search_path))),
        _own_python() if plan.runtime == "python" else None,
    )
    if program is None:
        raise BuildFailed(
            f"There is no {wanted.title} on this machine (looked in {search_path}): install it, "
            "or set JOBYARD_ENGINE=docker."
        )
    version = _version(program, wanted.version)
    return Found(program, version, wanted.names, wanted.env, _note(wanted.title, plan.version, version))


def machine_trust() -> dict[str, str]:
    """Return variables by which tools that bring certificates of their own trust what the machine trusts."""
    if not TRUSTED_ROOTS.is_file():
        return {}
    return {"SSL_CERT_FILE": str(TRUSTED_ROOTS), "NODE_EXTRA_CA_CERTS": str(TRUSTED_ROOTS)}


def _which(name: str, plan: BuildPlan, search_path: str) -> Path | None:
    found = shutil.which(name.format(wanted=plan.version or "3"), path=search_path)
    return Path(found) if found else None


def _own_python() -> Path | None:
    """Return the Python this process runs on, which may lie where no search path leads."""
    program = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return program if program.is_file() else None


def _version(program: Path, question: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            (program, *question),
            env={"PATH": SEARCH_PATH, "HOME": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _note(title: str, wanted: str | None, version: str) -> str:
    if wanted is None or f"{version}.".startswith(f"{wanted}."):
        return f"Uses {title} {version} of this machine."
    return f"The plan is for {title} {wanted}, but this machine has {version}: that is used."
