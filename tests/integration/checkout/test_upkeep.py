"""Mirrors become one pack now and then, and go when nobody has used them for long; what is in use is left alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.checkout import Checkouts, upkeep
from app.checkout.locks import try_lock
from app.checkout.upkeep import UNUSED_MIRROR_SECONDS, UNUSED_TREE_SECONDS, Tended
from tests.support.checkouts import files_of
from tests.support.repositories import Repository


def packs(checkouts: Checkouts) -> list[Path]:
    return list(checkouts.root.glob("*/mirror.git/objects/pack/*.pack"))


def later(seconds: float) -> float:
    return time.time() + seconds


def tended(checkouts: Checkouts, now: float) -> Tended:
    (done,) = checkouts.tend(now)
    return done


def test_many_packs_become_one_and_every_commit_is_still_there(
    checkouts: Checkouts, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_PACKS", 3)
    shas = [repository.head]
    checkouts.fetch(repository.url, sha=shas[-1], ref="main")
    for number in range(4):
        many = {f"{number}/{each}.txt": f"{number} {each}\n" for each in range(150)}  # fewer are unpacked
        shas.append(repository.commit(many))
        checkouts.fetch(repository.url, sha=shas[-1], ref="main")
    assert len(packs(checkouts)) > 3
    assert tended(checkouts, later(0)) == Tended(repacked=1)
    assert len(packs(checkouts)) == 1
    assert tended(checkouts, later(0)) == Tended()
    for sha in shas:
        with checkouts.tree(repository.url, sha) as tree:
            assert (tree / "main.py").read_text() == "print(1)\n"
    assert checkouts.is_ancestor(repository.url, shas[0], shas[-1])


def test_many_loose_objects_are_packed(
    checkouts: Checkouts, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_LOOSE", 0)
    for number in range(60):
        sha = repository.commit({f"{number}.txt": str(number)})
    checkouts.fetch(repository.url, sha=sha, ref="main")
    for number in range(60):
        sha = repository.commit({"again.txt": str(number)})
        checkouts.fetch(repository.url, sha=sha, ref="main")
        if list(checkouts.root.glob("*/mirror.git/objects/17/*")):
            break
    assert tended(checkouts, later(0)) == Tended(repacked=1)
    assert not list(checkouts.root.glob("*/mirror.git/objects/17/*"))
    assert tended(checkouts, later(0)) == Tended()


def test_a_mirror_that_nobody_uses_goes_and_is_fetched_again(
    checkouts: Checkouts, repository: Repository
) -> None:
    checkouts.fetch(repository.url, sha=repository.head, ref="main")
    with checkouts.tree(repository.url, repository.head) as tree:
        files = files_of(tree)
    assert tended(checkouts, later(UNUSED_MIRROR_SECONDS - 60)).dropped == 0
    assert tended(checkouts, later(UNUSED_MIRROR_SECONDS + 60)).dropped == 1
    assert not list(checkouts.root.glob("*/mirror.git"))
    checkouts.fetch(repository.url, sha=repository.head, ref="main")
    with checkouts.tree(repository.url, repository.head) as again:
        assert files_of(again) == files


def test_a_work_tree_goes_sooner_unless_somebody_builds_in_it(
    checkouts: Checkouts, repository: Repository
) -> None:
    checkouts.fetch(repository.url, sha=repository.head, ref="main")
    now = later(UNUSED_TREE_SECONDS + 60)
    with checkouts.tree(repository.url, repository.head) as tree:
        assert tended(checkouts, now) == Tended()
        assert (tree / "main.py").exists()
    assert tended(checkouts, later(UNUSED_TREE_SECONDS - 60)) == Tended()
    assert tended(checkouts, now) == Tended(trees=1)
    assert not tree.exists()
    with checkouts.tree(repository.url, repository.head) as again:
        assert (again / "main.py").read_text() == "print(1)\n"


def test_a_mirror_that_is_being_fetched_stays(checkouts: Checkouts, repository: Repository) -> None:
    checkouts.fetch(repository.url, sha=repository.head, ref="main")
    (lock,) = checkouts.root.glob("*/mirror.lock")
    held = try_lock(lock)
    assert held is not None
    assert tended(checkouts, later(2 * UNUSED_MIRROR_SECONDS)).dropped == 0
    os.close(held)
    assert list(checkouts.root.glob("*/mirror.git"))
