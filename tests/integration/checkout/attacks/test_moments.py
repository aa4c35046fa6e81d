"""Servers and children that are killed at any moment leave no wrong tree."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.checkout import Checkouts
from app.checkout.command import GitCommand
from app.domain.errors import GitUnavailable
from tests.support.git_server import GitServer
from tests.support.processes import kill, processes_of
from tests.support.repositories import Repository
from tests.support.waiting import eventually

ALLOW = frozenset({"file", "http"})


@pytest.mark.parametrize("mode", ["hang", "trickle", "stall"])
def test_the_time_limit_ends_the_whole_process_group(
    repository: Repository, server: GitServer, tmp_path: Path, mode: str
) -> None:
    hasty = Checkouts(tmp_path / "hasty", ALLOW, git_time_limit_seconds=1)
    sha = repository.commit({"big.bin": os.urandom(50_000).hex()})
    url = server.url("report/.git")
    server.mode = mode
    started = time.monotonic()
    with pytest.raises(GitUnavailable, match=f"{url} did not answer in full within 1 seconds"):
        hasty.fetch(url, sha=sha, ref="main")
    assert time.monotonic() - started < 20
    assert server.reached.is_set()
    assert processes_of(hasty.root) == []
    server.mode = "serve"
    assert hasty.fetch(url, sha=sha, ref="main") == sha


@pytest.mark.parametrize("mode", ["hang", "stall"])
def test_a_server_killed_in_the_middle_of_a_fetch(
    checkouts: Checkouts, repository: Repository, server: GitServer, mode: str
) -> None:
    sha = repository.commit({f"{number}.bin": os.urandom(2000).hex() for number in range(150)})
    url = server.url("report/.git")
    server.mode = mode
    fetching = _in_another_process(f"checkouts.fetch({url!r}, sha={sha!r}, ref='main')", checkouts)
    assert server.reached.wait(30)
    fetching.kill()
    fetching.communicate()
    orphans = processes_of(checkouts.root)
    assert orphans, "git outlives the server that started it"
    server.mode = "serve"
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(checkouts.fetch, url, sha=sha, ref="main")
        with pytest.raises(TimeoutError):
            again.result(0.3)  # the orphan still writes: its lock holds
        server.release.set()
        assert again.result(30) == sha
    eventually(lambda: processes_of(checkouts.root) == [])
    with checkouts.tree(url, sha) as tree:
        assert len(list(tree.iterdir())) == 151
    assert list(checkouts.root.glob("*/mirror.git/objects/pack/tmp_*")) == []


def test_a_server_killed_at_any_moment_leaves_no_wrong_tree(
    checkouts: Checkouts, repository: Repository
) -> None:
    url = repository.url
    one = repository.commit({f"d{number % 9}/{number}.txt": f"one {number}\n" for number in range(200)})
    two = repository.commit({f"d{number % 7}/{number}.txt": f"two {number}\n" for number in range(150)})
    dice = random.Random(7)
    for _ in range(8):
        loop = f"""
checkouts.fetch({url!r}, sha={two!r}, ref='main')
print('ready', flush=True)
while True:
    for sha in ({one!r}, {two!r}):
        with checkouts.tree({url!r}, sha):
            pass
"""
        working = _in_another_process(loop, checkouts)
        assert working.stdout is not None
        assert working.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            working.wait(dice.uniform(0, 0.15))
        working.kill()
        if dice.random() < 0.7:  # else git, an orphan now, comes to its end
            for pid in processes_of(checkouts.root):
                kill(pid)
        working.communicate()
        for sha in (one, two):
            with checkouts.tree(url, sha) as tree:
                found = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
                assert found == set(repository.git("ls-tree", "-r", "--name-only", sha).splitlines())
                assert all(
                    (tree / name).read_text() == repository.git("show", f"{sha}:{name}") + "\n"
                    for name in dice.sample(sorted(found), 10)
                )
    eventually(lambda: processes_of(checkouts.root) == [])


def test_a_change_of_a_tree_that_was_cut_short_is_done_again(
    checkouts: Checkouts, repository: Repository
) -> None:
    url = repository.url
    many = [f"d{number % 30}/{number}.txt" for number in range(600)]
    one = repository.commit(dict.fromkeys(many, "one\n"))
    two = repository.commit(dict.fromkeys(many, "two\n"))
    checkouts.fetch(url, sha=two, ref="main")
    cut_short = 0
    for limit in (0.01, 0.02, 0.03, 0.05):
        with checkouts.tree(url, one):
            pass
        try:
            with replace(checkouts, git_time_limit_seconds=limit).tree(url, two):
                pass
        except GitUnavailable:
            cut_short += 1
        with checkouts.tree(url, two) as tree:
            assert {path.read_text() for path in tree.rglob("*/*.txt")} == {"two\n"}
    assert cut_short > 0


def test_of_what_git_says_without_end_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    said = GitCommand(tmp_path, 20, 10**9)("rev-parse", "--verify", "x" * 100_000).stderr
    assert len(said) < 20_000


def test_a_killed_git_is_only_one_failed_try(
    checkouts: Checkouts, repository: Repository, server: GitServer
) -> None:
    sha = repository.commit({"big.bin": os.urandom(50_000).hex()})
    url = server.url("report/.git")
    server.mode = "stall"
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(checkouts.fetch, url, sha=sha, ref="main")
        assert server.reached.wait(20)
        for pid in processes_of(checkouts.root):
            kill(pid)
        with pytest.raises(GitUnavailable, match=url):
            fetching.result(30)
    server.mode = "serve"
    assert checkouts.fetch(url, sha=sha, ref="main") == sha


def _in_another_process(code: str, checkouts: Checkouts) -> subprocess.Popen[bytes]:
    setup = (
        "from pathlib import Path\nfrom app.checkout import Checkouts\n"
        f"checkouts = Checkouts(Path({str(checkouts.root)!r}), frozenset({set(ALLOW)!r}), 20)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", setup + code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
