"""Repositories that are made to run something, to write elsewhere, or to take all the room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.checkout import Checkouts, FetchRefused
from builders.trees import remove_tree
from tests.support.git_server import GitServer
from tests.support.repositories import Repository

ALLOW = frozenset({"file", "http"})


def test_filters_and_lfs_are_not_run(checkouts: Checkouts, repository: Repository, canary: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    repository.git("config", "filter.evil.smudge", f"touch {canary}")
    sha = repository.commit(
        {".gitattributes": "*.bin filter=lfs\n*.evil filter=evil\n", "a.bin": pointer, "b.evil": "b"}
    )
    checkouts.fetch(repository.url, sha=sha, ref="main")
    with checkouts.tree(repository.url, sha) as tree:
        assert (tree / "a.bin").read_text() == pointer
        assert (tree / "b.evil").read_text() == "b"


def test_submodules_are_empty_folders(
    checkouts: Checkouts, repository: Repository, server: GitServer, canary: Path
) -> None:
    sha = _with_submodule(repository, f"ext::sh -c touch% {canary}")
    url = server.url("report/.git")
    checkouts.fetch(url, sha=sha, ref="main")
    with checkouts.tree(url, sha) as tree:
        assert list((tree / "sub").iterdir()) == []
    assert all("/report/" in request for request in server.requests)


def test_a_submodule_that_is_an_option_is_refused(checkouts: Checkouts, repository: Repository) -> None:
    sha = _with_submodule(repository, "-u./payload")
    with pytest.raises(FetchRefused, match="gitmodulesUrl"):
        checkouts.fetch(repository.url, sha=sha, ref="main")


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".g\u200cit", ".."])
def test_a_tree_that_would_write_into_git_is_refused(
    checkouts: Checkouts, repository: Repository, name: str
) -> None:
    sha = _commit_tree(repository, name)
    with pytest.raises(FetchRefused):
        checkouts.fetch(repository.url, sha=sha, ref="main")


def test_an_escaping_link_stays_a_link_and_nothing_is_written_through_it(
    checkouts: Checkouts, repository: Repository, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file.txt").write_text("theirs")
    (repository.path / "data").symlink_to(outside)
    linked = repository.commit({})
    (repository.path / "data").unlink()
    replaced = repository.commit({"data/file.txt": "ours"})
    url = repository.url
    checkouts.fetch(url, sha=replaced, ref="main")
    with checkouts.tree(url, linked) as tree:
        assert (tree / "data").readlink() == outside
    with checkouts.tree(url, replaced) as tree:
        assert not (tree / "data").is_symlink()
        assert (tree / "data" / "file.txt").read_text() == "ours"
    (tree / "data" / "file.txt").unlink()
    (tree / "data").rmdir()
    (tree / "data").symlink_to(outside)
    with checkouts.tree(url, replaced) as tree:
        assert (tree / "data" / "file.txt").read_text() == "ours"
    with checkouts.tree(url, linked):
        pass
    assert (outside / "file.txt").read_text() == "theirs"
    assert [path.name for path in outside.iterdir()] == ["file.txt"]


def test_a_repository_beyond_the_limit_names_it(repository: Repository, tmp_path: Path) -> None:
    small = Checkouts(tmp_path / "small", ALLOW, max_file_bytes=1024**2)
    sha = repository.commit({f"{number}.bin": os.urandom(5000).hex() for number in range(400)})
    with pytest.raises(FetchRefused, match="more than the 1 MiB"):
        small.fetch(repository.url, sha=sha, ref="main")


def test_a_file_that_unpacks_beyond_the_limit_is_refused(repository: Repository, tmp_path: Path) -> None:
    small = Checkouts(tmp_path / "small", ALLOW, max_file_bytes=1024**2)
    sha = repository.commit({"bomb.txt": "0" * 3 * 1024**2})
    small.fetch(repository.url, sha=sha, ref="main")
    with pytest.raises(FetchRefused), small.tree(repository.url, sha):
        pass


def commit_as(repository: Repository, path: str) -> str:
    """`main.py` under another path, which need not be one that a work tree can have."""
    repository.git(
        "update-index", "--add", "--cacheinfo", f"100644,{repository.git('rev-parse', 'HEAD:main.py')},{path}"
    )
    return repository.commit_staged()


@pytest.fixture
def deep(checkouts: Checkouts) -> Iterator[Checkouts]:
    """For trees that pytest can't remove."""
    yield checkouts
    remove_tree(checkouts.root)


def test_a_deep_tree_that_a_killed_server_left_is_made_anew(deep: Checkouts, repository: Repository) -> None:
    """1,050 levels, more than recursion goes down."""
    sha = commit_as(repository, "/".join(["d"] * 1_050 + ["main.py"]))
    deep.fetch(repository.url, sha=sha, ref="main")
    for _ in range(2):
        with deep.tree(repository.url, sha) as tree:
            assert len(list(tree.glob("d/d/d"))) == 1
        for mark in deep.root.glob("*/trees/*.sha"):
            mark.unlink()


def test_a_path_that_is_too_long_for_the_system_is_told(deep: Checkouts, repository: Repository) -> None:
    sha = commit_as(repository, "/".join(["d" * 200] * 25))
    deep.fetch(repository.url, sha=sha, ref="main")
    with (
        pytest.raises(FetchRefused, match="a path that is longer than the 4,096 bytes"),
        deep.tree(repository.url, sha),
    ):
        pass


def _with_submodule(repository: Repository, url: str) -> str:
    (repository.path / ".gitmodules").write_text(f'[submodule "sub"]\n\tpath = sub\n\turl = {url}\n')
    repository.git("add", ".gitmodules")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    return repository.commit_staged()


def _commit_tree(repository: Repository, name: str) -> str:
    """A commit with a tree that no honest Git writes."""
    blob = repository.git("rev-parse", "HEAD:main.py")
    entry = b"100644 config\0" + bytes.fromhex(blob)
    inner = _write_object(repository, entry)
    outer = _write_object(repository, b"40000 " + name.encode() + b"\0" + bytes.fromhex(inner))
    sha = repository.git("commit-tree", "-p", "HEAD", "-m", "Hostile", outer)
    repository.git("update-ref", "refs/heads/main", sha)
    return sha


def _write_object(repository: Repository, content: bytes) -> str:
    command = ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    done = subprocess.run(command, cwd=repository.path, input=content, capture_output=True, check=True)
    return done.stdout.decode().strip()
