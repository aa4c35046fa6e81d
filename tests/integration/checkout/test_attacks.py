"""Hostile repositories, servers, hosts and moments. Whatever runs leaves a canary file; none ever does."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.checkout import Checkouts, Credential, FetchRefused
from app.checkout.command import GitCommand
from app.domain.errors import GitUnavailable, InvalidValue
from builders.trees import remove_tree
from tests.support.git_server import GitServer, git_server
from tests.support.processes import kill, proc, processes_of, wait_until
from tests.support.repositories import Repository

ALLOW = frozenset({"file", "http"})
HOOKS = ("post-checkout", "reference-transaction", "post-index-change", "post-merge", "pre-auto-gc")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "report")
    made.commit({"main.py": "print(1)\n"}, "Begin")
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    with git_server(repository.path.parent) as running:
        yield running


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "checkouts", ALLOW, git_time_limit_seconds=20)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "something hostile was run"


# addresses and names


def test_remote_helpers_are_refused_by_us_and_by_git(
    checkouts: Checkouts, canary: Path, tmp_path: Path
) -> None:
    hostile = f"ext::sh -c touch% {canary}"
    with pytest.raises(InvalidValue, match="ext is not a Git transport"):
        checkouts.fetch(hostile, sha=None, ref="main")
    git = GitCommand(tmp_path, 10, 10**9)
    for transport in ("https", "http", "file", "ssh"):
        refused = git("ls-remote", "--", hostile, transport=transport)
        assert "transport 'ext' not allowed" in refused.stderr


def test_git_itself_speaks_only_the_named_transport(repository: Repository, tmp_path: Path) -> None:
    git = GitCommand(tmp_path, 10, 10**9)
    assert git("ls-remote", "--", repository.url, transport="file").ok
    assert "not allowed" in git("ls-remote", "--", repository.url, transport="https").stderr
    assert "not allowed" in git("ls-remote", "--", repository.url).stderr


@pytest.mark.parametrize("transport", ["file", "http"])
def test_a_transport_must_be_allowed(tmp_path: Path, server: GitServer, transport: str) -> None:
    strict = Checkouts(tmp_path / "strict", frozenset({"https", "ssh"}))
    url = {"file": f"file://{server.root}/report", "http": server.url("report/.git")}[transport]
    for call in (
        lambda: strict.fetch(url, sha=None, ref="main"),
        lambda: strict.head_of(url, "main"),
        lambda: strict.validate_url(url),
    ):
        with pytest.raises(InvalidValue, match="JOBYARD_GIT_ALLOW"):
            call()
    assert server.requests == []


@pytest.mark.parametrize(
    "value",
    [
        "--upload-pack=touch CANARY",
        "-u",
        "--exec=CANARY",
        "$(touch CANARY)",
        "`touch CANARY`",
        "a b",
        "x\ny",
        "",
        "\0",
    ],
)
def test_arguments_are_not_options(
    checkouts: Checkouts, repository: Repository, canary: Path, value: str
) -> None:
    hostile = value.replace("CANARY", str(canary))
    url = repository.url
    for call in (
        lambda: checkouts.fetch(hostile, sha=None, ref="main"),
        lambda: checkouts.fetch(f"file://{hostile}", sha=None, ref="main"),
        lambda: checkouts.fetch(f"ssh://{hostile}/x", sha=None, ref="main"),
        lambda: checkouts.fetch(url, sha=hostile, ref="main"),
        lambda: checkouts.head_of(url, hostile),
        lambda: checkouts.changed_files(url, hostile, repository.head),
        lambda: checkouts.is_ancestor(url, repository.head, hostile),
        lambda: checkouts.tree(url, hostile).__enter__(),
    ):
        with pytest.raises(InvalidValue):
            call()


def test_a_redirect_is_not_followed(checkouts: Checkouts, repository: Repository, server: GitServer) -> None:
    with git_server(repository.path.parent) as elsewhere:
        server.mode, server.elsewhere = "redirect", elsewhere.url("")[:-1]
        with pytest.raises(FetchRefused, match="redirects elsewhere"):
            checkouts.fetch(server.url("report/.git"), sha=repository.head, ref="main")
        assert elsewhere.requests == []


# the host


def test_git_connects_only_where_the_name_was_looked_up(
    checkouts: Checkouts, repository: Repository, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else knows this name: had Git asked for it again, it would have found nothing."""
    real = socket.getaddrinfo

    def answer(host: Any, *rest: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "git.rebound.invalid" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    sha = repository.commit({"a": "b"})
    url = server.url("report/.git").replace("127.0.0.1", "git.rebound.invalid")
    assert checkouts.fetch(url, sha=sha, ref=None) == sha
    assert checkouts.head_of(url, "main") == sha


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166"])
def test_no_git_server_is_at_a_link_local_address(checkouts: Checkouts, host: str) -> None:
    with pytest.raises(FetchRefused, match="link-local"):
        checkouts.head_of(f"http://{host}/acme/report", "main")


def test_nothing_of_the_hosts_configuration_counts(
    checkouts: Checkouts, repository: Repository, server: GitServer, canary: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home = _hostile_home(tmp_path / "home", canary)
    run = f"touch {canary}"
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_TEMPLATE_DIR": str(home / "template"),
        "GIT_SSH_COMMAND": run,
        "GIT_ASKPASS": str(home / "hooks" / "post-checkout"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": run,
        "GIT_CONFIG_PARAMETERS": f"'core.hooksPath={home / 'hooks'}'",
        "GIT_EXTERNAL_DIFF": run,
        "GIT_PROXY_COMMAND": run,
        "GIT_EXEC_PATH": str(home / "hooks"),
        "GIT_DIR": "/nowhere",
        "GIT_INDEX_FILE": "/nowhere/index",
        "GIT_OBJECT_DIRECTORY": "/nowhere/objects",
        "GIT_TRACE": str(canary),
        "LD_CANARY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    sha = _commit_with_filter(repository)
    server.user = "nobody"
    for url in (repository.url, server.url("report/.git")):
        checkouts.fetch(url, sha=sha, ref="main", credential=Credential("", "nobody"))
        with checkouts.tree(url, sha) as tree:
            assert (tree / "a.evil").read_text() == "as it is\n"


def test_the_child_has_our_environment_only_and_no_secret_in_its_arguments(
    checkouts: Checkouts, repository: Repository, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_VARIABLE", "x")
    server.mode = "hang"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            checkouts.fetch,
            server.url("report/.git"),
            sha=repository.head,
            ref="main",
            credential=Credential("s3cret-token", "ada"),
        )
        assert server.reached.wait(20)
        running = processes_of(checkouts.root)
        assert len(running) >= 2, "timeout and git, and git's helper"
        for pid in running:
            names = {entry.partition("=")[0] for entry in proc(pid, "environ")}
            assert "CANARY_VARIABLE" not in names
            strangers = {name for name in names if not name.startswith("GIT_")}
            assert strangers <= {"PATH", "HOME", "XDG_CONFIG_HOME", "LANGUAGE", "LC_ALL", "SSH_ASKPASS", ""}
            assert not [word for word in proc(pid, "cmdline") if "s3cret" in word or "YWRhOn" in word]
        server.mode = "error"
        server.release.set()
        with pytest.raises(GitUnavailable):
            asked.result(30)


# repositories


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


# moments


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
    assert time.monotonic() - started < 10
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
    wait_until(lambda: processes_of(checkouts.root) == [])
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
        threading.Event().wait(dice.uniform(0, 0.15))
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
    wait_until(lambda: processes_of(checkouts.root) == [])


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


def _hostile_home(home: Path, canary: Path) -> Path:
    for folder in (home / "hooks", home / "template" / "hooks"):
        folder.mkdir(parents=True)
        for name in HOOKS:
            (folder / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
            (folder / name).chmod(0o755)
    config = f"""
[core]
    hooksPath = {home}/hooks
    fsmonitor = touch {canary}
    sshCommand = touch {canary}
    attributesFile = {home}/attributes
[init]
    templateDir = {home}/template
[filter "evil"]
    smudge = touch {canary}
    required = true
[credential]
    helper = !touch {canary}
[url "ext::sh -c touch% {canary} "]
    insteadOf = file://
    insteadOf = http://
[protocol]
    allow = always
"""
    (home / ".gitconfig").write_text(config)
    (home / "git").mkdir()
    (home / "git" / "config").write_text(config)
    (home / "attributes").write_text("* filter=evil\n")
    return home


def _commit_with_filter(repository: Repository) -> str:
    return repository.commit({".gitattributes": "*.evil filter=evil\n", "a.evil": "as it is\n"})


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


def _in_another_process(code: str, checkouts: Checkouts) -> subprocess.Popen[bytes]:
    setup = (
        "from pathlib import Path\nfrom app.checkout import Checkouts\n"
        f"checkouts = Checkouts(Path({str(checkouts.root)!r}), frozenset({set(ALLOW)!r}), 20)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", setup + code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
