"""Notification targets from the command line: applied, listed, tried and deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api import Caller
from tests.support.cli import Cli, point_at, serving

FILE = """
name: ops
kind: slack
address: https://chat.example.com/the-secret
on: [first_failure, recovery]
---
name: check
kind: ping
address: https://hc-ping.com/uuid
"""


def test_targets_are_applied_listed_tried_and_deleted(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets.yaml").write_text(FILE)
    with serving(admin.context) as port:
        point_at(monkeypatch, port)
        cli = Cli(capsys)
        assert cli("target", "list").err.startswith(
            "There are none yet: make one with `jobyard target apply FILE`."
        )
        assert cli("target", "apply", "targets.yaml").out == "acme/ops created\nacme/check created\n"
        assert cli("target", "apply", "targets.yaml").out == "acme/ops changed\nacme/check changed\n"
        listed = cli("target", "list").out
        assert "first_failure, recovery" in listed
        assert "each begin and end" in listed
        assert "the-secret" not in listed
        assert cli("target", "deliveries", "ops").err == "Nothing was sent there yet.\n"
        assert cli("target", "test", "ops").out == (
            "A test is on its way to acme/ops: `jobyard target deliveries ops` says what came of it.\n"
        )
        assert "[acme] A test of ops" in cli("target", "deliveries", "ops").out
        assert cli("target", "deliveries", "ops", "--json").json["items"][0]["is_test"] is True
        assert cli("target", "delete", "ops", "--confirm", "ops").out == "acme/ops is deleted.\n"
