"""The wheel that `pip` makes: it has what an installation needs beside modules, and serves from an environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.project import ROOT
from tests.support.server import free_port
from tests.support.waiting import eventually

UP_SECONDS = 60.0


@dataclass(frozen=True)
class Wheel:
    file: Path
    source: Path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for part in ("app", "builders"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source)
    offline = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    command = (sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, source)
    subprocess.run(command, check=True)
    (made,) = folder.glob("jobyard-*.whl")
    return Wheel(made, source)


@pytest.fixture(scope="module")
def command(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`jobyard` of an environment that has the wheel alone; what it depends on is looked up in that of the tests."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    python = place / "bin/python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel.file)
    subprocess.run((sys.executable, "-m", "pip", "--python", python, *install), check=True)
    (libraries,) = place.glob("lib/python*/site-packages")
    (libraries / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin/jobyard"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory that has packages of its own with the names of ours."""
    for name in ("app", "builders"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('This is another one.')")
    return tmp_path


def settings(**more: str) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": ".", **more}


def test_the_wheel_has_types_templates_static_files_help_and_migrations(wheel: Wheel) -> None:
    with zipfile.ZipFile(wheel.file) as archive:
        held = set(archive.namelist())
    wanted = {
        path.relative_to(wheel.source).as_posix()
        for folder in ("app", "builders")
        for path in (wheel.source / folder).rglob("*")
        if path.is_file() and path.name not in ("README.md", "LICENSE") and "entry" not in path.parts
    }
    assert {"app/py.typed", "builders/py.typed", "app/web/help/rules.md"} <= wanted
    assert wanted - held == set()
    assert {"jobyard/__init__.py", "jobyard/__main__.py"} <= held


def test_the_licence_is_said_and_held(wheel: Wheel) -> None:
    with zipfile.ZipFile(wheel.file) as archive:
        (about,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = message_from_string(archive.read(about).decode())
        text = archive.read(f"{about.removesuffix('METADATA')}licenses/app/LICENSE").decode()
    assert said["License-Expression"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text


def test_it_serves_where_other_packages_have_its_names(command: Path, elsewhere: Path) -> None:
    port = free_port()
    data = {"JOBYARD_DATA": str(elsewhere / "data"), "JOBYARD_ENGINE": "process"}
    token = subprocess.run(
        (command, "admin", "token", "first"),
        cwd=elsewhere,
        env=settings(**data),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with (elsewhere / "log").open("wb") as log:
        server = subprocess.Popen(
            (command, "serve", "--port", str(port)),
            cwd=elsewhere,
            env=settings(**data),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:

            def is_ready() -> bool:
                try:
                    return http.get("/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(is_ready, UP_SECONDS)
            me = http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
    finally:
        server.terminate()
        server.wait()
    assert me["name"] == "first"
    assert "This is another one." not in (elsewhere / "log").read_text()


def test_the_module_is_the_same(command: Path, elsewhere: Path) -> None:
    done = subprocess.run(
        (command.parent / "python", "-m", "jobyard", "--version"),
        cwd=elsewhere,
        env=settings(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("jobyard ")
