"""What a push of the branch's head would do, where only the repository's own Git server knows that head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.checkout import Checkouts
from app.commands.dry_run import DryRun
from app.forges.github import GitHub
from app.store import builds, decisions
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving
from tests.support.git_server import GitServer, git_server
from tests.support.repositories import Repository


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "served").mkdir()
    with git_server(tmp_path / "served") as server:
        server.user, server.password = "ada", "the-password"
        yield server


@pytest.fixture
def repository(forge: GitServer) -> Repository:
    return Repository(forge.root / "report")


@pytest.fixture
def served(context: ServerContext, forge: GitServer, tmp_path: Path) -> Caller:
    """Job report builds what only its credential may fetch, below `svc/` alone; job guest can't get in."""
    checkouts = Checkouts(tmp_path / "mirrors", frozenset({"http"}), git_time_limit_seconds=20)
    dry_run = DryRun(context.db, context.clock, {"github": GitHub()}, checkouts, context.vault)
    caller = Caller(replace(context, dry_run=dry_run, check_git_url=checkouts.validate_url))
    host = f"127.0.0.1:{forge.server_port}"
    for project, name, credential in (("acme", "report", "mine"), ("other", "guest", None)):
        caller.made("/projects", {"name": project})
        fields = {"name": "mine", "kind": "git", "host": host, "username": "ada", "secret": forge.password}
        caller.made(f"/projects/{project}/credentials", fields)
        git = {"url": forge.url("report"), "branch": "main", "credential": credential}
        build = {"paths": ["svc/"], "paths_mode": "allow"}
        source = {"type": "git", "git": git, "build": build}
        caller.made(f"/projects/{project}/jobs", {"name": name, "source": source})
    return caller


def planned(caller: Caller, forge: GitServer, **push: Any) -> dict[str, tuple[bool, str]]:
    """By job, whether it would be built, and the rule."""
    found = caller.made("/plan", {"push": {"repository": forge.url("report"), "ref": "main", **push}})
    return {each["job"]: (each["would_build"], each["build"]["rule"]) for each in found["items"]}


def test_the_head_is_asked_of_git_and_what_it_changes_too(
    served: Caller, forge: GitServer, repository: Repository
) -> None:
    first = repository.commit({"svc/a": "1", "docs/b": "1"})
    repository.commit({"svc/a": "2"})
    acme = served.with_token("operator", "acme")
    assert planned(acme, forge, before=first) == {"report": (True, "push")}
    second = repository.head
    repository.commit({"docs/b": "2"})
    assert planned(acme, forge, before=second) == {"report": (False, "paths")}
    assert planned(acme, forge, before=first) == {"report": (True, "push")}
    with served.context.db.read() as tx:
        assert not builds.page(tx, limit=9)
        assert not decisions.page(tx, limit=9)


def test_a_branch_that_git_has_not_is_not_taken_for_deleted(
    served: Caller, forge: GitServer, repository: Repository
) -> None:
    repository.commit({"svc/a": "1"})
    push = {"repository": forge.url("report"), "ref": "release"}
    answer = served.with_token("operator", "acme").post("/plan", json={"push": push})
    assert answer.status_code == 422
    assert "release" in answer.json()["detail"]
    assert "deleted" not in answer.json()["detail"]


def test_a_deletion_is_said_and_git_is_not_asked(
    served: Caller, forge: GitServer, repository: Repository, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    head = repository.commit({"svc/a": "1"})
    with serving(served.context) as port:
        point_at(monkeypatch, port)
        cli = Cli(capsys)
        asked = len(forge.requests)
        gone = cli("rehearse", forge.url("report"), "--ref", "main", "--deleted", "--json").json["items"]
        assert len(forge.requests) == asked
        assert {each["build"]["rule"] for each in gone} == {"deleted_ref"}
        pushed = cli("rehearse", forge.url("report"), "--json").json["items"]
        assert {each["job"]: each["would_build"] for each in pushed} == {"report": True, "guest": True}
        assert len(forge.requests) > asked
        said = cli("rehearse", forge.url("report")).out
        assert head[:7] in said
        assert "Of 2 jobs, 2 would be built" in said
