"""Limits of projects from the command line."""

from __future__ import annotations

from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.cli import Cli


def test_limits_are_shown_and_set(cli: Cli) -> None:
    changed = cli("project", "limits", "acme", "--set", "cpus=2.5", "--set", "runs_at_once=4")
    rows = {line.split()[0]: line.split()[1:4] for line in changed.out.splitlines()}
    assert (rows["cpus"], rows["runs_at_once"]) == (["0", "2.5", "project"], ["0", "4", "project"])
    assert rows["memory_mb"] == ["0", "any", "server"]
    cli("project", "limits", "acme", "--set", "cpus=default")
    found = {
        each["limit"]: each["is_own"] for each in cli("project", "limits", "acme", "--json").json["items"]
    }
    assert (found["cpus"], found["runs_at_once"]) == (False, True)


def test_what_is_no_limit_is_refused(cli: Cli) -> None:
    refused = cli("project", "limits", "acme", "--set", "cpus=two")
    said = "--set takes LIMIT=NUMBER such as runs_at_once=4, not 'cpus=two'."
    assert (refused.status, refused.err) == (1, f"jobyard: {said}\n")
    assert "limits.disks" in cli("project", "limits", "acme", "--set", "disks=1").err


def test_a_project_is_made_public_and_private_again(cli: Cli, context: ServerContext) -> None:
    cli("project", "create", "open")
    assert cli("project", "public", "open").out == "open is public: its page is /public/open.\n"
    assert Caller(context).got("/projects/open")["public"] is True
    assert cli("project", "public", "open", "--off").out == "open is private.\n"
    assert Caller(context).got("/projects/open")["public"] is False
    last, first = Caller(context).got("/audit?action=project.change")["items"][:2]
    assert [each["changes"] for each in (first, last)] == [
        {"public": {"from": False, "to": True}},
        {"public": {"from": True, "to": False}},
    ]
