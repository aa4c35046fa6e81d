"""The wheel that `pip` makes holds what an installation needs beside modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.project import ROOT


def test_the_wheel_has_types_templates_static_files_help_and_migrations(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in ("app", "builders"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source)
    wheel = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    )
    subprocess.run((*wheel, "--wheel-dir", tmp_path, source), check=True)
    (made,) = tmp_path.glob("jobyard-*.whl")
    with zipfile.ZipFile(made) as archive:
        held = set(archive.namelist())
    wanted = {
        path.relative_to(source).as_posix()
        for folder in ("app", "builders")
        for path in (source / folder).rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert {"app/py.typed", "builders/py.typed", "app/web/help/rules.md"} <= wanted
    assert wanted - held == set()
