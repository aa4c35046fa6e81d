"""An installation to look at, empty or furnished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo_world import Demo, furnish
from tests.support.seed import World, world
from tests.support.visiting import NOW


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty installation, to be copied."""
    root = tmp_path_factory.mktemp("bare")
    with world(root):
        return root


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Demo]:
    """The demonstration world, to be copied."""
    root = tmp_path_factory.mktemp("furnished")
    with world(root) as each:
        return root, furnish(each, NOW)


@pytest.fixture
def demo(furnished: tuple[Path, Demo]) -> Demo:
    """Asking for it furnishes `made`."""
    return furnished[1]


@pytest.fixture
def made(tmp_path: Path, bare: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    template = request.getfixturevalue("furnished")[0] if "demo" in request.fixturenames else bare
    root = shutil.copytree(template, tmp_path / "data")
    with world(root) as each:
        yield each
