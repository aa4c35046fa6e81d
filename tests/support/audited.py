"""An installation in which everything that a person can change is in a state where they can change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlmodel import text

from app.commands import job_drafts
from app.commands.accounts import make_administrator
from app.commands.sessions import Client, open_session
from app.commands.tokens import digest
from app.domain.audit import Entry
from app.domain.host_keys import PUBLISHED
from app.store import audit, deliveries, users
from app.store.audit import Wanted
from app.store.deliveries import NewDelivery
from app.web.pages import job_form
from app.web.pages.job_draft import Typed
from app.web.server_context import ServerContext
from app.workers.deployments import DeploymentWorker
from tests.support.api import Caller, build_succeeds
from tests.support.github import PEM

GUID = "d1c3"
PUSH = ("github", GUID, "push", False, ("source:2",), b"{}", "acme/report")
PROPOSED = "d1c4"
PULL_REQUEST = ("github", PROPOSED, "pull_request", False, ("source:2",), b"{}", "acme/report")
SHA = "a" * 40


def entries(context: ServerContext) -> Sequence[Entry]:
    """All of the audit log, oldest first."""
    with context.db.read() as tx:
        return list(reversed(audit.page(tx, Wanted(), 1000)))


def prepare(admin: Caller) -> None:
    context = admin.context
    for name in ("acme", "beside"):
        admin.made("/projects", {"name": name, "webhook_secret": "a secret of the project"})
    of = "/projects/acme"
    git = {"url": "https://github.com/acme/report", "webhook_secret": "a secret of the hook"}
    admin.made(f"{of}/credentials", {"name": "forge", "kind": "git", "host": "github.com", "secret": "x"})
    admin.made(f"{of}/github-apps", {"name": "the-app", "app_id": 4711, "private_key": PEM})
    admin.made(f"{of}/build-services", {"name": "images", "git": git})
    admin.made(f"{of}/notification-targets", TARGET)
    admin.made(f"{of}/secret-groups", {"name": "mail", "env": {"HOST": "mail.example.com"}})
    for name in ("report", "live"):
        admin.made(f"{of}/jobs", {"name": name, "source": {"type": "git", "git": git}})
    admin.made(f"{of}/jobs", {"name": "once", "source": {"type": "image", "image": "busybox"}})
    admin.made(f"{of}/jobs", {"name": "resting", "source": {"type": "image", "image": "busybox"}})
    admin.made(f"{of}/jobs/resting/pause")
    admin.made(f"{of}/jobs", {"name": "idle", "source": {"type": "image", "image": "busybox"}})
    admin.made(f"{of}/jobs/report/builds", {"sha": SHA})
    build_succeeds(context, sha=SHA)
    admin.made(f"{of}/jobs/report/builds", {"sha": "b" * 40})
    admin.made(f"{of}/jobs/once/runs")
    for app, job in (("shop", "report"), ("shelf", "live"), ("spare", "resting")):
        admin.made(f"{of}/apps", {"name": app, "jobs": [job]})
    admin.made(f"{of}/apps/shop/deployments", {"sha": SHA})
    moves = DeploymentWorker(context.db, context.clock, context.names)
    while moves.step():
        pass
    admin.made(f"{of}/apps/shop/deployments", {"sha": SHA})
    stages = [{"name": "one", "components": ["shop"]}, {"name": "two", "components": ["shelf"]}]
    admin.made(f"{of}/pipelines", {"name": "main", "stages": stages})
    admin.made(f"{of}/flows", {"name": "release", "nodes": [{"name": "ready", "type": "approval"}]})
    admin.made(f"{of}/flows/release/webhook")
    admin.made(f"{of}/flows/release/runs")
    admin.made(f"{of}/flows", {"name": "idle", "nodes": [{"name": "ready", "type": "approval"}]})
    for name in ("ada", "grace", "mary"):
        admin.made("/users", {"name": name, "role": "viewer"})
    admin.made("/users/3/disable")
    admin.made("/users/3/link", {"subject": "4711"})
    admin.made("/tokens", {"name": "ci", "role": "viewer"})
    deliveries.record(context.db, [NewDelivery(*each, context.clock.now()) for each in (PUSH, PULL_REQUEST)])
    with context.db.write() as tx:
        for change in (
            "UPDATE delivery SET status = 'processed'",
            "UPDATE flow_node SET status = 'running'",
            "UPDATE flow_run SET status = 'running'",
            "UPDATE app SET held_by = 1 WHERE name = 'shop'",
            (
                "INSERT INTO login (hash, user_id, address, browser, created_at, last_seen_at)"
                " SELECT 'aaaaaaaaaaaaaaaa', 1, '', '', created_at, created_at FROM user_account WHERE id = 1"
            ),
        ):
            tx.connection().execute(text(change))


P, SHOP, FLOW = "/projects/acme", "/projects/acme/apps/shop", "/projects/acme/flows/release"
IMAGE = {"type": "image", "image": "busybox"}
TARGET = {"name": "ops", "kind": "slack", "address": "https://hooks.example.com/x", "on": ["failure"]}
CALLS: dict[str, tuple[str, Any]] = {
    "POST /projects": ("/projects", {"name": "new"}),
    "PATCH /projects/{p}": (P, {"webhook_secret": "another secret of the hook"}),
    "POST /projects/{p}/hooks": (f"{P}/hooks", {"register": True}),
    "DELETE /projects/{p}": ("/projects/beside?confirm=beside", None),
    "POST /projects/{p}/credentials": (
        f"{P}/credentials",
        {"name": "n", "kind": "git", "host": "git.example.com", "secret": "x"},
    ),
    "POST /projects/{p}/github-apps": (
        f"{P}/github-apps",
        {"name": "n", "app_id": 4711, "private_key": PEM},
    ),
    "PATCH /projects/{p}/github-apps/{ga}": (
        f"{P}/github-apps/the-app",
        {"webhook_secret": "another secret of it"},
    ),
    "DELETE /projects/{p}/github-apps/{ga}": (f"{P}/github-apps/the-app?confirm=the-app", None),
    "PATCH /projects/{p}/credentials/{c}": (f"{P}/credentials/forge", {"secret": "another"}),
    "DELETE /projects/{p}/credentials/{c}": (f"{P}/credentials/forge?confirm=forge", None),
    "POST /projects/{p}/notification-targets": (f"{P}/notification-targets", {**TARGET, "name": "n"}),
    "PATCH /projects/{p}/notification-targets/{t}": (
        f"{P}/notification-targets/ops",
        {"on": ["recovery"], "address": "https://hooks.example.com/y"},
    ),
    "DELETE /projects/{p}/notification-targets/{t}": (f"{P}/notification-targets/ops?confirm=ops", None),
    "POST /projects/{p}/notification-targets/{t}/test": (f"{P}/notification-targets/ops/test", None),
    "POST /projects/{p}/secret-groups": (f"{P}/secret-groups", {"name": "n", "env": {"A": "1"}}),
    "PATCH /projects/{p}/secret-groups/{g}": (f"{P}/secret-groups/mail", {"env": {"HOST": "b"}}),
    "DELETE /projects/{p}/secret-groups/{g}": (f"{P}/secret-groups/mail?confirm=mail", None),
    "POST /projects/{p}/build-services": (
        f"{P}/build-services",
        {"name": "n", "git": {"url": "https://github.com/acme/n"}},
    ),
    "PATCH /projects/{p}/build-services/{s}": (f"{P}/build-services/images", {"git": {"branch": "next"}}),
    "DELETE /projects/{p}/build-services/{s}": (f"{P}/build-services/images?confirm=images", None),
    "POST /projects/{p}/build-services/{s}/builds": (f"{P}/build-services/images/builds", {}),
    "POST /projects/{p}/jobs": (f"{P}/jobs", {"name": "n", "source": IMAGE}),
    "PATCH /projects/{p}/jobs/{j}": (f"{P}/jobs/once", {"command": "true"}),
    "DELETE /projects/{p}/jobs/{j}": (f"{P}/jobs/idle?confirm=idle", None),
    "POST /projects/{p}/jobs/{j}/pause": (f"{P}/jobs/once/pause", None),
    "POST /projects/{p}/jobs/{j}/resume": (f"{P}/jobs/resting/resume", {}),
    "POST /projects/{p}/jobs/{j}/deploy": (f"{P}/jobs/live/deploy", {"image": "busybox:1"}),
    "POST /projects/{p}/jobs/{j}/builds": (f"{P}/jobs/live/builds", {}),
    "POST /projects/{p}/jobs/{j}/runs": (f"{P}/jobs/once/runs", {}),
    "POST /builds/{id}/cancel": ("/builds/2/cancel", None),
    "POST /runs/{id}/cancel": ("/runs/1/cancel", None),
    "POST /runs/{id}/rerun": ("/runs/1/rerun", {}),
    "POST /deliveries/{id}/replay": (f"/deliveries/{GUID}/replay", None),
    "POST /deliveries/{id}/approve": (f"/deliveries/{PROPOSED}/approve", None),
    "POST /projects/{p}/apps": (f"{P}/apps", {"name": "n", "jobs": ["idle"]}),
    "PATCH /projects/{p}/apps/{a}": (SHOP, {"jobs": ["report", "once"]}),
    "DELETE /projects/{p}/apps/{a}": (f"{P}/apps/spare?confirm=spare", None),
    "POST /projects/{p}/apps/{a}/release-hold": (f"{SHOP}/release-hold", None),
    "POST /projects/{p}/apps/{a}/deployments": (f"{SHOP}/deployments", {"sha": SHA}),
    "POST /deployments/{id}/cancel": ("/deployments/2/cancel", None),
    "POST /deployments/{id}/rollback": ("/deployments/1/rollback", {}),
    "POST /projects/{p}/pipelines": (
        f"{P}/pipelines",
        {"name": "n", "stages": [{"name": "x", "components": ["spare"]}]},
    ),
    "PATCH /projects/{p}/pipelines/{pl}": (
        f"{P}/pipelines/main",
        {"stages": [{"name": "x", "components": ["shop"]}]},
    ),
    "DELETE /projects/{p}/pipelines/{pl}": (f"{P}/pipelines/main?confirm=main", None),
    "POST /projects/{p}/pipelines/{pl}/promotions": (f"{P}/pipelines/main/promotions", {"from": "shop"}),
    "POST /projects/{p}/flows": (f"{P}/flows", {"name": "n", "nodes": [{"name": "x", "type": "approval"}]}),
    "PATCH /projects/{p}/flows/{f}": (FLOW, {"nodes": [{"name": "x", "type": "approval"}]}),
    "DELETE /projects/{p}/flows/{f}": (f"{P}/flows/idle?confirm=idle", None),
    "POST /projects/{p}/flows/{f}/webhook": (f"{FLOW}/webhook", None),
    "DELETE /projects/{p}/flows/{f}/webhook": (f"{FLOW}/webhook?confirm=release", None),
    "POST /projects/{p}/flows/{f}/runs": (f"{FLOW}/runs", {}),
    "POST /flows/runs/{id}/cancel": ("/flows/runs/1/cancel", None),
    "POST /flows/runs/{id}/nodes/{node}/approve": ("/flows/runs/1/nodes/ready/approve", None),
    "POST /flows/runs/{id}/nodes/{node}/decline": ("/flows/runs/1/nodes/ready/decline", None),
    "POST /tokens": ("/tokens", {"name": "n", "role": "viewer"}),
    "DELETE /tokens/{id}": ("/tokens/1?confirm=ci", None),
    "POST /users": ("/users", {"name": "n", "role": "viewer"}),
    "PATCH /users/{id}": ("/users/1", {"email": "ada@example.com"}),
    "DELETE /users/{id}": ("/users/1?confirm=ada", None),
    "POST /users/{id}/grant": ("/users/2/grant", {"role": "operator", "project": "acme"}),
    "POST /users/{id}/revoke": ("/users/2/revoke", {}),
    "POST /users/{id}/disable": ("/users/2/disable", None),
    "POST /users/{id}/enable": ("/users/3/enable", None),
    "POST /users/{id}/reset": ("/users/2/reset", None),
    "POST /users/{id}/link": ("/users/2/link", {"subject": "another"}),
    "POST /users/{id}/unlink": ("/users/3/unlink", None),
    "DELETE /users/{id}/sessions": ("/users/1/sessions", None),
    "DELETE /users/{id}/sessions/{s}": ("/users/1/sessions/aaaaaaaaaaaaaaaa", None),
    "POST /prune": ("/prune", None),
    "POST /apply": ("/apply", {"documents": [{"project": "acme", "jobs": [{"name": "n"}]}]}),
}


def change_something(caller: Caller, method: str, path: str) -> Any:
    """Call the operation with this method and path in a way that changes something after `prepare`."""
    where, body = CALLS[f"{method} {path}"]
    return caller.request(method, where, **({} if body is None else {"json": body}))


def _job(name: str = "", **changed: str) -> dict[str, str]:
    given, _ = job_form.shown(job_form.blank("image"))
    return {**given, "source.type": "image", "source.image": "busybox", "name": name, **changed}


def _service(name: str = "") -> dict[str, str]:
    typed = {"git.url": "https://github.com/acme/n", "git.branch": "next", "build.mode": "auto"}
    paths = {"build.root_directory": "/", "build.dockerfile": "/Dockerfile", "build.paths_mode": "ignore"}
    return {"name": name, **typed, **paths, "build.time_limit_seconds": "600", "builds_in_flight": "all"}


IMAGE_OF_FORM = {"build": "image", "image": "busybox:1"}
ADMIN = "a password of an administrator"
# what is sent to each form: the address, its fields
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "/projects": ("/projects", {"name": "new"}),
    "/projects/{project}/generic-webhook": (
        f"{P}/generic-webhook",
        {"generic_webhook.ref": "/push/ref", "generic_webhook.sha": "/push/sha"},
    ),
    "/projects/{project}/webhook-secret": (
        f"{P}/webhook-secret",
        {"webhook_secret": "another secret of the hook"},
    ),
    "/projects/{project}/hooks": (f"{P}/hooks", {"register": "1"}),
    "/projects/{project}/commit-statuses": (f"{P}/commit-statuses", {"commit_statuses": "two"}),
    "/projects/{project}/limits": (f"{P}/limits", {"limits.runs_at_once": "4"}),
    "/projects/{project}/delete": ("/projects/beside/delete", {"confirm": "beside"}),
    "/projects/{project}/build-services": (f"{P}/build-services", _service("n")),
    "/projects/{project}/build-services/{service}": (f"{P}/build-services/images", _service()),
    "/projects/{project}/build-services/{service}/delete": (
        f"{P}/build-services/images/delete",
        {"confirm": "images"},
    ),
    "/projects/{project}/build-services/{service}/build": (f"{P}/build-services/images/build", {}),
    "/projects/{project}/secret-groups": (f"{P}/secret-groups", {"name": "n", "priority": "0"}),
    "/projects/{project}/secret-groups/{group}": (f"{P}/secret-groups/mail", {"priority": "5"}),
    "/projects/{project}/secret-groups/{group}/delete": (
        f"{P}/secret-groups/mail/delete",
        {"confirm": "mail"},
    ),
    "/projects/{project}/new/notification-target": (
        f"{P}/new/notification-target",
        {"name": "n", "kind": "email", "address": "ops@example.com", "on": "failure"},
    ),
    "/projects/{project}/notifications/{target}": (f"{P}/notifications/ops", {"on": "recovery"}),
    "/projects/{project}/notifications/{target}/test": (f"{P}/notifications/ops/test", {}),
    "/projects/{project}/notifications/{target}/delete": (
        f"{P}/notifications/ops/delete",
        {"confirm": "ops"},
    ),
    "/projects/{project}/credentials": (
        f"{P}/credentials",
        {"name": "n", "kind": "git", "host": "git.example.com", "secret": "x"},
    ),
    "/projects/{project}/credentials/{credential}": (f"{P}/credentials/forge", {"username": "ada"}),
    "/projects/{project}/credentials/{credential}/host-keys": (
        f"{P}/credentials/forge/host-keys",
        {"host_keys": str(PUBLISHED["github.com"].keys[0])},
    ),
    "/projects/{project}/github-apps": (
        f"{P}/github-apps",
        {"name": "n", "host": "github.com", "app_id": "4711", "private_key": PEM},
    ),
    "/projects/{project}/github-apps/{github_app}": (
        f"{P}/github-apps/the-app",
        {"webhook_secret": "another secret of it"},
    ),
    "/projects/{project}/github-apps/{github_app}/delete": (
        f"{P}/github-apps/the-app/delete",
        {"confirm": "the-app"},
    ),
    "/projects/{project}/credentials/{credential}/delete": (
        f"{P}/credentials/forge/delete",
        {"confirm": "forge"},
    ),
    "/projects/{project}/new/pipeline": (
        f"{P}/new/pipeline",
        {"name": "n", "stages": "0", "name.0": "x", "in.0": "spare"},
    ),
    "/projects/{project}/pipelines/{pipeline}/settings": (
        f"{P}/pipelines/main/settings",
        {"stages": "0", "name.0": "x", "in.0": "shop"},
    ),
    "/projects/{project}/pipelines/{pipeline}/settings/delete": (
        f"{P}/pipelines/main/settings/delete",
        {"confirm": "main"},
    ),
    "/projects/{project}/pipelines/{pipeline}/promote": (
        f"{P}/pipelines/main/promote",
        {"component": "shop"},
    ),
    "/projects/{project}/new/flow": (
        f"{P}/new/flow",
        {"name": "n", "nodes": "0", "type.0": "approval", "node.0": "ready"},
    ),
    "/projects/{project}/flows/{flow}/settings": (
        f"{FLOW}/settings",
        {"nodes": "0", "type.0": "approval", "node.0": "sure"},
    ),
    "/projects/{project}/flows/{flow}/settings/delete": (
        f"{P}/flows/idle/settings/delete",
        {"confirm": "idle"},
    ),
    "/projects/{project}/flows/{flow}/start": (f"{FLOW}/start", {}),
    "/projects/{project}/flows/{flow}/webhook": (f"{FLOW}/webhook", {}),
    "/projects/{project}/flows/{flow}/webhook/void": (f"{FLOW}/webhook/void", {}),
    "/flows/runs/{run}/cancel": ("/flows/runs/1/cancel", {}),
    "/flows/runs/{run}/nodes/{node}/approve": ("/flows/runs/1/nodes/ready/approve", {}),
    "/flows/runs/{run}/nodes/{node}/decline": ("/flows/runs/1/nodes/ready/decline", {}),
    "/projects/{project}/new/app": (f"{P}/new/app", {"name": "n", "jobs": "idle"}),
    "/projects/{project}/apps/{app}/settings": (f"{SHOP}/settings", {"jobs": "once"}),
    "/projects/{project}/apps/{app}/settings/delete": (
        f"{P}/apps/spare/settings/delete",
        {"confirm": "spare"},
    ),
    "/projects/{project}/apps/{app}/deploy": (f"{SHOP}/deploy", {"sha": SHA}),
    "/projects/{project}/apps/{app}/release-hold": (f"{SHOP}/release-hold", {}),
    "/deployments/{deployment}/rollback": ("/deployments/1/rollback", {}),
    "/deployments/{deployment}/cancel": ("/deployments/2/cancel", {}),
    "/projects/{project}/public": (f"{P}/public", {"public": "1"}),
    "/projects/{project}/jobs/{job}/pause": (f"{P}/jobs/once/pause", {}),
    "/projects/{project}/jobs/{job}/resume": (f"{P}/jobs/resting/resume", {}),
    "/jobs/new/{draft}/review": ("/jobs/new/1/review", {"build": "1"}),
    "/projects/{project}/jobs/{job}/settings": (f"{P}/jobs/once/settings", _job(command="true")),
    "/projects/{project}/jobs/{job}/settings/delete": (
        f"{P}/jobs/idle/settings/delete",
        {"confirm": "idle"},
    ),
    "/projects/{project}/jobs/{job}/build": (f"{P}/jobs/live/build", {}),
    "/projects/{project}/jobs/{job}/deploy": (f"{P}/jobs/live/deploy", IMAGE_OF_FORM),
    "/projects/{project}/jobs/{job}/run": (f"{P}/jobs/once/run", {}),
    "/runs/{run}/cancel": ("/runs/1/cancel", {}),
    "/runs/{run}/again": ("/runs/1/again", {}),
    "/builds/{build}/cancel": ("/builds/2/cancel", {}),
    "/builds/{build}/deploy": ("/builds/1/deploy", {"project": "acme", "job": "report"}),
    "/deliveries/{forge}/{guid}/replay": (f"/deliveries/github/{GUID}/replay", {}),
    "/deliveries/{forge}/{guid}/approve": (f"/deliveries/github/{PROPOSED}/approve", {}),
    "/settings/password": (
        "/settings/password",
        {"current": ADMIN, "password": "a password that is another", "again": "a password that is another"},
    ),
    "/settings/sessions/end": ("/settings/sessions/end", {}),
    "/settings/sessions/{session}/end": ("/settings/sessions/bbbbbbbbbbbbbbbb/end", {}),
    "/settings/tokens": ("/settings/tokens", {"name": "n", "role": "viewer", "days": "30"}),
    "/settings/tokens/{token}/revoke": ("/settings/tokens/1/revoke", {}),
    "/users": ("/users", {"name": "n", "role": "viewer"}),
    "/users/{user}": ("/users/1", {"name": "ada", "email": "ada@example.com"}),
    "/users/{user}/grant": ("/users/2/grant", {"role": "operator", "project": "acme"}),
    "/users/{user}/revoke": ("/users/2/revoke", {}),
    "/users/{user}/disable": ("/users/2/disable", {}),
    "/users/{user}/enable": ("/users/3/enable", {}),
    "/users/{user}/reset": ("/users/2/reset", {}),
    "/users/{user}/link": ("/users/2/link", {"subject": "another"}),
    "/users/{user}/unlink": ("/users/3/unlink", {}),
    "/users/{user}/sessions/end": ("/users/1/sessions/end", {}),
    "/users/{user}/sessions/{session}/end": ("/users/1/sessions/aaaaaaaaaaaaaaaa/end", {}),
    "/users/{user}/delete": ("/users/1/delete", {"confirm": "ada"}),
    "/prune": ("/prune", {}),
    "/backups": ("/backups", {}),
    "/logout": ("/logout", {}),
}


def log_in(context: ServerContext) -> str:
    """The secret of a session of an administrator, who has another session too."""
    make_administrator(context.db, "root", ADMIN, context.clock.now())
    with context.db.write() as tx:
        user = users.named(tx, "root")
        assert user is not None
        limits, browser = context.desk.limits, Client("192.0.2.1")
        session, other = (
            open_session(tx, context.clock.now(), limits, browser, user_id=user.id) for _ in range(2)
        )
        draft = replace(Typed.blank("acme", "none"), given={**Typed.blank("acme", "none").given, "name": "n"})
        job_drafts.begin(tx, context.vault, f"user {user.id}", draft.content(), context.clock.now())
        tx.connection().execute(text(f"UPDATE login SET hash = '{'b' * 16}' WHERE hash = '{digest(other)}'"))
    return session
