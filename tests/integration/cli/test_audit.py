"""The audit log from the command line, and what commands on the server's machine leave in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import read_settings
from app.domain.audit import Entry, Kind
from app.installation import open_installation
from app.store import audit
from app.store.audit import Wanted
from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving


def test_who_changed_what_is_listed(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        cli = Cli(capsys)
        cli("token", "create", "ci", "--role", "viewer")
        shown = cli("audit", "--action", "token.make", "--since", "2026-01-01", "-n", "1").out
        assert shown.split()[:6] == ["WHEN", "WHO", "FROM", "ACTION", "WHAT", "OUTCOME"]
        assert "token.make" in shown
        assert "ci" in shown
        found = cli("audit", "--json").json["items"][0]
        assert (found["who"]["kind"], found["about"]["name"], found["outcome"]) == (
            "admin_token",
            "ci",
            "done",
        )
        assert cli("audit", "--who", "nobody else").err == "No entry is of this kind.\n"
        assert cli("audit", "--since", "never").status == 2


def left() -> list[Entry]:
    with open_installation(read_settings()) as installation, installation.db.read() as tx:
        return list(reversed(audit.page(tx, Wanted(), 99)))


def test_commands_on_the_servers_machine_leave_entries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("JOBYARD_ENGINE", "process")
    cli = Cli(capsys)
    assert cli("admin", "link").status == 0
    monkeypatch.setenv("JOBYARD_PASSWORD", "a password of an administrator")
    assert cli("admin", "create", "--name", "root").status == 0
    monkeypatch.delenv("JOBYARD_PASSWORD")
    assert cli("backup", "backup.tar").status == 0
    assert cli("new-epoch").status == 0
    here = left()
    assert [each.action for each in here] == [
        "installation.setup_link",
        "installation.make_administrator",
        "installation.new_epoch",
    ]
    assert {(each.actor.name, each.actor.kind) for each in here} == {("the command line", Kind.COMMAND)}
    assert "a password" not in str(here)
    monkeypatch.setenv("JOBYARD_DATA", str(tmp_path / "restored"))
    assert cli("restore", "backup.tar").status == 0
    assert left()[-1].action == "installation.restore"
