"""The binary with all programs of the cluster, compiled once and kept outside of the repository."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).with_name("programs")
CACHE = Path.home() / ".cache" / "jobyard-kubernetes"
_VERSION = re.compile(r"^\tk8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)$", re.MULTILINE)


def version() -> str:
    """Return the version of Kubernetes, such as 1.34.4."""
    found = _VERSION.search((SOURCES / "go.mod").read_text())
    assert found
    return ".".join(found.groups())


def programs() -> Path:
    """Return the binary, which is compiled if it isn't there: half an hour on two cores, and 4 GiB of memory."""
    made = CACHE / f"programs-{_fingerprint()}"
    if not made.is_file():
        if shutil.which("go") is None:
            raise SystemExit("error: there is no go on this machine, which Kubernetes is compiled with")
        print(f"compiling Kubernetes {version()}, once: this takes half an hour", flush=True)
        _compile(made)
    return made


def _compile(made: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    major, minor, _ = version().split(".")
    about = "k8s.io/component-base/version"
    told = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X {about}.{name}={value}" for name, value in told.items())])
    draft = made.with_suffix(".draft")
    command = ["nice", "-n", "15", "go", "build", "-trimpath", "-ldflags", flags, "-o", str(draft), "."]
    subprocess.run(command, cwd=SOURCES, check=True, env={**os.environ, "GOFLAGS": "-buildvcs=false"})
    draft.rename(made)


def _fingerprint() -> str:
    files = (SOURCES / name for name in ("go.mod", "go.sum", "main.go"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
