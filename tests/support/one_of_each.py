"""One of everything in project acme, each with id 1 and `MARK` in its name, and an empty project beside it."""

from __future__ import annotations

from app.store import deliveries, users
from app.store.database import Tx
from app.store.deliveries import NewDelivery
from app.web.server_context import ServerContext
from tests.support.api import Caller
from tests.support.github import PEM

MARK = "7k"
GUID = "d1c37k"
URL = "https://github.com/acme/report7k"
NAMES = {
    "project": "acme",
    "job": "report7k",
    "run": "once7k-00001",
    "build": "1",
    "service": "images7k",
    "group": "mail7k",
    "credential": "forge7k",
    "github_app": "octo7k",
    "target": "ops7k",
    "app": "shop7k",
    "deployment": "1",
    "pipeline": "main7k",
    "flow": "release7k",
    "node": "ready7k",
    "forge": "github",
    "guid": GUID,
}


def make_one_of_each(context: ServerContext) -> None:
    admin = Caller(context)
    source = {"type": "git", "git": {"url": URL, "webhook_secret": "a secret of the hook"}}
    for name in ("acme", "beside"):
        admin.made("/projects", {"name": name})
    of_acme = "/projects/acme"
    secret = {"kind": "git", "host": "github.com", "secret": "x"}
    admin.made(f"{of_acme}/credentials", {"name": NAMES["credential"], **secret})
    admin.made(f"{of_acme}/github-apps", {"name": NAMES["github_app"], "app_id": 4711, "private_key": PEM})
    admin.made(f"{of_acme}/build-services", {"name": NAMES["service"], "git": source["git"]})
    admin.made(f"{of_acme}/secret-groups", {"name": NAMES["group"], "env": {"HOST": "mail.example.com"}})
    told = {"kind": "email", "address": "ops@example.com", "on": ["failure"]}
    admin.made(f"{of_acme}/notification-targets", {"name": NAMES["target"], **told})
    schedule = {"kind": "cron", "schedule": {"cron": "0 6 * * *"}}
    admin.made(f"{of_acme}/jobs", {"name": NAMES["job"], "source": source, **schedule})
    admin.made(f"{of_acme}/jobs", {"name": "once7k", "source": {"type": "image", "image": "busybox"}})
    admin.made(f"{of_acme}/jobs/report7k/builds")
    admin.made(f"{of_acme}/jobs/once7k/runs")
    admin.made(f"{of_acme}/apps", {"name": NAMES["app"], "jobs": ["report7k"]})
    admin.made(f"{of_acme}/apps/shop7k/deployments", {"sha": "a" * 40})
    stages = [{"name": "one", "components": ["shop7k"]}]
    admin.made(f"{of_acme}/pipelines", {"name": NAMES["pipeline"], "stages": stages})
    nodes = [{"name": NAMES["node"], "type": "approval"}]
    admin.made(f"{of_acme}/flows", {"name": NAMES["flow"], "nodes": nodes})
    admin.made(f"{of_acme}/flows/release7k/runs")
    now = context.clock.now()
    deliveries.record(
        context.db,
        [NewDelivery("github", GUID, "push", False, ("source:2",), b"{}", "acme/report7k", now)],
    )


def user(tx: Tx, context: ServerContext, name: str, role: str, project_id: int | None) -> users.User:
    return users.add(tx, name, "no password", role, context.clock.now(), project_id=project_id)
