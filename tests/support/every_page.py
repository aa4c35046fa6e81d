"""Every page there is, from the table of routes, each with an address that shows something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from app.commands.github_apps import Begun, begin_manifest
from app.store import projects
from app.web.pages import page_routes
from app.web.pages.context import StreamRoute
from tests.support.api import Caller
from tests.support.clock import Clock
from tests.support.fakes import commit
from tests.support.forms import form_fields
from tests.support.one_of_each import NAMES, make_one_of_each
from tests.support.seed import World, world
from tests.support.visiting import visitor

# Of these a browser shows no page: pieces of one, and what leads elsewhere.
NO_PAGES = {
    "/streams",
    "/schedule/next",
    "/jobs/new/{draft}/name",
    "/runs/{run}/log",
    "/builds/{build}/log",
    "/login/oidc",
    "/login/oidc/callback",
}
ROUTES = [
    route.path
    for route in page_routes()
    if "GET" in (route.methods or ()) and not isinstance(route, StreamRoute) and route.path not in NO_PAGES
]
OPEN = [path for path in ROUTES if path.startswith("/login")]
PAGES = [path for path in ROUTES if path not in OPEN]
FILLED = {**NAMES, "user": "1", "draft": "1", "chapter": "first-steps"}
MADE_AT_GITHUB = "/projects/{project}/github-app-made"
PROMOTE = "/projects/{project}/pipelines/{pipeline}/promote"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def pages_of(made: World) -> dict[str, str]:
    """By the path of its route the address of each page behind the login, which all answer to an administrator."""
    asked = {"/search": "q=7k", PROMOTE: "component=shop7k", MADE_AT_GITHUB: _accepted_at_github(made)}
    return {path: _filled(path) + (f"?{asked[path]}" if path in asked else "") for path in PAGES}


def _filled(path: str) -> str:
    names = {**FILLED, "run": "1"} if path.startswith("/flows/") else FILLED
    return re.sub(r"\{(\w+)\}", lambda match: names[match[1]], path)


def _accepted_at_github(made: World) -> str:
    """What GitHub adds to the address as it sends somebody back who accepted a manifest."""
    with made.db.read() as tx:
        project = projects.named(tx, "acme")
    state = begin_manifest(made.box, project, Begun("octo", "github.com", ""), made.clock.now())
    return f"code=x&state={quote(state, safe='')}"


@contextmanager
def one_of_everything(root: Path) -> Iterator[World]:
    """Also a server that is spoken to by ssh, a draft of a job from Git, and a project that is public."""
    with world(root, Clock(at=None)) as made:
        repository = made.installation.repository
        repository.heads, repository.history = {"main": commit(1)}, [commit(1)]
        web = made.installation.web
        vars(made.installation)["web"] = replace(web, dry_run=replace(web.dry_run, checkouts=repository))
        make_one_of_each(made.context)
        admin, of_acme = Caller(made.context), "/projects/acme/credentials"
        admin.made(of_acme, {"name": "by-ssh", "kind": "git", "host": "git.example.com", "ssh_key": True})
        assert admin.patch(f"{of_acme}/by-ssh", json={"host_keys": [HOST_KEY]}).status_code == 200
        _begin_a_draft(made)
        with made.db.write() as tx:
            projects.set_public(tx, projects.named(tx, "acme").id, True)
        yield made


def _begin_a_draft(made: World) -> None:
    """The first draft of a job, which is the administrator's."""
    client = visitor(made)
    fields = form_fields(client.get("/jobs/new?project=acme").text, "/jobs/new")
    answer = client.post("/jobs/new", data={**fields, "source.git.url": "https://github.com/acme/report"})
    assert answer.headers["location"] == "/jobs/new/1/build"
