"""Trees that are deeper than recursion goes, or than any path can say."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engines.base import StartRefused
from app.engines.process.container import Container
from builders.backends.base import BuildFailed
from builders.backends.context import read_context
from builders.backends.ignoring import Ignore
from builders.trees import remove_tree


@pytest.fixture(autouse=True)
def leaves_nothing(tmp_path: Path) -> Iterator[None]:
    """That pytest could not remove."""
    yield
    remove_tree(tmp_path)


def make_deep(root: Path, levels: int) -> None:
    """Deeper than any one path can say."""
    root.mkdir(parents=True)
    at = os.open(root, os.O_DIRECTORY)
    for _ in range(levels):
        os.close(os.open("file", os.O_CREAT, dir_fd=at))
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_trees_of_any_depth_are_removed_and_links_not_followed(tmp_path: Path) -> None:
    make_deep(tmp_path / "tree", 2_100)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree/link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "tree")  # nothing is there
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def test_what_a_killed_removal_left_is_removed_by_the_next(tmp_path: Path) -> None:
    make_deep(tmp_path / ".tree.removing/moved", 20)
    make_deep(tmp_path / "tree", 20)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("directories", "sentence"),
    [(["d"] * 1_050, "more than 100 directories"), (["d" * 250] * 10, "more than 2,048 bytes")],
)
def test_a_tree_beyond_the_limits_fails_the_build_with_one_sentence(
    tmp_path: Path, directories: list[str], sentence: str
) -> None:
    for length in range(len(directories)):  # as `mkdir(parents=True)` is recursive
        Path(tmp_path, *directories[: length + 1]).mkdir()
    Path(tmp_path, *directories, "file").touch()
    with pytest.raises(BuildFailed, match=sentence):
        read_context(tmp_path, Ignore())


def test_an_image_that_is_too_deep_to_be_copied_does_not_start(tmp_path: Path) -> None:
    make_deep(tmp_path / "image", 1_050)
    spec = {"argv": ["true"], "env": {}, "labels": {}}
    (tmp_path / "engine").mkdir()
    with pytest.raises(StartRefused, match="more than 200 directories within one another"):
        Container.make(tmp_path / "engine", "run-1-1-0", spec, tmp_path / "image")
    assert list((tmp_path / "engine").iterdir()) == []
