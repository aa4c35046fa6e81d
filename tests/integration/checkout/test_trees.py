"""Work trees are changed by what changed, and mirrors that are damaged made again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.checkout import (
    Checkouts,
)
from app.domain.errors import GitUnavailable
from tests.support.checkouts import files_of
from tests.support.repositories import Repository


def test_a_one_line_change_rewrites_one_file(checkouts: Checkouts, repository: Repository) -> None:
    many = {f"many/{number}.txt": f"{number}\n" for number in range(300)}
    first = repository.commit(many)
    second = repository.commit({"many/7.txt": "seven\n"})
    checkouts.fetch(repository.url, sha=second, ref="main")
    with checkouts.tree(repository.url, first) as tree:
        before = {path: path.stat().st_mtime_ns for path in tree.rglob("*.txt")}
    with checkouts.tree(repository.url, second) as again:
        assert again == tree
        changed = {path for path in before if path.stat().st_mtime_ns != before[path]}
        assert changed == {tree / "many" / "7.txt"}
        assert (tree / "many" / "7.txt").read_text() == "seven\n"


def test_trees_of_one_repository_do_not_share_a_place(checkouts: Checkouts, repository: Repository) -> None:
    url, first = repository.url, repository.head
    second = repository.commit({"main.py": "print(2)\n"})
    checkouts.fetch(url, sha=second, ref="main")
    with checkouts.tree(url, first) as one, checkouts.tree(url, second) as two:
        assert one != two
        assert (one / "main.py").read_text() == "print(1)\n"
        assert (two / "main.py").read_text() == "print(2)\n"
    with checkouts.tree(url, second) as again:
        assert again == two, "the tree that is there already is taken"


def test_whatever_was_done_to_a_tree_is_undone(checkouts: Checkouts, repository: Repository) -> None:
    url, sha = repository.url, repository.head
    checkouts.fetch(url, sha=sha, ref="main")
    with checkouts.tree(url, sha) as tree:
        clean = files_of(tree)
        stat = (tree / "main.py").stat()
        (tree / "main.py").write_text("print(X)\n"[: stat.st_size])
        os.utime(tree / "main.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        (tree / "data" / "a.txt").unlink()
        (tree / "data" / "b.txt").unlink()
        (tree / "data" / "b.txt").symlink_to("/etc/passwd")
        (tree / ".gitignore").write_text("*\n")
        (tree / "left.log").write_text("x")
        (tree / "nested" / ".git").mkdir(parents=True)
        (tree / "nested" / "deep.txt").write_text("x")
    with checkouts.tree(url, sha) as tree:
        assert files_of(tree) == clean
        assert not (tree / "data" / "b.txt").is_symlink()
        assert {path.name for path in tree.iterdir()} == {"main.py", "data"}


def test_a_tree_whose_change_was_cut_short_is_made_anew(checkouts: Checkouts, repository: Repository) -> None:
    url, sha = repository.url, repository.head
    checkouts.fetch(url, sha=sha, ref="main")
    with checkouts.tree(url, sha) as tree:
        clean = files_of(tree)
    (tree.parent / "0.sha").unlink()
    (tree.parent / "0.index").write_bytes(b"DIRC garbage")
    (tree.parent / "0.index.lock").touch()
    (tree / "main.py").write_text("half")
    with checkouts.tree(url, sha) as tree:
        assert files_of(tree) == clean


def test_modes_do_not_depend_on_the_servers_umask(checkouts: Checkouts, repository: Repository) -> None:
    (repository.path / "run.sh").write_text("#!/bin/sh\n")
    (repository.path / "run.sh").chmod(0o755)
    sha = repository.commit({})
    held = os.umask(0o077)
    try:
        checkouts.fetch(repository.url, sha=sha, ref="main")
        with checkouts.tree(repository.url, sha) as tree:
            assert (tree / "run.sh").stat().st_mode & 0o777 == 0o755
            assert (tree / "main.py").stat().st_mode & 0o777 == 0o644
            assert (tree / "data").stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(held)
    assert checkouts.root.stat().st_mode & 0o777 == 0o700


def _corrupt_objects(mirror: Path) -> None:
    for path in (mirror / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"")


def _truncate_refs(mirror: Path) -> None:
    for path in (mirror / "refs").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def _remove_head(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


def _spoil_config(mirror: Path) -> None:
    (mirror / "config").write_text("[core\n")


@pytest.mark.parametrize("damage", [_corrupt_objects, _truncate_refs, _remove_head, _spoil_config])
def test_a_damaged_mirror_is_made_again(
    checkouts: Checkouts, repository: Repository, url: str, damage: object
) -> None:
    assert callable(damage)
    checkouts.fetch(url, sha=repository.head, ref="main")
    damage(_mirror(checkouts))
    second = repository.commit({"main.py": "print(2)\n"})
    assert checkouts.fetch(url, sha=second, ref="main") == second
    with checkouts.tree(url, second) as tree:
        assert (tree / "main.py").read_text() == "print(2)\n"


def test_damage_found_by_a_tree_heals_at_the_next_fetch(checkouts: Checkouts, repository: Repository) -> None:
    url, sha = repository.url, repository.head
    checkouts.fetch(url, sha=sha, ref="main")
    _corrupt_objects(_mirror(checkouts))
    with pytest.raises(GitUnavailable, match="damaged"), checkouts.tree(url, sha):
        pass
    checkouts.fetch(url, sha=sha, ref="main")
    with checkouts.tree(url, sha) as tree:
        assert (tree / "main.py").exists()


def test_locks_left_by_a_killed_git_are_removed(
    checkouts: Checkouts, repository: Repository, url: str
) -> None:
    checkouts.fetch(url, sha=repository.head, ref="main")
    mirror = _mirror(checkouts)
    second = repository.commit({"main.py": "print(2)\n"})
    proof = mirror / "refs" / "fetched" / "anybody" / f"{second}.lock"
    left = [proof, mirror / "config.lock", mirror / "HEAD.lock", mirror / "objects" / "pack" / "tmp_pack_x"]
    for path in left:
        path.touch()
    (mirror.parent / "mirror.unfinished").touch()
    assert checkouts.fetch(url, sha=second, ref="main") == second
    assert not [path for path in left if path.exists()]
    assert not (mirror.parent / "mirror.unfinished").exists()


def test_the_newest_fetches_are_remembered(
    checkouts: Checkouts, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.checkout.mirror.REMEMBERED", 2)
    shas = [repository.commit({"main.py": f"print({number})\n"}) for number in range(6)]
    for sha in shas:
        checkouts.fetch(repository.url, sha=sha, ref="main")
    proofs = {path.name for path in (_mirror(checkouts) / "refs" / "fetched" / "anybody").iterdir()}
    assert len(proofs) <= 4
    assert shas[-1] in proofs
    assert checkouts.fetch(repository.url, sha=shas[0], ref="main") == shas[0]


def _mirror(checkouts: Checkouts) -> Path:
    (found,) = checkouts.root.glob("*/mirror.git")
    return found
