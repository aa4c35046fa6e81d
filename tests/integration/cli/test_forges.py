"""What forges sent, and a project's own webhook, from the command line."""

from __future__ import annotations

import json

from app.store import deliveries
from app.store.deliveries import NewDelivery
from tests.support.api import Caller
from tests.support.cli import Cli


def told(admin: Caller, forge: str, guid: str, event: str) -> None:
    """A delivery that was decided."""
    context = admin.context
    scopes = ("project:1",)
    new = NewDelivery(forge, guid, event, False, scopes, b"{}", "acme/report", context.clock.now())
    deliveries.record(context.db, [new])
    with context.db.write() as tx:
        deliveries.settle(tx, deliveries.find(tx, guid).id, "processed", "Decided.", context.clock.now())


def test_deliveries_say_from_which_forge_they_are(cli: Cli, admin: Caller) -> None:
    for forge in ("gitlab", "gitea", "bitbucket", "generic"):
        told(admin, forge, f"of-{forge}", "push")
    listed = cli("deliveries").out
    for forge in ("gitlab", "gitea", "bitbucket", "generic"):
        (line,) = (each for each in listed.splitlines() if f"of-{forge}" in each)
        assert forge in line.split()
    assert "gitlab" in cli("deliveries", "show", "of-gitlab").out


def test_a_pull_request_of_a_fork_is_approved_once(cli: Cli, admin: Caller) -> None:
    told(admin, "gitea", "p1", "pull_request")
    done = cli("deliveries", "approve", "p1")
    assert done.out == "p1 is approved; `jobyard deliveries show p1` tells what comes of it.\n"
    told(admin, "gitea", "g1", "push")
    refused = cli("deliveries", "approve", "g1")
    assert refused.status == 1
    assert "can't be approved: it tells of no pull request that was decided." in refused.err
    with admin.context.db.read() as tx:
        delivery = deliveries.find(tx, "p1")
    assert (delivery.status, delivery.replays) == ("received", 1)
    assert delivery.approved_by


def test_a_projects_webhook_is_made_changed_and_removed(cli: Cli, admin: Caller) -> None:
    made = cli("project", "webhook", "acme", "--ref", "/push/ref", "--sha", "/push/sha")
    webhook = admin.got("/projects/acme")["generic_webhook"]
    assert made.out.rstrip(".\n").endswith(f"/webhooks/generic/{webhook['id']}")
    assert (webhook["ref"], webhook["sha"], webhook["proof"]) == ("/push/ref", "/push/sha", "hmac")
    changed = json.loads(cli("project", "webhook", "acme", "--proof", "token", "--json").out)
    assert (changed["id"], changed["proof"], changed["ref"]) == (webhook["id"], "token", "/ref")
    wrong = cli("project", "webhook", "acme", "--ref", "push")
    assert wrong.status == 1
    assert "must be a JSON Pointer such as /push/ref" in wrong.err
    assert cli("project", "webhook", "acme", "--off").out == "Project acme has no generic webhook.\n"
    assert admin.got("/projects/acme")["generic_webhook"] is None
