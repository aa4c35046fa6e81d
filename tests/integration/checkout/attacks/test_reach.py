"""What a checkout reaches: no address, option, setting or program but what it is meant to."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.checkout import Checkouts, Credential, FetchRefused
from app.checkout.command import GitCommand
from app.domain.errors import GitUnavailable, InvalidValue
from tests.support.git_server import GitServer, git_server
from tests.support.processes import proc, processes_of
from tests.support.repositories import Repository

HOOKS = ("post-checkout", "reference-transaction", "post-index-change", "post-merge", "pre-auto-gc")


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
