"""The places of the main navigation, and in which of them a page is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.web.request_context import RequestContext


@dataclass(frozen=True)
class Place:
    """An entry: `within` matches the paths of the pages that it leads to. `right` is what it needs somewhere."""

    path: str
    name: str
    within: str
    right: str = "read"


OF_PROJECT = r"/projects/[^/]+"
PLACES = (
    Place("/", "Overview", r"/|/search"),
    Place(
        "/projects",
        "Projects",
        rf"/projects|/jobs/.*|{OF_PROJECT}(?!/(pipelines|apps|flows|new/(pipeline|app|flow))(/|$))(/.*)?",
    ),
    Place("/runs", "Runs", r"/runs(/.*)?"),
    Place("/builds", "Builds", r"/builds(/.*)?"),
    Place("/decisions", "Decisions", r"/decisions"),
    Place("/schedule", "Schedule", r"/schedule(/.*)?"),
    Place("/pipelines", "Pipelines", rf"/pipelines|{OF_PROJECT}/(new/pipeline|pipelines(/.*)?)"),
    Place("/apps", "Apps", rf"/apps|/deployments/.*|{OF_PROJECT}/(new/app|apps(/.*)?)"),
    Place("/flows", "Flows", rf"/flows(/.*)?|{OF_PROJECT}/(new/flow|flows(/.*)?)"),
    Place("/deliveries", "Deliveries", r"/deliveries(/.*)?|/rehearse"),
    Place("/settings", "Settings", r"/settings(/.*)?|/prune|/backups"),
    Place("/users", "Users", r"/users(/.*)?", "people"),
    Place("/audit", "Audit", r"/audit", "audit"),
)


def places_for(ctx: RequestContext, path: str) -> list[tuple[Place, str]]:
    """What the reader may open, each with its `aria-current`: `page` for this page, `true` for one around it."""
    shown = [each for each in PLACES if ctx.may_somewhere(each.right)]
    return [
        (each, "page" if each.path == path else "true" if re.fullmatch(each.within, path) else "")
        for each in shown
    ]
