"""Users from the command line."""

from __future__ import annotations

from tests.support.cli import Cli


def test_a_user_from_invitation_to_removal(cli: Cli) -> None:
    assert cli("user", "list").err == "There are no users yet: invite one with `jobyard user add NAME`.\n"
    made = cli("user", "add", "grace", "--role", "operator", "--project", "acme", "--email", "g@example.com")
    assert "/login/once/" in made.out
    assert "Give it to grace: it is not shown again, and works once." in made.err
    assert "grace" in cli("user", "list").out
    assert cli("user", "grant", "grace", "viewer").out == "grace (invited): operator (acme), viewer (all)\n"
    assert cli("user", "revoke", "g@example.com", "-p", "acme").out == "grace (invited): viewer (all)\n"
    shown = cli("user", "show", "grace").out
    assert "grace (invited): g@example.com" in shown
    assert "No browser is logged in." in cli("user", "show", "grace").err
    assert cli("user", "show", "grace", "--json").json["sessions"] == []
    assert cli("user", "link", "grace", "4711").out == "grace (active): viewer (all)\n"
    assert cli("user", "show", "grace", "--json").json["subject"] == "4711"
    assert cli("user", "unlink", "grace").out == "grace (invited): viewer (all)\n"
    assert cli("user", "disable", "grace").out == "grace (disabled): viewer (all)\n"
    assert cli("user", "reset", "grace").err == "jobyard: grace is disabled: enable the account first.\n"
    assert cli("user", "enable", "1").out == "grace (invited): viewer (all)\n"
    assert "/login/once/" in cli("user", "reset", "grace").out
    assert cli("user", "remove", "grace").out == "User grace is removed.\n"
    unknown = cli("user", "show", "grace")
    assert (unknown.status, unknown.err) == (
        1,
        "jobyard: There is no user grace: `jobyard user list` shows who there is.\n",
    )
