"""Commits are fetched from Git servers, also with credentials, and whatever the servers do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from app.checkout import (
    AuthRefused,
    Checkouts,
    CommitNotFound,
    Credential,
    GitStopped,
    RefNotFound,
    RepositoryNotFound,
)
from app.domain.errors import GitUnavailable, InvalidValue
from app.domain.events import Commit
from tests.support.checkouts import files_of
from tests.support.git_server import GitServer, git_server
from tests.support.repositories import Repository


def test_exactly_the_commit_is_checked_out(checkouts: Checkouts, repository: Repository, url: str) -> None:
    pushed = repository.commit({"main.py": "print(2)\n"})
    repository.commit({"main.py": "print(3)\n"}, "Newer than the push")
    assert checkouts.fetch(url, sha=pushed, ref="main") == pushed
    with checkouts.tree(url, pushed) as tree:
        assert files_of(tree) == {"main.py": "print(2)\n", "data/a.txt": "a\n", "data/b.txt": "b\n"}


def test_a_branch_is_followed_to_its_head(checkouts: Checkouts, repository: Repository, url: str) -> None:
    repository.git("branch", "a/refs/heads/main")  # a branch whose full name ends like another's
    head = repository.commit({"main.py": "print(2)\n"})
    assert checkouts.head_of(url, "main") == head
    assert checkouts.fetch(url, sha=None, ref="main") == head
    assert checkouts.fetch(url, sha=None, ref="refs/heads/main") == head


def test_a_second_fetch_brings_only_what_is_new(
    checkouts: Checkouts, repository: Repository, server: GitServer
) -> None:
    url = server.url("report/.git")
    big = os.urandom(400_000).hex()
    checkouts.fetch(url, sha=repository.commit({"big.txt": big}), ref="main")
    held = _size(checkouts.root)
    checkouts.fetch(url, sha=repository.commit({"main.py": "print(2)\n"}), ref="main")
    assert _size(checkouts.root) - held < 20_000
    asked = len(server.requests)
    checkouts.fetch(url, sha=repository.head, ref="main")
    assert len(server.requests) == asked, "what was fetched is not asked for again"


def test_an_annotated_tag_is_its_commit(checkouts: Checkouts, repository: Repository, url: str) -> None:
    repository.git("tag", "--annotate", "--message", "One", "v1")
    tag = repository.git("rev-parse", "v1")
    assert tag != repository.head
    assert checkouts.fetch(url, sha=tag, ref="refs/tags/v1") == repository.head
    assert checkouts.fetch(url, sha=None, ref="refs/tags/v1") == repository.head


def test_what_is_no_commit_is_not_found(checkouts: Checkouts, repository: Repository, url: str) -> None:
    blob = repository.git("rev-parse", "HEAD:main.py")
    with pytest.raises(CommitNotFound, match="not a commit"):
        checkouts.fetch(url, sha=blob, ref="main")


def test_a_forced_push_leaves_the_newest(checkouts: Checkouts, repository: Repository, url: str) -> None:
    first = repository.head
    gone = repository.commit({"main.py": "print(2)\n"})
    repository.git("reset", "--quiet", "--hard", first)
    kept = repository.commit({"main.py": "print(3)\n"})
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    with pytest.raises(CommitNotFound, match=gone[:12]):
        checkouts.fetch(url, sha=gone, ref="main")
    assert checkouts.fetch(url, sha=kept, ref="main") == kept


def test_a_commit_fetched_before_the_forced_push_can_still_be_built(
    checkouts: Checkouts, repository: Repository, url: str
) -> None:
    pushed = repository.commit({"main.py": "print(2)\n"})
    checkouts.fetch(url, sha=pushed, ref="main")
    shutil.rmtree(repository.path)
    assert checkouts.fetch(url, sha=pushed, ref="main") == pushed
    with checkouts.tree(url, pushed) as tree:
        assert (tree / "main.py").read_text() == "print(2)\n"


def test_a_missing_branch_is_named(checkouts: Checkouts, url: str) -> None:
    with pytest.raises(RefNotFound, match=f"The branch nowhere does not exist in {url}"):
        checkouts.fetch(url, sha=None, ref="nowhere")
    with pytest.raises(RefNotFound, match="The tag v9 "):
        checkouts.fetch(url, sha=None, ref="refs/tags/v9")


def test_a_deleted_branch_and_its_commit(checkouts: Checkouts, repository: Repository, url: str) -> None:
    repository.git("checkout", "--quiet", "-b", "gone")
    sha = repository.commit({"main.py": "print(9)\n"})
    repository.git("checkout", "--quiet", "main")
    repository.git("branch", "--quiet", "--delete", "--force", "gone")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    with pytest.raises(CommitNotFound, match="refs/heads/gone was forced back or deleted"):
        checkouts.fetch(url, sha=sha, ref="gone")


@pytest.mark.parametrize("ref", ["main", None])
def test_a_server_that_gives_only_refs_is_asked_for_the_branch(
    checkouts: Checkouts, repository: Repository, server: GitServer, ref: str | None
) -> None:
    server.speaks_v2 = False
    url = server.url("report/.git")
    sha = repository.commit({"main.py": "print(2)\n"})
    repository.commit({"main.py": "print(3)\n"})
    assert checkouts.fetch(url, sha=sha, ref=ref) == sha
    with checkouts.tree(url, sha) as tree:
        assert (tree / "main.py").read_text() == "print(2)\n"
    with pytest.raises(CommitNotFound):
        checkouts.fetch(url, sha="1" * 40, ref=ref)


def test_changed_files_between_two_commits(checkouts: Checkouts, repository: Repository, url: str) -> None:
    before = repository.head
    repository.commit({"data/a.txt": None, "grüße.txt": "1"})
    after = repository.commit({"new/c.txt": "c"})
    checkouts.fetch(url, sha=after, ref="main")
    assert checkouts.changed_files(url, before, after) == {"data/a.txt", "grüße.txt", "new/c.txt"}
    assert checkouts.changed_files(url, after, after) == frozenset()
    assert checkouts.changed_files(url, "1" * 40, after) is None
    assert checkouts.changed_files("file:///never/fetched", before, after) is None


def test_commits_between_two_are_listed_newest_first(
    checkouts: Checkouts, repository: Repository, url: str
) -> None:
    before = repository.head
    first = repository.commit({"a.txt": "1"}, "Add a\n\nWith a body.")
    second = repository.commit({"b.txt": "1"}, "Add b: grüße")
    checkouts.fetch(url, sha=second, ref="main")
    found = checkouts.commits_between(url, before, second, 9)
    assert found == [Commit(second, "Add b: grüße", "Ada Example"), Commit(first, "Add a", "Ada Example")]
    assert checkouts.commits_between(url, before, second, 1) == found[:1]
    assert checkouts.commits_between(url, second, before, 9) == []
    assert checkouts.commits_between(url, "1" * 40, second, 9) is None
    assert checkouts.commits_between("file:///never/fetched", before, second, 9) is None


def test_what_two_commits_have_in_common(checkouts: Checkouts, repository: Repository, url: str) -> None:
    common = repository.head
    one = repository.commit({"main.py": "print(2)\n"})
    repository.git("checkout", "-q", "-b", "other", common)
    other = repository.commit({"docs.md": "words\n"})
    repository.git("checkout", "-q", "--orphan", "apart")
    apart = repository.commit({"apart.md": "words\n"})
    for sha, branch in ((one, "main"), (other, "other"), (apart, "apart")):
        checkouts.fetch(url, sha=sha, ref=branch)
    assert checkouts.merge_base(url, one, other) == common
    assert checkouts.merge_base(url, one, apart) is None
    assert checkouts.merge_base(url, one, "1" * 40) is None


def test_ancestry(checkouts: Checkouts, repository: Repository, url: str) -> None:
    older = repository.head
    newer = repository.commit({"main.py": "print(2)\n"})
    checkouts.fetch(url, sha=newer, ref="main")
    assert checkouts.is_ancestor(url, older, newer) is True
    assert checkouts.is_ancestor(url, newer, older) is False
    assert checkouts.is_ancestor(url, "1" * 40, newer) is None


def test_a_private_repository_wants_its_credential(
    checkouts: Checkouts, repository: Repository, server: GitServer
) -> None:
    server.user, server.password = "x-access-token", "s3cret-token"
    url = server.url("report/.git")
    with pytest.raises(AuthRefused, match="set a credential"):
        checkouts.fetch(url, sha=repository.head, ref="main")
    with pytest.raises(AuthRefused) as caught:
        checkouts.fetch(url, sha=repository.head, ref="main", credential=Credential("wrong-secret"))
    assert "wrong-secret" not in str(caught.value)
    assert checkouts.fetch(url, sha=repository.head, ref="main", credential=Credential("s3cret-token"))
    server.user = "ada"
    assert checkouts.head_of(url, "main", Credential("s3cret-token", "ada")) == repository.head
    _nothing_below(checkouts.root, "s3cret-token")


def test_what_one_credential_fetched_is_not_given_to_another(
    checkouts: Checkouts, repository: Repository, server: GitServer
) -> None:
    server.user, server.password = "x-access-token", "s3cret-token"
    url, sha = server.url("report/.git"), repository.head
    checkouts.fetch(url, sha=sha, ref="main", credential=Credential("s3cret-token"))
    for credential in (None, Credential("another")):
        with pytest.raises(AuthRefused):
            checkouts.fetch(url, sha=sha, ref="main", credential=credential)
    server.user = None
    assert checkouts.fetch(url, sha=sha, ref="main") == sha


def test_a_credential_must_fit_a_header(checkouts: Checkouts, server: GitServer) -> None:
    with pytest.raises(InvalidValue, match="one line"):
        checkouts.head_of(server.url("report/.git"), "main", Credential("a\nX-Injected: b"))


def test_no_repository_there(checkouts: Checkouts, repository: Repository, server: GitServer) -> None:
    for url in (server.url("other"), f"file://{repository.path}-not"):
        with pytest.raises(RepositoryNotFound, match=url):
            checkouts.head_of(url, "main")


def test_nobody_answers(checkouts: Checkouts, repository: Repository) -> None:
    with git_server(repository.path.parent) as stopped:
        url = stopped.url("report/.git")
    with pytest.raises(GitUnavailable, match=url):
        checkouts.fetch(url, sha=repository.head, ref="main")


def test_a_fetch_that_hangs_ends_when_it_is_told_to(checkouts: Checkouts) -> None:
    """The server takes the connection and never answers; a second fetch waits for the first one's lock."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(2) as pool:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/report.git"
        fetch = partial(checkouts.fetch, url, sha="a" * 40, ref="main", should_stop=stop)
        fetches = [pool.submit(fetch) for _ in range(2)]
        connection, _ = silent.accept()
        stop.set()
        for each in fetches:
            assert isinstance(each.exception(timeout=10), GitStopped)
        connection.close()


@pytest.mark.parametrize("mode", ["error", "cut"])
def test_a_broken_server_is_worth_another_try(
    checkouts: Checkouts, repository: Repository, server: GitServer, mode: str
) -> None:
    url = server.url("report/.git")
    server.mode = mode
    with pytest.raises(GitUnavailable, match=url):
        checkouts.fetch(url, sha=repository.head, ref="main")
    server.mode = "serve"
    assert checkouts.fetch(url, sha=repository.head, ref="main") == repository.head


def test_many_threads_on_the_same_and_on_different_repositories(
    checkouts: Checkouts, repository: Repository, server: GitServer, tmp_path: Path
) -> None:
    other = Repository(tmp_path / "served" / "other")
    jobs: list[tuple[str, str, str]] = []
    for number in range(6):
        mine = repository.commit({"main.py": f"print({number})\n"})
        theirs = other.commit({"main.py": f"other({number})\n"})
        jobs.append((server.url("report/.git"), mine, f"print({number})\n"))
        jobs.append((server.url("other/.git"), theirs, f"other({number})\n"))
    together = threading.Barrier(4)

    def build(job: tuple[str, str, str]) -> bool:
        url, sha, content = job
        together.wait(timeout=60)
        checkouts.fetch(url, sha=sha, ref="main")
        with checkouts.tree(url, sha) as tree:
            return (tree / "main.py").read_text() == content

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(build, jobs))
    assert len(list(checkouts.root.glob("*/mirror.git"))) == 2


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _nothing_below(folder: Path, secret: str) -> None:
    found = subprocess.run(["grep", "-rl", secret, str(folder)], capture_output=True, text=True)
    assert found.stdout == ""
