"""Webhooks at forges and statuses of commits, as the command shows them."""

from __future__ import annotations

from tests.support.api import Caller
from tests.support.cli import Cli

SOURCE = {"type": "git", "git": {"url": "https://github.com/acme/report.git"}}
CREDENTIAL = {"name": "forge", "kind": "git", "host": "github.com", "secret": "a token"}


def test_webhooks_are_shown_looked_at_and_registered(cli: Cli, admin: Caller) -> None:
    admin.patch("/projects/acme", json={"webhook_secret": "the webhook secret of acme"})
    admin.made("/projects/acme/jobs", {"name": "report", "source": SOURCE})
    shown = cli("project", "hooks", "acme").out
    assert "github.com/acme/report" in shown
    assert "never looked at" in shown
    missing = "The project has no git credential for github.com: add one with a token of the forge."
    assert missing in cli("project", "hooks", "acme", "--look").out
    admin.made("/projects/acme/credentials", CREDENTIAL)
    asked = cli("project", "hooks", "acme", "--register", "--json").json
    assert asked["items"][0]["problem"] == "The forge did not answer in 10 s."
    assert asked == admin.got("/projects/acme/hooks")
